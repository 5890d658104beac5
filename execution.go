package callsheet

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// State is where an Execution is in its life.
//
//	pending ──claim──▶ running ──▶ succeeded | failed | cancelled
//	   ▲                  │
//	   └── retry, hand-back, lost worker
//
// An occurrence that is not run is skipped from the start. Succeeded, failed, cancelled and
// skipped are final; only Retry leads out of failed.
type State string

const (
	StatePending   State = "pending"   // waits for a worker, or for its time
	StateRunning   State = "running"   // a worker holds it
	StateSucceeded State = "succeeded" // all that was asked for is done
	StateFailed    State = "failed"    // retries are spent or of no use: a dead letter
	StateCancelled State = "cancelled" // somebody did not want it any more
	StateSkipped   State = "skipped"   // an occurrence that was not run
)

// States lists all states in the order of an execution's life.
func States() []State {
	return []State{StatePending, StateRunning, StateSucceeded, StateFailed, StateCancelled, StateSkipped}
}

// Final reports whether an execution in this state is over.
func (s State) Final() bool { return s != StatePending && s != StateRunning }

// Trigger says what made an Execution.
type Trigger string

const (
	TriggerSchedule Trigger = "schedule" // an occurrence of the Schedule
	TriggerManual   Trigger = "manual"   // a call of Execute
	TriggerBackfill Trigger = "backfill" // an occurrence that a call of Backfill planned afterwards
	// TriggerReextract: a call of Reextract, which makes no call of the API.
	TriggerReextract Trigger = "reextract"
)

// Reasons why an execution is in its state, beyond what the state says. A cancellation carries
// the caller's own words instead.
const (
	ReasonOverlap     = "overlap"           // skipped: the execution before was still pending or running
	ReasonBlackout    = "blackout"          // skipped: it fell into one of the Schedule's Blackouts
	ReasonMissed      = "missed"            // skipped: nobody planned these occurrences in time; see Gap
	ReasonPaused      = "paused"            // skipped: the Schedule was paused; see Gap
	ReasonSuperseded  = "superseded"        // skipped or cancelled: the Schedule's times were edited
	ReasonOvertaken   = "overtaken"         // cancelled: the next occurrence took its place
	ReasonWaits       = "waits"             // pending: an execution of the same Schedule comes before it
	ReasonUnplannable = "cannot be planned" // skipped: its next time could not be computed
	ReasonRetry       = "retry"             // pending: the last attempt failed, another is due
	ReasonThrottled   = "throttled"         // pending: the API asked to wait
	ReasonPartial     = "partial"           // pending: as throttled, with some of its pages delivered
	ReasonLimited     = "rate limit"        // pending: a limit of its Source lets it call later
	ReasonCircuit     = "circuit open"      // pending: calls to its Source failed, and are stopped for a while
	ReasonUnchanged   = "unchanged"         // succeeded: the answer is as it was, and was not looked into
	ReasonHandBack    = "handed back"       // pending: its worker stopped before it was done
	ReasonLost        = "worker lost"       // pending or failed: its worker vanished
	ReasonExhausted   = "attempts spent"    // failed
	ReasonPermanent   = "not retryable"     // failed
	ReasonCancelled   = "cancelled"         // cancelled: without words
	ReasonDeleted     = "schedule gone"     // skipped or cancelled: its Schedule was deleted
	ReasonRetried     = "retried by hand"   // pending: Retry was called
)

// Limits on what the library puts up with before an execution fails.
const (
	// MaxLostWorkers is how many workers may vanish under one execution, by lease expiry, before it
	// fails instead of being handed to the next.
	MaxLostWorkers = 3
	// MaxThrottled is how long an execution may go on being told to wait by the API, or waiting for
	// an open circuit.
	MaxThrottled = 24 * time.Hour
	// maxAttemptHistory bounds Execution.Attempts; the oldest go first.
	maxAttemptHistory = 100
	// maxThrottledHistory is how many throttled attempts in a row are kept from their beginning; of those after them the
	// latest is, and the latest wait.
	maxThrottledHistory = 50
)

