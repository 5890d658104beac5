package extract

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withoutScan is a reader that never scans.
func withoutScan(r reader) reader {
	switch r := r.(type) {
	case jsonReader:
		r.scan = nil
		return r
	case ndjsonReader:
		r.scan = nil
		return r
	default:
		return r
	}
}

func TestScan_WhichMappings(t *testing.T) {
	fields := func(paths ...string) []Field {
		var list []Field
		for i, path := range paths {
			list = append(list, Field{Name: string(rune('a' + i)), Path: path})
		}
		return list
	}
	for _, row := range []struct {
		name string
		m    Mapping
		want bool
	}{
		{"names", Mapping{Records: "$.a.b", Fields: fields("$.x", "$.y.z")}, true},
		{"a wildcard at the end", Mapping{Records: "$.a.b[*]", Fields: fields("$.x")}, true},
		{"indices", Mapping{Records: "$[0].b", Fields: fields("$.x[1]", "$[2]")}, true},
		{"quoted names", Mapping{Records: "$['a b']", Fields: fields("$['x-y']")}, true},
		{"types, constants and metadata", Mapping{Fields: []Field{{Name: "a", Path: "$.a", Type: Time}, {Name: "b", Const: 1}, {Name: "c", From: URL}}}, true},
		{"lines", Mapping{Format: FormatNDJSON, Fields: fields("$.x")}, true},
		{"whole records", Mapping{Records: "$.a"}, false},
		{"a wildcard on the way", Mapping{Records: "$.a[*].b", Fields: fields("$.x")}, false},
		{"a filter", Mapping{Records: "$.a[?@.b]", Fields: fields("$.x")}, false},
		{"an index from the end", Mapping{Fields: fields("$.x[-1]")}, false},
		{"a field of several values", Mapping{Fields: fields("$.x[*]")}, false},
		{"a field that is the record", Mapping{Fields: fields("$")}, false},
		{"the same value twice", Mapping{Fields: fields("$.x", "$.x")}, false},
		{"a value and a part of it", Mapping{Fields: fields("$.x.y", "$.x")}, false},
		{"a part and its whole", Mapping{Fields: fields("$.x", "$.x.y")}, false},
		{"a name with more than ASCII", Mapping{Fields: fields("$.größe")}, false},
		{"jq", Mapping{Language: JQ, Fields: fields(".x")}, false},
		{"fields in fields", Mapping{Fields: []Field{{Name: "a", Fields: fields("$.x")}}}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			x, err := compile(row.m.Canonical())
			require.NoError(t, err)
			var plan *scanPlan
			switch r := x.reader.(type) {
			case jsonReader:
				plan = r.scan
			case ndjsonReader:
				plan = r.scan
			}
			assert.Equal(t, row.want, plan != nil)
		})
	}
}

// scanMappings are of the shape that is scanned.
var scanMappings = []Mapping{
	{Records: "$.a.b[*]", Fields: []Field{{Name: "x", Path: "$.x"}, {Name: "z", Path: "$.y.z", Default: 7}}},
	{Records: "$.a.b", Fields: []Field{{Name: "x", Path: "$.x", Required: true}, {Name: "y", Path: "$.y.z", Type: Integer}}, BadRecords: SkipRecords},
	{Fields: []Field{{Name: "y", Path: "$.y.z"}, {Name: "u", Path: "$.y.u[1]"}, {Name: "v", Path: "$.y.u[0].w"}, {Name: "x", Path: "$.x", Type: String}, {Name: "c", Const: 1}}},
	{Records: "$[1].a", Fields: []Field{{Name: "first", Path: "$[0]"}, {Name: "x", Path: "$.x"}}},
	{Format: FormatNDJSON, Records: "$.a", Fields: []Field{{Name: "x", Path: "$.x", Type: Decimal}, {Name: "y", Path: "$.y"}}, BadRecords: SkipRecords},
}

