package postgres_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	destpostgres "github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/store/postgres"
)

func sheetR(schedules ...callsheet.Schedule) callsheet.Sheet {
	s := callsheet.Sheet{Sources: []callsheet.Source{{ID: "api", BaseURL: "http://localhost"}}, Requests: []callsheet.Request{{ID: "get", Source: "api"}}}
	for _, sch := range schedules {
		sch.Request = "get"
		s.Schedules = append(s.Schedules, sch)
	}
	return s
}

func claimR(t *testing.T, s *postgres.Store, schedule string, lease time.Duration) callsheet.Execution {
	t.Helper()
	e, err := s.Insert(t.Context(), callsheet.Execution{Schedule: schedule, Trigger: callsheet.TriggerManual, MaxAttempts: 1}, time.Second)
	require.NoError(t, err)
	calls, err := s.Claim(t.Context(), callsheet.ClaimRequest{ExecutionIDs: []string{e.ID}, Worker: "w", Lease: lease})
	require.NoError(t, err)
	require.Len(t, calls, 1)
	return calls[0].Execution
}

func TestJoint_SlowDeliveryHoldsNobodyUp(t *testing.T) {
	s := open(t, pgtest.Database(t))
	require.NoError(t, s.Define(t.Context(), sheetR(callsheet.Schedule{ID: "slow", Type: callsheet.TypeManual}, callsheet.Schedule{ID: "other", Type: callsheet.TypeManual}, callsheet.Schedule{ID: "dead", Type: callsheet.TypeManual})))
	slow, slow2, other := claimR(t, s, "slow", time.Second), claimR(t, s, "slow", time.Minute), claimR(t, s, "other", time.Minute)
	claimR(t, s, "dead", time.Millisecond)
	_, err := s.FinishWith(t.Context(), slow.ID, slow.Fence, func(context.Context, any) (callsheet.Outcome, error) {
		time.Sleep(1100 * time.Millisecond)
		try := func(what string, f func(ctx context.Context) error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			assert.NoError(t, f(ctx), what)
		}
		try("renewing the leases of the node", func(ctx context.Context) error {
			_, err := s.Renew(ctx, callsheet.RenewRequest{Lease: time.Minute, Held: []callsheet.Held{{ExecutionID: slow.ID, Fence: slow.Fence}, {ExecutionID: other.ID, Fence: other.Fence}}})
			return err
		})
		try("taking over from a dead worker of another schedule", func(ctx context.Context) error { _, err := s.Reclaim(ctx, 10, 0); return err })
		try("finishing a batch", func(ctx context.Context) error {
			_, err := s.Finish(ctx, []callsheet.Outcome{{ExecutionID: other.ID, Fence: other.Fence, State: callsheet.StateSucceeded}, {ExecutionID: slow2.ID, Fence: slow2.Fence, State: callsheet.StateSucceeded}})
			return err
		})
		try("cancelling", func(ctx context.Context) error { _, _, err := s.Cancel(ctx, slow.ID, "x"); return err })
		return callsheet.Outcome{ExecutionID: slow.ID, Fence: slow.Fence, State: callsheet.StateSucceeded}, nil
	})
	require.NoError(t, err)
}

func TestLine_NobodyWaitsForOneOfADeletedSchedule(t *testing.T) {
	s := open(t, pgtest.Database(t))
	require.NoError(t, s.Define(t.Context(), sheetR(callsheet.Schedule{ID: "s", Type: callsheet.TypeManual})))
	e := claimR(t, s, "s", time.Minute)
	require.NoError(t, s.Schedules().Delete(t.Context(), "s"))
	var waits callsheet.Execution
	f, err := s.FinishWith(t.Context(), e.ID, e.Fence, func(ctx context.Context, _ any) (callsheet.Outcome, error) {
		require.NoError(t, s.Define(ctx, sheetR(callsheet.Schedule{ID: "s", Type: callsheet.TypeOnce, StartAt: time.Now().Add(-time.Minute)})))
		var err error
		waits, err = s.Insert(ctx, callsheet.Execution{Schedule: "s", Trigger: callsheet.TriggerSchedule, MaxAttempts: 1}, 0)
		require.NoError(t, err)
		return callsheet.Outcome{ExecutionID: e.ID, Fence: e.Fence, State: callsheet.StateSucceeded}, nil
	})
	require.NoError(t, err)
	require.NoError(t, f.Err)
	after, err := s.Execution(t.Context(), waits.ID)
	require.NoError(t, err)
	assert.True(t, waits.Waits)
	assert.False(t, after.Waits, "nothing it waits for is open any more")
}

