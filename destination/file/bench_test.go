package file_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
	"github.com/callsheet-go/callsheet/extract"
)

// BenchmarkDeliver is one Batch of 20 records with 4 fields, about 1.8 kB.
func BenchmarkDeliver(b *testing.B) {
	records := make([]callsheet.Record, 20)
	for i := range records {
		records[i] = extract.NewRecord(
			extract.Value{Name: "id", Value: fmt.Sprintf("us7000%04d", i)},
			extract.Value{Name: "magnitude", Value: json.Number("4.70")},
			extract.Value{Name: "place", Value: "112 km SSE of Sand Point, Alaska"},
			extract.Value{Name: "time", Value: json.Number("1795441500000")},
		)
	}
	for _, c := range []struct {
		name    string
		target  string
		mode    callsheet.WriteMode
		options []file.Option
	}{
		{"append/jsonl/sync", "quakes.jsonl", callsheet.Append, nil},
		{"append/jsonl/nosync", "quakes.jsonl", callsheet.Append, []file.Option{file.WithoutSync()}},
		{"append/csv/nosync", "quakes.csv", callsheet.Append, []file.Option{file.WithoutSync()}},
		{"per_execution/jsonl/sync", "quakes.jsonl", callsheet.PerExecution, nil},
		{"per_execution/jsonl/nosync", "quakes.jsonl", callsheet.PerExecution, []file.Option{file.WithoutSync()}},
	} {
		var n atomic.Int64
		batch := func() callsheet.Batch {
			return callsheet.Batch{
				Delivery:    callsheet.Delivery{ID: "d", Target: c.target, Mode: c.mode},
				ExecutionID: "0193a7b2-3c4d-7e5f-8a9b-" + strconv.FormatInt(1e11+n.Add(1), 10),
				ScheduledAt: time.Date(2026, 11, 23, 13, 45, 0, 0, time.UTC),
				Records:     records,
			}
		}
		open := func(b *testing.B) *file.Destination {
			d, err := file.New(b.TempDir(), c.options...)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = d.Close() })
			return d
		}
		b.Run(c.name, func(b *testing.B) {
			d := open(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Deliver(b.Context(), batch()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			d := open(b)
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := d.Deliver(b.Context(), batch()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
