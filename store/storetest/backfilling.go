package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func backfillCases() []testCase {
	return []testCase{
		{"a backfill is given what is there", "what is run afterwards is decided by what happened then, and by a row that began before", backfillGiven},
		{"a backfill takes rows' places", "an occurrence that was skipped must become its own run, and the rest of a gap stay accounted for", backfillReplaces},
		{"a backfill leaves what is there", "an occurrence that has an execution must not get another", backfillLeaves},
		{"a refused backfill changes nothing", "a backfill of too much must not be half there", backfillRefused},
		{"backfills race", "two people who backfill the same day must not run it twice", backfillRace},
		{"a backfill stands in line and rings", "nobody is told of what a backfill wrote but by its bell", backfillRings},
	}
}

func (t *trial) backfills(id string, from, to time.Time, decide func(callsheet.Schedule, []callsheet.Execution, time.Time) []callsheet.Execution) []callsheet.Execution {
	t.Helper()
	written, err := t.Backfill(t.Context(), callsheet.BackfillRequest{Schedule: id, From: from, To: to, Decide: func(s callsheet.Schedule, there []callsheet.Execution, now time.Time) ([]callsheet.Execution, error) {
		return decide(s, there, now), nil
	}})
	require.NoError(t, err)
	return written
}

// missed is the skipped execution of occurrences, minute by minute.
func missed(schedule string, first time.Time, count int) callsheet.Execution {
	e := newExecution(schedule, first, 4)
	e.State, e.Reason, e.FinishedAt = callsheet.StateSkipped, callsheet.ReasonMissed, e.CreatedAt
	e.Gap = &callsheet.Gap{First: first, Last: first.Add(time.Duration(count-1) * time.Minute), Count: count}
	return e
}

func backfilled(schedule string, at time.Time) callsheet.Execution {
	e := newExecution(schedule, at, 4)
	e.Trigger = callsheet.TriggerBackfill
	return e
}

// hasRows inserts executions of the Schedule, skipped or pending.
func (t *trial) hasRows(id string, executions ...callsheet.Execution) []callsheet.Execution {
	t.Helper()
	inserted := t.changes(id, func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
		return callsheet.Decision{Executions: executions, State: s.ScheduleState}
	}).Inserted
	require.Len(t, inserted, len(executions))
	return inserted
}

func backfillGiven(t *trial) {
	t.hasSchedule("r")
	t.hasSchedule("s")
	t.hasSchedule("t")
	at := func(hours time.Duration) time.Time { return past.Add(hours * time.Hour) }
	rows := t.hasRows("s", missed("s", at(0), 9), missed("s", at(1), 100), newExecution("s", at(2), 4), newExecution("s", at(3), 4),
		missed("s", at(4), 1), newExecution("s", at(5), 4), missed("s", at(6), 7), newExecution("s", at(7), 4))
	for _, other := range []string{"r", "t"} {
		t.hasRows(other, missed(other, at(0), 3), missed(other, at(4), 3), missed(other, at(8), 3))
	}
	rows[2] = t.finishes(t.claims(rows[2].ID, longLease).Execution, callsheet.Outcome{State: callsheet.StateSucceeded}).Execution
	rows[5] = t.claims(rows[5].ID, longLease).Execution
	kept := t.schedule("s")
	for _, c := range []struct {
		what     string
		from, to time.Time
		want     []callsheet.Execution
	}{
		{"a gap that begins before the range may reach into it", at(2).Add(39 * time.Minute), at(4), []callsheet.Execution{rows[1], rows[3]}},
		{"one that ends before does not", at(2).Add(39*time.Minute + time.Second), at(4), []callsheet.Execution{rows[3]}},
		{"what is not skipped stands for itself", at(4), at(6), []callsheet.Execution{rows[4], rows[5]}},
		{"the end of a range does not belong to it", at(6).Add(time.Second), at(7), []callsheet.Execution{rows[6]}},
		{"nothing is before the first", at(0), at(1), rows[:1]},
		{"a microsecond more is another row", at(0).Add(-time.Microsecond), at(1).Add(time.Microsecond), rows[:2]},
		{"a range in which nothing is", at(20), at(21), nil},
		{"a range before all", at(-20), at(-19), nil},
	} {
		before := t.now()
		var given callsheet.Schedule
		var got []callsheet.Execution
		var clock time.Time
		written := t.backfills("s", c.from, c.to, func(s callsheet.Schedule, there []callsheet.Execution, now time.Time) []callsheet.Execution {
			given, got, clock = s, there, now
			return nil
		})
		require.Empty(t, written)
		require.Equal(t, kept, given, "the schedule was expected as it is")
		require.Equal(t, ids(c.want), ids(got), "%s: these were expected, earliest first", c.what)
		for i := range got {
			require.Equal(t, c.want[i], got[i], "the executions were expected as kept")
		}
		require.False(t, clock.Before(before) || clock.After(t.now()), "the Store's now was expected, not %s", clock)
	}
	require.Len(t, t.executions(callsheet.ExecutionQuery{Schedule: "s"}), len(rows))
}

