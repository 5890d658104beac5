// Package sqltest has the tests that are the same for every database under internal/sqlstore, and that no Store can be given
// by its methods alone: they write into its tables.
package sqltest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

// A Database is an empty one that a test has for itself.
type Database struct {
	// Open opens a Store in it that has read no Definitions yet. The one before is used no more.
	Open func() callsheet.Store
	// Exec runs a statement in it; its tables are in the schema "callsheet".
	Exec func(statement string)
}

// TestUnreadable tests what becomes of Definitions that cannot be read: a newer version of the library wrote them, or somebody by hand.
func TestUnreadable(t *testing.T, database func(t *testing.T) Database) {
	for _, c := range []struct {
		name string
		run  func(*unreadable)
	}{
		{"a claim says of each execution which definition cannot be read", claimsOthers},
		{"what somebody deleted by hand cannot be read", claimsWithoutRow},
		{"executions end whether their schedule can be read or not", finishesOthers},
		{"what waits comes up when the one before it ends", releasesNext},
		{"workers that vanish are replaced", reclaimsOthers},
		{"the other schedules are planned", plansOthers},
		{"a survey says what cannot be read", surveysOthers},
		{"what is defined anew can be read", definedAnew},
		{"what cannot be read can be deleted", deleted},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &unreadable{T: t, Database: database(t)}
			u.Store = u.Open()
			c.run(u)
		})
	}
}

type unreadable struct {
	*testing.T
	Database
	callsheet.Store
}

const lease = time.Minute

// sheet has a schedule "good", and one for each kind of Definition whose own is bad.
func sheet() callsheet.Sheet {
	return callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: "https://api.example.com"}, {ID: "bad", BaseURL: "https://bad.example.com"}},
		Requests:   []callsheet.Request{{ID: "get", Source: "api"}, {ID: "get-bad", Source: "bad"}, {ID: "bad", Source: "api"}},
		Extracts:   []callsheet.Extract{{ID: "bad"}},
		Deliveries: []callsheet.Delivery{{ID: "bad", Destination: "file", Target: "t"}},
		Schedules: []callsheet.Schedule{
			manual("good", "get"), manual("of-source", "get-bad"), manual("of-request", "bad"), manual("schedule", "get"),
			{ID: "of-extract", Type: callsheet.TypeManual, Request: "get", Extract: "bad"},
			{ID: "of-delivery", Type: callsheet.TypeManual, Request: "get", Delivery: "bad"},
		},
	}
}

// faults has, by schedule, what is said of it.
var faults = map[string]string{
	"of-source": `read source "bad"`, "of-request": `read request "bad"`, "of-extract": `read extract "bad"`, "of-delivery": `read delivery "bad"`,
	"schedule": `read schedule "schedule"`,
}

func manual(id, request string) callsheet.Schedule {
	return callsheet.Schedule{ID: id, Type: callsheet.TypeManual, Request: request}
}

func due(id string, ago time.Duration) callsheet.Schedule {
	return callsheet.Schedule{ID: id, Type: callsheet.TypeOnce, StartAt: time.Now().Add(-ago).Truncate(time.Second), Request: "get"}
}

// spoils makes Definitions unreadable, and forgets what is known of them.
func (u *unreadable) spoils(ids ...string) {
	u.Helper()
	for _, id := range ids {
		u.Exec(`UPDATE callsheet.definitions SET doc = '{"id": 7}' WHERE id = '` + id + `'`)
	}
	u.Store = u.Open()
}

func (u *unreadable) defines(s callsheet.Sheet) {
	u.Helper()
	require.NoError(u, u.Define(u.Context(), s))
}

func (u *unreadable) inserts(schedule string) callsheet.Execution {
	u.Helper()
	e, err := u.Insert(u.Context(), callsheet.Execution{Schedule: schedule, Trigger: callsheet.TriggerSchedule, MaxAttempts: 4}, 0)
	require.NoError(u, err)
	return e
}

// everyone has an execution of each schedule, and returns their IDs.
func (u *unreadable) everyone() []string {
	u.Helper()
	s := sheet()
	u.defines(s)
	ids := make([]string, len(s.Schedules))
	for i, sch := range s.Schedules {
		ids[i] = u.inserts(sch.ID).ID
	}
	return ids
}

