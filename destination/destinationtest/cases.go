package destinationtest

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/extract"
)

//go:embed testdata/naughty.json
var naughtyStrings []byte

var cases = []struct {
	name        string
	explanation string
	run         func(*bench)
}{
	{"records can be read", "what Deliver has taken is there for readers, in order, behind what was there", recordsCanBeRead},
	{"digits", "a number that lost digits is another number: prices, IDs and coordinates must survive", digits},
	{"nulls", "null, and text that is empty or looks like null, must not become something else", nulls},
	{"nested values", "objects and lists inside a record are data too, with their order and digits", nestedValues},
	{"strings of all kinds", "an API may send any text, and none of it may break a file or a statement", stringsOfAllKinds},
	{"whole objects", "an Extract without fields names no fields, its records do", wholeObjects},
	{"large batch", "a page of an API may hold thousands of records", largeBatch},
	{"empty batch", "an answer without records is an answer, and no reason to fail", emptyBatch},
	{"two targets", "schedules with different targets must not find each other's records in theirs", twoTargets},
	{"unwritable record", "a Batch is delivered whole or not at all, also when its last record is the bad one", unwritableRecord},
	{"promise", "a host must know what a repeated delivery leaves behind", promiseIsKnown},
	{"repeated", "after a crash between delivering and recording the same Batch is delivered again", repeated},
	{"repeated later", "the repeat may come when other executions have been delivered", repeatedLater},
	{"repeated after a restart", "a process that crashed between delivering and recording is another one when it repeats", repeatedAfterRestart},
	{"repeated by a stale worker", "a worker that lost its lease may deliver last, with the answer it got, and what is recorded must stay", repeatedByStaleWorker},
	{"repeated by the next worker", "the next attempt asks again and gets another answer, but the first was delivered and may have been read", repeatedByNextWorker},
	{"repeated at once", "a worker that lost its lease may deliver while the next one does, and what a reader then sees must stay", repeatedAtOnce},
	{"chunks", "the chunks of one execution are different Batches", chunks},
	{"chunks repeated", "the next attempt delivers all pages anew, those that are there and those that are not", chunksRepeated},
	{"chunks of two executions", "pages of schedules that share a target come in turns", chunksOfTwo},
	{"chunk that fails", "what was delivered of an execution stays when a later page cannot be, and that may be better the next time", chunkThatFails},
	{"chunk of a stale worker", "a worker that lost its lease may have more pages than its successor, and they must not be added to those", chunkOfStaleWorker},
	{"joint chunk", "the last page may be delivered with the recording of the execution, those before it cannot be", jointChunk},
	{"many at once", "schedules that share a target deliver at the same time", manyAtOnce},
	{"cancelled", "an execution that was cancelled leaves nothing, and may be delivered by another attempt", cancelled},
	{"records stay the caller's", "the pipeline uses its slices again", recordsStayTheCallers},
	{"valid delivery", "what works must not be refused", validDelivery},
	{"invalid mode", "a mode that the Destination does not know must be refused when the Delivery is defined", invalidMode},
	{"invalid key", "a key that cannot work, or that would be ignored, must be refused when the Delivery is defined", invalidKey},
	{"preview leaves nothing behind", "who asks what would happen must find everything as it was, and deliver afterwards", previewLeavesNothing},
	{"preview is right", "what a preview counts must be what the delivery then does", previewIsRight},
	{"preview of an unwritable record", "a preview is for finding out what does not fit, all of it and why", previewOfUnwritable},
	{"preview of an invalid delivery", "what cannot be delivered must not look as if it could", previewOfInvalid},
	{"preview cancelled", "a person waits for a preview, and may go away", previewCancelled},
	{"invalid targets", "a target that cannot work must be refused when the Delivery is defined", invalidTargets},
}

func recordsCanBeRead(b *bench) {
	first, second := records(3), records(2)
	b.see()
	b.deliver(b.batch(first...))
	b.see(first...)
	b.deliver(b.batch(second...))
	b.see(append(first, second...)...)
}

