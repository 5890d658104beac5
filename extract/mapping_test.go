package extract

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func extractText(t testing.TB, m Mapping, answer string) ([]string, error) {
	t.Helper()
	x, err := New(m)
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte(answer)})
	lines := []string{}
	for _, r := range result.Records {
		lines = append(lines, r.String())
	}
	return lines, err
}

func TestExtract_Records(t *testing.T) {
	for _, row := range []struct {
		name, records, answer string
		want                  []string
	}{
		{"an array's elements are the records", "", `[{"b":1,"a":2},{"c":3}]`, []string{`{"b":1,"a":2}`, `{"c":3}`}},
		{"an object is one record", "", `{"b":1,"a":{"z":1,"y":[{"x":2}]}}`, []string{`{"b":1,"a":{"z":1,"y":[{"x":2}]}}`}},
		{"a scalar is one record", "$.n", `{"n":1.0}`, []string{`{"value":1.0}`}},
		{"a null gives no records", "$.list", `{"list":null}`, []string{}},
		{"an answer of null gives no records", "", `null`, []string{}},
		{"an empty array gives no records", "$.list", `{"list":[]}`, []string{}},
		{"elements that are no objects have one value", "$", `[1,null,[2,{"a":3}]]`, []string{`{"value":1}`, `{"value":null}`, `{"value":[2,{"a":3}]}`}},
		{"a path with indices is singular", "$.pages[-1]", `{"pages":[[1],[2,3]]}`, []string{`{"value":2}`, `{"value":3}`}},
		{"a wildcard takes each node as it is", "$.pages[*]", `{"pages":[[1],[2,3]]}`, []string{`{"value":[1]}`, `{"value":[2,3]}`}},
		{"a filter that nothing passes gives no records", "$.list[?@.a>5]", `{"list":[{"a":1}]}`, []string{}},
		{"a wildcard over null gives no records", "$.list[*]", `{"list":null}`, []string{}},
		{"members of an object come in document order", "$.rates.*", `{"rates":{"z":{"r":1},"a":{"r":2}}}`, []string{`{"r":1}`, `{"r":2}`}},
		{"descendants may be nowhere", "$..item", `{"list":[]}`, []string{}},
		{"the root of a filter is the answer", "$.list[?@.a==$.pick]", `{"pick":2,"list":[{"a":1},{"a":2}]}`, []string{`{"a":2}`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := extractText(t, Mapping{Records: row.records}, row.answer)
			require.NoError(t, err)
			assert.Equal(t, row.want, got)
		})
	}
}

func TestExtract_AChangedAnswerIsNoEmptyList(t *testing.T) {
	for name, records := range map[string]string{
		"a singular path that finds nothing":            "$.data.items",
		"the part before a wildcard that finds nothing": "$.data.items[*]",
		"the part before a filter":                      "$.items[?@.a]",
		"the part before a descendant":                  "$.items..a",
		"an index out of range":                         "$.data[3]",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := extractText(t, Mapping{Records: records}, `{"data":{"entries":[]}}`)
			require.ErrorIs(t, err, ErrNotFound)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, Error{Record: -1, Path: records, Sample: `{"data":{"entries":[]}}`, Err: ErrNotFound}, *e)
		})
	}
}

