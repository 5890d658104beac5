package pgtest

import (
	"database/sql"
	"os"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	p, ok := parseStat("42 (a) (b c) S 7 1 1 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5 6 7\n")
	require.True(t, ok)
	assert.Equal(t, process{pid: 42, parent: 7, own: 1200 * time.Millisecond, ended: 70 * time.Millisecond}, p)
	for _, line := range []string{"", "42", "42 (a", "42 (a) S 7", "x (a) S 7 1 1 0 -1 4194560 1 2 3 4 100 20 3 4", "42 (a) S 7 1 1 0 -1 4194560 1 2 3 4 1x 20 3 4"} {
		_, ok := parseStat(line)
		assert.False(t, ok, line)
	}
}

func TestCPU_CountsWhatTheServerComputes(t *testing.T) {
	db, err := sql.Open("pgx", Database(t))
	require.NoError(t, err)
	defer db.Close()
	_, before, ok := CPU(t, db)
	if !ok {
		require.NotEmpty(t, os.Getenv("CALLSHEET_TEST_POSTGRES"), "a server of the test's own is on this machine")
		t.Skip("the server is elsewhere")
	}
	_, err = db.ExecContext(t.Context(), "SELECT count(*) FROM generate_series(1, 3000000)")
	require.NoError(t, err)
	_, live, _ := CPU(t, db)
	require.Greater(t, live, before)
	db.SetMaxIdleConns(0) // the connection's process ends
	assert.Eventually(t, func() bool {
		_, ended, ok := CPU(t, db)
		return ok && ended >= live // but for the moment of its end, what ended is not forgotten
	}, 10*time.Second, 10*time.Millisecond)
}