func (u *unreadable) claims(lease time.Duration, ids ...string) map[string]callsheet.Call {
	u.Helper()
	calls, err := u.Claim(u.Context(), callsheet.ClaimRequest{ExecutionIDs: ids, Worker: "w", Lease: lease})
	require.NoError(u, err)
	by := make(map[string]callsheet.Call, len(calls))
	for _, call := range calls {
		by[call.Execution.Schedule] = call
	}
	require.Len(u, by, len(ids), "every execution was expected to be claimed")
	return by
}

func (u *unreadable) execution(id string) callsheet.Execution {
	u.Helper()
	e, err := u.Execution(u.Context(), id)
	require.NoError(u, err)
	return e
}

func (u *unreadable) saysWhy(calls map[string]callsheet.Call) {
	u.Helper()
	require.NoError(u, calls["good"].Unreadable)
	require.Equal(u, "https://api.example.com", calls["good"].Source.BaseURL)
	for schedule, fault := range faults {
		require.ErrorContains(u, calls[schedule].Unreadable, fault)
		require.Equal(u, schedule, calls[schedule].Schedule.ID)
	}
}

func claimsOthers(u *unreadable) {
	ids := u.everyone()
	u.spoils("bad", "schedule")
	calls := u.claims(lease, ids...)
	u.saysWhy(calls)
	require.ErrorContains(u, calls["of-source"].Unreadable, "cannot unmarshal", "it was expected to say why")
}

func claimsWithoutRow(u *unreadable) {
	ids := u.everyone()
	u.Exec(`DELETE FROM callsheet.definitions WHERE id = 'bad' OR id = 'schedule'`)
	u.Store = u.Open()
	u.saysWhy(u.claims(lease, ids...))
	u.defines(sheet())
	_, err := u.Schedules().Get(u.Context(), "schedule")
	require.NoError(u, err, "it was expected to be there again")
}

func finishesOthers(u *unreadable) {
	ids := u.everyone()
	u.spoils("bad", "schedule")
	calls := u.claims(lease, ids...)
	var outcomes []callsheet.Outcome
	for _, id := range ids {
		outcomes = append(outcomes, callsheet.Outcome{ExecutionID: id, Fence: 1, State: callsheet.StateFailed, Error: "unreadable"})
	}
	finishes, err := u.Finish(u.Context(), outcomes)
	require.NoError(u, err)
	for i, f := range finishes {
		require.NoError(u, f.Err)
		require.Equal(u, callsheet.StateFailed, u.execution(ids[i]).State)
		if id := f.Execution.Schedule; id == "schedule" {
			require.Nil(u, f.Schedule)
		} else {
			require.Equal(u, id, f.Schedule.ID)
			require.EqualValues(u, 1, f.Schedule.FailureCount)
		}
	}
	total, _, err := u.Tally(u.Context(), callsheet.StatsQuery{})
	require.NoError(u, err)
	require.EqualValues(u, len(ids), total.Failed, "all were expected to be counted")

	id := calls["schedule"].Execution.ID
	_, err = u.Reopen(u.Context(), id, 0)
	require.ErrorContains(u, err, faults["schedule"], "how many attempts it may have is not known")
	_, err = u.Insert(u.Context(), callsheet.Execution{Schedule: "schedule", Trigger: callsheet.TriggerManual}, 0)
	require.ErrorContains(u, err, faults["schedule"])
	_, err = u.Schedules().Get(u.Context(), "schedule")
	require.ErrorContains(u, err, faults["schedule"])
}

