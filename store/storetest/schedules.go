package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func scheduleCases() []testCase {
	return []testCase{
		{"a schedule's state is the library's", "editing a schedule must not undo what happened to it since it was read", stateIsNotEdited},
		{"a time that has passed is due once", "whoever asks for one run in the past wants it now, and would wait for ever", pastOnceIsDue},
		{"an edit moves the next occurrence", "a schedule whose cron expression was edited must run at its new times", editMovesNext},
		{"an edit does not undo what happened since it was read", "the edit was prepared while somebody resumed the schedule, or planned it", editIsNoUndo},
		{"a paused schedule has no next occurrence", "an edit must not wake a schedule that somebody paused", pausedStaysPaused},
		{"filtered by status", "a dashboard lists the schedules that fail without reading all", schedulesByStatus},
		{"the state is changed in one step", "two changes at the same moment must both count", changesAllCount},
		{"a failed change changes nothing", "a change that is refused must leave the schedule as it was", failedChangeIsNone},
		{"deleting a schedule ends its executions", "nothing of a deleted schedule may run, and its history must stay readable", deletedScheduleEnds},
	}
}

func stateIsNotEdited(t *trial) {
	t.hasChain()
	given := newSchedule("s")
	from(future)(&given)
	given.ScheduleState = callsheet.ScheduleState{
		Status: callsheet.StatusFailed, PauseReason: "given", PausedAt: ago(time.Hour), FailureCount: 7, ExecutionCount: 9, ConsecutiveFailures: 3,
		FailingSince: ago(time.Hour), LastExecution: "given", LastError: "given", LastScheduledAt: ago(time.Hour), LastExecutedAt: ago(time.Hour),
		Runs: 5, PlannedUntil: past, NextExecutionAt: ago(time.Hour),
	}
	before := t.now()
	created, err := t.Schedules().Create(t.Context(), given)
	require.NoError(t, err)
	require.False(t, created.PlannedUntil.Before(before) || created.PlannedUntil.After(t.now()), "a new schedule was expected to begin now, by the Store's clock")
	require.Equal(t, given.Defined(created.PlannedUntil), created.ScheduleState, "Create was expected to ignore the state it was given")
	require.True(t, created.NextExecutionAt.Equal(future), "a new schedule was expected to be next at its first occurrence")
	require.Equal(t, created, t.schedule("s"))
	given.ID = "defined"
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{given}})
	defined := t.schedule("defined")
	require.Equal(t, given.Defined(defined.PlannedUntil), defined.ScheduleState, "Define was expected to ignore the state it was given")
	require.Zero(t, t.plans(10, runOnce(time.Time{})).Schedules, "nothing was expected to be due because somebody said so")

	t.hasFinished("s", callsheet.StateFailed)
	created.Name, created.ScheduleState = "edited", given.ScheduleState
	updated, err := t.Schedules().Update(t.Context(), created)
	require.NoError(t, err)
	require.Equal(t, "edited", updated.Name)
	require.Equal(t, callsheet.StatusFailed, updated.Status, "an edit was expected to leave the status")
	require.EqualValues(t, 1, updated.FailureCount, "an edit was expected to leave the counters")
	require.True(t, updated.NextExecutionAt.Equal(future), "an edit was expected to ignore the state it was given")

	given.ID, given.Name = "s", "defined"
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{given}})
	defined = t.schedule("s")
	require.Equal(t, "defined", defined.Name)
	require.Equal(t, updated.ScheduleState, defined.ScheduleState, "Define was expected to leave the state")
}

func pastOnceIsDue(t *trial) {
	t.hasSchedule("s", func(s *callsheet.Schedule) {
		s.Type, s.Cron, s.StartAt, s.EndAt = callsheet.TypeOnce, "", past, time.Time{}
	})
	planned := t.plans(10, runOnce(time.Time{}))
	require.Len(t, planned.Executions, 1, "what is to run once was expected to be due though its time has passed")
	require.True(t, planned.Executions[0].ScheduledAt.Equal(past))
}

