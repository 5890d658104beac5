package queuetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Rates say how often things go wrong: 0 never, 1 always.
type Rates struct {
	Seed      uint64        // of the choice; the same calls in the same order have the same fate
	Fail      float64       // Enqueue returns ErrFaulty, and none of its rings arrives
	Lose      float64       // a ring gets lost, and nobody learns of it
	Duplicate float64       // a ring arrives twice, and may be delayed twice
	Delay     float64       // a ring is late, by up to MaxDelay
	MaxDelay  time.Duration // zero means 10 ms
	Reorder   float64       // a ring changes places with another of its Enqueue, or lets the next Enqueue go first
}

// ErrFaulty is what Enqueue of a Faulty Queue fails with.
var ErrFaulty = errors.New("the queue fails, as the test asked it to")

// Faulty returns q with faults. It keeps the contract of a Queue: [Run] proves it with Loses set.
// Rings that are late arrive only while it runs.
func Faulty(q callsheet.Queue, rates Rates) callsheet.Queue {
	if rates.MaxDelay <= 0 {
		rates.MaxDelay = 10 * time.Millisecond
	}
	return &faulty{
		Queue: q, rates: rates,
		rand:    rand.New(rand.NewPCG(rates.Seed, rates.Seed)),
		changed: make(chan struct{}, 1),
	}
}

type faulty struct {
	callsheet.Queue
	rates   Rates
	changed chan struct{} // holds a token when held has changed

	mu   sync.Mutex // guards what follows
	rand *rand.Rand
	held []heldRing
}

// A heldRing goes out when it is due, or, if it stood back, behind the next Enqueue.
type heldRing struct {
	id     string
	due    time.Time
	behind bool
}

func (f *faulty) Enqueue(ctx context.Context, executionIDs ...string) error {
	now, ok := f.choose(executionIDs)
	if !ok {
		return ErrFaulty
	}
	if err := f.Queue.Enqueue(ctx, now...); err != nil {
		return err
	}
	select {
	case f.changed <- struct{}{}:
	default:
	}
	return nil
}

// choose decides each ring's fate and returns those that go out at once.
func (f *faulty) choose(executionIDs []string) (now []string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.happens(f.rates.Fail) {
		return nil, false
	}
	var before []string // stood back at the last Enqueue
	f.held = slices.DeleteFunc(f.held, func(h heldRing) bool {
		if h.behind {
			before = append(before, h.id)
		}
		return h.behind
	})
	for _, id := range executionIDs {
		if f.happens(f.rates.Lose) {
			continue
		}
		copies := 1
		if f.happens(f.rates.Duplicate) {
			copies = 2
		}
		for range copies {
			switch {
			case f.happens(f.rates.Delay):
				f.held = append(f.held, heldRing{id: id, due: time.Now().Add(time.Duration(f.rand.Int64N(int64(f.rates.MaxDelay))))})
			case f.happens(f.rates.Reorder) && len(now) == 0:
				f.held = append(f.held, heldRing{id: id, due: time.Now().Add(f.rates.MaxDelay), behind: true})
			default:
				now = append(now, id)
			}
		}
	}
	for i := range now {
		if f.happens(f.rates.Reorder) {
			j := f.rand.IntN(len(now))
			now[i], now[j] = now[j], now[i]
		}
	}
	return append(now, before...), true
}

func (f *faulty) happens(rate float64) bool { return f.rand.Float64() < rate }

func (f *faulty) Run(ctx context.Context, handle func(ctx context.Context, executionID string)) error {
	ctx, cancel := context.WithCancel(ctx)
	var postman sync.WaitGroup
	postman.Go(func() { f.sendHeld(ctx) })
	err := f.Queue.Run(ctx, handle)
	cancel()
	postman.Wait()
	return err
}

// sendHeld sends the late rings on until ctx ends.
func (f *faulty) sendHeld(ctx context.Context) {
	for {
		due, wait := f.takeDue()
		if len(due) > 0 {
			_ = f.Queue.Enqueue(ctx, due...) // an error loses them, as it may
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-f.changed:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// takeDue returns the rings that are due, and how long it is until the next.
func (f *faulty) takeDue() (due []string, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	wait = time.Hour
	f.held = slices.DeleteFunc(f.held, func(h heldRing) bool {
		if h.due.After(now) {
			wait = min(wait, h.due.Sub(now))
			return false
		}
		due = append(due, h.id)
		return true
	})
	return due, wait
}

func (f *faulty) Stats(ctx context.Context) (callsheet.QueueStats, error) {
	stats, err := f.Queue.Stats(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	stats.Waiting += len(f.held)
	return stats, err
}
