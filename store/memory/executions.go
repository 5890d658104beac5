package memory

import (
	"slices"
	"time"

	"github.com/google/btree"

	"github.com/callsheet-go/callsheet"
)

// An execution is one kept row.
type execution struct {
	callsheet.Execution
	ringAt time.Time // of a pending one: when its bell is to ring
}

type executionTree = btree.BTreeG[*execution]

// executions keeps the rows and the ways to find them. All keys of a row but those of history
// change only while the row is out; leave and enter are the only ways out and in.
type executions struct {
	byID map[string]*execution
	// history orders all by (Schedule, ScheduledAt). Both never change.
	history *executionTree
	// timeline orders those in each state by (ScheduledAt, ID).
	timeline map[callsheet.State]*executionTree
	// due orders those in each state by the time that matters there: pending ones by ringAt,
	// running ones by LeaseUntil, final ones by FinishedAt.
	due map[callsheet.State]*executionTree
	// ready orders the pending ones by ReadySince.
	ready *executionTree
	// probe is what is looked for in a tree; kept here, as planning looks once per occurrence.
	probe execution
}

func newExecutions() *executions {
	x := &executions{
		byID:     make(map[string]*execution),
		history:  newTree(earlierInHistory),
		timeline: make(map[callsheet.State]*executionTree),
		due:      make(map[callsheet.State]*executionTree),
		ready:    newTree(byTime(func(e *execution) time.Time { return e.ReadySince() })),
	}
	for _, state := range callsheet.States() {
		x.timeline[state] = newTree(byTime(func(e *execution) time.Time { return e.ScheduledAt }))
		x.due[state] = newTree(byTime(dueTime(state)))
	}
	return x
}

func dueTime(state callsheet.State) func(*execution) time.Time {
	switch state {
	case callsheet.StatePending:
		return func(e *execution) time.Time { return e.ringAt }
	case callsheet.StateRunning:
		return func(e *execution) time.Time { return e.LeaseUntil }
	}
	return func(e *execution) time.Time { return e.FinishedAt }
}

func byTime(at func(*execution) time.Time) btree.LessFunc[*execution] {
	return func(a, b *execution) bool {
		if c := at(a).Compare(at(b)); c != 0 {
			return c < 0
		}
		return a.ID < b.ID
	}
}

func earlierInHistory(a, b *execution) bool {
	if a.Schedule != b.Schedule {
		return a.Schedule < b.Schedule
	}
	return a.ScheduledAt.Before(b.ScheduledAt)
}

// add keeps a new row.
func (x *executions) add(row *execution) {
	x.byID[row.ID] = row
	x.history.ReplaceOrInsert(row)
	x.enter(row)
}

// remove forgets a row.
func (x *executions) remove(row *execution) {
	delete(x.byID, row.ID)
	x.history.Delete(row)
	x.leave(row)
}

func (x *executions) enter(row *execution) {
	x.timeline[row.State].ReplaceOrInsert(row)
	x.due[row.State].ReplaceOrInsert(row)
	if row.State == callsheet.StatePending {
		x.ready.ReplaceOrInsert(row)
	}
}

func (x *executions) leave(row *execution) {
	x.timeline[row.State].Delete(row)
	x.due[row.State].Delete(row)
	if row.State == callsheet.StatePending {
		x.ready.Delete(row)
	}
}

// rung notes that a pending row's bell is to ring at next.
func (x *executions) rung(row *execution, next time.Time) {
	pending := x.due[callsheet.StatePending]
	pending.Delete(row)
	row.ringAt = next
	pending.ReplaceOrInsert(row)
}

func (x *executions) count(state callsheet.State) int { return x.due[state].Len() }

// taken reports whether the Schedule has an execution at that time.
func (x *executions) taken(schedule string, at time.Time) bool {
	return x.history.Has(x.historyKey(schedule, at))
}

// anyOf reports whether executions of the Schedule are kept.
func (x *executions) anyOf(schedule string) bool {
	found := false
	x.history.AscendGreaterOrEqual(x.historyKey(schedule, time.Time{}), func(row *execution) bool {
		found = row.Schedule == schedule
		return false
	})
	return found
}

// historyKey returns a row to look for others with, good until the next call.
func (x *executions) historyKey(schedule string, at time.Time) *execution {
	x.probe.Schedule, x.probe.ScheduledAt, x.probe.ID = schedule, at, ""
	return &x.probe
}

// insert keeps a new execution, and counts it. It counts as rung for a while.
func (s *Store) insert(e callsheet.Execution, now time.Time, rung time.Duration) *execution {
	row := &execution{Execution: e}
	row.bell(now, rung)
	s.executions.add(row)
	s.count(nil, &row.Execution)
	return row
}

// apply writes the next state of an execution, and all that follows from it: the tallies and, at
// its end, the state of its Schedule. A pending one counts as rung for a while; zero: it rings
// as soon as it is ready.
func (s *Store) apply(row *execution, after callsheet.Execution, now time.Time, rung time.Duration) {
	before := row.Execution
	s.executions.leave(row)
	row.Execution = after
	row.bell(now, rung)
	s.executions.enter(row)
	s.count(&before, &row.Execution)
	if !after.State.Final() {
		return
	}
	if schedule, ok := s.schedules.rows[after.Schedule]; ok {
		s.setState(schedule, schedule.Recorded(before, after, now))
	}
}

// bell sets when a pending row rings: after rung, as it is being rung now, unless it has to wait.
// Then it rings when the wait is over.
func (e *execution) bell(now time.Time, rung time.Duration) {
	if e.State != callsheet.StatePending {
		return
	}
	e.ringAt = e.NotBefore
	if !e.NotBefore.After(now) {
		e.ringAt = now.Add(rung)
	}
}

func (s *Store) count(before, after *callsheet.Execution) {
	tally := s.tallies[after.Schedule]
	if tally == nil {
		tally = new(callsheet.Tally)
		s.tallies[after.Schedule] = tally
	}
	tally.Applied(before, *after)
	s.total.Applied(before, *after)
}

// open is how many executions of the Schedule are pending or running.
func (s *Store) open(schedule string) int {
	tally := s.tallies[schedule]
	if tally == nil {
		return 0
	}
	return int(tally.Pending + tally.Running)
}

// openOf returns the executions of the Schedule that are pending or running. They are looked for
// from the latest on, where they usually are.
func (s *Store) openOf(schedule string) []*execution {
	rows := make([]*execution, 0, s.open(schedule))
	s.executions.history.DescendLessOrEqual(s.executions.historyKey(schedule, endOfTime), func(row *execution) bool {
		if row.Schedule != schedule || len(rows) == cap(rows) {
			return false
		}
		if !row.State.Final() {
			rows = append(rows, row)
		}
		return true
	})
	slices.Reverse(rows)
	return rows
}

// forgetTally drops the tally of a Schedule of which nothing else is left.
func (s *Store) forgetTally(schedule string) {
	if !s.schedules.has(schedule) && !s.executions.anyOf(schedule) {
		delete(s.tallies, schedule)
	}
}