var scanAnswers = []string{
	`{"a":{"b":[{"x":1,"y":{"z":2}},{"x":"\u00e9","y":{"z":null}},{}]}}`,
	`{"a":{"b":[{"x":1}]},"a":{"b":[{"x":2},{"x":3,"x":[4,{"q":5}]}]}}`,
	`{"a":{"b":[1]},"a":{"b":[{"x":1,"y":{"z":1},"y":{"u":2}}]}}`,
	`{"a":{"b":[1]},"a":3}`, `{"a":{"b":null}}`, `{"a":{"b":{"x":0.10}}}`, `{"a":{"c":[]}}`, `{"a":{"b":[{"x":01}]}}`, `{"a":{"b":[{"x":1}],}}`, `{"a":{"b":[]}} x`,
	`[{"a":1},{"a":[{"x":[]},[5,6],"t"]},{"q":"\ud83d\ude00"}]`, `[{"y":{"z":"a\tb","u":[{"w":9007199254740993},1E400]},"x":{"k":-0.0}}]`, `[{"y":{"u":[[1]]},"\u0079":{"z":1}}]`,
	"\uFEFF[{\"x\":\"\xff\"}]", "{\"a\":{\"x\":1}}\n{\"a\":[{\"x\":2,\"y\":[true]}]}\n{\"a\":tru}\n\n{\"b\":1}", `null`, ``, `"a"`, `[[[]]]`, `{"a":{"b":[{"x":"a\"b\\c`, "[{\"x\":\"a\x01\"}]",
	`{"a":{"b":[{"skipped":{"n":[1,2.5e-3,{"s":"\u12"}]},"x":1}]}}`, `{"a":{"b":[{"long":"` + strings.Repeat("0123456789", 9) + `é\n","x":"` + strings.Repeat("x", 5000) + `"}]}}`,
	`{"a":{"b":[` + strings.Repeat(`{"x":12345678901234567890,"y":{"z":0.1}},`, 300) + `{"x":0}]}}`,
}

// A scan gives what the tree gives, be it records or an error.
func requireScanAgrees(t *testing.T, m Mapping, body []byte) bool {
	t.Helper()
	scanning, err := compile(m.Canonical())
	require.NoError(t, err)
	general, err := compile(m.Canonical())
	require.NoError(t, err)
	general.reader = withoutScan(general.reader)
	want, wantErr := general.Extract(t.Context(), Answer{Body: body})
	got, gotErr := scanning.Extract(t.Context(), Answer{Body: body})
	require.Equal(t, wantErr, gotErr)
	require.Equal(t, want.Rejected, got.Rejected)
	require.Equal(t, want.Problems, got.Problems)
	require.Len(t, got.Records, len(want.Records))
	for i := range want.Records {
		require.Equal(t, want.Records[i], got.Records[i])
	}
	return wantErr == nil
}

func TestScan_AgreesWithTheTree(t *testing.T) {
	read := 0
	for _, m := range scanMappings {
		for _, answer := range scanAnswers {
			if requireScanAgrees(t, m, []byte(answer)) {
				read++
			}
		}
	}
	for _, c := range ctsCases(t) {
		for _, m := range scanMappings {
			requireScanAgrees(t, m, c.Document)
		}
	}
	assert.Greater(t, read, 30)
}

func TestScan_ReadsWhatItShould(t *testing.T) {
	x, err := compile(benchMapping.Canonical())
	require.NoError(t, err)
	records, values, ok := x.reader.(jsonReader).scanner(newEvaluation(t.Context(), Answer{})).scan(answerOf(1000), 0)
	require.True(t, ok, "no detour by the tree")
	assert.Len(t, records, 1000)
	doc, err := Parse(answerOf(1000))
	require.NoError(t, err)
	assert.Equal(t, doc.values, values, "the values are counted as the tree's")
	id, _ := records[999].Get("id")
	assert.Equal(t, json.Number("1000000999"), id)
}

func TestScan_KeepsNothingOfTheAnswer(t *testing.T) {
	x, err := New(benchMapping)
	require.NoError(t, err)
	answer := answerOf(3)
	result, err := x.Extract(t.Context(), Answer{Body: answer})
	require.NoError(t, err)
	before := sprint(result.Records)
	clear(answer)
	assert.Equal(t, before, sprint(result.Records))
}

func TestScan_BoundsAreThoseOfTheTree(t *testing.T) {
	m := Mapping{Records: "$.l", Fields: []Field{{Name: "x", Path: "$.x"}}}
	for name, body := range map[string]string{
		"values in what is skipped": `{"l":[],"n":[` + strings.Repeat("0,", maxValues) + `0]}`,
		"depth of what is skipped":  `{"l":[],"n":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`,
		"depth of a value":          `{"l":[{"x":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, requireScanAgrees(t, m, []byte(body)))
		})
	}
	deep := maxDepth - 1
	require.True(t, requireScanAgrees(t, m, []byte(`{"l":[],"n":`+strings.Repeat("[", deep)+strings.Repeat("]", deep)+`}`)))
}

func TestScan_JSONTestSuite(t *testing.T) {
	wrap := Mapping{Records: "$.l", Fields: []Field{{Name: "x", Path: "$.x"}}}
	for _, data := range suiteTexts(t) {
		requireScanAgrees(t, wrap, []byte(`{"l":[],"n":`+string(data)+`}`))
		requireScanAgrees(t, wrap, []byte(`{"l":[{"x":`+string(data)+`}]}`))
	}
}

func FuzzScan(f *testing.F) {
	for _, answer := range scanAnswers {
		for i := range scanMappings {
			f.Add([]byte(answer), i)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, which int) {
		requireScanAgrees(t, scanMappings[uint(which)%uint(len(scanMappings))], body)
	})
}
