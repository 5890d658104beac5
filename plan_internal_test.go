package callsheet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// newYear is when the schedules of these tests were planned last.
var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// minutely is a schedule of every minute with the defaults, for which everything until newYear is accounted for.
func minutely(edit func(*Schedule)) Schedule {
	sch := Schedule{
		ID: "s", Type: TypeCron, Cron: "* * * * *", Zone: "UTC", MaxRetries: NoRetries,
		Overlap: OverlapSkip, Misfire: MisfireLatest, OnResume: ResumeSkip,
		MisfireGrace: DefaultMisfireGrace, MisfireWindow: DefaultMisfireWindow, MisfireLimit: DefaultMisfireLimit,
		ScheduleState: ScheduleState{Status: StatusActive, PlannedUntil: newYear, NextExecutionAt: newYear.Add(time.Minute)},
	}
	if edit != nil {
		edit(&sch)
	}
	return sch
}

// told lists executions as their minutes after newYear, with what becomes of each: "1-3 missed ×3, 4".
func told(all []Execution) string {
	lines := make([]string, len(all))
	for i, e := range all {
		lines[i] = fmt.Sprint(e.ScheduledAt.Sub(newYear).Minutes())
		if e.Gap != nil {
			lines[i] = fmt.Sprintf("%v-%v ×%d", e.Gap.First.Sub(newYear).Minutes(), e.Gap.Last.Sub(newYear).Minutes(), e.Gap.Count)
		}
		if e.State != StatePending {
			lines[i] += " " + e.Reason
		}
	}
	return strings.Join(lines, ", ")
}

