package sqlstore

import (
	"maps"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet"
)

// A key is what an execution is unique by.
type key struct {
	schedule string
	at       time.Time
}

func keyOf(e *callsheet.Execution) key { return key{e.Schedule, e.ScheduledAt} }

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
