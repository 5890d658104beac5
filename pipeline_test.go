package callsheet_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const marketsAnswer = `{"data":[
	{"id":"bitcoin","price":18717.930,"cap":9007199254740993,"roi":null},
	{"id":"ether","price":1.0e-7,"cap":12345678901234567890}]}`

// runOnce is execute with an API on this machine.
func runOnce(t *testing.T, sheet callsheet.Sheet, opts ...callsheet.Option) callsheet.Execution {
	t.Helper()
	return execute(t, sheet, append(opts, callsheet.WithAllowedNetworks("127.0.0.0/8"))...)
}

// execute defines sheet with its schedule "s", executes that and returns the execution when it is over.
func execute(t *testing.T, sheet callsheet.Sheet, opts ...callsheet.Option) callsheet.Execution {
	t.Helper()
	over := make(chan callsheet.Execution, 1)
	opts = append(opts, callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
		if e.State.Final() {
			over <- e
		}
	}))
	sched, err := callsheet.New(memory.New(), opts...)
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), sheet))
	start(t, sched)
	_, err = sched.Execute(t.Context(), "s")
	require.NoError(t, err)
	select {
	case e := <-over:
		return e
	case <-time.After(30 * time.Second):
		require.Fail(t, "the execution did not end")
		return callsheet.Execution{}
	}
}

func marketsSheet(url string) callsheet.Sheet {
	return callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "api", BaseURL: url + "/v1", Headers: map[string]string{"X-Shared": "source", "accept": "application/json"}}},
		Requests: []callsheet.Request{{ID: "r", Source: "api", Method: "POST", Path: "/markets?page=1", Query: map[string]string{"vs": "eur & usd"}, Headers: map[string]string{"x-shared": "request"}, Body: `{"top":2}`}},
		Extracts: []callsheet.Extract{{ID: "x", Records: "$.data[*]", Fields: []callsheet.Field{
			{Name: "id", Path: "$.id", Required: true},
			{Name: "price", Path: "$.price"},
			{Name: "cap", Path: "$.cap"},
			{Name: "roi", Path: "$.roi.percentage", Default: "none"},
		}}},
		Deliveries: []callsheet.Delivery{{ID: "d", Destination: "out", Target: "markets"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "r", Extract: "x", Delivery: "d", MaxRetries: 2, RetryDelay: 5 * time.Millisecond}},
	}
}

func TestPipeline_FetchesExtractsAndDelivers(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := new(strings.Builder)
		_, _ = fmt.Fprint(body, r.Method, " ", r.URL.Path, " ", r.URL.Query().Get("page"), " ", r.URL.Query().Get("vs"), " ", r.Header.Values("X-Shared"), " ", r.Header.Get("Accept"))
		if got := body.String(); got != "POST /v1/markets 1 eur & usd [request] application/json" {
			http.Error(w, got, http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprint(w, marketsAnswer)
	}))
	defer api.Close()
	out := destmemory.New()
	e := runOnce(t, marketsSheet(api.URL), callsheet.WithDestination("out", out))
	require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
	assert.Equal(t, 200, e.HTTPStatus)
	assert.EqualValues(t, len(marketsAnswer), e.Bytes)
	assert.EqualValues(t, 2, e.Records)
	assert.Positive(t, e.Timings.Fetch)
	assert.Positive(t, e.Timings.Extract)
	assert.Positive(t, e.Timings.Deliver)
	records := out.Records("markets")
	require.Len(t, records, 2)
	assert.Equal(t, `{"id":"bitcoin","price":18717.930,"cap":9007199254740993,"roi":"none"}`, records[0].String(), "order and digits are kept")
	assert.Equal(t, `{"id":"ether","price":1.0e-7,"cap":12345678901234567890,"roi":"none"}`, records[1].String())
}

func TestPipeline_StagesAreOptional(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, marketsAnswer) }))
	defer api.Close()
	for _, tc := range []struct {
		name    string
		edit    func(*callsheet.Sheet)
		records int64
		first   string
	}{
		{"without an Extract records are whole objects", func(s *callsheet.Sheet) {
			s.Schedules[0].Extract = ""
		}, 1, `{"data":[{"id":"bitcoin","price":18717.930,"cap":9007199254740993,"roi":null},{"id":"ether","price":1.0e-7,"cap":12345678901234567890}]}`},
		{"without a Delivery they are counted", func(s *callsheet.Sheet) { s.Schedules[0].Delivery = "" }, 2, ""},
		{"without both the answer is not looked into", func(s *callsheet.Sheet) {
			s.Schedules[0].Delivery, s.Schedules[0].Extract = "", ""
		}, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sheet := marketsSheet(api.URL)
			tc.edit(&sheet)
			out := destmemory.New()
			e := runOnce(t, sheet, callsheet.WithDestination("out", out))
			require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
			assert.Equal(t, tc.records, e.Records)
			records := out.Records("markets")
			if tc.first == "" {
				assert.Empty(t, records)
			} else if assert.Len(t, records, 1) {
				assert.Equal(t, tc.first, records[0].String())
			}
		})
	}
}