func digits(b *bench) {
	var all []callsheet.Record
	for i, n := range []json.Number{
		"0", "-0", "1.10", "100", "9007199254740993", "-170141183460469231731687303715884105728",
		"0.1", "0.30000000000000004", "3.141592653589793238462643383279", "0.000001",
	} {
		all = append(all, record(fmt.Sprint(i), map[string]any{"number": n}))
	}
	b.deliver(b.batch(all...))
	b.see(all...)
}

func nulls(b *bench) {
	all := []callsheet.Record{
		record("null", nil),
		record("empty", map[string]any{"text": ""}),
		record("null as text", map[string]any{"text": "null"}),
		record("NULL as text", map[string]any{"text": "NULL"}),
		record(`\N as text`, map[string]any{"text": `\N`}),
		record("zero", map[string]any{"number": json.Number("0"), "flag": false}),
		record("", nil),
	}
	b.deliver(b.batch(all...))
	b.see(all...)
}

func nestedValues(b *bench) {
	deep := extract.NewRecord(
		extract.Value{Name: "zulu", Value: json.Number("1.10")},
		extract.Value{Name: "alpha", Value: []any{extract.NewRecord(extract.Value{Name: "quote", Value: `"<&>,` + "\n"})}},
		extract.Value{Name: "", Value: nil})
	all := []callsheet.Record{
		record("object", map[string]any{"object": deep}),
		record("list", map[string]any{"list": []any{deep, []any{}, nil, json.Number("1e2"), false, "x"}}),
		record("empty", map[string]any{"object": extract.NewRecord(), "list": []any{}}),
	}
	b.deliver(b.batch(all...))
	b.see(all...)
}

