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
