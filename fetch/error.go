package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Kind says what ended a conversation.
type Kind string

const (
	KindRequest   Kind = "request"   // it cannot be built; nothing was sent
	KindDNS       Kind = "dns"       // the host's name has no address
	KindAddress   Kind = "address"   // the host's address is not open to calls: see Guard
	KindConnect   Kind = "connect"   // no connection: refused, unreachable, not in the dialer's time
	KindTLS       Kind = "tls"       // no trusted connection: certificate, name, version
	KindTimeout   Kind = "timeout"   // Request.Timeout or the context's deadline came first
	KindCancelled Kind = "cancelled" // the caller's context was cancelled
	KindStatus    Kind = "status"    // a whole answer that is not 2xx, nor a 304 that was asked for
	KindTooLarge  Kind = "too-large" // the body is longer than Request.MaxBodyBytes, or packed to less than a 200th
	KindRedirect  Kind = "redirect"  // a redirect that is not followed
	KindProtocol  Kind = "protocol"  // a broken answer: cut, reset, malformed, in an unknown encoding
	KindHeaders   Kind = "headers"   // the answer's headers are longer than Request.MaxHeaderBytes, or over HTTP/2 cannot be unpacked
	KindSpool     Kind = "spool"     // the temporary file for a long body cannot be written
	KindToken     Kind = "token"     // an answer of AuthOAuth2's token endpoint that holds no token
)

// An Error is any end of a conversation but a [Response]. Its text repeats nothing secret of the
// request; the package documentation says how far that goes.
type Error struct {
	Kind   Kind
	Method string
	URL    string // of the hop that failed, query values masked

	// For KindStatus, and where the token endpoint answered for KindToken.
	Status     int
	Header     http.Header   // of the answer
	RetryAfter time.Duration // what the answer's Retry-After asks for; 0 if nothing, at most 24 h
	Snippet    string        // the beginning of the body: one line, at most 200 bytes, what was sent redacted
	LeftOrigin bool          // a redirect led to another origin, which got no header and no parameter that was configured

	Err error // the cause; nil for KindStatus, and for KindToken with a Status

	beginning []byte // of the body, for KindStatus
	scrub     scrubber
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", e.Method, e.URL)
	if e.Err != nil {
		fmt.Fprintf(&b, "%s: %s", e.Kind, oneLine(e.Err.Error(), 2000))
		return b.String()
	}
	if e.Kind != KindStatus {
		fmt.Fprintf(&b, "%s: ", e.Kind)
	}
	fmt.Fprintf(&b, "status %d", e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, ", retry after %s", e.RetryAfter)
	}
	if e.LeftOrigin {
		b.WriteString(", after a redirect to another origin, without the configured headers")
	}
	if e.Snippet != "" {
		b.WriteString(": " + e.Snippet)
	}
	return b.String()
}

// Unwrap returns the cause: a [*FaultError] or several, the context's cause, the transport's error.
func (e *Error) Unwrap() error { return e.Err }

// broken is the error of a conversation that ended without a whole answer.
func (c *conversation) broken(err error) *Error {
	kind, cause := c.explain(err)
	return &Error{Kind: kind, Method: c.request.Method, URL: c.shownURL(), Err: c.discreet(cause)}
}

// unbuilt is the error of a conversation that cannot begin.
func (c *conversation) unbuilt(err error) *Error {
	return &Error{Kind: KindRequest, Method: c.request.Method, URL: c.shownURL(), Err: err}
}

// rejected is the error of a whole answer that is not 2xx.
func (c *conversation) rejected(answer *http.Response) *Error {
	body, cut := readSnippet(answer, func() { c.stop(nil) })
	return &Error{
		Kind:       KindStatus,
		Method:     c.request.Method,
		URL:        c.shownURL(),
		Status:     answer.StatusCode,
		Header:     c.hideHeader(answer.Header),
		RetryAfter: retryAfter(answer.Header, time.Now()),
		Snippet:    oneLine(c.scrub(body, cut), maxQuote),
		LeftOrigin: c.left,

		beginning: c.hide([]byte(body)), scrub: c.scrub,
	}
}

// scrub blots out what was sent: APIs like to repeat the key that they do not know. If text is only a
// beginning, it ends before anything that may be the beginning of a secret.
func (c *conversation) scrub(text string, cut bool) string {
	b := newBlotter(text, cut)
	c.eachSecret(b.blot)
	return b.String()
}

