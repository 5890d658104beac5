package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What hosts pass in may misbehave in every way that Go allows. It must cost the attempt it
// concerns, and nothing else.

// onlyError is a host's error type, of which a nil pointer is easily returned by mistake.
type onlyError struct{ text string }

func (e *onlyError) Error() string { return e.text }

func TestRun_AttemptThatCannotEvenBeJudgedFails(t *testing.T) {
	for name, w := range map[string]work{
		"an error that panics when it is asked": func(context.Context, callsheet.Call) error {
			var none *onlyError
			return none
		},
		"a goroutine that is ended, as by a test's FailNow": func(context.Context, callsheet.Call) error {
			runtime.Goexit()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var again atomic.Bool
				sched := newScheduler(t, func(ctx context.Context, call callsheet.Call) error {
					if !again.Swap(true) {
						return w(ctx, call)
					}
					return nil
				}, callsheet.WithWorkers(1))
				define(t, sched, callsheet.Schedule{ID: "s", MaxRetries: callsheet.NoRetries})
				start(t, sched)
				e, err := sched.Execute(t.Context(), "s")
				require.NoError(t, err)
				time.Sleep(time.Second)
				e = execution(t, sched, e.ID)
				assert.Equal(t, callsheet.StateFailed, e.State)
				assert.Equal(t, callsheet.ClassPanic, e.Class)

				e, err = sched.Execute(t.Context(), "s")
				require.NoError(t, err)
				time.Sleep(time.Second)
				assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State, "the one worker is still there")
			})
		})
	}
}

func TestRun_PanicWhileStoppingIsHandedBackUnspent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(ctx context.Context, _ callsheet.Call) error { <-ctx.Done(); panic("closed") },
			callsheet.WithDrainTimeout(time.Second))
		define(t, sched, callsheet.Schedule{ID: "s", MaxRetries: callsheet.NoRetries})
		stop := start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Second)
		stop()
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StatePending, e.State)
		assert.Zero(t, e.Attempt)
	})
}

func TestRun_LostWorkerIsNotAnAttemptEvenTheLastAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts atomic.Int64
		sched := newScheduler(t, func(context.Context, callsheet.Call) error {
			if attempts.Add(1) == 1 {
				return callsheet.ErrLeaseLost
			}
			return nil
		})
		define(t, sched, callsheet.Schedule{ID: "s", MaxRetries: callsheet.NoRetries})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State)
	})
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(context.Context, callsheet.Call) error { return callsheet.ErrLeaseLost })
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StateFailed, e.State)
		assert.Len(t, e.Attempts, callsheet.MaxLostWorkers)
	})
}

func TestRun_EndsInBoundedTimeWhoeverBlocks(t *testing.T) {
	for name, tc := range map[string]struct {
		work  work
		opts  func(block chan struct{}) []callsheet.Option
		store func(cut *cutOff)
		fails string
	}{
		"an observer in a planning pass": {
			work: func(ctx context.Context, _ callsheet.Call) error { <-ctx.Done(); return ctx.Err() },
			opts: func(block chan struct{}) []callsheet.Option {
				return []callsheet.Option{callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
					if e.State == callsheet.StateSkipped {
						<-block
					}
				})}
			},
			fails: "end passes: it did not end",
		},
		"an observer in a worker": {
			work: succeed,
			opts: func(block chan struct{}) []callsheet.Option {
				return []callsheet.Option{callsheet.WithObserver(func(context.Context, callsheet.Execution) { <-block })}
			},
			fails: "workers did not return",
		},
		"pipelines, with a store that is away": {
			work:  nil, // blocks
			store: func(cut *cutOff) { cut.cut.Store(true) },
			fails: "pipeline did not return",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				block := make(chan struct{})
				w := tc.work
				if w == nil {
					w = func(context.Context, callsheet.Call) error { <-block; return nil }
				}
				opts := []callsheet.Option{callsheet.WithDrainTimeout(10 * time.Second)}
				if tc.opts != nil {
					opts = append(opts, tc.opts(block)...)
				}
				cut := &cutOff{Store: memory.New()}
				sched := newSchedulerOn(t, cut, w, opts...)
				define(t, sched, callsheet.Schedule{ID: "s", Cron: every("1")}, callsheet.Schedule{ID: "more"})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- sched.Run(ctx) }()
				for range 8 {
					_, err := sched.Execute(t.Context(), "more")
					require.NoError(t, err)
				}
				time.Sleep(5 * time.Second)
				if tc.store != nil {
					tc.store(cut)
				}
				cancel()
				stopped := time.Now()
				assert.ErrorContains(t, <-done, tc.fails)
				assert.LessOrEqual(t, time.Since(stopped), 25*time.Second)
				close(block)
				time.Sleep(time.Minute) // whatever was left behind comes to its end
			})
		})
	}
}

