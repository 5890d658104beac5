package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// dialing returns a client whose connections come from dial.
func dialing(t *testing.T, dial func(ctx context.Context, network, address string) (net.Conn, error)) *fetch.Client {
	transport := fetch.NewTransport(loopback)
	transport.DialContext = dial
	t.Cleanup(transport.CloseIdleConnections)
	return fetch.New(transport)
}

func TestStatus_CarriesWhatARetryNeeds(t *testing.T) {
	for _, row := range []struct {
		status     int
		header     map[string]string
		body       string
		retryAfter time.Duration
		text       string
	}{
		{429, map[string]string{"Retry-After": "3"}, `{"error": "slow down"}`, 3 * time.Second, `status 429 Too Many Requests, retry after 3s: {"error": "slow down"}`},
		{429, map[string]string{"Retry-After": "-5"}, "", 0, "status 429 Too Many Requests"},
		{503, map[string]string{"Retry-After": "Sun, 01 Mar 2026 12:00:10 GMT", "Date": "Sun, 01 Mar 2026 12:00:00 GMT"}, "", 10 * time.Second, "status 503 Service Unavailable, retry after 10s"},
		{503, map[string]string{"Retry-After": "999999999"}, "", 24 * time.Hour, "status 503 Service Unavailable, retry after 24h0m0s"},
		{304, map[string]string{"ETag": `"1"`}, "", 0, "status 304 Not Modified"},
		{401, nil, "line one\r\n\tline\x00two\u202e \xff", 0, "status 401 Unauthorized: line one line two �"},
		{500, nil, strings.Repeat("é", 500), 0, "status 500 Internal Server Error: " + strings.Repeat("é", 100)},
		{500, map[string]string{"Content-Encoding": "x-none"}, "\x01\x02", 0, "status 500 Internal Server Error"},
		{999, nil, "?", 0, "status 999: ?"},
	} {
		t.Run(fmt.Sprint(row.status, row.header), func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range row.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(row.status)
				_, _ = io.WriteString(w, row.body)
			})
			answer, err := newClient(t).Do(t.Context(), fetch.Request{Method: "POST", BaseURL: server.URL, Path: "x?key=1"})
			failed := requireKind(t, err, fetch.KindStatus)
			assert.Nil(t, answer)
			assert.Equal(t, row.status, failed.Status)
			assert.Equal(t, row.retryAfter, failed.RetryAfter)
			assert.Equal(t, "POST "+server.URL+"/x?key=…: "+row.text, failed.Error())
			assert.LessOrEqual(t, len(failed.Snippet), 200)
			assert.True(t, utf8.ValidString(failed.Snippet))
			assert.NoError(t, failed.Unwrap())
			for name, value := range row.header {
				assert.Equal(t, value, failed.Header.Get(name))
			}
		})
	}
}

func TestStatus_StallingBodyDoesNotHideIt(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "beginning")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	started := time.Now()
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL})
	failed := requireKind(t, err, fetch.KindStatus)
	assert.Equal(t, "beginning", failed.Snippet)
	assert.Less(t, time.Since(started), 10*time.Second, "a snippet is not worth the whole timeout")
}

func TestStatus_SwitchingProtocolsIsNotWaitedFor(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			_, _ = conn.Read(make([]byte, 1))
		}
	})
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL})
	var failed *fetch.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 101, failed.Status)
}

