package sqlstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Claim implements [callsheet.WorkStore].
func (s *Store) Claim(ctx context.Context, c callsheet.ClaimRequest) (calls []callsheet.Call, err error) {
	err = s.write(ctx, "claim executions", func(t *tx) error {
		calls, err = t.claim(c)
		return err
	})
	if err != nil {
		return nil, said(err)
	}
	return calls, nil
}

func (t *tx) claim(c callsheet.ClaimRequest) ([]callsheet.Call, error) {
	b := t.newBatch()
	if err := b.lockClaimable(c.ExecutionIDs); err != nil {
		return nil, err
	}
	var wanted, schedules []string
	for _, id := range c.ExecutionIDs {
		if row := b.rows[id]; row != nil && !slices.Contains(wanted, id) {
			wanted = append(wanted, id)
			schedules = append(schedules, row.Schedule)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	var err error
	if b.now, err = t.now(); err != nil {
		return nil, err
	}

	r := resolver{tx: t}
	if err := t.one(&r.generation, selectGeneration); err != nil {
		return nil, err
	}
	slices.Sort(schedules)
	var rows []scheduleRow
	if err := t.all(&rows, selectSchedules, slices.Compact(schedules)); err != nil {
		return nil, err
	}
	if err := b.addSchedules(rows); err != nil {
		return nil, err
	}

	var calls []callsheet.Call
	var answers []string
	for _, id := range wanted {
		row := b.rows[id]
		sch := b.schedules[row.Schedule]
		if sch == nil || !row.Claimable(b.now) {
			continue
		}
		call, err := r.call(sch)
		if fault, ok := errors.AsType[unreadable](err); ok {
			call.Unreadable = fault
		} else if err != nil {
			return nil, err
		}
		b.set(row, row.Claimed(c.Worker, b.now, c.Lease), 0)
		call.Execution = row.copy()
		calls = append(calls, call)
		if row.AnswerOf != "" || row.Fence > 1 { // nothing is kept for one that never ran
			answers = append(answers, answerFor(&row.Execution))
		}
	}
	found, err := t.answersOf(answers)
	if err != nil {
		return nil, err
	}
	for i := range calls {
		if a, ok := found[answerFor(&calls[i].Execution)]; ok {
			calls[i].Answer = &a
		}
	}
	return calls, b.flush()
}

// Renew implements [callsheet.WorkStore].
func (s *Store) Renew(ctx context.Context, r callsheet.RenewRequest) (renewals []callsheet.Renewal, err error) {
	err = s.write(ctx, "renew leases", func(t *tx) error {
		renewals = make([]callsheet.Renewal, len(r.Held))
		b := t.newBatch()
		var ids []string
		for _, held := range r.Held {
			ids = append(ids, held.ExecutionID)
		}
		if err := b.lockExecutions(ids); err != nil {
			return err
		}
		if b.now, err = t.now(); err != nil {
			return err
		}
		// A renewal writes the lease and nothing else, as it is what is written most.
		type record struct {
			ID         string `json:"id"`
			LeaseUntil any    `json:"lease_until"`
		}
		var records []record
		written := make(map[string]bool)
		until := kept(b.now.Add(r.Lease))
		for i, held := range r.Held {
			row := b.rows[held.ExecutionID]
			if row == nil || !row.Held(held.Fence) {
				renewals[i].Err = callsheet.ErrStaleFence
				continue
			}
			renewals[i].CancelRequested = row.CancelRequested
			if !written[row.ID] {
				written[row.ID] = true
				records = append(records, record{row.ID, s.time(until)})
			}
		}
		if len(records) == 0 {
			return nil
		}
		const statement = `
			UPDATE callsheet.executions AS e
			   SET lease_until = r.lease_until, revision = e.revision + 1
			  FROM json_to_recordset(?) AS r (id text, lease_until timestamptz)
			 WHERE e.id = r.id`
		param := asRows(records)
		_, err := t.exec(statement, param)
		return err
	})
	if err != nil {
		return nil, said(err)
	}
	return renewals, nil
}

// Finish implements [callsheet.WorkStore].
func (s *Store) Finish(ctx context.Context, outcomes []callsheet.Outcome) (finishes []callsheet.Finish, err error) {
	err = s.write(ctx, "finish executions", func(t *tx) error {
		finishes, err = t.finish(outcomes)
		return err
	})
	if err != nil {
		return nil, said(err)
	}
	return finishes, nil
}

func (t *tx) finish(outcomes []callsheet.Outcome) ([]callsheet.Finish, error) {
	ids := make([]string, len(outcomes))
	for i, o := range outcomes {
		ids[i] = o.ExecutionID
	}
	b, err := t.work(ids)
	if err != nil {
		return nil, err
	}
	return b.finish(outcomes)
}

// finish applies outcomes to rows that were read and locked.
func (b *batch) finish(outcomes []callsheet.Outcome) (finishes []callsheet.Finish, err error) {
	finishes = make([]callsheet.Finish, len(outcomes))
	stale := int64(0)
	for i, o := range outcomes {
		row := b.rows[o.ExecutionID]
		if row == nil || !row.Held(o.Fence) {
			finishes[i].Err = callsheet.ErrStaleFence
			stale++
			continue
		}
		if finishes[i].Released, err = b.apply(row, row.Finished(o, b.now), 0); err != nil {
			return nil, err
		}
		finishes[i].Execution = row.copy()
		if sch := b.readable(row.Schedule); sch != nil {
			after := clone(sch.Schedule)
			finishes[i].Schedule = &after
		}
	}
	if stale > 0 {
		b.tallies[""] = &callsheet.Tally{StaleWrites: stale}
	}
	return finishes, b.flush()
}

// FinishWith implements [callsheet.JointStore], but for what the driver's connection is.
//
// Nothing of the Store's is locked while it is delivered: that may take long, and leases must be renewed meanwhile, this
// one among them. That two deliver the same Batch is for the Destination's marker to prevent.
func (s *Store) FinishWith(ctx context.Context, executionID string, fence int64, deliver func(ctx context.Context, driverConn any) (callsheet.Outcome, error)) (finish callsheet.Finish, err error) {
	stale := answer{callsheet.ErrStaleFence}
	err = s.again(ctx, "deliver and finish an execution", func() error {
		return s.once(ctx, s.writer, written, func(t *tx) error {
			const held = `SELECT count(*) FROM callsheet.executions e WHERE e.id = ? AND e.state = 'running' AND e.fence = ?`
			var ours int
			if err := t.one(&ours, held, executionID, fence); err != nil {
				return err
			}
			if ours == 0 {
				return stale
			}
			var o callsheet.Outcome
			err := t.conn.Raw(func(driverConn any) (err error) {
				o, err = deliver(ctx, driverConn)
				return err
			})
			if err != nil {
				if s.dialect.Again(err) { // two deliveries were in each other's way
					return err
				}
				return answer{err}
			}
			b, err := t.work([]string{executionID})
			if err != nil {
				return err
			}
			if row := b.rows[executionID]; row == nil || !row.Held(fence) {
				return stale // and what was delivered is undone
			}
			finishes, err := b.finish([]callsheet.Outcome{o})
			if err == nil {
				finish = finishes[0]
			}
			return err
		})
	})
	if err == error(stale) {
		finish = callsheet.Finish{Err: callsheet.ErrStaleFence}
		err = s.write(ctx, "count a stale write", func(t *tx) error {
			b := t.newBatch()
			b.tallies[""] = &callsheet.Tally{StaleWrites: 1}
			return b.flush()
		})
	}
	if err != nil {
		return callsheet.Finish{}, said(err)
	}
	return finish, nil
}

// work reads and locks executions, their schedules, and what decides about these's lines.
func (t *tx) work(ids []string) (*batch, error) {
	b := t.newBatch()
	// Which schedule an execution belongs to never changes, so it may be read before anything is locked. One that is
	// inserted from here on is not there yet: its schedule would not be locked.
	const belongs = `SELECT e.id, e.schedule FROM callsheet.executions e WHERE e.id = ANY(?)`
	var there []belonging
	if err := t.all(&there, belongs, ids); err != nil {
		return nil, err
	}
	found, schedules := make([]string, len(there)), make([]string, len(there))
	for i, row := range there {
		found[i], schedules[i] = row.ID, row.Schedule
	}
	slices.Sort(schedules)
	schedules = slices.Compact(schedules)
	if err := b.lockSchedules(schedules...); err != nil {
		return nil, err
	}
	if err := b.open(found, nil); err != nil {
		return nil, err
	}
	if err := b.stillGone(schedules); err != nil {
		return nil, err
	}
	var err error
	b.now, err = t.now()
	return b, err
}

// stillGone sees to it that schedules that were not there when the others were locked are not there now. One that was defined
// anew in between may have executions that wait for one of ours, and its lock is not held. From here on whoever makes another
// wait for ours has to wait for us: see open, which locks what runs and is older than its schedule.
func (b *batch) stillGone(ids []string) error {
	gone := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return b.schedules[id] != nil })
	if len(gone) == 0 {
		return nil
	}
	const query = `SELECT count(*) FROM callsheet.schedules s WHERE s.id = ANY(?)`
	var back int
	if err := b.one(&back, query, gone); err != nil {
		return err
	}
	if back > 0 {
		return errRaced
	}
	return nil
}

