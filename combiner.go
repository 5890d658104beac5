package callsheet

import (
	"context"
	"fmt"
	"sync"
)

const (
	// combinerFlights is how many combined calls may be under way at once: one travels while the next is made.
	combinerFlights = 2
	// combinerMost is how many calls are combined into one.
	combinerMost = 100
)

// A combiner makes one call of several that come at the same time: those that come while calls are
// under way go together in the next. So a busy node asks its Store seldom, and an idle one at once.
type combiner[I, O any] struct {
	// call answers each input, in order.
	call func(ctx context.Context, in []I) ([]O, error)

	mu      sync.Mutex
	flights int             // guarded by mu
	waiting []*caller[I, O] // guarded by mu; empty unless all flights are under way
}

// A caller waits for its answer, or for being the one who makes the next call.
type caller[I, O any] struct {
	in   I
	out  O
	err  error
	done chan struct{}        // closed when out and err are set
	lead chan []*caller[I, O] // gets the callers of the next call, this one among them
}

// do makes a call, alone or with others. ctx is that of the call if this caller makes it; callers do not leave
// while they wait for another's.
func (c *combiner[I, O]) do(ctx context.Context, in I) (O, error) {
	own := &caller[I, O]{in: in, done: make(chan struct{}), lead: make(chan []*caller[I, O], 1)}
	c.mu.Lock()
	if c.flights < combinerFlights {
		c.flights++
		c.mu.Unlock()
		c.fly(ctx, []*caller[I, O]{own})
		return own.out, own.err
	}
	c.waiting = append(c.waiting, own)
	c.mu.Unlock()
	select {
	case <-own.done:
	case callers := <-own.lead:
		c.fly(ctx, callers)
	}
	return own.out, own.err
}

// fly makes one call for all callers, and hands the flight on.
func (c *combiner[I, O]) fly(ctx context.Context, callers []*caller[I, O]) {
	in := make([]I, len(callers))
	for i, caller := range callers {
		in[i] = caller.in
	}
	var out []O
	err := guard(func() (err error) {
		out, err = c.call(ctx, in)
		if err == nil && len(out) != len(in) {
			err = fmt.Errorf("%d answers to %d calls", len(out), len(in))
		}
		return err
	})
	for i, caller := range callers {
		if caller.err = err; err == nil {
			caller.out = out[i]
		}
		close(caller.done)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.flights--
		return
	}
	next := c.waiting[:min(len(c.waiting), combinerMost)]
	c.waiting = append([]*caller[I, O](nil), c.waiting[len(next):]...)
	next[0].lead <- next
}
