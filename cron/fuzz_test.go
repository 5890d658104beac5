package cron_test

import (
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/callsheet-go/callsheet/cron"
)

func FuzzParse(f *testing.F) {
	for _, expr := range []string{
		"* * * * *", "*/15 9-17 * * MON-FRI", "0 0 1,15 jan-JUN/2 ?", "30 5/10 0 29 2 */7", "@daily", "@every 1h",
		"0 0 31 2 *", "0 0 13 * FRI", "61 -1 L 1#2 H", "CRON_TZ=UTC * * * * *", "1,,2 */0 5- 50-10 +1", "\t0  0 * * 0-7 ", "",
		"0 0 L,L-3,15W,LW,l-2w * *", "*/9 30 1 * * 5L,L1,fri#3", "0 0 */28 2 1#5",
	} {
		f.Add(expr, int64(1709031600), "America/New_York")
		f.Add(expr, int64(1325152800), "Pacific/Apia") // the day before the one that Samoa left out
		f.Add(expr, int64(-62135596800), "UTC")        // the zero time
		f.Add(expr, int64(-1<<62), "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, expr string, unix int64, zone string) {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			loc = time.FixedZone(zone, int(unix%50400))
		}
		s, err := cron.Parse(expr, loc)
		if err != nil {
			var fault *cron.FieldError
			if !errors.As(err, &fault) || fault.Field == "" || fault.Rule == "" || !utf8.ValidString(err.Error()) {
				t.Fatalf("%q was refused without saying which field and why: %v", expr, err)
			}
			return
		}
		if s.Describe() == "" {
			t.Errorf("%q has no description", expr)
		}
		again, err := cron.Parse(s.String(), loc)
		if err != nil || again.Describe() != s.Describe() {
			t.Fatalf("%q does not read as itself: %v", s, err)
		}
		after := time.Unix(unix, 0)
		start := after
		for range 3 {
			next := s.Next(after)
			if next.IsZero() {
				if year := after.In(loc).Year(); year > 0 && year < 9900 {
					t.Fatalf("%q does not fire after %s", expr, after)
				}
				return
			}
			if !next.After(after) {
				t.Fatalf("%q: %s is not after %s", expr, next, after)
			}
			if same := again.Next(after); !same.Equal(next) {
				t.Fatalf("%q after %s: %s and %s", expr, after, next, same)
			}
			if latest := s.Latest(next); !latest.Equal(next) {
				t.Fatalf("%q: the latest until %s is %s", expr, next, latest)
			}
			if latest := s.Latest(next.Add(-1)); !latest.IsZero() && latest.After(after) {
				t.Fatalf("%q: %s is after %s and before %s", expr, latest, after, next)
			}
			if rule, asked := s.Explain(next); rule == cron.RuleNone || rule != cron.RuleMoved && !asked.Equal(next) {
				t.Fatalf("%q at %s: %s, %s", expr, next, rule, asked)
			}
			after = next
		}
		if n := s.Count(start, after); n != 3 {
			t.Fatalf("%q fires %d times after %s until %s", expr, n, start, after)
		}
	})
}
