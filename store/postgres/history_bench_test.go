package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
)

// BenchmarkHistory reads pages of 100 out of a million executions, anywhere in it and by every filter, and says how long
// all but the slowest hundredth took.
func BenchmarkHistory(b *testing.B) {
	dsn := pgtest.Database(b)
	db := database(b, dsn)
	store := open(b, dsn)
	const million = `
		INSERT INTO callsheet.executions (id, schedule, scheduled_at, trigger, state, reason, answer_of, attempt, max_attempts, fence, worker,
		       waits, cancel_requested, reopenings, lost_workers, created_at, started_at, finished_at, http_status, bytes, records, rejected, from_kept,
		       fetch_ns, extract_ns, deliver_ns, class, error, attempts, catches_up, ready_at, ring_at, rung, revision)
		SELECT 'e' || n, 's' || n % 1000, timestamptz '2026-01-01' + n * interval '10 s', 'schedule',
		       CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 97 = 0 THEN 'skipped' ELSE 'succeeded' END, '', '', 1, 4, 1, '',
		       false, false, 0, 0, now(), now(), now(), 200, 1000, 20, 0, false, 0, 0, 0, CASE WHEN n % 100 = 0 THEN 'permanent' ELSE '' END, '',
		       '[]', false, now(), now(), false, 1
		  FROM generate_series(1, 1000000) n;
		ANALYZE callsheet.executions`
	_, err := db.ExecContext(b.Context(), million)
	require.NoError(b, err)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(share float64) time.Time { return begin.Add(time.Duration(share * 1e7 * float64(time.Second))) }
	queries := []callsheet.ExecutionQuery{
		{}, {To: at(0.5)}, {To: at(0.01)}, {From: at(0.3), EarliestFirst: true},
		{Schedule: "s7"}, {Schedule: "s7", To: at(0.4)}, {Schedule: "s0", States: []callsheet.State{callsheet.StateFailed}},
		{States: []callsheet.State{callsheet.StateFailed}}, {States: []callsheet.State{callsheet.StateFailed}, To: at(0.2)},
		{States: []callsheet.State{callsheet.StateSkipped}}, {States: []callsheet.State{callsheet.StateCancelled}},
		{States: []callsheet.State{callsheet.StateFailed}, Classes: []callsheet.Class{callsheet.ClassPermanent}},
	}
	var took []time.Duration
	for b.Loop() {
		for _, q := range queries {
			for range 3 { // and the pages that follow
				start := time.Now()
				page, err := store.Executions(context.Background(), q)
				took = append(took, time.Since(start))
				require.NoError(b, err)
				if q.After = page.Next; q.After == "" {
					break
				}
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
