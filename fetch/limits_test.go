package fetch_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

// pausing is a body whose reader waits before each of its bytes.
type pausing struct {
	ctx    context.Context
	pauses []time.Duration
}

func (b *pausing) Read(p []byte) (int, error) {
	if len(b.pauses) == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(b.pauses[0]):
		b.pauses = b.pauses[1:]
		p[0] = 'x'
		return 1, nil
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func (b *pausing) Close() error { return nil }

func TestIdleTimeout(t *testing.T) {
	const s = time.Second
	for name, tc := range map[string]struct {
		timeout, idle time.Duration
		pauses        []time.Duration
		text          string // of the error
		after         time.Duration
	}{
		"a body without pauses":                  {0, 0, nil, "", 0},
		"pauses that are short enough":           {60 * s, 5 * s, []time.Duration{4 * s, 4 * s, 4 * s}, "", 12 * s},
		"a pause that is too long":               {60 * s, 5 * s, []time.Duration{4 * s, 6 * s}, "timeout: no byte of the body for 5s", 9 * s},
		"a pause in a conversation of all day":   {24 * time.Hour, 0, []time.Duration{time.Hour}, "timeout: no byte of the body for 30s", 30 * s},
		"the timeout comes before the idle time": {3 * s, 5 * s, []time.Duration{4 * s}, "timeout: no whole answer within 3s", 3 * s},
		"the default is that of the timeout":     {10 * s, 0, []time.Duration{9 * s, 9 * s}, "timeout: no whole answer within 10s", 10 * s},
		"a trickle without end":                  {60 * s, 5 * s, make([]time.Duration, 100), "", 0},
		"a trickle that lasts too long":          {6 * s, 5 * s, []time.Duration{4 * s, 4 * s}, "timeout: no whole answer within 6s", 6 * s},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := &recorder{answer: func(r *http.Request) *http.Response {
					return &http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{}, Body: &pausing{r.Context(), tc.pauses}}
				}}
				started := time.Now()
				answer, err := fetch.New(wire).Do(t.Context(), fetch.Request{BaseURL: "http://api.example", Timeout: tc.timeout, IdleTimeout: tc.idle})
				assert.Equal(t, tc.after, time.Since(started))
				if tc.text == "" {
					require.NoError(t, err)
					assert.Len(t, answer.Body, len(tc.pauses))
					return
				}
				requireKind(t, err, fetch.KindTimeout)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Contains(t, err.Error(), tc.text)
			})
		})
	}
}

func TestIdleTimeout_OnTheWire(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, IdleTimeout: 50 * time.Millisecond})
	requireKind(t, err, fetch.KindTimeout)
	assert.Contains(t, err.Error(), "no byte of the body for 50ms")
}

func TestMaxHeaderBytes(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		var size, status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d/%d", &size, &status)
		w.Header()["Date"] = nil
		w.Header().Set("Content-Type", "t")                                     // 17 bytes
		w.Header().Set("Content-Length", "0")                                   // 19
		w.Header().Set("X-A", strings.Repeat("a", size-17-19-len("X-A: \r\n"))) // the rest
		w.WriteHeader(status)
	}
	plain, secure := serve(t, handler), serveTLS(t, handler)
	for name, tc := range map[string]struct {
		base string
		size int
		max  int64
		fits bool
	}{
		"as large as may be":                 {plain.URL, 1000, 1000, true},
		"a byte too large":                   {plain.URL, 1001, 1000, false},
		"a byte too large, over HTTP/2":      {secure.URL, 1001, 1000, false},
		"the default":                        {plain.URL, 900_000, 0, true},
		"more than the default":              {plain.URL, 1_100_000, 0, false},
		"more than the default, over HTTP/2": {secure.URL, 1_100_000, 0, false},
		"much more than what was asked for":  {plain.URL, 1_100_000, 100, false},
	} {
		for _, status := range []int{200, 404} {
			t.Run(fmt.Sprint(name, ", with status ", status), func(t *testing.T) {
				client := fetch.New(trusting(t, secure))
				_, err := client.Do(t.Context(), fetch.Request{BaseURL: tc.base, Path: fmt.Sprintf("%d/%d", tc.size, status), MaxHeaderBytes: tc.max})
				switch {
				case !tc.fits:
					requireKind(t, err, fetch.KindHeaders)
				case status == 200:
					require.NoError(t, err)
				default:
					requireKind(t, err, fetch.KindStatus)
				}
			})
		}
	}
}

func TestLimits_Faults(t *testing.T) {
	var fields []string
	for _, fault := range faultsOf((fetch.Request{BaseURL: "http://api.example", IdleTimeout: -1, MaxHeaderBytes: 1<<20 + 1, IdempotencyKey: "a\nb"}).Validate()) {
		fields = append(fields, fault.Field)
	}
	assert.Equal(t, []string{"idle_timeout", "max_header_bytes", "idempotency_key"}, fields)
}

func TestIdempotencyKey(t *testing.T) {
	home := newWitness(t, map[string]string{"/again": "307 /end", "/get": "303 /end"})
	for name, tc := range map[string]struct {
		method, path, own, want string
	}{
		"GET": {"GET", "", "", ""}, "HEAD": {"HEAD", "", "", ""}, "OPTIONS": {"OPTIONS", "", "", ""},
		"POST": {"POST", "", "", "key-1"}, "PUT": {"PUT", "", "", "key-1"}, "PATCH": {"PATCH", "", "", "key-1"}, "DELETE": {"DELETE", "", "", "key-1"},
		"a key of its own":                  {"POST", "", "mine", "mine"},
		"a key of its own with a GET":       {"GET", "", "mine", "mine"},
		"a redirect that repeats the call":  {"POST", "again", "", "key-1"},
		"a redirect that makes a GET of it": {"POST", "get", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := fetch.Request{Method: tc.method, BaseURL: home.URL, Path: tc.path, IdempotencyKey: "key-1"}
			if tc.own != "" {
				request.Headers = map[string]string{"idempotency-key": tc.own}
			}
			_, err := newClient(t).Do(t.Context(), request)
			require.NoError(t, err)
			got, _ := home.last()
			assert.Equal(t, tc.want, got.Header.Get("Idempotency-Key"))
		})
	}
}