func TestTime_EndsTheConversation(t *testing.T) {
	shutdown := errors.New("the host is shutting down")
	type call struct {
		ctx     func(t *testing.T) context.Context
		timeout time.Duration
		kind    fetch.Kind
		causes  []error
	}
	calls := map[string]call{
		"the request's timeout": {
			func(t *testing.T) context.Context { return t.Context() }, 50 * time.Millisecond,
			fetch.KindTimeout, []error{context.DeadlineExceeded},
		},
		"the caller's deadline": {
			func(t *testing.T) context.Context {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				t.Cleanup(cancel)
				return ctx
			}, 0,
			fetch.KindTimeout, []error{context.DeadlineExceeded},
		},
		"the caller's deadline with a cause": {
			func(t *testing.T) context.Context {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, shutdown)
				t.Cleanup(cancel)
				return ctx
			}, 0,
			fetch.KindTimeout, []error{context.DeadlineExceeded, shutdown},
		},
		"the caller's cancellation": {
			func(t *testing.T) context.Context {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
				return ctx
			}, 0,
			fetch.KindCancelled, []error{context.Canceled},
		},
		"the caller's cancellation with a cause": {
			func(t *testing.T) context.Context {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(50*time.Millisecond, func() { cancel(shutdown) })
				return ctx
			}, 0,
			fetch.KindCancelled, []error{context.Canceled, shutdown},
		},
		"a context that had ended before": {
			func(t *testing.T) context.Context {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				return ctx
			}, 0,
			fetch.KindCancelled, []error{context.Canceled},
		},
	}
	places := map[string]http.HandlerFunc{
		"before the headers": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"within the body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"within a body that trickles": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, ".")
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		},
	}
	for place, handler := range places {
		for name, call := range calls {
			t.Run(name+" "+place, func(t *testing.T) {
				server := serve(t, handler)
				started := time.Now()
				_, err := newClient(t).Do(call.ctx(t), fetch.Request{BaseURL: server.URL, Timeout: call.timeout})
				requireKind(t, err, call.kind)
				for _, cause := range call.causes {
					assert.ErrorIs(t, err, cause)
				}
				assert.Less(t, time.Since(started), 5*time.Second)
			})
		}
	}
}

func TestTime_BoundsADialThatNeverEnds(t *testing.T) {
	client := dialing(t, func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
	})
	_, err := client.Do(t.Context(), fetch.Request{BaseURL: "http://silent.invalid", Timeout: 20 * time.Millisecond})
	failed := requireKind(t, err, fetch.KindTimeout)
	assert.Equal(t, "GET http://silent.invalid: timeout: no whole answer within 20ms", failed.Error())
}

func TestNetwork_Kinds(t *testing.T) {
	guarded := errors.New("address not allowed")
	for _, row := range []struct {
		name   string
		failed error
		kind   fetch.Kind
	}{
		{"an unknown name", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x.invalid", IsNotFound: true}}, fetch.KindDNS},
		{"a name server in trouble", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", Name: "x.invalid", IsTimeout: true}}, fetch.KindDNS},
		{"no route", &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, fetch.KindConnect},
		{"a guard at the dialer", &net.OpError{Op: "dial", Err: guarded}, fetch.KindConnect},
		{"the dialer's own time", &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}, fetch.KindConnect},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := dialing(t, func(context.Context, string, string) (net.Conn, error) { return nil, row.failed })
			_, err := client.Do(t.Context(), fetch.Request{BaseURL: "http://x.invalid", Path: "?k=" + canary})
			requireKind(t, err, row.kind)
			assert.ErrorIs(t, err, row.failed, "the cause stays in reach")
			assert.NotContains(t, err.Error(), canary)
		})
	}
}

func TestNetwork_ConnectionRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	_, err = newClient(t).Do(t.Context(), fetch.Request{BaseURL: "http://" + listener.Addr().String()})
	requireKind(t, err, fetch.KindConnect)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestNetwork_ResetIsABrokenAnswer(t *testing.T) {
	for name, before := range map[string]string{"after the request": "", "within the body": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if assert.NoError(t, err) {
					_, _ = io.WriteString(conn, before)
					_ = conn.(*net.TCPConn).SetLinger(0)
					_ = conn.Close()
				}
			})
			_, err := newClient(t).Do(t.Context(), fetch.Request{Method: "POST", BaseURL: server.URL})
			requireKind(t, err, fetch.KindProtocol)
		})
	}
}

