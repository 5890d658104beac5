package callsheet

import (
	"context"
	"fmt"
	"time"
)

// Promise says what a Destination guarantees when the same Batch is delivered more than once,
// which happens after every crash between delivering and recording.
type Promise string

const (
	// AtLeastOnce: a repeated Batch may leave its records twice.
	AtLeastOnce Promise = "at least once"
	// ExactlyOnce: a repeated Batch (same Execution and Chunk) leaves its records once.
	ExactlyOnce Promise = "exactly once"
)

// A Destination takes records. Implementations are proven by the suite in
// destination/destinationtest.
//
// All methods may be called from many goroutines at once, also for the same target.
type Destination interface {
	// Validate reports what is wrong with a Delivery that names this Destination: every fault as
	// a [*ValidationError] with the field ("target", "mode", "key"), joined with [errors.Join]. It is
	// called when a Delivery is defined and does no I/O.
	Validate(d Delivery) error

	// Deliver writes the Batch and returns when it is as durable as the Destination makes it.
	// It is atomic: on an error none of the Batch's records may be seen by a reader, now or after
	// a crash, except where the Destination's documentation says otherwise. When ctx ends before the
	// Batch is committed, Deliver stops and returns the context's error. An empty Batch is
	// delivered too (it may create the target) and is no error.
	//
	// An execution may be delivered in several Batches, Chunk 0, 1, 2…, one after the other. Each is known by itself:
	// what was delivered of an execution stays when a later chunk fails, and its next attempt repeats all of them.
	// A Destination that promises ExactlyOnce refuses a Batch, of whatever Chunk, whose Fence is smaller than one that
	// it delivered of the execution, with an error that wraps [ErrStaleFence]: it would be added to
	// what the worker's successor has delivered, perhaps of another answer.
	//
	// Deliver does not keep b.Fields and b.Records after it returns, and does not change them. An error is
	// classified as [ClassDelivery] and retried unless it is a [*ClassifiedError] of another class.
	Deliver(ctx context.Context, b Batch) error

	// Promise says what a repeated Batch leaves behind.
	Promise() Promise
}

// A TargetChecker is a Destination that can compare a Delivery with its target as it is now, and so
// find out early what Deliver would fail for.
type TargetChecker interface {
	Destination

	// CheckTarget reports why the records of an Extract (nil: whole objects) cannot be delivered to the
	// target: every fault as a [*ValidationError] of the Delivery, joined with [errors.Join]. Any other error
	// says that it could not find out. It changes nothing.
	//
	// It is called with a valid Delivery when a Schedule that names both is created, updated or part of a
	// Sheet, and not when the Delivery, the Extract or the target is edited later: Deliver has
	// to check for itself. A fault refuses the Schedule. Any other error is logged and does not, since a
	// target that is down for a moment must not keep a host from starting.
	CheckTarget(ctx context.Context, d Delivery, x *Extract) error
}

// A Previewer is a Destination that can say what Deliver would do, without doing it. [Scheduler].DryRun asks it.
type Previewer interface {
	Destination

	// Preview says what Deliver would do with the Batch, as if it had not been delivered before, in the target as it is now.
	// It leaves nothing behind: no records, no marker, no target that was not there; a Destination's
	// documentation names what else it cannot take back. It does not hold up deliveries for long,
	// and gives up when others hold it up. It returns the error that Deliver would return where that is not about
	// single records: a target that is not there, a column that it does not have. An error of
	// [ClassPermanent] says that Deliver would fail; any other, that it could not find out. When ctx ends it
	// returns the context's error.
	Preview(ctx context.Context, b Batch) (Preview, error)
}

// A Preview counts what Deliver would do with the records of a Batch. Each is counted once, for what would become of it
// if the records that are Rejected were not there.
type Preview struct {
	Inserted  int `json:"inserted"`
	Updated   int `json:"updated"`   // would replace another one, which differs
	Unchanged int `json:"unchanged"` // would replace an equal one
	Ignored   int `json:"ignored"`   // would be left out for its key, or for a later record of the Batch with the same
	Rejected  int `json:"rejected"`  // does not fit the target

	// Fails says that Deliver would return an error, and deliver nothing, for what is in Problems.
	Fails bool `json:"fails"`
	// Creates says that Deliver would make the target.
	Creates bool `json:"creates"`
	// Problems says why records are rejected or the Batch fails: the first [MaxPreviewProblems].
	Problems []string `json:"problems,omitempty"`
}

// MaxPreviewProblems is how many problems a [Preview] explains.
const MaxPreviewProblems = 10

// Reject counts a record, by its position in the Batch, that does not fit, and keeps why if there is room.
func (p *Preview) Reject(position int, reason string) {
	p.Rejected++
	p.explain(fmt.Sprintf("record %d: %s", position, reason))
}

// Fail notes why the Batch would not be delivered.
func (p *Preview) Fail(reason string) {
	p.Fails = true
	p.explain(reason)
}

func (p *Preview) explain(problem string) {
	if len(p.Problems) < MaxPreviewProblems {
		p.Problems = append(p.Problems, problem)
	}
}

// A Batch is what one Deliver call takes: the records of one chunk of one execution, with the
// identity by which a repeated delivery is known.
type Batch struct {
	Delivery    Delivery
	ScheduleID  string
	ExecutionID string
	ScheduledAt time.Time // the occurrence, UTC
	Attempt     int       // which try of the execution, from 1
	Fence       int64     // grows with every claim of the execution; a smaller one is a worker that lost its lease
	Chunk       int       // position of this Batch in its execution, from 0
	Fields      []Field   // the Extract's fields in order; nil where records are whole objects
	Records     []Record
}
