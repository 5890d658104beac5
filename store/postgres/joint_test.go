package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	destpostgres "github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/store/postgres"
)

// A spy is a joint Destination that looks at what is there while it delivers, and may fail.
type spy struct {
	*destpostgres.Destination
	before, after func(b callsheet.Batch) error
	alone         atomic.Int64 // deliveries in transactions of their own
	calls         atomic.Int64 // of the API
}

func (s *spy) Deliver(ctx context.Context, b callsheet.Batch) error {
	s.alone.Add(1)
	return s.Destination.Deliver(ctx, b)
}

func (s *spy) DeliverJoint(ctx context.Context, conn any, b callsheet.Batch) error {
	if s.before != nil {
		if err := s.before(b); err != nil {
			return err
		}
	}
	if err := s.Destination.DeliverJoint(ctx, conn, b); err != nil {
		return err
	}
	if s.after != nil {
		return s.after(b)
	}
	return nil
}

// joined returns a Scheduler whose Store and Destination have the same database.
func joined(t *testing.T, s *spy, open func(pool *pgxpool.Pool) (*postgres.Store, *destpostgres.Destination)) (callsheet.Scheduler, *pgxpool.Pool) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		fmt.Fprintf(w, `[{"n":%[1]s1},{"n":%[1]s2}]`, r.URL.Query().Get("page"))
	}))
	t.Cleanup(api.Close)
	pool, err := pgxpool.New(t.Context(), pgtest.Database(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `CREATE TABLE rows (n integer CHECK (n < 100))`)
	require.NoError(t, err)
	store, destination := open(pool)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, destination.Migrate(t.Context()))
	s.Destination = destination
	sched, err := callsheet.New(store, callsheet.WithDestination("pg", s), callsheet.WithAllowedNetworks("127.0.0.0/8"))
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: api.URL}},
		Requests:   []callsheet.Request{{ID: "get", Source: "api"}},
		Deliveries: []callsheet.Delivery{{ID: "rows", Destination: "pg", Target: "rows"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "get", Delivery: "rows", RetryDelay: 100 * time.Millisecond, MaxRetries: 2}},
	}))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sched.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	return sched, pool
}

func fromPool(t *testing.T) func(*pgxpool.Pool) (*postgres.Store, *destpostgres.Destination) {
	return func(pool *pgxpool.Pool) (*postgres.Store, *destpostgres.Destination) {
		store, err := postgres.NewFromPool(t.Context(), pool, postgres.WithMigrate())
		require.NoError(t, err)
		destination, err := destpostgres.New(pool)
		require.NoError(t, err)
		return store, destination
	}
}

func fromDB(t *testing.T) func(*pgxpool.Pool) (*postgres.Store, *destpostgres.Destination) {
	return func(pool *pgxpool.Pool) (*postgres.Store, *destpostgres.Destination) {
		db, err := sql.Open("pgx", pool.Config().ConnString())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		store, err := postgres.New(t.Context(), db, postgres.WithMigrate())
		require.NoError(t, err)
		destination, err := destpostgres.NewDB(db)
		require.NoError(t, err)
		return store, destination
	}
}

func executed(t *testing.T, sched callsheet.Scheduler) callsheet.Execution {
	t.Helper()
	e, err := sched.Execute(t.Context(), "s")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		e, err = sched.Execution(t.Context(), e.ID)
		return err == nil && e.State.Final()
	}, 20*time.Second, 10*time.Millisecond)
	return e
}

func countRows(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(context.Background(), `SELECT count(*) FROM rows`).Scan(&n))
	return n
}

