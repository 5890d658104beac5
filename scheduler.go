package callsheet

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/callsheet-go/callsheet/fetch"
	"github.com/google/uuid"
)

// A Scheduler plans executions of schedules and sees each to one final state.
//
// All methods may be called at any time, from any goroutine, before, during and after Run.
// Errors are [*ValidationError], [*NotFoundError], [*ConflictError] or [*InUseError] where they
// say so; anything else comes from the Store.
//
// It is composed of small interfaces by concern, so that a handler can ask for just what it uses.
type Scheduler interface {
	Definer
	Controller
	Viewer
	DryRunner
	Runner
}

// A Definer keeps what hosts define. See [Collection] for what its methods promise.
type Definer interface {
	Sources() Collection[Source]
	Requests() Collection[Request]
	Extracts() Collection[Extract]
	Deliveries() Collection[Delivery]
	// Schedules: deleting one cancels its pending executions and asks its running ones to stop;
	// its history stays until it is pruned. An edit of its times (Type, Cron, Zone, Every, StartAt, EndAt, Disabled)
	// counts from now: what is pending of the old ones is cancelled with ReasonSuperseded.
	Schedules() Collection[Schedule]

	// Define brings the Definitions of the Sheet into the Store, all or nothing: what is not
	// there is created, what differs is updated, what is equal is left as it is, with state and
	// counters. It deletes nothing. A host calls it at every start. IDs must be set, references may point into
	// the Sheet or to what is there. Every fault is a [*ValidationError], all joined.
	Define(ctx context.Context, sheet Sheet) error
}

// A Controller steers schedules and executions.
type Controller interface {
	// Pause stops the planning of a schedule until Resume. What is pending or running goes on,
	// and Execute still works. Pausing a paused schedule changes the reason.
	Pause(ctx context.Context, scheduleID, reason string) (Schedule, error)

	// Resume ends a pause. What fell due meanwhile is not run, and recorded as one row, unless the schedule's OnResume
	// says otherwise; the next occurrence is the first that falls due after now. Failures in a row count
	// from zero. A schedule that is not paused is returned as it is.
	Resume(ctx context.Context, scheduleID string) (Schedule, error)

	// ResetFailures sets a schedule's failure counts to zero, and a failed schedule active.
	ResetFailures(ctx context.Context, scheduleID string) (Schedule, error)

	// SetCursor puts the cursor of a schedule at a value, of the type that its Request's Cursor says. An execution
	// that is under way does not move it. A value that is not of the type is a [*ValidationError].
	SetCursor(ctx context.Context, scheduleID, value string) (Schedule, error)

	// ResetCursor has a schedule begin anew: its next execution asks for everything, as the first one did, whether it
	// is unchanged or not.
	ResetCursor(ctx context.Context, scheduleID string) (Schedule, error)

	// Execute runs a schedule of any type now, apart from its occurrences, and returns the
	// pending execution without waiting for it. A disabled schedule is a [*ConflictError].
	Execute(ctx context.Context, scheduleID string) (Execution, error)

	// Backfill plans the past occurrences of a schedule from the one time to before the other that have not been run: those
	// that were skipped, for whatever reason, or cancelled before they began, and those from before it was there. One that has an
	// execution already is left alone, so that nothing is run twice. Blackouts and MaxRuns are not looked at. Backfilled executions
	// come after all other work, no more of them at once than half of a node's workers, and one at a time unless the schedule's Overlap allows
	// more. A disabled or a manual schedule is a [*ConflictError], more than 10,000 occurrences
	// are a [*ValidationError].
	Backfill(ctx context.Context, scheduleID string, from, to time.Time) (BackfillReport, error)

	// Cancel ends a pending execution, and stops a running one: at once in this process, with
	// its next lease renewal in another. One that is over is returned as it is.
	Cancel(ctx context.Context, executionID, reason string) (Execution, error)

	// Retry takes a dead letter up again, with as many attempts as its schedule now allows.
	// An execution that has not failed is a [*ConflictError].
	Retry(ctx context.Context, executionID string) (Execution, error)

	// Reextract extracts and delivers the answer of an execution anew, without a call of the API: for a mapping that was
	// wrong. It does so as an execution of its own, next to the other's scheduled time, so that
	// its records are delivered beside what the first left. One whose answer is not kept (see
	// [Schedule].KeepAnswers) is a [*ConflictError], and so is a disabled schedule.
	Reextract(ctx context.Context, executionID string) (Execution, error)

	// RetryAll retries every dead letter that q selects, and returns how many. q's States are
	// ignored, and After and Limit. On an error those counted have been retried.
	RetryAll(ctx context.Context, q ExecutionQuery) (int, error)
}

