package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/extract"
)

const maxHeader = 1 << 20 // bytes of a header line that is read back

// csvColumns returns the columns of a file that this Batch begins: those it names, else the names in its
// records in the order they come up. None is no fault: a later Batch names them.
func csvColumns(b callsheet.Batch) []string {
	var columns []string
	for _, f := range b.Fields {
		columns = append(columns, f.Name)
	}
	if len(columns) > 0 {
		return columns
	}
	known := map[string]bool{}
	for _, r := range b.Records {
		for name := range r.All() {
			if !known[name] {
				known[name] = true
				columns = append(columns, name)
			}
		}
	}
	return columns
}

// appendCSV appends one line for each record, with the cells where columns has their names. What a
// record does not have is an empty cell; what columns does not have is an error.
func appendCSV(dst []byte, columns []string, b callsheet.Batch) ([]byte, error) {
	place := make(map[string]int, len(columns))
	for i, name := range columns {
		place[name] = i
	}
	for _, f := range b.Fields {
		if _, ok := place[f.Name]; !ok {
			return nil, unknownColumn(f.Name, columns)
		}
	}
	if len(columns) == 0 && len(b.Records) > 0 {
		return nil, permanent(errors.New("records without any value cannot be written as CSV"))
	}
	cells := make([]any, len(columns))
	for i, r := range b.Records {
		clear(cells)
		at := 0
		for name, value := range r.All() {
			if at >= len(columns) || columns[at] != name { // most records have the header's order
				var ok bool
				if at, ok = place[name]; !ok {
					return nil, unknownColumn(name, columns)
				}
			}
			cells[at] = value
			at++
		}
		var err error
		if dst, err = appendCSVLine(dst, cells); err != nil {
			return nil, permanent(&recordError{i, "CSV", err})
		}
	}
	return dst, nil
}

func unknownColumn(name string, columns []string) error {
	return permanent(fmt.Errorf("column %q is not in the file's header (%s); rename the file to begin one with a new header",
		name, strings.Join(columns, ",")))
}

func appendCSVHeader(dst []byte, columns []string) ([]byte, error) {
	if len(columns) == 0 {
		return dst, nil
	}
	if name, twice := repeated(columns); twice {
		return nil, permanent(fmt.Errorf("column %q comes twice", name))
	}
	cells := make([]any, len(columns))
	for i, name := range columns {
		cells[i] = name
	}
	return appendCSVLine(dst, cells)
}

func appendCSVLine(dst []byte, cells []any) ([]byte, error) {
	start := len(dst)
	for i, value := range cells {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendCell(dst, value); err != nil {
			return nil, err
		}
	}
	if len(dst) == start && len(cells) == 1 {
		dst = append(dst, `""`...) // a blank line would be no record
	}
	return append(dst, '\n'), nil
}

// appendCell writes nil as an empty cell and a string as it is; the empty string in quotes, by which
// PostgreSQL's COPY and others tell it from nil. Numbers keep their digits; lists and nested records
// are JSON.
func appendCell(dst []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return dst, nil
	case string:
		return appendText(dst, v), nil
	case json.Number:
		return appendText(dst, string(v)), nil
	case bool:
		if v {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	}
	// Everything else as JSON says it, and what JSON says as a string (a time) as that string.
	member, err := extract.NewRecord(extract.Value{Value: value}).AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(bytes.TrimPrefix(member, []byte(`{"":`)), []byte(`}`))
	if text[0] == '"' {
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, err
		}
		return appendText(dst, s), nil
	}
	return appendText(dst, string(text)), nil
}

func appendText(dst []byte, s string) []byte {
	if !needsQuotes(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for {
		quote := strings.IndexByte(s, '"')
		if quote < 0 {
			break
		}
		dst = append(append(dst, s[:quote]...), '"', '"')
		s = s[quote+1:]
	}
	return append(append(dst, s...), '"')
}

// needsQuotes also quotes what RFC 4180 leaves bare but readers are known to change: outer spaces,
// a byte order mark, and the end-of-data mark of PostgreSQL's COPY.
func needsQuotes(s string) bool {
	if s == "" || s == `\.` || strings.ContainsAny(s, "\",\r\n") {
		return true
	}
	first, last := s[0], s[len(s)-1]
	return first <= ' ' || last <= ' ' || first >= utf8.RuneSelf && (strings.HasPrefix(s, "\ufeff") || strings.TrimSpace(s) != s) ||
		last >= utf8.RuneSelf && strings.TrimSpace(s) != s
}

// readCSVHeader reads the first line of a file of that length.
func readCSVHeader(f io.ReaderAt, length int64) ([]string, error) {
	text := make([]byte, min(length, maxHeader))
	if _, err := f.ReadAt(text, 0); err != nil {
		return nil, err
	}
	columns, ok := parseCSVLine(bytes.TrimPrefix(text, []byte("\ufeff")))
	if !ok {
		return nil, fmt.Errorf("its first %d bytes are no CSV header", len(text))
	}
	if name, twice := repeated(columns); twice {
		return nil, fmt.Errorf("its header has the column %q twice", name)
	}
	return columns, nil
}

// repeated returns the first name that comes again.
func repeated(names []string) (string, bool) {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return name, true
		}
		seen[name] = true
	}
	return "", false
}

// parseCSVLine returns the cells of the first line of text, exactly; [encoding/csv] would turn CR LF
// inside a cell into LF. It returns false if the line does not end.
func parseCSVLine(text []byte) (cells []string, ok bool) {
	var cell []byte
	quoted := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '"' && i+1 < len(text) && text[i+1] == '"':
			cell = append(cell, '"')
			i++
		case c == '"' && (quoted || len(cell) == 0):
			quoted = !quoted
		case quoted:
			cell = append(cell, c)
		case c == ',':
			cells = append(cells, string(cell))
			cell = cell[:0]
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n':
			// part of the line's end
		case c == '\n':
			return append(cells, string(cell)), true
		default:
			cell = append(cell, c)
		}
	}
	return nil, false
}
