package memory

import (
	"context"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/history"
)

// endOfTime is later than any time that is kept.
var endOfTime = time.Date(10000, time.January, 1, 0, 0, 0, 0, time.UTC)

// Execution implements [callsheet.LedgerStore].
func (s *Store) Execution(ctx context.Context, id string) (callsheet.Execution, error) {
	if err := s.enter(ctx, "get an execution"); err != nil {
		return callsheet.Execution{}, err
	}
	defer s.mu.Unlock()

	row, ok := s.executions.byID[id]
	if !ok {
		return callsheet.Execution{}, noExecution(id)
	}
	return cloneExecution(row.Execution), nil
}

// Executions implements [callsheet.LedgerStore].
func (s *Store) Executions(ctx context.Context, q callsheet.ExecutionQuery) (callsheet.Page[callsheet.Execution], error) {
	var page callsheet.Page[callsheet.Execution]
	if err := s.enter(ctx, "list executions"); err != nil {
		return page, err
	}
	defer s.mu.Unlock()

	w := window{from: q.From, until: endOfTime, backwards: !q.EarliestFirst}
	if !q.To.IsZero() {
		w.until = q.To
	}
	if q.After != "" {
		after, err := history.ParsePlace(q.After)
		if err != nil {
			return page, err
		}
		w.after = &after
	}

	size := callsheet.PageSize(q.Limit)
	rows := s.executions.within(w, q, size+1)
	if len(rows) > size {
		rows = rows[:size]
		page.Next = placeOf(rows[size-1]).String()
	}
	page.Items = cloneExecutions(rows)
	return page, nil
}

// A window is a time of history, and the way through it: from ≤ ScheduledAt < until, behind the place after.
type window struct {
	from, until time.Time
	backwards   bool
	after       *history.Place
}

// compare orders two places as the window is gone through.
func (w window) compare(a, b history.Place) int {
	if w.backwards {
		return b.Compare(a)
	}
	return a.Compare(b)
}

// walk visits the rows of a tree that are in the window, and perhaps some before.
func (w window) walk(x *executions, tree *executionTree, schedule string, visit func(*execution) bool) {
	switch {
	case w.backwards && w.after != nil && w.after.At.Before(w.until):
		pivot := x.historyKey(schedule, w.after.At)
		pivot.ID = w.after.ID
		tree.DescendLessOrEqual(pivot, visit)
	case w.backwards:
		tree.DescendLessOrEqual(x.historyKey(schedule, w.until), visit)
	case w.after != nil && w.after.At.After(w.from):
		pivot := x.historyKey(schedule, w.after.At)
		pivot.ID = w.after.ID
		tree.AscendGreaterOrEqual(pivot, visit)
	default:
		tree.AscendGreaterOrEqual(x.historyKey(schedule, w.from), visit)
	}
}

func (w window) has(p history.Place) bool {
	return !p.At.Before(w.from) && p.At.Before(w.until) && (w.after == nil || w.compare(*w.after, p) < 0)
}

// past reports whether p, and so all that follows, lies behind the window.
func (w window) past(p history.Place) bool {
	if w.backwards {
		return p.At.Before(w.from)
	}
	return !p.At.Before(w.until)
}

// within returns up to limit executions in the window that q selects, in its order.
func (x *executions) within(w window, q callsheet.ExecutionQuery, limit int) []*execution {
	walk := func(tree *executionTree, states []callsheet.State) []*execution {
		var rows []*execution
		w.walk(x, tree, q.Schedule, func(row *execution) bool {
			at := placeOf(row)
			if w.past(at) || (q.Schedule != "" && row.Schedule != q.Schedule) || len(rows) == limit {
				return false
			}
			if w.has(at) && (len(states) == 0 || slices.Contains(states, row.State)) &&
				(len(q.Classes) == 0 || slices.Contains(q.Classes, row.Class)) {
				rows = append(rows, row)
			}
			return true
		})
		return rows
	}
	if q.Schedule != "" {
		return walk(x.history, q.States)
	}

	var rows []*execution
	for _, state := range callsheet.States() {
		if len(q.States) == 0 || slices.Contains(q.States, state) {
			rows = append(rows, walk(x.timeline[state], nil)...)
		}
	}
	slices.SortFunc(rows, func(a, b *execution) int { return w.compare(placeOf(a), placeOf(b)) })
	return rows[:min(len(rows), limit)]
}

