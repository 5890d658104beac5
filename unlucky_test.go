package callsheet_test

import (
	"context"
	"errors"
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

// Moments that are unlikely, and come.

// failsOnce is a Store whose next call of one method fails.
type failsOnce struct {
	callsheet.Store
	plan   atomic.Bool // Plan fails before it does anything
	finish atomic.Bool // Finish fails after it has done all
}

func (s *failsOnce) Plan(ctx context.Context, r callsheet.PlanRequest) (callsheet.PlanResult, error) {
	if s.plan.Swap(false) {
		return callsheet.PlanResult{}, errors.New("connection reset")
	}
	return s.Store.Plan(ctx, r)
}

func (s *failsOnce) Finish(ctx context.Context, o []callsheet.Outcome) ([]callsheet.Finish, error) {
	finishes, err := s.Store.Finish(ctx, o)
	if s.finish.Swap(false) {
		return nil, errors.New("connection reset")
	}
	return finishes, err
}

func TestRun_PassThatBreaksOffForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failsOnce{Store: memory.New()}
		sched := newSchedulerOn(t, store, succeed, callsheet.WithPlanInterval(time.Hour))
		define(t, sched, callsheet.Schedule{ID: "a", Cron: "1 * * * * *"}, callsheet.Schedule{ID: "b", Cron: "2 * * * * *"})
		start(t, sched)
		time.Sleep(500 * time.Millisecond)
		store.plan.Store(true) // the pass at :01
		time.Sleep(10 * time.Second)
		for _, id := range []string{"a", "b"} {
			all := executions(t, sched, id)
			require.Len(t, all, 1, id)
			assert.LessOrEqual(t, all[0].StartedAt.Sub(all[0].ScheduledAt), time.Second, id)
		}
	})
}

func TestRun_OutcomeWhoseAnswerWasLostIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failsOnce{Store: memory.New()}
		store.finish.Store(true)
		var told []callsheet.State
		sched := newSchedulerOn(t, store, succeed, callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
			told = append(told, e.State)
		}))
		define(t, sched, callsheet.Schedule{ID: "s"})
		stop := start(t, sched)
		_, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		stop()
		assert.Equal(t, []callsheet.State{callsheet.StateSucceeded}, told)
	})
}

func TestExecute_FromASchedulerWithoutWorkersStartsElsewhereSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		web, worker := newSchedulerOn(t, store, succeed), newSchedulerOn(t, store, succeed)
		define(t, web, callsheet.Schedule{ID: "s"})
		start(t, worker)
		e, err := web.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		e = execution(t, web, e.ID)
		assert.LessOrEqual(t, e.StartedAt.Sub(e.CreatedAt), time.Second)
		report, err := web.Monitor(t.Context())
		require.NoError(t, err)
		assert.Zero(t, report.Backlog.Queue.Waiting)
	})
}

func TestRun_LeaseIsKeptWhileAPipelineTakesItsGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		var inside, most atomic.Int64
		w := func(ctx context.Context, call callsheet.Call) error {
			most.Store(max(most.Load(), inside.Add(1)))
			defer inside.Add(-1)
			if call.Execution.Fence > 1 {
				return nil
			}
			<-ctx.Done()
			time.Sleep(3 * time.Second) // longer than the lease, shorter than the grace
			return ctx.Err()
		}
		options := []callsheet.Option{callsheet.WithLease(time.Second), callsheet.WithDrainTimeout(0)}
		first, second := newSchedulerOn(t, store, w, options...), newSchedulerOn(t, store, w, options...)
		define(t, first, callsheet.Schedule{ID: "s"})
		stop := start(t, first)
		e, err := first.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Second)
		start(t, second)
		stop()
		time.Sleep(time.Minute)
		e = execution(t, second, e.ID)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		assert.Zero(t, e.LostWorkers)
		assert.EqualValues(t, 1, most.Load(), "workers at a time")
	})
}