func stringsOfAllKinds(b *bench) {
	var naughty []string
	if err := json.Unmarshal(naughtyStrings, &naughty); err != nil {
		b.Fatalf("the suite's own strings: %v", err)
	}
	naughty = append(naughty,
		"a,b", `a"b`, `"`, "a\nb", "a\r\nb", "a\rb", "\n", "\r", " a ", "\t", "\ufeffa", "\u2028\u2029", "\u0085",
		`\`, `\.`, `\n`, "'", "--", "a;b", "\x01\x1f\x7f", "\U0010ffff", strings.Repeat("long ", 20_000))
	if !b.NoNUL {
		naughty = append(naughty, "\x00", "a\x00b")
	}
	var all []callsheet.Record
	for i, s := range naughty {
		all = append(all, record(fmt.Sprint(i), map[string]any{"text": s, "list": []any{s}}))
		if len(s) < 1000 {
			all = append(all, record(fmt.Sprintf("%d: %s", i, s), nil))
		}
	}
	b.deliver(b.batch(all...))
	b.see(all...)
}

func wholeObjects(b *bench) {
	all := records(3)
	batch := b.batch(all...)
	batch.Fields = nil
	b.deliver(batch)
	b.see(all...)
}

func largeBatch(b *bench) {
	all := records(5000)
	b.deliver(b.batch(all...))
	b.see(all...)
}

func emptyBatch(b *bench) {
	empty := b.batch()
	b.deliver(empty)
	b.see()
	b.deliver(empty)
	all := records(2)
	b.deliver(b.batch(all...))
	nothing := b.batch()
	nothing.Fields = nil
	b.deliver(nothing)
	b.see(all...)
}

func twoTargets(b *bench) {
	if b.ReadOther == nil {
		b.Skip("declared: the Destination has one target")
	}
	here, there := records(3), records(2)
	elsewhere := func(records ...callsheet.Record) callsheet.Batch {
		batch := b.batch(records...)
		batch.Delivery = b.Other
		return batch
	}
	seeThere := func(want ...callsheet.Record) {
		b.compare(b.lines(want, true), b.lines(b.ReadOther(b.t), false), b.Unordered)
	}
	b.deliver(b.batch(here...))
	seeThere()
	b.deliver(elsewhere(there...))
	b.see(here...)
	seeThere(there...)
	more := records(1)
	b.deliver(b.batch(more...))
	b.see(append(here, more...)...)
	seeThere(there...)
}

func unwritableRecord(b *bench) {
	if b.TakesAll {
		b.Skip("declared: the target takes every Go value")
	}
	unwritable := b.unwritable()
	var before []callsheet.Record
	for range 2 { // in a target that is not there yet, and in one that is
		bad := b.batch(append(records(20), unwritable)...)
		for range 2 {
			if err := b.Destination.Deliver(b.Context(), bad); err == nil {
				b.Errorf("Deliver of a Batch with a record that cannot be written must return an error, returned nil")
			}
			b.see(before...)
		}
		b.reopen()
		b.see(before...)

		// The next attempt of the same execution may do better.
		good := bad
		good.Attempt, good.Fence, good.Records = 2, 2, records(2)
		b.deliver(good)
		before = append(before, good.Records...)
		b.see(before...)
	}
}

func (b *bench) unwritable() callsheet.Record {
	if b.Unwritable.Len() > 0 {
		return b.Unwritable
	}
	return record("unwritable", map[string]any{"object": make(chan int)})
}

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

func manyAtOnce(b *bench) {
	const deliveries = 40
	batches := make([]callsheet.Batch, deliveries)
	var all []callsheet.Record
	for i := range batches {
		batches[i] = b.batch(records(5)...)
		all = append(all, batches[i].Records...)
	}
	var workers sync.WaitGroup
	for _, batch := range batches {
		workers.Go(func() {
			if err := b.Destination.Deliver(b.Context(), batch); err != nil {
				b.Errorf("execution %s: %v", batch.ExecutionID, err)
			}
		})
	}
	workers.Wait()
	b.seeInAnyOrder(all...)
}

func cancelled(b *bench) {
	before := records(1)
	b.deliver(b.batch(before...))

	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	batch := b.batch(records(3)...)
	if err := b.Destination.Deliver(ctx, batch); !errors.Is(err, context.Canceled) {
		b.Errorf("Deliver with an ended context must return its error, returned %v", err)
	}
	b.see(before...)

	b.deliver(batch)
	b.see(append(before, batch.Records...)...)
}

func recordsStayTheCallers(b *bench) {
	all := records(3)
	batch := b.batch(slices.Clone(all)...)
	b.deliver(batch)
	for i, r := range batch.Records {
		if r.String() != all[i].String() {
			b.Errorf("Deliver changed record %d to %s", i, r)
		}
	}
	if !reflect.DeepEqual(batch.Fields, Fields) {
		b.Errorf("Deliver changed the fields to %v", batch.Fields)
	}
	for i := range batch.Records {
		batch.Records[i] = record("used again", nil)
	}
	for i := range batch.Fields {
		batch.Fields[i] = callsheet.Field{Name: "used again"}
	}
	b.see(all...)
	more := records(1)
	b.deliver(b.batch(more...))
	b.see(append(all, more...)...)
}

func validDelivery(b *bench) {
	if err := b.Destination.Validate(b.Delivery); err != nil {
		b.Errorf("a valid Delivery was refused: %v", err)
	}
}

func invalidMode(b *bench) {
	d := b.Delivery
	d.Mode = "sideways"
	b.expectFaults(d, "mode")
}

func invalidKey(b *bench) {
	d := b.Delivery
	d.Key = []string{""}
	b.expectFaults(d, "key")
}

func invalidTargets(b *bench) {
	for _, d := range b.Invalid {
		b.expectFaults(d, "target")
		d.Mode = "sideways"
		b.expectFaults(d, "target", "mode")
	}
}

// expectFaults checks that Validate names these fields, each with the rule it breaks.
func (b *bench) expectFaults(d callsheet.Delivery, fields ...string) {
	b.Helper()
	err := b.Destination.Validate(d)
	faults := callsheet.ValidationErrors(err)
	for _, field := range fields {
		i := slices.IndexFunc(faults, func(f *callsheet.ValidationError) bool { return f.Field == field })
		if i < 0 {
			b.Errorf("Validate of target %q, mode %q must return a ValidationError for %q, returned %v", d.Target, d.Mode, field, err)
			continue
		}
		if want := (callsheet.Ref{Kind: callsheet.KindDelivery, ID: d.ID}); faults[i].Ref != want {
			b.Errorf("the fault must say whose field it is: %s, says %s", want, faults[i].Ref)
		}
		if faults[i].Rule == "" {
			b.Errorf("the fault must say what would be right: %v", faults[i])
		}
	}
}
