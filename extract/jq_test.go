package extract

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runJQ gives the outputs of a program as JSON.
func runJQ(t testing.TB, program, input string) (string, error) {
	t.Helper()
	x, err := New(Mapping{Language: JQ, Records: program})
	if err != nil {
		return "", err
	}
	result, err := x.Extract(t.Context(), Answer{Body: []byte(input)})
	if err != nil {
		return "", err
	}
	var outputs []string
	for _, r := range result.Records {
		value, whole := r.Get("value")
		if line := r.String(); whole && r.Len() == 1 {
			line = text(t, value)
			outputs = append(outputs, line)
		} else {
			outputs = append(outputs, line)
		}
	}
	return strings.Join(outputs, " "), nil
}

// jqPrograms are programs and what jq gives for them; the guard must change none of it.
var jqPrograms = []struct{ name, program, in, want string }{
	{"numbers keep their digits", `.[]`, `[9007199254740993,12345678901234567890,0.1,1.10]`, `9007199254740993 12345678901234567890 0.1 1.10`},
	{"integers are added exactly", `.[0] + 1`, `[9007199254740993]`, `9007199254740994`},
	{"and subtracted", `.[0] - 1, .[1] - .[0]`, `[9007199254740993,123456789012345678901]`, `9007199254740992 123447781813090937908`},
	{"and multiplied", `.[0] * .[1]`, `[12345678901234567890,10]`, `123456789012345678900`},
	{"floats are floats", `.[0] + .[1], 1e3, nan`, `[0.1,0.2]`, `0.30000000000000004 1000 null`},
	{"infinity to compare with", `([.[0][0], infinite] | min), (reduce (3, 2) as $x (infinite; if $x < . then $x else . end)), [limit(infinite; 1, 2)], flatten(1)`, `[[1]]`, `1 2 [1,2] [1]`},
	{"objects", `{b: .x, a: [.y[] | {z: .}]}`, `{"x":1,"y":[1,2]}`, `{"a":[{"z":1},{"z":2}],"b":1}`},
	{"select and map", `.items | map(select(.n > 1) | .n)`, `{"items":[{"n":1},{"n":2},{"n":3}]}`, `[2,3]`},
	{"strings", `"\(.a)-\(.b | @json)" + "x", (.a | ascii_upcase), ([.a, 1, null, true] | join("/"))`, `{"a":"q","b":[1]}`, `"q-[1]x" "Q" "q/1//true"`},
	{"repetition and division", `"ab" * 3, ("a,b" / ","), ([1,2,3] - [2]), 7 % 4, -(.)`, `5`, `"ababab" ["a","b"] [1,3] 3 -5`},
	{"paths", `[paths], (.a.b |= . + 1), (.a.b += 2), (.a.b -= 1), (.a.b *= 3), (.a.b /= 2), (.c //= 1), del(.a), (.a["b"] = 0)`, `{"a":{"b":4}}`,
		`[["a"],["a","b"]] {"a":{"b":5}} {"a":{"b":6}} {"a":{"b":3}} {"a":{"b":12}} {"a":{"b":2}} {"a":{"b":4},"c":1} {} {"a":{"b":0}}`},
	{"paths through functions", `(map(select(. > 1)) | .[0]), (.[] | select(. > 1)) |= . * 10, (first(.[]) |= 7), path(..), (map(.) | length)`, `[1,2]`,
		`2 [1,20] [7,2] [] [0] [1] 2`},
	{"to and from entries", `to_entries, with_entries(.value += 1), (to_entries | from_entries)`, `{"b":1,"a":2}`, `[{"key":"a","value":2},{"key":"b","value":1}] {"a":3,"b":2} {"a":2,"b":1}`},
	{"reduce and foreach", `(reduce .[] as $x (0; . + $x)), [foreach .[] as $x (0; . + $x)], (reduce .[] as [$i, $j] (0; . + $i * $j))?`, `[1,2,3]`, `6 [1,3,6]`},
	{"variables and definitions", `def double(f): f * 2; . as {a: $x, b: [$y]} | double($x) + $y, double(.a)`, `{"a":2,"b":[3]}`, `7 4`},
	{"definitions before an operation", `(def f: 3; f + 1), (def f: 3; f * 2), (def f: .a; f += 1), [def f: 1; f, f - 1], "\(def f: 2; f)", .[def f: "a"; f]`, `{"a":1}`,
		`4 6 {"a":2} [1,0] "2" 1`},
	{"if, try, alternatives", `(if . > 1 then "big" elif . == 1 then "one" else "small" end), (try error("x") catch .), (.a? // "none"), ([.[]?])`, `1`, `"one" "x" "none" []`},
	{"regular expressions", `test("B"; "i"), [match("[a-z]+"; "g").string], capture("(?<y>[0-9]+)-(?<m>[0-9]+)"), [scan("[0-9]")], [splits("-")]`, `"ab-12-3"`,
		`true ["ab"] {"m":"3","y":"12"} ["1","2","3"] ["ab","12","3"]`},
	{"replacements", `sub("a"; "x"), gsub("(?<d>[0-9])"; "<\(.d)>"), gsub(""; "."), gsub("é"; "e"), sub("(?<a>x)?b"; "[\(.a)]")`, `"éab1"`,
		`"éxb1" "éab<1>" ".é.a.b.1." "eab1" "éa[null]1"`},
	{"matches have offsets in characters", `match("b") | [.offset, .length, .captures]`, `"éab"`, `[2,1,[]]`},
	{"split by a text and by a pattern", `split(", "), split(", *"; null), split("a";"g")`, `"1, 2,3"`, `["1","2,3"] ["1","2","3"] ["1, 2,3"]`},
	{"sorting and grouping", `sort_by(.n) | map(.n), (group_by(.k) | map(length)), (unique_by(.k) | length), (min_by(.n), max_by(.n) | .n)`, `[{"k":1,"n":3},{"k":1,"n":2},{"k":2,"n":1}]`,
		`[1,2,3] [2,1] 2 1 3`},
	{"contains and index", `contains(["b"]), inside(["a","bc","d"]), (.[1] | index("c")), ([.[1] | indices("b")])`, `["a","bc"]`, `true true 1 [[0]]`},
	{"JSON in texts", `(.j | fromjson | .a), (.x | tojson), (.n | tonumber), (.n | tostring)`, `{"j":"{\"a\":[0.10]}","x":[1],"n":"1.5"}`, `[0.10] "[1]" 1.5 "1.5"`},
	{"formats", `@base64, (@base64 | @base64d), @uri, @html, ([.] | @csv), ([.] | @tsv), @sh, @json "v\(.)"`, `"a <b>"`,
		`"YSA8Yj4=" "a <b>" "a%20%3Cb%3E" "a &lt;b&gt;" "\"a <b>\"" "a <b>" "'a <b>'" "v\"a <b>\""`},
	{"times", `(0 | todate), ("1970-01-01T00:01:00Z" | fromdate), (60 | strftime("%H:%M"))`, `null`, `"1970-01-01T00:00:00Z" 60 "00:01"`},
	{"walk, flatten, add, range", `walk(if type == "number" then . + 1 else . end), flatten, (flatten | add), add(.[0]), [range(3)], [limit(2; repeat(1))]`, `[1,[2]]`,
		`[2,[3]] [1,2] 3 1 [0,1,2] [1,1]`},
	{"slices", `.[1:], .[:1], .[-1], .[1.7], (.[1:] = [9])`, `[1,2,3]`, `[2,3] [1] 3 2 [1,9]`},
	{"no environment", `env, $ENV`, `null`, `{} {}`},
}

