package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/internal/storebench"
)

// BenchmarkStore_PlanClaimFinish compares executions through the Store with the barest loop on the same server: rows are inserted,
// claimed by UPDATE … SKIP LOCKED and marked as done, in batches of the same size, by as many workers.
func BenchmarkStore_PlanClaimFinish(b *testing.B) {
	for _, workers := range []int{1, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) { compare(b, workers) })
	}
}

func compare(b *testing.B, workers int) {
	dsn := pgtest.Database(b)
	store, db := open(b, dsn), database(b, dsn)
	storebench.Prepare(b, store)
	bare := newBareLoop(b, db)
	storebench.Run(b, store, workers, storebench.Batch)
	bare.run(b, workers, storebench.Batch)
	var ours, theirs cost
	n := 0
	for b.Loop() {
		start := spent(b, db)
		done := storebench.Run(b, store, workers, 10*storebench.Batch)
		middle := spent(b, db)
		bare.run(b, workers, done)
		ours, theirs = ours.plus(start, middle), theirs.plus(middle, spent(b, db))
		n += done
	}
	b.ReportMetric(float64(n)/ours.elapsed.Seconds(), "executions/s")
	b.ReportMetric(float64(n)/theirs.elapsed.Seconds(), "bare/s")
	b.ReportMetric(ours.elapsed.Seconds()/theirs.elapsed.Seconds(), "times-bare")
	ours.reportCPU(b, n, "")
	theirs.reportCPU(b, n, "bare-")
}

// A cost is what was spent: time on the clock, and time of computing on either side.
type cost struct {
	elapsed, client, server time.Duration
	unknown                 bool // how much was computed
}

// began is when the clock of spent was zero.
var began = time.Now()

// spent is the cost of everything so far.
func spent(b *testing.B, db *sql.DB) cost {
	b.Helper()
	client, server, ok := pgtest.CPU(b, db)
	return cost{time.Since(began), client, server, !ok}
}

// plus adds what was spent between two moments.
func (c cost) plus(from, to cost) cost {
	return cost{c.elapsed + to.elapsed - from.elapsed, c.client + to.client - from.client, c.server + to.server - from.server,
		c.unknown || from.unknown || to.unknown}
}

func (c cost) reportCPU(b *testing.B, n int, prefix string) {
	b.Helper()
	if c.unknown {
		return
	}
	b.ReportMetric(float64(c.client.Microseconds())/float64(n), prefix+"client-cpu-µs/exec")
	b.ReportMetric(float64(c.server.Microseconds())/float64(n), prefix+"server-cpu-µs/exec")
}

type bareLoop struct{ *sqlx.DB }

func newBareLoop(b *testing.B, db *sql.DB) bareLoop {
	b.Helper()
	const tables = `
		CREATE TABLE jobs (id bigserial PRIMARY KEY, state text NOT NULL DEFAULT 'pending', ran_at timestamptz NOT NULL DEFAULT now(), worker text, done_at timestamptz);
		CREATE INDEX jobs_pending ON jobs (ran_at, id) WHERE state = 'pending'`
	if _, err := db.ExecContext(b.Context(), tables); err != nil {
		b.Fatal(err)
	}
	return bareLoop{sqlx.NewDb(db, "pgx")}
}

func (l bareLoop) run(b *testing.B, workers, n int) {
	b.Helper()
	var done atomic.Int64
	storebench.InParallel(b, workers, func(ctx context.Context) error {
		for done.Add(storebench.Batch) <= int64(n) {
			if err := l.batch(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l bareLoop) batch(ctx context.Context) error {
	const (
		insert = `INSERT INTO jobs (worker) SELECT '' FROM generate_series(1, $1)`
		claim  = `UPDATE jobs SET state = 'running', worker = 'w'
		           WHERE id IN (SELECT id FROM jobs WHERE state = 'pending' ORDER BY ran_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
		       RETURNING id`
		finish = `UPDATE jobs SET state = 'done', done_at = now() WHERE id = ANY($1)`
	)
	if _, err := l.ExecContext(ctx, insert, storebench.Batch); err != nil {
		return err
	}
	var ids []int64
	if err := l.SelectContext(ctx, &ids, claim, storebench.Batch); err != nil {
		return err
	}
	_, err := l.ExecContext(ctx, finish, ids)
	return err
}
