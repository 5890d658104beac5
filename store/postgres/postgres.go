// Package postgres keeps everything in a PostgreSQL database, from 13 on: a [callsheet.Store] that several nodes share.
//
//	store, err := postgres.Open(ctx, os.Getenv("DATABASE_URL"), postgres.WithMigrate())
//
// or, in a database that the host has open anyway,
//
//	store, err := postgres.New(ctx, db)           // a *sql.DB over pgx's stdlib; of a *sqlx.DB its DB
//	store, err := postgres.NewFromPool(ctx, pool) // a *pgxpool.Pool
//
// What the host hands over stays the host's, and is not closed.
//
// # The schema
//
// All tables are in one schema, "callsheet" unless [WithSchema] names another; several may be in one database. [Migrate], or
// [WithMigrate] on opening, makes it and brings it up to date; ten nodes may do so at once. People who
// apply migrations by hand find them as files in store/postgres/migrations. A schema that is older than this version
// of the library needs, or newer than it knows, is refused when it is opened.
//
// # Promises
//
// Everything that [callsheet.Store] promises, whichever node asks. Times are by the database's clock. A transaction that
// the database undid for the sake of another, by a deadlock or a failed serialization, is tried again a few times.
//
// When the connection breaks while a transaction is being committed, nobody knows whether it was: the error says
// that it failed, and it may have been done. A Scheduler minds that: what it finishes twice is finished once.
//
// # What it does not do
//
// It does not notice when the database's clock is set: leases and delays are times, and move with it. It holds
// back nobody who writes into its tables by hand. A pooler that hands each statement to another server (PgBouncer in statement mode)
// cannot be used; with one that does so for each transaction, set default_query_exec_mode=exec in the connection string.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/sqlstore"
)

// DefaultSchema is the schema that the tables are in unless [WithSchema] names another.
const DefaultSchema = "callsheet"

// maxName is how long a name may be in PostgreSQL, in bytes. It cuts longer ones without a word.
const maxName = 63

var (
	// ErrNotMigrated is returned for a schema that is not there, or older than this version of the library needs.
	ErrNotMigrated = sqlstore.ErrNotMigrated
	// ErrNewer is returned for a schema that a newer version of the library has migrated.
	ErrNewer = sqlstore.ErrNewer
)

//go:embed migrations
var files embed.FS

// A Store keeps everything in PostgreSQL. Make one with [Open], [New] or [NewFromPool].
type Store struct {
	*sqlstore.Store
	close    func() error
	database any // what the host opened
}

var _ callsheet.JointStore = (*Store)(nil)

// Database implements [callsheet.JointStore]: the *sql.DB given to [New], or the *pgxpool.Pool given to [NewFromPool].
func (s *Store) Database() any { return s.database }

// An Option changes a default of [Open], [New], [NewFromPool] and [Migrate].
type Option func(*settings)

type settings struct {
	schema  string
	migrate bool
}

// WithSchema names the schema that the tables are in. Any name that PostgreSQL takes will do.
func WithSchema(name string) Option { return func(s *settings) { s.schema = name } }

// WithMigrate migrates the schema before it is used.
func WithMigrate() Option { return func(s *settings) { s.migrate = true } }

