package postgres_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/extract"
)

type identifier struct {
	Name   string `json:"name"`
	Expect string `json:"expect"` // "reject" or "exact-or-reject"
}

func identifiers(t *testing.T) []identifier {
	t.Helper()
	text, err := os.ReadFile("testdata/identifiers.json")
	require.NoError(t, err)
	var file struct {
		Cases []identifier `json:"cases"`
	}
	require.NoError(t, json.Unmarshal(text, &file))
	require.NotEmpty(t, file.Cases)
	return file.Cases
}

// catalog lists everything that has a name, but for what a table brings along by itself.
func catalog(t *testing.T, pool *pgxpool.Pool) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, name := range query(t, pool, `
		SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
		UNION ALL
		SELECT 'relation ' || relkind::text || ' ' || quote_literal(n.nspname) || ' ' || quote_literal(relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname <> 'pg_toast' AND n.nspname !~ '^pg_(toast_)?temp_'
		UNION ALL SELECT 'function ' || oid::text FROM pg_proc
		UNION ALL SELECT 'role ' || rolname FROM pg_roles
		UNION ALL SELECT 'database ' || datname FROM pg_database WHERE datname = current_database()`) {
		all[name] = true
	}
	return all
}

// diff returns what is in one catalog and not in another.
func diff(in, notIn map[string]bool) (names []string) {
	for name := range in {
		if !notIn[name] {
			names = append(names, name)
		}
	}
	return names
}

func TestIdentifiers_ATableHasExactlyTheNameOfItsTargetOrIsRefused(t *testing.T) {
	d, pool := open(t, `CREATE TABLE x (a int); CREATE TABLE executions (a int); CREATE SCHEMA a`, postgres.WithCreateTable())
	refused := 0
	for _, c := range identifiers(t) {
		before := catalog(t, pool)
		b := batch(into(c.Name), row("n", json.Number("1")))
		b.Fields = []callsheet.Field{{Name: "n", Path: "$.n", Type: extract.Integer}}
		invalid := d.Validate(b.Delivery)
		err := d.Deliver(t.Context(), b)
		after := catalog(t, pool)
		assert.Empty(t, diff(before, after), "%q made something vanish", c.Name)
		made := diff(after, before)
		if c.Expect == "reject" || invalid != nil {
			refused++
			require.Error(t, invalid, "%q", c.Name)
			require.Error(t, err, "%q", c.Name)
			assert.Empty(t, made, "%q", c.Name)
			continue
		}
		require.NoError(t, err, "%q", c.Name)
		schema, table, ok := strings.Cut(c.Name, ".")
		if !ok {
			schema, table = "public", c.Name
		}
		want := "relation r " + literal(t, pool, schema) + " " + literal(t, pool, table)
		assert.Equal(t, []string{want}, made, "%q", c.Name)
	}
	t.Logf("%d of %d names refused", refused, len(identifiers(t)))
}

func literal(t *testing.T, pool *pgxpool.Pool, s string) (quoted string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT quote_literal($1::text)", s).Scan(&quoted))
	return quoted
}

// Names of fields become columns and keys, in every statement there is.
func TestIdentifiers_AColumnHasExactlyTheNameOfItsFieldOrIsRefused(t *testing.T) {
	d, pool := open(t, "CREATE TABLE executions (a int)", postgres.WithCreateTable())
	for i, c := range identifiers(t) {
		before := catalog(t, pool)
		table := fmt.Sprintf("columns_%d", i)
		b := batch(upsert(table, c.Name), row(c.Name, "1", "position", "a"), row(c.Name, "1", "position", "b"))
		b.Fields = []callsheet.Field{{Name: c.Name, Path: "$.n", Type: extract.String}, {Name: "position", Path: "$.p", Type: extract.String}}
		err := d.Deliver(t.Context(), b)
		assert.Empty(t, diff(before, catalog(t, pool)), "%q made something vanish", c.Name)
		columns := query(t, pool, "SELECT attname::text FROM pg_attribute WHERE attnum > 0 AND attrelid = to_regclass('"+table+"') ORDER BY attnum")
		if c.Expect == "reject" {
			assert.Error(t, err, "%q", c.Name)
			assert.Empty(t, columns)
			continue
		}
		require.NoError(t, err, "%q", c.Name)
		assert.Equal(t, []string{c.Name, "position"}, columns)
		assert.Equal(t, []string{"b"}, query(t, pool, "SELECT position FROM "+table))
	}
}

func TestIdentifiers_OfTheOwnSchema(t *testing.T) {
	_, pool := open(t, "CREATE TABLE public.plain (n integer)")
	for _, c := range identifiers(t) {
		d, err := postgres.New(pool, postgres.WithSchema(c.Name))
		if err != nil {
			continue
		}
		require.NotEqual(t, "reject", c.Expect, "%q", c.Name)
		require.NoError(t, d.Migrate(t.Context()), "%q", c.Name)
		deliver(t, d, batch(into("public.plain"), row("n", 1)))
		assert.Len(t, query(t, pool, "SELECT FROM pg_tables WHERE schemaname = "+literal(t, pool, c.Name)), 3, "%q", c.Name)
	}
}

// What a session or the server has under the same name is not meant.
func TestTarget_IsNoTemporaryTableAndNoneOfTheServers(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer); CREATE TABLE callsheet_incoming (n integer PRIMARY KEY)")
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TEMPORARY TABLE t (n integer); SET search_path = callsheet, public")
	require.NoError(t, err)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.DeliverTx(t.Context(), conn.Conn(), batch(into("t"), row("n", 1))))
	require.NoError(t, d.DeliverTx(t.Context(), conn.Conn(), batch(upsert("callsheet_incoming", "n"), row("n", 1))))
	require.NoError(t, tx.Commit(t.Context()))
	for _, target := range []string{"pg_class", "delivered_batches"} {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		assert.Error(t, d.DeliverTx(t.Context(), conn.Conn(), batch(into(target))), target)
		require.NoError(t, tx.Rollback(t.Context()))
	}
	conn.Release()
	assert.Equal(t, []string{"1 1"}, query(t, pool, "SELECT (SELECT count(*) FROM public.t), (SELECT count(*) FROM public.callsheet_incoming)"))
	for _, target := range []string{"pg_class", "pg_temp.t", "information_schema.tables", "callsheet.delivered_batches"} {
		err := d.Deliver(t.Context(), batch(into(target), row("n", 1)))
		assert.Error(t, err, target)
	}
}
