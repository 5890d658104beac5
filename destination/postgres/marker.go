package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/callsheet-go/callsheet"
)

// markBatch adds the marker, or counts one more delivery of a Batch that has it. Of two transactions with
// the same Batch the second waits here until the first has ended, and then sees its marker or adds its own:
// the primary key decides, not who looked first. A fence counts also where nothing is written, so that
// a worker that lost its lease cannot add a chunk to those of its successor.
const markBatch = `
WITH execution AS (
    SELECT coalesce(max(fence), 0) AS fence FROM {schema}.delivered_batches WHERE execution_id = $1
)
INSERT INTO {schema}.delivered_batches AS known
       (execution_id, chunk, fence, attempt, schedule_id, delivery_id, target, records)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (execution_id, chunk) DO UPDATE
   SET fence = greatest(known.fence, excluded.fence), deliveries = known.deliveries + 1
RETURNING deliveries > 1, greatest(fence, (SELECT fence FROM execution))`

// mark adds the Batch's marker, and reports whether it was there before. In the same round trip it reads
// what the table looks like.
func (d *Destination) mark(ctx context.Context, conn *pgx.Conn, t target, b callsheet.Batch) (delivered bool, tbl table, err error) {
	var batch pgx.Batch
	batch.Queue(d.own(markBatch), b.ExecutionID, b.Chunk, b.Fence, b.Attempt, b.ScheduleID, b.Delivery.ID, t.given, len(b.Records))
	queueTable(&batch, t)
	results := conn.SendBatch(ctx, &batch)
	defer func() {
		if closed := results.Close(); err == nil {
			err = closed
		}
	}()

	var fence int64
	if err := results.QueryRow().Scan(&delivered, &fence); err != nil {
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && (e.Code == "42P01" || e.Code == "3F000") {
			// Not permanent: whoever migrates can have the executions tried again.
			return false, tbl, fmt.Errorf("the tables of the destination are not in the schema %q: call Migrate", d.schema)
		}
		return false, tbl, err
	}
	if fence > b.Fence {
		return false, tbl, &callsheet.ClassifiedError{Class: callsheet.ClassLostWorker,
			Err: fmt.Errorf("execution %s: %w (fence %d, and %d was seen)", b.ExecutionID, callsheet.ErrStaleFence, b.Fence, fence)}
	}
	tbl, err = readTable(results, t)
	return delivered, tbl, err
}

const (
	settleTries = 5
	settleDelay = 100 * time.Millisecond // doubles with each try
)

// settle finds out what became of a COMMIT whose answer was lost. It asks on a connection of its own: those
// of a pool may all have ended with the server.
func (d *Destination) settle(ctx context.Context, config *pgx.ConnConfig, b callsheet.Batch, lost error) error {
	// The grace of the commit may be used up by now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	delay := settleDelay
	for try := 1; ; try++ {
		committed, err := d.committed(ctx, config, b)
		switch {
		case err == nil && committed:
			return nil
		case err == nil:
			return lostError{fmt.Errorf("not committed: %w", lost)}
		case try == settleTries || ctx.Err() != nil:
			return fmt.Errorf("whether it was committed is not known; the next delivery of this batch finds out: %w",
				errors.Join(lost, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay *= 2
	}
}

// claimMark waits for the transaction that holds the marker, if there is one, which looking would not.
const claimMark = `
INSERT INTO {schema}.delivered_batches (execution_id, chunk, fence, attempt, schedule_id, delivery_id, target, records)
VALUES ($1, $2, 0, 0, '', '', '', 0)
ON CONFLICT (execution_id, chunk) DO NOTHING`

// committed reports whether the Batch's marker is there for good. If it is not, no transaction that
// began before can add it any more, but for one that is repeated as a whole.
func (d *Destination) committed(ctx context.Context, config *pgx.ConnConfig, b callsheet.Batch) (bool, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer rollback(ctx, tx) // the marker claimed here was a question
	tag, err := tx.Exec(ctx, d.own(claimMark), b.ExecutionID, b.Chunk)
	return err == nil && tag.RowsAffected() == 0, err
}
