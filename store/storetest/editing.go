package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func editCases() []testCase {
	return []testCase{
		{"an edit of times supersedes what is pending", "an execution of the old times must not run beside those of the new ones", editSupersedes},
		{"an edit of times accounts for what was due", "what fell due by the old times and was not planned must not vanish without a row", editAccounts},
		{"an edit of anything else leaves occurrences alone", "a schedule that is renamed must lose nothing that is pending or due", editLeaves},
		{"a disabled schedule runs nothing", "disabling is an edit of times: what is pending goes, and what comes while disabled is nobody's", editDisables},
		{"a deleted schedule accounts for what was due", "history must say that the schedule was gone, not look as if somebody forgot", deletedAccounts},
	}
}

// hasDue creates a Schedule of which three occurrences are due, from past on, every hour.
func (t *trial) hasDue(id string, edits ...func(*callsheet.Schedule)) callsheet.Schedule {
	t.Helper()
	return t.hasSchedule(id, append(edits, hourly(past, 3), next(past))...)
}

// hasRowOfDue requires one skipped row of the three occurrences of hasDue, at that time.
func (t *trial) hasRowOfDue(id, reason string, at time.Time) {
	t.Helper()
	rows := t.executions(callsheet.ExecutionQuery{Schedule: id, States: []callsheet.State{callsheet.StateSkipped}})
	require.Len(t, rows, 1, "one row was expected of all that was due")
	require.Equal(t, reason, rows[0].Reason)
	require.Equal(t, &callsheet.Gap{First: past, Last: past.Add(2 * time.Hour), Count: 3}, rows[0].Gap)
	require.True(t, rows[0].ScheduledAt.Equal(at), "the row was expected at %s, not at %s", at, rows[0].ScheduledAt)
	require.False(t, rows[0].FinishedAt.IsZero())
}

func editSupersedes(t *trial) {
	byUpdate := func(id string) { t.edits(id, func(s *callsheet.Schedule) { s.Cron = "5 * * * *" }) }
	byDefine := func(id string) {
		s := newSchedule(id)
		s.Every, s.Type, s.Cron = time.Hour, callsheet.TypeInterval, ""
		t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{s}})
	}
	for id, edit := range map[string]func(id string){"updated": byUpdate, "defined": byDefine} {
		t.hasSchedule(id)
		pending, backfilled := t.hasPending(id), t.hasPendingBy(callsheet.TriggerBackfill, id)
		running, manual := t.hasRunning(id, longLease), t.hasPendingBy(callsheet.TriggerManual, id)
		retry := t.finishes(t.hasRunning(id, longLease), callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Hour}).Execution
		done := t.hasFinished(id, callsheet.StateFailed)
		edit(id)
		for _, e := range []callsheet.Execution{pending, retry} {
			e = t.execution(e.ID)
			require.Equal(t, callsheet.StateCancelled, e.State, "%s: what was pending was expected to be superseded", id)
			require.Equal(t, callsheet.ReasonSuperseded, e.Reason)
			require.False(t, e.FinishedAt.IsZero(), "a cancelled execution was expected to say when it ended")
		}
		for _, e := range []callsheet.Execution{running, backfilled, manual, done} {
			require.Equal(t, e, t.execution(e.ID), "%s: what runs, is over, or was asked for by hand was expected to be left alone", id)
		}
		t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
		require.Len(t, t.asksFor("worker", longLease, pending.ID, backfilled.ID, retry.ID, manual.ID), 2)
	}
}

func editAccounts(t *trial) {
	t.hasDue("s")
	before := t.now()
	edited := t.edits("s", func(s *callsheet.Schedule) { s.Cron, s.StartAt, s.EndAt = "30 * * * *", future, time.Time{} })
	t.hasRowOfDue("s", callsheet.ReasonSuperseded, past)
	require.False(t, edited.PlannedUntil.Before(before), "the new times were expected to count from now")
	require.True(t, edited.NextExecutionAt.Equal(future.Add(30*time.Minute)))
	require.Zero(t, t.plans(10, runOnce(time.Time{})).Schedules, "what is accounted for was expected not to be due any more")
	total, _ := t.tallies()
	require.EqualValues(t, 3, total.Missed, "each occurrence was expected to be counted")

	t.hasDue("taken")
	t.inserts(newExecution("taken", past, 4))
	t.edits("taken", func(s *callsheet.Schedule) { s.Zone = "America/New_York" })
	t.hasRowOfDue("taken", callsheet.ReasonSuperseded, past.Add(time.Microsecond))

	t.hasDue("paused")
	t.pauses("paused")
	t.edits("paused", func(s *callsheet.Schedule) { s.Cron = "30 * * * *" })
	t.hasRowOfDue("paused", callsheet.ReasonPaused, past)

	t.hasDue("defined")
	defined := newSchedule("defined")
	hourly(past, 4)(&defined)
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{defined}})
	t.hasRowOfDue("defined", callsheet.ReasonSuperseded, past)
}