func TestJQ(t *testing.T) {
	for _, row := range jqPrograms {
		t.Run(row.name, func(t *testing.T) {
			got, err := runJQ(t, row.program, row.in)
			require.NoError(t, err)
			assert.Equal(t, row.want, got)
		})
	}
}

// The guard must be seen in nothing but what it refuses: gojq alone gives the same.
func TestJQ_GuardedAndBareProgramsAgree(t *testing.T) {
	for _, row := range jqPrograms {
		if strings.Contains(row.program, "env") {
			continue
		}
		query, err := gojq.Parse(row.program)
		require.NoError(t, err)
		doc, err := decodeFrom(&decoder{ctx: t.Context(), data: []byte(row.in), plain: true})
		require.NoError(t, err)
		var want []any
		for iter := query.Run(doc.root); ; {
			output, more := iter.Next()
			if !more {
				break
			}
			require.NotImplements(t, (*error)(nil), output, row.program)
			value, err := export(output, func() error { return nil })
			require.NoError(t, err)
			want = append(want, value)
		}
		program, err := newJQ(row.program)
		require.NoError(t, err)
		outputs, err := program.all(newEvaluation(t.Context(), Answer{}), doc.root)
		require.NoError(t, err)
		for i := range outputs {
			outputs[i], err = export(outputs[i], func() error { return nil })
			require.NoError(t, err)
		}
		assert.Equal(t, text(t, want), text(t, outputs), row.program)
	}
}

// What is beyond a float64 is no number that somebody has sent.
func TestJQ_OverflowIsAnError(t *testing.T) {
	for _, program := range []string{
		". + 0", "1E400 + 0", "1E400", ". * 1", ". - 1", "[.] | add", "pow(10; 400)", "exp10", "floor", "infinite", "-infinite", "[infinite]", "{a: (. + 0)}",
		"[. + 0] | tojson", `"\(. + 0)"`, ". + 0 | tostring", "[.] | .[0] += 1", ". + 0 > 1",
	} {
		got, err := runJQ(t, program, "1E400")
		require.ErrorContains(t, err, "a number beyond the range of a float", "%s gives %s", program, got)
	}
	got, err := runJQ(t, `., -., ([., 1] | max), tostring, ((. + 0)? // "much")`, "1E400")
	require.NoError(t, err)
	require.Equal(t, `1E400 -1E400 1E400 "1E400" "much"`, got)
}

