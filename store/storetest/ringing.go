package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func ringCases() []testCase {
	return []testCase{
		{"what was handed out counts as rung", "whoever plans rings at once; ringing twice would wake workers for nothing", ringNotTwice},
		{"a bell that nobody heard rings again", "a Queue may lose rings; no execution may wait for ever", ringAgain},
		{"no bell rings before its time", "a retry must not wake workers before it may be claimed", ringNotBefore},
		{"the longest waiting rings first", "a limit must not starve those that have waited longest", ringLongestFirst},
		{"only pending executions ring", "workers must not be woken for what is running or over", ringOnlyPending},
		{"backfills ring when nothing else is to be done", "a backfill of a year must not delay what is due now", ringBackfillsLast},
		{"a backfill takes no more workers than it is given", "what is due next must find a worker that is free", ringBackfillsFew},
		{"a backfill's bell that nobody heard rings again", "a lost ring must neither stop a backfill nor take up its room for ever", ringBackfillsAgain},
		{"backfills held back wake nobody", "a planner that is woken at once for what it must not ring would never sleep", ringBackfillsWake},
	}
}

func ringNotTwice(t *trial) {
	t.hasSchedule("s", next(ago(time.Minute)))
	t.plans(10, runOnce(time.Time{}))
	t.hasPending("s")
	failed := t.hasFinished("s", callsheet.StateFailed)
	_, err := t.Reopen(t.Context(), failed.ID, longLease)
	require.NoError(t, err)
	result := t.rings(longLease)
	require.Empty(t, result.IDs, "what Plan, Insert and Reopen returned was expected to count as rung")
	require.True(t, result.Wake.After(t.now()), "the next ring was expected in time to come, not at %s", result.Wake)
}

func ringAgain(t *trial) {
	t.hasSchedule("s", next(ago(time.Minute)))
	planned, err := t.Plan(t.Context(), callsheet.PlanRequest{Limit: 10, Decide: runOnce(time.Time{}), RingAgain: t.lease})
	require.NoError(t, err)
	require.Empty(t, t.rings(t.lease).IDs, "the bell was expected to be quiet at first")
	t.passes(t.lease)
	require.Equal(t, ids(planned.Executions), t.rings(t.lease).IDs, "an execution that nobody claimed was expected to ring again")
	quiet := t.rings(t.lease)
	require.Empty(t, quiet.IDs, "a bell that has just rung was expected to be quiet")
	wait := quiet.Wake.Sub(t.now())
	require.True(t, wait > -t.lease && wait <= t.lease, "the next ring was expected within %s, not in %s", t.lease, wait)
	t.passes(t.lease)
	require.Equal(t, ids(planned.Executions), t.rings(longLease).IDs, "it was expected to ring again and again")
}

func ringNotBefore(t *trial) {
	t.hasSchedule("s")
	require.True(t, t.rings(longLease).Wake.IsZero(), "with nothing pending no ring was expected")
	retry := func(delay time.Duration) callsheet.Execution {
		return t.finishes(t.hasRunning("s", longLease), callsheet.Outcome{
			State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: delay, Class: callsheet.ClassTransient,
		}).Execution
	}
	far := retry(time.Hour)
	quiet := t.rings(longLease)
	require.Empty(t, quiet.IDs, "a retry was expected not to ring before it is ready")
	require.True(t, quiet.Wake.Equal(far.NotBefore), "the next ring was expected when the retry is ready, at %s and not %s", far.NotBefore, quiet.Wake)
	near := retry(t.lease)
	require.True(t, t.rings(longLease).Wake.Equal(near.NotBefore), "the nearer retry was expected to be next")
	t.passes(t.lease)
	require.Equal(t, []string{near.ID}, t.rings(longLease).IDs, "a retry was expected to ring when it is ready")
	back := retry(0)
	require.Equal(t, []string{back.ID}, t.rings(longLease).IDs, "what is ready at once was expected to ring at once")
}

func ringLongestFirst(t *trial) {
	t.hasSchedule("s")
	var want []string
	for range 4 {
		running := t.hasRunning("s", longLease)
		t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonHandBack, Unspent: true})
		want = append(want, running.ID)
		t.passes(0)
	}
	for len(want) > 0 {
		result, err := t.Ring(t.Context(), callsheet.RingRequest{Limit: 2, Again: longLease})
		require.NoError(t, err)
		require.Equal(t, want[:2], result.IDs)
		want = want[2:]
		if len(want) > 0 {
			require.False(t, result.Wake.After(t.now()), "with bells left to ring the next ring was expected at once")
		}
	}
}

func ringOnlyPending(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonHandBack, Unspent: true})
	t.claims(running.ID, longLease)
	t.hasFinished("s", callsheet.StateFailed)
	result := t.rings(longLease)
	require.Empty(t, result.IDs)
	require.True(t, result.Wake.IsZero(), "with nothing pending no ring was expected, not at %s", result.Wake)
}

func (t *trial) ringsWith(backfills int, again time.Duration) callsheet.RingResult {
	t.Helper()
	result, err := t.Ring(t.Context(), callsheet.RingRequest{Limit: 100, Again: again, Backfills: backfills})
	require.NoError(t, err)
	return result
}