func TestPipeline_WhatAnAnswerMeans(t *testing.T) {
	for _, tc := range []struct {
		name     string
		answer   http.HandlerFunc
		state    callsheet.State
		class    callsheet.Class
		attempts int
		text     string
	}{
		{"a server's error is retried", status(500), callsheet.StateFailed, callsheet.ClassTransient, 3, "fetch: POST"},
		{"what is not found is not", status(404), callsheet.StateFailed, callsheet.ClassPermanent, 1, "status 404 Not Found"},
		{"nor are refused credentials", status(401), callsheet.StateFailed, callsheet.ClassAuth, 1, "status 401"},
		{"an answer that is no JSON is retried", text("<html>login</html>"), callsheet.StateFailed, callsheet.ClassBadResponse, 3, "extract: "},
		{"an answer without the records, too", text(`{"error":"maintenance"}`), callsheet.StateFailed, callsheet.ClassBadResponse, 3, "$.data"},
		{"a record without a required field, too", text(`{"data":[{"id":"a"},{"price":1}]}`), callsheet.StateFailed, callsheet.ClassBadResponse, 3, "record 1"},
		{"an empty list is a success", text(`{"data":[]}`), callsheet.StateSucceeded, "", 1, ""},
		{"failing twice before it answers is a success at the third attempt", failFirst(2, 503), callsheet.StateSucceeded, "", 3, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api := httptest.NewServer(tc.answer)
			defer api.Close()
			out := destmemory.New()
			e := runOnce(t, marketsSheet(api.URL), callsheet.WithDestination("out", out))
			assert.Equal(t, tc.state, e.State)
			assert.Equal(t, tc.class, e.Class)
			assert.Len(t, e.Attempts, tc.attempts)
			assert.Contains(t, e.Error, tc.text)
			assert.NotContains(t, e.Error, "eur", "query values stay out of errors")
			if tc.state == callsheet.StateFailed {
				assert.Empty(t, out.Records("markets"), "nothing of a failed execution is delivered")
			}
		})
	}
}

func TestPipeline_ThrottledAttemptWaitsAndCostsNothing(t *testing.T) {
	var calls atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = fmt.Fprint(w, marketsAnswer)
	}))
	defer api.Close()
	sheet := marketsSheet(api.URL)
	sheet.Schedules[0].MaxRetries = callsheet.NoRetries
	e := runOnce(t, sheet, callsheet.WithDestination("out", destmemory.New()))
	require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
	assert.Equal(t, 1, e.Attempt, "the throttled attempt was given back")
	require.Len(t, e.Attempts, 2)
	assert.True(t, e.Attempts[0].Unspent)
	assert.GreaterOrEqual(t, e.Attempts[1].StartedAt.Sub(e.Attempts[0].FinishedAt), time.Second, "Retry-After was kept")
}

// brokenDestination fails, or panics, a number of times before it takes a Batch.
type brokenDestination struct {
	*destmemory.Destination
	failures atomic.Int64
	panics   bool
}

func (d *brokenDestination) Deliver(ctx context.Context, b callsheet.Batch) error {
	if d.failures.Add(-1) >= 0 {
		if d.panics {
			panic("disk full")
		}
		return fmt.Errorf("disk full")
	}
	return d.Destination.Deliver(ctx, b)
}

func TestPipeline_BrokenDestinationIsRetried(t *testing.T) {
	for _, panics := range []bool{false, true} {
		t.Run(fmt.Sprintf("panics=%v", panics), func(t *testing.T) {
			api := httptest.NewServer(text(marketsAnswer))
			defer api.Close()
			out := &brokenDestination{Destination: destmemory.New(), panics: panics}
			out.failures.Store(2)
			e := runOnce(t, marketsSheet(api.URL), callsheet.WithDestination("out", out))
			require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
			require.Len(t, e.Attempts, 3)
			want := callsheet.ClassDelivery
			if panics {
				want = callsheet.ClassPanic
			}
			assert.Equal(t, want, e.Attempts[0].Class)
			assert.Contains(t, e.Attempts[0].Error, "disk full")
			assert.Len(t, out.Records("markets"), 2)
		})
	}
}

func text(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, answer) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
}

func failFirst(n int64, code int) http.HandlerFunc {
	var calls atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) <= n {
			w.WriteHeader(code)
			return
		}
		_, _ = fmt.Fprint(w, marketsAnswer)
	}
}
