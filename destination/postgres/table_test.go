package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/store/memory"
)

func TestValidate_TellsEveryFault(t *testing.T) {
	d, err := postgres.Open(t.Context(), "host=/nowhere")
	require.NoError(t, err)
	defer d.Close()
	for _, c := range []struct {
		delivery callsheet.Delivery
		fields   []string
	}{
		{callsheet.Delivery{Target: "t"}, nil},
		{callsheet.Delivery{Target: "s.t", Mode: callsheet.Append}, nil},
		{callsheet.Delivery{Target: "t", Mode: callsheet.InsertIgnore}, nil},
		{ignore("t", "a", "b"), nil},
		{upsert("t", "a"), nil},
		{upsert("t"), []string{"key"}},
		{upsert("t", "a", "a", ""), []string{"key", "key"}},
		{callsheet.Delivery{Target: "t", Key: []string{"a"}}, []string{"key"}},
		{callsheet.Delivery{Target: "callsheet.t", Mode: callsheet.PerExecution}, []string{"target", "mode"}},
		{callsheet.Delivery{Target: "pg_temp.a.b"}, []string{"target", "target"}},
		{callsheet.Delivery{Target: `"t"`}, []string{"target"}},
	} {
		var fields []string
		for _, f := range callsheet.ValidationErrors(d.Validate(c.delivery)) {
			fields = append(fields, f.Field)
		}
		assert.Equal(t, c.fields, fields, "%+v", c.delivery)
	}
}

func TestCheckTarget_ComparesFieldsAndKeyWithTheTable(t *testing.T) {
	d, pool := open(t, `CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, ok boolean, tags jsonb, twice bigint GENERATED ALWAYS AS (id * 2) STORED,
			own bigint GENERATED ALWAYS AS IDENTITY, a text, b text, UNIQUE (a, b));
		CREATE UNIQUE INDEX ON t (at) WHERE ok; CREATE UNIQUE INDEX ON t (ok) INCLUDE (tags);
		CREATE TABLE strict (id bigint, why text NOT NULL);
		CREATE VIEW v AS SELECT id FROM t; CREATE UNLOGGED TABLE fast (id bigint)`)
	fields := func(types ...any) *callsheet.Extract {
		x := &callsheet.Extract{ID: "x"}
		for i := 0; i < len(types); i += 2 {
			x.Fields = append(x.Fields, callsheet.Field{Name: types[i].(string), Path: "$.x", Type: types[i+1].(extract.Type)})
		}
		return x
	}
	several := fields("id", extract.Integer)
	several.Fields[0].Path = "$.ids[*]"
	for _, c := range []struct {
		name     string
		delivery callsheet.Delivery
		extract  *callsheet.Extract
		want     []string // parts of the faults
	}{
		{"all fits", upsert("t", "id"), fields("id", extract.Integer, "at", extract.Time, "ok", extract.Boolean, "tags", extract.JSON, "a", extract.Decimal), nil},
		{"values of any type may fit", into("t"), fields("id", extract.Type(""), "at", extract.String, "ok", extract.Type("")), nil},
		{"whole objects are looked at when they are delivered", upsert("public.t", "b", "a"), nil, nil},
		{"a unique index with other columns besides", ignore("t", "ok"), fields("ok", extract.Boolean), []string{"must not need the column \"id\""}},
		{"missing columns", into("t"), fields("id", extract.Integer, "ID", extract.Integer, "x", extract.String), []string{`must have a column "ID"; its columns are "id"`, `must have a column "x"`}},
		{"types", into("t"), fields("id", extract.Time, "at", extract.Integer, "ok", extract.JSON), []string{"takes values of the type time, not bigint", "integer, not timestamp with time zone", "json, not boolean"}},
		{"a path that gives lists", into("t"), several, []string{"type json, not bigint"}},
		{"columns that the table makes", into("t"), fields("id", extract.Integer, "twice", extract.Integer, "own", extract.Integer), []string{`make the column "twice"`, `make the column "own"`}},
		{"a key without an index", upsert("t", "a"), fields("id", extract.Integer, "a", extract.String), []string{"all columns of a unique index"}},
		{"a key with a partial index", upsert("t", "at"), fields("id", extract.Integer, "at", extract.Time), []string{"all columns of a unique index"}},
		{"a key that is no field", upsert("t", "a", "b"), fields("id", extract.Integer, "a", extract.String), []string{"must be a field"}},
		{"a column that nobody fills", into("strict"), fields("id", extract.Integer), []string{`need the column "why"`}},
		{"no table", into("nowhere"), fields("id", extract.Integer), []string{"must be a table that is there"}},
		{"a view", into("v"), fields("id", extract.Integer), []string{"must be a table: "}},
		{"an unlogged table", into("fast"), fields("id", extract.Integer), []string{"must not be unlogged"}},
		{"an invalid delivery", into("a.b.c"), nil, []string{`"schema.table"`}},
	} {
		before := catalog(t, pool)
		faults := callsheet.ValidationErrors(d.CheckTarget(t.Context(), c.delivery, c.extract))
		if assert.Len(t, faults, len(c.want), "%s: %v", c.name, faults) {
			for i, want := range c.want {
				assert.ErrorContains(t, faults[i], want, c.name)
				assert.Equal(t, callsheet.Ref{Kind: callsheet.KindDelivery, ID: "d"}, faults[i].Ref)
			}
		}
		assert.Equal(t, before, catalog(t, pool), "checking changes nothing")
	}
	makes := newDestination(t, pool, postgres.WithCreateTable())
	assert.NoError(t, makes.CheckTarget(t.Context(), upsert("nowhere", "id"), fields("id", extract.Integer)))
	for _, x := range []*callsheet.Extract{nil, fields("a\x00b", extract.Integer), fields("a", extract.Integer)} {
		assert.Error(t, makes.CheckTarget(t.Context(), upsert("nowhere", "id"), x))
	}
	assert.ErrorContains(t, refused(t, makes, batch(into("nowhere"), row("id", 1))), "an extract must have fields")
}

