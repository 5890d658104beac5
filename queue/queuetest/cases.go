package queuetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var cases = []struct {
	name        string
	explanation string
	needs       func(Features) bool // nil: the plain contract
	run         func(*bench)
}{
	{"every ring arrives", "a ring that does not arrive costs the execution a round of the reconciler", nil, everyRingArrives},
	{"enqueue before run", "a scheduler plans, and a host executes, before any worker is there", nil, enqueueBeforeRun},
	{"enqueue nothing", "a planning pass may have nothing to ring for", nil, enqueueNothing},
	{"enqueue from many goroutines", "every worker and every HTTP handler may ring at the same time", nil, enqueueFromMany},
	{"enqueue from handle", "a worker that finishes one execution may ring for the next", nil, enqueueFromHandle},
	{"enqueue does not wait", "a planner must not stand still because the workers are busy", nil, enqueueDoesNotWait},
	{"the same execution again", "an execution that is retried or handed back is rung again under the same ID", nil, sameExecutionAgain},
	{"bounded workers", "Workers is what a host sizes its connections and memory by", nil, boundedWorkers},
	{"order", "executions that waited longest come first", func(f Features) bool { return f.Ordered }, order},
	{"run ends", "a host that stops must be able to rely on Run returning when the work under way is over, and not before", nil, runEnds},
	{"run with an ended context", "a host may be stopped while it starts", nil, runWithEndedContext},
	{"the context of handle", "work under way gets time to finish when Run is told to end; the Scheduler decides how much", nil, contextOfHandle},
	{"run again", "a host may stop and start its scheduler on the same Queue", nil, runAgain},
	{"rings outlast run", "what waits when Run ends need not wait for the reconciler", func(f Features) bool { return f.KeepsRings }, ringsOutlastRun},
	{"stats", "the dashboard shows how busy the workers are", nil, statsFollow},
}

func everyRingArrives(b *bench) {
	b.start(b.Context(), b.note)
	executions := ids(100)
	for _, id := range executions[:50] {
		b.enqueue(id)
	}
	b.enqueue(executions[50:]...)
	b.await(executions...)
	for _, id := range b.noted() {
		if !slices.Contains(executions, id) {
			b.Errorf("%q was rung, which nobody asked for", id)
		}
	}
}

func enqueueBeforeRun(b *bench) {
	executions := ids(20)
	b.enqueue(executions...)
	b.start(b.Context(), b.note)
	b.await(executions...)
}

func enqueueNothing(b *bench) {
	b.enqueue()
	b.start(b.Context(), b.note)
	b.enqueue()
	executions := ids(1)
	b.enqueue(executions...)
	b.await(executions...)
	for _, id := range b.noted() {
		if id != executions[0] {
			b.Errorf("%q was rung, which nobody asked for", id)
		}
	}
}

func enqueueFromMany(b *bench) {
	b.start(b.Context(), b.note)
	executions := ids(200)
	var callers sync.WaitGroup
	for part := range slices.Chunk(executions, 20) {
		callers.Go(func() {
			for _, id := range part {
				b.enqueue(id)
			}
		})
	}
	callers.Wait()
	b.await(executions...)
}

func enqueueFromHandle(b *bench) {
	executions := ids(10)
	b.start(b.Context(), func(ctx context.Context, id string) {
		b.note(ctx, id)
		if next := slices.Index(executions, id) + 1; next < len(executions) {
			b.enqueue(executions[next])
		}
	})
	b.enqueue(executions[0])
	b.await(executions...)
}

func enqueueDoesNotWait(b *bench) {
	release := make(chan struct{})
	b.start(b.Context(), func(ctx context.Context, id string) {
		b.note(ctx, id)
		<-release
	})
	executions := ids(4*b.stats().Workers + 200)
	enqueued := make(chan struct{})
	go func() {
		defer close(enqueued)
		for part := range slices.Chunk(executions, 50) {
			b.enqueue(part...)
		}
	}()
	select {
	case <-enqueued:
	case <-time.After(b.features.Patience):
		b.Error("Enqueue waits for workers, and all of them are busy")
	}
	close(release)
	<-enqueued
	b.await(executions...)
}

// A ring that arrives twice is allowed, and so is one that is dropped because its ID already waits; a
// ring after the call before it is over is neither.
func sameExecutionAgain(b *bench) {
	id := ids(1)[0]
	over := make(chan struct{}, 1000)
	b.start(b.Context(), func(ctx context.Context, id string) {
		b.note(ctx, id)
		select {
		case over <- struct{}{}:
		default:
		}
	})
	for range 3 {
		b.mu.Lock()
		b.calls = nil
		b.mu.Unlock()
		b.enqueue(id, id)
		b.enqueue(id)
		b.await(id)
		<-over
	}
}

