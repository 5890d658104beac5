package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func planCases() []testCase {
	return []testCase{
		{"a pass takes no more than it can insert soon", "leases must be renewed while an outage is made up for", planBounded},
		{"runs are counted", "a schedule that may run a number of times must know how often it has", planCountsRuns},
		{"a decision may pause the schedule", "a schedule whose times nobody can compute must wait for a person, and not be asked again and again", planPauses},
		{"only what is due is planned", "a schedule that is not due, paused, disabled or manual must not run", planOnlyDue},
		{"the earliest is planned first", "after a stop the longest waiting come first, and a limit bounds each pass", planEarliestFirst},
		{"the next occurrence is moved on", "what was planned once must not be planned again", planMovesOn},
		{"skipped occurrences are kept", "an occurrence that does not run needs a row that says why", planSkips},
		{"open executions are counted", "whether an occurrence overlaps is decided by how many are open", planCountsOpen},
		{"an occurrence is inserted once", "the same occurrence must never run twice, even if a schedule is set back", planKeepsKeys},
		{"planners race", "any node may plan; each occurrence must be planned once, and none lost", planRace},
	}
}

func planOnlyDue(t *trial) {
	due := ago(time.Minute)
	t.hasSchedule("due", next(due))
	t.hasSchedule("not yet", next(in(time.Hour)))
	t.hasSchedule("never")
	t.hasSchedule("disabled", next(due), func(s *callsheet.Schedule) { s.Disabled = true })
	t.hasSchedule("manual", next(due), func(s *callsheet.Schedule) { s.Type = callsheet.TypeManual })
	t.hasSchedule("paused", next(due))
	t.pauses("paused")

	var asked []string
	result := t.plans(10, func(d callsheet.Due) callsheet.Decision {
		asked = append(asked, d.Schedule.ID)
		return runOnce(in(2 * time.Hour))(d)
	})
	require.Equal(t, []string{"due"}, asked, "only the schedule that is due was expected to be decided on")
	require.Equal(t, 1, result.Schedules)
	require.Len(t, result.Executions, 1)
	e := result.Executions[0]
	require.Equal(t, "due", e.Schedule)
	require.True(t, e.ScheduledAt.Equal(due), "the execution was expected to be of the occurrence that was due")
	require.Equal(t, time.UTC, e.ScheduledAt.Location(), "scheduled times were expected in UTC")
	require.Equal(t, e, t.execution(e.ID), "Plan was expected to return the execution as kept")
	wake := t.schedule("not yet").NextExecutionAt
	require.True(t, result.Wake.Equal(wake), "the planner was expected to be woken for the next schedule at %s, not at %s", wake, result.Wake)
}

func planEarliestFirst(t *trial) {
	for i, minutes := range []time.Duration{3, 1, 5, 2, 4} {
		t.hasSchedule(numbered("s", i), next(ago(minutes*time.Minute)))
	}
	var got []string
	decide := func(d callsheet.Due) callsheet.Decision {
		got = append(got, d.Schedule.ID)
		return runOnce(time.Time{})(d)
	}
	result := t.plans(2, decide)
	require.Equal(t, 2, result.Schedules, "Plan was expected to keep to its limit")
	require.False(t, result.Wake.IsZero() || result.Wake.After(time.Now()), "a planner that reached its limit was expected to be woken at once, not at %s", result.Wake)
	require.Equal(t, 3, t.plans(10, decide).Schedules)
	require.Equal(t, []string{"s-2", "s-4", "s-0", "s-3", "s-1"}, got)
	last := t.plans(10, decide)
	require.Zero(t, last.Schedules)
	require.True(t, last.Wake.IsZero(), "with nothing left to plan no wake-up was expected, not %s", last.Wake)
}

func planMovesOn(t *trial) {
	t.hasSchedule("s", next(ago(time.Hour)))
	then := in(time.Hour)
	require.Len(t, t.plans(10, runOnce(then)).Executions, 1)
	require.True(t, t.schedule("s").NextExecutionAt.Equal(then), "the next occurrence was expected to be what was decided")
	require.EqualValues(t, 1, t.schedule("s").Version, "planning was expected to be no edit")
	require.Zero(t, t.plans(10, runOnce(then)).Schedules, "what was planned was expected not to be due any more")
}

