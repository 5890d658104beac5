package sqlstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/history"
)

// Execution implements [callsheet.LedgerStore].
func (s *Store) Execution(ctx context.Context, id string) (e callsheet.Execution, err error) {
	err = s.read(ctx, "get an execution", func(t *tx) error {
		const query = `SELECT ` + executionColumns + ` FROM callsheet.executions e WHERE e.id = ?`
		var row executionRow
		if err := t.one(&row, query, id); err != nil {
			if noRows(err) {
				return noExecution(id)
			}
			return err
		}
		e, err = row.execution()
		return err
	})
	if err != nil {
		return callsheet.Execution{}, said(err)
	}
	return e, nil
}

// Executions implements [callsheet.LedgerStore].
func (s *Store) Executions(ctx context.Context, q callsheet.ExecutionQuery) (page callsheet.Page[callsheet.Execution], err error) {
	var where condition
	if q.Schedule != "" {
		where.and(`e.schedule = ?`, q.Schedule)
	}
	if len(q.States) > 0 {
		// Written out: the planner has to see that an index of some states will do.
		var states []string
		for _, state := range callsheet.States() {
			if slices.Contains(q.States, state) {
				states = append(states, "'"+string(state)+"'")
			}
		}
		where.and(`e.state IN (` + strings.Join(append(states, "NULL"), ", ") + `)`)
	}
	if len(q.Classes) == 1 {
		where.and(`e.class = ?`, string(q.Classes[0])) // in the order of its index
	} else if len(q.Classes) > 0 {
		classes := make([]string, len(q.Classes))
		for i, class := range q.Classes {
			classes[i] = string(class)
		}
		where.and(`e.class = ANY(?)`, classes)
	}
	if !q.From.IsZero() {
		where.and(`e.scheduled_at >= ?`, bound(q.From))
	}
	if !q.To.IsZero() {
		where.and(`e.scheduled_at < ?`, bound(q.To))
	}
	if q.After != "" {
		after, err := history.ParsePlace(q.After)
		if err == nil && after.ID != plain(after.ID) {
			err = history.Fault(q.After)
		}
		if err != nil {
			return page, err
		}
		behind := `(e.scheduled_at, e.id) < (?, ?)`
		if q.EarliestFirst {
			behind = `(e.scheduled_at, e.id) > (?, ?)`
		}
		where.and(behind, limit(after.At), after.ID)
	}
	order := ` ORDER BY e.scheduled_at DESC, e.id DESC LIMIT ?`
	if q.EarliestFirst {
		order = ` ORDER BY e.scheduled_at, e.id LIMIT ?`
	}

	size := callsheet.PageSize(q.Limit)
	query := `SELECT ` + executionColumns + ` FROM callsheet.executions e ` + where.text() + order
	err = s.read(ctx, "list executions", func(t *tx) error {
		page = callsheet.Page[callsheet.Execution]{}
		var rows []executionRow
		if err := t.all(&rows, query, append(slices.Clone(where.args), size+1)...); err != nil {
			return err
		}
		if len(rows) > size {
			rows = rows[:size]
			page.Next = history.Place{At: rows[size-1].ScheduledAt.Time, ID: rows[size-1].ID}.String()
		}
		page.Items, err = executionsOf(rows)
		return err
	})
	return page, said(err)
}

// Gaps implements [callsheet.LedgerStore].
func (s *Store) Gaps(ctx context.Context, scheduleID string, at time.Time) (gaps []callsheet.Execution, err error) {
	const query = `SELECT ` + executionColumns + ` FROM callsheet.executions e WHERE ` + reaching + ` ORDER BY e.scheduled_at`
	err = s.read(ctx, "list gaps", func(t *tx) error {
		var rows []executionRow
		if err := t.all(&rows, query, scheduleID, bound(at), bound(at)); err != nil {
			return err
		}
		gaps, err = executionsOf(rows)
		return err
	})
	return gaps, said(err)
}

// A condition is what follows WHERE.
type condition struct {
	terms []string
	args  []any
}

func (c *condition) and(term string, args ...any) {
	c.terms, c.args = append(c.terms, term), append(c.args, args...)
}

func (c *condition) text() string {
	if len(c.terms) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.terms, " AND ")
}

// Soonest implements [callsheet.LedgerStore].
func (s *Store) Soonest(ctx context.Context, most int, ids ...string) (soonest []callsheet.Schedule, err error) {
	var where condition
	where.and(`s.due_at IS NOT NULL`)
	if len(ids) > 0 {
		where.and(`s.id = ANY(?)`, ids)
	}
	err = s.read(ctx, "find the soonest schedules", func(t *tx) error {
		all, err := t.schedulesBy(`s.due_at`, where, limitOf(most))
		soonest = values(slices.DeleteFunc(all, func(sch *schedule) bool { return sch.unreadable != nil }))
		return err
	})
	return soonest, said(err)
}

