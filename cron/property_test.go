package cron_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/cron"
)

// A plan is an expression together with what it means, as the generator knows without parsing.
type plan struct {
	expr    string
	values  [6][64]bool // second, minute, hour, day of month, month, day of week
	star    [6]bool
	seconds []int // of a day, filled when asked for
}

func TestNext_IsTheFirstTimeThatFits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		p := randomPlan(random, allFields)
		after := time.Unix(random.Int64N(4e9), random.Int64N(2)*5e8).UTC()
		s, err := cron.Parse(p.expr, nil)
		if err != nil {
			require.ErrorContains(t, err, "never comes", "%q", p.expr)
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

func TestNext_IsTheFirstTimeTheClockShows(t *testing.T) {
	zones := []string{"America/New_York", "America/Sao_Paulo", "America/Santiago", "Africa/Cairo", "Asia/Amman",
		"Asia/Beirut", "Australia/Lord_Howe", "Europe/Riga", "Pacific/Apia", "Antarctica/Troll"}
	random := rand.New(rand.NewPCG(3, 4))
	for range 400 {
		p := randomPlan(random, allFields)
		loc := location(t, zones[random.IntN(len(zones))])
		s, err := cron.Parse(p.expr, loc)
		if err != nil {
			continue
		}
		after := time.Unix(random.Int64N(6e9), 0).UTC()
		if _, change := after.In(loc).ZoneBounds(); !change.IsZero() {
			after = change.Add(-time.Duration(random.Int64N(int64(3 * time.Hour))))
		}
		for range 5 {
			next := s.Next(after)
			require.True(t, next.After(after), "%q in %s: %s is not after %s", p.expr, loc, next, after)
			require.True(t, p.fits(next), "%q in %s: %s is not one of its times", p.expr, loc, next)
			for skipped := after.Truncate(time.Second).Add(time.Second); skipped.Before(next) && skipped.Sub(after) < 20*time.Minute; skipped = skipped.Add(time.Second) {
				require.False(t, p.fits(skipped.In(loc)), "%q in %s after %s: %s comes before %s", p.expr, loc, after, skipped.In(loc), next)
			}
			after = next
		}
	}
}

func (p *plan) fits(t time.Time) bool {
	return p.values[0][t.Second()] && p.values[1][t.Minute()] && p.values[2][t.Hour()] && p.fitsDay(t)
}

func (p *plan) fitsDay(t time.Time) bool {
	ofMonth, ofWeek := p.values[3][t.Day()], p.values[5][int(t.Weekday())]
	if p.star[3] || p.star[5] {
		return p.values[4][int(t.Month())] && ofMonth && ofWeek
	}
	return p.values[4][int(t.Month())] && (ofMonth || ofWeek)
}

// firstAfter tries day after day, and on a day that fits all its times in order.
func (p *plan) firstAfter(after time.Time) time.Time {
	day := time.Date(after.Year(), after.Month(), after.Day(), 0, 0, 0, 0, time.UTC)
	for range 41 * 366 {
		if p.fitsDay(day) {
			for _, second := range p.secondsOfDay() {
				if t := day.Add(time.Duration(second) * time.Second); t.After(after) {
					return t
				}
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}
}

func (p *plan) secondsOfDay() []int {
	if p.seconds == nil {
		for hour := range 24 {
			for minute := range 60 {
				for second := range 60 {
					if p.values[2][hour] && p.values[1][minute] && p.values[0][second] {
						p.seconds = append(p.seconds, hour*3600+minute*60+second)
					}
				}
			}
		}
	}
	return p.seconds
}

const allFields = 1<<6 - 1

// randomPlan draws the fields whose bit is set in vary and leaves the others at "0 0 * * * *".
func randomPlan(random *rand.Rand, vary int) *plan {
	bounds := [6][2]int{{0, 59}, {0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}}
	var p plan
	var texts []string
	for i, bound := range bounds {
		low, high := bound[0], bound[1]
		var items []string
		for range 1 + vary>>i&1*random.IntN(2)*random.IntN(4) {
			start, end, step := low+random.IntN(high-low+1), high, 1
			var item string
			kind := random.IntN(7)
			if vary&(1<<i) == 0 {
				kind = 0
			}
			switch kind {
			case 0:
				start, item = low, "*"
				if i < 2 && vary&(1<<i) == 0 {
					end, item = low, "0"
				}
			case 1:
				start, item = low, "*"
			case 2:
				start, step = low, 1+random.IntN(high-1)
				item = fmt.Sprintf("*/%d", step)
			case 3:
				end = start
				item = fmt.Sprint(start)
			case 4:
				end = start + random.IntN(high-start+1)
				item = fmt.Sprintf("%d-%d", start, end)
			case 5:
				end, step = start+random.IntN(high-start+1), 1+random.IntN(high)
				item = fmt.Sprintf("%d-%d/%d", start, end, step)
			case 6:
				step = 1 + random.IntN(high)
				item = fmt.Sprintf("%d/%d", start, step)
			}
			for v := start; v <= end; v += step {
				p.values[i][v] = true
			}
			items = append(items, item)
		}
		p.star[i] = items[0][0] == '*'
		texts = append(texts, strings.Join(items, ","))
	}
	p.expr = strings.Join(texts, " ")
	return &p
}

func allOf(low, high int) (all [64]bool) {
	for v := low; v <= high; v++ {
		all[v] = true
	}
	return all
}

// meaning is equal for two plans when they fire at the same times.
func (p *plan) meaning() (values [6][64]bool, bothDays bool) {
	ofMonth, ofWeek := p.values[3] == allOf(1, 31), p.values[5] == allOf(0, 6)
	values, bothDays = p.values, p.star[3] || p.star[5]
	if !bothDays && (ofMonth || ofWeek) {
		values[3], values[5] = allOf(1, 31), allOf(0, 6)
	}
	return values, bothDays || ofMonth || ofWeek
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
			values, both := p.meaning()
			otherValues, otherBoth := other.meaning()
			require.True(t, values == otherValues && both == otherBoth, "%q is said of both %q and %q", text, other.expr, p.expr)
		}
		meanings[text] = p
	}
	require.Greater(t, len(meanings), 3000)
}
