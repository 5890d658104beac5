package callsheet

import (
	"container/heap"
	"context"
	"fmt"
	"time"
)

// Upcoming implements Viewer.
func (s *scheduler) Upcoming(ctx context.Context, n int, scheduleIDs ...string) ([]Occurrence, error) {
	if n = min(n, maxPageSize); n <= 0 {
		return nil, nil
	}
	for _, id := range scheduleIDs {
		if _, err := s.store.Schedules().Get(ctx, id); err != nil {
			return nil, fmt.Errorf("list upcoming: %w", err)
		}
	}
	// Of the n soonest occurrences none can be of a schedule that is not among the n soonest.
	soonest, err := s.store.Soonest(ctx, n, scheduleIDs...)
	if err != nil {
		return nil, fmt.Errorf("list upcoming: %w", err)
	}
	queue := make(comingQueue, 0, len(soonest))
	for _, sch := range soonest {
		view, err := s.outlook(sch, now())
		if err != nil {
			return nil, fmt.Errorf("list upcoming: %w", err)
		}
		if c := (coming{outlook: view, left: sch.left()}); c.goOn(view.first()) {
			queue = append(queue, c)
		}
	}
	heap.Init(&queue)
	occurrences := make([]Occurrence, 0, n)
	for len(queue) > 0 && len(occurrences) < n {
		soonest := &queue[0]
		o, err := soonest.coming(soonest.next)
		if err != nil {
			return nil, fmt.Errorf("list upcoming: %w", err)
		}
		occurrences = append(occurrences, o)
		if o.Outlook != OutlookBlackout {
			soonest.left--
		}
		if soonest.goOn(soonest.times.Next(soonest.next)) {
			heap.Fix(&queue, 0)
		} else {
			heap.Pop(&queue)
		}
	}
	return occurrences, nil
}

// first is the first occurrence that will be planned to run, or skipped by itself: of several that are due,
// the first that the policies let run.
func (v outlook) first() time.Time {
	now := v.now.Add(-v.sch.delay())
	o := dueBetween(v.times, v.sch.PlannedUntil, now)
	if run := v.sch.wanted(o, v.times, now); len(run) > 0 {
		return run[0]
	}
	return o.next
}

// coming is a schedule's next occurrence that was not listed yet.
type coming struct {
	outlook
	next time.Time
	left int64 // occurrences that may still be listed as run
}

// goOn moves on to next, and reports whether there is such an occurrence.
func (c *coming) goOn(next time.Time) bool {
	c.next = next
	return !next.IsZero() && c.left > 0
}

// comingQueue is a heap by when they are planned, then ID.
type comingQueue []coming

func (q comingQueue) Len() int { return len(q) }
func (q comingQueue) Less(i, j int) bool {
	a, b := q[i].next.Add(q[i].sch.delay()), q[j].next.Add(q[j].sch.delay())
	if a.Equal(b) {
		return q[i].sch.ID < q[j].sch.ID
	}
	return a.Before(b)
}
func (q comingQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *comingQueue) Push(x any)   { *q = append(*q, x.(coming)) }
func (q *comingQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
