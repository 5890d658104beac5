package extract

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeReader reads times of one format.
type timeReader struct {
	layouts []string
	unit    time.Duration // of a format that counts since 1970; else 0
	zone    *time.Location
}

// The named formats. A format that is none of them is a layout of package time.
var timeFormats = map[string]timeReader{
	"rfc3339": {layouts: []string{time.RFC3339}},
	"iso8601": {layouts: []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02", "20060102T150405Z0700", "20060102T150405", "20060102",
	}},
	// As RSS and HTTP have it: day and weekday in any spelling, the zone as a number or a name.
	"rfc1123": {layouts: []string{
		"Mon, _2 Jan 2006 15:04:05 -0700", "Mon, _2 Jan 2006 15:04:05 MST", "_2 Jan 2006 15:04:05 -0700", "_2 Jan 2006 15:04:05 MST",
		"Mon, _2 Jan 2006 15:04 -0700", "Mon, _2 Jan 2006 15:04 MST", "Mon, _2 Jan 06 15:04:05 -0700", "Mon, _2 Jan 06 15:04:05 MST",
	}},
	"date":     {layouts: []string{time.DateOnly}},
	"datetime": {layouts: []string{time.DateTime, "2006-01-02T15:04:05"}},
	"unix":     {unit: time.Second},
	"unix_ms":  {unit: time.Millisecond},
	"unix_us":  {unit: time.Microsecond},
	"unix_ns":  {unit: time.Nanosecond},
}

const ruleTimeFormat = "a time format is rfc3339, iso8601, rfc1123, date, datetime, unix, unix_ms, unix_us, unix_ns or a Go layout such as 02.01.2006 15:04"

func newTimeReader(format, zone string) (*timeReader, error) {
	loc, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	if format == "" {
		format = "rfc3339"
	}
	r, named := timeFormats[format]
	if !named {
		if !isLayout(format) {
			return nil, errors.New(ruleTimeFormat)
		}
		r = timeReader{layouts: []string{format}}
	}
	r.zone = loc
	return &r, nil
}

// loadZone loads a zone by its IANA name. Local is refused: it is another one on another machine.
func loadZone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New("the zone Local differs from machine to machine")
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not the name of a time zone, such as Europe/Berlin or UTC", name)
	}
	return loc, nil
}

// isLayout tells a layout from a misspelt name: two days that differ in everything are written differently.
func isLayout(format string) bool {
	a := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	b := time.Date(2012, 11, 14, 15, 16, 17, 0, time.UTC)
	return a.Format(format) != b.Format(format)
}

func (r *timeReader) in(t time.Time) time.Time { return t.In(r.zone) }

// parse reads a time; the rule is empty or says why it is none.
func (r *timeReader) parse(text string) (any, string) {
	if r.unit != 0 {
		return r.count(text)
	}
	var first error
	for _, layout := range r.layouts {
		t, err := time.ParseInLocation(layout, text, r.zone)
		if err == nil {
			if t, err = withAbbreviation(t, layout); err != nil {
				return nil, err.Error()
			}
			return r.in(t), ""
		}
		if first == nil {
			first = err
		}
	}
	if parse, ok := errors.AsType[*time.ParseError](first); ok && parse.Message != "" {
		return nil, "no time" + parse.Message
	}
	return nil, "no time like " + r.layouts[0]
}

// Abbreviations of RFC 822. Package time takes one that it does not know for UTC, which would be wrong
// by hours and say nothing.
var abbreviations = map[string]int{
	"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}

func withAbbreviation(t time.Time, layout string) (time.Time, error) {
	if !strings.Contains(layout, "MST") {
		return t, nil
	}
	name, offset := t.Zone()
	switch name {
	case "UTC", "GMT", "UT", "Z", "":
		return t, nil
	}
	if offset != 0 {
		return t, nil // known to the zone it was read in
	}
	hours, known := abbreviations[name]
	if !known {
		if t.Location().String() != name { // a zone that has this name for UTC, such as WET
			return t, nil
		}
		return t, fmt.Errorf("the zone %s is not known", name)
	}
	return t.Add(-time.Duration(hours) * time.Hour), nil
}

// count reads seconds, or parts of them, since 1970, with a fraction or without.
func (r *timeReader) count(text string) (any, string) {
	const rule = "no count since 1970"
	number, ok := plainNumber(text)
	if !ok {
		return nil, rule
	}
	d := newDecimal(number)
	digits, exponent := d.digits, int(min(max(d.exponent, -30), 30))
	exponent += map[time.Duration]int{time.Second: 9, time.Millisecond: 6, time.Microsecond: 3, time.Nanosecond: 0}[r.unit]
	switch { // to nanoseconds, of which less than one is left out
	case exponent <= 0:
		digits = "0"
	case exponent > 21:
		return nil, "a count beyond the year 9999"
	case len(digits) > exponent:
		digits = digits[:exponent]
	default:
		digits += strings.Repeat("0", exponent-len(digits))
	}
	const perSecond = 9
	whole, fraction := "0", digits
	if len(digits) > perSecond {
		whole, fraction = digits[:len(digits)-perSecond], digits[len(digits)-perSecond:]
	}
	seconds, err := strconv.ParseInt(whole, 10, 64)
	nanos, err2 := strconv.ParseInt(fraction, 10, 64)
	const lastSecond = 253402300799 // of the year 9999, the last that RFC 3339 writes
	if err != nil || err2 != nil || seconds > lastSecond {
		return nil, "a count beyond the year 9999"
	}
	if d.negative {
		seconds, nanos = -seconds, -nanos
	}
	return time.Unix(seconds, nanos).In(r.zone), ""
}
