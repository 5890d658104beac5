package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_EveryOccurrenceIsRunWhenItFallsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: every("10")})
		stop := start(t, sched)
		time.Sleep(time.Minute + tick)
		stop()
		all := executions(t, sched, "s")
		require.Len(t, all, 6)
		for i, e := range all {
			assert.Equal(t, callsheet.StateSucceeded, e.State)
			assert.Equal(t, callsheet.TriggerSchedule, e.Trigger)
			assert.Zero(t, e.ScheduledAt.Second()%10)
			assert.Equal(t, e.ScheduledAt, e.StartedAt, "execution %d starts the moment it is due", i)
		}
		s := schedule(t, sched, "s")
		assert.EqualValues(t, 6, s.ExecutionCount)
		assert.Equal(t, all[5].StartedAt, s.LastExecutedAt)
		assert.Equal(t, all[5].ScheduledAt.Add(10*time.Second), s.NextExecutionAt)
		assert.Equal(t, "every 10 seconds", s.Description)
	})
}

func TestRun_ScheduleCreatedWhileRunningIsPickedUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The pass an hour away shows that it is the creation that wakes the planner.
		sched := newScheduler(t, succeed, callsheet.WithPlanInterval(time.Hour))
		start(t, sched)
		time.Sleep(time.Second)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: every("5")})
		time.Sleep(10*time.Second + tick)
		for _, e := range executions(t, sched, "s") {
			assert.Equal(t, e.ScheduledAt, e.StartedAt)
		}
		assert.Len(t, executions(t, sched, "s"), 2)
	})
}

func TestRun_RetriesWithGrowingDelaysThenIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(context.Context, callsheet.Call) error { return errors.New("down") },
			callsheet.WithPlanInterval(time.Hour)) // a retry wakes the planner itself
		define(t, sched, callsheet.Schedule{ID: "s", MaxRetries: 2, RetryDelay: 10 * time.Second})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()

		first := execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StatePending, first.State)
		assert.Equal(t, callsheet.ReasonRetry, first.Reason)
		assert.WithinDuration(t, time.Now().Add(10*time.Second), first.NotBefore, 2500*time.Millisecond)

		time.Sleep(time.Minute)
		dead := execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StateFailed, dead.State)
		assert.Equal(t, callsheet.ReasonExhausted, dead.Reason)
		assert.Equal(t, "down", dead.Error)
		require.Len(t, dead.Attempts, 3, "one attempt and two retries")
		for i := 1; i < 3; i++ {
			wait := dead.Attempts[i].StartedAt.Sub(dead.Attempts[i-1].FinishedAt)
			assert.InEpsilon(t, 10*time.Second*time.Duration(i), wait, 0.26, "wait before retry %d", i)
		}
		s := schedule(t, sched, "s")
		assert.Equal(t, callsheet.StatusFailed, s.Status)
		assert.EqualValues(t, 1, s.FailureCount)
	})
}

func TestRun_FailedScheduleGoesOnAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		sched := newScheduler(t, func(context.Context, callsheet.Call) error {
			if up.Load() {
				return nil
			}
			return errors.New("down")
		})
		define(t, sched, callsheet.Schedule{ID: "s", Cron: every("10"), MaxRetries: callsheet.NoRetries})
		start(t, sched)
		time.Sleep(20*time.Second + tick)
		assert.Equal(t, callsheet.StatusFailed, schedule(t, sched, "s").Status)
		up.Store(true)
		time.Sleep(10 * time.Second)
		assert.Equal(t, callsheet.StatusActive, schedule(t, sched, "s").Status)
		assert.Equal(t, []callsheet.State{callsheet.StateFailed, callsheet.StateFailed, callsheet.StateSucceeded},
			states(executions(t, sched, "s")), "a dead letter holds nothing up")

		n, err := sched.RetryAll(t.Context(), callsheet.ExecutionQuery{Schedule: "s"})
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		synctest.Wait()
		assert.Equal(t, []callsheet.State{callsheet.StateSucceeded, callsheet.StateSucceeded, callsheet.StateSucceeded},
			states(executions(t, sched, "s")))
		_, err = sched.Retry(t.Context(), executions(t, sched, "s")[0].ID)
		_, conflict := errors.AsType[*callsheet.ConflictError](err)
		assert.True(t, conflict, "what has not failed cannot be retried: %v", err)
	})
}

