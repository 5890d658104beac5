package callsheet

import (
	"context"

	"github.com/callsheet-go/callsheet/internal/ringer"
)

// A Queue wakes a worker up for an execution. It is a doorbell and no more: state lives in the
// Store. It may ring late, twice, or in any order, and may lose rings; the Scheduler rings again
// for whatever stays unclaimed. Implementations are proven by queue/queuetest.
//
// All methods may be called from many goroutines at once, before, during and after Run.
type Queue interface {
	// Enqueue asks for one ring for each execution ID. It does not wait for a worker. An ID that
	// already waits may be dropped. An error means that rings may have been lost; it costs
	// latency, not correctness.
	Enqueue(ctx context.Context, executionIDs ...string) error

	// Run rings handle, from as many goroutines as the Queue allows, until ctx ends. Then it
	// starts no further call, waits for those under way, and returns nil. It returns early, with
	// an error, only if it cannot go on; then too it starts no further call, but need not wait. The context given to handle carries ctx's values but
	// does not end with it: whoever handles decides how long work may take. handle does not panic.
	Run(ctx context.Context, handle func(ctx context.Context, executionID string)) error

	// Stats reports the Queue's present state, as this process sees it.
	Stats(ctx context.Context) (QueueStats, error)
}

// QueueStats is a Queue's present state.
type QueueStats struct {
	Waiting int `json:"waiting"` // rings not yet handed to a worker
	Working int `json:"working"` // calls of handle under way in this process
	Workers int `json:"workers"` // calls of handle that may be under way at once in this process
}

// localQueue is the built-in Queue: it works within this process.
type localQueue struct{ ringer *ringer.Ringer }

func newLocalQueue(workers int) *localQueue { return &localQueue{ringer.New(workers)} }

func (q *localQueue) Enqueue(_ context.Context, executionIDs ...string) error {
	q.ringer.Enqueue(executionIDs...)
	return nil
}

func (q *localQueue) Run(ctx context.Context, handle func(context.Context, string)) error {
	q.ringer.Run(ctx, handle)
	return nil
}

func (q *localQueue) Stats(context.Context) (QueueStats, error) {
	waiting, working, workers := q.ringer.Stats()
	return QueueStats{Waiting: waiting, Working: working, Workers: workers}, nil
}
