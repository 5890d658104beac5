package callsheet_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/cron"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func lines(all []callsheet.Occurrence) []string {
	lines := make([]string, len(all))
	for i, o := range all {
		lines[i] = o.String()
	}
	return lines
}

func TestExplain_WhatHappenedAndWhatWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().UTC()
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *", Blackouts: []callsheet.Blackout{{Cron: "20 * * * *", For: time.Minute}}})
		stop := start(t, sched)
		time.Sleep(21 * time.Minute)
		_, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()
		stop()
		time.Sleep(40 * time.Minute)
		start(t, sched)
		time.Sleep(time.Minute)
		_, err = sched.Pause(t.Context(), "s", "")
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		explain := func(from, to time.Duration) []string {
			t.Helper()
			all, err := sched.Explain(t.Context(), "s", begin.Add(from), begin.Add(to))
			require.NoError(t, err)
			return lines(all)
		}
		assert.Equal(t, []string{
			"2000-01-01 00:10:00 +0000 UTC: succeeded",
			"2000-01-01 00:20:00 +0000 UTC: skipped, blackout",
			"2000-01-01 00:30:00 +0000 UTC: skipped, missed, 3 occurrences until 2000-01-01 00:50:00 +0000 UTC",
			"2000-01-01 01:00:00 +0000 UTC: succeeded",
			"2000-01-01 01:10:00 +0000 UTC: paused",
			"2000-01-01 01:20:00 +0000 UTC: paused",
		}, explain(0, 90*time.Minute))
		assert.Equal(t, []string{
			"2000-01-01 00:30:00 +0000 UTC: skipped, missed, 3 occurrences until 2000-01-01 00:50:00 +0000 UTC",
			"2000-01-01 01:00:00 +0000 UTC: succeeded",
		}, explain(40*time.Minute, 61*time.Minute), "a gap is told of any time within it")
		_, err = sched.Resume(t.Context(), "s")
		require.NoError(t, err)
		assert.Equal(t, []string{
			"2000-01-01 01:10:00 +0000 UTC: skipped, paused",
			"2000-01-01 01:20:00 +0000 UTC: blackout",
			"2000-01-01 01:30:00 +0000 UTC: runs",
		}, explain(70*time.Minute, 91*time.Minute))
		assert.Empty(t, explain(-time.Hour, 0), "it was not there yet")
	})
}

func TestExplain_WhatHasNotBeenPlannedYetIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().UTC()
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "*/10 * * * *", MaxRuns: 3})
		time.Sleep(15 * time.Minute)
		all, err := sched.Explain(t.Context(), "s", begin, begin.Add(24*time.Hour))
		require.NoError(t, err)
		assert.Equal(t, []string{
			"2000-01-01 00:10:00 +0000 UTC: due",
			"2000-01-01 00:20:00 +0000 UTC: runs",
			"2000-01-01 00:30:00 +0000 UTC: runs",
		}, lines(all))
	})
}

// The rules of the clock, in Berlin in the year 2000: the clock was put forward on 26 March, and back on 29 October.
func TestExplain_Rules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched,
			callsheet.Schedule{ID: "fixed", Cron: "30 2 * * *", Zone: "Europe/Berlin"},
			callsheet.Schedule{ID: "clock", Cron: "30 * * * *", Zone: "Europe/Berlin"},
			callsheet.Schedule{ID: "late", Every: 12 * time.Hour, Jitter: time.Hour, StartAt: time.Date(2000, 3, 26, 0, 0, 0, 0, time.UTC)})
		for _, tc := range []struct {
			schedule string
			month    time.Month
			day      int
			want     []string
		}{
			{"fixed", time.March, 26, []string{
				"2000-03-26 03:00:00 +0200 CEST: runs (moved out of a gap: 02:30 +0100 is skipped)",
				"2000-03-27 02:30:00 +0200 CEST: runs",
			}},
			{"fixed", time.October, 29, []string{
				"2000-10-29 02:30:00 +0200 CEST: runs (first of a repeat)",
				"2000-10-30 02:30:00 +0100 CET: runs",
			}},
			{"clock", time.October, 29, []string{
				"2000-10-29 01:30:00 +0200 CEST: runs",
				"2000-10-29 02:30:00 +0200 CEST: runs",
				"2000-10-29 02:30:00 +0100 CET: runs (second of a repeat)",
				"2000-10-29 03:30:00 +0100 CET: runs",
			}},
			{"late", time.March, 26, []string{
				"2000-03-26 00:00:00 +0000 UTC: runs (jittered by 28m50.049s)",
				"2000-03-26 12:00:00 +0000 UTC: runs (jittered by 28m50.049s)",
			}},
		} {
			from := time.Date(2000, tc.month, tc.day, 0, 0, 0, 0, time.UTC).Add(-time.Hour)
			all, err := sched.Explain(t.Context(), tc.schedule, from, from.Add(30*time.Hour))
			require.NoError(t, err)
			assert.Subset(t, lines(all), tc.want, "%s", lines(all))
		}

		upcoming, err := sched.Upcoming(t.Context(), 100, "fixed")
		require.NoError(t, err)
		moved := upcoming[85]
		assert.Equal(t, "2000-03-26 03:00:00 +0200 CEST: runs (moved out of a gap: 02:30 +0100 is skipped)", moved.String(), "Upcoming tells the same")
		text, err := json.Marshal(moved)
		require.NoError(t, err)
		assert.JSONEq(t, `{"schedule":"fixed","at":"2000-03-26T03:00:00+02:00","rule":"moved out of a gap","moved_from":"2000-03-26T02:30:00+01:00","outlook":"runs"}`, string(text))
		var back callsheet.Occurrence
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, cron.RuleMoved, back.Rule)
	})
}

func TestExplain_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "* * * * * *"})
		from := time.Now().Add(time.Second)
		all, err := sched.Explain(t.Context(), "s", from, from.AddDate(10, 0, 0))
		require.NoError(t, err)
		assert.Equal(t, 1000, len(all))
		_, err = sched.Explain(t.Context(), "s", from, from)
		assert.ErrorContains(t, err, "must be after from")
		_, err = sched.Explain(t.Context(), "nowhere", from, from.Add(1))
		assert.ErrorContains(t, err, "is not there")
	})
}