func TestExtract_Fields(t *testing.T) {
	for _, row := range []struct {
		name   string
		field  Field
		record string
		want   string
	}{
		{"a value", Field{Path: "$.a.b"}, `{"a":{"b":0.10}}`, `0.10`},
		{"the whole record", Field{Path: "$"}, `{"z":1,"a":2}`, `{"z":1,"a":2}`},
		{"a missing value is null, so that columns do not shift", Field{Path: "$.x"}, `{"a":1}`, `null`},
		{"a missing value has its default", Field{Path: "$.x", Default: "none"}, `{"a":1}`, `"none"`},
		{"a null is a value and not missing", Field{Path: "$.a", Default: "none"}, `{"a":null}`, `null`},
		{"a null is enough for a required field", Field{Path: "$.a", Required: true}, `{"a":null}`, `null`},
		{"a path that may select several gives a list of them", Field{Path: "$.a[*].n"}, `{"a":[{"n":1},{"m":0},{"n":{"o":2}}]}`, `[1,{"o":2}]`},
		{"of one it gives a list", Field{Path: "$.a[*]"}, `{"a":[1]}`, `[1]`},
		{"of one list it gives a list with that", Field{Path: "$..a"}, `{"a":[1]}`, `[[1]]`},
		{"of none it gives an empty list", Field{Path: "$.a[*]"}, `{"a":[]}`, `[]`},
		{"of none it gives its default", Field{Path: "$.a[0:2]", Default: 0}, `{"a":[]}`, `0`},
		{"of a null in the list it gives a list with a null", Field{Path: "$.a[0:1]", Default: 0, Required: true}, `{"a":[null]}`, `[null]`},
		{"a path of names and indices gives the value", Field{Path: "$.a[0]"}, `{"a":[1]}`, `1`},
		{"and a list only where the value is one", Field{Path: "$.a"}, `{"a":[1]}`, `[1]`},
		{"the root of a filter is the record", Field{Path: "$.l[?@>$.min]"}, `{"min":1,"l":[1,2]}`, `[2]`},
		{"a default has the digits and the order it was given with", Field{Path: "$.x", Default: parse(t, `{"z":0.10,"a":9007199254740993}`)}, `{}`, `{"z":0.10,"a":9007199254740993}`},
		{"a record that is no object has no members", Field{Path: "$.a", Default: 1}, `"text"`, `1`},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.field.Name = "f"
			m := Mapping{Fields: []Field{{Name: "before", Path: "$.nothing"}, row.field, {Name: "after", Path: "$.nothing"}}}
			got, err := extractText(t, m, `[`+row.record+`]`)
			require.NoError(t, err)
			assert.Equal(t, []string{`{"before":null,"f":` + row.want + `,"after":null}`}, got)
		})
	}
}

func TestExtract_ARequiredFieldNamesRecordFieldAndPath(t *testing.T) {
	m := Mapping{Fields: []Field{{Name: "price", Path: "$.p['a-b']", Required: true}}}
	long := `{"q":"` + strings.Repeat("é", 200) + `"}`
	_, err := extractText(t, m, `[{"p":{"a-b":1}},`+long+`]`)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 1, e.Record)
	assert.Equal(t, "price", e.Field)
	assert.Equal(t, "$.p['a-b']", e.Path)
	assert.LessOrEqual(t, len(e.Sample), 120)
	assert.True(t, strings.HasPrefix(e.Sample, `{"q":"éé`) && strings.HasSuffix(e.Sample, "é…"), e.Sample)
	assert.ErrorContains(t, err, `extract record 1, field "price" at $.p['a-b']: nothing there, in {"q":"éé`)
}

