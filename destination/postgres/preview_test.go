package postgres_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/extract"
)

func preview(t *testing.T, d *postgres.Destination, b callsheet.Batch) callsheet.Preview {
	t.Helper()
	p, err := d.Preview(t.Context(), b)
	require.NoError(t, err)
	return p
}

func TestPreview_CountsByMode(t *testing.T) {
	const setup = `
		CREATE TABLE t (id integer PRIMARY KEY, text text, doc json, n numeric DEFAULT 7, other integer UNIQUE);
		INSERT INTO t (id, text, doc, n) VALUES (1, 'one', '{"a":1}', 1.0), (2, 'two', NULL, 2)`
	d, pool := open(t, setup)
	before := query(t, pool, "SELECT * FROM t")
	one := func(id int, text any) callsheet.Record { return row("id", id, "text", text) }
	for name, c := range map[string]struct {
		delivery callsheet.Delivery
		records  []callsheet.Record
		want     callsheet.Preview
	}{
		"append adds all": {into("t"), []callsheet.Record{one(3, "x"), one(4, nil)}, callsheet.Preview{Inserted: 2}},
		"an append of a key that is there fails": {into("t"), []callsheet.Record{one(3, "x"), one(1, "y")},
			callsheet.Preview{Inserted: 1, Rejected: 1, Fails: true}},
		"insert_ignore leaves out what is there, and the second with a key": {ignore("t", "id"),
			[]callsheet.Record{one(1, "x"), one(3, "x"), one(3, "y"), one(4, "z")}, callsheet.Preview{Inserted: 2, Ignored: 2}},
		"insert_ignore by any unique index": {ignore("t"),
			[]callsheet.Record{one(2, "x"), row("id", 3, "other", 1), row("id", 4, "other", 1)}, callsheet.Preview{Inserted: 1, Ignored: 2}},
		"upsert tells equal rows from others": {upsert("t", "id"),
			[]callsheet.Record{one(1, "one"), one(2, "zwei"), one(3, "drei"), one(3, "three")},
			callsheet.Preview{Inserted: 1, Updated: 1, Unchanged: 1, Ignored: 1}},
		"upsert compares null": {upsert("t", "id"), []callsheet.Record{one(1, nil)}, callsheet.Preview{Updated: 1}},
		"upsert compares types without equality, and numbers by their digits": {upsert("t", "id"),
			[]callsheet.Record{row("id", 1, "doc", row("a", 1), "n", json.Number("1.0")), row("id", 2, "doc", nil, "n", json.Number("2.0"))},
			callsheet.Preview{Updated: 1, Unchanged: 1}},
		"upsert of nothing but keys": {upsert("t", "id"), []callsheet.Record{row("id", 1), row("id", 9)}, callsheet.Preview{Inserted: 1, Unchanged: 1}},
		"a null in the key does not fit": {upsert("t", "id"), []callsheet.Record{one(1, "x"), row("id", nil, "text", "x")},
			callsheet.Preview{Updated: 1, Rejected: 1, Fails: true}},
		"nothing": {upsert("t", "id"), nil, callsheet.Preview{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := preview(t, d, batch(c.delivery, c.records...))
			assert.Len(t, p.Problems, c.want.Rejected)
			p.Problems = nil
			assert.Equal(t, c.want, p)
		})
	}
	assert.Equal(t, before, query(t, pool, "SELECT * FROM t"))
	assert.Empty(t, query(t, pool, "SELECT FROM callsheet.delivered_batches"))
}

func TestPreview_SaysWhyRecordsDoNotFit(t *testing.T) {
	d, pool := open(t, `CREATE TABLE t (n integer CHECK (n < 10), day date)`, postgres.WithBadRows(postgres.SetAside))
	p := preview(t, d, batch(into("t"), row("n", "x"), row("n", 1), row("n", 12), row("n", 2, "day", "2026-02-30")))
	assert.Equal(t, callsheet.Preview{Inserted: 1, Rejected: 3, Problems: p.Problems}, p, "they would be set aside")
	require.Len(t, p.Problems, 3)
	assert.Contains(t, p.Problems[0], `record 0: column "n"`)
	assert.Contains(t, p.Problems[1], `record 2: ERROR: new row for relation "t" violates check constraint`)
	assert.Contains(t, p.Problems[2], `record 3: ERROR: date/time field value out of range`)
	assert.Empty(t, query(t, pool, "SELECT FROM t"))
	assert.Empty(t, query(t, pool, "SELECT FROM callsheet.rejected_records"))
}

