package callsheet_test

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMonitor_SaysWhatIsWrongSinceWhenAndWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(ctx context.Context, call callsheet.Call) error {
			switch call.Schedule.ID {
			case "fails":
				return errors.New("down")
			case "hangs":
				time.Sleep(time.Hour) // whatever its context says
			}
			return nil
		}, callsheet.WithWorkers(1))
		define(t, sched,
			callsheet.Schedule{ID: "fails", MaxRetries: callsheet.NoRetries},
			callsheet.Schedule{ID: "hangs", Timeout: time.Minute},
			callsheet.Schedule{ID: "waits"},
			callsheet.Schedule{ID: "tomorrow", Cron: "0 0 * * *"})
		begin := time.Now().UTC()
		start(t, sched)
		_, err := sched.Execute(t.Context(), "fails")
		require.NoError(t, err)
		synctest.Wait()
		hangs, err := sched.Execute(t.Context(), "hangs")
		require.NoError(t, err)
		waits, err := sched.Execute(t.Context(), "waits")
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)

		r, err := sched.Monitor(t.Context())
		require.NoError(t, err)
		assert.False(t, r.Healthy())
		require.Len(t, r.Failed, 1)
		assert.Equal(t, "fails", r.Failed[0].Schedule)
		assert.Equal(t, begin, r.Failed[0].Since)
		assert.Equal(t, "the last execution failed: down", r.Failed[0].What)
		require.Len(t, r.Stuck, 1)
		assert.Equal(t, hangs.ID, r.Stuck[0].Execution)
		assert.Contains(t, r.Stuck[0].Advice, "Cancel")
		require.Len(t, r.Stale, 1)
		assert.Equal(t, waits.ID, r.Stale[0].Execution)
		assert.Contains(t, r.Stale[0].Advice, "WithWorkers")
		require.Len(t, r.DeadLetters, 1)
		assert.Contains(t, r.DeadLetters[0].What, "failed after 1 attempt: down")
		assert.Contains(t, r.DeadLetters[0].Advice, "Retry")
		var never []string
		for _, f := range r.NeverRun {
			never = append(never, f.Schedule)
		}
		assert.ElementsMatch(t, []string{"hangs", "waits", "tomorrow"}, never)
		assert.Equal(t, callsheet.MonitorCounts{Failed: 1, Stuck: 1, Stale: 1, NeverRun: 3, DeadLetters: 1}, r.Counts)
		assert.Equal(t, 1, r.Backlog.Pending)
		assert.Equal(t, 1, r.Backlog.Running)
		assert.Equal(t, callsheet.QueueStats{Waiting: 1, Working: 1, Workers: 1}, r.Backlog.Queue)
		time.Sleep(time.Hour)
	})
}

func TestMonitor_OccurrenceThatNobodyPlansIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *"})
		due := schedule(t, sched, "s").NextExecutionAt
		time.Sleep(2 * time.Minute)
		r, err := sched.Monitor(t.Context())
		require.NoError(t, err)
		require.Len(t, r.Stale, 1)
		assert.Equal(t, callsheet.Finding{Schedule: "s", Since: due,
			What: "due, but nobody has planned it", Advice: "see whether a scheduler is running (Run), or calls Plan"}, r.Stale[0])
	})
}

func TestStats_TotalsAndPerSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(_ context.Context, call callsheet.Call) error {
			time.Sleep(100 * time.Millisecond)
			if call.Schedule.ID == "fails" {
				return errors.New("down")
			}
			return nil
		})
		define(t, sched,
			callsheet.Schedule{ID: "works", Cron: every("10")},
			callsheet.Schedule{ID: "fails", Cron: every("30"), MaxRetries: 1, RetryDelay: time.Second})
		stop := start(t, sched)
		time.Sleep(59 * time.Second)
		stop()
		report, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
		require.NoError(t, err)
		require.Len(t, report.Schedules.Items, 2)
		fails, works := report.Schedules.Items[0], report.Schedules.Items[1]
		assert.Equal(t, "fails", fails.Schedule)
		assert.EqualValues(t, 1, fails.Stats.Failed)
		assert.EqualValues(t, 2, fails.Stats.Attempts)
		assert.EqualValues(t, 0, fails.Stats.Records)
		assert.EqualValues(t, 5, works.Stats.Succeeded)
		assert.EqualValues(t, 5, works.Stats.Records)
		assert.EqualValues(t, 500, works.Stats.Bytes)
		assert.InEpsilon(t, 100*time.Millisecond, works.Stats.P50, 0.05)
		assert.InEpsilon(t, 100*time.Millisecond, works.Stats.P99, 0.05)
		assert.EqualValues(t, 7, report.Total.Attempts)
		assert.EqualValues(t, 1, report.Total.Failed)
	})
}

func TestUpcoming_SoonestFirstOfAllSchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock starts at 2000-01-01 00:00 UTC
		sched := newScheduler(t, succeed)
		define(t, sched,
			callsheet.Schedule{ID: "hourly", Cron: "0 * * * *"},
			callsheet.Schedule{ID: "half", Cron: "30 1 * * *", Zone: "Europe/Berlin"},
			callsheet.Schedule{ID: "off", Cron: "* * * * *", Disabled: true},
			callsheet.Schedule{ID: "manual"})
		upcoming, err := sched.Upcoming(t.Context(), 3)
		require.NoError(t, err)
		var list []string
		for _, o := range upcoming {
			list = append(list, o.Schedule+" "+o.At.Format("15:04 MST"))
		}
		assert.Equal(t, []string{"half 01:30 CET", "hourly 01:00 UTC", "hourly 02:00 UTC"}, list)
		only, err := sched.Upcoming(t.Context(), 2, "half")
		require.NoError(t, err)
		require.Len(t, only, 2)
		assert.Equal(t, 24*time.Hour, only[1].At.Sub(only[0].At))
	})
}

