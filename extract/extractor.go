package extract

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// An Extractor turns answers into records. [New] makes one of a [Mapping]; a host with a format or a
// language of its own implements it.
//
// Extract may be called from several goroutines at once. It neither changes the answer's body nor keeps
// it or any part of it, so a caller may use the bytes again. It returns every record, or an error and
// none; records that it sets aside are counted in the Result. The same answer gives the same records in
// the same order. When ctx ends it returns soon, with an error that wraps ctx's. Other errors mean that
// the answer is not what was expected, and that trying again with the same bytes is of no use; those of
// this package are [*Error].
type Extractor interface {
	Extract(ctx context.Context, answer Answer) (Result, error)
}

// An Answer is what an API said, and what a record may want to tell about it (see [Metadata]).
// Only Body is needed; what is not known stays zero.
type Answer struct {
	Body        []byte
	ContentType string // of the header; its charset counts where the body has no byte order mark

	ExecutionID string
	ScheduleID  string
	ScheduledAt time.Time
	URL         string
	Page        int // counted from 1
}

// A Result is what came out of an answer.
type Result struct {
	Records []Record

	// Rejected counts the records that were set aside, Problems says why for the first ten of them.
	// Each is an [*Error].
	Rejected int64
	Problems []error
}

// maxProblems is how many rejected records a Result explains.
const maxProblems = 10

// ErrNotFound is the error of a path that has to select something and does not: a required field, or
// the list of records.
var ErrNotFound = errors.New("nothing there")

// New compiles a mapping, once for any number of answers. Its errors are those of [Mapping.Validate].
func New(m Mapping) (Extractor, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return compile(m.Canonical())
}

// extractor is a compiled Mapping.
type extractor struct {
	reader  reader
	records string // the path to them, for errors
	fields  []*field
	skips   bool
	visits  int // what the fields of one record add to the budget
}

// A reader finds the records of an answer.
type reader interface {
	// read calls yield with each record, in order: a node that the fields' expressions know, a *Record
	// that is made already, or the error of a record that cannot be read although the next one can. It
	// ends when yield fails.
	// What it returns is about the answer as a whole: an [*Error], or what yield returned.
	read(e *evaluation, yield func(node any, err error) error) error
}

func compile(m Mapping) (*extractor, error) {
	x := &extractor{records: m.recordsPath(), skips: m.BadRecords == SkipRecords}
	var err error
	if x.fields, err = compileFields(m, "", m.Fields); err != nil {
		return nil, err
	}
	if x.reader, err = newReader(m, x.fields); err != nil {
		return nil, err
	}
	for _, f := range x.fields {
		x.visits += f.visits()
	}
	return x, nil
}

// Extract implements [Extractor].
func (x *extractor) Extract(ctx context.Context, answer Answer) (Result, error) {
	c := collector{extractor: x, e: newEvaluation(ctx, answer)}
	if err := x.reader.read(c.e, c.take); err != nil {
		return Result{}, err
	}
	return c.result, nil
}

// A collector makes records of what a reader finds, and keeps count of those that fail.
type collector struct {
	*extractor
	e      *evaluation
	index  int // of the next record
	result Result
}

func (c *collector) take(node any, err error) error {
	var record Record
	if made, is := node.(*Record); is {
		record = *made
	} else if err == nil {
		if err = c.e.ctx.Err(); err == nil {
			record, err = c.record(node)
		}
	}
	if err != nil {
		return c.reject(err)
	}
	c.index++
	c.result.Records = append(c.result.Records, record)
	return nil
}

// reject sets a record aside, where the mapping says so and the record itself is at fault.
func (c *collector) reject(err error) error {
	problem, ok := errors.AsType[*Error](err)
	if !ok {
		problem = &Error{Err: err}
	}
	problem.Record = c.index
	c.index++
	if !c.skips || errors.Is(err, ErrBudget) || c.e.ctx.Err() != nil {
		return problem
	}
	c.result.Rejected++
	if len(c.result.Problems) < maxProblems {
		c.result.Problems = append(c.result.Problems, problem)
	}
	return nil
}

func (c *collector) record(node any) (Record, error) {
	if len(c.fields) == 0 {
		record, err := wholeRecord(c.e, node)
		if err != nil {
			return Record{}, &Error{Path: c.records, Err: err}
		}
		return record, nil
	}
	c.e.left += c.visits
	return recordOf(c.e, c.fields, node)
}

func wholeRecord(e *evaluation, node any) (Record, error) {
	if object, ok := node.(map[string]any); ok {
		return exportObject(object, e.visit)
	}
	if r, ok := node.(*row); ok {
		return r.record(), nil
	}
	value, err := export(node, e.visit)
	return Record{[]Value{{Name: "value", Value: value}}}, err
}

// An Error says which record, field and path of an answer failed. errors.Is and errors.As see its
// reason: [*SyntaxError], [*TypeError], [ErrNotFound], [ErrBudget] or the context's.
type Error struct {
	Record int    // the index of the record, -1 where it is about the answer as a whole
	Field  string // the name of the field, "quote.price" for price in quote; empty where it is about the record
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
	syntax, ok := errors.AsType[*SyntaxError](err)
	if !ok {
		return ""
	}
	const before = 40
	offset := min(syntax.Offset, len(answer)) // of what was read in another charset it may be farther
	start := max(0, offset-before)
	for start < offset && !utf8.RuneStart(answer[start]) {
		start++
	}
	return shorten(appendString(nil, shorten(answer[start:])))
}