func TestJQ_Records(t *testing.T) {
	x, err := New(Mapping{Language: JQ, Records: `.items[] | select(.active)`, Fields: []Field{
		{Name: "id", Path: ".id", Required: true},
		{Name: "total", Path: `[.lines[].qty] | add`, Type: Integer},
		{Name: "price", Path: ".price", Type: Decimal},
		{Name: "none", Path: "empty", Default: "x"},
		{Name: "lines", Path: ".lines", Type: JSON},
		{Name: "first", Path: ".lines[0]", Fields: []Field{{Name: "n", Path: ".qty"}}},
	}})
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte(`{"items":[{"id":12345678901234567890,"active":true,"price":0.10,"lines":[{"qty":1},{"qty":2}]},{"id":2}]}`)})
	require.NoError(t, err)
	assert.Equal(t, `[{"id":12345678901234567890,"total":3,"price":0.10,"none":"x","lines":[{"qty":1},{"qty":2}],"first":{"n":1}}]`, sprint(result.Records))

	for _, c := range []struct {
		name string
		m    Mapping
		body string
		want string
	}{
		{"the elements without a path", Mapping{Language: JQ}, `[{"b":1,"a":2},{"c":3}]`, `[{"a":2,"b":1} {"c":3}]`},
		{"lines", Mapping{Language: JQ, Format: FormatNDJSON, Records: "select(.n > 1)"}, "{\"n\":1}\n{\"n\":2}\n", `[{"n":2}]`},
		{"rows", Mapping{Language: JQ, Format: FormatCSV, Records: `select(.n | tonumber > 1)`, Fields: []Field{{Name: "n", Path: ".n"}}}, "n,m\n1,x\n2,y\n", `[{"n":"2"}]`},
		{"rows as they are", Mapping{Language: JQ, Format: FormatCSV}, "n,m\n1,x\n", `[{"n":"1","m":"x"}]`},
		{"fields of rows", Mapping{Language: JQ, Format: FormatCSV, Fields: []Field{{Name: "v", Path: `.n + .m`}}}, "n,m\n1,x\n", `[{"v":"1x"}]`},
		{"lines of text", Mapping{Language: JQ, Format: FormatText, Pattern: `(?P<k>\w)=(?P<v>\d)`, Fields: []Field{{Name: "v", Path: `{(.k): .v}`}}}, "a=1\nb=2", `[{"v":{"a":"1"}} {"v":{"b":"2"}}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := New(c.m)
			require.NoError(t, err)
			result, err := x.Extract(t.Context(), Answer{Body: []byte(c.body)})
			require.NoError(t, err)
			assert.Equal(t, c.want, sprint(result.Records))
		})
	}
}

func TestJQ_Errors(t *testing.T) {
	for _, row := range []struct{ name, program, in, want string }{
		{"what fails", `.a.b`, `{"a":1}`, `extract at .a.b: jq: expected an object but got: number (1), in {"a":1}`},
		{"an error of the program", `error("no rates today")`, `null`, "jq: error: no rates today"},
		{"a number without end", `. + 1`, strings.Repeat("9", 1001), "more than 1000 digits"},
		{"two replacements for one", `gsub("a"; "x", "y")`, `"a"`, "one output is taken as a replacement"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := runJQ(t, row.program, row.in)
			require.ErrorContains(t, err, row.want)
		})
	}
	x, err := New(Mapping{Language: JQ, Fields: []Field{{Name: "n", Path: ".[]"}}})
	require.NoError(t, err)
	_, err = x.Extract(t.Context(), Answer{Body: []byte(`{"a":1,"b":2}`)})
	require.EqualError(t, err, `extract record 0, field "n" at .[]: several outputs where one is taken: choose it, as in first(…), or make a list, as in […], in {"a":1,"b":2}`)
}

func TestJQ_Refuses(t *testing.T) {
	for program, want := range map[string]string{
		".a[":                            "unexpected EOF",
		"input":                          "the function input is not supported",
		"[inputs]":                       "the function inputs is not supported",
		"now":                            "the function now is not supported",
		`debug`:                          "not supported",
		`halt_error`:                     "not supported",
		`import "a" as a; 1`:             "no modules",
		`include "a"; 1`:                 "no modules",
		"nosuch":                         "function not defined: nosuch/0",
		"$x":                             "variable not defined: $x",
		"$__run":                         "reserved",
		". as $__x | 1":                  "reserved",
		". as {$__x} | 1":                "reserved",
		"_match(1;2;3)":                  "not supported",
		"_cs_count($x)":                  "not supported",
		"def _cs_x: 1; 1":                "choose another name",
		"def join(f): f; 1":              "choose another name",
		"def f(keys): keys; 1":           "keys/0 is a function of jq",
		"def min_by(f): 1; 1":            "choose another name",
		"def now: 1; now":                "choose another name",
		strings.Repeat("1,", 3000) + "1": "longer than 4096 bytes",
	} {
		err := Mapping{Language: JQ, Records: program}.Validate()
		var fault *FaultError
		require.ErrorAs(t, err, &fault, program)
		assert.Equal(t, "records", fault.Field)
		assert.ErrorContains(t, err, want, program)
	}
}

func TestJQ_BombsEnd(t *testing.T) {
	arr := "[" + strings.Repeat("1,", 9) + "1]"
	for _, program := range []string{
		`[range(1e9)]`, `def f: f; f`, `def f: [f]; f`, `def f: f + 1; f`, `reduce range(1e12) as $i (0; . + 1)`, `[limit(100000000; repeat(1))] | length`,
		`"x" * 1000000000`, `"x" * 500000000`, `1000000000 * "x"`, `("x" * 1000000) as $x | [range(1000) | $x + "y"]`,
		`reduce range(100) as $i ("x"; . + .)`, `reduce range(100) as $i ([1]; . + .)`, `reduce range(100) as $i ("x"; "\(.)\(.)")`, `reduce range(100) as $i ("x"; . *= 2)`,
		`reduce range(1000) as $i (10; . * .)`, `reduce range(1000) as $i (10; . *= .)`, `[[range(1000)], [range(1000)]] | until(false; . + .)`,
		strings.Repeat("[.,.]|", 40) + "tojson", strings.Repeat("[.,.]|", 40) + ". == .", strings.Repeat("[.,.]|", 40) + "flatten", strings.Repeat("{a:.,b:.}|", 40) + "tojson",
		`null | .[400000000] = 1`, `null | setpath([400000000]; 1)`, `(null | getpath([400000000])) = 1`, `null | nth(400000000) = 1`, `null | .[4e8]? |= 1`, `[.[] as $x | 400000000] as [$i] | null | .[$i] = 1`,
		`[range(100000)] as $a | $a - $a`, `[range(100000)] | contains([range(100000) | -1])`, `[range(10000)] | . as $a | [$a[] | $a]`,
		`("a" * 1000000) | explode | length`, `("a" * 1000000) | split("") | length`, `("a" * 1000000) | [match(""; "g")] | length`, `("a" * 1000000) / ""`,
		`("a" * 100000) | gsub("a.*?b|a"; "x")`, `("a" * 100000) as $x | $x | gsub("a"; $x)`, `[range(100000) | ""] | join("x" * 100000)`, `"a" | test("(((a{1,100}){1,100}){1,10})")`,
		`("[" + "{}," * 300000 + "{}]") | fromjson | length`, `("9" * 1000000) | tonumber + 1`, `("[" + "9" * 1000000 + "]") | fromjson | .[0] + 1`,
		`[limit(1000; repeat("x" * 100000))] | add`, `add(limit(1000; repeat("x" * 100000)))`, `[range(1000)] | sort_by("x" * 1000000)`, `[range(1000)] | map(tojson * 100000) | length`,
		`try ("x" * 1000000000) catch repeat(1)`, `("x" * 1000000000)?, repeat(1)`, `[combinations(20)] | length`, `[range(10) | [range(10)]] | [combinations] | length`, `[paths(.., ..)] | repeat(.)`,
		`last(range(1e9))`, `[recurse(.; true)]`, `[while(true; . + [1])]`, `until(false; [.])`, `@json "\(("x" * 1000000))" * 100`, `("\u0001" * 4000000) | @json, @html, @sh`, `[splits(""; "g")] | repeat(.)`,
	} {
		t.Run(shorten(program), func(t *testing.T) {
			_, err := runJQ(t, program, arr)
			require.Error(t, err)
			require.True(t, strings.Contains(err.Error(), "over budget") || strings.Contains(err.Error(), "jq: ") || strings.Contains(err.Error(), "path"), err)
		})
	}
}

func FuzzJQ(f *testing.F) {
	for _, row := range jqPrograms {
		f.Add(row.program, row.in)
	}
	f.Fuzz(func(t *testing.T, program, input string) {
		x, err := New(Mapping{Language: JQ, Records: program, Fields: []Field{{Name: "v", Path: "."}}})
		if err != nil {
			return
		}
		result, err := x.Extract(t.Context(), Answer{Body: []byte(input)})
		if err != nil {
			return
		}
		for _, r := range result.Records {
			require.True(t, json.Valid([]byte(r.String())))
		}
	})
}
