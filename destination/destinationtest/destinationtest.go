// Package destinationtest proves that a [callsheet.Destination] keeps its contract.
//
//	func TestDestination(t *testing.T) {
//		destinationtest.Run(t, func(t *testing.T) destinationtest.Harness {
//			d := memory.New()
//			return destinationtest.Harness{
//				Destination: d,
//				Delivery:    callsheet.Delivery{ID: "quakes", Target: "quakes"},
//				Read:        func(*testing.T) []callsheet.Record { return d.Records("quakes") },
//				Other:       callsheet.Delivery{ID: "rates", Target: "rates"},
//				ReadOther:   func(*testing.T) []callsheet.Record { return d.Records("rates") },
//				TakesAll:    true,
//			}
//		})
//	}
//
// A Destination that outlives its process has to give Reopen too.
package destinationtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/extract"
)

// Fields are in every record of the suite, in their order: for a Destination whose target has to be made
// beforehand, or is made of them. All values but the first may be null;
// the first is another one in each record of a target.
var Fields = []callsheet.Field{
	{Name: "id", Path: "$.id", Type: extract.String},
	{Name: "text", Path: "$.text", Type: extract.String},
	{Name: "number", Path: "$.number", Type: extract.Decimal}, // of any size and precision
	{Name: "flag", Path: "$.flag", Type: extract.Boolean},
	{Name: "object", Path: "$.object", Type: extract.JSON},
	{Name: "list", Path: "$.list", Type: extract.JSON},
}

// A Harness is one Destination with an empty target, and a way to look at it.
type Harness struct {
	Destination callsheet.Destination
	// Delivery is valid and names the target.
	Delivery callsheet.Delivery
	// Read returns all that a reader of the target sees now: the records of a Batch in their order, and
	// Batches in the order they were delivered. A target that is not there yet has no records.
	Read func(t *testing.T) []callsheet.Record

	// Other is valid and names another target that is empty; ReadOther is its Read. A nil ReadOther declares
	// that the Destination has one target only.
	Other     callsheet.Delivery
	ReadOther func(t *testing.T) []callsheet.Record

	// Reopen returns what a restarted process would have: a new Destination on the same targets. The one
	// before is not used again, and may be closed by Reopen. nil declares that the Destination lives in
	// memory only.
	Reopen func(t *testing.T) callsheet.Destination

	// Unwritable is a record that the target cannot take, best one that is found out late. The zero
	// Record stands for one with a value that has no JSON.
	Unwritable callsheet.Record

	// Invalid are Deliveries that Validate must refuse because of their target.
	Invalid []callsheet.Delivery

	// Join has deliver work in a transaction as a [callsheet.JointStore] would, with the connection that such a Store gives, and
	// commits it, or rolls it back, and returns deliver's error or that of the commit. It is for a
	// [callsheet.JointDestination], which must have it.
	Join func(t *testing.T, deliver func(ctx context.Context, conn any) error, commit bool) error

	// What follows declares what the target cannot keep. Nothing is skipped without it.

	// Text: Read returns every value as the text of a cell: strings as they are, null as "", numbers by
	// their digits, booleans as true and false, objects and lists as JSON.
	Text bool
	// ByValue: numbers and objects come back by what they mean and not as they were spelled: -0 is 0, 1e2 is 100, and
	// the members of an object have any order. Every digit counts all the same.
	ByValue bool
	// NoNUL: strings cannot hold U+0000.
	NoNUL bool
	// Unordered: Read returns the records in any order.
	Unordered bool
	// TakesAll: there is no Unwritable record, because the target takes every Go value.
	TakesAll bool
}

// Run proves the Destinations that newHarness makes, one for each case. newHarness uses t.Cleanup
// to give back what it opened.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("%s: %s", c.name, c.explanation)
				}
			}()
			c.run(&bench{reporter: t, t: t, Harness: newHarness(t)})
		})
	}
}

// A reporter is what a case needs of *testing.T. The suite's own test has another, to see cases fail.
type reporter interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
}

type bench struct {
	reporter
	Harness
	t *testing.T // for the functions of the Harness only
}

func (b *bench) read() []callsheet.Record { return b.Read(b.t) }

