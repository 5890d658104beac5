package sqlstore

import (
	"time"

	"github.com/callsheet-go/callsheet"
)

// A batch is what a transaction has read, locked and decided of schedules and executions. Its rows are as
// they will be; flush writes those that changed, in few statements however many they are.
type batch struct {
	*tx
	now time.Time
	// schedules are those that are there, locked.
	schedules map[string]*schedule
	// rows are those that were read, locked, and those that are to be inserted.
	rows map[string]*execution
	// of has the rows of a Schedule, and lines what is known of those that were not read.
	of    map[string][]*execution
	lines map[string]*line
	// taken are keys in the database and the IDs of their rows; held are those of the batch's own rows.
	taken map[key]string
	held  map[key]*execution

	tallies map[string]*callsheet.Tally
	answers dropped
}

// An execution is a row: as it was read, and as it is to be.
type execution struct {
	callsheet.Execution
	revision int64
	ringAt   time.Time // of a pending one: when its bell is to ring
	rung     bool      // whether ringAt is when it rings again

	isNew, changed, moved bool
}

func (t *tx) newBatch() *batch {
	return &batch{
		tx: t, schedules: make(map[string]*schedule), rows: make(map[string]*execution), of: make(map[string][]*execution), lines: make(map[string]*line),
		taken: make(map[key]string), held: make(map[key]*execution), tallies: make(map[string]*callsheet.Tally),
	}
}

// set makes a row into what it is to be, and counts it. A pending one counts as rung for a while; zero: it rings as
// soon as it is ready.
func (b *batch) set(row *execution, after callsheet.Execution, rung time.Duration) {
	before := row.Execution
	row.Execution = tidy(after)
	row.bell(b.now, rung)
	row.changed = true
	b.count(&before, &row.Execution)
}

// insert adds a new row, and counts it.
func (b *batch) insert(e callsheet.Execution, rung time.Duration) *execution {
	row := &execution{Execution: e, isNew: true}
	row.bell(b.now, rung)
	b.hold(row)
	b.count(nil, &row.Execution)
	return row
}

// bell sets when a pending row rings: after rung, as it is being rung now, unless it has to wait.
// Then it rings when the wait is over.
func (e *execution) bell(now time.Time, rung time.Duration) {
	e.ringAt, e.rung = e.NotBefore, false
	if !e.NotBefore.After(now) {
		e.ringAt, e.rung = kept(now.Add(rung)), rung > 0
	}
}

func (b *batch) count(before, after *callsheet.Execution) {
	tally := b.tallies[after.Schedule]
	if tally == nil {
		tally = new(callsheet.Tally)
		b.tallies[after.Schedule] = tally
	}
	tally.Applied(before, *after)
}

// apply makes a row into what it is to be, and sees to what follows: the state of its Schedule, its answers, and who
// of the Schedule's waits.
func (b *batch) apply(row *execution, after callsheet.Execution, rung time.Duration) (released bool, err error) {
	before := row.Execution
	b.set(row, after, rung)
	if row.State.Final() {
		sch := b.readable(row.Schedule)
		b.answers.ended(row, sch)
		if sch != nil {
			b.setState(sch, sch.Recorded(before, row.Execution, b.now))
		}
	}
	sch, ok := b.schedules[row.Schedule]
	if !ok || before.State == row.State {
		return false, nil
	}
	return b.settle(sch)
}

// readable returns a schedule, or nil where there is none, or none that can be read.
func (b *batch) readable(id string) *schedule {
	if sch := b.schedules[id]; sch != nil && sch.unreadable == nil {
		return sch
	}
	return nil
}

func (b *batch) setState(sch *schedule, state callsheet.ScheduleState) {
	state = tidyState(state)
	if state != sch.ScheduleState {
		sch.ScheduleState, sch.changed = state, true
	}
}

// decided applies a Decision, but for the state, and returns what was inserted and cancelled. What it needs
// has been read: see prepare.
func (b *batch) decided(id string, d callsheet.Decision, rung time.Duration) (inserted, cancelled []*execution, err error) {
	if d.Cancel != nil {
		for _, row := range b.inLine(id) {
			if reason := d.Cancel(row.Execution); reason != "" && !row.CancelRequested {
				b.set(row, row.Cancelled(reason, b.now), 0)
				b.answers.ended(row, nil)
				cancelled = append(cancelled, row)
			}
		}
	}
	for _, e := range d.Executions {
		e = b.admitted(e, id)
		if b.isTaken(keyOf(&e)) {
			if e.Gap == nil {
				continue
			}
			if e.ScheduledAt, err = b.free(keyOf(&e)); err != nil {
				return nil, nil, err
			}
		}
		inserted = append(inserted, b.insert(e, rung))
	}
	return inserted, cancelled, nil
}

// admitted returns a new execution as it is kept: a copy, with what its maker left to the Store.
func (b *batch) admitted(e callsheet.Execution, schedule string) callsheet.Execution {
	e.Schedule = schedule
	if e.ID == "" {
		e.ID = newID()
	}
	if e.State == "" {
		e.State = callsheet.StatePending
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = b.now
	}
	if e.State.Final() && e.FinishedAt.IsZero() {
		e.FinishedAt = b.now
	}
	return tidy(e)
}

// executions returns rows as they will be.
func executions(rows []*execution) []callsheet.Execution {
	var all []callsheet.Execution
	for _, row := range rows {
		all = append(all, row.copy())
	}
	return all
}

// copy returns the execution, sharing nothing with the row.
func (e *execution) copy() callsheet.Execution { return tidy(e.Execution) }
