package callsheet

import (
	"fmt"
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
