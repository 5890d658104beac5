// Package sqlstore is the one implementation of [callsheet.Store] over SQL. store/postgres and store/file
// open it, each with the [Dialect] of its database.
//
// The SQL in here is PostgreSQL's; a Dialect for another database translates the few things that
// differ. Whatever is decided is decided by the pure functions of package callsheet: a method reads rows,
// applies them, and writes what they return.
//
// # Locks
//
// A transaction takes its locks in this order, so that none waits for another in a circle: the row
// of meta (whoever writes Definitions), rows of schedules by ID, rows of executions by ID, their answers,
// tallies by schedule, that of no schedule last.
// Whoever inserts an execution, ends one, or changes who waits has the lock of its schedule. Claim,
// Renew, Keep and Ring take those of executions only. A planner passes over schedules that are locked; where it
// waits for one that is late, it holds no other.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"github.com/callsheet-go/callsheet"
)

const (
	// defaultLimit is what a limit of zero means where no page is asked for.
	defaultLimit = 100

	// attempts is how often a transaction is tried that the database undid for the sake of another.
	attempts = 10
)

// A Dialect is what a database does in its own way.
type Dialect struct {
	// Driver is the name by which sqlx knows how the driver writes its parameters.
	Driver string
	// Translate turns PostgreSQL's SQL on the schema "callsheet" into the database's own, on the schema at hand.
	Translate func(sql string) string
	// Time returns a parameter for a time, and List one for what stands in "= ANY(?)".
	Time func(time.Time) any
	List func([]string) any
	// Rows returns the parameters for what a statement has as json_to_recordset(?), which Translate writes in such a way
	// that they fit.
	Rows func(r Recordset) ([]any, error)
	// Now is the clock; nil: the database's.
	Now func() time.Time
	// Again reports whether a transaction that ended with the error may work if it is tried again.
	Again func(error) bool
	// Patience is a statement that bounds how long the transaction waits for a lock, with milliseconds as text for its parameter, and
	// Impatient reports whether an error says that it did. Empty: no transaction waits for another's row.
	Patience  string
	Impatient func(error) bool

	// Migrations holds the files that make the schema, in the order of their names.
	Migrations fs.FS
	// Prepare makes the schema itself and sees to it that no other migrates it until the transaction
	// ends; nil: there is nothing to do.
	Prepare func(ctx context.Context, tx *sql.Tx) error
	// There reports whether the schema has its tables.
	There func(ctx context.Context, db Querier) (bool, error)
}

// A Querier is a database or a transaction.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A Store is a [callsheet.Store] in a database. It starts nothing and closes nothing.
type Store struct {
	dialect Dialect
	// writer and reader are the same, unless the database wants them apart.
	writer, reader *sqlx.DB
	statements     sync.Map // of type statement, by how they are written here
	known          catalog
}

var _ callsheet.Store = (*Store)(nil)

// New returns a Store over a database whose schema is there. See [Migrate] and [Check].
func New(writer, reader *sql.DB, d Dialect) *Store {
	return &Store{dialect: d, writer: sqlx.NewDb(writer, d.Driver), reader: sqlx.NewDb(reader, d.Driver)}
}

// Sources implements [callsheet.DefinitionStore].
func (s *Store) Sources() callsheet.Collection[callsheet.Source] {
	return collection[callsheet.Source, *callsheet.Source]{s, callsheet.KindSource}
}

// Requests implements [callsheet.DefinitionStore].
func (s *Store) Requests() callsheet.Collection[callsheet.Request] {
	return collection[callsheet.Request, *callsheet.Request]{s, callsheet.KindRequest}
}

// Extracts implements [callsheet.DefinitionStore].
func (s *Store) Extracts() callsheet.Collection[callsheet.Extract] {
	return collection[callsheet.Extract, *callsheet.Extract]{s, callsheet.KindExtract}
}

// Deliveries implements [callsheet.DefinitionStore].
func (s *Store) Deliveries() callsheet.Collection[callsheet.Delivery] {
	return collection[callsheet.Delivery, *callsheet.Delivery]{s, callsheet.KindDelivery}
}

// Schedules implements [callsheet.DefinitionStore].
func (s *Store) Schedules() callsheet.Collection[callsheet.Schedule] {
	return collection[callsheet.Schedule, *callsheet.Schedule]{s, callsheet.KindSchedule}
}

// A tx is a transaction, or one moment of the database to read at.
type tx struct {
	*sqlx.Tx
	store *Store
	ctx   context.Context
	conn  *sqlx.Conn // that the transaction has
}

// write runs run in a transaction. run may be run more than once: everything it makes is thrown away where the
// transaction is.
func (s *Store) write(ctx context.Context, doing string, run func(*tx) error) error {
	return s.transact(ctx, doing, s.writer, written, run)
}

// written are the options of a transaction that writes. Whoever has waited for a lock must see what its holder wrote, whatever
// the default of the host's connections is.
var written = &sql.TxOptions{Isolation: sql.LevelReadCommitted}

