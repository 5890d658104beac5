package sqlstore

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/callsheet-go/callsheet"
)

// executionColumns are those of an executionRow.
const executionColumns = `
	e.id, e.schedule, e.scheduled_at, e.trigger, e.state, e.reason, e.gap_first, e.gap_last, e.gap_count, e.answer_of,
	e.attempt, e.max_attempts, e.fence, e.worker, e.lease_until, e.not_before, e.waits, e.cancel_requested,
	e.reopenings, e.lost_workers, e.created_at, e.started_at, e.finished_at,
	e.http_status, e.bytes, e.records, e.rejected, e.from_kept, e.pages, e.progress,
	e.fetch_ns, e.extract_ns, e.deliver_ns, e.class, e.error,
	e.attempts, e.rung, e.revision`

type executionRow struct {
	ID          string            `db:"id"`
	Schedule    string            `db:"schedule"`
	ScheduledAt moment            `db:"scheduled_at"`
	Trigger     callsheet.Trigger `db:"trigger"`
	State       callsheet.State   `db:"state"`
	Reason      string            `db:"reason"`
	GapFirst    moment            `db:"gap_first"`
	GapLast     moment            `db:"gap_last"`
	GapCount    *int              `db:"gap_count"`
	AnswerOf    string            `db:"answer_of"`

	Attempt         int    `db:"attempt"`
	MaxAttempts     int    `db:"max_attempts"`
	Fence           int64  `db:"fence"`
	Worker          string `db:"worker"`
	LeaseUntil      moment `db:"lease_until"`
	NotBefore       moment `db:"not_before"`
	Waits           bool   `db:"waits"`
	CancelRequested bool   `db:"cancel_requested"`
	Reopenings      int    `db:"reopenings"`
	LostWorkers     int    `db:"lost_workers"`

	CreatedAt  moment `db:"created_at"`
	StartedAt  moment `db:"started_at"`
	FinishedAt moment `db:"finished_at"`

	HTTPStatus int             `db:"http_status"`
	Bytes      int64           `db:"bytes"`
	Records    int64           `db:"records"`
	Rejected   int64           `db:"rejected"`
	FromKept   bool            `db:"from_kept"`
	Pages      int             `db:"pages"`
	Progress   string          `db:"progress"`
	FetchNS    int64           `db:"fetch_ns"`
	ExtractNS  int64           `db:"extract_ns"`
	DeliverNS  int64           `db:"deliver_ns"`
	Class      callsheet.Class `db:"class"`
	Error      string          `db:"error"`
	Attempts   []byte          `db:"attempts"`

	Rung     bool  `db:"rung"`
	Revision int64 `db:"revision"`
}

func (r *executionRow) execution() (callsheet.Execution, error) {
	e := callsheet.Execution{
		ID: r.ID, Schedule: r.Schedule, ScheduledAt: r.ScheduledAt.Time, Trigger: r.Trigger, State: r.State, Reason: r.Reason, AnswerOf: r.AnswerOf,
		Attempt: r.Attempt, MaxAttempts: r.MaxAttempts, Fence: r.Fence, Worker: r.Worker, LeaseUntil: r.LeaseUntil.Time, NotBefore: r.NotBefore.Time,
		Waits: r.Waits, CancelRequested: r.CancelRequested, Reopenings: r.Reopenings, LostWorkers: r.LostWorkers,
		CreatedAt: r.CreatedAt.Time, StartedAt: r.StartedAt.Time, FinishedAt: r.FinishedAt.Time,
		Result: callsheet.Result{HTTPStatus: r.HTTPStatus, Bytes: r.Bytes, Records: r.Records, Rejected: r.Rejected, FromKept: r.FromKept, Pages: r.Pages, Timings: callsheet.Timings{
			Fetch: time.Duration(r.FetchNS), Extract: time.Duration(r.ExtractNS), Deliver: time.Duration(r.DeliverNS)}},
		Class: r.Class, Error: r.Error,
	}
	if r.GapCount != nil {
		e.Gap = &callsheet.Gap{First: r.GapFirst.Time, Last: r.GapLast.Time, Count: *r.GapCount}
	}
	var err error
	if e.Progress, err = parsed[callsheet.Progress](r.Progress); err != nil {
		return e, err
	}
	if string(r.Attempts) == "[]" {
		return e, nil // and not an empty slice
	}
	return e, json.Unmarshal(r.Attempts, &e.Attempts)
}

