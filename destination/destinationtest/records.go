package destinationtest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/extract"
)

//go:embed testdata/naughty.json
var naughtyStrings []byte

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
