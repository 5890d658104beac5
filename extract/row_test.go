package extract

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"
)

func TestCSV(t *testing.T) {
	for _, row := range []struct {
		name, in string
		csv      CSV
		format   Format
		want     string
	}{
		{"rows are objects of texts", "a,b\n1,x\n2,\n", CSV{}, FormatCSV, `[{"a":"1","b":"x"} {"a":"2","b":""}]`},
		{"the last line may end without a line end", "a\r\n1\r\n2", CSV{}, FormatCSV, `[{"a":"1"} {"a":"2"}]`},
		{"blank lines are passed over", "\na\n\n1\n\r\n2\n\n", CSV{}, FormatCSV, `[{"a":"1"} {"a":"2"}]`},
		{"quotes hold delimiters, quotes and line ends", "a,b\n\"1,2\",\"x \"\"y\"\"\r\n\"\"\"\n", CSV{}, FormatCSV, `[{"a":"1,2","b":"x \"y\"\r\n\""}]`},
		{"a quote inside a cell without quotes is one", "a\n5\" pipe\n", CSV{}, FormatCSV, `[{"a":"5\" pipe"}]`},
		{"blanks belong to the cell", "a, b\n 1 , 2\n", CSV{}, FormatCSV, `[{"a":" 1 "," b":" 2"}]`},
		{"a carriage return alone belongs to the cell", "a\nx\ry\n", CSV{}, FormatCSV, `[{"a":"x\ry"}]`},
		{"in the header a carriage return has quotes", "\"a\rb\",c\r\n1,2\r", CSV{}, FormatCSV, `[{"a\rb":"1","c":"2"}]`},
		{"a header that ends with a carriage return", "a,b\r", CSV{}, FormatCSV, `[]`},
		{"a byte order mark is passed over", "\uFEFFa\n1\n", CSV{}, FormatCSV, `[{"a":"1"}]`},
		{"another delimiter", "a;b\n1,5;2\n", CSV{Delimiter: ";"}, FormatCSV, `[{"a":"1,5","b":"2"}]`},
		{"a delimiter of several bytes", "a→b\n1→\"→\"\n", CSV{Delimiter: "→"}, FormatCSV, `[{"a":"1","b":"→"}]`},
		{"tabs", "a\tb\n1,5\t\"x\ty\"\n", CSV{}, FormatTSV, `[{"a":"1,5","b":"x\ty"}]`},
		{"lines before the header", "Rates of the bank\n\na,b\n1,2\n", CSV{SkipLines: 2}, FormatCSV, `[{"a":"1","b":"2"}]`},
		{"no header", "1,2\n3,4\n", CSV{Columns: []string{"a", "b"}}, FormatCSV, `[{"a":"1","b":"2"} {"a":"3","b":"4"}]`},
		{"columns without a name may repeat", "a,,b,\n1,2,3,4\n", CSV{}, FormatCSV, `[{"a":"1","":"4","b":"3"}]`},
		{"a header alone has no records", "a,b\n", CSV{}, FormatCSV, `[]`},
		{"bytes that are no UTF-8 are replaced", "a\nx\xffy\n", CSV{}, FormatCSV, "[{\"a\":\"x\uFFFDy\"}]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			x, err := New(Mapping{Format: row.format, CSV: row.csv})
			require.NoError(t, err)
			result, err := x.Extract(t.Context(), Answer{Body: []byte(row.in)})
			require.NoError(t, err)
			assert.Equal(t, row.want, sprint(result.Records))
		})
	}
}

