package postgres_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/store/postgres"
)

func database(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// catalog is all that is in a schema, but for the schema's name.
func catalog(t testing.TB, db *sql.DB, schema string) string {
	t.Helper()
	const query = `
		SELECT string_agg(line, E'\n' ORDER BY line)
		  FROM (SELECT format('column %s.%s %s %s %s %s', table_name, column_name, data_type, collation_name, is_nullable, column_default) AS line
		          FROM information_schema.columns WHERE table_schema = $1
		        UNION ALL
		        SELECT format('index %s', replace(indexdef, quote_ident(schemaname) || '.', ''))
		          FROM pg_indexes WHERE schemaname = $1
		        UNION ALL
		        SELECT format('table %s %s %s', c.relname, c.relkind, c.reloptions)
		          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1
		        UNION ALL
		        SELECT format('constraint %s', pg_get_constraintdef(k.oid))
		          FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname = $1) AS lines`
	var text sql.NullString
	require.NoError(t, db.QueryRowContext(t.Context(), query, schema).Scan(&text))
	return text.String
}

func TestMigrate_TenAtOnce(t *testing.T) {
	dsn := pgtest.Database(t)
	db := database(t, dsn)
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			store, err := postgres.Open(t.Context(), dsn, postgres.WithMigrate())
			if err == nil {
				err = store.Close()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...), "every node was expected to start")
	before := catalog(t, db, postgres.DefaultSchema)
	require.NotEmpty(t, before)
	require.NoError(t, postgres.Migrate(t.Context(), db))
	require.Equal(t, before, catalog(t, db, postgres.DefaultSchema), "migrating once more was expected to change nothing")
}

func TestMigrate_ByHand(t *testing.T) {
	db := database(t, pgtest.Database(t))
	files, err := os.ReadDir("migrations")
	require.NoError(t, err)
	text := "CREATE SCHEMA callsheet;\n"
	for _, f := range files {
		file, err := os.ReadFile("migrations/" + f.Name())
		require.NoError(t, err)
		text += string(file)
	}
	_, err = db.ExecContext(t.Context(), text)
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), db, postgres.WithSchema("other")))
	require.Equal(t, catalog(t, db, "other"), catalog(t, db, "callsheet"), "the files were expected to make what Migrate makes")
	_, err = postgres.New(t.Context(), db)
	require.NoError(t, err)
}

func TestOpen_RefusesVersions(t *testing.T) {
	db := database(t, pgtest.Database(t))
	_, err := postgres.New(t.Context(), db)
	require.ErrorIs(t, err, postgres.ErrNotMigrated)
	require.NoError(t, postgres.Migrate(t.Context(), db))
	_, err = db.ExecContext(t.Context(), `UPDATE callsheet.meta SET version = 1000`)
	require.NoError(t, err)
	_, err = postgres.New(t.Context(), db)
	require.ErrorIs(t, err, postgres.ErrNewer)
	require.ErrorIs(t, postgres.Migrate(t.Context(), db), postgres.ErrNewer)
	_, err = db.ExecContext(t.Context(), `UPDATE callsheet.meta SET version = 0`)
	require.NoError(t, err)
	_, err = postgres.New(t.Context(), db)
	require.ErrorIs(t, err, postgres.ErrNotMigrated)
	require.Error(t, postgres.Migrate(t.Context(), db), "a migration that fails was expected to say so")
}

func TestSchema_AnyName(t *testing.T) {
	var hostile struct{ Cases []json.RawMessage }
	text, err := os.ReadFile("testdata/identifiers.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &hostile))
	names := []string{`we"ird`, "public", "callsheet", "a.b", "Ünï", strings.Repeat("x", 63)}
	for _, raw := range hostile.Cases {
		names = append(names, identifier(t, raw))
	}
	db := database(t, pgtest.Database(t))
	seen := make(map[string]bool)
	want := ""
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		before := schemas(t, db)
		store, err := postgres.New(t.Context(), db, postgres.WithSchema(name), postgres.WithMigrate())
		if err != nil {
			assert.Equal(t, before, schemas(t, db), "a name that is refused was expected to leave nothing: %q", name)
			continue
		}
		got := catalog(t, db, name)
		if want == "" {
			want = got
		}
		assert.Equal(t, want, got, "the tables were expected in the schema %q, and as in any other", name)
		before[name] = true
		assert.Equal(t, before, schemas(t, db), "no other schema than %q was expected", name)
		_, err = store.Survey(t.Context(), callsheet.SurveyQuery{})
		assert.NoError(t, err, "schema %q", name)
	}
	for _, name := range []string{"", strings.Repeat("x", 64), "a\x00b", "\xff"} {
		_, err := postgres.New(t.Context(), db, postgres.WithSchema(name), postgres.WithMigrate())
		require.ErrorContains(t, err, "63 bytes", "%q was expected to be refused", name)
	}
}

