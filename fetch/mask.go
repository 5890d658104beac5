package fetch

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	redacted = "redacted"
	masked   = "…"
	// Shorter values are too common to be blotted out of a text.
	shortestSecret = 6
)

// isSensitive says whether the header or parameter of this name is likely to hold a secret.
func isSensitive(name string) bool {
	name = strings.ToLower(name)
	for _, part := range [...]string{"authorization", "cookie", "key", "token", "secret", "password", "signature"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

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

// discreet returns err, or err under a text without secrets if its own has any: some errors of net/http
// and of a host's transport repeat what was sent.
func (c *conversation) discreet(err error) error {
	text := err.Error()
	clean := text
	if inner, ok := errors.AsType[*url.Error](err); ok {
		clean = strings.ReplaceAll(clean, inner.URL, maskRaw(inner.URL))
	}
	if clean = c.scrub(clean); clean == text {
		return err
	}
	return &discreetError{clean, err}
}

type discreetError struct {
	text string
	err  error
}

func (e *discreetError) Error() string { return e.text }
func (e *discreetError) Unwrap() error { return e.err }

// scrub blots out the secrets of the request: APIs like to repeat the key that they do not know.
func (c *conversation) scrub(text string) string {
	if text == "" {
		return ""
	}
	if c.secrets == nil {
		c.secrets = secretsOf(c.request)
	}
	for _, secret := range c.secrets {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	return text
}

// secretsOf lists the values of r that a text may repeat: those of sensitive headers, whole and in their
// parts, and of the query, as given and as sent. Longer ones come before their parts.
func secretsOf(r Request) []string {
	var secrets []string
	add := func(values ...string) {
		for _, value := range values {
			if len(value) >= shortestSecret {
				secrets = append(secrets, value)
			}
		}
	}
	for name, value := range r.Headers {
		if !isSensitive(name) {
			continue
		}
		value = strings.Trim(value, " \t")
		add(value)
		if _, credentials, found := strings.Cut(value, " "); found && strings.HasSuffix(strings.ToLower(name), "authorization") {
			value = credentials
			add(value)
		}
		add(strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(` ,;="`, c) })...)
	}
	for _, value := range r.Query {
		add(value, url.QueryEscape(value))
	}
	for _, raw := range [...]string{r.BaseURL, r.Path} {
		_, query, _ := strings.Cut(raw, "?")
		for pair := range strings.SplitSeq(query, "&") {
			_, value, _ := strings.Cut(pair, "=")
			add(value)
			if plain, err := url.QueryUnescape(value); err == nil {
				add(plain)
			}
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return secrets
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