func TestRun_PausesAfterFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(context.Context, callsheet.Call) error { return errors.New("down") })
		define(t, sched, callsheet.Schedule{ID: "s", Cron: every("10"), MaxRetries: callsheet.NoRetries, PauseAfterFailures: 2})
		start(t, sched)
		time.Sleep(time.Minute)
		s := schedule(t, sched, "s")
		assert.Equal(t, callsheet.StatusPaused, s.Status)
		assert.Equal(t, "2 failures in a row", s.PauseReason)
		assert.Len(t, executions(t, sched, "s"), 2)
	})
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed, callsheet.WithPlanInterval(time.Hour)) // Resume wakes the planner itself
		define(t, sched, callsheet.Schedule{ID: "s", Cron: every("10")})
		start(t, sched)
		time.Sleep(10*time.Second + tick)
		s, err := sched.Pause(t.Context(), "s", "maintenance")
		require.NoError(t, err)
		assert.Equal(t, callsheet.StatusPaused, s.Status)
		assert.Equal(t, "maintenance", s.PauseReason)
		time.Sleep(time.Minute)
		assert.Len(t, executions(t, sched, "s"), 1, "nothing is planned during a pause")

		_, err = sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()
		assert.Len(t, executions(t, sched, "s"), 2, "run now works on a paused schedule")

		s, err = sched.Resume(t.Context(), "s")
		require.NoError(t, err)
		assert.Equal(t, callsheet.StatusActive, s.Status)
		assert.Empty(t, s.PauseReason)
		time.Sleep(10 * time.Second)
		all := executions(t, sched, "s")
		require.Len(t, all, 4, "nothing of the pause is made up for")
		assert.Equal(t, callsheet.ReasonPaused, all[1].Reason, "but there is a row that says so")
		assert.Equal(t, 6, all[1].Gap.Count)
		assert.Equal(t, all[3].ScheduledAt, all[3].StartedAt)

		again, err := sched.Resume(t.Context(), "s")
		require.NoError(t, err)
		assert.Equal(t, schedule(t, sched, "s"), again, "resuming what is not paused changes nothing")
	})
}

func TestRun_OccurrenceThatOverlapsIsSkippedAndRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(ctx context.Context, _ callsheet.Call) error {
			time.Sleep(25 * time.Second)
			return nil
		})
		define(t, sched, callsheet.Schedule{ID: "s", Cron: every("10")})
		start(t, sched)
		time.Sleep(36 * time.Second)
		all := executions(t, sched, "s")
		require.Len(t, all, 3)
		assert.Equal(t, []callsheet.State{callsheet.StateSucceeded, callsheet.StateSkipped, callsheet.StateSkipped}, states(all))
		assert.Equal(t, callsheet.ReasonOverlap, all[1].Reason)
	})
}

func TestRun_WhatNobodyPlannedIsOneRowAndTheLatestRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/5 * * * *"})
		begin := time.Now().UTC()
		time.Sleep(62 * time.Minute) // nothing runs
		start(t, sched)
		time.Sleep(time.Second)
		all := executions(t, sched, "s")
		require.Len(t, all, 2)
		assert.Equal(t, callsheet.ReasonMissed, all[0].Reason)
		assert.Equal(t, &callsheet.Gap{First: begin.Add(5 * time.Minute), Last: begin.Add(55 * time.Minute), Count: 11}, all[0].Gap)
		assert.Equal(t, callsheet.StateSucceeded, all[1].State)
		assert.Equal(t, begin.Add(time.Hour), all[1].ScheduledAt)
		stats, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
		require.NoError(t, err)
		assert.EqualValues(t, 11, stats.Total.Missed)
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(ctx context.Context, _ callsheet.Call) error {
			<-ctx.Done()
			return ctx.Err()
		})
		define(t, sched, callsheet.Schedule{ID: "s"})
		waiting, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		e, err := sched.Cancel(t.Context(), waiting.ID, "not wanted")
		require.NoError(t, err)
		assert.Equal(t, callsheet.StateCancelled, e.State, "what is pending is over at once")

		start(t, sched)
		running, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()
		before := time.Now()
		e, err = sched.Cancel(t.Context(), running.ID, "enough")
		require.NoError(t, err)
		assert.True(t, e.CancelRequested)
		synctest.Wait()
		e = execution(t, sched, running.ID)
		assert.Equal(t, callsheet.StateCancelled, e.State)
		assert.Equal(t, "enough", e.Reason)
		assert.Equal(t, before, time.Now(), "in its own process a running execution is stopped at once")
		assert.Equal(t, callsheet.StatusActive, schedule(t, sched, "s").Status, "a cancellation is no failure")

		over, err := sched.Cancel(t.Context(), running.ID, "again")
		require.NoError(t, err)
		assert.Equal(t, e, over, "what is over is returned as it is")
	})
}

