package fetch_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

// serveHTTPBin starts a server that others wrote to try out clients.
func serveHTTPBin(t testing.TB) *httptest.Server {
	server := httptest.NewUnstartedServer(httpbin.New(httpbin.WithMaxDuration(5 * time.Second)))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// echoed is what httpbin tells of a request.
type echoed struct {
	Args    map[string][]string `json:"args"`
	Headers map[string][]string `json:"headers"`
	Method  string              `json:"method"`
	Data    string              `json:"data"`
	Files   map[string][]string `json:"files"`
	Form    map[string][]string `json:"form"`
	JSON    any                 `json:"json"`
	URL     string              `json:"url"`

	Authenticated bool              `json:"authenticated"`
	Cookies       map[string]string `json:"cookies"`
	Gzipped       bool              `json:"gzipped"`
	Deflated      bool              `json:"deflated"`
	Token         string            `json:"token"`
}

func TestHTTPBin_Answers(t *testing.T) {
	server := serveHTTPBin(t)
	client := newClient(t)
	file := fetch.Part{Name: "f", Filename: "a.csv", ContentType: "text/csv", Value: "id\n☃\n"}
	for name, tc := range map[string]struct {
		request fetch.Request
		check   func(t *testing.T, e echoed, answer *fetch.Response)
	}{
		"a query of every kind": {fetch.Request{Path: "get?a=1&a=2", Query: map[string]string{"ü": "☃ &=+%", "e": ""}}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.Equal(t, map[string][]string{"a": {"1", "2"}, "ü": {"☃ &=+%"}, "e": {""}}, e.Args)
			assert.Equal(t, []string{"callsheet"}, e.Headers["User-Agent"])
		}},
		"headers": {fetch.Request{Path: "headers", Headers: map[string]string{"x-one": " 1 ", "Accept": "a/b"}}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.Equal(t, []string{"1"}, e.Headers["X-One"])
			assert.Equal(t, []string{"a/b"}, e.Headers["Accept"])
		}},
		"basic": {fetch.Request{Path: "basic-auth/jane/s3cr3t%20%26%20more", Auth: fetch.Auth{Type: fetch.AuthBasic, Username: "jane", Secret: "s3cr3t & more"}}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.True(t, e.Authenticated)
		}},
		"bearer": {fetch.Request{Path: "bearer", Auth: fetch.Auth{Type: fetch.AuthBearer, Secret: "t0k3n-0f-j4n3"}}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.True(t, e.Authenticated)
			assert.Equal(t, "redacted", e.Token, "what is sent is not repeated")
		}},
		"JSON": {fetch.Request{Method: "POST", Path: "post", Body: `{"n":[1,"ü"]}`}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.Equal(t, map[string]any{"n": []any{1.0, "ü"}}, e.JSON)
		}},
		"a body that is text": {fetch.Request{Method: "PATCH", Path: "patch", Body: "a & b", Headers: map[string]string{"Content-Type": "text/plain"}}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.Equal(t, "a & b", e.Data)
		}},
		"a form": {fetch.Request{Method: "POST", Path: "post", Form: map[string]string{"a": "1 & 2", "ü": "☃"}}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.Equal(t, map[string][]string{"a": {"1 & 2"}, "ü": {"☃"}}, e.Form)
		}},
		"parts": {fetch.Request{Method: "PUT", Path: "put", Multipart: []fetch.Part{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}, file}}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.Equal(t, map[string][]string{"a": {"1", "2"}}, e.Form)
			assert.Equal(t, []string{"id\n☃\n"}, e.Files["f"])
		}},
		"an idempotency key": {fetch.Request{Method: "DELETE", Path: "delete", IdempotencyKey: "0192-1"}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.Equal(t, []string{"0192-1"}, e.Headers["Idempotency-Key"])
		}},
		"gzip":    {fetch.Request{Path: "gzip"}, func(t *testing.T, e echoed, _ *fetch.Response) { assert.True(t, e.Gzipped) }},
		"deflate": {fetch.Request{Path: "deflate"}, func(t *testing.T, e echoed, _ *fetch.Response) { assert.True(t, e.Deflated) }},
		"redirects, relative": {fetch.Request{Path: "relative-redirect/10", Headers: map[string]string{"X-One": "1"}}, func(t *testing.T, e echoed, answer *fetch.Response) {
			assert.Equal(t, []string{"1"}, e.Headers["X-One"])
			assert.Equal(t, server.URL+"/get", answer.URL)
		}},
		"redirects, absolute": {fetch.Request{Path: "absolute-redirect/3"}, func(t *testing.T, _ echoed, answer *fetch.Response) {
			assert.Equal(t, server.URL+"/get", answer.URL)
		}},
		"a redirect that repeats a form": {fetch.Request{Method: "POST", Path: "redirect-to", Query: map[string]string{"url": "/post", "status_code": "308"}, Form: map[string]string{"a": "1"}}, func(t *testing.T, e echoed, _ *fetch.Response) {
			assert.Equal(t, map[string][]string{"a": {"1"}}, e.Form)
		}},
		"cookies are not kept": {fetch.Request{Path: "cookies/set?a=1"}, func(t *testing.T, e echoed, answer *fetch.Response) {
			assert.Equal(t, server.URL+"/cookies", answer.URL)
			assert.Empty(t, e.Cookies)
		}},
		"a short delay": {fetch.Request{Path: "delay/0.05"}, func(t *testing.T, _ echoed, answer *fetch.Response) {
			assert.Greater(t, answer.Elapsed, 50*time.Millisecond)
		}},
		"bytes as they are": {fetch.Request{Path: "bytes/10240?seed=1"}, func(t *testing.T, _ echoed, answer *fetch.Response) { assert.Len(t, answer.Body, 10240) }},
		"bytes in chunks":   {fetch.Request{Path: "stream-bytes/10240?chunk_size=100"}, func(t *testing.T, _ echoed, answer *fetch.Response) { assert.Len(t, answer.Body, 10240) }},
		"bytes that drip":   {fetch.Request{Path: "drip?numbytes=20&duration=0.2&delay=0", IdleTimeout: time.Second}, func(t *testing.T, _ echoed, answer *fetch.Response) { assert.Len(t, answer.Body, 20) }},
		"a part that was asked for": {fetch.Request{Path: "range/100", Headers: map[string]string{"Range": "bytes=10-19"}}, func(t *testing.T, _ echoed, answer *fetch.Response) {
			assert.Equal(t, "klmnopqrst", string(answer.Body))
		}},
		"lines of JSON": {fetch.Request{Path: "stream/5"}, func(t *testing.T, _ echoed, answer *fetch.Response) {
			assert.Equal(t, 5, strings.Count(string(answer.Body), "\n"))
		}},
		"every script there is": {fetch.Request{Path: "encoding/utf8"}, func(t *testing.T, _ echoed, answer *fetch.Response) {
			assert.Contains(t, string(answer.Body), "⡌⠁⠧⠑ ⠼⠁⠒")
		}},
		"trailers":                    {fetch.Request{Path: "trailers?a=b"}, func(t *testing.T, _ echoed, answer *fetch.Response) { assert.Equal(t, 200, answer.Status) }},
		"headers of the answer":       {fetch.Request{Path: "response-headers", Query: map[string]string{"X-A": "1"}}, func(t *testing.T, _ echoed, answer *fetch.Response) { assert.Equal(t, "1", answer.Header.Get("X-A")) }},
		"HEAD":                        {fetch.Request{Method: "HEAD", Path: "head"}, func(t *testing.T, _ echoed, answer *fetch.Response) { assert.Empty(t, answer.Body) }},
		"an ETag that is new":         {fetch.Request{Path: "etag/v2", Headers: map[string]string{"If-None-Match": `"v1"`}}, func(t *testing.T, _ echoed, answer *fetch.Response) { assert.Equal(t, 200, answer.Status) }},
		"an ETag that is known":       {fetch.Request{Path: "etag/v2", Headers: map[string]string{"If-None-Match": `"v1", W/"v2"`}}, isNotModified},
		"a cache that is asked again": {fetch.Request{Path: "cache", Headers: map[string]string{"If-Modified-Since": "Sat, 29 Oct 1994 19:43:31 GMT"}}, isNotModified},
	} {
		t.Run(name, func(t *testing.T) {
			tc.request.BaseURL = server.URL
			answer, err := client.Do(t.Context(), tc.request)
			require.NoError(t, err)
			var e echoed
			_ = json.Unmarshal(answer.Body, &e)
			tc.check(t, e, answer)
		})
	}
}