func editLeaves(t *trial) {
	t.hasDue("s")
	pending, running := t.hasPending("s"), t.hasRunning("s", longLease)
	before := t.schedule("s")
	for what, edit := range map[string]func(*callsheet.Schedule){
		"name":      func(s *callsheet.Schedule) { s.Name = "edited" },
		"retries":   func(s *callsheet.Schedule) { s.MaxRetries = callsheet.NoRetries },
		"max runs":  func(s *callsheet.Schedule) { s.MaxRuns = 10 },
		"misfire":   func(s *callsheet.Schedule) { s.Misfire = callsheet.MisfireAll },
		"blackouts": func(s *callsheet.Schedule) { s.Blackouts = []callsheet.Blackout{{Cron: "0 0 * * *", For: time.Hour}} },
	} {
		edited := t.edits("s", edit)
		require.Equal(t, before.ScheduleState, edited.ScheduleState, "an edit of the %s was expected to leave the state", what)
		require.Equal(t, pending, t.execution(pending.ID), "an edit of the %s was expected to leave what is pending", what)
		require.Equal(t, running, t.execution(running.ID), "an edit of the %s was expected to leave what runs", what)
	}
	jittered := t.edits("s", func(s *callsheet.Schedule) { s.Jitter = time.Hour })
	delay := jittered.NextExecutionAt.Sub(past)
	require.True(t, delay >= 0 && delay < time.Hour, "jitter was expected to move when the same occurrence is planned, by %s", delay)
	require.True(t, jittered.PlannedUntil.Equal(before.PlannedUntil))
	require.Len(t, t.executions(callsheet.ExecutionQuery{}), 2, "no rows were expected of an edit that leaves the times alone")
	require.Equal(t, 1, t.plans(10, runOnce(time.Time{})).Schedules, "what was due was expected to be due still")
}

func editDisables(t *trial) {
	t.hasDue("s")
	pending := t.hasPending("s")
	disabled := t.edits("s", func(s *callsheet.Schedule) { s.Disabled = true })
	require.True(t, disabled.NextExecutionAt.IsZero())
	require.Equal(t, callsheet.ReasonSuperseded, t.execution(pending.ID).Reason)
	t.hasRowOfDue("s", callsheet.ReasonSuperseded, past)
	t.changes("s", func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
		s.PlannedUntil = past.Add(-time.Hour)
		return callsheet.Decision{State: s.ScheduleState}
	})
	before := t.now()
	enabled := t.edits("s", func(s *callsheet.Schedule) { s.Disabled, s.EndAt = false, time.Time{} })
	require.False(t, enabled.PlannedUntil.Before(before), "what fell due while the schedule was disabled was expected not to be run")
	require.True(t, enabled.NextExecutionAt.After(before))
	require.Len(t, t.executions(callsheet.ExecutionQuery{}), 2, "what fell due while the schedule was disabled was expected to leave no row")
}

func deletedAccounts(t *trial) {
	t.hasDue("s")
	t.inserts(newExecution("s", past, 4))
	require.NoError(t, t.Schedules().Delete(t.Context(), "s"))
	t.hasRowOfDue("s", callsheet.ReasonDeleted, past.Add(time.Microsecond))
	total, _ := t.tallies()
	require.EqualValues(t, 3, total.Missed)
	require.EqualValues(t, 1, total.Cancelled)
	t.hasSchedule("s")
	require.NoError(t, t.Schedules().Delete(t.Context(), "s"))
	t.hasRowOfDue("s", callsheet.ReasonDeleted, past.Add(time.Microsecond))
}
