package storetest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func conductCases() []testCase {
	return []testCase{
		{"definitions are copies", "a host that changes its own value must not change what is kept", copiesOfDefinitions},
		{"executions are copies", "whoever reads history must not be able to rewrite it", copiesOfExecutions},
		{"a context that is done does nothing", "a caller that gave up must not cause anything any more", doneContext},
	}
}

func copiesOfDefinitions(t *trial) {
	ctx := t.Context()
	source, request, extract := newSource("api"), newRequest("get"), newExtract("rows")
	extract.Fields[0].Default = []any{"kept", map[string]any{"kept": true}}
	created, err := t.Sources().Create(ctx, source)
	require.NoError(t, err)
	t.defines(callsheet.Sheet{Requests: []callsheet.Request{request}, Extracts: []callsheet.Extract{extract}})
	source.Headers["Accept"], created.Labels["team"] = "changed", "changed"
	source.Rules[0].Values[0], created.Rules[0].Status[0] = "changed", 599
	request.Params["shop"], request.Rules[0].Path = "changed", "changed"
	request.Query["page"], extract.Fields[0].Name = "changed", "changed"
	extract.Fields[0].Default.([]any)[1].(map[string]any)["kept"] = false
	listed := t.defined()
	listed.Sources[0].Headers["Accept"], listed.Requests[0].Headers["X-A"] = "changed", "changed"
	listed.Requests[0].Params["shop"], listed.Requests[0].Rules[0].Path = "changed", "changed"
	listed.Sources[0].Rules[0].Values[0] = "changed"
	listed.Requests[0].Labels["team"], listed.Extracts[0].Fields[1].Path = "changed", "changed"
	got, err := t.Sources().Get(ctx, "api")
	require.NoError(t, err)
	got.Labels["team"] = "changed"

	kept := t.defined()
	require.Equal(t, newSource("api").Headers, kept.Sources[0].Headers)
	require.Equal(t, newSource("api").Labels, kept.Sources[0].Labels)
	require.Equal(t, newSource("api").Rules, kept.Sources[0].Rules)
	require.Equal(t, newRequest("get").Params, kept.Requests[0].Params)
	require.Equal(t, newRequest("get").Rules, kept.Requests[0].Rules)
	require.Equal(t, newRequest("get").Query, kept.Requests[0].Query)
	require.Equal(t, newRequest("get").Headers, kept.Requests[0].Headers)
	require.Equal(t, newRequest("get").Labels, kept.Requests[0].Labels)
	want := newExtract("rows")
	want.Fields[0].Default = []any{"kept", map[string]any{"kept": true}}
	require.Equal(t, want.Mapping().Canonical(), kept.Extracts[0].Mapping().Canonical(), "what a default says was expected to stay")

	blackouts := []callsheet.Blackout{{Cron: "0 22 * * 5", For: time.Hour}}
	schedule := t.hasSchedule("s", next(in(time.Hour)), func(s *callsheet.Schedule) {
		s.Blackouts, s.Params = blackouts, map[string]string{"shop": "berlin"}
	})
	schedule.Labels["team"], schedule.Blackouts[0].Cron, blackouts[0].Cron = "changed", "changed", "changed"
	soonest, err := t.Soonest(ctx, 1)
	require.NoError(t, err)
	soonest[0].Labels["team"], soonest[0].Params["shop"] = "changed", "changed"
	t.surveys(callsheet.SurveyQuery{Limit: 1}).NeverRun[0].Labels["team"] = "changed"
	t.changes("s", func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
		s.Labels["team"] = "changed"
		return callsheet.Decision{State: s.ScheduleState}
	}).Schedule.Labels["team"] = "changed"
	t.backfills("s", past, future, func(s callsheet.Schedule, _ []callsheet.Execution, _ time.Time) []callsheet.Execution {
		s.Labels["team"], s.Blackouts[0].Cron, s.Params["shop"] = "changed", "changed", "changed"
		return nil
	})
	t.finishes(t.hasRunning("s", longLease), callsheet.Outcome{State: callsheet.StateSucceeded}).Schedule.Labels["team"] = "changed"
	require.Equal(t, newSchedule("s").Labels, t.schedule("s").Labels)
	require.Equal(t, "0 22 * * 5", t.schedule("s").Blackouts[0].Cron)
	require.Equal(t, "berlin", t.schedule("s").Params["shop"])
}

