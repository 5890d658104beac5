package callsheet_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A diary notes when attempts began and how they ended, each taking as long as it is told to.
type diary struct {
	took  time.Duration
	begin time.Time
	mu    sync.Mutex
	lines []string // guarded by mu
	// running is how many attempts are under way, most how many there were at once; guarded by mu.
	running, most int
}

func (d *diary) work(ctx context.Context, call callsheet.Call) error {
	d.mu.Lock()
	d.running++
	d.most = max(d.most, d.running)
	d.mu.Unlock()
	began := time.Now()
	select {
	case <-time.After(d.took):
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	line := fmt.Sprintf("%s: %s-%s", d.since(call.Execution.ScheduledAt), d.since(began), d.since(time.Now()))
	if ctx.Err() != nil {
		line += " stopped"
	}
	d.lines = append(d.lines, line)
	return ctx.Err()
}

// since is a time as minutes and seconds since the test began.
func (d *diary) since(t time.Time) string {
	return fmt.Sprintf("%d:%02d", int(t.Sub(d.begin).Minutes()), int(t.Sub(d.begin).Seconds())%60)
}

// sum is what became of executions: their times and states.
func (d *diary) sum(all []callsheet.Execution) []string {
	var lines []string
	for _, e := range all {
		line := d.since(e.ScheduledAt)
		if e.Gap != nil && e.Gap.Count > 1 {
			line += "-" + d.since(e.Gap.Last)
		}
		line += " " + string(e.State)
		if e.Reason != "" {
			line += ": " + e.Reason
		}
		lines = append(lines, line)
	}
	return lines
}

func TestOverlap(t *testing.T) {
	for _, tc := range []struct {
		overlap callsheet.Overlap
		diary   []string
		ledger  []string
	}{
		{callsheet.OverlapSkip,
			[]string{"1:00: 1:00-2:25", "3:00: 3:00-4:25"},
			[]string{"1:00 succeeded", "2:00 skipped: overlap", "3:00 succeeded", "4:00 skipped: overlap"}},
		{callsheet.OverlapQueueOne, // the one at 3:00 finds one that waits no more, at 4:00 too
			[]string{"1:00: 1:00-2:25", "2:00: 2:25-3:50"},
			[]string{"1:00 succeeded", "2:00 succeeded", "3:00 running", "4:00 pending: waits"}},
		{callsheet.OverlapAllow,
			[]string{"1:00: 1:00-2:25", "2:00: 2:00-3:25", "3:00: 3:00-4:25"},
			[]string{"1:00 succeeded", "2:00 succeeded", "3:00 succeeded", "4:00 running"}},
		{callsheet.OverlapCancelPrevious,
			[]string{"1:00: 1:00-2:00 stopped", "2:00: 2:00-3:00 stopped", "3:00: 3:00-4:00 stopped"},
			[]string{"1:00 cancelled: overtaken", "2:00 cancelled: overtaken", "3:00 cancelled: overtaken", "4:00 running"}},
	} {
		t.Run(string(tc.overlap), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{took: 85 * time.Second, begin: time.Now()}
				sched := newScheduler(t, d.work)
				define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *", Overlap: tc.overlap})
				start(t, sched)
				time.Sleep(4*time.Minute + 45*time.Second)
				d.mu.Lock()
				defer d.mu.Unlock()
				assert.Equal(t, tc.diary, d.lines)
				assert.Equal(t, tc.ledger, d.sum(executions(t, sched, "s")))
				if tc.overlap != callsheet.OverlapAllow {
					assert.Equal(t, 1, d.most, "at once")
				}
			})
		})
	}
}

func TestMisfire(t *testing.T) {
	for _, tc := range []struct {
		name     string
		schedule callsheet.Schedule
		ledger   []string
	}{
		{"latest", callsheet.Schedule{Cron: "* * * * *"},
			[]string{"1:00-9:00 skipped: missed", "10:00 succeeded", "11:00 succeeded"}},
		{"all", callsheet.Schedule{Cron: "* * * * *", Misfire: callsheet.MisfireAll, MisfireLimit: 4},
			[]string{"1:00-6:00 skipped: missed", "7:00 succeeded", "8:00 succeeded", "9:00 succeeded", "10:00 succeeded", "11:00 succeeded"}},
		{"skip", callsheet.Schedule{Cron: "* * * * *", Misfire: callsheet.MisfireSkip, MisfireGrace: 20 * time.Second},
			[]string{"1:00-10:00 skipped: missed", "11:00 succeeded"}},
		{"window", callsheet.Schedule{Cron: "*/5 * * * *", MisfireGrace: time.Second, MisfireWindow: 10 * time.Second},
			[]string{"5:00-10:00 skipped: missed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{took: 5 * time.Second, begin: time.Now()}
				sched := newScheduler(t, d.work)
				tc.schedule.ID = "s"
				define(t, sched, tc.schedule)
				time.Sleep(10*time.Minute + 30*time.Second) // nobody is there
				start(t, sched)
				time.Sleep(time.Minute)
				assert.Equal(t, tc.ledger, d.sum(executions(t, sched, "s")))
				d.mu.Lock()
				defer d.mu.Unlock()
				assert.Equal(t, min(1, len(d.lines)), d.most, "one after another")
			})
		})
	}
}