func TestCancel_AfterDeleteStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(ctx context.Context, _ callsheet.Call) error { <-ctx.Done(); return ctx.Err() },
			callsheet.WithLease(time.Hour))
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, sched.Schedules().Delete(t.Context(), "s"))
		_, err = sched.Cancel(t.Context(), e.ID, "now")
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, callsheet.StateCancelled, execution(t, sched, e.ID).State)
	})
}

func TestRun_ObserverThatEndsItsGoroutineCostsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var again atomic.Bool
		sched := newScheduler(t, succeed, callsheet.WithWorkers(1), callsheet.WithObserver(func(context.Context, callsheet.Execution) {
			if !again.Swap(true) {
				runtime.Goexit()
			}
		}))
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		for range 2 {
			e, err := sched.Execute(t.Context(), "s")
			require.NoError(t, err)
			time.Sleep(time.Second)
			assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State)
		}
	})
}

// dyingQueue is a Queue that returns while calls are under way.
type dyingQueue struct {
	rings chan string
	die   chan struct{}
}

func (q dyingQueue) Enqueue(_ context.Context, ids ...string) error {
	for _, id := range ids {
		q.rings <- id
	}
	return nil
}

func (q dyingQueue) Run(ctx context.Context, handle func(context.Context, string)) error {
	for {
		select {
		case id := <-q.rings:
			go handle(context.WithoutCancel(ctx), id)
		case <-q.die:
			return errors.New("connection refused")
		case <-ctx.Done():
			return nil
		}
	}
}

func (q dyingQueue) Stats(context.Context) (callsheet.QueueStats, error) {
	return callsheet.QueueStats{}, nil
}

func TestRun_QueueThatDiesLeavesNoAttemptBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := dyingQueue{make(chan string, 10), make(chan struct{})}
		sched := newScheduler(t, func(ctx context.Context, _ callsheet.Call) error {
			time.Sleep(3 * time.Second)
			return ctx.Err()
		}, callsheet.WithQueue(queue))
		define(t, sched, callsheet.Schedule{ID: "s"})
		done := make(chan error, 1)
		go func() { done <- sched.Run(t.Context()) }()
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Second)
		close(queue.die)
		assert.ErrorContains(t, <-done, "connection refused")
		assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State, "it had the drain timeout to finish")
	})
}

func TestRetry_AfterResetFailuresCountsFromOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(context.Context, callsheet.Call) error { return errors.New("down") })
		define(t, sched, callsheet.Schedule{ID: "s", MaxRetries: callsheet.NoRetries})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = sched.ResetFailures(t.Context(), "s")
		require.NoError(t, err)
		_, err = sched.Retry(t.Context(), e.ID)
		require.NoError(t, err)
		time.Sleep(time.Second)
		report, err := sched.Monitor(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "the last execution failed: down", report.Failed[0].What)
	})
}

func TestUpcoming_AfterALongPauseBeginsWithWhatWillRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *"})
		time.Sleep(24*time.Hour + time.Second)
		upcoming, err := sched.Upcoming(t.Context(), 2)
		require.NoError(t, err)
		assert.Equal(t, time.Now().UTC().Truncate(time.Minute), upcoming[0].At, "the latest that is due")
		assert.Equal(t, time.Minute, upcoming[1].At.Sub(upcoming[0].At))
	})
}

func TestRecorded_AClockThatWasAheadSilencesNothing(t *testing.T) {
	s := callsheet.Schedule{ScheduleState: callsheet.ScheduleState{Status: callsheet.StatusActive, LastScheduledAt: noon.Add(time.Hour)}}
	running := pending().Claimed("w", noon, time.Second)
	failed := running.Finished(callsheet.Outcome{State: callsheet.StateFailed}, noon)
	assert.Equal(t, callsheet.StatusFailed, s.Recorded(running, failed, noon).Status)
	assert.Equal(t, callsheet.StatusActive, s.Recorded(running, failed, noon.Add(2*time.Hour)).Status, "it is an older one after all")
}