func TestCSV_Fields(t *testing.T) {
	x, err := New(Mapping{Format: FormatCSV, Fields: []Field{
		{Name: "day", Path: "$.day", Type: Time, Format: "date"},
		{Name: "rate", Path: "$['Rate %']", Type: Decimal},
		{Name: "missing", Path: "$.none", Default: "x"},
		{Name: "cells", Path: "$[?@ != '']"},
		{Name: "row", Path: "$"},
		{Name: "group", Fields: []Field{{Name: "n", Path: "$.n", Type: Integer, Default: 0}}},
		{Name: "run", From: ExecutionID},
	}})
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte("day,Rate %,n\n2026-03-01,1.10,\n2026-03-02,\"12345678901234567890.1\",7\n"), ExecutionID: "e"})
	require.NoError(t, err)
	assert.Equal(t, `[{"day":"2026-03-01T00:00:00Z","rate":1.10,"missing":"x","cells":["2026-03-01","1.10"],`+
		`"row":{"day":"2026-03-01","Rate %":"1.10","n":""},"group":{"n":0},"run":"e"} `+
		`{"day":"2026-03-02T00:00:00Z","rate":12345678901234567890.1,"missing":"x","cells":["2026-03-02","12345678901234567890.1","7"],`+
		`"row":{"day":"2026-03-02","Rate %":"12345678901234567890.1","n":"7"},"group":{"n":7},"run":"e"}]`, sprint(result.Records))
}

func TestCSV_AColumnThatIsNotThere(t *testing.T) {
	none := Field{Name: "n", Path: "$.none"}
	for _, row := range []struct {
		name  string
		csv   CSV
		field Field
		in    string
		want  string // the records, or the error
	}{
		{"a renamed column", CSV{}, none, "id,name\n1,x\n", `extract, field "n" at $.none: nothing there, in "id,name"`},
		{"of a table without rows", CSV{}, none, "id,name\n", `extract, field "n" at $.none: nothing there, in "id,name"`},
		{"in brackets", CSV{}, Field{Name: "n", Path: "$['ID']"}, "id\n1\n", `extract, field "n" at $['ID']: nothing there, in "id"`},
		{"a page of HTML", CSV{}, Field{Name: "id", Path: "$.id"}, "<html>\n<body>\n", `extract, field "id" at $.id: nothing there, in "<html>"`},
		{"required", CSV{}, Field{Name: "n", Path: "$.none", Required: true, Default: 1}, "id\n", `extract, field "n" at $.none: nothing there, in "id"`},
		{"in a group", CSV{}, Field{Name: "g", Fields: []Field{none}}, "id\n1\n", `extract, field "g.n" at $.none: nothing there, in "id"`},
		{"of columns that the mapping names", CSV{Columns: []string{"id"}}, none, "1\n", `extract, field "n" at $.none: nothing there, in "id"`},
		{"with a default", CSV{}, Field{Name: "n", Path: "$.none", Default: 0}, "id\n1\n", `[{"n":0}]`},
		{"an empty cell has its column", CSV{}, Field{Name: "n", Path: "$.none"}, "id,none\n1,\n", `[{"n":""}]`},
		{"a path that may find nothing", CSV{}, Field{Name: "n", Path: "$['none', 'id']"}, "id\n1\n", `[{"n":["1"]}]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := Mapping{Format: FormatCSV, CSV: row.csv, Fields: []Field{row.field}, BadRecords: SkipRecords}
			x, err := New(m)
			require.NoError(t, err)
			whole, err := x.Extract(t.Context(), Answer{Body: []byte(row.in)})
			if err != nil {
				require.ErrorIs(t, err, ErrNotFound)
				require.EqualError(t, err, row.want)
			} else {
				require.Equal(t, row.want, sprint(whole.Records))
			}
			parts, err := partsOf(t, m, row.in, "", 1, nil)
			require.NoError(t, err)
			records, err := recordsOf(t, m, x, "", parts)
			if err != nil {
				require.EqualError(t, err, row.want)
			} else {
				require.Equal(t, row.want, sprint(records))
			}
		})
	}
	jq, err := New(Mapping{Format: FormatCSV, Language: JQ, Fields: []Field{{Name: "n", Path: ".none"}}})
	require.NoError(t, err)
	result, err := jq.Extract(t.Context(), Answer{Body: []byte("id\n1\n")})
	require.NoError(t, err)
	require.Equal(t, `[{"n":null}]`, sprint(result.Records), "a program computes")
}

func TestCSV_FieldsOfTheRow(t *testing.T) {
	x, err := New(Mapping{Format: FormatCSV, Fields: []Field{{Name: "row", Path: "$", Fields: []Field{{Name: "n", Path: "$.id"}, {Name: "none", Path: "$.none"}}}}})
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte("id\n7\n")})
	require.NoError(t, err)
	require.Equal(t, `[{"row":{"n":"7","none":null}}]`, sprint(result.Records))
}

func TestCSV_Refuses(t *testing.T) {
	for _, row := range []struct {
		name, in string
		want     string
	}{
		{"nothing at all", "", "extract: the header of the table: nothing there"},
		{"a row with a cell too few", "a,b\n1\n", `extract record 0: byte 4: a row of 1 cells under 2 columns, in "1"`},
		{"a row with a cell too many", "\uFEFFa\n1\n1,2\n", `extract record 1: byte 7: a row of 2 cells under 1 columns, in "1,2"`},
		{"an open quote", "a\n1\n\"x", `extract: byte 4: a cell without its closing quote, in "\"x"`},
		{"more after a closing quote", "a\n\"x\"y\n", `extract: byte 5: 'y' after the closing quote of a cell, in "\"x\"y"`},
		{"carriage returns as line ends", "a,b\r1,2\r3,4\r", `extract: byte 3: a carriage return alone in the header: lines end with a line feed, with or without one before it, in "a,b\r1,2\r3,4\r"`},
		{"a carriage return before the header", "\uFEFF\ra\n1\n", `extract: byte 3: a carriage return alone in the header: lines end with a line feed, with or without one before it, in "\ra\n1\n"`},
		{"a column that comes twice", "a,b,a\n", `extract: byte 0: the header has the column "a" twice, in "a,b,a\n"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			x, err := New(Mapping{Format: FormatCSV})
			require.NoError(t, err)
			_, err = x.Extract(t.Context(), Answer{Body: []byte(row.in)})
			assert.EqualError(t, err, row.want)
			for size := range len(row.in) {
				parts, err := partsOf(t, Mapping{Format: FormatCSV}, row.in, "", size, nil)
				require.NoError(t, err)
				_, err = recordsOf(t, Mapping{Format: FormatCSV}, x, "", parts)
				assert.Error(t, err, "in parts of %d", size)
			}
		})
	}
}