// Reclaim implements [callsheet.WorkStore].
func (s *Store) Reclaim(ctx context.Context, limit int, rung time.Duration) (lost []callsheet.Execution, err error) {
	err = s.write(ctx, "reclaim executions", func(t *tx) error {
		lost = nil
		now, err := t.now()
		if err != nil {
			return err
		}
		const query = `
			SELECT e.id
			  FROM callsheet.executions e
			 WHERE e.state = 'running' AND e.lease_until <= ?
			 ORDER BY e.lease_until, e.id
			 LIMIT ?`
		var ids []string
		if err := t.all(&ids, query, now, limitOf(limit)); err != nil || len(ids) == 0 {
			return err
		}
		b, err := t.work(ids)
		if err != nil {
			return err
		}
		var rows []*execution
		for _, id := range ids {
			row := b.rows[id]
			// Renewed, finished or reclaimed by another while the locks were waited for.
			if row == nil || row.State != callsheet.StateRunning || row.LeaseUntil.After(b.now) {
				continue
			}
			if _, err := b.apply(row, row.Finished(row.Lost(), b.now), rung); err != nil {
				return err
			}
			rows = append(rows, row)
		}
		lost = executions(rows)
		return b.flush()
	})
	if err != nil {
		return nil, said(err)
	}
	return lost, nil
}

