package extract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An expectation is what a file in testdata/payloads is known to hold.
type expectation struct {
	File, Format string
	Checks       []struct {
		JSONPath string          `json:"jsonpath"`
		Nodes    json.RawMessage `json:"nodes"`

		Header   []string
		Rows     int
		FirstRow []string `json:"first_row"`
		LastRow  []string `json:"last_row"`

		Root, Element, Attribute string
		Count                    int
		FirstText                string   `json:"first_text"`
		ValuesFirst              []string `json:"values_first"`
	}
}

func expectations(t testing.TB, format string) []expectation {
	t.Helper()
	data, err := os.ReadFile("testdata/payloads/expect.json")
	require.NoError(t, err)
	var expect struct{ Files []expectation }
	require.NoError(t, json.Unmarshal(data, &expect))
	return slices.DeleteFunc(expect.Files, func(e expectation) bool { return e.Format != format })
}

func TestPayloads_CSV(t *testing.T) {
	checks := 0
	for _, file := range expectations(t, "csv") {
		data, err := os.ReadFile(filepath.Join("testdata/payloads", file.File))
		require.NoError(t, err)
		x, err := New(Mapping{Format: FormatCSV})
		require.NoError(t, err)
		result, err := x.Extract(t.Context(), Answer{Body: data})
		require.NoError(t, err)
		cells := func(r Record) []string {
			var cells []string
			for _, value := range r.All() {
				cells = append(cells, value.(string))
			}
			return cells
		}
		for _, check := range file.Checks {
			checks++
			switch {
			case check.Header != nil:
				assert.Equal(t, check.Header, result.Records[0].Names())
			case check.Rows > 0:
				assert.Len(t, result.Records, check.Rows)
			case check.FirstRow != nil:
				assert.Equal(t, check.FirstRow, cells(result.Records[0]))
			case check.LastRow != nil:
				assert.Equal(t, check.LastRow, cells(result.Records[len(result.Records)-1]))
			default:
				t.Errorf("%s: a check of another kind", file.File)
			}
		}
	}
	assert.Equal(t, 8, checks)
}

func TestPayloads_Pages(t *testing.T) {
	for _, file := range expectations(t, "paged-replay") {
		data, err := os.ReadFile(filepath.Join("testdata/payloads", file.File))
		require.NoError(t, err)
		var pages []struct{ Body json.RawMessage }
		require.NoError(t, json.Unmarshal(data, &pages))
		path, err := CompilePath(file.Checks[0].JSONPath)
		require.NoError(t, err)
		var all []any
		for _, page := range pages {
			doc, err := Parse(page.Body)
			require.NoError(t, err)
			values, err := path.Select(t.Context(), doc)
			require.NoError(t, err)
			all = append(all, values...)
		}
		assert.Equal(t, parse(t, string(file.Checks[0].Nodes)), all)
	}
}

// Answers as APIs give them, against values made independently. Those spell some numbers more briefly
// (1394.5 for 1394.50000000): numbers are compared by exact value, and their digits with the answer's.
func TestPath_Payloads(t *testing.T) {
	files, checks := 0, 0
	for _, file := range expectations(t, "json") {
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
