package callsheet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where two rules meet: policies and bounds, clocks that were wrong, edits in between.

func TestExplain_ListsWhatThereIsInALongRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *"})
		start(t, sched)
		time.Sleep(10*time.Minute + tick)
		all, err := sched.Explain(t.Context(), "s", begin.Add(-48*time.Hour), time.Now())
		require.NoError(t, err)
		assert.Len(t, all, 10, "before creation")
	})
}

func TestExplain_AGapOfThousandsIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *"})
		time.Sleep(48*time.Hour + tick)
		start(t, sched)
		time.Sleep(10 * time.Minute)
		all, err := sched.Explain(t.Context(), "s", begin, time.Now())
		require.NoError(t, err)
		assert.Len(t, all, 12, "%s", lines(all))
	})
}

func TestExplain_MaxRunsAreSpentBeforeALaterRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 0 * * *", MaxRuns: 2})
		all, err := sched.Explain(t.Context(), "s", time.Now().AddDate(0, 0, 10), time.Now().AddDate(0, 0, 20))
		require.NoError(t, err)
		assert.Empty(t, lines(all))
	})
}

func TestExplain_DueOccurrencesThatMisfireWillNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *", MaxRuns: 2})
		time.Sleep(55 * time.Minute)
		before, err := sched.Explain(t.Context(), "s", begin, begin.Add(2*time.Hour))
		require.NoError(t, err)
		start(t, sched)
		time.Sleep(2 * time.Hour)
		after, err := sched.Explain(t.Context(), "s", begin, begin.Add(2*time.Hour))
		require.NoError(t, err)
		t.Log(lines(before))
		t.Log(lines(after))
		assert.Contains(t, fmt.Sprint(lines(before)), "01:00:00 +0000 UTC: runs")
	})
}

func TestBackfill_DoesNotLookAtMaxRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *", MaxRuns: 1})
		start(t, sched)
		time.Sleep(65 * time.Minute)
		report, err := sched.Backfill(t.Context(), "s", begin, time.Now())
		require.NoError(t, err)
		assert.Equal(t, callsheet.BackfillReport{Planned: 6, Left: 1}, report)
	})
}

func TestBackfill_LeavesAPauseToResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *"})
		start(t, sched)
		_, err := sched.Pause(t.Context(), "s", "")
		require.NoError(t, err)
		time.Sleep(65 * time.Minute)
		report, err := sched.Backfill(t.Context(), "s", begin, time.Now())
		require.NoError(t, err)
		assert.Equal(t, callsheet.BackfillReport{Planned: 1, Due: 6}, report, "what fell due in the pause is for Resume to decide")
	})
}

func TestOverlap_CancelPreviousAndAClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{took: 20 * time.Minute, begin: time.Now()}
		clock := &shifted{}
		sched := newSchedulerOn(t, memory.New(memory.WithClock(clock.now)), d.work, callsheet.WithPlanInterval(time.Minute), callsheet.WithLease(time.Hour))
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 * * * *", Timeout: time.Hour, Overlap: callsheet.OverlapCancelPrevious})
		start(t, sched)
		time.Sleep(60*time.Minute + 30*time.Second) // 1:00 runs
		clock.set(-2 * time.Minute)                 // it is 0:58:30
		_, err := sched.Pause(t.Context(), "s", "")
		require.NoError(t, err)
		_, err = sched.Resume(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(30 * time.Minute)
		assert.Equal(t, []string{"60:00 succeeded"}, d.sum(executions(t, sched, "s")))
	})
}

func TestOverlap_CancelPreviousAndAnEditOfJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{took: 50 * time.Minute, begin: time.Now()}
		sched := newScheduler(t, d.work)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 * * * *", Timeout: time.Hour, Overlap: callsheet.OverlapCancelPrevious})
		start(t, sched)
		time.Sleep(60*time.Minute + 30*time.Second) // 1:00 runs
		sch := schedule(t, sched, "s")
		sch.Jitter = time.Hour
		_, err := sched.Schedules().Update(t.Context(), sch)
		require.NoError(t, err)
		_, err = sched.Pause(t.Context(), "s", "")
		require.NoError(t, err)
		sch, err = sched.Resume(t.Context(), "s")
		require.NoError(t, err)
		t.Log(d.since(sch.NextExecutionAt))
		time.Sleep(55 * time.Minute)
		assert.Equal(t, []string{"60:00 succeeded"}, d.sum(executions(t, sched, "s"))[:1])
	})
}