func TestCSV_ABadRowIsSetAside(t *testing.T) {
	x, err := New(Mapping{Format: FormatCSV, BadRecords: SkipRecords, Fields: []Field{{Name: "a", Path: "$.a", Type: Integer}}})
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte("a,b\n1,x\n2\n,y\nn/a,z\n")})
	require.NoError(t, err)
	assert.Equal(t, `[{"a":1} {"a":null}]`, sprint(result.Records))
	assert.Equal(t, int64(2), result.Rejected)
	assert.EqualError(t, errors.Join(result.Problems...), `extract record 1: byte 8: a row of 1 cells under 2 columns, in "2"`+"\n"+
		`extract record 3, field "a" at $.a: not of type integer: no number, in "n/a"`)
}

func TestText_OtherCharsets(t *testing.T) {
	for _, row := range []struct{ name, contentType, in string }{
		{"by the content type", "text/csv; charset=windows-1252", "a\nZ\xfcrich \x80\n"},
		{"by a byte order mark", "text/csv", "\xff\xfea\x00\n\x00Z\x00\xfc\x00r\x00i\x00c\x00h\x00 \x00\xac\x20\n\x00"},
		{"by none, UTF-8", "", "a\nZürich €\n"},
		{"by none, where the content type makes no sense", "text/csv; charset", "a\nZürich €\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			x, err := New(Mapping{Format: FormatCSV})
			require.NoError(t, err)
			result, err := x.Extract(t.Context(), Answer{Body: []byte(row.in), ContentType: row.contentType})
			require.NoError(t, err)
			assert.Equal(t, `[{"a":"Zürich €"}]`, sprint(result.Records))
		})
	}
	x, err := New(Mapping{Format: FormatCSV})
	require.NoError(t, err)
	_, err = x.Extract(t.Context(), Answer{Body: []byte("a\n"), ContentType: "text/csv; charset=klingon"})
	assert.EqualError(t, err, `extract: the charset "klingon" is not known`)
}