func TestStore_WritesAtReadCommittedWhateverTheDefault(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, dsn)
	require.NoError(t, s.Define(t.Context(), sheetR(callsheet.Schedule{ID: "s", Type: callsheet.TypeManual})))
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	config.MaxConns = 8
	config.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	s2, err := postgres.NewFromPool(t.Context(), pool)
	require.NoError(t, err)
	defer s2.Close()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM callsheet.schedules FOR UPDATE`)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			_, err := s2.Insert(t.Context(), callsheet.Execution{Schedule: "s", Trigger: callsheet.TriggerReextract, AnswerOf: fmt.Sprint(i), MaxAttempts: 1, ScheduledAt: time.Now()}, 0)
			assert.NoError(t, err)
		})
	}
	time.Sleep(500 * time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	wg.Wait()
	page, err := s.Executions(t.Context(), callsheet.ExecutionQuery{})
	require.NoError(t, err)
	require.Len(t, page.Items, 3)
	up := slices.DeleteFunc(page.Items, func(e callsheet.Execution) bool { return e.Waits }) // one may have come up before an earlier one came
	assert.Len(t, up, 1, "one of a schedule runs at a time")
}

func joinedR(t *testing.T, s *spy, maxConns int32, opts []destpostgres.Option, more ...callsheet.Option) (callsheet.Scheduler, *pgxpool.Pool) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[{"n":1},{"n":2}]`) }))
	t.Cleanup(api.Close)
	config, err := pgxpool.ParseConfig(pgtest.Database(t))
	require.NoError(t, err)
	config.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `CREATE TABLE rows (n integer)`)
	require.NoError(t, err)
	store, err := postgres.NewFromPool(t.Context(), pool, postgres.WithMigrate())
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	s.Destination, err = destpostgres.New(pool, opts...)
	require.NoError(t, err)
	if len(opts) == 0 {
		require.NoError(t, s.Destination.Migrate(t.Context()))
	}
	sched, err := callsheet.New(store, append(more, callsheet.WithDestination("pg", s), callsheet.WithAllowedNetworks("127.0.0.1"))...)
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: api.URL}},
		Requests:   []callsheet.Request{{ID: "get", Source: "api"}},
		Deliveries: []callsheet.Delivery{{ID: "rows", Destination: "pg", Target: "rows"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "get", Delivery: "rows", Timeout: 30 * time.Second, RetryDelay: 100 * time.Millisecond, MaxRetries: 2}},
	}))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sched.Run(ctx) }()
	t.Cleanup(func() { stop(); assert.NoError(t, <-done) })
	return sched, pool
}

func TestJoint_DeliveryMayTakeLongerThanALease(t *testing.T) {
	s := &spy{before: func(callsheet.Batch) error { time.Sleep(2500 * time.Millisecond); return nil }}
	sched, _ := joinedR(t, s, 10, nil, callsheet.WithLease(2*time.Second))
	e := executed(t, sched)
	for _, a := range e.Attempts {
		t.Logf("%+v", a)
	}
	assert.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
}

func TestJoint_MigratingOnAPoolOfOne(t *testing.T) {
	sched, _ := joinedR(t, &spy{}, 1, []destpostgres.Option{destpostgres.WithMigration()}, callsheet.WithLease(2*time.Second))
	e := executed(t, sched)
	for _, a := range e.Attempts {
		t.Logf("%+v", a)
	}
	assert.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
}
