package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An api answers in place of the network and counts its calls.
type api struct {
	calls  atomic.Int64
	answer func(call int64) string
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	body := a.answer(a.calls.Add(1))
	return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"session=secret"}, "X-Other": {"1"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// A reluctant Destination refuses a number of Batches before it takes one.
type reluctant struct {
	callsheet.Destination
	refusals atomic.Int64
}

func (d *reluctant) Deliver(ctx context.Context, b callsheet.Batch) error {
	if d.refusals.Add(-1) >= 0 {
		return errors.New("no room")
	}
	return d.Destination.Deliver(ctx, b)
}

// A reextraction is a schedule with everything that it takes to fetch, extract and deliver.
type reextraction struct {
	api         *api
	destination *reluctant
	delivered   *destmemory.Destination
	store       *memory.Store
	sched       callsheet.Scheduler
}

func newReextraction(t *testing.T, answer func(int64) string, edit func(*callsheet.Sheet)) *reextraction {
	r := &reextraction{api: &api{answer: answer}, delivered: destmemory.New(), store: memory.New()}
	r.destination = &reluctant{Destination: r.delivered}
	var err error
	r.sched, err = callsheet.New(r.store, callsheet.WithDestination("d", r.destination), callsheet.WithTransport(r.api))
	require.NoError(t, err)
	sheet := callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
		Requests:   []callsheet.Request{{ID: "get", Source: "api", Path: "/rows", Query: map[string]string{"key": "secret"}}},
		Extracts:   []callsheet.Extract{{ID: "rows", Records: "$.rows"}},
		Deliveries: []callsheet.Delivery{{ID: "out", Destination: "d", Target: "rows"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "get", Extract: "rows", Delivery: "out", RetryDelay: time.Second, MaxRetries: 2}},
	}
	if edit != nil {
		edit(&sheet)
	}
	require.NoError(t, r.sched.Define(t.Context(), sheet))
	start(t, r.sched)
	return r
}

func (r *reextraction) execute(t *testing.T) callsheet.Execution {
	t.Helper()
	e, err := r.sched.Execute(t.Context(), "s")
	require.NoError(t, err)
	time.Sleep(time.Minute)
	return execution(t, r.sched, e.ID)
}

func rows(call int64) string { return fmt.Sprintf(`{"rows":[{"call":%d}]}`, call) }

func TestAnswer_FailingDestinationCostsNoSecondCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReextraction(t, rows, nil)
		r.destination.refusals.Store(2)
		e := r.execute(t)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		require.Len(t, e.Attempts, 3)
		assert.EqualValues(t, 1, r.api.calls.Load())
		assert.False(t, e.Attempts[0].FromKept)
		assert.True(t, e.Attempts[2].FromKept)
		assert.Equal(t, 200, e.HTTPStatus)
		assert.Equal(t, `{"call":1}`, fmt.Sprint(r.delivered.Records("rows")[0]))
		_, err := r.store.Answer(t.Context(), e.ID)
		assert.Error(t, err, "what was delivered is not kept")

		r.destination.refusals.Store(3)
		e = r.execute(t)
		assert.Equal(t, callsheet.StateFailed, e.State)
		answer, err := r.store.Answer(t.Context(), e.ID)
		require.NoError(t, err)
		assert.Equal(t, http.Header{"Content-Type": {"application/json"}}, answer.Header, "no cookies")
		assert.NotContains(t, answer.URL, "secret")
		_, err = r.sched.Retry(t.Context(), e.ID)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, callsheet.StateSucceeded, execution(t, r.sched, e.ID).State)
		assert.EqualValues(t, 2, r.api.calls.Load(), "nor does a dead letter that is retried")
	})
}

func TestAnswer_ThatCouldNotBeExtractedIsFetchedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReextraction(t, func(call int64) string {
			if call == 1 {
				return `{"rows":[`
			}
			return rows(call)
		}, nil)
		e := r.execute(t)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		assert.EqualValues(t, 2, r.api.calls.Load())
	})
}

func TestAnswer_TooLargeIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReextraction(t, func(call int64) string {
			return fmt.Sprintf(`{"rows":[{"call":%d,"text":%q}]}`, call, strings.Repeat("x", callsheet.MaxAnswerBytes))
		}, nil)
		r.destination.refusals.Store(1)
		assert.Equal(t, callsheet.StateSucceeded, r.execute(t).State)
		assert.EqualValues(t, 2, r.api.calls.Load())
	})
}

func TestReextract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReextraction(t, rows, func(s *callsheet.Sheet) {
			s.Schedules[0].KeepAnswers = 1
			s.Extracts[0].Fields = []callsheet.Field{{Name: "wrong", Path: "$.nothing"}}
		})
		first, second := r.execute(t), r.execute(t)
		ctx := t.Context()
		mapping, err := r.sched.Extracts().Get(ctx, "rows")
		require.NoError(t, err)
		mapping.Fields = []callsheet.Field{{Name: "right", Path: "$.call"}}
		_, err = r.sched.Extracts().Update(ctx, mapping)
		require.NoError(t, err)

		_, err = r.sched.Reextract(ctx, first.ID)
		assert.ErrorContains(t, err, "its answer is not kept")
		again, err := r.sched.Reextract(ctx, second.ID)
		require.NoError(t, err)
		assert.Equal(t, callsheet.TriggerReextract, again.Trigger)
		assert.Equal(t, second.ID, again.AnswerOf)
		time.Sleep(time.Second)
		again = execution(t, r.sched, again.ID)
		assert.Equal(t, callsheet.StateSucceeded, again.State, again.Error)
		assert.True(t, again.FromKept)
		assert.EqualValues(t, 2, r.api.calls.Load(), "it makes no call")
		records := r.delivered.Records("rows")
		assert.Equal(t, `{"right":2}`, fmt.Sprint(records[len(records)-1]))

		third, err := r.sched.Reextract(ctx, again.ID)
		require.NoError(t, err)
		assert.Equal(t, second.ID, third.AnswerOf, "of the execution that made the call")
		_, err = r.sched.Reextract(ctx, "nowhere")
		assert.ErrorContains(t, err, "is not there")
	})
}
