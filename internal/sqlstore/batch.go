package sqlstore

import (
	"cmp"
	"errors"
	"maps"
	"slices"
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

// A key is what an execution is unique by.
type key struct {
	schedule string
	at       time.Time
}

func keyOf(e *callsheet.Execution) key { return key{e.Schedule, e.ScheduledAt} }

// A line is what is known of a Schedule's executions in the database that were not read: whether one of them is one that
// others wait for, and the first of those that wait, which was read, nil if there is none. Where all were read,
// the others do not matter.
type line struct {
	busy  bool
	first *execution
	all   bool
}

func (t *tx) newBatch() *batch {
	return &batch{
		tx: t, schedules: make(map[string]*schedule), rows: make(map[string]*execution), of: make(map[string][]*execution), lines: make(map[string]*line),
		taken: make(map[key]string), held: make(map[key]*execution), tallies: make(map[string]*callsheet.Tally),
	}
}

// lockSchedules settles every race about who is inserted, who ends and who waits: one at a time for each
// schedule. They are locked in the order of their IDs.
func (b *batch) lockSchedules(ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	var rows []scheduleRow
	if err := b.all(&rows, selectSchedules+" FOR UPDATE", ids); err != nil {
		return err
	}
	return b.addSchedules(rows)
}

func (b *batch) addSchedules(rows []scheduleRow) error {
	all, err := b.schedulesOf(rows)
	for _, s := range all {
		b.schedules[s.ID] = s
	}
	return err
}

// lockExecutions reads rows by ID. Their locks settle races with Claim, Renew and Ring, which have no other.
func (b *batch) lockExecutions(ids []string) error {
	const query = `
		SELECT ` + executionColumns + `, e.ring_at
		  FROM callsheet.executions e
		 WHERE e.id = ANY(?)
		 ORDER BY e.id
		   FOR UPDATE`
	return b.lockBy(query, ids)
}

// lockClaimable is lockExecutions of those that may be claimable. Of many claimers one gets the lock of a row; when the others
// do it is running, and they do not get it any more.
func (b *batch) lockClaimable(ids []string) error {
	const query = `
		SELECT ` + executionColumns + `, e.ring_at
		  FROM callsheet.executions e
		 WHERE e.id = ANY(?) AND e.state = 'pending' AND NOT e.waits
		 ORDER BY e.id
		   FOR UPDATE`
	return b.lockBy(query, ids)
}

func (b *batch) lockBy(query string, ids []string) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return b.rows[id] != nil })
	if len(ids) == 0 {
		return nil
	}
	var rows []struct {
		executionRow
		RingAt moment `db:"ring_at"`
	}
	if err := b.all(&rows, query, ids); err != nil {
		return err
	}
	for i := range rows {
		e, err := rows[i].execution()
		if err != nil {
			return err
		}
		b.hold(&execution{Execution: e, revision: rows[i].Revision, ringAt: rows[i].RingAt.Time, rung: rows[i].Rung})
	}
	return nil
}

func (b *batch) hold(row *execution) {
	b.rows[row.ID] = row
	b.of[row.Schedule] = append(b.of[row.Schedule], row)
	b.held[keyOf(&row.Execution)] = row
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

// errMoved is for a row that is not the one that was read and locked. It is a fault of this package.
var errMoved = errors.New("a row changed while it was locked")

// errRaced undoes a transaction that another one got in the way of, to be tried again.
var errRaced = errors.New("another transaction was in the way")

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
	sch, ok := b.schedules[row.Schedule]
	if row.State.Final() {
		b.answers.ended(row, sch)
	}
	if !ok {
		return false, nil
	}
	if row.State.Final() {
		b.setState(sch, sch.Recorded(before, row.Execution, b.now))
	}
	if before.State == row.State {
		return false, nil
	}
	return b.settle(sch)
}

func (b *batch) setState(sch *schedule, state callsheet.ScheduleState) {
	state = tidyState(state)
	if state != sch.ScheduleState {
		sch.ScheduleState, sch.changed = state, true
	}
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

// A keyRecord is a key that is asked for.
type keyRecord struct {
	Schedule string `json:"schedule"`
	At       any    `json:"at"`
}

// lookUp reads which IDs and keys of executions that are to be inserted are taken. An ID that is taken, but by
// one of allowed, is a *ConflictError. Who inserts has the lock of the schedule, so that what is free stays free.
func (b *batch) lookUp(all map[string][]callsheet.Execution, allowed func(id string) bool) error {
	var ids []string
	var keys []keyRecord
	for _, id := range slices.Sorted(maps.Keys(all)) {
		for _, e := range all[id] {
			if e.ID != "" && (allowed == nil || !allowed(e.ID)) {
				ids = append(ids, e.ID)
			}
			at := kept(e.ScheduledAt)
			keys = append(keys, keyRecord{id, b.store.time(at)})
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if len(ids) > 0 {
		const byID = `SELECT e.id FROM callsheet.executions e WHERE e.id = ANY(?)`
		var taken []string
		if err := b.all(&taken, byID, ids); err != nil {
			return err
		}
		seen := make(map[string]bool, len(ids))
		for _, id := range taken {
			seen[id] = true
		}
		for _, id := range ids {
			if seen[id] {
				ref := callsheet.Ref{Kind: callsheet.KindExecution, ID: id}
				return answer{&callsheet.ConflictError{Ref: ref, Reason: "the ID is taken"}}
			}
			seen[id] = true
		}
	}
	const byKey = `
		SELECT e.id, e.schedule, e.scheduled_at
		  FROM json_to_recordset(?) AS r (schedule text, at timestamptz)
		  JOIN callsheet.executions e ON e.schedule = r.schedule AND e.scheduled_at = r.at`
	param := asRows(keys)
	return b.learnKeys(byKey, param)
}

func (b *batch) learnKeys(query string, args ...any) error {
	var rows []struct {
		ID          string `db:"id"`
		Schedule    string `db:"schedule"`
		ScheduledAt moment `db:"scheduled_at"`
	}
	err := b.all(&rows, query, args...)
	for _, row := range rows {
		b.taken[key{row.Schedule, row.ScheduledAt.Time}] = row.ID
	}
	return err
}

// isTaken reports whether a row has the key. What the batch has read or will write counts as it will be.
func (b *batch) isTaken(k key) bool {
	if b.held[k] != nil {
		return true
	}
	id, ok := b.taken[k]
	return ok && b.rows[id] == nil
}

// free returns the first microsecond from the key's on at which its Schedule has no execution.
func (b *batch) free(k key) (time.Time, error) {
	const step = 100
	const query = `
		SELECT e.id, e.schedule, e.scheduled_at
		  FROM callsheet.executions e
		 WHERE e.schedule = ? AND e.scheduled_at >= ? AND e.scheduled_at < ?`
	for {
		end := k.at.Add(step * time.Microsecond)
		if err := b.learnKeys(query, k.schedule, k.at, end); err != nil {
			return k.at, err
		}
		for ; k.at.Before(end); k.at = k.at.Add(time.Microsecond) {
			if !b.isTaken(k) {
				return k.at, nil
			}
		}
	}
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