func TestCancel_ReachesAnotherNodeWithItsNextRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		worker := newSchedulerOn(t, store, func(ctx context.Context, _ callsheet.Call) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		define(t, worker, callsheet.Schedule{ID: "s"})
		start(t, worker)
		e, err := worker.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()
		elsewhere := newSchedulerOn(t, store, succeed)
		_, err = elsewhere.Cancel(t.Context(), e.ID, "from elsewhere")
		require.NoError(t, err)
		time.Sleep(4 * time.Second)
		assert.Equal(t, callsheet.StateCancelled, execution(t, worker, e.ID).State)
	})
}

func TestRun_AttemptThatOutlastsItsTimeoutIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(ctx context.Context, call callsheet.Call) error {
			if call.Execution.Attempt == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		define(t, sched, callsheet.Schedule{ID: "s", Timeout: time.Minute})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		require.Len(t, e.Attempts, 2)
		assert.Equal(t, time.Minute, e.Attempts[0].Duration())
		assert.Equal(t, callsheet.ClassTransient, e.Attempts[0].Class)
		assert.Contains(t, e.Attempts[0].Error, "timed out")
	})
}

func TestRun_PanicIsAFailedAttemptWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(context.Context, callsheet.Call) error { panic("boom") },
			callsheet.WithObserver(func(context.Context, callsheet.Execution) { panic("observer, too") }))
		define(t, sched, callsheet.Schedule{ID: "s", MaxRetries: 1, RetryDelay: time.Second})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StateFailed, e.State)
		assert.Equal(t, callsheet.ClassPanic, e.Class)
		require.Len(t, e.Attempts, 2)
		assert.Regexp(t, `^panic at run_test\.go:\d+: boom$`, e.Attempts[0].Error)
		assert.Contains(t, e.Attempts[0].Stack, "TestRun_PanicIsAFailedAttemptWithItsStack")
	})
}

func TestRun_DrainsThenHandsBack(t *testing.T) {
	for _, tc := range []struct {
		name    string
		work    work
		after   time.Duration // Run returns this long after it was stopped
		state   callsheet.State
		reason  string
		attempt int
		fails   string
	}{
		{"an execution that ends in time is finished",
			func(context.Context, callsheet.Call) error { time.Sleep(20 * time.Second); return nil },
			19 * time.Second, callsheet.StateSucceeded, "", 1, ""},
		{"one that does not is handed back without spending its attempt",
			func(ctx context.Context, _ callsheet.Call) error { <-ctx.Done(); return ctx.Err() },
			30 * time.Second, callsheet.StatePending, callsheet.ReasonHandBack, 0, ""},
		{"one whose pipeline does not heed its context is handed back and reported",
			func(context.Context, callsheet.Call) error { time.Sleep(time.Minute); return nil },
			35 * time.Second, callsheet.StatePending, callsheet.ReasonHandBack, 0, "pipeline did not return"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sched := newScheduler(t, tc.work, callsheet.WithDrainTimeout(30*time.Second))
				define(t, sched, callsheet.Schedule{ID: "s"})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- sched.Run(ctx) }()
				e, err := sched.Execute(t.Context(), "s")
				require.NoError(t, err)
				time.Sleep(time.Second)
				cancel()
				stopped := time.Now()
				err = <-done
				assert.Equal(t, tc.after, time.Since(stopped).Round(100*time.Millisecond))
				if tc.fails == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, tc.fails)
				}
				e = execution(t, sched, e.ID)
				assert.Equal(t, tc.state, e.State)
				assert.Equal(t, tc.reason, e.Reason)
				assert.Equal(t, tc.attempt, e.Attempt)
				time.Sleep(time.Minute) // the one that does not heed its context ends, and records nothing
				assert.Equal(t, e, execution(t, sched, e.ID))
			})
		})
	}
}