func TestJSON_OtherCharsets(t *testing.T) {
	const latin1, wide = "{\"a\":\"caf\xe9\"}", "{\"a\":\"café\"}"
	utf16 := func(order unicode.Endianness, mark unicode.BOMPolicy) string {
		return encoded(t, wide, unicode.UTF16(order, mark).NewEncoder())
	}
	for _, row := range []struct{ name, contentType, in string }{
		{"by the content type", "application/json; charset=iso-8859-1", latin1},
		{"by the content type, in other letters", `application/json;profile=x; CHARSET="Windows-1252"`, latin1},
		{"by a byte order mark, in big endian", "application/json", utf16(unicode.BigEndian, unicode.UseBOM)},
		{"by a byte order mark, in little endian, before the content type", "application/json; charset=utf-8", utf16(unicode.LittleEndian, unicode.UseBOM)},
		{"by a content type of UTF-16", "application/json; charset=utf-16le", utf16(unicode.LittleEndian, unicode.IgnoreBOM)},
		{"by none, UTF-8", "application/json", wide},
		{"UTF-8 that says so", "application/json; charset=UTF-8", wide},
		{"UTF-8 with a mark", "application/json; charset=iso-8859-1", "\uFEFF" + wide},
		{"UTF-8 that says it is another", "application/json; charset=iso-8859-1", wide},
		{"UTF-8 that says it is one that nobody knows", "application/json; charset=klingon", wide},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, language := range []Language{JSONPath, JQ} {
				for _, fields := range [][]Field{nil, {{Name: "a", Path: map[Language]string{JSONPath: "$.a", JQ: ".a"}[language]}}} {
					x, err := New(Mapping{Language: language, Fields: fields})
					require.NoError(t, err)
					result, err := x.Extract(t.Context(), Answer{Body: []byte(row.in), ContentType: row.contentType})
					require.NoError(t, err)
					assert.Equal(t, `[{"a":"café"}]`, sprint(result.Records))
				}
			}
		})
	}
	x, err := New(Mapping{})
	require.NoError(t, err)
	_, err = x.Extract(t.Context(), Answer{Body: []byte(latin1), ContentType: "application/json; charset=klingon"})
	require.EqualError(t, err, `extract: the charset "klingon" is not known`)
	_, err = x.Extract(t.Context(), Answer{Body: []byte("[\"\xe9\", ?]"), ContentType: "application/json; charset=iso-8859-1"})
	require.EqualError(t, err, `extract: byte 7: '?', expected a value, in "[\"é\", ?]"`)
}

func TestCSV_Spectrum(t *testing.T) {
	files, err := filepath.Glob("testdata/payloads/csv-spectrum/*.csv")
	require.NoError(t, err)
	require.Len(t, files, 12)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			want, err := os.ReadFile("testdata/payloads/csv-spectrum/expected/" + name + ".json")
			require.NoError(t, err)
			x, err := New(Mapping{Format: FormatCSV})
			require.NoError(t, err)
			result, err := x.Extract(t.Context(), Answer{Body: data})
			require.NoError(t, err)
			list := parse(t, string(want))
			if name == "location_coordinates" {
				// What is expected here is another row than the one of the file.
				require.Len(t, result.Records, 1)
				coordinates, _ := result.Records[0].Get("Location Coordinates")
				assert.Equal(t, "37\uFFFD36'37.8\"N 121\uFFFD2'17.9\"W", coordinates)
				return
			}
			assert.Equal(t, text(t, list), text(t, anyOf1(result.Records)))
		})
	}
}

func anyOf1(records []Record) any {
	list := make([]any, len(records))
	for i, r := range records {
		list[i] = r
	}
	return list
}

// hostileTexts are strings that somebody downstream might take for more than text.
func hostileTexts(t testing.TB) []string {
	t.Helper()
	var texts []string
	for _, file := range []string{"xss", "csv_cells"} {
		data, err := os.ReadFile("testdata/hostile/" + file + ".json")
		require.NoError(t, err)
		var list struct{ Cases []struct{ Text, Cell string } }
		require.NoError(t, json.Unmarshal(data, &list))
		for _, c := range list.Cases {
			texts = append(texts, c.Text+c.Cell)
		}
	}
	require.Greater(t, len(texts), 20)
	return texts
}