// A Viewer tells what happened and what will.
type Viewer interface {
	// Execution returns one execution, or a [*NotFoundError].
	Execution(ctx context.Context, executionID string) (Execution, error)

	// Executions returns the executions that match q, latest scheduled first. Dead letters are
	// those in StateFailed.
	Executions(ctx context.Context, q ExecutionQuery) (Page[Execution], error)

	// Stats returns totals, and a page of schedules' own statistics.
	Stats(ctx context.Context, q StatsQuery) (StatsReport, error)

	// Monitor reports what needs a person's attention, since when, and what to do about it.
	Monitor(ctx context.Context) (MonitorReport, error)

	// Explain returns the occurrences of a schedule from the one time to before the other, earliest first: those that have come
	// with what became of each, those that are coming with the rule that applies to each. At most the first 1000
	// are listed. What was pruned is not, nor what Execute added.
	Explain(ctx context.Context, scheduleID string, from, to time.Time) ([]Occurrence, error)

	// Upcoming returns the next n occurrences, at most 1000, soonest first, of the schedules named,
	// or of all, if they are neither disabled nor paused. A schedule that is not there is a [*NotFoundError].
	Upcoming(ctx context.Context, n int, scheduleIDs ...string) ([]Occurrence, error)
}

// A DryRunner tries what may become a schedule.
type DryRunner interface {
	// DryRun does what an attempt does, up to the delivery, and says what came of it: it makes the call, or takes an
	// answer that is given, extracts the records of the first page, and asks the Destination what it
	// would do with them. It stores and delivers nothing, and can be called whether or not Run is under way.
	//
	// The call is a real one, by the same rules as every other: addresses, secrets, limits. It is made without the question
	// whether the answer is as it was. What [WithPipeline] puts before the default Pipeline is not asked. What fails
	// is in the report. An error is about what was given, every fault a [*ValidationError], all joined, or a
	// [*NotFoundError]; or ctx has ended.
	DryRun(ctx context.Context, r DryRunRequest) (DryRunReport, error)
}

// A Runner makes the Scheduler run.
type Runner interface {
	// Run plans and works until ctx ends. Then it starts nothing new, lets running executions
	// finish for at most the drain timeout, cancels and hands back the rest without spending
	// their attempts, and returns nil. An error is returned if it cannot start or go on, or if
	// something did not end though it was told to: a Pipeline, an observer, the Queue, a call to the
	// Store. It waits for those for 10 s more, and leaves them behind; until it returns, a
	// Pipeline or an observer that was left behind keeps its worker. A second Run at the same time is
	// refused with [ErrRunning]; one after the first has returned is welcome. To look at what
	// happened after Run has returned, use a context other than the one that has ended.
	Run(ctx context.Context) error

	// Plan makes one planning pass: it plans what is due and rings for what is ready. Run does so
	// by itself; Plan is for a host with a ticker of its own, beside workers elsewhere. A Scheduler
	// that has only the built-in Queue and does not run leaves the ringing to those who do.
	Plan(ctx context.Context) (PlanReport, error)
}

// A PlanReport is what a planning pass did.
type PlanReport struct {
	Planned int // executions that are to run
	Skipped int // rows of occurrences that will not
	Rung    int // executions a worker was rung for again
	// Wake is when there will be something to plan or to ring for next; zero if nothing waits. It
	// is past if there was more to do than one pass takes.
	Wake time.Time
}