func TestRun_OutcomeThatTheStoreDoesNotTakeIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := &cutOff{Store: memory.New()}
		sched := newSchedulerOn(t, cut, func(context.Context, callsheet.Call) error {
			cut.cut.Store(true)
			time.AfterFunc(3*time.Second, func() { cut.cut.Store(false) })
			return nil
		})
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(4 * time.Second)
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		assert.Len(t, e.Attempts, 1, "the work was not done again")
	})
}

func TestRun_SlowObserverHoldsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed, callsheet.WithObserver(func(context.Context, callsheet.Execution) { time.Sleep(time.Minute) }))
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		_, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		stats, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
		require.NoError(t, err)
		assert.Zero(t, stats.Total.StaleWrites)
	})
}

// panickyHandler is a log handler that panics at a message.
type panickyHandler struct {
	slog.Handler
	at string
}

func (panickyHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h panickyHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.at {
		panic("no disk to log to")
	}
	return nil
}

func TestRun_SurvivesALoggerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed, callsheet.WithLogger(slog.New(panickyHandler{slog.DiscardHandler, "execution succeeded"})))
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State)
	})
}

// brokenQueue is a Queue whose Run and Stats do what a test wants.
type brokenQueue struct{ run func() error }

func (q brokenQueue) Enqueue(context.Context, ...string) error { return nil }
func (q brokenQueue) Run(context.Context, func(context.Context, string)) error {
	return q.run()
}
func (q brokenQueue) Stats(context.Context) (callsheet.QueueStats, error) {
	return callsheet.QueueStats{}, errors.New("queue is down")
}

func TestRun_QueueThatEndsEarlyIsAnError(t *testing.T) {
	for name, tc := range map[string]struct {
		run  func() error
		want string
	}{
		"without saying why": {func() error { return nil }, "run queue: it returned before it was asked to"},
		"with an error":      {func() error { return errors.New("connection refused") }, "run queue: connection refused"},
		"with a panic":       {func() error { panic("nil map") }, "nil map"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sched := newScheduler(t, succeed, callsheet.WithQueue(brokenQueue{tc.run}))
				assert.ErrorContains(t, sched.Run(t.Context()), tc.want)
				report, err := sched.Monitor(t.Context())
				require.NoError(t, err, "the report is wanted most when something is wrong")
				assert.Equal(t, "queue is down", report.Backlog.QueueError)
			})
		})
	}
}

func TestCancel_BetweenClaimAndWorkIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sched callsheet.Scheduler
		store := &afterClaim{Store: memory.New(), do: func(call callsheet.Call) {
			_, err := sched.Cancel(context.Background(), call.Execution.ID, "just now")
			assert.NoError(t, err)
		}}
		sched = newSchedulerOn(t, store, func(ctx context.Context, _ callsheet.Call) error { <-ctx.Done(); return ctx.Err() })
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, callsheet.StateCancelled, execution(t, sched, e.ID).State, "at once, and not with the next renewal")
	})
}

// afterClaim is a Store that does something between a claim and its answer.
type afterClaim struct {
	callsheet.Store
	do func(callsheet.Call)
}

func (s *afterClaim) Claim(ctx context.Context, c callsheet.ClaimRequest) ([]callsheet.Call, error) {
	calls, err := s.Store.Claim(ctx, c)
	for _, call := range calls {
		s.do(call)
	}
	return calls, err
}

func TestCancel_IsToldOnceHoweverOftenItIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends atomic.Int64
		sched := newScheduler(t, succeed, callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
			assert.Equal(t, "first", e.Reason)
			ends.Add(1)
		}))
		define(t, sched, callsheet.Schedule{ID: "s"})
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		for _, reason := range []string{"first", "second"} {
			_, err = sched.Cancel(t.Context(), e.ID, reason)
			require.NoError(t, err)
		}
		assert.EqualValues(t, 1, ends.Load())
	})
}

