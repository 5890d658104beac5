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
	at := in(time.Hour)
	created := t.hasSchedule("s", func(s *callsheet.Schedule) {
		s.ScheduleState = callsheet.ScheduleState{
			Status: callsheet.StatusFailed, FailureCount: 7, ExecutionCount: 9, FailingSince: ago(time.Hour), NextExecutionAt: at,
		}
	})
	require.Equal(t, callsheet.StatusActive, created.Status, "a new schedule was expected to be active")
	require.Zero(t, created.FailureCount+created.ExecutionCount, "a new schedule was expected to have counted nothing")
	require.True(t, created.FailingSince.IsZero(), "a new schedule was expected not to be failing")
	require.True(t, created.NextExecutionAt.Equal(at), "Create was expected to keep the next occurrence it was given")

	t.hasFinished("s", callsheet.StateFailed)
	created.Name = "edited"
	updated, err := t.Schedules().Update(t.Context(), created)
	require.NoError(t, err)
	require.Equal(t, "edited", updated.Name)
	require.Equal(t, callsheet.StatusFailed, updated.Status, "an edit was expected to leave the status")
	require.EqualValues(t, 1, updated.FailureCount, "an edit was expected to leave the counters")

	sheet := newSchedule("s")
	sheet.Name = "defined"
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{sheet}})
	defined := t.schedule("s")
	require.Equal(t, "defined", defined.Name)
	require.Equal(t, callsheet.StatusFailed, defined.Status, "Define was expected to leave the status")
	require.EqualValues(t, 1, defined.FailureCount, "Define was expected to leave the counters")
}

func editMovesNext(t *trial) {
	schedule := t.hasSchedule("s", next(in(time.Hour)))
	schedule.Cron, schedule.NextExecutionAt = "5 * * * *", in(2*time.Hour)
	updated, err := t.Schedules().Update(t.Context(), schedule)
	require.NoError(t, err)
	require.True(t, updated.NextExecutionAt.Equal(schedule.NextExecutionAt), "Update was expected to take the next occurrence it was given")

	equal := updated
	equal.Version, equal.NextExecutionAt = 0, in(3*time.Hour)
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{equal}})
	require.Equal(t, updated, t.schedule("s"), "Define of an equal schedule was expected to leave it alone, its next occurrence too")

	renamed := updated
	renamed.Name, renamed.NextExecutionAt = "renamed", in(4*time.Hour)
	renamed, err = t.Schedules().Update(t.Context(), renamed)
	require.NoError(t, err)
	require.True(t, renamed.NextExecutionAt.Equal(updated.NextExecutionAt), "an edit that leaves the times alone was expected to leave the next occurrence, which may have moved on since the item was read")

	equal.Cron = "6 * * * *"
	t.defines(callsheet.Sheet{Schedules: []callsheet.Schedule{equal}})
	require.True(t, t.schedule("s").NextExecutionAt.Equal(equal.NextExecutionAt), "Define was expected to take the next occurrence it was given")

	soonest, err := t.Soonest(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, soonest, 1)
	require.True(t, soonest[0].NextExecutionAt.Equal(equal.NextExecutionAt), "the schedule was expected to be found at its new time only")
}

func editIsNoUndo(t *trial) {
	read := t.hasSchedule("s", next(ago(time.Minute)))
	then := in(time.Hour)
	require.Len(t, t.plans(10, runOnce(then)).Executions, 1)
	read.Name = "edited"
	edited, err := t.Schedules().Update(t.Context(), read)
	require.NoError(t, err)
	require.True(t, edited.NextExecutionAt.Equal(then), "an edit was expected not to turn the next occurrence back")

	_, err = t.ChangeSchedule(t.Context(), "s", func(s callsheet.Schedule) (callsheet.ScheduleState, error) {
		return s.Paused("because", sometime()), nil
	})
	require.NoError(t, err)
	read = t.schedule("s")
	_, err = t.ChangeSchedule(t.Context(), "s", func(s callsheet.Schedule) (callsheet.ScheduleState, error) { return s.Resumed(then), nil })
	require.NoError(t, err)
	read.Name = "edited again"
	edited, err = t.Schedules().Update(t.Context(), read)
	require.NoError(t, err)
	require.Equal(t, callsheet.StatusActive, edited.Status)
	require.True(t, edited.NextExecutionAt.Equal(then), "an edit was expected not to take the next occurrence from a schedule that was resumed meanwhile")
}

func pausedStaysPaused(t *trial) {
	t.hasSchedule("s", next(ago(time.Minute)))
	paused, err := t.ChangeSchedule(t.Context(), "s", func(s callsheet.Schedule) (callsheet.ScheduleState, error) {
		return s.Paused("because", sometime()), nil
	})
	require.NoError(t, err)
	require.True(t, paused.NextExecutionAt.IsZero())
	require.EqualValues(t, 1, paused.Version, "a change of state was expected to be no edit")

	paused.Name, paused.NextExecutionAt = "edited", ago(time.Minute)
	updated, err := t.Schedules().Update(t.Context(), paused)
	require.NoError(t, err)
	require.Equal(t, callsheet.StatusPaused, updated.Status)
	require.Equal(t, "because", updated.PauseReason)
	require.True(t, updated.NextExecutionAt.IsZero(), "an edit was expected to leave a paused schedule without a next occurrence")
	require.Zero(t, t.plans(10, runOnce(time.Time{})).Schedules, "a paused schedule was expected not to be planned")
}

// sometime is a time like any other.
func sometime() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func schedulesByStatus(t *trial) {
	for _, id := range []string{"a", "b", "c", "d"} {
		t.hasSchedule(id)
	}
	t.hasFinished("b", callsheet.StateFailed)
	_, err := t.ChangeSchedule(t.Context(), "d", func(s callsheet.Schedule) (callsheet.ScheduleState, error) {
		return s.Paused("because", sometime()), nil
	})
	require.NoError(t, err)
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
				_, err := t.ChangeSchedule(t.Context(), "s", func(s callsheet.Schedule) (callsheet.ScheduleState, error) {
					s.FailureCount++
					return s.ScheduleState, nil
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
	refused := errors.New("refused")
	_, err := t.ChangeSchedule(t.Context(), "s", func(s callsheet.Schedule) (callsheet.ScheduleState, error) {
		s.Labels["team"] = "changed"
		return s.Paused("because", sometime()), refused
	})
	require.Equal(t, refused, err, "the error of change was expected as it is")
	require.Equal(t, before, t.schedule("s"))

	_, err = t.ChangeSchedule(t.Context(), "absent", func(s callsheet.Schedule) (callsheet.ScheduleState, error) {
		return s.ScheduleState, nil
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