func TestMaxRuns_AnOccurrenceThatHasARowIsNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed, callsheet.WithPlanInterval(time.Minute), callsheet.WithLease(time.Hour))
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 * * * *"})
		start(t, sched)
		time.Sleep(60*time.Minute + 30*time.Second)
		require.NoError(t, sched.Schedules().Delete(t.Context(), "s"))
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 * * * *", Jitter: time.Hour, MaxRuns: 1})
		time.Sleep(24 * time.Hour)
		s := schedule(t, sched, "s")
		assert.EqualValues(t, 1, s.Runs, "next %s", s.NextExecutionAt)
	})
}

func TestMaxRuns_LoweredAccountsForWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *"})
		stop := start(t, sched)
		time.Sleep(10*time.Minute + tick)
		stop()
		time.Sleep(time.Hour)
		s := schedule(t, sched, "s")
		s.MaxRuns = 1
		s, err := sched.Schedules().Update(t.Context(), s)
		require.NoError(t, err)
		s.MaxRuns = 10
		_, err = sched.Schedules().Update(t.Context(), s)
		require.NoError(t, err)
		start(t, sched)
		time.Sleep(time.Hour)
		n := 0
		for _, e := range executions(t, sched, "s") {
			if n++; e.Gap != nil {
				n += e.Gap.Count - 1
			}
		}
		assert.Equal(t, 13, n, "occurrences accounted for")
	})
}

func TestUpcoming_IsInTheOrderOfPlanning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "late", Type: callsheet.TypeOnce, StartAt: begin.Add(time.Hour), Jitter: 24 * time.Hour},
			callsheet.Schedule{ID: "b", Type: callsheet.TypeOnce, StartAt: begin.Add(61 * time.Minute)})
		one, err := sched.Upcoming(t.Context(), 1)
		require.NoError(t, err)
		two, err := sched.Upcoming(t.Context(), 2)
		require.NoError(t, err)
		assert.Equal(t, lines(two)[:1], lines(one))
	})
}

func TestOccurrence_JSON(t *testing.T) {
	text, err := json.Marshal(callsheet.Occurrence{Schedule: "s", Jitter: time.Minute})
	require.NoError(t, err)
	var back callsheet.Occurrence
	assert.NoError(t, json.Unmarshal(text, &back))
}

// oneWaits returns a running Scheduler, which looks up once an hour only, and the two executions of its schedule "s": one that
// waits six hours for its retry, and one that waits for it.
func oneWaits(t *testing.T) (callsheet.Scheduler, []callsheet.Execution) {
	t.Helper()
	begin := time.Now()
	attempts := 0
	sched := newScheduler(t, func(ctx context.Context, c callsheet.Call) error {
		attempts++
		if attempts == 1 {
			return fmt.Errorf("broken")
		}
		return nil
	}, callsheet.WithPlanInterval(time.Hour))
	define(t, sched, callsheet.Schedule{ID: "s", Type: callsheet.TypeInterval, Every: 10 * time.Minute, EndAt: begin.Add(25 * time.Minute).Truncate(time.Second), Overlap: callsheet.OverlapQueueOne, RetryDelay: 6 * time.Hour, MaxRetryDelay: 6 * time.Hour})
	start(t, sched)
	time.Sleep(26 * time.Minute)
	return sched, executions(t, sched, "s")
}

func TestCancel_WakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched, all := oneWaits(t)
		require.Len(t, all, 2)
		require.True(t, all[1].Waits)
		_, err := sched.Cancel(t.Context(), all[0].ID, "")
		require.NoError(t, err)
		time.Sleep(15 * time.Second)
		assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, all[1].ID).State)
	})
}

func TestEdit_OfOverlapWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched, all := oneWaits(t)
		require.True(t, all[1].Waits)
		s := schedule(t, sched, "s")
		s.Overlap = callsheet.OverlapAllow
		_, err := sched.Schedules().Update(t.Context(), s)
		require.NoError(t, err)
		time.Sleep(15 * time.Second)
		assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, all[1].ID).State)
	})
}

func TestBackfill_ThrottlingCountsFromItsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		n := 0
		sched := newScheduler(t, func(ctx context.Context, c callsheet.Call) error {
			if c.Execution.Trigger != callsheet.TriggerBackfill {
				return nil
			}
			if n++; n <= 5 {
				return &callsheet.ClassifiedError{Class: callsheet.ClassThrottled, Err: fmt.Errorf("slow down")}
			}
			return nil
		}, callsheet.WithPlanInterval(time.Minute), callsheet.WithLease(time.Hour))
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 * * * *"})
		time.Sleep(72 * time.Hour)
		stop := start(t, sched)
		time.Sleep(time.Minute)
		_ = stop
		time.Sleep(30 * time.Hour)
		_, err := sched.Backfill(t.Context(), "s", begin.Add(time.Hour), begin.Add(time.Hour+time.Minute)) // the first of the gap: its row is used again
		require.NoError(t, err)
		time.Sleep(time.Hour)
		e := executions(t, sched, "s")[0]
		assert.Equal(t, callsheet.StateSucceeded, e.State, "%s %s, %d attempts", e.Class, e.Error, e.Attempt)
	})
}

