package memory

import (
	"time"

	"github.com/google/btree"

	"github.com/callsheet-go/callsheet"
)

// An order keeps those schedules that belong in it in the order of a time. A row's time changes
// only while it is out of the order; setState and scheduleMoved see to that.
type order struct {
	belongs func(*callsheet.Schedule) bool
	at      func(*callsheet.Schedule) time.Time
	tree    *btree.BTreeG[*callsheet.Schedule]
}

func newOrder(belongs func(*callsheet.Schedule) bool, at func(*callsheet.Schedule) time.Time) *order {
	return &order{belongs, at, newTree(func(a, b *callsheet.Schedule) bool {
		if c := at(a).Compare(at(b)); c != 0 {
			return c < 0
		}
		return a.ID < b.ID
	})}
}

func (o *order) add(row *callsheet.Schedule) {
	if o.belongs(row) {
		o.tree.ReplaceOrInsert(row)
	}
}

func (o *order) remove(row *callsheet.Schedule) {
	if o.belongs(row) {
		o.tree.Delete(row)
	}
}

// same reports whether both have the same place in the order.
func (o *order) same(a, b *callsheet.Schedule) bool {
	return o.belongs(a) == o.belongs(b) && o.at(a).Equal(o.at(b))
}

// first returns up to limit rows from the start of the order, and how many there are before end.
func (o *order) first(limit int, end time.Time) (rows []*callsheet.Schedule, count int) {
	o.tree.Ascend(func(row *callsheet.Schedule) bool {
		if !o.at(row).Before(end) {
			return false
		}
		if count++; len(rows) < limit {
			rows = append(rows, row)
		}
		return true
	})
	return rows, count
}

func (s *Store) orders() [3]*order { return [...]*order{s.planned, s.failing, s.neverRun} }

// setState replaces the state of a row in its place.
func (s *Store) setState(row *callsheet.Schedule, state callsheet.ScheduleState) {
	state.NextExecutionAt, state.PlannedUntil = kept(state.NextExecutionAt), kept(state.PlannedUntil)
	after := *row
	after.ScheduleState = state
	orders := s.orders()
	for i, o := range orders {
		if o.same(row, &after) {
			orders[i] = nil
			continue
		}
		o.remove(row)
	}
	row.ScheduleState = state
	for _, o := range orders {
		if o != nil {
			o.add(row)
		}
	}
}

// scheduleMoved is told when a Schedule was created (before is nil), edited or deleted (after is nil).
func (s *Store) scheduleMoved(before, after *callsheet.Schedule, now time.Time) {
	for _, o := range s.orders() {
		if before != nil {
			o.remove(before)
		}
		if after != nil {
			o.add(after)
		}
	}
	switch {
	case before == nil:
	case after == nil:
		s.decided(before.ID, before.Removed(now), now, 0)
		s.forgetTally(before.ID)
	default:
		s.decided(after.ID, after.Edited(*before, now), now, 0)
		s.settle(after, now)
	}
}

// inheritState gives a Schedule that is created, or edited, its state.
func inheritState(row, item *callsheet.Schedule, now time.Time) {
	if row == nil {
		item.ScheduleState = item.Defined(now)
	} else {
		item.ScheduleState = item.Edited(*row, now).State
	}
	item.NextExecutionAt, item.PlannedUntil = kept(item.NextExecutionAt), kept(item.PlannedUntil)
}