// New returns a Scheduler on store. Nothing runs before Run is called; no goroutine is started.
// What options have wrong is reported as [*ValidationError], all at once.
func New(store Store, opts ...Option) (Scheduler, error) {
	if store == nil {
		return nil, &ValidationError{Field: "store", Value: "nil", Rule: "must be a Store, such as memory.New()"}
	}
	set, err := newSettings(opts)
	if err != nil {
		return nil, err
	}
	builtIn := set.queue == nil
	if builtIn {
		set.queue = newLocalQueue(set.workers)
	}
	s := &scheduler{
		builtIn:  builtIn,
		settings: set,
		store:    store,
		log:      slog.New(carefulHandler{set.logger.Handler()}),
		crons:    newCronCache(),
		client:   set.fetcher(),
	}
	s.gate = newGate(set.limiter, s.log)
	s.pipeline = newPipeline(s.client, set, s.gate)
	for _, wrap := range set.wrap {
		if s.pipeline = wrap(s.pipeline); s.pipeline == nil {
			return nil, &ValidationError{Field: "WithPipeline", Value: "nil", Rule: "must return a Pipeline"}
		}
	}
	return s, nil
}

// scheduler implements Scheduler. It holds no state but caches: that lives in the Store.
type scheduler struct {
	*settings
	store    Store
	log      *slog.Logger
	builtIn  bool // whether queue is the built-in one, which rings in this process only
	crons    *cronCache
	client   *fetch.Client
	gate     *gate
	pipeline Pipeline
	// node is what runs while Run does; nil otherwise.
	node atomic.Pointer[node]
}

// newID returns a UUIDv7, which sorts by the time it was made (RFC 9562, 5.7).
func newID() string {
	return uuid.Must(uuid.NewV7()).String() // crypto/rand never returns an error
}

// Pause implements Controller.
func (s *scheduler) Pause(ctx context.Context, id, reason string) (Schedule, error) {
	after, err := s.store.ChangeSchedule(ctx, id, func(sch Schedule, now time.Time) (Decision, error) {
		return Decision{State: sch.Paused(reason, now)}, nil
	})
	if err != nil {
		return Schedule{}, fmt.Errorf("pause schedule %q: %w", id, err)
	}
	s.log.InfoContext(ctx, "schedule paused", slog.String(keySchedule, id), slog.String(keyReason, reason))
	return after.Schedule, nil
}

// Resume implements Controller.
func (s *scheduler) Resume(ctx context.Context, id string) (Schedule, error) {
	resumed := false
	after, err := s.store.ChangeSchedule(ctx, id, func(sch Schedule, now time.Time) (Decision, error) {
		if resumed = sch.Status == StatusPaused; !resumed {
			return Decision{State: sch.ScheduleState}, nil
		}
		return sch.Resumed(now), nil
	})
	if err != nil {
		return Schedule{}, fmt.Errorf("resume schedule %q: %w", id, err)
	}
	if resumed {
		next := after.Schedule.NextExecutionAt
		s.log.InfoContext(ctx, "schedule resumed", slog.String(keySchedule, id), slog.Time(keyNext, next))
		for _, e := range after.Inserted {
			s.skipped(ctx, e)
		}
		s.wakeAt(next)
	}
	return after.Schedule, nil
}

// ResetFailures implements Controller.
func (s *scheduler) ResetFailures(ctx context.Context, id string) (Schedule, error) {
	after, err := s.store.ChangeSchedule(ctx, id, func(sch Schedule, _ time.Time) (Decision, error) {
		return Decision{State: sch.FailuresReset()}, nil
	})
	if err != nil {
		return Schedule{}, fmt.Errorf("reset failures of schedule %q: %w", id, err)
	}
	s.log.InfoContext(ctx, "schedule failures reset", slog.String(keySchedule, id))
	return after.Schedule, nil
}