func editMovesNext(t *trial) {
	schedule := t.hasSchedule("s", from(future))
	schedule.Cron, schedule.NextExecutionAt = "5 * * * *", in(2*time.Hour)
	updated, err := t.Schedules().Update(t.Context(), schedule)
	require.NoError(t, err)
	require.True(t, updated.NextExecutionAt.Equal(future.Add(5*time.Minute)), "the schedule was expected to be next at its new times, not at %s", updated.NextExecutionAt)
	require.Equal(t, updated, t.schedule("s"), "Update was expected to return the schedule as kept")

	equal := updated
	equal.Version, equal.NextExecutionAt = 0, in(3*time.Hour)
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{equal}})
	require.Equal(t, updated, t.schedule("s"), "Define of an equal schedule was expected to leave it alone, its next occurrence too")

	renamed := t.edits("s", func(s *callsheet.Schedule) { s.Name, s.NextExecutionAt = "renamed", in(4*time.Hour) })
	require.Equal(t, updated.ScheduleState, renamed.ScheduleState, "an edit that leaves the times alone was expected to leave the state")

	equal.Cron = "6 * * * *"
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{equal}})
	moved := future.Add(6 * time.Minute)
	require.True(t, t.schedule("s").NextExecutionAt.Equal(moved), "Define was expected to move the next occurrence too")

	soonest, err := t.Soonest(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, soonest, 1)
	require.True(t, soonest[0].NextExecutionAt.Equal(moved), "the schedule was expected to be found at its new time only")
}

func editIsNoUndo(t *trial) {
	read := t.hasSchedule("s", from(future), next(ago(time.Minute)))
	then := future.Add(time.Hour)
	planned := t.plans(10, func(d callsheet.Due) callsheet.Decision {
		decided := runOnce(then)(d)
		decided.State.PlannedUntil = future
		return decided
	})
	require.Len(t, planned.Executions, 1)
	read.Name = "edited"
	edited, err := t.Schedules().Update(t.Context(), read)
	require.NoError(t, err)
	require.True(t, edited.NextExecutionAt.Equal(then), "an edit was expected not to turn the next occurrence back")
	require.EqualValues(t, 1, edited.Runs)

	read = t.pauses("s")
	t.changes("s", func(s callsheet.Schedule, now time.Time) callsheet.Decision { return s.Resumed(now) })
	read.Name = "edited again"
	edited, err = t.Schedules().Update(t.Context(), read)
	require.NoError(t, err)
	require.Equal(t, callsheet.StatusActive, edited.Status)
	require.True(t, edited.NextExecutionAt.Equal(future), "an edit was expected not to take the next occurrence from a schedule that was resumed meanwhile")
}

func pausedStaysPaused(t *trial) {
	t.hasSchedule("s", from(past), next(ago(time.Minute)))
	paused := t.pauses("s")
	require.True(t, paused.NextExecutionAt.IsZero())
	require.EqualValues(t, 1, paused.Version, "a change of state was expected to be no edit")

	for _, cron := range []string{paused.Cron, "5 * * * *"} {
		paused.Name, paused.Cron, paused.NextExecutionAt = "edited", cron, ago(time.Minute)
		updated, err := t.Schedules().Update(t.Context(), paused)
		require.NoError(t, err)
		require.Equal(t, callsheet.StatusPaused, updated.Status)
		require.Equal(t, "because", updated.PauseReason)
		require.True(t, updated.NextExecutionAt.IsZero(), "an edit was expected to leave a paused schedule without a next occurrence")
		require.Zero(t, t.plans(10, runOnce(time.Time{})).Schedules, "a paused schedule was expected not to be planned")
		paused = updated
	}
}

func schedulesByStatus(t *trial) {
	for _, id := range []string{"a", "b", "c", "d"} {
		t.hasSchedule(id)
	}
	t.hasFinished("b", callsheet.StateFailed)
	t.pauses("d")
	list := func(statuses ...callsheet.Status) []string {
		page, err := t.Schedules().List(t.Context(), callsheet.Query{Statuses: statuses})
		require.NoError(t, err)
		return scheduleIDs(page.Items)
	}
	require.Equal(t, []string{"a", "c"}, list(callsheet.StatusActive))
	require.Equal(t, []string{"b"}, list(callsheet.StatusFailed))
	require.Equal(t, []string{"b", "d"}, list(callsheet.StatusFailed, callsheet.StatusPaused))
	sources, err := t.Sources().List(t.Context(), callsheet.Query{Statuses: []callsheet.Status{callsheet.StatusPaused}})
	require.NoError(t, err)
	require.Len(t, sources.Items, 1, "kinds without a status were expected to ignore it")
}

