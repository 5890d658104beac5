package storetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func lineCases() []testCase {
	return []testCase{
		{"executions of a schedule run one at a time", "two runs of the same job at once may spoil what both write", lineOneAtATime},
		{"the end of one releases the next", "who waits for what is over waits for ever", lineReleases},
		{"a retry releases nobody", "an execution that is tried again is not over", lineRetries},
		{"the line has an order", "what is due now must not wait for what makes up for the past", lineOrder},
		{"a dead letter taken up again waits its turn", "a Retry by hand must not run beside the occurrence of now", lineReopened},
		{"what comes before displaces what does not run yet", "the order must not depend on which was inserted first", lineDisplaces},
		{"runs by hand wait for nobody", "whoever asks for a run now must get one, and it must be alone from then on", lineManual},
		{"where executions may overlap nobody waits", "a schedule that allows it must not be slowed down", lineAllows},
		{"an edit of the overlap is heeded at once", "those that wait, or need no longer, must not depend on the next occurrence", lineEdited},
		{"who waits is quiet", "workers must not be woken for what they may not claim, nor people told that nobody claims it", lineQuiet},
		{"a planner knows who waits", "whether an occurrence may wait behind others is decided by how many wait already", linePlanned},
		{"who waits goes with its schedule", "nothing of a deleted schedule may be left open", lineDeleted},
		{"whatever happens at once, one runs at a time and all run", "a release that gets lost in a race stops a schedule for good; one too many runs it twice", lineRace},
	}
}

// hasLine inserts executions of the Schedule, each scheduled an hour after the one before.
func (t *trial) hasLine(schedule string, n int) []callsheet.Execution {
	t.Helper()
	var line []callsheet.Execution
	for i := range n {
		line = append(line, t.inserts(newExecution(schedule, past.Add(time.Duration(i)*time.Hour), 4)))
	}
	return line
}

// isNext requires that of the executions one may be claimed, that one, and claims it.
func (t *trial) isNext(id string, of []callsheet.Execution) callsheet.Execution {
	t.Helper()
	for _, e := range of {
		e = t.execution(e.ID)
		require.Equal(t, e.ID != id && e.State == callsheet.StatePending, e.Waits, "of those that are pending all but the next were expected to wait")
	}
	wanted := ids(of)
	slices.Reverse(wanted)
	calls := t.asksFor("worker", longLease, wanted...)
	require.Len(t, calls, 1, "one was expected to be claimable, whichever is asked for first")
	require.Equal(t, id, calls[0].Execution.ID)
	return calls[0].Execution
}

func lineOneAtATime(t *trial) {
	for _, overlap := range callsheet.Overlaps() {
		if overlap == callsheet.OverlapAllow {
			continue
		}
		id := string(overlap)
		t.hasSchedule(id, func(s *callsheet.Schedule) { s.Overlap = overlap })
		line := t.hasLine(id, 3)
		require.Equal(t, []bool{false, true, true}, []bool{line[0].Waits, line[1].Waits, line[2].Waits}, "Insert was expected to say who waits")
		require.Equal(t, callsheet.ReasonWaits, line[1].Reason, "a waiting execution was expected to say why it is not run")
		require.Equal(t, line[1], t.execution(line[1].ID))
		running := t.isNext(line[0].ID, line)
		require.Empty(t, t.asksFor("worker", longLease, ids(line)...), "nobody was expected to get an execution while another runs")
		for i := range 2 {
			require.True(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Released)
			running = t.isNext(line[i+1].ID, line)
		}
		require.False(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Released, "with nobody left nobody was expected to be released")
	}
	t.hasSchedule("other", oneAtATime)
	t.claims(t.hasPending("other").ID, longLease)
	t.hasSchedule("another", oneAtATime)
	require.False(t, t.hasPending("another").Waits, "executions were expected to wait for those of the same schedule only")
}