// batch returns the first Batch of a new execution.
func (b *bench) batch(records ...callsheet.Record) callsheet.Batch {
	id := uuid.Must(uuid.NewV7())
	seconds, nanoseconds := id.Time().UnixTime()
	return callsheet.Batch{
		Delivery:    b.Delivery,
		ScheduleID:  "destinationtest",
		ExecutionID: id.String(),
		ScheduledAt: time.Unix(seconds, nanoseconds).UTC().Truncate(time.Microsecond),
		Attempt:     1,
		Fence:       1,
		Fields:      slices.Clone(Fields),
		Records:     records,
	}
}

// records returns n different records of every kind of value.
func records(n int) []callsheet.Record {
	all := make([]callsheet.Record, n)
	for i := range all {
		all[i] = record(fmt.Sprintf("%s-%d", uuid.Must(uuid.NewV7()), i), map[string]any{
			"text":   fmt.Sprintf("earthquake no. %d", i),
			"number": json.Number(fmt.Sprintf("%d.50", i)),
			"flag":   i%2 == 0,
			"object": extract.NewRecord(
				extract.Value{Name: "z", Value: json.Number("1e400")},
				extract.Value{Name: "a", Value: nil}),
			"list": []any{json.Number("1.0"), "two", nil, true},
		})
	}
	return all
}

// record returns a record with all Fields, of which values has some; the others are null.
func record(id string, values map[string]any) callsheet.Record {
	values = maps.Clone(values)
	if values == nil {
		values = map[string]any{}
	}
	values["id"] = id
	all := make([]extract.Value, len(Fields))
	for i, f := range Fields {
		all[i] = extract.Value{Name: f.Name, Value: values[f.Name]}
	}
	return extract.NewRecord(all...)
}

func (b *bench) deliver(batch callsheet.Batch) {
	b.Helper()
	if err := b.Destination.Deliver(b.Context(), batch); err != nil {
		b.Fatalf("Deliver of execution %s, chunk %d: %v", batch.ExecutionID, batch.Chunk, err)
	}
}

// see checks that the target holds these records and no others.
func (b *bench) see(want ...callsheet.Record) {
	b.Helper()
	b.compare(b.lines(want, true), b.lines(b.read(), false), b.Unordered)
}

// seeInAnyOrder is see where several delivered at once.
func (b *bench) seeInAnyOrder(want ...callsheet.Record) {
	b.Helper()
	b.compare(b.lines(want, true), b.lines(b.read(), false), true)
}

func (b *bench) compare(want, got []string, unordered bool) {
	b.Helper()
	if unordered {
		slices.Sort(want)
		slices.Sort(got)
	}
	if len(want) != len(got) {
		b.Errorf("the target holds %d records, expected %d", len(got), len(want))
	}
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			b.Errorf("record %d is\n\t%s\nexpected\n\t%s", i, got[i], want[i])
			return
		}
	}
}

// lines returns records as JSON, which says their order, digits and types. What was written is
// turned into text where the target knows nothing else.
func (b *bench) lines(records []callsheet.Record, written bool) []string {
	b.Helper()
	all := make([]string, len(records))
	for i, r := range records {
		if written && b.Text {
			r = asText(r)
		}
		if b.ByValue {
			r = byValue(r).(callsheet.Record)
		}
		line, err := r.AppendJSON(nil)
		if err != nil {
			b.Fatalf("record %d: %v", i, err)
		}
		all[i] = string(line)
	}
	return all
}

// byValue returns a value in the one spelling that all with its meaning have.
func byValue(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, ok := new(big.Rat).SetString(string(v)); ok {
			return n.RatString()
		}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = byValue(v[i])
		}
		return list
	case callsheet.Record:
		var members []extract.Value
		for name, value := range v.All() {
			members = append(members, extract.Value{Name: name, Value: byValue(value)})
		}
		slices.SortStableFunc(members, func(a, b extract.Value) int { return strings.Compare(a.Name, b.Name) })
		return extract.NewRecord(members...)
	}
	return value
}

func asText(r callsheet.Record) callsheet.Record {
	var cells []extract.Value
	for name, value := range r.All() {
		cells = append(cells, extract.Value{Name: name, Value: cell(value)})
	}
	return extract.NewRecord(cells...)
}

func cell(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return string(v)
	case callsheet.Record:
		return v.String()
	}
	text := extract.NewRecord(extract.Value{Value: value}).String()
	return strings.TrimSuffix(strings.TrimPrefix(text, `{"":`), "}")
}
