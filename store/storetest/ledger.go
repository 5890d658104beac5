package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func ledgerCases() []testCase {
	return []testCase{
		{"history goes both ways", "what happened first is told first, a page at a time", historyForwards},
		{"gaps reach into later times", "a row that stands for a week answers for each of its days", gapsReach},
		{"executions are filtered", "what happened is asked by schedule, state and time", executionsFiltered},
		{"executions are filtered by class", "dead letters are retried by what they failed of", executionsByClass},
		{"executions are paged while others come and go", "walking through history must show every row exactly once, whatever happens meanwhile", executionsPaged},
		{"a bad page is refused", "a mistyped link must say so and not begin anew", executionsBadPage},
		{"an execution that is not there", "who asks for what was pruned must be told", executionAbsent},
		{"the soonest schedules", "what runs next is asked of all schedules, or of some", soonestSchedules},
	}
}

// hasHistory plans skipped and pending executions of two schedules at the same times, and returns
// them latest first.
func (t *trial) hasHistory(times int) []callsheet.Execution {
	t.Helper()
	start := ago(24 * time.Hour)
	var all []callsheet.Execution
	for _, id := range []string{"a", "b"} {
		t.hasSchedule(id, next(start))
	}
	for i := range times {
		result := t.plans(10, func(d callsheet.Due) callsheet.Decision {
			e := occurrence(d)
			if i%3 == 0 {
				e = skipped(d, d.Schedule.NextExecutionAt, callsheet.ReasonOverlap, nil)
			}
			return decision(d, start.Add(time.Duration(i+1)*time.Minute), e)
		})
		require.Len(t, result.Executions, 2)
		all = append(all, result.Executions...)
	}
	slices.SortStableFunc(all, func(a, b callsheet.Execution) int { return b.ScheduledAt.Compare(a.ScheduledAt) })
	return all
}

func executionsByClass(t *trial) {
	t.hasSchedule("s")
	for _, class := range []callsheet.Class{callsheet.ClassAuth, callsheet.ClassTransient, callsheet.ClassPermanent} {
		t.finishes(t.hasRunning("s", longLease), callsheet.Outcome{State: callsheet.StateFailed, Class: class})
	}
	for _, schedule := range []string{"", "s"} {
		page, err := t.Executions(t.Context(), callsheet.ExecutionQuery{Schedule: schedule, States: []callsheet.State{callsheet.StateFailed},
			Classes: []callsheet.Class{callsheet.ClassAuth, callsheet.ClassPermanent}})
		require.NoError(t, err)
		require.Len(t, page.Items, 2)
		for _, e := range page.Items {
			require.NotEqual(t, callsheet.ClassTransient, e.Class)
		}
	}
}

func executionsFiltered(t *trial) {
	all := t.hasHistory(12)
	from, to := all[len(all)-1].ScheduledAt.Add(2*time.Minute), all[0].ScheduledAt.Add(-2*time.Minute)
	for name, c := range map[string]struct {
		query   callsheet.ExecutionQuery
		matches func(callsheet.Execution) bool
	}{
		"all":         {callsheet.ExecutionQuery{}, func(callsheet.Execution) bool { return true }},
		"by schedule": {callsheet.ExecutionQuery{Schedule: "a"}, func(e callsheet.Execution) bool { return e.Schedule == "a" }},
		"by state": {callsheet.ExecutionQuery{States: []callsheet.State{callsheet.StateSkipped}},
			func(e callsheet.Execution) bool { return e.State == callsheet.StateSkipped }},
		"by states": {callsheet.ExecutionQuery{States: []callsheet.State{callsheet.StateSkipped, callsheet.StatePending, callsheet.StateFailed}},
			func(callsheet.Execution) bool { return true }},
		"by time": {callsheet.ExecutionQuery{From: from, To: to},
			func(e callsheet.Execution) bool { return !e.ScheduledAt.Before(from) && e.ScheduledAt.Before(to) }},
		"by everything": {callsheet.ExecutionQuery{Schedule: "b", States: []callsheet.State{callsheet.StatePending}, From: from, To: to},
			func(e callsheet.Execution) bool {
				return e.Schedule == "b" && e.State == callsheet.StatePending && !e.ScheduledAt.Before(from) && e.ScheduledAt.Before(to)
			}},
		"by an absent schedule": {callsheet.ExecutionQuery{Schedule: "aa"}, func(callsheet.Execution) bool { return false }},
	} {
		var want []string
		for _, e := range all {
			if c.matches(e) {
				want = append(want, e.ID)
			}
		}
		for _, limit := range []int{0, 1, 5} {
			c.query.Limit = limit
			got := t.executions(c.query)
			require.ElementsMatch(t, want, ids(got), "%s, %d at a time: each match was expected once", name, limit)
			require.True(t, slices.IsSortedFunc(got, func(a, b callsheet.Execution) int { return b.ScheduledAt.Compare(a.ScheduledAt) }),
				"%s, %d at a time: the latest scheduled was expected first", name, limit)
		}
	}
}

