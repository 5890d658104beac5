package callsheet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet/extract"
)

// A Record is one extracted row: an ordered list of named values. See [extract.Record].
type Record = extract.Record

// A Field says how one named value comes out of a record: its name, a path, its type, whether it is
// required, and a default for where the path finds nothing. See [extract.Field].
type Field = extract.Field

// An Extract says how records come out of an answer: its format, a path to the records, then a field
// list that is applied to each. Without fields a record is the whole object.
// The rules are those of [extract.Mapping].
type Extract struct {
	// ID is the caller's slug, or a UUIDv7 given by Create when left empty.
	ID     string            `json:"id"`
	Name   string            `json:"name,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`

	// Format is what the answer is written in, JSON when left empty; Language that of the paths,
	// JSONPath (or XPath for XML) when left empty, or one of the host's own ([WithExtractor]).
	Format   extract.Format   `json:"format,omitempty"`
	Language extract.Language `json:"language,omitempty"`
	// CSV says how a table is written, Pattern which lines of a text are records.
	CSV     extract.CSV `json:"csv,omitzero"`
	Pattern string      `json:"pattern,omitempty"`

	// Records is the path to the records. Empty means "$": the answer's elements if it is an
	// array, else the answer itself.
	Records string `json:"records,omitempty"`
	// Fields are the named values of a record, in their order. In their paths $ is the record, not
	// the answer. Empty means the whole object.
	Fields []Field `json:"fields,omitempty"`
	// BadRecords says whether a record that fails is the end of the attempt, which is the default, or
	// is set aside and counted.
	BadRecords extract.BadRecords `json:"bad_records,omitempty"`

	// Version counts the edits, from 1. Update takes the version that was read.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// Meta implements [Entity].
func (e *Extract) Meta() Meta {
	return Meta{Kind: KindExtract, ID: &e.ID, Labels: e.Labels,
		Version: &e.Version, CreatedAt: &e.CreatedAt, UpdatedAt: &e.UpdatedAt}
}

// selectsJSON reports whether records are parts of a JSON text, found by one of the package's own languages.
func (e *Extract) selectsJSON() bool {
	return (e.Format == "" || e.Format == extract.FormatJSON) && slices.Contains([]extract.Language{"", extract.JSONPath, extract.JQ}, e.Language)
}

// countsItems reports whether each item of a list in an answer is a record: nothing is left out or unfolded on the way.
func (e *Extract) countsItems(body []byte) bool {
	records := ""
	if e != nil {
		switch e.Format {
		case "", extract.FormatJSON:
		case extract.FormatXML:
			// Without a path the record is the answer's root.
			return e.Records != "" && !strings.Contains(e.Records, "[") && (e.Language == "" || e.Language == extract.XPath)
		default:
			return e.Records == ""
		}
		if e.Language != "" && e.Language != extract.JSONPath {
			return false
		}
		records = e.Records
	}
	if records == "" || records == "$" {
		body = bytes.TrimLeft(body, " \t\r\n\ufeff")
		return len(body) > 0 && body[0] == '['
	}
	return isList(records)
}

// Mapping returns e as the extract package takes it.
func (e Extract) Mapping() extract.Mapping {
	return extract.Mapping{
		Format: e.Format, Language: e.Language, CSV: e.CSV, Pattern: e.Pattern,
		Records: e.Records, Fields: e.Fields, BadRecords: e.BadRecords,
	}
}

// A CompileExtract makes the Extractor of a mapping in a language of the host's own. It is called when an Extract is defined, to find
// out what is wrong with it (an [*extract.FaultError] names the field), and once on each node that runs it. See
// [WithExtractor].
type CompileExtract func(m extract.Mapping) (extract.Extractor, error)

// extractLanguages are the languages of the host's own.
type extractLanguages map[extract.Language]CompileExtract

// validate returns what is wrong with a mapping. Of one in a language of the host's own, the paths are for the host to judge.
func (l extractLanguages) validate(m extract.Mapping) error {
	if l[m.Language] == nil {
		return m.Validate()
	}
	_, err := l.compile(m)
	shape := extract.Mapping{Fields: withoutPaths(m.Fields), BadRecords: m.BadRecords}
	return errors.Join(append(unjoin(shape.Validate()), unjoin(err)...)...)
}

func withoutPaths(fields []Field) []Field {
	fields = slices.Clone(fields)
	for i := range fields {
		if fields[i].Path != "" {
			fields[i].Path = "$"
		}
		fields[i].Fields = withoutPaths(fields[i].Fields)
	}
	return fields
}

// compile makes the Extractor of a mapping in whatever language. A panic of the host's is an error.
func (l extractLanguages) compile(m extract.Mapping) (x extract.Extractor, err error) {
	own := l[m.Language]
	if own == nil {
		return extract.New(m)
	}
	err = guard(func() error {
		x, err = own(m)
		return err
	})
	if err == nil && x == nil {
		err = fmt.Errorf("the extractor of language %q is nil", m.Language)
	}
	return x, err
}

// isList reports whether path is that of one list, or of all its items: $, names, and [*] at the end.
func isList(path string) bool {
	path, found := strings.CutPrefix(path, "$")
	path, _ = strings.CutSuffix(path, "[*]")
	return found && !strings.ContainsAny(path, "[]*?") && !strings.Contains(path, "..")
}
