package memory

import (
	"time"

	"github.com/google/btree"

	"github.com/callsheet-go/callsheet"
)

// An execution is one kept row.
type execution struct {
	callsheet.Execution
	ringAt time.Time // of a pending one that does not wait: when its bell is to ring
	rung   bool      // whether ringAt is when it rings again
}

// backfill reports whether the row comes last.
func (e *execution) backfill() bool { return e.Trigger == callsheet.TriggerBackfill }

type executionTree = btree.BTreeG[*execution]

// executions keeps the rows and the ways to find them. The keys of a row change only while it is
// out: leave and enter are the ways out and in, remove and add where its key in history changes.
type executions struct {
	byID map[string]*execution
	// history orders all by (Schedule, ScheduledAt), gaps those with a Gap by (Schedule, Gap.Last).
	history, gaps *executionTree
	// timeline orders those in each state by (ScheduledAt, ID).
	timeline map[callsheet.State]*executionTree
	// due orders those in each state by the time that matters there: running ones by LeaseUntil,
	// final ones by FinishedAt, and, where they do not come last, pending ones that do not wait by ringAt.
	due map[callsheet.State]*executionTree
	// last orders pending backfills that do not wait by ringAt.
	last *executionTree
	// ready orders what is in due as pending by ReadySince.
	ready *executionTree
	// answered orders those that succeeded and whose answer is kept by (Schedule, ScheduledAt).
	answered *executionTree
	// busy, up and waiting order the open ones by (Schedule, place in line): those that others wait for, the
	// others that do not wait, those that do.
	busy, up, waiting *executionTree
	// open counts each Schedule's open rows that do not catch up.
	open map[string]callsheet.Open
	// inState counts the rows in each state, runningBackfills those of them that come last.
	inState          map[callsheet.State]int
	runningBackfills int
	// ended counts each Schedule's rows in each final state.
	ended map[string]*[endedStates]int
	// probe is what is looked for in a tree, and placed what places returns; kept here, as planning
	// needs them for each occurrence.
	probe  execution
	placed [4]*executionTree
}

