package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func surveyCases() []testCase {
	return []testCase{
		{"an empty store is well", "a monitor must not report what is not there", surveyEmpty},
		{"schedules that fail", "people must see what fails, the longest first, paused or not", surveyFailed},
		{"schedules that never ran", "a schedule that was defined and forgotten produces nothing, and nobody notices", surveyNeverRun},
		{"schedules that nobody plans", "when no planner runs somebody must say so", surveyUnplanned},
		{"executions that nobody claims", "when no worker runs somebody must say so", surveyUnclaimed},
		{"executions that are stuck", "a lease that nobody reclaims, or an attempt that outlasts its timeout, is a fault of the machine", surveyStuck},
		{"dead letters", "an execution that failed waits for somebody to look at it", surveyDeadLetters},
	}
}

func (t *trial) surveys(q callsheet.SurveyQuery) callsheet.Survey {
	t.Helper()
	survey, err := t.Survey(t.Context(), q)
	require.NoError(t, err)
	return survey
}

func surveyEmpty(t *trial) {
	survey := t.surveys(callsheet.SurveyQuery{Overdue: time.Minute, Limit: 10})
	require.WithinDuration(t, time.Now(), survey.Now, time.Minute, "a Survey was expected to tell the Store's clock")
	survey.Now = time.Time{}
	require.Equal(t, callsheet.Survey{}, survey)
}

func surveyFailed(t *trial) {
	for _, id := range []string{"a", "b", "c", "d"} {
		t.hasSchedule(id, func(s *callsheet.Schedule) {
			if id == "b" {
				s.PauseAfterFailures = 1
			}
		})
	}
	for _, id := range []string{"c", "b", "a", "c"} {
		t.hasFinished(id, callsheet.StateFailed)
		t.passes(0)
	}
	survey := t.surveys(callsheet.SurveyQuery{Limit: 2})
	require.Equal(t, []string{"c", "b"}, scheduleIDs(survey.Failed), "the schedules that have failed the longest were expected first")
	require.Equal(t, 3, survey.FailedCount, "the count was expected to be of all")
	t.hasFinished("c", callsheet.StateSucceeded)
	survey = t.surveys(callsheet.SurveyQuery{Limit: 2})
	require.Equal(t, []string{"b", "a"}, scheduleIDs(survey.Failed), "a success was expected to end a failure")
	require.Equal(t, 2, survey.FailedCount)
	require.NoError(t, t.Schedules().Delete(t.Context(), "b"))
	require.Equal(t, 1, t.surveys(callsheet.SurveyQuery{}).FailedCount, "a deleted schedule was expected to be gone")
}

func surveyNeverRun(t *trial) {
	for _, id := range []string{"c", "b", "a", "disabled", "ran", "failed"} {
		t.hasSchedule(id, func(s *callsheet.Schedule) { s.Disabled = id == "disabled" })
		t.passes(0)
	}
	t.hasFinished("ran", callsheet.StateSucceeded)
	t.hasFinished("failed", callsheet.StateFailed)
	t.hasFinished("c", callsheet.StateCancelled)
	t.hasRunning("b", longLease)
	survey := t.surveys(callsheet.SurveyQuery{Limit: 2})
	require.Equal(t, []string{"c", "b"}, scheduleIDs(survey.NeverRun), "the oldest were expected first")
	require.Equal(t, 3, survey.NeverRunCount)
	a := t.schedule("a")
	a.Disabled = true
	_, err := t.Schedules().Update(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, 2, t.surveys(callsheet.SurveyQuery{}).NeverRunCount, "a schedule that was disabled was expected not to be reported")
}

func surveyUnplanned(t *trial) {
	t.hasSchedule("late", next(ago(2*time.Hour)))
	t.hasSchedule("later", next(ago(3*time.Hour)))
	t.hasSchedule("in time", next(ago(time.Minute)))
	t.hasSchedule("to come", next(in(time.Hour)))
	t.hasSchedule("disabled", next(ago(3*time.Hour)), func(s *callsheet.Schedule) { s.Disabled = true })
	survey := t.surveys(callsheet.SurveyQuery{Overdue: time.Hour, Limit: 10})
	require.Equal(t, []string{"later", "late"}, scheduleIDs(survey.Unplanned))
	require.Equal(t, 2, survey.UnplannedCount)
	survey = t.surveys(callsheet.SurveyQuery{Overdue: time.Hour, Limit: 1})
	require.Equal(t, []string{"later"}, scheduleIDs(survey.Unplanned))
	require.Equal(t, 2, survey.UnplannedCount)
}

