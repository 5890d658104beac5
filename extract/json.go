package extract

import "fmt"

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
	case XPath:
		return newXPath(expr, list)
	default:
		return nil, &PathError{Expr: expr, Rule: fmt.Sprintf("the language %s is not known", language)}
	}
}

func newReader(m Mapping) (reader, error) {
	switch m.Format {
	case FormatCSV, FormatTSV:
		return newCSVReader(m), nil
	case FormatText:
		p, err := newPattern(m.Pattern)
		return textReader{p}, err
	case FormatXML:
		path, err := newXPath(m.recordsPath(), true)
		return xmlReader{m.recordsPath(), path}, err
	case FormatNDJSON:
		each, err := newJSONReader(m)
		return ndjsonReader{each}, err
	default:
		return newJSONReader(m)
	}
}

// jsonReader finds records in one JSON text, by a JSONPath.
type jsonReader struct {
	records      string
	prefix, rest *query // the part of the path that must be found, and what is left
}

func newJSONReader(m Mapping) (*jsonReader, error) {
	r := &jsonReader{records: m.recordsPath()}
	path, err := CompilePath(r.records)
	if err != nil {
		return nil, err
	}
	segments := path.query.segments
	found := singularPrefix(segments)
	if r.prefix, err = newQuery(segments[:found]); err != nil {
		return nil, err
	}
	if r.rest, err = newQuery(segments[found:]); err != nil {
		return nil, err
	}
	return r, nil
}

// read implements reader. The answer is decoded once, and every path runs on what that gives.
func (r *jsonReader) read(e *evaluation, yield func(any, error) error) error {
	doc, err := decode(e.ctx, e.answer.Body)
	if err != nil {
		return &Error{Record: -1, Sample: near(e.answer.Body, err), Err: err}
	}
	e.enter(doc)
	nodes, err := r.nodes(e, doc.root)
	if err != nil {
		return &Error{Record: -1, Path: r.records, Sample: sample(doc.root), Err: err}
	}
	for _, node := range nodes {
		if err := yield(node, nil); err != nil {
			return err
		}
	}
	return nil
}

// nodes finds the records in a document.
func (r *jsonReader) nodes(e *evaluation, root any) ([]any, error) {
	base, found, err := r.prefix.one(e, root)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNotFound
	}
	if len(r.rest.segments) == 0 {
		return elements(base), nil
	}
	return r.rest.all(e, base)
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