func lineReleases(t *trial) {
	finished := func(o callsheet.Outcome) func(callsheet.Execution) {
		return func(first callsheet.Execution) {
			require.True(t, t.finishes(t.claims(first.ID, longLease).Execution, o).Released, "Finish was expected to say that another was released")
		}
	}
	for _, c := range []struct {
		by  string
		end func(first callsheet.Execution)
	}{
		{"success", finished(callsheet.Outcome{State: callsheet.StateSucceeded})},
		{"failure", finished(callsheet.Outcome{State: callsheet.StateFailed, Class: callsheet.ClassPermanent})},
		{"its worker", finished(callsheet.Outcome{State: callsheet.StateCancelled})},
		{"a cancellation before it runs", func(first callsheet.Execution) { t.cancels(first.ID, "enough") }},
		{"a cancellation while it runs", func(first callsheet.Execution) {
			running := t.claims(first.ID, longLease).Execution
			t.cancels(first.ID, "enough")
			require.Empty(t, t.asksFor("worker", longLease, ids(t.executions(callsheet.ExecutionQuery{Schedule: first.Schedule}))...),
				"what was asked to stop was expected to be waited for until it has")
			require.True(t, t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Hour}).Released)
		}},
		{"the loss of its last worker", func(first callsheet.Execution) {
			for range callsheet.MaxLostWorkers {
				require.Empty(t, t.rings(longLease).IDs, "another attempt was expected to release nobody")
				t.claims(first.ID, time.Millisecond)
				t.passes(time.Millisecond)
				require.Len(t, t.reclaims(), 1)
			}
		}},
		{"a decision", func(first callsheet.Execution) {
			t.changes(first.Schedule, func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
				return callsheet.Decision{State: s.ScheduleState, Cancel: func(e callsheet.Execution) string {
					if e.ID == first.ID {
						return "enough"
					}
					return ""
				}}
			})
		}},
	} {
		t.hasSchedule(c.by, oneAtATime)
		line := t.hasLine(c.by, 3)
		before := t.now()
		c.end(line[0])
		second := t.execution(line[1].ID)
		require.False(t, second.Waits, "after %s the next was expected to be released", c.by)
		require.Equal(t, callsheet.StatePending, second.State)
		require.Empty(t, second.Reason)
		require.False(t, second.NotBefore.Before(before), "after %s the next was expected to be ready from then on, not since it was planned", c.by)
		require.Equal(t, []string{second.ID}, t.rings(longLease).IDs, "after %s the bell was expected to ring for the next, and for nobody else", c.by)
		t.isNext(second.ID, line)
	}
}

func lineRetries(t *trial) {
	t.hasSchedule("s", oneAtATime)
	line := t.hasLine("s", 2)
	first := t.claims(line[0].ID, longLease).Execution
	finish := t.finishes(first, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonHandBack, Unspent: true})
	require.False(t, finish.Released, "what is handed back was expected to release nobody")
	first = t.isNext(line[0].ID, line)
	finish = t.finishes(first, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: t.lease, Class: callsheet.ClassTransient})
	require.False(t, finish.Released, "an execution that waits for its retry was expected to release nobody")
	require.Empty(t, t.asksFor("worker", longLease, ids(line)...))
	t.passes(t.lease)
	t.isNext(line[0].ID, line)
}

func lineOrder(t *trial) {
	t.hasSchedule("s", oneAtATime)
	running := t.claims(t.inserts(newExecution("s", future, 4)).ID, longLease).Execution
	at := func(trigger callsheet.Trigger, hours time.Duration) callsheet.Execution {
		e := newExecution("s", past.Add(hours*time.Hour), 4)
		e.Trigger = trigger
		return t.inserts(e)
	}
	all := []callsheet.Execution{
		at(callsheet.TriggerBackfill, 2), at(callsheet.TriggerSchedule, 5), at(callsheet.TriggerBackfill, 1), at(callsheet.TriggerSchedule, 3), at(callsheet.TriggerSchedule, 4),
	}
	for _, i := range []int{3, 4, 1, 2, 0} {
		require.True(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Released)
		running = t.isNext(all[i].ID, all)
	}
}

func lineReopened(t *trial) {
	t.hasSchedule("s", oneAtATime)
	line := t.hasLine("s", 3)
	t.finishes(t.claims(line[0].ID, longLease).Execution, callsheet.Outcome{State: callsheet.StateFailed})
	running := t.claims(line[1].ID, longLease).Execution
	reopened, err := t.Reopen(t.Context(), line[0].ID, longLease)
	require.NoError(t, err)
	require.True(t, reopened.Waits, "a dead letter was expected to wait for the one that runs")
	require.Equal(t, callsheet.ReasonRetried, reopened.Reason, "a reason was expected to be kept while it waits")
	require.Equal(t, reopened, t.execution(reopened.ID), "Reopen was expected to return the execution as kept")
	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
	running = t.isNext(line[2].ID, line)
	require.True(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Released)
	require.Equal(t, callsheet.ReasonRetried, t.execution(reopened.ID).Reason)
	t.isNext(reopened.ID, line)
}

