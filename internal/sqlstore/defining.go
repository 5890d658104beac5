package sqlstore

import (
	"errors"

	"github.com/callsheet-go/callsheet"
)

// A defining is a transaction that writes Definitions.
type defining struct {
	*batch
	generation int64
	there      map[callsheet.Ref]*definitionRow
	puts       []func() error // what is to be put, in order
	writes     []definitionRecord
	uses       []useRecord
	created    []*schedule // that have no row yet
}

type definitionRecord struct {
	Kind      callsheet.Kind `json:"kind"`
	ID        string         `json:"id"`
	Version   int64          `json:"version"`
	CreatedAt any            `json:"created_at"`
	UpdatedAt any            `json:"updated_at"`
	Doc       string         `json:"doc"`
}

type useRecord struct {
	Kind     callsheet.Kind `json:"kind"`
	ID       string         `json:"id"`
	UsesKind callsheet.Kind `json:"uses_kind"`
	UsesID   string         `json:"uses_id"`
}

// define begins to write Definitions. They are rarely written, so whoever does waits for the one before: of
// references, versions and IDs that are taken there are no races.
func (t *tx) define() (*defining, error) {
	const turn = `SELECT m.generation FROM callsheet.meta m FOR UPDATE`
	d := &defining{batch: t.newBatch(), there: make(map[callsheet.Ref]*definitionRow)}
	if err := t.one(&d.generation, turn); err != nil {
		return nil, err
	}
	var err error
	d.now, err = t.now()
	return d, err
}

type refRecord struct {
	Kind callsheet.Kind `json:"kind"`
	ID   string         `json:"id"`
}

// read reads what is there of refs, and locks the schedules among them.
func (d *defining) read(refs []callsheet.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	records := make([]refRecord, len(refs))
	var schedules []string
	for i, ref := range refs {
		records[i] = refRecord{ref.Kind, ref.ID}
		if ref.Kind == callsheet.KindSchedule {
			schedules = append(schedules, ref.ID)
		}
	}
	const query = `
		SELECT ` + definitionColumns + `
		  FROM callsheet.definitions d
		 WHERE (d.kind, d.id) IN (SELECT r.kind, r.id FROM json_to_recordset(?) AS r (kind text, id text))`
	param := asRows(records)
	var rows []definitionRow
	if err := d.tx.all(&rows, query, param); err != nil {
		return err
	}
	for i := range rows {
		d.there[callsheet.Ref{Kind: rows[i].Kind, ID: rows[i].ID}] = &rows[i]
	}
	if err := d.lockSchedules(schedules...); err != nil {
		return err
	}
	var err error
	d.now, err = d.tx.now()
	return err
}

// unknown returns a fault for every reference to what is neither kept nor within the sheet.
func (d *defining) unknown(meta callsheet.Meta, within map[callsheet.Ref]bool) error {
	var faults []error
	for _, ref := range meta.Uses {
		if ref.ID != "" && (within[ref] || d.there[ref] != nil) {
			continue
		}
		faults = append(faults, callsheet.UnknownReference(meta.Ref(), ref))
	}
	return errors.Join(faults...)
}

// put notes that item, fresh, is to take the place of row; nil: it is new.
func put[T callsheet.Definition, P callsheet.Entity[T]](d *defining, row *definitionRow, item P) {
	d.puts = append(d.puts, func() error {
		doc, err := hostsPart[T, P](*item)
		if err != nil {
			return err
		}
		meta := item.Meta()
		*meta.Version, *meta.CreatedAt, *meta.UpdatedAt = 1, d.now, d.now
		if row != nil {
			*meta.Version, *meta.CreatedAt = row.Version+1, row.CreatedAt.Time
		}
		d.writes = append(d.writes, definitionRecord{meta.Kind, *meta.ID, *meta.Version, d.store.time(*meta.CreatedAt), d.store.time(*meta.UpdatedAt), string(doc)})
		for _, ref := range meta.Uses {
			d.uses = append(d.uses, useRecord{meta.Kind, *meta.ID, ref.Kind, ref.ID})
		}
		return nil
	})
	if sch, ok := any(item).(*callsheet.Schedule); ok {
		d.puts = append(d.puts, func() error { return d.putSchedule(sch) })
	}
}

// putSchedule gives a Schedule that is created or edited its state, and does what follows from the edit.
func (d *defining) putSchedule(sch *callsheet.Schedule) error {
	before := d.schedules[sch.ID]
	after := &schedule{Schedule: *sch, edition: d.generation + 1}
	if before == nil {
		after.ScheduleState = tidyState(sch.Defined(d.now))
		d.created = append(d.created, after)
		return nil
	}
	if before.unreadable != nil {
		// What it was is not known. It is taken to have been as it is put right, so that nothing is superseded, skipped or forgotten.
		state := before.ScheduleState
		before.Schedule = *sch
		before.ScheduleState = state
	}
	decision := sch.Edited(before.Schedule, d.now)
	after.ScheduleState, after.changed = tidyState(decision.State), true
	d.schedules[sch.ID] = after
	if decision.Cancel == nil && len(decision.Executions) == 0 && before.Overlap == after.Overlap && before.unreadable == nil {
		return nil // nobody moves
	}
	return d.follow(sch.ID, decision, after)
}

