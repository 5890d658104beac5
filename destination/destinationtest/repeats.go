package destinationtest

import (
	"slices"
	"sync"

	"github.com/callsheet-go/callsheet"
)

// reopen goes on with the Destination of a restarted process, where there is one.
func (b *bench) reopen() {
	if b.Reopen != nil {
		b.Destination = b.Reopen(b.t)
	}
}

func promiseIsKnown(b *bench) {
	if p := b.Destination.Promise(); p != callsheet.ExactlyOnce && p != callsheet.AtLeastOnce {
		b.Errorf("Promise must be AtLeastOnce or ExactlyOnce, is %q", p)
	}
}

// seeOnce checks that the target holds what a repeated Batch leaves by the promise.
func (b *bench) seeOnce(want ...callsheet.Record) {
	b.Helper()
	if b.Destination.Promise() == callsheet.ExactlyOnce {
		b.seeInAnyOrder(want...)
		return
	}
	got := b.lines(b.read(), false)
	for _, line := range b.lines(want, true) {
		if !slices.Contains(got, line) {
			b.Errorf("a record that was delivered is not there: %s", line)
		}
	}
}

func repeated(b *bench) {
	all := records(3)
	batch := b.batch(all...)
	b.deliver(batch)
	batch.Attempt, batch.Fence = 2, 2
	b.deliver(batch)
	b.seeOnce(all...)
}

func repeatedLater(b *bench) {
	var batches []callsheet.Batch
	var all []callsheet.Record
	for range 5 {
		batch := b.batch(records(2)...)
		batches, all = append(batches, batch), append(all, batch.Records...)
		b.deliver(batch)
	}
	for _, batch := range slices.Backward(batches) {
		b.deliver(batch)
	}
	b.seeOnce(all...)
}

func repeatedAfterRestart(b *bench) {
	if b.Reopen == nil {
		b.Skip("declared: the Destination lives in memory only")
	}
	first, second := b.batch(records(3)...), b.batch(records(2)...)
	all := append(first.Records, second.Records...)
	b.deliver(first)
	b.deliver(second)
	for attempt := 2; attempt <= 3; attempt++ {
		b.reopen()
		b.seeOnce(all...)
		first.Attempt, first.Fence = attempt, int64(attempt)
		b.deliver(first)
		b.seeOnce(all...)
	}
	more := records(1)
	b.deliver(b.batch(more...))
	b.seeOnce(append(all, more...)...)
}

func repeatedByStaleWorker(b *bench) {
	batch := b.batch(records(3)...)
	batch.Attempt, batch.Fence = 2, 2
	b.deliver(batch)
	stale := batch
	stale.Attempt, stale.Fence, stale.Records = 1, 1, records(5)
	_ = b.Destination.Deliver(b.Context(), stale) // refused or taken for the repeat that it is
	b.seeFirst(batch.Records...)
}

func repeatedByNextWorker(b *bench) {
	batch := b.batch(records(3)...)
	b.deliver(batch)
	next := batch
	next.Attempt, next.Fence, next.Records = 2, 2, records(5)
	b.deliver(next)
	b.seeFirst(batch.Records...)
	next.Attempt, next.Fence, next.Records = 3, 3, nil
	b.deliver(next)
	b.seeFirst(batch.Records...)
}

// seeFirst checks that what the first delivery of a Batch left is there; by the promise the
// records of others may be, too.
func (b *bench) seeFirst(first ...callsheet.Record) {
	b.Helper()
	if b.Destination.Promise() == callsheet.ExactlyOnce {
		b.see(first...)
		return
	}
	b.seeOnce(first...)
}

func repeatedAtOnce(b *bench) {
	const rounds, attempts = 10, 4
	for range rounds {
		batch := b.batch()
		answers := make([][]callsheet.Record, attempts)
		before := b.lines(b.read(), false)
		done := make(chan struct{}, attempts)
		var workers sync.WaitGroup
		for i := range attempts {
			answers[i] = records(3 + i)
			workers.Go(func() {
				batch := batch
				batch.Attempt, batch.Fence, batch.Records = i+1, int64(i+1), answers[i]
				err := b.Destination.Deliver(b.Context(), batch)
				last := i == attempts-1 // the others may be refused for their fence
				if err != nil && last {
					b.Errorf("attempt %d: %v", i+1, err)
				}
				if err == nil || last {
					done <- struct{}{}
				}
			})
		}
		<-done
		early := b.readAtOnce()
		workers.Wait()
		b.seeOneOf(before, early, answers)
	}
}

// readAtOnce reads while others deliver the same Batch again. Where that may leave records twice there
// is nothing to see before they are done.
func (b *bench) readAtOnce() []string {
	if b.Destination.Promise() != callsheet.ExactlyOnce {
		return nil
	}
	return b.lines(b.read(), false)
}

// seeOneOf checks that the target holds, besides what was there before, one of the answers whole,
// and by the promise no other, and the one that was seen early.
func (b *bench) seeOneOf(before, early []string, answers [][]callsheet.Record) {
	b.Helper()
	now := b.lines(b.read(), false)
	exactly := b.Destination.Promise() == callsheet.ExactlyOnce
	if exactly {
		b.compare(early, slices.Clone(now), true)
	}
	for _, answer := range answers {
		whole := true
		for _, line := range b.lines(answer, true) {
			whole = whole && slices.Contains(now, line)
		}
		if whole && (!exactly || len(now) == len(before)+len(answer)) {
			return
		}
	}
	b.Errorf("of %d attempts at once the target holds none whole and alone: %d records more than before", len(answers), len(now)-len(before))
}
