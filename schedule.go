package callsheet

import (
	"encoding/json"
	"time"
)

// ScheduleType says what makes a Schedule run.
type ScheduleType string

const (
	// TypeCron runs at the times of a cron expression.
	TypeCron ScheduleType = "cron"
	// TypeInterval runs every so often: at StartAt and every Every after it, or, without StartAt, at
	// whole multiples of Every since 1970 in UTC. A restart does not shift it.
	TypeInterval ScheduleType = "interval"
	// TypeOnce runs once, at StartAt.
	TypeOnce ScheduleType = "once"
	// TypeManual runs only when asked to, by Execute.
	TypeManual ScheduleType = "manual"
)

// Status is how a Schedule is doing.
type Status string

const (
	// StatusActive: the last execution did not fail, or none has ended yet.
	StatusActive Status = "active"
	// StatusPaused: no occurrence is planned until Resume. Execute still works.
	StatusPaused Status = "paused"
	// StatusFailed: the last execution failed after its retries. The Schedule goes on, and
	// returns to active with the next success.
	StatusFailed Status = "failed"
)

// Defaults that Create, Update and Define fill in.
const (
	DefaultMaxRetries    = 3
	DefaultRetryDelay    = 10 * time.Second
	DefaultMaxRetryDelay = 15 * time.Minute
	DefaultTimeout       = 5 * time.Minute
	DefaultMisfireGrace  = time.Minute
	DefaultMisfireWindow = 24 * time.Hour
	DefaultMisfireLimit  = 100

	// NoRetries as a Schedule's MaxRetries means that one attempt is all.
	NoRetries = -1
)

// A Schedule says when a Request runs, what is done with the answer, and how failures are
// treated. It points at a Request, and optionally at an Extract and a Delivery.
//
// The host sets the fields up to PauseAfterFailures; the library fills in their defaults when the
// Schedule enters it, and keeps the rest.
type Schedule struct {
	// ID is the caller's slug, or a UUIDv7 given by Create when left empty.
	ID     string            `json:"id"`
	Name   string            `json:"name,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`

	// Type is cron, interval, once or manual. Empty means cron if Cron is set, interval if Every
	// is, else manual.
	Type ScheduleType `json:"type"`
	// Disabled schedules are not planned and cannot be executed.
	Disabled bool `json:"disabled,omitempty"`
	// Cron is an expression as [github.com/callsheet-go/callsheet/cron.Parse] takes it: five
	// fields, or six with seconds first.
	Cron string `json:"cron,omitempty"`
	// Zone is the IANA name of the time zone that Cron is read in. Empty means UTC.
	Zone string `json:"zone,omitempty"`
	// Every is the time between the occurrences of an interval, in whole seconds.
	Every time.Duration `json:"every,omitzero"`
	// StartAt and EndAt bound the occurrences: none is before StartAt, or at EndAt or after it. Zero is
	// no bound. StartAt is also when TypeOnce runs, and what TypeInterval counts from.
	// Both are on whole seconds.
	StartAt time.Time `json:"start_at,omitzero"`
	EndAt   time.Time `json:"end_at,omitzero"`
	// MaxRuns is after how many executions no more are planned. Zero means no end. What Execute
	// adds does not count, nor does what is skipped.
	MaxRuns int64 `json:"max_runs,omitempty"`
	// Jitter spreads schedules that fall due together: each is planned later by a time within
	// Jitter that depends on its ID and never changes. Zero means none. ScheduledAt stays the
	// occurrence itself.
	Jitter time.Duration `json:"jitter,omitzero"`
	// Blackouts are when occurrences are skipped, and recorded as such.
	Blackouts []Blackout `json:"blackouts,omitempty"`

	// Overlap is for occurrences that fall due while an earlier execution is open. Empty means OverlapSkip.
	Overlap Overlap `json:"overlap"`
	// Misfire is for occurrences that nobody planned in time. Empty means MisfireLatest.
	Misfire Misfire `json:"misfire"`
	// MisfireGrace is how late an occurrence may be planned and still be in time. Zero means a minute.
	MisfireGrace time.Duration `json:"misfire_grace"`
	// MisfireWindow is how late an occurrence may be and still be run, whatever Misfire says.
	// Zero means 24 hours, or MisfireGrace if that is longer.
	MisfireWindow time.Duration `json:"misfire_window"`
	// MisfireLimit is how many occurrences MisfireAll runs at most when it comes to them: the latest.
	// Zero means 100; at most 1000.
	MisfireLimit int `json:"misfire_limit"`
	// OnResume is for occurrences that fell due during a pause. Empty means ResumeSkip.
	OnResume OnResume `json:"on_resume"`

	// Request, Extract and Delivery are IDs. Without an Extract records are whole objects;
	// without a Delivery they are counted and dropped; without both the answer is not looked into.
	Request  string `json:"request"`
	Extract  string `json:"extract,omitempty"`
	Delivery string `json:"delivery,omitempty"`

	// MaxRetries is how often an execution is tried again after its first attempt failed.
	// Zero means 3; NoRetries (-1) means never. While an execution waits for a retry it is open,
	// and the occurrences that fall due meanwhile are skipped.
	MaxRetries int `json:"max_retries"`
	// RetryDelay is the wait before the first retry. It doubles with each further one, ±25% at
	// random, up to MaxRetryDelay. Zero means 10 s; a schedule that fires every few seconds wants less.
	RetryDelay time.Duration `json:"retry_delay"`
	// MaxRetryDelay caps the wait between retries. Zero means 15 minutes, or RetryDelay if that
	// is longer.
	MaxRetryDelay time.Duration `json:"max_retry_delay"`
	// Timeout bounds one attempt: fetch, extract and deliver together. Zero means 5 minutes.
	Timeout time.Duration `json:"timeout"`
	// KeepAnswers is of how many succeeded executions, the latest, the answers are kept for Reextract. Those of failed
	// ones are kept anyway. Zero means none; at most 1000.
	KeepAnswers int `json:"keep_answers,omitempty"`
	// PauseAfterFailures pauses the Schedule after this many failed executions in a row.
	// Zero means never.
	PauseAfterFailures int `json:"pause_after_failures,omitempty"`

	// Description says when the Schedule runs, for people: "every 6 hours". Set by the library.
	Description string `json:"description,omitempty"`

	// Version counts the edits, from 1. Update takes the version that was read.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`

	ScheduleState
}