func planSkips(t *trial) {
	first, due := ago(3*time.Hour), ago(time.Hour)
	gap := &callsheet.Gap{First: first, Last: ago(2 * time.Hour), Count: 2}
	t.hasSchedule("s", next(due))
	result := t.plans(10, func(d callsheet.Due) callsheet.Decision {
		return decision(d, time.Time{}, skipped(d, first, callsheet.ReasonMissed, gap), occurrence(d))
	})
	require.Len(t, result.Executions, 2)
	kept := t.execution(result.Executions[0].ID)
	require.Equal(t, callsheet.StateSkipped, kept.State)
	require.Equal(t, callsheet.ReasonMissed, kept.Reason)
	require.Equal(t, gap, kept.Gap, "the gap was expected to be kept")
	require.False(t, kept.FinishedAt.IsZero(), "a skipped execution was expected to say when that was decided")
	require.Empty(t, t.asksFor("worker", longLease, kept.ID), "nobody was expected to get a skipped execution")
	total, own := t.tallies()
	require.EqualValues(t, 2, total.Missed, "each missed occurrence was expected to be counted")
	require.EqualValues(t, 1, own["s"].Skipped)
	require.EqualValues(t, 1, own["s"].Pending)
}

func planCountsOpen(t *trial) {
	at := ago(time.Hour)
	t.hasSchedule("s", next(at))
	t.hasSchedule("other")
	t.hasPending("other")
	open := func() int {
		at = at.Add(time.Minute)
		var open callsheet.Open
		t.plans(10, func(d callsheet.Due) callsheet.Decision {
			open = d.Open
			return decision(d, at)
		})
		require.Zero(t, open.Waiting, "nobody was expected to wait where executions may overlap")
		return open.All
	}
	require.Equal(t, 0, open())
	pending := t.hasPending("s")
	running := t.hasRunning("s", longLease)
	require.Equal(t, 2, open(), "pending and running executions were expected to count as open")
	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
	require.Equal(t, 1, open(), "an execution that succeeded was expected not to be open")
	t.finishes(t.claims(pending.ID, longLease).Execution, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: time.Hour})
	require.Equal(t, 1, open(), "an execution that waits for a retry was expected to be open")
	_, _, err := t.Cancel(t.Context(), pending.ID, "enough")
	require.NoError(t, err)
	require.Equal(t, 0, open(), "a cancelled execution was expected not to be open")
}

func planKeepsKeys(t *trial) {
	at := ago(time.Hour)
	t.hasSchedule("s", next(at))
	first := t.plans(10, runOnce(at)).Executions
	require.Len(t, first, 1)
	again := t.plans(10, runOnce(time.Time{}))
	require.Equal(t, 1, again.Schedules)
	require.Empty(t, again.Executions, "an occurrence that is there was expected not to be inserted again")
	require.Equal(t, first, t.executions(callsheet.ExecutionQuery{}))
	require.True(t, t.schedule("s").NextExecutionAt.IsZero(), "the next occurrence was expected to be moved on all the same")
	total, _ := t.tallies()
	require.EqualValues(t, 1, total.Pending, "what was not inserted was expected not to be counted")
}

func planRace(t *trial) {
	const planners, schedules, occurrences = 16, 100, 3
	start := ago(time.Hour)
	sheet := callsheet.Sheet{Sources: []callsheet.Source{newSource("api")}, Requests: []callsheet.Request{newRequest("get")}}
	for i := range schedules {
		s := newSchedule(numbered("s", i))
		s.Extract, s.Delivery = "", ""
		sheet.Schedules = append(sheet.Schedules, s)
	}
	t.defines(sheet)
	for _, s := range sheet.Schedules {
		t.fallsDue(s.ID, start)
	}
	decide := func(d callsheet.Due) callsheet.Decision {
		then := d.Schedule.NextExecutionAt.Add(time.Minute)
		if !then.Before(start.Add(occurrences * time.Minute)) {
			then = time.Time{}
		}
		return runOnce(then)(d)
	}
	type key struct {
		schedule string
		at       time.Time
	}
	var (
		mu      sync.Mutex
		planned = make(map[key]int)
		errs    []error
		wg      sync.WaitGroup
	)
	plan := func() {
		for {
			result, err := t.Plan(t.Context(), callsheet.PlanRequest{Limit: 10, Decide: decide, RingAgain: longLease})
			mu.Lock()
			errs = append(errs, err)
			for _, e := range result.Executions {
				planned[key{e.Schedule, e.ScheduledAt}]++
			}
			mu.Unlock()
			if err != nil || result.Schedules == 0 {
				return
			}
		}
	}
	for range planners {
		wg.Go(plan)
	}
	wg.Wait()
	plan() // what a planner passed over because another was taking it
	require.NoError(t, errors.Join(errs...))
	require.Len(t, planned, schedules*occurrences, "each occurrence was expected to be planned")
	for k, n := range planned {
		require.Equal(t, 1, n, "the occurrence of %s at %s was expected to be returned to one planner", k.schedule, k.at)
	}
	require.Len(t, t.executions(callsheet.ExecutionQuery{Limit: 1000}), schedules*occurrences)
}

