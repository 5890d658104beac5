package callsheet_test

import (
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/cron"
	"github.com/stretchr/testify/require"
)

func mapsKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// simDeeds is what befalls the node of a simulation.
var simDeeds = []struct {
	name string
	do   func(*simulation)
}{
	{"restart", func(s *simulation) { s.down(s.upTo(time.Minute)) }},
	{"crash", func(s *simulation) { s.down(s.upTo(time.Hour)) }},
	{"outage", func(s *simulation) { s.down(s.upTo(10 * 24 * time.Hour)) }},
	{"long outage", func(s *simulation) {
		if s.random.IntN(5) == 0 {
			s.down(s.upTo(120 * 24 * time.Hour))
		}
	}},
	{"clock forwards", func(s *simulation) { s.clock.set(s.upTo(3 * time.Hour)) }},
	{"clock far forwards", func(s *simulation) {
		if s.random.IntN(5) == 0 {
			s.clock.set(s.upTo(20 * 24 * time.Hour))
		}
	}},
	{"clock back", func(s *simulation) { s.clock.set(-s.upTo(3 * time.Hour)) }},
	{"clock far back", func(s *simulation) { s.clock.set(-s.upTo(2 * 24 * time.Hour)) }},
	{"pause", func(s *simulation) { s.pause(s.any()) }},
	{"pause", func(s *simulation) { s.pause(s.any()) }},
	{"resume", func(s *simulation) { s.resume() }},
	{"resume", func(s *simulation) { s.resume() }},
	{"edit of times", func(s *simulation) { s.edit(s.any(), true) }},
	{"edit of times", func(s *simulation) { s.edit(s.any(), true) }},
	{"edit of policies", func(s *simulation) { s.edit(s.any(), false) }},
	{"delete", func(s *simulation) { s.remove(s.any()) }},
	{"create", func(s *simulation) { s.create() }},
	{"by hand", func(s *simulation) { s.execute(s.any()) }},
	{"retry", func(s *simulation) { s.retry() }},
	{"backfill", func(s *simulation) { s.backfill(s.any()) }},
	{"backfill", func(s *simulation) { s.backfill(s.any()) }},
	{"prune", func(s *simulation) { s.prune() }},
}

func (s *simulation) befall() {
	for range 1 + s.random.IntN(4) {
		deed := simDeeds[s.random.IntN(len(simDeeds))]
		deed.do(s)
		s.deeds[deed.name]++
	}
}

// any is a schedule that is there.
func (s *simulation) any() *model {
	for {
		if m := s.models[s.random.IntN(len(s.models))]; !m.deleted {
			return m
		}
	}
}

