package callsheet_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ran lists when the executions of a schedule were scheduled that ran, as minutes since begin.
func ran(all []callsheet.Execution, begin time.Time) []float64 {
	var minutes []float64
	for _, e := range all {
		if e.State == callsheet.StateSucceeded {
			minutes = append(minutes, e.ScheduledAt.Sub(begin).Minutes())
		}
	}
	return minutes
}

func TestSchedule_Kinds(t *testing.T) {
	for _, tc := range []struct {
		name        string
		schedule    func(begin time.Time) callsheet.Schedule
		description string
		ran         []float64 // minutes, in the first hour
	}{
		{"an interval follows the clock", func(time.Time) callsheet.Schedule { return callsheet.Schedule{Every: 25 * time.Minute} },
			"every 25m0s", []float64{20, 45}}, // 2000-01-01 is 20 minutes short of a whole number of them
		{"an interval from its start", func(begin time.Time) callsheet.Schedule {
			return callsheet.Schedule{Every: 25 * time.Minute, StartAt: begin.Add(7 * time.Minute)}
		}, "every 25m0s, from 2000-01-01T00:07:00Z", []float64{7, 32, 57}},
		{"once", func(begin time.Time) callsheet.Schedule {
			return callsheet.Schedule{Type: callsheet.TypeOnce, StartAt: begin.Add(30 * time.Minute)}
		}, "once, at 2000-01-01T00:30:00Z", []float64{30}},
		{"once, in the past", func(begin time.Time) callsheet.Schedule {
			return callsheet.Schedule{Type: callsheet.TypeOnce, StartAt: begin.Add(-time.Minute)}
		}, "once, at 1999-12-31T23:59:00Z", []float64{-1}},
		{"bounded on both sides", func(begin time.Time) callsheet.Schedule {
			return callsheet.Schedule{Cron: "*/10 * * * *", StartAt: begin.Add(20 * time.Minute), EndAt: begin.Add(50 * time.Minute)}
		}, "every 10 minutes, from 2000-01-01T00:20:00Z, before 2000-01-01T00:50:00Z", []float64{20, 30, 40}},
		{"a number of times", func(begin time.Time) callsheet.Schedule { return callsheet.Schedule{Cron: "*/10 * * * *", MaxRuns: 2} },
			"every 10 minutes, 2 times at most", []float64{10, 20}},
		{"by hand", func(begin time.Time) callsheet.Schedule { return callsheet.Schedule{} },
			"when it is executed by hand", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now().UTC()
				sched := newScheduler(t, succeed)
				s := tc.schedule(begin)
				s.ID = "s"
				define(t, sched, s)
				assert.Equal(t, tc.description, schedule(t, sched, "s").Description)
				stop := start(t, sched)
				time.Sleep(30*time.Minute + tick)
				stop()
				define(t, sched, s) // as a host does after a restart: nothing shifts, nothing runs again
				start(t, sched)
				time.Sleep(30 * time.Minute)
				assert.Equal(t, tc.ran, ran(executions(t, sched, "s"), begin))
			})
		})
	}
}

func TestDefine_TheSameTimeInAnotherZoneIsNoEdit(t *testing.T) {
	sched := newScheduler(t, succeed)
	for _, start := range []time.Time{noon, noon.In(berlin(t))} {
		define(t, sched, callsheet.Schedule{ID: "s", Every: time.Hour, StartAt: start})
	}
	assert.EqualValues(t, 1, schedule(t, sched, "s").Version)
}

func TestSchedule_MaxRunsCanBeRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * *", MaxRuns: 2})
		start(t, sched)
		time.Sleep(5 * time.Minute)
		s := schedule(t, sched, "s")
		assert.EqualValues(t, 2, s.Runs)
		assert.Zero(t, s.NextExecutionAt)
		upcoming, err := sched.Upcoming(t.Context(), 5)
		require.NoError(t, err)
		assert.Empty(t, upcoming)
		_, err = sched.Execute(t.Context(), "s")
		require.NoError(t, err, "by hand it still runs")
		s.MaxRuns = 3
		_, err = sched.Schedules().Update(t.Context(), s)
		require.NoError(t, err)
		upcoming, err = sched.Upcoming(t.Context(), 5)
		require.NoError(t, err)
		assert.Len(t, upcoming, 1)
		time.Sleep(5 * time.Minute)
		assert.EqualValues(t, 3, schedule(t, sched, "s").Runs)
		assert.Len(t, executions(t, sched, "s"), 4)
	})
}

