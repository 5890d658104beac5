package extract

import (
	"bytes"
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// A row is a record of a table or a text: named cells. It is used again for the next one.
type row struct {
	names   []string
	order   any // names, as a tree keeps them
	cells   [][]byte
	scratch []byte // of cells that do not stand in the answer as they are
	object  any    // made when an expression asks for it
	plain   bool   // that is jq
}

func newRow(names []string, plain bool) *row {
	return &row{names: names, order: names, plain: plain, cells: make([][]byte, 0, len(names))}
}

// reset makes it the next row.
func (r *row) reset() { r.cells, r.scratch, r.object = r.cells[:0], r.scratch[:0], nil }

// cell returns a cell by the name of its column. A group of a pattern that took no part is not found.
func (r *row) cell(name string) (any, bool) {
	at := slices.Index(r.names, name)
	if at < 0 || r.cells[at] == nil {
		return nil, false
	}
	return cellText(r.cells[at]), true
}

// tree is the row as an object of texts.
func (r *row) tree() any {
	if r.object != nil {
		return r.object
	}
	object := newObject(len(r.names))
	for i, name := range r.names {
		if r.cells[i] != nil {
			object[name] = cellText(r.cells[i])
		}
	}
	switch {
	case r.plain:
	case len(object) == len(r.names):
		object[orderKey] = r.order
	default: // not every name has a value of its own
		var order []string
		for _, name := range r.names {
			if object[name] != nil && !slices.Contains(order, name) {
				order = append(order, name)
			}
		}
		object[orderKey] = order
	}
	r.object = object
	return object
}

// record is the whole row.
func (r *row) record() Record {
	values := make([]Value, 0, len(r.names))
	for i, name := range r.names {
		if r.cells[i] != nil {
			values = append(values, Value{name, cellText(r.cells[i])})
		}
	}
	return Record{lastWins(values)}
}

// cellText makes a text of UTF-8, as JSON's are.
func cellText(cell []byte) string {
	if !utf8.Valid(cell) {
		cell = bytes.ToValidUTF8(cell, []byte("\uFFFD"))
	}
	return string(cell)
}

// A column is the expression that names one column of a row.
type column string

func (column) single() bool { return true }
func (column) visits() int  { return visitsPerField }

func (c column) one(_ *evaluation, node any) (any, bool, error) {
	switch node := node.(type) {
	case *row:
		value, found := node.cell(string(c))
		return value, found, nil
	case map[string]any: // the row, for the fields of a field
		value, found := node[string(c)]
		return value, found, nil
	default:
		return nil, false, nil
	}
}

func (c column) all(e *evaluation, node any) ([]any, error) {
	value, found, _ := c.one(e, node)
	if !found {
		return []any{}, nil
	}
	return []any{value}, nil
}

// ofTree is an expression that is asked of rows as well as of what lies in them.
type ofTree struct{ expression }

func (o ofTree) one(e *evaluation, node any) (any, bool, error) {
	return o.expression.one(e, o.enter(e, node))
}

func (o ofTree) all(e *evaluation, node any) ([]any, error) {
	return o.expression.all(e, o.enter(e, node))
}

func (o ofTree) enter(e *evaluation, node any) any {
	r, is := node.(*row)
	if !is {
		return node
	}
	e.root = r.tree()
	return e.root
}

// rowExpression is an expression for records that are rows.
func rowExpression(x expression) expression {
	if q, ok := x.(*query); ok && q.singular && len(q.segments) == 1 {
		if name, ok := q.segments[0].selectors[0].(nameSelector); ok {
			return column(name)
		}
	}
	return ofTree{x}
}

// yieldRow gives out a row, or what a program makes of it.
func (s source) yieldRow(e *evaluation, r *row, yield func(any, error) error) error {
	if _, whole := s.finder.(everything); whole {
		return yield(r, nil)
	}
	nodes, err := s.finder.nodes(e, r.tree())
	if err != nil {
		return yield(nil, &Error{Path: s.records, Sample: sample(r), Err: err})
	}
	for _, node := range nodes {
		if err := yield(node, nil); err != nil {
			return err
		}
	}
	return nil
}

// textReader finds a record in each line that a pattern matches.
type textReader struct {
	source
	pattern *pattern
}

// read implements reader. Lines that do not match are passed over, but not all of them: a text that has
// changed must not look like one without records.
func (r textReader) read(e *evaluation, yield func(any, error) error) error {
	text, _, err := decodeText(e.answer)
	if err != nil {
		return &Error{Record: -1, Err: err}
	}
	groups := r.pattern.SubexpNames()
	names := slices.DeleteFunc(slices.Clone(groups), func(name string) bool { return name == "" })
	current := newRow(names, r.plain)
	matched, written := false, false
	for line := range bytes.Lines(text) {
		if err := e.ctx.Err(); err != nil {
			return &Error{Record: -1, Err: err}
		}
		line = trimEnd(line)
		written = written || len(bytes.TrimSpace(line)) > 0
		places, err := r.pattern.submatches(e.ctx, line)
		if err != nil {
			return &Error{Record: -1, Err: err}
		}
		if places == nil {
			continue
		}
		matched = true
		if err := e.grow(len(names)); err != nil {
			return &Error{Record: -1, Err: err}
		}
		current.reset()
		for i, name := range groups {
			switch {
			case name == "":
			case places[2*i] < 0:
				current.cells = append(current.cells, nil)
			default:
				current.cells = append(current.cells, line[places[2*i]:places[2*i+1]])
			}
		}
		if err := r.yieldRow(e, current, yield); err != nil {
			return err
		}
	}
	if written && !matched {
		return &Error{Record: -1, Path: r.pattern.String(), Sample: shorten(appendString(nil, shorten(cellText(text)))), Err: ErrNotFound}
	}
	return nil
}

func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// grow counts values that a reader gives out, and lets paths visit as many more.
func (e *evaluation) grow(values int) error {
	e.enter(Document{values: values})
	if e.values > maxValues {
		return errValues
	}
	return nil
}

var errValues = fmt.Errorf("more than %d values in the answer: %w", maxValues, ErrBudget)

// decodeText gives the text of an answer in UTF-8: by its byte order mark, else by the charset of its
// content type, else as it is, when known is false. Bytes that are no UTF-8 are replaced where a cell is
// taken.
func decodeText(answer Answer) (text []byte, known bool, err error) {
	how, err := textOf(answer.Body, answer.ContentType)
	if err != nil {
		return nil, false, err
	}
	text, err = transcode(answer.Body[how.mark:], how.charset)
	return text, how.known, err
}

// encodedText is how a text is written.
type encodedText struct {
	mark    int               // bytes before it
	charset encoding.Encoding // nil: UTF-8
	known   bool              // somebody says so
}

// textOf finds out how a text is written that begins with head.
func textOf(head []byte, contentType string) (encodedText, error) {
	if n := markLength(head); n > 0 {
		return encodedText{mark: n, known: true}, nil
	}
	if bytes.HasPrefix(head, []byte{0xFE, 0xFF}) || bytes.HasPrefix(head, []byte{0xFF, 0xFE}) {
		return encodedText{charset: unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM), known: true}, nil
	}
	name := charsetOf(contentType)
	if name == "" {
		return encodedText{}, nil
	}
	charset, err := findCharset(name)
	if charset == unicode.UTF8 {
		charset = nil
	}
	return encodedText{charset: charset, known: true}, err
}

// charsetOf is the charset of a content type, empty if that tells none. What most say is found without reading all.
func charsetOf(contentType string) string {
	_, parameters, some := strings.Cut(contentType, ";")
	switch {
	case !some:
		return ""
	case strings.EqualFold(strings.TrimSpace(parameters), "charset=utf-8"):
		return "utf-8"
	}
	_, all, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return all["charset"]
}

// markLength is how many bytes of an answer stand before the text that decodeText gives.
func markLength(body []byte) int {
	if bytes.HasPrefix(body, []byte(utf8Mark)) {
		return len(utf8Mark)
	}
	return 0
}

func findCharset(name string) (encoding.Encoding, error) {
	charset, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("the charset %q is not known", shorten(name))
	}
	return charset, nil
}

func transcode(text []byte, charset encoding.Encoding) ([]byte, error) {
	if charset == nil {
		return text, nil
	}
	decoded, _, err := transform.Bytes(charset.NewDecoder(), text)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", charset, err)
	}
	return decoded, nil
}
