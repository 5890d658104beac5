package extract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Answers as APIs give them, against values made independently. Those spell some numbers more briefly
// (1394.5 for 1394.50000000): numbers are compared by exact value, and their digits with the answer's.
func TestPath_Payloads(t *testing.T) {
	data, err := os.ReadFile("testdata/payloads/expect.json")
	require.NoError(t, err)
	var expect struct {
		Files []struct {
			File, Format string
			Checks       []struct {
				JSONPath string          `json:"jsonpath"`
				Nodes    json.RawMessage `json:"nodes"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(data, &expect))
	files, checks := 0, 0
	for _, file := range expect.Files {
		if file.Format != "json" {
			continue
		}
		files++
		data, err := os.ReadFile(filepath.Join("testdata/payloads", file.File))
		require.NoError(t, err)
		doc, err := Parse(data)
		require.NoError(t, err)
		for _, check := range file.Checks {
			checks++
			t.Run(file.File+" "+check.JSONPath, func(t *testing.T) {
				path, err := CompilePath(check.JSONPath)
				require.NoError(t, err)
				got, err := path.Select(t.Context(), doc)
				require.NoError(t, err)
				assert.Equal(t, byValue(parse(t, string(check.Nodes))), byValue(got))
				for _, number := range numbers(got) {
					assert.Contains(t, string(data), number, "digits as received")
				}
			})
		}
	}
	assert.Equal(t, 12, files)
	assert.Equal(t, 33, checks)
}

// byValue replaces numbers by what they mean.
func byValue(v any) any {
	switch v := v.(type) {
	case json.Number:
		return newDecimal(string(v))
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = byValue(v[i])
		}
		return list
	case Record:
		values := make([]Value, len(v.values))
		for i, member := range v.values {
			values[i] = Value{member.Name, byValue(member.Value)}
		}
		return Record{values}
	default:
		return v
	}
}

func numbers(v any) []string {
	switch v := v.(type) {
	case json.Number:
		return []string{string(v)}
	case []any:
		var found []string
		for _, element := range v {
			found = append(found, numbers(element)...)
		}
		return found
	default:
		return nil
	}
}
