package storetest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

// A walker does things to a Store at random. It remembers what it was told, to compare.
type walker struct {
	*trial
	random     *rand.Rand
	from       time.Time // when the schedules' first occurrences are
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
		decided := decision(d, at.Add(time.Duration(w.random.IntN(2))*time.Second)) // sometimes the same again
		switch w.random.IntN(5) {
		case 0:
			decided.Executions = []callsheet.Execution{skipped(d, at, callsheet.ReasonOverlap, nil)}
		case 1:
			decided.Executions = []callsheet.Execution{skipped(d, at.Add(-time.Hour), callsheet.ReasonMissed, w.gap(at)), occurrence(d)}
		case 2:
			decided.Cancel = w.cancelSome()
			decided.Executions = []callsheet.Execution{occurrence(d)}
		default:
			decided.Executions = []callsheet.Execution{occurrence(d)}
		}
		return decided
	})
	w.executions = append(w.executions, ids(result.Executions)...)
}

func (w *walker) gap(at time.Time) *callsheet.Gap {
	return &callsheet.Gap{First: at, Last: at, Count: 1 + w.random.IntN(100)}
}

// cancelSome names about half of the executions, always the same for the same.
func (w *walker) cancelSome() func(callsheet.Execution) string {
	odd := byte(w.random.IntN(2))
	return func(e callsheet.Execution) string {
		if e.ID[len(e.ID)-1]%2 == odd {
			return "by a decision"
		}
		return ""
	}
}

func (w *walker) insert() {
	trigger := []callsheet.Trigger{callsheet.TriggerSchedule, callsheet.TriggerSchedule, callsheet.TriggerManual, callsheet.TriggerBackfill}[w.random.IntN(4)]
	w.executions = append(w.executions, w.hasPendingBy(trigger, w.any(w.schedules)).ID)
}

func (w *walker) backfill() {
	id := w.any(w.schedules)
	from := w.from.Add(time.Duration(w.random.IntN(20)) * time.Second)
	written := w.backfills(id, from, from.Add(20*time.Second), func(s callsheet.Schedule, there []callsheet.Execution, now time.Time) []callsheet.Execution {
		var changes []callsheet.Execution
		for _, e := range there {
			if e.State != callsheet.StateSkipped {
				continue
			}
			switch w.random.IntN(3) {
			case 0:
				e.State, e.Reason, e.Gap, e.FinishedAt, e.Trigger = callsheet.StatePending, "", nil, time.Time{}, callsheet.TriggerBackfill
			case 1:
				e.ScheduledAt, e.Gap = e.ScheduledAt.Add(time.Second), w.gap(e.ScheduledAt)
			}
			changes = append(changes, e)
		}
		return append(changes, backfilled(s.ID, from), missed(s.ID, from, 1+w.random.IntN(9)))
	})
	for _, e := range written {
		if !slices.Contains(w.executions, e.ID) {
			w.executions = append(w.executions, e.ID)
		}
	}
}

func (w *walker) edit() {
	w.edits(w.any(w.schedules), func(s *callsheet.Schedule) {
		switch w.random.IntN(4) {
		case 0:
			s.StartAt = s.StartAt.Add(time.Hour)
		case 1:
			s.Name += "'"
		default:
			s.Overlap = callsheet.Overlaps()[w.random.IntN(len(callsheet.Overlaps()))]
		}
	})
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
	switch w.random.IntN(7) {
	case 0, 1:
		o.State = callsheet.StateSucceeded
	case 2:
		o.State, o.Reason, o.Class = callsheet.StateFailed, callsheet.ReasonPermanent, callsheet.ClassPermanent
	case 3:
		o.State, o.Reason, o.Class = callsheet.StatePending, callsheet.ReasonRetry, callsheet.ClassTransient
	case 4:
		o.State, o.Reason, o.Class, o.Unspent = callsheet.StatePending, callsheet.ReasonThrottled, callsheet.ClassThrottled, true
	case 5, 6:
		o.State, o.Reason, o.Class, o.Unspent = callsheet.StatePending, callsheet.ReasonLimited, callsheet.ClassThrottled, true
		o.Waited = callsheet.ReasonLimited
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

// resume ends a pause, if there is one, and sets the schedule back or ahead.
func (w *walker) resume() {
	changed := w.changes(w.any(w.schedules), func(s callsheet.Schedule, now time.Time) callsheet.Decision {
		d := callsheet.Decision{State: s.ScheduleState}
		if s.Status == callsheet.StatusPaused {
			d = s.Resumed(now)
		}
		d.State.NextExecutionAt = w.from.Add(time.Duration(w.random.IntN(60)) * time.Second)
		return d
	})
	w.executions = append(w.executions, ids(changed.Inserted)...)
}

// seesLines requires that every schedule's line is such that nobody in it would have to move.
func (w *walker) seesLines() {
	w.Helper()
	now := w.now()
	for _, id := range w.schedules {
		var up []callsheet.Execution
		var next *callsheet.Execution
		for _, e := range w.trial.executions(callsheet.ExecutionQuery{
			Schedule: id, Limit: 1000, States: []callsheet.State{callsheet.StatePending, callsheet.StateRunning},
		}) {
			switch {
			case !e.Waits:
				up = append(up, e)
			case next == nil || e.Before(*next) < 0:
				next = &e
			}
		}
		require.Empty(w, w.schedule(id).Line(slices.ContainsFunc(up, callsheet.Execution.Busy), slices.DeleteFunc(up, callsheet.Execution.Busy), next, now), "the line of schedule %s was expected to be seen to", id)
	}
}
