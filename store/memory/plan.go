package memory

import (
	"context"
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
	now := clock()
	due := s.due(now, limitOf(p.Limit))
	decisions := make([]callsheet.Decision, len(due))
	inserts := 0
	for i, row := range due {
		decisions[i] = p.Decide(callsheet.Due{Schedule: *row, Open: s.open(row.ID), Now: now})
		if err := s.takenID(decisions[i].Executions); err != nil {
			return result, err
		}
		inserts += len(decisions[i].Executions)
	}

	result.Executions = make([]callsheet.Execution, 0, inserts)
	runs := make([]int64, len(due))
	for i, row := range due {
		for _, e := range decisions[i].Executions {
			e = admitted(e, row.ID, now)
			if s.executions.taken(e.Schedule, e.ScheduledAt) {
				continue
			}
			s.insert(e, now, p.RingAgain)
			if e.State == callsheet.StatePending {
				runs[i]++
			}
			result.Executions = append(result.Executions, cloneExecution(e))
		}
		state := row.ScheduleState
		state.NextExecutionAt = decisions[i].Next
		state.Runs += runs[i]
		if reason := decisions[i].Pause; reason != "" {
			state = state.Paused(reason, now)
		}
		s.setState(row, state)
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
	now := clock()
	e.State = callsheet.StatePending
	if e.ScheduledAt.IsZero() {
		e.ScheduledAt = now
	}
	e = admitted(e, e.Schedule, now)
	e.ScheduledAt = s.free(e.Schedule, e.ScheduledAt)
	row := s.insert(e, now, rung)
	return cloneExecution(row.Execution), nil
}

// Ring implements [callsheet.PlanStore].
func (s *Store) Ring(ctx context.Context, r callsheet.RingRequest) (callsheet.RingResult, error) {
	var result callsheet.RingResult
	if err := s.enter(ctx, "ring"); err != nil {
		return result, err
	}
	defer s.mu.Unlock()

	now := clock()
	pending := s.executions.due[callsheet.StatePending]
	rows := make([]*execution, 0, min(limitOf(r.Limit), pending.Len()))
	pending.Ascend(func(row *execution) bool {
		if row.ringAt.After(now) || len(rows) == cap(rows) {
			return false
		}
		rows = append(rows, row)
		return true
	})
	for _, row := range rows {
		s.executions.rung(row, now.Add(r.Again))
		result.IDs = append(result.IDs, row.ID)
	}
	if next, ok := pending.Min(); ok {
		result.Wake = next.ringAt
	}
	return result, nil
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
