package cron_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/cron"
)

func TestNext_IsTheFirstTimeThatFits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		p := randomPlan(random, allFields)
		after := time.Unix(random.Int64N(4e9), random.Int64N(2)*5e8).UTC()
		s, err := cron.Parse(p.expr, nil)
		if err != nil {
			require.ErrorContains(t, err, "never ", "%q", p.expr)
			require.True(t, p.firstAfter(after).IsZero(), "%q was refused though it fires", p.expr)
			continue
		}
		for range 3 {
			want := p.firstAfter(after)
			require.Equal(t, want, s.Next(after), "%q after %s", p.expr, after)
			after = want
		}
	}
}

// Far from clock changes at both ends, those between do not matter: a location is a shifted UTC.
func TestNext_JumpsOverClockChanges(t *testing.T) {
	const far = 3 * 24 * time.Hour
	naive := func(t time.Time) time.Time {
		_, offset := t.Zone()
		return t.Add(time.Duration(offset) * time.Second).UTC()
	}
	calm := func(t time.Time) bool {
		_, before := t.Add(-far).Zone()
		_, after := t.Add(far).Zone()
		_, now := t.Zone()
		return before == now && now == after
	}
	random := rand.New(rand.NewPCG(7, 8))
	compared := 0
	for range 5000 {
		p := randomPlan(random, allFields)
		loc := location(t, zones[random.IntN(len(zones))])
		s, err := cron.Parse(p.expr, loc)
		if err != nil {
			continue
		}
		after := time.Unix(random.Int64N(6e9)-2e9, 0).In(loc)
		next := s.Next(after)
		if calm(after) && calm(next) {
			require.Equal(t, parse(t, p.expr, nil).Next(naive(after)), naive(next), "%q in %s after %s", p.expr, loc, after)
			compared++
		}
	}
	require.Greater(t, compared, 3000)
}

// Latest and Count are what one finds who steps with Next.
func TestLatestAndCount_AgreeWithNext(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for range 1000 {
		one, other := random.IntN(6), random.IntN(6)
		p := randomPlan(random, 1<<one|1<<other)
		loc := location(t, zones[random.IntN(len(zones))])
		s, err := cron.Parse(p.expr, loc)
		if err != nil {
			continue
		}
		start := time.Unix(random.Int64N(6e9)-2e9, 0)
		last, steps := s.Next(start), 1+random.IntN(400)
		for range steps - 1 {
			next := s.Next(last)
			require.Equal(t, last, s.Latest(next.Add(-time.Nanosecond)), "%q in %s until %s", s, loc, next)
			last = next
		}
		require.Equal(t, last, s.Latest(last), "%q in %s until %s", s, loc, last)
		require.Equal(t, steps, s.Count(start, last), "%q in %s after %s until %s", s, loc, start.UTC(), last)
		require.Equal(t, steps-1, s.Count(start, last.Add(-time.Nanosecond)), "%q in %s after %s until before %s", s, loc, start.UTC(), last)
	}
}

func TestDescribe_TellsSchedulesApart(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	meanings := map[string]*plan{}
	for range 20000 {
		// Texts get alike where a schedule differs in one or two fields from a plain one.
		one, other := random.IntN(6), random.IntN(6)
		p := randomPlan(random, 1<<one|1<<other)
		s, err := cron.Parse(p.expr, nil)
		if err != nil {
			continue
		}
		text := s.Describe()
		if other, ok := meanings[text]; ok {
			require.True(t, p.meaning() == other.meaning(), "%q is said of both %q and %q", text, other.expr, p.expr)
		}
		meanings[text] = p
	}
	require.Greater(t, len(meanings), 3000)
}
