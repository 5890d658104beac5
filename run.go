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
	// stopGrace is how long a Pipeline may take to return once its context has ended, and how
	// long everything else may take after that.
	stopGrace = 5 * time.Second
	// planAgain is how soon a planning pass that broke off is repeated.
	planAgain = 200 * time.Millisecond
)

// A node is a Scheduler while it runs: what it holds, and what wakes it.
type node struct {
	*scheduler
	// work is the context of all attempts. It outlives Run's by the drain timeout at most.
	work      context.Context
	stopWork  context.CancelCauseFunc
	alarm     *alarm
	leases    *leases
	answering *underWay // calls of handle
	claims    combiner[string, *Call]
	finishes  combiner[Outcome, Finish]
	findings  string // what the monitor reported last; used by its job only
}

// Run implements Runner.
func (s *scheduler) Run(ctx context.Context) error {
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(ErrStopping)
	n := &node{scheduler: s, work: work, stopWork: stopWork, alarm: newAlarm(), leases: newLeases(), answering: newUnderWay()}
	n.claims.call, n.finishes.call = n.claim, n.finishAll
	if !s.node.CompareAndSwap(nil, n) {
		return ErrRunning
	}
	defer s.node.Store(nil)
	defer s.client.Close()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopTicking, err := n.tick(ctx)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "scheduler started", slog.String("worker", s.workerName))
	defer s.log.InfoContext(ctx, "scheduler stopped")

	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeping()
	renewing := begin("renew leases", func() error { n.keepLeases(keep); return nil })
	working := begin("run queue", func() error {
		defer n.answering.wait()
		defer stop()
		err := guard(func() error { return s.queue.Run(ctx, n.handle) })
		if err == nil && ctx.Err() == nil {
			err = errors.New("it returned before it was asked to")
		}
		return err
	})
	<-ctx.Done()
	ticking := begin("end passes", stopTicking)
	return n.drain(working, ticking, renewing, stopKeeping)
}

// A part of Run that goes on in a goroutine of its own.
type part struct {
	name string
	done chan struct{} // closed when it has ended
	err  error         // how; to be read after done
}

func begin(name string, run func() error) *part {
	p := &part{name: name, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = guard(run)
	}()
	return p
}

// endsBefore waits for the part to end, as long as ctx allows.
func (p *part) endsBefore(ctx context.Context) bool {
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
	}
	select { // it may have ended just then
	case <-p.done:
		return true
	default:
		return false
	}
}

// drain waits for running executions to finish; then cancels them, so that they are handed back;
// then leaves behind, and reports, what has not ended even after a grace. Leases are renewed until
// nothing is held any more.
func (n *node) drain(working, ticking, renewing *part, stopKeeping func()) error {
	patience, cancel := context.WithTimeout(context.Background(), n.drainTimeout)
	defer cancel()
	working.endsBefore(patience)
	n.stopWork(ErrStopping)

	grace, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	var errs []error
	rest := []*part{ticking, renewing}
	if working.endsBefore(grace) {
		rest = append(rest, working)
	} else {
		errs = append(errs, errors.New("workers did not return"))
		rest = append(rest, begin("hand back executions", n.abandon))
	}
	stopKeeping()

	last, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	for _, p := range rest {
		switch {
		case !p.endsBefore(last):
			errs = append(errs, fmt.Errorf("%s: it did not end", p.name))
		case p.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", p.name, p.err))
		}
	}
	return errors.Join(errs...)
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
		run   func(context.Context) error
	}{
		{"plan", n.planInterval, n.plan},
		{"reconcile", n.lease / 5, n.reconcile},
		{"monitor", monitorInterval, n.monitor},
		{"retention", retentionInterval, n.retain},
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
			if err := isolate(func() error { return job.run(ctx) }); err != nil && ctx.Err() == nil {
				n.log.ErrorContext(ctx, job.name+" pass broke off", slog.Any(keyError, err), slog.String(keyStack, stackOf(err)))
			}
		}
		added, err := clock.NewJob(gocron.DurationJob(job.every), gocron.NewTask(task),
			gocron.WithName(job.name),
			gocron.WithStartAt(gocron.WithStartImmediately()),
			// A pass that is still under way when the next is due makes that one needless.
			gocron.WithSingletonMode(gocron.LimitModeReschedule))
		if err != nil {
			cancel()
			return nil, errors.Join(fmt.Errorf("add gocron job %s: %w", job.name, err), clock.Shutdown())
		}
		if planning == nil {
			planning = added
		}
	}
	clock.Start()
	alarmed := make(chan struct{})
	go func() {
		defer close(alarmed)
		n.alarm.run(ctx, func() { _ = planning.RunNow() }) // if it is lost, the alarm goes on
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
	n.alarm.stop()
	report, err := n.Plan(ctx)
	if err != nil {
		report.Wake = time.Now().Add(planAgain) // what was due still is
	}
	n.alarm.set(report.Wake)
	return err
}

