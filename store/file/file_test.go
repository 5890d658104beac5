package file_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/file"
	"github.com/callsheet-go/callsheet/store/storetest"
)

// writeTo names the file that this process is to write to until it is killed.
const writeTo = "CALLSHEET_TEST_WRITE_TO"

func TestMain(m *testing.M) {
	if path := os.Getenv(writeTo); path != "" {
		fmt.Fprintln(os.Stderr, writeForever(path))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, path string) *file.Store {
	t.Helper()
	store, err := file.Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func temporary(t testing.TB) string { return filepath.Join(t.TempDir(), "call sheet?#%41.db") }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) callsheet.Store { return open(t, temporary(t)) },
		storetest.WithLease(200*time.Millisecond)) // a flush of the disk may take its time
}

var sheet = callsheet.Sheet{
	Sources:   []callsheet.Source{{ID: "api", BaseURL: "https://api.example.com"}},
	Requests:  []callsheet.Request{{ID: "get", Source: "api"}},
	Schedules: []callsheet.Schedule{{ID: "s", Type: callsheet.TypeManual, Request: "get", Overlap: callsheet.OverlapAllow}},
}

func TestOpen_OneAtATime(t *testing.T) {
	path := temporary(t)
	store, err := file.Open(t.Context(), path)
	require.NoError(t, err)
	_, err = file.Open(t.Context(), path)
	require.ErrorIs(t, err, file.ErrInUse)
	require.ErrorContains(t, err, path)
	require.NoError(t, store.Define(t.Context(), sheet), "the first was expected to go on")
	require.NoError(t, store.Close())
	again := open(t, path)
	_, err = again.Schedules().Get(t.Context(), "s")
	require.NoError(t, err, "what was kept was expected to be there")
	_, err = os.Stat(path)
	require.NoError(t, err, "the file was expected to have the name that was given")
}

func TestOpen_Refuses(t *testing.T) {
	damage := func(offset int64, bytes []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(t, err)
			_, err = f.WriteAt(bytes, offset)
			require.NoError(t, errors.Join(err, f.Close()))
		}
	}
	for name, spoil := range map[string]func(t *testing.T, path string){
		"a file that was cut": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path, info.Size()/2/4096*4096))
		},
		"a file whose header was overwritten": damage(0, []byte("no such thing as a database")),
		"a file with flipped bytes":           damage(2*4096, []byte(strings.Repeat("\xa5", 3*4096))),
		"a file of something else": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("something else\n", 1000)), 0o600))
		},
		"a schema that is newer": func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path))
			require.NoError(t, err)
			_, err = db.Exec("UPDATE meta SET version = 1000")
			require.NoError(t, errors.Join(err, db.Close()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			store, err := file.Open(t.Context(), path)
			require.NoError(t, err)
			require.NoError(t, store.Define(t.Context(), sheet))
			for range 50 {
				_, err = store.Insert(t.Context(), callsheet.Execution{Schedule: "s", MaxAttempts: 1}, time.Minute)
				require.NoError(t, err)
			}
			require.NoError(t, store.Close())
			spoil(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			_, err = file.Open(t.Context(), path)
			require.Error(t, err)
			t.Log(err)
			if name == "a schema that is newer" {
				require.ErrorIs(t, err, file.ErrNewer)
			} else {
				require.ErrorIs(t, err, file.ErrCorrupt)
			}
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, before, after, "the file was expected to be left as it was")
		})
	}
}

// A process that is killed in the middle of writing leaves what it was told was written, and nothing by halves.
func TestStore_SurvivesKill(t *testing.T) {
	path := temporary(t)
	acknowledged := 0
	for round := range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		child := exec.CommandContext(ctx, os.Args[0])
		child.Env = append(os.Environ(), writeTo+"="+path)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		for range 5 + 7*round {
			require.True(t, lines.Scan(), "the child was expected to write on")
			acknowledged++
		}
		require.NoError(t, child.Process.Kill())
		for lines.Scan() { // what it said before it died
			acknowledged++
		}
		_, _ = io.Copy(io.Discard, out)
		_ = child.Wait()
		cancel()

		store, err := file.Open(t.Context(), path)
		require.NoError(t, err, "a file whose process was killed was expected to open")
		var total callsheet.Tally
		kept := 0
		for q := (callsheet.ExecutionQuery{Limit: 1000}); ; {
			page, err := store.Executions(t.Context(), q)
			require.NoError(t, err)
			for _, e := range page.Items {
				total.Applied(nil, e)
				if e.State == callsheet.StateSucceeded {
					kept++
				}
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		require.GreaterOrEqual(t, kept, acknowledged, "what was acknowledged was expected to be there")
		require.LessOrEqual(t, kept, acknowledged+round+1, "no more than what was under way was expected to be there besides")
		tallied, _, err := store.Tally(t.Context(), callsheet.StatsQuery{})
		require.NoError(t, err)
		require.Equal(t, total.Stats(), tallied.Stats(), "the tallies were expected to be what a recount gives")
		require.NoError(t, store.Close())
	}
}

// writeForever runs executions one after the other, and says so of each.
func writeForever(path string) error {
	ctx := context.Background()
	store, err := file.Open(ctx, path)
	if err != nil {
		return err
	}
	if err := store.Define(ctx, sheet); err != nil {
		return err
	}
	for {
		e, err := store.Insert(ctx, callsheet.Execution{Schedule: "s", MaxAttempts: 1}, time.Minute)
		if err != nil {
			return err
		}
		calls, err := store.Claim(ctx, callsheet.ClaimRequest{ExecutionIDs: []string{e.ID}, Worker: "w", Lease: time.Minute})
		if err != nil {
			return err
		}
		if _, err := store.Finish(ctx, []callsheet.Outcome{{ExecutionID: e.ID, Fence: calls[0].Execution.Fence, State: callsheet.StateSucceeded}}); err != nil {
			return err
		}
		fmt.Println(e.ID)
	}
}

func TestQueries_UseTheirPartialIndexes(t *testing.T) {
	path := temporary(t)
	open(t, path)
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path))
	require.NoError(t, err)
	defer db.Close()
	for index, query := range map[string]string{
		"schedules_due":   `SELECT s.id FROM schedules s WHERE s.due_at <= 1 ORDER BY s.due_at, s.id LIMIT 100`,
		"executions_ring": `SELECT e.id FROM executions e WHERE e.state = 'pending' AND NOT e.waits AND e.trigger <> 'backfill' AND e.ring_at <= 1 ORDER BY e.ring_at, e.id LIMIT 100`,
		"executions_open": `SELECT e.id FROM executions e WHERE e.schedule IN (SELECT value FROM json_each('["s"]')) AND e.state IN ('pending', 'running')`,
		"sqlite_autoindex_executions_1": `UPDATE executions AS e SET revision = r.revision
			FROM (SELECT value ->> 'id' AS id, value ->> 'revision' AS revision FROM json_each('[]')) AS r WHERE e.id = r.id`,
	} {
		rows, err := db.Query("EXPLAIN QUERY PLAN " + query)
		require.NoError(t, err)
		var plan string
		for rows.Next() {
			var id, parent, unused int
			var line string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &line))
			plan += line + "\n"
		}
		require.NoError(t, errors.Join(rows.Err(), rows.Close()))
		assert.Contains(t, plan, index, "%s was expected to use its index", query)
		assert.NotContains(t, plan, "TEMP B-TREE", "%s was expected to need no sorting", query)
	}
}