func TestTLS_Kinds(t *testing.T) {
	hello := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

	t.Run("a certificate signed by itself", func(t *testing.T) {
		_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: serveTLS(t, hello).URL})
		requireKind(t, err, fetch.KindTLS)
	})
	t.Run("a certificate of another name", func(t *testing.T) {
		server := serveTLS(t, hello)
		transport := trusting(t, server)
		transport.TLSClientConfig.ServerName = "other.invalid"
		_, err := fetch.New(transport).Do(t.Context(), fetch.Request{BaseURL: server.URL})
		requireKind(t, err, fetch.KindTLS)
	})
	t.Run("a certificate of another time", func(t *testing.T) {
		server := serveTLS(t, hello)
		transport := trusting(t, server)
		transport.TLSClientConfig.Time = func() time.Time { return time.Now().AddDate(200, 0, 0) }
		_, err := fetch.New(transport).Do(t.Context(), fetch.Request{BaseURL: server.URL})
		requireKind(t, err, fetch.KindTLS)
	})
	t.Run("a server of TLS 1.1", func(t *testing.T) {
		server := serveOldTLS(t, hello)
		_, err := fetch.New(trusting(t, server)).Do(t.Context(), fetch.Request{BaseURL: server.URL})
		requireKind(t, err, fetch.KindTLS)
	})
	t.Run("a server without TLS", func(t *testing.T) {
		plain := serve(t, hello)
		_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: strings.Replace(plain.URL, "http", "https", 1)})
		requireKind(t, err, fetch.KindTLS)
	})
}

func TestError_NeverShowsWhatWasSent(t *testing.T) {
	request := fetch.Request{
		Path:    "x?" + canary + "&path=" + canary + "1",
		Query:   map[string]string{"q": canary + "/ü?"},
		Headers: map[string]string{"Authorization": "Bearer " + canary, "X-Api-Key": canary + "2", "Cookie": "a=" + canary + "; b=" + canary},
		Body:    canary,
		Method:  "POST",
	}
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "%s invalid key %s in %s of %s", strings.Repeat(" ", 180), r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"), r.URL.Query().Get("q"))
	})
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, refused.Close())
	nested := roundTrip(func(r *http.Request) (*http.Response, error) {
		token := &url.Error{Op: "Post", URL: "https://id.example.com/token?client_secret=" + canary, Err: io.ErrUnexpectedEOF}
		return nil, fmt.Errorf("fetch a token for %s with %s: %w", r.URL, r.Header.Get("Authorization"), token)
	})

	for _, row := range []struct {
		name   string
		client *fetch.Client
		base   string
	}{
		{"a status whose body repeats the key", newClient(t), echo.URL},
		{"a refused connection", newClient(t), "http://" + refused.Addr().String()},
		{"a broken answer", newClient(t), serveRaw(t, "nonsense")},
		{"a transport that talks", fetch.New(nested), "http://x.invalid?base=" + canary},
		{"a base with a password", newClient(t), "http://user:" + canary + "@x.invalid?k=" + canary},
		{"a base that cannot be parsed", newClient(t), "http://user:" + canary + "/@x.inv alid:port?k=" + canary + "#" + canary},
	} {
		t.Run(row.name, func(t *testing.T) {
			request := request
			request.BaseURL = row.base
			_, err := row.client.Do(t.Context(), request)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), canary)
			assert.NotContains(t, fmt.Sprintf("%v %+v %s %q", err, err, err, err), canary)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", request, request, request, request), canary)
			var leaky *url.Error
			if row.client != nil && errors.As(err, &leaky) {
				assert.NotContains(t, leaky.URL, "path=", "the URL of this request is gone from the chain")
			}
		})
	}
}

func TestError_OfARequestThatCannotBeBuilt(t *testing.T) {
	reached := fetch.New(roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("nothing may be sent")
		return nil, io.EOF
	}))
	_, err := reached.Do(t.Context(), fetch.Request{Method: "get", BaseURL: "ftp://x", Path: "//evil"})
	failed := requireKind(t, err, fetch.KindRequest)
	var fault *fetch.FaultError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, `get ftp://x: request: method "get" must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS `+
		`base_url "ftp://x" must be an absolute http or https URL path "//evil" must be relative to the base URL`, failed.Error())
}
