package callsheet

import (
	"context"
	"time"
)

// A Store keeps Definitions, Executions and statistics. It is the only place where state lives,
// and the only judge of races. Implementations are proven by the suite in store/storetest.
//
// Every method is atomic: it happens as a whole or, when it returns an error, not at all; and
// two calls happen one after the other, in some order, as far as a caller can tell. All may be
// called from many goroutines, and in a Store that several processes share, from many machines.
// A Store keeps copies: values that went in or came out may be changed by the caller, except
// those for which a method says that they are shared.
//
// A Store has no opinion. What follows from what is decided by the pure functions of this
// package (Execution.Claimed, Finished, …, Schedule.Edited, Recorded, Line, Tally.Applied); the Store applies them
// and sees to it that each is applied to the row as it is.
type Store interface {
	DefinitionStore
	PlanStore
	WorkStore
	LedgerStore
}

// A DefinitionStore keeps Sources, Requests, Extracts, Deliveries and Schedules. What comes in
// has been validated, but for what only the Store can judge: IDs taken, versions, references.
type DefinitionStore interface {
	// The collections keep the promises of [Collection]. A reference to what is not there is an
	// [UnknownReference]. Deleting a Schedule leaves its history until that is pruned.
	//
	// The state of a Schedule that comes in is ignored. That of one that is created is
	// [Schedule.Defined]; one that is edited, or deleted, has the Decision of [Schedule.Edited] or
	// [Schedule.Removed] with the row as it is. Define leaves a Schedule that is equal, its state
	// aside, untouched.
	Sources() Collection[Source]
	Requests() Collection[Request]
	Extracts() Collection[Extract]
	Deliveries() Collection[Delivery]
	Schedules() Collection[Schedule]

	// Define creates what is not there and updates what differs, all of the Sheet or nothing.
	// A Definition that is there and equal keeps its Version; one with a Version is updated
	// only if that is the Version kept. References may point into the Sheet or to what is kept.
	Define(ctx context.Context, sheet Sheet) error

	// ChangeSchedule applies the Decision that change makes of the Schedule as it is, by the Store's
	// clock. The Version stays. An error of change is returned as it is and changes nothing. What it inserts
	// counts neither in Runs nor as rung.
	// change is pure and may be called more than once.
	ChangeSchedule(ctx context.Context, id string, change func(sch Schedule, now time.Time) (Decision, error)) (Changed, error)
}

// A Decision is what becomes of a Schedule, all in one transaction and in this order.
type Decision struct {
	// Cancel, if not nil, is asked for each of the Schedule's executions that is pending or running, and
	// gives the reason why that is cancelled ([Execution.Cancelled]); empty leaves it alone. It is pure.
	Cancel func(Execution) string
	// Executions, pending or skipped, are inserted; an ID that is taken is a [*ConflictError]. One whose key (Schedule, ScheduledAt) is taken
	// is not, unless it has a Gap: then ScheduledAt is moved on by whole microseconds until its key is
	// free. Afterwards [Schedule.Line] is seen to.
	Executions []Execution
	// State replaces the Schedule's.
	State ScheduleState
}

// Changed is what a Decision came to.
type Changed struct {
	Schedule Schedule
	Inserted []Execution
	// Cancelled are as they are after; running ones have yet to stop. Those that were asked to before are not among them.
	Cancelled []Execution
}