func TestResume_AsMisfire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{begin: time.Now()}
		sched := newScheduler(t, d.work)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *", OnResume: callsheet.ResumeMisfire})
		start(t, sched)
		_, err := sched.Pause(t.Context(), "s", "")
		require.NoError(t, err)
		time.Sleep(5*time.Minute + 30*time.Second)
		_, err = sched.Resume(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"1:00-4:00 skipped: missed", "5:00 succeeded"}, d.sum(executions(t, sched, "s")))
	})
}

func TestEdit_SupersedesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{took: 2 * time.Minute, begin: time.Now()}
		sched := newScheduler(t, d.work)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *", Overlap: callsheet.OverlapQueueOne})
		stop := start(t, sched)
		time.Sleep(2*time.Minute + 30*time.Second)
		before := schedule(t, sched, "s")
		before.Labels = map[string]string{"edited": "yes"}
		_, err := sched.Schedules().Update(t.Context(), before)
		require.NoError(t, err)
		assert.Equal(t, []string{"1:00 running", "2:00 pending: waits"}, d.sum(executions(t, sched, "s")), "its times are as they were")
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *", Overlap: callsheet.OverlapQueueOne})
		time.Sleep(10 * time.Minute)
		stop()
		assert.Equal(t, []string{"1:00 succeeded", "2:00 cancelled: superseded", "10:00 succeeded"}, d.sum(executions(t, sched, "s")))

		time.Sleep(31 * time.Minute) // nobody is there
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 * * * *"})
		assert.Equal(t, "20:00-40:00 skipped: superseded", d.sum(executions(t, sched, "s"))[3], "what was due had no row yet")
	})
}

func TestBackfill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{took: 5 * time.Second, begin: time.Now()}
		sched := newScheduler(t, d.work)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *"})
		time.Sleep(65 * time.Minute) // nobody is there
		start(t, sched)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"10:00-50:00 skipped: missed", "60:00 succeeded"}, d.sum(executions(t, sched, "s")))

		report, err := sched.Backfill(t.Context(), "s", d.begin.Add(20*time.Minute), d.begin.Add(2*time.Hour))
		require.NoError(t, err)
		assert.Equal(t, callsheet.BackfillReport{Planned: 4, Left: 1}, report)
		assert.Equal(t, []string{"10:00 skipped: missed", "20:00 pending", "30:00 pending: waits", "40:00 pending: waits", "50:00 pending: waits", "60:00 succeeded"},
			d.sum(executions(t, sched, "s")))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"60:00: 65:00-65:05", "20:00: 66:00-66:05", "30:00: 66:05-66:10", "40:00: 66:10-66:15", "50:00: 66:15-66:20"}, d.lines)
		again, err := sched.Backfill(t.Context(), "s", d.begin.Add(-20*time.Minute), d.begin.Add(2*time.Hour))
		require.NoError(t, err)
		assert.Equal(t, callsheet.BackfillReport{Planned: 4, Left: 5}, again, "10:00, and what was before it was there")
		time.Sleep(time.Minute)
		again, err = sched.Backfill(t.Context(), "s", d.begin.Add(-20*time.Minute), d.begin.Add(2*time.Hour))
		require.NoError(t, err)
		assert.Equal(t, callsheet.BackfillReport{Left: 9}, again, "nothing is run twice")
		for _, e := range executions(t, sched, "s") {
			assert.Equal(t, callsheet.StateSucceeded, e.State)
		}
		stats, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
		require.NoError(t, err)
		assert.Zero(t, stats.Total.Missed)
	})
}

// Live work must not wait for a backfill, however large.
func TestBackfill_ComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		late := make(chan time.Duration, 1000)
		var mu sync.Mutex
		atOnce, most, backfilled := 0, 0, 0
		sched := newScheduler(t, func(_ context.Context, call callsheet.Call) error {
			e := call.Execution
			if e.Trigger != callsheet.TriggerBackfill {
				late <- e.StartedAt.Sub(e.ScheduledAt)
				return nil
			}
			mu.Lock()
			backfilled++
			atOnce++
			most = max(most, atOnce)
			mu.Unlock()
			time.Sleep(30 * time.Second)
			mu.Lock()
			atOnce--
			mu.Unlock()
			return nil
		}, callsheet.WithWorkers(4))
		define(t, sched,
			callsheet.Schedule{ID: "old", Cron: "* * * * *", Overlap: callsheet.OverlapAllow, StartAt: begin.Add(-24 * time.Hour), EndAt: begin},
			callsheet.Schedule{ID: "live", Cron: every("5")})
		report, err := sched.Backfill(t.Context(), "old", begin.Add(-100*time.Minute), begin)
		require.NoError(t, err)
		assert.Equal(t, 100, report.Planned)
		start(t, sched)
		time.Sleep(30*time.Minute + tick)
		assert.Equal(t, 2, most, "half of the workers at most")
		assert.Equal(t, 100, backfilled, "and it gets done")
		assert.Len(t, late, 360)
		for range 360 {
			assert.Zero(t, <-late)
		}
	})
}

