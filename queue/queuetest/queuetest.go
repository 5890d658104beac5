// Package queuetest proves that a [callsheet.Queue] keeps its contract, and breaks one on purpose for
// the tests of those who use it.
//
//	func TestQueue(t *testing.T) {
//		queuetest.Run(t, func(t *testing.T) callsheet.Queue { return local.New(4) }, queuetest.Features{Ordered: true})
//	}
package queuetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
)

// Features says what a Queue promises beyond the contract, or that it promises less. A case that
// needs what is not promised is skipped with a line that says so. The zero Features are the plain
// contract of a Queue that tries not to lose rings.
type Features struct {
	// Loses: rings may get lost without a fault. The suite then rings again until they arrive, as
	// the Scheduler does.
	Loses bool
	// Ordered: calls start in the order of the rings.
	Ordered bool
	// KeepsRings: rings that wait when Run ends arrive in the next Run of the same Queue.
	KeepsRings bool
	// Patience is how long a ring may take before it counts as lost. Zero means 10 s.
	Patience time.Duration
}

// Run proves the Queues that newQueue makes, one for each case. They must not share rings, and must
// not let many more than 100 calls be under way at once. newQueue uses t.Cleanup to give back what
// it opened.
func Run(t *testing.T, newQueue func(t *testing.T) callsheet.Queue, features Features) {
	if features.Patience == 0 {
		features.Patience = 10 * time.Second
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.needs != nil && !c.needs(features) {
				t.Skipf("not promised: %s", c.explanation)
			}
			before := goleak.IgnoreCurrent()
			t.Run("case", func(t *testing.T) {
				c.run(&bench{T: t, queue: newQueue(t), features: features})
			})
			if err := goleak.Find(before); err != nil {
				t.Errorf("when Run has returned and the Queue is closed, no goroutine may be left: %v", err)
			}
			if t.Failed() {
				t.Logf("%s: %s", c.name, c.explanation)
			}
		})
	}
}

// A bench is what a case works with: one Queue, and notes of what it rang.
type bench struct {
	*testing.T
	queue    callsheet.Queue
	features Features

	mu    sync.Mutex
	calls []string // executions, in the order their calls started; guarded by mu
}

// ids returns n execution IDs that nobody else has.
func ids(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = uuid.Must(uuid.NewV7()).String()
	}
	return all
}

func (b *bench) note(_ context.Context, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, id)
}

// noted returns the executions rung so far.
func (b *bench) noted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

func (b *bench) enqueue(executions ...string) {
	b.Helper()
	// A Queue that loses may also say so.
	if err := b.queue.Enqueue(b.Context(), executions...); err != nil && !b.features.Loses {
		b.Errorf("Enqueue of %d executions: %v", len(executions), err)
	}
}

// start runs the Queue. stop ends the context; wait returns when Run has.
func (b *bench) start(ctx context.Context, handle func(context.Context, string)) (stop context.CancelFunc, wait func()) {
	ctx, stop = context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- b.queue.Run(ctx, handle) }()
	wait = sync.OnceFunc(func() {
		b.Helper()
		select {
		case err := <-done:
			if err != nil {
				b.Errorf("Run must return nil when its context has ended, returned %v", err)
			}
		case <-time.After(b.features.Patience):
			b.Error("Run did not return after its context had ended and every call was over")
		}
	})
	b.Cleanup(func() { stop(); wait() })
	return stop, wait
}

// await waits until all executions were rung. Where rings may get lost it rings again.
func (b *bench) await(executions ...string) {
	b.Helper()
	missing := func() []string {
		rung := map[string]bool{}
		for _, id := range b.noted() {
			rung[id] = true
		}
		return slices.DeleteFunc(slices.Clone(executions), func(id string) bool { return rung[id] })
	}
	b.eventually(func() bool {
		left := missing()
		if len(left) > 0 && b.features.Loses {
			b.enqueue(left...)
		}
		return len(left) == 0
	}, func() {
		left := missing()
		b.Fatalf("%d of %d executions were never rung, the first is %s", len(left), len(executions), left[0])
	})
}

// eventually asks until condition holds or patience ends. There is no signal to wait for: a Queue
// may be on another machine.
func (b *bench) eventually(condition func() bool, fail func()) {
	b.Helper()
	deadline := time.Now().Add(b.features.Patience)
	for pause := time.Millisecond; !condition(); pause = min(2*pause, 20*time.Millisecond) {
		if time.Now().After(deadline) {
			fail()
			return
		}
		time.Sleep(pause)
	}
}

func (b *bench) stats() callsheet.QueueStats {
	b.Helper()
	stats, err := b.queue.Stats(b.Context())
	if err != nil {
		b.Fatalf("Stats: %v", err)
	}
	return stats
}
