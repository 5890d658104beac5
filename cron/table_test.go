package cron_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/cron"
)

// Times on which independent implementations agree.
func TestNext_AgreesWithOtherImplementations(t *testing.T) {
	var table struct {
		Cases []struct {
			Expr, TZ string
			From     time.Time
			Next     []time.Time
		}
	}
	readTable(t, "agreed.json", &table)
	require.Len(t, table.Cases, 882)
	for _, row := range table.Cases {
		s, err := cron.Parse(row.Expr, location(t, row.TZ))
		if assert.NoError(t, err) {
			got := upcoming(s, row.From, len(row.Next))
			assert.True(t, sameTimes(row.Next, got), "%q in %s after %s: expected %v, got %v", row.Expr, row.TZ, row.From, row.Next, got)
		}
	}
}

// What Debian's cron does when clocks change.
func TestNext_FollowsDebianWhenClocksChange(t *testing.T) {
	var table struct {
		Cases []struct {
			Expr, TZ, Test string
			From           time.Time
			Next           []time.Time
		}
	}
	readTable(t, "debian_dst.json", &table)
	require.Len(t, table.Cases, 32)
	for _, row := range table.Cases {
		got := upcoming(parse(t, row.Expr, location(t, row.TZ)), row.From, len(row.Next))
		assert.True(t, sameTimes(row.Next, got), "%s: %q after %s: expected %v, got %v", row.Test, row.Expr, row.From, row.Next, got)
	}
}

// The table of Cronos, which has seconds, macros and clock changes. Its own extensions and its
// reading of the two fields of days are counted as such.
func TestNext_AgreesWithCronos(t *testing.T) {
	var table struct {
		Cases []struct {
			Expr, TZ, Class string
			From            time.Time
			Inclusive       bool
			Next            *time.Time
		}
	}
	readTable(t, "cronos_table.json", &table)

	const (
		same        = "the same time"
		refused     = "refused"
		bothDays    = "two restricted days: both must hold there, one is enough here"
		clockChange = "a clock change lies between the times"
	)
	type category struct{ class, outcome string }
	got := map[category]int{}
	for _, row := range table.Cases {
		loc := location(t, row.TZ)
		s, err := cron.Parse(row.Expr, loc)
		if err != nil {
			got[category{row.Class, refused}]++
			continue
		}
		require.NotNil(t, row.Next, "a row that never fires must have been refused: %q", row.Expr)
		from := row.From
		if row.Inclusive {
			from = from.Add(-time.Nanosecond)
		}
		next := s.Next(from)
		switch {
		case next.Equal(*row.Next):
			got[category{row.Class, same}]++
		case clocksChange(loc, from.Add(-24*time.Hour), from.Add(24*time.Hour)):
			got[category{row.Class, clockChange}]++
		case restrictsBothDays(row.Expr):
			assert.True(t, next.Before(*row.Next), "%q: an alternative must come earlier", row.Expr)
			got[category{row.Class, bothDays}]++
		default:
			t.Errorf("%q in %s after %s: expected %s, got %s", row.Expr, row.TZ, from, row.Next, next)
		}
	}
	assert.Equal(t, map[category]int{
		{"agreed", same}:                 308,
		{"cronos-dst-rule", clockChange}: 17, // a list, a range or a step follows the clock there; here a star does
		{"cronos-dom-and-dow", bothDays}: 11,
		{"cronos-wrap-range", same}:      3, // tue/2 and FRI/3 end on Saturday here, and after the times of these rows
		{"cronos-wrap-range", refused}:   39,
		{"extended", same}:               345,
		{"extended", clockChange}:        12, // as above
		{"extended", refused}:            36, // wrapped ranges, and ? for minutes
		{"six-field", same}:              184,
		{"six-field", clockChange}:       18, // as above
		{"six-field", bothDays}:          9,
		{"six-field", refused}:           39, // wrapped ranges
		{"macro", same}:                  12,
		{"macro", refused}:               4, // @every_second and @every_minute
	}, got)
	assert.Len(t, table.Cases, 1037)
}

func TestParse_RefusesWhatOthersRefuse(t *testing.T) {
	var table struct{ Cases []struct{ Expr string } }
	readTable(t, "invalid.json", &table)
	require.Len(t, table.Cases, 374)

	supported := map[string]string{
		"* * 1,2W   *  *":   "W may stand in a list",
		"* * 1,2w   *  *":   "W may stand in a list",
		"* * * 1,2W   *  *": "W may stand in a list",
		"* * * 1,2w   *  *": "W may stand in a list",
		"0 0 * * 5,L6":      "each Friday and the last Saturday: a list has whatever any of its items has",
	}
	for _, row := range table.Cases {
		_, err := cron.Parse(row.Expr, nil)
		if why, ok := supported[row.Expr]; ok {
			assert.NoError(t, err, "%q is supported: %s", row.Expr, why)
			continue
		}
		var fault *cron.FieldError
		if assert.ErrorAs(t, err, &fault, "%q must be refused", row.Expr) {
			assert.NotEmpty(t, fault.Field)
			assert.NotEmpty(t, fault.Rule)
		}
	}
}

func readTable(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}

func sameTimes(want, got []time.Time) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !want[i].Equal(got[i]) {
			return false
		}
	}
	return true
}

func clocksChange(loc *time.Location, from, to time.Time) bool {
	_, change := from.In(loc).ZoneBounds()
	return !change.IsZero() && change.Before(to)
}

// restrictsBothDays reports whether neither field of days starts with a star.
func restrictsBothDays(expr string) bool {
	texts := strings.Fields(expr)
	dayOfMonth, dayOfWeek := texts[len(texts)-3], texts[len(texts)-1]
	return !strings.ContainsAny(dayOfMonth[:1]+dayOfWeek[:1], "*?")
}