// discreet returns err, or err under a text without secrets if its own has any: some errors of net/http
// and of a host's transport repeat what was sent.
func (c *conversation) discreet(err error) error {
	text := err.Error()
	clean := text
	if inner, ok := errors.AsType[*url.Error](err); ok {
		clean = strings.ReplaceAll(clean, inner.URL, maskRaw(inner.URL))
	}
	// The port 443 of an address is no secret, also when some parameter is 443.
	own := ownWords(err)
	before, after, found := strings.Cut(clean, own)
	if !found {
		own = ""
	}
	long := newBlotter(own, false)
	c.eachSecret(func(secret string) {
		if len(secret) >= shortestSecret {
			long.blot(secret)
		}
	})
	if clean = c.scrub(before, false) + long.String() + c.scrub(after, false); clean == text {
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

// ownWords returns the part of err's text that this package or net wrote, of addresses and numbers.
func ownWords(err error) string {
	if redirect, ok := errors.AsType[*redirectError](err); ok {
		return redirect.Error()
	}
	if closed, ok := errors.AsType[*AddressError](err); ok {
		return closed.Error()
	}
	if large, ok := errors.AsType[*tooLargeError](err); ok {
		return large.Error()
	}
	if late, ok := errors.AsType[outOfTime](err); ok {
		return late.Error()
	}
	if idle, ok := errors.AsType[idleError](err); ok {
		return idle.Error()
	}
	if large, ok := errors.AsType[*headersError](err); ok {
		return large.Error()
	}
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return network.Error()
	}
	return ""
}

// explain finds the kind and the cause. Contexts come first: once one has ended, every other error is
// only the way in which the transport noticed.
func (c *conversation) explain(err error) (Kind, error) {
	caller, bounded := c.caller, c.bounded
	switch {
	case errors.Is(caller.Err(), context.Canceled):
		return KindCancelled, both(context.Canceled, context.Cause(caller))
	case expired(caller):
		return KindTimeout, both(context.DeadlineExceeded, context.Cause(caller))
	case is[idleError](context.Cause(bounded)):
		return KindTimeout, context.Cause(bounded)
	case expired(bounded):
		return KindTimeout, outOfTime(c.request.Timeout)
	}

	// url.Error repeats the whole URL, query and all.
	if outer, ok := errors.AsType[*url.Error](err); ok && outer.Err != nil {
		err = outer.Err
	}
	// The one redirect that fails before checkRedirect sees it; the text repeats the Location.
	if strings.HasPrefix(err.Error(), "failed to parse Location header") {
		return KindRedirect, errors.New("redirect refused: its Location cannot be parsed")
	}
	return kindOf(err), err
}

// expired reports whether ctx's deadline has passed; it may have ended otherwise. It looks at the clock as well: a dialer keeps the
// deadline by a timer of its own, which may fire just before the context's.
func expired(ctx context.Context) bool {
	deadline, set := ctx.Deadline()
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || set && !time.Now().Before(deadline)
}

// both keeps the context's error and its cause in reach of errors.Is.
func both(err, cause error) error {
	switch {
	case cause == nil:
		return err
	case errors.Is(cause, err):
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// kindOf is the kind of an error that no context caused.
func kindOf(err error) Kind {
	switch {
	case is[*redirectError](err):
		return KindRedirect
	case is[*AddressError](err):
		return KindAddress
	case is[*tooLargeError](err), is[ratioError](err):
		return KindTooLarge
	case is[*headersError](err), isHeaders(err):
		return KindHeaders
	case is[spoolError](err):
		return KindSpool
	case is[*net.DNSError](err):
		return KindDNS
	case isTLS(err):
		return KindTLS
	}
	if network, ok := errors.AsType[*net.OpError](err); ok && network.Op == "dial" {
		return KindConnect
	}
	if timed, ok := errors.AsType[net.Error](err); ok && timed.Timeout() {
		return KindTimeout
	}
	return KindProtocol
}

func isTLS(err error) bool {
	if is[*tls.CertificateVerificationError](err) || is[tls.RecordHeaderError](err) ||
		is[x509.UnknownAuthorityError](err) || is[x509.HostnameError](err) ||
		is[x509.CertificateInvalidError](err) || errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	// Alerts have no exported type, and a version that cannot be agreed on is only a text.
	if network, ok := errors.AsType[*net.OpError](err); ok && (network.Op == "remote error" || network.Op == "local error") {
		return true
	}
	return strings.HasPrefix(err.Error(), "tls: ")
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// outOfTime is the cause with which Request.Timeout ends a conversation.
type outOfTime time.Duration

func (t outOfTime) Error() string {
	return fmt.Sprintf("no whole answer within %s", time.Duration(t))
}

func (outOfTime) Unwrap() error { return context.DeadlineExceeded }