func TestExtract_ARequiredListMustNotBeEmpty(t *testing.T) {
	_, err := extractText(t, Mapping{Fields: []Field{{Name: "tags", Path: "$.tags[*]", Required: true}}}, `{"tags":[]}`)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestExtract_DefaultsAreOfTheKindsOfARecord(t *testing.T) {
	given := []any{1, 2.5, map[string]any{"a": time.Unix(0, 0).UTC()}}
	x, err := New(Mapping{Fields: []Field{{Name: "d", Path: "$.d", Default: given}}})
	require.NoError(t, err)
	given[0] = "changed"
	result, err := x.Extract(t.Context(), Answer{Body: []byte(`{}`)})
	require.NoError(t, err)
	got, _ := result.Records[0].Get("d")
	assert.Equal(t, parse(t, `[1,2.5,{"a":"1970-01-01T00:00:00Z"}]`), got)
}

func TestExtract_AnAnswerThatIsNotJSON(t *testing.T) {
	_, err := extractText(t, Mapping{}, strings.Repeat(" ", 500)+`<html>`+strings.Repeat("x", 500))
	var syntax *SyntaxError
	require.ErrorAs(t, err, &syntax)
	assert.Equal(t, 500, syntax.Offset)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.LessOrEqual(t, len(e.Sample), 120)
	assert.Contains(t, e.Sample, "<html>")
}

func TestExtract_SamplesEndBetweenCharacters(t *testing.T) {
	m := Mapping{Fields: []Field{{Name: "f", Path: "$.x", Required: true}}}
	for shift := range 4 {
		pad, long := strings.Repeat("x", shift), strings.Repeat("😀", 60)
		for name, answer := range map[string]string{
			"in a text":              `{"a":"` + pad + long + `"}`,
			"in a name":              `{"` + pad + long + `":1}`,
			"in what is no JSON":     `["` + pad + long + `",?`,
			"before what is no JSON": `["` + pad + long + `"` + pad + `"`,
			"after what is no JSON":  pad + `?` + long,
		} {
			t.Run(name, func(t *testing.T) {
				_, err := extractText(t, m, answer)
				var e *Error
				require.ErrorAs(t, err, &e)
				assert.True(t, utf8.ValidString(e.Sample))
				assert.NotContains(t, e.Sample, "fffd")
				assert.NotContains(t, e.Sample, "\uFFFD")
				assert.LessOrEqual(t, len(e.Sample), 120)
			})
		}
	}
}

func TestExtract_EndsWithItsContext(t *testing.T) {
	x, err := New(Mapping{Fields: []Field{{Name: "a", Path: "$.a[*]"}}})
	require.NoError(t, err)
	_, err = x.Extract(&endsAfter{Context: t.Context(), after: 2}, Answer{Body: []byte(`[{},{},{}]`)})
	require.ErrorIs(t, err, context.Canceled)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 2, e.Record, "the context is checked between records")
}

func TestExtract_StopsDecodingWithItsContext(t *testing.T) {
	x, err := New(Mapping{})
	require.NoError(t, err)
	ctx := &endsAfter{Context: t.Context()}
	_, err = x.Extract(ctx, Answer{Body: []byte("[" + strings.Repeat("{},", 100_000) + "{}")})
	require.ErrorIs(t, err, context.Canceled, "the context is asked before the end that is missing is seen")
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, Error{Record: -1, Err: context.Canceled}, *e)
}

func TestExtract_TooManyValues(t *testing.T) {
	_, err := extractText(t, Mapping{}, "["+strings.Repeat("0,", maxValues)+"0]")
	require.ErrorIs(t, err, ErrBudget)
	assert.EqualError(t, err, "extract: more than 2000000 values in the answer: over budget")
}

func TestExtract_BudgetGrowsWithTheFields(t *testing.T) {
	m := Mapping{Fields: []Field{{Name: "f", Path: "$" + strings.Repeat(".a", 500)}}}
	lines, err := extractText(t, m, "["+strings.Repeat("{},", 5_000)+"{}]")
	require.NoError(t, err, "a long path may be looked up in every record")
	assert.Len(t, lines, 5_001)
}

func TestExtract_BombsEnd(t *testing.T) {
	deep := strings.Repeat("[", 120) + strings.Repeat("]", 120)
	for name, m := range map[string]Mapping{
		"in the path to the records":      {Records: "$..[*]..[*]..[*]..[*]"},
		"in copying the records":          {Records: "$..[*]..[*]..[*]"},
		"in a field":                      {Records: "$", Fields: []Field{{Name: "f", Path: "$..[*]..[*]..[*]..[*]"}}},
		"in a field of very many records": {Records: "$..[*]..[*]", Fields: []Field{{Name: "f", Path: "$..[*]..[*]"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := extractText(t, m, deep)
			assert.ErrorIs(t, err, ErrBudget)
		})
	}
}

func TestExtract_KeepsNothingOfTheAnswer(t *testing.T) {
	x, err := New(Mapping{})
	require.NoError(t, err)
	answer := []byte(`[{"name":"value","n":12.50,"l":["x"]}]`)
	result, err := x.Extract(t.Context(), Answer{Body: answer})
	require.NoError(t, err)
	for i := range answer {
		answer[i] = '#'
	}
	assert.Equal(t, `{"name":"value","n":12.50,"l":["x"]}`, result.Records[0].String())
}

func TestExtract_ServesManyGoroutines(t *testing.T) {
	x, err := New(Mapping{Records: "$.l[?@.a>0]", Fields: []Field{{Name: "a", Path: "$.a"}, {Name: "b", Path: "$.b[0:2]"}}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				result, err := x.Extract(t.Context(), Answer{Body: []byte(`{"l":[{"a":1,"b":[1,2,3]},{"a":0}]}`)})
				assert.NoError(t, err)
				assert.Equal(t, `{"a":1,"b":[1,2]}`, result.Records[0].String())
			}
		})
	}
	wg.Wait()
}