func TestEdit_CountsFromNowAfterAClockThatWasAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &shifted{}
		sched := newSchedulerOn(t, memory.New(memory.WithClock(clock.now)), succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *"})
		start(t, sched)
		clock.set(365 * 24 * time.Hour)
		time.Sleep(5 * time.Second)
		clock.set(-365 * 24 * time.Hour)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/5 * * * *"})
		assert.WithinDuration(t, time.Now(), schedule(t, sched, "s").NextExecutionAt, 6*time.Minute, "the new ones count from now")
		// Backfill of what is to come
		r, err := sched.Backfill(t.Context(), "s", time.Now(), time.Now().Add(24*time.Hour))
		require.NoError(t, err)
		assert.Zero(t, r.Planned, "past occurrences only")
	})
}

func TestExplain_FromTheBeginningOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "i", Every: time.Hour}, callsheet.Schedule{ID: "c", Cron: "0 * * * *"})
		start(t, sched)
		time.Sleep(3*time.Hour + tick)
		for _, id := range []string{"i", "c"} {
			all, err := sched.Explain(t.Context(), id, time.Time{}, time.Now())
			require.NoError(t, err)
			assert.Len(t, all, 3)
		}
	})
}

func TestInterval_StartCenturiesAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "i", Every: time.Hour, StartAt: time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)})
		assert.WithinDuration(t, time.Now(), schedule(t, sched, "i").NextExecutionAt, time.Hour)
	})
}

func TestClock_SetForwardsLeavesNothingStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &shifted{}
		store := memory.New(memory.WithClock(clock.now))
		sched := newSchedulerOn(t, store, func(ctx context.Context, c callsheet.Call) error { time.Sleep(time.Minute); return nil })
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		clock.set(5 * time.Hour)
		s, err := store.Survey(t.Context(), callsheet.SurveyQuery{Overdue: time.Minute, Limit: 3})
		require.NoError(t, err)
		assert.Zero(t, s.StuckCount)
		time.Sleep(2 * time.Minute)
		a, _ := execution(t, sched, e.ID).Last()
		assert.InDelta(t, time.Minute, a.Duration(), float64(time.Second))
	})
}

func TestClock_SetBackLeavesLiveWorkBeforeBackfills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &shifted{}
		store := memory.New(memory.WithClock(clock.now))
		sched := newSchedulerOn(t, store, succeed)
		begin := time.Now()
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *"}, callsheet.Schedule{ID: "b", Cron: "* * * * *"})
		_, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		_, err = sched.Backfill(t.Context(), "b", begin.Add(-time.Minute), begin)
		require.NoError(t, err)
		clock.set(-2 * time.Hour)
		r, err := store.Ring(t.Context(), callsheet.RingRequest{Limit: 10, Again: time.Minute, Backfills: 1})
		require.NoError(t, err)
		assert.Len(t, r.IDs, 1, "the live one only")
	})
}

func TestLine_ARetryOfAManualOneHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(ctx context.Context, c callsheet.Call) error {
			if c.Execution.Trigger == callsheet.TriggerManual {
				if c.Execution.Reopenings == 0 {
					return &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: fmt.Errorf("no")}
				}
				return fmt.Errorf("broken")
			}
			return nil
		})
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *", RetryDelay: 6 * time.Hour, MaxRetryDelay: 6 * time.Hour})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = sched.Retry(t.Context(), e.ID)
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		for _, e := range executions(t, sched, "s")[1:] {
			assert.Equal(t, callsheet.StateSucceeded, e.State, "%s %s", e.ScheduledAt, e.Reason)
		}
	})
}

func TestBackfill_TakesUpWhatWasCancelledBeforeItBegan(t *testing.T) { // superseded while pending: neither Retry nor Backfill
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		d := &diary{took: 90 * time.Second, begin: begin}
		sched := newScheduler(t, d.work)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *", Overlap: callsheet.OverlapQueueOne})
		start(t, sched)
		time.Sleep(2*time.Minute + 15*time.Second)
		s := schedule(t, sched, "s")
		s.EndAt = begin.Add(24 * time.Hour).UTC()
		_, err := sched.Schedules().Update(t.Context(), s)
		require.NoError(t, err)
		r, err := sched.Backfill(t.Context(), "s", begin.Add(2*time.Minute), begin.Add(2*time.Minute+time.Second))
		require.NoError(t, err)
		t.Log(d.sum(executions(t, sched, "s")))
		assert.Equal(t, 1, r.Planned, "%+v", r)
	})
}
