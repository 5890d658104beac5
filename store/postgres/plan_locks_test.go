package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/store/postgres"
)

func dueR(id string, late time.Duration) callsheet.Schedule {
	return callsheet.Schedule{ID: id, Type: callsheet.TypeOnce, StartAt: time.Now().Add(-late).Truncate(time.Second)}
}

// planR makes a pass, and returns the schedules that were planned.
func planR(t *testing.T, s *postgres.Store) (planned []string) {
	t.Helper()
	result, err := s.Plan(t.Context(), callsheet.PlanRequest{Decide: func(d callsheet.Due) callsheet.Decision {
		state := d.Schedule.ScheduleState
		state.NextExecutionAt = time.Time{}
		return callsheet.Decision{State: state, Executions: []callsheet.Execution{{Trigger: callsheet.TriggerSchedule, ScheduledAt: d.Schedule.StartAt, MaxAttempts: 1}}}
	}})
	require.NoError(t, err)
	require.Equal(t, result.Schedules, len(result.Executions))
	for _, e := range result.Executions {
		planned = append(planned, e.Schedule)
	}
	return planned
}

// takeTurns has two connections hold a schedule's row in turns until ctx ends: one lets it go when the other waits for it.
func takeTurns(ctx context.Context, t *testing.T, dsn, id string) {
	const waiting = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'), pg_stat_clear_snapshot()::text`
	held, once := make(chan struct{}), sync.Once{}
	turn := func(conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.Background()) }()
		if _, err := tx.Exec(ctx, `SELECT FROM callsheet.schedules WHERE id = $1 FOR UPDATE`, id); err != nil {
			return err
		}
		once.Do(func() { close(held) })
		for seen := false; !seen; {
			time.Sleep(time.Millisecond)
			var cleared string
			if err := tx.QueryRow(ctx, waiting).Scan(&seen, &cleared); err != nil {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond)
		return tx.Commit(ctx)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	for range 2 {
		conn, err := pgx.Connect(ctx, dsn)
		require.NoError(t, err)
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := turn(conn); ctx.Err() == nil {
					assert.NoError(t, err)
				}
			}
			_ = conn.Close(context.Background())
		})
	}
	<-held
}

func TestPlan_ComesToAScheduleThatOthersHoldInTurns(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, dsn)
	require.NoError(t, s.Define(t.Context(), sheetR(dueR("busy", time.Minute), dueR("free", time.Second))))
	ctx, stop := context.WithCancel(t.Context())
	takeTurns(ctx, t, dsn, "busy")
	var planned []string
	for range 5 {
		planned = append(planned, planR(t, s)...)
	}
	stop()
	require.Equal(t, []string{"free", "busy"}, planned)
}

func TestPlan_WaitsForNobodyForLong(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, dsn)
	require.NoError(t, s.Define(t.Context(), sheetR(dueR("held", time.Hour), dueR("late", time.Minute), dueR("free", 0))))
	all := newHolder(t, dsn)
	all.run(`SELECT FROM callsheet.schedules WHERE id = 'held' FOR UPDATE`)
	began := time.Now()
	require.Equal(t, []string{"late", "free"}, planR(t, s))
	require.Empty(t, planR(t, s))
	require.Less(t, time.Since(began), 10*time.Second)
	all.lets()
	require.Equal(t, []string{"held"}, planR(t, s))
	require.Empty(t, planR(t, s))
}