func boundedWorkers(b *bench) {
	workers := b.stats().Workers
	if workers < 1 {
		b.Fatalf("Stats must say how many calls may be under way at once, said %d", workers)
	}
	var now, most atomic.Int64
	b.start(b.Context(), func(ctx context.Context, id string) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		b.note(ctx, id)
	})
	executions := ids(5*workers + 20)
	b.enqueue(executions...)
	b.await(executions...)
	if most.Load() > int64(workers) {
		b.Errorf("%d calls were under way at once, Stats says that at most %d may be", most.Load(), workers)
	}
}

// With several workers two calls that start in order may be noted out of order, so each execution
// may be found as far from its place as there are workers.
func order(b *bench) {
	executions := ids(100)
	b.enqueue(executions...)
	b.start(b.Context(), b.note)
	b.await(executions...)
	slack := b.stats().Workers - 1
	for place, id := range b.noted() {
		if at := slices.Index(executions, id); at-place > slack {
			b.Errorf("execution %d was rung in place %d", at, place)
		}
	}
}

func runEnds(b *bench) {
	workers := b.stats().Workers
	release := make(chan struct{})
	var over atomic.Int64
	stop, wait := b.start(b.Context(), func(ctx context.Context, id string) {
		b.note(ctx, id)
		<-release
		over.Add(1)
	})
	executions := ids(3 * workers)
	b.enqueue(executions...)
	b.eventually(func() bool {
		if b.features.Loses {
			b.enqueue(executions...)
		}
		return len(b.noted()) == workers
	}, func() {
		b.Errorf("%d of %d workers have a call when %d executions wait", len(b.noted()), workers, len(executions))
	})
	started := len(b.noted())
	stop()
	returned := make(chan struct{})
	go func() { defer close(returned); wait() }()
	select {
	case <-returned:
		b.Error("Run returned while calls were under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	<-returned
	if n := over.Load(); n != int64(started) {
		b.Errorf("%d calls had started when the context ended, %d are over after Run", started, n)
	}
	time.Sleep(20 * time.Millisecond)
	if n := len(b.noted()); n != started {
		b.Errorf("%d calls started after the context had ended", n-started)
	}
}

func runWithEndedContext(b *bench) {
	b.enqueue(ids(5)...)
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	_, wait := b.start(ctx, b.note)
	wait()
	if n := len(b.noted()); n > 0 {
		b.Errorf("%d calls started after the context had ended", n)
	}
}

type contextKey struct{}

func contextOfHandle(b *bench) {
	entered, ended := make(chan struct{}, 1000), make(chan struct{})
	ctx := context.WithValue(b.Context(), contextKey{}, "value")
	stop, wait := b.start(ctx, func(ctx context.Context, id string) {
		b.note(ctx, id)
		entered <- struct{}{}
		if got := ctx.Value(contextKey{}); got != "value" {
			b.Errorf("handle's context must carry the values of Run's, has %v", got)
		}
		if _, set := ctx.Deadline(); set {
			b.Error("handle's context must not have a deadline")
		}
		<-ended
		if ctx.Err() != nil {
			b.Errorf("handle's context ended with Run's: %v", context.Cause(ctx))
		}
	})
	id := ids(1)[0]
	b.enqueue(id)
	b.await(id)
	<-entered
	stop()
	time.Sleep(10 * time.Millisecond) // whoever passes the end on has had the time to do so
	close(ended)
	wait()
}

func runAgain(b *bench) {
	for range 3 {
		stop, wait := b.start(b.Context(), b.note)
		executions := ids(10)
		b.enqueue(executions...)
		b.await(executions...)
		stop()
		wait()
	}
}

func ringsOutlastRun(b *bench) {
	workers := b.stats().Workers
	release := make(chan struct{})
	stop, wait := b.start(b.Context(), func(ctx context.Context, id string) {
		b.note(ctx, id)
		<-release
	})
	executions := ids(workers + 20)
	b.enqueue(executions...)
	b.eventually(func() bool { return len(b.noted()) == workers }, func() {
		b.Errorf("%d of %d workers have a call", len(b.noted()), workers)
	})
	stop()
	close(release)
	wait()
	b.start(b.Context(), b.note)
	b.await(executions...)
}

func statsFollow(b *bench) {
	workers := b.stats().Workers
	release := make(chan struct{})
	b.start(b.Context(), func(ctx context.Context, id string) {
		b.note(ctx, id)
		<-release
	})
	executions := ids(workers + 5)
	b.enqueue(executions...)
	b.eventually(func() bool {
		if b.features.Loses {
			b.enqueue(executions...)
		}
		s := b.stats()
		return s.Working == workers && s.Waiting >= 1 && s.Workers == workers
	}, func() {
		b.Errorf("with %d workers all busy and rings waiting, Stats says %+v", workers, b.stats())
	})
	close(release)
	b.await(executions...)
	b.eventually(func() bool { return b.stats().Working == 0 }, func() {
		b.Errorf("with nothing to do, Stats says %+v", b.stats())
	})
}
