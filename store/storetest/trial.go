package storetest

import (
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

const longLease = time.Minute

// The helpers of a trial state what is so, or do one thing that must work.

// hasChain sees to it that there are a Source "api", a Request "get" of it, an Extract "rows" and
// a Delivery "out".
func (t *trial) hasChain() {
	t.Helper()
	t.defines(callsheet.Sheet{
		Sources:    []callsheet.Source{newSource("api")},
		Requests:   []callsheet.Request{newRequest("get")},
		Extracts:   []callsheet.Extract{newExtract("rows")},
		Deliveries: []callsheet.Delivery{newDelivery("out")},
	})
}

func (t *trial) defines(sheet callsheet.Sheet) {
	t.Helper()
	require.NoError(t, t.Define(t.Context(), sheet), "Define was expected to take the sheet")
}

// hasSchedule creates a Schedule that uses the chain. It is not due, unless edits say when it is next.
func (t *trial) hasSchedule(id string, edits ...func(*callsheet.Schedule)) callsheet.Schedule {
	t.Helper()
	t.hasChain()
	schedule := newSchedule(id)
	for _, edit := range edits {
		edit(&schedule)
	}
	created, err := t.Schedules().Create(t.Context(), schedule)
	require.NoError(t, err, "Create was expected to take schedule %q", id)
	if at := schedule.NextExecutionAt; !at.IsZero() {
		created = t.fallsDue(id, at)
	}
	return created
}

// fallsDue sets a Schedule to where nobody has planned it from that time on.
func (t *trial) fallsDue(id string, at time.Time) callsheet.Schedule {
	t.Helper()
	changed := t.changes(id, func(s callsheet.Schedule, _ time.Time) callsheet.Decision {
		s.NextExecutionAt, s.PlannedUntil = at, at.Add(-time.Second)
		return callsheet.Decision{State: s.ScheduleState}
	})
	require.True(t, changed.Schedule.NextExecutionAt.Equal(at), "ChangeSchedule was expected to set the state")
	return changed.Schedule
}

func (t *trial) changes(id string, change func(callsheet.Schedule, time.Time) callsheet.Decision) callsheet.Changed {
	t.Helper()
	changed, err := t.ChangeSchedule(t.Context(), id, func(s callsheet.Schedule, now time.Time) (callsheet.Decision, error) {
		return change(s, now), nil
	})
	require.NoError(t, err)
	return changed
}

func (t *trial) pauses(id string) callsheet.Schedule {
	t.Helper()
	return t.changes(id, func(s callsheet.Schedule, now time.Time) callsheet.Decision {
		return callsheet.Decision{State: s.Paused("because", now)}
	}).Schedule
}

// edits updates a Schedule as it is kept.
func (t *trial) edits(id string, edit func(*callsheet.Schedule)) callsheet.Schedule {
	t.Helper()
	schedule := t.schedule(id)
	edit(&schedule)
	updated, err := t.Schedules().Update(t.Context(), schedule)
	require.NoError(t, err)
	return updated
}

// from gives a Schedule occurrences: those from that time on, every hour.
func from(start time.Time) func(*callsheet.Schedule) {
	return func(s *callsheet.Schedule) { s.StartAt, s.EndAt = start, time.Time{} }
}

// hourly gives a Schedule that many occurrences: at that time, and every hour after it.
func hourly(start time.Time, n int) func(*callsheet.Schedule) {
	return func(s *callsheet.Schedule) { s.StartAt, s.EndAt = start, start.Add(time.Duration(n)*time.Hour) }
}

func oneAtATime(s *callsheet.Schedule) { s.Overlap = callsheet.OverlapSkip }

// next makes a Schedule fall due at that time. A Store ignores it, as all of the state: hasSchedule sees to it.
func next(at time.Time) func(*callsheet.Schedule) {
	return func(s *callsheet.Schedule) { s.NextExecutionAt = at }
}

// past and future are full hours that are so by every clock.
var (
	past   = time.Date(1999, time.January, 1, 0, 0, 0, 0, time.UTC)
	future = time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// ago is a time so far back that the difference between two machines' clocks does not matter.
func ago(d time.Duration) time.Time { return in(-d) }

func in(d time.Duration) time.Time { return time.Now().Add(d).UTC().Truncate(time.Second) }

// passes lets time pass: d, and a little more.
func (t *trial) passes(d time.Duration) { time.Sleep(d + 2*time.Millisecond) }

// now is the Store's clock.
func (t *trial) now() time.Time {
	t.Helper()
	survey, err := t.Survey(t.Context(), callsheet.SurveyQuery{})
	require.NoError(t, err)
	return survey.Now
}

func (t *trial) plans(limit int, decide func(callsheet.Due) callsheet.Decision) callsheet.PlanResult {
	t.Helper()
	result, err := t.Plan(t.Context(), callsheet.PlanRequest{Limit: limit, Decide: decide, RingAgain: longLease})
	require.NoError(t, err)
	return result
}

// runOnce decides to run the due occurrence, and that the next one is at that time.
func runOnce(next time.Time) func(callsheet.Due) callsheet.Decision {
	return func(d callsheet.Due) callsheet.Decision {
		return decision(d, next, occurrence(d))
	}
}

// decision is to insert executions, and that the next occurrence is at that time.
func decision(d callsheet.Due, next time.Time, executions ...callsheet.Execution) callsheet.Decision {
	state := d.Schedule.ScheduleState
	state.NextExecutionAt = next
	return callsheet.Decision{Executions: executions, State: state}
}

func occurrence(d callsheet.Due) callsheet.Execution {
	e := newExecution(d.Schedule.ID, d.Schedule.NextExecutionAt, d.Schedule.MaxAttempts())
	e.CreatedAt = d.Now
	return e
}

func skipped(d callsheet.Due, at time.Time, reason string, gap *callsheet.Gap) callsheet.Execution {
	e := occurrence(d)
	e.ScheduledAt, e.State, e.Reason, e.Gap, e.FinishedAt = at, callsheet.StateSkipped, reason, gap, d.Now
	return e
}

// hasPending inserts an execution of the Schedule.
func (t *trial) hasPending(schedule string) callsheet.Execution {
	t.Helper()
	return t.inserts(newExecution(schedule, t.now(), 4))
}

// hasPendingBy inserts an execution of the Schedule that something else made than its times.
func (t *trial) hasPendingBy(trigger callsheet.Trigger, schedule string) callsheet.Execution {
	t.Helper()
	e := newExecution(schedule, t.now(), 4)
	e.Trigger = trigger
	return t.inserts(e)
}

func (t *trial) inserts(e callsheet.Execution) callsheet.Execution {
	t.Helper()
	kept, err := t.Insert(t.Context(), e, longLease)
	require.NoError(t, err, "Insert was expected to take an execution of schedule %q", e.Schedule)
	return kept
}

func (t *trial) hasRunning(schedule string, lease time.Duration) callsheet.Execution {
	t.Helper()
	return t.claims(t.hasPending(schedule).ID, lease).Execution
}

func (t *trial) hasFinished(schedule string, state callsheet.State) callsheet.Execution {
	t.Helper()
	return t.finishes(t.hasRunning(schedule, longLease), callsheet.Outcome{State: state}).Execution
}

// claims claims one execution for the worker "worker", which must get it.
func (t *trial) claims(id string, lease time.Duration) callsheet.Call {
	t.Helper()
	calls := t.asksFor("worker", lease, id)
	require.Len(t, calls, 1, "the only claimer was expected to get the execution")
	return calls[0]
}

func (t *trial) asksFor(worker string, lease time.Duration, ids ...string) []callsheet.Call {
	t.Helper()
	calls, err := t.Claim(t.Context(), callsheet.ClaimRequest{ExecutionIDs: ids, Worker: worker, Lease: lease})
	require.NoError(t, err)
	return calls
}

// finishes applies an outcome to a running execution, under its fence.
func (t *trial) finishes(running callsheet.Execution, o callsheet.Outcome) callsheet.Finish {
	t.Helper()
	o.ExecutionID, o.Fence = running.ID, running.Fence
	finish := t.triesToFinish(o)
	require.NoError(t, finish.Err, "the holder's outcome was expected to be taken")
	return finish
}

func (t *trial) triesToFinish(o callsheet.Outcome) callsheet.Finish {
	t.Helper()
	finishes, err := t.Finish(t.Context(), []callsheet.Outcome{o})
	require.NoError(t, err)
	require.Len(t, finishes, 1, "Finish was expected to answer each outcome")
	return finishes[0]
}

func (t *trial) triesToRenew(id string, fence int64, lease time.Duration) callsheet.Renewal {
	t.Helper()
	renewals, err := t.Renew(t.Context(), callsheet.RenewRequest{
		Held: []callsheet.Held{{ExecutionID: id, Fence: fence}}, Lease: lease,
	})
	require.NoError(t, err)
	require.Len(t, renewals, 1, "Renew was expected to answer for each lease")
	return renewals[0]
}

func (t *trial) reclaims() []callsheet.Execution {
	t.Helper()
	lost, err := t.Reclaim(t.Context(), 100, longLease)
	require.NoError(t, err)
	return lost
}

func (t *trial) rings(again time.Duration) callsheet.RingResult {
	t.Helper()
	result, err := t.Ring(t.Context(), callsheet.RingRequest{Limit: 100, Again: again, Backfills: 100})
	require.NoError(t, err)
	return result
}

func (t *trial) execution(id string) callsheet.Execution {
	t.Helper()
	e, err := t.Execution(t.Context(), id)
	require.NoError(t, err)
	return e
}

func (t *trial) schedule(id string) callsheet.Schedule {
	t.Helper()
	s, err := t.Schedules().Get(t.Context(), id)
	require.NoError(t, err)
	return s
}

// executions reads all pages that q selects.
func (t *trial) executions(q callsheet.ExecutionQuery) []callsheet.Execution {
	t.Helper()
	var all []callsheet.Execution
	for {
		page, err := t.Executions(t.Context(), q)
		require.NoError(t, err)
		all = append(all, page.Items...)
		if q.After = page.Next; q.After == "" {
			return all
		}
	}
}

// tallies returns the total and the tallies of the Schedules that are there.
func (t *trial) tallies() (callsheet.Tally, map[string]callsheet.Tally) {
	t.Helper()
	total, page, err := t.Tally(t.Context(), callsheet.StatsQuery{Limit: 1000})
	require.NoError(t, err)
	own := make(map[string]callsheet.Tally)
	for _, item := range page.Items {
		own[item.Schedule] = item.Tally
	}
	return total, own
}

func newSource(id string) callsheet.Source {
	return callsheet.Source{
		ID: id, Name: "an API", Labels: map[string]string{"team": "data"},
		BaseURL: "https://api.example.com", Headers: map[string]string{"Accept": "application/json"},
		Auth: callsheet.Auth{
			Type: callsheet.AuthOAuth2, Secret: "api-key", TokenURL: "https://login.example.com/token", ClientID: "jane",
			Scopes: []string{"rows:read", "rows:list"}, Params: map[string]string{"audience": "api"}, TokenAuthMethod: "client_secret_post",
		},
		Rules:   []callsheet.AnswerRule{{Status: []int{403}, Path: "$.message", Values: []string{"slow down"}, Class: callsheet.ClassThrottled, Message: "$.why"}},
		TLS:     callsheet.TLS{CA: "api-ca", Certificate: "api-certificate", ServerName: "api.internal"},
		Timeout: 20 * time.Second, IdleTimeout: 5 * time.Second, MaxBodyBytes: 1 << 20, MaxHeaderBytes: 1 << 10,
	}
}

func newRequest(id string) callsheet.Request {
	return callsheet.Request{
		ID: id, Name: "a call", Labels: map[string]string{"team": "data"}, Source: "api",
		Method: "POST", Path: "/v1/rows?a=1&a=2", Query: map[string]string{"page": "1", "ø": "☃"},
		Headers: map[string]string{"X-A": "b"}, Multipart: []callsheet.Part{
			{Name: "q", Value: "'\"\r\n☃"}, {Name: "f", Filename: "a.csv", ContentType: "text/csv", Value: "1,2"},
		}, Timeout: 10 * time.Second,
		Params: map[string]string{"shop": "berlin"}, Rules: []callsheet.AnswerRule{{Path: "$.error", Class: callsheet.ClassTransient}},
	}
}

func newExtract(id string) callsheet.Extract {
	return callsheet.Extract{
		ID: id, Name: "rows", Labels: map[string]string{"team": "data"}, Records: "$.rows",
		Fields: []callsheet.Field{{Name: "b", Path: "$.b"}, {Name: "a", Path: "$.a"}},
	}
}

func newDelivery(id string) callsheet.Delivery {
	return callsheet.Delivery{
		ID: id, Name: "out", Labels: map[string]string{"team": "data"},
		Destination: "files", Target: "rows.jsonl", Mode: callsheet.Append,
	}
}

// newSchedule is one whose occurrences are over, so that it falls due only where a case says so, and
// whose executions do not wait for each other.
func newSchedule(id string) callsheet.Schedule {
	return callsheet.Schedule{
		ID: id, Name: "a schedule", Labels: map[string]string{"team": "data"},
		Type: callsheet.TypeCron, Cron: "0 * * * *", Zone: "Europe/Berlin", EndAt: past,
		Overlap: callsheet.OverlapAllow,
		Request: "get", Extract: "rows", Delivery: "out",
		MaxRetries: 3, RetryDelay: time.Second, MaxRetryDelay: time.Minute, Timeout: 5 * time.Minute,
		Description: "every hour",
	}
}

// newFullSchedule is one of which a host has set everything.
func newFullSchedule(id string) callsheet.Schedule {
	s := newSchedule(id)
	s.Every, s.StartAt, s.EndAt, s.MaxRuns, s.Jitter = 90*time.Second, past, future, 1000, 2500*time.Millisecond
	s.Blackouts = []callsheet.Blackout{{Cron: "0 22 * * 5", For: 58 * time.Hour}, {Cron: "0 12 * * *", For: time.Hour}}
	s.Overlap, s.Misfire, s.OnResume = callsheet.OverlapQueueOne, callsheet.MisfireAll, callsheet.ResumeMisfire
	s.MisfireGrace, s.MisfireWindow, s.MisfireLimit = 30*time.Second, 48*time.Hour, 7
	s.PauseAfterFailures = 5
	s.Params = map[string]string{"shop": "paris"}
	return s
}

func newExecution(schedule string, at time.Time, maxAttempts int) callsheet.Execution {
	return callsheet.Execution{
		ID: uuid.Must(uuid.NewV7()).String(), Schedule: schedule, ScheduledAt: at,
		Trigger: callsheet.TriggerSchedule, State: callsheet.StatePending,
		MaxAttempts: maxAttempts, CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
}

func numbered(name string, n int) string { return name + "-" + strconv.Itoa(n) }

func ids(executions []callsheet.Execution) []string {
	all := make([]string, 0, len(executions))
	for _, e := range executions {
		all = append(all, e.ID)
	}
	return all
}

func scheduleIDs(schedules []callsheet.Schedule) []string {
	all := make([]string, 0, len(schedules))
	for _, s := range schedules {
		all = append(all, s.ID)
	}
	return all
}