// Gaps implements [callsheet.LedgerStore].
func (s *Store) Gaps(ctx context.Context, scheduleID string, at time.Time) ([]callsheet.Execution, error) {
	if err := s.enter(ctx, "list gaps"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()

	return cloneExecutions(s.executions.gapsAt(scheduleID, at)), nil
}

func placeOf(row *execution) history.Place { return history.Place{At: row.ScheduledAt, ID: row.ID} }

// Tally implements [callsheet.LedgerStore].
func (s *Store) Tally(ctx context.Context, q callsheet.StatsQuery) (callsheet.Tally, callsheet.Page[callsheet.ScheduleTally], error) {
	var page callsheet.Page[callsheet.ScheduleTally]
	if err := s.enter(ctx, "read tallies"); err != nil {
		return callsheet.Tally{}, page, err
	}
	defer s.mu.Unlock()

	size := callsheet.PageSize(q.Limit)
	add := func(id string) bool {
		if id <= q.After && q.After != "" {
			return true
		}
		if len(page.Items) == size {
			page.Next = page.Items[size-1].Schedule
			return false
		}
		item := callsheet.ScheduleTally{Schedule: id}
		if tally, ok := s.tallies[id]; ok {
			item.Tally = tally.Clone()
		}
		page.Items = append(page.Items, item)
		return true
	}
	if len(q.Schedules) == 0 {
		s.schedules.ids.AscendGreaterOrEqual(q.After, add)
		return s.total.Clone(), page, nil
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(q.Schedules))) {
		if s.schedules.has(id) && !add(id) {
			break
		}
	}
	return s.total.Clone(), page, nil
}

// Soonest implements [callsheet.LedgerStore].
func (s *Store) Soonest(ctx context.Context, limit int, ids ...string) ([]callsheet.Schedule, error) {
	if err := s.enter(ctx, "find the soonest schedules"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()

	limit = limitOf(limit)
	if len(ids) == 0 {
		return cloneSchedules(head(s.planned.tree, limit)), nil
	}
	asked := newOrder(s.planned.belongs, s.planned.at)
	for _, id := range ids {
		if row, ok := s.schedules.rows[id]; ok {
			asked.add(row)
		}
	}
	return cloneSchedules(head(asked.tree, limit)), nil
}

// Answer implements [callsheet.LedgerStore].
func (s *Store) Answer(ctx context.Context, executionID string) (callsheet.Answer, error) {
	if err := s.enter(ctx, "get an answer"); err != nil {
		return callsheet.Answer{}, err
	}
	defer s.mu.Unlock()

	answer, ok := s.answers[executionID]
	if !ok {
		return callsheet.Answer{}, noExecution(executionID)
	}
	return cloneAnswer(answer), nil
}

// Prune implements [callsheet.LedgerStore].
func (s *Store) Prune(ctx context.Context, p callsheet.PruneRequest) (int, error) {
	if err := s.enter(ctx, "prune executions"); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()

	limit := limitOf(p.Limit)
	rows := s.tooOld(p.Before, limit)
	s.drop(rows)
	if len(rows) < limit {
		many := s.tooMany(p.Keep, limit-len(rows))
		s.drop(many)
		rows = append(rows, many...)
	}
	return len(rows), nil
}

// tooOld returns up to limit rows that ended before the time given for their state.
func (s *Store) tooOld(before map[callsheet.State]time.Time, limit int) []*execution {
	referenced := s.referenced()
	var rows []*execution
	for _, state := range callsheet.States() {
		cutoff, ok := before[state]
		if !ok || !state.Final() {
			continue
		}
		s.executions.due[state].Ascend(func(row *execution) bool {
			if !row.FinishedAt.Before(cutoff) || len(rows) == limit {
				return false
			}
			if !referenced(row) {
				rows = append(rows, row)
			}
			return true
		})
	}
	return rows
}

// tooMany returns up to limit rows of which their Schedule has more, later ones, than it keeps.
func (s *Store) tooMany(keep map[callsheet.State]int, limit int) []*execution {
	referenced := s.referenced()
	var rows []*execution
	for schedule, counts := range s.executions.ended {
		var over [endedStates]int
		for state, most := range keep {
			if state.Final() {
				over[endedState(state)] = max(0, counts[endedState(state)]-most)
			}
		}
		if over == ([endedStates]int{}) {
			continue
		}
		s.executions.history.AscendGreaterOrEqual(s.executions.historyKey(schedule, time.Time{}), func(row *execution) bool {
			if row.Schedule != schedule || len(rows) == limit || over == ([endedStates]int{}) {
				return false
			}
			if row.State.Final() && over[endedState(row.State)] > 0 {
				over[endedState(row.State)]--
				if !referenced(row) {
					rows = append(rows, row)
				}
			}
			return true
		})
	}
	return rows
}

// referenced returns what tells whether a row has to stay, because something refers to it.
func (s *Store) referenced() func(*execution) bool {
	used := make(map[string]bool)
	for _, tree := range [...]*executionTree{s.executions.busy, s.executions.up, s.executions.waiting} {
		tree.Ascend(func(row *execution) bool {
			used[row.AnswerOf] = true
			return true
		})
	}
	return func(row *execution) bool {
		schedule := s.schedules.rows[row.Schedule]
		return used[row.ID] || schedule != nil && schedule.LastExecution == row.ID
	}
}

// drop forgets rows, and their answers.
func (s *Store) drop(rows []*execution) {
	for _, row := range rows {
		s.executions.remove(row)
		delete(s.answers, row.ID)
		s.forgetTally(row.Schedule)
	}
}