// read runs run at one moment of the database: what its statements see belongs together.
func (s *Store) read(ctx context.Context, doing string, run func(*tx) error) error {
	return s.transact(ctx, doing, s.reader, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}, run)
}

func (s *Store) transact(ctx context.Context, doing string, db *sqlx.DB, opts *sql.TxOptions, run func(*tx) error) error {
	return s.again(ctx, doing, func() error { return s.once(ctx, db, opts, run) })
}

// again runs a transaction until no other got in its way, a bounded number of times.
func (s *Store) again(ctx context.Context, doing string, once func() error) error {
	for attempt := 1; ; attempt++ {
		err := once()
		if err == nil || isAnswer(err) {
			return err
		}
		if ctx.Err() != nil || attempt == attempts || !errors.Is(err, errRaced) && !s.dialect.Again(err) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		pause := time.NewTimer(rand.N(time.Duration(attempt) * 10 * time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
		}
	}
}

// grace is how long a transaction may take to commit once its context has ended: whether it did is worth knowing.
const grace = 5 * time.Second

func (s *Store) once(ctx context.Context, db *sqlx.DB, opts *sql.TxOptions, run func(*tx) error) error {
	conn, err := db.Connx(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The statements end with ctx. COMMIT does not: it would be broken off, and take place all the same.
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	begun, err := conn.BeginTxx(lasting, opts)
	if err != nil {
		return err
	}
	defer func() { _ = begun.Rollback() }() // nothing, once it is committed; also when a callback panics
	if err := run(&tx{begun, s, ctx, conn}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return begun.Commit()
}

// An answer is an error that a caller is to get as it is: of his own callback, or of the contract.
type answer struct{ error }

func (a answer) Unwrap() error { return a.error }

func isAnswer(err error) bool {
	_, ok := err.(answer)
	return ok
}

// said returns an error as a caller is to get it.
func said(err error) error {
	if a, ok := err.(answer); ok {
		return a.error
	}
	return err
}

// A statement is one as the database takes it.
type statement struct {
	text    string
	columns []Column // of its recordset
}

func (s *Store) statement(text string) statement {
	if known, ok := s.statements.Load(text); ok {
		return known.(statement)
	}
	known := statement{text: s.writer.Rebind(s.dialect.Translate(text)), columns: columnsOf(text)}
	s.statements.Store(text, known)
	return known
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(text string, args ...any) (int, error) {
	known := t.store.statement(text)
	args, err := t.store.args(known, args)
	if err != nil {
		return 0, err
	}
	result, err := t.ExecContext(t.ctx, known.text, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// all reads all rows of a query into a slice.
func (t *tx) all(into any, query string, args ...any) error {
	known := t.store.statement(query)
	args, err := t.store.args(known, args)
	if err != nil {
		return err
	}
	return t.SelectContext(t.ctx, into, known.text, args...)
}

// one reads one row, or returns sql.ErrNoRows.
func (t *tx) one(into any, query string, args ...any) error {
	known := t.store.statement(query)
	args, err := t.store.args(known, args)
	if err != nil {
		return err
	}
	return t.GetContext(t.ctx, into, known.text, args...)
}

// args returns parameters as the database takes them: zero times are NULL, and what no text can be names nothing that
// is there.
func (s *Store) args(of statement, given []any) ([]any, error) {
	args := make([]any, 0, len(given))
	for _, arg := range given {
		switch arg := arg.(type) {
		case time.Time:
			args = append(args, s.time(arg))
		case limit:
			args = append(args, s.dialect.Time(time.Time(arg)))
		case string:
			args = append(args, plain(arg))
		case []string:
			texts := make([]string, len(arg))
			for i, text := range arg {
				texts[i] = plain(text)
			}
			args = append(args, s.dialect.List(texts))
		case records:
			rows, err := s.dialect.Rows(Recordset{of.columns, arg.slice})
			if err != nil {
				return nil, err
			}
			args = append(args, rows...)
		default:
			args = append(args, arg)
		}
	}
	return args, nil
}

// time returns a parameter for a time that may be zero.
func (s *Store) time(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return s.dialect.Time(t)
}

const clock = `SELECT clock_timestamp()`

// now reads the Store's clock. It is read when the locks are held, so that of two changes of a row the later
// one has the later time.
func (t *tx) now() (time.Time, error) {
	if t.store.dialect.Now != nil {
		return kept(t.store.dialect.Now()), nil
	}
	var now moment
	err := t.one(&now, clock)
	return now.Time, err
}

// A moment is a time in a row: NULL is the zero time.
type moment struct{ time.Time }

// Scan implements [sql.Scanner].
func (m *moment) Scan(value any) error {
	switch value := value.(type) {
	case nil:
		m.Time = time.Time{}
	case time.Time:
		m.Time = value.UTC()
	case int64:
		m.Time = time.UnixMicro(value).UTC()
	default:
		return fmt.Errorf("%T is no time", value)
	}
	return nil
}

// kept returns t as times are kept: in UTC, with microseconds, without a monotonic reading.
func kept(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func limitOf(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return limit
}