func TestPlanner_Policies(t *testing.T) {
	const second = time.Second
	for _, tc := range []struct {
		name    string
		edit    func(*Schedule)
		late    time.Duration // now, after newYear
		open    Open
		want    string
		next    float64 // minutes; -1 for none
		cancels bool
	}{
		{"in time", nil, 60*second + 5*time.Millisecond, Open{}, "1", 2, false},
		{"nothing is due", nil, 59 * second, Open{}, "", 1, false},

		{"overlap skip", nil, 60 * second, Open{All: 1}, "1 overlap", 2, false},
		{"overlap queue one: it waits behind one that runs", func(s *Schedule) { s.Overlap = OverlapQueueOne }, 60 * second, Open{All: 1}, "1", 2, false},
		{"overlap queue one: there is one that waits already", func(s *Schedule) { s.Overlap = OverlapQueueOne }, 60 * second, Open{All: 2, Waiting: 1}, "1 overlap", 2, false},
		{"overlap allow", func(s *Schedule) { s.Overlap = OverlapAllow }, 60 * second, Open{All: 7}, "1", 2, false},
		{"overlap cancel previous", func(s *Schedule) { s.Overlap = OverlapCancelPrevious }, 60 * second, Open{All: 2}, "1", 2, true},
		{"overlap cancel previous, and there is none", func(s *Schedule) { s.Overlap = OverlapCancelPrevious }, 60 * second, Open{}, "1", 2, false},

		{"misfire latest", nil, 4 * time.Minute, Open{}, "1-3 ×3 missed, 4", 5, false},
		{"misfire latest, one is missed", nil, 2 * time.Minute, Open{}, "1-1 ×1 missed, 2", 3, false},
		{"misfire latest, and the one before is still open", nil, 4 * time.Minute, Open{All: 1}, "1-3 ×3 missed, 4 overlap", 5, false},
		{"misfire latest, older than the window", func(s *Schedule) { s.Cron = "0 1 1 * *" }, 26 * time.Hour, Open{}, "60-60 ×1 missed", 31*24*60 + 60, false},
		{"misfire latest, at the edge of the window", func(s *Schedule) { s.Cron = "0 1 1 * *" }, 25 * time.Hour, Open{}, "60", 31*24*60 + 60, false},
		{"misfire latest, in the window", func(s *Schedule) { s.Cron = "0 1 * * *" }, 24 * time.Hour, Open{}, "60", 25 * 60, false},
		{"ten years late: found and counted without stepping", nil, 5_000_000 * time.Minute, Open{}, "1-4.999999e+06 ×4999999 missed, 5e+06", 5_000_001, false},

		{"misfire skip: in time", func(s *Schedule) { s.Misfire = MisfireSkip }, 61 * second, Open{}, "1", 2, false},
		{"misfire skip: the latest is within the grace", func(s *Schedule) { s.Misfire = MisfireSkip }, 4*time.Minute + 50*second, Open{}, "1-3 ×3 missed, 4", 5, false},
		{"misfire skip: later than the grace", func(s *Schedule) { s.Misfire, s.MisfireGrace = MisfireSkip, 10*second }, 71 * second, Open{}, "1-1 ×1 missed", 2, false},
		{"misfire skip: all are", func(s *Schedule) { s.Misfire, s.MisfireGrace = MisfireSkip, 10*second }, 4*time.Minute + 11*second, Open{}, "1-4 ×4 missed", 5, false},

		{"misfire all", func(s *Schedule) { s.Misfire = MisfireAll }, 4 * time.Minute, Open{}, "1, 2, 3, 4", 5, false},
		{"misfire all, up to the limit", func(s *Schedule) { s.Misfire, s.MisfireLimit = MisfireAll, 3 }, 5 * time.Minute, Open{}, "1-2 ×2 missed, 3, 4, 5", 6, false},
		{"misfire all, within the window", func(s *Schedule) { s.Misfire, s.MisfireWindow = MisfireAll, 150*second }, 5 * time.Minute, Open{}, "1-2 ×2 missed, 3, 4, 5", 6, false},
		{"misfire all waits for what is open, and is not skipped", func(s *Schedule) { s.Misfire = MisfireAll }, 3 * time.Minute, Open{All: 1}, "1, 2, 3", 4, false},
		{"misfire all, but in time: overlap decides", func(s *Schedule) { s.Misfire = MisfireAll }, 61 * second, Open{All: 1}, "1 overlap", 2, false},
		{"misfire all, one, late: it waits", func(s *Schedule) { s.Misfire, s.MisfireGrace = MisfireAll, 10*second }, 71 * second, Open{All: 1}, "1", 2, false},

		{"max runs: the last", func(s *Schedule) { s.MaxRuns, s.Runs = 3, 2 }, 60 * second, Open{}, "1", -1, false},
		{"max runs: what is skipped does not count", func(s *Schedule) { s.MaxRuns, s.Runs = 3, 2 }, 60 * second, Open{All: 1}, "1 overlap", 2, false},
		{"max runs and misfire all: it ends in between", func(s *Schedule) { s.Misfire, s.MaxRuns, s.Runs = MisfireAll, 3, 1 }, 5 * time.Minute, Open{}, "1, 2", -1, false},

		{"blackout", func(s *Schedule) { s.Blackouts = []Blackout{{"1 0 * * *", time.Minute}} }, 60 * second, Open{}, "1 blackout", 2, false},
		{"blackout is over", func(s *Schedule) { s.Blackouts = []Blackout{{"1 0 * * *", time.Minute}} }, 2 * time.Minute, Open{}, "1-1 ×1 missed, 2", 3, false},
		{"blackout and misfire all", func(s *Schedule) {
			s.Misfire, s.Blackouts = MisfireAll, []Blackout{{"2 0 * * *", 2 * time.Minute}}
		}, 4 * time.Minute, Open{}, "1, 2 blackout, 3 blackout, 4", 5, false},

		{"bounds", func(s *Schedule) { s.EndAt = newYear.Add(3 * time.Minute) }, 5 * time.Minute, Open{}, "1-1 ×1 missed, 2", -1, false},
		{"once, in time", func(s *Schedule) { s.Type, s.StartAt = TypeOnce, newYear.Add(time.Minute) }, 60 * second, Open{}, "1", -1, false},
		{"once, too late", func(s *Schedule) { s.Type, s.StartAt = TypeOnce, newYear.Add(time.Minute) }, 25 * time.Hour, Open{}, "1-1 ×1 missed", -1, false},
		{"times that cannot be read", func(s *Schedule) { s.Zone = "Europe/Atlantis" }, 60 * second, Open{}, "1 cannot be planned", -1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sch := minutely(tc.edit)
			p := planner{crons: parseCron, memo: map[timingKey]dueTimes{}}
			for range 2 { // the second time from memory
				d := p.decide(Due{Schedule: sch, Open: tc.open, Now: newYear.Add(tc.late)})
				assert.Equal(t, tc.want, told(d.Executions))
				next, runs := -1.0, 0
				for _, e := range d.Executions {
					if e.State == StatePending {
						runs++
					}
				}
				if d.State = sch.Counted(d.State, runs); !d.State.NextExecutionAt.IsZero() {
					next = d.State.NextExecutionAt.Sub(newYear).Minutes()
				}
				assert.InDelta(t, tc.next, next, 1e-9)
				assert.Equal(t, tc.cancels, d.Cancel != nil)
				for i, e := range d.Executions {
					assert.Equal(t, newYear.Add(tc.late), e.CreatedAt)
					assert.False(t, i > 0 && !d.Executions[i-1].ScheduledAt.Before(e.ScheduledAt), "in order")
				}
			}
		})
	}
}

