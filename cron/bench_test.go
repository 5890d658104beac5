package cron_test

import (
	"testing"
	"time"

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

func BenchmarkNext(b *testing.B) {
	for _, row := range []struct{ name, expr string }{
		{"each second", "* * * * * *"},
		{"each 15 minutes", "*/15 * * * *"},
		{"weekdays", "30 9 * * MON-FRI"},
		{"leap days", "0 0 29 2 *"},
		{"leap days on Sundays", "0 0 29 2 */7"},
	} {
		b.Run(row.name, func(b *testing.B) {
			s := parse(b, row.expr, location(b, "Europe/Berlin"))
			start := at(b, "2024-06-30T23:00:00Z")
			after := start
			b.ReportAllocs()
			for b.Loop() {
				if after = s.Next(after); after.IsZero() {
					after = start
				}
			}
		})
	}
}