func TestMapping_ValidateReportsAllFaultsAtOnce(t *testing.T) {
	m := Mapping{
		Records: "data.items",
		Fields: []Field{
			{Name: "ok", Path: "$.a"},
			{Name: " ", Path: "$.b"},
			{Name: "ok", Path: "a.b"},
			{Name: "empty"},
			{Name: "function", Path: "$[?sum(@.*)>1]"},
			{Name: "broken", Path: "$.a["},
			{Name: "default", Path: "$.a", Default: []any{math.NaN()}},
		},
	}
	var got []FaultError
	for _, err := range m.Validate().(interface{ Unwrap() []error }).Unwrap() {
		var fault *FaultError
		require.ErrorAs(t, err, &fault)
		got = append(got, *fault)
	}
	assert.Equal(t, []FaultError{
		{"records", "data.items", "a path starts with $: write $.data.items"},
		{"fields[1].name", " ", "a field needs a name"},
		{"fields[2].name", "ok", "fields[0] has this name already"},
		{"fields[2].path", "a.b", "a path starts with $: write $.a.b"},
		{"fields[3].path", "", "a field needs a path, such as $.name"},
		{"fields[4].path", "$[?sum(@.*)>1]", "position 3: sum() is no function of JSONPath"},
		{"fields[5].path", "$.a[", "position 4: expected a quoted name, an index, a slice, * or a filter, found the end"},
		{"fields[6].default", "[]interface {}", "a default is what JSON can say: json: unsupported value: NaN"},
	}, got)
	_, err := New(m)
	assert.Equal(t, m.Validate().Error(), err.Error())
	assert.NoError(t, Mapping{}.Validate())
}