func lineDisplaces(t *trial) {
	t.hasSchedule("s", oneAtATime)
	backfilled := t.hasPendingBy(callsheet.TriggerBackfill, "s")
	late := t.inserts(newExecution("s", future, 4))
	early := t.inserts(newExecution("s", past, 4))
	all := []callsheet.Execution{backfilled, late, early}
	running := t.isNext(early.ID, all)
	first := t.inserts(newExecution("s", past.Add(-time.Hour), 4))
	require.True(t, first.Waits, "what runs was expected to be left to its end")
	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
	t.isNext(first.ID, append(all, first))

	t.hasSchedule("retried", oneAtATime)
	retried := t.hasPendingBy(callsheet.TriggerBackfill, "retried")
	running = t.claims(retried.ID, longLease).Execution
	due := t.hasPending("retried")
	finish := t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Hour})
	require.True(t, finish.Released, "what is due now was expected not to wait for the retry of what catches up")
	require.True(t, finish.Execution.Waits)
	require.Equal(t, t.execution(retried.ID), finish.Execution, "Finish was expected to return the execution as kept, the line seen to")
	t.finishes(t.isNext(due.ID, []callsheet.Execution{retried, due}), callsheet.Outcome{State: callsheet.StateSucceeded})
	retry := t.execution(retried.ID)
	require.False(t, retry.Waits)
	require.True(t, retry.NotBefore.Equal(finish.Execution.NotBefore), "a release was expected not to shorten the delay of a retry")
	require.Empty(t, t.asksFor("worker", longLease, retried.ID))
}

func lineManual(t *trial) {
	t.hasSchedule("s", oneAtATime)
	line := t.hasLine("s", 2)
	running := t.claims(line[0].ID, longLease).Execution
	manual := t.hasPendingBy(callsheet.TriggerManual, "s")
	again := t.hasPendingBy(callsheet.TriggerManual, "s")
	require.False(t, manual.Waits || again.Waits, "runs by hand were expected to wait for nobody, not for each other either")
	require.False(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Released, "a run by hand was expected to be waited for, pending or not")
	running = t.claims(manual.ID, longLease).Execution
	t.claims(again.ID, longLease)
	require.False(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Released)
	require.True(t, t.execution(line[1].ID).Waits)
	t.cancels(again.ID, "enough")
	require.True(t, t.execution(line[1].ID).Waits)
	t.finishes(t.execution(again.ID), callsheet.Outcome{State: callsheet.StateCancelled})
	t.isNext(line[1].ID, line)

	t.hasSchedule("idle", oneAtATime)
	pending := t.hasPending("idle")
	t.hasPendingBy(callsheet.TriggerManual, "idle")
	require.True(t, t.execution(pending.ID).Waits, "what does not run yet was expected to wait for a run by hand")

	t.hasSchedule("retried", oneAtATime)
	running = t.hasRunning("retried", longLease)
	t.hasPendingBy(callsheet.TriggerManual, "retried")
	finish := t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonHandBack, Unspent: true})
	require.True(t, finish.Execution.Waits, "a retry was expected to wait for a run by hand")
	require.False(t, finish.Released, "Finish was expected not to say that who has to wait was released")
}

func lineAllows(t *trial) {
	t.hasSchedule("s")
	for _, trigger := range []callsheet.Trigger{callsheet.TriggerSchedule, callsheet.TriggerBackfill, callsheet.TriggerManual, callsheet.TriggerSchedule} {
		e := t.hasPendingBy(trigger, "s")
		require.False(t, e.Waits)
		t.claims(e.ID, longLease)
	}
}

func lineEdited(t *trial) {
	t.hasSchedule("s", oneAtATime)
	line := t.hasLine("s", 5)
	running := t.claims(line[0].ID, longLease).Execution
	before := t.now()
	t.edits("s", func(s *callsheet.Schedule) { s.Overlap = callsheet.OverlapAllow })
	for _, e := range line[1:] {
		e = t.execution(e.ID)
		require.False(t, e.Waits, "all were expected to be released")
		require.Empty(t, e.Reason)
		require.False(t, e.NotBefore.Before(before))
	}
	require.ElementsMatch(t, ids(line[1:]), t.rings(longLease).IDs, "the bell was expected to ring for each that was released")
	t.claims(line[2].ID, longLease)

	sheet := newSchedule("s")
	sheet.Overlap = callsheet.OverlapQueueOne
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{sheet}})
	for _, i := range []int{1, 3, 4} {
		require.True(t, t.execution(line[i].ID).Waits, "those that do not run yet were expected to wait for those that do")
	}
	require.False(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Released, "two run: the end of one was expected to release nobody")
	t.finishes(t.execution(line[2].ID), callsheet.Outcome{State: callsheet.StateSucceeded})
	t.isNext(line[1].ID, line)
}

