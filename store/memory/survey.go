package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Survey implements [callsheet.LedgerStore].
func (s *Store) Survey(ctx context.Context, q callsheet.SurveyQuery) (callsheet.Survey, error) {
	if err := s.enter(ctx, "survey"); err != nil {
		return callsheet.Survey{}, err
	}
	defer s.mu.Unlock()

	now, limit := s.moment, max(q.Limit, 0)
	overdue := now.Add(-q.Overdue)
	unplanned, unplannedCount := s.planned.first(limit, overdue)
	unclaimed, unclaimedCount := s.unclaimed(limit, overdue)
	stuck := s.stuck(now, q.Overdue)
	survey := callsheet.Survey{
		Now:             now,
		Failed:          cloneSchedules(head(s.failing.tree, limit)),
		FailedCount:     s.failing.tree.Len(),
		NeverRun:        cloneSchedules(head(s.neverRun.tree, limit)),
		NeverRunCount:   s.neverRun.tree.Len(),
		Unplanned:       cloneSchedules(unplanned),
		UnplannedCount:  unplannedCount,
		Unclaimed:       cloneExecutions(unclaimed),
		UnclaimedCount:  unclaimedCount,
		Stuck:           cloneExecutions(stuck[:min(len(stuck), limit)]),
		StuckCount:      len(stuck),
		DeadLetters:     cloneExecutions(head(s.executions.due[callsheet.StateFailed], limit)),
		DeadLetterCount: s.executions.count(callsheet.StateFailed),
		Pending:         s.executions.count(callsheet.StatePending),
		Running:         s.executions.count(callsheet.StateRunning),
	}
	if oldest, ok := s.executions.ready.Min(); ok && !oldest.ReadySince().After(now) {
		survey.OldestReady = oldest.ScheduledAt
	}
	return survey, nil
}

// unclaimed returns up to limit pending executions that have been ready since before overdue, the
// longest first, and how many there are.
func (s *Store) unclaimed(limit int, overdue time.Time) (rows []*execution, count int) {
	s.executions.ready.Ascend(func(row *execution) bool {
		if !row.ReadySince().Before(overdue) {
			return false
		}
		if count++; len(rows) < limit {
			rows = append(rows, row)
		}
		return true
	})
	return rows, count
}

// stuck returns the running executions that should not be any more, the longest so first. It
// looks at all that run: they are as many as there are workers.
func (s *Store) stuck(now time.Time, overdue time.Duration) []*execution {
	since := make(map[*execution]time.Time)
	s.executions.due[callsheet.StateRunning].Ascend(func(row *execution) bool {
		end := row.LeaseUntil
		if schedule, ok := s.schedules.rows[row.Schedule]; ok {
			if timeout := row.StartedAt.Add(schedule.Timeout + overdue); timeout.Before(end) {
				end = timeout
			}
		}
		if !end.After(now) {
			since[row] = end
		}
		return true
	})
	rows := make([]*execution, 0, len(since))
	for row := range since {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *execution) int {
		return cmp.Or(since[a].Compare(since[b]), cmp.Compare(a.ID, b.ID))
	})
	return rows
}