func backfillReplaces(t *trial) {
	t.hasSchedule("s")
	at := func(minutes time.Duration) time.Time { return past.Add(minutes * time.Minute) }
	rows := t.hasRows("s", missed("s", at(0), 10), missed("s", at(20), 5), missed("s", at(30), 1))
	runs := t.schedule("s").Runs
	written := t.backfills("s", at(0), at(60), func(_ callsheet.Schedule, there []callsheet.Execution, now time.Time) []callsheet.Execution {
		if len(there) != len(rows) {
			return nil // which is seen below
		}
		taken, moved, alone := there[0], there[1], there[2]
		// The first occurrence of a gap is run; what is left of it is a row of its own.
		taken.State, taken.Reason, taken.Gap, taken.FinishedAt, taken.NotBefore = callsheet.StatePending, "", nil, time.Time{}, now
		taken.Trigger = callsheet.TriggerBackfill
		rest := missed("s", at(1), 9)
		// The last two of a gap stay: their row makes room for the occurrence that had its key.
		moved.ScheduledAt, moved.Gap = at(23), &callsheet.Gap{First: at(23), Last: at(24), Count: 2}
		alone.Reason = callsheet.ReasonPaused
		return []callsheet.Execution{taken, rest, moved, backfilled("s", at(20)), backfilled("s", at(21)), alone}
	})
	require.Len(t, written, 6)
	require.Equal(t, []string{rows[0].ID, rows[1].ID, rows[2].ID}, []string{written[0].ID, written[2].ID, written[5].ID}, "rows that were given were expected to keep their IDs")
	for i, minutes := range []time.Duration{0, 1, 23, 20, 21, 30} {
		e := written[i]
		require.Equal(t, t.execution(e.ID), e, "what was written was expected to be returned as kept")
		require.True(t, e.ScheduledAt.Equal(at(minutes)), "row %d was expected at %s, not at %s", i, at(minutes), e.ScheduledAt)
		require.Equal(t, i == 0 || i == 3 || i == 4, e.State == callsheet.StatePending)
	}
	require.Equal(t, callsheet.ReasonPaused, t.execution(rows[2].ID).Reason)
	require.Equal(t, 2, t.execution(rows[1].ID).Gap.Count)
	history := t.executions(callsheet.ExecutionQuery{Schedule: "s"})
	require.Equal(t, ids([]callsheet.Execution{written[5], written[2], written[4], written[3], written[1], written[0]}), ids(history),
		"each row was expected once, and found by its key of now")
	total, own := t.tallies()
	require.EqualValues(t, 9+2+1, total.Missed, "what was taken out of a gap was expected to be missed no more")
	require.Equal(t, recount(history), asJSON(total))
	require.Equal(t, recount(history), asJSON(own["s"]))
	require.Equal(t, runs, t.schedule("s").Runs, "what is backfilled was expected not to be counted as a run of the schedule's times")

	calls := t.asksFor("worker", longLease, ids(written)...)
	require.Len(t, calls, 3, "what was taken up was expected to be claimable")
	for _, call := range calls {
		t.finishes(call.Execution, callsheet.Outcome{State: callsheet.StateSucceeded})
	}
	require.Equal(t, 2, t.surveys(callsheet.SurveyQuery{}).Pending+t.prunes(map[callsheet.State]time.Time{callsheet.StateSkipped: in(time.Hour)}, 2),
		"rows that were replaced were expected to be found by their state of now")
}

func backfillLeaves(t *trial) {
	t.hasSchedule("s")
	at := func(minutes time.Duration) time.Time { return past.Add(minutes * time.Minute) }
	rows := t.hasRows("s", newExecution("s", at(0), 4), missed("s", at(10), 1), missed("s", at(20), 1))
	var given []callsheet.Execution
	written := t.backfills("s", at(0), at(60), func(_ callsheet.Schedule, there []callsheet.Execution, _ time.Time) []callsheet.Execution {
		if len(there) != len(rows) {
			return nil // which is seen below
		}
		moved, gap := there[1], there[2]
		moved.ScheduledAt, moved.Gap = at(0), nil
		gap.ScheduledAt, gap.Reason = at(0), callsheet.ReasonPaused
		given = []callsheet.Execution{backfilled("s", at(0)), moved, gap, missed("s", at(0), 2), backfilled("s", at(30)), backfilled("s", at(30))}
		return given
	})
	require.Len(t, given, 6)
	require.Equal(t, []string{given[2].ID, given[3].ID, given[4].ID}, ids(written), "what would take a taken key was expected to be left out, a row with a gap to move on")
	require.True(t, written[0].ScheduledAt.Equal(at(0).Add(time.Microsecond)))
	require.True(t, written[1].ScheduledAt.Equal(at(0).Add(2*time.Microsecond)))
	require.Equal(t, rows[0], t.execution(rows[0].ID), "what has the key was expected to stay")
	require.Equal(t, rows[1], t.execution(rows[1].ID), "a row that could not move was expected to stay where it was")
	history := t.executions(callsheet.ExecutionQuery{})
	require.Len(t, history, 5)
	total, _ := t.tallies()
	require.Equal(t, recount(history), asJSON(total), "what was left out was expected not to be counted")
}