func TestPlan_WithoutWorkersLeavesRingingToThoseWhoHaveSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		planner, worker := newSchedulerOn(t, store, succeed), newSchedulerOn(t, store, succeed)
		define(t, planner, callsheet.Schedule{ID: "s", Cron: every("30")})
		start(t, worker)
		for begin := time.Now(); time.Since(begin) < 10*time.Minute; time.Sleep(50 * time.Millisecond) {
			_, err := planner.Plan(t.Context())
			require.NoError(t, err)
		}
		all := executions(t, worker, "s")
		require.GreaterOrEqual(t, len(all), 19)
		for _, e := range all {
			assert.Equal(t, callsheet.StateSucceeded, e.State)
			assert.LessOrEqual(t, e.StartedAt.Sub(e.ScheduledAt), time.Second, "the worker's next pass rings")
		}
		report, err := planner.Monitor(t.Context())
		require.NoError(t, err)
		assert.Zero(t, report.Backlog.Queue.Waiting)
	})
}

func TestPlan_WhatCannotBePlannedIsPausedWithARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		sched := newSchedulerOn(t, store, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 * * * *"})
		elsewhere := schedule(t, sched, "s")
		elsewhere.Zone = "Europe/Atlantis" // defined on a node that knows more zones than this one
		elsewhere.NextExecutionAt = time.Now().Add(time.Minute)
		_, err := store.Schedules().Update(t.Context(), elsewhere)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = sched.Plan(t.Context())
		require.NoError(t, err)
		all := executions(t, sched, "s")
		require.Len(t, all, 1)
		assert.Equal(t, callsheet.ReasonUnplannable, all[0].Reason)
		s := schedule(t, sched, "s")
		assert.Equal(t, callsheet.StatusPaused, s.Status)
		assert.Contains(t, s.PauseReason, "Europe/Atlantis")
	})
}

func TestPlan_MoreThanOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1203
		sched := newScheduler(t, succeed, callsheet.WithPlanInterval(time.Hour))
		list := make([]callsheet.Schedule, n)
		for i := range list {
			list[i] = callsheet.Schedule{Cron: "* * * * *", ID: fmt.Sprintf("s%d", i)}
		}
		define(t, sched, list...)
		start(t, sched)
		time.Sleep(time.Minute + tick)
		all := executions(t, sched, "")
		require.Len(t, all, n)
		for _, e := range all {
			require.Equal(t, callsheet.StateSucceeded, e.State)
			require.Equal(t, e.ScheduledAt, e.StartedAt)
		}
	})
}

func TestRetry_CountsAnExecutionOnceAndFollowsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		sched := newScheduler(t, func(context.Context, callsheet.Call) error {
			if !up.Load() {
				return errors.New("down")
			}
			return nil
		})
		define(t, sched, callsheet.Schedule{ID: "s", MaxRetries: callsheet.NoRetries, PauseAfterFailures: 3})
		start(t, sched)
		run := func() callsheet.Execution {
			e, err := sched.Execute(t.Context(), "s")
			require.NoError(t, err)
			time.Sleep(time.Second)
			return e
		}
		retry := func(e callsheet.Execution) callsheet.Schedule {
			_, err := sched.Retry(t.Context(), e.ID)
			require.NoError(t, err)
			time.Sleep(time.Second)
			return schedule(t, sched, "s")
		}
		first := run()
		retry(first)
		s := retry(first)
		assert.EqualValues(t, 1, s.ExecutionCount, "one execution, however often it is retried")
		assert.EqualValues(t, 1, s.FailureCount)
		assert.Equal(t, callsheet.StatusFailed, s.Status, "and no reason to pause")

		latest := run()
		up.Store(true)
		s = retry(first)
		assert.Equal(t, callsheet.StatusFailed, s.Status, "the latest execution has failed, whatever becomes of an older one")
		assert.Equal(t, latest.ID, s.LastExecution)
		s = retry(latest)
		assert.Equal(t, callsheet.StatusActive, s.Status)
	})
}

func TestRun_PrunesAlsoWhereItIsRestartedOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed, callsheet.WithPlanInterval(time.Minute), callsheet.WithLease(10*time.Minute),
			callsheet.WithRetention(callsheet.Retention{Succeeded: 24 * time.Hour}))
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "30 * * * *"})
		for range 24 * 4 {
			ctx, cancel := context.WithTimeout(t.Context(), 55*time.Minute)
			require.NoError(t, sched.Run(ctx))
			cancel()
		}
		assert.Less(t, len(executions(t, sched, "s")), 30)
	})
}

func TestRun_PlanIntervalDoesNotSlowTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := &cutOff{Store: memory.New()}
		sched := newSchedulerOn(t, cut, func(ctx context.Context, call callsheet.Call) error {
			if call.Execution.Fence == 1 {
				cut.cut.Store(true)
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, callsheet.WithPlanInterval(time.Hour))
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		cut.cut.Store(false)
		time.Sleep(15 * time.Second)
		assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State)
	})
}