// Execute implements Controller.
func (s *scheduler) Execute(ctx context.Context, id string) (Execution, error) {
	sch, err := s.executable(ctx, id)
	if err != nil {
		return Execution{}, fmt.Errorf("execute schedule %q: %w", id, err)
	}
	e := newExecution(sch, manualTime(now()), TriggerManual, time.Time{}) // created by the Store's clock
	e, err = s.store.Insert(ctx, e, s.rung())
	if err != nil {
		return Execution{}, fmt.Errorf("execute schedule %q: %w", id, err)
	}
	s.log.InfoContext(ctx, "execution requested", slog.String(keySchedule, id), slog.String(keyExecution, e.ID))
	s.ring(ctx, e.ID)
	return e, nil
}

// manualTime is the scheduled time of a manual execution made at t. Occurrences fall on whole
// seconds; a manual execution must not take one's key.
func manualTime(t time.Time) time.Time {
	if t.Nanosecond() == 0 {
		return t.Add(time.Microsecond)
	}
	return t
}

// Cancel implements Controller.
func (s *scheduler) Cancel(ctx context.Context, id, reason string) (Execution, error) {
	if reason == "" {
		reason = ReasonCancelled
	}
	e, changed, err := s.store.Cancel(ctx, id, reason)
	if err != nil {
		return Execution{}, fmt.Errorf("cancel execution %s: %w", id, err)
	}
	if changed {
		s.cancelled(ctx, e)
		s.wakeAt(now()) // another may have waited for it
	} else {
		s.stopWork(e) // its Schedule may have been deleted, without a word to this process
	}
	return e, nil
}

// Retry implements Controller.
func (s *scheduler) Retry(ctx context.Context, id string) (Execution, error) {
	e, err := s.store.Reopen(ctx, id, s.rung())
	if err != nil {
		return Execution{}, fmt.Errorf("retry execution %s: %w", id, err)
	}
	s.log.InfoContext(ctx, "dead letter retried", attrs(e)...)
	if !e.Waits {
		s.ring(ctx, e.ID)
	}
	return e, nil
}

// Reextract implements Controller.
func (s *scheduler) Reextract(ctx context.Context, id string) (Execution, error) {
	e, err := s.reextract(ctx, id)
	if err != nil {
		return Execution{}, fmt.Errorf("reextract execution %s: %w", id, err)
	}
	s.log.InfoContext(ctx, "extraction anew requested", attrs(e, slog.String("answer_of", e.AnswerOf))...)
	s.ring(ctx, e.ID)
	return e, nil
}

func (s *scheduler) reextract(ctx context.Context, id string) (Execution, error) {
	of, err := s.store.Execution(ctx, id)
	if err != nil {
		return Execution{}, err
	}
	if of.AnswerOf != "" {
		id = of.AnswerOf
	}
	kept, err := s.store.Answer(ctx, id)
	switch {
	case err != nil && isNotFound(err):
		return Execution{}, &ConflictError{Ref{KindExecution, id}, "its answer is not kept"}
	case err != nil:
		return Execution{}, err
	case kept.Progress != nil && kept.Progress.Omitted:
		return Execution{}, &ConflictError{Ref{KindExecution, id}, fmt.Sprintf("its answer had more than %d bytes and is not kept", MaxAnswerBytes)}
	case kept.part() != nil:
		return Execution{}, &ConflictError{Ref{KindExecution, id}, "its answer came in parts, of which only the last is kept; execute the schedule instead"}
	case kept.Progress != nil && kept.Progress.Next != (PageState{}):
		return Execution{}, &ConflictError{Ref{KindExecution, id}, "its answer came in pages, of which only the last is kept; execute the schedule instead"}
	}
	sch, err := s.executable(ctx, of.Schedule)
	if err != nil {
		return Execution{}, err
	}
	e := newExecution(sch, manualTime(of.ScheduledAt), TriggerReextract, time.Time{})
	e.AnswerOf = id
	return s.store.Insert(ctx, e, s.rung())
}

