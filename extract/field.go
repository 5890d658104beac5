package extract

import (
	"errors"
	"time"
)

// An expression is a compiled path of some language. Nodes are the language's own: export makes values
// of them.
type expression interface {
	// single says that the expression gives one node at most, so that a field is that and no list.
	single() bool
	one(e *evaluation, node any) (found any, ok bool, err error)
	all(e *evaluation, node any) ([]any, error)
	// visits is what the expression adds to the budget for each record.
	visits() int
}

// field is a compiled Field.
type field struct {
	Field
	name     string // with those of the fields around it, for errors
	expr     expression
	source   func(Answer) any // of metadata and constants
	convert  converter        // nil where the value stays as it is
	fallback any              // the default, of the field's type
	fields   []*field
}

func compileFields(m Mapping, prefix string, list []Field) ([]*field, error) {
	rows := m.Format == FormatCSV || m.Format == FormatTSV || m.Format == FormatText
	var fields []*field
	for _, f := range list {
		compiled := &field{Field: f, name: prefix + f.Name}
		var err error
		if f.Path != "" {
			if compiled.expr, err = compileExpression(m.Language.orDefault(m.Format), f.Path, f.Type == JSON || len(f.Fields) > 0); err != nil {
				return nil, err
			}
			if x, is := compiled.expr.(*xpathExpression); is {
				x.near = f.Type == Float
			}
			if rows {
				compiled.expr = rowExpression(compiled.expr)
			}
		}
		if compiled.convert, err = newConverter(f); err != nil {
			return nil, err
		}
		if compiled.fallback, err = convertConstant(compiled.convert, f.Default); err != nil {
			return nil, err
		}
		switch {
		case f.From != "":
			compiled.source = metadata[f.From]
		case f.Const != nil:
			constant, err := convertConstant(compiled.convert, f.Const)
			if err != nil {
				return nil, err
			}
			compiled.source = func(Answer) any { return constant }
			compiled.convert = nil
		}
		if compiled.fields, err = compileFields(m, compiled.name+".", f.Fields); err != nil {
			return nil, err
		}
		fields = append(fields, compiled)
	}
	return fields, nil
}

func (f *field) visits() int {
	n := 0
	if f.expr != nil {
		n = f.expr.visits()
	}
	for _, inner := range f.fields {
		n += inner.visits()
	}
	return n
}

// recordOf makes a record of a node. Its errors are of type *Error.
func recordOf(e *evaluation, fields []*field, node any) (Record, error) {
	outer := e.root
	e.root = node
	defer func() { e.root = outer }()
	values := make([]Value, len(fields))
	for i, f := range fields {
		value, err := f.value(e, node)
		if err != nil {
			return Record{}, err
		}
		values[i] = Value{Name: f.Name, Value: value}
	}
	return Record{values}, nil
}

// value is the field's value in a record. Its errors are of type *Error.
func (f *field) value(e *evaluation, record any) (any, error) {
	value, found, err := f.find(e, record)
	if err == nil {
		value, err = f.finish(value, found)
	}
	if err == nil {
		return value, nil
	}
	if inner, ok := errors.AsType[*Error](err); ok {
		return nil, inner // of a field inside this one
	}
	problem := &Error{Field: f.name, Path: f.Path, Sample: sample(record), Err: err}
	if _, wrong := errors.AsType[*TypeError](err); wrong {
		problem.Sample = sample(value)
	}
	return nil, problem
}

// find gives the field's value as it stands in the record. On an error of a conversion it gives the
// value that could not be converted.
func (f *field) find(e *evaluation, record any) (value any, found bool, err error) {
	switch {
	case f.source != nil:
		value := f.source(e.answer)
		return value, value != nil, nil
	case len(f.fields) > 0:
		return f.group(e, record)
	case f.expr.single():
		node, found, err := f.expr.one(e, record)
		if err != nil || !found {
			return nil, false, err
		}
		value, err = export(node, e.visit)
		return value, true, err
	default:
		nodes, err := f.expr.all(e, record)
		if err != nil {
			return nil, false, err
		}
		for i, node := range nodes {
			if nodes[i], err = export(node, e.visit); err != nil {
				return nil, false, err
			}
		}
		return nodes, len(nodes) > 0, nil
	}
}

// group gives the record, or the list of records, that a field with fields of its own is.
func (f *field) group(e *evaluation, record any) (value any, found bool, err error) {
	switch {
	case f.expr == nil:
		value, err = recordOf(e, f.fields, record)
		return value, true, err
	case f.expr.single():
		node, found, err := f.expr.one(e, record)
		if err != nil || !found || node == nil {
			return nil, found, err
		}
		value, err = recordOf(e, f.fields, node)
		return value, true, err
	}
	nodes, err := f.expr.all(e, record)
	if err != nil {
		return nil, false, err
	}
	for i, node := range nodes {
		e.left += f.visits()
		if nodes[i], err = recordOf(e, f.fields, node); err != nil {
			return nil, false, err
		}
	}
	return nodes, len(nodes) > 0, nil
}

// finish gives a value that was found, or not, its type, and what is missing its default. When it fails
// for the type it gives the value as it was.
func (f *field) finish(value any, found bool) (any, error) {
	if found && f.convert != nil {
		converted, ok, err := f.convert.apply(value)
		if err != nil {
			return value, err
		}
		value, found = converted, ok
	}
	switch {
	case found:
		return value, nil
	case f.Required:
		return nil, ErrNotFound
	case f.fallback != nil:
		return f.fallback, nil
	case f.expr != nil && !f.expr.single():
		return []any{}, nil
	default:
		return nil, nil
	}
}

// Metadata is what a [Field] can take From the answer instead of the record.
type Metadata string

// What is known about an answer. What is not known is null.
const (
	ExecutionID Metadata = "execution_id"
	ScheduleID  Metadata = "schedule_id"
	ScheduledAt Metadata = "scheduled_at" // the time the execution was due, in UTC
	URL         Metadata = "url"
	Page        Metadata = "page" // counted from 1
)

var metadata = map[Metadata]func(Answer) any{
	ExecutionID: func(a Answer) any { return textOrNil(a.ExecutionID) },
	ScheduleID:  func(a Answer) any { return textOrNil(a.ScheduleID) },
	ScheduledAt: func(a Answer) any {
		if a.ScheduledAt.IsZero() {
			return nil
		}
		return a.ScheduledAt.UTC()
	},
	URL: func(a Answer) any { return textOrNil(a.URL) },
	Page: func(a Answer) any {
		if a.Page == 0 {
			return nil
		}
		return numberOf(a.Page)
	},
}

func textOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// convertConstant gives a default or a constant the field's type. A list is converted element by element.
func convertConstant(c converter, value any) (any, error) {
	if c == nil || value == nil {
		return value, nil
	}
	converted, ok, err := c.apply(value)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("an empty text is no value of this type")
	}
	return converted, nil
}

// timeText is how times are written where a text is wanted.
func timeText(t time.Time) string { return t.Format(time.RFC3339Nano) }
