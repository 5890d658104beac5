package extract

import (
	"errors"
	"fmt"
	"strings"
)

// A Mapping says how records come out of a document: a path to the records and, from each record, a
// list of fields. The zero Mapping takes the elements of an array, or the whole document as one record.
//
// Records with names and indices only must be found, and its value decides: an array's elements are the
// records, null gives none, anything else is one record. With a wildcard, slice, filter or descendant in
// it each selected value is a record and there may be none; the part before the first of these must be
// found all the same, so that an API that renamed its list does not look like an API with an empty one.
type Mapping struct {
	// Records is a JSONPath. Empty means "$".
	Records string `json:"records,omitempty"`

	// Fields are the values of each record, in this order. Without any a record is the whole object in
	// document order; one that is no object becomes a record with the one value "value".
	Fields []Field `json:"fields,omitempty"`
}

// A Field is one named value of each record.
//
// Every record has every field, whatever the document leaves out: columns never shift. One selected
// value is the field's value, several are a []any of them. A null in the document is a value, not a
// missing one: it satisfies Required and is not replaced by Default.
type Field struct {
	Name string `json:"name"`

	// Path is a JSONPath in which $ is the record.
	Path string `json:"path"`

	// Required makes it an error when Path selects nothing.
	Required bool `json:"required,omitempty"`

	// Default is the value when Path selects nothing and Required is false. Records get it as it is,
	// so nobody may change it later.
	Default any `json:"default,omitempty"`
}

// Validate reports everything that is wrong with the mapping: nil, or [*FaultError] values joined.
func (m Mapping) Validate() error {
	var faults []error
	fault := func(field, value, rule string) {
		faults = append(faults, &FaultError{Field: field, Value: value, Rule: rule})
	}
	checkPath := func(field, expr string) {
		_, err := CompilePath(expr)
		var pathErr *PathError
		if errors.As(err, &pathErr) {
			fault(field, expr, pathErr.where())
		}
	}
	if m.Records != "" {
		checkPath("records", m.Records)
	}
	first := make(map[string]int, len(m.Fields))
	for i, f := range m.Fields {
		at := fmt.Sprintf("fields[%d]", i)
		if earlier, taken := first[f.Name]; strings.TrimSpace(f.Name) == "" {
			fault(at+".name", f.Name, "a field needs a name")
		} else if taken {
			fault(at+".name", f.Name, fmt.Sprintf("fields[%d] has this name already", earlier))
		} else {
			first[f.Name] = i
		}
		if f.Path == "" {
			fault(at+".path", "", "a field needs a path, such as $.name")
		} else {
			checkPath(at+".path", f.Path)
		}
	}
	return errors.Join(faults...)
}

// A FaultError is one thing wrong with a [Mapping].
type FaultError struct {
	Field string // where, as in "fields[2].path"
	Value string // what stands there
	Rule  string // what should
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("%s: %q: %s", e.Field, shorten(e.Value), e.Rule)
}
