package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func decisionCases() []testCase {
	return []testCase{
		{"a decision cancels what is open", "the next occurrence may take the place of those before it, and of nothing else", byPlanAndChange(decisionCancels)},
		{"a decision cancels before it inserts", "an occurrence must not fall to its own schedule's rule against those before it", byPlanAndChange(decisionCancelsFirst)},
		{"a row of many occurrences finds a free key", "what stands for a time must not be lost because one of its keys is taken", byPlanAndChange(decisionMovesGaps)},
		{"a decision is applied as a whole", "the rows, the state and what is returned must be of one moment", byPlanAndChange(decisionIsWhole)},
		{"a change goes by the Store's clock", "what a pause skipped is decided by the clock that planned it", changeHasClock},
	}
}

// A decider has a Decision made of a Schedule, and returns what it came to.
type decider func(id string, decide func(s callsheet.Schedule, now time.Time) callsheet.Decision) callsheet.Changed

// byPlanAndChange runs a case once for each way in which a Decision comes to the Store, on a Schedule of its own.
func byPlanAndChange(run func(t *trial, id string, decides decider)) func(*trial) {
	return func(t *trial) {
		t.hasSchedule("changed")
		run(t, "changed", t.changes)
		t.hasSchedule("planned")
		run(t, "planned", func(id string, decide func(callsheet.Schedule, time.Time) callsheet.Decision) callsheet.Changed {
			t.Helper()
			t.fallsDue(id, past)
			result := t.plans(1, func(d callsheet.Due) callsheet.Decision {
				decided := decide(d.Schedule, d.Now)
				decided.State.NextExecutionAt = future
				return decided
			})
			require.Equal(t, 1, result.Schedules)
			return callsheet.Changed{Schedule: t.schedule(id), Inserted: result.Executions, Cancelled: result.Cancelled}
		})
	}
}

func decisionCancels(t *trial, id string, decides decider) {
	others := numbered(id, 2)
	t.hasSchedule(others)
	untouched := []callsheet.Execution{
		t.hasPending(others), t.hasPending(id), t.hasFinished(id, callsheet.StateSucceeded),
		t.hasFinished(id, callsheet.StateFailed), t.hasFinished(id, callsheet.StateCancelled), t.cancels(t.hasRunning(id, longLease).ID, "before"),
	}
	spared, marked := untouched[1], untouched[5]
	pending, running := t.hasPending(id), t.hasRunning(id, longLease)
	var asked map[string]bool
	changed := decides(id, func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
		asked = make(map[string]bool)
		return callsheet.Decision{State: s.ScheduleState, Cancel: func(e callsheet.Execution) string {
			asked[e.ID] = true
			if e.ID == spared.ID {
				return ""
			}
			return "not wanted"
		}}
	})
	require.Equal(t, map[string]bool{spared.ID: true, marked.ID: true, pending.ID: true, running.ID: true}, asked,
		"%s: Cancel was expected to be asked for the schedule's open executions, and no others", id)
	for _, e := range untouched {
		require.Equal(t, e, t.execution(e.ID), "%s: what is over, was asked to stop before, or not named was expected to be left alone", id)
	}
	require.Empty(t, changed.Inserted)
	require.ElementsMatch(t, []string{pending.ID, running.ID}, ids(changed.Cancelled), "%s: what was cancelled was expected to be returned", id)
	for _, e := range changed.Cancelled {
		require.Equal(t, t.execution(e.ID), e, "%s: what was cancelled was expected as kept", id)
		require.Equal(t, "not wanted", e.Reason)
	}
	require.Equal(t, callsheet.StateCancelled, t.execution(pending.ID).State)
	require.Equal(t, callsheet.StateRunning, t.execution(running.ID).State, "%s: what runs was expected to run until its worker stops", id)
	require.True(t, t.triesToRenew(running.ID, running.Fence, longLease).CancelRequested, "%s: the worker was expected to be told", id)
}

