package extract

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"
)

// An Extractor turns the bytes of an answer into records.
//
// Extract may be called from several goroutines at once. It neither changes answer nor keeps it or any
// part of it, so a caller may use the bytes again. It returns every record or an error and none, and the
// same answer gives the same records in the same order. When ctx ends it returns soon, with an error
// that wraps ctx's. Other errors mean that the answer is not what was expected, and that trying again
// with the same bytes is of no use; those of this package are [*Error].
type Extractor interface {
	Extract(ctx context.Context, answer []byte) ([]Record, error)
}

// ErrNotFound is the error of a path that has to select something and does not: a required field, or
// the list of records.
var ErrNotFound = errors.New("nothing there")

// A JSONPathExtractor extracts by the paths of a [Mapping], from JSON. It is an [Extractor].
type JSONPathExtractor struct {
	prefix, rest *query // of the path to the records: the part that must be found, and what is left
	records      string
	fields       []field
	visits       int // what the fields of one record add to the budget
}

type field struct {
	Field
	query *query
}

// JSONPath compiles a mapping, once for any number of answers. Its errors are those of [Mapping.Validate].
func JSONPath(m Mapping) (*JSONPathExtractor, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	m = m.Canonical()
	x := &JSONPathExtractor{records: m.Records}
	if x.records == "" {
		x.records = "$"
	}
	path, err := CompilePath(x.records)
	if err != nil {
		return nil, err
	}
	segments := path.query.segments
	found := singularPrefix(segments)
	if x.prefix, err = newQuery(segments[:found]); err != nil {
		return nil, err
	}
	if x.rest, err = newQuery(segments[found:]); err != nil {
		return nil, err
	}
	for _, f := range m.Fields {
		path, err := CompilePath(f.Path)
		if err != nil {
			return nil, err
		}
		x.fields = append(x.fields, field{f, path.query})
		x.visits += visitsPerField + len(path.query.segments)
	}
	return x, nil
}

// Extract implements [Extractor]. The answer is decoded once, and every path runs on what that gives.
// Decoding and paths end soon after ctx does.
func (x *JSONPathExtractor) Extract(ctx context.Context, answer []byte) ([]Record, error) {
	doc, err := decode(ctx, answer)
	if err != nil {
		return nil, &Error{Record: -1, Sample: near(answer, err), Err: err}
	}
	e := newEvaluation(ctx, doc)
	nodes, err := x.nodes(e)
	if err != nil {
		return nil, &Error{Record: -1, Path: x.records, Sample: sample(doc.root), Err: err}
	}
	records := make([]Record, len(nodes))
	for i, node := range nodes {
		if err := ctx.Err(); err != nil {
			return nil, &Error{Record: i, Err: err}
		}
		if records[i], err = x.record(e, i, node); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// nodes finds the records in the document.
func (x *JSONPathExtractor) nodes(e *evaluation) ([]any, error) {
	base, found, err := x.prefix.first(e, e.root)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNotFound
	}
	if len(x.rest.segments) == 0 {
		switch base := base.(type) {
		case nil:
			return nil, nil
		case []any:
			return base, nil
		default:
			return []any{base}, nil
		}
	}
	return x.rest.all(e, base)
}

func (x *JSONPathExtractor) record(e *evaluation, index int, node any) (Record, error) {
	if len(x.fields) == 0 {
		record, err := wholeRecord(e, node)
		if err != nil {
			return Record{}, &Error{Record: index, Path: x.records, Err: err}
		}
		return record, nil
	}
	e.root = node
	e.left += x.visits
	values := make([]Value, len(x.fields))
	for i, f := range x.fields {
		value, err := f.value(e, node)
		if err != nil {
			return Record{}, &Error{Record: index, Field: f.Name, Path: f.Path, Sample: sample(node), Err: err}
		}
		values[i] = Value{Name: f.Name, Value: value}
	}
	return Record{values}, nil
}

func wholeRecord(e *evaluation, node any) (Record, error) {
	if object, ok := node.(map[string]any); ok {
		return exportObject(object, e.visit)
	}
	value, err := export(node, e.visit)
	return Record{[]Value{{Name: "value", Value: value}}}, err
}

func (f field) value(e *evaluation, record any) (any, error) {
	var value any
	var found bool
	var err error
	if f.query.singular {
		value, found, err = f.one(e, record)
	} else {
		value, found, err = f.list(e, record)
	}
	switch {
	case err != nil:
		return nil, err
	case found:
		return value, nil
	case f.Required:
		return nil, ErrNotFound
	case f.Default != nil:
		return f.Default, nil
	default:
		return value, nil
	}
}

func (f field) one(e *evaluation, record any) (value any, found bool, err error) {
	node, found, err := f.query.first(e, record)
	if err != nil || !found {
		return nil, false, err
	}
	value, err = export(node, e.visit)
	return value, true, err
}

func (f field) list(e *evaluation, record any) (value any, found bool, err error) {
	values, err := f.query.values(e, record)
	return values, len(values) > 0, err
}

// An Error says which record, field and path of an answer failed. errors.Is and errors.As see its
// reason: [*SyntaxError], [ErrNotFound], [ErrBudget] or the context's.
type Error struct {
	Record int    // the index of the record, -1 where it is about the answer as a whole
	Field  string // the name of the field, empty where it is about the record
	Path   string
	Sample string // the beginning of the value looked at, at most 120 bytes
	Err    error
}

func (e *Error) Error() string {
	text := "extract"
	if e.Record >= 0 {
		text += fmt.Sprintf(" record %d", e.Record)
	}
	if e.Field != "" {
		text += fmt.Sprintf(", field %q", e.Field)
	}
	if e.Path != "" {
		text += " at " + shorten(e.Path)
	}
	text += ": " + e.Err.Error()
	if e.Sample != "" {
		text += ", in " + e.Sample
	}
	return text
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// near is the part of an answer where a syntax error stands.
func near(answer []byte, err error) string {
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		return ""
	}
	const before = 40
	start := max(0, syntax.Offset-before)
	for start < syntax.Offset && !utf8.RuneStart(answer[start]) {
		start++
	}
	return shorten(appendString(nil, shorten(answer[start:])))
}