// noted returns what v points to as it is kept, in JSON; nil is empty.
func noted[T any](v *T) string {
	if v == nil {
		return ""
	}
	text, _ := json.Marshal(v) // of texts, numbers and times only, which cannot fail
	return string(text)
}

// parsed returns what was noted.
func parsed[T any](text string) (*T, error) {
	if text == "" {
		return nil, nil
	}
	v := new(T)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return nil, err
	}
	return v, nil
}

func executionsOf(rows []executionRow) ([]callsheet.Execution, error) {
	var all []callsheet.Execution
	for i := range rows {
		e, err := rows[i].execution()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// An executionRecord is a row that is to be written, as [executionRecords] reads it.
type executionRecord struct {
	ID          string            `json:"id"`
	Schedule    string            `json:"schedule"`
	ScheduledAt any               `json:"scheduled_at"`
	Trigger     callsheet.Trigger `json:"trigger"`
	State       callsheet.State   `json:"state"`
	Reason      string            `json:"reason"`
	GapFirst    any               `json:"gap_first"`
	GapLast     any               `json:"gap_last"`
	GapCount    *int              `json:"gap_count"`
	AnswerOf    string            `json:"answer_of"`

	Attempt         int    `json:"attempt"`
	MaxAttempts     int    `json:"max_attempts"`
	Fence           int64  `json:"fence"`
	Worker          string `json:"worker"`
	LeaseUntil      any    `json:"lease_until"`
	NotBefore       any    `json:"not_before"`
	Waits           bool   `json:"waits"`
	CancelRequested bool   `json:"cancel_requested"`
	Reopenings      int    `json:"reopenings"`
	LostWorkers     int    `json:"lost_workers"`

	CreatedAt  any `json:"created_at"`
	StartedAt  any `json:"started_at"`
	FinishedAt any `json:"finished_at"`

	HTTPStatus int                 `json:"http_status"`
	Bytes      int64               `json:"bytes"`
	Records    int64               `json:"records"`
	Rejected   int64               `json:"rejected"`
	FromKept   bool                `json:"from_kept"`
	Pages      int                 `json:"pages"`
	Progress   string              `json:"progress"`
	FetchNS    int64               `json:"fetch_ns"`
	ExtractNS  int64               `json:"extract_ns"`
	DeliverNS  int64               `json:"deliver_ns"`
	Class      callsheet.Class     `json:"class"`
	Error      string              `json:"error"`
	Attempts   []callsheet.Attempt `json:"attempts"`

	CatchesUp bool  `json:"catches_up"`
	ReadyAt   any   `json:"ready_at"`
	RingAt    any   `json:"ring_at"`
	Rung      bool  `json:"rung"`
	Revision  int64 `json:"revision"`
}

// executionRecords are executionRecords as rows.
const executionRecords = `json_to_recordset(?) AS r (
	id text, schedule text, scheduled_at timestamptz, trigger text, state text, reason text,
	gap_first timestamptz, gap_last timestamptz, gap_count integer, answer_of text,
	attempt integer, max_attempts integer, fence bigint, worker text, lease_until timestamptz, not_before timestamptz,
	waits boolean, cancel_requested boolean, reopenings integer, lost_workers integer,
	created_at timestamptz, started_at timestamptz, finished_at timestamptz,
	http_status integer, bytes bigint, records bigint, rejected bigint, from_kept boolean, pages integer, progress text, fetch_ns bigint, extract_ns bigint, deliver_ns bigint,
	class text, error text, attempts json, catches_up boolean, ready_at timestamptz, ring_at timestamptz, rung boolean, revision bigint)`

func (s *Store) record(row *execution) executionRecord {
	e := &row.Execution
	r := executionRecord{
		ID: e.ID, Schedule: e.Schedule, ScheduledAt: s.time(e.ScheduledAt), Trigger: e.Trigger, State: e.State, Reason: e.Reason, AnswerOf: e.AnswerOf,
		Attempt: e.Attempt, MaxAttempts: e.MaxAttempts, Fence: e.Fence, Worker: e.Worker, LeaseUntil: s.time(e.LeaseUntil), NotBefore: s.time(e.NotBefore),
		Waits: e.Waits, CancelRequested: e.CancelRequested, Reopenings: e.Reopenings, LostWorkers: e.LostWorkers,
		CreatedAt: s.time(e.CreatedAt), StartedAt: s.time(e.StartedAt), FinishedAt: s.time(e.FinishedAt),
		HTTPStatus: e.HTTPStatus, Bytes: e.Bytes, Records: e.Records, Rejected: e.Rejected, FromKept: e.FromKept, Pages: e.Pages, Progress: noted(e.Progress),
		FetchNS: int64(e.Timings.Fetch), ExtractNS: int64(e.Timings.Extract), DeliverNS: int64(e.Timings.Deliver),
		Class: e.Class, Error: e.Error, Attempts: e.Attempts,
		CatchesUp: e.CatchesUp(), ReadyAt: s.time(e.ReadySince()), RingAt: s.time(row.ringAt), Rung: row.rung, Revision: row.revision + 1,
	}
	if e.Gap != nil {
		r.GapFirst, r.GapLast, r.GapCount = s.time(e.Gap.First), s.time(e.Gap.Last), &e.Gap.Count
	}
	if r.Attempts == nil {
		r.Attempts = []callsheet.Attempt{} // and not null
	}
	return r
}

// tidy returns an execution as it is kept: times have microseconds, and texts are such that every database takes
// them. What an API or a host's code said may be anything, and must not keep an outcome from being written.
func tidy(e callsheet.Execution) callsheet.Execution {
	e.ScheduledAt, e.NotBefore, e.LeaseUntil = kept(e.ScheduledAt), kept(e.NotBefore), kept(e.LeaseUntil)
	e.CreatedAt, e.StartedAt, e.FinishedAt = kept(e.CreatedAt), kept(e.StartedAt), kept(e.FinishedAt)
	e.Reason, e.Worker, e.Error, e.Class = plain(e.Reason), plain(e.Worker), plain(e.Error), plain(e.Class)
	if e.Gap != nil {
		gap := *e.Gap
		gap.First, gap.Last = kept(gap.First), kept(gap.Last)
		e.Gap = &gap
	}
	var history []callsheet.Attempt // of the execution's own, and nil if it is empty
	for _, a := range e.Attempts {
		a.StartedAt, a.FinishedAt = kept(a.StartedAt), kept(a.FinishedAt)
		a.Worker, a.Error, a.Stack, a.Class = plain(a.Worker), plain(a.Error), plain(a.Stack), plain(a.Class)
		history = append(history, a)
	}
	e.Attempts = history
	return e
}

// plain returns text in UTF-8 and without NUL, which PostgreSQL does not take.
func plain[S ~string](text S) S {
	if utf8.ValidString(string(text)) && !strings.Contains(string(text), "\x00") {
		return text
	}
	return S(strings.ReplaceAll(strings.ToValidUTF8(string(text), "\uFFFD"), "\x00", "\uFFFD"))
}

// scheduleColumns are those of a scheduleRow.
const scheduleColumns = `
	s.id, s.edition, s.version, s.created_at, s.updated_at, s.status, s.pause_reason, s.paused_at, s.consecutive_failures, s.failing_since,
	s.execution_count, s.failure_count, s.last_execution, s.last_error, s.last_scheduled_at, s.last_executed_at,
	s.runs, s.planned_until, s.next_execution_at, s.cursor_at, s.validators`

type scheduleRow struct {
	ID                  string           `db:"id"`
	Edition             int64            `db:"edition"`
	Version             int64            `db:"version"`
	CreatedAt           moment           `db:"created_at"`
	UpdatedAt           moment           `db:"updated_at"`
	Status              callsheet.Status `db:"status"`
	PauseReason         string           `db:"pause_reason"`
	PausedAt            moment           `db:"paused_at"`
	ConsecutiveFailures int              `db:"consecutive_failures"`
	FailingSince        moment           `db:"failing_since"`
	ExecutionCount      int64            `db:"execution_count"`
	FailureCount        int64            `db:"failure_count"`
	LastExecution       string           `db:"last_execution"`
	LastError           string           `db:"last_error"`
	LastScheduledAt     moment           `db:"last_scheduled_at"`
	LastExecutedAt      moment           `db:"last_executed_at"`
	Runs                int64            `db:"runs"`
	PlannedUntil        moment           `db:"planned_until"`
	NextExecutionAt     moment           `db:"next_execution_at"`
	CursorAt            string           `db:"cursor_at"`
	Validators          string           `db:"validators"`
}

// state returns the state as far as it can be read.
func (r *scheduleRow) state() (callsheet.ScheduleState, error) {
	cursor, fault := parsed[callsheet.CursorState](r.CursorAt)
	validators, err := parsed[callsheet.Validators](r.Validators)
	return callsheet.ScheduleState{
		Status: r.Status, PauseReason: r.PauseReason, PausedAt: r.PausedAt.Time, ConsecutiveFailures: r.ConsecutiveFailures, FailingSince: r.FailingSince.Time,
		ExecutionCount: r.ExecutionCount, FailureCount: r.FailureCount, LastExecution: r.LastExecution, LastError: r.LastError,
		LastScheduledAt: r.LastScheduledAt.Time, LastExecutedAt: r.LastExecutedAt.Time,
		Runs: r.Runs, PlannedUntil: r.PlannedUntil.Time, NextExecutionAt: r.NextExecutionAt.Time,
		Cursor: cursor, Validators: validators,
	}, errors.Join(fault, err)
}

// A scheduleRecord is a row that is to be written, as [scheduleRecords] reads it.
type scheduleRecord struct {
	ID                  string           `json:"id"`
	Edition             int64            `json:"edition"`
	Version             int64            `json:"version"`
	CreatedAt           any              `json:"created_at"`
	UpdatedAt           any              `json:"updated_at"`
	NeverRun            bool             `json:"never_run"`
	TimeoutUS           int64            `json:"timeout_us"`
	Status              callsheet.Status `json:"status"`
	PauseReason         string           `json:"pause_reason"`
	PausedAt            any              `json:"paused_at"`
	ConsecutiveFailures int              `json:"consecutive_failures"`
	FailingSince        any              `json:"failing_since"`
	ExecutionCount      int64            `json:"execution_count"`
	FailureCount        int64            `json:"failure_count"`
	LastExecution       string           `json:"last_execution"`
	LastError           string           `json:"last_error"`
	LastScheduledAt     any              `json:"last_scheduled_at"`
	LastExecutedAt      any              `json:"last_executed_at"`
	Runs                int64            `json:"runs"`
	PlannedUntil        any              `json:"planned_until"`
	NextExecutionAt     any              `json:"next_execution_at"`
	CursorAt            string           `json:"cursor_at"`
	Validators          string           `json:"validators"`
	DueAt               any              `json:"due_at"`
}

// scheduleRecords are scheduleRecords as rows.
const scheduleRecords = `json_to_recordset(?) AS r (
	id text, edition bigint, version bigint, created_at timestamptz, updated_at timestamptz, never_run boolean, timeout_us bigint,
	status text, pause_reason text, paused_at timestamptz, consecutive_failures integer, failing_since timestamptz,
	execution_count bigint, failure_count bigint, last_execution text, last_error text, last_scheduled_at timestamptz, last_executed_at timestamptz,
	runs bigint, planned_until timestamptz, next_execution_at timestamptz, cursor_at text, validators text, due_at timestamptz)`

func (s *Store) scheduleRecord(row *schedule) scheduleRecord {
	st := &row.ScheduleState
	r := scheduleRecord{
		ID: row.ID, Edition: row.edition, Version: row.Version, CreatedAt: s.time(row.CreatedAt), UpdatedAt: s.time(row.UpdatedAt),
		NeverRun: !row.Disabled && st.ExecutionCount == 0, TimeoutUS: row.Timeout.Microseconds(),
		Status: st.Status, PauseReason: st.PauseReason, PausedAt: s.time(st.PausedAt), ConsecutiveFailures: st.ConsecutiveFailures, FailingSince: s.time(st.FailingSince),
		ExecutionCount: st.ExecutionCount, FailureCount: st.FailureCount, LastExecution: st.LastExecution, LastError: st.LastError,
		LastScheduledAt: s.time(st.LastScheduledAt), LastExecutedAt: s.time(st.LastExecutedAt),
		Runs: st.Runs, PlannedUntil: s.time(st.PlannedUntil), NextExecutionAt: s.time(st.NextExecutionAt),
		CursorAt: noted(st.Cursor), Validators: noted(st.Validators),
	}
	if row.Planned() {
		r.DueAt = r.NextExecutionAt
	}
	return r
}

// tidyState returns a Schedule's state as it is kept.
func tidyState(st callsheet.ScheduleState) callsheet.ScheduleState {
	st.PausedAt, st.FailingSince = kept(st.PausedAt), kept(st.FailingSince)
	st.LastScheduledAt, st.LastExecutedAt = kept(st.LastScheduledAt), kept(st.LastExecutedAt)
	st.PlannedUntil, st.NextExecutionAt = kept(st.PlannedUntil), kept(st.NextExecutionAt)
	st.PauseReason, st.LastError = plain(st.PauseReason), plain(st.LastError)
	st.LastExecution = plain(st.LastExecution)
	return st
}