// Cancel implements [callsheet.WorkStore].
func (s *Store) Cancel(ctx context.Context, executionID, reason string) (e callsheet.Execution, changed bool, err error) {
	err = s.write(ctx, "cancel an execution", func(t *tx) error {
		b, err := t.work([]string{executionID})
		if err != nil {
			return err
		}
		row := b.rows[executionID]
		if row == nil {
			return noExecution(executionID)
		}
		if changed = !row.State.Final() && !row.CancelRequested; changed {
			if _, err := b.apply(row, row.Cancelled(reason, b.now), 0); err != nil {
				return err
			}
		}
		e = row.copy()
		return b.flush()
	})
	if err != nil {
		return callsheet.Execution{}, false, said(err)
	}
	return e, changed, nil
}

// Reopen implements [callsheet.WorkStore].
func (s *Store) Reopen(ctx context.Context, executionID string, rung time.Duration) (e callsheet.Execution, err error) {
	err = s.write(ctx, "reopen an execution", func(t *tx) error {
		b, err := t.work([]string{executionID})
		if err != nil {
			return err
		}
		row := b.rows[executionID]
		if row == nil {
			return noExecution(executionID)
		}
		sch := b.schedules[row.Schedule]
		if sch == nil {
			return noSchedule(row.Schedule)
		}
		if sch.unreadable != nil {
			return sch.unreadable
		}
		if row.State != callsheet.StateFailed {
			ref := callsheet.Ref{Kind: callsheet.KindExecution, ID: executionID}
			return answer{&callsheet.ConflictError{Ref: ref, Reason: "it is " + string(row.State) + ", not failed"}}
		}
		if _, err := b.apply(row, row.Reopened(sch.MaxAttempts(), b.now), rung); err != nil {
			return err
		}
		e = row.copy()
		return b.flush()
	})
	if err != nil {
		return callsheet.Execution{}, said(err)
	}
	return e, nil
}

func noSchedule(id string) error {
	return answer{&callsheet.NotFoundError{Ref: callsheet.Ref{Kind: callsheet.KindSchedule, ID: id}}}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