func executionsPaged(t *trial) {
	t.hasHistory(20)
	for _, q := range []callsheet.ExecutionQuery{{Limit: 7}, {Limit: 3, Schedule: "a"}} {
		var want []string
		for _, e := range t.executions(callsheet.ExecutionQuery{Schedule: q.Schedule}) {
			want = append(want, e.ID)
		}
		seen := make(map[string]int)
		for first := true; first || q.After != ""; first = false {
			page, err := t.Executions(t.Context(), q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Items), q.Limit, "a page was expected to keep to its limit")
			for _, e := range page.Items {
				seen[e.ID]++
			}
			q.After = page.Next
			last := page.Items[len(page.Items)-1]
			for _, at := range []time.Time{last.ScheduledAt.Add(time.Second), last.ScheduledAt.Add(-time.Second), last.ScheduledAt} {
				_, err := t.Insert(t.Context(), newExecution("a", at, 4), longLease)
				require.NoError(t, err)
			}
		}
		for _, id := range want {
			require.Equal(t, 1, seen[id], "an execution that was there all along was expected on one page")
		}
		for id, n := range seen {
			require.Equal(t, 1, n, "execution %s was expected on one page at most", id)
		}
	}
}

func executionsBadPage(t *trial) {
	t.hasHistory(1)
	_, err := t.Executions(t.Context(), callsheet.ExecutionQuery{After: "no such page!"})
	var fault *callsheet.ValidationError
	require.True(t, errors.As(err, &fault), "a *ValidationError was expected of the Store, not %v", err)
	require.Equal(t, "after", fault.Field)
}

func executionAbsent(t *trial) {
	_, err := t.Execution(t.Context(), "absent")
	isNotFound(t, callsheet.Ref{Kind: callsheet.KindExecution, ID: "absent"}, err)
}

func soonestSchedules(t *trial) {
	t.hasSchedule("late", next(in(3*time.Hour)))
	t.hasSchedule("soon", next(in(time.Hour)))
	t.hasSchedule("overdue", next(ago(time.Hour)))
	t.hasSchedule("never")
	t.hasSchedule("disabled", next(in(time.Minute)), func(s *callsheet.Schedule) { s.Disabled = true })
	soonest := func(limit int, ids ...string) []string {
		found, err := t.Soonest(t.Context(), limit, ids...)
		require.NoError(t, err)
		return scheduleIDs(found)
	}
	require.Equal(t, []string{"overdue", "soon", "late"}, soonest(10))
	require.Equal(t, []string{"overdue", "soon"}, soonest(2))
	require.Equal(t, []string{"soon", "late"}, soonest(10, "late", "never", "absent", "soon", "disabled"))
	require.Equal(t, []string{"soon"}, soonest(1, "late", "soon"))
}

func historyForwards(t *trial) {
	t.hasSchedule("s")
	t.hasSchedule("other")
	at := func(i int) time.Time { return past.Add(time.Duration(i) * time.Minute) }
	for i := range 7 {
		t.hasRows("s", newExecution("s", at(i), 4))
		t.hasRows("other", newExecution("other", at(i), 4))
	}
	for _, q := range []callsheet.ExecutionQuery{
		{}, {Schedule: "s"}, {From: at(2)}, {To: at(5)}, {Schedule: "s", From: at(1), To: at(6)},
		{States: []callsheet.State{callsheet.StatePending}, From: at(3)}, {Schedule: "s", From: at(6), To: at(6)},
	} {
		want := t.executions(q)
		slices.Reverse(want)
		q.EarliestFirst = true
		for _, q.Limit = range []int{1, 2, 3, 100} {
			require.Equal(t, ids(want), ids(t.executions(q)), "%+v", q)
		}
	}
}

func gapsReach(t *trial) {
	t.hasSchedule("s")
	t.hasSchedule("other")
	at := func(minutes int) time.Time { return past.Add(time.Duration(minutes) * time.Minute) }
	rows := t.hasRows("s", missed("s", at(0), 100), missed("s", at(10), 3), newExecution("s", at(20), 4), missed("s", at(30), 5))
	t.hasRows("other", missed("other", at(0), 1000))
	for minute, want := range map[int][]string{
		0: {}, 1: {rows[0].ID}, 11: {rows[1].ID, rows[0].ID}, 12: {rows[1].ID, rows[0].ID}, 13: {rows[0].ID},
		30: {rows[0].ID}, 34: {rows[3].ID, rows[0].ID}, 99: {rows[0].ID}, 100: {},
	} {
		got, err := t.Gaps(t.Context(), "s", at(minute))
		require.NoError(t, err)
		require.ElementsMatch(t, want, ids(got), "at minute %d", minute)
	}
	got, err := t.Gaps(t.Context(), "absent", at(1))
	require.NoError(t, err)
	require.Empty(t, got)
}