func TestCheckTarget_RefusesAScheduleWhenItIsDefined(t *testing.T) {
	d, _ := open(t, "CREATE TABLE t (id bigint)")
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("warehouse", d))
	require.NoError(t, err)
	sheet := callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
		Requests:   []callsheet.Request{{ID: "get", Source: "api", Path: "/"}},
		Extracts:   []callsheet.Extract{{ID: "rows", Fields: []callsheet.Field{{Name: "name", Path: "$.name"}}}},
		Deliveries: []callsheet.Delivery{{ID: "out", Destination: "warehouse", Target: "t"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "get", Extract: "rows", Delivery: "out"}},
	}
	assert.ErrorContains(t, sched.Define(t.Context(), sheet), `delivery "out": target "t": must have a column "name"; its columns are "id"`)
}

func TestCheckTarget_AServerThatIsDownIsNoFault(t *testing.T) {
	d, err := postgres.Open(t.Context(), "host=/nowhere")
	require.NoError(t, err)
	defer d.Close()
	err = d.CheckTarget(t.Context(), into("t"), nil)
	require.Error(t, err)
	assert.Empty(t, callsheet.ValidationErrors(err))
	err = d.Deliver(t.Context(), batch(into("t"), row("n", 1)))
	require.Error(t, err)
	assert.NotEqual(t, callsheet.ClassPermanent, callsheet.Classify(err))
}

func TestDeliver_ARoleThatMayNotConnectNowIsTriedAgain(t *testing.T) {
	_, pool := open(t, "CREATE TABLE t (n integer)")
	role := fmt.Sprintf("stranger_%d", time.Now().UnixNano())
	execute(t, pool, "CREATE ROLE "+role+" LOGIN; DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END $$")
	t.Cleanup(func() {
		_, err := pool.Exec(context.Background(), "DROP ROLE "+role)
		assert.NoError(t, err)
	})
	config := pool.Config()
	config.ConnConfig.User = role
	theirs, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer theirs.Close()
	d, err := postgres.New(theirs)
	require.NoError(t, err)
	err = d.Deliver(t.Context(), batch(into("t"), row("n", 1)))
	require.ErrorContains(t, err, "permission denied for database")
	assert.NotEqual(t, callsheet.ClassPermanent, callsheet.Classify(err))
}

