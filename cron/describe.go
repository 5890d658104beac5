package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mostClockTimes is how many times of a day are told one by one where a shorter way of saying it exists.
const mostClockTimes = 6

// Describe says in English when the schedule fires: "every 15 minutes", "at 09:30 on weekdays".
// Schedules that fire at different times have different descriptions. It leaves out the location
// and what becomes of times that a clock change skips or repeats.
func (s *Schedule) Describe() string {
	times, clock := s.describeTimes()
	days, everyDay := s.describeDays()
	switch {
	case clock && everyDay && s.timesPerDay() == 1:
		return phrase("every day", times, days)
	case clock && everyDay:
		return phrase(times, "every day", days)
	default:
		return phrase(times, days)
	}
}

// describeTimes describes the times of a day; clock says that it named them one by one.
func (f *fields) describeTimes() (text string, clock bool) {
	onTheMinute := f.second.set == setOf(0)
	switch {
	case onTheMinute && f.minute.single():
		return f.describeHourly()
	case f.timesPerDay() <= mostClockTimes,
		f.minute.single() && f.second.single() && f.hour.set != allHours:
		return f.clockTimes(), true
	case onTheMinute:
		return f.describeMinutes(), false
	default:
		return f.describeSeconds(), false
	}
}

// describeHourly is for one minute of the hour, without seconds.
func (f *fields) describeHourly() (text string, clock bool) {
	minute := f.minute.first()
	atMinute := ""
	if minute != 0 {
		atMinute = fmt.Sprintf("at minute %d", minute)
	}
	step, stepped := stepOf(f.hour.set, 24)
	switch {
	case f.hour.set == allHours:
		return phrase("every hour", atMinute), false
	case stepped && (minute == 0 || f.timesPerDay() > mostClockTimes):
		return phrase(fmt.Sprintf("every %d hours", step), atMinute), false
	case f.hour.contiguous() && f.timesPerDay() > mostClockTimes:
		return fmt.Sprintf("every hour from %02d:%02d to %02d:%02d", f.hour.first(), minute, f.hour.last(), minute), false
	default:
		return f.clockTimes(), true
	}
}

// describeMinutes is for several minutes of the hour, without seconds.
func (f *fields) describeMinutes() string {
	if step, ok := stepOf(f.minute.set, 60); ok {
		return phrase(every(step, "minute"), f.describeHours("in", ""))
	}
	return phrase("at", numbered("minute", f.minute.set), f.describeHours("of", ""))
}

func (f *fields) describeSeconds() string {
	step, stepped := stepOf(f.second.set, 60)
	var seconds, within string
	if stepped {
		seconds, within = every(step, "second"), "within"
	} else {
		seconds, within = "at "+numbered("second", f.second.set), "of"
	}
	switch {
	case f.minute.set != allSixty:
		return phrase(seconds, within, numbered("minute", f.minute.set), f.describeHours("of", ":59"))
	case stepped:
		return phrase(seconds, f.describeHours("in", ":59"))
	default:
		return phrase(seconds, "of every minute", f.describeHours("in", ":59"))
	}
}

// describeHours says in which hours something repeats. With "of" it follows a list of minutes and
// always says something; with "in" it follows "every …" and is silent about all hours. lastSecond
// ends a range for things that repeat within the minute.
func (f *fields) describeHours(preposition, lastSecond string) string {
	if !f.hour.contiguous() {
		var starts []string
		for _, hour := range f.hour.values() {
			starts = append(starts, fmt.Sprintf("%02d:00", hour))
		}
		return preposition + " the hours starting at " + series(starts, "and")
	}
	var text string
	if f.hour.set != allHours {
		firstSecond := ""
		if lastSecond != "" {
			firstSecond = ":00"
		}
		text = fmt.Sprintf("from %02d:00%s to %02d:59%s", f.hour.first(), firstSecond, f.hour.last(), lastSecond)
	}
	if preposition == "of" {
		text = phrase("of every hour", text)
	}
	return text
}

func (f *fields) clockTimes() string {
	var times []string
	for _, hour := range f.hour.values() {
		for _, minute := range f.minute.values() {
			for _, second := range f.second.values() {
				if f.second.set == setOf(0) {
					times = append(times, fmt.Sprintf("%02d:%02d", hour, minute))
				} else {
					times = append(times, fmt.Sprintf("%02d:%02d:%02d", hour, minute, second))
				}
			}
		}
	}
	return "at " + series(times, "and")
}

// describeDays describes the days of a year; everyDay says that it named months at most.
func (f *fields) describeDays() (text string, everyDay bool) {
	allOfMonth, allOfWeek := f.dayOfMonth.set == allDaysOfMonth, f.dayOfWeek.set == allDaysOfWeek
	months := f.describeMonths()
	switch {
	case allOfMonth && allOfWeek, !f.bothDays() && (allOfMonth || allOfWeek):
		return prefixed("in ", months), true
	case allOfWeek:
		return "on the " + f.dates("and") + " " + f.ofMonths(), false
	case allOfMonth && f.weekdaysVary() && months != "":
		return phrase("on", f.weekdays("and"), "of", months), false
	case allOfMonth:
		return phrase("on", f.weekdaysOfMonth("and"), prefixed("in ", months)), false
	case f.bothDays() && f.weekdaysVary():
		return fmt.Sprintf("on %s, where that is the %s %s", f.weekdaysOfMonth("or"), f.dates("or"), f.ofMonths()), false
	case f.bothDays():
		return fmt.Sprintf("on %s that fall on the %s %s", f.weekdays("and"), f.dates("or"), f.ofMonths()), false
	case months == "":
		return fmt.Sprintf("on the %s %s or on %s", f.dates("and"), f.ofMonths(), f.weekdaysOfMonth("and")), false
	default:
		// The months come first, for they hold for the weekdays too.
		return fmt.Sprintf("in %s, on the %s of the month or on %s", months, f.dates("and"), f.weekdaysOfMonth("and")), false
	}
}

