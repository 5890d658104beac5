package callsheet

import (
	"errors"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet/fetch"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// live takes e through attempts that end with what next says, until it is over or gone on for the limit, and returns it.
func live(e Execution, sch Schedule, limit time.Duration, next func(i int) error) (Execution, Tally) {
	var tally Tally
	begun := e.NotBefore
	for i, now := 0, begun; e.State == StatePending && now.Sub(begun) < limit; i, now = i+1, e.NotBefore {
		running := e.Claimed("w", now, time.Minute)
		o := judge(running, sch, Result{}, next(i), now, 0.5)
		e = running.Finished(o, now.Add(100*time.Millisecond))
		tally.Applied(&running, e)
	}
	return e, tally
}

func TestExecution_IsThrottledForADayAtMost(t *testing.T) {
	begin := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	sch := Schedule{MaxRetries: 2, RetryDelay: 10 * time.Second, MaxRetryDelay: 5 * time.Minute}
	throttled := &fetch.Error{Kind: fetch.KindStatus, Status: 429, RetryAfter: time.Minute}
	limited, open := &WaitError{Wait: 5 * time.Second, Reason: ReasonLimited}, &WaitError{Wait: time.Minute, Reason: ReasonCircuit}
	inTurn := func(errs ...error) func(int) error { return func(i int) error { return errs[i%len(errs)] } }
	for _, tc := range []struct {
		name     string
		next     func(int) error
		attempts int64 // at least so many are counted
	}{
		{"by the API alone", inTurn(throttled), 280},
		{"by the API, with waits for limits in between", inTurn(throttled, limited), 280},
		{"by the API, with limits and circuits in between", inTurn(throttled, limited, open, limited), 100},
		{"by a circuit alone", inTurn(open), 0},
		{"by a circuit, with waits for limits in between", inTurn(open, limited), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := Execution{ID: "e", State: StatePending, MaxAttempts: 3, CreatedAt: begin, NotBefore: begin}
			e, _ = live(e, sch, time.Second, inTurn(errors.New("broken pipe")))
			e.NotBefore = begin
			e, tally := live(e, sch, 10*MaxThrottled, tc.next)
			require.Equal(t, StateFailed, e.State)
			assert.Equal(t, ReasonExhausted, e.Reason)
			assert.WithinDuration(t, begin.Add(MaxThrottled), e.FinishedAt, 10*time.Minute)
			assert.Equal(t, "broken pipe", e.Attempts[0].Error, "what happened before was expected in the history")
			assert.LessOrEqual(t, len(e.Attempts), 1+maxThrottledHistory+2+1, "the row, its latest, and the last straw")
			assert.GreaterOrEqual(t, tally.Attempts, tc.attempts, "each was expected to be counted")
			assert.Less(t, tally.Stats().P99, time.Second, "and how long it took itself")
			for i, a := range e.Attempts[1:] {
				assert.Greater(t, a.Fence, e.Attempts[i].Fence)
			}

			again := e.Reopened(3, e.FinishedAt.Add(time.Hour))
			retried, _ := live(again, sch, MaxThrottled-time.Hour, tc.next)
			assert.Equal(t, StatePending, retried.State, "after Retry another day was expected to begin")
			retried, _ = live(again, sch, 10*MaxThrottled, tc.next)
			assert.Equal(t, StateFailed, retried.State)
		})
	}
}

func TestExecution_AWaitForALimitIsNoneForACircuit(t *testing.T) {
	begin := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	e := Execution{ID: "e", State: StatePending, MaxAttempts: 3, CreatedAt: begin, NotBefore: begin}
	e, _ = live(e, Schedule{}, 3*MaxThrottled, func(int) error { return &WaitError{Wait: time.Hour, Reason: ReasonLimited} })
	require.Equal(t, StatePending, e.State, "it has no end")
	e, _ = live(e, Schedule{}, MaxThrottled-2*time.Hour, func(int) error { return &WaitError{Wait: time.Hour, Reason: ReasonCircuit} })
	assert.Equal(t, StatePending, e.State, "the day was expected to begin with the circuit")
}
