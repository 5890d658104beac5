package main

import (
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Real answers; payloads/SOURCES.md says where they come from.
var (
	//go:embed payloads/usgs_earthquakes.geojson
	earthquakes []byte
	//go:embed payloads/bank_of_canada.json
	rates []byte
	//go:embed payloads/hkma.json
	hongKong []byte
)

// outOfOrder is why /hong-kong never answers with what it has.
const outOfOrder = true

// An api is a small API on this machine: /earthquakes works, /rates is busy for its first two calls,
// and /hong-kong is broken.
type api struct {
	URL    string
	server *http.Server
	served chan struct{} // closed when the server has stopped
}

func startAPI() (*api, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the built-in API: %w", err)
	}
	var rateCalls atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /earthquakes", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/geo+json")
		_, _ = w.Write(earthquakes)
	})
	mux.HandleFunc("GET /rates", func(w http.ResponseWriter, _ *http.Request) {
		if rateCalls.Add(1) <= 2 {
			http.Error(w, "busy, try again", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(rates)
	})
	mux.HandleFunc("GET /hong-kong", func(w http.ResponseWriter, _ *http.Request) {
		if outOfOrder {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(hongKong)
	})

	a := &api{
		URL:    "http://" + listener.Addr().String(),
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
		served: make(chan struct{}),
	}
	go func() {
		defer close(a.served)
		_ = a.server.Serve(listener) // returns when Close is called
	}()
	return a, nil
}

// Close stops the API and waits until it has.
func (a *api) Close() {
	_ = a.server.Close()
	<-a.served
}