// describeMonths returns "" for all months.
func (f *fields) describeMonths() string {
	if f.month.set == allMonths {
		return ""
	}
	var names []string
	for _, month := range f.month.values() {
		names = append(names, time.Month(month).String())
	}
	return series(names, "and")
}

func (f *fields) ofMonths() string {
	switch {
	case f.month.set != allMonths && f.oneDateNotInEachMonth():
		return "of " + f.describeMonths() + ", where there is one"
	case f.month.set != allMonths:
		return "of " + f.describeMonths()
	case f.oneDateNotInEachMonth():
		return "of every month that has one"
	default:
		return "of every month"
	}
}

// oneDateNotInEachMonth reports whether there is one date, which some of the months do not have.
func (f *fields) oneDateNotInEachMonth() bool {
	shortest := 31
	for _, month := range f.month.values() {
		// Of February in a year that has no 29th; the others are always the same.
		shortest = min(shortest, time.Date(2001, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day())
	}
	before := f.last | f.nearestLast // the last but 28 is missing where the 29th is
	dates := f.dayOfMonth.set | f.nearest
	return dates.count()+before.count() == 1 && (dates.last() > shortest || before.last() >= shortest)
}

// weekdaysOfMonth says of which month a third Friday is.
func (f *fields) weekdaysOfMonth(conjunction string) string {
	if !f.weekdaysVary() {
		return f.weekdays(conjunction)
	}
	return f.weekdays(conjunction) + " of the month"
}

func (f *fields) weekdays(conjunction string) string {
	var names []string
	switch f.dayOfWeek.set {
	case setOf(1, 2, 3, 4, 5):
		names = append(names, "weekdays")
	case setOf(0, 6):
		names = append(names, "weekends")
	default:
		names = eachWeekday(names, f.dayOfWeek.set, "%ss")
	}
	for n := range weeksInMonth {
		names = eachWeekday(names, f.nth>>(7*n)&allDaysOfWeek, "the "+ordinal(n+1)+" %s")
	}
	return series(eachWeekday(names, f.lastWeekday, "the last %s"), conjunction)
}

func eachWeekday(names []string, weekdays set, format string) []string {
	for i := range 7 {
		if day := (i + 1) % 7; weekdays.has(day) { // the week of a reader starts on Monday
			names = append(names, fmt.Sprintf(format, time.Weekday(day)))
		}
	}
	return names
}

// dates follows "the".
func (f *fields) dates(conjunction string) string {
	dates := runs(f.dayOfMonth.set, ordinal)
	for _, n := range f.nearest.values() {
		dates = append(dates, "weekday nearest the "+ordinal(n))
	}
	for _, n := range f.nearestLast.values() {
		if n == 0 {
			dates = append(dates, "last weekday")
		} else {
			dates = append(dates, "weekday nearest the "+lastButSome(n))
		}
	}
	for _, n := range f.last.values() {
		dates = append(dates, lastButSome(n))
	}
	return series(dates, conjunction)
}

func lastButSome(n int) string {
	if n == 0 {
		return "last day"
	}
	return ordinal(n+1) + "-to-last day"
}

func ordinal(n int) string {
	suffix := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// stepOf returns n if the values are each nth of size and the distance from the last to the first
// of the next round is n as well. */7 in minutes is not every 7 minutes.
func stepOf(s set, size int) (n int, ok bool) {
	n = size / s.count()
	return n, s.count() > 1 && size%n == 0 && s == span(0, size-1, n)
}

func every(n int, unit string) string {
	if n == 1 {
		return "every " + unit
	}
	return fmt.Sprintf("every %d %ss", n, unit)
}

// numbered returns "minute 5" or "minutes 0-10, 30 and 45".
func numbered(unit string, s set) string {
	if !s.single() {
		unit += "s"
	}
	return unit + " " + series(runs(s, strconv.Itoa), "and")
}

// runs writes each value, and three or more in a row as a range.
func runs(s set, write func(int) string) (parts []string) {
	for s != 0 {
		low := s.first()
		high := low
		for s.has(high + 1) {
			high++
		}
		if high-low >= 2 {
			parts = append(parts, write(low)+"-"+write(high))
			s &^= span(low, high, 1)
		} else {
			parts = append(parts, write(low))
			s &^= setOf(low)
		}
	}
	return parts
}

// series returns "a", "a and b" or "a, b and c".
func series(parts []string, conjunction string) string {
	last := len(parts) - 1
	if last == 0 {
		return parts[0]
	}
	return strings.Join(parts[:last], ", ") + " " + conjunction + " " + parts[last]
}

// phrase joins what is not empty.
func phrase(parts ...string) string {
	var said []string
	for _, part := range parts {
		if part != "" {
			said = append(said, part)
		}
	}
	return strings.Join(said, " ")
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
