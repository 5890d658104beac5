package fetch_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/callsheet-go/callsheet/fetch"
)

// BenchmarkDo compares a call through the package with net/http by hand, which checks nothing, on the
// same kind of transport. "canned" has no network in it: what is left is the cost of the client side.
func BenchmarkDo(b *testing.B) {
	body := bytes.Repeat([]byte(`{"id":123456,"name":"a name","price":"12.50"},`), 85)
	server := serve(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	network := fetch.NewTransport(loopback)
	b.Cleanup(network.CloseIdleConnections)
	canned := roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
			ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		}, nil
	})

	for name, transport := range map[string]http.RoundTripper{"loopback": network, "canned": canned} {
		b.Run(name+"/nethttp", func(b *testing.B) {
			client := &http.Client{Transport: transport}
			b.ReportAllocs()
			for b.Loop() {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+"/v1/rates?base=EUR", nil)
				if err != nil {
					b.Fatal(err)
				}
				request.Header.Set("Accept", "application/json")
				answer, err := client.Do(request)
				if err != nil {
					b.Fatal(err)
				}
				read, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if err != nil || len(read) != len(body) {
					b.Fatal(err, len(read))
				}
			}
		})
		b.Run(name+"/fetch", func(b *testing.B) {
			client := fetch.New(transport)
			request := fetch.Request{
				BaseURL: server.URL + "/v1", Path: "rates", Query: map[string]string{"base": "EUR"},
				Headers: map[string]string{"Accept": "application/json"},
			}
			b.ReportAllocs()
			for b.Loop() {
				answer, err := client.Do(b.Context(), request)
				if err != nil || len(answer.Body) != len(body) {
					b.Fatal(err)
				}
			}
		})
	}
}
