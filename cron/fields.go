package cron

import (
	"math/bits"
	"strings"
	"time"
)

// fields is all that an expression says: whatever computes or describes times works from here,
// so that there is one reading of the text only.
type fields struct {
	second, minute, hour, dayOfMonth, month, dayOfWeek field
}

// A field is the values of one column and whether its text starts with * or ?, which is what
// Vixie cron asks, and not whether all values are in: 1-31 restricts the day of month and */2 does not.
type field struct {
	set
	star bool
}

// matchesDay reports whether the schedule fires on the day that the clock shows at t.
func (f *fields) matchesDay(t time.Time) bool {
	if !f.month.has(int(t.Month())) {
		return false
	}
	dayOfMonth, dayOfWeek := f.dayOfMonth.has(t.Day()), f.dayOfWeek.has(int(t.Weekday()))
	if f.bothDays() {
		return dayOfMonth && dayOfWeek
	}
	return dayOfMonth || dayOfWeek
}

// bothDays reports whether a day must be in the day of month and in the day of week. In Vixie cron
// that is so as soon as one of them has a star; else one of them is enough.
func (f *fields) bothDays() bool { return f.dayOfMonth.star || f.dayOfWeek.star }

// everFires is exact: a day of month with a star holds the 1st and one of the week holds Sunday,
// and every date that exists falls on a Sunday, as every weekday falls on a 1st, within 40 years.
func (f *fields) everFires() bool {
	if !f.bothDays() || f.dayOfMonth.star {
		return true
	}
	for _, month := range f.month.values() {
		// 2000 stands for all years because it has a 29 February.
		last := time.Date(2000, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
		if f.dayOfMonth.first() <= last {
			return true
		}
	}
	return false
}

// A set holds small numbers, one bit each.
type set uint64

func setOf(values ...int) (s set) {
	for _, v := range values {
		s |= 1 << v
	}
	return s
}

// span returns the numbers from low to high that are a multiple of step away from low.
func span(low, high, step int) (s set) {
	for v := low; v <= high; v += step {
		s |= 1 << v
	}
	return s
}

func (s set) has(v int) bool { return s&(1<<v) != 0 }
func (s set) count() int     { return bits.OnesCount64(uint64(s)) }
func (s set) first() int     { return bits.TrailingZeros64(uint64(s)) }
func (s set) last() int      { return bits.Len64(uint64(s)) - 1 }
func (s set) single() bool   { return s.count() == 1 }

// contiguous reports whether no number is missing between the first and the last.
func (s set) contiguous() bool { return s == span(s.first(), s.last(), 1) }

func (s set) values() []int {
	values := make([]int, 0, s.count())
	for ; s != 0; s &= s - 1 {
		values = append(values, s.first())
	}
	return values
}

// A column is what may stand in one field of an expression.
type column struct {
	name     string
	min, max int
	full     set
	words    map[string]int // names of values, in capitals
	accepts  string         // the values, in words
	days     bool           // day of month or of week: ? may stand for *
	sunday7  bool           // 7 is Sunday, as 0 is
}

var columns = [6]column{
	{name: "second", min: 0, max: 59, full: allSixty, accepts: "0-59"},
	{name: "minute", min: 0, max: 59, full: allSixty, accepts: "0-59"},
	{name: "hour", min: 0, max: 23, full: allHours, accepts: "0-23"},
	{name: "day of month", min: 1, max: 31, full: allDaysOfMonth, accepts: "1-31", days: true},
	{name: "month", min: 1, max: 12, full: allMonths, accepts: "1-12 or JAN-DEC", words: monthNames},
	{name: "day of week", min: 0, max: 7, full: allDaysOfWeek, accepts: "0-7 or SUN-SAT", words: dayNames, days: true, sunday7: true},
}

const (
	allSixty       set = 1<<60 - 1
	allHours       set = 1<<24 - 1
	allDaysOfMonth set = 1<<32 - 1<<1
	allMonths      set = 1<<13 - 1<<1
	allDaysOfWeek  set = 1<<7 - 1
)

var (
	monthNames = map[string]int{
		"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6,
		"JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
	}
	dayNames = map[string]int{"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
)

// parse reads a list of items and returns a fault for each item that is wrong.
func (c *column) parse(text string) (f field, faults []error) {
	f.star = text[0] == '*' || text[0] == '?'
	if text == "?" && c.days {
		f.set = c.full
		return f, nil
	}
	emptySeen := false
	for item := range strings.SplitSeq(text, ",") {
		if item == "" {
			if !emptySeen { // one complaint for ",,,," is enough
				faults = append(faults, refuse(c.name, text, "must not have an empty list entry"))
			}
			emptySeen = true
			continue
		}
		values, err := c.parseItem(item)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		f.set |= values
	}
	if c.sunday7 && f.has(7) {
		f.set = f.set&^setOf(7) | setOf(0)
	}
	return f, faults
}

// parseItem reads one of the six forms * and */step, value and value/step, low-high and low-high/step.
func (c *column) parseItem(item string) (set, error) {
	if rule := c.unsupported(item); rule != "" {
		return 0, refuse(c.name, item, "%s", rule)
	}
	rangeText, stepText, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		var ok bool
		if step, ok = number(stepText); !ok || step < 1 || step > c.max {
			return 0, refuse(c.name, item, "step must be within 1-%d", c.max)
		}
	}
	if rangeText == "*" {
		return span(c.full.first(), c.full.last(), step), nil
	}

	lowText, highText, ranged := strings.Cut(rangeText, "-")
	low, ok := c.value(lowText)
	if !ok {
		return 0, refuse(c.name, item, "must be within %s", c.accepts)
	}
	high := low
	switch {
	case ranged:
		if high, ok = c.value(highText); !ok {
			return 0, refuse(c.name, item, "must be within %s", c.accepts)
		}
	case stepped:
		high = max(low, c.full.last()) // 5/15 is 5-59/15
	}
	if low > high {
		if c.sunday7 && high == 0 {
			return 0, refuse(c.name, item, "start must not be after end; a range ends on Sunday with 7, as in 5-7")
		}
		return 0, refuse(c.name, item, "start must not be after end")
	}
	return span(low, high, step), nil
}

func (c *column) value(text string) (int, bool) {
	if v, ok := c.words[strings.ToUpper(text)]; ok {
		return v, true
	}
	v, ok := number(text)
	return v, ok && v >= c.min && v <= c.max
}

// number reads digits only: no sign, which a conversion of the standard library would let pass.
func number(text string) (n int, ok bool) {
	for _, r := range text {
		if r < '0' || r > '9' {
			return 0, false
		}
		n = min(n*10+int(r-'0'), 1000) // beyond every field: stay there, never overflow
	}
	return n, text != ""
}

// unsupported returns why an item that other crons know is refused here, or "".
func (c *column) unsupported(item string) string {
	switch {
	case strings.Contains(item, "?") && c.days:
		return "? must stand alone"
	case strings.Contains(item, "?"):
		return "? is for day of month and day of week only; write *"
	case strings.Contains(item, "#"):
		return "# (the nth weekday of a month) is not supported"
	}
	notLetter := func(r rune) bool { return r < 'A' || r > 'Z' }
	for _, word := range strings.FieldsFunc(strings.ToUpper(item), notLetter) {
		switch word {
		case "L", "W", "LW":
			return "L (last) and W (nearest weekday) are not supported"
		case "H", "R":
			return "H and R (a value chosen by hash or at random) are not supported"
		}
		if day, ok := strings.CutSuffix(word, "L"); ok {
			if _, named := c.words[day]; named { // FRIL; JUL is not, for JU is not a name
				return "L (last) and W (nearest weekday) are not supported"
			}
		}
	}
	return ""
}