// hasBackfilled has executions of the Schedule written by a Backfill, in the order in which they are to ring.
func (t *trial) hasBackfilled(schedule string, n int) []string {
	t.Helper()
	var all []string
	for i := range n {
		written := t.backfills(schedule, past, future, func(callsheet.Schedule, []callsheet.Execution, time.Time) []callsheet.Execution {
			e := newExecution(schedule, past.Add(time.Duration(i)*time.Hour), 4)
			e.Trigger = callsheet.TriggerBackfill
			return []callsheet.Execution{e}
		})
		all = append(all, ids(written)...)
		t.passes(0)
	}
	require.Len(t, all, n)
	return all
}

func ringBackfillsLast(t *trial) {
	t.hasSchedule("s")
	backfills := t.hasBackfilled("s", 2)
	t.hasSchedule("due")
	due := t.hasPending("due")
	require.Empty(t, t.ringsWith(10, longLease).IDs, "backfills were expected to be quiet while another execution is claimable, rung for or not")
	running := t.claims(due.ID, longLease).Execution
	t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonHandBack, Unspent: true})
	require.Equal(t, []string{due.ID}, t.ringsWith(10, longLease).IDs, "what is due was expected to ring without the backfills")
	running = t.claims(due.ID, longLease).Execution
	t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Hour})
	t.hasSchedule("line", oneAtATime)
	line := t.hasLine("line", 2)
	t.claims(line[0].ID, longLease)
	require.Equal(t, backfills, t.ringsWith(10, longLease).IDs, "what is not ready, runs or waits was expected to hold back nobody; the longest waiting first")
	reopened := t.finishes(t.claims(backfills[0], longLease).Execution, callsheet.Outcome{State: callsheet.StateFailed}).Execution
	_, err := t.Reopen(t.Context(), reopened.ID, 0)
	require.NoError(t, err)
	t.hasPending("due")
	require.Empty(t, t.ringsWith(10, longLease).IDs, "a backfill that is retried by hand was expected to come last too")
}

func ringBackfillsFew(t *trial) {
	t.hasSchedule("s")
	all := t.hasBackfilled("s", 6)
	require.Empty(t, t.ringsWith(0, longLease).IDs)
	require.Equal(t, all[:2], t.ringsWith(2, longLease).IDs, "no more were expected to ring than may run")
	require.Empty(t, t.ringsWith(2, longLease).IDs, "those that were rung for were expected to count")
	running := t.claims(all[0], longLease).Execution
	require.Empty(t, t.ringsWith(2, longLease).IDs, "the one that runs was expected to count, and the one that was rung for")
	require.Equal(t, all[2:3], t.ringsWith(3, longLease).IDs)
	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
	require.Equal(t, all[3:4], t.ringsWith(3, longLease).IDs, "the end of one was expected to make room for the next")
	t.cancels(all[3], "enough")
	result, err := t.Ring(t.Context(), callsheet.RingRequest{Limit: 1, Again: longLease, Backfills: 10})
	require.NoError(t, err)
	require.Equal(t, all[4:5], result.IDs, "Ring was expected to keep to its limit")
	require.Equal(t, all[5:], t.ringsWith(10, longLease).IDs)
}

func ringBackfillsAgain(t *trial) {
	t.hasSchedule("s")
	all := t.hasBackfilled("s", 3)
	t.claims(all[0], longLease)
	require.Equal(t, all[1:], t.ringsWith(3, t.lease).IDs)
	require.Empty(t, t.ringsWith(10, t.lease).IDs, "a bell that has just rung was expected to be quiet")
	t.passes(t.lease)
	require.Empty(t, t.ringsWith(1, t.lease).IDs, "the one that runs was expected to count")
	require.Equal(t, all[1:2], t.ringsWith(2, longLease).IDs, "a bell that nobody heard was expected to count no more, and to ring again")
	require.Empty(t, t.ringsWith(2, longLease).IDs)
	require.Equal(t, all[2:], t.ringsWith(3, longLease).IDs)
}

func ringBackfillsWake(t *trial) {
	t.hasSchedule("s")
	all := t.hasBackfilled("s", 3)
	held := t.ringsWith(0, longLease)
	require.Empty(t, held.IDs)
	require.True(t, held.Wake.IsZero(), "a backfill that is held back was expected to wake nobody, not at %s", held.Wake)
	rung := t.ringsWith(1, longLease)
	require.Equal(t, all[:1], rung.IDs)
	require.True(t, rung.Wake.After(t.now()), "the next ring was expected when the one that was rung for rings again, not at %s", rung.Wake)

	running := t.claims(all[0], longLease).Execution
	retry := t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Hour}).Execution
	held = t.ringsWith(0, longLease)
	require.True(t, held.Wake.Equal(retry.NotBefore), "a backfill that is not ready was expected to wake when it is, at %s and not %s", retry.NotBefore, held.Wake)
	t.hasSchedule("due")
	nearer := t.finishes(t.hasRunning("due", longLease), callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Minute}).Execution
	require.True(t, t.ringsWith(0, longLease).Wake.Equal(nearer.NotBefore), "what is due was expected to wake when it is ready")
}