// A jitter moves the clock of a schedule, and nothing else.
func TestPlanner_JitterIsNoDelay(t *testing.T) {
	sch := minutely(func(s *Schedule) { s.Jitter, s.Misfire, s.MisfireGrace = time.Hour, MisfireSkip, time.Second })
	delay := sch.delay()
	assert.Greater(t, delay, time.Minute)
	p := planner{crons: parseCron, memo: map[timingKey]dueTimes{}}
	d := p.decide(Due{Schedule: sch, Now: newYear.Add(delay + time.Minute)})
	assert.Equal(t, "1", told(d.Executions))
	assert.Equal(t, newYear.Add(delay+2*time.Minute), d.State.NextExecutionAt)
	assert.Equal(t, newYear.Add(time.Minute), d.State.PlannedUntil)
}

func TestPlanner_CancelPreviousLeavesWhatCatchesUp(t *testing.T) {
	sch := minutely(func(s *Schedule) { s.Overlap = OverlapCancelPrevious })
	p := planner{crons: parseCron, memo: map[timingKey]dueTimes{}}
	d := p.decide(Due{Schedule: sch, Open: Open{All: 1}, Now: newYear.Add(time.Minute)})
	assert.Equal(t, ReasonOvertaken, d.Cancel(Execution{State: StatePending}))
	assert.Equal(t, ReasonOvertaken, d.Cancel(Execution{State: StateRunning, Trigger: TriggerManual}))
	assert.Empty(t, d.Cancel(Execution{State: StateRunning, Trigger: TriggerBackfill}))
	assert.Empty(t, d.Cancel(Execution{State: StateRunning, Reopenings: 1}))
}

func TestSchedule_Resumed(t *testing.T) {
	paused := func(edit func(*Schedule)) Schedule {
		return minutely(func(s *Schedule) {
			if edit != nil {
				edit(s)
			}
			s.ScheduleState = s.Paused("", newYear.Add(90*time.Second))
		})
	}
	for _, tc := range []struct {
		name  string
		edit  func(*Schedule)
		now   time.Duration
		want  string
		next  time.Duration
		until time.Duration
	}{
		{"nothing of the pause is run", nil, 5 * time.Minute, "1-5 ×5 paused", 6 * time.Minute, 5 * time.Minute},
		{"nothing fell due", nil, 59 * time.Second, "", time.Minute, 59 * time.Second},
		{"as misfire: the planner decides", func(s *Schedule) { s.OnResume = ResumeMisfire }, 5 * time.Minute, "", time.Minute, 0},
		{"disabled", func(s *Schedule) { s.Disabled = true }, 5 * time.Minute, "", 0, 5 * time.Minute},
		{"by jitter nothing was due yet", func(s *Schedule) { s.Jitter = 24 * time.Hour }, time.Minute, "", -1, -1},
		{"planned ahead by a clock that was wrong", func(s *Schedule) { s.PlannedUntil = newYear.Add(24 * time.Hour) }, time.Minute, "", 2 * time.Minute, time.Minute},
		{"the same, as misfire", func(s *Schedule) { s.PlannedUntil, s.OnResume = newYear.Add(24*time.Hour), ResumeMisfire }, time.Minute, "", 2 * time.Minute, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sch := paused(tc.edit)
			if tc.name == "planned up to now by a smaller jitter" {
				sch.Jitter = time.Hour
			}
			d := sch.Resumed(newYear.Add(tc.now))
			assert.Equal(t, tc.want, told(d.Executions))
			assert.Equal(t, StatusActive, d.State.Status)
			if tc.next < 0 {
				return
			}
			next := newYear.Add(tc.next)
			if tc.next == 0 {
				next = time.Time{}
			}
			assert.Equal(t, next, d.State.NextExecutionAt)
			assert.Equal(t, newYear.Add(tc.until), d.State.PlannedUntil)
		})
	}
}

