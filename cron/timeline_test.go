package cron_test

import (
	"flag"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/cron"
)

var pairs = flag.Int("pairs", 0, "how many pairs of expression and time to compare with the timeline (default 50000)")

// A timeline is what the clock of a location shows in a few days, each minute or each second of
// them, as package time says. The rules are read off it as they are told to people, without
// arithmetic: that is the second opinion about Next, Latest, Count and Explain.
type timeline struct {
	loc     *time.Location
	moments []moment
	dates   []time.Time
	seconds bool
}

// A moment is a whole minute (or second) of the clock, or the one at which the clock was changed.
type moment struct {
	instant int64
	face    face
	skipped []face // what the clock never showed, just before
	earlier bool   // it showed this before
	later   bool   // it shows this again
}

// A face is what a clock shows.
type face struct {
	hour, minute, second, date int // date is an index of the timeline's
	naive                      int64
}

func newTimeline(loc *time.Location, from, to time.Time, seconds bool) *timeline {
	l := &timeline{loc: loc, seconds: seconds}
	step := int64(60)
	if seconds {
		step = 1
	}
	offsetAt := func(instant int64) int64 {
		_, offset := time.Unix(instant, 0).In(loc).Zone()
		return int64(offset)
	}
	shown := map[int64]int{}
	before := offsetAt(from.Unix() - 1)
	for instant := from.Unix(); instant < to.Unix(); {
		offset := offsetAt(instant)
		m := moment{instant: instant, face: l.face(instant + offset)}
		for naive := instant + before; naive < instant+offset; naive++ {
			if naive%step == 0 {
				m.skipped = append(m.skipped, l.face(naive))
				shown[naive] = -1
			}
		}
		if (instant+offset)%step == 0 {
			previous, ok := shown[m.face.naive]
			m.earlier = ok
			if ok && previous >= 0 {
				l.moments[previous].later = true
			}
			shown[m.face.naive] = len(l.moments)
		}
		l.moments = append(l.moments, m)

		next := instant + step - ((instant+offset)%step+step)%step
		for i := instant + 1; offsetAt(next) != offset && i < next; i++ {
			if offsetAt(i) != offset {
				next = i
			}
		}
		before, instant = offset, next
	}
	return l
}

func (l *timeline) face(naive int64) face {
	t := time.Unix(naive, 0).UTC()
	date := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	if len(l.dates) == 0 || !l.dates[len(l.dates)-1].Equal(date) {
		l.dates = append(l.dates, date)
	}
	return face{t.Hour(), t.Minute(), t.Second(), len(l.dates) - 1, naive}
}

type occurrence struct {
	instant int64
	rule    cron.Rule
	asked   int64 // what the clock should have shown
}

// occurrences reads off when a plan fires.
func (l *timeline) occurrences(p *plan) (all []occurrence) {
	days := make([]bool, len(l.dates))
	for i, date := range l.dates {
		days[i] = p.fitsDay(date)
	}
	fits := func(f *face) bool {
		return p.values[1][f.minute] && p.values[2][f.hour] && p.values[0][f.second] && days[f.date]
	}
	followsClock := p.star[1] || p.star[2]
	for i := range l.moments {
		m := &l.moments[i]
		if followsClock {
			if fits(&m.face) {
				rule := cron.RulePlain
				if m.earlier {
					rule = cron.RuleAgain
				}
				all = append(all, occurrence{m.instant, rule, m.face.naive})
			}
			continue
		}
		if missed := l.firstMissed(m, fits); missed != nil && !(l.seconds && l.soonRegular(i, fits)) {
			all = append(all, occurrence{m.instant, cron.RuleMoved, missed.naive})
			continue
		}
		if fits(&m.face) && !m.earlier {
			rule := cron.RulePlain
			if m.later {
				rule = cron.RuleFirst
			}
			all = append(all, occurrence{m.instant, rule, m.face.naive})
		}
	}
	return all
}

func (l *timeline) firstMissed(m *moment, fits func(*face) bool) *face {
	for i := range m.skipped {
		if fits(&m.skipped[i]) {
			return &m.skipped[i]
		}
	}
	return nil
}

// soonRegular is the exception for expressions with seconds: a regular time comes within as long as
// the clock skipped.
func (l *timeline) soonRegular(i int, fits func(*face) bool) bool {
	gap := l.moments[i].face.naive - l.moments[i].skipped[0].naive
	for j := i; j < len(l.moments) && l.moments[j].instant < l.moments[i].instant+gap; j++ {
		if fits(&l.moments[j].face) {
			return true
		}
	}
	return false
}