// A PlanStore turns due schedules into executions, and knows which executions wait for a ring.
//
// An execution may count as rung for a while after it was returned: whoever called rings at once.
// Should that ring be lost, Ring finds the execution when the while is over.
type PlanStore interface {
	// Plan takes up to Limit schedules whose NextExecutionAt has come, earliest first, and for
	// each applies the Decision that Decide makes of it; of the executions that are inserted, those
	// that are pending are counted ([Schedule.Counted]). Each schedule is planned in one transaction.
	// One that another planner is taking is passed over, and so is one that cannot be read; one that is being written
	// all the time is not passed over for ever. Once PlanInserts executions have been decided it
	// takes no further schedule.
	Plan(ctx context.Context, p PlanRequest) (PlanResult, error)

	// Backfill gives Decide the Schedule as it is, and those of its executions that are scheduled in the
	// time, earliest first, preceded by those with a Gap that reaches into it, and writes what
	// Decide returns: an execution with the ID of one it was given takes that one's place, under whatever key; others are inserted, and an ID that is taken is a [*ConflictError]. One whose key is taken is
	// left out, unless it has a Gap: see [Decision]. Afterwards [Schedule.Line] is seen to. It returns what was
	// written. Pending ones ring by Ring. An error of Decide is returned as it is and changes nothing.
	Backfill(ctx context.Context, b BackfillRequest) ([]Execution, error)

	// Insert adds one pending execution. ScheduledAt is moved on by whole microseconds until the
	// key (Schedule, ScheduledAt) is free; a CreatedAt of zero is the Store's now. It returns the
	// execution as kept, or a [*NotFoundError] for its Schedule. It counts as rung for rung.
	Insert(ctx context.Context, e Execution, rung time.Duration) (Execution, error)

	// Ring returns up to Limit pending executions whose NotBefore has come and whose bell was not
	// rung for at least Again, those first whose bell is due the longest, and notes that it rings now. None of them Waits.
	//
	// Those by TriggerBackfill come last: only if no other execution is claimable, and no
	// more than make Backfills of them running or rung for.
	Ring(ctx context.Context, r RingRequest) (RingResult, error)
}

// RingAgain is how long a ring may go unanswered before it is rung again.
const RingAgain = 10 * time.Second

// A PlanRequest says how Plan plans.
type PlanRequest struct {
	Limit  int // schedules at most; zero means 100
	Decide func(Due) Decision
	// RingAgain is how long after Plan the executions it returns count as rung.
	RingAgain time.Duration
}

// Due is a schedule whose next occurrence has come. Its maps are shared and must not be changed.
type Due struct {
	Schedule Schedule
	Open     Open
	Now      time.Time // the Store's clock
}

// Open counts the executions of a Schedule that are pending or running, but for those that catch up
// ([Execution.CatchesUp]), also among what Execute added.
type Open struct {
	All     int
	Waiting int // those of them that wait ([Execution.Waits])
}

// A BackfillRequest says of which Schedule and time, From ≤ ScheduledAt < To, executions are written.
type BackfillRequest struct {
	Schedule string
	From, To time.Time
	// Decide is pure and may be called more than once. now is the Store's clock.
	Decide func(sch Schedule, there []Execution, now time.Time) ([]Execution, error)
}

// A PlanResult is what a Plan call did.
type PlanResult struct {
	Executions []Execution // inserted, pending and skipped
	Cancelled  []Execution // as they are after; running ones have yet to stop
	Schedules  int         // due schedules that were taken
	// More is set if there may be more due: one bound or the other was reached.
	More bool
	// Wake is when the next schedule falls due, by the Store's clock; zero if none does.
	Wake time.Time
}

// PlanInserts is after how many executions a call of Plan takes no further schedule: leases must be
// renewed while an outage is made up for.
const PlanInserts = 5000

// A RingRequest says which executions Ring returns.
type RingRequest struct {
	Limit int // executions at most; zero means 100
	Again time.Duration
	// Backfills is how many executions by TriggerBackfill may be running or rung for.
	Backfills int
}

// A RingResult is what a Ring call found.
type RingResult struct {
	IDs []string
	// Wake is when the next pending execution wants a ring; zero if none does. What comes last
	// by TriggerBackfill, and is ready, does not count.
	Wake time.Time
}