// Open connects to a database. What it opens, [Store.Close] closes.
func Open(ctx context.Context, dsn string, opts ...Option) (*Store, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	if _, ok := config.RuntimeParams["plan_cache_mode"]; !ok {
		// A plan made while a table was small would be kept when it has grown.
		config.RuntimeParams["plan_cache_mode"] = "force_custom_plan"
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxIdleConns(maxConns)
	db.SetMaxOpenConns(maxConns)
	db.SetConnMaxIdleTime(time.Minute)
	store, err := open(ctx, db, db.Close, opts)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return store, nil
}

// maxConns is how many connections a Store opens at most where the host hands over none.
const maxConns = 10

// New returns a Store in a database that the host has opened, through pgx's stdlib.
func New(ctx context.Context, db *sql.DB, opts ...Option) (*Store, error) {
	store, err := open(ctx, db, func() error { return nil }, opts)
	if err != nil {
		return nil, err
	}
	store.database = db
	return store, nil
}

// NewFromPool returns a Store in a database that the host has opened.
func NewFromPool(ctx context.Context, pool *pgxpool.Pool, opts ...Option) (*Store, error) {
	db := stdlib.OpenDBFromPool(pool) // which leaves the pool open when it is closed
	store, err := open(ctx, db, db.Close, opts)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	store.database = pool
	return store, nil
}

func open(ctx context.Context, db *sql.DB, closing func() error, opts []Option) (*Store, error) {
	s, err := settled(opts)
	if err != nil {
		return nil, err
	}
	d := dialect(s.schema)
	if s.migrate {
		err = sqlstore.Migrate(ctx, db, d)
	} else {
		err = sqlstore.Check(ctx, db, d)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store in schema %q: %w", s.schema, err)
	}
	return &Store{Store: sqlstore.New(db, db, d), close: closing}, nil
}

// Close closes what [Open] opened. It waits for calls that are under way.
func (s *Store) Close() error { return s.close() }

// Migrate makes the schema, or brings it up to date. It may be called by many at once.
func Migrate(ctx context.Context, db *sql.DB, opts ...Option) error {
	s, err := settled(opts)
	if err != nil {
		return err
	}
	return sqlstore.Migrate(ctx, db, dialect(s.schema))
}

func settled(opts []Option) (settings, error) {
	s := settings{schema: DefaultSchema}
	for _, opt := range opts {
		opt(&s)
	}
	if s.schema == "" || len(s.schema) > maxName || !utf8.ValidString(s.schema) || strings.Contains(s.schema, "\x00") {
		return s, fmt.Errorf("schema %q: a name must have 1 to %d bytes of UTF-8, without NUL", s.schema, maxName)
	}
	return s, nil
}

func dialect(schema string) sqlstore.Dialect {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	quoted := pgx.Identifier{schema}.Sanitize()
	return sqlstore.Dialect{
		Driver: "pgx",
		Translate: func(text string) string {
			return sqlstore.ReplaceRecordset(strings.ReplaceAll(text, "callsheet.", quoted+"."), unnested)
		},
		Time:       func(t time.Time) any { return t },
		List:       func(ids []string) any { return ids },
		Rows:       sqlstore.Recordset.Arrays,
		Again:      again,
		Patience:   `SELECT set_config('lock_timeout', ?, true)`,
		Impatient:  impatient,
		Migrations: migrations,
		Prepare:    func(ctx context.Context, tx *sql.Tx) error { return prepare(ctx, tx, schema) },
		There: func(ctx context.Context, db sqlstore.Querier) (there bool, err error) {
			const query = `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'meta')`
			err = db.QueryRowContext(ctx, query, schema).Scan(&there)
			return there, err
		},
	}
}

// unnested writes a recordset as one parameter for each column.
func unnested(alias string, columns []sqlstore.Column) string {
	names, params := make([]string, len(columns)), make([]string, len(columns))
	for i, column := range columns {
		names[i], params[i] = column.Name, "?::"+column.Type+"[]"
	}
	return "unnest(" + strings.Join(params, ", ") + ") AS " + alias + " (" + strings.Join(names, ", ") + ")"
}

// prepare makes the schema. Of ten nodes that start at once nine wait here until the first has migrated.
func prepare(ctx context.Context, tx *sql.Tx, schema string) error {
	const lock = `SELECT pg_advisory_xact_lock(hashtextextended('callsheet migrations of ' || $1::text, 0))`
	if _, err := tx.ExecContext(ctx, lock, schema); err != nil {
		return err
	}
	// Not CREATE SCHEMA IF NOT EXISTS: it asks for the right to create schemas also where there is nothing to do.
	const query = `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)`
	var there bool
	if err := tx.QueryRowContext(ctx, query, schema).Scan(&there); err != nil || there {
		return err
	}
	_, err := tx.ExecContext(ctx, `CREATE SCHEMA `+pgx.Identifier{schema}.Sanitize())
	return err
}

// again reports whether PostgreSQL undid a transaction for the sake of another.
func again(err error) bool {
	fault, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (fault.Code == "40001" || fault.Code == "40P01") // serialization failure, deadlock
}

// impatient reports whether a statement ended because it waited for a lock for too long.
func impatient(err error) bool {
	fault, ok := errors.AsType[*pgconn.PgError](err)
	return ok && fault.Code == "55P03" // lock not available
}
