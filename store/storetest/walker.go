package storetest

import (
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

// A walker does things to a Store at random. It remembers what it was told, to compare.
type walker struct {
	*trial
	random     *rand.Rand
	schedules  []string
	executions []string
	ended      map[string]int64 // ends by success or failure, by schedule
	stale      int64            // writes that were refused
}

func (w *walker) any(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return all[w.random.IntN(len(all))]
}

// some is an execution as it is, preferably one in the state; false if there is none.
func (w *walker) some(state callsheet.State) (callsheet.Execution, bool) {
	w.Helper()
	if len(w.executions) == 0 {
		return callsheet.Execution{}, false
	}
	var e callsheet.Execution
	for range 5 {
		if e = w.execution(w.any(w.executions)); e.State == state {
			break
		}
	}
	return e, true
}

func (w *walker) saw(before, after callsheet.Execution) {
	// An execution counts with its first end, whatever becomes of it when it is taken up again.
	if before.State != after.State && after.Reopenings == 0 && (after.State == callsheet.StateSucceeded || after.State == callsheet.StateFailed) {
		w.ended[after.Schedule]++
	}
}

func (w *walker) plan() {
	result := w.plans(1+w.random.IntN(3), func(d callsheet.Due) callsheet.Decision {
		at := d.Schedule.NextExecutionAt
		decision := callsheet.Decision{Next: at.Add(time.Duration(w.random.IntN(2)) * time.Second)} // sometimes the same again
		switch w.random.IntN(4) {
		case 0:
			decision.Executions = []callsheet.Execution{skipped(d, at, callsheet.ReasonOverlap, nil)}
		case 1:
			gap := &callsheet.Gap{First: at, Last: at, Count: 1 + w.random.IntN(100)}
			decision.Executions = []callsheet.Execution{skipped(d, at.Add(-time.Hour), callsheet.ReasonMissed, gap), occurrence(d)}
		default:
			decision.Executions = []callsheet.Execution{occurrence(d)}
		}
		return decision
	})
	w.executions = append(w.executions, ids(result.Executions)...)
}

func (w *walker) insert() {
	w.executions = append(w.executions, w.hasPending(w.any(w.schedules)).ID)
}

func (w *walker) claim() {
	lease := longLease
	if w.random.IntN(4) == 0 {
		lease = time.Millisecond
	}
	w.asksFor("walker", lease, w.any(w.executions), w.any(w.executions), w.any(w.executions))
}

func (w *walker) finish() {
	e, ok := w.some(callsheet.StateRunning)
	if !ok {
		return
	}
	o := callsheet.Outcome{
		ExecutionID: e.ID, Fence: e.Fence - int64(w.random.IntN(8)/7), // sometimes stale
		Result: callsheet.Result{Bytes: w.random.Int64N(1000), Records: w.random.Int64N(10)},
	}
	switch w.random.IntN(5) {
	case 0, 1:
		o.State = callsheet.StateSucceeded
	case 2:
		o.State, o.Reason, o.Class = callsheet.StateFailed, callsheet.ReasonPermanent, callsheet.ClassPermanent
	case 3:
		o.State, o.Reason, o.Class = callsheet.StatePending, callsheet.ReasonRetry, callsheet.ClassTransient
	case 4:
		o.State, o.Reason, o.Class, o.Unspent = callsheet.StatePending, callsheet.ReasonThrottled, callsheet.ClassThrottled, true
	}
	finish := w.triesToFinish(o)
	if !e.Held(o.Fence) {
		require.ErrorIs(w, finish.Err, callsheet.ErrStaleFence)
		w.stale++
		return
	}
	require.NoError(w, finish.Err)
	w.saw(e, finish.Execution)
}

func (w *walker) renew() {
	e, ok := w.some(callsheet.StateRunning)
	if !ok {
		return
	}
	renewal := w.triesToRenew(e.ID, e.Fence, longLease)
	require.Equal(w, e.State != callsheet.StateRunning, renewal.Err != nil, "only what is running was expected to be renewed")
}

func (w *walker) cancel() {
	if e, ok := w.some(callsheet.StatePending); ok && w.random.IntN(3) == 0 {
		w.cancels(e.ID, "at random")
	}
}

func (w *walker) reopen() {
	e, ok := w.some(callsheet.StateFailed)
	if !ok {
		return
	}
	if _, err := w.Reopen(w.Context(), e.ID, longLease); e.State != callsheet.StateFailed {
		require.Error(w, err, "an execution that is %s was expected not to be reopened", e.State)
	}
}

func (w *walker) reclaim() {
	w.passes(time.Millisecond)
	for _, e := range w.reclaims() {
		w.saw(callsheet.Execution{State: callsheet.StateRunning}, e)
	}
}

func (w *walker) resume() {
	_, err := w.ChangeSchedule(w.Context(), w.any(w.schedules), func(s callsheet.Schedule) (callsheet.ScheduleState, error) {
		if s.Status != callsheet.StatusPaused {
			return s.ScheduleState, nil
		}
		return s.Resumed(ago(time.Hour)), nil
	})
	require.NoError(w, err)
}
