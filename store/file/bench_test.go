package file_test

import (
	"testing"

	"github.com/callsheet-go/callsheet/internal/storebench"
)

func BenchmarkStore_PlanClaimFinish(b *testing.B) {
	store := open(b, temporary(b))
	storebench.Prepare(b, store)
	n := 0
	for b.Loop() {
		n += storebench.Run(b, store, 1, storebench.Batch)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "executions/s")
}
