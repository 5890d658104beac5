package fetch

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
)

// A Client holds HTTP conversations on shared connections. It is safe for concurrent use.
type Client struct {
	resty      *resty.Client
	transports *transports
	tokens     tokens
}

// New returns a Client that speaks through transport. The transport must end a round trip when the
// request's context ends, must leave redirects to the Client, and alone decides which addresses are
// called. If it is nil the Client is that of [NewGuarded] with the zero Guard.
func New(transport http.RoundTripper) *Client {
	if transport == nil {
		return NewGuarded(Guard{})
	}
	return newClient(&transports{usual: transport})
}

// NewGuarded returns a Client that speaks through a [NewTransport] of its own.
func NewGuarded(guard Guard) *Client {
	own := NewTransport(guard)
	return newClient(&transports{usual: own, own: own, guard: guard})
}

func newClient(ways *transports) *Client {
	return &Client{
		transports: ways,
		resty: resty.NewWithClient(&http.Client{Transport: ways, CheckRedirect: checkRedirect}).
			SetLogger(silence{}).
			SetDoNotParseResponse(true).
			SetPreRequestHook(putOnWire),
	}
}

// NewTransport returns the transport a Client uses by default, for hosts that want to change a detail
// such as the certificates. Its dialer is the guard. Whoever calls it closes its idle connections.
//
// It sets no ResponseHeaderTimeout: [Request.Timeout] bounds the whole conversation, and a report that
// takes two minutes to begin is a matter of the request and not of the transport.
func NewTransport(guard Guard) *http.Transport {
	return &http.Transport{
		DialContext:            newDialer(guard).DialContext,
		TLSClientConfig:        baseTLS(),
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    64,
		MaxResponseHeaderBytes: DefaultMaxHeaderBytes,
		ForceAttemptHTTP2:      true,
		// Without pings a dead HTTP/2 connection swallows requests until the kernel gives up on it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}

func baseTLS() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }

// Do sends r once, follows redirects, and returns the whole answer. The error is always an [*Error].
//
// A 304 is an answer, with an empty Body, where it was asked for: by GET or HEAD with If-None-Match or
// If-Modified-Since, sent to the server that says so (RFC 9110, 15.4.5).
//
// The caller's ctx and r.Timeout both end the conversation, whichever is first.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	r = r.withDefaults()
	conv, err := begin(r)
	if err != nil {
		return nil, err
	}

	conv.started = time.Now()
	limited, cancel := context.WithTimeoutCause(ctx, r.Timeout, outOfTime(r.Timeout))
	defer cancel()
	bounded, stop := context.WithCancelCause(limited)
	defer stop(nil)
	conv.caller, conv.bounded, conv.stop = ctx, bounded, stop
	if conv.way, err = c.transports.with(r.TLS); err != nil {
		return nil, conv.unbuilt(err)
	}
	if r.Auth.Type == AuthOAuth2 {
		return c.exchangeWithToken(conv)
	}
	return c.exchange(conv)
}

// exchange sends conv's request, follows redirects, and reads the answer.
func (c *Client) exchange(conv *conversation) (*Response, error) {
	sent, err := c.resty.R().
		SetContext(context.WithValue(conv.bounded, conversationKey{}, conv)).
		Execute(conv.request.Method, conv.url.String())
	if err != nil {
		return nil, conv.broken(err)
	}
	answer, r := sent.RawResponse, conv.request
	defer func() { _ = answer.Body.Close() }() // whichever body it has by then
	if err := checkHeaderSize(answer.Header, r.MaxHeaderBytes); err != nil {
		return nil, conv.broken(err)
	}
	if unchanged(answer) {
		return conv.answered(answer), nil
	}
	if r.IdleTimeout < r.Timeout {
		answer.Body = newIdleBody(answer.Body, r.IdleTimeout, conv.stop)
	}
	packed := unpack(answer, r.MaxBodyBytes)
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil, conv.rejected(answer)
	}
	if packed != nil {
		return nil, conv.broken(packed)
	}
	body, spool, err := conv.readAnswer(answer)
	if err != nil {
		return nil, conv.broken(err)
	}
	response := conv.answered(answer)
	response.Body, response.Spool = body, spool
	return response, nil
}

func (c *conversation) answered(answer *http.Response) *Response {
	return &Response{
		Status:  answer.StatusCode,
		Header:  c.hideHeader(answer.Header),
		URL:     c.shownURL(),
		Elapsed: time.Since(c.started),

		LeftOrigin: c.left,

		scrub: c.scrub,
	}
}

// Close closes the idle connections of the transports that the Client made; a host's transport is left
// alone. The Client stays usable.
func (c *Client) Close() { c.transports.close() }

// A conversation is one Do. It travels in the request's context, so that the hooks of the shared client
// know which request they serve. Only the goroutine of that Do uses it.
type conversation struct {
	request  Request
	header   http.Header
	host     string   // the configured Host header
	url      *url.URL // of the hop under way
	followed []string // the queries of redirects
	left     bool     // a redirect led to another origin
	secrets  []string // of the Auth
	signed   []string // signatures that were sent
	forms    []string // of the secrets, in an answer; nil until they are asked for

	way     http.RoundTripper // within the origin; nil for the usual one
	started time.Time
	caller  context.Context
	bounded context.Context         // the caller's, and the end of the conversation's time
	stop    context.CancelCauseFunc // ends bounded
}

type conversationKey struct{}

// begin checks r, which has its defaults, and builds all that goes on the wire.
func begin(r Request) (*conversation, error) {
	r, u, err := r.check()
	if err != nil {
		return nil, &Error{Kind: KindRequest, Method: r.Method, URL: maskRaw(r.BaseURL), Err: err}
	}
	conv := &conversation{request: r, url: u, secrets: r.Auth.secrets()}
	conv.header, conv.host = wireHeader(r.Headers)
	// A part of a packed body cannot be unpacked, and HEAD has none.
	if r.Method != http.MethodHead && conv.header.Get("Range") == "" && conv.header.Get("Accept-Encoding") == "" {
		conv.header.Set("Accept-Encoding", acceptEncoding)
	}
	if r.IdempotencyKey != "" && !isRead(r.Method) && conv.header.Get(idempotencyKey) == "" {
		conv.header.Set(idempotencyKey, r.IdempotencyKey)
	}
	return conv, nil
}

const idempotencyKey = "Idempotency-Key"

// isRead says whether a call by method may be made twice and do no harm, as nothing is to be done at all.
func isRead(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// shownURL is the URL of the hop under way as it may be seen: a redirect may put a secret into the path.
func (c *conversation) shownURL() string { return c.hideString(maskURL(c.url)) }

// putOnWire is resty's last step before the round trip. It replaces what resty made of the request by
// what was checked: resty adds an Accept and a User-Agent, guesses a Content-Type, silently drops the
// body of GET and OPTIONS, and copies every other body twice.
func putOnWire(_ *resty.Client, out *http.Request) error {
	conv := out.Context().Value(conversationKey{}).(*conversation)
	out.URL = conv.url
	out.Header = conv.header
	if conv.host != "" {
		out.Host = conv.host
	}

	body := conv.request.Body
	out.Body, out.GetBody, out.ContentLength = http.NoBody, nil, 0
	if body != "" {
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		out.Body, _ = out.GetBody()
		out.ContentLength = int64(len(body))
	}
	conv.sign(out)
	return nil
}

// silence is resty's logger: what happened is in the error, and the host decides what it logs.
type silence struct{}

func (silence) Errorf(string, ...any) {}
func (silence) Warnf(string, ...any)  {}
func (silence) Debugf(string, ...any) {}
