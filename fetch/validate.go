package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A FaultError says which field of a Request breaks which rule. It never carries a secret: the value of
// a header reads "redacted" unless the header is a well-known harmless one such as Accept, and a URL has no
// user info and no query values.
type FaultError struct {
	Field string // of Request, as JSON would name it: base_url, headers.<name>, auth.<name>, multipart[0].name
	Value string
	Rule  string
}

func (e *FaultError) Error() string { return fmt.Sprintf("%s %q %s", e.Field, e.Value, e.Rule) }

// The rules that more than one place tells.
const (
	ruleControl = "must not contain control characters"
	ruleEscapes = "must have two hex digits after each %"
)

// Validate returns all faults of r at once, each a [*FaultError], joined; nil if there is none.
func (r Request) Validate() error {
	_, _, err := r.withDefaults().check()
	return err
}

// check validates r, which has its defaults, and returns it with what its Auth adds, and its URL.
func (r Request) check() (Request, *url.URL, error) {
	faults := r.Auth.faults(r)
	if faults == nil {
		r = r.authorized()
	}
	if wrong := r.bodyFaults(); wrong == nil {
		r = r.composed()
	} else {
		faults = append(faults, wrong...)
	}
	faults = append(faults, r.TLS.faults(r.BaseURL)...)
	if !slices.Contains(methods[:], r.Method) {
		faults = append(faults, &FaultError{"method", r.Method, "must be one of " + strings.Join(methods[:], ", ")})
	}
	u, wrong := r.buildURL()
	faults = append(faults, wrong...)
	faults = append(faults, headerFaults(r.Headers)...)
	if r.Timeout < 0 {
		faults = append(faults, &FaultError{"timeout", r.Timeout.String(), "must not be negative"})
	}
	if r.IdleTimeout < 0 && r.Timeout >= 0 {
		faults = append(faults, &FaultError{"idle_timeout", r.IdleTimeout.String(), "must not be negative"})
	}
	if r.MaxHeaderBytes < 0 || r.MaxHeaderBytes > DefaultMaxHeaderBytes {
		faults = append(faults, &FaultError{"max_header_bytes", strconv.FormatInt(r.MaxHeaderBytes, 10), "must be from 0 to 1048576"})
	}
	if hasControl(r.IdempotencyKey) {
		faults = append(faults, &FaultError{"idempotency_key", redacted, ruleControl})
	}
	if r.MaxBodyBytes < 0 {
		faults = append(faults, &FaultError{"max_body_bytes", strconv.FormatInt(r.MaxBodyBytes, 10), "must not be negative"})
	}
	if r.SpoolAbove < 0 {
		faults = append(faults, &FaultError{"spool_above", strconv.FormatInt(r.SpoolAbove, 10), "must not be negative"})
	}
	return r, u, joinFaults(faults)
}

var methods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
	http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

func joinFaults(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return errors.Join(faults...)
}

func parseBase(base string) (*url.URL, []error) {
	fault := func(rule string) (*url.URL, []error) {
		return nil, []error{&FaultError{Field: "base_url", Value: maskRaw(base), Rule: rule}}
	}
	if hasControl(base) {
		return fault(ruleControl)
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fault("must be an absolute http or https URL")
	}
	switch {
	case u.User != nil:
		return fault("must not contain user info: use Auth")
	case strings.Contains(base, "#"):
		return fault("must not contain a fragment")
	case oldAddress(u.Hostname()):
		return fault("must have a host that is a name, or an address in full, such as 192.0.2.1")
	case !validPort(u.Port()):
		return fault("must have a port from 1 to 65535")
	case !validEscapes(u.RawQuery):
		return fault(ruleEscapes)
	}
	return u, nil
}

func hasPort(host string) bool {
	u, err := url.Parse("//" + host)
	return err != nil || u.Port() != ""
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// pathRule returns the rule that a request's path breaks, or "".
func pathRule(path string) string {
	before, _, _ := strings.Cut(path, "?")
	scheme, _, absolute := strings.Cut(before, "://")
	decoded, err := url.PathUnescape(before)
	switch {
	case hasControl(path):
		return ruleControl
	case strings.Contains(path, "#"):
		return "must not contain a fragment"
	case err != nil || !validEscapes(path):
		return ruleEscapes
	case strings.HasPrefix(before, "//"), absolute && !strings.Contains(scheme, "/"):
		return "must be relative to the base URL"
	case leavesBase(decoded):
		return "must not contain . or .. segments"
	}
	return ""
}

// leavesBase says whether a server that resolves dot segments, perhaps after decoding %2F or taking a
// backslash for a slash, would leave the path of the base URL.
func leavesBase(decoded string) bool {
	if !strings.Contains(decoded, ".") {
		return false
	}
	for segment := range strings.FieldsFuncSeq(decoded, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func validEscapes(s string) bool {
	for {
		_, after, found := strings.Cut(s, "%")
		if !found {
			return true
		}
		if len(after) < 2 || !isHex(after[0]) || !isHex(after[1]) {
			return false
		}
		s = after[2:]
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

func headerFaults(headers map[string]string) []error {
	var faults []error
	for name, value := range headers {
		if !validName(name) {
			faults = append(faults, &FaultError{"headers", shownName(name), "must be a header name: letters, digits and !#$%&'*+-.^_`|~"})
			continue
		}
		switch {
		case !validValue(value):
			faults = append(faults, headerFault(name, value, ruleControl))
		case strings.EqualFold(name, "Host") && !validHost(strings.Trim(value, " \t")):
			faults = append(faults, headerFault(name, value, "must be a host with an optional port"))
		case givenTwice(headers, name):
			faults = append(faults, headerFault(name, value, "must be given once: header names do not differ by case"))
		}
	}
	return sorted(faults)
}

// sorted orders faults that were found in a map, which has no order: the same request must give the same message.
func sorted(faults []error) []error {
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return faults
}

// shownName returns the part of a broken name that may be one: what follows may be the value, if the
// whole header was put there.
func shownName(name string) string {
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return clip(name[:i]) + masked
		}
	}
	return clip(name)
}

func headerFault(name, value, rule string) *FaultError {
	switch {
	case !isHarmless(name):
		value = redacted
	case strings.EqualFold(name, "Host"):
		value = maskRaw(value) // it may be a URL
	}
	return &FaultError{"headers." + name, clip(value), rule}
}

// validName is RFC 9110's token.
func validName(name string) bool {
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return false
		}
	}
	return name != ""
}

func isNameByte(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) < 0
}

// validValue is RFC 9110's field value: any byte but the control characters; tab is allowed.
func validValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// validHost takes a host with an optional port and nothing else that a URL may hold.
func validHost(host string) bool {
	u, err := url.Parse("//" + host)
	return err == nil && u.Host == host && u.Hostname() != "" && validPort(u.Port())
}

// givenTwice says whether headers hold name in another spelling too. The canonical spelling is nearly
// always the one in use, so that one lookup settles it.
func givenTwice(headers map[string]string, name string) bool {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if canonical == name {
		return false
	}
	for other := range headers {
		if other != name && textproto.CanonicalMIMEHeaderKey(other) == canonical {
			return true
		}
	}
	return false
}