func TestCreateTable_HasAColumnForEachFieldAndIsMadeByOneOfMany(t *testing.T) {
	d, pool := open(t, "", postgres.WithCreateTable())
	b := batch(upsert("quakes", "id", "at"))
	for name, typ := range map[string]extract.Type{"id": extract.String, "n": extract.Integer, "d": extract.Decimal, "f": extract.Float,
		"ok": extract.Boolean, "at": extract.Time, "any": "", "doc": extract.JSON} {
		b.Fields = append(b.Fields, callsheet.Field{Name: name, Path: "$." + name, Type: typ})
	}
	b.Fields = append(b.Fields, callsheet.Field{Name: "list", Path: "$.tags[*]", Type: extract.String})
	var workers sync.WaitGroup
	for i := range 10 {
		workers.Go(func() {
			b := b
			b.ExecutionID = fmt.Sprint("e", i)
			b.Records = []callsheet.Record{row("id", fmt.Sprint(i), "at", time.Now(), "n", json.Number("1"), "list", []any{"a"}, "any", "text")}
			assert.NoError(t, d.Deliver(context.Background(), b))
		})
	}
	workers.Wait()
	assert.Equal(t, []string{"any jsonb", "at timestamp with time zone", "d numeric", "doc jsonb", "f double precision", "id text", "list jsonb", "n bigint", "ok boolean"},
		query(t, pool, "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public.quakes'::regclass AND attnum > 0 ORDER BY attname"))
	assert.Equal(t, []string{"10"}, query(t, pool, "SELECT count(*) FROM quakes"))

	// One that is there is not changed.
	b.ExecutionID, b.Fields = "wider", append(b.Fields, callsheet.Field{Name: "new", Path: "$.new"})
	assert.ErrorContains(t, refused(t, d, b), `must have a column "new"`)
}

func TestDeliver_WhatDoesNotFitTheTableIsPermanentAndWritesNothing(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer CHECK (n > 0), m integer)")
	assert.ErrorContains(t, refused(t, d, batch(into("t"), row("n", 1), row("n", 1, "x", 2))), `must have a column "x"; its columns are "n", "m"`)
	assert.ErrorContains(t, refused(t, d, batch(into("t"), row("n", 1), row("n", 0))), "Failing row contains (0, null).")
	assert.ErrorContains(t, refused(t, d, batch(upsert("t", "n"), row("n", 1))), "all columns of a unique index")
	assert.ErrorContains(t, refused(t, d, batch(into("u"))), "must be a table that is there")
	nobody := batch(into("t"))
	nobody.ExecutionID = ""
	assert.ErrorContains(t, refused(t, d, nobody), "execution ID")
	assert.Equal(t, []string{"0 0"}, query(t, pool, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM callsheet.delivered_batches)"))
}

// What a deferred constraint says comes with COMMIT.
func TestDeliver_DeferredConstraintFailsTheBatch(t *testing.T) {
	for _, option := range []postgres.BadRows{postgres.Fail, postgres.SetAside} {
		d, pool := open(t, "CREATE TABLE t (n integer, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)", postgres.WithBadRows(option))
		assert.ErrorContains(t, refused(t, d, batch(into("t"), row("n", 1), row("n", 1))), "Key (n)=(1) already exists.")
		assert.Empty(t, query(t, pool, "SELECT FROM t"))
	}
}

// Each record may bring other names; what it does not bring is null.
func TestDeliver_WholeObjects(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer, m integer, o integer DEFAULT 7); CREATE TABLE p (n integer) PARTITION BY RANGE (n); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)")
	deliver(t, d, batch(into("t"), row("m", 1), row(), row("n", 2)))
	assert.Equal(t, []string{"2 <nil> 7", "<nil> 1 7", "<nil> <nil> 7"}, query(t, pool, "SELECT n, m, o FROM t ORDER BY n, m"))
	assert.ErrorContains(t, refused(t, d, batch(into("t"), row(), row())), "records without any value cannot be rows")
	deliver(t, d, batch(into("p"), row("n", 1)))
	assert.ErrorContains(t, refused(t, d, batch(into("p"), row("n", 10))), "no partition of relation")
}
