package callsheet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where one window ends the next begins, whatever the clocks do.
func TestSchedule_WindowsAdjoin(t *testing.T) {
	for _, s := range []Schedule{
		{Type: TypeCron, Cron: "*/20 * * * *", Zone: "Europe/Berlin"},
		{Type: TypeCron, Cron: "30 * * * *", Zone: "Australia/Lord_Howe"}, // half an hour
		{Type: TypeCron, Cron: "30 2 * * *", Zone: "America/New_York"},
		{Type: TypeCron, Cron: "15 1-3 * * 0", Zone: "Europe/Berlin"},
		{Type: TypeCron, Cron: "0 0 29 2 *", Zone: "UTC"},
		{Type: TypeInterval, Every: 37 * time.Minute},
	} {
		times, err := s.timing(parseCron)
		require.NoError(t, err)
		for _, begin := range []time.Time{time.Date(2024, 3, 5, 0, 0, 0, 0, time.UTC), time.Date(2024, 3, 28, 0, 0, 0, 0, time.UTC),
			time.Date(2024, 10, 2, 0, 0, 0, 0, time.UTC), time.Date(2024, 10, 24, 0, 0, 0, 0, time.UTC)} {
			before := times.Next(begin)
			for range 300 {
				at := times.Next(before)
				if at.IsZero() {
					break
				}
				start, err := s.windowStart(at)
				require.NoError(t, err)
				require.True(t, start.Equal(before), "%s in %s: the window of %s begins at %s and not at %s", s.Cron, s.Zone, at, start, before)
				before = at
			}
		}
	}
}

func TestSchedule_WindowStart(t *testing.T) {
	utc := func(text string) time.Time {
		at, err := time.Parse("2006-01-02 15:04:05", text)
		require.NoError(t, err)
		return at
	}
	start := utc("2024-05-01 06:00:00")
	for _, tc := range []struct {
		name     string
		schedule Schedule
		at, want string
	}{
		{"an occurrence of a cron", Schedule{Type: TypeCron, Cron: "0 * * * *"}, "2024-05-01 06:00:00", "2024-05-01 05:00:00"},
		{"the first there is has a window as long as the others", Schedule{Type: TypeCron, Cron: "0 * * * *", StartAt: start, EndAt: start.Add(time.Hour)}, "2024-05-01 06:00:00", "2024-05-01 05:00:00"},
		{"executed by hand between two", Schedule{Type: TypeCron, Cron: "0 * * * *"}, "2024-05-01 06:20:01", "2024-05-01 06:00:00"},
		{"the day the clock is put forward has 23 hours", Schedule{Type: TypeCron, Cron: "0 0 * * *", Zone: "Europe/Berlin"}, "2024-03-31 22:00:00", "2024-03-30 23:00:00"},
		{"the day the clock is put back has 25 hours", Schedule{Type: TypeCron, Cron: "0 0 * * *", Zone: "Europe/Berlin"}, "2024-10-27 23:00:00", "2024-10-26 22:00:00"},
		{"the hour that is repeated has two windows", Schedule{Type: TypeCron, Cron: "0 * * * *", Zone: "Europe/Berlin"}, "2024-10-27 01:00:00", "2024-10-27 00:00:00"},
		{"a fixed time that is repeated has one", Schedule{Type: TypeCron, Cron: "30 2 * * *", Zone: "Europe/Berlin"}, "2024-10-28 01:30:00", "2024-10-27 00:30:00"},
		{"jitter does not move windows", Schedule{Type: TypeCron, Cron: "0 * * * *", Jitter: 30 * time.Minute}, "2024-05-01 06:00:00", "2024-05-01 05:00:00"},
		{"an interval", Schedule{Type: TypeInterval, Every: 90 * time.Second}, "2024-05-01 06:00:00", "2024-05-01 05:58:30"},
		{"the first of an interval that has a start", Schedule{Type: TypeInterval, Every: time.Hour, StartAt: start.Add(time.Minute)}, "2024-05-01 06:01:00", "2024-05-01 05:01:00"},
		{"once", Schedule{Type: TypeOnce, StartAt: start}, "2024-05-01 06:00:00", "2024-05-01 06:00:00"},
		{"once, executed by hand later", Schedule{Type: TypeOnce, StartAt: start}, "2024-05-01 07:00:00", "2024-05-01 07:00:00"},
		{"by hand", Schedule{Type: TypeManual}, "2024-05-01 06:00:00", "2024-05-01 06:00:00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.schedule.windowStart(utc(tc.at))
			require.NoError(t, err)
			assert.Equal(t, utc(tc.want), got)
		})
	}
}