func TestRun_TwiceAtOnceIsRefusedAndAgainIsWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: every("10")})
		stop := start(t, sched)
		synctest.Wait()
		assert.ErrorIs(t, sched.Run(t.Context()), callsheet.ErrRunning)
		stop()
		start(t, sched)
		time.Sleep(10*time.Second + tick)
		assert.Len(t, executions(t, sched, "s"), 1)
	})
}

// cutOff is a Store as one node sees it, which at some moment stops answering, as if the network
// were gone.
type cutOff struct {
	callsheet.Store
	cut atomic.Bool
}

// overCut asks the Store, unless it is cut off.
func overCut[Q, A any](s *cutOff, ask func(context.Context, Q) (A, error), ctx context.Context, q Q) (A, error) {
	if s.cut.Load() {
		var none A
		return none, errors.New("no route to store")
	}
	return ask(ctx, q)
}

func (s *cutOff) Plan(ctx context.Context, r callsheet.PlanRequest) (callsheet.PlanResult, error) {
	return overCut(s, s.Store.Plan, ctx, r)
}

func (s *cutOff) Ring(ctx context.Context, r callsheet.RingRequest) (callsheet.RingResult, error) {
	return overCut(s, s.Store.Ring, ctx, r)
}

func (s *cutOff) Claim(ctx context.Context, r callsheet.ClaimRequest) ([]callsheet.Call, error) {
	return overCut(s, s.Store.Claim, ctx, r)
}

func (s *cutOff) Renew(ctx context.Context, r callsheet.RenewRequest) ([]callsheet.Renewal, error) {
	return overCut(s, s.Store.Renew, ctx, r)
}

func (s *cutOff) Finish(ctx context.Context, o []callsheet.Outcome) ([]callsheet.Finish, error) {
	return overCut(s, s.Store.Finish, ctx, o)
}

func (s *cutOff) Keep(ctx context.Context, a callsheet.Answer) error {
	_, err := overCut(s, func(ctx context.Context, a callsheet.Answer) (any, error) { return nil, s.Store.Keep(ctx, a) }, ctx, a)
	return err
}

func (s *cutOff) Reclaim(ctx context.Context, limit int, rung time.Duration) ([]callsheet.Execution, error) {
	reclaim := func(ctx context.Context, limit int) ([]callsheet.Execution, error) {
		return s.Store.Reclaim(ctx, limit, rung)
	}
	return overCut(s, reclaim, ctx, limit)
}

func TestRun_WorkerThatIsCutOffStopsAndAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		cut := &cutOff{Store: store}
		var stopped, taken atomic.Int64 // since the cut
		var begin time.Time
		first := newSchedulerOn(t, cut, func(ctx context.Context, _ callsheet.Call) error {
			<-ctx.Done()
			stopped.Store(int64(time.Since(begin)))
			assert.ErrorIs(t, context.Cause(ctx), callsheet.ErrLeaseLost)
			return ctx.Err()
		}, callsheet.WithWorkerName("first"))
		define(t, first, callsheet.Schedule{ID: "s", Timeout: time.Hour})
		start(t, first)
		e, err := first.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Minute) // the lease is renewed all the while
		begin = time.Now()
		cut.cut.Store(true)

		second := newSchedulerOn(t, store, func(context.Context, callsheet.Call) error {
			taken.Store(int64(time.Since(begin)))
			return nil
		}, callsheet.WithWorkerName("second"))
		start(t, second)
		time.Sleep(time.Minute)
		e = execution(t, second, e.ID)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		require.Len(t, e.Attempts, 2)
		assert.Equal(t, callsheet.ClassLostWorker, e.Attempts[0].Class)
		assert.Equal(t, "second", e.Attempts[1].Worker)
		assert.Equal(t, 1, e.Attempt, "a lost worker costs no attempt")
		assert.Less(t, time.Duration(stopped.Load()), time.Duration(taken.Load()), "the first has stopped before the second begins")
		assert.LessOrEqual(t, time.Duration(taken.Load()), 15*time.Second)
	})
}

