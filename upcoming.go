package callsheet

import (
	"container/heap"
	"context"
	"fmt"
	"time"
)

// An Occurrence is a time at which a Schedule will run.
type Occurrence struct {
	Schedule string    `json:"schedule"`
	At       time.Time `json:"at"` // in the Schedule's time zone
}

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
		times, err := s.crons.timing(sch)
		if err != nil {
			return nil, fmt.Errorf("list upcoming of schedule %q: %w", sch.ID, err)
		}
		zone, err := loadZone(sch.Zone)
		if err != nil {
			return nil, fmt.Errorf("list upcoming of schedule %q: %w", sch.ID, err)
		}
		left := int64(n)
		if sch.MaxRuns > 0 {
			left = sch.MaxRuns - sch.Runs
		}
		// Of several that are due, the planner will run the latest.
		delay := sch.delay()
		first := occurrencesUntil(times, sch.NextExecutionAt.Add(-delay), now().Add(-delay)).latest
		queue = append(queue, coming{
			Occurrence: Occurrence{sch.ID, first.In(zone)},
			next:       func(t time.Time) time.Time { return times.Next(t).In(zone) },
			left:       left,
		})
	}
	heap.Init(&queue)
	occurrences := make([]Occurrence, 0, n)
	for len(queue) > 0 && len(occurrences) < n {
		soonest := &queue[0]
		occurrences = append(occurrences, soonest.Occurrence)
		soonest.At = soonest.next(soonest.At)
		if soonest.left--; soonest.At.IsZero() || soonest.left <= 0 {
			heap.Pop(&queue)
		} else {
			heap.Fix(&queue, 0)
		}
	}
	return occurrences, nil
}

// coming is a schedule's next occurrence that was not listed yet.
type coming struct {
	Occurrence
	next func(time.Time) time.Time
	left int64 // occurrences that may still be listed
}

// comingQueue is a heap by time, then ID.
type comingQueue []coming

func (q comingQueue) Len() int { return len(q) }
func (q comingQueue) Less(i, j int) bool {
	if q[i].At.Equal(q[j].At) {
		return q[i].Schedule < q[j].Schedule
	}
	return q[i].At.Before(q[j].At)
}
func (q comingQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *comingQueue) Push(x any)   { *q = append(*q, x.(coming)) }
func (q *comingQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
