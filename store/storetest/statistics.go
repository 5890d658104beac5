package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func tallyCases() []testCase {
	return []testCase{
		{"tallies by schedule", "statistics are asked for all, for some, and a page at a time", talliesListed},
		{"tallies outlive their schedule", "the total must not shrink when a schedule is deleted", talliesOutlive},
	}
}

func talliesListed(t *trial) {
	for i := range 5 {
		t.hasSchedule(numbered("s", i))
	}
	t.hasFinished("s-1", callsheet.StateSucceeded)
	t.hasFinished("s-3", callsheet.StateFailed)
	t.hasPending("s-3")
	read := func(q callsheet.StatsQuery) (callsheet.Tally, []string, callsheet.Page[callsheet.ScheduleTally]) {
		total, page, err := t.Tally(t.Context(), q)
		require.NoError(t, err)
		var names []string
		for _, item := range page.Items {
			names = append(names, item.Schedule)
		}
		return total, names, page
	}
	total, names, page := read(callsheet.StatsQuery{})
	require.Equal(t, []string{"s-0", "s-1", "s-2", "s-3", "s-4"}, names, "every schedule was expected, in the order of the IDs")
	require.EqualValues(t, 1, total.Succeeded)
	require.EqualValues(t, 1, total.Failed)
	require.EqualValues(t, 1, total.Pending)
	require.EqualValues(t, 2, total.Attempts)
	require.EqualValues(t, 2, total.Durations.Count(), "each attempt's duration was expected to be counted")
	require.Equal(t, recount(nil), asJSON(page.Items[0].Tally), "a schedule without executions was expected to have the zero tally")
	require.EqualValues(t, 1, page.Items[1].Tally.Succeeded)
	require.EqualValues(t, 1, page.Items[3].Tally.Failed)

	_, names, page = read(callsheet.StatsQuery{Limit: 2})
	require.Equal(t, []string{"s-0", "s-1"}, names)
	_, names, page = read(callsheet.StatsQuery{Limit: 2, After: page.Next})
	require.Equal(t, []string{"s-2", "s-3"}, names)
	_, names, page = read(callsheet.StatsQuery{Limit: 2, After: page.Next})
	require.Equal(t, []string{"s-4"}, names)
	require.Empty(t, page.Next, "the last page was expected to have no next one")

	total, names, page = read(callsheet.StatsQuery{Schedules: []string{"s-3", "s-0", "s-1"}, Limit: 2})
	require.Equal(t, []string{"s-0", "s-1"}, names, "only the schedules asked for were expected, in the order of their IDs")
	require.EqualValues(t, 1, total.Failed, "the total was expected to be over all schedules all the same")
	_, names, _ = read(callsheet.StatsQuery{Schedules: []string{"s-3", "s-0", "s-1"}, Limit: 2, After: page.Next})
	require.Equal(t, []string{"s-3"}, names)
}

func talliesOutlive(t *trial) {
	t.hasSchedule("s")
	t.hasFinished("s", callsheet.StateSucceeded)
	running := t.hasRunning("s", longLease)
	require.NoError(t, t.Schedules().Delete(t.Context(), "s"))
	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
	total, own := t.tallies()
	require.EqualValues(t, 2, total.Succeeded, "what a deleted schedule's worker did was expected to count")
	require.NotContains(t, own, "s")
}

func walkCases() []testCase {
	return []testCase{
		{"tallies are what a recount gives, and lines what their rule says", "both are kept and not computed; whatever happens, in whatever order, they must stay true", walk},
	}
}

// walk does a few hundred things at random, then counts anew.
func walk(t *trial) {
	w := walker{trial: t, random: t.random(), ended: make(map[string]int64), from: ago(24 * time.Hour)}
	for i := range 5 {
		w.schedules = append(w.schedules, numbered("s", i))
		t.hasSchedule(w.schedules[i], from(w.from), next(w.from), func(s *callsheet.Schedule) {
			s.PauseAfterFailures = i
			s.Overlap = callsheet.Overlaps()[i%len(callsheet.Overlaps())]
		})
	}
	steps := []func(){
		w.plan, w.insert, w.insert, w.claim, w.claim, w.claim, w.finish, w.finish, w.finish, w.renew, w.cancel, w.reopen, w.reclaim, w.resume, w.backfill, w.edit,
	}
	for step := range 400 {
		if step == 300 {
			gone := w.schedules[len(w.schedules)-1]
			w.schedules = w.schedules[:len(w.schedules)-1]
			require.NoError(t, t.Schedules().Delete(t.Context(), gone))
		}
		steps[w.random.IntN(len(steps))]()
		if step%10 == 0 {
			w.seesLines()
		}
	}
	w.seesLines()

	all := t.executions(callsheet.ExecutionQuery{Limit: 1000})
	for _, e := range all {
		require.Equal(t, e.State.Final(), !e.FinishedAt.IsZero(), "execution %s is %s: FinishedAt was expected with the end only", e.ID, e.State)
		require.Equal(t, e.State == callsheet.StateRunning, e.Worker != "", "execution %s is %s: a worker was expected while it runs only", e.ID, e.State)
	}
	total, own := t.tallies()
	require.Equal(t, w.stale, total.StaleWrites, "each refused write was expected to be counted")
	total.StaleWrites = 0
	require.Equal(t, recount(all), asJSON(total), "the total was expected to be what a recount gives")
	require.Len(t, own, len(w.schedules))
	for id, tally := range own {
		tally.StaleWrites = 0
		require.Equal(t, recount(t.executions(callsheet.ExecutionQuery{Schedule: id, Limit: 1000})), asJSON(tally),
			"the tally of %s was expected to be what a recount gives", id)
		require.Equal(t, w.ended[id], t.schedule(id).ExecutionCount, "schedule %s was expected to have counted each end", id)
	}
}

// recount is the Tally of executions as they are, in a form that can be compared.
func recount(all []callsheet.Execution) string {
	var tally callsheet.Tally
	for _, e := range all {
		tally.Applied(nil, e)
	}
	return asJSON(tally)
}

func asJSON(tally callsheet.Tally) string {
	b, err := json.MarshalIndent(tally, "", " ")
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
