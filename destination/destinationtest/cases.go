package destinationtest

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
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
	{"whole objects", "an Extract without fields names no columns, its records do", wholeObjects},
	{"large batch", "a page of an API may hold thousands of records", largeBatch},
	{"empty batch", "an answer without records is an answer, and no reason to fail", emptyBatch},
	{"promise", "a host must know what a repeated delivery leaves behind", promiseIsKnown},
	{"repeated", "after a crash between delivering and recording the same Batch is delivered again", repeated},
	{"repeated later", "the repeat may come when other executions have been delivered", repeatedLater},
	{"repeated at once", "a worker that lost its lease may deliver while the next one does", repeatedAtOnce},
	{"chunks", "the chunks of one execution are different Batches", chunks},
	{"many at once", "schedules that share a target deliver at the same time", manyAtOnce},
	{"cancelled", "an execution that was cancelled leaves nothing, and may be delivered by another attempt", cancelled},
	{"records stay the caller's", "the pipeline uses its slices again", recordsStayTheCallers},
	{"valid delivery", "what works must not be refused", validDelivery},
	{"invalid mode", "a mode that the Destination does not know must be refused when the Delivery is defined", invalidMode},
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
		b.Fatal(err)
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
			all = append(all, record(fmt.Sprint(i, s), nil))
		}
	}
	b.deliver(b.batch(all...))
	b.see(all...)
}

func wholeObjects(b *bench) {
	all := records(3)
	batch := b.batch(all...)
	batch.Columns = nil
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
	nothing.Columns = nil
	b.deliver(nothing)
	b.see(all...)
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
	got := b.lines(b.Read(b.T), false)
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

func repeatedAtOnce(b *bench) {
	all := records(10)
	batch := b.batch(all...)
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			batch := batch
			batch.Attempt, batch.Fence = i+1, int64(i+1)
			if err := b.Destination.Deliver(b.Context(), batch); err != nil {
				b.Errorf("attempt %d: %v", i+1, err)
			}
		})
	}
	workers.Wait()
	b.seeOnce(all...)
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
	if !slices.Equal(batch.Columns, Columns) {
		b.Errorf("Deliver changed the columns to %q", batch.Columns)
	}
	for i := range batch.Records {
		batch.Records[i] = record("used again", nil)
	}
	for i := range batch.Columns {
		batch.Columns[i] = "used again"
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
