package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func finishCases() []testCase {
	return []testCase{
		{"an outcome is recorded whole", "what the worker reports is what people will read", finishRecords},
		{"a retry is pending again", "an attempt that failed must be tried again after its delay, and be remembered", finishRetries},
		{"an execution ends once", "a second report, even the same, must not be counted", finishOnce},
		{"a batch is answered in order", "batches save round trips; one stale outcome must not spoil the others", finishBatch},
		{"success and failure change the schedule", "a schedule's status and counters must follow its executions", finishCounts},
		{"too many failures pause the schedule", "a schedule that only fails must stop by itself, and say why", finishPauses},
	}
}

func finishRecords(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	o := callsheet.Outcome{
		State: callsheet.StateFailed, Reason: callsheet.ReasonPermanent,
		Result: callsheet.Result{HTTPStatus: 404, Bytes: 1234, Records: 5, Rejected: 2, FromKept: true,
			Timings: callsheet.Timings{Fetch: time.Second, Extract: time.Millisecond, Deliver: time.Microsecond}},
		Class: callsheet.ClassPermanent, Error: "not \"there\"", Stack: "goroutine 1",
	}
	e := t.finishes(running, o).Execution
	require.Equal(t, e, t.execution(e.ID), "Finish was expected to return the execution as kept")
	require.Equal(t, callsheet.StateFailed, e.State)
	require.Equal(t, o.Reason, e.Reason)
	require.Equal(t, o.Result, e.Result)
	require.Equal(t, o.Class, e.Class)
	require.Equal(t, o.Error, e.Error)
	require.Empty(t, e.Worker, "an execution that ended was expected to be held by nobody")
	require.True(t, e.LeaseUntil.IsZero())
	require.False(t, e.FinishedAt.Before(running.StartedAt))
	require.Equal(t, []callsheet.Attempt{{
		Number: 1, Fence: 1, Worker: "worker", StartedAt: running.StartedAt, FinishedAt: e.FinishedAt,
		Result: o.Result, Class: o.Class, Error: o.Error, Stack: o.Stack,
	}}, e.Attempts, "the attempt was expected in the history")
}

func finishRetries(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	before := t.now()
	finish := t.finishes(running, callsheet.Outcome{
		State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Hour, Class: callsheet.ClassTransient, Error: "503",
	})
	e := finish.Execution
	require.Equal(t, callsheet.StatePending, e.State)
	require.Equal(t, callsheet.ReasonRetry, e.Reason)
	require.Equal(t, 1, e.Attempt, "a failed attempt was expected to be spent")
	require.False(t, e.NotBefore.Before(before.Add(time.Hour)), "the delay was expected to count from the Store's now")
	require.Len(t, e.Attempts, 1)
	require.NotNil(t, finish.Schedule)
	require.Zero(t, finish.Schedule.FailureCount, "a retry was expected to be no failure of the schedule yet")

	other := t.hasRunning("s", longLease)
	e = t.finishes(other, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonHandBack, Unspent: true, Class: callsheet.ClassCancelled}).Execution
	require.Equal(t, 0, e.Attempt, "an attempt handed back was expected not to be spent")
	again := t.claims(e.ID, longLease).Execution
	require.Equal(t, 1, again.Attempt)
	require.EqualValues(t, 2, again.Fence, "the fence was expected to rise with every claim, spent or not")
}

func finishOnce(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	o := callsheet.Outcome{ExecutionID: running.ID, Fence: running.Fence, State: callsheet.StateSucceeded, Result: callsheet.Result{Records: 3}}
	finishes, err := t.Finish(t.Context(), []callsheet.Outcome{o, o})
	require.NoError(t, err)
	require.Len(t, finishes, 2)
	require.NoError(t, finishes[0].Err)
	require.ErrorIs(t, finishes[1].Err, callsheet.ErrStaleFence, "the second of two reports was expected to be refused")
	o.State = callsheet.StateFailed
	require.ErrorIs(t, t.triesToFinish(o).Err, callsheet.ErrStaleFence)
	require.Equal(t, callsheet.StateSucceeded, t.execution(running.ID).State)
	total, _ := t.tallies()
	require.EqualValues(t, 1, total.Succeeded)
	require.EqualValues(t, 1, total.Attempts)
	require.EqualValues(t, 3, total.Records)
	require.EqualValues(t, 2, total.StaleWrites)
	require.EqualValues(t, 1, t.schedule("s").ExecutionCount)
}

