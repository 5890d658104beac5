package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
// Every record has every field, whatever the document leaves out: columns never shift. Nor does a field
// change its type with the number of values there are: the path decides. If it has names and indices only
// ([Path.Singular]) the field's value is what it selects, or null. Any other path may select several
// values, and the field's value is always a []any of them, also where there is one or none.
//
// A null in the document is a value, not a missing one: it satisfies Required and is not replaced by
// Default.
type Field struct {
	Name string `json:"name"`

	// Path is a JSONPath in which $ is the record.
	Path string `json:"path"`

	// Type is what the value is made: a [Type], or empty for what stands in the document.
	Type Type `json:"type,omitempty"`

	// Required makes it an error when Path selects nothing.
	Required bool `json:"required,omitempty"`

	// Default is the field's value when Path selects nothing and Required is false, also for a path
	// that else gives a list; nil is none. It may be whatever [encoding/json] can write. Records get
	// what reading that again gives: of the kinds of a [Record], as if it had stood in the document.
	Default any `json:"default,omitempty"`
}

// A Type is what a [Field]'s value is made, whatever stands in the document.
type Type string

// The types of values, and as which Go values a [Record] has them. A null stays null.
const (
	String  Type = "string"  // string
	Integer Type = "integer" // json.Number, whole
	Decimal Type = "decimal" // json.Number, with every digit
	Float   Type = "float"   // float64
	Boolean Type = "boolean" // bool
	Time    Type = "time"    // time.Time
	JSON    Type = "json"    // what stands in the document, of any kind
)

// MarshalJSON writes the field with a default's digits and order, as [Record.AppendJSON] does.
func (f Field) MarshalJSON() ([]byte, error) {
	type plain Field
	text := struct {
		plain
		Default json.RawMessage `json:"default,omitempty"`
	}{plain: plain(f)}
	if f.Default != nil {
		var err error
		if text.Default, err = appendValue(nil, f.Default); err != nil {
			return nil, fmt.Errorf("default of %s: %w", f.Name, err)
		}
	}
	return appendForeign(nil, text)
}

// UnmarshalJSON reads what MarshalJSON writes, and a default as [Parse] does: no digit is lost.
func (f *Field) UnmarshalJSON(data []byte) error {
	type plain Field
	text := struct {
		*plain
		Default json.RawMessage `json:"default"`
	}{plain: (*plain)(f)}
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if text.Default == nil {
		return nil
	}
	doc, err := Parse(text.Default)
	if err != nil {
		return fmt.Errorf("default of %s: %w", f.Name, err)
	}
	f.Default = doc.Value()
	return nil
}

// Canonical returns the mapping as it comes back from JSON: an int 0, a float64 0 and a 0 that was read
// are all [encoding/json.Number] "0", and maps are Records. Two mappings that mean the same by their
// defaults are then equal, so that one written in Go can be compared with one that was kept as JSON.
// A default that JSON cannot say stays as it is; Validate reports it.
func (m Mapping) Canonical() Mapping {
	m.Fields = slices.Clone(m.Fields)
	for i := range m.Fields {
		if value, err := canonical(m.Fields[i].Default); err == nil {
			m.Fields[i].Default = value
		}
	}
	return m
}

// canonical makes a value one of the kinds of a [Record].
func canonical(value any) (any, error) {
	text, err := appendValue(nil, value)
	if err != nil {
		return nil, err
	}
	doc, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return doc.Value(), nil
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
		if _, err := canonical(f.Default); err != nil {
			fault(at+".default", fmt.Sprintf("%T", f.Default), "a default is what JSON can say: "+err.Error())
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