func newExecutions() *executions {
	x := &executions{
		byID:     make(map[string]*execution),
		history:  newTree(earlierInHistory),
		gaps:     newTree(endsEarlier),
		timeline: make(map[callsheet.State]*executionTree),
		due:      make(map[callsheet.State]*executionTree),
		last:     newTree(byTime(dueTime(callsheet.StatePending))),
		ready:    newTree(byTime(func(e *execution) time.Time { return e.ReadySince() })),
		busy:     newTree(earlierInLine),
		up:       newTree(earlierInLine),
		open:     make(map[string]callsheet.Open),
		waiting:  newTree(earlierInLine),
		answered: newTree(earlierInHistory),
		inState:  make(map[callsheet.State]int),
		ended:    make(map[string]*[endedStates]int),
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

func earlierInLine(a, b *execution) bool {
	if a.Schedule != b.Schedule {
		return a.Schedule < b.Schedule
	}
	return a.Before(b.Execution) < 0
}

// endsEarlier orders rows with a Gap.
func endsEarlier(a, b *execution) bool {
	if a.Schedule != b.Schedule {
		return a.Schedule < b.Schedule
	}
	if c := a.Gap.Last.Compare(b.Gap.Last); c != 0 {
		return c < 0
	}
	return a.ID < b.ID
}

// add keeps a new row.
func (x *executions) add(row *execution) {
	x.byID[row.ID] = row
	x.history.ReplaceOrInsert(row)
	if row.Gap != nil {
		x.gaps.ReplaceOrInsert(row)
	}
	x.enter(row)
}

// remove forgets a row.
func (x *executions) remove(row *execution) {
	x.answered.Delete(row)
	delete(x.byID, row.ID)
	x.history.Delete(row)
	if row.Gap != nil {
		x.gaps.Delete(row)
	}
	x.leave(row)
}

func (x *executions) enter(row *execution) {
	x.inState[row.State]++
	x.countEnded(row, 1)
	x.countOpen(row, 1)
	if row.State == callsheet.StateRunning && row.backfill() {
		x.runningBackfills++
	}
	for _, tree := range x.places(row) {
		tree.ReplaceOrInsert(row)
	}
}

func (x *executions) leave(row *execution) {
	x.inState[row.State]--
	x.countEnded(row, -1)
	x.countOpen(row, -1)
	if row.State == callsheet.StateRunning && row.backfill() {
		x.runningBackfills--
	}
	for _, tree := range x.places(row) {
		tree.Delete(row)
	}
}

// endedStates is how many final states there are.
const endedStates = 4

// endedState is the place of a final state among them.
func endedState(state callsheet.State) int {
	switch state {
	case callsheet.StateSucceeded:
		return 0
	case callsheet.StateFailed:
		return 1
	case callsheet.StateCancelled:
		return 2
	}
	return 3
}

func (x *executions) countEnded(row *execution, by int) {
	if !row.State.Final() {
		return
	}
	counts := x.ended[row.Schedule]
	if counts == nil {
		counts = new([endedStates]int)
		x.ended[row.Schedule] = counts
	}
	if counts[endedState(row.State)] += by; *counts == ([endedStates]int{}) {
		delete(x.ended, row.Schedule)
	}
}

// places are the trees that a row belongs in, history aside.
func (x *executions) places(row *execution) []*executionTree {
	places := append(x.placed[:0], x.timeline[row.State])
	switch {
	case row.State.Final():
		return append(places, x.due[row.State])
	case row.Waits:
		return append(places, x.waiting)
	case row.Busy():
		places = append(places, x.busy)
	default:
		places = append(places, x.up)
	}
	switch {
	case row.State == callsheet.StateRunning:
		return append(places, x.due[row.State])
	case row.backfill():
		return append(places, x.last)
	}
	return append(places, x.due[row.State], x.ready)
}

func (x *executions) countOpen(row *execution, by int) {
	if row.State.Final() || row.CatchesUp() {
		return
	}
	open := x.open[row.Schedule]
	if open.All += by; row.Waits {
		open.Waiting += by
	}
	if open.All == 0 {
		delete(x.open, row.Schedule)
	} else {
		x.open[row.Schedule] = open
	}
}

// rung notes that the bell of a pending row that does not wait rings now, and again at next.
func (x *executions) rung(row *execution, next time.Time) {
	pending := x.due[callsheet.StatePending]
	if row.backfill() {
		pending = x.last
	}
	pending.Delete(row)
	row.ringAt, row.rung = next, true
	pending.ReplaceOrInsert(row)
}

// clockSet moves what is measured from a moment on along with the clock, which was set by that much.
func (x *executions) clockSet(by time.Duration) {
	var rows []*execution
	for _, tree := range [...]*executionTree{x.busy, x.up, x.waiting} {
		tree.Ascend(func(row *execution) bool {
			rows = append(rows, row)
			return true
		})
	}
	for _, row := range rows {
		x.leave(row)
		if row.State == callsheet.StateRunning {
			row.StartedAt, row.LeaseUntil = row.StartedAt.Add(by), row.LeaseUntil.Add(by)
		} else {
			row.NotBefore, row.ringAt = row.ReadySince().Add(by), row.ringAt.Add(by)
		}
		x.enter(row)
	}
}

func (x *executions) count(state callsheet.State) int { return x.inState[state] }

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

// apply writes the next state of an execution, and all that follows from it: the tallies, the
// state of its Schedule, and who of the Schedule's waits. A pending one counts as rung for a while; zero: it rings
// as soon as it is ready.
func (s *Store) apply(row *execution, after callsheet.Execution, now time.Time, rung time.Duration) (released bool) {
	before := row.Execution
	s.write(row, after, now, rung)
	schedule, ok := s.schedules.rows[after.Schedule]
	if !ok {
		return false
	}
	if after.State.Final() {
		s.setState(schedule, schedule.Recorded(before, after, now))
		s.dropAnswers(row, schedule.KeepAnswers)
	}
	return before.State != after.State && s.settle(schedule, now)
}

// dropAnswers forgets the answers that are not wanted any more now that an execution has ended.
func (s *Store) dropAnswers(row *execution, keep int) {
	switch row.State {
	case callsheet.StateCancelled:
		delete(s.answers, row.ID)
		return
	case callsheet.StateSucceeded:
	default:
		return
	}
	if _, ok := s.answers[row.ID]; ok {
		s.executions.answered.ReplaceOrInsert(row)
	}
	var kept []*execution
	s.executions.answered.DescendLessOrEqual(s.executions.historyKey(row.Schedule, endOfTime), func(row2 *execution) bool {
		if row2.Schedule != row.Schedule {
			return false
		}
		kept = append(kept, row2)
		return true
	})
	surplus := kept[min(keep, len(kept)):]
	if len(surplus) == 0 {
		return
	}
	wanted := make(map[string]bool)
	for _, open := range s.openOf(row.Schedule) {
		wanted[open.AnswerOf] = true
	}
	for _, old := range surplus {
		if !wanted[old.ID] {
			s.executions.answered.Delete(old)
			delete(s.answers, old.ID)
		}
	}
}

// write replaces an execution, whose key stays, and counts it.
func (s *Store) write(row *execution, after callsheet.Execution, now time.Time, rung time.Duration) {
	before := row.Execution
	s.executions.leave(row)
	row.Execution = after
	row.bell(now, rung)
	s.executions.enter(row)
	s.count(&before, &row.Execution)
}

// settle sees to the Schedule's line, and reports whether an execution was released.
func (s *Store) settle(schedule *callsheet.Schedule, now time.Time) (released bool) {
	for s.open(schedule.ID) > 0 {
		var next *callsheet.Execution
		s.executions.inLine(s.executions.waiting, schedule.ID, func(row *execution) bool {
			next = &row.Execution
			return false
		})
		if next == nil && (schedule.Overlap == callsheet.OverlapAllow || s.open(schedule.ID) == 1) {
			break
		}
		busy := false
		s.executions.inLine(s.executions.busy, schedule.ID, func(*execution) bool {
			busy = true
			return false
		})
		var up []callsheet.Execution
		if schedule.Overlap != callsheet.OverlapAllow {
			s.executions.inLine(s.executions.up, schedule.ID, func(row *execution) bool {
				up = append(up, row.Execution)
				return true
			})
		}
		changed := schedule.Line(busy, up, next, now)
		if len(changed) == 0 {
			break
		}
		for _, e := range changed {
			s.write(s.executions.byID[e.ID], e, now, 0)
			released = released || e.Claimable(now)
		}
	}
	return released
}

// decided applies a Decision, but for the state, and returns what was inserted and cancelled.
func (s *Store) decided(schedule string, d callsheet.Decision, now time.Time, rung time.Duration) (inserted, cancelled []*execution) {
	if d.Cancel != nil {
		for _, row := range s.openOf(schedule) {
			if reason := d.Cancel(row.Execution); reason != "" && !row.CancelRequested {
				s.write(row, row.Cancelled(reason, now), now, 0)
				s.dropAnswers(row, 0)
				cancelled = append(cancelled, row)
			}
		}
	}
	for _, e := range d.Executions {
		e = admitted(e, schedule, now)
		if s.executions.taken(schedule, e.ScheduledAt) {
			if e.Gap == nil {
				continue
			}
			e.ScheduledAt = s.free(schedule, e.ScheduledAt)
		}
		inserted = append(inserted, s.insert(e, now, rung))
	}
	return inserted, cancelled
}

// bell sets when a pending row rings: after rung, as it is being rung now, unless it has to wait.
// Then it rings when the wait is over.
func (e *execution) bell(now time.Time, rung time.Duration) {
	e.ringAt, e.rung = e.NotBefore, false
	if !e.NotBefore.After(now) {
		e.ringAt, e.rung = now.Add(rung), rung > 0
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

// openOf returns the executions of the Schedule that are pending or running.
func (s *Store) openOf(schedule string) []*execution {
	rows := make([]*execution, 0, s.open(schedule))
	for _, tree := range [...]*executionTree{s.executions.busy, s.executions.up, s.executions.waiting} {
		s.executions.inLine(tree, schedule, func(row *execution) bool {
			rows = append(rows, row)
			return true
		})
	}
	return rows
}

// inLine visits the rows of a Schedule in one of the trees that are in the order of the line.
func (x *executions) inLine(tree *executionTree, schedule string, visit func(*execution) bool) {
	first := &execution{Execution: callsheet.Execution{Schedule: schedule}}
	tree.AscendGreaterOrEqual(first, func(row *execution) bool {
		return row.Schedule == schedule && visit(row)
	})
}

// forgetTally drops the tally of a Schedule of which nothing else is left.
func (s *Store) forgetTally(schedule string) {
	if !s.schedules.has(schedule) && !s.executions.anyOf(schedule) {
		delete(s.tallies, schedule)
	}
}