func TestSchedule_Edited(t *testing.T) {
	now := newYear.Add(3*time.Minute + 30*time.Second) // the planner is two minutes behind
	for _, tc := range []struct {
		name       string
		before     func(*Schedule)
		after      func(*Schedule)
		want       string
		supersedes bool
		until      time.Time
		next       time.Time
	}{
		{"another name", nil, func(s *Schedule) { s.Name = "x" }, "", false, newYear, newYear.Add(time.Minute)},
		{"another policy", nil, func(s *Schedule) { s.Misfire = MisfireAll }, "", false, newYear, newYear.Add(time.Minute)},
		{"other times: what was due is superseded", nil, func(s *Schedule) { s.Cron = "*/10 * * * *" }, "1-3 ×3 superseded", true, now, newYear.Add(10 * time.Minute)},
		{"another zone", nil, func(s *Schedule) { s.Zone = "Europe/Berlin" }, "1-3 ×3 superseded", true, now, newYear.Add(4 * time.Minute)},
		{"disabled", nil, func(s *Schedule) { s.Disabled = true }, "1-3 ×3 superseded", true, now, time.Time{}},
		{"enabled", func(s *Schedule) { s.Disabled = true }, func(s *Schedule) { s.Disabled = false }, "", true, now, newYear.Add(4 * time.Minute)},
		{"bounds", nil, func(s *Schedule) { s.StartAt = newYear.Add(time.Hour) }, "1-3 ×3 superseded", true, now, newYear.Add(time.Hour)},
		{"max runs", nil, func(s *Schedule) { s.MaxRuns = 5 }, "", false, newYear, newYear.Add(time.Minute)},
		{"max runs that were spent are raised", func(s *Schedule) { s.Runs, s.MaxRuns = 5, 5 }, func(s *Schedule) { s.MaxRuns = 6 }, "", false, now, newYear.Add(4 * time.Minute)},
		{"max runs that are reached thereby", func(s *Schedule) { s.Runs = 5 }, func(s *Schedule) { s.MaxRuns = 5 }, "1-3 ×3 superseded", false, now, time.Time{}},
		{"paused: what fell due is of the pause", func(s *Schedule) { s.ScheduleState = s.Paused("", now) }, func(s *Schedule) { s.Cron = "*/10 * * * *" },
			"1-3 ×3 paused", true, now, time.Time{}},
		{"a clock that was ahead", func(s *Schedule) { s.PlannedUntil = newYear.Add(time.Hour) }, func(s *Schedule) { s.Cron = "*/10 * * * *" },
			"", true, now, newYear.Add(10 * time.Minute)},
		{"once, another time", func(s *Schedule) { s.Type, s.Cron, s.StartAt = TypeOnce, "", newYear.Add(time.Hour) },
			func(s *Schedule) { s.StartAt = newYear.Add(time.Minute) }, "", true, newYear.Add(time.Minute - time.Microsecond), newYear.Add(time.Minute)},
		{"once, enabled after its time", func(s *Schedule) {
			s.Type, s.Cron, s.StartAt, s.Disabled = TypeOnce, "", newYear.Add(time.Minute), true
		}, func(s *Schedule) { s.Disabled = false }, "", true, now, time.Time{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := minutely(tc.before)
			after := before
			after.ScheduleState = ScheduleState{} // is not looked at
			tc.after(&after)
			d := after.Edited(before, now)
			assert.Equal(t, tc.want, told(d.Executions))
			assert.Equal(t, tc.until, d.State.PlannedUntil)
			assert.Equal(t, tc.next, d.State.NextExecutionAt)
			assert.Equal(t, tc.supersedes, d.Cancel != nil)
			if tc.supersedes {
				assert.Equal(t, ReasonSuperseded, d.Cancel(Execution{State: StatePending, Trigger: TriggerSchedule}))
				assert.Empty(t, d.Cancel(Execution{State: StatePending, Trigger: TriggerBackfill}), "somebody asked for it")
				assert.Empty(t, d.Cancel(Execution{State: StatePending, Trigger: TriggerSchedule, Reopenings: 1}))
				assert.Empty(t, d.Cancel(Execution{State: StatePending, Trigger: TriggerManual}))
				assert.Empty(t, d.Cancel(Execution{State: StateRunning, Trigger: TriggerSchedule}))
			}
		})
	}
}