// schedulesBy returns the Schedules under a condition, in the order of a column.
func (t *tx) schedulesBy(column string, where condition, most int) ([]*schedule, error) {
	query := `SELECT ` + scheduleColumns + ` FROM callsheet.schedules s ` + where.text() + ` ORDER BY ` + column + `, s.id LIMIT ?`
	var rows []scheduleRow
	if err := t.all(&rows, query, append(slices.Clone(where.args), most)...); err != nil {
		return nil, err
	}
	return t.schedulesOf(rows)
}

// Survey implements [callsheet.LedgerStore].
func (s *Store) Survey(ctx context.Context, q callsheet.SurveyQuery) (found callsheet.Survey, err error) {
	err = s.read(ctx, "survey", func(t *tx) error {
		found, err = t.survey(q)
		return err
	})
	return found, said(err)
}

func (t *tx) survey(q callsheet.SurveyQuery) (found callsheet.Survey, err error) {
	if found.Now, err = t.now(); err != nil {
		return found, err
	}
	overdue := bound(found.Now.Add(-q.Overdue))
	most := max(q.Limit, 0)
	unreadable := make(map[string]string)

	// The conditions are those of the partial indexes, so that each costs what it finds.
	for _, list := range []struct {
		schedules *[]callsheet.Schedule
		count     *int
		column    string
		where     condition
	}{
		{&found.Failed, &found.FailedCount, `s.failing_since`, on(`s.failing_since IS NOT NULL`)},
		{&found.NeverRun, &found.NeverRunCount, `s.created_at`, on(`s.never_run`)},
		{&found.Unplanned, &found.UnplannedCount, `s.due_at`, on(`s.due_at < ?`, overdue)},
	} {
		if err := t.one(list.count, `SELECT count(*) FROM callsheet.schedules s `+list.where.text(), slices.Clone(list.where.args)...); err != nil {
			return found, err
		}
		if *list.count == 0 || most == 0 {
			continue
		}
		all, err := t.schedulesBy(list.column, list.where, most)
		if err != nil {
			return found, err
		}
		*list.schedules = values(all)
		for _, sch := range all {
			if sch.unreadable != nil {
				unreadable[sch.ID] = sch.unreadable.Error()
			}
		}
	}

	if len(unreadable) > 0 {
		found.Unreadable = unreadable
	}

	// An attempt is stuck from the end of its lease, or of its timeout and the overdue time, whichever comes first.
	stuck := on(`e.state = 'running' AND `+stuckSince+` <= ?`, q.Overdue.Microseconds(), found.Now)
	for _, list := range []struct {
		executions *[]callsheet.Execution
		count      *int
		order      string
		where      condition
	}{
		{&found.Unclaimed, &found.UnclaimedCount, `e.ready_at`, on(rings+` AND e.ready_at < ?`, overdue)},
		{&found.Stuck, &found.StuckCount, stuckSince, stuck},
		{&found.DeadLetters, &found.DeadLetterCount, `e.finished_at`, on(`e.state = 'failed'`)},
	} {
		from := ` FROM callsheet.executions e LEFT JOIN callsheet.schedules s ON s.id = e.schedule `
		if list.count != &found.StuckCount {
			from = ` FROM callsheet.executions e `
		}
		if err := t.one(list.count, `SELECT count(*)`+from+list.where.text(), slices.Clone(list.where.args)...); err != nil {
			return found, err
		}
		if *list.count == 0 || most == 0 {
			continue
		}
		args := slices.Clone(list.where.args)
		if list.count == &found.StuckCount {
			args = append(args, q.Overdue.Microseconds())
		}
		query := `SELECT ` + executionColumns + from + list.where.text() + ` ORDER BY ` + list.order + `, e.id LIMIT ?`
		var rows []executionRow
		if err := t.all(&rows, query, append(args, most)...); err != nil {
			return found, err
		}
		if *list.executions, err = executionsOf(rows); err != nil {
			return found, err
		}
	}

	opens, err := t.openCounts()
	if err != nil {
		return found, err
	}
	for _, row := range opens {
		if row.State == callsheet.StatePending {
			found.Pending = int(row.Count)
		} else {
			found.Running = int(row.Count)
		}
	}
	const oldest = `
		SELECT e.scheduled_at
		  FROM callsheet.executions e
		 WHERE ` + rings + ` AND e.ready_at <= ?
		 ORDER BY e.ready_at, e.id
		 LIMIT 1`
	var at []moment
	if err := t.all(&at, oldest, found.Now); err != nil {
		return found, err
	}
	if len(at) > 0 {
		found.OldestReady = at[0].Time
	}
	return found, nil
}

// stuckSince is when an attempt should be over. Where there is no Schedule any more the lease alone says so.
const stuckSince = `least(e.lease_until, e.started_at + (coalesce(s.timeout_us, 3000000000000000) + ?) * interval '1 microsecond')`

func on(term string, args ...any) condition { return condition{[]string{term}, args} }
