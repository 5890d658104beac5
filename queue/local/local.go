// Package local is a [callsheet.Queue] inside one process: rings are in memory, in the order they
// came, and end with the process. The Scheduler rings again for what was lost with it, so a single
// node needs no other Queue.
package local

import (
	"context"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/ringer"
)

// A Queue rings within this process.
type Queue struct {
	ringer *ringer.Ringer
}

var _ callsheet.Queue = (*Queue)(nil)

// New returns a Queue that works on that many executions at once; zero or less means 16.
func New(workers int) *Queue {
	return &Queue{ringer.New(workers)}
}

// Enqueue never blocks and never fails. An ID that already waits is dropped.
func (q *Queue) Enqueue(_ context.Context, executionIDs ...string) error {
	q.ringer.Enqueue(executionIDs...)
	return nil
}

// Run rings handle until ctx ends. Rings that still wait then are kept for another Run.
func (q *Queue) Run(ctx context.Context, handle func(ctx context.Context, executionID string)) error {
	q.ringer.Run(ctx, handle)
	return nil
}

// Stats reports the Queue's present state.
func (q *Queue) Stats(context.Context) (callsheet.QueueStats, error) {
	waiting, working, workers := q.ringer.Stats()
	return callsheet.QueueStats{Waiting: waiting, Working: working, Workers: workers}, nil
}