// follow applies a Decision on a Schedule that is edited, or deleted: then there is none to see to the line of.
func (d *defining) follow(id string, decision callsheet.Decision, after *schedule) error {
	if err := d.lookUp(map[string][]callsheet.Execution{id: decision.Executions}, nil); err != nil {
		return err
	}
	for other := range d.schedules {
		if d.lines[other] == nil && other != id {
			d.lines[other] = &line{all: true} // for now; it is read when its turn comes
		}
	}
	delete(d.lines, id)
	if err := d.open(nil, map[string]bool{id: true}); err != nil {
		return err
	}
	if _, _, err := d.decided(id, decision, 0); err != nil || after == nil {
		return err
	}
	_, err := d.settle(after)
	return err
}

// flush writes what was put. A put that comes to nothing leaves the generation alone.
func (d *defining) flush() error {
	for _, put := range d.puts {
		if err := put(); err != nil {
			return err
		}
	}
	if len(d.writes) == 0 {
		return nil
	}
	const definitions = `
		INSERT INTO callsheet.definitions AS d (kind, id, version, created_at, updated_at, doc)
		SELECT r.kind, r.id, r.version, r.created_at, r.updated_at, r.doc::json
		  FROM json_to_recordset(?) AS r (kind text, id text, version bigint, created_at timestamptz, updated_at timestamptz, doc text)
		 WHERE true
		ON CONFLICT (kind, id) DO UPDATE
		   SET version = excluded.version, updated_at = excluded.updated_at, doc = excluded.doc`
	param := asRows(d.writes)
	if _, err := d.exec(definitions, param); err != nil {
		return err
	}
	const oldUses = `
		DELETE FROM callsheet.definition_uses
		 WHERE (kind, id) IN (SELECT r.kind, r.id FROM json_to_recordset(?) AS r (kind text, id text))`
	if _, err := d.exec(oldUses, param); err != nil {
		return err
	}
	if len(d.uses) > 0 {
		const uses = `
			INSERT INTO callsheet.definition_uses (kind, id, uses_kind, uses_id)
			SELECT r.kind, r.id, r.uses_kind, r.uses_id
			  FROM json_to_recordset(?) AS r (kind text, id text, uses_kind text, uses_id text)`
		param := asRows(d.uses)
		if _, err := d.exec(uses, param); err != nil {
			return err
		}
	}
	if err := d.createSchedules(); err != nil {
		return err
	}
	if err := d.nextGeneration(); err != nil {
		return err
	}
	return d.batch.flush()
}

func (d *defining) createSchedules() error {
	if len(d.created) == 0 {
		return nil
	}
	const statement = `
		INSERT INTO callsheet.schedules (id, edition, version, created_at, updated_at, never_run, timeout_us,
		       status, pause_reason, paused_at, consecutive_failures, failing_since, execution_count, failure_count,
		       last_execution, last_error, last_scheduled_at, last_executed_at, runs, planned_until, next_execution_at, cursor_at, validators, due_at)
		SELECT r.id, r.edition, r.version, r.created_at, r.updated_at, r.never_run, r.timeout_us,
		       r.status, r.pause_reason, r.paused_at, r.consecutive_failures, r.failing_since, r.execution_count, r.failure_count,
		       r.last_execution, r.last_error, r.last_scheduled_at, r.last_executed_at, r.runs, r.planned_until, r.next_execution_at, r.cursor_at, r.validators, r.due_at
		  FROM ` + scheduleRecords
	records := make([]scheduleRecord, len(d.created))
	for i, sch := range d.created {
		records[i] = d.store.scheduleRecord(sch)
	}
	param := asRows(records)
	_, err := d.exec(statement, param)
	return err
}

func (d *defining) nextGeneration() error {
	const statement = `UPDATE callsheet.meta SET generation = generation + 1`
	_, err := d.exec(statement)
	return err
}

// asKept gives an item that was put its state as it is after the flush.
func asKept[T callsheet.Definition, P callsheet.Entity[T]](d *defining, item P) {
	sch, ok := any(item).(*callsheet.Schedule)
	if !ok {
		return
	}
	if after := d.schedules[sch.ID]; after != nil {
		sch.ScheduleState = after.ScheduleState
		return
	}
	sch.ScheduleState = d.created[0].ScheduleState
}

// remove deletes a Definition that nothing uses. Of a Schedule the executions end, and the history stays.
func (d *defining) remove(ref callsheet.Ref) error {
	sch := d.schedules[ref.ID]
	if ref.Kind == callsheet.KindSchedule && sch != nil {
		if err := d.follow(ref.ID, sch.Removed(d.now), nil); err != nil {
			return err
		}
		const statement = `DELETE FROM callsheet.schedules WHERE id = ?`
		if _, err := d.exec(statement, ref.ID); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		`DELETE FROM callsheet.definition_uses WHERE kind = ? AND id = ?`,
		`DELETE FROM callsheet.definitions WHERE kind = ? AND id = ?`,
	} {
		if _, err := d.exec(statement, ref.Kind, ref.ID); err != nil {
			return err
		}
	}
	if err := d.nextGeneration(); err != nil {
		return err
	}
	if err := d.batch.flush(); err != nil {
		return err
	}
	if ref.Kind != callsheet.KindSchedule {
		return nil
	}
	return d.forgetTallies([]string{ref.ID})
}
