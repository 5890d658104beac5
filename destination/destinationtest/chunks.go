package destinationtest

import (
	"context"
	"errors"

	"github.com/callsheet-go/callsheet"
)

func chunks(b *bench) {
	all := records(30)
	batch := b.batch()
	for i := range 3 {
		batch.Chunk, batch.Records = i, all[10*i:10*(i+1)]
		b.deliver(batch)
		b.see(all[:10*(i+1)]...)
	}
	b.deliver(batch)
	b.seeOnce(all...)
}

// inChunks returns a Batch for each part of the records, as chunks of one execution.
func (b *bench) inChunks(parts ...[]callsheet.Record) []callsheet.Batch {
	all := make([]callsheet.Batch, len(parts))
	for i, part := range parts {
		all[i] = b.batch()
		all[i].ExecutionID, all[i].ScheduledAt = all[0].ExecutionID, all[0].ScheduledAt
		all[i].Chunk, all[i].Records = i, part
	}
	return all
}

func chunksRepeated(b *bench) {
	first := b.inChunks(records(3), nil, records(2))
	var all []callsheet.Record
	for _, batch := range first {
		b.deliver(batch)
		all = append(all, batch.Records...)
	}
	for attempt := 2; attempt <= 3; attempt++ {
		b.reopen()
		again := b.inChunks(records(4), records(1), nil, records(attempt), records(1))
		for _, batch := range again {
			batch.ExecutionID, batch.ScheduledAt = first[0].ExecutionID, first[0].ScheduledAt
			batch.Attempt, batch.Fence = attempt, int64(attempt)
			b.deliver(batch)
		}
		if attempt == 2 {
			all = append(append(all, again[3].Records...), again[4].Records...)
		}
		b.seeFirst(all...)
	}
}

func chunksOfTwo(b *bench) {
	one, other := b.inChunks(records(2), records(2), records(2)), b.inChunks(records(3), records(3))
	var all []callsheet.Record
	for _, batch := range []callsheet.Batch{one[0], other[0], one[1], other[1], one[2]} {
		b.deliver(batch)
		all = append(all, batch.Records...)
	}
	b.seeInAnyOrder(all...)
	b.deliver(other[0])
	b.deliver(one[1])
	b.seeOnce(all...)
}

func chunkThatFails(b *bench) {
	if b.TakesAll {
		b.Skip("declared: the target takes every Go value")
	}
	chunks := b.inChunks(records(2), append(records(5), b.unwritable()))
	b.deliver(chunks[0])
	if err := b.Destination.Deliver(b.Context(), chunks[1]); err == nil {
		b.Errorf("Deliver of a chunk with a record that cannot be written must return an error, returned nil")
	}
	b.see(chunks[0].Records...)
	b.reopen()
	chunks[1].Records = records(3)
	for _, batch := range chunks {
		batch.Attempt, batch.Fence = 2, 2
		b.deliver(batch)
	}
	b.seeFirst(append(chunks[0].Records, chunks[1].Records...)...)
}

func chunkOfStaleWorker(b *bench) {
	if b.Destination.Promise() != callsheet.ExactlyOnce {
		b.Skip("declared: at least once, so that a page may be there whoever wrote it")
	}
	var before []callsheet.Record
	for _, wrote := range []bool{false, true} { // whether the successor wrote a chunk of its own
		stale := b.inChunks(records(3), records(3), records(3))
		b.deliver(stale[0])
		want := append(before, stale[0].Records...)
		next := b.inChunks(records(4), records(4))
		if !wrote {
			next = next[:1]
		}
		for i := range next {
			next[i].ExecutionID, next[i].ScheduledAt = stale[0].ExecutionID, stale[0].ScheduledAt
			next[i].Attempt, next[i].Fence = 2, 2
			b.deliver(next[i])
		}
		if wrote {
			want = append(want, next[1].Records...)
		}
		for range 2 {
			for _, batch := range stale[len(next):] {
				err := b.Destination.Deliver(b.Context(), batch)
				if !errors.Is(err, callsheet.ErrStaleFence) {
					b.Errorf("Deliver of chunk %d with fence 1, when fence 2 has delivered, must return ErrStaleFence, returned %v", batch.Chunk, err)
				}
			}
			b.see(want...)
			b.reopen()
		}
		last := next[0]
		last.Chunk, last.Records = len(next), records(1)
		b.deliver(last)
		before = append(want, last.Records...)
		b.see(before...)
	}
}

func jointChunk(b *bench) {
	d, joint := b.Destination.(callsheet.JointDestination)
	if !joint {
		b.Skip("declared: the Destination is no JointDestination")
	}
	if b.Join == nil {
		b.Fatalf("the Destination is a JointDestination: the Harness must have Join")
	}
	join := func(batch callsheet.Batch, commit bool) error {
		return b.Join(b.t, func(ctx context.Context, conn any) error { return d.DeliverJoint(ctx, conn, batch) }, commit)
	}
	chunks := b.inChunks(records(2), records(2), records(2))
	b.deliver(chunks[0])
	b.deliver(chunks[1])
	want := append(chunks[0].Records, chunks[1].Records...)
	if err := join(chunks[2], false); err != nil {
		b.Fatalf("DeliverJoint: %v", err)
	}
	b.see(want...) // rolled back: neither records nor a marker
	want = append(want, chunks[2].Records...)
	for range 2 {
		if err := join(chunks[2], true); err != nil {
			b.Fatalf("DeliverJoint: %v", err)
		}
		b.seeOnce(want...)
	}
	b.deliver(chunks[2]) // joint or not, it is known
	b.seeOnce(want...)

	// The next attempt has fewer pages, and its last one is another chunk.
	other := b.inChunks(records(2), records(2), records(2))
	b.deliver(other[0])
	b.deliver(other[1])
	last := other[1]
	last.Attempt, last.Fence, last.Records = 2, 2, records(3)
	if err := join(last, true); err != nil {
		b.Fatalf("DeliverJoint: %v", err)
	}
	want = append(append(want, other[0].Records...), other[1].Records...)
	b.seeOnce(want...)
	if b.Destination.Promise() == callsheet.ExactlyOnce {
		if err := join(other[2], true); !errors.Is(err, callsheet.ErrStaleFence) {
			b.Errorf("DeliverJoint with fence 1, when fence 2 has delivered, must return ErrStaleFence, returned %v", err)
		}
		if err := b.Destination.Deliver(b.Context(), other[2]); !errors.Is(err, callsheet.ErrStaleFence) {
			b.Errorf("Deliver with fence 1, when fence 2 has delivered, must return ErrStaleFence, returned %v", err)
		}
	}
	b.seeOnce(want...)
}