// reconcile is the job that takes executions back from workers that vanished.
func (n *node) reconcile(ctx context.Context) error {
	for {
		lost, err := n.store.Reclaim(ctx, planBatch, n.rung())
		if err != nil {
			return err
		}
		var again []string
		for _, e := range lost {
			if e.State == StatePending && !e.Waits {
				again = append(again, e.ID)
			}
		}
		n.ring(ctx, again...)
		if len(again) < len(lost) {
			n.alarm.set(now()) // another may have waited for one that is over
		}
		for _, e := range lost {
			level, text := slog.LevelWarn, "worker lost, execution goes to another"
			if e.State.Final() {
				level, text = slog.LevelError, "worker lost, execution is over"
			}
			n.log.Log(ctx, level, text, attrs(e, slog.String("state", string(e.State)), slog.String(keyError, e.Error))...)
			n.observe(ctx, e)
		}
		if len(lost) < planBatch {
			return nil
		}
	}
}

// retain is the job that forgets old executions.
func (n *node) retain(ctx context.Context) error {
	total := 0
	for {
		pruned, err := n.store.Prune(ctx, n.retention.request(now()))
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

// underWay counts calls that are under way. Unlike a sync.WaitGroup it may be waited for while new
// ones begin, as a Queue that ends badly may have them.
type underWay struct {
	mu    sync.Mutex
	calls int        // guarded by mu
	none  *sync.Cond // of mu; signalled when calls falls to zero
}

func newUnderWay() *underWay {
	u := &underWay{}
	u.none = sync.NewCond(&u.mu)
	return u
}

func (u *underWay) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls++
}

func (u *underWay) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.calls--; u.calls == 0 {
		u.none.Broadcast()
	}
}

func (u *underWay) wait() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.calls > 0 {
		u.none.Wait()
	}
}

// An alarm rings at the earliest of the times it was set to, and goes on ringing until it is stopped.
type alarm struct {
	mu      sync.Mutex
	at      time.Time     // guarded by mu; zero when nothing is set
	changed chan struct{} // holds one signal that at became earlier
}

const (
	// A ring that is not heard, because a pass is under way, is repeated after firstRing, then
	// after twice that, up to lastRing.
	firstRing = 10 * time.Millisecond
	lastRing  = time.Second
	// shortestWait is between two rings of which the second is for another time. A Store whose clock
	// is behind ours says "due in a moment" again and again.
	shortestWait = time.Millisecond
	// longestWait is after what time the alarm looks at the clock, which may have been set.
	longestWait = 10 * time.Second
)

func newAlarm() *alarm { return &alarm{changed: make(chan struct{}, 1)} }

// set has the alarm ring at t, if it would not before. The zero time changes nothing.
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

// stop ends the ringing, and forgets what the alarm was set to.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = time.Time{}
}

// due returns how long it is until the alarm rings, and whether it is set at all.
func (a *alarm) due() (wait time.Duration, set bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Until(a.at), !a.at.IsZero()
}

// run calls ring whenever the alarm rings, until ctx ends.
func (a *alarm) run(ctx context.Context, ring func()) {
	timer := time.NewTimer(longestWait)
	defer timer.Stop()
	pause := firstRing
	var rang time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		case <-timer.C:
		}
		wait, set := a.due()
		wait = max(wait, shortestWait-time.Since(rang))
		switch {
		case !set:
			pause = firstRing
			timer.Stop() // until it is set
		case wait > 0:
			pause = firstRing
			timer.Reset(min(wait, longestWait))
		default:
			ring()
			rang = time.Now()
			timer.Reset(pause)
			pause = min(2*pause, lastRing)
		}
	}
}