func planCountsRuns(t *trial) {
	at := ago(time.Hour)
	t.hasSchedule("s", next(at))
	again := func(d callsheet.Due) callsheet.Decision {
		return decision(d, at, occurrence(d), skipped(d, at.Add(-time.Hour), callsheet.ReasonMissed, nil))
	}
	t.plans(1, again)
	require.EqualValues(t, 1, t.schedule("s").Runs, "what is pending was expected to be counted, what is skipped not")
	t.plans(1, again)
	require.EqualValues(t, 1, t.schedule("s").Runs, "what was there already was expected not to be counted again")
	t.hasPending("s")
	require.EqualValues(t, 1, t.schedule("s").Runs, "what is run by hand was expected not to be counted")
}

func planPauses(t *trial) {
	t.hasSchedule("s", next(ago(time.Minute)))
	result := t.plans(10, func(d callsheet.Due) callsheet.Decision {
		return callsheet.Decision{
			Executions: []callsheet.Execution{skipped(d, d.Schedule.NextExecutionAt, callsheet.ReasonUnplannable, nil)},
			State:      d.Schedule.Paused("no such zone", d.Now),
		}
	})
	require.Len(t, result.Executions, 1)
	s := t.schedule("s")
	require.Equal(t, callsheet.StatusPaused, s.Status)
	require.Equal(t, "no such zone", s.PauseReason)
	require.True(t, s.NextExecutionAt.IsZero())
	require.Zero(t, t.plans(10, runOnce(time.Time{})).Schedules)
}

func insertCases() []testCase {
	return []testCase{
		{"executions by hand get a key of their own", "whoever asks for a run now must get one, also twice in a microsecond", insertMovesKey},
		{"an execution needs its schedule", "a row of a schedule that is not there could never run", insertNeedsSchedule},
	}
}

func insertMovesKey(t *trial) {
	at := ago(time.Minute)
	t.hasSchedule("s", next(at))
	t.hasSchedule("other")
	t.plans(10, runOnce(time.Time{}))
	for i := range 3 {
		given := newExecution("s", at, 4)
		given.Trigger = callsheet.TriggerManual
		e, err := t.Insert(t.Context(), given, longLease)
		require.NoError(t, err)
		want := at.Add(time.Duration(i+1) * time.Microsecond)
		require.True(t, e.ScheduledAt.Equal(want), "the next free microsecond was expected: %s, not %s", want, e.ScheduledAt)
		require.Equal(t, callsheet.StatePending, e.State)
		require.Equal(t, callsheet.TriggerManual, e.Trigger)
		require.Equal(t, e, t.execution(e.ID), "Insert was expected to return the execution as kept")
	}
	e, err := t.Insert(t.Context(), newExecution("other", at, 4), longLease)
	require.NoError(t, err)
	require.True(t, e.ScheduledAt.Equal(at), "another schedule's executions were expected not to be in the way")

	const inserters = 16
	now := t.now()
	times := make([]time.Time, inserters)
	errs := make([]error, inserters)
	var wg sync.WaitGroup
	for i := range inserters {
		wg.Go(func() {
			e, err := t.Insert(t.Context(), newExecution("s", now, 4), longLease)
			times[i], errs[i] = e.ScheduledAt, err
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...), "everyone's Insert was expected to work")
	distinct := make(map[time.Time]bool)
	for _, at := range times {
		distinct[at] = true
	}
	require.Len(t, distinct, inserters, "each execution was expected to have a time of its own")
}

func insertNeedsSchedule(t *trial) {
	_, err := t.Insert(t.Context(), newExecution("absent", ago(time.Minute), 4), longLease)
	isNotFound(t, callsheet.Ref{Kind: callsheet.KindSchedule, ID: "absent"}, err)
	require.Empty(t, t.executions(callsheet.ExecutionQuery{}))
}

func planBounded(t *trial) {
	for i := range 3 {
		t.hasSchedule(numbered("s", i), next(past))
	}
	many := func(d callsheet.Due) callsheet.Decision {
		all := make([]callsheet.Execution, callsheet.PlanInserts/2+1)
		for i := range all {
			all[i] = newExecution(d.Schedule.ID, past.Add(time.Duration(i)*time.Second), 1)
		}
		return decision(d, time.Time{}, all...)
	}
	first := t.plans(100, many)
	require.Equal(t, 2, first.Schedules)
	require.True(t, first.More, "a schedule was left over")
	second := t.plans(100, many)
	require.Equal(t, 1, second.Schedules)
	require.False(t, second.More)
	require.Len(t, append(first.Executions, second.Executions...), 3*(callsheet.PlanInserts/2+1))
}
