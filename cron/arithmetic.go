package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// arithmetic finds the times of one schedule. It is the only thing here that knows gocron.
type arithmetic interface {
	// Next returns the first time strictly after the given one, in the schedule's location,
	// or the zero time.
	Next(after time.Time) time.Time
}

func newArithmetic(f *fields, loc *time.Location) (arithmetic, error) {
	cron := gocron.NewDefaultCron(true)
	// gocron asks when an expression fires next to see that it fires at all. Any fixed time will do;
	// with the clock's, the same expression could parse on one day and not on another.
	someTime := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	if err := cron.IsValid(canonical(f), time.UTC, someTime); err != nil {
		return nil, fmt.Errorf("gocron: %w", err)
	}
	return &gocronArithmetic{cron: cron, fields: f, loc: loc}, nil
}

// gocronArithmetic lets gocron count on a clock that never changes, which is what UTC is for, and
// applies the location's offsets itself. gocron knows locations only by name, so that
// time.FixedZone("CET", 3600) would get a summer time; and it loops forever where a clock change
// skips a whole day, as Samoa's did on 30 December 2011.
type gocronArithmetic struct {
	cron   gocron.Cron
	fields *fields
	loc    *time.Location
}

const (
	yearsGocronLooks = 5    // gocron gives up on a time further away than this
	yearsToLook      = 50   // 29 February on a given weekday may take 40
	lastYear         = 9999 // beyond it, times have no RFC 3339 form
)

func (g *gocronArithmetic) Next(after time.Time) time.Time {
	if after.Before(time.Time{}) {
		after = time.Time{} // the far past of time.Time overflows into its future
	}
	after = after.Round(0).In(g.loc)  // without the monotonic clock: a result is a time of the wall clock
	var searchedFrom, found time.Time // what the clock shows first after it has shown searchedFrom
	for {
		// The instant that follows decides which offset counts: after may be the last of a period.
		start := after.Add(1)
		_, offset := start.Zone()
		change := offsetHoldsUntil(start)
		east := time.Duration(offset) * time.Second
		shown := after.UTC().Add(east)

		// Only a clock that was put back, or forward past the time found, needs a new search.
		if found.IsZero() || shown.Before(searchedFrom) || !shown.Before(found) {
			searchedFrom, found = shown, g.nextShown(shown)
			if found.IsZero() {
				return time.Time{}
			}
		}
		next := found.Add(-east).In(g.loc)
		if change.IsZero() || next.Before(change) {
			return next
		}
		after = change.Add(-1)
	}
}

// offsetHoldsUntil returns an instant after t up to which the offset of t's location is that of t,
// or the zero time when it is for ever.
func offsetHoldsUntil(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		// By a zone's rule for the far future Go ends a year after 365 days, so that for Berlin the
		// last hours of 31 December 2040 lie behind the end of their own bounds. No rule has a
		// change there, and a bound too many costs a turn of the loop only.
		return t.Add(time.Hour)
	}
	return end
}

// nextShown returns the first time strictly after the given one on a clock that never changes.
func (g *gocronArithmetic) nextShown(after time.Time) time.Time {
	horizon := min(after.Year()+yearsToLook, lastYear)
	for after.Year() <= horizon {
		next := g.cron.Next(after)
		switch {
		case next.IsZero():
			after = time.Date(after.Year()+yearsGocronLooks, time.January, 1, 0, 0, 0, -1, time.UTC)
		case next.Year() > lastYear:
			return time.Time{}
		case g.fields.matchesDay(next):
			return next
		default:
			after = time.Date(next.Year(), next.Month(), next.Day()+1, 0, 0, 0, -1, time.UTC)
		}
	}
	return time.Time{}
}

// canonical writes the fields as numbers, seconds first, such that gocron can read them in one way only.
func canonical(f *fields) string {
	dayOfMonth := render(f.dayOfMonth.set, allDaysOfMonth)
	dayOfWeek := render(f.dayOfWeek.set, allDaysOfWeek)
	switch {
	case !f.bothDays():
		// To gocron a star anywhere means that both must hold, so that none may be in here.
		dayOfMonth, dayOfWeek = list(f.dayOfMonth.set), list(f.dayOfWeek.set)
	case f.dayOfMonth.set != allDaysOfMonth:
		// "Both must hold" with a step such as */2 has no form in gocron: let it find the days of
		// the month, from which nextShown drops those on other weekdays.
		dayOfWeek = "*"
	}
	return strings.Join([]string{
		render(f.second.set, allSixty),
		render(f.minute.set, allSixty),
		render(f.hour.set, allHours),
		dayOfMonth,
		render(f.month.set, allMonths),
		dayOfWeek,
	}, " ")
}

func render(s, full set) string {
	if s == full {
		return "*"
	}
	return list(s)
}

func list(s set) string {
	var b strings.Builder
	for i, v := range s.values() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(v))
	}
	return b.String()
}