// A Blackout is a time in which a Schedule does not run. It begins whenever Cron fires, in the
// Schedule's Zone, and lasts for For: {"0 22 * * 5", 58 * time.Hour} is from Friday evening to Monday
// morning.
type Blackout struct {
	Cron string        `json:"cron"`
	For  time.Duration `json:"for"`
}

// MarshalJSON writes durations as text ("30s").
func (b Blackout) MarshalJSON() ([]byte, error) {
	type plain Blackout
	return json.Marshal(struct {
		plain
		For durationText `json:"for"`
	}{plain(b), durationText(b.For)})
}

// UnmarshalJSON reads durations as text ("30s").
func (b *Blackout) UnmarshalJSON(text []byte) error {
	type plain Blackout
	v := struct {
		*plain
		For *durationText `json:"for"`
	}{(*plain)(b), (*durationText)(&b.For)}
	return json.Unmarshal(text, &v)
}

// ScheduleState is what the library keeps about a Schedule. Create and Update ignore what the
// caller puts there.
type ScheduleState struct {
	Status      Status    `json:"status"`
	PauseReason string    `json:"pause_reason,omitempty"`
	PausedAt    time.Time `json:"paused_at,omitzero"`

	// ConsecutiveFailures counts failed executions since the last success, the first of them at
	// FailingSince.
	ConsecutiveFailures int       `json:"consecutive_failures,omitempty"`
	FailingSince        time.Time `json:"failing_since,omitzero"`

	// ExecutionCount counts executions that succeeded or failed, FailureCount those that failed
	// since the last ResetFailures.
	ExecutionCount int64 `json:"execution_count"`
	FailureCount   int64 `json:"failure_count"`

	// LastExecution is the latest execution, by scheduled time, that succeeded or failed;
	// LastError its error, if it failed, and LastExecutedAt when its last attempt began.
	LastExecution   string    `json:"last_execution,omitempty"`
	LastError       string    `json:"last_error,omitempty"`
	LastScheduledAt time.Time `json:"last_scheduled_at,omitzero"`
	LastExecutedAt  time.Time `json:"last_executed_at,omitzero"`
	// Runs counts the occurrences that were planned to run. What Execute and Backfill add does not count.
	Runs int64 `json:"runs,omitempty"`
	// PlannedUntil is up to when every occurrence is accounted for: it has a row, or is within the Gap of one.
	PlannedUntil time.Time `json:"planned_until,omitzero"`
	// NextExecutionAt is when the next occurrence will be planned: its time, and the Schedule's
	// jitter. Zero means that there is none.
	NextExecutionAt time.Time `json:"next_execution_at,omitzero"`

	// Cursor is where the cursor of the Schedule's Request stands; nil: it has never been moved. Validators are those of
	// the last answer that was delivered. What they point to does not change.
	Cursor     *CursorState `json:"cursor,omitempty"`
	Validators *Validators  `json:"validators,omitempty"`
}

