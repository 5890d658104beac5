// Package ringer is the engine of the doorbells that live inside one process: a bounded number of
// workers, and a line of execution IDs that wait for them.
package ringer

import (
	"context"
	"slices"
	"sync"
)

// DefaultWorkers is how many calls may be under way at once where nobody said.
const DefaultWorkers = 16

// A Ringer hands execution IDs to workers, first come, first served. An ID that waits is not put
// into the line again, so the line is never longer than there are executions to work on.
//
// All methods may be called at any time, from any goroutine.
type Ringer struct {
	workers int

	mu      sync.Mutex // guards everything below, and the fields of crews
	line    line
	resting []*worker // latest last; where one of a live Run rests, the line is empty
	crews   []*crew   // the Runs under way
	hired   int       // workers of all crews
	working int       // workers that have an ID in hand
}

// A crew is the workers of one Run.
type crew struct {
	ctx    context.Context // ends the Run
	handle func(id string)
	gone   sync.WaitGroup
}

type worker struct {
	crew *crew
	ring chan string // takes one ID without blocking; closed to send a resting worker home
}

// New returns a Ringer with that many workers; zero or less means [DefaultWorkers].
func New(workers int) *Ringer {
	if workers <= 0 {
		workers = DefaultWorkers
	}
	return &Ringer{workers: workers, line: line{waits: map[string]struct{}{}}}
}

// Enqueue asks for one ring for each ID. It never blocks.
func (r *Ringer) Enqueue(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if !r.hand(id) {
			r.line.push(id)
		}
	}
	r.hire()
}

// Run rings handle, at most as many times at once as there are workers, until ctx ends. Then it
// starts no further call, waits for those under way and returns. What waits stays in the line for
// another Run. The context given to handle carries ctx's values but does not end with it.
func (r *Ringer) Run(ctx context.Context, handle func(ctx context.Context, id string)) {
	lasting := context.WithoutCancel(ctx)
	c := &crew{ctx: ctx, handle: func(id string) { handle(lasting, id) }}

	r.mu.Lock()
	r.crews = append(r.crews, c)
	r.hire()
	r.mu.Unlock()

	<-ctx.Done()

	r.mu.Lock()
	r.crews = slices.DeleteFunc(r.crews, func(other *crew) bool { return other == c })
	r.resting = slices.DeleteFunc(r.resting, func(w *worker) bool {
		if w.crew == c {
			close(w.ring)
		}
		return w.crew == c
	})
	r.mu.Unlock()
	c.gone.Wait()
}

// Stats returns how many IDs wait, how many are with a worker, and how many may be.
func (r *Ringer) Stats() (waiting, working, workers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.line.len(), r.working, r.workers
}

// hand gives id to a worker that rests, the latest first: it is the warmest. It returns false if
// none does. Workers of a Run whose context has ended are left for that Run to send home.
func (r *Ringer) hand(id string) bool {
	for i, w := range slices.Backward(r.resting) {
		if w.crew.ctx.Err() == nil {
			r.resting = slices.Delete(r.resting, i, i+1)
			r.working++
			w.ring <- id
			return true
		}
	}
	return false
}

// hire starts a worker for each ID in the line while there is a place for one.
func (r *Ringer) hire() {
	for r.line.len() > 0 && r.hired < r.workers {
		// A Run whose context has ended but which has not taken its leave yet is passed over.
		i := slices.IndexFunc(r.crews, func(c *crew) bool { return c.ctx.Err() == nil })
		if i < 0 {
			return
		}
		c := r.crews[i]
		r.hired++
		r.working++
		c.gone.Add(1)
		go r.work(&worker{crew: c, ring: make(chan string, 1)}, r.line.pop())
	}
}

func (r *Ringer) work(w *worker, id string) {
	defer w.crew.gone.Done()
	ended := false
	defer func() {
		if !ended { // by runtime.Goexit in handle: the place is free for another
			r.mu.Lock()
			defer r.mu.Unlock()
			r.working--
			r.hired--
			r.hire()
		}
	}()
	for {
		if w.crew.ctx.Err() != nil {
			r.leave(id)
			ended = true
			return
		}
		w.crew.handle(id)
		next, ok := r.next(w)
		if !ok {
			ended = true
			return
		}
		id = next
	}
}

// leave ends a worker that got an ID after its Run had ended: the ID goes back to the head of the line.
func (r *Ringer) leave(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.working--
	r.hired--
	if !r.hand(id) {
		r.line.pushFront(id)
	}
	r.hire() // the place is free for another Run
}

// next takes the ID at the head of the line, or rests until one is handed over. It returns false
// when the worker is to go home.
func (r *Ringer) next(w *worker) (string, bool) {
	r.mu.Lock()
	r.working--
	if w.crew.ctx.Err() != nil {
		r.hired--
		r.hire() // the place is free for another Run
		r.mu.Unlock()
		return "", false
	}
	if r.line.len() > 0 {
		r.working++
		id := r.line.pop()
		r.mu.Unlock()
		return id, true
	}
	r.resting = append(r.resting, w)
	r.mu.Unlock()

	id, ok := <-w.ring
	if !ok {
		r.mu.Lock()
		r.hired--
		r.hire()
		r.mu.Unlock()
	}
	return id, ok
}
