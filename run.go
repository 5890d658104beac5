package callsheet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
)

const (
	monitorInterval   = time.Minute
	retentionInterval = time.Hour
	pruneBatch        = 1000
	// stopGrace is how long a Pipeline may take to return once its context has ended.
	stopGrace = 5 * time.Second
)

// A node is a Scheduler while it runs: what it holds, and what wakes it.
type node struct {
	*scheduler
	// work is the context of all attempts. It outlives Run's by the drain timeout at most.
	work     context.Context
	stopWork context.CancelCauseFunc
	alarm    *alarm
	leases   *leases
	findings string // what the monitor reported last; used by its job only
}

// Run implements Runner.
func (s *scheduler) Run(ctx context.Context) (err error) {
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(ErrStopping)
	n := &node{scheduler: s, work: work, stopWork: stopWork, alarm: newAlarm(), leases: newLeases()}
	if !s.node.CompareAndSwap(nil, n) {
		return ErrRunning
	}
	defer s.node.Store(nil)
	defer s.fetcher.Close()

	s.log.InfoContext(ctx, "scheduler started", slog.String("worker", s.workerName))
	defer func() { s.stopped(ctx, err) }()

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var background sync.WaitGroup
	background.Go(func() { n.keepLeases(work) })

	stopTicking, err := n.tick(ctx)
	if err != nil {
		stopWork(ErrStopping)
		background.Wait()
		return err
	}

	queueDone := make(chan error, 1)
	go func() { queueDone <- s.queue.Run(ctx, n.handle) }()

	var queueErr error
	queueStopped := false
	select {
	case <-ctx.Done():
	case queueErr = <-queueDone:
		queueStopped = true
		stop(queueErr)
	}
	stopErr := stopTicking()
	if !queueStopped {
		queueErr = n.drain(queueDone)
	}
	stopWork(ErrStopping)
	background.Wait()
	return errors.Join(stopErr, queueErr)
}

func (s *scheduler) stopped(ctx context.Context, err error) {
	if err != nil {
		s.log.ErrorContext(ctx, "scheduler stopped", slog.Any(keyError, err))
		return
	}
	s.log.InfoContext(ctx, "scheduler stopped")
}

// drain waits for running executions to finish; then cancels them, so that they are handed back;
// and abandons those whose Pipeline does not return even then.
func (n *node) drain(queueDone <-chan error) error {
	for _, step := range []struct {
		patience time.Duration
		then     func()
	}{
		{n.drainTimeout, func() { n.stopWork(ErrStopping) }},
		{stopGrace, func() {}},
	} {
		timer := time.NewTimer(step.patience)
		select {
		case err := <-queueDone:
			timer.Stop()
			return err
		case <-timer.C:
			step.then()
		}
	}
	return n.abandon()
}

