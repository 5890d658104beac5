package callsheet

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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
	p := planner{crons: s.crons.get, memo: map[timingKey]dueTimes{}}
	request := PlanRequest{Limit: planBatch, Decide: p.decide, RingAgain: s.rung()}
	for range maxBatches {
		result, err := s.store.Plan(ctx, request)
		if err != nil {
			return report, fmt.Errorf("plan: %w", err)
		}
		s.planned(ctx, result, &report)
		report.Wake = result.Wake
		if !result.More {
			break
		}
	}
	if !s.serves() {
		return report, nil
	}
	wake := report.Wake
	for range maxBatches {
		result, err := s.store.Ring(ctx, RingRequest{Limit: planBatch, Again: RingAgain, Backfills: max(1, s.workers/2)})
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
func (s *scheduler) planned(ctx context.Context, result PlanResult, report *PlanReport) {
	ids := make([]string, 0, len(result.Executions))
	for _, e := range result.Executions {
		if e.State == StatePending {
			report.Planned++
			if !e.Waits {
				ids = append(ids, e.ID)
			}
		}
	}
	report.Skipped += len(result.Executions) - report.Planned
	s.ring(ctx, ids...)
	for _, e := range result.Cancelled {
		s.cancelled(ctx, e)
	}
	debug := s.log.Enabled(ctx, slog.LevelDebug)
	for _, e := range result.Executions {
		switch {
		case e.State == StateSkipped:
			s.skipped(ctx, e)
		case debug:
			s.log.DebugContext(ctx, "execution planned", attrs(e, slog.Time(keyScheduled, e.ScheduledAt))...)
		}
	}
}

// skipped tells of occurrences that will not run.
func (s *scheduler) skipped(ctx context.Context, e Execution) {
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
}

// cancelled stops the work on an execution that was cancelled, and tells of it.
func (s *scheduler) cancelled(ctx context.Context, e Execution) {
	s.stopWork(e)
	s.log.InfoContext(ctx, "execution cancel requested", attrs(e, slog.String(keyReason, e.Reason))...)
	if e.State.Final() {
		s.gate.leave(e)
		s.observe(ctx, e)
	}
}

// stopWork stops the work on an execution, if it is done here.
func (s *scheduler) stopWork(e Execution) {
	if n := s.node.Load(); n != nil && e.State == StateRunning {
		n.leases.cancel(e.ID)
	}
}

// A planner decides what becomes of due schedules. It remembers what it computed during one pass,
// because many schedules share an expression, a zone and a due time.
type planner struct {
	crons cronSource
	memo  map[timingKey]dueTimes
}

// A timingKey is all that the occurrences after a time depend on.
type timingKey struct {
	kind       ScheduleType
	cron       cronKey
	every      time.Duration
	start, end time.Time
	after      time.Time
}

// dueTimes are the occurrences after one time and not after another, and the one that follows.
type dueTimes struct {
	until         time.Time
	first, latest time.Time // zero if there are none
	count         int
	next          time.Time // zero if there is none
}

// decide is called within the Store's transaction: it must not call the Store, nor a host's code. It
// chooses which of the due occurrences are to run, and accounts for the others.
func (p *planner) decide(due Due) Decision {
	d, err := p.plan(due)
	if err != nil {
		// Nobody knows when it would be due next. It takes a person to put that right, and Resume.
		sch := due.Schedule
		e := newExecution(sch, sch.NextExecutionAt.Add(-sch.delay()), TriggerSchedule, due.Now).skipped(ReasonUnplannable, nil)
		e.Error = err.Error()
		return Decision{Executions: []Execution{e}, State: sch.Paused(ReasonUnplannable+": "+e.Error, due.Now)}
	}
	return d
}

func (p *planner) plan(due Due) (Decision, error) {
	sch := due.Schedule
	times, err := sch.timing(p.crons)
	if err != nil {
		return Decision{}, err
	}
	// Jitter moves the schedule's whole clock: what is planned later is otherwise the same.
	delay := sch.delay()
	now := due.Now.Add(-delay)
	o := p.dueTimes(sch, times, now)
	if !o.next.IsZero() && !o.next.After(sch.PlannedUntil) {
		return Decision{}, fmt.Errorf("the occurrence after %s is %s", sch.PlannedUntil.Format(time.RFC3339), o.next.Format(time.RFC3339))
	}
	d := Decision{State: sch.ScheduleState}
	d.State.NextExecutionAt = time.Time{}
	if !o.next.IsZero() {
		d.State.NextExecutionAt = o.next.Add(delay).UTC()
	}
	if o.count == 0 { // what was due when it was planned is none by the rules of today
		return d, nil
	}
	d.State.PlannedUntil = o.latest.UTC()
	run := sch.wanted(o, times, now)
	d.Executions = make([]Execution, 0, len(run)+1)
	if missed := o.count - len(run); missed > 0 {
		gap := &Gap{First: o.first.UTC(), Last: o.latest.UTC(), Count: missed}
		if len(run) > 0 {
			gap.Last = times.Latest(run[0].Add(-instant)).UTC()
		}
		d.Executions = append(d.Executions, newExecution(sch, gap.First, TriggerSchedule, due.Now).skipped(ReasonMissed, gap))
	}
	runs := sch.Runs
	for _, at := range run {
		if sch.MaxRuns > 0 && runs >= sch.MaxRuns {
			break // there are no more
		}
		e := newExecution(sch, at, TriggerSchedule, due.Now)
		blackedOut, err := sch.blackedOut(at, p.crons)
		switch {
		case err != nil:
			return d, err
		case blackedOut:
			e = e.skipped(ReasonBlackout, nil)
		case sch.Misfire == MisfireAll && (len(run) > 1 || at.Before(now.Add(-sch.MisfireGrace))):
			// behind what is open, by Schedule.Line
		case due.Open.All > 0:
			e = d.overlapping(e, sch.Overlap, due.Open)
		}
		if e.State == StatePending {
			runs++
		}
		d.Executions = append(d.Executions, e)
	}
	return d, nil
}

// overlapping returns what becomes of e, which falls due while others are open.
func (d *Decision) overlapping(e Execution, overlap Overlap, open Open) Execution {
	switch overlap {
	case OverlapAllow:
		return e
	case OverlapQueueOne:
		if open.Waiting == 0 {
			return e // behind the others, by Schedule.Line
		}
	case OverlapCancelPrevious:
		d.Cancel = func(earlier Execution) string {
			if earlier.CatchesUp() || earlier.ScheduledAt.Equal(e.ScheduledAt) {
				return ""
			}
			return ReasonOvertaken
		}
		return e
	}
	return e.skipped(ReasonOverlap, nil)
}

// wanted returns which of the due occurrences are to be run, earliest first: the latest of them, without a hole.
// now is by the schedule's clock.
func (s Schedule) wanted(o dueTimes, times timing, now time.Time) []time.Time {
	most, oldest := 1, now.Add(-s.MisfireWindow)
	switch s.Misfire {
	case MisfireAll:
		most = s.MisfireLimit
	case MisfireSkip:
		oldest = now.Add(-s.MisfireGrace)
	}
	var run []time.Time
	for at := o.latest; len(run) < min(most, o.count) && !at.Before(oldest); at = times.Latest(at.Add(-instant)) {
		run = append(run, at)
	}
	slices.Reverse(run)
	return run
}

// dueTimes returns which occurrences have come since sch was last planned. It jumps: years of missed minutes cost no
// more than one.
func (p *planner) dueTimes(sch Schedule, times timing, now time.Time) dueTimes {
	key := timingKey{sch.Type, cronKey{sch.Cron, sch.Zone}, sch.Every, sch.StartAt, sch.EndAt, sch.PlannedUntil}
	o, ok := p.memo[key]
	if !ok || o.until.After(now) || !o.next.IsZero() && !o.next.After(now) {
		o = dueBetween(times, sch.PlannedUntil, now)
		p.memo[key] = o
	}
	return o
}

func dueBetween(times timing, after, until time.Time) dueTimes {
	o := dueTimes{until: until}
	first := times.Next(after)
	if first.IsZero() || first.After(until) {
		o.next = first
		return o
	}
	o.first, o.latest, o.count = first, first, 1
	o.next = times.Next(first)
	if !o.next.IsZero() && !o.next.After(until) {
		o.latest = times.Latest(until)
		o.count = times.Count(after, until)
		o.next = times.Next(o.latest)
	}
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

// earlier returns the earlier of two times, where zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// later returns the later of two times; zero is before all.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
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
	parsed, err := parseCron(expr, zone)
	if err != nil {
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
