package callsheet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// leases are the executions that a node holds. Times are monotonic: a lease is believed to last
// from just before the Store was asked, so that it ends here before it ends there.
type leases struct {
	mu       sync.Mutex
	held     map[string]*holding // by execution ID; guarded by mu
	expected map[string]*claim   // by execution ID; guarded by mu
	some     chan struct{}       // holds one signal that held is no longer empty
}

// A holding is an execution that this node works on.
type holding struct {
	call   Call
	cancel context.CancelCauseFunc
	expiry *time.Timer // cancels the work with ErrLeaseLost when no renewal comes in time
	// end is the outcome, once the attempt has come to it; guarded by leases.mu.
	end *Outcome
}

// A claim is under way for an execution; a bell that rang twice may have two.
type claim struct {
	claimants int
	cancelled bool
}

func newLeases() *leases {
	return &leases{held: map[string]*holding{}, expected: map[string]*claim{}, some: make(chan struct{}, 1)}
}

// workShare is the part of a lease after which a worker that could not renew stops its work, so
// that it has stopped before another can begin.
func workShare(lease time.Duration) time.Duration { return lease / 5 * 4 }

// expect notes that an execution is about to be claimed, so that a cancellation which comes before
// add is not missed. The function it returns ends that.
func (l *leases) expect(id string) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.expected[id]
	if c == nil {
		c = &claim{}
		l.expected[id] = c
	}
	c.claimants++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if c.claimants--; c.claimants == 0 {
			delete(l.expected, id)
		}
	}
}

// add notes that an execution is held, and that its work is stopped by cancel.
func (l *leases) add(call Call, cancel context.CancelCauseFunc, remaining time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := call.Execution.ID
	if before := l.held[id]; before != nil { // claimed again, after its lease had run out
		before.expiry.Stop()
		before.cancel(ErrLeaseLost)
	}
	if c := l.expected[id]; c != nil && c.cancelled {
		cancel(ErrCancelled)
	}
	l.held[id] = &holding{call: call, cancel: cancel, expiry: time.AfterFunc(remaining, func() { cancel(ErrLeaseLost) })}
	if len(l.held) == 1 {
		select {
		case l.some <- struct{}{}:
		default:
		}
	}
}

// cancel stops the work on an execution, if this node does it or is about to.
func (l *leases) cancel(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[id]; h != nil {
		h.cancel(ErrCancelled)
	}
	if c := l.expected[id]; c != nil {
		c.cancelled = true
	}
}

// conclude notes how the attempt on an execution ended, before that is recorded.
func (l *leases) conclude(e Execution, o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[e.ID]; h != nil && h.call.Execution.Fence == e.Fence {
		h.end = &o
	}
}

// outcome returns how the attempt ended, if it has.
func (l *leases) outcome(h *holding) (Outcome, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.end == nil {
		return Outcome{}, false
	}
	return *h.end, true
}

// extend puts off the end of a lease that is still held.
func (l *leases) extend(h *holding, remaining time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[h.call.Execution.ID] == h {
		h.expiry.Reset(remaining)
	}
}

// remove forgets an execution that is held under that fence.
func (l *leases) remove(e Execution) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[e.ID]; h != nil && h.call.Execution.Fence == e.Fence {
		h.expiry.Stop()
		delete(l.held, e.ID)
	}
}

func (l *leases) all() []*holding {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*holding, 0, len(l.held))
	for _, h := range l.held {
		all = append(all, h)
	}
	return all
}

// keepLeases renews what is held, three times in the length of a lease (every 3 s by default), until ctx ends. It sleeps
// while nothing is held.
func (n *node) keepLeases(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.leases.some:
		}
		for {
			timer := time.NewTimer(n.lease * 3 / 10)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			held := n.leases.all()
			if len(held) == 0 {
				break
			}
			n.renew(ctx, held)
		}
	}
}

func (n *node) renew(ctx context.Context, holdings []*holding) {
	request := RenewRequest{Lease: n.lease, Held: make([]Held, len(holdings))}
	for i, h := range holdings {
		request.Held[i] = Held{h.call.Execution.ID, h.call.Execution.Fence}
	}
	asked := time.Now()
	var renewals []Renewal
	err := guard(func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, n.lease/3)
		defer cancel()
		renewals, err = n.store.Renew(ctx, request)
		return err
	})
	if err == nil && len(renewals) != len(holdings) {
		err = fmt.Errorf("store answered %d renewals of %d", len(renewals), len(holdings))
	}
	if err != nil {
		n.log.WarnContext(ctx, "leases could not be renewed", slog.Int("executions", len(holdings)), slog.Any(keyError, err))
		return // the expiry timers go on
	}
	for i, r := range renewals {
		switch h := holdings[i]; {
		case r.Err != nil:
			h.cancel(ErrLeaseLost)
		case r.CancelRequested:
			h.cancel(ErrCancelled)
		default:
			n.leases.extend(h, workShare(n.lease)-time.Since(asked))
		}
	}
}
