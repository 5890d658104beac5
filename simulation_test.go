package callsheet_test

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/cron"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/require"
)

var (
	simSeed  = flag.Uint64("sim.seed", 1, "seed of the simulation; a failing one replays")
	simYears = flag.Int("sim.years", 10, "simulated years")
)

// Years of hundreds of schedules of every kind and policy, with restarts, crashes, outages, pauses, edits,
// deletions, backfills, executions by hand and clocks that are set. A model steps from
// occurrence to occurrence and knows which have fallen due; whatever the planner, an edit, a resumption or a deletion writes must
// account for exactly these, once each, and by the schedule's policies.
func TestSimulation(t *testing.T) {
	years := *simYears
	if testing.Short() || raceEnabled {
		years = min(years, 1)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, *simSeed)
		end := time.Now().AddDate(years, 0, 0)
		for time.Now().Before(end) {
			s.step(end)
		}
		s.settle()
		t.Logf("seed %d: %d years, %d schedules, %d due occurrences, %d executions run, %d rows that stand for several; %v",
			*simSeed, years, len(s.models), s.due, s.ran, s.gaps, s.deeds)
		require.Positive(t, s.gaps)
		for _, deed := range simDeeds {
			require.Positive(t, s.deeds[deed.name], deed.name)
		}
	})
}

// A simulation is one node that works at simulated speed, and everything that befalls it. It has one goroutine, and
// all chance comes from its seed.
type simulation struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	clock  *shifted
	store  *memory.Store
	sched  callsheet.Scheduler
	models []*model

	running map[string]*simRun
	wake    time.Time // when to plan next, by the Store's clock
	nemesis time.Time // when something happens next
	downTo  time.Time // until when the node is away
	pruned  time.Time // what ended before it is forgotten
	begin   time.Time
	planned []callsheet.Execution // by the planning pass under way
	deeds   map[string]int

	due, ran, gaps int
}

// A model is what the simulation knows of one schedule.
type model struct {
	callsheet.Schedule
	delay   time.Duration
	next    func(time.Time) time.Time
	until   time.Time   // occurrences up to here are accounted for
	coming  time.Time   // the first one after until
	due     []time.Time // those after until that have fallen due
	since   time.Time   // when its times were edited
	runs    int64
	deleted bool

	written time.Time   // when a row was written for what was due
	history []time.Time // the occurrences that have a row which is not pruned
}

// A simRun is an execution that the node works on.
type simRun struct {
	call callsheet.Call
	ends time.Time
}

// now is the Store's clock.
func (s *simulation) now() time.Time { return s.clock.now().UTC().Truncate(time.Microsecond) }

func (s *simulation) upTo(d time.Duration) time.Duration {
	return time.Duration(s.random.Int64N(int64(d)))
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), clock: &shifted{},
		running: map[string]*simRun{}, deeds: map[string]int{}, begin: time.Now(),
	}
	s.store = memory.New(memory.WithClock(s.clock.now))
	s.sched = newSchedulerOn(t, &witness{s.store, s}, succeed)
	define(t, s.sched)
	for range 300 {
		s.create()
	}
	s.nemesis = time.Now().Add(time.Hour)
	return s
}

// A witness sees what is planned.
type witness struct {
	callsheet.Store
	s *simulation
}

func (w *witness) Plan(ctx context.Context, r callsheet.PlanRequest) (callsheet.PlanResult, error) {
	result, err := w.Store.Plan(ctx, r)
	w.s.planned = append(w.s.planned, result.Executions...)
	for _, e := range result.Cancelled {
		if run := w.s.running[e.ID]; run != nil {
			run.ends = time.Now().Add(3 * time.Second)
		}
	}
	return result, err
}