func TestSchedule_JitterMovesTheStartAndNotTheOccurrence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *", Jitter: 5 * time.Minute})
		start(t, sched)
		time.Sleep(45 * time.Minute)
		all := executions(t, sched, "s")
		require.Len(t, all, 5, "the occurrence at the time of definition is still to come, by the jitter")
		delay := all[0].StartedAt.Sub(all[0].ScheduledAt)
		assert.Positive(t, delay)
		assert.Less(t, delay, 5*time.Minute)
		for _, e := range all {
			assert.Zero(t, e.ScheduledAt.Minute()%10)
			assert.Equal(t, delay, e.StartedAt.Sub(e.ScheduledAt), "always by the same")
		}
		upcoming, err := sched.Upcoming(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, all[4].ScheduledAt.Add(10*time.Minute), upcoming[0].At)
	})
}

func TestSchedule_BlackoutIsSkippedAndRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble begins on a Saturday, 00:00 UTC
		begin := time.Now().UTC()
		sched := newScheduler(t, succeed, callsheet.WithPlanInterval(time.Hour), callsheet.WithLease(time.Hour))
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 */6 * * *", Zone: "Europe/Berlin",
			Blackouts: []callsheet.Blackout{{Cron: "0 22 * * 5", For: 56 * time.Hour}, {Cron: "0 11 * * 1", For: 2 * time.Hour}}})
		start(t, sched)
		time.Sleep(3 * 24 * time.Hour)
		var local []string
		for _, e := range executions(t, sched, "s") {
			if e.State == callsheet.StateSkipped {
				assert.Equal(t, callsheet.ReasonBlackout, e.Reason)
				continue
			}
			local = append(local, e.ScheduledAt.In(berlin(t)).Format("Mon 15:04"))
		}
		assert.Equal(t, []string{"Mon 06:00", "Mon 18:00", "Tue 00:00"}, local)
		assert.Len(t, executions(t, sched, "s"), int(time.Since(begin)/(6*time.Hour)), "every occurrence has a row")
	})
}

func berlin(t *testing.T) *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	return zone
}

func TestSchedule_FaultyTimesAreToldAllAtOnce(t *testing.T) {
	sched := newScheduler(t, succeed)
	define(t, sched)
	noon := time.Date(2026, 1, 1, 12, 0, 0, 1, time.UTC)
	for name, tc := range map[string]struct {
		schedule callsheet.Schedule
		fields   []string
	}{
		"interval": {callsheet.Schedule{Type: callsheet.TypeInterval, Cron: "* * * * *", Every: 1500 * time.Millisecond,
			StartAt: noon, EndAt: noon.Add(-time.Hour), MaxRuns: -1, Jitter: -1, Blackouts: []callsheet.Blackout{{Cron: "daily"}}},
			[]string{"cron", "every", "start_at", "end_at", "max_runs", "jitter", "blackouts[0].cron", "blackouts[0].for"}},
		"once without a time":  {callsheet.Schedule{Type: callsheet.TypeOnce, Every: time.Hour}, []string{"start_at", "every"}},
		"manual with a cron":   {callsheet.Schedule{Type: callsheet.TypeManual, Cron: "* * * * *"}, []string{"cron"}},
		"cron without a cron":  {callsheet.Schedule{Type: callsheet.TypeCron}, []string{"cron"}},
		"interval that is not": {callsheet.Schedule{Type: callsheet.TypeInterval}, []string{"every"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.schedule.ID, tc.schedule.Request = "s", "get"
			_, err := sched.Schedules().Create(t.Context(), tc.schedule)
			faults := faultsOf(err)
			for _, field := range tc.fields {
				assert.Contains(t, faults, field)
			}
			assert.Len(t, faults, len(tc.fields), "%v", faults)
		})
	}
}

func TestSchedule_TimesInJSON(t *testing.T) {
	s := callsheet.Schedule{ID: "s", Type: callsheet.TypeInterval, Every: 90 * time.Minute, Jitter: time.Minute,
		StartAt: noon, Blackouts: []callsheet.Blackout{{Cron: "0 22 * * *", For: 8 * time.Hour}}}
	b, err := json.Marshal(s)
	require.NoError(t, err)
	for _, part := range []string{`"every":"1h30m0s"`, `"jitter":"1m0s"`, `"blackouts":[{"cron":"0 22 * * *","for":"8h0m0s"}]`} {
		assert.Contains(t, string(b), part)
	}
	var back callsheet.Schedule
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, s, back)
}
