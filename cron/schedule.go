package cron

import (
	"errors"
	"strings"
	"time"
	_ "time/tzdata" // for machines without a zone database, where no location but UTC would load
)

// A Schedule is a parsed cron expression in a time zone. It never changes once [Parse] has made it
// and may be used from any number of goroutines; the zero Schedule is of no use.
type Schedule struct {
	expr string
	loc  *time.Location
	fields
}

const longestExpression = 1 << 10 // bytes

// Parse reads an expression of five fields, of six with seconds first, or a macro such as @daily,
// to be read by the clocks of loc; nil means UTC. The package comment gives the grammar.
//
// The error joins a [*FieldError] for every fault found, not only the first. An expression that
// would never fire is a fault.
func Parse(expr string, loc *time.Location) (*Schedule, error) {
	if loc == nil {
		loc = time.UTC
	}
	expr = strings.Trim(expr, " \t\r\n") // and no other white space, which is not part of the grammar
	f, err := parseFields(expr)
	if err != nil {
		return nil, err
	}
	return &Schedule{expr: expr, loc: loc, fields: f}, nil
}

// Next returns the first time strictly after the given one at which the schedule fires, in the
// schedule's location and on a whole second. It is the zero time when the schedule never fires
// again before the year 10000. Times before the year 1 are taken for its beginning.
func (s *Schedule) Next(after time.Time) time.Time {
	return s.timeAt(s.firstFrom(secondAfter(after)))
}

// Latest returns the last time at which the schedule fires that is not after the given one: it is
// what Next returned last, for one who has called Next again and again until then. It is the zero
// time when the schedule had never fired since the year 1.
func (s *Schedule) Latest(until time.Time) time.Time {
	return s.timeAt(s.lastUpTo(secondAfter(until) - 1))
}

// Count returns how many times the schedule fires after the first time and not after the second:
// how often Next can be called from the one until it leaves the other behind. It takes
// microseconds for years of a schedule that fires each minute.
func (s *Schedule) Count(after, until time.Time) int {
	return int(s.countBetween(secondAfter(after), secondAfter(until)))
}

// secondAfter returns the first whole second after t; times outside the years that a schedule knows
// are drawn near, so that arithmetic on seconds cannot overflow.
func secondAfter(t time.Time) int64 {
	const margin = 7 * day
	if t.Before(time.Time{}) {
		t = time.Time{}
	}
	return min(t.Unix(), endShown+margin) + 1
}

func (s *Schedule) timeAt(instant int64) time.Time {
	t := time.Unix(instant, 0)
	if instant == never || !t.After(time.Time{}) {
		return time.Time{} // east of Greenwich the year 1 begins before
	}
	return t.In(s.loc)
}

// String returns the expression as it was given, without the white space around it.
func (s *Schedule) String() string { return s.expr }

// Location returns the location whose clocks the schedule follows; it is never nil.
func (s *Schedule) Location() *time.Location { return s.loc }

// parseFields reads a trimmed expression.
func parseFields(expr string) (fields, error) {
	if err := checkShape(expr); err != nil {
		return fields{}, err
	}
	if strings.HasPrefix(expr, "@") {
		return parseMacro(expr)
	}

	withSeconds := false
	texts := strings.FieldsFunc(expr, isSeparator)
	switch len(texts) {
	case 5:
		texts = append([]string{"0"}, texts...)
	case 6:
		withSeconds = true
	default:
		return fields{}, refuse("expression", expr,
			"has %d fields; must have 5 (minute, hour, day of month, month, day of week) or 6 (with second first)", len(texts))
	}

	f := fields{withSeconds: withSeconds}
	var faults []error
	for i, into := range []*field{&f.second, &f.minute, &f.hour, &f.dayOfMonth, &f.month, &f.dayOfWeek} {
		parsed, errs := columns[i].parse(texts[i], &f.monthly)
		*into = parsed
		faults = append(faults, errs...)
	}
	if len(faults) > 0 {
		return fields{}, errors.Join(faults...)
	}
	f.tidy()
	if !f.everFires() {
		onAnyWeekday := f
		onAnyWeekday.dayOfWeek = field{set: allDaysOfWeek, star: true}
		if onAnyWeekday.everFires() {
			return fields{}, refuse("day of month", texts[3], "never falls on day of week %q in month %q", texts[5], texts[4])
		}
		return fields{}, refuse("day of month", texts[3], "never comes in month %q", texts[4])
	}
	return f, nil
}

// checkShape refuses what cannot be read field by field.
func checkShape(expr string) error {
	switch upper := strings.ToUpper(expr[:min(len(expr), len("CRON_TZ="))]); {
	case expr == "":
		return refuse("expression", expr, "must not be empty")
	case len(expr) > longestExpression:
		return refuse("expression", expr, "must not be longer than %d bytes", longestExpression)
	case strings.HasPrefix(upper, "TZ="), upper == "CRON_TZ=":
		return refuse("expression", expr, "must not name a time zone: the time zone has its own field")
	}
	for _, r := range expr {
		if !isSeparator(r) && (r < '!' || r > '~') {
			return refuse("expression", expr, "must be printable ASCII, its fields separated by spaces or tabs")
		}
	}
	return nil
}

func isSeparator(r rune) bool { return r == ' ' || r == '\t' }

var macros = map[string]string{
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
	"@monthly":  "0 0 1 * *",
	"@weekly":   "0 0 * * 0",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@hourly":   "0 * * * *",
}

func parseMacro(expr string) (fields, error) {
	name := strings.ToLower(expr)
	if meaning, ok := macros[name]; ok {
		return parseFields(meaning)
	}
	switch first, _, _ := strings.Cut(strings.ReplaceAll(name, "\t", " "), " "); first {
	case "@every":
		return fields{}, refuse("expression", expr,
			"@every is not supported: it counts from when a process started and is not a clock time; write */5 * * * * for every 5 minutes")
	case "@reboot":
		return fields{}, refuse("expression", expr, "@reboot is not supported: the start of a process is not a clock time")
	}
	return fields{}, refuse("expression", expr,
		"must be one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually, alone")
}
