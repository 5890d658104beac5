package callsheet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Latest and Count must be what stepping with Next gives, whatever the kind and the bounds.
func TestTiming_LatestAndCountAreWhatSteppingGives(t *testing.T) {
	day := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return day.Add(time.Duration(minutes) * time.Minute) }
	crons := newCronCache()
	random := rand.New(rand.NewPCG(1, 2))
	bounds := func() (start, end time.Time) {
		if random.IntN(2) == 0 {
			start = at(random.IntN(2000))
		}
		if random.IntN(2) == 0 {
			end = at(2001 + random.IntN(2000))
		}
		return start, end
	}
	for i := range 2000 {
		var sch Schedule
		switch start, end := bounds(); i % 4 {
		case 0:
			sch = Schedule{Type: TypeCron, Cron: "*/7 1-3 * * *", Zone: "Europe/Berlin", StartAt: start, EndAt: end}
		case 1:
			sch = Schedule{Type: TypeInterval, Every: time.Duration(1+random.IntN(400)) * time.Minute, StartAt: start, EndAt: end}
		case 2:
			sch = Schedule{Type: TypeOnce, StartAt: at(random.IntN(4000))}
		case 3:
			sch = Schedule{Type: TypeManual}
		}
		times, err := sch.timing(crons.get)
		require.NoError(t, err)
		after, until := at(random.IntN(4000)), at(random.IntN(4000))
		var latest time.Time
		count := 0
		for next := times.Next(after); !next.IsZero() && !next.After(until); next = times.Next(next) {
			latest = next
			count++
		}
		what := fmt.Sprintf("%+v from %s to %s", sch, after, until)
		assert.Equal(t, count, times.Count(after, until), what)
		if count > 0 {
			assert.True(t, latest.Equal(times.Latest(until)), what)
		} else if got := times.Latest(until); !got.IsZero() {
			assert.False(t, got.After(after) && !after.After(until), "%s: Latest found %s", what, got)
		}
	}
}

func TestInterval_IsAnchored(t *testing.T) {
	anchored, err := Schedule{Type: TypeInterval, Every: 6 * time.Hour}.timing(parseCron)
	require.NoError(t, err)
	now := time.Date(2026, 3, 29, 13, 14, 15, 16, time.UTC)
	assert.Equal(t, time.Date(2026, 3, 29, 18, 0, 0, 0, time.UTC), anchored.Next(now), "without a start it follows the clock in UTC")
	assert.Equal(t, time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC), anchored.Latest(now))
	assert.Equal(t, time.Date(1969, 12, 31, 18, 0, 0, 0, time.UTC), anchored.Next(time.Date(1969, 12, 31, 12, 0, 0, 0, time.UTC)), "before its anchor, too")

	start := time.Date(2026, 3, 29, 0, 5, 0, 0, time.UTC)
	started, err := Schedule{Type: TypeInterval, Every: 7 * time.Hour, StartAt: start}.timing(parseCron)
	require.NoError(t, err)
	assert.Equal(t, start, started.Next(start.Add(-24*time.Hour)), "the start is the first")
	assert.Equal(t, start.Add(14*time.Hour), started.Next(now))
	assert.Zero(t, started.Latest(start.Add(-time.Second)))
}

func TestDelay_IsStableAndSpread(t *testing.T) {
	seen := map[time.Duration]int{}
	for i := range 1000 {
		s := Schedule{ID: fmt.Sprint("s", i), Jitter: time.Minute}
		assert.Equal(t, s.delay(), s.delay())
		assert.Less(t, s.delay(), time.Minute)
		seen[s.delay().Truncate(10*time.Second)]++
	}
	for tenth, n := range seen {
		assert.InDelta(t, 1000/6, n, 60, "schedules delayed by %s and a little more", tenth)
	}
	assert.Zero(t, Schedule{ID: "s"}.delay())
}
