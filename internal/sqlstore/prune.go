package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Prune implements [callsheet.LedgerStore].
func (s *Store) Prune(ctx context.Context, p callsheet.PruneRequest) (n int, err error) {
	err = s.write(ctx, "prune executions", func(t *tx) error {
		pruned := &pruning{tx: t, left: limitOf(p.Limit), counts: make(map[string]*prunedRecord)}
		for _, state := range callsheet.States() {
			if before, ok := p.Before[state]; ok && state.Final() && pruned.left > 0 {
				if err := pruned.old(state, before); err != nil {
					return err
				}
			}
		}
		for _, state := range callsheet.States() {
			if keep, ok := p.Keep[state]; ok && state.Final() && pruned.left > 0 {
				if err := pruned.many(state, max(keep, 0)); err != nil {
					return err
				}
			}
		}
		n = len(pruned.ids)
		return pruned.flush()
	})
	if err != nil {
		return 0, said(err)
	}
	return n, nil
}

// A pruning is a transaction that deletes executions.
type pruning struct {
	*tx
	left   int // how many more may be deleted
	ids    []string
	counts map[string]*prunedRecord // by schedule
}

type prunedRecord struct {
	Schedule  string `json:"schedule"`
	Succeeded int64  `json:"succeeded"`
	Failed    int64  `json:"failed"`
	Cancelled int64  `json:"cancelled"`
	Skipped   int64  `json:"skipped"`
}

func (r *prunedRecord) add(state callsheet.State) {
	switch state {
	case callsheet.StateSucceeded:
		r.Succeeded++
	case callsheet.StateFailed:
		r.Failed++
	case callsheet.StateCancelled:
		r.Cancelled++
	case callsheet.StateSkipped:
		r.Skipped++
	}
}

// stays is for executions that something refers to: a Schedule's last one, and one whose answer an open one is to use.
const stays = `(
		       EXISTS (SELECT 1 FROM callsheet.schedules s WHERE s.id = e.schedule AND s.last_execution = e.id)
		    OR EXISTS (SELECT 1 FROM callsheet.executions o
		                WHERE o.answer_of = e.id AND o.answer_of <> '' AND o.state IN ('pending', 'running')))`

// old deletes executions that ended before a time. What is locked is being reopened, and is not pruned now.
func (p *pruning) old(state callsheet.State, before time.Time) error {
	query := `
		SELECT e.id, e.schedule
		  FROM callsheet.executions e
		 WHERE e.state = '` + string(state) + `' AND e.finished_at < ? AND NOT ` + stays + `
		 ORDER BY e.finished_at, e.id
		 LIMIT ?
		   FOR UPDATE OF e SKIP LOCKED`
	var rows []belonging
	if err := p.all(&rows, query, bound(before), p.left); err != nil {
		return err
	}
	return p.drop(state, rows)
}

// many deletes executions of which their schedule has more, later ones, than it keeps. The tallies know which
// schedules have too many, so that the others cost nothing.
func (p *pruning) many(state callsheet.State, keep int) error {
	over := `SELECT t.schedule FROM callsheet.tallies t WHERE t.` + string(state) + ` - t.pruned_` + string(state) + ` > ? AND t.schedule <> '' AND t.schedule > ?
		ORDER BY t.schedule LIMIT 100`
	surplus := `
		SELECT e.id, e.schedule
		  FROM callsheet.executions e
		 WHERE e.schedule = ? AND e.state = '` + string(state) + `' AND NOT ` + stays + `
		   AND e.scheduled_at < (SELECT k.scheduled_at
		                            FROM callsheet.executions k
		                           WHERE k.schedule = ? AND k.state = '` + string(state) + `'
		                           ORDER BY k.scheduled_at DESC
		                           LIMIT 1 OFFSET ?)
		 ORDER BY e.scheduled_at
		 LIMIT ?
		   FOR UPDATE OF e SKIP LOCKED`
	offset := keep - 1
	if keep == 0 {
		surplus, offset = strings.Replace(surplus, "e.scheduled_at <", "e.scheduled_at <=", 1), 0
	}
	for after := ""; p.left > 0; {
		var schedules []string
		if err := p.all(&schedules, over, keep, after); err != nil {
			return err
		}
		for _, id := range schedules {
			var rows []belonging
			if err := p.all(&rows, surplus, id, id, offset, p.left); err != nil {
				return err
			}
			if err := p.drop(state, rows); err != nil || p.left == 0 {
				return err
			}
			after = id
		}
		if len(schedules) < 100 {
			return nil
		}
	}
	return nil
}

// A belonging says which schedule an execution is of.
type belonging struct {
	ID       string `db:"id"`
	Schedule string `db:"schedule"`
}

// drop deletes rows of a state that are locked.
func (p *pruning) drop(state callsheet.State, rows []belonging) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
		if p.counts[row.Schedule] == nil {
			p.counts[row.Schedule] = &prunedRecord{Schedule: row.Schedule}
		}
		p.counts[row.Schedule].add(state)
	}
	p.ids, p.left = append(p.ids, ids...), p.left-len(ids)
	const statement = `DELETE FROM callsheet.executions WHERE id = ANY(?)`
	_, err := p.exec(statement, ids)
	return err
}

// flush deletes the answers of all that was deleted, and counts it: in one statement each and at the end, as the locks of
// tallies come last and in the order of their schedules.
func (p *pruning) flush() error {
	if len(p.ids) == 0 {
		return nil
	}
	const answers = `DELETE FROM callsheet.answers WHERE execution = ANY(?)`
	if _, err := p.exec(answers, p.ids); err != nil {
		return err
	}
	var records []prunedRecord
	for _, id := range sortedKeys(p.counts) {
		records = append(records, *p.counts[id])
	}
	const count = `
		INSERT INTO callsheet.tallies AS t (schedule, pruned_succeeded, pruned_failed, pruned_cancelled, pruned_skipped)
		SELECT r.schedule, r.succeeded, r.failed, r.cancelled, r.skipped
		  FROM json_to_recordset(?) AS r (schedule text, succeeded bigint, failed bigint, cancelled bigint, skipped bigint)
		 WHERE true
		ON CONFLICT (schedule) DO UPDATE
		   SET pruned_succeeded = t.pruned_succeeded + excluded.pruned_succeeded, pruned_failed = t.pruned_failed + excluded.pruned_failed,
		       pruned_cancelled = t.pruned_cancelled + excluded.pruned_cancelled, pruned_skipped = t.pruned_skipped + excluded.pruned_skipped`
	param := asRows(records)
	if _, err := p.exec(count, param); err != nil {
		return err
	}
	return p.forgetTallies(sortedKeys(p.counts))
}
