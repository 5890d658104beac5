package cron_test

import (
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/cron"
)

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cron.Parse("*/15 9-17 * * MON-FRI", time.UTC); err != nil {
			b.Fatal(err)
		}
	}
}

// The same expressions through robfig/cron, where it has them, for the ratio.
func BenchmarkNext(b *testing.B) {
	for _, row := range []struct{ name, expr, zone, from string }{
		{"each second", "* * * * * *", "Europe/Berlin", ""},
		{"each 15 minutes", "*/15 * * * *", "Europe/Berlin", ""},
		{"weekdays", "30 9 * * MON-FRI", "Europe/Berlin", ""},
		{"weekdays in UTC", "30 9 * * MON-FRI", "UTC", ""},
		{"new year", "0 0 1 1 *", "America/New_York", ""},
		{"last Friday", "0 9 * * 5L", "Europe/Berlin", ""},
		{"leap days", "0 0 29 2 *", "Europe/Berlin", ""},
		{"leap day on a Monday in 40 years", "0 0 */28 2 1#5", "Europe/Berlin", "2072-03-01T00:00:00Z"},
	} {
		next := func(b *testing.B, next func(time.Time) time.Time) {
			start := at(b, "2024-06-30T23:00:00Z")
			if row.from != "" {
				start = at(b, row.from)
			}
			after := start
			b.ReportAllocs()
			for b.Loop() {
				if after = next(after); after.IsZero() || after.Year() > 2100 {
					after = start
				}
			}
		}
		b.Run(row.name+"/callsheet", func(b *testing.B) {
			next(b, parse(b, row.expr, location(b, row.zone)).Next)
		})
		parser := robfig.NewParser(robfig.SecondOptional | robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow)
		if schedule, err := parser.Parse("CRON_TZ=" + row.zone + " " + row.expr); err == nil {
			b.Run(row.name+"/robfig", func(b *testing.B) { next(b, schedule.Next) })
		}
	}
}

func BenchmarkLatest(b *testing.B) {
	s := parse(b, "30 9 * * MON-FRI", location(b, "Europe/Berlin"))
	until := at(b, "2024-06-30T23:00:00Z")
	b.ReportAllocs()
	for b.Loop() {
		s.Latest(until)
	}
}

// A schedule of each minute that nobody planned for ten years.
func BenchmarkCount(b *testing.B) {
	s := parse(b, "* * * * *", location(b, "Europe/Berlin"))
	after := at(b, "2024-06-30T23:00:00Z")
	until := after.AddDate(10, 0, 0)
	require.Equal(b, 3652*24*60, s.Count(after, until))
	b.ReportAllocs()
	for b.Loop() {
		s.Count(after, until)
	}
}
