package extract

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A Mapping says how records come out of an answer: the format the answer is in, a path to the records
// and, from each record, a list of fields. The zero Mapping takes the elements of an array of JSON, or
// the whole document as one record.
type Mapping struct {
	// Format is what the answer is written in. Empty is [FormatJSON].
	Format Format `json:"format,omitempty"`

	// Language is that of Records and of the fields' paths. Empty is [XPath] for XML, else [JSONPath].
	Language Language `json:"language,omitempty"`

	// Records is the path to the records. Empty is all there is: the elements of an array, else the
	// document; the rows of a table; the root element of XML. In NDJSON it is applied to each line.
	//
	// A JSONPath with names and indices only must be found, and its value decides: an array's elements
	// are the records, null gives none, anything else is one record. With a wildcard, slice, filter or
	// descendant in it each selected value is a record and there may be none; the part before the first
	// of these must be found all the same, so that an API that renamed its list does not look like an
	// API with an empty one.
	//
	// Each output of a jq program, and each node of an XPath, is a record. Of an XPath that begins with plain
	// names, as /rss/channel/item, those before the last step must be found, and that of the root. A root
	// <html> is an error unless the path names it.
	Records string `json:"records,omitempty"`

	// Fields are the values of each record, in this order. Without any a record is the whole object in
	// document order, or all columns of a row; one that is no object becomes a record with the one value
	// "value". XML needs fields.
	Fields []Field `json:"fields,omitempty"`

	// BadRecords says what becomes of a record that fails. Empty is [FailRecords].
	BadRecords BadRecords `json:"bad_records,omitempty"`

	// CSV says how a table is written, for [FormatCSV] and [FormatTSV].
	CSV CSV `json:"csv,omitzero"`

	// Pattern is a regular expression of package regexp, for [FormatText]. Each line that it matches is a
	// record of its named groups.
	Pattern string `json:"pattern,omitempty"`
}

// A Format is what an answer is written in.
type Format string

// The formats. Rows of CSV, TSV and text are objects of texts: $.name is the column or group of that name.
const (
	FormatJSON   Format = "json"
	FormatNDJSON Format = "ndjson" // one JSON text a line; blank lines are passed over
	FormatCSV    Format = "csv"    // RFC 4180, with a header
	FormatTSV    Format = "tsv"    // the same with tabs
	FormatXML    Format = "xml"    // also RSS, Atom and SOAP
	FormatText   Format = "text"   // lines
)

// A Language is one that paths are written in.
type Language string

// The languages.
const (
	JSONPath Language = "jsonpath" // RFC 9535
	JQ       Language = "jq"
	XPath    Language = "xpath" // 1.0, for XML
)

func (l Language) orDefault(f Format) Language {
	switch {
	case l != "":
		return l
	case f == FormatXML:
		return XPath
	default:
		return JSONPath
	}
}

// recordsPath is the path to the records, also where it is left empty.
func (m Mapping) recordsPath() string {
	switch {
	case m.Records != "":
		return m.Records
	case m.Format == FormatXML:
		return "/*"
	case m.Language == JQ:
		return "."
	default:
		return "$"
	}
}

// BadRecords says what becomes of a record that fails: one that lacks a required field, has a value of
// another type than its field's, or is a line that cannot be read.
type BadRecords string

// What becomes of a record that fails.
const (
	FailRecords BadRecords = "fail" // the whole answer fails
	SkipRecords BadRecords = "skip" // it is set aside and counted, see [Result]
)

// CSV says how a table is written.
type CSV struct {
	// Delimiter is the character between two cells. Empty is a comma, or the tab of a TSV.
	Delimiter string `json:"delimiter,omitempty"`

	// SkipLines is how many lines before the header are passed over, at most 1,000.
	SkipLines int `json:"skip_lines,omitempty"`

	// Columns names the columns of a table without a header.
	Columns []string `json:"columns,omitempty"`
}

