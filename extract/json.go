package extract

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// compileExpression compiles a path of a language. Where the path itself does not tell, list says whether
// it gives all that it finds or the only one. Errors are of type *PathError.
func compileExpression(language Language, expr string, list bool) (expression, error) {
	switch language {
	case JSONPath:
		path, err := CompilePath(expr)
		if err != nil {
			return nil, err
		}
		return path.query, nil
	case JQ:
		return newJQ(expr)
	case XPath:
		return newXPath(expr, list)
	default:
		return nil, &PathError{Expr: expr, Rule: fmt.Sprintf("the language %s is not known", language)}
	}
}

func newReader(m Mapping, fields []*field) (reader, error) {
	language := m.Language.orDefault(m.Format)
	if m.Format == FormatXML {
		return newXMLReader(m.recordsPath())
	}
	f, err := newFinder(language, m.Records)
	if err != nil {
		return nil, err
	}
	source := source{records: m.recordsPath(), finder: f, plain: language == JQ, scan: newScanPlan(m, fields)}
	switch m.Format {
	case FormatCSV, FormatTSV:
		return newCSVReader(m, fields, source), nil
	case FormatText:
		p, err := newPattern(m.Pattern)
		return textReader{source, p}, err
	case FormatNDJSON:
		return ndjsonReader{source}, nil
	default:
		return jsonReader{source}, nil
	}
}

// source is what readers of the formats that are trees have in common.
type source struct {
	records string
	finder  finder
	plain   bool      // the trees are for jq
	scan    *scanPlan // nil where it takes a tree
}

// scanner is nil where a tree is wanted.
func (s source) scanner(e *evaluation) *scanner {
	if s.scan == nil {
		return nil
	}
	return s.scan.scanner(e)
}

// A finder finds the records in a tree.
type finder interface {
	nodes(e *evaluation, root any) ([]any, error)
}

func newFinder(language Language, records string) (finder, error) {
	switch {
	case records == "":
		return everything{}, nil
	case language == JQ:
		return newJQ(records)
	default:
		return newPathFinder(records)
	}
}

// yieldEach gives out the records of a tree. An error is that of the tree as a whole.
func (s source) yieldEach(e *evaluation, root any, yield func(any, error) error) error {
	nodes, err := s.finder.nodes(e, root)
	if err != nil {
		return &Error{Record: -1, Path: s.records, Sample: sample(root), Err: err}
	}
	for _, node := range nodes {
		if err := yield(node, nil); err != nil {
			return err
		}
	}
	return nil
}

// jsonReader finds records in one JSON text.
type jsonReader struct{ source }

// read implements reader. Where the answer is not simply scanned it is decoded once, and every expression
// runs on what that gives.
func (r jsonReader) read(e *evaluation, yield func(any, error) error) error {
	text, err := textOfJSON(e.answer)
	if err != nil {
		return &Error{Record: -1, Err: err}
	}
	if done, err := r.scanner(e).give(e, text, yield); done {
		return err
	}
	doc, err := decodeFrom(&decoder{ctx: e.ctx, data: text, plain: r.plain})
	if err != nil {
		return &Error{Record: -1, Sample: near(text, err), Err: err}
	}
	e.enter(doc)
	return r.yieldEach(e, doc.root, yield)
}

// textOfJSON is the text of an answer in UTF-8, which RFC 8259 wants and a decoder takes with its mark. What
// cannot be UTF-8 is in the charset that the answer says; many say another one and are UTF-8 all the same.
// No JSON in UTF-8 has a byte 0, and all in UTF-16 has.
func textOfJSON(answer Answer) ([]byte, error) {
	how, err := textOf(answer.Body, answer.ContentType)
	if err == nil && how.charset == nil || utf8.Valid(answer.Body) && bytes.IndexByte(answer.Body, 0) < 0 {
		return answer.Body, nil
	}
	if err != nil {
		return nil, err
	}
	return transcode(answer.Body, how.charset)
}

// ndjsonReader finds records in lines of JSON, each for itself.
type ndjsonReader struct{ source }

// read implements reader. A line that is no JSON, or has no records where they should be, is one record
// that fails.
func (r ndjsonReader) read(e *evaluation, yield func(any, error) error) error {
	text, _, err := decodeText(e.answer)
	if err != nil {
		return &Error{Record: -1, Err: err}
	}
	offset, s := markLength(e.answer.Body), r.scanner(e)
	for line := range bytes.Lines(text) {
		start := offset
		offset += len(line)
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := r.line(e, s, trimEnd(line), start, yield); err != nil {
			return err
		}
	}
	return nil
}

func (r ndjsonReader) line(e *evaluation, s *scanner, line []byte, start int, yield func(any, error) error) error {
	if done, err := s.give(e, line, yield); done {
		return err
	}
	doc, err := decodeFrom(&decoder{ctx: e.ctx, data: line, values: e.values, plain: r.plain})
	if err != nil {
		sample := near(line, err)
		if syntax, ok := err.(*SyntaxError); ok {
			err = &SyntaxError{start + syntax.Offset, syntax.Rule}
		}
		return yield(nil, &Error{Sample: sample, Err: err})
	}
	doc.values -= e.values
	e.enter(doc)
	nodes, err := r.finder.nodes(e, doc.root)
	if err != nil {
		return yield(nil, &Error{Path: r.records, Sample: sample(doc.root), Err: err})
	}
	for _, node := range nodes {
		if err := yield(node, nil); err != nil {
			return err
		}
	}
	return nil
}

// everything finds the records of a tree where no path says more: the elements of an array, none in a
// null, else the tree itself.
type everything struct{}

func (everything) nodes(_ *evaluation, root any) ([]any, error) { return elements(root), nil }

// pathFinder finds records by a JSONPath.
type pathFinder struct {
	prefix, rest *query // the part of the path that must be found, and what is left
}

func newPathFinder(records string) (*pathFinder, error) {
	path, err := CompilePath(records)
	if err != nil {
		return nil, err
	}
	segments := path.query.segments
	found := singularPrefix(segments)
	prefix, err := newQuery(segments[:found])
	if err != nil {
		return nil, err
	}
	rest, err := newQuery(segments[found:])
	return &pathFinder{prefix, rest}, err
}

// nodes implements finder.
func (f *pathFinder) nodes(e *evaluation, root any) ([]any, error) {
	base, found, err := f.prefix.one(e, root)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNotFound
	}
	if len(f.rest.segments) == 0 {
		return elements(base), nil
	}
	return f.rest.all(e, base)
}

// elements are the records of a value that was found: of an array, of null, of anything else.
func elements(value any) []any {
	switch value := value.(type) {
	case nil:
		return nil
	case []any:
		return value
	default:
		return []any{value}
	}
}
