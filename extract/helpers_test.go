package extract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// parse is the value of a JSON text, as the package gives it out.
func parse(t testing.TB, text string) any {
	t.Helper()
	doc, err := Parse([]byte(text))
	require.NoError(t, err, text)
	return doc.Value()
}

// text writes any value as the package writes it.
func text(t testing.TB, value any) string {
	t.Helper()
	out, err := appendValue(nil, value)
	require.NoError(t, err)
	return string(out)
}

// oracle decodes with encoding/json; ok is false where that refuses.
func oracle(data []byte) (value any, ok bool) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if !json.Valid(data) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err := dec.Decode(&value)
	return value, err == nil
}

// sprint writes records as a test reads them.
func sprint(records []Record) string { return fmt.Sprint(records) }
