package ringer_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/callsheet-go/callsheet/internal/ringer"
)

// BenchmarkRing is the cost of one ring when there is always one waiting.
func BenchmarkRing(b *testing.B) {
	for _, workers := range []int{1, 16} {
		b.Run("workers="+strconv.Itoa(workers), func(b *testing.B) {
			ids := make([]string, b.N)
			for i := range ids {
				ids[i] = strconv.Itoa(i)
			}
			r := ringer.New(workers)
			var left sync.WaitGroup
			left.Add(b.N)
			stop := start(r, func(context.Context, string) { left.Done() })
			b.ReportAllocs()
			b.ResetTimer()
			for _, id := range ids {
				r.Enqueue(id)
			}
			left.Wait()
			b.StopTimer()
			stop()
		})
	}
}

// BenchmarkHandOver is the time from Enqueue to handle's first line and back, with workers at rest.
func BenchmarkHandOver(b *testing.B) {
	r := ringer.New(16)
	rang := make(chan struct{})
	stop := start(r, func(context.Context, string) { rang <- struct{}{} })
	b.ReportAllocs()
	for b.Loop() {
		r.Enqueue("id")
		<-rang
	}
	stop()
}

// BenchmarkEnqueueWaiting is the cost of ringing for what waits already.
func BenchmarkEnqueueWaiting(b *testing.B) {
	r := ringer.New(1)
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Enqueue(ids...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/id")
}
