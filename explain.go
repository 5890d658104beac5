package callsheet

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// maxExplained is how many occurrences Explain lists.
const maxExplained = 1000

// Explain implements Viewer.
func (s *scheduler) Explain(ctx context.Context, id string, from, to time.Time) ([]Occurrence, error) {
	sch, err := s.store.Schedules().Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("explain schedule %q: %w", id, err)
	}
	if err := checkRange(from, to); err != nil {
		return nil, fmt.Errorf("explain schedule %q: %w", id, err)
	}
	view, err := s.outlook(sch, now())
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	all, done, err := s.recorded(ctx, view, from, to)
	if err != nil {
		return nil, fmt.Errorf("explain schedule %q: %w", id, err)
	}
	if done {
		coming, err := view.unrecorded(from, to, maxExplained-len(all))
		if err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
		has := map[time.Time]bool{}
		for _, o := range all {
			has[o.At.UTC()] = true
		}
		for _, o := range coming {
			if !has[o.At.UTC()] { // a clock that was set may have planned it already
				all = append(all, o)
			}
		}
		slices.SortStableFunc(all, func(a, b Occurrence) int { return a.At.Compare(b.At) })
	}
	return all, nil
}

// recorded returns the occurrences that have rows, earliest first, and whether those are all.
func (s *scheduler) recorded(ctx context.Context, view outlook, from, to time.Time) (all []Occurrence, done bool, err error) {
	gaps, err := s.store.Gaps(ctx, view.sch.ID, from)
	if err != nil {
		return nil, false, err
	}
	for _, e := range gaps {
		all = append(all, view.recorded(e))
	}
	q := ExecutionQuery{Schedule: view.sch.ID, From: from, To: to, EarliestFirst: true, Limit: maxPageSize}
	for {
		page, err := s.store.Executions(ctx, q)
		if err != nil {
			return nil, false, err
		}
		for _, e := range page.Items {
			if e.Trigger != TriggerSchedule && e.Trigger != TriggerBackfill {
				continue
			}
			if all = append(all, view.recorded(e)); len(all) == maxExplained {
				return all, false, nil
			}
		}
		if q.After = page.Next; q.After == "" {
			return all, true, nil
		}
	}
}

// unrecorded returns up to limit occurrences from the one time to before the other that have no rows yet.
func (v outlook) unrecorded(from, to time.Time, limit int) ([]Occurrence, error) {
	var all []Occurrence
	now := v.now.Add(-v.sch.delay())
	due := dueBetween(v.times, v.sch.PlannedUntil, now)
	left := v.sch.left()
	wanted := v.sch.wanted(due, v.times, now)
	firstWanted := due.next
	if len(wanted) > 0 {
		firstWanted = wanted[0]
	}
	if v.sch.MaxRuns > 0 && from.After(v.sch.PlannedUntil) {
		// Blackouts aside: what comes before from has its share of the runs.
		left -= int64(v.times.Count(later(v.sch.PlannedUntil, firstWanted.Add(-instant)), from.Add(-instant)))
	}
	t := later(v.sch.PlannedUntil, from.Add(-instant))
	for t = v.times.Next(t); left > 0 && !t.IsZero() && t.Before(to) && len(all) < limit; t = v.times.Next(t) {
		o, err := v.coming(t)
		if err != nil {
			return nil, err
		}
		if o.Outlook == OutlookDue && (firstWanted.IsZero() || t.Before(firstWanted)) {
			o.Outlook = OutlookMissed
		}
		if all = append(all, o); o.Outlook != OutlookBlackout && o.Outlook != OutlookMissed {
			left--
		}
	}
	return all, nil
}

func checkRange(from, to time.Time) error {
	if !from.Before(to) {
		return &ValidationError{Field: "to", Value: to.Format(time.RFC3339), Rule: "must be after from (" + from.Format(time.RFC3339) + ")"}
	}
	return nil
}