func TestBackfill_Refuses(t *testing.T) {
	sched := newScheduler(t, succeed)
	define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *"}, callsheet.Schedule{ID: "manual"}, callsheet.Schedule{ID: "off", Cron: "* * * * *", Disabled: true})
	from := time.Now().Add(-time.Hour)
	for _, tc := range []struct {
		schedule string
		from, to time.Time
		want     string
	}{
		{"s", from, from, "must be after from"},
		{"s", from.AddDate(0, 0, -8), from, "there are 11520 occurrences since"},
		{"manual", from, from.Add(time.Hour), "is manual"},
		{"off", from, from.Add(time.Hour), "is disabled"},
		{"nowhere", from, from.Add(time.Hour), `schedule "nowhere" is not there`},
	} {
		_, err := sched.Backfill(t.Context(), tc.schedule, tc.from, tc.to)
		assert.ErrorContains(t, err, tc.want)
	}
	assert.Empty(t, executions(t, sched, ""))
}

// A shifted clock is the bubble's, set by hand.
type shifted struct {
	mu sync.Mutex
	by time.Duration // guarded by mu
}

func (c *shifted) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *shifted) set(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += by
}

func TestClock_SetForwardsIsOneMisfireAndSetBackIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{begin: time.Now()}
		clock := &shifted{}
		sched := newSchedulerOn(t, memory.New(memory.WithClock(clock.now)), d.work)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *"})
		start(t, sched)
		time.Sleep(10*time.Minute + 30*time.Second)
		clock.set(3 * time.Hour) // it is 3:10:30
		time.Sleep(30 * time.Second)
		want := []string{"10:00 succeeded", "20:00-180:00 skipped: missed", "190:00 succeeded"}
		assert.Equal(t, want, d.sum(executions(t, sched, "s")), "seen within seconds")
		clock.set(-2 * time.Hour) // it is 1:11
		time.Sleep(118 * time.Minute)
		assert.Equal(t, want, d.sum(executions(t, sched, "s")), "nothing is repeated")
		time.Sleep(12 * time.Minute)
		assert.Equal(t, append(want, "200:00 succeeded"), d.sum(executions(t, sched, "s")), "it goes on where it was")
	})
}

func TestClock_ResumeAfterItWasAYearAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{begin: time.Now()}
		clock := &shifted{}
		sched := newSchedulerOn(t, memory.New(memory.WithClock(clock.now)), d.work)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *"})
		start(t, sched)
		clock.set(365 * 24 * time.Hour)
		time.Sleep(5 * time.Second)
		clock.set(-365 * 24 * time.Hour)
		require.Len(t, executions(t, sched, "s"), 2)
		_, err := sched.Pause(t.Context(), "s", "")
		require.NoError(t, err)
		_, err = sched.Resume(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(30*time.Minute + tick)
		assert.Equal(t, []string{"20:00 succeeded", "30:00 succeeded"}, d.sum(executions(t, sched, "s"))[1:3], "10:00 is the key of the gap")
	})
}

func TestClock_LeasesAndDelaysAreLengthsOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &shifted{}
		attempts := 0
		var began []time.Time
		sched := newSchedulerOn(t, memory.New(memory.WithClock(clock.now)), func(ctx context.Context, call callsheet.Call) error {
			began = append(began, time.Now())
			if attempts++; attempts == 1 {
				clock.set(time.Hour)
				time.Sleep(30 * time.Second)
				clock.set(-3 * time.Hour)
				time.Sleep(30 * time.Second)
				return context.DeadlineExceeded
			}
			return ctx.Err()
		})
		define(t, sched, callsheet.Schedule{ID: "s", RetryDelay: time.Minute})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(70 * time.Second)
		clock.set(5 * time.Hour)
		time.Sleep(10 * time.Minute)
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		assert.Zero(t, e.LostWorkers)
		assert.EqualValues(t, 2, e.Fence, "nobody took it away")
		require.Len(t, began, 2)
		assert.InDelta(t, time.Minute, began[1].Sub(began[0])-time.Minute, float64(16*time.Second))
	})
}