func TestPlan_ByAHostsOwnTicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *"})
		report, err := sched.Plan(t.Context())
		require.NoError(t, err)
		due := schedule(t, sched, "s").NextExecutionAt
		assert.Equal(t, callsheet.PlanReport{Wake: due}, report, "nothing is due yet")
		time.Sleep(time.Until(due))
		report, err = sched.Plan(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, report.Planned)
		assert.Equal(t, []callsheet.State{callsheet.StatePending}, states(executions(t, sched, "s")))
	})
}

func TestLog_EveryOperationOnceWithItsExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book logbook
		var tries atomic.Int64
		sched := newScheduler(t, func(context.Context, callsheet.Call) error {
			if tries.Add(1) == 1 {
				return errors.New("down")
			}
			return nil
		}, callsheet.WithLogger(book.logger()))
		define(t, sched, callsheet.Schedule{ID: "s", RetryDelay: time.Second})
		stop := start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		_, err = sched.Pause(t.Context(), "s", "holiday")
		require.NoError(t, err)
		_, err = sched.Resume(t.Context(), "s")
		require.NoError(t, err)
		stop()

		for message, want := range map[string]map[string]any{
			"sheet defined":                   {"level": slog.LevelInfo, "schedules": int64(1)},
			"scheduler started":               {"level": slog.LevelInfo},
			"execution requested":             {"level": slog.LevelInfo, "schedule": "s", "execution": e.ID},
			"attempt failed, another follows": {"level": slog.LevelWarn, "schedule": "s", "execution": e.ID, "attempt": int64(1), "error": "down", "class": "transient"},
			"execution succeeded":             {"level": slog.LevelInfo, "schedule": "s", "execution": e.ID, "attempt": int64(2), "records": int64(1), "http_status": int64(200)},
			"schedule paused":                 {"level": slog.LevelInfo, "schedule": "s", "reason": "holiday"},
			"schedule resumed":                {"level": slog.LevelInfo, "schedule": "s"},
			"scheduler stopped":               {"level": slog.LevelInfo},
		} {
			lines := book.lines(message)
			if assert.Len(t, lines, 1, "%q is logged once", message) {
				for key, value := range want {
					assert.Equal(t, value, lines[0][key], "%s of %q", key, message)
				}
			}
		}
		assert.Len(t, book.lines("attempt started"), 2)
	})
}

func TestRun_PrunesWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed, callsheet.WithPlanInterval(time.Minute), callsheet.WithLease(10*time.Minute),
			callsheet.WithRetention(callsheet.Retention{Succeeded: 24 * time.Hour}))
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "30 * * * *"})
		start(t, sched)
		time.Sleep(72 * time.Hour)
		assert.InDelta(t, 24, len(executions(t, sched, "s")), 1, "a day's worth is kept")
		stats, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
		require.NoError(t, err)
		assert.EqualValues(t, 72, stats.Total.Succeeded, "statistics keep what they counted")
	})
}

func TestRun_RetentionOfZeroKeepsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed, callsheet.WithPlanInterval(time.Minute), callsheet.WithLease(10*time.Minute),
			callsheet.WithRetention(callsheet.Retention{Failed: time.Hour}))
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "30 * * * *"})
		start(t, sched)
		time.Sleep(48 * time.Hour)
		assert.Len(t, executions(t, sched, "s"), 48)
	})
}

func TestRun_MonitorLogsWhatHasChangedAndNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book logbook
		var up atomic.Bool
		sched := newScheduler(t, func(context.Context, callsheet.Call) error {
			if !up.Load() {
				return errors.New("down")
			}
			return nil
		}, callsheet.WithLogger(book.logger()))
		define(t, sched, callsheet.Schedule{ID: "s", MaxRetries: callsheet.NoRetries})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(10*time.Minute + 30*time.Second) // off the monitor's ticks
		reports := book.lines("monitor report")
		require.Len(t, reports, 1)
		assert.Equal(t, slog.LevelWarn, reports[0]["level"])
		assert.EqualValues(t, 1, reports[0]["dead_letters"])
		up.Store(true)
		_, err = sched.Retry(t.Context(), e.ID)
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		reports = book.lines("monitor report")
		require.Len(t, reports, 2)
		assert.Equal(t, slog.LevelInfo, reports[1]["level"], "all is well again")
	})
}

func TestDependencies_InMemoryHostLinksNoDriver(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".", "./store/memory").Output()
	require.NoError(t, err)
	packages := strings.Fields(string(out))
	assert.NotContains(t, packages, "database/sql") // its driver's interfaces come with google/uuid, and are no driver
	for _, pkg := range packages {
		for _, driver := range []string{"jmoiron/sqlx", "jackc/pgx", "lib/pq", "modernc.org/sqlite", "redis", "asynq", "riverqueue"} {
			assert.NotContains(t, pkg, driver)
		}
	}
}