// identifier returns the text of a case, however it is written.
func identifier(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var c map[string]any
	require.NoError(t, json.Unmarshal(raw, &c))
	for _, field := range []string{"identifier", "name", "value", "input"} {
		if text, ok := c[field].(string); ok {
			return text
		}
	}
	t.Fatalf("no identifier in %s", raw)
	return ""
}

func schemas(t *testing.T, db *sql.DB) map[string]bool {
	t.Helper()
	var names []string
	require.NoError(t, sqlx.NewDb(db, "pgx").Select(&names, `SELECT schemaname FROM pg_tables WHERE tablename = 'executions'`))
	all := make(map[string]bool)
	for _, name := range names {
		all[name] = true
	}
	return all
}

func TestNew_LeavesTheHostsDatabaseOpen(t *testing.T) {
	dsn := pgtest.Database(t)
	db := sqlx.NewDb(database(t, dsn), "pgx")
	store, err := postgres.New(t.Context(), db.DB, postgres.WithMigrate())
	require.NoError(t, err)
	require.NoError(t, store.Close())
	require.NoError(t, db.PingContext(t.Context()))

	pool, err := pgxpool.New(t.Context(), dsn)
	require.NoError(t, err)
	defer pool.Close()
	pooled, err := postgres.NewFromPool(t.Context(), pool)
	require.NoError(t, err)
	_, err = pooled.Survey(t.Context(), callsheet.SurveyQuery{})
	require.NoError(t, err)
	require.NoError(t, pooled.Close())
	require.NoError(t, pool.Ping(t.Context()))
}

func TestQueries_UseTheirPartialIndexes(t *testing.T) {
	dsn := pgtest.Database(t)
	db := database(t, dsn)
	open(t, dsn)
	const rows = `
		INSERT INTO callsheet.schedules
		SELECT 's' || n, 1, 1, now(), now(), false, 1, 'active', '', NULL, 0, NULL, 1, 0, '', '', NULL, NULL, 0, NULL, NULL,
		       CASE WHEN n % 100 = 0 THEN now() END
		  FROM generate_series(1, 20000) n;
		INSERT INTO callsheet.executions
		SELECT 'e' || n, 's' || n, now(), 'schedule', CASE WHEN n % 100 = 0 THEN 'pending' ELSE 'succeeded' END, '', NULL, NULL, NULL, '', 0, 4, 0, '', NULL, NULL,
		       false, false, 0, 0, now(), NULL, CASE WHEN n % 100 <> 0 THEN now() END, 0, 0, 0, 0, false, 0, 0, 0, '', '', '[]', false, now(), now(), false, 1
		  FROM generate_series(1, 20000) n;
		ANALYZE callsheet.schedules, callsheet.executions`
	_, err := db.ExecContext(t.Context(), rows)
	require.NoError(t, err)
	for index, query := range map[string]string{
		"schedules_due":      `SELECT s.id FROM callsheet.schedules s WHERE s.due_at <= now() ORDER BY s.due_at, s.id LIMIT 100 FOR UPDATE SKIP LOCKED`,
		"executions_ring":    `SELECT e.id FROM callsheet.executions e WHERE e.state = 'pending' AND NOT e.waits AND e.trigger <> 'backfill' AND e.ring_at <= now() ORDER BY e.ring_at, e.id LIMIT 100 FOR UPDATE SKIP LOCKED`,
		"executions_open":    `SELECT e.id FROM callsheet.executions e WHERE e.schedule = ANY('{s1,s2,s300}') AND e.state IN ('pending', 'running')`,
		"executions_history": `SELECT e.id FROM callsheet.executions e WHERE (e.scheduled_at, e.id) < (now(), 'e1') ORDER BY e.scheduled_at DESC, e.id DESC LIMIT 10`,
		"executions_rare":    `SELECT e.id FROM callsheet.executions e WHERE e.state IN ('failed') ORDER BY e.scheduled_at DESC, e.id DESC LIMIT 10`,
		"executions_ended":   `SELECT e.id FROM callsheet.executions e WHERE e.state = 'succeeded' AND e.finished_at < now() - interval '1 day' ORDER BY e.finished_at, e.id LIMIT 10`,
	} {
		var plan []string
		require.NoError(t, sqlx.NewDb(db, "pgx").Select(&plan, "EXPLAIN "+query))
		assert.Contains(t, strings.Join(plan, "\n"), index, "%s was expected to use its index", query)
	}
}