func finishBatch(t *trial) {
	t.hasSchedule("a")
	t.hasSchedule("b")
	one, two, three := t.hasRunning("a", longLease), t.hasRunning("a", longLease), t.hasRunning("b", longLease)
	finishes, err := t.Finish(t.Context(), []callsheet.Outcome{
		{ExecutionID: three.ID, Fence: three.Fence, State: callsheet.StateSucceeded},
		{ExecutionID: one.ID, Fence: one.Fence + 1, State: callsheet.StateSucceeded},
		{ExecutionID: one.ID, Fence: one.Fence, State: callsheet.StateFailed, Class: callsheet.ClassPermanent},
		{ExecutionID: two.ID, Fence: two.Fence, State: callsheet.StateFailed, Class: callsheet.ClassPermanent},
	})
	require.NoError(t, err)
	require.Len(t, finishes, 4)
	require.Equal(t, three.ID, finishes[0].Execution.ID)
	require.Equal(t, "b", finishes[0].Schedule.ID)
	require.ErrorIs(t, finishes[1].Err, callsheet.ErrStaleFence)
	require.Equal(t, one.ID, finishes[2].Execution.ID)
	require.Equal(t, two.ID, finishes[3].Execution.ID)
	require.Equal(t, 2, finishes[3].Schedule.ConsecutiveFailures, "the outcomes of one schedule were expected to be applied one after the other")
	require.Equal(t, t.schedule("a"), *finishes[3].Schedule, "Finish was expected to return the schedule as kept")
}

func finishCounts(t *trial) {
	t.hasSchedule("s")
	started := t.hasFinished("s", callsheet.StateSucceeded).StartedAt
	s := t.schedule("s")
	require.Equal(t, callsheet.StatusActive, s.Status)
	require.EqualValues(t, 1, s.ExecutionCount)
	require.True(t, s.LastExecutedAt.Equal(started), "LastExecutedAt was expected to be when the last attempt began")

	first := t.hasFinished("s", callsheet.StateFailed)
	t.hasFinished("s", callsheet.StateFailed)
	s = t.schedule("s")
	require.Equal(t, callsheet.StatusFailed, s.Status)
	require.EqualValues(t, 3, s.ExecutionCount)
	require.EqualValues(t, 2, s.FailureCount)
	require.Equal(t, 2, s.ConsecutiveFailures)
	require.True(t, s.FailingSince.Equal(first.FinishedAt), "the schedule was expected to be failing since its first failure in a row")

	t.hasFinished("s", callsheet.StateCancelled)
	require.Equal(t, s, t.schedule("s"), "a cancelled execution was expected to leave the schedule as it was")
	t.hasFinished("s", callsheet.StateSucceeded)
	s = t.schedule("s")
	require.Equal(t, callsheet.StatusActive, s.Status, "a success was expected to end the failure")
	require.Zero(t, s.ConsecutiveFailures)
	require.True(t, s.FailingSince.IsZero())
	require.EqualValues(t, 2, s.FailureCount, "past failures were expected to stay counted")
	require.EqualValues(t, 1, s.Version, "what happens to a schedule was expected to be no edit")
}

func finishPauses(t *trial) {
	t.hasSchedule("s", next(in(time.Hour)), func(s *callsheet.Schedule) { s.PauseAfterFailures = 2 })
	t.hasFinished("s", callsheet.StateFailed)
	require.Equal(t, callsheet.StatusFailed, t.schedule("s").Status)
	failed := t.finishes(t.hasRunning("s", longLease), callsheet.Outcome{State: callsheet.StateFailed})
	require.Equal(t, callsheet.StatusPaused, failed.Schedule.Status, "the worker was expected to learn that its schedule was paused")
	s := t.schedule("s")
	require.Equal(t, callsheet.StatusPaused, s.Status)
	require.NotEmpty(t, s.PauseReason)
	require.True(t, s.NextExecutionAt.IsZero(), "a paused schedule was expected to have no next occurrence")
	soonest, err := t.Soonest(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, soonest)
}
