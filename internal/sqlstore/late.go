package sqlstore

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Whoever finishes executions has the rows of their schedules until he commits. A planner passes over what is locked, and on a busy
// database may find the same schedule locked each time he looks: there is always another who was waiting for it. So he, too,
// waits for those that are late, for a while that grows with how late they are.

const (
	// lateAfter is how late a schedule is that is waited for.
	lateAfter = time.Second
	// patienceShare is what part of the time that the latest is late a pass waits in all, and mostPatience how long at
	// most: executions of the others are rung for after that.
	patienceShare = 20
	mostPatience  = 500 * time.Millisecond
)

// planLate plans schedules that are late because others had them locked, each in a transaction of its own: whoever waits for one
// schedule must not hold another that comes after it.
func (s *Store) planLate(ctx context.Context, p callsheet.PlanRequest, pass *planPass) error {
	late := pass.now.Sub(pass.Wake)
	if s.dialect.Patience == "" || pass.More || pass.Wake.IsZero() || late < lateAfter {
		return nil
	}
	ids, err := s.late(ctx, pass)
	if err != nil {
		return err
	}
	until := time.Now().Add(min(late/patienceShare, mostPatience))
	for _, id := range ids {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		var one planPass
		err := s.write(ctx, "plan a late schedule", func(t *tx) error {
			one, err = t.planOne(id, p, pass, left)
			return err
		})
		if err != nil && s.dialect.Impatient(err) {
			return nil // the next pass has another order
		}
		if err != nil {
			return err
		}
		pass.add(one)
	}
	return nil
}

// late returns the IDs of schedules that are late, in any order: one that is locked for long must not have all the patience there is.
func (s *Store) late(ctx context.Context, pass *planPass) (ids []string, err error) {
	const query = `
		SELECT s.id
		  FROM callsheet.schedules s
		 WHERE s.due_at <= ? AND NOT s.id = ANY(?) AND NOT s.id = ANY(?)
		 ORDER BY s.due_at, s.id
		 LIMIT ?`
	err = s.read(ctx, "find late schedules", func(t *tx) error {
		ids = nil
		return t.all(&ids, query, pass.now.Add(-lateAfter), pass.taken, pass.unreadable, defaultLimit)
	})
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids, err
}

// planOne waits for a schedule, and plans it if it is still due then. The wait has a place in PostgreSQL's queue for the row, before
// all who come later.
func (t *tx) planOne(id string, p callsheet.PlanRequest, pass *planPass, patience time.Duration) (one planPass, err error) {
	var set string
	if err := t.one(&set, t.store.dialect.Patience, strconv.FormatInt(max(1, patience.Milliseconds()), 10)); err != nil {
		return one, err
	}
	const query = `SELECT ` + scheduleColumns + ` FROM callsheet.schedules s WHERE s.id = ? AND s.due_at <= ? FOR UPDATE`
	var rows []scheduleRow
	if err := t.all(&rows, query, id, pass.now); err != nil {
		return one, err
	}
	b := t.newBatch()
	if err := b.addSchedules(rows); err != nil {
		return one, err
	}
	if b.now, err = t.now(); err != nil {
		return one, err
	}
	if b.readable(id) != nil {
		if err := b.plan(rows, p, &one.PlanResult); err != nil {
			return one, err
		}
	}
	one.Wake, err = t.wake(pass.unreadable)
	return one, err
}

// add adds what another transaction came to.
func (p *planPass) add(one planPass) {
	p.Executions = append(p.Executions, one.Executions...)
	p.Cancelled = append(p.Cancelled, one.Cancelled...)
	p.Schedules += one.Schedules
	p.Wake = one.Wake
}