func TestMapping_JSON(t *testing.T) {
	for _, row := range []struct{ name, text string }{
		{"a mapping without defaults", `{"records":"$.a","fields":[{"name":"n","path":"$.n","required":true}]}`},
		{"a text", `{"fields":[{"name":"d","path":"$.d","default":"x"}]}`},
		{"a text without anything in it", `{"fields":[{"name":"d","path":"$.d","default":""}]}`},
		{"an integer that no float64 holds", `{"fields":[{"name":"d","path":"$.d","default":9007199254740993}]}`},
		{"digits that mean nothing to a float64", `{"fields":[{"name":"d","path":"$.d","default":[0.10,1E400,-0]}]}`},
		{"members in their order", `{"fields":[{"name":"d","path":"$.d","default":{"z":{"y":1,"b":[]},"a":false}}]}`},
		{"characters of HTML", `{"fields":[{"name":"d","path":"$[?@.a<1&&@.b>2]","default":"<&>"}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			var m Mapping
			require.NoError(t, json.Unmarshal([]byte(row.text), &m))
			require.NoError(t, m.Validate())
			assert.Equal(t, m, m.Canonical(), "what was read from JSON is canonical")
			out, err := appendForeign(nil, m)
			require.NoError(t, err)
			assert.Equal(t, row.text, string(out))

			escaped, err := json.Marshal(m)
			require.NoError(t, err)
			var again Mapping
			require.NoError(t, json.Unmarshal(escaped, &again))
			assert.Equal(t, m, again)
		})
	}
	var m Mapping
	require.NoError(t, json.Unmarshal([]byte(`{"fields":[{"name":"d","path":"$.d","default":null},null]}`), &m))
	assert.Equal(t, Mapping{Fields: []Field{{Name: "d", Path: "$.d"}, {}}}, m)
	require.Error(t, json.Unmarshal([]byte(`{"fields":[{"name":1}]}`), &m))
	_, err := json.Marshal(Field{Name: "d", Default: math.NaN()})
	require.ErrorContains(t, err, "NaN")
}

func TestMapping_CanonicalIsWhatAStoreOfJSONGivesBack(t *testing.T) {
	list := []any{1, map[string]any{"b": 0.5, "a": nil}}
	given := Mapping{Records: "$.r", Fields: []Field{
		{Name: "none", Path: "$.a", Required: true},
		{Name: "int", Path: "$.a", Default: 0},
		{Name: "list", Path: "$.a", Default: list},
		{Name: "time", Path: "$.a", Default: time.Unix(0, 0).UTC()},
		{Name: "invalid", Path: "$.a", Default: math.Inf(1)},
	}}
	canonical := given.Canonical()
	assert.Equal(t, Mapping{Records: "$.r", Fields: []Field{
		{Name: "none", Path: "$.a", Required: true},
		{Name: "int", Path: "$.a", Default: json.Number("0")},
		{Name: "list", Path: "$.a", Default: parse(t, `[1,{"a":null,"b":0.5}]`)},
		{Name: "time", Path: "$.a", Default: "1970-01-01T00:00:00Z"},
		{Name: "invalid", Path: "$.a", Default: math.Inf(1)},
	}}, canonical)
	assert.Equal(t, 0, given.Fields[1].Default, "the mapping it is asked of stays as it is")

	canonical.Fields = canonical.Fields[:4]
	out, err := json.Marshal(canonical)
	require.NoError(t, err)
	var again Mapping
	require.NoError(t, json.Unmarshal(out, &again))
	assert.Equal(t, canonical, again)
	assert.Equal(t, Mapping{}, Mapping{}.Canonical(), "no fields stay no fields")
}

func TestError_SpeaksForTheAnswerAsAWhole(t *testing.T) {
	assert.EqualError(t, &Error{Record: -1, Err: errors.New("why")}, "extract: why")
}

func FuzzMapping(f *testing.F) {
	for _, seed := range []struct{ mapping, answer string }{
		{`{"records":"$.a[*]","fields":[{"name":"n","path":"$.n","type":"integer","default":0}],"bad_records":"skip"}`, `{"a":[{"n":"7"},{"n":true}]}`},
		{`{"format":"csv","csv":{"delimiter":";"},"fields":[{"name":"t","path":"$.t","type":"time","format":"date","zone":"Europe/Berlin"}]}`, "t\n2026-03-01\n"},
		{`{"format":"xml","records":"//i","fields":[{"name":"l","path":"c","type":"json"},{"name":"g","path":"c","fields":[{"name":"x","path":"."}]}]}`, "<r><i><c>1</c></i></r>"},
		{`{"language":"jq","records":".[]","fields":[{"name":"x","path":".x // 1"},{"name":"c","const":{"b":[0.10]}},{"name":"p","from":"page"}]}`, `[{"x":null}]`},
		{`{"format":"text","pattern":"(?P<a>\\w+)","fields":[{"name":"f","fields":[{"name":"a","path":"$.a"}]}]}`, "one\ntwo"},
		{`{"format":"ndjson"}`, "{}\n[1]"},
	} {
		f.Add(seed.mapping, seed.answer)
	}
	f.Fuzz(func(t *testing.T, text, answer string) {
		var m Mapping
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		faults := m.Validate()
		x, err := New(m)
		require.Equal(t, faults == nil, err == nil, "what is valid compiles")
		if err != nil {
			return
		}
		kept, err := appendForeign(nil, m.Canonical())
		require.NoError(t, err)
		var again Mapping
		require.NoError(t, json.Unmarshal(kept, &again))
		require.NoError(t, again.Validate())
		result, err := x.Extract(t.Context(), Answer{Body: []byte(answer), Page: 1})
		if err != nil {
			return
		}
		for _, r := range result.Records {
			require.True(t, json.Valid([]byte(r.String())))
			if len(m.Fields) > 0 {
				require.Equal(t, len(m.Fields), r.Len(), "every record has every field")
			}
		}
	})
}
