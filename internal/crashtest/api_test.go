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
	pages map[string]int64  // how many there are, by execution, where the answer comes in pages; guarded by mu
	logs  map[string]int64  // the highest item of a log, by schedule; guarded by mu
}

// A call is one that came.
type call struct {
	fence    int64
	page     int64 // which is asked for, from 1; 0: the answer is whole
	answered bool
	records  int64
	first    int64 // of the items of a log that are answered; 0: they are not of a log
}

func newAPI(t *testing.T) *api {
	a := &api{calls: map[string][]call{}, pages: map[string]int64{}, logs: map[string]int64{}}
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

// pagesOf returns how many pages there are for an execution; 0 if it did not ask.
func (a *api) pagesOf(execution string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pages[execution]
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
func (a *api) came(execution string, made call) (noted call, status int, takes time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	status, made.records = http.StatusOK, 1+rand.Int64N(4)
	if !a.well {
		status, takes = mood()
	}
	made.answered = status == http.StatusOK
	if made.page > 0 && a.pages[execution] == 0 {
		a.pages[execution] = 2 + rand.Int64N(3)
	}
	a.calls[execution] = append(a.calls[execution], made)
	return made, status, takes
}

// cameForLog is came for what is new in the log of a schedule, to which something may be added before.
func (a *api) cameForLog(execution, schedule string, made call, since int64) (noted call, status int, takes time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	status = http.StatusOK
	if !a.well {
		status, takes = mood()
	}
	made.answered = status == http.StatusOK
	a.logs[schedule] += rand.Int64N(4)
	made.first, made.records = since+1, a.logs[schedule]-since
	a.calls[execution] = append(a.calls[execution], made)
	return made, status, takes
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
	execution, query := r.Header.Get("X-Execution"), r.URL.Query()
	number := func(text string) int64 {
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	made := call{fence: number(r.Header.Get("X-Fence"))}
	if r.URL.Path == "/pages" {
		made.page = max(1, number(query.Get("page")))
	}
	var status int
	var takes time.Duration
	if r.URL.Path == "/log" {
		made, status, takes = a.cameForLog(execution, r.Header.Get("X-Schedule"), made, number(query.Get("since")))
	} else {
		made, status, takes = a.came(execution, made)
	}
	if r.URL.Path == "/hang" {
		takes = map[int64]time.Duration{1: time.Hour, 2: 1500 * time.Millisecond}[made.fence]
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
		if rand.N(20) == 0 { // it holds up all calls to the API, and there are many a second
			w.Header().Set("Retry-After", "1")
		}
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	items := make([]string, made.records)
	for i := range items {
		row := made.row(int64(i))
		items[i] = fmt.Sprintf(`{"execution":%q,"fence":%d,"page":%d,"place":%d,"of":%d,"item":%d}`,
			execution, row.fence, row.page, row.place, row.of, row.item)
	}
	next := "null"
	if made.page > 0 && made.page < a.pagesOf(execution) {
		next = strconv.FormatInt(made.page+1, 10)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"items":[%s],"next":%s}`, strings.Join(items, ","), next)
}

// row returns the record at a place of the answer.
func (c call) row(place int64) row {
	r := row{fence: c.fence, page: c.page, place: place, of: c.records}
	if c.first > 0 {
		r.item = c.first + place
	}
	return r
}