func backfillRefused(t *trial) {
	before := t.hasSchedule("s")
	rows := t.hasRows("s", missed("s", past, 3))
	refused := errors.New("refused")
	_, err := t.Backfill(t.Context(), callsheet.BackfillRequest{Schedule: "s", From: past, To: future, Decide: func(_ callsheet.Schedule, there []callsheet.Execution, _ time.Time) ([]callsheet.Execution, error) {
		for i := range there {
			there[i].Reason = "changed"
		}
		return append(there, backfilled("s", future)), refused
	}})
	require.ErrorIs(t, err, refused)
	require.Equal(t, rows, t.executions(callsheet.ExecutionQuery{}))
	require.Equal(t, before, t.schedule("s"))
	_, err = t.Backfill(t.Context(), callsheet.BackfillRequest{Schedule: "absent", From: past, To: future, Decide: func(callsheet.Schedule, []callsheet.Execution, time.Time) ([]callsheet.Execution, error) {
		return nil, nil
	}})
	isNotFound(t, callsheet.Ref{Kind: callsheet.KindSchedule, ID: "absent"}, err)
}

func backfillRace(t *trial) {
	const people, occurrences = 8, 40
	t.hasSchedule("s")
	at := func(i int) time.Time { return past.Add(time.Duration(i) * time.Minute) }
	var rows []callsheet.Execution
	for i := range occurrences / 2 {
		rows = append(rows, missed("s", at(2*i), 1))
	}
	t.hasRows("s", rows...)
	decide := func(_ callsheet.Schedule, there []callsheet.Execution, _ time.Time) ([]callsheet.Execution, error) {
		rows := make(map[time.Time]callsheet.Execution)
		for _, e := range there {
			rows[e.ScheduledAt.UTC()] = e
		}
		var changes []callsheet.Execution
		for i := range occurrences {
			e, ok := rows[at(i)]
			switch {
			case !ok:
				e = backfilled("s", at(i))
			case e.State == callsheet.StateSkipped:
				e.State, e.Reason, e.Gap, e.FinishedAt, e.Trigger = callsheet.StatePending, "", nil, time.Time{}, callsheet.TriggerBackfill
			default:
				continue
			}
			changes = append(changes, e)
		}
		return changes, nil
	}
	var wg sync.WaitGroup
	written := make([][]callsheet.Execution, people)
	errs := make([]error, people)
	for i := range people {
		wg.Go(func() {
			written[i], errs[i] = t.Backfill(t.Context(), callsheet.BackfillRequest{Schedule: "s", From: at(0), To: at(occurrences), Decide: decide})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...), "everyone's Backfill was expected to work")
	times := make(map[time.Time]int)
	for _, all := range written {
		for _, e := range all {
			times[e.ScheduledAt.UTC()]++
		}
	}
	require.Len(t, times, occurrences)
	for at, n := range times {
		require.Equal(t, 1, n, "the occurrence at %s was expected to be planned by one of %d", at, people)
	}
	history := t.executions(callsheet.ExecutionQuery{Limit: 1000})
	require.Len(t, history, occurrences)
	total, _ := t.tallies()
	require.Equal(t, recount(history), asJSON(total))
	require.EqualValues(t, occurrences, total.Pending)
}

func backfillRings(t *trial) {
	t.hasSchedule("s", oneAtATime)
	rows := t.hasRows("s", missed("s", past, 1))
	written := t.backfills("s", past, future, func(_ callsheet.Schedule, there []callsheet.Execution, now time.Time) []callsheet.Execution {
		changes := []callsheet.Execution{backfilled("s", past.Add(2*time.Hour)), backfilled("s", past.Add(time.Hour))}
		for _, e := range there {
			e.State, e.Reason, e.Gap, e.FinishedAt = callsheet.StatePending, "", nil, time.Time{}
			e.Trigger, e.NotBefore = callsheet.TriggerBackfill, now
			changes = append(changes, e)
		}
		return changes
	})
	require.Len(t, written, 3)
	require.Equal(t, []bool{true, true, false}, []bool{written[0].Waits, written[1].Waits, written[2].Waits}, "the line was expected to be seen to, and Backfill to say who waits")
	for _, want := range []string{rows[0].ID, written[1].ID, written[0].ID} {
		require.Equal(t, []string{want}, t.rings(longLease).IDs)
		t.finishes(t.isNext(want, written), callsheet.Outcome{State: callsheet.StateSucceeded})
	}
}