// step lets time pass until something happens.
func (s *simulation) step(end time.Time) {
	next := s.nemesis
	if time.Now().Before(s.downTo) {
		next = earliest(next, s.downTo)
	} else {
		if !s.wake.IsZero() {
			next = earliest(next, time.Now().Add(max(s.wake.Sub(s.now()), time.Millisecond)))
		}
		for _, run := range s.running {
			next = earliest(next, run.ends)
		}
	}
	time.Sleep(time.Until(earliest(next, end)))
	if !time.Now().Before(s.nemesis) {
		s.befall()
		s.nemesis = time.Now().Add(time.Hour + s.upTo(5*24*time.Hour))
	}
	if !time.Now().Before(s.downTo) {
		s.work()
	}
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// work is what a node does when it wakes.
func (s *simulation) work() {
	ctx := s.t.Context()
	var outcomes []callsheet.Outcome
	for _, id := range slices.Sorted(mapsKeys(s.running)) {
		if run := s.running[id]; !run.ends.After(time.Now()) {
			outcomes = append(outcomes, s.outcome(run.call.Execution))
			delete(s.running, id)
		}
	}
	if len(outcomes) > 0 {
		finishes, err := s.store.Finish(ctx, outcomes)
		require.NoError(s.t, err)
		for _, f := range finishes {
			require.NoError(s.t, f.Err)
			s.ran++
		}
	}
	_, err := s.store.Reclaim(ctx, 1000, 0)
	require.NoError(s.t, err)
	s.plan()
	s.claim()
}

func (s *simulation) plan() {
	ctx := s.t.Context()
	open := s.open()
	s.planned = nil
	report, err := s.sched.Plan(ctx)
	require.NoError(s.t, err)
	s.wake = report.Wake
	rows := map[string][]callsheet.Execution{}
	for _, e := range s.planned {
		rows[e.Schedule] = append(rows[e.Schedule], e)
	}
	now := s.now()
	for _, m := range s.models {
		if m.deleted || m.Status == callsheet.StatusPaused {
			require.Empty(s.t, rows[m.ID], "seed %d: %s is paused or gone", s.seed, m.ID)
			continue
		}
		s.advance(m, now)
		if len(m.due) > 0 || len(rows[m.ID]) > 0 {
			s.obeys(m, rows[m.ID], open[m.ID], now)
		}
	}
}

// advance notes which occurrences have fallen due by now, and are not accounted for.
func (s *simulation) advance(m *model, now time.Time) {
	m.due = m.due[:0]
	for at := m.coming; !at.IsZero() && !at.Add(m.delay).After(now); at = m.next(at) {
		m.due = append(m.due, at)
	}
}

// open returns what is open, by schedule.
func (s *simulation) open() map[string][]callsheet.Execution {
	open := map[string][]callsheet.Execution{}
	q := callsheet.ExecutionQuery{States: []callsheet.State{callsheet.StatePending, callsheet.StateRunning}, Limit: 1000}
	for {
		page, err := s.store.Executions(s.t.Context(), q)
		require.NoError(s.t, err)
		for _, e := range page.Items {
			open[e.Schedule] = append(open[e.Schedule], e)
		}
		if q.After = page.Next; q.After == "" {
			return open
		}
	}
}

// obeys checks that rows account for what is due, and that each has what the schedule's policies make of it. Here
// every occurrence is looked at.
func (s *simulation) obeys(m *model, rows, open []callsheet.Execution, now time.Time) {
	late := func(at time.Time) time.Duration { return now.Sub(at.Add(m.delay)) }
	ahead, waiting := 0, 0
	for _, e := range open {
		if e.Trigger != callsheet.TriggerBackfill && e.Reopenings == 0 {
			ahead++
			if e.Waits {
				waiting++
			}
		}
	}
	var want []string
	first := len(m.due) // of those that are wanted
	for i, at := range m.due {
		wanted := false
		switch m.Misfire {
		case callsheet.MisfireLatest:
			wanted = i == len(m.due)-1 && late(at) <= m.MisfireWindow
		case callsheet.MisfireAll:
			wanted = i >= len(m.due)-m.MisfireLimit && late(at) <= m.MisfireWindow
		case callsheet.MisfireSkip:
			wanted = i == len(m.due)-1 && late(at) <= m.MisfireGrace
		}
		if wanted {
			first = min(first, i)
		}
	}
	if first > 0 {
		want = append(want, gapOf(m.due[:first], callsheet.ReasonMissed))
	}
	wanted := m.due[first:]
	n := first
	for _, at := range wanted {
		if m.spent() {
			break
		}
		n++
		reason := ""
		switch {
		case m.blackedOut(s.t, at):
			reason = callsheet.ReasonBlackout
		case m.Misfire == callsheet.MisfireAll && (len(wanted) > 1 || late(at) > m.MisfireGrace):
		case ahead == 0 || m.Overlap == callsheet.OverlapAllow || m.Overlap == callsheet.OverlapCancelPrevious:
		case m.Overlap == callsheet.OverlapQueueOne && waiting == 0:
		default:
			reason = callsheet.ReasonOverlap
		}
		if reason == "" {
			m.runs++
		}
		want = append(want, at.Format(time.RFC3339)+reason)
	}
	var got []string
	for _, e := range rows {
		line := e.ScheduledAt.Format(time.RFC3339) + e.Reason
		if e.Gap != nil {
			line = fmt.Sprintf("%s to %s: %d %s", e.Gap.First.Format(time.RFC3339), e.Gap.Last.Format(time.RFC3339), e.Gap.Count, e.Reason)
		} else if e.Waits {
			line = e.ScheduledAt.Format(time.RFC3339)
		}
		got = append(got, line)
	}
	require.Equal(s.t, want, got, "seed %d at %s: %s, of which %d are open", s.seed, now, m, ahead)
	if m.Overlap == callsheet.OverlapCancelPrevious && ahead > 0 && len(wanted) == 1 && len(rows) > 0 && rows[len(rows)-1].Reason == "" && m.Misfire != callsheet.MisfireAll {
		for _, e := range open {
			after, err := s.store.Execution(s.t.Context(), e.ID)
			require.NoError(s.t, err)
			if e.Trigger != callsheet.TriggerBackfill && e.Reopenings == 0 {
				require.True(s.t, after.State == callsheet.StateCancelled || after.CancelRequested, "seed %d at %s: %s", s.seed, now, m)
			}
		}
	}
	s.accounted(m, n, m.due[len(m.due)-1])
}

// accounted notes that the first n occurrences that are due have their row, and that the others are none.
func (s *simulation) accounted(m *model, n int, until time.Time) {
	s.due += n
	m.history = append(m.history, m.due[:n]...)
	if n > 1 {
		s.gaps++
	}
	m.due = nil
	if until.After(m.until) {
		m.until = until
	}
	m.coming = m.first()
}

// first is the first occurrence that is not accounted for.
func (m *model) first() time.Time {
	if m.Disabled || m.spent() {
		return time.Time{}
	}
	return m.next(m.until)
}

func gapOf(due []time.Time, reason string) string {
	return fmt.Sprintf("%s to %s: %d %s", due[0].Format(time.RFC3339), due[len(due)-1].Format(time.RFC3339), len(due), reason)
}

func (m *model) String() string {
	return fmt.Sprintf("%s (%s %s %s %s, jitter %s, overlap %s, misfire %s, resume %s)", m.ID, m.Type, m.Cron, m.Zone, m.Every, m.delay, m.Overlap, m.Misfire, m.OnResume)
}

func (m *model) blackedOut(t *testing.T, at time.Time) bool {
	for _, b := range m.Blackouts {
		zone, err := time.LoadLocation(m.Zone)
		require.NoError(t, err)
		begins, err := cron.Parse(b.Cron, zone)
		require.NoError(t, err)
		for from := begins.Next(at.Add(-b.For)); !from.IsZero() && !from.After(at); from = begins.Next(from) {
			return true
		}
	}
	return false
}

// claim answers the bells.
func (s *simulation) claim() {
	ctx := s.t.Context()
	for {
		rings, err := s.store.Ring(ctx, callsheet.RingRequest{Limit: 100, Again: time.Hour, Backfills: 2})
		require.NoError(s.t, err)
		if !rings.Wake.IsZero() {
			s.wake = earliest(orNever(s.wake), rings.Wake)
		}
		if len(rings.IDs) == 0 {
			return
		}
		calls, err := s.store.Claim(ctx, callsheet.ClaimRequest{ExecutionIDs: rings.IDs, Worker: "node", Lease: 12 * time.Hour})
		require.NoError(s.t, err)
		require.Len(s.t, calls, len(rings.IDs), "what rings may be claimed")
		for _, call := range calls {
			s.begins(call)
		}
	}
}

func orNever(t time.Time) time.Time {
	if t.IsZero() {
		return t.AddDate(9000, 0, 0)
	}
	return t
}

func (s *simulation) begins(call callsheet.Call) {
	e := call.Execution
	if call.Schedule.Overlap != callsheet.OverlapAllow && e.Trigger != callsheet.TriggerManual {
		for _, other := range s.running {
			require.False(s.t, other.call.Execution.Schedule == e.Schedule, "seed %d at %s: two executions of %s at once", s.seed, s.now(), e.Schedule)
		}
	}
	took := time.Duration(1+s.hash(e)%60) * time.Second
	if s.hash(e)%7 == 0 {
		took = time.Duration(s.hash(e)%300) * time.Minute
	}
	s.running[e.ID] = &simRun{call, time.Now().Add(took)}
}

// outcome is how an attempt ends; always the same for the same seed.
func (s *simulation) outcome(e callsheet.Execution) callsheet.Outcome {
	o := callsheet.Outcome{ExecutionID: e.ID, Fence: e.Fence, State: callsheet.StateSucceeded}
	switch roll := s.hash(e) / 1000 % 10; {
	case roll == 0:
		o.State, o.Reason, o.Class = callsheet.StateFailed, callsheet.ReasonPermanent, callsheet.ClassPermanent
	case roll == 1 && e.Attempt < e.MaxAttempts:
		o.State, o.Reason, o.Class = callsheet.StatePending, callsheet.ReasonRetry, callsheet.ClassTransient
		o.Delay = time.Duration(s.hash(e)%30) * time.Minute
	}
	return o
}

func (s *simulation) hash(e callsheet.Execution) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, s.seed, e.Schedule, e.ScheduledAt.Unix(), e.Attempt)
	return h.Sum64() >> 8
}

// settle ends what is under way: all comes to an end, and the statistics are what a recount gives.
func (s *simulation) settle() {
	for len(s.open()) > 0 {
		s.nemesis = time.Now().Add(time.Hour)
		s.downTo = time.Time{}
		s.step(s.nemesis)
		require.Less(s.t, time.Since(s.begin), 20*365*24*time.Hour, "something does not end")
		for _, m := range s.models {
			if m.Status == callsheet.StatusActive && !m.deleted {
				_, err := s.sched.Pause(s.t.Context(), m.ID, "")
				require.NoError(s.t, err)
				m.Status = callsheet.StatusPaused
			}
		}
	}
	s.audit()
	total, _, err := s.store.Tally(s.t.Context(), callsheet.StatsQuery{})
	require.NoError(s.t, err)
	require.Zero(s.t, total.Pending+total.Running+total.StaleWrites)
}
