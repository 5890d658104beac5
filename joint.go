package callsheet

import (
	"context"
	"time"
)

// A JointStore is a Store that can record the end of an execution together with what a Destination writes to the same
// database: both are there, or neither. store/postgres is one.
type JointStore interface {
	Store

	// FinishWith calls deliver within a transaction and applies the Outcome that it returns as Finish does, in the
	// same transaction. If the execution is not [Execution.Held] under the fence, deliver is not called, and the Finish
	// has the Err ErrStaleFence. An error of deliver undoes everything and is returned as it is. conn is the
	// connection that has the transaction, as the Store's package documents; deliver must
	// not keep it, and may be called again.
	FinishWith(ctx context.Context, executionID string, fence int64, deliver func(ctx context.Context, conn any) (Outcome, error)) (Finish, error)

	// Database is what the host opened for the Store: a pool, or a *sql.DB. nil if the Store opened its own.
	Database() any
}

// A JointDestination is a Destination that can write in a transaction of the Store's. Where both were given the
// same database, the default Pipeline has it do so. destination/postgres is one.
type JointDestination interface {
	Destination

	// Shares reports whether the Destination writes to that database. See [JointStore].
	Shares(database any) bool

	// DeliverJoint writes the Batch as Deliver does, within the transaction that conn has, and leaves it to the
	// caller to commit.
	DeliverJoint(ctx context.Context, conn any, b Batch) error
}

// A jointDelivery is a Batch that is to be delivered with the recording of its execution.
type jointDelivery struct {
	store       JointStore
	destination JointDestination
	batch       Batch
	failed      Result // of the attempt, if it cannot be delivered
}

// joining returns what the Pipeline asks whether a Batch will be delivered with the recording, and where it is noted.
func (n *node) joining(joint **jointDelivery) func(Destination, Batch, Result) bool {
	store, ok := n.store.(JointStore)
	if !ok || store.Database() == nil {
		return nil
	}
	return func(d Destination, b Batch, failed Result) bool {
		destination, ok := d.(JointDestination)
		if !ok || !destination.Shares(store.Database()) {
			return false
		}
		*joint = &jointDelivery{store, destination, b, failed}
		return true
	}
}

// deliverJointly delivers and records in one transaction. On an error of the delivery nothing was recorded. While the
// Store does not answer it tries again, for at most the length of a lease.
func (n *node) deliverJointly(ctx context.Context, call Call, result *Result, j *jointDelivery) (Finish, error) {
	patience := time.Now().Add(n.lease)
	for {
		var failed error
		deliver := func(ctx context.Context, conn any) error {
			defer stopwatch(&result.Timings.Deliver)()
			return guard(func() error { return j.destination.DeliverJoint(ctx, conn, j.batch) })
		}
		var finish Finish
		err := guard(func() (err error) {
			finish, err = j.store.FinishWith(ctx, call.Execution.ID, call.Execution.Fence, func(ctx context.Context, conn any) (Outcome, error) {
				if failed = deliver(ctx, conn); failed != nil {
					return Outcome{}, failed
				}
				return newOutcome(call, *result, nil), nil
			})
			return err
		})
		switch {
		case failed != nil:
			return Finish{}, &StageError{StageDeliver, asDelivery(failed)}
		case err == nil && finish.Err == nil:
			return finish, nil
		}
		// The answer may be lost, and not the transaction.
		if e, ok := n.recordedUnder(ctx, call.Execution); ok {
			return Finish{Execution: e}, nil
		}
		if err == nil || ctx.Err() != nil || time.Now().After(patience) {
			return finish, err
		}
		timer := time.NewTimer(finishAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// recordedUnder reports whether the attempt that holds e was recorded as a success.
func (n *node) recordedUnder(ctx context.Context, e Execution) (Execution, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.lease/3)
	defer cancel()
	var kept Execution
	err := guard(func() (err error) {
		kept, err = n.store.Execution(ctx, e.ID)
		return err
	})
	last, _ := kept.Last()
	return kept, err == nil && last.Fence == e.Fence && last.Class == ""
}
