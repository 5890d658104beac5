package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func cancelCases() []testCase {
	return []testCase{
		{"a pending execution is cancelled at once", "what nobody runs needs nobody's consent", cancelPending},
		{"a running execution is asked to stop", "only its worker can stop what runs; it must learn of it, and no retry may follow", cancelRunning},
		{"a cancellation may come too late", "what was done before the worker heard of it was done", cancelTooLate},
		{"a final execution stays as it is", "history must not be rewritten", cancelFinal},
		{"a lost worker's cancelled execution ends", "an execution that is to stop must not be handed to the next worker", cancelLost},
	}
}

func (t *trial) cancels(id, reason string) callsheet.Execution {
	t.Helper()
	before := t.execution(id)
	e, changed, err := t.Cancel(t.Context(), id, reason)
	require.NoError(t, err)
	require.Equal(t, !before.State.Final() && !before.CancelRequested, changed, "Cancel of an execution that is %s was expected to say whether it changed it", before.State)
	require.Equal(t, e, t.execution(id), "Cancel was expected to return the execution as kept")
	return e
}

func cancelPending(t *trial) {
	t.hasSchedule("s")
	pending := t.hasPending("s")
	e := t.cancels(pending.ID, "not needed")
	require.Equal(t, callsheet.StateCancelled, e.State)
	require.Equal(t, "not needed", e.Reason)
	require.False(t, e.FinishedAt.IsZero())
	require.Empty(t, t.asksFor("worker", longLease, pending.ID))
	total, _ := t.tallies()
	require.EqualValues(t, 1, total.Cancelled)
	require.Zero(t, total.Pending)

	_, _, err := t.Cancel(t.Context(), "absent", "")
	isNotFound(t, callsheet.Ref{Kind: callsheet.KindExecution, ID: "absent"}, err)
}

func cancelRunning(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	require.False(t, t.triesToRenew(running.ID, running.Fence, longLease).CancelRequested)
	e := t.cancels(running.ID, "enough")
	require.Equal(t, callsheet.StateRunning, e.State, "a running execution was expected to run until its worker stops")
	require.True(t, e.CancelRequested)
	require.Equal(t, e, t.cancels(running.ID, "enough, I said"), "a second request was expected to change nothing")
	require.True(t, t.triesToRenew(running.ID, running.Fence, longLease).CancelRequested, "the worker was expected to be told when it renews")
	done := t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Class: callsheet.ClassTransient}).Execution
	require.Equal(t, callsheet.StateCancelled, done.State, "a retry was expected to become a cancellation")
	require.Equal(t, "enough", done.Reason)
	require.False(t, done.CancelRequested, "what is over was expected not to wait for its end")
	require.Empty(t, t.asksFor("worker", longLease, running.ID))
}

func cancelTooLate(t *trial) {
	t.hasSchedule("s")
	for _, state := range []callsheet.State{callsheet.StateSucceeded, callsheet.StateFailed} {
		running := t.hasRunning("s", longLease)
		t.cancels(running.ID, "enough")
		done := t.finishes(running, callsheet.Outcome{State: state}).Execution
		require.Equal(t, state, done.State)
		require.False(t, done.CancelRequested)
	}
}

func cancelFinal(t *trial) {
	t.hasSchedule("s")
	for _, state := range []callsheet.State{callsheet.StateSucceeded, callsheet.StateFailed, callsheet.StateCancelled} {
		done := t.hasFinished("s", state)
		require.Equal(t, done, t.cancels(done.ID, "too late"))
	}
}

func cancelLost(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", time.Millisecond)
	t.cancels(running.ID, "enough")
	t.passes(time.Millisecond)
	lost := t.reclaims()
	require.Len(t, lost, 1)
	require.Equal(t, callsheet.StateCancelled, lost[0].State)
	require.Equal(t, "enough", lost[0].Reason)
}

func reopenCases() []testCase {
	return []testCase{
		{"a failed execution is reopened", "after the cause is repaired the same occurrence must be run again, with its history", reopenFailed},
		{"only failed executions are reopened", "running again what succeeded or was cancelled is a new execution", reopenOthers},
	}
}

func reopenFailed(t *trial) {
	t.hasSchedule("s", func(s *callsheet.Schedule) { s.MaxRetries = 2 })
	failed := t.hasFinished("s", callsheet.StateFailed)
	e, err := t.Reopen(t.Context(), failed.ID, longLease)
	require.NoError(t, err)
	require.Equal(t, e, t.execution(e.ID), "Reopen was expected to return the execution as kept")
	require.Equal(t, callsheet.StatePending, e.State)
	require.Equal(t, callsheet.ReasonRetried, e.Reason)
	require.Equal(t, e.Attempt+3, e.MaxAttempts, "as many fresh attempts were expected as the schedule gives")
	require.True(t, e.FinishedAt.IsZero(), "what is open again was expected not to be finished")
	require.Equal(t, failed.Attempts, e.Attempts)
	require.True(t, e.ScheduledAt.Equal(failed.ScheduledAt), "it was expected to be the same occurrence")
	total, _ := t.tallies()
	require.Zero(t, total.Failed, "what is open again was expected not to count as failed")
	require.EqualValues(t, 1, total.Pending)

	call := t.claims(e.ID, longLease)
	require.Greater(t, call.Execution.Fence, failed.Fence)
	t.finishes(call.Execution, callsheet.Outcome{State: callsheet.StateSucceeded})
	require.Equal(t, callsheet.StatusActive, t.schedule("s").Status)
}

func reopenOthers(t *trial) {
	t.hasSchedule("s")
	for _, e := range []callsheet.Execution{
		t.hasPending("s"), t.hasRunning("s", longLease),
		t.hasFinished("s", callsheet.StateSucceeded), t.hasFinished("s", callsheet.StateCancelled),
	} {
		before := t.execution(e.ID)
		_, err := t.Reopen(t.Context(), e.ID, longLease)
		isConflict(t, callsheet.Ref{Kind: callsheet.KindExecution, ID: e.ID}, err)
		require.Equal(t, before, t.execution(e.ID), "a refused Reopen was expected to change nothing")
	}
	_, err := t.Reopen(t.Context(), "absent", longLease)
	isNotFound(t, callsheet.Ref{Kind: callsheet.KindExecution, ID: "absent"}, err)

	failed := t.hasFinished("s", callsheet.StateFailed)
	require.NoError(t, t.Schedules().Delete(t.Context(), "s"))
	_, err = t.Reopen(t.Context(), failed.ID, longLease)
	isNotFound(t, callsheet.Ref{Kind: callsheet.KindSchedule, ID: "s"}, err)
	require.Equal(t, callsheet.StateFailed, t.execution(failed.ID).State)
}