func TestPlan_FiftyPlannersDoubleAndLoseNothing(t *testing.T) {
	const planners, schedules, seconds = 50, 200, 5
	store := memory.New()
	setUp := newSchedulerOn(t, store, succeed)
	var list []callsheet.Schedule
	for i := range schedules {
		list = append(list, callsheet.Schedule{ID: fmt.Sprintf("s%03d", i), Cron: every("1")})
	}
	define(t, setUp, list...)
	begin := time.Now()
	var wg sync.WaitGroup
	var planned atomic.Int64
	for range planners {
		wg.Go(func() {
			sched := newSchedulerOn(t, store, succeed)
			for time.Since(begin) < seconds*time.Second {
				report, err := sched.Plan(t.Context())
				assert.NoError(t, err)
				planned.Add(int64(report.Planned + report.Skipped))
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	all := executions(t, setUp, "")
	assert.EqualValues(t, planned.Load(), len(all), "every planner's rows are there, and no others")
	seen := map[string]bool{}
	at := map[string][]time.Time{}
	for _, e := range all {
		key := e.Schedule + e.ScheduledAt.String()
		assert.False(t, seen[key], "%s at %s is there twice", e.Schedule, e.ScheduledAt)
		seen[key] = true
		at[e.Schedule] = append(at[e.Schedule], e.ScheduledAt)
		if e.Gap != nil {
			for i := 1; i < e.Gap.Count; i++ {
				at[e.Schedule] = append(at[e.Schedule], e.ScheduledAt.Add(time.Duration(i)*time.Second))
			}
		}
	}
	require.Len(t, at, schedules)
	for id, times := range at {
		require.GreaterOrEqual(t, len(times), seconds-1, "occurrences of %s", id)
		for i := 1; i < len(times); i++ {
			require.Equal(t, time.Second, times[i].Sub(times[i-1]), "%s has a gap that no row accounts for", id)
		}
	}
}

func TestRun_AThousandUnrulyExecutionsEachEndOnce(t *testing.T) {
	const total = 1000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	fate := make([]float64, 1<<16)
	for i := range fate {
		fate[i] = random.Float64()
	}
	var turn atomic.Int64
	var ends sync.Map // execution ID → how often the observer saw it final
	sched := newScheduler(t, func(ctx context.Context, _ callsheet.Call) error {
		switch f := fate[turn.Add(1)%int64(len(fate))]; {
		case f < 0.1:
			panic("unruly")
		case f < 0.4:
			return errors.New("transient")
		case f < 0.5:
			return &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: errors.New("permanent")}
		case f < 0.6:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
		return nil
	}, callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
		if e.State.Final() {
			n, _ := ends.LoadOrStore(e.ID, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
	}))
	var list []callsheet.Schedule
	for i := range 20 {
		list = append(list, callsheet.Schedule{ID: fmt.Sprintf("s%02d", i), MaxRetries: 2, RetryDelay: 2 * time.Millisecond})
	}
	define(t, sched, list...)
	stop := start(t, sched)
	var ids []string
	for i := range total {
		e, err := sched.Execute(t.Context(), fmt.Sprintf("s%02d", i%20))
		require.NoError(t, err)
		ids = append(ids, e.ID)
		if random.Float64() < 0.1 {
			_, err := sched.Cancel(t.Context(), ids[random.IntN(len(ids))], "unruly canceller")
			require.NoError(t, err)
		}
	}
	require.Eventually(t, func() bool {
		stats, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
		return err == nil && stats.Total.Pending+stats.Total.Running == 0
	}, 30*time.Second, 5*time.Millisecond)
	stop()

	all := executions(t, sched, "")
	require.Len(t, all, total)
	var recount callsheet.Tally
	for _, e := range all {
		assert.True(t, e.State.Final(), "%s is %s", e.ID, e.State)
		recount.Applied(nil, e)
		n, seen := ends.Load(e.ID)
		if assert.True(t, seen, "the observer did not see %s end", e.ID) {
			assert.EqualValues(t, 1, n.(*atomic.Int64).Load(), "%s ended more than once", e.ID)
		}
	}
	stats, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
	require.NoError(t, err)
	assert.Equal(t, recount.Stats(), stats.Total, "counters are what a recount gives")
	for state, n := range map[string]int64{"succeeded": recount.Succeeded, "failed": recount.Failed, "cancelled": recount.Cancelled} {
		assert.NotZero(t, n, "no execution %s; the test does not test", state)
	}
}
