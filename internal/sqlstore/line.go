package sqlstore

import (
	"maps"
	"slices"

	"github.com/callsheet-go/callsheet"
)

// A line is what is known of a Schedule's executions in the database that were not read: whether one of them is one that
// others wait for, and the first of those that wait, which was read, nil if there is none. Where all were read,
// the others do not matter.
type line struct {
	busy  bool
	first *execution
	all   bool
}

// open reads and locks the IDs given, and of the Schedules what decides about their lines: of those in whole all that
// is open, of the others, unless their executions may overlap, what does not wait and the first that does.
func (b *batch) open(ids []string, whole map[string]bool) error {
	var one, all []string
	for id, s := range b.schedules {
		switch {
		case b.lines[id] != nil: // enough is known
		case whole[id]:
			all = append(all, id)
		case s.Overlap == callsheet.OverlapAllow:
			b.lines[id] = &line{all: true} // nobody waits
		default:
			one = append(one, id)
		}
	}
	// No row can come to these sets, or leave them for another, without the lock of its schedule. So
	// they may be read first and be locked afterwards, all in one order.
	firsts, busy := make(map[string]string), make(map[string]bool)
	if len(one) > 0 {
		const up = `
			SELECT e.id
			  FROM callsheet.executions e
			  JOIN callsheet.schedules s ON s.id = e.schedule
			 WHERE e.schedule = ANY(?) AND e.state IN ('pending', 'running') AND NOT e.waits
			   AND (e.state = 'pending' AND (e.trigger <> 'manual' OR e.catches_up)
			        OR e.state = 'running' AND e.created_at < s.created_at)`
		var upIDs []string
		if err := b.tx.all(&upIDs, up, one); err != nil {
			return err
		}
		ids = append(ids, upIDs...)

		const first = `
			SELECT s.id, (SELECT e.id
			                FROM callsheet.executions e
			               WHERE e.schedule = s.id AND e.waits
			               ORDER BY e.catches_up, e.scheduled_at, e.id
			               LIMIT 1) AS first,
			       EXISTS (SELECT 1
			                 FROM callsheet.executions e
			                WHERE e.schedule = s.id AND e.state IN ('pending', 'running') AND NOT e.waits AND NOT e.id = ANY(?)
			                  AND (e.state = 'running' OR e.trigger = 'manual' AND NOT e.catches_up)) AS busy
			  FROM callsheet.schedules s
			 WHERE s.id = ANY(?)`
		var waiting []struct {
			ID    string  `db:"id"`
			First *string `db:"first"`
			Busy  bool    `db:"busy"`
		}
		read := append(slices.Collect(maps.Keys(b.rows)), ids...)
		if err := b.tx.all(&waiting, first, read, one); err != nil {
			return err
		}
		for _, w := range waiting {
			busy[w.ID] = w.Busy
			if w.First != nil {
				ids = append(ids, *w.First)
				firsts[w.ID] = *w.First
			}
		}
	}
	if len(all) > 0 {
		const open = `
			SELECT e.id
			  FROM callsheet.executions e
			 WHERE e.schedule = ANY(?) AND e.state IN ('pending', 'running')`
		var openIDs []string
		if err := b.tx.all(&openIDs, open, all); err != nil {
			return err
		}
		ids = append(ids, openIDs...)
	}
	slices.Sort(ids)
	if err := b.lockExecutions(slices.Compact(ids)); err != nil {
		return err
	}
	for _, id := range one {
		b.lines[id] = &line{busy: busy[id], first: b.rows[firsts[id]]}
	}
	for _, id := range all {
		b.lines[id] = &line{all: true}
	}
	return nil
}

// settle sees to the Schedule's line, and reports whether an execution was released.
func (b *batch) settle(sch *schedule) (released bool, err error) {
	for {
		next, err := b.next(sch.ID)
		if err != nil {
			return released, err
		}
		if next == nil && sch.Overlap == callsheet.OverlapAllow {
			return released, nil
		}
		busy := b.lines[sch.ID] != nil && b.lines[sch.ID].busy
		var up []callsheet.Execution
		for _, row := range b.of[sch.ID] {
			switch {
			case row.State.Final() || row.Waits:
			case row.Busy():
				busy = true
			default:
				up = append(up, row.Execution)
			}
		}
		var waiting *callsheet.Execution
		if next != nil {
			waiting = &next.Execution
		}
		changed := sch.Line(busy, up, waiting, b.now)
		if len(changed) == 0 {
			return released, nil
		}
		for _, e := range changed {
			row := b.rows[e.ID]
			b.set(row, e, 0)
			released = released || row.Claimable(b.now)
		}
	}
}

// next returns the first of the Schedule's executions that wait.
func (b *batch) next(id string) (*execution, error) {
	l := b.lines[id]
	if l == nil {
		l = &line{all: true}
	}
	if !l.all && l.first != nil && !l.first.Waits {
		// The first that was in the database has moved up; the one behind it is not read yet.
		const query = `
			SELECT e.id
			  FROM callsheet.executions e
			 WHERE e.schedule = ? AND e.waits AND NOT e.id = ANY(?)
			 ORDER BY e.catches_up, e.scheduled_at, e.id
			 LIMIT 1`
		var known, ids []string
		for _, row := range b.of[id] {
			known = append(known, row.ID)
		}
		if err := b.all(&ids, query, id, known); err != nil {
			return nil, err
		}
		if err := b.lockExecutions(ids); err != nil {
			return nil, err
		}
		l.first = nil
		if len(ids) > 0 {
			l.first = b.rows[ids[0]]
		}
	}
	var next *execution
	for _, row := range b.of[id] {
		if row.Waits && (next == nil || row.Before(next.Execution) < 0) {
			next = row
		}
	}
	return next, nil
}

// inLine returns the Schedule's open rows that were read: those that are up, then those that wait.
func (b *batch) inLine(id string) []*execution {
	var rows []*execution
	for _, row := range b.of[id] {
		if !row.State.Final() {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(x, y *execution) int {
		if x.Waits != y.Waits {
			if y.Waits {
				return -1
			}
			return 1
		}
		return x.Before(y.Execution)
	})
	return rows
}
