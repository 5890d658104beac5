package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// migrations bring the Destination's own tables from one version to the next. They only add, so that a process of the
// version before works on; what stands here is never edited.
var migrations = []string{`
CREATE TABLE {schema}.delivered_batches (
    execution_id text        NOT NULL,
    chunk        integer     NOT NULL,
    fence        bigint      NOT NULL, -- the greatest that delivered this Batch, or tried to
    attempt      integer     NOT NULL, -- of the first delivery, as is what follows
    schedule_id  text        NOT NULL,
    delivery_id  text        NOT NULL,
    target       text        NOT NULL,
    records      integer     NOT NULL, -- in the Batch
    rejected     integer     NOT NULL DEFAULT 0, -- of them, those in rejected_records
    deliveries   integer     NOT NULL DEFAULT 1, -- how often it was delivered; the first one counted
    delivered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (execution_id, chunk)
);
CREATE INDEX delivered_batches_delivered_at ON {schema}.delivered_batches (delivered_at);

CREATE TABLE {schema}.rejected_records (
    execution_id text        NOT NULL,
    chunk        integer     NOT NULL,
    position     integer     NOT NULL, -- of the record in its Batch, from 0
    schedule_id  text        NOT NULL,
    delivery_id  text        NOT NULL,
    target       text        NOT NULL,
    record       json, -- not jsonb, which cannot keep every text that makes a record bad; null: what is no JSON
    reason       text        NOT NULL,
    rejected_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (execution_id, chunk, position)
);
CREATE INDEX rejected_records_rejected_at ON {schema}.rejected_records (rejected_at);
`}

// Migrate makes the schema and tables that the Destination needs, or brings them to the present version. Any
// number of processes may call it at once, at every start. It returns an error, and does nothing, if a newer
// version of this library has been there.
//
// Where the tables are there it needs no more than the right to read. A host whose role may not create
// schemas makes the schema beforehand.
func (d *Destination) Migrate(ctx context.Context) error {
	err := d.db.with(ctx, func(conn *pgx.Conn) error {
		version, err := d.version(ctx, conn)
		if err != nil || version == len(migrations) {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return d.migrateIn(ctx, tx.Conn()) })
	})
	if err != nil {
		return fmt.Errorf("migrate the schema %q: %w", d.schema, err)
	}
	return nil
}

const (
	schemaExists  = `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`
	versionExists = `
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE  n.nspname = $1 AND c.relname = 'destination_version')`
	readVersion  = `SELECT coalesce(max(version), 0) FROM {schema}.destination_version`
	makeVersions = `
CREATE TABLE IF NOT EXISTS {schema}.destination_version (
    version    integer     PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)`
	addVersion = `INSERT INTO {schema}.destination_version (version) VALUES ($1)`
	// takeTurn lets one transaction at a time make things of that name: without it, IF NOT EXISTS fails for
	// all but one of those that do not see each other's.
	takeTurn = `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('callsheet destination ' || $1, 0))`
)

// own returns a statement on the Destination's own tables.
func (d *Destination) own(statement string) string {
	return strings.ReplaceAll(statement, "{schema}", quote(d.schema))
}

// version returns how far the tables are migrated; 0 if there are none.
func (d *Destination) version(ctx context.Context, conn *pgx.Conn) (version int, err error) {
	var there bool
	if err := conn.QueryRow(ctx, versionExists, d.schema).Scan(&there); err != nil || !there {
		return 0, err
	}
	if err := conn.QueryRow(ctx, d.own(readVersion)).Scan(&version); err != nil {
		return 0, err
	}
	if version > len(migrations) {
		return 0, fmt.Errorf("it has version %d, and this library knows %d: use the newer library", version, len(migrations))
	}
	return version, nil
}

func (d *Destination) migrateIn(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, takeTurn, d.schema); err != nil {
		return err
	}
	var there bool
	if err := conn.QueryRow(ctx, schemaExists, d.schema).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := conn.Exec(ctx, d.own("CREATE SCHEMA {schema}")); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, d.own(makeVersions)); err != nil {
		return err
	}
	version, err := d.version(ctx, conn) // somebody else's turn may have been before
	if err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		if _, err := conn.Exec(ctx, d.own(migrations[version])); err != nil {
			return fmt.Errorf("to version %d: %w", version+1, err)
		}
		if _, err := conn.Exec(ctx, d.own(addVersion), version+1); err != nil {
			return err
		}
	}
	return nil
}

// pruneSome removes so few rows at a time that nobody has to wait for it.
const pruneSome = `
DELETE FROM {schema}.delivered_batches
WHERE  ctid = ANY (ARRAY (
           SELECT old.ctid FROM {schema}.delivered_batches old
           WHERE  old.delivered_at < $1
           AND    NOT EXISTS (
                      SELECT FROM {schema}.delivered_batches young
                      WHERE  young.execution_id = old.execution_id AND young.delivered_at >= $1)
           LIMIT 10000))`

// Prune forgets the Batches that were delivered before a time, and returns how many these were. One of them that is
// delivered again is written again: keep markers for longer than an execution can be retried. The markers of an execution go
// together: while one of its chunks is younger, all of them stay.
func (d *Destination) Prune(ctx context.Context, before time.Time) (pruned int64, err error) {
	for {
		var some int64
		err := d.db.with(ctx, func(conn *pgx.Conn) error {
			tag, err := conn.Exec(ctx, d.own(pruneSome), before)
			some = tag.RowsAffected()
			return err
		})
		if err != nil {
			return pruned, fmt.Errorf("prune markers: %w", err)
		}
		if pruned += some; some == 0 {
			return pruned, nil
		}
	}
}