func lineQuiet(t *trial) {
	t.hasSchedule("s", oneAtATime)
	var line []callsheet.Execution
	for i := range 3 {
		e, err := t.Insert(t.Context(), newExecution("s", past.Add(time.Duration(i)*time.Hour), 4), time.Millisecond)
		require.NoError(t, err)
		line = append(line, e)
	}
	t.passes(t.lease)
	require.Equal(t, []string{line[0].ID}, t.rings(longLease).IDs, "the bell was expected to ring for who may be claimed only")
	survey := t.surveys(callsheet.SurveyQuery{Overdue: t.lease, Limit: 10})
	require.Equal(t, []string{line[0].ID}, ids(survey.Unclaimed), "who waits was expected not to be reported")
	require.Equal(t, 1, survey.UnclaimedCount)
	require.Equal(t, 3, survey.Pending, "who waits was expected to be pending all the same")
	require.True(t, survey.OldestReady.Equal(line[0].ScheduledAt))

	running := t.claims(line[0].ID, longLease).Execution
	quiet := t.rings(longLease)
	require.Empty(t, quiet.IDs)
	require.True(t, quiet.Wake.IsZero(), "no ring was expected for who waits, not at %s", quiet.Wake)
	survey = t.surveys(callsheet.SurveyQuery{Overdue: t.lease, Limit: 10})
	require.Zero(t, survey.UnclaimedCount)
	require.True(t, survey.OldestReady.IsZero(), "who waits was expected not to count as ready")

	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
	survey = t.surveys(callsheet.SurveyQuery{Overdue: t.lease, Limit: 10})
	require.Zero(t, survey.UnclaimedCount, "that it waited was expected not to count as a worker's delay")
	require.True(t, survey.OldestReady.Equal(line[1].ScheduledAt))
	require.Equal(t, []string{line[1].ID}, t.rings(longLease).IDs)
}

func linePlanned(t *trial) {
	at := ago(time.Hour)
	t.hasSchedule("s", next(at), func(s *callsheet.Schedule) { s.Overlap = callsheet.OverlapQueueOne })
	plan := func(wanted callsheet.Open) callsheet.Execution {
		t.Helper()
		at = at.Add(time.Minute)
		var open callsheet.Open
		result := t.plans(10, func(d callsheet.Due) callsheet.Decision {
			open = d.Open
			return runOnce(at)(d)
		})
		require.Equal(t, wanted, open)
		require.Len(t, result.Executions, 1)
		return result.Executions[0]
	}
	first := plan(callsheet.Open{})
	second := plan(callsheet.Open{All: 1})
	require.True(t, second.Waits, "Plan was expected to say who waits")
	require.Equal(t, second, t.execution(second.ID))
	plan(callsheet.Open{All: 2, Waiting: 1})
	running := t.claims(first.ID, longLease).Execution
	t.hasPendingBy(callsheet.TriggerBackfill, "s")
	failed := t.hasPendingBy(callsheet.TriggerManual, "s")
	plan(callsheet.Open{All: 4, Waiting: 2}) // what was asked for by hand is open, what catches up is not
	t.finishes(t.claims(failed.ID, longLease).Execution, callsheet.Outcome{State: callsheet.StateFailed})
	_, err := t.Reopen(t.Context(), failed.ID, longLease)
	require.NoError(t, err)
	plan(callsheet.Open{All: 4, Waiting: 3})
	require.True(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateCancelled}).Execution.State.Final())
	require.Equal(t, []string{second.ID}, t.rings(longLease).IDs, "a dead letter that is retried was expected not to be waited for")
}

func lineDeleted(t *trial) {
	t.hasSchedule("s", oneAtATime)
	line := t.hasLine("s", 3)
	running := t.claims(line[0].ID, longLease).Execution
	require.NoError(t, t.Schedules().Delete(t.Context(), "s"))
	for _, e := range line[1:] {
		e = t.execution(e.ID)
		require.Equal(t, callsheet.StateCancelled, e.State)
		require.Equal(t, callsheet.ReasonDeleted, e.Reason)
		require.False(t, e.Waits, "what is over was expected to wait for nobody")
	}
	require.False(t, t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Released)
	total, _ := t.tallies()
	require.Equal(t, recount(t.executions(callsheet.ExecutionQuery{})), asJSON(total))
}
