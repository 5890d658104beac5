package fetch

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// isHarmless says whether a header describes content, conditions or the message itself. The value of any
// other may be a secret: there are more names for credentials than a list can hold.
func isHarmless(name string) bool {
	name = strings.ToLower(name)
	for _, family := range [...]string{"accept-", "content-", "if-"} {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return slices.Contains(harmless[:], name)
}

var harmless = [...]string{
	"accept", "cache-control", "connection", "date", "expect", "host", "keep-alive", "pragma", "prefer",
	"range", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
}

// namesCredentials says whether an answer's header is likely to give out a secret, such as that of a session.
func namesCredentials(name string) bool {
	name = strings.ToLower(name)
	for _, part := range [...]string{"cookie", "token", "secret", "auth", "password", "session", "csrf", "xsrf", "api-key", "apikey", "signature"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// eachSecret calls found with all that c sent and that no text of an error may repeat, in any order, some
// of it more than once.
func (c *conversation) eachSecret(found func(secret string)) {
	c.eachConfigured(found)
	for _, query := range c.followed {
		eachInQuery(query, found)
	}
}

// eachConfigured is eachSecret without what redirects brought.
func (c *conversation) eachConfigured(found func(secret string)) {
	r := c.request
	for _, secret := range c.secrets {
		for _, encoded := range encodings(secret) {
			found(encoded)
		}
	}
	for _, signature := range c.signed {
		found(signature)
	}
	for _, value := range r.Auth.Params {
		found(value)
	}
	form := false
	for name, value := range r.Headers {
		if !isHarmless(name) {
			eachInHeader(name, strings.Trim(value, " \t"), found)
		}
		form = form || strings.EqualFold(name, "Content-Type") && strings.Contains(strings.ToLower(value), "form-urlencoded")
	}

	for _, value := range r.Query {
		found(value)
	}
	for _, raw := range [...]string{r.BaseURL, r.Path} {
		_, query, _ := strings.Cut(raw, "?")
		eachInQuery(query, found)
	}

	if len(r.Multipart) == 0 {
		eachInBody(r.Body, form, found)
	}
	for _, part := range r.Multipart {
		found(part.Value)
		found(part.Filename)
		eachInBody(part.Value, false, found)
	}
}

// eachInHeader finds a header's value, what follows the scheme, both halves of Basic, and the parts of
// lists such as Cookie and Digest.
func eachInHeader(name, value string, found func(string)) {
	found(value)
	scheme, credentials, _ := strings.Cut(value, " ")
	found(credentials)
	if strings.EqualFold(scheme, "Basic") {
		plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(credentials, "= "))
		if err == nil {
			user, password, _ := strings.Cut(string(plain), ":")
			found(string(plain))
			found(user)
			found(password)
		}
	}
	if strings.HasSuffix(strings.ToLower(name), "authorization") && credentials != "" {
		value = credentials // there the first word is always a scheme
	}
	for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" ,;", r) }) {
		if _, named, ok := strings.Cut(part, "="); ok && strings.Trim(named, `="`) != "" {
			found(strings.Trim(named, `="`))
		} else if len(part) >= shortestSecret {
			found(strings.Trim(part, `="`))
		}
	}
}

// eachInQuery finds the values of a query, and parameters without =, which may be bare tokens.
func eachInQuery(query string, found func(string)) {
	for pair := range strings.SplitSeq(query, "&") {
		value := pair
		if _, after, named := strings.Cut(pair, "="); named {
			value = after
		}
		found(value)
		if plain, err := url.QueryUnescape(value); err == nil && plain != value {
			found(plain)
		}
	}
}

// eachInBody finds the strings and numbers of JSON, the values of a form, and all words of anything else.
func eachInBody(body string, form bool, found func(string)) {
	switch {
	case body == "":
	case json.Valid([]byte(body)):
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		eachLeaf(d, found)
	case form || strings.Contains(body, "=") && !strings.ContainsAny(body, " \t\r\n\"<>{}"):
		eachInQuery(body, found)
	default:
		for word := range strings.FieldsFuncSeq(body, func(r rune) bool { return !isWordRune(r) }) {
			found(word)
		}
	}
}

// eachLeaf reads one value of d, which must be valid. It reads tokens rather than a map so that of a
// member that comes twice both values are found.
func eachLeaf(d *json.Decoder, found func(string)) {
	token, _ := d.Token()
	switch token := token.(type) {
	case json.Delim:
		for d.More() {
			if token == '{' {
				_, _ = d.Token() // the name
			}
			eachLeaf(d, found)
		}
		_, _ = d.Token()
	case string:
		found(token)
	case json.Number:
		found(token.String())
	}
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
