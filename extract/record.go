package extract

import (
	"iter"
	"slices"
)

// A Record is an ordered list of named values: one row, one document, one thing an API told us.
//
// The values are of these kinds: nil, bool, string, [json.Number] with the digits as received, []any,
// and Record for a nested object with its members in document order. A host may put other Go values in
// (int, float64, time.Time and whatever [encoding/json] can write).
//
// A Record is immutable by convention: nobody changes the slices inside it, so a copy costs one slice
// header and may be used from any goroutine. The zero Record has no values.
type Record struct {
	values []Value
}

// A Value is one named value of a [Record].
type Value struct {
	Name  string
	Value any
}

// NewRecord returns a record of the values in their order. Where a name comes twice the last value wins,
// at the place of the first, as for the members of a JSON object.
func NewRecord(values ...Value) Record {
	return Record{lastWins(slices.Clone(values))}
}

// Get returns the value of that name and whether the record has it. A JSON null is there, and nil.
// It looks through the names in order: a caller who needs most values of a wide record ranges over All.
func (r Record) Get(name string) (any, bool) {
	for i := range r.values {
		if r.values[i].Name == name {
			return r.values[i].Value, true
		}
	}
	return nil, false
}

// All ranges over names and values in order.
func (r Record) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, v := range r.values {
			if !yield(v.Name, v.Value) {
				return
			}
		}
	}
}

// Names returns the names in order, in a slice of the caller's own.
func (r Record) Names() []string {
	names := make([]string, len(r.values))
	for i, v := range r.values {
		names[i] = v.Name
	}
	return names
}

// Len is the number of values.
func (r Record) Len() int { return len(r.values) }

// Map returns the record as a map of the caller's own, with nested records as maps too. The order is lost.
func (r Record) Map() map[string]any {
	m := make(map[string]any, len(r.values))
	for _, v := range r.values {
		m[v.Name] = withMaps(v.Value)
	}
	return m
}

// String is the record as JSON, for logs and failing tests.
func (r Record) String() string {
	text, err := r.AppendJSON(nil)
	if err != nil {
		return "!(" + err.Error() + ")"
	}
	return string(text)
}

func withMaps(v any) any {
	switch v := v.(type) {
	case Record:
		return v.Map()
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = withMaps(element)
		}
		return list
	default:
		return v
	}
}

// lastWins removes repeated names in place. Up to a few dozen names, comparing beats hashing.
func lastWins(values []Value) []Value {
	const few = 32
	kept := values[:0]
	var place map[string]int
	if len(values) > few {
		place = make(map[string]int, len(values))
	}
	for _, v := range values {
		at, found := 0, false
		if place != nil {
			at, found = place[v.Name]
		} else {
			at = slices.IndexFunc(kept, func(k Value) bool { return k.Name == v.Name })
			found = at >= 0
		}
		if found {
			kept[at].Value = v.Value
			continue
		}
		if place != nil {
			place[v.Name] = len(kept)
		}
		kept = append(kept, v)
	}
	clear(values[len(kept):])
	return kept
}