// An Execution is one occurrence of a Schedule, planned, run or not run: the row that answers
// "what happened". It is unique per Schedule and scheduled time.
type Execution struct {
	ID       string `json:"id"` // UUIDv7
	Schedule string `json:"schedule"`
	// ScheduledAt is the occurrence, in UTC with microseconds.
	ScheduledAt time.Time `json:"scheduled_at"`
	Trigger     Trigger   `json:"trigger"`
	State       State     `json:"state"`
	Reason      string    `json:"reason,omitempty"`
	// Gap is set on a skipped row that stands for all occurrences of a time; ScheduledAt is its First, or, where
	// another execution has that key, the next free microsecond.
	Gap *Gap `json:"gap,omitempty"`

	// AnswerOf is the execution whose answer is extracted and delivered anew, with TriggerReextract.
	AnswerOf string `json:"answer_of,omitempty"`

	// Attempt counts the attempts spent, the running one included; MaxAttempts is where they end.
	// A throttled attempt, and one whose worker was lost or stopped, is given back.
	Attempt     int `json:"attempt"`
	MaxAttempts int `json:"max_attempts"`
	// Fence grows with every claim. A write that carries an older one is refused.
	Fence int64 `json:"fence"`
	// Worker holds the execution until LeaseUntil, by the Store's clock. Set while running.
	Worker     string    `json:"worker,omitempty"`
	LeaseUntil time.Time `json:"lease_until,omitzero"`
	// NotBefore is when a pending execution may be claimed. Zero means now.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Waits is set while a pending execution may not be claimed because another of the same Schedule
	// comes before it. See [Schedule.Line].
	Waits bool `json:"waits,omitempty"`
	// CancelRequested is set when a running execution was cancelled and its worker has yet to stop.
	CancelRequested bool `json:"cancel_requested,omitempty"`
	// Reopenings counts how often Retry took the execution up again.
	Reopenings int `json:"reopenings,omitempty"`
	// LostWorkers counts the workers that vanished under the execution.
	LostWorkers int `json:"lost_workers,omitempty"`

	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at,omitzero"`  // of the last attempt
	FinishedAt time.Time `json:"finished_at,omitzero"` // set in a final state

	// Result, Class and Error are those of the last attempt.
	Result
	Class Class  `json:"class,omitempty"`
	Error string `json:"error,omitempty"`

	// Attempts is the history, oldest first: the last 100 attempts that ended. Of more than 50 in a row that were throttled
	// and came to nothing it has the first 50, the latest, and the latest wait.
	Attempts []Attempt `json:"attempts,omitempty"`
}

// Last returns the last attempt that ended, and whether there is one.
func (e Execution) Last() (Attempt, bool) {
	if len(e.Attempts) == 0 {
		return Attempt{}, false
	}
	return e.Attempts[len(e.Attempts)-1], true
}

// A Gap stands for occurrences that were not run.
type Gap struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int       `json:"count"`
}

func (g *Gap) count() int64 {
	if g == nil {
		return 0
	}
	return int64(g.Count)
}

