package memory

import (
	"context"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Plan implements [callsheet.PlanStore].
func (s *Store) Plan(ctx context.Context, p callsheet.PlanRequest) (callsheet.PlanResult, error) {
	var result callsheet.PlanResult
	if err := s.enter(ctx, "plan"); err != nil {
		return result, err
	}
	defer s.mu.Unlock()

	// All is decided before anything is written, so that a panic of Decide leaves all as it was.
	now := s.moment
	due := s.due(now, limitOf(p.Limit))
	decisions := make([]callsheet.Decision, 0, len(due))
	inserts := 0
	for _, row := range due {
		if inserts >= callsheet.PlanInserts {
			break
		}
		d := p.Decide(callsheet.Due{Schedule: *row, Open: s.executions.open[row.ID], Now: now})
		if err := s.takenID(d.Executions); err != nil {
			return result, err
		}
		decisions = append(decisions, d)
		inserts += len(d.Executions)
	}
	result.More = len(due) == limitOf(p.Limit) || len(decisions) < len(due)
	due = due[:len(decisions)]

	result.Executions = make([]callsheet.Execution, 0, inserts)
	for i, row := range due {
		inserted, cancelled := s.decided(row.ID, decisions[i], now, p.RingAgain)
		runs := 0
		for _, e := range inserted {
			if e.State == callsheet.StatePending {
				runs++
			}
		}
		s.setState(row, row.Counted(decisions[i].State, runs))
		s.settle(row, now)
		for _, e := range inserted {
			result.Executions = append(result.Executions, cloneExecution(e.Execution))
		}
		result.Cancelled = append(result.Cancelled, cloneExecutions(cancelled)...)
	}
	result.Schedules = len(due)
	if next, ok := s.planned.tree.Min(); ok {
		result.Wake = next.NextExecutionAt
	}
	return result, nil
}

// Insert implements [callsheet.PlanStore].
func (s *Store) Insert(ctx context.Context, e callsheet.Execution, rung time.Duration) (callsheet.Execution, error) {
	if err := s.enter(ctx, "insert an execution"); err != nil {
		return callsheet.Execution{}, err
	}
	defer s.mu.Unlock()

	if !s.schedules.has(e.Schedule) {
		return callsheet.Execution{}, s.schedules.notFound(e.Schedule)
	}
	if err := s.takenID([]callsheet.Execution{e}); err != nil {
		return callsheet.Execution{}, err
	}
	now := s.moment
	e.State = callsheet.StatePending
	if e.ScheduledAt.IsZero() {
		e.ScheduledAt = now
	}
	e = admitted(e, e.Schedule, now)
	e.ScheduledAt = s.free(e.Schedule, e.ScheduledAt)
	row := s.insert(e, now, rung)
	s.settle(s.schedules.rows[e.Schedule], now)
	return cloneExecution(row.Execution), nil
}

// Backfill implements [callsheet.PlanStore].
func (s *Store) Backfill(ctx context.Context, b callsheet.BackfillRequest) ([]callsheet.Execution, error) {
	if err := s.enter(ctx, "backfill a schedule"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()

	id := b.Schedule
	schedule, ok := s.schedules.rows[id]
	if !ok {
		return nil, s.schedules.notFound(id)
	}
	now := s.moment
	there := append(s.executions.gapsAt(id, b.From), s.executions.between(id, b.From, b.To)...)
	decided, err := b.Decide(cloneSchedule(*schedule), cloneExecutions(there), now)
	if err == nil {
		err = s.takenID(slices.DeleteFunc(slices.Clone(decided), func(e callsheet.Execution) bool {
			return slices.ContainsFunc(there, func(row *execution) bool { return row.ID == e.ID })
		}))
	}
	if err != nil {
		return nil, err
	}
	var written []*execution
	for _, e := range decided {
		row := s.executions.byID[e.ID]
		if row != nil { // out of the way of those that come before it
			s.executions.remove(row)
		}
		e = admitted(e, id, now)
		if s.executions.taken(id, e.ScheduledAt) && e.Gap != nil {
			e.ScheduledAt = s.free(id, e.ScheduledAt)
		}
		switch {
		case s.executions.taken(id, e.ScheduledAt):
			if row != nil {
				s.executions.add(row)
			}
			continue
		case row == nil:
			row = s.insert(e, now, 0)
		default:
			before := row.Execution
			row.Execution = e
			row.bell(now, 0)
			s.executions.add(row)
			s.count(&before, &row.Execution)
		}
		written = append(written, row)
	}
	s.settle(schedule, now)
	return cloneExecutions(written), nil
}

// between returns the Schedule's executions from the one time to before the other, earliest first.
func (x *executions) between(schedule string, from, to time.Time) []*execution {
	var rows []*execution
	x.history.AscendGreaterOrEqual(x.historyKey(schedule, from), func(row *execution) bool {
		if row.Schedule != schedule || !row.ScheduledAt.Before(to) {
			return false
		}
		rows = append(rows, row)
		return true
	})
	return rows
}

// gapsAt returns the Schedule's executions that are scheduled before a time and whose Gap ends at it or after it.
func (x *executions) gapsAt(schedule string, at time.Time) []*execution {
	var rows []*execution
	first := &execution{Execution: callsheet.Execution{Schedule: schedule, Gap: &callsheet.Gap{Last: at}}}
	x.gaps.AscendGreaterOrEqual(first, func(row *execution) bool {
		if row.Schedule != schedule {
			return false
		}
		if row.ScheduledAt.Before(at) {
			rows = append(rows, row)
		}
		return true
	})
	return rows
}

// Ring implements [callsheet.PlanStore].
func (s *Store) Ring(ctx context.Context, r callsheet.RingRequest) (callsheet.RingResult, error) {
	var result callsheet.RingResult
	if err := s.enter(ctx, "ring"); err != nil {
		return result, err
	}
	defer s.mu.Unlock()

	now := s.moment
	x := s.executions
	pending := x.due[callsheet.StatePending]
	rows := ringing(pending, now, limitOf(r.Limit))
	if oldest, ok := x.ready.Min(); !ok || oldest.ReadySince().After(now) {
		rows = append(rows, ringing(x.last, now, min(limitOf(r.Limit)-len(rows), r.Backfills-x.backfillsUp(now)))...)
	}
	for _, row := range rows {
		x.rung(row, now.Add(r.Again))
		result.IDs = append(result.IDs, row.ID)
	}
	if next, ok := pending.Min(); ok {
		result.Wake = next.ringAt
	}
	x.last.AscendGreaterOrEqual(&execution{ringAt: now.Add(time.Microsecond)}, func(next *execution) bool {
		if result.Wake.IsZero() || next.ringAt.Before(result.Wake) {
			result.Wake = next.ringAt
		}
		return false
	})
	return result, nil
}

// ringing returns up to limit rows whose bell is to ring by now.
func ringing(pending *executionTree, now time.Time, limit int) []*execution {
	rows := make([]*execution, 0, max(0, min(limit, pending.Len())))
	pending.Ascend(func(row *execution) bool {
		if row.ringAt.After(now) || len(rows) == cap(rows) {
			return false
		}
		rows = append(rows, row)
		return true
	})
	return rows
}

// backfillsUp counts the backfills that are running or rung for.
func (x *executions) backfillsUp(now time.Time) int {
	n := x.runningBackfills
	x.last.DescendGreaterThan(&execution{ringAt: now, Execution: callsheet.Execution{ID: lastID}}, func(row *execution) bool {
		if row.rung {
			n++
		}
		return true
	})
	return n
}

// due returns up to limit schedules whose next occurrence has come, earliest first.
func (s *Store) due(now time.Time, limit int) []*callsheet.Schedule {
	rows := make([]*callsheet.Schedule, 0, min(limit, s.planned.tree.Len()))
	s.planned.tree.Ascend(func(row *callsheet.Schedule) bool {
		if row.NextExecutionAt.After(now) || len(rows) == cap(rows) {
			return false
		}
		rows = append(rows, row)
		return true
	})
	return rows
}

// admitted returns a new execution as it is kept: a copy, with what its maker left to the Store.
func admitted(e callsheet.Execution, schedule string, now time.Time) callsheet.Execution {
	e = cloneExecution(e)
	e.Schedule = schedule
	e.ScheduledAt, e.NotBefore = kept(e.ScheduledAt), kept(e.NotBefore)
	if e.ID == "" {
		e.ID = newID()
	}
	if e.State == "" {
		e.State = callsheet.StatePending
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = now
	}
	if e.State.Final() && e.FinishedAt.IsZero() {
		e.FinishedAt = now
	}
	e.CreatedAt, e.FinishedAt = kept(e.CreatedAt), kept(e.FinishedAt)
	return e
}

// takenID returns a fault for the first execution whose ID, given by its maker, is taken.
func (s *Store) takenID(all []callsheet.Execution) error {
	for _, e := range all {
		if s.executions.byID[e.ID] != nil {
			ref := callsheet.Ref{Kind: callsheet.KindExecution, ID: e.ID}
			return &callsheet.ConflictError{Ref: ref, Reason: "the ID is taken"}
		}
	}
	return nil
}

// free returns the first microsecond from at on at which the Schedule has no execution.
func (s *Store) free(schedule string, at time.Time) time.Time {
	s.executions.history.AscendGreaterOrEqual(s.executions.historyKey(schedule, at), func(row *execution) bool {
		if row.Schedule != schedule || !row.ScheduledAt.Equal(at) {
			return false
		}
		at = at.Add(time.Microsecond)
		return true
	})
	return at
}