// A WorkStore takes executions from pending to their end.
type WorkStore interface {
	// Claim gives the executions that are claimable ([Execution.Claimable]) to worker, and
	// returns each with all that its Pipeline needs, the answer that is kept for it among it. One
	// that is not claimable, for whatever reason, is left out: somebody else has it, or nobody needs to.
	// The Definitions in the Calls are shared and must not be changed. One that cannot be read is no error
	// of the claim, as the others go on: see [Call].Unreadable.
	Claim(ctx context.Context, c ClaimRequest) ([]Call, error)

	// Keep keeps the answer for its execution, in the place of an earlier one, or returns
	// ErrStaleFence if that is not [Execution.Held] under the answer's Fence.
	Keep(ctx context.Context, a Answer) error

	// Renew extends leases to the Store's now + Lease, and says for each what became of it.
	// The results are in the order of r.Held. A renewal that comes too late is not counted as a
	// stale write: it may have met the end of its own execution.
	Renew(ctx context.Context, r RenewRequest) ([]Renewal, error)

	// Finish applies outcomes. An outcome whose execution is not [Execution.Held] under its
	// Fence changes nothing but the count of stale writes, and has the Err ErrStaleFence. With
	// the execution go its Schedule's state ([Schedule.Recorded]), the tallies, and its answer:
	// that of a failed execution stays, that of a cancelled one goes, and of succeeded ones those of the
	// Schedule's last KeepAnswers, by scheduled time, stay, and those that an open execution is to use ([Execution.AnswerOf]).
	// The results are in the order of outcomes; an error is for all.
	Finish(ctx context.Context, outcomes []Outcome) ([]Finish, error)

	// Reclaim ends up to limit running executions whose lease has run out, by [Execution.Lost],
	// and returns them as they are then. They count as rung for rung.
	Reclaim(ctx context.Context, limit int, rung time.Duration) ([]Execution, error)

	// Cancel applies [Execution.Cancelled] and returns the execution after, and whether that
	// changed it, or a [*NotFoundError].
	Cancel(ctx context.Context, executionID, reason string) (e Execution, changed bool, err error)

	// Reopen applies [Execution.Reopened] to a failed execution and returns it. One that is not
	// failed is a [*ConflictError]; one that is not there, or whose Schedule is not, a
	// [*NotFoundError]. It counts as rung for rung.
	Reopen(ctx context.Context, executionID string, rung time.Duration) (Execution, error)
}

// A ClaimRequest names executions and who wants them.
type ClaimRequest struct {
	ExecutionIDs []string
	Worker       string
	Lease        time.Duration
}

// A Held names an execution that a worker believes to hold.
type Held struct {
	ExecutionID string
	Fence       int64
}

// A RenewRequest names the executions whose leases are to be extended.
type RenewRequest struct {
	Held  []Held
	Lease time.Duration
}

// A Renewal says what became of a lease: extended, or Err is ErrStaleFence.
type Renewal struct {
	CancelRequested bool
	Err             error
}

// A Finish says what became of an Outcome: the execution and its Schedule after it (nil if
// that was deleted or cannot be read), or Err is ErrStaleFence.
type Finish struct {
	Execution Execution
	Schedule  *Schedule
	// Released is set if another execution of the Schedule waited for this and may now be claimed. It wants a ring.
	Released bool
	Err      error
}

