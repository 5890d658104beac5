package file

import (
	"fmt"

	"github.com/callsheet-go/callsheet"
)

// A format is a way to write records. The zero format is none.
type format int

const (
	jsonLines format = iota + 1
	csvLines
)

var formats = map[string]format{".jsonl": jsonLines, ".ndjson": jsonLines, ".csv": csvLines}

// A recordError says which record of a Batch a format cannot hold.
type recordError struct {
	position int
	format   string
	err      error
}

func (e *recordError) Error() string {
	return fmt.Sprintf("record %d cannot be written as %s: %s", e.position, e.format, e.err)
}

func (e *recordError) Unwrap() error { return e.err }

// encodeJSONLines returns one line for each record.
func encodeJSONLines(records []callsheet.Record) (dst []byte, err error) {
	const usual = 128 // bytes of a record
	dst = make([]byte, 0, usual*len(records))
	for i, r := range records {
		if dst, err = r.AppendJSON(dst); err != nil {
			return nil, permanent(&recordError{i, "JSON", err})
		}
		dst = append(dst, '\n')
	}
	return dst, nil
}
