package memory

import (
	"cmp"
	"context"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Claim implements [callsheet.WorkStore].
func (s *Store) Claim(ctx context.Context, c callsheet.ClaimRequest) ([]callsheet.Call, error) {
	if err := s.enter(ctx, "claim executions"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()

	now := s.moment
	var calls []callsheet.Call
	for _, id := range c.ExecutionIDs {
		row, ok := s.executions.byID[id]
		if !ok || !row.Claimable(now) {
			continue
		}
		call, ok := s.resolve(row.Schedule)
		if !ok {
			continue
		}
		s.apply(row, row.Claimed(c.Worker, now, c.Lease), now, 0)
		call.Execution = cloneExecution(row.Execution)
		if answer, ok := s.answers[cmp.Or(row.AnswerOf, row.ID)]; ok {
			answer = cloneAnswer(answer)
			call.Answer = &answer
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// resolve returns a Call with all the Definitions that an execution of the Schedule needs.
func (s *Store) resolve(scheduleID string) (callsheet.Call, bool) {
	schedule, ok := s.schedules.rows[scheduleID]
	if !ok {
		return callsheet.Call{}, false
	}
	request := s.requests.rows[schedule.Request]
	return callsheet.Call{
		Schedule: *schedule,
		Request:  *request,
		Source:   *s.sources.rows[request.Source],
		Extract:  s.extracts.rows[schedule.Extract],
		Delivery: s.deliveries.rows[schedule.Delivery],
	}, true
}

// Keep implements [callsheet.WorkStore].
func (s *Store) Keep(ctx context.Context, a callsheet.Answer) error {
	if err := s.enter(ctx, "keep an answer"); err != nil {
		return err
	}
	defer s.mu.Unlock()

	if _, ok := s.held(a.ExecutionID, a.Fence); !ok {
		return callsheet.ErrStaleFence
	}
	s.answers[a.ExecutionID] = cloneAnswer(a)
	return nil
}

// Renew implements [callsheet.WorkStore].
func (s *Store) Renew(ctx context.Context, r callsheet.RenewRequest) ([]callsheet.Renewal, error) {
	if err := s.enter(ctx, "renew leases"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()

	now := s.moment
	renewals := make([]callsheet.Renewal, len(r.Held))
	for i, held := range r.Held {
		row, ok := s.executions.byID[held.ExecutionID]
		if !ok || !row.Held(held.Fence) {
			renewals[i].Err = callsheet.ErrStaleFence
			continue
		}
		after := row.Execution
		after.LeaseUntil = now.Add(r.Lease)
		s.apply(row, after, now, 0)
		renewals[i].CancelRequested = row.CancelRequested
	}
	return renewals, nil
}

// Finish implements [callsheet.WorkStore].
func (s *Store) Finish(ctx context.Context, outcomes []callsheet.Outcome) ([]callsheet.Finish, error) {
	if err := s.enter(ctx, "finish executions"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()

	now := s.moment
	finishes := make([]callsheet.Finish, len(outcomes))
	for i, o := range outcomes {
		row, ok := s.held(o.ExecutionID, o.Fence)
		if !ok {
			finishes[i].Err = callsheet.ErrStaleFence
			continue
		}
		finishes[i].Released = s.apply(row, row.Finished(o, now), now, 0)
		finishes[i].Execution = cloneExecution(row.Execution)
		if schedule, ok := s.schedules.rows[row.Schedule]; ok {
			after := cloneSchedule(*schedule)
			finishes[i].Schedule = &after
		}
	}
	return finishes, nil
}

// held returns the execution that is running under fence, or counts a stale write.
func (s *Store) held(id string, fence int64) (*execution, bool) {
	row, ok := s.executions.byID[id]
	if !ok || !row.Held(fence) {
		s.total.StaleWrites++
		return nil, false
	}
	return row, true
}

// Reclaim implements [callsheet.WorkStore].
func (s *Store) Reclaim(ctx context.Context, limit int, rung time.Duration) ([]callsheet.Execution, error) {
	if err := s.enter(ctx, "reclaim executions"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()

	now := s.moment
	rows := s.expired(now, limitOf(limit))
	for _, row := range rows {
		s.apply(row, row.Finished(row.Lost(), now), now, rung)
	}
	return cloneExecutions(rows), nil
}

// expired returns up to limit running executions whose lease has run out, earliest first.
func (s *Store) expired(now time.Time, limit int) []*execution {
	var rows []*execution
	s.executions.due[callsheet.StateRunning].Ascend(func(row *execution) bool {
		if row.LeaseUntil.After(now) || len(rows) == limit {
			return false
		}
		rows = append(rows, row)
		return true
	})
	return rows
}

// Cancel implements [callsheet.WorkStore].
func (s *Store) Cancel(ctx context.Context, executionID, reason string) (callsheet.Execution, bool, error) {
	if err := s.enter(ctx, "cancel an execution"); err != nil {
		return callsheet.Execution{}, false, err
	}
	defer s.mu.Unlock()

	row, ok := s.executions.byID[executionID]
	if !ok {
		return callsheet.Execution{}, false, noExecution(executionID)
	}
	changed := !row.State.Final() && !row.CancelRequested
	if changed {
		now := s.moment
		s.apply(row, row.Cancelled(reason, now), now, 0)
	}
	return cloneExecution(row.Execution), changed, nil
}

// Reopen implements [callsheet.WorkStore].
func (s *Store) Reopen(ctx context.Context, executionID string, rung time.Duration) (callsheet.Execution, error) {
	if err := s.enter(ctx, "reopen an execution"); err != nil {
		return callsheet.Execution{}, err
	}
	defer s.mu.Unlock()

	row, ok := s.executions.byID[executionID]
	if !ok {
		return callsheet.Execution{}, noExecution(executionID)
	}
	schedule, ok := s.schedules.rows[row.Schedule]
	if !ok {
		return callsheet.Execution{}, s.schedules.notFound(row.Schedule)
	}
	if row.State != callsheet.StateFailed {
		ref := callsheet.Ref{Kind: callsheet.KindExecution, ID: executionID}
		return callsheet.Execution{}, &callsheet.ConflictError{Ref: ref, Reason: "it is " + string(row.State) + ", not failed"}
	}
	now := s.moment
	s.apply(row, row.Reopened(schedule.MaxAttempts(), now), now, rung)
	return cloneExecution(row.Execution), nil
}

func noExecution(id string) error {
	return &callsheet.NotFoundError{Ref: callsheet.Ref{Kind: callsheet.KindExecution, ID: id}}
}
