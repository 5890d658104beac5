package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/store/postgres"
)

// A holder is somebody else who holds locks.
type holder struct {
	t  *testing.T
	tx pgx.Tx
}

func newHolder(t *testing.T, dsn string) *holder {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close(context.Background())) })
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	return &holder{t, tx}
}

func (h *holder) run(statement string) {
	h.t.Helper()
	_, err := h.tx.Exec(h.t.Context(), statement)
	require.NoError(h.t, err)
}

// sees waits until that many others wait for a lock.
func (h *holder) sees(waiting int) {
	h.t.Helper()
	const query = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	require.Eventually(h.t, func() bool {
		h.run(`SELECT pg_stat_clear_snapshot()`)
		var n int
		return h.tx.QueryRow(h.t.Context(), query).Scan(&n) == nil && n == waiting
	}, 10*time.Second, 5*time.Millisecond)
}

func (h *holder) lets() {
	h.t.Helper()
	require.NoError(h.t, h.tx.Rollback(h.t.Context()))
}

func finishR(t *testing.T, s *postgres.Store, schedule string, state callsheet.State) {
	t.Helper()
	e := claimR(t, s, schedule, time.Minute)
	finishes, err := s.Finish(t.Context(), []callsheet.Outcome{{ExecutionID: e.ID, Fence: e.Fence, State: state}})
	require.NoError(t, err)
	require.NoError(t, finishes[0].Err)
}

// Who finishes has the tallies in the order of their schedules, the one of no schedule last. Whoever has them in another waits
// for him in a circle.

func TestPrune_HasTalliesInOrder(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, dsn)
	manual := func(id string) callsheet.Schedule { return callsheet.Schedule{ID: id, Type: callsheet.TypeManual} }
	require.NoError(t, s.Define(t.Context(), sheetR(manual("a"), manual("b"))))
	for range 2 { // of which the last stays
		finishR(t, s, "a", callsheet.StateFailed)
		finishR(t, s, "b", callsheet.StateSucceeded)
	}
	h := newHolder(t, dsn)
	h.run(`SELECT FROM callsheet.tallies WHERE schedule = 'a' FOR UPDATE`)
	pruned := make(chan int, 1)
	go func() {
		soon := time.Now().Add(time.Hour)
		n, err := s.Prune(t.Context(), callsheet.PruneRequest{Before: map[callsheet.State]time.Time{callsheet.StateSucceeded: soon, callsheet.StateFailed: soon}})
		assert.NoError(t, err)
		pruned <- n
	}()
	h.sees(1)
	h.run(`SELECT FROM callsheet.tallies WHERE schedule = 'b' FOR UPDATE NOWAIT`)
	h.lets()
	require.Equal(t, 2, <-pruned)

	const query = `SELECT pruned_succeeded, pruned_failed FROM callsheet.tallies ORDER BY schedule`
	rows, err := database(t, dsn).QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	var counts [][2]int
	for rows.Next() {
		var c [2]int
		require.NoError(t, rows.Scan(&c[0], &c[1]))
		counts = append(counts, c)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, [][2]int{{0, 1}, {1, 0}}, counts)
}

func TestFinish_HasTheTallyOfNoScheduleLast(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, dsn)
	require.NoError(t, s.Define(t.Context(), sheetR(callsheet.Schedule{ID: "s", Type: callsheet.TypeManual})))
	finishR(t, s, "s", callsheet.StateSucceeded)
	stale := callsheet.Outcome{ExecutionID: "gone", Fence: 1, State: callsheet.StateSucceeded}
	_, err := s.Finish(t.Context(), []callsheet.Outcome{stale})
	require.NoError(t, err)
	e := claimR(t, s, "s", time.Minute)

	h := newHolder(t, dsn)
	h.run(`SELECT FROM callsheet.tallies WHERE schedule = 's' FOR UPDATE`)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		finishes, err := s.Finish(t.Context(), []callsheet.Outcome{stale, {ExecutionID: e.ID, Fence: e.Fence, State: callsheet.StateSucceeded}})
		if assert.NoError(t, err) {
			assert.NoError(t, finishes[1].Err)
		}
	}()
	h.sees(1)
	h.run(`SELECT FROM callsheet.tallies WHERE schedule = '' FOR UPDATE NOWAIT`)
	h.lets()
	<-finished
}