func surveyUnclaimed(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	t.hasPendingBy(callsheet.TriggerBackfill, "s")
	first := t.hasPending("s")
	t.passes(0)
	second := t.hasPending("s")
	t.finishes(running, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Hour})
	t.passes(t.lease)
	survey := t.surveys(callsheet.SurveyQuery{Overdue: t.lease, Limit: 10})
	require.Equal(t, ids([]callsheet.Execution{first, second}), ids(survey.Unclaimed), "what has been ready the longest was expected first")
	require.Equal(t, 2, survey.UnclaimedCount, "a retry was expected not to be reported before it is ready, nor a backfill at all")
	require.Equal(t, 4, survey.Pending)
	require.True(t, survey.OldestReady.Equal(first.ScheduledAt), "the oldest ready execution was expected to be told by its scheduled time")
	survey = t.surveys(callsheet.SurveyQuery{Overdue: longLease, Limit: 10})
	require.Zero(t, survey.UnclaimedCount, "what has not been ready for so long was expected not to be reported")
	t.claims(first.ID, longLease)
	require.True(t, t.surveys(callsheet.SurveyQuery{}).OldestReady.Equal(second.ScheduledAt))
	t.claims(second.ID, longLease)
	require.True(t, t.surveys(callsheet.SurveyQuery{}).OldestReady.IsZero(), "a retry was expected not to count as ready before it is")
}

func surveyStuck(t *trial) {
	t.hasSchedule("s")
	t.hasSchedule("slow", func(s *callsheet.Schedule) { s.Timeout = time.Millisecond })
	expired := t.hasRunning("s", time.Millisecond)
	t.hasRunning("s", longLease)
	slow := t.hasRunning("slow", longLease)
	t.passes(t.lease + time.Millisecond)
	survey := t.surveys(callsheet.SurveyQuery{Overdue: t.lease, Limit: 10})
	require.Equal(t, ids([]callsheet.Execution{expired, slow}), ids(survey.Stuck), "the expired lease and the attempt past its timeout were expected")
	require.Equal(t, 2, survey.StuckCount)
	require.Equal(t, 3, survey.Running)
	survey = t.surveys(callsheet.SurveyQuery{Overdue: longLease, Limit: 10})
	require.Equal(t, []string{expired.ID}, ids(survey.Stuck), "an attempt was expected to be given its timeout and the overdue time")
	t.reclaims()
	require.Zero(t, t.surveys(callsheet.SurveyQuery{Overdue: longLease}).StuckCount)
}

func surveyDeadLetters(t *trial) {
	t.hasSchedule("s")
	var failed []callsheet.Execution
	for range 3 {
		failed = append(failed, t.hasFinished("s", callsheet.StateFailed))
		t.passes(0)
	}
	t.hasFinished("s", callsheet.StateSucceeded)
	survey := t.surveys(callsheet.SurveyQuery{Limit: 2})
	require.Equal(t, ids(failed[:2]), ids(survey.DeadLetters), "those that failed first were expected first")
	require.Equal(t, 3, survey.DeadLetterCount)
	_, err := t.Reopen(t.Context(), failed[0].ID, longLease)
	require.NoError(t, err)
	survey = t.surveys(callsheet.SurveyQuery{Limit: 2})
	require.Equal(t, ids(failed[1:]), ids(survey.DeadLetters), "a reopened execution was expected to be dead no more")
	require.Equal(t, 2, survey.DeadLetterCount)
}

func pruneCases() []testCase {
	return []testCase{
		{"old executions are pruned by state", "failures are worth keeping longer than successes", pruneByState},
		{"pruning keeps to its limit and its time", "a large backlog is pruned in small steps, and what is young stays", pruneLimit},
		{"each schedule keeps so many", "a schedule that runs each second must not fill the disk before its rows are old", pruneByNumber},
		{"open executions are never pruned", "an execution that is not over must end before it is forgotten", pruneNeverOpen},
	}
}

func (t *trial) prunes(before map[callsheet.State]time.Time, limit int) int {
	t.Helper()
	n, err := t.Prune(t.Context(), callsheet.PruneRequest{Before: before, Limit: limit})
	require.NoError(t, err)
	return n
}

