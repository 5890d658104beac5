package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/destinationtest"
	"github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect returns a pool on a database, as a host has it.
func connect(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// newDestination returns a Destination on a pool, with its own tables.
func newDestination(t testing.TB, pool *pgxpool.Pool, options ...postgres.Option) *postgres.Destination {
	t.Helper()
	d, err := postgres.New(pool, options...)
	require.NoError(t, err)
	require.NoError(t, d.Migrate(t.Context()))
	return d
}

// open returns a Destination on a database of its own that was made by statements.
func open(t testing.TB, setup string, options ...postgres.Option) (*postgres.Destination, *pgxpool.Pool) {
	t.Helper()
	pool := connect(t, pgtest.Database(t))
	execute(t, pool, setup)
	return newDestination(t, pool, options...), pool
}

func execute(t testing.TB, pool *pgxpool.Pool, statement string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// query returns the rows of a statement, each with its values as text and a space between them.
func query(t testing.TB, pool *pgxpool.Pool, statement string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), statement)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return strings.TrimSuffix(fmt.Sprintln(values...), "\n"), err
	})
	require.NoError(t, err)
	return all
}

// as returns a pool on pool's database of a role that was made for it, with the rights that grants gives to %[1]s.
func as(t testing.TB, pool *pgxpool.Pool, grants string) *pgxpool.Pool {
	t.Helper()
	role := fmt.Sprintf("limited_%d", time.Now().UnixNano())
	execute(t, pool, "CREATE ROLE "+role)
	t.Cleanup(func() {
		_, err := pool.Exec(context.Background(), fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role))
		assert.NoError(t, err)
	})
	execute(t, pool, fmt.Sprintf(`GRANT USAGE ON SCHEMA callsheet TO %[1]s;
		GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA callsheet TO %[1]s; `+grants, role))
	config := pool.Config()
	config.ConnConfig.RuntimeParams["role"] = role
	limited, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(limited.Close)
	return limited
}

func row(values ...any) callsheet.Record {
	var all []extract.Value
	for i := 0; i < len(values); i += 2 {
		all = append(all, extract.Value{Name: values[i].(string), Value: values[i+1]})
	}
	return extract.NewRecord(all...)
}

// batch is the first of an execution that is known by no other.
func batch(delivery callsheet.Delivery, records ...callsheet.Record) callsheet.Batch {
	return callsheet.Batch{Delivery: delivery, ScheduleID: "s", ExecutionID: uuid.NewString(), Attempt: 1, Fence: 1, Records: records}
}

func into(target string) callsheet.Delivery { return callsheet.Delivery{ID: "d", Target: target} }

func upsert(target string, key ...string) callsheet.Delivery {
	return callsheet.Delivery{ID: "d", Target: target, Mode: callsheet.Upsert, Key: key}
}

func ignore(target string, key ...string) callsheet.Delivery {
	return callsheet.Delivery{ID: "d", Target: target, Mode: callsheet.InsertIgnore, Key: key}
}

func deliver(t testing.TB, d callsheet.Destination, b callsheet.Batch) {
	t.Helper()
	require.NoError(t, d.Deliver(t.Context(), b))
}

// refused checks that a Batch cannot be delivered, now or later, and returns why.
func refused(t testing.TB, d callsheet.Destination, b callsheet.Batch) error {
	t.Helper()
	err := d.Deliver(t.Context(), b)
	var classified *callsheet.ClassifiedError
	require.ErrorAs(t, err, &classified)
	assert.Equal(t, callsheet.ClassPermanent, classified.Class)
	return err
}