func copiesOfExecutions(t *trial) {
	t.hasSchedule("s", next(ago(time.Minute)))
	given := &callsheet.Gap{First: ago(time.Hour), Last: ago(time.Minute), Count: 3}
	planned := t.plans(1, func(d callsheet.Due) callsheet.Decision {
		return decision(d, time.Time{}, skipped(d, ago(time.Hour), callsheet.ReasonMissed, given))
	}).Executions[0]
	given.Count = 99
	planned.Gap.Count = 99
	t.backfills("s", past, future, func(_ callsheet.Schedule, there []callsheet.Execution, _ time.Time) []callsheet.Execution {
		for _, e := range there {
			e.Gap.Count = 99
		}
		return nil
	})
	t.execution(planned.ID).Gap.Count = 99
	require.Equal(t, 3, t.execution(planned.ID).Gap.Count)

	running := t.hasRunning("s", longLease)
	done := t.finishes(running, callsheet.Outcome{State: callsheet.StateFailed, Error: "true"}).Execution
	done.Attempts[0].Error = "forged"
	t.execution(done.ID).Attempts[0].Error = "forged"
	t.executions(callsheet.ExecutionQuery{States: []callsheet.State{callsheet.StateFailed}})[0].Attempts[0].Error = "forged"
	t.surveys(callsheet.SurveyQuery{Limit: 1}).DeadLetters[0].Attempts[0].Error = "forged"
	t.cancels(done.ID, "").Attempts[0].Error = "forged"
	reopened, err := t.Reopen(t.Context(), done.ID, longLease)
	require.NoError(t, err)
	reopened.Attempts[0].Error = "forged"
	call := t.claims(done.ID, longLease)
	call.Execution.Attempts[0].Error = "forged"
	require.Equal(t, "true", t.execution(done.ID).Attempts[0].Error)

	total, own := t.tallies()
	total.Durations.Add(time.Hour)
	histogram := own["s"].Durations
	histogram.Add(time.Hour)
	total, own = t.tallies()
	require.EqualValues(t, 1, total.Durations.Count(), "a tally was expected to be a copy")
	require.EqualValues(t, 1, own["s"].Durations.Count(), "a tally was expected to be a copy")
}

func doneContext(t *trial) {
	schedule := t.hasSchedule("s", next(ago(time.Minute)))
	pending, failed, running := t.hasPending("s"), t.hasFinished("s", callsheet.StateFailed), t.hasRunning("s", time.Millisecond)
	t.passes(time.Millisecond)
	before, _ := t.tallies()
	history, definitions := t.executions(callsheet.ExecutionQuery{}), t.defined()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Create": func() error { _, err := t.Sources().Create(ctx, newSource("new")); return err },
		"Get":    func() error { _, err := t.Sources().Get(ctx, "api"); return err },
		"Update": func() error { schedule.Name = "edited"; _, err := t.Schedules().Update(ctx, schedule); return err },
		"Delete": func() error { return t.Schedules().Delete(ctx, "s") },
		"List":   func() error { _, err := t.Sources().List(ctx, callsheet.Query{}); return err },
		"Define": func() error { return t.Define(ctx, callsheet.Sheet{Sources: []callsheet.Source{newSource("new")}}) },
		"ChangeSchedule": func() error {
			_, err := t.ChangeSchedule(ctx, "s", func(callsheet.Schedule, time.Time) (callsheet.Decision, error) { return callsheet.Decision{}, nil })
			return err
		},
		"Backfill": func() error {
			_, err := t.Backfill(ctx, callsheet.BackfillRequest{Schedule: "s", From: past, To: future, Decide: func(callsheet.Schedule, []callsheet.Execution, time.Time) ([]callsheet.Execution, error) {
				return []callsheet.Execution{newExecution("s", ago(time.Hour), 4)}, nil
			}})
			return err
		},
		"Plan":   func() error { _, err := t.Plan(ctx, callsheet.PlanRequest{Decide: runOnce(time.Time{})}); return err },
		"Insert": func() error { _, err := t.Insert(ctx, newExecution("s", ago(time.Minute), 4), longLease); return err },
		"Ring":   func() error { _, err := t.Ring(ctx, callsheet.RingRequest{}); return err },
		"Claim": func() error {
			_, err := t.Claim(ctx, callsheet.ClaimRequest{ExecutionIDs: []string{pending.ID}, Worker: "w", Lease: longLease})
			return err
		},
		"Renew": func() error {
			_, err := t.Renew(ctx, callsheet.RenewRequest{Held: []callsheet.Held{{ExecutionID: running.ID, Fence: running.Fence}}, Lease: longLease})
			return err
		},
		"Finish": func() error {
			_, err := t.Finish(ctx, []callsheet.Outcome{{ExecutionID: running.ID, Fence: running.Fence, State: callsheet.StateSucceeded}})
			return err
		},
		"Reclaim":    func() error { _, err := t.Reclaim(ctx, 10, longLease); return err },
		"Cancel":     func() error { _, _, err := t.Cancel(ctx, pending.ID, ""); return err },
		"Reopen":     func() error { _, err := t.Reopen(ctx, failed.ID, longLease); return err },
		"Execution":  func() error { _, err := t.Execution(ctx, pending.ID); return err },
		"Executions": func() error { _, err := t.Executions(ctx, callsheet.ExecutionQuery{}); return err },
		"Tally":      func() error { _, _, err := t.Tally(ctx, callsheet.StatsQuery{}); return err },
		"Survey":     func() error { _, err := t.Survey(ctx, callsheet.SurveyQuery{}); return err },
		"Soonest":    func() error { _, err := t.Soonest(ctx, 10); return err },
		"Prune": func() error {
			_, err := t.Prune(ctx, callsheet.PruneRequest{Before: map[callsheet.State]time.Time{callsheet.StateFailed: in(time.Hour)}, Limit: 10})
			return err
		},
	} {
		require.ErrorIs(t, call(), context.Canceled, "%s was expected to return the context's error", name)
	}

	after, _ := t.tallies()
	require.Equal(t, asJSON(before), asJSON(after))
	require.Equal(t, history, t.executions(callsheet.ExecutionQuery{}), "nothing was expected to happen for a caller that gave up")
	require.Equal(t, definitions, t.defined())
}
