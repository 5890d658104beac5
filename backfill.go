package callsheet

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// maxBackfill is how many occurrences one call of Backfill covers.
const maxBackfill = 10_000

// A BackfillReport says what became of the occurrences that a Backfill covers.
type BackfillReport struct {
	Planned int // executions that are to run
	// Left are occurrences that have an execution already, whatever became of it.
	Left int
	// Due are occurrences that have fallen due and that the planner, or Resume, has yet to come to. They are its.
	Due int
}

// Backfill implements Controller.
func (s *scheduler) Backfill(ctx context.Context, id string, from, to time.Time) (BackfillReport, error) {
	var report BackfillReport
	if err := checkRange(from, to); err != nil {
		return report, fmt.Errorf("backfill schedule %q: %w", id, err)
	}
	request := BackfillRequest{Schedule: id, From: from, To: to}
	request.Decide = func(sch Schedule, there []Execution, now time.Time) ([]Execution, error) {
		b, err := s.newBackfill(sch, from, to, now)
		if err != nil {
			return nil, err
		}
		changes := b.plan(there)
		n := b.times.Count(b.from.Add(-instant), b.until.Add(-instant))
		report.Left, report.Due = n-b.planned, b.due
		return changes, nil
	}
	written, err := s.store.Backfill(ctx, request)
	if err != nil {
		return BackfillReport{}, fmt.Errorf("backfill schedule %q: %w", id, err)
	}
	for _, e := range written {
		if e.State == StatePending {
			report.Planned++
		}
	}
	s.log.InfoContext(ctx, "backfill planned", slog.String(keySchedule, id), slog.Time("from", from), slog.Time("to", to),
		slog.Int("executions", report.Planned), slog.Int("left", report.Left), slog.Int("due", report.Due))
	s.wakeAt(now())
	return report, nil
}

// newBackfill returns the backfill of what lies in the past of a time, or says why there can be none.
func (s *scheduler) newBackfill(sch Schedule, from, to, now time.Time) (*backfill, error) {
	switch {
	case sch.Disabled:
		return nil, &ConflictError{Ref{KindSchedule, sch.ID}, "is disabled; enable it to backfill it"}
	case sch.Type == TypeManual:
		return nil, &ConflictError{Ref{KindSchedule, sch.ID}, "is manual and has no occurrences; Execute it"}
	}
	times, err := sch.timing(s.crons.get)
	if err != nil {
		return nil, err
	}
	past := earlier(to, now.Add(-sch.delay()).Add(instant))
	until := past
	if !sch.spent() { // the planner comes to what is later
		until = earlier(until, sch.PlannedUntil.Add(instant))
	}
	if n := times.Count(from.Add(-instant), until.Add(-instant)); n > maxBackfill {
		return nil, &ValidationError{Field: "to", Value: to.Format(time.RFC3339),
			Rule: fmt.Sprintf("must be earlier: there are %d occurrences since %s, and at most %d are backfilled at a time", n, from.Format(time.RFC3339), maxBackfill)}
	}
	due := times.Count(later(from, until).Add(-instant), past.Add(-instant))
	return &backfill{sch: sch, times: times, from: from, until: until, now: now, due: due}, nil
}

// A backfill finds what is to be written so that every occurrence from from to before until that has not
// been run is run.
type backfill struct {
	sch         Schedule
	times       timing
	from, until time.Time
	now         time.Time
	planned     int
	due         int // occurrences after until
}

// plan returns the executions to write, given those that are there. Rows of skipped occurrences become those of their
// executions; a row that stands for more than is backfilled goes on standing for the rest.
func (b *backfill) plan(there []Execution) []Execution {
	var changes, spare []Execution
	rows := make(map[time.Time]Execution, len(there))
	for _, e := range there {
		if e.Gap != nil {
			rest, free := b.divide(e)
			changes = append(changes, rest...)
			switch {
			case free.ID == "":
				continue
			case !free.ScheduledAt.Equal(e.Gap.First): // it has a row of its own
				spare = append(spare, free)
				continue
			}
			e = free
		}
		rows[e.ScheduledAt.UTC()] = e
	}
	for t := b.times.Next(b.from.Add(-instant)); !t.IsZero() && t.Before(b.until); t = b.times.Next(t) {
		e, ok := rows[t.UTC()]
		switch {
		case !ok && len(spare) > 0:
			e, spare = spare[0].takenUp(b.sch.MaxAttempts(), b.now), spare[1:]
			e.ScheduledAt = t.UTC()
		case !ok:
			e = newExecution(b.sch, t, TriggerBackfill, b.now)
		case e.State == StateSkipped || e.State == StateCancelled && len(e.Attempts) == 0:
			e = e.takenUp(b.sch.MaxAttempts(), b.now)
		default:
			continue
		}
		b.planned++
		changes = append(changes, e)
	}
	return changes
}

// divide takes the occurrences that are backfilled out of a row with a Gap. It returns what stands for
// the rest, and the row itself where that is free to be one of theirs.
// A gap that was recorded of other times than the Schedule has now stays as it is, out of the way of their keys.
func (b *backfill) divide(e Execution) (rest []Execution, free Execution) {
	g := *e.Gap
	if b.times.Count(g.First.Add(-instant), g.Last) != g.Count {
		if e.ScheduledAt.Equal(g.First) {
			e.ScheduledAt = e.ScheduledAt.Add(time.Microsecond)
			rest = append(rest, e)
		}
		return rest, free
	}
	before := b.times.Count(g.First.Add(-instant), b.from.Add(-instant))
	after := b.times.Count(later(b.until, g.First).Add(-instant), g.Last)
	if before+after >= g.Count {
		return nil, free
	}
	if before > 0 {
		shorter := e
		shorter.Gap = &Gap{First: g.First, Last: b.times.Latest(b.from.Add(-instant)).UTC(), Count: before}
		rest = append(rest, shorter)
	} else {
		free = e
		free.Gap = nil
	}
	if after > 0 {
		gap := &Gap{First: b.times.Next(b.until.Add(-instant)).UTC(), Last: g.Last, Count: after}
		rest = append(rest, newExecution(b.sch, gap.First, TriggerSchedule, e.CreatedAt).skipped(e.Reason, gap))
	}
	return rest, free
}

// takenUp returns an occurrence that was not run, and not begun, as one that is to be run after all.
func (e Execution) takenUp(maxAttempts int, now time.Time) Execution {
	e.State, e.Reason, e.Error = StatePending, "", ""
	e.Trigger, e.MaxAttempts = TriggerBackfill, maxAttempts
	e.NotBefore, e.FinishedAt = now, time.Time{}
	return e
}
