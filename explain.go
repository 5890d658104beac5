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
	to = view.cut(from, to)
	rows, err := s.rows(ctx, id, from, to)
	if err != nil {
		return nil, fmt.Errorf("explain schedule %q: %w", id, err)
	}
	var all []Occurrence
	for _, e := range rows {
		all = append(all, view.recorded(e))
	}
	// What comes after PlannedUntil has no rows yet, but for what was edited since.
	left := sch.left()
	t := later(sch.PlannedUntil, from.Add(-instant))
	for t = view.times.Next(t); left > 0 && !t.IsZero() && t.Before(to) && len(all) < maxExplained; t = view.times.Next(t) {
		o, err := view.coming(t)
		if err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
		if all = append(all, o); o.Outlook != OutlookBlackout {
			left--
		}
	}
	slices.SortStableFunc(all, func(a, b Occurrence) int { return a.At.Compare(b.At) })
	return all[:min(len(all), maxExplained)], nil
}

func checkRange(from, to time.Time) error {
	if !from.Before(to) {
		return &ValidationError{Field: "to", Value: to.Format(time.RFC3339), Rule: "must be after from (" + from.Format(time.RFC3339) + ")"}
	}
	return nil
}

// cut returns the end of a time from from on that has no more occurrences than are listed.
func (v outlook) cut(from, to time.Time) time.Time {
	if v.times.Count(from.Add(-instant), to) <= maxExplained {
		return to
	}
	t := from.Add(-instant)
	for range maxExplained {
		t = v.times.Next(t)
	}
	return earlier(to, t.Add(instant))
}

// rows returns the executions of occurrences from the one time to before the other, earliest first, and before
// them the gap that reaches into it.
func (s *scheduler) rows(ctx context.Context, id string, from, to time.Time) ([]Execution, error) {
	var rows []Execution
	q := ExecutionQuery{Schedule: id, From: from, To: to, Limit: maxPageSize}
	for {
		page, err := s.store.Executions(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Items {
			if e.Trigger == TriggerSchedule || e.Trigger == TriggerBackfill {
				rows = append(rows, e)
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	before, err := s.store.Executions(ctx, ExecutionQuery{Schedule: id, States: []State{StateSkipped}, To: from, Limit: 1})
	if err != nil {
		return nil, err
	}
	for _, e := range before.Items {
		if e.Gap != nil && !e.Gap.Last.Before(from) {
			rows = append(rows, e)
		}
	}
	slices.Reverse(rows)
	return rows, nil
}