func releasesNext(u *unreadable) {
	s := sheet()
	s.Schedules[3].KeepAnswers = 3
	u.defines(s)
	first, second := u.inserts("schedule"), u.inserts("schedule")
	require.True(u, second.Waits)
	u.spoils("schedule")
	u.claims(lease, first.ID)
	require.NoError(u, u.Keep(u.Context(), callsheet.Answer{ExecutionID: first.ID, Fence: 1, Status: 200}))
	finishes, err := u.Finish(u.Context(), []callsheet.Outcome{{ExecutionID: first.ID, Fence: 1, State: callsheet.StateSucceeded}})
	require.NoError(u, err)
	require.True(u, finishes[0].Released)
	_, err = u.Answer(u.Context(), first.ID)
	require.NoError(u, err, "how many answers are to be kept is not known: none was expected to go")
	u.claims(lease, second.ID)
	_, changed, err := u.Cancel(u.Context(), second.ID, "enough")
	require.NoError(u, err)
	require.True(u, changed)
}

func reclaimsOthers(u *unreadable) {
	ids := u.everyone()
	u.spoils("bad", "schedule")
	u.claims(time.Microsecond, ids...)
	time.Sleep(10 * time.Millisecond)
	lost, err := u.Reclaim(u.Context(), 100, 0)
	require.NoError(u, err)
	require.Len(u, lost, len(ids))
}

func plansOthers(u *unreadable) {
	s := sheet()
	s.Schedules = []callsheet.Schedule{due("bad-1", time.Hour), due("bad-2", time.Hour), due("bad-3", time.Hour), due("good", time.Minute)}
	u.defines(s)
	u.Exec(`DELETE FROM callsheet.definitions WHERE id = 'bad-3'`)
	u.spoils("bad-1", "bad-2")
	var planned []string
	plan := callsheet.PlanRequest{Limit: 1, Decide: func(d callsheet.Due) callsheet.Decision {
		planned = append(planned, d.Schedule.ID)
		state := d.Schedule.ScheduleState
		state.NextExecutionAt = d.Now.Add(time.Hour)
		return callsheet.Decision{State: state}
	}}
	for range 2 {
		result, err := u.Plan(u.Context(), plan)
		require.NoError(u, err)
		require.False(u, result.Wake.Before(time.Now().Add(-time.Second)), "for what cannot be planned nobody was expected to be woken")
	}
	require.Equal(u, []string{"good"}, planned)
	soonest, err := u.Soonest(u.Context(), 10)
	require.NoError(u, err)
	require.Len(u, soonest, 1)
	require.Equal(u, "good", soonest[0].ID)
}

func surveysOthers(u *unreadable) {
	s := sheet()
	s.Schedules = []callsheet.Schedule{due("bad-1", time.Hour), due("good", time.Minute)}
	u.defines(s)
	u.spoils("bad-1")
	found, err := u.Survey(u.Context(), callsheet.SurveyQuery{Overdue: 30 * time.Second, Limit: 10})
	require.NoError(u, err)
	require.Equal(u, 2, found.UnplannedCount)
	require.Equal(u, "bad-1", found.Unplanned[0].ID)
	require.Equal(u, "good", found.Unplanned[1].ID)
	require.Len(u, found.Unreadable, 1)
	require.Contains(u, found.Unreadable["bad-1"], `read schedule "bad-1"`)
}

func definedAnew(u *unreadable) {
	s := sheet()
	bad := due("schedule", time.Hour)
	s.Schedules = []callsheet.Schedule{bad, manual("of-source", "get-bad")}
	u.defines(s)
	waiting := u.inserts("schedule")
	u.spoils("bad", "schedule")
	u.defines(s)
	sch, err := u.Schedules().Get(u.Context(), "schedule")
	require.NoError(u, err)
	require.EqualValues(u, 2, sch.Version)
	require.True(u, sch.NextExecutionAt.Equal(bad.StartAt), "what was due was expected to be due still")
	calls := u.claims(lease, waiting.ID, u.inserts("of-source").ID)
	require.NoError(u, calls["schedule"].Unreadable)
	require.NoError(u, calls["of-source"].Unreadable)
}

func deleted(u *unreadable) {
	u.everyone()
	u.spoils("bad", "schedule")
	require.NoError(u, u.Schedules().Delete(u.Context(), "schedule"))
	page, err := u.Executions(u.Context(), callsheet.ExecutionQuery{Schedule: "schedule"})
	require.NoError(u, err)
	require.Len(u, page.Items, 1)
	require.Equal(u, callsheet.StateCancelled, page.Items[0].State)
}
