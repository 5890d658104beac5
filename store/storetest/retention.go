package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func retentionCases() []testCase {
	return []testCase{
		{"the latest by scheduled time stay, and the last of each schedule", "what ended last need not be what happened last; and a schedule must know its last execution", retainLatest},
		{"what an open execution refers to is never pruned", "an execution must not lose the answer that it is to extract", retainReferred},
	}
}

func retainLatest(t *trial) {
	t.hasSchedule("s")
	t.hasSchedule("t")
	var latest []string
	for i := range 6 {
		e := t.claims(t.inserts(newExecution("s", past.Add(-time.Duration(i)*time.Hour), 4)).ID, longLease).Execution
		t.finishes(e, callsheet.Outcome{State: callsheet.StateSucceeded})
		if i < 3 {
			latest = append(latest, e.ID)
		}
	}
	failed, other := t.hasFinished("s", callsheet.StateFailed), t.hasFinished("t", callsheet.StateSucceeded)
	before, _ := t.tallies()
	prune := func(keep int) int {
		t.Helper()
		n, err := t.Prune(t.Context(), callsheet.PruneRequest{Keep: map[callsheet.State]int{callsheet.StateSucceeded: keep}})
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 3, prune(3))
	require.Zero(t, prune(3), "what is within the number was expected to stay")
	require.ElementsMatch(t, append(latest, failed.ID), ids(t.executions(callsheet.ExecutionQuery{Schedule: "s"})))
	require.Equal(t, 3, prune(0), "a number of none was expected to leave the last execution of each schedule only")
	require.ElementsMatch(t, []string{failed.ID, other.ID}, ids(t.executions(callsheet.ExecutionQuery{})))
	after, _ := t.tallies()
	require.Equal(t, asJSON(before), asJSON(after), "tallies were expected to keep what they counted")
	require.NoError(t, t.Schedules().Delete(t.Context(), "s"))
	require.Equal(t, 1, t.prunes(map[callsheet.State]time.Time{callsheet.StateFailed: in(time.Hour)}, 10))
	after, _ = t.tallies()
	require.Equal(t, asJSON(before), asJSON(after), "what nothing else is left of was expected to count still")
}

func retainReferred(t *trial) {
	t.hasSchedule("s")
	first := t.hasFinished("s", callsheet.StateSucceeded)
	t.hasFinished("s", callsheet.StateSucceeded)
	e := newExecution("s", t.now(), 4)
	e.Trigger, e.AnswerOf = callsheet.TriggerReextract, first.ID
	e = t.inserts(e)
	all := callsheet.PruneRequest{
		Before: map[callsheet.State]time.Time{callsheet.StateSucceeded: in(time.Hour)}, Keep: map[callsheet.State]int{callsheet.StateSucceeded: 0},
	}
	n, err := t.Prune(t.Context(), all)
	require.NoError(t, err)
	require.Zero(t, n)
	t.cancels(e.ID, "enough")
	n, err = t.Prune(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, 1, n, "what nobody needs any more was expected to go")
}
