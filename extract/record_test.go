package extract

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewRecord_KeepsOrderAndTheLastOfARepeatedName(t *testing.T) {
	values := []Value{{"b", 1}, {"a", 2}, {"b", 3}}
	r := NewRecord(values...)
	values[0].Value = "changed by the caller"
	assert.Equal(t, []string{"b", "a"}, r.Names())
	assert.Equal(t, `{"b":3,"a":2}`, r.String())

	var many []Value
	for i := range 100 {
		many = append(many, Value{string(rune('0' + i%50)), i})
	}
	r = NewRecord(many...)
	assert.Equal(t, 50, r.Len())
	first, _ := r.Get("0")
	assert.Equal(t, 50, first)
}

func TestRecord_Get(t *testing.T) {
	r := NewRecord(Value{"a", nil})
	v, ok := r.Get("a")
	assert.True(t, ok, "a null is there")
	assert.Nil(t, v)
	_, ok = r.Get("b")
	assert.False(t, ok)
	_, ok = Record{}.Get("a")
	assert.False(t, ok)
}

func TestRecord_AllStopsWhenAsked(t *testing.T) {
	var seen []string
	for name := range NewRecord(Value{"a", 1}, Value{"b", 2}).All() {
		seen = append(seen, name)
		break
	}
	assert.Equal(t, []string{"a"}, seen)
}

func TestRecord_MapIsDeep(t *testing.T) {
	r := parse(t, `{"a":{"b":[{"c":1}]}}`).(Record)
	assert.Equal(t, map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": json.Number("1")}}}}, r.Map())
}

func TestRecord_AppendJSON(t *testing.T) {
	for _, row := range []struct {
		name  string
		value any
		want  string
	}{
		{"nothing is null", nil, `null`},
		{"a number keeps its digits", json.Number("12345678901234567890.10E+2"), `12345678901234567890.10E+2`},
		{"HTML is not escaped", "<a href='?x&y'>", `"<a href='?x&y'>"`},
		{"quotes, backslashes and control characters are escaped", "\"\\\b\f\n\r\t\x01", `"\"\\\b\f\n\r\t\u0001"`},
		{"invalid UTF-8 is replaced", "a\xffb", `"a\ufffdb"`},
		{"line separators are escaped as encoding/json does", "\u2028", `"\u2028"`},
		{"a nested record keeps its order", NewRecord(Value{"z", 1}, Value{"a", int64(2)}), `{"z":1,"a":2}`},
		{"a list may hold anything", []any{true, "x", Record{}}, `[true,"x",{}]`},
		{"a time is RFC 3339", time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), `"2026-03-01T12:00:00Z"`},
		{"a float is written as encoding/json does", 1e21, `1e+21`},
		{"a host's map is an object, its records too", map[string]any{"a": Record{}, "b": "<"}, `{"a":{},"b":"<"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := NewRecord(Value{"v", row.value}).AppendJSON([]byte("kept "))
			require.NoError(t, err)
			assert.Equal(t, `kept {"v":`+row.want+`}`, string(got))
		})
	}
}

func TestRecord_AppendJSONRefusesWhatJSONCannotSay(t *testing.T) {
	for name, value := range map[string]any{
		"not a number":                 math.NaN(),
		"a json.Number of letters":     json.Number("abc"),
		"an empty json.Number":         json.Number(""),
		"a json.Number with more":      json.Number("1 "),
		"a json.Number that breaks up": json.Number("1."),
		"a channel deep inside":        []any{NewRecord(Value{"c", make(chan int)})},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := NewRecord(Value{"ok", 1}, Value{"v", value}).AppendJSON([]byte("kept"))
			require.ErrorContains(t, err, "v: ")
			assert.Equal(t, "kept", string(got), "a failed append leaves nothing behind")
			assert.Contains(t, NewRecord(Value{"v", value}).String(), "!(")
		})
	}
}

func TestRecord_UnmarshalJSON(t *testing.T) {
	var r Record
	require.NoError(t, json.Unmarshal([]byte(`{"z":1.0,"a":{"c":[{"d":null}]}}`), &r))
	assert.Equal(t, `{"z":1.0,"a":{"c":[{"d":null}]}}`, r.String())
	assert.Error(t, json.Unmarshal([]byte(`[1]`), &r), "a list is no record")
	require.NoError(t, json.Unmarshal([]byte(`null`), &r))
	assert.Equal(t, 2, r.Len(), "null leaves it as it was")
	assert.Error(t, r.UnmarshalJSON([]byte(`{`)))
}

func FuzzRecordJSON(f *testing.F) {
	f.Add([]byte(`{"b":1,"a":[{"x":"<\u2028\ud800"}],"b":-0.0e+1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Record
		if r.UnmarshalJSON(data) != nil {
			return
		}
		out, err := r.AppendJSON(nil)
		require.NoError(t, err)
		var again Record
		require.NoError(t, json.Unmarshal(out, &again))
		assert.Equal(t, r, again)

		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		require.NoError(t, enc.Encode(r), "encoding/json takes it for valid")
		assert.Equal(t, string(bytes.TrimSpace(want.Bytes())), string(out))
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\xff\u2029\"\\\x7f\x00é")
	f.Fuzz(func(t *testing.T, s string) {
		want, err := appendForeign(nil, s)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(appendString(nil, s)))
	})
}