// tick starts the gocron jobs: planning, reconciling, monitoring and retention, one each. The
// function it returns stops them and waits for them.
func (n *node) tick(ctx context.Context) (stop func() error, err error) {
	clock, err := gocron.NewScheduler(gocron.WithLocation(time.UTC))
	if err != nil {
		return nil, fmt.Errorf("start gocron: %w", err)
	}
	// Jobs see a context of their own, which ends before gocron is shut down: gocron waits for
	// running jobs in a busy loop.
	ctx, cancel := context.WithCancel(ctx)
	jobs := []struct {
		name  string
		every time.Duration
		mode  gocron.LimitMode
		run   func(context.Context) error
	}{
		// A wake-up that comes during a pass must not be lost: it waits for the pass to end.
		{"plan", n.planInterval, gocron.LimitModeWait, n.plan},
		{"reconcile", max(n.lease/5, n.planInterval), gocron.LimitModeReschedule, n.reconcile},
		{"monitor", monitorInterval, gocron.LimitModeReschedule, n.monitor},
		{"retention", retentionInterval, gocron.LimitModeReschedule, n.retain},
	}
	running := make(chan struct{}, len(jobs)) // one token for each job that runs
	var planning gocron.Job
	for _, job := range jobs {
		task := func() {
			select {
			case running <- struct{}{}:
				defer func() { <-running }()
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				return
			}
			if err := guard(func() error { return job.run(ctx) }); err != nil && ctx.Err() == nil {
				n.log.ErrorContext(ctx, job.name+" pass broke off", slog.Any(keyError, err), slog.String(keyStack, stackOf(err)))
			}
		}
		added, err := clock.NewJob(gocron.DurationJob(job.every), gocron.NewTask(task),
			gocron.WithName(job.name), gocron.WithSingletonMode(job.mode))
		if err != nil {
			cancel()
			return nil, errors.Join(fmt.Errorf("add gocron job %s: %w", job.name, err), clock.Shutdown())
		}
		if planning == nil {
			planning = added
		}
	}
	clock.Start()
	n.alarm.set(time.Now()) // what fell due before Run is planned at once
	alarmed := make(chan struct{})
	go func() {
		defer close(alarmed)
		n.alarm.run(ctx, func() { _ = planning.RunNow() }) // a wake-up lost here is made up for by the next interval
	}()
	return func() error {
		cancel()
		<-alarmed
		for range jobs {
			running <- struct{}{}
		}
		if err := clock.Shutdown(); err != nil {
			return fmt.Errorf("stop gocron: %w", err)
		}
		return nil
	}, nil
}

// plan is the planning job.
func (n *node) plan(ctx context.Context) error {
	report, err := n.Plan(ctx)
	n.alarm.set(report.Wake)
	return err
}

// reconcile is the job that takes executions back from workers that vanished.
func (n *node) reconcile(ctx context.Context) error {
	for {
		lost, err := n.store.Reclaim(ctx, planBatch)
		if err != nil {
			return err
		}
		var again []string
		for _, e := range lost {
			if e.State == StatePending {
				again = append(again, e.ID)
				n.log.WarnContext(ctx, "worker lost, execution goes to another", attrs(e, slog.String(keyError, e.Error))...)
			} else {
				n.log.ErrorContext(ctx, "worker lost, execution is over", attrs(e,
					slog.String("state", string(e.State)), slog.String(keyError, e.Error))...)
			}
			n.observe(ctx, e)
		}
		n.ring(ctx, again...)
		if len(lost) < planBatch {
			return nil
		}
	}
}

// retain is the job that forgets old executions.
func (n *node) retain(ctx context.Context) error {
	total := 0
	for {
		pruned, err := n.store.Prune(ctx, n.retention.before(now()), pruneBatch)
		if err != nil {
			return err
		}
		if total += pruned; pruned < pruneBatch {
			break
		}
	}
	if total > 0 {
		n.log.InfoContext(ctx, "old executions pruned", slog.Int("executions", total))
	}
	return nil
}

// An alarm calls somebody at the earliest of the times it was set to.
type alarm struct {
	mu      sync.Mutex
	at      time.Time     // guarded by mu; zero when nothing is set
	changed chan struct{} // holds one signal that at became earlier
}

func newAlarm() *alarm { return &alarm{changed: make(chan struct{}, 1)} }

// set has the alarm go off at t, if it would not before. The zero time changes nothing.
func (a *alarm) set(t time.Time) {
	if t.IsZero() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.at.IsZero() && !t.Before(a.at) {
		return
	}
	a.at = t
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// run calls ring whenever the alarm goes off, until ctx ends.
func (a *alarm) run(ctx context.Context, ring func()) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
			a.mu.Lock()
			wait := time.Until(a.at)
			a.mu.Unlock()
			// A Store whose clock is behind ours says "due in a moment" again and again; a pause
			// keeps that from becoming a busy loop.
			timer.Reset(max(wait, time.Millisecond))
		case <-timer.C:
			a.mu.Lock()
			a.at = time.Time{}
			a.mu.Unlock()
			ring()
		}
	}
}
