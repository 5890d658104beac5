package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callsheet-go/callsheet"
)

// A Destination writes to the tables of one database.
type Destination struct {
	db          database
	schema      string // of the Destination's own tables
	migrate     bool   // before the first delivery
	migrated    atomic.Bool
	createTable bool
	badRows     BadRows
}

var (
	_ callsheet.TargetChecker = (*Destination)(nil)
	_ callsheet.Previewer     = (*Destination)(nil)
)

// DefaultSchema is where the Destination keeps its own tables.
const DefaultSchema = "callsheet"

// BadRows says what becomes of a Batch in which some records do not fit the table.
type BadRows string

const (
	// Fail: the Batch is not delivered, and its execution is not tried again. It is the default.
	Fail BadRows = "fail"
	// SetAside: they are kept in the table rejected_records with the reason, and the others are delivered.
	SetAside BadRows = "set_aside"
)

// An Option changes how a Destination works.
type Option func(*Destination)

// WithSchema names the schema of the Destination's own tables, which is [DefaultSchema] without it. No
// Delivery can write there.
func WithSchema(name string) Option { return func(d *Destination) { d.schema = name } }

// WithMigration calls [Destination.Migrate] before the first delivery.
func WithMigration() Option { return func(d *Destination) { d.migrate = true } }

// WithCreateTable makes a table that is not there when the first Batch is delivered to it, with a column for
// each field of the Extract. A table that is there is never changed.
func WithCreateTable() Option { return func(d *Destination) { d.createTable = true } }

// WithBadRows says what becomes of records that do not fit, which is [Fail] without it.
func WithBadRows(b BadRows) Option { return func(d *Destination) { d.badRows = b } }

// New returns a Destination that takes its connections from a pool of the host's.
func New(pool *pgxpool.Pool, options ...Option) (*Destination, error) {
	return newOn(hostPool{pool}, options)
}

// NewDB returns a Destination that takes its connections from a database of the host's, which was opened
// with the driver "pgx" (github.com/jackc/pgx/v5/stdlib).
func NewDB(db *sql.DB, options ...Option) (*Destination, error) { return newOn(hostDB{db}, options) }

// Open returns a Destination with a pool of its own, which Close closes. It connects when it is used.
func Open(ctx context.Context, dsn string, options ...Option) (*Destination, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	d, err := newOn(ownPool{hostPool{pool}}, options)
	if err != nil {
		pool.Close()
	}
	return d, err
}

