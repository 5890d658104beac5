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
	var ours, theirs time.Duration
	n := 0
	for b.Loop() {
		start := time.Now()
		done := storebench.Run(b, store, workers, 10*storebench.Batch)
		middle := time.Now()
		bare.run(b, workers, done)
		ours, theirs = ours+middle.Sub(start), theirs+time.Since(middle)
		n += done
	}
	b.ReportMetric(float64(n)/ours.Seconds(), "executions/s")
	b.ReportMetric(float64(n)/theirs.Seconds(), "bare/s")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "times-bare")
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