// A LedgerStore answers questions about what happened, and forgets it in time.
type LedgerStore interface {
	// Execution returns one execution, or a [*NotFoundError].
	Execution(ctx context.Context, id string) (Execution, error)

	// Executions returns the executions that match q, latest scheduled first, or the earliest.
	Executions(ctx context.Context, q ExecutionQuery) (Page[Execution], error)

	// Gaps returns the executions of a Schedule with a Gap that begins before a time and ends at it or after it.
	Gaps(ctx context.Context, scheduleID string, at time.Time) ([]Execution, error)

	// Tally returns the sum over all executions ever, pruned ones included, and a page of
	// schedules' own, in the order of their IDs. A schedule without executions has the zero Tally;
	// one that was deleted is not listed, but counts in the total.
	Tally(ctx context.Context, q StatsQuery) (total Tally, page Page[ScheduleTally], err error)

	// Survey finds what a monitor reports. It costs what it finds, not what is kept.
	Survey(ctx context.Context, q SurveyQuery) (Survey, error)

	// Soonest returns up to limit planned schedules by NextExecutionAt. With ids, only those. One that cannot be read
	// is left out.
	Soonest(ctx context.Context, limit int, ids ...string) ([]Schedule, error)

	// Answer returns the answer that is kept for an execution, or a [*NotFoundError] for it.
	Answer(ctx context.Context, executionID string) (Answer, error)

	// Prune deletes final executions, with their answers, and returns how many. Tallies keep what they counted.
	// A Schedule's LastExecution stays while the Schedule does, and so does an execution whose answer an
	// open one is to use ([Execution.AnswerOf]).
	Prune(ctx context.Context, p PruneRequest) (int, error)
}

// A PruneRequest says which executions Prune deletes: those that are too old or too many.
type PruneRequest struct {
	// Before has, by state, the time before which they ended; States without one are kept whatever their age.
	Before map[State]time.Time
	// Keep has, by state, how many each Schedule keeps, the latest by scheduled time. States without one are
	// kept whatever their number.
	Keep  map[State]int
	Limit int // executions at most; zero means 100
}

// An ExecutionQuery selects executions. The zero query selects all, the first 100.
type ExecutionQuery struct {
	Schedule string  // empty: of all schedules
	States   []State // empty: in any state
	Classes  []Class // of the last attempt; empty: any
	// From and To bound ScheduledAt: From ≤ ScheduledAt < To. Zero is open.
	From, To time.Time
	// EarliestFirst turns the order round.
	EarliestFirst bool
	// After is the Next of the page before.
	After string
	// Limit is the size of a page: at most 1000, zero means 100.
	Limit int
}

// A StatsQuery selects the schedules whose statistics are listed, a page at a time.
type StatsQuery struct {
	Schedules []string // empty: all
	After     string
	Limit     int // at most 1000, zero means 100
}

// A ScheduleTally is the Tally of one Schedule.
type ScheduleTally struct {
	Schedule string
	Tally    Tally
}

// A SurveyQuery says what counts as worth reporting.
type SurveyQuery struct {
	// Overdue is how long an occurrence may be due without being planned, or an execution ready
	// without being claimed.
	Overdue time.Duration
	// Limit is how many of each are listed.
	Limit int
}

// A Survey is what a Store found. Each list is bounded by the query's Limit and begins with what
// has been so the longest; each count is of all.
type Survey struct {
	Now time.Time // the Store's clock

	// Failed schedules' last execution failed, whether they go on or were paused; by FailingSince.
	Failed      []Schedule
	FailedCount int
	// NeverRun schedules are not disabled and none of their executions has succeeded or failed; by CreatedAt.
	NeverRun      []Schedule
	NeverRunCount int
	// Unplanned schedules have had a NextExecutionAt in the past for longer than Overdue.
	Unplanned      []Schedule
	UnplannedCount int
	// Unclaimed executions have been claimable for longer than Overdue; those by TriggerBackfill do not count.
	Unclaimed      []Execution
	UnclaimedCount int
	// Stuck executions are running with a lease that has run out, or for longer than their
	// Schedule's Timeout and Overdue together.
	Stuck      []Execution
	StuckCount int
	// Unreadable says, by ID, of Schedules in these lists why they cannot be read. They have their ID, version and times, and,
	// as far as that can be read, their state.
	Unreadable map[string]string
	// DeadLetters are failed executions, by FinishedAt.
	DeadLetters     []Execution
	DeadLetterCount int

	Pending int // executions in that state
	Running int
	// OldestReady is the ScheduledAt of the claimable execution that has been so the longest; those by
	// TriggerBackfill do not count.
	OldestReady time.Time
}
