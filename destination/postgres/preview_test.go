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
	"github.com/callsheet-go/callsheet/store/memory"
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

func TestPreview_FindsAKeyThatIsACompositeOfNulls(t *testing.T) {
	d, _ := open(t, `
		CREATE TYPE pair AS (a integer, b integer);
		CREATE TABLE t (pair pair PRIMARY KEY);
		INSERT INTO t VALUES ('(,)')`)
	assert.Equal(t, callsheet.Preview{Inserted: 1, Unchanged: 1}, preview(t, d, batch(upsert("t", "pair"), row("pair", "(,)"), row("pair", "(1,)"))))
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

func TestPreview_ARightIsMissedAsDeliverWould(t *testing.T) {
	const noTemporary = `DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %%I FROM PUBLIC', current_database()); END $$;`
	for name, c := range map[string]struct {
		delivery  callsheet.Delivery
		grants    string
		preview   *callsheet.Preview
		noPreview string
		fails     string // with this, as Deliver does
	}{
		"a column that is written cannot be read": {upsert("t", "id"), "GRANT INSERT, UPDATE, SELECT (id) ON t TO %[1]s",
			nil, "permission denied for table t", "permission denied for table t"},
		"what is not written need not be read": {upsert("t", "id"), "GRANT INSERT, UPDATE, SELECT (id, text) ON t TO %[1]s",
			&callsheet.Preview{Inserted: 1, Updated: 1, Unchanged: 1}, "", ""},
		"nothing can be read, nor need be": {into("fresh"), "GRANT INSERT ON fresh TO %[1]s",
			&callsheet.Preview{Inserted: 3}, "", ""},
		"no temporary table in the place of one that would be made": {into("made"), noTemporary + "GRANT CREATE ON SCHEMA public TO %[1]s",
			nil, "a preview of a table that would be made takes the right to make temporary ones (TEMPORARY), which the role does not have", ""},
		"no temporary table for a merge": {ignore("t", "id"), noTemporary + "GRANT ALL ON t TO %[1]s",
			nil, "permission denied to create temporary tables", "permission denied to create temporary tables"},
		"no temporary table for a merge into one that would be made": {upsert("made", "id"), noTemporary + "GRANT CREATE ON SCHEMA public TO %[1]s",
			nil, "permission denied to create temporary tables", "permission denied to create temporary tables"},
		"no row can be added":       {into("t"), "GRANT SELECT ON t TO %[1]s", nil, "permission denied for table t", "permission denied for table t"},
		"no row can be replaced":    {upsert("t", "id"), "GRANT INSERT, SELECT ON t TO %[1]s", nil, "permission denied for table t", "permission denied for table t"},
		"the key cannot be read":    {upsert("t", "id"), "GRANT INSERT, UPDATE ON t TO %[1]s", nil, "permission denied for table t", "permission denied for table t"},
		"the schema cannot be used": {into("closed.t"), "GRANT ALL ON closed.t TO %[1]s", nil, "permission denied for schema closed", "permission denied for schema closed"},
		"no table can be made":      {into("made"), "", nil, `may not create a table in the schema "public"`, "permission denied for schema public"},
	} {
		t.Run(name, func(t *testing.T) {
			_, pool := open(t, `
				CREATE TABLE t (id integer PRIMARY KEY, text text, other text);
				INSERT INTO t VALUES (1, 'one', 'x'), (2, 'two', 'x');
				CREATE TABLE fresh (LIKE t);
				CREATE SCHEMA closed; CREATE TABLE closed.t (LIKE t)`)
			d := newDestination(t, as(t, pool, c.grants), postgres.WithCreateTable())
			sched, err := callsheet.New(memory.New(), callsheet.WithDestination("warehouse", d))
			require.NoError(t, err)
			c.delivery.Destination = "warehouse"
			fields := []callsheet.Field{{Name: "id", Path: "$.id", Type: extract.Integer}, {Name: "text", Path: "$.text", Type: extract.String}}
			report, err := sched.DryRun(t.Context(), callsheet.DryRunRequest{
				Source: &callsheet.Source{BaseURL: "http://api.example"}, Request: &callsheet.Request{Path: "/"},
				Extract: &callsheet.Extract{Records: "$[*]", Fields: fields}, Delivery: &c.delivery,
				AnswerBody: `[{"id":1,"text":"one"},{"id":2,"text":"zwei"},{"id":3,"text":"drei"}]`,
			})
			require.NoError(t, err)
			assert.Equal(t, c.preview, report.Preview)
			assert.Contains(t, report.NoPreview, c.noPreview)

			b := batch(c.delivery, row("id", 1, "text", "one"), row("id", 2, "text", "zwei"), row("id", 3, "text", "drei"))
			b.Fields = fields
			err = d.Deliver(t.Context(), b)
			if c.fails == "" {
				assert.Nil(t, report.Failure)
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, c.fails)
			if assert.NotNil(t, report.Failure, "as Deliver fails: %v", err) {
				assert.Equal(t, callsheet.ClassPermanent, report.Failure.Class)
			}
		})
	}
}

func TestPreview_WhatOnlyItsCountIsRefusedIsNoFailure(t *testing.T) {
	d, _ := open(t, `
		CREATE TYPE mood AS ENUM ('fine');
		CREATE FUNCTION said(mood) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'not to be said'; END $$;
		CREATE CAST (mood AS text) WITH FUNCTION said(mood);
		CREATE TABLE t (id integer PRIMARY KEY, mood mood);
		INSERT INTO t VALUES (1, 'fine')`)
	b := batch(upsert("t", "id"), row("id", 1, "mood", "fine"))
	_, err := d.Preview(t.Context(), b)
	require.ErrorContains(t, err, "not to be said")
	assert.NotEqual(t, callsheet.ClassPermanent, callsheet.Classify(err))
	deliver(t, d, b)
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