func changesAllCount(t *trial) {
	t.hasSchedule("s")
	const changers, each = 8, 10
	var wg sync.WaitGroup
	errs := make([]error, changers)
	for i := range changers {
		wg.Go(func() {
			for range each {
				_, err := t.ChangeSchedule(t.Context(), "s", func(s callsheet.Schedule, _ time.Time) (callsheet.Decision, error) {
					s.FailureCount++
					return callsheet.Decision{State: s.ScheduleState}, nil
				})
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.EqualValues(t, changers*each, t.schedule("s").FailureCount, "each change was expected to see the one before")
}

func failedChangeIsNone(t *trial) {
	before := t.hasSchedule("s", next(in(time.Hour)))
	pending := t.hasPending("s")
	refused := errors.New("refused")
	changed, err := t.ChangeSchedule(t.Context(), "s", func(s callsheet.Schedule, now time.Time) (callsheet.Decision, error) {
		s.Labels["team"] = "changed"
		return callsheet.Decision{
			Cancel:     func(callsheet.Execution) string { return "refused" },
			Executions: []callsheet.Execution{newExecution("s", ago(time.Hour), 4)},
			State:      s.Paused("because", now),
		}, refused
	})
	require.Equal(t, refused, err, "the error of change was expected as it is")
	require.Empty(t, changed.Inserted)
	require.Empty(t, changed.Cancelled)
	require.Equal(t, before, t.schedule("s"))
	require.Equal(t, []callsheet.Execution{pending}, t.executions(callsheet.ExecutionQuery{}), "a refused change was expected to leave the executions as they were")

	_, err = t.ChangeSchedule(t.Context(), "absent", func(s callsheet.Schedule, _ time.Time) (callsheet.Decision, error) {
		return callsheet.Decision{State: s.ScheduleState}, nil
	})
	isNotFound(t, callsheet.Ref{Kind: callsheet.KindSchedule, ID: "absent"}, err)
}

func deletedScheduleEnds(t *trial) {
	t.hasSchedule("s")
	t.hasSchedule("other")
	done := t.hasFinished("s", callsheet.StateSucceeded)
	pending, running, others := t.hasPending("s"), t.hasRunning("s", longLease), t.hasPending("other")
	require.NoError(t, t.Schedules().Delete(t.Context(), "s"))

	cancelled := t.execution(pending.ID)
	require.Equal(t, callsheet.StateCancelled, cancelled.State, "a pending execution was expected to be cancelled with its schedule")
	require.Equal(t, callsheet.ReasonDeleted, cancelled.Reason)
	require.False(t, cancelled.FinishedAt.IsZero(), "a cancelled execution was expected to say when it ended")
	require.Empty(t, t.asksFor("worker", longLease, pending.ID), "nobody was expected to get a cancelled execution")
	require.Equal(t, callsheet.StatePending, t.execution(others.ID).State, "executions of other schedules were expected to stay")

	require.True(t, t.triesToRenew(running.ID, running.Fence, longLease).CancelRequested, "the worker was expected to be told to stop")
	finish := t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry})
	require.Equal(t, callsheet.StateCancelled, finish.Execution.State, "a retry of a deleted schedule's execution was expected to be cancelled")
	require.Equal(t, callsheet.ReasonDeleted, finish.Execution.Reason)
	require.Nil(t, finish.Schedule, "Finish was expected to return no schedule where there is none")

	history := t.executions(callsheet.ExecutionQuery{Schedule: "s"})
	require.Len(t, history, 3, "the history was expected to outlive the schedule")
	require.Contains(t, ids(history), done.ID)
}