func TestJoint_RowsAndExecutionCommitTogether(t *testing.T) {
	for name, open := range map[string]func(*testing.T) func(*pgxpool.Pool) (*postgres.Store, *destpostgres.Destination){"pool": fromPool, "DB": fromDB} {
		t.Run(name, func(t *testing.T) {
			s := &spy{}
			var pool *pgxpool.Pool
			var sched callsheet.Scheduler
			var seen []int
			var states []callsheet.State
			s.after = func(b callsheet.Batch) error { // written, and not committed
				seen = append(seen, countRows(t, pool))
				e, err := sched.Execution(context.Background(), b.ExecutionID)
				states = append(states, e.State)
				return err
			}
			sched, pool = joined(t, s, open(t))
			e := executed(t, sched)
			assert.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
			assert.Equal(t, []int{0}, seen, "nobody sees the rows before the execution has succeeded")
			assert.Equal(t, []callsheet.State{callsheet.StateRunning}, states)
			assert.Equal(t, 2, countRows(t, pool))
			assert.Positive(t, e.Timings.Deliver)
			assert.Zero(t, s.alone.Load())
		})
	}
}

func TestJoint_FailedDeliveryUndoesAllAndIsRetried(t *testing.T) {
	s := &spy{}
	var failures atomic.Int64
	s.after = func(callsheet.Batch) error {
		if failures.Add(1) < 3 {
			return errors.New("full")
		}
		return nil
	}
	sched, pool := joined(t, s, fromPool(t))
	e := executed(t, sched)
	assert.Equal(t, callsheet.StateSucceeded, e.State)
	require.Len(t, e.Attempts, 3)
	assert.Equal(t, callsheet.ClassDelivery, e.Attempts[0].Class)
	assert.Contains(t, e.Attempts[0].Error, "deliver: full")
	assert.True(t, e.Attempts[1].FromKept, "and costs no second call")
	assert.Equal(t, 2, countRows(t, pool))
}

func TestJoint_OfPagesTheLastCommitsWithTheExecution(t *testing.T) {
	s := &spy{}
	var failures atomic.Int64
	s.after = func(callsheet.Batch) error { // of the joint one
		if failures.Add(1) < 3 {
			return errors.New("full")
		}
		return nil
	}
	sched, pool := joined(t, s, fromPool(t))
	request, err := sched.Requests().Get(t.Context(), "get")
	require.NoError(t, err)
	request.Pages = &callsheet.Pagination{By: callsheet.PageByNumber, Param: "page", MaxPages: 3}
	_, err = sched.Requests().Update(t.Context(), request)
	require.NoError(t, err)
	e := executed(t, sched)
	require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
	assert.Equal(t, 6, countRows(t, pool))
	assert.EqualValues(t, 2, s.alone.Load(), "the pages before the last are delivered as they come")
	assert.EqualValues(t, 3, s.calls.Load(), "no page is asked for again")
	require.Len(t, e.Attempts, 3)
	assert.Equal(t, []int{2, 0, 1}, []int{e.Attempts[0].Pages, e.Attempts[1].Pages, e.Attempts[2].Pages}, "a page that could not be delivered does not count")
	assert.Equal(t, 3, e.Progress.Pages)
}

func TestJoint_StaleFenceDeliversNothing(t *testing.T) {
	sched, pool := joined(t, &spy{}, fromPool(t))
	e := executed(t, sched)
	store, err := postgres.NewFromPool(t.Context(), pool)
	require.NoError(t, err)
	defer store.Close()
	finish, err := store.FinishWith(t.Context(), e.ID, e.Fence, func(context.Context, any) (callsheet.Outcome, error) {
		t.Error("a worker that lost its lease must not deliver")
		return callsheet.Outcome{}, nil
	})
	require.NoError(t, err)
	assert.ErrorIs(t, finish.Err, callsheet.ErrStaleFence)
	stats, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
	require.NoError(t, err)
	assert.EqualValues(t, 1, stats.Total.StaleWrites)
}

func TestJoint_AnotherDatabaseIsNotJoined(t *testing.T) {
	s := &spy{}
	sched, pool := joined(t, s, func(pool *pgxpool.Pool) (*postgres.Store, *destpostgres.Destination) {
		store, err := postgres.Open(t.Context(), pool.Config().ConnString(), postgres.WithMigrate())
		require.NoError(t, err)
		destination, err := destpostgres.New(pool)
		require.NoError(t, err)
		return store, destination
	})
	assert.Equal(t, callsheet.StateSucceeded, executed(t, sched).State)
	assert.EqualValues(t, 1, s.alone.Load())
	assert.Equal(t, 2, countRows(t, pool))
}