// MarshalJSON writes durations as text ("30s").
func (s Schedule) MarshalJSON() ([]byte, error) {
	type plain Schedule
	return json.Marshal(struct {
		plain
		Every         durationText `json:"every,omitzero"`
		Jitter        durationText `json:"jitter,omitzero"`
		MisfireGrace  durationText `json:"misfire_grace"`
		MisfireWindow durationText `json:"misfire_window"`
		RetryDelay    durationText `json:"retry_delay"`
		MaxRetryDelay durationText `json:"max_retry_delay"`
		Timeout       durationText `json:"timeout"`
	}{plain(s), durationText(s.Every), durationText(s.Jitter), durationText(s.MisfireGrace), durationText(s.MisfireWindow),
		durationText(s.RetryDelay), durationText(s.MaxRetryDelay), durationText(s.Timeout)})
}

// UnmarshalJSON reads durations as text ("30s").
func (s *Schedule) UnmarshalJSON(b []byte) error {
	type plain Schedule
	v := struct {
		*plain
		Every         *durationText `json:"every"`
		Jitter        *durationText `json:"jitter"`
		MisfireGrace  *durationText `json:"misfire_grace"`
		MisfireWindow *durationText `json:"misfire_window"`
		RetryDelay    *durationText `json:"retry_delay"`
		MaxRetryDelay *durationText `json:"max_retry_delay"`
		Timeout       *durationText `json:"timeout"`
	}{(*plain)(s), (*durationText)(&s.Every), (*durationText)(&s.Jitter), (*durationText)(&s.MisfireGrace), (*durationText)(&s.MisfireWindow),
		(*durationText)(&s.RetryDelay), (*durationText)(&s.MaxRetryDelay), (*durationText)(&s.Timeout)}
	return json.Unmarshal(b, &v)
}

// Meta implements [Entity].
func (s *Schedule) Meta() Meta {
	uses := make([]Ref, 0, 3)
	for _, ref := range [...]Ref{{KindRequest, s.Request}, {KindExtract, s.Extract}, {KindDelivery, s.Delivery}} {
		if ref.ID != "" {
			uses = append(uses, ref)
		}
	}
	return Meta{Kind: KindSchedule, ID: &s.ID, Labels: s.Labels, Uses: uses,
		Version: &s.Version, CreatedAt: &s.CreatedAt, UpdatedAt: &s.UpdatedAt}
}

// Planned reports whether the Schedule has occurrences that a planning pass would take.
func (s Schedule) Planned() bool {
	return s.Type != TypeManual && !s.Disabled && s.Status != StatusPaused
}

// MaxAttempts is how many attempts an execution of the Schedule may spend.
func (s Schedule) MaxAttempts() int { return max(s.MaxRetries, 0) + 1 }

// sameTimes reports whether both have the same occurrences.
func (s Schedule) sameTimes(other Schedule) bool {
	return s.Type == other.Type && s.Disabled == other.Disabled && s.Cron == other.Cron && s.Zone == other.Zone &&
		s.Every == other.Every && s.StartAt.Equal(other.StartAt) && s.EndAt.Equal(other.EndAt)
}

