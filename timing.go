package callsheet

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/callsheet-go/callsheet/cron"
)

// timing says when a Schedule falls due. Its methods are pure functions of time and cost about the
// same however far apart the times are. A [cron.Schedule] is one.
type timing interface {
	// Next returns the first occurrence strictly after a time; zero if there is none.
	Next(after time.Time) time.Time
	// Latest returns the last occurrence that is not after a time; zero if there is none.
	Latest(until time.Time) time.Time
	// Count returns how many occurrences are after the first time and not after the second.
	Count(after, until time.Time) int
}

// never is the timing of a manual Schedule.
type never struct{}

func (never) Next(time.Time) time.Time       { return time.Time{} }
func (never) Latest(time.Time) time.Time     { return time.Time{} }
func (never) Count(time.Time, time.Time) int { return 0 }

// once is a single occurrence.
type once struct{ at time.Time }

func (o once) Next(after time.Time) time.Time {
	if o.at.After(after) {
		return o.at
	}
	return time.Time{}
}

func (o once) Latest(until time.Time) time.Time {
	if o.at.After(until) {
		return time.Time{}
	}
	return o.at
}

func (o once) Count(after, until time.Time) int {
	if o.at.After(after) && !o.at.After(until) {
		return 1
	}
	return 0
}

// interval occurs at anchor + n·every for every whole n, so that nothing but an edit shifts it. Both are whole
// seconds, and it counts in them: a time.Duration holds 292 years only.
type interval struct {
	anchor time.Time
	every  time.Duration
}

// steps is how many whole intervals t is after the anchor; negative before it.
func (i interval) steps(t time.Time) int64 {
	seconds, every := t.Unix()-i.anchor.Unix(), int64(i.every/time.Second)
	n := seconds / every
	if n*every > seconds {
		n-- // division rounds towards the anchor
	}
	return n
}

func (i interval) at(n int64) time.Time {
	return time.Unix(i.anchor.Unix()+n*int64(i.every/time.Second), 0).UTC()
}

func (i interval) Next(after time.Time) time.Time   { return i.at(i.steps(after) + 1) }
func (i interval) Latest(until time.Time) time.Time { return i.at(i.steps(until)) }
func (i interval) Count(after, until time.Time) int {
	return int(max(0, i.steps(until)-i.steps(after)))
}

// bounded keeps those occurrences of a timing that are not before start and before end. A zero
// time is no bound.
type bounded struct {
	timing
	start, end time.Time
}

const instant = time.Nanosecond

func (b bounded) Next(after time.Time) time.Time {
	if after.Before(b.start) {
		after = b.start.Add(-instant)
	}
	next := b.timing.Next(after)
	if !b.end.IsZero() && !next.Before(b.end) {
		return time.Time{}
	}
	return next
}

func (b bounded) Latest(until time.Time) time.Time {
	if !b.end.IsZero() && !until.Before(b.end) {
		until = b.end.Add(-instant)
	}
	latest := b.timing.Latest(until)
	if latest.Before(b.start) {
		return time.Time{}
	}
	return latest
}

func (b bounded) Count(after, until time.Time) int {
	if after.Before(b.start) {
		after = b.start.Add(-instant)
	}
	if !b.end.IsZero() && !until.Before(b.end) {
		until = b.end.Add(-instant)
	}
	if !until.After(after) {
		return 0
	}
	return b.timing.Count(after, until)
}

// A cronSource reads an expression in a zone: [parseCron], or a cache before it.
type cronSource func(expr, zone string) (*cron.Schedule, error)

// parseCron is the cronSource for who needs an expression once.
func parseCron(expr, zone string) (*cron.Schedule, error) {
	loc, err := loadZone(zone)
	if err != nil {
		return nil, fmt.Errorf("load time zone: %w", err)
	}
	return cron.Parse(expr, loc)
}

// timing returns when sch falls due, its jitter aside.
func (s Schedule) timing(crons cronSource) (timing, error) {
	var t timing = never{}
	switch s.Type {
	case TypeCron:
		parsed, err := crons(s.Cron, s.Zone)
		if err != nil {
			return nil, err
		}
		t = parsed
	case TypeInterval:
		anchor := s.StartAt
		if anchor.IsZero() {
			anchor = time.Unix(0, 0).UTC()
		}
		t = interval{anchor, s.Every}
	case TypeOnce:
		return once{s.StartAt}, nil
	}
	if s.StartAt.IsZero() && s.EndAt.IsZero() {
		return t, nil
	}
	return bounded{t, s.StartAt, s.EndAt}, nil
}

// delay is by how much the Schedule's jitter moves each of its occurrences: always the same for the
// same ID, and spread evenly over IDs.
func (s Schedule) delay() time.Duration {
	if s.Jitter < time.Millisecond {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.ID))
	return time.Duration(h.Sum64()%uint64(s.Jitter/time.Millisecond)) * time.Millisecond
}

// describe says when a Schedule runs.
func (s *scheduler) describe(sch Schedule) (string, error) {
	var text string
	switch sch.Type {
	case TypeCron:
		parsed, err := s.crons.get(sch.Cron, sch.Zone)
		if err != nil {
			return "", err
		}
		text = parsed.Describe()
	case TypeInterval:
		text = "every " + sch.Every.String()
	case TypeOnce:
		return "once, at " + sch.StartAt.Format(time.RFC3339), nil
	default:
		return "when it is executed by hand", nil
	}
	if !sch.StartAt.IsZero() {
		text += ", from " + sch.StartAt.Format(time.RFC3339)
	}
	if !sch.EndAt.IsZero() {
		text += ", before " + sch.EndAt.Format(time.RFC3339)
	}
	if sch.MaxRuns > 0 {
		text += ", " + count(int(sch.MaxRuns), "time") + " at most"
	}
	return text, nil
}

// blackedOut reports whether an occurrence at t falls into one of the Schedule's blackouts.
func (s Schedule) blackedOut(t time.Time, crons cronSource) (bool, error) {
	for _, b := range s.Blackouts {
		begins, err := crons(b.Cron, s.Zone)
		if err != nil {
			return false, err
		}
		if begun := begins.Latest(t); !begun.IsZero() && t.Before(begun.Add(b.For)) {
			return true, nil
		}
	}
	return false, nil
}

var _ timing = (*cron.Schedule)(nil)