// An Attempt is one try of an Execution that has ended.
type Attempt struct {
	Number     int       `json:"number"`
	Fence      int64     `json:"fence"`
	Worker     string    `json:"worker"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	// Unspent attempts do not count against the retries.
	Unspent bool `json:"unspent,omitempty"`
	// Waited is set if the attempt ended because it had to wait, by no word of the API: ReasonLimited or ReasonCircuit. Those in a row
	// that made no call at all are one entry, from the start of the first to the end of the last; one for a circuit
	// holds the waits for limits that follow, too. Statistics do not count them.
	Waited string `json:"waited,omitempty"`

	Result
	Class Class  `json:"class,omitempty"` // empty: it succeeded
	Error string `json:"error,omitempty"`
	// Stack is the goroutine's stack where a stage or a host's code panicked.
	Stack string `json:"stack,omitempty"`
}

// Duration is how long the attempt ran.
func (a Attempt) Duration() time.Duration { return a.FinishedAt.Sub(a.StartedAt) }

// A Result is what the Pipeline reports of one attempt. It is filled as far as the attempt came.
type Result struct {
	HTTPStatus int   `json:"http_status,omitempty"`
	Bytes      int64 `json:"bytes,omitempty"`    // of the decompressed answer
	Records    int64 `json:"records,omitempty"`  // extracted
	Rejected   int64 `json:"rejected,omitempty"` // set aside by an Extract that skips bad records
	// FromKept is set if no call was made: the answer of an earlier attempt was used.
	FromKept bool    `json:"from_kept,omitempty"`
	Timings  Timings `json:"timings,omitzero"`
	// Pages is how many pages, and parts of long ones, this attempt delivered. Records and Rejected are of all pages of the execution, also those that
	// attempts before delivered; Bytes are of this attempt's.
	Pages int `json:"pages,omitempty"`
	// Progress is what the next attempt goes on from; nil: from the start. The history has none.
	Progress *Progress `json:"progress,omitempty"`
}

// Timings says how long each stage took. A stage that was not reached has zero.
type Timings struct {
	Fetch   time.Duration `json:"fetch,omitzero"`
	Extract time.Duration `json:"extract,omitzero"`
	Deliver time.Duration `json:"deliver,omitzero"`
}

// MarshalJSON writes durations as text ("12ms").
func (t Timings) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Fetch   durationText `json:"fetch,omitzero"`
		Extract durationText `json:"extract,omitzero"`
		Deliver durationText `json:"deliver,omitzero"`
	}{durationText(t.Fetch), durationText(t.Extract), durationText(t.Deliver)})
}

// UnmarshalJSON reads durations as text ("12ms").
func (t *Timings) UnmarshalJSON(b []byte) error {
	v := struct {
		Fetch   *durationText `json:"fetch"`
		Extract *durationText `json:"extract"`
		Deliver *durationText `json:"deliver"`
	}{(*durationText)(&t.Fetch), (*durationText)(&t.Extract), (*durationText)(&t.Deliver)}
	return json.Unmarshal(b, &v)
}

// An Outcome is how an attempt ended and what follows from it. The worker makes it; the Store
// applies it with [Execution.Finished], guarded by the fence.
type Outcome struct {
	ExecutionID string
	Fence       int64
	// State is succeeded, failed, cancelled, or pending for another attempt after Delay.
	State  State
	Reason string
	// Delay counts from the Store's now to the time before which no worker may claim the
	// execution again. Only for pending.
	Delay time.Duration
	// Unspent gives the attempt back.
	Unspent bool
	// Waited is why the attempt had to wait; empty if it did not. See [Attempt].Waited.
	Waited string

	Result
	Class Class
	Error string
	Stack string
}

// The life of an Execution. Each of these is a pure function from the row before to the row
// after; a Store applies them inside its transaction, and writes the result only if the row is
// still the one it read.

// Claimable reports whether a worker may claim the execution at now.
func (e Execution) Claimable(now time.Time) bool {
	return e.State == StatePending && !e.Waits && !e.NotBefore.After(now)
}

// ReadySince is when a pending execution could first be claimed, since it is pending.
func (e Execution) ReadySince() time.Time {
	if e.NotBefore.IsZero() {
		return e.CreatedAt
	}
	return e.NotBefore
}

// Claimed returns the execution in the hands of worker until now + lease.
func (e Execution) Claimed(worker string, now time.Time, lease time.Duration) Execution {
	e.State, e.Reason = StateRunning, ""
	e.Attempt++
	e.Fence++
	e.Worker, e.LeaseUntil = worker, now.Add(lease)
	e.NotBefore = time.Time{}
	e.StartedAt = now
	e.Result, e.Class, e.Error = Result{Progress: e.Progress}, "", ""
	return e
}

// CatchesUp reports whether the execution makes up for one that was not run, failed, or was extracted wrongly, in its time:
// by Backfill, Retry or Reextract. It comes after those that are due now.
func (e Execution) CatchesUp() bool {
	return e.Trigger == TriggerBackfill || e.Trigger == TriggerReextract || e.Reopenings > 0
}

// Held reports whether fence is the one under which the execution is running now. A write by
// any other is stale.
func (e Execution) Held(fence int64) bool {
	return e.State == StateRunning && e.Fence == fence
}

// Finished returns the execution after the attempt that o describes. A cancellation that came in
// while the attempt ran turns "again later" into cancelled.
func (e Execution) Finished(o Outcome, now time.Time) Execution {
	progress := o.Progress
	if progress == nil {
		progress = e.Progress
	}
	o.Progress = nil
	attempts := withAttempt(slices.Clone(e.Attempts), Attempt{
		Number: e.Attempt, Fence: e.Fence, Worker: e.Worker,
		StartedAt: e.StartedAt, FinishedAt: now, Unspent: o.Unspent, Waited: o.Waited,
		Result: o.Result, Class: o.Class, Error: o.Error, Stack: o.Stack,
	})
	e.Attempts = attempts[max(0, len(attempts)-maxAttemptHistory):]
	e.Result, e.Class, e.Error = o.Result, o.Class, o.Error
	e.Progress = progress
	if o.State == StateSucceeded {
		e.Progress = progress.done()
	}
	if o.Unspent {
		e.Attempt--
	}
	if o.Class == ClassLostWorker {
		e.LostWorkers++
	}
	e.Worker, e.LeaseUntil = "", time.Time{}
	if e.CancelRequested && (o.State == StatePending || o.State == StateCancelled) {
		o.State, o.Reason = StateCancelled, e.Reason
	}
	e.State, e.Reason = o.State, o.Reason
	if e.State == StatePending {
		e.NotBefore = now.Add(o.Delay).Truncate(time.Microsecond) // as precise as times are kept
		return e
	}
	e.CancelRequested = false
	e.FinishedAt = now
	return e
}

// withAttempt appends a to the history. Waits in a row are one entry, and of a long row of throttled attempts the
// middle is left out, lest they push out what happened, and since when they go on.
func withAttempt(history []Attempt, a Attempt) []Attempt {
	if n := len(history); n > 0 && a.onlyWaited() && history[n-1].onlyWaited() && history[n-1].Unspent {
		// A wait for a circuit goes on while limits are waited for; one for a limit is no beginning of one for a circuit.
		if last := history[n-1]; last.Waited == a.Waited || last.Waited == ReasonCircuit {
			a.StartedAt, a.Waited = last.StartedAt, last.Waited
			return append(history[:n-1], a)
		}
	}
	row := len(history)
	for row > 0 && history[row-1].toldToWait() {
		row--
	}
	if after := row + maxThrottledHistory; a.toldToWait() && len(history) > after {
		same := func(b Attempt) bool { return (b.Waited == "") == (a.Waited == "") }
		if i := slices.IndexFunc(history[after:], same); i >= 0 {
			history = slices.Delete(history, after+i, after+i+1)
		}
	}
	return append(history, a)
}

// toldToWait reports whether the attempt came to nothing because the API, a limit or a circuit had it wait, and another
// followed. The one that was the last straw is spent: after Retry the row begins anew.
func (a Attempt) toldToWait() bool { return a.Class == ClassThrottled && a.Pages == 0 && a.Unspent }

// onlyWaited reports whether the attempt had to wait before it did anything.
func (a Attempt) onlyWaited() bool {
	return a.Waited != "" && a.HTTPStatus == 0 && a.Pages == 0 && !a.FromKept
}

// Lost returns the outcome of an execution whose lease has run out: another attempt at once,
// which costs nothing, or failure when too many workers vanished under it.
func (e Execution) Lost() Outcome {
	o := Outcome{
		ExecutionID: e.ID, Fence: e.Fence, State: StatePending, Reason: ReasonLost, Unspent: true,
		Class: ClassLostWorker, Error: fmt.Sprintf("worker %s did not renew its lease", e.Worker),
	}
	if e.LostWorkers+1 >= MaxLostWorkers {
		o.State = StateFailed
		o.Error += fmt.Sprintf("; %d workers were lost under this execution", e.LostWorkers+1)
	}
	return o
}

// Cancelled returns the execution after a request to cancel it: a pending one is over, a running
// one is marked for its worker, one that is marked already, or final, is as it was.
func (e Execution) Cancelled(reason string, now time.Time) Execution {
	switch e.State {
	case StatePending:
		e.State, e.Reason, e.NotBefore, e.Waits, e.FinishedAt = StateCancelled, reason, time.Time{}, false, now
	case StateRunning:
		if !e.CancelRequested {
			e.CancelRequested, e.Reason = true, reason
		}
	}
	return e
}

// Reopened returns a failed execution as pending again, with maxAttempts fresh attempts. Its
// history stays.
func (e Execution) Reopened(maxAttempts int, now time.Time) Execution {
	e.State, e.Reason = StatePending, ReasonRetried
	e.MaxAttempts = e.Attempt + maxAttempts
	e.LostWorkers = 0
	if e.Progress != nil && e.Progress.Restarts > 0 {
		progress := *e.Progress
		progress.Restarts = 0
		e.Progress = &progress
	}
	e.Reopenings++
	e.NotBefore, e.FinishedAt = now, time.Time{}
	return e
}