func TestHostileTextsSurviveAsData(t *testing.T) {
	for _, text := range hostileTexts(t) {
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		for _, c := range []struct {
			format Format
			body   string
		}{
			{FormatJSON, `[{"v":` + string(quoted) + `}]`},
			{FormatNDJSON, `{"v":` + string(quoted) + `}`},
			{FormatCSV, "v\n\"" + strings.ReplaceAll(text, `"`, `""`) + "\"\n"},
			{FormatTSV, "v\n\"" + strings.ReplaceAll(text, `"`, `""`) + "\"\n"},
		} {
			x, err := New(Mapping{Format: c.format, Fields: []Field{{Name: "v", Path: "$.v"}}})
			require.NoError(t, err)
			result, err := x.Extract(t.Context(), Answer{Body: []byte(c.body)})
			require.NoError(t, err, c.body)
			got, _ := result.Records[0].Get("v")
			assert.Equal(t, text, got, c.format)
		}
	}
}

func TestNDJSON(t *testing.T) {
	x, err := New(Mapping{Format: FormatNDJSON, Fields: []Field{{Name: "id", Path: "$.id"}}})
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte("{\"id\":9007199254740993}\n\r\n {\"id\":0.1}\r\n{\"id\":\"a\\nb\"}")})
	require.NoError(t, err)
	assert.Equal(t, `[{"id":9007199254740993} {"id":0.1} {"id":"a\nb"}]`, sprint(result.Records))

	x, err = New(Mapping{Format: FormatNDJSON, Records: "$.items[?@.n > 1]"})
	require.NoError(t, err)
	result, err = x.Extract(t.Context(), Answer{Body: []byte("{\"items\":[{\"n\":1},{\"n\":2}]}\n{\"items\":[{\"n\":3}]}")})
	require.NoError(t, err)
	assert.Equal(t, `[{"n":2} {"n":3}]`, sprint(result.Records))

	result, err = x.Extract(t.Context(), Answer{})
	require.NoError(t, err)
	assert.Empty(t, result.Records, "nothing is no line")
}

func TestNDJSON_ABadLineIsABadRecord(t *testing.T) {
	m := Mapping{Format: FormatNDJSON, Records: "$.r"}
	body := []byte("\uFEFF{\"r\":1}\n{\"r\":\n{\"s\":2}\n{\"r\":[3,4]}\n")
	x, err := New(m)
	require.NoError(t, err)
	_, err = x.Extract(t.Context(), Answer{Body: body})
	require.EqualError(t, err, `extract record 1: byte 16: the answer ends, expected a value, in "{\"r\":"`)
	m.BadRecords = SkipRecords
	x, err = New(m)
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: body})
	require.NoError(t, err)
	assert.Equal(t, `[{"value":1} {"value":3} {"value":4}]`, sprint(result.Records))
	assert.Equal(t, int64(2), result.Rejected)
	assert.EqualError(t, result.Problems[1], `extract record 2 at $.r: nothing there, in {"s":2}`)
}

func TestNDJSON_TooManyValues(t *testing.T) {
	x, err := New(Mapping{Format: FormatNDJSON, BadRecords: SkipRecords, Fields: []Field{{Name: "n", Path: "$.n"}}})
	require.NoError(t, err)
	_, err = x.Extract(t.Context(), Answer{Body: []byte(strings.Repeat("{}\n", maxValues+1))})
	require.ErrorIs(t, err, ErrBudget)
}

func TestText(t *testing.T) {
	x, err := New(Mapping{Format: FormatText, Pattern: `^(?P<name>\w+)\s+(?P<value>-?[\d.]+)(?: # (?P<note>.*))?$`, Fields: []Field{
		{Name: "name", Path: "$.name", Required: true},
		{Name: "value", Path: "$.value", Type: Decimal},
		{Name: "note", Path: "$.note", Default: "none"},
	}})
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte("# rates\r\nEUR 1.0850\r\n\r\nCHF 0.9712 # fixed\n")})
	require.NoError(t, err)
	assert.Equal(t, `[{"name":"EUR","value":1.0850,"note":"none"} {"name":"CHF","value":0.9712,"note":"fixed"}]`, sprint(result.Records))

	_, err = x.Extract(t.Context(), Answer{Body: []byte("<html>\n")})
	require.ErrorIs(t, err, ErrNotFound, "a text of which no line matches has changed")
	result, err = x.Extract(t.Context(), Answer{Body: []byte(" \n\n")})
	require.NoError(t, err)
	assert.Empty(t, result.Records)

	whole, err := New(Mapping{Format: FormatText, Pattern: `(?P<a>x)?(?P<b>y)`})
	require.NoError(t, err)
	result, err = whole.Extract(t.Context(), Answer{Body: []byte("xy\ny")})
	require.NoError(t, err)
	assert.Equal(t, `[{"a":"x","b":"y"} {"b":"y"}]`, sprint(result.Records))
}

