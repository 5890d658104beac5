package cron

import "strings"

// A column is what may stand in one field of an expression.
type column struct {
	name     string
	min, max int
	full     set
	words    map[string]int // names of values, in capitals
	accepts  string         // the values, in words
	dates    bool           // day of month: L and W have a meaning
	weekdays bool           // day of week: L and # have a meaning, and 7 is Sunday, as 0 is
}

var columns = [6]column{
	{name: "second", min: 0, max: 59, full: allSixty, accepts: "0-59"},
	{name: "minute", min: 0, max: 59, full: allSixty, accepts: "0-59"},
	{name: "hour", min: 0, max: 23, full: allHours, accepts: "0-23"},
	{name: "day of month", min: 1, max: 31, full: allDaysOfMonth, accepts: "1-31", dates: true},
	{name: "month", min: 1, max: 12, full: allMonths, accepts: "1-12 or JAN-DEC", words: monthNames},
	{name: "day of week", min: 0, max: 7, full: allDaysOfWeek, accepts: "0-7 or SUN-SAT", words: dayNames, weekdays: true},
}

var (
	monthNames = map[string]int{
		"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6,
		"JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
	}
	dayNames = map[string]int{"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
)

// parse reads a list of items and returns a fault for each item that is wrong. Items whose days
// depend on the month go to varying.
func (c *column) parse(text string, varying *monthly) (f field, faults []error) {
	f.star = text[0] == '*' || text[0] == '?'
	if text == "?" && (c.dates || c.weekdays) {
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
		if c.parseVarying(strings.ToUpper(item), varying) {
			continue
		}
		values, err := c.parseItem(item)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		f.set |= values
	}
	if c.weekdays && f.has(7) {
		f.set = f.set&^setOf(7) | setOf(0)
	}
	return f, faults
}

// parseItem reads one of the six forms * and */step, value and value/step, low-high and low-high/step.
func (c *column) parseItem(item string) (set, error) {
	if rule := c.unsupported(strings.ToUpper(item)); rule != "" {
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
		if c.weekdays && high == 0 {
			return 0, refuse(c.name, item, "start must not be after end; a range ends on Sunday with 7, as in 5-7")
		}
		return 0, refuse(c.name, item, "start must not be after end")
	}
	return span(low, high, step), nil
}

// parseVarying reads L, L-3, 15W, LW and L-3W for dates, 5L, L5 and 5#3 for weekdays.
func (c *column) parseVarying(item string, into *monthly) bool {
	switch {
	case c.dates:
		return c.parseVaryingDate(item, into)
	case c.weekdays:
		return c.parseVaryingWeekday(item, into)
	}
	return false
}

func (c *column) parseVaryingDate(item string, into *monthly) bool {
	text, nearest := strings.CutSuffix(item, "W")
	if before, ok := strings.CutPrefix(text, "L"); ok {
		n := 0
		if before != "" {
			digits, minus := strings.CutPrefix(before, "-")
			if n, ok = number(digits); !minus || !ok || n > 30 {
				return false
			}
		}
		if nearest {
			into.nearestLast |= setOf(n)
		} else {
			into.last |= setOf(n)
		}
		return true
	}
	date, ok := c.value(text)
	if !nearest || !ok {
		return false
	}
	into.nearest |= setOf(date)
	return true
}

func (c *column) parseVaryingWeekday(item string, into *monthly) bool {
	if text, count, ok := strings.Cut(item, "#"); ok {
		weekday, ok := c.value(text)
		n, isNumber := number(count)
		if !ok || !isNumber || n < 1 || n > weeksInMonth {
			return false
		}
		into.nth |= setOf(7*(n-1) + weekday%7)
		return true
	}
	text, last := strings.CutSuffix(item, "L")
	if !last {
		text, last = strings.CutPrefix(item, "L")
	}
	weekday, ok := c.value(text)
	if !last || !ok {
		return false
	}
	into.lastWeekday |= setOf(weekday % 7)
	return true
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

// unsupported returns why an item, in capitals, is refused that other crons or other fields know, or "".
func (c *column) unsupported(item string) string {
	const (
		lastDate    = "must be L, L-0 to L-30 or, for the nearest weekday, 15W, LW or L-3W, without a range or a step"
		lastWeekday = "L must have one day with it, as in 5L or FRIL for the last Friday of a month, without a range or a step"
		nthWeekday  = "# must have one day before and 1-5 after it, as in 5#3 for the third Friday of a month, without a range or a step"
	)
	switch {
	case strings.Contains(item, "?") && (c.dates || c.weekdays):
		return "? must stand alone"
	case strings.Contains(item, "?"):
		return "? is for day of month and day of week only; write *"
	case strings.Contains(item, "#") && c.weekdays:
		return nthWeekday
	case strings.Contains(item, "#"):
		return "# (the nth weekday of a month) is for day of week only"
	}
	notLetter := func(r rune) bool { return r < 'A' || r > 'Z' }
	for _, word := range strings.FieldsFunc(item, notLetter) {
		if word == "H" || word == "R" {
			return "H and R (a value chosen by hash or at random) are not supported"
		}
		day, isLast := strings.CutSuffix(word, "L")
		if _, named := c.words[day]; word != "L" && word != "W" && word != "LW" && !(isLast && named) {
			continue // among others JUL, for JU is no name
		}
		switch {
		case c.dates:
			return lastDate
		case c.weekdays && word != "W" && word != "LW":
			return lastWeekday
		case word == "L":
			return "L (last) is for day of month and day of week only"
		default:
			return "W (the nearest weekday) is for day of month only"
		}
	}
	return ""
}
