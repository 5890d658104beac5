package cron

import (
	"fmt"
	"time"
)

// A Rule says why a schedule fires at a time.
type Rule int

const (
	// RuleNone: the schedule does not fire then.
	RuleNone Rule = iota
	// RulePlain: the clock shows one of the schedule's times.
	RulePlain
	// RuleMoved: the clock was put forward past one or more of a fixed-time job's times, which are
	// made up for at the first instant after, once. It is the rule also if the clock then shows one
	// of the schedule's times anyway.
	RuleMoved
	// RuleFirst: the clock will be put back and show this time again, when a fixed-time job does
	// not fire.
	RuleFirst
	// RuleAgain: the clock was put back and shows this time again, and the schedule follows the clock.
	RuleAgain
)

// String returns the rule in words, such as "moved out of a gap".
func (r Rule) String() string {
	switch r {
	case RulePlain:
		return "plain"
	case RuleMoved:
		return "moved out of a gap"
	case RuleFirst:
		return "first of a repeat"
	case RuleAgain:
		return "second of a repeat"
	default:
		return "none"
	}
}

// MarshalText returns what String does.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Rule) UnmarshalText(text []byte) error {
	for rule := RuleNone; rule <= RuleAgain; rule++ {
		if rule.String() == string(text) {
			*r = rule
			return nil
		}
	}
	return fmt.Errorf("unknown rule %q", text)
}

// Explain says by which rule the schedule fires at t, or [RuleNone] if it does not.
//
// The time returned is the one of the expression: t itself, but for [RuleMoved] the first time
// that was skipped, at the offset from before the change. There never was such a time, so that it
// has a location of its own: 02:30 -0500 for what ran at 03:00 -0400. It is zero with RuleNone.
func (s *Schedule) Explain(t time.Time) (Rule, time.Time) {
	instant := t.Unix()
	p := s.periodAt(instant)
	shown := p.shown(instant)
	if t.Nanosecond() != 0 || shown < firstShown || shown >= endShown {
		return RuleNone, time.Time{}
	}
	if s.followsClock() {
		switch {
		case s.nextShown(shown) != shown:
			return RuleNone, time.Time{}
		case s.shownBefore(&p, instant):
			return RuleAgain, s.timeAt(instant)
		default:
			return RulePlain, s.timeAt(instant)
		}
	}

	passed := s.passed(&p, instant)
	due := s.nextShown(s.unserved(&p, instant, passed))
	if due < shown && s.madeUp(&p, passed) {
		before := time.Unix(instant-1, 0).In(s.loc)
		name, offset := before.Zone()
		return RuleMoved, time.Unix(due-int64(offset), 0).In(time.FixedZone(name, offset))
	}
	switch {
	case due > shown || s.nextShown(shown) != shown:
		return RuleNone, time.Time{}
	case s.shownAfter(&p, instant):
		return RuleFirst, s.timeAt(instant)
	default:
		return RulePlain, s.timeAt(instant)
	}
}

// shownBefore reports whether the clock showed before p what it shows at the instant.
func (s *Schedule) shownBefore(p *period, instant int64) bool {
	shown := p.shown(instant)
	for start := p.start; start != always && instant-start < memory; {
		before := s.periodAt(start - 1)
		if shown < before.shown(start) && (before.start == always || shown >= before.shown(before.start)) {
			return true
		}
		start = before.start
	}
	return false
}

// shownAfter reports whether the clock shows after p what it shows at the instant.
func (s *Schedule) shownAfter(p *period, instant int64) bool {
	shown := p.shown(instant)
	for end := p.end; end != never && end-instant < memory; {
		after := s.periodAt(end)
		if shown >= after.shown(end) && (after.end == never || shown < after.shown(after.end)) {
			return true
		}
		end = after.end
	}
	return false
}
