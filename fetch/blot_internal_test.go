package fetch

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzBlot hides a secret that a text repeats in each of the forms in which servers write values.
func FuzzBlot(f *testing.F) {
	for _, seed := range []string{
		"c4n4ry-s3cr3t", "4711", "a", `"quoted" \ and / slashed`, "ab/cd+ef==", "<p&amp;ss>", "%41%zz%", "\\u0041", "ü€🔑", "\xff\xfe",
		"key +1", "red", "amp;x", "a\tb\nc", "&#", "\u2028", "aXaXaX",
	} {
		f.Add(seed, "{", "}")
		f.Add(seed, "key: ", "!")
	}
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) > 100 || strings.TrimSpace(foldPlus(secret)) == "" {
			return
		}
		// What stands around it may be the beginning or the end of an escape, or make a longer word.
		if strings.ContainsAny(before, `\%&`) || len(before) > 0 && isWordRune(lastRune(before)) || len(after) > 0 && isWordRune(firstRune(after)) {
			return
		}
		forms := map[string]string{
			"plain": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret),
		}
		if utf8.ValidString(secret) {
			quoted, _ := json.Marshal(secret)
			forms["JSON"] = string(quoted[1 : len(quoted)-1])
			forms["slashes"] = strings.ReplaceAll(forms["JSON"], "/", `\/`)
			forms["Go"] = strings.Trim(strconv.QuoteToASCII(secret), `"`)
			forms["HTML"] = html.EscapeString(secret)
			again, _ := json.Marshal(forms["JSON"])
			forms["JSON in JSON"] = string(again[1 : len(again)-1])
		}
		for name, form := range forms {
			if name == "Go" && strings.HasSuffix(secret, `"`) {
				continue // Trim takes too much
			}
			text := before + form + after
			b := newBlotter(text, false)
			b.blot(secret)
			for i := range form {
				if !b.hide[len(before)+i] {
					t.Fatalf("%s: %q shows %q of the secret %q", name, text, form[i:], secret)
				}
			}

			for cut := range len(before) + len(form) {
				b := newBlotter(text[:cut], true)
				b.blot(secret)
				if shown := b.String(); len(shown) > len(before) && !strings.Contains(before, secret) && shown[:len(before)] == before {
					t.Fatalf("%s: %q, cut to %q, shows %q", name, text, text[:cut], shown)
				}
			}
		}
	})
}

func firstRune(s string) rune { r, _ := utf8.DecodeRuneInString(s); return r }
func lastRune(s string) rune  { r, _ := utf8.DecodeLastRuneInString(s); return r }

// FuzzSecrets takes any headers, queries and bodies apart, which must not fail on any, and finds at least
// the values themselves.
func FuzzSecrets(f *testing.F) {
	f.Add("Authorization", "Basic amFuZTpodW50ZXIy", "k=v&%zz&=", `{"a":["b",1,{"c":null}]}`)
	f.Add("Cookie", "a=b; c", "?", "a=b&c")
	f.Add("Content-Type", "application/x-www-form-urlencoded", "", "<a>b</a>")
	f.Fuzz(func(t *testing.T, name, value, query, body string) {
		c := &conversation{request: Request{Headers: map[string]string{name: value}, Path: "?" + query, Body: body}}
		found := map[string]bool{}
		c.eachSecret(func(secret string) { found[secret] = true })
		if !isHarmless(name) && !found[strings.Trim(value, " \t")] {
			t.Errorf("the value %q of %s is not found", value, name)
		}
		user, password, ok := strings.Cut(value, ":")
		if !ok {
			return
		}
		c.request.Headers = map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(value))}
		c.eachSecret(func(secret string) { found[secret] = true })
		if !found[user] || !found[password] {
			t.Errorf("the credentials %q are not found", value)
		}
	})
}