func isNotModified(t *testing.T, _ echoed, answer *fetch.Response) {
	assert.Equal(t, 304, answer.Status)
	assert.Empty(t, answer.Body)
}

func TestHTTPBin_Errors(t *testing.T) {
	server := serveHTTPBin(t)
	client := newClient(t)
	const short = 100 * time.Millisecond
	for name, tc := range map[string]struct {
		request fetch.Request
		kind    fetch.Kind
		status  int
	}{
		"a wrong password":              {fetch.Request{Path: "basic-auth/jane/right", Auth: fetch.Auth{Type: fetch.AuthBasic, Username: "jane", Secret: "wrong"}}, fetch.KindStatus, 401},
		"a wrong password, hidden":      {fetch.Request{Path: "hidden-basic-auth/jane/right", Auth: fetch.Auth{Type: fetch.AuthBasic, Username: "jane", Secret: "wrong"}}, fetch.KindStatus, 404},
		"no token":                      {fetch.Request{Path: "bearer"}, fetch.KindStatus, 401},
		"digest, which is not spoken":   {fetch.Request{Path: "digest-auth/auth/jane/right", Auth: fetch.Auth{Type: fetch.AuthBasic, Username: "jane", Secret: "right"}}, fetch.KindStatus, 401},
		"an eleventh redirect":          {fetch.Request{Path: "relative-redirect/11"}, fetch.KindRedirect, 0},
		"a redirect to a closed place":  {fetch.Request{Path: "redirect-to", Query: map[string]string{"url": "http://169.254.169.254/"}}, fetch.KindAddress, 0},
		"a redirect that takes a PUT":   {fetch.Request{Method: "PUT", Path: "redirect-to", Query: map[string]string{"url": "/get", "status_code": "302"}}, fetch.KindRedirect, 0},
		"a delay":                       {fetch.Request{Path: "delay/3", Timeout: short}, fetch.KindTimeout, 0},
		"a drip that is slow":           {fetch.Request{Path: "drip?numbytes=3&duration=3&delay=0", IdleTimeout: short}, fetch.KindTimeout, 0},
		"a drip that lasts":             {fetch.Request{Path: "drip?numbytes=100&duration=3&delay=0", Timeout: 3 * short, IdleTimeout: 2 * short}, fetch.KindTimeout, 0},
		"a drip of an error":            {fetch.Request{Path: "drip?numbytes=3&duration=0.1&delay=0&code=503"}, fetch.KindStatus, 503},
		"more bytes than may be":        {fetch.Request{Path: "bytes/10240", MaxBodyBytes: 10239}, fetch.KindTooLarge, 0},
		"more chunks than may be":       {fetch.Request{Path: "stream-bytes/10240", MaxBodyBytes: 10239}, fetch.KindTooLarge, 0},
		"more headers than may be":      {fetch.Request{Path: "response-headers", Query: map[string]string{"X-A": strings.Repeat("a", 1000)}, MaxHeaderBytes: 1000}, fetch.KindHeaders, 0},
		"a coding that is not there":    {fetch.Request{Path: "brotli"}, fetch.KindStatus, 501},
		"a method that is not taken":    {fetch.Request{Method: "POST", Path: "get"}, fetch.KindStatus, 405},
		"a resource that was changed":   {fetch.Request{Path: "etag/v2", Headers: map[string]string{"If-Match": `"v1"`}}, fetch.KindStatus, 412},
		"trouble, now and then, always": {fetch.Request{Path: "unstable?failure_rate=1"}, fetch.KindStatus, 500},
	} {
		t.Run(name, func(t *testing.T) {
			tc.request.BaseURL = server.URL
			answer, err := client.Do(t.Context(), tc.request)
			assert.Nil(t, answer)
			assert.Equal(t, tc.status, requireKind(t, err, tc.kind).Status, "%v", err)
		})
	}
}

func TestHTTPBin_EveryStatus(t *testing.T) {
	server := serveHTTPBin(t)
	client := newClient(t)
	for code := 200; code < 600; code++ {
		answer, err := client.Do(t.Context(), fetch.Request{BaseURL: server.URL, Path: fmt.Sprintf("status/%d", code)})
		switch {
		case code < 300 && code != 206:
			require.NoError(t, err)
			assert.Equal(t, code, answer.Status)
		case code == 206:
			requireKind(t, err, fetch.KindProtocol) // a part that nobody asked for
		case code == 301 || code == 302 || code == 303 || code == 307 || code == 308:
			require.NoError(t, err, "%d has a Location, and is followed", code)
		default:
			assert.Equal(t, code, requireKind(t, err, fetch.KindStatus).Status)
		}
	}
}