// executable returns a schedule that may be run by hand.
func (s *scheduler) executable(ctx context.Context, id string) (Schedule, error) {
	sch, err := s.store.Schedules().Get(ctx, id)
	if err == nil && sch.Disabled {
		err = &ConflictError{Ref{KindSchedule, id}, "is disabled; enable it to execute it"}
	}
	return sch, err
}

// RetryAll implements Controller.
func (s *scheduler) RetryAll(ctx context.Context, q ExecutionQuery) (int, error) {
	q.States, q.After, q.Limit = []State{StateFailed}, "", maxPageSize
	retried := 0
	for {
		page, err := s.store.Executions(ctx, q)
		if err != nil {
			return retried, fmt.Errorf("list dead letters: %w", err)
		}
		for _, e := range page.Items {
			switch _, err := s.Retry(ctx, e.ID); {
			case err == nil:
				retried++
			case isGone(err): // retried, pruned or without a schedule since it was listed
			default:
				return retried, err
			}
		}
		if page.Next == "" {
			return retried, nil
		}
		q.After = page.Next
	}
}

// Execution implements Viewer.
func (s *scheduler) Execution(ctx context.Context, id string) (Execution, error) {
	return s.store.Execution(ctx, id)
}

// Executions implements Viewer.
func (s *scheduler) Executions(ctx context.Context, q ExecutionQuery) (Page[Execution], error) {
	f := faults{}
	for _, state := range q.States {
		if !slices.Contains(States(), state) {
			f.field("states", state, "must be one of %v", States())
		}
	}
	if err := f.err(); err != nil {
		return Page[Execution]{}, err
	}
	return s.store.Executions(ctx, q)
}

// Stats implements Viewer.
func (s *scheduler) Stats(ctx context.Context, q StatsQuery) (StatsReport, error) {
	total, page, err := s.store.Tally(ctx, q)
	if err != nil {
		return StatsReport{}, fmt.Errorf("read statistics: %w", err)
	}
	report := StatsReport{Total: total.Stats(), Schedules: Page[ScheduleStats]{Next: page.Next}}
	for _, t := range page.Items {
		report.Schedules.Items = append(report.Schedules.Items, ScheduleStats{t.Schedule, t.Tally.Stats()})
	}
	return report, nil
}

// serves reports whether a ring of this Scheduler would be heard: by workers of its own that run,
// or by a Queue that the host gave.
func (s *scheduler) serves() bool { return !s.builtIn || s.node.Load() != nil }

// rung is for how long executions count as rung that this Scheduler is about to ring for.
func (s *scheduler) rung() time.Duration {
	if s.serves() {
		return RingAgain
	}
	return 0
}

// ring rings for executions. A ring that is lost, or that nobody would hear, is rung again by a later
// planning pass, here or elsewhere.
func (s *scheduler) ring(ctx context.Context, ids ...string) {
	if len(ids) == 0 || !s.serves() {
		return
	}
	if err := s.queue.Enqueue(ctx, ids...); err != nil {
		s.log.WarnContext(ctx, "ring was lost, rings again", slog.Int("executions", len(ids)), slog.Any(keyError, err))
	}
}

// wakeAt has the running node, if any, plan at t at the latest.
func (s *scheduler) wakeAt(t time.Time) {
	if n := s.node.Load(); n != nil {
		n.alarm.set(t)
	}
}

// observe tells the host's observer of e. A panic of the host's is logged and goes no further.
func (s *scheduler) observe(ctx context.Context, e Execution) {
	if s.observer == nil {
		return
	}
	if err := isolate(func() error { s.observer(ctx, e); return nil }); err != nil {
		s.log.ErrorContext(ctx, "observer panicked", attrs(e, slog.Any(keyError, err), slog.String(keyStack, stackOf(err)))...)
	}
}

// now is the local clock, as everything that is kept has it: UTC with microseconds.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