func decisionCancelsFirst(t *trial, id string, decides decider) {
	t.edits(id, func(s *callsheet.Schedule) { s.Overlap = callsheet.OverlapCancelPrevious })
	cancelAll := func(at time.Time) func(callsheet.Schedule, time.Time) callsheet.Decision {
		return func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
			return callsheet.Decision{
				Cancel:     func(callsheet.Execution) string { return callsheet.ReasonOvertaken },
				Executions: []callsheet.Execution{newExecution(s.ID, at, 4)},
				State:      s.ScheduleState,
			}
		}
	}
	before := t.hasPending(id)
	changed := decides(id, cancelAll(in(time.Hour)))
	require.Equal(t, []string{before.ID}, ids(changed.Cancelled), "%s: what is inserted was expected not to be cancelled", id)
	require.Len(t, changed.Inserted, 1)
	first := changed.Inserted[0]
	require.Equal(t, callsheet.StatePending, first.State)
	require.False(t, first.Waits, "%s: nobody was expected to wait for what was cancelled", id)

	running := t.claims(first.ID, longLease).Execution
	changed = decides(id, cancelAll(in(2*time.Hour)))
	require.Len(t, changed.Inserted, 1)
	second := changed.Inserted[0]
	require.True(t, second.Waits, "%s: what runs was expected to stop before the next is run", id)
	finish := t.finishes(running, callsheet.Outcome{State: callsheet.StateCancelled})
	require.True(t, finish.Released)
	t.claims(second.ID, longLease)
}

func decisionMovesGaps(t *trial, id string, decides decider) {
	at := ago(time.Hour)
	for range 2 {
		t.inserts(newExecution(id, at, 4)) // at, and a microsecond later
	}
	gap := func(count int) callsheet.Execution {
		e := newExecution(id, at, 4)
		e.State, e.Reason, e.FinishedAt = callsheet.StateSkipped, callsheet.ReasonMissed, e.CreatedAt
		e.Gap = &callsheet.Gap{First: at, Last: at.Add(time.Minute), Count: count}
		return e
	}
	more := newExecution(id, at.Add(time.Hour), 4)
	given := []callsheet.Execution{gap(5), newExecution(id, at, 4), gap(7), newExecution(id, at.Add(2*time.Microsecond), 4), more}
	inserted := decides(id, func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
		return callsheet.Decision{Executions: given, State: s.ScheduleState}
	}).Inserted
	require.Equal(t, []string{given[0].ID, given[2].ID, more.ID}, ids(inserted), "%s: an occurrence that is there was expected to be left out, a row with a gap not", id)
	for i, e := range inserted[:2] {
		want := at.Add(time.Duration(i+2) * time.Microsecond)
		require.True(t, e.ScheduledAt.Equal(want), "%s: the next free microsecond was expected: %s, not %s", id, want, e.ScheduledAt)
		require.True(t, e.Gap.First.Equal(at), "%s: the gap itself was expected to stay", id)
		require.Equal(t, e, t.execution(e.ID))
	}
	_, own := t.tallies()
	require.EqualValues(t, 12, own[id].Missed, "%s: each occurrence within a gap was expected to be counted", id)
	require.EqualValues(t, 3, own[id].Pending, "%s: what was left out was expected not to be counted", id)
}

func decisionIsWhole(t *trial, id string, decides decider) {
	t.edits(id, oneAtATime)
	before := t.schedule(id)
	t.passes(0)
	one, two := newExecution(id, ago(2*time.Hour), 4), newExecution(id, ago(time.Hour), 4)
	changed := decides(id, func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
		s.LastError = "of the decision"
		return callsheet.Decision{Executions: []callsheet.Execution{one, two}, State: s.ScheduleState}
	})
	require.Equal(t, "of the decision", changed.Schedule.LastError)
	require.Equal(t, t.schedule(id), changed.Schedule, "%s: the schedule was expected as kept", id)
	require.Equal(t, before.Version, changed.Schedule.Version, "%s: a change of state was expected to be no edit", id)
	require.Equal(t, before.UpdatedAt, changed.Schedule.UpdatedAt)
	require.Equal(t, []callsheet.Execution{t.execution(one.ID), t.execution(two.ID)}, changed.Inserted, "%s: what was inserted was expected as kept", id)
	require.False(t, changed.Inserted[0].Waits)
	require.True(t, changed.Inserted[1].Waits, "%s: the line was expected to be seen to after the inserts", id)
}

func changeHasClock(t *trial) {
	t.hasDue("s")
	before := t.now()
	var given time.Time
	resumed := t.changes("s", func(s callsheet.Schedule, now time.Time) callsheet.Decision {
		given = now
		return s.Resumed(now)
	})
	require.False(t, given.Before(before) || given.After(t.now()), "change was expected to be told the Store's now, not %s", given)
	require.True(t, resumed.Schedule.PlannedUntil.Equal(given))
	require.Len(t, resumed.Inserted, 1)
	t.hasRowOfDue("s", callsheet.ReasonPaused, past)
}
