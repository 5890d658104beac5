package callsheet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/callsheet-go/callsheet/cron"
)

const (
	// planBatch is how many schedules or rings one Store call takes, and maxBatches how many calls
	// a pass makes: when more falls due than can be planned, the rings must still have their turn.
	planBatch  = 500
	maxBatches = 200
)

// Plan implements Runner.
func (s *scheduler) Plan(ctx context.Context) (PlanReport, error) {
	var report PlanReport
	p := planner{s: s, memo: map[timingKey]occurrences{}}
	request := PlanRequest{Limit: planBatch, Decide: p.decide, RingAgain: s.rung()}
	for range maxBatches {
		result, err := s.store.Plan(ctx, request)
		if err != nil {
			return report, fmt.Errorf("plan: %w", err)
		}
		s.planned(ctx, result.Executions, &report)
		report.Wake = result.Wake
		if result.Schedules < planBatch {
			break
		}
	}
	if !s.serves() {
		return report, nil
	}
	wake := report.Wake
	for range maxBatches {
		result, err := s.store.Ring(ctx, RingRequest{Limit: planBatch, Again: RingAgain})
		if err != nil {
			return report, fmt.Errorf("ring: %w", err)
		}
		s.ring(ctx, result.IDs...)
		report.Rung += len(result.IDs)
		report.Wake = earlier(wake, result.Wake)
		if len(result.IDs) < planBatch {
			break
		}
	}
	return report, nil
}

// planned rings for new executions first, and tells of them after.
func (s *scheduler) planned(ctx context.Context, executions []Execution, report *PlanReport) {
	ids := make([]string, 0, len(executions))
	for _, e := range executions {
		if e.State == StatePending {
			ids = append(ids, e.ID)
		}
	}
	s.ring(ctx, ids...)
	report.Planned += len(ids)
	report.Skipped += len(executions) - len(ids)
	debug := s.log.Enabled(ctx, slog.LevelDebug)
	for _, e := range executions {
		switch {
		case e.State == StateSkipped:
			more := []slog.Attr{slog.Time(keyScheduled, e.ScheduledAt), slog.String(keyReason, e.Reason)}
			if e.Gap != nil {
				more = append(more, slog.Int("occurrences", e.Gap.Count))
			}
			if e.Reason == ReasonUnplannable {
				more = append(more, slog.String(keyError, e.Error))
				s.log.ErrorContext(ctx, "schedule cannot be planned and is paused", attrs(e, more...)...)
			} else {
				s.log.WarnContext(ctx, "occurrence skipped", attrs(e, more...)...)
			}
			s.observe(ctx, e)
		case debug:
			s.log.DebugContext(ctx, "execution planned", attrs(e, slog.Time(keyScheduled, e.ScheduledAt))...)
		}
	}
}

// A planner decides what becomes of due schedules. It remembers what it computed during one pass,
// because many schedules share an expression, a zone and a due time.
type planner struct {
	s    *scheduler
	memo map[timingKey]occurrences
}

// A timingKey is all that a schedule's occurrences depend on.
type timingKey struct {
	kind       ScheduleType
	cron       cronKey
	every      time.Duration
	start, end time.Time
}

// occurrences are those of a schedule from the first that is due up to now.
type occurrences struct {
	first, latest, next time.Time
	planNext            time.Time // when next is to be planned: its time and the jitter
	missed              *Gap      // those before latest; nil if there are none
}

// decide is called within the Store's transaction: it must not call the Store, nor a host's code. It
// runs the latest due occurrence, unless an earlier execution is still open, and accounts
// for the ones before it.
func (p *planner) decide(due Due) Decision {
	sch := due.Schedule
	o, err := p.occurrences(sch, due.Now)
	blackedOut := false
	if err == nil {
		blackedOut, err = p.s.crons.blackedOut(sch, o.latest)
	}
	if err != nil {
		// Nobody knows when it would be due next. It takes a person to put that right, and Resume.
		e := newExecution(sch, sch.NextExecutionAt, TriggerSchedule, due.Now)
		e = e.skipped(ReasonUnplannable, nil)
		e.Error = err.Error()
		return Decision{Executions: []Execution{e}, Pause: ReasonUnplannable + ": " + e.Error}
	}
	d := Decision{Next: o.planNext, Executions: make([]Execution, 0, 2)}
	if o.missed != nil {
		e := newExecution(sch, o.missed.First, TriggerSchedule, due.Now)
		d.Executions = append(d.Executions, e.skipped(ReasonMissed, o.missed))
	}
	e := newExecution(sch, o.latest, TriggerSchedule, due.Now)
	switch {
	case blackedOut:
		e = e.skipped(ReasonBlackout, nil)
	case due.Open > 0:
		e = e.skipped(ReasonOverlap, nil)
	case sch.MaxRuns > 0 && sch.Runs+1 >= sch.MaxRuns:
		d.Next = time.Time{}
	}
	d.Executions = append(d.Executions, e)
	return d
}