func TestNext_IsWhatATimelineShows(t *testing.T) {
	const plansPerTimeline, pairsPerPlan = 20, 5
	wanted := *pairs
	switch {
	case wanted > 0:
	case testing.Short() || raceDetector:
		wanted = 10_000
	default:
		wanted = 50_000
	}
	random := rand.New(rand.NewPCG(3, 4))
	compared, inside := 0, 0
	for compared < wanted {
		loc := location(t, zones[random.IntN(len(zones))])
		l, from, to := randomTimeline(random, loc)
		for range plansPerTimeline {
			p := randomPlan(random, randomFields(random, l.seconds))
			expr := p.expr
			if !l.seconds {
				expr = expr[len("0 "):]
			}
			s, err := cron.Parse(expr, loc)
			if err != nil {
				continue // everFires has a test of its own
			}
			want := l.occurrences(p)
			for range pairsPerPlan {
				after := time.Unix(from+random.Int64N(to-from), random.Int64N(2)*random.Int64N(1e9))
				if random.IntN(4) == 0 && len(want) > 0 {
					after = time.Unix(want[random.IntN(len(want))].instant, 0) // exactly then
					if after.Unix() < from || after.Unix() >= to {
						continue
					}
				}
				if l.compare(t, s, want, after, from, random.IntN(40)) {
					inside++
				}
				compared++
			}
		}
	}
	t.Logf("%d pairs, of which %d fire within the timeline", compared, inside)
}

// compare reports whether the next time was within the timeline.
func (l *timeline) compare(t *testing.T, s *cron.Schedule, want []occurrence, after time.Time, from int64, counted int) bool {
	t.Helper()
	end := l.moments[len(l.moments)-1].instant
	i := sort.Search(len(want), func(i int) bool { return want[i].instant > after.Unix() })
	next := s.Next(after)
	if i == len(want) {
		require.True(t, next.IsZero() || next.Unix() > end, "%q in %s after %s: expected nothing, got %s", s, l.loc, after.UTC(), next)
	} else {
		require.Equal(t, time.Unix(want[i].instant, 0).In(l.loc), next, "%q in %s after %s", s, l.loc, after.UTC())
		rule, asked := s.Explain(next)
		_, offset := asked.Zone()
		require.Equal(t, want[i].rule, rule, "%q in %s at %s", s, l.loc, next)
		require.Equal(t, want[i].asked, asked.Unix()+int64(offset), "%q in %s at %s, by %s", s, l.loc, next, rule)
	}

	if latest := s.Latest(after); i > 0 && want[i-1].instant >= from {
		require.Equal(t, time.Unix(want[i-1].instant, 0).In(l.loc), latest, "%q in %s until %s", s, l.loc, after.UTC())
	} else {
		require.True(t, latest.IsZero() || latest.Unix() < from, "%q in %s until %s: expected nothing, got %s", s, l.loc, after.UTC(), latest)
	}

	j := min(len(want), i+counted)
	until := after
	if j > i {
		until = time.Unix(want[j-1].instant, 0)
	}
	require.Equal(t, j-i, s.Count(after, until), "%q in %s after %s until %s", s, l.loc, after.UTC(), until.UTC())
	return i < len(want)
}

// randomTimeline returns a timeline around a clock change, if there is one to be found, and the
// instants between which the rules can be read off it.
func randomTimeline(random *rand.Rand, loc *time.Location) (l *timeline, from, to int64) {
	start := time.Date(1840, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	end := time.Date(2110, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	around := time.Unix(start+random.Int64N(end-start), 0)
	_, change := around.In(loc).ZoneBounds()
	if change.After(around) {
		around = change
	}
	_, before := around.Add(-time.Second).In(loc).Zone()
	_, after := around.In(loc).Zone()
	if shift := max(before-after, after-before); shift <= 2*3600 && random.IntN(20) == 0 {
		l = newTimeline(loc, around.Add(-4*time.Hour), around.Add(5*time.Hour), true)
		return l, around.Add(-90 * time.Minute).Unix(), around.Add(150 * time.Minute).Unix()
	}
	l = newTimeline(loc, around.Add(-60*time.Hour), around.Add(60*time.Hour), false)
	return l, around.Add(-30 * time.Hour).Unix(), around.Add(30 * time.Hour).Unix()
}

// randomFields leaves the days alone often enough that most expressions fire within a few days.
func randomFields(random *rand.Rand, seconds bool) int {
	vary := 1<<1 | 1<<2
	if seconds {
		vary |= 1 << 0
	}
	if random.IntN(3) == 0 {
		vary |= random.IntN(1<<6) & (1<<3 | 1<<4 | 1<<5)
	}
	return vary
}

// zones are where clocks did everything that clocks do.
var zones = []string{
	"UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Riga", "Europe/Moscow", "Europe/Lisbon", "Europe/Amsterdam",
	"America/New_York", "America/St_Johns", "America/Sao_Paulo", "America/Santiago", "America/Havana", "America/Caracas",
	"America/Asuncion", "America/Nuuk", "America/Juneau", "America/Anchorage", "America/Mexico_City", "America/Cambridge_Bay",
	"Africa/Cairo", "Africa/Casablanca", "Africa/Monrovia", "Africa/Juba", "Africa/El_Aaiun",
	"Asia/Amman", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Manila", "Asia/Pyongyang", "Asia/Tehran", "Asia/Tokyo",
	"Australia/Lord_Howe", "Australia/Sydney", "Australia/Eucla", "Antarctica/Troll", "Antarctica/Casey", "Antarctica/Vostok",
	"Pacific/Apia", "Pacific/Kwajalein", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Guam", "Pacific/Easter", "Pacific/Norfolk",
}
