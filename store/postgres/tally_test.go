package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
)

// The tally of a deleted schedule is forgotten while one of its ID is defined anew and counts.
func TestTally_OfAScheduleThatIsDefinedAnew(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, dsn)
	sheet := sheetR(callsheet.Schedule{ID: "s", Type: callsheet.TypeManual})
	require.NoError(t, s.Define(t.Context(), sheet))
	finish := func(e callsheet.Execution) {
		_, err := s.Finish(t.Context(), []callsheet.Outcome{{ExecutionID: e.ID, Fence: e.Fence, State: callsheet.StateSucceeded}})
		require.NoError(t, err)
	}
	finish(claimR(t, s, "s", time.Minute))
	require.NoError(t, s.Schedules().Delete(t.Context(), "s"))
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context()) // stands for the transaction of a Finish that counts
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE callsheet.tallies SET attempts = attempts WHERE schedule = 's'`)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := s.Prune(t.Context(), callsheet.PruneRequest{Keep: map[callsheet.State]int{callsheet.StateSucceeded: 0}})
		done <- err
	}()
	time.Sleep(300 * time.Millisecond)
	require.NoError(t, s.Define(t.Context(), sheet))
	_, err = tx.Exec(t.Context(), `UPDATE callsheet.tallies SET succeeded = succeeded + 1 WHERE schedule = 's'`)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-done)
	_, page, err := s.Tally(t.Context(), callsheet.StatsQuery{})
	require.NoError(t, err)
	t.Logf("%+v", page)
	assert.EqualValues(t, 2, page.Items[0].Tally.Succeeded)
}