func TestDestination(t *testing.T) {
	const (
		typed    = "seq serial, id text %s, text text, number numeric, flag boolean, object jsonb, list jsonb"
		verbatim = "seq serial, id text %s, text text, number json, flag boolean, object json, list json"
		asText   = "seq serial, id text %s, text text, number text, flag text, object text, list text"
	)
	for _, c := range []struct {
		name    string
		columns string // none: the Destination makes the table
		mode    callsheet.WriteMode
		harness destinationtest.Harness // what it declares
		options []postgres.Option
	}{
		{"typed", typed, "", destinationtest.Harness{ByValue: true}, nil},
		{"verbatim", verbatim, callsheet.Append, destinationtest.Harness{}, nil},
		{"text", asText, callsheet.Append, destinationtest.Harness{Text: true}, nil},
		{"set aside", typed, "", destinationtest.Harness{ByValue: true, TakesAll: true}, []postgres.Option{postgres.WithBadRows(postgres.SetAside)}},
		{"ignore", typed, callsheet.InsertIgnore, destinationtest.Harness{ByValue: true, Unordered: true}, nil},
		{"upsert", verbatim, callsheet.Upsert, destinationtest.Harness{Unordered: true}, nil},
		{"made", "", callsheet.Upsert, destinationtest.Harness{ByValue: true, Unordered: true}, []postgres.Option{postgres.WithCreateTable()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := connect(t, pgtest.Database(t))
			destinationtest.Run(t, func(t *testing.T) destinationtest.Harness {
				d := newDestination(t, pool, c.options...)
				deliveries, reads := [2]callsheet.Delivery{}, [2]func(*testing.T) []callsheet.Record{}
				for i, name := range []string{"Quakes %s", "rates"} {
					delivery := callsheet.Delivery{ID: fmt.Sprint("d", i), Target: "public." + name, Mode: c.mode}
					unique := ""
					if c.mode != "" && c.mode != callsheet.Append {
						delivery.Key, unique = []string{"id"}, "UNIQUE"
					}
					table := pgx.Identifier{"public", name}.Sanitize()
					execute(t, pool, "DROP TABLE IF EXISTS "+table)
					if c.columns == "" {
						b := batch(delivery)
						b.Fields = destinationtest.Fields
						deliver(t, d, b)
					} else {
						execute(t, pool, "CREATE TABLE "+table+" ("+fmt.Sprintf(c.columns, unique)+")")
					}
					deliveries[i] = delivery
					reads[i] = func(t *testing.T) []callsheet.Record { return read(t, pool, table, c.harness) }
				}
				h := c.harness
				h.Destination, h.NoNUL = d, true
				h.Delivery, h.Read, h.Other, h.ReadOther = deliveries[0], reads[0], deliveries[1], reads[1]
				h.Join = func(t *testing.T, deliver func(context.Context, any) error, commit bool) error {
					return join(t, pool, deliver, commit)
				}
				h.Reopen = func(t *testing.T) callsheet.Destination { return newDestination(t, pool, c.options...) }
				for _, target := range []string{"", "a.b.c", "pg_catalog.pg_class", strings.Repeat("x", 64), "a\x00b", "callsheet.delivered_batches"} {
					h.Invalid = append(h.Invalid, callsheet.Delivery{ID: "invalid", Target: target, Mode: c.mode, Key: deliveries[0].Key})
				}
				return h
			})
		})
	}
}

// join delivers in a transaction of its own, as a Store does in the one that records the execution.
func join(t *testing.T, pool *pgxpool.Pool, deliver func(ctx context.Context, conn any) error, commit bool) error {
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }() // after a commit it does nothing
	if err := deliver(t.Context(), tx.Conn()); err != nil || !commit {
		return err
	}
	return tx.Commit(t.Context())
}

// read returns the suite's records, where that counts in the order they were written.
func read(t *testing.T, pool *pgxpool.Pool, table string, h destinationtest.Harness) (all []callsheet.Record) {
	t.Helper()
	null, order := "'null'", "seq"
	if h.Text {
		null = `'""'`
	}
	if h.Unordered {
		order = "id"
	}
	columns := make([]string, len(destinationtest.Fields))
	for i, f := range destinationtest.Fields {
		columns[i] = fmt.Sprintf("coalesce(to_json(%s)::text, %s)", pgx.Identifier{f.Name}.Sanitize(), null)
	}
	rows, err := pool.Query(t.Context(), "SELECT ARRAY["+strings.Join(columns, ",")+"] FROM "+table+" ORDER BY "+order)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	require.NoError(t, err)
	for _, line := range lines {
		values := make([]extract.Value, len(line))
		for i, value := range line {
			doc, err := extract.Parse([]byte(value))
			require.NoError(t, err)
			values[i] = extract.Value{Name: destinationtest.Fields[i].Name, Value: doc.Value()}
		}
		all = append(all, extract.NewRecord(values...))
	}
	return all
}

func TestNew_TellsWhatIsWrong(t *testing.T) {
	_, err := postgres.Open(t.Context(), "host=/nowhere", postgres.WithSchema("pg_mine"), postgres.WithBadRows("drop"))
	faults := callsheet.ValidationErrors(err)
	require.Len(t, faults, 2)
	assert.Equal(t, "schema", faults[0].Field)
	assert.Equal(t, "bad_rows", faults[1].Field)
	_, err = postgres.Open(t.Context(), "postgres://user:geheim@[::1/x")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "geheim")
}

func TestOpen_OnEveryKindOfConnection(t *testing.T) {
	dsn := pgtest.Database(t)
	pool := connect(t, dsn)
	execute(t, pool, "CREATE TABLE t (n integer)")
	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer db.Close()
	fromPool := stdlib.OpenDBFromPool(pool)
	defer fromPool.Close()

	own, err := postgres.Open(t.Context(), dsn, postgres.WithMigration())
	require.NoError(t, err)
	defer own.Close()
	b := batch(into("t"), row("n", 1))
	deliver(t, own, b)
	for _, db := range []*sql.DB{db, fromPool} {
		d, err := postgres.NewDB(db)
		require.NoError(t, err)
		deliver(t, d, b)
		b.ExecutionID += "x"
		deliver(t, d, b)
		err = d.Deliver(t.Context(), batch(into("t"), row("n", "x")))
		assert.ErrorContains(t, err, "not a whole number")
		require.NoError(t, d.Close())
		require.NoError(t, db.PingContext(t.Context()), "Close leaves what is the host's alone")
	}
	assert.Equal(t, []string{"3"}, query(t, pool, "SELECT count(*) FROM t"))
	assert.Equal(t, postgres.DefaultSchema, query(t, pool, "SELECT nspname::text FROM pg_namespace WHERE nspname = 'callsheet'")[0])
}