func (p *planner) occurrences(sch Schedule, now time.Time) (occurrences, error) {
	// Jitter moves the schedule's whole clock: what is planned later is otherwise the same.
	delay := sch.delay()
	first, now := sch.NextExecutionAt.Add(-delay), now.Add(-delay)
	key := timingKey{sch.Type, cronKey{sch.Cron, sch.Zone}, sch.Every, sch.StartAt, sch.EndAt}
	o, ok := p.memo[key]
	if !ok || !o.first.Equal(first) || !o.next.IsZero() && !o.next.After(now) {
		times, err := p.s.crons.timing(sch)
		if err != nil {
			return o, err
		}
		o = occurrencesUntil(times, first, now)
		p.memo[key] = o
	}
	if !o.next.IsZero() {
		o.planNext = o.next.Add(delay)
	}
	return o, nil
}

// occurrencesUntil finds the latest occurrence not after now, the next one, and counts those from
// first to before the latest. It jumps: years of missed minutes cost no more than one.
func occurrencesUntil(times timing, first, now time.Time) occurrences {
	o := occurrences{first: first, latest: first}
	if latest := times.Latest(now); latest.After(first) {
		o.latest = latest
		// What was first when it was planned need not be an occurrence by the rules of today.
		if n := times.Count(first.Add(-instant), latest) - 1; n > 0 {
			o.missed = &Gap{
				First: times.Next(first.Add(-instant)).UTC(),
				Last:  times.Latest(latest.Add(-instant)).UTC(),
				Count: n,
			}
		}
	}
	o.next = times.Next(o.latest)
	return o
}

// newExecution returns an occurrence of sch, pending.
func newExecution(sch Schedule, scheduledAt time.Time, trigger Trigger, now time.Time) Execution {
	return Execution{
		ID: newID(), Schedule: sch.ID, ScheduledAt: scheduledAt.UTC(), Trigger: trigger,
		State: StatePending, MaxAttempts: sch.MaxAttempts(), CreatedAt: now,
	}
}

// skipped returns e as an occurrence that will not run.
func (e Execution) skipped(reason string, gap *Gap) Execution {
	e.State, e.Reason, e.Gap, e.FinishedAt = StateSkipped, reason, gap, e.CreatedAt
	return e
}

// nextAfter returns when the first occurrence of sch after t is to be planned, paused or not; zero
// if it has none.
func (s *scheduler) nextAfter(sch Schedule, t time.Time) (time.Time, error) {
	if sch.Disabled || sch.MaxRuns > 0 && sch.Runs >= sch.MaxRuns {
		return time.Time{}, nil
	}
	times, err := s.crons.timing(sch)
	if err != nil {
		return time.Time{}, err
	}
	delay := sch.delay()
	next := times.Next(t.Add(-delay))
	if next.IsZero() {
		return next, nil
	}
	return next.Add(delay).UTC(), nil
}

// earlier returns the earlier of two times, where zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// A cronCache keeps parsed expressions: many schedules share few.
type cronCache struct {
	mu     sync.Mutex
	parsed map[cronKey]*cron.Schedule // guarded by mu
}

type cronKey struct{ expr, zone string }

// maxCrons bounds the cache. When it is full it starts anew.
const maxCrons = 4096

func newCronCache() *cronCache { return &cronCache{parsed: map[cronKey]*cron.Schedule{}} }

func (c *cronCache) get(expr, zone string) (*cron.Schedule, error) {
	key := cronKey{expr, zone}
	c.mu.Lock()
	parsed := c.parsed[key]
	c.mu.Unlock()
	if parsed != nil {
		return parsed, nil
	}
	loc, err := loadZone(zone)
	if err != nil {
		return nil, fmt.Errorf("load time zone: %w", err)
	}
	if parsed, err = cron.Parse(expr, loc); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.parsed) >= maxCrons {
		clear(c.parsed)
	}
	c.parsed[key] = parsed
	return parsed, nil
}