// down takes the node away; whoever comes back knows nothing of what was running.
func (s *simulation) down(d time.Duration) {
	clear(s.running)
	s.downTo = later(s.downTo, time.Now().Add(d))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func pick[T any](s *simulation, all ...T) T { return all[s.random.IntN(len(all))] }

// times gives a schedule times of a random kind.
func (s *simulation) times(sch *callsheet.Schedule) {
	sch.Type, sch.Cron, sch.Every, sch.StartAt, sch.EndAt = "", "", 0, time.Time{}, time.Time{}
	now := s.now().Truncate(time.Second)
	sch.Zone = pick(s, "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo", "America/Sao_Paulo", "Pacific/Apia")
	bounded := func() {
		sch.StartAt = now.Add(s.upTo(30 * 24 * time.Hour)).Truncate(time.Second)
		sch.EndAt = sch.StartAt.Add(time.Hour + s.upTo(5*24*time.Hour)).Truncate(time.Second)
	}
	switch s.random.IntN(20) {
	case 0:
		sch.Cron = pick(s, "*/10 * * * *", "*/15 * * * *", "7-59/13 * * * *", "30 * * * *", "0 */2 * * *")
		bounded()
	case 1:
		sch.Every = pick(s, 10*time.Minute, 37*time.Minute, 2*time.Hour)
		bounded()
	case 2:
		sch.Type, sch.StartAt = callsheet.TypeOnce, now.Add(s.upTo(60*24*time.Hour)-24*time.Hour).Truncate(time.Second)
	case 3:
		sch.Type = callsheet.TypeManual
	case 4, 5, 6:
		sch.Every = pick(s, 36*time.Hour, 7*24*time.Hour, 100*time.Hour)
	case 7, 8:
		sch.Cron = pick(s, "30 2 * * *", "0 0 * * *", "15 1,2,3 */3 * *")
	default:
		sch.Cron = pick(s, "30 2 * * SUN", "0 9 1 * *", "0 0 L * *", "45 1 * * 1-5/2", "0 3 */5 * *", "0 0 29 2 *", "*/20 2 * * SUN#1,SUNL", "30 12 15W * *")
	}
}

// policies gives a schedule random policies.
func (s *simulation) policies(sch *callsheet.Schedule) {
	sch.Overlap = pick(s, callsheet.Overlaps()...)
	sch.Misfire = pick(s, callsheet.Misfires()...)
	sch.OnResume = pick(s, callsheet.OnResumes()...)
	sch.MisfireGrace = pick(s, 0, time.Second, 10*time.Minute)
	sch.MisfireWindow = pick(s, 0, time.Hour, 60*24*time.Hour)
	sch.MisfireLimit = pick(s, 0, 3)
	sch.Jitter = pick(s, 0, 0, time.Minute, 6*time.Hour)
	sch.Blackouts = nil
	if s.random.IntN(4) == 0 {
		sch.Blackouts = []callsheet.Blackout{{Cron: pick(s, "0 22 * * 5", "0 2 * * *", "0 0 1 */2 *"), For: pick(s, time.Hour, 58*time.Hour)}}
	}
	switch sch.MaxRuns = 0; {
	case s.random.IntN(5) == 0:
		sch.MaxRuns = sch.Runs + 1 + s.random.Int64N(50)
	case s.random.IntN(20) == 0 && sch.Runs > 0:
		sch.MaxRuns = sch.Runs
	}
}

// kept takes over a schedule as the Store has it, and works out its times by itself.
func (s *simulation) kept(m *model, sch callsheet.Schedule) {
	m.Schedule = sch
	m.next = stepper(s, sch)
	m.coming = m.first()
	require.Equal(s.t, m.runs, sch.Runs, "seed %d at %s: %s", s.seed, s.now(), m)
	require.Equal(s.t, m.until, sch.PlannedUntil, "seed %d at %s: %s", s.seed, s.now(), m)
}

// stepper returns how one gets from one occurrence to the next, the simple way.
func stepper(s *simulation, sch callsheet.Schedule) func(time.Time) time.Time {
	var next func(time.Time) time.Time
	switch sch.Type {
	case callsheet.TypeCron:
		zone, err := time.LoadLocation(sch.Zone)
		require.NoError(s.t, err)
		parsed, err := cron.Parse(sch.Cron, zone)
		require.NoError(s.t, err)
		next = func(t time.Time) time.Time { return parsed.Next(t).UTC() }
	case callsheet.TypeInterval:
		anchor, every := sch.StartAt.Unix(), int64(sch.Every/time.Second)
		if sch.StartAt.IsZero() {
			anchor = 0
		}
		next = func(t time.Time) time.Time {
			into := (t.Unix() - anchor) % every
			if into < 0 {
				into += every
			}
			return time.Unix(t.Unix()-into+every, 0).UTC()
		}
	case callsheet.TypeOnce:
		next = func(t time.Time) time.Time {
			if t.Before(sch.StartAt) {
				return sch.StartAt
			}
			return time.Time{}
		}
	default:
		return func(time.Time) time.Time { return time.Time{} }
	}
	return func(t time.Time) time.Time {
		if t.Before(sch.StartAt) {
			t = sch.StartAt.Add(-time.Nanosecond)
		}
		if t = next(t); !sch.EndAt.IsZero() && !t.Before(sch.EndAt) {
			return time.Time{}
		}
		return t
	}
}

func (s *simulation) create() {
	sch := callsheet.Schedule{ID: fmt.Sprintf("s%04d", len(s.models)), Request: "get"}
	s.times(&sch)
	s.policies(&sch)
	now := s.now()
	sch, err := s.sched.Schedules().Create(s.t.Context(), sch)
	require.NoError(s.t, err)
	m := &model{since: now}
	s.jitter(m, sch)
	m.until = now.Add(-m.delay)
	if sch.Type == callsheet.TypeOnce {
		m.until = earliest(m.until, sch.StartAt.Add(-time.Microsecond))
	}
	s.kept(m, sch)
	s.models = append(s.models, m)
	s.wake = s.now()
}

// jitter works out by how much a schedule is delayed: a share of its Jitter that depends on its ID only.
func (s *simulation) jitter(m *model, sch callsheet.Schedule) {
	m.delay = 0
	if sch.Jitter > 0 {
		h := fnv.New64a()
		fmt.Fprint(h, sch.ID)
		m.delay = time.Duration(h.Sum64()%uint64(sch.Jitter.Milliseconds())) * time.Millisecond
	}
}

func (s *simulation) pause(m *model) {
	sch, err := s.sched.Pause(s.t.Context(), m.ID, "")
	require.NoError(s.t, err)
	m.Status = sch.Status
}

func (s *simulation) resume() {
	for _, m := range s.models {
		now := s.now()
		if m.deleted || m.Status != callsheet.StatusPaused || m.until.After(now.Add(-m.delay)) || s.random.IntN(2) == 0 {
			continue
		}
		s.advance(m, now)
		sch, err := s.sched.Resume(s.t.Context(), m.ID)
		require.NoError(s.t, err)
		m.Status = callsheet.StatusActive
		require.Equal(s.t, callsheet.StatusActive, sch.Status)
		if m.OnResume == callsheet.ResumeSkip {
			s.oneRow(m, callsheet.ReasonPaused, now.Add(-m.delay))
		}
	}
	s.wake = s.now()
}

// oneRow checks that all that is due has one row, with a reason.
func (s *simulation) oneRow(m *model, reason string, until time.Time) {
	n := 0
	if !m.spent() {
		n = len(m.due)
	}
	if n == 0 && !m.written.Equal(s.now()) {
		last, err := s.store.Executions(s.t.Context(), callsheet.ExecutionQuery{Schedule: m.ID, States: []callsheet.State{callsheet.StateSkipped}, Limit: 1})
		require.NoError(s.t, err)
		require.False(s.t, len(last.Items) == 1 && last.Items[0].CreatedAt.Equal(s.now()) && last.Items[0].Reason == reason,
			"seed %d at %s: %s: nothing was due", s.seed, s.now(), m)
	} else if n > 0 {
		page, err := s.store.Executions(s.t.Context(), callsheet.ExecutionQuery{Schedule: m.ID, From: m.due[0], To: m.due[0].Add(time.Microsecond)})
		require.NoError(s.t, err)
		require.Len(s.t, page.Items, 1, "seed %d at %s: %s: %s", s.seed, s.now(), m, gapOf(m.due, reason))
		e := page.Items[0]
		require.Equal(s.t, reason, e.Reason, "seed %d at %s: %s", s.seed, s.now(), m)
		m.written = s.now()
		require.Equal(s.t, callsheet.Gap{First: m.due[0], Last: m.due[len(m.due)-1], Count: len(m.due)}, *e.Gap, "seed %d at %s: %s", s.seed, s.now(), m)
	}
	s.accounted(m, n, until)
}

func (s *simulation) edit(m *model, times bool) {
	ctx, now := s.t.Context(), s.now()
	if m.until.After(now) {
		return // the clock was set back; an edit would have the schedule go on from now
	}
	s.advance(m, now)
	sch, err := s.sched.Schedules().Get(ctx, m.ID)
	require.NoError(s.t, err)
	if times {
		s.times(&sch)
		sch.Disabled = s.random.IntN(4) == 0
	}
	if s.policies(&sch); !times {
		sch.Labels = map[string]string{"edited": fmt.Sprint(now)}
	}
	old := m.Schedule
	wasSpent, wasDelay := m.spent(), m.delay
	after, err := s.sched.Schedules().Update(ctx, sch)
	require.NoError(s.t, err)
	edited := after.Type != old.Type || after.Cron != old.Cron || after.Zone != old.Zone || after.Every != old.Every ||
		!after.StartAt.Equal(old.StartAt) || !after.EndAt.Equal(old.EndAt) || after.Disabled != old.Disabled
	isSpent := after.MaxRuns > 0 && m.runs >= after.MaxRuns
	s.jitter(m, after)
	if edited || isSpent && !wasSpent {
		reason := callsheet.ReasonSuperseded
		if m.Status == callsheet.StatusPaused {
			reason = callsheet.ReasonPaused
		}
		s.oneRow(m, reason, now.Add(-wasDelay))
	}
	if edited {
		m.since = now
		for _, e := range s.open()[m.ID] {
			require.False(s.t, e.State == callsheet.StatePending && e.Trigger == callsheet.TriggerSchedule && e.Reopenings == 0, "seed %d at %s: %s", s.seed, now, m)
		}
	}
	if edited || isSpent || wasSpent {
		m.until = later(m.until, now.Add(-min(m.delay, wasDelay)))
	}
	if edited && after.Type == callsheet.TypeOnce && !(old.Type == callsheet.TypeOnce && old.StartAt.Equal(after.StartAt)) {
		m.until = earliest(m.until, after.StartAt.Add(-time.Microsecond))
	}
	s.kept(m, after)
	s.wake = s.now()
}

func (m *model) spent() bool { return m.MaxRuns > 0 && m.runs >= m.MaxRuns }

func (s *simulation) remove(m *model) {
	now := s.now()
	s.advance(m, now)
	require.NoError(s.t, s.sched.Schedules().Delete(s.t.Context(), m.ID))
	s.oneRow(m, callsheet.ReasonDeleted, now)
	m.deleted = true
	s.create()
}

func (s *simulation) execute(m *model) {
	if m.Disabled {
		return
	}
	_, err := s.sched.Execute(s.t.Context(), m.ID)
	require.NoError(s.t, err)
	s.wake = s.now()
}

func (s *simulation) retry() {
	page, err := s.store.Executions(s.t.Context(), callsheet.ExecutionQuery{States: []callsheet.State{callsheet.StateFailed}, Limit: 3})
	require.NoError(s.t, err)
	for _, e := range page.Items {
		if _, err := s.store.Schedules().Get(s.t.Context(), e.Schedule); err != nil {
			continue
		}
		_, err := s.sched.Retry(s.t.Context(), e.ID)
		require.NoError(s.t, err)
	}
	s.wake = s.now()
}

// backfill backfills a time since the last edit, and checks that every occurrence in it is run, once.
func (s *simulation) backfill(m *model) {
	if m.Disabled || m.Type == callsheet.TypeManual || m.Type == callsheet.TypeOnce || m.spent() || m.until.After(s.now()) {
		return
	}
	ctx := s.t.Context()
	from := later(later(m.since.Add(time.Second), s.pruned.Add(72*time.Hour)), s.now().Add(-s.upTo(40*24*time.Hour)))
	to := from.Add(time.Second + s.upTo(20*24*time.Hour))
	var want []time.Time
	for at := m.next(from.Add(-time.Nanosecond)); !at.IsZero() && at.Before(to) && !at.After(m.until); at = m.next(at) {
		want = append(want, at)
	}
	report, err := s.sched.Backfill(ctx, m.ID, from, to)
	require.NoError(s.t, err)
	require.Equal(s.t, len(want), report.Planned+report.Left, "seed %d at %s: %s from %s to %s", s.seed, s.now(), m, from, to)
	for _, at := range want {
		page, err := s.store.Executions(ctx, callsheet.ExecutionQuery{Schedule: m.ID, From: at, To: at.Add(time.Second)})
		require.NoError(s.t, err)
		occurrences := 0
		for _, e := range page.Items {
			if e.Trigger == callsheet.TriggerManual {
				continue
			}
			occurrences++
			require.NotEqual(s.t, callsheet.StateSkipped, e.State, "seed %d at %s: %s at %s", s.seed, s.now(), m, at)
		}
		require.Equal(s.t, 1, occurrences, "seed %d at %s: %s at %s", s.seed, s.now(), m, at)
	}
	s.wake = s.now()
}

// audit reads the whole ledger: every occurrence that had come has one row, or is within the gap of one, and no
// row stands for what was none.
func (s *simulation) audit() {
	horizon := s.pruned.Add(72 * time.Hour) // what the clock was set back by has its share
	for _, m := range s.models {
		var rows []callsheet.Execution
		q := callsheet.ExecutionQuery{Schedule: m.ID, Limit: 1000, EarliestFirst: true}
		for {
			page, err := s.store.Executions(s.t.Context(), q)
			require.NoError(s.t, err)
			rows = append(rows, page.Items...)
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		covered := map[time.Time]int{}
		slices.SortFunc(m.history, time.Time.Compare)
		for _, e := range rows {
			switch {
			case e.Trigger == callsheet.TriggerManual:
			case e.Gap == nil:
				covered[e.ScheduledAt]++
			default:
				from, _ := slices.BinarySearchFunc(m.history, e.Gap.First, time.Time.Compare)
				to, found := slices.BinarySearchFunc(m.history, e.Gap.Last, time.Time.Compare)
				if found {
					to++
				}
				if e.Gap.First.After(horizon) {
					require.True(s.t, found && to-from == e.Gap.Count, "seed %d: %s: %v", s.seed, m, *e.Gap)
				}
				for _, at := range m.history[from:to] {
					covered[at]++
				}
			}
		}
		for _, at := range m.history {
			if at.After(horizon) {
				require.Equal(s.t, 1, covered[at], "seed %d: %s at %s", s.seed, m, at)
			}
		}
		m.history = slices.DeleteFunc(m.history, func(at time.Time) bool { return !at.After(horizon) })
	}
}

func (s *simulation) prune() {
	s.audit()
	before := s.now().Add(-30 * 24 * time.Hour)
	ages := map[callsheet.State]time.Time{}
	for _, state := range callsheet.States() {
		if state.Final() {
			ages[state] = before
		}
	}
	for {
		n, err := s.store.Prune(s.t.Context(), callsheet.PruneRequest{Before: ages, Limit: 1000})
		require.NoError(s.t, err)
		if n < 1000 {
			break
		}
	}
	s.pruned = later(s.pruned, before)
}