func newOn(db database, options []Option) (*Destination, error) {
	d := &Destination{db: db, schema: DefaultSchema, badRows: Fail}
	for _, option := range options {
		option(d)
	}
	var faults []error
	for _, rule := range brokenSchemaRules(d.schema) {
		faults = append(faults, &callsheet.ValidationError{Field: "schema", Value: d.schema, Rule: rule})
	}
	if d.badRows != Fail && d.badRows != SetAside {
		faults = append(faults, &callsheet.ValidationError{Field: "bad_rows", Value: string(d.badRows), Rule: `must be "fail" or "set_aside"`})
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return d, nil
}

// Close gives back what [Open] opened. It leaves what is the host's alone.
func (d *Destination) Close() error {
	d.db.close()
	return nil
}

// Promise is [callsheet.ExactlyOnce].
func (d *Destination) Promise() callsheet.Promise { return callsheet.ExactlyOnce }

// Validate takes a target "table" or "schema.table", the modes Append, InsertIgnore and Upsert, and for the
// last two a key. The rules are part of the errors it returns.
func (d *Destination) Validate(delivery callsheet.Delivery) error {
	_, err := d.parseTarget(delivery)
	return err
}

const (
	maxTries = 3                // of a transaction that lost against others, or its connection
	grace    = 10 * time.Second // for what has to be done also when the context has ended
)

// Deliver writes the Batch and its marker in one transaction.
//
// What is wrong with the records, the table or the rights on it is a [callsheet.ClassifiedError] with
// [callsheet.ClassPermanent]. A Batch whose Fence is smaller than one that was seen for its execution is
// refused with [callsheet.ErrStaleFence]. Other errors are for trying again.
func (d *Destination) Deliver(ctx context.Context, b callsheet.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := d.prepare(b)
	if err != nil {
		return err
	}
	if err := d.migrateOnce(ctx); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err = d.deliver(ctx, t, b)
		if err == nil || ctx.Err() != nil || try == maxTries || !passes(err) {
			break
		}
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	return t.explain(err)
}

// migrateOnce migrates before the first delivery, if that was wished for.
func (d *Destination) migrateOnce(ctx context.Context) error {
	if !d.migrate || d.migrated.Load() {
		return nil
	}
	if err := d.Migrate(ctx); err != nil {
		return err
	}
	d.migrated.Store(true)
	return nil
}

// DeliverTx writes the Batch and its marker in a transaction of the caller's, who commits them together with
// what else belongs to it, or rolls all of it back. Conn is in that transaction: the Conn of a pgx.Tx, or
// what [sql.Conn.Raw] gives. A Batch that was delivered before is no error and writes no records.
//
// After an error the transaction must be rolled back, or a savepoint from before the call. Whether a COMMIT whose
// answer was lost took place is for the caller to find out; until it is known the marker is held, and
// other deliveries of the Batch wait.
func (d *Destination) DeliverTx(ctx context.Context, conn *pgx.Conn, b callsheet.Batch) error {
	if conn.PgConn().TxStatus() != 'T' {
		return errors.New("deliver: the connection is not in a transaction that works")
	}
	t, err := d.prepare(b)
	if err != nil {
		return err
	}
	return t.explain(d.write(ctx, conn, t, b))
}

// prepare checks what can be checked of a Batch without the database.
func (d *Destination) prepare(b callsheet.Batch) (target, error) {
	t, err := d.parseTarget(b.Delivery)
	if err != nil {
		return target{}, permanent(err)
	}
	if b.ExecutionID == "" || strings.Contains(b.ExecutionID, "\x00") {
		return target{}, permanent(fmt.Errorf("execution ID %q: a batch cannot be known by it", b.ExecutionID))
	}
	return t, nil
}

// deliver tries a Batch once.
func (d *Destination) deliver(ctx context.Context, t target, b callsheet.Batch) error {
	return d.db.with(ctx, func(conn *pgx.Conn) error {
		// Whatever the host's default is: under a stricter level than this the one that waited for a marker
		// could not see it.
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
		if err != nil {
			return lostIf(conn, err)
		}
		if err := d.write(ctx, conn, t, b); err != nil {
			rollback(ctx, tx)
			return lostIf(conn, err)
		}
		if err := ctx.Err(); err != nil {
			rollback(ctx, tx)
			return err
		}
		return d.commit(ctx, tx, b)
	})
}

func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	_ = tx.Rollback(ctx) // if that fails the connection is closed, which does it too
}

// commit commits, and when it returns an error the Batch was not committed, or the error says that
// nobody knows.
func (d *Destination) commit(ctx context.Context, tx pgx.Tx, b callsheet.Batch) error {
	// From here on the end of ctx cannot take anything back: to break off would only lose the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := tx.Commit(ctx)
	if err == nil || answered(err) {
		return err
	}
	return d.settle(ctx, tx.Conn().Config(), b, err)
}

// write puts the Batch and its marker into the transaction that conn is in, unless it is delivered.
func (d *Destination) write(ctx context.Context, conn *pgx.Conn, t target, b callsheet.Batch) error {
	delivered, tbl, err := d.mark(ctx, conn, t, b)
	if err != nil || delivered {
		return err
	}
	if tbl.missing() && d.createTable {
		if tbl, err = d.create(ctx, conn, t, b.Fields); err != nil {
			return err
		}
	}
	names := columnNames(t, b)
	if faults := tbl.faults(t, names); len(faults) > 0 {
		return permanent(errors.Join(faults...))
	}
	rows, err := encode(tbl, names, t, b.Records)
	if err != nil {
		return permanent(err)
	}
	if len(rows.rejects) > 0 && d.badRows == Fail {
		return permanent(rows.failure())
	}
	w := writing{conn: conn, target: t, table: tbl, rows: rows}
	if d.badRows == SetAside {
		err = w.storeWhatFits(ctx, 0, rows.len())
	} else {
		err = w.store(ctx, 0, rows.len())
	}
	if err != nil || len(w.rows.rejects) == 0 {
		return err
	}
	return d.setAside(ctx, conn, b, w.rows.rejects)
}
