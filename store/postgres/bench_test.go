package postgres_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/internal/storebench"
)

// BenchmarkStore_PlanClaimFinish compares executions through the Store with the barest loop on the same server: rows are inserted,
// claimed by UPDATE … SKIP LOCKED and marked as done, in batches of the same size, with one connection each.
func BenchmarkStore_PlanClaimFinish(b *testing.B) {
	dsn := pgtest.Database(b)
	store, db := open(b, dsn), database(b, dsn)
	storebench.Prepare(b, store)
	bare := newBareLoop(b, db)
	storebench.Run(b, store, storebench.Batch)
	bare.run(b, storebench.Batch)
	var ours, theirs time.Duration
	n := 0
	for b.Loop() {
		start := time.Now()
		done := storebench.Run(b, store, 10*storebench.Batch)
		middle := time.Now()
		bare.run(b, done)
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

func (l bareLoop) run(b *testing.B, n int) {
	b.Helper()
	const (
		insert = `INSERT INTO jobs (worker) SELECT '' FROM generate_series(1, $1)`
		claim  = `UPDATE jobs SET state = 'running', worker = 'w'
		           WHERE id IN (SELECT id FROM jobs WHERE state = 'pending' ORDER BY ran_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
		       RETURNING id`
		finish = `UPDATE jobs SET state = 'done', done_at = now() WHERE id = ANY($1)`
	)
	for done := 0; done < n; done += storebench.Batch {
		if _, err := l.ExecContext(b.Context(), insert, storebench.Batch); err != nil {
			b.Fatal(err)
		}
		var ids []int64
		if err := l.SelectContext(b.Context(), &ids, claim, storebench.Batch); err != nil {
			b.Fatal(err)
		}
		if _, err := l.ExecContext(b.Context(), finish, ids); err != nil {
			b.Fatal(err)
		}
	}
}
