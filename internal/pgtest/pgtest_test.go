package pgtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/internal/pgtest"
)

func query(t *testing.T, dsn, statement string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), statement).Scan(&answer))
	return answer
}

func TestDatabase_EachTestHasItsOwn(t *testing.T) {
	const tables = "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"
	var first string
	t.Run("first", func(t *testing.T) {
		first = pgtest.Database(t)
		query(t, first, "WITH x AS (SELECT 1) SELECT set_config('a.b', 'c', false) FROM x")
		conn, err := pgx.Connect(t.Context(), first)
		require.NoError(t, err) // and is left open
		_, err = conn.Exec(t.Context(), "CREATE TABLE t ()")
		require.NoError(t, err)
		assert.Equal(t, "1", query(t, first, tables))
	})
	t.Run("second", func(t *testing.T) {
		assert.Equal(t, "0", query(t, pgtest.Database(t), tables))
		_, err := pgx.Connect(t.Context(), first)
		assert.ErrorContains(t, err, "does not exist", "the first is dropped")
	})
}

func TestCluster_WhatWasCommittedSurvivesAKill(t *testing.T) {
	c := pgtest.Start(t)
	dsn := c.Database(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "CREATE TABLE t AS SELECT 'kept' AS a")
	require.NoError(t, err)

	c.Kill(t)
	assert.Error(t, conn.Ping(t.Context()))
	_, err = pgx.Connect(t.Context(), dsn)
	assert.Error(t, err)
	c.Restart(t)
	assert.Equal(t, "kept", query(t, dsn, "SELECT a FROM t"))
	assert.Equal(t, "off", query(t, dsn, "SHOW fsync"))
}

func TestCluster_WithSync(t *testing.T) {
	assert.Equal(t, "on", query(t, pgtest.Start(t, pgtest.WithSync()).DSN(), "SHOW fsync"))
}

const childVariable = "CALLSHEET_TEST_PGTEST_CHILD"

// TestChild is what TestCluster_KilledTestLeavesNothing kills.
func TestChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("runs as a child of another test only")
	}
	fmt.Println("folder", strings.Fields(pgtest.Start(t).DSN())[0][len("host="):])
	select {}
}

func TestCluster_KilledTestLeavesNothing(t *testing.T) {
	pgtest.Start(t) // or skip
	child := exec.Command(os.Args[0], "-test.run", "^TestChild$")
	child.Env = append(os.Environ(), childVariable+"=1")
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	var folder string
	for lines := bufio.NewScanner(out); folder == "" && lines.Scan(); {
		folder, _ = strings.CutPrefix(lines.Text(), "folder ")
	}
	require.FileExists(t, filepath.Join(folder, "data", "postmaster.pid"))
	text, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	require.NoError(t, err)
	server, _, _ := strings.Cut(string(text), "\n")

	require.NoError(t, child.Process.Kill())
	_ = child.Wait()
	assert.Eventually(t, func() bool {
		_, err := os.Stat(folder)
		return os.IsNotExist(err)
	}, 20*time.Second, 20*time.Millisecond, "the folder of the server is removed")
	state, _ := os.ReadFile(filepath.Join("/proc", server, "status"))
	assert.NotRegexp(t, `State:\s+[^Z\s]`, string(state), "the server has ended; who reaps it is the machine's matter")
}
