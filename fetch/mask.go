package fetch

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const masked = "…"

// maskURL prints u without user info, fragment and query values.
func maskURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery != "" {
		shown.RawQuery = maskQuery(u.RawQuery)
	}
	return shown.String()
}

// maskQuery keeps the names. A parameter without = may be a bare token, so it is masked whole.
func maskQuery(query string) string {
	var b strings.Builder
	for pair := range strings.SplitSeq(query, "&") {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		if name, _, named := strings.Cut(pair, "="); named {
			b.WriteString(name)
			b.WriteByte('=')
		}
		b.WriteString(masked)
	}
	return b.String()
}

// maskRaw is maskURL for a text that may not be a URL at all.
func maskRaw(raw string) string {
	raw, _, _ = strings.Cut(raw, "#")
	raw, query, asked := strings.Cut(raw, "?")
	scheme, rest, absolute := strings.Cut(raw, "://")
	if !absolute {
		scheme, rest = "", raw
	}
	// Whatever stands before an @ may be a password, also when it holds a slash.
	if at := strings.LastIndex(rest, "@"); at >= 0 && (absolute || !strings.HasPrefix(rest, "/")) {
		rest = rest[at+1:]
	}
	shown := rest
	if absolute {
		shown = scheme + "://" + rest
	}
	if asked {
		shown += "?" + maskQuery(query)
	}
	return clip(shown)
}

// clip shortens a value for a message.
func clip(s string) string { return cut(s, 200) }

// oneLine makes text fit for a log: valid UTF-8, one line, no control or invisible characters, at most
// limit bytes.
func oneLine(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "�"))
	return cut(strings.Join(strings.Fields(text), " "), limit)
}

// cut returns the first limit bytes of s, without half a character at the end.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