func TestSchedule_Defined(t *testing.T) {
	now := newYear.Add(30 * time.Second)
	st := minutely(func(s *Schedule) { s.ScheduleState = ScheduleState{Runs: 5, Status: StatusPaused} }).Defined(now)
	assert.Equal(t, ScheduleState{Status: StatusActive, PlannedUntil: now, NextExecutionAt: newYear.Add(time.Minute)}, st)
	st = minutely(func(s *Schedule) { s.Type, s.StartAt = TypeOnce, newYear.Add(-time.Hour) }).Defined(now)
	assert.Equal(t, newYear.Add(-time.Hour), st.NextExecutionAt, "its time has passed, but it was never planned")
}

func TestSchedule_Removed(t *testing.T) {
	d := minutely(nil).Removed(newYear.Add(3 * time.Minute))
	assert.Equal(t, "1-3 ×3 schedule gone", told(d.Executions))
	assert.Equal(t, ReasonDeleted, d.Cancel(Execution{State: StateRunning, Trigger: TriggerManual}))
}

func TestSchedule_Line(t *testing.T) {
	at := func(minute int, edits ...func(*Execution)) Execution {
		e := Execution{ID: fmt.Sprint(minute), State: StatePending, Trigger: TriggerSchedule, ScheduledAt: newYear.Add(time.Duration(minute) * time.Minute)}
		for _, edit := range edits {
			edit(&e)
		}
		return e
	}
	running := func(e *Execution) { e.State = StateRunning }
	manual := func(e *Execution) { e.Trigger = TriggerManual }
	backfilled := func(e *Execution) { e.Trigger = TriggerBackfill }
	retried := func(e *Execution) { e.Reopenings = 1 }
	waits := func(e *Execution) { e.Waits, e.Reason = true, ReasonWaits }
	for _, tc := range []struct {
		name    string
		overlap Overlap
		up      []Execution
		next    Execution
		want    string
	}{
		{"one alone", OverlapSkip, []Execution{at(1)}, Execution{}, ""},
		{"the second waits for the first", OverlapSkip, []Execution{at(2), at(1)}, Execution{}, "2 waits"},
		{"behind one that runs", OverlapSkip, []Execution{at(1, running), at(2)}, Execution{}, "2 waits"},
		{"also if it is the later", OverlapQueueOne, []Execution{at(3, running), at(2)}, Execution{}, "2 waits"},
		{"it waits on", OverlapSkip, []Execution{at(1, running)}, at(2, waits), ""},
		{"the next is released", OverlapSkip, nil, at(2, waits), "2"},
		{"manual ones wait for nobody", OverlapSkip, []Execution{at(1, running), at(2, manual)}, Execution{}, ""},
		{"and everybody for them", OverlapSkip, []Execution{at(1), at(2, manual)}, Execution{}, "1 waits"},
		{"what is due now goes before what catches up", OverlapSkip, []Execution{at(1, backfilled), at(9)}, Execution{}, "1 waits"},
		{"the same, and it has waited", OverlapSkip, []Execution{at(1, retried)}, at(9, waits), "9, 1 waits"},
		{"allowed", OverlapAllow, []Execution{at(1), at(2, running), at(3)}, Execution{}, ""},
		{"allowed by an edit", OverlapAllow, []Execution{at(1)}, at(2, waits), "2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var next *Execution
			if tc.next.ID != "" {
				next = &tc.next
			}
			busy := slices.ContainsFunc(tc.up, Execution.Busy)
			up := slices.DeleteFunc(tc.up, Execution.Busy)
			var changes []string
			for _, e := range minutely(func(s *Schedule) { s.Overlap = tc.overlap }).Line(busy, up, next, newYear) {
				changes = append(changes, strings.TrimSpace(e.ID+" "+e.Reason))
				assert.Equal(t, e.Reason == ReasonWaits, e.Waits)
				assert.Equal(t, !e.Waits, e.Claimable(newYear))
			}
			assert.Equal(t, tc.want, strings.Join(changes, ", "))
		})
	}
}

