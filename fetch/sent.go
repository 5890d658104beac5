package fetch

import "net/http"

// Sent is a request as it goes on the wire, for people to see: what may be secret in it is not there.
type Sent struct {
	Method string `json:"method"`
	URL    string `json:"url"` // query values masked
	// Header has "redacted" for every value that does not just describe content, conditions or the message.
	Header http.Header `json:"header"`
	// Body has "redacted" for the values of JSON and of forms, and for all words of anything else. It
	// is the beginning of the body if that is longer than MaxSentBody.
	Body      string `json:"body,omitempty"`
	BodyBytes int    `json:"body_bytes,omitempty"` // of the whole body
}

// MaxSentBody is how much of a body [Sent] shows, in bytes.
const MaxSentBody = 4 << 10

// Sent returns what the first request of r's conversation is, or an [*Error] of [KindRequest].
func (r Request) Sent() (Sent, error) {
	conv, err := begin(r.withDefaults())
	if err != nil {
		return Sent{}, err
	}
	body := conv.request.Body // with what Form and Multipart came to
	s := Sent{Method: conv.request.Method, URL: conv.shownURL(), Header: make(http.Header, len(conv.header)), BodyBytes: len(body)}
	for name, values := range conv.header {
		for _, value := range values {
			if !isHarmless(name) {
				value = redacted
			}
			s.Header.Add(name, conv.hideString(value))
		}
	}
	if conv.host != "" {
		s.Header.Set("Host", conv.hideString(conv.host))
	}
	if r.Auth.Type == AuthOAuth2 || r.Auth.Type == AuthHMAC { // which come when it is sent
		s.Header.Set(r.Auth.Header(), redacted)
	}
	shown := cut(body, MaxSentBody)
	s.Body = conv.scrub(shown, len(shown) < len(body))
	return s, nil
}

// Shown returns the headers of an answer for people to see: "redacted" for cookies, and for what is named as credentials are.
func Shown(answer http.Header) http.Header {
	shown := make(http.Header, len(answer))
	for name, values := range answer {
		for _, value := range values {
			if namesCredentials(name) {
				value = redacted
			}
			shown.Add(name, value)
		}
	}
	return shown
}