func pruneByState(t *trial) {
	t.hasSchedule("s", next(ago(time.Hour)))
	t.plans(1, func(d callsheet.Due) callsheet.Decision {
		gap := &callsheet.Gap{First: ago(2 * time.Hour), Last: ago(time.Hour), Count: 9}
		return decision(d, time.Time{}, skipped(d, ago(2*time.Hour), callsheet.ReasonMissed, gap))
	})
	succeeded, failed := t.hasFinished("s", callsheet.StateSucceeded), t.hasFinished("s", callsheet.StateFailed)
	cancelled := t.hasFinished("s", callsheet.StateCancelled)
	before, _ := t.tallies()
	schedule := t.schedule("s")
	t.passes(0)
	later := in(time.Hour)
	require.Equal(t, 2, t.prunes(map[callsheet.State]time.Time{callsheet.StateSucceeded: later, callsheet.StateSkipped: later}, 100))
	_, err := t.Execution(t.Context(), succeeded.ID)
	isNotFound(t, callsheet.Ref{Kind: callsheet.KindExecution, ID: succeeded.ID}, err)
	require.ElementsMatch(t, []string{failed.ID, cancelled.ID}, ids(t.executions(callsheet.ExecutionQuery{})), "states without a time were expected to be kept")
	after, own := t.tallies()
	require.Equal(t, asJSON(before), asJSON(after), "tallies were expected to keep what they counted")
	require.Equal(t, asJSON(before), asJSON(own["s"]))
	require.Equal(t, schedule, t.schedule("s"))
	require.Zero(t, t.prunes(nil, 100))
}

func pruneLimit(t *trial) {
	t.hasSchedule("s")
	for range 5 {
		t.hasFinished("s", callsheet.StateSucceeded)
	}
	t.passes(0)
	cutoff := t.now()
	t.passes(0)
	young := t.hasFinished("s", callsheet.StateSucceeded)
	before := map[callsheet.State]time.Time{callsheet.StateSucceeded: cutoff, callsheet.StateFailed: cutoff}
	require.Equal(t, 2, t.prunes(before, 2))
	require.Len(t, t.executions(callsheet.ExecutionQuery{}), 4)
	require.Equal(t, 3, t.prunes(before, 100))
	require.Zero(t, t.prunes(before, 100))
	require.Equal(t, []string{young.ID}, ids(t.executions(callsheet.ExecutionQuery{})), "what ended after the time was expected to stay")
}

func pruneNeverOpen(t *trial) {
	t.hasSchedule("s")
	pending, running := t.hasPending("s"), t.hasRunning("s", longLease)
	before := make(map[callsheet.State]time.Time)
	for _, state := range callsheet.States() {
		before[state] = in(time.Hour)
	}
	require.Zero(t, t.prunes(before, 100))
	require.ElementsMatch(t, []string{pending.ID, running.ID}, ids(t.executions(callsheet.ExecutionQuery{})))
	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
	require.Zero(t, t.prunes(before, 100), "the schedule's last execution was expected to stay")
	t.finishes(t.claims(pending.ID, longLease).Execution, callsheet.Outcome{State: callsheet.StateSucceeded})
	require.Equal(t, 1, t.prunes(before, 100))
}

func pruneByNumber(t *trial) {
	t.hasSchedule("a")
	t.hasSchedule("b")
	var kept []string
	for i := range 6 {
		succeeded, failed := t.hasFinished("a", callsheet.StateSucceeded), t.hasFinished("a", callsheet.StateFailed)
		if i >= 4 {
			kept = append(kept, succeeded.ID)
		}
		kept = append(kept, failed.ID)
		t.passes(0)
	}
	kept = append(kept, t.hasFinished("b", callsheet.StateSucceeded).ID, t.hasPending("a").ID)
	request := callsheet.PruneRequest{Keep: map[callsheet.State]int{callsheet.StateSucceeded: 2}, Limit: 3}
	for _, want := range []int{3, 1, 0} {
		n, err := t.Prune(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, want, n, "in batches, until none is too many")
	}
	require.ElementsMatch(t, kept, ids(t.executions(callsheet.ExecutionQuery{})), "the latest two that succeeded were expected to stay, and all that was not asked for")
}
