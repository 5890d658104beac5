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

// encodeJSONLines returns one line for each record.
func encodeJSONLines(records []callsheet.Record) (dst []byte, err error) {
	const usual = 128 // bytes of a record
	dst = make([]byte, 0, usual*len(records))
	for i, r := range records {
		if dst, err = r.AppendJSON(dst); err != nil {
			return nil, permanent(fmt.Errorf("record %d cannot be written as JSON: %w", i, err))
		}
		dst = append(dst, '\n')
	}
	return dst, nil
}
