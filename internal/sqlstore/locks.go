package sqlstore

import (
	"errors"
	"slices"
)

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

// errRaced undoes a transaction that another one got in the way of, to be tried again.
var errRaced = errors.New("another transaction was in the way")
