package sqlstore

import (
	"context"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Plan implements [callsheet.PlanStore].
func (s *Store) Plan(ctx context.Context, p callsheet.PlanRequest) (result callsheet.PlanResult, err error) {
	var pass planPass
	err = s.write(ctx, "plan", func(t *tx) error {
		pass, err = t.plan(p)
		return err
	})
	if err != nil {
		return callsheet.PlanResult{}, said(err)
	}
	// What was planned is to be rung for, whatever becomes of the rest.
	if err := s.planLate(ctx, p, &pass); err != nil && pass.Schedules == 0 {
		return callsheet.PlanResult{}, said(err)
	}
	return pass.PlanResult, nil
}

// A planPass is what a transaction of a planner came to.
type planPass struct {
	callsheet.PlanResult
	now        time.Time
	taken      []string // schedules that were planned, or may be in the next pass
	unreadable []string // due, but passed over
}

func (t *tx) plan(p callsheet.PlanRequest) (pass planPass, err error) {
	b := t.newBatch()
	if b.now, err = t.now(); err != nil {
		return pass, err
	}
	pass.now = b.now
	rows, passed, err := b.due(limitOf(p.Limit))
	if err != nil {
		return pass, err
	}
	for _, row := range rows {
		pass.taken = append(pass.taken, row.ID)
	}
	if len(rows) > 0 {
		if err := b.plan(rows, p, &pass.PlanResult); err != nil {
			return pass, err
		}
	}
	pass.unreadable = passed
	pass.Wake, err = t.wake(passed)
	return pass, err
}

// wake returns when the next schedule falls due, but for some.
func (t *tx) wake(but []string) (time.Time, error) {
	const query = `SELECT min(s.due_at) FROM callsheet.schedules s WHERE s.due_at IS NOT NULL AND NOT s.id = ANY(?)`
	var next moment
	err := t.one(&next, query, but)
	return next.Time, err
}

// due locks schedules that are due, and returns the IDs of those that were passed over because they cannot be read. They stay due: a
// node that can read them plans them, and so does this one once they are put right.
func (b *batch) due(most int) (rows []scheduleRow, passed []string, err error) {
	// Of many planners each takes what no other is taking: who came later passes over what is locked, and finds it
	// moved on when he comes again.
	const query = `
		SELECT ` + scheduleColumns + `
		  FROM callsheet.schedules s
		 WHERE s.due_at <= ? AND NOT s.id = ANY(?)
		 ORDER BY s.due_at, s.id
		 LIMIT ?
		   FOR UPDATE SKIP LOCKED`
	for {
		rows = nil
		if err := b.all(&rows, query, b.now, passed, most); err != nil {
			return nil, nil, err
		}
		if err := b.addSchedules(rows); err != nil {
			return nil, nil, err
		}
		found := len(passed)
		for _, row := range rows {
			if b.readable(row.ID) == nil {
				passed = append(passed, row.ID)
				delete(b.schedules, row.ID)
			}
		}
		if len(passed) == found {
			return rows, passed, nil
		}
		// The others come in their place: schedules that cannot be read must not fill a pass.
	}
}

func (b *batch) plan(rows []scheduleRow, p callsheet.PlanRequest, result *callsheet.PlanResult) error {
	open, err := b.ahead(sortedKeys(b.schedules))
	if err != nil {
		return err
	}

	// All is decided before anything is written.
	decisions := make([]callsheet.Decision, 0, len(rows))
	count := 0
	inserts := make(map[string][]callsheet.Execution, len(rows))
	whole := make(map[string]bool)
	for _, row := range rows {
		if count >= callsheet.PlanInserts {
			break
		}
		sch := b.schedules[row.ID]
		ahead, some := open[row.ID]
		d := p.Decide(callsheet.Due{Schedule: sch.Schedule, Open: callsheet.Open{All: ahead.All, Waiting: ahead.Waiting}, Now: b.now})
		decisions = append(decisions, d)
		count += len(d.Executions)
		if len(d.Executions) > 0 {
			inserts[row.ID] = d.Executions
		}
		whole[row.ID] = some && d.Cancel != nil
		if !some || d.Cancel == nil && len(d.Executions) == 0 {
			b.lines[row.ID] = &line{all: true} // nothing that was there moves
		}
	}
	result.More = len(rows) == limitOf(p.Limit) || len(decisions) < len(rows)
	for _, row := range rows[len(decisions):] { // their locks end with the transaction
		delete(b.schedules, row.ID)
	}
	rows = rows[:len(decisions)]
	if err := b.lookUp(inserts, nil); err != nil {
		return err
	}
	if err := b.open(nil, whole); err != nil {
		return err
	}
	var inserted, cancelled []*execution
	for i, row := range rows {
		sch := b.schedules[row.ID]
		in, out, err := b.decided(row.ID, decisions[i], p.RingAgain)
		if err != nil {
			return err
		}
		runs := 0
		for _, e := range in {
			if e.State == callsheet.StatePending {
				runs++
			}
		}
		b.setState(sch, sch.Counted(decisions[i].State, runs))
		if _, err := b.settle(sch); err != nil {
			return err
		}
		inserted, cancelled = append(inserted, in...), append(cancelled, out...)
	}
	result.Executions, result.Cancelled, result.Schedules = executions(inserted), executions(cancelled), len(rows)
	return b.flush()
}

type aheadRow struct {
	Schedule string `db:"schedule"`
	All      int    `db:"due"`
	Waiting  int    `db:"waiting"`
}

// ahead counts what a planner has to know of the schedules' open executions. A schedule that is not among them has none.
// Its lock is held, and nothing comes or ends without.
func (b *batch) ahead(ids []string) (map[string]aheadRow, error) {
	const query = `
		SELECT e.schedule,
		       sum(CASE WHEN e.catches_up THEN 0 ELSE 1 END)             AS due,
		       sum(CASE WHEN e.waits AND NOT e.catches_up THEN 1 ELSE 0 END) AS waiting
		  FROM callsheet.executions e
		 WHERE e.schedule = ANY(?) AND e.state IN ('pending', 'running')
		 GROUP BY e.schedule`
	var rows []aheadRow
	err := b.all(&rows, query, ids)
	open := make(map[string]aheadRow, len(rows))
	for _, row := range rows {
		open[row.Schedule] = row
	}
	return open, err
}

// alone locks one schedule, or returns a *NotFoundError, and reads the clock.
func (t *tx) alone(id string) (*batch, *schedule, error) {
	b := t.newBatch()
	if err := b.lockSchedules(id); err != nil {
		return nil, nil, err
	}
	sch := b.schedules[id]
	if sch == nil {
		return nil, nil, noSchedule(id)
	}
	if sch.unreadable != nil {
		return nil, nil, sch.unreadable
	}
	var err error
	b.now, err = t.now()
	return b, sch, err
}

// ChangeSchedule implements [callsheet.DefinitionStore].
func (s *Store) ChangeSchedule(ctx context.Context, id string, change func(callsheet.Schedule, time.Time) (callsheet.Decision, error)) (changed callsheet.Changed, err error) {
	err = s.write(ctx, "change schedule", func(t *tx) error {
		b, sch, err := t.alone(id)
		if err != nil {
			return err
		}
		d, err := change(clone(sch.Schedule), b.now)
		if err != nil {
			return answer{err}
		}
		if err := b.lookUp(map[string][]callsheet.Execution{id: d.Executions}, nil); err != nil {
			return err
		}
		if err := b.open(nil, map[string]bool{id: d.Cancel != nil}); err != nil {
			return err
		}
		inserted, cancelled, err := b.decided(id, d, 0)
		if err != nil {
			return err
		}
		b.setState(sch, d.State)
		if _, err := b.settle(sch); err != nil {
			return err
		}
		changed = callsheet.Changed{Schedule: clone(sch.Schedule), Inserted: executions(inserted), Cancelled: executions(cancelled)}
		return b.flush()
	})
	if err != nil {
		return callsheet.Changed{}, said(err)
	}
	return changed, nil
}

// Insert implements [callsheet.PlanStore].
func (s *Store) Insert(ctx context.Context, given callsheet.Execution, rung time.Duration) (e callsheet.Execution, err error) {
	err = s.write(ctx, "insert an execution", func(t *tx) error {
		b, sch, err := t.alone(given.Schedule)
		if err != nil {
			return err
		}
		e := given
		e.State = callsheet.StatePending
		if e.ScheduledAt.IsZero() {
			e.ScheduledAt = b.now
		}
		e = b.admitted(e, sch.ID)
		if err := b.lookUp(map[string][]callsheet.Execution{sch.ID: {e}}, nil); err != nil {
			return err
		}
		if b.isTaken(keyOf(&e)) {
			if e.ScheduledAt, err = b.free(keyOf(&e)); err != nil {
				return err
			}
		}
		if err := b.open(nil, nil); err != nil {
			return err
		}
		row := b.insert(e, rung)
		if _, err := b.settle(sch); err != nil {
			return err
		}
		given = row.copy()
		return b.flush()
	})
	if err != nil {
		return callsheet.Execution{}, said(err)
	}
	return given, nil
}

// Backfill implements [callsheet.PlanStore].
func (s *Store) Backfill(ctx context.Context, r callsheet.BackfillRequest) (written []callsheet.Execution, err error) {
	err = s.write(ctx, "backfill a schedule", func(t *tx) error {
		b, sch, err := t.alone(r.Schedule)
		if err != nil {
			return err
		}
		ids, err := t.between(r.Schedule, r.From, r.To)
		if err != nil {
			return err
		}
		if err := b.open(slices.Clone(ids), nil); err != nil {
			return err
		}
		var there []*execution
		for _, id := range ids {
			there = append(there, b.rows[id])
		}
		slices.SortFunc(there, func(x, y *execution) int { return x.ScheduledAt.Compare(y.ScheduledAt) })
		all, err := r.Decide(clone(sch.Schedule), executions(there), b.now)
		if err != nil {
			return answer{err}
		}
		rows, err := b.backfill(sch, ids, all)
		if err != nil {
			return err
		}
		if _, err := b.settle(sch); err != nil {
			return err
		}
		written = executions(rows)
		return b.flush()
	})
	if err != nil {
		return nil, said(err)
	}
	return written, nil
}

// backfill puts in what was decided, one after the other: a row that makes way, makes way for those behind it.
func (b *batch) backfill(sch *schedule, there []string, all []callsheet.Execution) ([]*execution, error) {
	given := func(id string) bool { return slices.Contains(there, id) }
	if err := b.lookUp(map[string][]callsheet.Execution{sch.ID: all}, given); err != nil {
		return nil, err
	}
	var written []*execution
	for _, e := range all {
		row := b.rows[e.ID]
		e = b.admitted(e, sch.ID)
		if row != nil {
			delete(b.held, keyOf(&row.Execution))
		}
		var err error
		if b.isTaken(keyOf(&e)) && e.Gap != nil {
			if e.ScheduledAt, err = b.free(keyOf(&e)); err != nil {
				return nil, err
			}
		}
		switch {
		case b.isTaken(keyOf(&e)):
			if row != nil {
				b.held[keyOf(&row.Execution)] = row
			}
			continue
		case row == nil:
			row = b.insert(e, 0)
		default:
			row.moved = row.moved || !row.isNew && !row.ScheduledAt.Equal(e.ScheduledAt)
			b.set(row, e, 0)
			b.held[keyOf(&row.Execution)] = row
		}
		written = append(written, row)
	}
	return written, nil
}

// reaching is the condition on executions of a Schedule that are scheduled before a time and whose Gap ends at it or
// after it.
const reaching = `e.schedule = ? AND e.gap_last IS NOT NULL AND e.gap_last >= ? AND e.scheduled_at < ?`

// between returns the IDs of the Schedule's executions from the one time to before the other, and those of gaps that reach into it.
func (t *tx) between(schedule string, from, to time.Time) ([]string, error) {
	const before = `SELECT e.id FROM callsheet.executions e WHERE ` + reaching
	var ids []string
	if err := t.all(&ids, before, schedule, bound(from), bound(from)); err != nil {
		return nil, err
	}
	const within = `
		SELECT e.id
		  FROM callsheet.executions e
		 WHERE e.schedule = ? AND e.scheduled_at >= ? AND e.scheduled_at < ?`
	var more []string
	err := t.all(&more, within, schedule, bound(from), bound(to))
	return append(ids, more...), err
}

// A limit is a time that others are compared with, zero or not.
type limit time.Time

// bound returns the first time that can be kept from t on: a kept time is before t if, and only if, it is
// before that.
func bound(t time.Time) limit {
	k := kept(t)
	if k.Before(t) {
		k = k.Add(time.Microsecond)
	}
	return limit(k)
}

// Ring implements [callsheet.PlanStore].
func (s *Store) Ring(ctx context.Context, r callsheet.RingRequest) (result callsheet.RingResult, err error) {
	err = s.write(ctx, "ring", func(t *tx) error {
		result, err = t.ring(r)
		return err
	})
	if err != nil {
		return callsheet.RingResult{}, said(err)
	}
	return result, nil
}

// The conditions on what rings are those of its indexes, word by word.
const (
	rings      = `e.state = 'pending' AND NOT e.waits AND e.trigger <> 'backfill'`
	ringsLast  = `e.state = 'pending' AND NOT e.waits AND e.trigger = 'backfill'`
	selectRing = `SELECT e.id FROM callsheet.executions e WHERE `
	inOrder    = ` AND e.ring_at <= ? ORDER BY e.ring_at, e.id LIMIT ? FOR UPDATE SKIP LOCKED`
)

func (t *tx) ring(r callsheet.RingRequest) (result callsheet.RingResult, err error) {
	now, err := t.now()
	if err != nil {
		return result, err
	}
	// What is locked is being claimed, cancelled or rung for by another.
	most := limitOf(r.Limit)
	if err := t.all(&result.IDs, selectRing+rings+inOrder, now, most); err != nil {
		return result, err
	}
	last, err := t.ringLast(r, now, most-len(result.IDs))
	if err != nil {
		return result, err
	}
	result.IDs = append(result.IDs, last...)
	if len(result.IDs) > 0 {
		const statement = `UPDATE callsheet.executions SET ring_at = ?, rung = true, revision = revision + 1 WHERE id = ANY(?)`
		if _, err := t.exec(statement, kept(now.Add(r.Again)), result.IDs); err != nil {
			return result, err
		}
	}

	const wake = `
		SELECT (SELECT min(e.ring_at) FROM callsheet.executions e WHERE ` + rings + `)                        AS due,
		       (SELECT min(e.ring_at) FROM callsheet.executions e WHERE ` + ringsLast + ` AND e.ring_at > ?) AS last`
	var next struct {
		Due  moment `db:"due"`
		Last moment `db:"last"`
	}
	if err := t.one(&next, wake, now); err != nil {
		return result, err
	}
	result.Wake = next.Due.Time
	if at := next.Last.Time; !at.IsZero() && (result.Wake.IsZero() || at.Before(result.Wake)) {
		result.Wake = at
	}
	return result, nil
}

// ringLast returns which backfills ring: none as long as anything else is claimable.
func (t *tx) ringLast(r callsheet.RingRequest, now time.Time, most int) ([]string, error) {
	if r.Backfills <= 0 || most <= 0 {
		return nil, nil
	}
	const up = `
		SELECT (SELECT min(e.ready_at) FROM callsheet.executions e WHERE ` + rings + `)                                     AS ready,
		       (SELECT min(e.ring_at)  FROM callsheet.executions e WHERE ` + ringsLast + `)                                 AS next,
		       (SELECT count(*)        FROM callsheet.executions e WHERE ` + ringsLast + ` AND e.ring_at > ? AND e.rung)
		     + (SELECT count(*)        FROM callsheet.executions e WHERE e.state = 'running' AND e.trigger = 'backfill')    AS busy`
	var row struct {
		Ready moment `db:"ready"`
		Next  moment `db:"next"`
		Busy  int    `db:"busy"`
	}
	if err := t.one(&row, up, now); err != nil {
		return nil, err
	}
	claimable := !row.Ready.IsZero() && !row.Ready.After(now)
	if claimable || row.Next.IsZero() || row.Next.After(now) || row.Busy >= r.Backfills {
		return nil, nil
	}
	// Two nodes that ring at once would each fill the room that is left: the second waits here, and counts again.
	const turn = `SELECT b.one FROM callsheet.backfills b FOR UPDATE`
	var mine bool
	if err := t.one(&mine, turn); err != nil {
		return nil, err
	}
	if err := t.one(&row, up, now); err != nil {
		return nil, err
	}
	var ids []string
	err := t.all(&ids, selectRing+ringsLast+inOrder, now, max(0, min(most, r.Backfills-row.Busy)))
	return ids, err
}