func TestBackfill_Plan(t *testing.T) {
	at := func(minute float64) time.Time { return newYear.Add(time.Duration(minute * float64(time.Minute))) }
	row := func(minute float64, state State, reason string) Execution {
		return Execution{ID: fmt.Sprint("at ", minute), Schedule: "s", Trigger: TriggerSchedule, ScheduledAt: at(minute), State: state, Reason: reason}
	}
	gap := func(first, last, n int) Execution {
		e := row(float64(first), StateSkipped, ReasonMissed)
		e.Gap = &Gap{First: at(float64(first)), Last: at(float64(last)), Count: n}
		return e
	}
	begun := func(e Execution) Execution {
		e.Attempts = []Attempt{{}}
		return e
	}
	moved := func(e Execution) Execution {
		e.ScheduledAt = e.ScheduledAt.Add(time.Microsecond)
		return e
	}
	for _, tc := range []struct {
		name     string
		from, to float64
		there    []Execution
		want     string
		planned  int
	}{
		{"from before the schedule was there", 1, 4, nil, "1, 2, 3", 3},
		{"what has an execution is left alone", 1, 5, []Execution{row(1, StateSucceeded, ""), row(2, StateFailed, ReasonExhausted), begun(row(3, StateCancelled, "no"))}, "4", 1},
		{"what was cancelled before it began is taken up", 1, 2, []Execution{row(1, StateCancelled, ReasonSuperseded)}, "1", 1},
		{"what was skipped is taken up in its row", 1, 4, []Execution{row(1, StateSkipped, ReasonOverlap), row(3, StateSkipped, ReasonBlackout)}, "1, 2, 3", 3},
		{"a whole gap", 0, 9, []Execution{gap(1, 8, 8), row(0, StateSucceeded, "")}, "1, 2, 3, 4, 5, 6, 7, 8", 8},
		{"the middle of a gap", 3, 5, []Execution{gap(1, 8, 8)}, "1-2 ×2 missed, 5-8 ×4 missed, 3, 4", 2},
		{"its beginning", 1, 3, []Execution{gap(1, 8, 8)}, "3-8 ×6 missed, 1, 2", 2},
		{"its end", 7, 20, []Execution{gap(1, 8, 8), row(9, StateRunning, "")}, "1-6 ×6 missed, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19", 12},
		{"a gap that ends before", 9, 10, []Execution{gap(1, 8, 8)}, "9", 1},
		{"a gap of other times stays", 1, 3, []Execution{gap(1, 8, 4)}, "1-8 ×4 missed, 1, 2", 2},
		{"a gap whose first occurrence has a row", 2, 9, []Execution{row(1, StateSucceeded, ""), moved(gap(1, 8, 8))}, "1-1 ×1 missed, 2, 3, 4, 5, 6, 7, 8", 7},
		{"all of a gap whose first occurrence has a row", 1, 4, []Execution{row(1, StateSucceeded, ""), moved(gap(1, 3, 3))}, "2, 3", 2},
		{"by hand at that time is something else", 1, 2, []Execution{row(1.0001, StateSucceeded, "")}, "1", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sch := minutely(nil)
			times, err := sch.timing(parseCron)
			assert.NoError(t, err)
			b := backfill{sch: sch, times: times, from: at(tc.from), until: at(tc.to), now: at(60)}
			changes := b.plan(tc.there)
			assert.Equal(t, tc.want, told(changes))
			assert.Equal(t, tc.planned, b.planned)
			kept := map[string]bool{}
			for _, e := range tc.there {
				kept[e.ID] = e.Gap == nil && (e.State == StateSkipped || e.State == StateCancelled && len(e.Attempts) == 0)
			}
			for _, e := range changes {
				if e.State == StatePending {
					assert.Equal(t, TriggerBackfill, e.Trigger)
					assert.True(t, e.Claimable(at(60)))
					delete(kept, e.ID)
				}
			}
			assert.NotContains(t, slices.Collect(maps.Values(kept)), true, "rows that were there are used again")
		})
	}
}
