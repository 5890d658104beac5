package fetch_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func TestDo_SendsWhatWasConfigured(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		for _, body := range []string{"", `{"a":1}`} {
			t.Run(fmt.Sprintf("%s with a body of %d bytes", method, len(body)), func(t *testing.T) {
				var got *http.Request
				var gotBody string
				server := serve(t, func(w http.ResponseWriter, r *http.Request) {
					read, _ := io.ReadAll(r.Body)
					got, gotBody = r, string(read)
					w.Header().Set("X-Answer", "yes")
					w.WriteHeader(http.StatusAccepted)
					_, _ = io.WriteString(w, "hello")
				})

				answer, err := newClient(t).Do(t.Context(), fetch.Request{
					Method:  method,
					BaseURL: server.URL + "/v1?k=base",
					Path:    "/a%2Fb/c d?p=1",
					Query:   map[string]string{"z": "1&2", "a": "é"},
					Headers: map[string]string{"x-one": "1", "Host": "api.example.com"},
					Body:    body,
				})

				require.NoError(t, err)
				assert.Equal(t, http.StatusAccepted, answer.Status)
				assert.Equal(t, "yes", answer.Header.Get("X-Answer"))
				assert.Equal(t, server.URL+"/v1/a%2Fb/c%20d?k=…&p=…&a=…&z=…", answer.URL)
				assert.Positive(t, answer.Elapsed)
				if method != http.MethodHead {
					assert.Equal(t, "hello", string(answer.Body))
				}
				assert.Equal(t, method, got.Method)
				assert.Equal(t, "/v1/a%2Fb/c%20d?k=base&p=1&a=%C3%A9&z=1%262", got.RequestURI)
				assert.Equal(t, "api.example.com", got.Host)
				assert.Equal(t, body, gotBody)
				assert.Equal(t, int64(len(body)), got.ContentLength)
				assert.Equal(t, "1", got.Header.Get("X-One"))
				assert.Equal(t, "callsheet", got.Header.Get("User-Agent"))
				assert.NotContains(t, got.Header, "Accept", "no Accept is made up")
				assert.Equal(t, body != "", got.Header.Get("Content-Type") == "application/json", "what is JSON is called so")
			})
		}
	}
}

func TestDo_ZeroRequestIsAGetOfTheBase(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.RequestURI)
	})
	answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL})
	require.NoError(t, err)
	assert.Equal(t, "GET /", string(answer.Body))
}

func TestDo_AnswersAreOwnedUnderConcurrency(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		letter, size := r.URL.Query().Get("letter"), 1000
		if letter >= "e" {
			size = 100_000
		}
		w.(http.Flusher).Flush() // no Content-Length: the pooled way
		_, _ = w.Write(bytes.Repeat([]byte(letter), size))
	})
	client := newClient(t)
	var calls sync.WaitGroup
	for i := range 64 {
		calls.Go(func() {
			letter := string(rune('a' + i%8))
			answer, err := client.Do(t.Context(), fetch.Request{BaseURL: server.URL, Query: map[string]string{"letter": letter}})
			if assert.NoError(t, err) {
				time.Sleep(time.Millisecond) // let others use the pool
				assert.Empty(t, strings.Trim(string(answer.Body), letter), "a body must not change after Do")
			}
		})
	}
	calls.Wait()
}

func TestDo_ReusesConnectionsAlsoAfterStatusErrors(t *testing.T) {
	var connections sync.Map
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		connections.Store(r.RemoteAddr, true)
		if r.URL.Path == "/bad" {
			http.Error(w, "no", http.StatusTeapot)
		}
	})
	client := newClient(t)
	for i := range 10 {
		_, _ = client.Do(t.Context(), fetch.Request{BaseURL: server.URL, Path: []string{"good", "bad"}[i%2]})
	}
	count := 0
	connections.Range(func(any, any) bool { count++; return true })
	assert.Equal(t, 1, count, "ten calls in a row need one connection")
}

func TestDo_MakesOneAttempt(t *testing.T) {
	var hits atomic.Int32
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL})
	requireKind(t, err, fetch.KindStatus)
	assert.EqualValues(t, 1, hits.Load())
}

func TestDo_KeepsNoCookies(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" {
			w.WriteHeader(http.StatusBadRequest)
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
	})
	client := newClient(t)
	for range 2 {
		_, err := client.Do(t.Context(), fetch.Request{BaseURL: server.URL})
		require.NoError(t, err)
	}
}

func TestDo_IgnoresTheProxyOfTheEnvironment(t *testing.T) {
	assert.Nil(t, fetch.NewTransport(loopback).Proxy)
}

func TestDo_IsSilent(t *testing.T) {
	stderr := os.Stderr
	read, write, err := os.Pipe()
	require.NoError(t, err)
	os.Stderr = write
	_, failed := fetch.NewGuarded(loopback).Do(t.Context(), fetch.Request{
		BaseURL: serveRaw(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
		Headers: map[string]string{"Authorization": "Basic s3cr3t"},
	})
	os.Stderr = stderr
	require.NoError(t, write.Close())
	said, err := io.ReadAll(read)
	require.NoError(t, err)
	require.Error(t, failed)
	assert.Empty(t, string(said))
}

type countingTransport struct {
	http.RoundTripper
	idleClosed int
}

func (c *countingTransport) CloseIdleConnections() { c.idleClosed++ }

func TestClose_LeavesAHostsTransportAlone(t *testing.T) {
	transport := &countingTransport{RoundTripper: http.DefaultTransport}
	fetch.New(transport).Close()
	assert.Zero(t, transport.idleClosed)
}

func TestDo_SpeaksHTTP2WhereOffered(t *testing.T) {
	server := serveTLS(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	transport := trusting(t, server)
	answer, err := fetch.New(transport).Do(t.Context(), fetch.Request{
		BaseURL: server.URL,
		Headers: map[string]string{
			"Connection": "upgrade", "Upgrade": "websocket", "Transfer-Encoding": "gzip",
			"Content-Length": "7", "Keep-Alive": "1", "TE": "gzip", "X-A": " lead and trail ",
		},
	})
	require.NoError(t, err)
	assert.Equal(t, "HTTP/2.0", string(answer.Body))
}