func TestDeliver_WithoutMigrationSaysSoAndMayBeTriedAgain(t *testing.T) {
	pool := connect(t, pgtest.Database(t))
	execute(t, pool, "CREATE TABLE t (n integer)")
	d, err := postgres.New(pool)
	require.NoError(t, err)
	b := batch(into("t"), row("n", 1))
	err = d.Deliver(t.Context(), b)
	assert.ErrorContains(t, err, "call Migrate")
	assert.NotEqual(t, callsheet.ClassPermanent, callsheet.Classify(err))
	require.NoError(t, d.Migrate(t.Context()))
	deliver(t, d, b)
}

func TestDeliver_AFenceThatWasSeenRefusesSmallerOnesInEveryChunk(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer)")
	b := batch(into("t"), row("n", 0))
	deliver(t, d, b)
	next := b
	next.Attempt, next.Fence = 2, 2
	deliver(t, d, next) // is there, and leaves its fence

	late := b
	late.Chunk, late.Records = 1, []callsheet.Record{row("n", 1)}
	for _, b := range []callsheet.Batch{b, late} {
		err := d.Deliver(t.Context(), b)
		assert.ErrorIs(t, err, callsheet.ErrStaleFence)
		assert.Equal(t, callsheet.ClassLostWorker, callsheet.Classify(err))
	}
	late.Attempt, late.Fence = 2, 2
	deliver(t, d, late)
	assert.Equal(t, []string{"0", "1"}, query(t, pool, "SELECT n FROM t ORDER BY n"))
	assert.Equal(t, []string{"0 2 1 2", "1 2 2 1"}, query(t, pool, "SELECT chunk, fence, attempt, deliveries FROM callsheet.delivered_batches ORDER BY chunk"))
}

func TestDeliverTx_CommitsWithTheCallersRows(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer UNIQUE); CREATE TABLE mine (n integer)")
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	first, second := batch(upsert("t", "n"), row("n", 1)), batch(upsert("t", "n"), row("n", 2))
	assert.ErrorContains(t, d.DeliverTx(t.Context(), conn.Conn(), first), "not in a transaction")

	inTx := func(end func(pgx.Tx) error) {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "INSERT INTO mine VALUES (1)")
		require.NoError(t, err)
		for _, b := range []callsheet.Batch{first, second, first} {
			require.NoError(t, d.DeliverTx(t.Context(), tx.Conn(), b))
		}
		require.NoError(t, end(tx))
	}
	count := func() string {
		return query(t, pool, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM mine)")[0]
	}
	inTx(func(tx pgx.Tx) error { return tx.Rollback(t.Context()) })
	assert.Equal(t, "0 0", count())
	inTx(func(tx pgx.Tx) error { return tx.Commit(t.Context()) })
	assert.Equal(t, "2 1", count())
	deliver(t, d, first)
	assert.Equal(t, "2 1", count())

	// By way of database/sql.
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	sqlConn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer sqlConn.Close()
	tx, err := sqlConn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, sqlConn.Raw(func(c any) error {
		return d.DeliverTx(t.Context(), c.(*stdlib.Conn).Conn(), batch(into("t"), row("n", 3)))
	}))
	require.NoError(t, tx.Commit())
	assert.Equal(t, "3 1", count())
}

// Upserts of the same keys in different orders would deadlock, if they were not put in order.
func TestDeliver_ManyAtOnceOnTheSameKeys(t *testing.T) {
	for _, delivery := range []callsheet.Delivery{upsert("t", "id"), ignore("t", "id")} {
		t.Run(string(delivery.Mode), func(t *testing.T) {
			const rounds, keys = 3, 2000
			d, pool := open(t, "CREATE TABLE t (id integer PRIMARY KEY, of text)")
			for round := range rounds {
				var workers sync.WaitGroup
				for worker := range 8 {
					var records []callsheet.Record
					for _, i := range rand.Perm(keys) {
						records = append(records, row("id", keys*round+i, "of", fmt.Sprint(worker)))
					}
					workers.Go(func() { assert.NoError(t, d.Deliver(context.Background(), batch(delivery, records...))) })
				}
				workers.Wait()
			}
			assert.Equal(t, []string{fmt.Sprint(rounds*keys, " ", rounds*keys)}, query(t, pool, "SELECT count(*), count(of) FROM t"))
			assert.Equal(t, []string{fmt.Sprint(rounds * 8)}, query(t, pool, "SELECT count(*) FROM callsheet.delivered_batches"))
			pool.Reset() // a connection that ends has told all that it counted
			assert.Equal(t, []string{"0"}, query(t, pool, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
		})
	}
}