func TestPreview_FindsWhatWouldFailTheCommit(t *testing.T) {
	d, _ := open(t, `CREATE TABLE t (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)`, postgres.WithBadRows(postgres.SetAside))
	p := preview(t, d, batch(into("t"), row("n", 1), row("n", 1)))
	assert.True(t, p.Fails)
	require.Len(t, p.Problems, 1)
	assert.Contains(t, p.Problems[0], "duplicate key")
}

func TestPreview_OfATableThatWouldBeMade(t *testing.T) {
	d, pool := open(t, "CREATE SCHEMA other", postgres.WithCreateTable())
	fields := []callsheet.Field{{Name: "id", Path: "$.id", Type: extract.Integer}, {Name: "at", Path: "$.at", Type: extract.Time}}
	for _, target := range []string{"made", "other.made"} {
		b := batch(upsert(target, "id"), row("id", 1, "at", time.Now()), row("id", 2), row("id", 2), row("id", "x"))
		b.Fields = fields
		p := preview(t, d, b)
		assert.Equal(t, callsheet.Preview{Inserted: 2, Ignored: 1, Rejected: 1, Fails: true, Creates: true, Problems: p.Problems}, p)
	}
	assert.Empty(t, query(t, pool, "SELECT FROM pg_class WHERE relname IN ('made', 'callsheet_preview', 'callsheet_incoming')"))

	for _, b := range []callsheet.Batch{batch(into("nowhere.made"), row("n", 1)), batch(into("made"), row("n", 1))} {
		b.Fields = []callsheet.Field{{Name: "n", Path: "$.n"}}
		if b.Delivery.Target == "made" {
			b.Fields = nil
		}
		_, err := d.Preview(t.Context(), b)
		var classified *callsheet.ClassifiedError
		require.ErrorAs(t, err, &classified)
		assert.Equal(t, callsheet.ClassPermanent, classified.Class)
		assert.Equal(t, err.Error(), refused(t, d, b).Error(), "as Deliver says it")
	}
}

func TestPreview_ReturnsWhatDeliverWould(t *testing.T) {
	d, _ := open(t, `CREATE TABLE t (n integer); CREATE UNLOGGED TABLE fast (n integer); CREATE VIEW v AS SELECT * FROM t`)
	for _, b := range []callsheet.Batch{
		batch(into("missing"), row("n", 1)), batch(into("t"), row("m", 1)), batch(into("fast"), row("n", 1)),
		batch(into("v"), row("n", 1)), batch(upsert("t", "n"), row("n", 1)),
	} {
		_, err := d.Preview(t.Context(), b)
		require.Error(t, err)
		assert.Equal(t, refused(t, d, b).Error(), err.Error())
	}
}

func TestPreview_NeedsNoTablesOfItsOwn(t *testing.T) {
	d, pool := open(t, `CREATE TABLE t (n integer)`)
	execute(t, pool, "DROP SCHEMA callsheet CASCADE")
	assert.Equal(t, 1, preview(t, d, batch(into("t"), row("n", 1))).Inserted)
}

func TestPreview_DoesNotWaitLongNorHoldUpWriters(t *testing.T) {
	d, pool := open(t, `CREATE TABLE t (n integer PRIMARY KEY)`)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), "LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	started := time.Now()
	_, err = d.Preview(t.Context(), batch(into("t"), row("n", 1)))
	require.ErrorContains(t, err, "lock timeout")
	assert.Less(t, time.Since(started), 8*time.Second)
	require.NoError(t, tx.Rollback(t.Context()))

	// What it wrote is nobody's business when it has returned, and its limits are not the session's.
	preview(t, d, batch(into("t"), row("n", 1)))
	execute(t, pool, "SET lock_timeout = 1000; INSERT INTO t VALUES (1)")
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	var limit string
	require.NoError(t, conn.QueryRow(t.Context(), "SHOW statement_timeout").Scan(&limit))
	assert.Equal(t, "0", limit)
}

func TestPreview_TakesTheNumbersOfSequences(t *testing.T) {
	d, pool := open(t, `CREATE TABLE t (id serial, n integer)`)
	preview(t, d, batch(into("t"), row("n", 1), row("n", 2)))
	deliver(t, d, batch(into("t"), row("n", 3)))
	assert.Equal(t, []string{"3 3"}, query(t, pool, "SELECT id, n FROM t"), "as its documentation says")
}

func TestPreview_OfMany(t *testing.T) {
	d, _ := open(t, `CREATE TABLE t (n integer PRIMARY KEY CHECK (n % 100 <> 0))`)
	b := batch(upsert("t", "n"))
	for i := range 5000 {
		b.Records = append(b.Records, row("n", i))
	}
	p := preview(t, d, b)
	assert.Equal(t, 4950, p.Inserted)
	assert.Equal(t, 50, p.Rejected)
	assert.Len(t, p.Problems, callsheet.MaxPreviewProblems)
}
