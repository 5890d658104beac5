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

// Times on which independent implementations agree. Every row is in one of the categories counted
// here, and a category that grows or shrinks needs an explanation.
func TestNext_AgreesWithOtherImplementations(t *testing.T) {
	var table struct {
		Cases []struct {
			Expr, TZ string
			From     time.Time
			Next     []time.Time
		}
	}
	readTable(t, "agreed.json", &table)

	const (
		same        = "the same four times"
		unsupported = "L and # are refused"
		clockChange = "a clock change lies between the times"
	)
	got := map[string]int{}
	for _, row := range table.Cases {
		loc := location(t, row.TZ)
		s, err := cron.Parse(row.Expr, loc)
		switch {
		case err != nil && strings.ContainsAny(row.Expr, "L#") && strings.Contains(err.Error(), "not supported"):
			got[unsupported]++
		case err != nil:
			t.Errorf("%q was refused: %v", row.Expr, err)
		case sameTimes(row.Next, upcoming(s, row.From, len(row.Next))):
			got[same]++
		case clocksChange(loc, row.From, row.Next[len(row.Next)-1]):
			got[clockChange]++
		default:
			t.Errorf("%q in %s after %s: expected %v, got %v", row.Expr, row.TZ, row.From, row.Next, upcoming(s, row.From, len(row.Next)))
		}
	}
	assert.Equal(t, map[string]int{
		same:        833,
		unsupported: 48,
		// "30 1 1-7 11 *" in New York on 3 November 2024: at 01:30 EDT and again at 01:30 EST.
		clockChange: 1,
	}, got)
	assert.Len(t, table.Cases, 882)
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
		{"agreed", same}:                 290,
		{"agreed", clockChange}:          18,
		{"cronos-dst-rule", same}:        8,
		{"cronos-dst-rule", clockChange}: 9,
		{"cronos-dom-and-dow", bothDays}: 11,
		{"cronos-wrap-range", same}:      3, // tue/2 and FRI/3 end on Saturday here, and after the times of these rows
		{"cronos-wrap-range", refused}:   39,
		{"extended", same}:               62,
		{"extended", clockChange}:        6,
		{"extended", refused}:            325, // L, W and #
		{"six-field", same}:              202,
		{"six-field", bothDays}:          9,
		{"six-field", refused}:           39, // wrapped ranges
		{"macro", same}:                  12,
		{"macro", refused}:               4, // @every_second and @every_minute
	}, got)
	assert.Len(t, table.Cases, 1037)
}

// Where implementations disagree, the table's minute-by-minute evaluator of Vixie cron's rules
// decides, except on 5/15, which Vixie cron does not have.
func TestNext_DecidesWhereOthersDisagree(t *testing.T) {
	var table struct {
		Cases []struct {
			Expr    string
			From    time.Time
			Results map[string]json.RawMessage
		}
	}
	readTable(t, "divergent.json", &table)

	var openSteps []string
	refused, vixie := 0, 0
	for _, row := range table.Cases {
		s, err := cron.Parse(row.Expr, nil)
		if err != nil {
			refused++
			continue
		}
		var want []time.Time
		if result, ok := row.Results["brute_force"]; ok {
			require.NoError(t, json.Unmarshal(result, &want))
		}
		if sameTimes(want, upcoming(s, row.From, 4)) {
			vixie++
		} else {
			openSteps = append(openSteps, row.Expr)
		}
	}
	assert.Equal(t, []string{
		"0 0 * * 1/2",
		"0 0/1 * * *",
		"0/1 * * * *",
		"0 0/1 * * ?",
		"30 0/1 * * ?",
		"* * * * 3,5-6,*/2,2/3,7/4",
	}, openSteps)
	assert.Equal(t, 8, vixie)
	assert.Equal(t, 88, refused)
}

func TestParse_RefusesWhatOthersRefuse(t *testing.T) {
	var table struct{ Cases []struct{ Expr string } }
	readTable(t, "invalid.json", &table)
	require.Len(t, table.Cases, 374)

	supported := map[string]string{} // expression to why; none so far
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
