package sqlstore

import (
	"cmp"
	"errors"
	"maps"
	"slices"
)

// errMoved is for a row that is not the one that was read and locked. It is a fault of this package.
var errMoved = errors.New("a row changed while it was locked")

// flush writes what changed.
func (b *batch) flush() error {
	var changed, inserted []executionRecord
	var moved []string
	for _, id := range slices.Sorted(maps.Keys(b.rows)) { // as locks are taken
		switch row := b.rows[id]; {
		case row.moved:
			moved = append(moved, id)
			inserted = append(inserted, b.store.record(row))
		case row.isNew:
			inserted = append(inserted, b.store.record(row))
		case row.changed:
			changed = append(changed, b.store.record(row))
		}
	}
	if err := b.update(changed); err != nil {
		return err
	}
	// A row whose key changes is taken out and put in again: another may get the key it had.
	if len(moved) > 0 {
		const remove = `DELETE FROM callsheet.executions WHERE id = ANY(?)`
		if n, err := b.exec(remove, moved); err != nil || n != len(moved) {
			return cmp.Or(err, errMoved)
		}
	}
	if err := b.insertAll(inserted); err != nil {
		return err
	}
	if err := b.updateSchedules(); err != nil {
		return err
	}
	if err := b.answers.drop(b.tx); err != nil {
		return err
	}
	return b.countAll(b.tallies)
}

// update writes rows that were read and locked. The revision is there for the day on which somebody forgets the lock:
// a row that is not the one that was read is not written, and nothing else is.
func (b *batch) update(records []executionRecord) error {
	if len(records) == 0 {
		return nil
	}
	const statement = `
		UPDATE callsheet.executions AS e
		   SET trigger = r.trigger, state = r.state, reason = r.reason, gap_first = r.gap_first, gap_last = r.gap_last, gap_count = r.gap_count,
		       answer_of = r.answer_of, attempt = r.attempt, max_attempts = r.max_attempts, fence = r.fence, worker = r.worker,
		       lease_until = r.lease_until, not_before = r.not_before, waits = r.waits, cancel_requested = r.cancel_requested,
		       reopenings = r.reopenings, lost_workers = r.lost_workers, created_at = r.created_at, started_at = r.started_at, finished_at = r.finished_at,
		       http_status = r.http_status, bytes = r.bytes, records = r.records, rejected = r.rejected, from_kept = r.from_kept, pages = r.pages, progress = r.progress,
		       fetch_ns = r.fetch_ns, extract_ns = r.extract_ns, deliver_ns = r.deliver_ns, class = r.class, error = r.error, attempts = r.attempts,
		       catches_up = r.catches_up, ready_at = r.ready_at, ring_at = r.ring_at, rung = r.rung, revision = r.revision
		  FROM ` + executionRecords + `
		 WHERE e.id = r.id AND e.revision = r.revision - 1`
	param := asRows(records)
	n, err := b.exec(statement, param)
	if err == nil && n != len(records) {
		err = errMoved
	}
	return err
}

// insertAll writes new rows. Their keys were free; should one be taken all the same, the database refuses all.
func (b *batch) insertAll(records []executionRecord) error {
	if len(records) == 0 {
		return nil
	}
	const statement = `
		INSERT INTO callsheet.executions (
		       id, schedule, scheduled_at, trigger, state, reason, gap_first, gap_last, gap_count, answer_of,
		       attempt, max_attempts, fence, worker, lease_until, not_before, waits, cancel_requested, reopenings, lost_workers,
		       created_at, started_at, finished_at, http_status, bytes, records, rejected, from_kept, pages, progress, fetch_ns, extract_ns, deliver_ns, class, error,
		       attempts, catches_up, ready_at, ring_at, rung, revision)
		SELECT r.id, r.schedule, r.scheduled_at, r.trigger, r.state, r.reason, r.gap_first, r.gap_last, r.gap_count, r.answer_of,
		       r.attempt, r.max_attempts, r.fence, r.worker, r.lease_until, r.not_before, r.waits, r.cancel_requested, r.reopenings, r.lost_workers,
		       r.created_at, r.started_at, r.finished_at, r.http_status, r.bytes, r.records, r.rejected, r.from_kept, r.pages, r.progress, r.fetch_ns, r.extract_ns, r.deliver_ns, r.class, r.error,
		       r.attempts, r.catches_up, r.ready_at, r.ring_at, r.rung, r.revision
		  FROM ` + executionRecords
	param := asRows(records)
	_, err := b.exec(statement, param)
	return err
}

// updateSchedules writes the states that changed. Their rows are locked.
func (b *batch) updateSchedules() error {
	var records []scheduleRecord
	for _, id := range slices.Sorted(maps.Keys(b.schedules)) {
		if b.schedules[id].changed {
			records = append(records, b.store.scheduleRecord(b.schedules[id]))
		}
	}
	if len(records) == 0 {
		return nil
	}
	const statement = `
		UPDATE callsheet.schedules AS s
		   SET edition = r.edition, version = r.version, updated_at = r.updated_at, never_run = r.never_run, timeout_us = r.timeout_us,
		       status = r.status, pause_reason = r.pause_reason, paused_at = r.paused_at,
		       consecutive_failures = r.consecutive_failures, failing_since = r.failing_since,
		       execution_count = r.execution_count, failure_count = r.failure_count, last_execution = r.last_execution, last_error = r.last_error,
		       last_scheduled_at = r.last_scheduled_at, last_executed_at = r.last_executed_at,
		       runs = r.runs, planned_until = r.planned_until, next_execution_at = r.next_execution_at,
		       cursor_at = r.cursor_at, validators = r.validators, due_at = r.due_at
		  FROM ` + scheduleRecords + `
		 WHERE s.id = r.id`
	param := asRows(records)
	n, err := b.exec(statement, param)
	if err == nil && n != len(records) {
		err = errMoved
	}
	return err
}
