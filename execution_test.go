package callsheet_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

func pending() callsheet.Execution {
	return callsheet.Execution{
		ID: "e1", Schedule: "quakes", ScheduledAt: noon, Trigger: callsheet.TriggerSchedule,
		State: callsheet.StatePending, MaxAttempts: 3, CreatedAt: noon,
	}
}

func TestExecution_ClaimedByOneWorkerUntilItsLeaseEnds(t *testing.T) {
	e := pending().Claimed("w1", noon, 10*time.Second)
	assert.Equal(t, callsheet.StateRunning, e.State)
	assert.Equal(t, 1, e.Attempt)
	assert.EqualValues(t, 1, e.Fence)
	assert.Equal(t, "w1", e.Worker)
	assert.Equal(t, noon.Add(10*time.Second), e.LeaseUntil)
	assert.Equal(t, noon, e.StartedAt)
	assert.True(t, e.Held(1), "its own fence holds it")
	assert.False(t, e.Held(0), "an older fence does not")
	assert.False(t, e.Claimable(noon), "nobody else may claim it")
}

func TestExecution_NotClaimableBeforeItsTime(t *testing.T) {
	e := pending()
	assert.True(t, e.Claimable(noon))
	e.NotBefore = noon.Add(time.Second)
	assert.False(t, e.Claimable(noon))
	assert.True(t, e.Claimable(noon.Add(time.Second)))
}

func TestExecution_Finished(t *testing.T) {
	running := pending().Claimed("w1", noon, 10*time.Second)
	cancelled := running.Cancelled("not wanted", noon)
	end := noon.Add(2 * time.Second)
	for _, tc := range []struct {
		name    string
		before  callsheet.Execution
		outcome callsheet.Outcome
		state   callsheet.State
		reason  string
		attempt int
		final   bool
	}{
		{"a success is final", running, callsheet.Outcome{State: callsheet.StateSucceeded},
			callsheet.StateSucceeded, "", 1, true},
		{"a failure with retries left is pending again, its attempt spent", running,
			callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Class: callsheet.ClassTransient, Delay: time.Minute},
			callsheet.StatePending, callsheet.ReasonRetry, 1, false},
		{"a throttled attempt is given back", running,
			callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonThrottled, Class: callsheet.ClassThrottled, Unspent: true, Delay: time.Minute},
			callsheet.StatePending, callsheet.ReasonThrottled, 0, false},
		{"a failure is final", running, callsheet.Outcome{State: callsheet.StateFailed, Reason: callsheet.ReasonExhausted},
			callsheet.StateFailed, callsheet.ReasonExhausted, 1, true},
		{"a cancellation turns a retry into cancelled, with the canceller's words", cancelled,
			callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry},
			callsheet.StateCancelled, "not wanted", 1, true},
		{"a cancellation that comes too late does not undo a success", cancelled,
			callsheet.Outcome{State: callsheet.StateSucceeded},
			callsheet.StateSucceeded, "", 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := tc.before.Finished(tc.outcome, end)
			assert.Equal(t, tc.state, e.State)
			assert.Equal(t, tc.reason, e.Reason)
			assert.Equal(t, tc.attempt, e.Attempt)
			assert.Empty(t, e.Worker, "nobody holds it any more")
			assert.False(t, e.Held(1), "its fence is stale now")
			require.Len(t, e.Attempts, 1)
			assert.Equal(t, 2*time.Second, e.Attempts[0].Duration())
			assert.Equal(t, tc.outcome.Unspent, e.Attempts[0].Unspent)
			if tc.final {
				assert.Equal(t, end, e.FinishedAt)
				assert.False(t, e.CancelRequested)
			} else {
				assert.Equal(t, end.Add(time.Minute), e.NotBefore)
				assert.Zero(t, e.FinishedAt)
			}
		})
	}
}

func TestExecution_FinishedLeavesTheRowBeforeAlone(t *testing.T) {
	e := pending()
	for range 3 {
		e = e.Claimed("w", noon, time.Second)
		before := e
		e = e.Finished(callsheet.Outcome{State: callsheet.StatePending}, noon)
		assert.Len(t, before.Attempts, len(e.Attempts)-1)
	}
}

func TestExecution_HistoryIsBounded(t *testing.T) {
	e := pending()
	for range 150 {
		e = e.Claimed("w", noon, time.Second).Finished(callsheet.Outcome{State: callsheet.StatePending, Unspent: true}, noon)
	}
	require.Len(t, e.Attempts, 100)
	assert.EqualValues(t, 150, e.Attempts[99].Fence, "the latest are kept")
}

func TestExecution_ThirdLostWorkerIsTheLast(t *testing.T) {
	e := pending()
	for i := range callsheet.MaxLostWorkers {
		e = e.Claimed("w", noon, time.Second)
		e = e.Finished(e.Lost(), noon.Add(2*time.Second))
		assert.Zero(t, e.Attempt, "a lost worker costs no attempt")
		if i < callsheet.MaxLostWorkers-1 {
			assert.Equal(t, callsheet.StatePending, e.State)
		}
	}
	assert.Equal(t, callsheet.StateFailed, e.State)
	assert.Equal(t, callsheet.ClassLostWorker, e.Class)
}

func TestExecution_ReopenedHasFreshAttemptsAndItsHistory(t *testing.T) {
	e := pending().Claimed("w", noon, time.Second).Finished(callsheet.Outcome{State: callsheet.StateFailed, Class: callsheet.ClassPermanent}, noon)
	e = e.Reopened(4, noon)
	assert.Equal(t, callsheet.StatePending, e.State)
	assert.Equal(t, 5, e.MaxAttempts, "one spent, four more")
	assert.Len(t, e.Attempts, 1)
	assert.Zero(t, e.FinishedAt)
}