// Two handles are two nodes: what one does the other sees, and of each execution there is one winner.
func TestStore_TwoNodes(t *testing.T) {
	dsn := pgtest.Database(t)
	one, two := open(t, dsn), open(t, dsn)
	sheet := callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "api", BaseURL: "https://api.example.com"}},
		Requests: []callsheet.Request{{ID: "get", Source: "api", Path: "/one"}},
		Schedules: []callsheet.Schedule{{ID: "s", Type: callsheet.TypeManual, Request: "get", Overlap: callsheet.OverlapAllow,
			Timeout: time.Minute}},
	}
	require.NoError(t, one.Define(t.Context(), sheet))
	claim := func(node *postgres.Store) string {
		t.Helper()
		e, err := one.Insert(t.Context(), callsheet.Execution{Schedule: "s", Trigger: callsheet.TriggerManual, MaxAttempts: 1}, time.Minute)
		require.NoError(t, err)
		calls, err := node.Claim(t.Context(), callsheet.ClaimRequest{ExecutionIDs: []string{e.ID}, Worker: "w", Lease: time.Minute})
		require.NoError(t, err)
		require.Len(t, calls, 1)
		return calls[0].Request.Path
	}
	require.Equal(t, "/one", claim(two))
	sheet.Requests[0].Path = "/two"
	require.NoError(t, one.Define(t.Context(), sheet))
	require.Equal(t, "/two", claim(two), "an edit on one node was expected to be seen by the other, whatever it has in memory")
	require.NoError(t, one.Schedules().Delete(t.Context(), "s"))
	sheet.Schedules[0].Name = "another"
	require.NoError(t, two.Define(t.Context(), sheet))
	s, err := one.Schedules().Get(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, "another", s.Name, "a schedule of the same ID and version was expected not to be taken for the one before")
}

func TestStore_TextOfAnyKind(t *testing.T) {
	store := open(t, pgtest.Database(t))
	const hostile = "a\x00b\xff\xfe\u2028'\"\\"
	require.NoError(t, store.Define(t.Context(), callsheet.Sheet{
		Sources:   []callsheet.Source{{ID: "api", BaseURL: "https://api.example.com"}},
		Requests:  []callsheet.Request{{ID: "get", Source: "api", Body: "a\x00b"}},
		Schedules: []callsheet.Schedule{{ID: "s", Type: callsheet.TypeManual, Request: "get"}},
	}))
	e, err := store.Insert(t.Context(), callsheet.Execution{Schedule: "s", Reason: hostile, MaxAttempts: 1}, time.Minute)
	require.NoError(t, err)
	calls, err := store.Claim(t.Context(), callsheet.ClaimRequest{ExecutionIDs: []string{e.ID}, Worker: hostile, Lease: time.Minute})
	require.NoError(t, err)
	require.Len(t, calls, 1)
	require.Equal(t, "a\x00b", calls[0].Request.Body)
	finishes, err := store.Finish(t.Context(), []callsheet.Outcome{{ExecutionID: e.ID, Fence: 1, State: callsheet.StateFailed, Error: hostile, Stack: hostile, Reason: hostile}})
	require.NoError(t, err, "whatever an API says, its execution was expected to come to its end")
	kept, err := store.Execution(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, finishes[0].Execution, kept)
	require.Equal(t, "a\uFFFDb\uFFFD\u2028'\"\\", kept.Error)
	_, _, err = store.Cancel(t.Context(), hostile, hostile)
	var missing *callsheet.NotFoundError
	require.ErrorAs(t, err, &missing, "an ID that cannot be was expected not to be there")
}

// A transaction that fails in the middle leaves nothing.
func TestStore_FailsWhole(t *testing.T) {
	dsn := pgtest.Database(t)
	store, db := open(t, dsn), database(t, dsn)
	require.NoError(t, store.Define(t.Context(), callsheet.Sheet{
		Sources:   []callsheet.Source{{ID: "api", BaseURL: "https://api.example.com"}},
		Requests:  []callsheet.Request{{ID: "get", Source: "api"}},
		Schedules: []callsheet.Schedule{{ID: "s", Type: callsheet.TypeManual, Request: "get"}},
	}))
	e, err := store.Insert(t.Context(), callsheet.Execution{Schedule: "s", MaxAttempts: 1}, time.Minute)
	require.NoError(t, err)
	calls, err := store.Claim(t.Context(), callsheet.ClaimRequest{ExecutionIDs: []string{e.ID}, Worker: "w", Lease: time.Minute})
	require.NoError(t, err)
	outcome := callsheet.Outcome{ExecutionID: e.ID, Fence: calls[0].Execution.Fence, State: callsheet.StateSucceeded}
	for _, table := range []string{"tallies", "durations", "schedules"} {
		_, err = db.ExecContext(t.Context(), fmt.Sprintf(`
			CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
			CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON callsheet.%s EXECUTE FUNCTION refuse()`, table))
		require.NoError(t, err)
		_, err = store.Finish(t.Context(), []callsheet.Outcome{outcome})
		require.ErrorContains(t, err, "finish executions: ")
		kept, err := store.Execution(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, calls[0].Execution, kept, "an outcome that could not be counted in %s was expected not to be recorded", table)
		_, err = db.ExecContext(t.Context(), `DROP FUNCTION refuse() CASCADE`)
		require.NoError(t, err)
	}
	finishes, err := store.Finish(context.WithoutCancel(t.Context()), []callsheet.Outcome{outcome})
	require.NoError(t, err)
	require.NoError(t, finishes[0].Err)
}