// The life of a Schedule's state. Each of these is a pure function of the Schedule before and the
// Store's clock; a Store applies what it returns inside its transaction.

// Defined returns the state of a new Schedule. Its occurrences are those from now on; that of
// TypeOnce may have passed.
func (s Schedule) Defined(now time.Time) ScheduleState {
	st := ScheduleState{Status: StatusActive, PlannedUntil: now.Add(-s.delay())}
	if s.Type == TypeOnce {
		st.PlannedUntil = earlier(st.PlannedUntil, s.StartAt.Add(-time.Microsecond))
	}
	st.NextExecutionAt = s.nextPlanned(st)
	return st
}

// Edited returns what becomes of the Schedule that takes the place of before. Where its times were
// edited, what was pending of the old ones is superseded, and so is what was due and not planned yet; the new
// ones count from now. An edit of anything else leaves what is pending and what is due as it was, but for a
// MaxRuns that is reached thereby.
func (s Schedule) Edited(before Schedule, now time.Time) Decision {
	d := Decision{State: before.ScheduleState}
	s.ScheduleState = before.ScheduleState
	edited := !s.sameTimes(before)
	if edited || s.spent() {
		reason := ReasonSuperseded
		if before.Status == StatusPaused {
			reason = ReasonPaused
		}
		d.Executions = before.unplanned(reason, now)
	}
	if edited {
		d.Cancel = superseded
	}
	if edited || s.spent() || before.spent() { // of a schedule that was spent nothing has fallen due since
		d.State.PlannedUntil = before.accounted(now, now.Add(-min(s.delay(), before.delay())))
	}
	if edited && s.Type == TypeOnce && !(before.Type == TypeOnce && before.StartAt.Equal(s.StartAt)) {
		d.State.PlannedUntil = earlier(d.State.PlannedUntil, s.StartAt.Add(-time.Microsecond)) // also one that has passed is a new one
	}
	d.State.NextExecutionAt = s.nextPlanned(d.State)
	if s.Request != before.Request {
		d.State = d.State.forgotten(now)
	}
	return d
}

// Counted returns the state st, which a planner decided on, with the executions that are to run
// counted. When MaxRuns is reached there is no next.
func (s Schedule) Counted(st ScheduleState, executions int) ScheduleState {
	st.Runs += int64(executions)
	s.ScheduleState = st
	if s.spent() {
		st.NextExecutionAt = time.Time{}
	}
	return st
}

// spent reports whether the Schedule has had all its runs.
func (s Schedule) spent() bool { return s.MaxRuns > 0 && s.Runs >= s.MaxRuns }

// accounted is up to when occurrences are accounted for where all have been that were due. If it was ahead of now
// the clock was wrong then.
func (s ScheduleState) accounted(now, due time.Time) time.Time {
	if s.PlannedUntil.After(now) {
		return due
	}
	return later(s.PlannedUntil, due)
}

// superseded says which open executions go with the times they were made by. What somebody asked for stays.
func superseded(e Execution) string {
	if e.State == StatePending && e.Trigger == TriggerSchedule && !e.CatchesUp() {
		return ReasonSuperseded
	}
	return ""
}

// Removed returns what becomes of a Schedule that is deleted, but for its state.
func (s Schedule) Removed(now time.Time) Decision {
	return Decision{
		Executions: s.unplanned(ReasonDeleted, now),
		Cancel:     func(Execution) string { return ReasonDeleted },
	}
}

// Paused returns the state after a pause.
func (s ScheduleState) Paused(reason string, now time.Time) ScheduleState {
	s.Status, s.PauseReason, s.PausedAt = StatusPaused, reason, now
	s.NextExecutionAt = time.Time{}
	return s
}

// Resumed returns what becomes of the Schedule at the end of a pause: OnResume says what of the
// occurrences meanwhile. The count of failures in a row starts anew.
//
// A Schedule that was planned ahead by a clock that was wrong goes on from now.
func (s Schedule) Resumed(now time.Time) Decision {
	d := Decision{State: s.ScheduleState}
	if s.OnResume != ResumeMisfire || s.PlannedUntil.After(now) {
		d.Executions = s.unplanned(ReasonPaused, now)
		d.State.PlannedUntil = s.accounted(now, now.Add(-s.delay()))
	}
	d.State.Status, d.State.PauseReason, d.State.PausedAt = StatusActive, "", time.Time{}
	d.State.ConsecutiveFailures, d.State.FailingSince = 0, time.Time{}
	d.State.NextExecutionAt = s.nextPlanned(d.State)
	return d
}