// A Field is one named value of each record. It comes from one of four: a Path into the record, the
// Metadata of the answer, a Const, or Fields of its own.
//
// Every record has every field, whatever the document leaves out: columns never shift. Nor does a field
// change its type with the number of values there are: the path decides. A JSONPath of names and indices
// only ([Path.Singular]) gives what it selects, or null. Any other JSONPath may select several values,
// and always gives a []any of them, also where there is one or none. A jq program gives its one output; an
// XPath the text of its one node, more than one being an error, or with Type [JSON] or Fields a []any of all.
//
// A JSONPath of one name, in a table, must be one of its columns, or the answer fails, unless there is a Default.
//
// A null in the document is a value, not a missing one: it satisfies Required and is not replaced by
// Default.
type Field struct {
	Name string `json:"name"`

	// Path is an expression of the mapping's language. In a JSONPath $ is the record.
	Path string `json:"path,omitempty"`

	// From takes the value from the answer instead.
	From Metadata `json:"from,omitempty"`

	// Const is the value itself. It may be whatever a Default may be.
	Const any `json:"const,omitempty"`

	// Fields make the value a record of its own. In their paths $ is what Path selects: the value is a
	// list of records where Path gives a list. Without a Path $ is that of this field.
	Fields []Field `json:"fields,omitempty"`

	// Type is what the value is made: a [Type], or empty for what stands in the document.
	Type Type `json:"type,omitempty"`

	// Format is that of a [Time]: rfc3339 (which empty is), iso8601, rfc1123, date, datetime, unix,
	// unix_ms, unix_us, unix_ns, or a layout of package time.
	Format string `json:"format,omitempty"`

	// Zone is the IANA name of the time zone that a [Time] is given out in, and in which one is read that
	// names none itself. Empty is UTC.
	Zone string `json:"zone,omitempty"`

	// Required makes it an error when the value is missing: when Path selects nothing.
	Required bool `json:"required,omitempty"`

	// Default is the field's value when it is missing and Required is false, also for a path
	// that else gives a list; nil is none. It may be whatever [encoding/json] can write. Records get
	// what reading that again gives: of the kinds of a [Record], as if it had stood in the document,
	// and of the field's type.
	Default any `json:"default,omitempty"`
}

// MarshalJSON writes the field with the digits and the order of a constant and a default, as
// [Record.AppendJSON] does.
func (f Field) MarshalJSON() ([]byte, error) {
	type plain Field
	text := struct {
		plain
		Const   json.RawMessage `json:"const,omitempty"`
		Default json.RawMessage `json:"default,omitempty"`
	}{plain: plain(f)}
	for _, v := range []struct {
		name  string
		value any
		text  *json.RawMessage
	}{{"const", f.Const, &text.Const}, {"default", f.Default, &text.Default}} {
		if v.value == nil {
			continue
		}
		var err error
		if *v.text, err = appendValue(nil, v.value); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", v.name, f.Name, err)
		}
	}
	return appendForeign(nil, text)
}

// UnmarshalJSON reads what MarshalJSON writes, a constant and a default as [Parse] does: no digit is lost.
func (f *Field) UnmarshalJSON(data []byte) error {
	type plain Field
	text := struct {
		*plain
		Const   json.RawMessage `json:"const"`
		Default json.RawMessage `json:"default"`
	}{plain: (*plain)(f)}
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	for _, v := range []struct {
		name  string
		text  json.RawMessage
		value *any
	}{{"const", text.Const, &f.Const}, {"default", text.Default, &f.Default}} {
		if v.text == nil {
			continue
		}
		doc, err := Parse(v.text)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", v.name, f.Name, err)
		}
		*v.value = doc.Value()
	}
	return nil
}

// Canonical returns the mapping as it comes back from JSON: an int 0, a float64 0 and a 0 that was read
// are all [encoding/json.Number] "0", and maps are Records. Two mappings that mean the same by their
// constants and defaults are then equal, so that one written in Go can be compared with one that was kept
// as JSON. A value that JSON cannot say stays as it is; Validate reports it.
func (m Mapping) Canonical() Mapping {
	m.Fields = canonicalFields(m.Fields)
	return m
}

func canonicalFields(fields []Field) []Field {
	fields = slices.Clone(fields)
	for i := range fields {
		f := &fields[i]
		for _, value := range []*any{&f.Const, &f.Default} {
			if c, err := canonical(*value); err == nil {
				*value = c
			}
		}
		f.Fields = canonicalFields(f.Fields)
	}
	return fields
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
