package fetch

import (
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	redacted = "redacted"
	// Shorter secrets are looked for as whole words only: they are too common as parts of others.
	shortestSecret = 6
	// How many layers of escapes are taken off, such as those of JSON in JSON.
	maxLayers = 2
	// What the end of a text is searched for an escape that was cut: twice a pair of surrogates.
	longestEscape = 24
)

// A blotter blots secrets out of a text, as they are and as escaped for JSON, URLs and HTML.
type blotter struct {
	text  string
	cut   bool // the text is only a beginning, and may end within a secret
	views []view
	hide  []bool // for each byte of text
	end   int    // of what may be shown
}

func newBlotter(text string, cut bool) *blotter {
	if cut {
		// Half an escape at the end would not be recognised as part of a secret.
		tail := max(len(text)-longestEscape, 0)
		if i := strings.IndexAny(text[tail:], `\%&`); i >= 0 {
			text = strings.TrimRight(text[:tail+i], `\`)
		}
	}
	b := &blotter{text: text, cut: cut, views: viewsOf(text), hide: make([]bool, len(text)), end: len(text)}
	for i := range b.views {
		b.views[i].text = foldPlus(b.views[i].text)
	}
	return b
}

// foldPlus makes blanks of pluses, as a URL has one for the other.
func foldPlus(s string) string { return strings.ReplaceAll(s, "+", " ") }

// blot hides all occurrences of secret.
func (b *blotter) blot(secret string) {
	if strings.TrimSpace(foldPlus(secret)) == "" {
		return
	}
	b.blotForm(foldPlus(secret))
	if !isASCII(secret) {
		// A server that takes a header for Latin-1, and one that makes valid UTF-8 of what was not.
		b.blotForm(foldPlus(latin1(secret)))
		b.blotForm(foldPlus(string([]rune(secret))))
	}
}

func (b *blotter) blotForm(form string) {
	for _, v := range b.views {
		for from := 0; ; {
			i := strings.Index(v.text[from:], form)
			if i < 0 {
				break
			}
			start, end := from+i, from+i+len(form)
			from = start + 1
			if len(form) >= shortestSecret || v.isWordStart(start) && v.isWordEnd(end) {
				for j := v.at[start]; j < v.at[end]; j++ {
					b.hide[j] = true
				}
			}
		}
		if b.cut {
			b.end = min(b.end, v.at[len(v.text)-v.begun(form)])
		}
	}
}

// String returns what is left.
func (b *blotter) String() string {
	var out strings.Builder
	for i := 0; i < b.end; {
		shown := i
		for i < b.end && !b.hide[i] {
			i++
		}
		out.WriteString(b.text[shown:i])
		if i < b.end {
			out.WriteString(redacted)
		}
		for i < b.end && b.hide[i] {
			i++
		}
	}
	return out.String()
}

// A view is a text as it reads with some layers of escapes taken off.
type view struct {
	text string
	at   []int // where each byte of text, and its end, stand in the original
}

// viewsOf returns text as it is and as it reads without up to maxLayers of escapes, of each kind and in each
// order. Most texts have no escapes, and so only one view.
func viewsOf(text string) []view {
	whole := view{text: text, at: make([]int, len(text)+1)}
	for i := range whole.at {
		whole.at[i] = i
	}
	views, outer := []view{whole}, []view{whole}
	for range maxLayers {
		var inner []view
		for _, v := range outer {
			for _, kind := range escapes {
				if strings.IndexByte(v.text, kind.first) < 0 {
					continue
				}
				plain := v.unescaped(kind)
				if !slices.ContainsFunc(views, func(known view) bool { return known.text == plain.text }) {
					views, inner = append(views, plain), append(inner, plain)
				}
			}
		}
		outer = inner
	}
	return views
}

// unescaped takes one layer of escapes off.
func (v view) unescaped(kind escapeKind) view {
	plain := view{at: make([]int, 0, len(v.at))}
	text := make([]byte, 0, len(v.text))
	for i := 0; i < len(v.text); {
		piece, length := v.text[i:i+1], 1
		if v.text[i] == kind.first {
			if meaning, n := kind.read(v.text[i:]); n > 0 {
				piece, length = meaning, n
			}
		}
		for range len(piece) {
			plain.at = append(plain.at, v.at[i])
		}
		text = append(text, piece...)
		i += length
	}
	plain.text = string(text)
	plain.at = append(plain.at, v.at[len(v.text)])
	return plain
}

func (v view) isWordStart(i int) bool {
	before, _ := utf8.DecodeLastRuneInString(v.text[:i])
	first, _ := utf8.DecodeRuneInString(v.text[i:])
	return !isWordRune(before) || !isWordRune(first)
}

func (v view) isWordEnd(i int) bool {
	last, _ := utf8.DecodeLastRuneInString(v.text[:i])
	after, _ := utf8.DecodeRuneInString(v.text[i:])
	return !isWordRune(last) || !isWordRune(after)
}

// begun returns how many bytes at the end of v are the beginning of form.
func (v view) begun(form string) int {
	for n := min(len(form)-1, len(v.text)); n > 0; n-- {
		if strings.HasSuffix(v.text, form[:n]) && (len(form) >= shortestSecret || v.isWordStart(len(v.text)-n)) {
			return n
		}
	}
	return 0
}

// An escapeKind is a way to write a character by others, all of which begin with the same.
type escapeKind struct {
	first byte
	// read returns what the escape at the beginning of s means and how long it is; 0 if it is none.
	read func(s string) (meaning string, length int)
}

var escapes = [...]escapeKind{{'\\', readJSON}, {'%', readURL}, {'&', readHTML}}

// readJSON knows the escapes of Go as well, which are those of many languages.
func readJSON(s string) (meaning string, length int) {
	if len(s) >= 2 && (s[1] == '/' || s[1] == '\'') {
		return s[1:2], 2
	}
	if len(s) >= 12 && s[1] == 'u' && s[6:8] == `\u` {
		high, _ := strconv.ParseUint(s[2:6], 16, 32)
		low, _ := strconv.ParseUint(s[8:12], 16, 32)
		if r := utf16.DecodeRune(rune(high), rune(low)); r != utf8.RuneError {
			return string(r), 12
		}
	}
	r, _, rest, err := strconv.UnquoteChar(s, '"')
	if err != nil {
		return "", 0
	}
	return string(r), len(s) - len(rest)
}

func readURL(s string) (meaning string, length int) {
	if len(s) < 3 || !isHex(s[1]) || !isHex(s[2]) {
		return "", 0
	}
	b, _ := strconv.ParseUint(s[1:3], 16, 8)
	return string([]byte{byte(b)}), 3
}

func readHTML(s string) (meaning string, length int) {
	end := strings.IndexByte(s[:min(len(s), 12)], ';') + 1
	return html.UnescapeString(s[:end]), end
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// latin1 returns s as it reads when each of its bytes is taken for a character.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