// nextPlanned is when the first occurrence after st.PlannedUntil is to be planned; zero if there is none.
// What cannot be computed is due: the planner will say so.
func (s Schedule) nextPlanned(st ScheduleState) time.Time {
	s.ScheduleState = st
	if s.Disabled || st.Status == StatusPaused || s.spent() {
		return time.Time{}
	}
	times, err := s.timing(parseCron)
	if err != nil {
		return st.PlannedUntil
	}
	next := times.Next(st.PlannedUntil)
	if next.IsZero() {
		return next
	}
	return next.Add(s.delay()).UTC()
}

// unplanned returns the row of the occurrences that have fallen due and that no planner came to; none if
// there are no such.
func (s Schedule) unplanned(reason string, now time.Time) []Execution {
	if s.Disabled || s.spent() {
		return nil
	}
	due := now.Add(-s.delay())
	times, err := s.timing(parseCron)
	if err != nil {
		e := newExecution(s, s.PlannedUntil.Add(time.Microsecond), TriggerSchedule, now).skipped(reason, nil)
		e.Error = err.Error()
		return []Execution{e}
	}
	n := times.Count(s.PlannedUntil, due)
	if n == 0 {
		return nil
	}
	gap := &Gap{First: times.Next(s.PlannedUntil).UTC(), Last: times.Latest(due).UTC(), Count: n}
	return []Execution{newExecution(s, gap.First, TriggerSchedule, now).skipped(reason, gap)}
}

// FailuresReset returns the state without its failures.
func (s ScheduleState) FailuresReset() ScheduleState {
	if s.Status == StatusFailed {
		s.Status = StatusActive
	}
	s.FailureCount, s.ConsecutiveFailures, s.FailingSince = 0, 0, time.Time{}
	return s
}

// Recorded returns the Schedule's state after one of its executions changed from before to after:
// counters, status, and the pause after too many failures in a row. Every Store calls it when it
// writes the end of an execution, in the same transaction.
//
// An execution counts once, with its first end; what Retry makes of it later does not count again.
// Status and failures in a row follow the latest execution only, by scheduled time. An execution
// that is older than the Schedule belonged to another of the same ID, and changes nothing.
func (s Schedule) Recorded(before, after Execution, now time.Time) ScheduleState {
	st := s.ScheduleState
	succeeded, failed := after.State == StateSucceeded, after.State == StateFailed
	if before.State == after.State || !succeeded && !failed || after.CreatedAt.Before(s.CreatedAt) {
		return st
	}
	if succeeded {
		st = st.progressed(after, now)
	}
	first := after.Reopenings == 0
	if first {
		st.ExecutionCount++
	}
	if first && failed {
		st.FailureCount++
	}
	// One that ran under a clock that was ahead must not silence those that come.
	if after.ScheduledAt.Before(st.LastScheduledAt) && !st.LastScheduledAt.After(now) {
		return st
	}
	st.LastExecution, st.LastError = after.ID, after.Error
	st.LastScheduledAt, st.LastExecutedAt = after.ScheduledAt, after.StartedAt
	if succeeded {
		st.ConsecutiveFailures, st.FailingSince = 0, time.Time{}
		if st.Status == StatusFailed {
			st.Status = StatusActive
		}
		return st
	}
	if first || st.ConsecutiveFailures == 0 {
		st.ConsecutiveFailures++
	}
	if st.FailingSince.IsZero() {
		st.FailingSince = now
	}
	if st.Status == StatusActive {
		st.Status = StatusFailed
	}
	if s.PauseAfterFailures > 0 && st.ConsecutiveFailures >= s.PauseAfterFailures && st.Status != StatusPaused {
		st = st.Paused(pausedByFailures(st.ConsecutiveFailures), now)
	}
	return st
}
