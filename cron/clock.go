package cron

import (
	"math"
	"time"
)

// This file is about what the clocks of a location show, and when. Instants are Unix seconds;
// what a clock shows then is the instant plus the offset.
//
// The rules in one sentence each: a schedule that follows the clock fires whenever the clock shows
// one of its times; any other fires when the clock first reaches or passes one. The second
// sentence holds for skipped and for repeated hours, for shifts of any size and for several shifts.

// A period is a span of time in which a location's offset is the same.
type period struct {
	start, end int64 // from start on and before end
	offset     int64
}

func (p *period) shown(instant int64) int64 { return instant + p.offset }
func (p *period) instant(shown int64) int64 { return shown - p.offset }

const (
	always = math.MinInt64 // the start of a period that has none, and what the clock had passed then

	// A time that the clock shows can be shown again for so long. No clock was ever changed by more
	// than a day, and offsets are within 16 hours, so that this is ample.
	memory = 3 * day
)

func (s *Schedule) periodAt(instant int64) period {
	t := time.Unix(instant, 0).In(s.loc)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	p := period{start: always, end: never, offset: int64(offset)}
	if !start.IsZero() {
		p.start = min(start.Unix(), instant)
	}
	if !end.IsZero() {
		p.end = end.Unix()
	}
	if p.end <= instant {
		// By a zone's rule for the far future Go ends a year after 365 days, so that for Berlin
		// 31 December 2040 lies behind the end of its own period. No rule has a change on that day,
		// and an end too many costs a turn of a loop only.
		_, tod := split(instant)
		p.end = instant - int64(tod) + day
	}
	return p
}

// passed returns the first time that the clock has neither shown nor skipped when p begins, if that
// can matter at the instant.
func (s *Schedule) passed(p *period, instant int64) int64 {
	passed := int64(always)
	for start := p.start; start != always && instant-start < memory; {
		before := s.periodAt(start - 1)
		passed = max(passed, before.shown(start))
		start = before.start
	}
	return passed
}

// unserved returns the first time that may still be due at the instant, which lies in p.
func (s *Schedule) unserved(p *period, instant, passed int64) int64 {
	switch {
	case s.followsClock() || passed == always:
		return p.shown(instant)
	case instant == p.start:
		return passed // skipped times are due now
	default:
		return max(passed, p.shown(instant))
	}
}

// madeUp reports whether times that were skipped when p began are to be made up for then.
//
// Vixie cron has no seconds. Of an expression with seconds nothing is made up for when one of its
// regular times comes soon enough, which is within as long as was skipped: "0 30 1-10 * * *" runs
// at 04:30 after 03:30 was skipped, and not at 04:00 as well.
func (s *Schedule) madeUp(p *period, passed int64) bool {
	if !s.withSeconds {
		return true
	}
	shown := p.shown(p.start)
	return s.nextShown(shown)-shown >= shown-passed
}

// firstFrom returns the first instant, at or after the given one, at which the schedule fires.
func (s *Schedule) firstFrom(instant int64) int64 {
	p := s.periodAt(instant)
	passed := s.passed(&p, instant)
	searched, found := int64(never), int64(never)
	for {
		// Only a clock that was put back, or forward past the time found, needs a new search.
		if from := s.unserved(&p, instant, passed); from < searched || found < from {
			searched, found = from, s.nextShown(from)
		}
		if shown := p.shown(instant); found < shown {
			if s.madeUp(&p, passed) {
				return instant
			}
			searched, found = shown, s.nextShown(shown)
		}
		if found == never {
			return never
		}
		if p.instant(found) < p.end {
			return p.instant(found)
		}

		// Offsets on the way to a time that is far away do not matter.
		if near := p.instant(found) - memory; near > p.end && p.end-instant > memory {
			instant = near
			p = s.periodAt(instant)
			passed = s.passed(&p, instant)
			continue
		}
		passed = max(passed, p.shown(p.end))
		instant = p.end
		p = s.periodAt(instant)
		p.start = instant
	}
}

// lastUpTo returns the last instant, at or before the given one, at which the schedule fires.
func (s *Schedule) lastUpTo(instant int64) int64 {
	for {
		p := s.periodAt(instant)
		found := s.lastShown(p.shown(instant))
		if found == never {
			return never
		}
		at := p.instant(found)
		switch {
		case p.start == always:
			return at
		case s.followsClock():
			if at >= p.start {
				return at
			}
		case at >= p.start+memory:
			return at
		default:
			passed := s.passed(&p, p.start)
			if found >= passed && at >= p.start {
				return at
			}
			if found >= passed && s.madeUp(&p, passed) {
				return p.start
			}
		}

		far := at + memory
		if before := p.start - 1; instant-before < memory || far > before {
			far = before
		}
		instant = far
	}
}

// countBetween returns how often the schedule fires from one instant on and before another.
func (s *Schedule) countBetween(from, to int64) (n int64) {
	p := s.periodAt(from)
	passed := s.passed(&p, from)
	for from < to {
		low, shown := s.unserved(&p, from, passed), p.shown(from)
		if low < shown { // the clock skipped something just now
			if s.nextShown(low) < shown && s.madeUp(&p, passed) {
				n++
				shown++ // fires once, also if its own time has come
			}
			low = shown
		}
		end := min(p.end, to)
		n += s.countShown(low, p.shown(end))

		passed = max(passed, p.shown(end))
		from = end
		p = s.periodAt(from)
		p.start = from
	}
	return n
}