func TestExecution_JSONRoundTrip(t *testing.T) {
	e := pending().Claimed("w", noon, time.Second).Finished(callsheet.Outcome{
		State:  callsheet.StateSucceeded,
		Result: callsheet.Result{HTTPStatus: 200, Bytes: 5, Records: 1, Timings: callsheet.Timings{Fetch: 12 * time.Millisecond}},
	}, noon)
	b, err := json.Marshal(e)
	require.NoError(t, err)
	assert.Contains(t, string(b), `"fetch":"12ms"`)
	var back callsheet.Execution
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, e, back)
}

func TestSchedule_JSONRoundTrip(t *testing.T) {
	s := callsheet.Schedule{ID: "quakes", Cron: "*/5 * * * *", RetryDelay: 90 * time.Second,
		ScheduleState: callsheet.ScheduleState{Status: callsheet.StatusActive, NextExecutionAt: noon}}
	b, err := json.Marshal(s)
	require.NoError(t, err)
	assert.Contains(t, string(b), `"retry_delay":"1m30s"`)
	assert.Contains(t, string(b), `"next_execution_at":"2026-03-29T12:00:00Z"`)
	var back callsheet.Schedule
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, s, back)

	err = json.Unmarshal([]byte(`{"retry_delay":"soon"}`), &back)
	assert.ErrorContains(t, err, `duration "soon": must be a number with a unit`)
}

func TestSchedule_Recorded(t *testing.T) {
	active := callsheet.Schedule{ID: "quakes", PauseAfterFailures: 3,
		ScheduleState: callsheet.ScheduleState{Status: callsheet.StatusActive, NextExecutionAt: noon}}
	running := pending().Claimed("w", noon, time.Second)
	failed := running.Finished(callsheet.Outcome{State: callsheet.StateFailed}, noon)
	succeeded := running.Finished(callsheet.Outcome{State: callsheet.StateSucceeded}, noon)

	s := active
	s.ScheduleState = s.Recorded(running, failed, noon)
	assert.Equal(t, callsheet.StatusFailed, s.Status)
	assert.Equal(t, noon, s.FailingSince)
	assert.EqualValues(t, 1, s.FailureCount)
	assert.Equal(t, noon, s.NextExecutionAt, "a failed schedule goes on")

	recovered := s
	recovered.ScheduleState = s.Recorded(running, succeeded, noon)
	assert.Equal(t, callsheet.StatusActive, recovered.Status)
	assert.Zero(t, recovered.ConsecutiveFailures)
	assert.EqualValues(t, 1, recovered.FailureCount, "what happened stays counted")
	assert.EqualValues(t, 2, recovered.ExecutionCount)

	s.ScheduleState = s.Recorded(running, failed, noon)
	s.ScheduleState = s.Recorded(running, failed, noon)
	assert.Equal(t, callsheet.StatusPaused, s.Status, "the third failure in a row pauses it")
	assert.Equal(t, "3 failures in a row", s.PauseReason)
	assert.Zero(t, s.NextExecutionAt)

	s.ScheduleState = s.Resumed(noon).State
	assert.Equal(t, callsheet.StatusActive, s.Status)
	assert.Zero(t, s.ConsecutiveFailures, "after Resume failures count anew")

	paused := active
	paused.ScheduleState = paused.Paused("holiday", noon)
	paused.ScheduleState = paused.Recorded(running, succeeded, noon)
	assert.Equal(t, callsheet.StatusPaused, paused.Status, "a success does not end a pause")

	retried := running.Finished(callsheet.Outcome{State: callsheet.StatePending}, noon)
	assert.Equal(t, active.ScheduleState, active.Recorded(running, retried, noon), "a retry changes nothing")
}

func TestTally_IsWhatARecountGives(t *testing.T) {
	var tally callsheet.Tally
	e := pending()
	tally.Applied(nil, e)
	step := func(after callsheet.Execution) {
		before := e
		tally.Applied(&before, after)
		e = after
	}
	step(e.Claimed("w", noon, time.Second))
	step(e.Finished(callsheet.Outcome{State: callsheet.StatePending, Class: callsheet.ClassTransient, Result: callsheet.Result{Bytes: 7, Records: 9}}, noon.Add(time.Second)))
	step(e.Claimed("w", noon, time.Second))
	step(e.Finished(callsheet.Outcome{State: callsheet.StateSucceeded, Result: callsheet.Result{Bytes: 10, Records: 2}}, noon.Add(time.Second)))

	var recount callsheet.Tally
	recount.Applied(nil, e)
	assert.Equal(t, recount, tally)
	assert.EqualValues(t, 1, tally.Succeeded)
	assert.EqualValues(t, 2, tally.Attempts)
	assert.EqualValues(t, 17, tally.Bytes)
	assert.EqualValues(t, 2, tally.Records, "only what succeeded counts as records")
}

func TestHistogram_QuantilesAreRightToFivePercent(t *testing.T) {
	var h callsheet.Histogram
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.9: 900 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		assert.InEpsilon(t, want, h.Quantile(q), 0.05, "quantile %v", q)
	}
	assert.Zero(t, callsheet.Histogram{}.Quantile(0.5))
	b, err := json.Marshal(h)
	require.NoError(t, err)
	var back callsheet.Histogram
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, h, back)
}