func TestText_Patterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                               "the format text needs a pattern",
		"(":                              "missing closing",
		`(\w+)`:                          "names its groups",
		`(?P<a>(?:a{1000}){1000})`:       "more than 10000 steps",
		`(?P<a>((a{1,100}){1,100}){10})`: "more than 10000 steps",
		`(?P<a>(?:` + strings.Repeat("b", 20) + `){1000})`: "more than 10000 steps",
		`(?P<a>x)(?P<a>y)`: "each name once",
	} {
		err := Mapping{Format: FormatText, Pattern: pattern}.Validate()
		var fault *FaultError
		require.ErrorAs(t, err, &fault, pattern)
		assert.Equal(t, "pattern", fault.Field)
		assert.ErrorContains(t, err, want)
	}
}

func FuzzCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a\n\"x\"\"y\"\r\n", "\"", "a,a\n", "\n\n\r", "a\n\"x\"y\n", "a;b\n1;\"2\n\"", "\uFEFFa\n", "a,b\r1,2\r"} {
		f.Add(seed, "")
		f.Add(seed, ";")
	}
	f.Fuzz(func(t *testing.T, body, delimiter string) {
		m := Mapping{Format: FormatCSV, CSV: CSV{Delimiter: delimiter}}
		x, err := New(m)
		if err != nil {
			return
		}
		result, err := x.Extract(t.Context(), Answer{Body: []byte(body)})
		if err == nil {
			for _, r := range result.Records {
				require.True(t, json.Valid([]byte(r.String())))
			}
		}
		if delimiter != "" {
			return
		}
		// What encoding/csv takes comes out as it reads it, but for the line ends inside cells.
		reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix([]byte(body), []byte("\uFEFF"))))
		header, headerErr := reader.Read()
		if headerErr != nil {
			return
		}
		var want []string
		for {
			cells, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			values := make([]Value, len(cells))
			for i := range cells {
				values[i] = Value{strings.ToValidUTF8(header[i], "\uFFFD"), strings.ToValidUTF8(cells[i], "\uFFFD")}
			}
			want = append(want, unixLines(NewRecord(values...).String()))
		}
		if err != nil {
			if !strings.Contains(body, "\r") || !strings.Contains(err.Error(), "a carriage return alone in the header") {
				require.ErrorContains(t, err, "twice")
			}
			return
		}
		var got []string
		for _, r := range result.Records {
			got = append(got, unixLines(r.String()))
		}
		require.Equal(t, want, got)
	})
}

func unixLines(s string) string { return strings.ReplaceAll(s, `\r\n`, `\n`) }

func FuzzText(f *testing.F) {
	f.Add("a=1\nb=2", `(?P<k>\w+)=(?P<v>\d+)`)
	f.Add("\xff\n", `(?P<x>.)`)
	f.Fuzz(func(t *testing.T, body, pattern string) {
		x, err := New(Mapping{Format: FormatText, Pattern: pattern})
		if err != nil || len(body) > 1000 {
			return
		}
		result, err := x.Extract(t.Context(), Answer{Body: []byte(body)})
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(result.Records), strings.Count(body, "\n")+1)
	})
}

func FuzzNDJSON(f *testing.F) {
	f.Add("{\"a\":1}\n[1,2]\n\nnull")
	f.Add("{\n}")
	f.Fuzz(func(t *testing.T, body string) {
		x, err := New(Mapping{Format: FormatNDJSON, BadRecords: SkipRecords})
		require.NoError(t, err)
		_, err = x.Extract(t.Context(), Answer{Body: []byte(body)})
		require.NoError(t, err, "what a line holds is that line's fault")
	})
}
