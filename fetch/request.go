package fetch

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// What a zero field of a [Request] means.
const (
	DefaultTimeout        = 30 * time.Second
	DefaultIdleTimeout    = 30 * time.Second
	DefaultMaxBodyBytes   = 16 << 20
	DefaultMaxHeaderBytes = 1 << 20 // more than that [NewTransport] does not take
	DefaultUserAgent      = "callsheet"
)

// A Request is one call, complete: no templates, no references. It prints without its secrets.
type Request struct {
	Method  string // one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; "" is GET
	BaseURL string // absolute, http or https; its path and query are kept
	Path    string // below BaseURL; may carry a ?query of its own

	// Query is added after the queries of BaseURL and Path, sorted by name. It adds and never replaces:
	// a name given in two places is sent twice.
	Query map[string]string

	// Headers are sent as given, with these exceptions. Host sets the request's host. User-Agent is
	// DefaultUserAgent unless given. Accept-Encoding other than identity is left to the Client, which
	// alone knows what it can decode. Connection goes out only as "close"; the other headers that frame a
	// message or belong to the connection (Content-Length, Transfer-Encoding, Upgrade, …) do not go out.
	// No Accept is made up. A Body that is JSON has the Content-Type application/json unless one is given.
	Headers map[string]string

	// Auth adds a header or a parameter, which must not be given otherwise. Where an answer repeats its
	// secret of eight bytes or more, plain, in base64 or in hexadecimal, also escaped for URLs, JSON or HTML, the Response has
	// "redacted" in its place.
	Auth Auth

	// TLS must be empty where the transport is a host's.
	TLS TLS

	// IdempotencyKey is sent as Idempotency-Key with every method but GET, HEAD and OPTIONS, unless Headers have
	// one, so that a server may tell a call that is made again from another one.
	IdempotencyKey string

	// At most one of Body, Form and Multipart may be given. Form is sent url-encoded, sorted by name, Multipart in its
	// order as multipart/form-data; both set Content-Type, whatever Headers say, and are the same bytes each time.
	Body      string
	Form      map[string]string
	Multipart []Part

	Timeout        time.Duration // of the whole conversation, body included; 0 is DefaultTimeout
	IdleTimeout    time.Duration // for which the body may pause; 0 is DefaultIdleTimeout; at most Timeout
	MaxBodyBytes   int64         // of the answer, decompressed; 0 is DefaultMaxBodyBytes
	SpoolAbove     int64         // a body of more bytes goes to a temporary file, see Response.Spool; 0: none does
	MaxHeaderBytes int64         // of the answer, as HTTP/1 writes them; 0 is DefaultMaxHeaderBytes, which is the most
}

// URL returns the URL of r: the base with exactly one slash between it and the path, then the query of
// the base, of the path, and Query. Characters that have no place in a URL are escaped, escapes are kept
// as they are. Scheme and host are always those of BaseURL, and its path is always kept.
//
// The result carries the query's values; to show a request to people, print it.
func (r Request) URL() (string, error) {
	u, faults := r.buildURL()
	if err := joinFaults(faults); err != nil {
		return "", err
	}
	return u.String(), nil
}

// String returns the method and the URL with its values masked.
func (r Request) String() string {
	method := cmp.Or(r.Method, http.MethodGet)
	u, faults := r.buildURL()
	if faults != nil {
		return method + " " + maskRaw(r.BaseURL)
	}
	return method + " " + maskURL(u)
}

// Format prints String for every verb: some print the fields of what they are not made for.
func (r Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is String, so that a logged Request shows no secret.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

func (r Request) withDefaults() Request {
	r.Method = cmp.Or(r.Method, http.MethodGet)
	r.Timeout = cmp.Or(r.Timeout, DefaultTimeout)
	r.IdleTimeout = min(cmp.Or(r.IdleTimeout, DefaultIdleTimeout), r.Timeout)
	r.MaxBodyBytes = cmp.Or(r.MaxBodyBytes, DefaultMaxBodyBytes)
	r.MaxHeaderBytes = cmp.Or(r.MaxHeaderBytes, DefaultMaxHeaderBytes)
	return r
}

// buildURL joins base, path and query, or says what is wrong with them.
func (r Request) buildURL() (*url.URL, []error) {
	u, faults := parseBase(r.BaseURL)
	if rule := pathRule(r.Path); rule != "" {
		faults = append(faults, &FaultError{Field: "path", Value: maskRaw(r.Path), Rule: rule})
	}
	if faults != nil {
		return nil, faults
	}

	path, pathQuery, _ := strings.Cut(r.Path, "?")
	if path != "" {
		// Both sides are escaped before they meet: net/url gives up on all escapes of a path when a
		// single one of its characters should have been escaped, and %2F would become a slash.
		joined := strings.TrimRight(escape(u.EscapedPath()), "/") + "/" + strings.TrimPrefix(escape(path), "/")
		decoded, err := url.PathUnescape(joined)
		if err != nil {
			return nil, []error{&FaultError{Field: "path", Value: maskRaw(r.Path), Rule: ruleEscapes}}
		}
		u.Path, u.RawPath = decoded, joined
	}
	u.RawQuery = joinQuery(escape(u.RawQuery), escape(pathQuery), encodeQuery(r.Query))
	u.ForceQuery = false
	return u, nil
}

func joinQuery(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	return strings.Join(parts, "&")
}

func encodeQuery(query map[string]string) string {
	if len(query) == 0 {
		return ""
	}
	names := slices.AppendSeq(make([]string, 0, len(query)), maps.Keys(query))
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(query[name]))
	}
	return b.String()
}

// urlPunctuation are the characters besides letters and digits that stand in a path or query as they
// are: RFC 3986's, and the brackets that many APIs use in query names.
const urlPunctuation = "-._~!$&'()*+,;=:@/?%[]"

// escape percent-encodes what may not stand in a path or query. It leaves escapes alone.
func escape(s string) string {
	plain := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte(urlPunctuation, c) >= 0
	}
	first := 0
	for first < len(s) && plain(s[first]) {
		first++
	}
	if first == len(s) {
		return s
	}

	const hex = "0123456789ABCDEF"
	escaped := append(make([]byte, 0, len(s)+16), s[:first]...)
	for _, c := range []byte(s[first:]) {
		if plain(c) {
			escaped = append(escaped, c)
		} else {
			escaped = append(escaped, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(escaped)
}
