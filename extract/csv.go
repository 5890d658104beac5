package extract

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// csvReader finds a record in each row of a table.
//
// It is not encoding/csv: that makes a text of every cell, wanted or not, and turns the line ends inside
// cells to \n, which are data. It takes what encoding/csv takes, and quotes inside cells without any.
type csvReader struct {
	source
	delimiter []byte
	fields    []*field
	CSV
}

func newCSVReader(m Mapping, fields []*field, s source) *csvReader {
	return &csvReader{source: s, delimiter: delimiterOf(m), fields: fields, CSV: m.CSV}
}

func delimiterOf(m Mapping) []byte {
	switch {
	case m.CSV.Delimiter != "":
		return []byte(m.CSV.Delimiter)
	case m.Format == FormatTSV:
		return []byte{'\t'}
	default:
		return []byte{','}
	}
}

// maxSkipLines bounds CSV.SkipLines.
const maxSkipLines = 1000

// read implements reader. A row with more or fewer cells than there are columns is a record that fails.
func (r *csvReader) read(e *evaluation, yield func(any, error) error) error {
	text, _, err := decodeText(e.answer)
	if err != nil {
		return &Error{Record: -1, Err: err}
	}
	t := &table{text: text, delimiter: r.delimiter, before: markLength(e.answer.Body)}
	for range r.SkipLines {
		t.skipLine()
	}
	columns, err := r.columns(t)
	if err != nil {
		return &Error{Record: -1, Sample: near(text, err), Err: err}
	}
	if err := lacking(columns, r.fields); err != nil {
		return err
	}
	current := newRow(columns, r.plain)
	for {
		if err := e.ctx.Err(); err != nil {
			return &Error{Record: -1, Err: err}
		}
		start := t.pos
		current.reset()
		more, err := t.row(current)
		if err != nil {
			return &Error{Record: -1, Sample: t.near(start), Err: err}
		}
		if !more {
			return nil
		}
		if n := len(current.cells); n != len(columns) {
			err := &SyntaxError{t.before + t.start, fmt.Sprintf("a row of %d cells under %d columns", n, len(columns))}
			if err := yield(nil, &Error{Sample: t.near(t.start), Err: err}); err != nil {
				return err
			}
			continue
		}
		if err := e.grow(len(columns)); err != nil {
			return &Error{Record: -1, Err: err}
		}
		if err := r.yieldRow(e, current, yield); err != nil {
			return err
		}
	}
}

// columns reads the header, if there is one.
func (r *csvReader) columns(t *table) ([]string, error) {
	if r.Columns != nil {
		return r.Columns, nil
	}
	header := newRow(nil, false)
	t.header = true
	found, err := t.row(header)
	t.header = false
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("the header of the table: %w", ErrNotFound)
	}
	columns := make([]string, len(header.cells))
	seen := make(map[string]bool, len(columns))
	for i, cell := range header.cells {
		columns[i] = cellText(cell)
		if seen[columns[i]] && columns[i] != "" {
			return nil, &SyntaxError{t.before + t.start, fmt.Sprintf("the header has the column %q twice", shorten(columns[i]))}
		}
		seen[columns[i]] = true
	}
	return columns, nil
}

// lacking is the error of the first field whose column is not there and that has no default: a column that was renamed must
// not look like one without values.
func lacking(columns []string, fields []*field) error {
	for _, f := range fields {
		if name, plain := f.expr.(column); plain && !slices.Contains(columns, string(name)) && (f.Required || f.fallback == nil) {
			return &Error{Record: -1, Field: f.name, Path: f.Path, Sample: sample(strings.Join(columns, ",")), Err: ErrNotFound}
		}
		if f.expr == nil { // its fields are of the row too
			if err := lacking(columns, f.fields); err != nil {
				return err
			}
		}
	}
	return nil
}

// table cuts a text into rows and cells.
type table struct {
	text      []byte
	pos       int
	start     int // of the last row
	before    int // bytes of the answer before text
	delimiter []byte
	open      bool // the row ends within a quoted cell
	header    bool // what is read now
}

func (t *table) skipLine() {
	if end := bytes.IndexByte(t.text[t.pos:], '\n'); end >= 0 {
		t.pos += end + 1
	} else {
		t.pos = len(t.text)
	}
}

// row reads the next row that is not blank. It reports whether there is one.
func (t *table) row(into *row) (bool, error) {
	for t.pos < len(t.text) && t.lineEnd() > 0 {
		t.pos += t.lineEnd()
	}
	t.start = t.pos
	if t.pos >= len(t.text) {
		return false, nil
	}
	for {
		cell, err := t.cell(into)
		if err != nil {
			return false, err
		}
		into.cells = append(into.cells, cell)
		if n := t.lineEnd(); n > 0 || t.pos >= len(t.text) {
			t.pos += n
			return true, nil
		}
		t.pos += len(t.delimiter)
	}
}

// lineEnd is the length of the line end at pos, or 0.
func (t *table) lineEnd() int {
	switch rest := t.text[t.pos:]; {
	case len(rest) > 0 && rest[0] == '\n':
		return 1
	case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
		return 2
	case len(rest) == 1 && rest[0] == '\r':
		return 1
	}
	return 0
}

// cell reads a cell and stops at the delimiter, the line end or the end of the text after it.
func (t *table) cell(into *row) ([]byte, error) {
	if t.pos < len(t.text) && t.text[t.pos] == '"' {
		return t.quoted(into)
	}
	start := t.pos
	first := t.delimiter[0]
	for t.pos < len(t.text) {
		switch c := t.text[t.pos]; {
		case c == first && bytes.HasPrefix(t.text[t.pos:], t.delimiter):
			return t.text[start:t.pos:t.pos], nil
		case c == '\n' || c == '\r':
			if t.lineEnd() > 0 {
				return t.text[start:t.pos:t.pos], nil
			}
			if t.header { // of a table that ends its lines so, the header would be all
				return nil, &SyntaxError{t.before + t.pos, "a carriage return alone in the header: lines end with a line feed, with or without one before it"}
			}
		}
		t.pos++
	}
	return t.text[start:t.pos:t.pos], nil
}

// quoted reads a cell in quotes, in which two are one.
func (t *table) quoted(into *row) ([]byte, error) {
	open := t.pos
	t.pos++
	start, kept := t.pos, len(into.scratch)
	for {
		end := bytes.IndexByte(t.text[t.pos:], '"')
		if end < 0 {
			t.open = true
			return nil, &SyntaxError{t.before + open, "a cell without its closing quote"}
		}
		t.pos += end + 1
		if t.pos < len(t.text) && t.text[t.pos] == '"' {
			into.scratch = append(into.scratch, t.text[start:t.pos]...)
			t.pos++
			start = t.pos
			continue
		}
		if t.pos < len(t.text) && t.lineEnd() == 0 && !bytes.HasPrefix(t.text[t.pos:], t.delimiter) {
			r, _ := utf8.DecodeRune(t.text[t.pos:])
			return nil, &SyntaxError{t.before + t.pos, fmt.Sprintf("%q after the closing quote of a cell", r)}
		}
		if len(into.scratch) == kept {
			return t.text[start : t.pos-1 : t.pos-1], nil
		}
		into.scratch = append(into.scratch, t.text[start:t.pos-1]...)
		return slices.Clip(into.scratch[kept:]), nil
	}
}

// near is the beginning of the text from a place on, for errors.
func (t *table) near(start int) string {
	line := t.text[min(start, len(t.text)):]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	return shorten(appendString(nil, shorten(line)))
}
