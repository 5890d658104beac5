package fetch

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// shortestHidden is how long a secret is that is looked for in whole answers. A shorter one is likely to
// stand there by chance, and hiding it would change what the API said.
const shortestHidden = 8

// hide returns body without c's secrets, in any of the forms that servers write values in.
//
// Bodies are large and nearly always clean, so that a few searches for literal forms replace the blotter,
// which reads short texts in every possible way.
func (c *conversation) hide(body []byte) []byte {
	for _, form := range c.hidden() {
		if bytes.Contains(body, []byte(form)) {
			body = bytes.ReplaceAll(body, []byte(form), []byte(redacted))
		}
	}
	return body
}

func (c *conversation) hideString(s string) string {
	for _, form := range c.hidden() {
		s = strings.ReplaceAll(s, form, redacted)
	}
	return s
}

// hideHeader changes header, which is the answer's own.
func (c *conversation) hideHeader(header http.Header) http.Header {
	if len(c.hidden()) > 0 {
		for _, values := range header {
			for i := range values {
				values[i] = c.hideString(values[i])
			}
		}
	}
	return header
}

// hidden returns what is looked for in answers, the longest first: a short form may be a part of a long one.
func (c *conversation) hidden() []string {
	if c.forms == nil {
		c.forms = []string{}
		for _, secret := range c.secrets {
			if len(secret) >= shortestHidden {
				for _, encoded := range encodings(secret) {
					c.forms = append(c.forms, escapedForms(encoded)...)
				}
			}
		}
		slices.SortFunc(c.forms, func(a, b string) int {
			if len(a) != len(b) {
				return len(b) - len(a)
			}
			return strings.Compare(a, b)
		})
		c.forms = slices.Compact(c.forms)
	}
	return c.forms
}

// encodings returns secret as it is, in hexadecimal, and as it reads within base64 of more.
func encodings(secret string) []string {
	forms := []string{secret}
	if len(secret) < shortestSecret {
		return forms
	}
	low := hex.EncodeToString([]byte(secret))
	forms = append(forms, low, strings.ToUpper(low))
	for before := range 3 {
		// How a byte is written depends on how many stand before it, modulo three; the characters at
		// both ends are shared with neighbours, and left out.
		text := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:before] + secret))
		end := len(text)
		if (before+len(secret))%3 != 0 {
			end--
		}
		text = text[[...]int{0, 2, 3}[before]:end]
		forms = append(forms, text)
		if other := strings.NewReplacer("+", "-", "/", "_").Replace(text); other != text {
			forms = append(forms, other)
		}
	}
	return forms
}

const unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

// escapedForms returns s as it is and as it is written within URLs, JSON and HTML, and each of these within JSON.
func escapedForms(s string) []string {
	if strings.Trim(s, unreserved) == "" {
		return []string{s} // as most keys are, and nobody escapes them
	}
	forms := []string{s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s)}
	forms = append(forms, lowerEscapes(forms[1]), lowerEscapes(forms[2]))
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	quoted := func(s string, escapeHTML bool) string {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(escapeHTML)
		_ = e.Encode(s) // a string always can be
		return inner(strings.TrimSuffix(b.String(), "\n"))
	}
	asJSON := quoted(s, false)
	forms = append(forms, asJSON, quoted(s, true), inner(strconv.QuoteToASCII(s)), strings.ReplaceAll(asJSON, "/", `\/`))
	for _, form := range forms { // each of them within a string of JSON
		forms = append(forms, quoted(form, false), quoted(form, true))
	}
	return forms
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}
