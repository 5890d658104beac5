//go:build linux

package crashtest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// An api is what the nodes call. It fails sometimes, and takes its time, until it is told to be well.
type api struct {
	*httptest.Server
	mu    sync.Mutex
	well  bool              // guarded by mu
	calls map[string][]call // by execution; guarded by mu
}

// A call is one that came.
type call struct {
	fence    int64
	answered bool // with records
	records  int
}

func newAPI(t *testing.T) *api {
	a := &api{calls: map[string][]call{}}
	a.Server = httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(func() {
		a.CloseClientConnections()
		a.Close()
	})
	return a
}

// recover has the API answer well, and at once.
func (a *api) recover() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.well = true
}

func (a *api) of(execution string) []call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[execution]
}

func (a *api) total() (executions, calls int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, of := range a.calls {
		calls += len(of)
	}
	return len(a.calls), calls
}

// came notes a call, and says how it is answered.
func (a *api) came(execution string, fence int64) (status, records int, takes time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	status, records = http.StatusOK, 1+rand.N(4)
	if !a.well {
		status, takes = mood()
	}
	a.calls[execution] = append(a.calls[execution], call{fence, status == http.StatusOK, records})
	return status, records, takes
}

// mood is how an API is answering on a bad day: some calls fail, a few take longer than a lease.
func mood() (status int, takes time.Duration) {
	switch roll := rand.N(1000); {
	case roll < 30:
		status = http.StatusInternalServerError
	case roll < 45:
		status = http.StatusTooManyRequests
	case roll < 50:
		status = http.StatusNotFound
	case roll < 60:
		status = http.StatusTeapot // stands for an answer that is none
	default:
		status = http.StatusOK
	}
	switch roll := rand.N(1000); {
	case roll < 10:
		takes = rand.N(3 * time.Second)
	case roll < 200:
		takes = rand.N(400 * time.Millisecond)
	default:
		takes = rand.N(30 * time.Millisecond)
	}
	return status, takes
}

func (a *api) answer(w http.ResponseWriter, r *http.Request) {
	execution := r.Header.Get("X-Execution")
	fence, _ := strconv.ParseInt(r.Header.Get("X-Fence"), 10, 64)
	status, records, takes := a.came(execution, fence)
	if r.URL.Path == "/hang" {
		takes = map[int64]time.Duration{1: time.Hour, 2: 1500 * time.Millisecond}[fence]
	}
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
		return
	}
	switch status {
	case http.StatusTeapot:
		fmt.Fprint(w, `{"items": [`)
		return
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	items := make([]string, records)
	for place := range items {
		items[place] = fmt.Sprintf(`{"execution":%q,"fence":%d,"place":%d,"of":%d}`, execution, fence, place, records)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(items, ","))
}
