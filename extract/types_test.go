package extract

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// typed extracts one field of one record.
func typed(t testing.TB, f Field, value string) (any, error) {
	t.Helper()
	f.Name, f.Path = "f", "$.v"
	x, err := New(Mapping{Fields: []Field{f}})
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte(`{"v":` + value + `}`)})
	if err != nil {
		return nil, err
	}
	got, _ := result.Records[0].Get("f")
	return got, nil
}

func TestTypes(t *testing.T) {
	n := func(s string) json.Number { return json.Number(s) }
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		return parsed.UTC()
	}
	for _, row := range []struct {
		name  string
		field Field
		in    string
		want  any
	}{
		{"a string is one", Field{Type: String}, `" a "`, " a "},
		{"a number is its digits", Field{Type: String}, `0.10`, "0.10"},
		{"a boolean is its word", Field{Type: String}, `true`, "true"},
		{"a list of strings is converted one by one", Field{Type: String}, `[1,"b",null]`, []any{"1", "b", nil}},
		{"an object is its JSON", Field{Type: String}, `{"z":1,"a":[]}`, `{"z":1,"a":[]}`},
		{"a null stays null", Field{Type: String, Default: "x"}, `null`, nil},

		{"an integer that no float64 holds", Field{Type: Integer}, `9007199254740993`, n("9007199254740993")},
		{"an integer that no int64 holds", Field{Type: Integer}, `12345678901234567890`, n("12345678901234567890")},
		{"an integer written as a decimal", Field{Type: Integer}, `7.00`, n("7")},
		{"an integer with an exponent", Field{Type: Integer}, `-1.20e3`, n("-1200")},
		{"an integer as a text", Field{Type: Integer}, `" 0042 "`, n("42")},
		{"an integer with a plus", Field{Type: Integer}, `"+5"`, n("5")},
		{"zero has no sign", Field{Type: Integer}, `-0`, n("0")},
		{"an empty text is missing", Field{Type: Integer}, `""`, nil},
		{"an empty text has the default", Field{Type: Integer, Default: 3}, `" "`, n("3")},
		{"a default is of the type", Field{Type: Integer, Default: "3"}, `""`, n("3")},
		{"a list of integers", Field{Type: Integer}, `["1",2.0,"",null]`, []any{n("1"), n("2"), nil, nil}},

		{"a decimal has every digit", Field{Type: Decimal}, `0.1`, n("0.1")},
		{"a decimal keeps its zeros", Field{Type: Decimal}, `1394.50000000`, n("1394.50000000")},
		{"a decimal as a text", Field{Type: Decimal}, `"1.3617"`, n("1.3617")},
		{"a decimal without a whole part", Field{Type: Decimal}, `"-.50"`, n("-0.50")},
		{"a decimal without a fraction", Field{Type: Decimal}, `"5."`, n("5")},
		{"a decimal beyond any float", Field{Type: Decimal}, `1E400`, n("1E400")},

		{"a float is a float64", Field{Type: Float}, `0.1`, 0.1},
		{"a float as a text", Field{Type: Float}, `"1e-7"`, 1e-7},
		{"the smallest float", Field{Type: Float}, `5e-324`, 5e-324},
		{"a 0 however it is written", Field{Type: Float}, `-0.00e-999999999`, math.Copysign(0, -1)},
		{"an integer as digits has any length", Field{Type: Integer}, strings.Repeat("9", 5000), n(strings.Repeat("9", 5000))},
		{"an exponent stands for 1000 digits", Field{Type: Integer}, "1e999", n("1" + strings.Repeat("0", 999))},

		{"a boolean", Field{Type: Boolean}, `true`, true},
		{"a boolean as a word", Field{Type: Boolean}, `"No"`, false},
		{"a boolean as a number", Field{Type: Boolean}, `1`, true},

		{"a time", Field{Type: Time}, `"2026-03-01T12:00:00.5+02:00"`, at("2026-03-01T10:00:00.5Z")},
		{"a date", Field{Type: Time, Format: "date"}, `"2026-03-01"`, at("2026-03-01T00:00:00Z")},
		{"a time of a feed", Field{Type: Time, Format: "rfc1123"}, `"Mon, 2 Mar 2026 08:00:00 GMT"`, at("2026-03-02T08:00:00Z")},
		{"a time of a feed with an offset", Field{Type: Time, Format: "rfc1123"}, `"02 Mar 2026 08:00:00 +0100"`, at("2026-03-02T07:00:00Z")},
		{"a time of a feed in America", Field{Type: Time, Format: "rfc1123"}, `"Mon, 02 Mar 2026 08:00:00 EST"`, at("2026-03-02T13:00:00Z")},
		{"a date and a time", Field{Type: Time, Format: "datetime"}, `"2026-03-01 10:30:00"`, at("2026-03-01T10:30:00Z")},
		{"a basic ISO time", Field{Type: Time, Format: "iso8601"}, `"20260301T103000Z"`, at("2026-03-01T10:30:00Z")},
		{"an ISO time without seconds", Field{Type: Time, Format: "iso8601"}, `"2026-03-01T10:30"`, at("2026-03-01T10:30:00Z")},
		{"a layout", Field{Type: Time, Format: "02.01.2006 15:04"}, `"01.03.2026 10:30"`, at("2026-03-01T10:30:00Z")},
		{"seconds", Field{Type: Time, Format: "unix"}, `1772359200`, at("2026-03-01T10:00:00Z")},
		{"seconds with a fraction", Field{Type: Time, Format: "unix"}, `"1772359200.250"`, at("2026-03-01T10:00:00.25Z")},
		{"seconds before 1970", Field{Type: Time, Format: "unix"}, `-1.5`, at("1969-12-31T23:59:58.5Z")},
		{"milliseconds", Field{Type: Time, Format: "unix_ms"}, `1.772359200001e12`, at("2026-03-01T10:00:00.001Z")},
		{"nanoseconds", Field{Type: Time, Format: "unix_ns"}, `1772359200000000001`, at("2026-03-01T10:00:00.000000001Z")},
		{"the beginning", Field{Type: Time, Format: "unix_us"}, `0`, at("1970-01-01T00:00:00Z")},

		{"JSON is what stands there", Field{Type: JSON}, `[1]`, []any{n("1")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := typed(t, row.field, row.in)
			require.NoError(t, err)
			assert.Equal(t, row.want, got)
		})
	}
}

func TestTypes_ATimeIsGivenOutInItsZone(t *testing.T) {
	got, err := typed(t, Field{Type: Time, Format: "date", Zone: "Europe/Berlin"}, `"2026-07-01"`)
	require.NoError(t, err)
	assert.Equal(t, "2026-07-01T00:00:00+02:00", got.(time.Time).Format(time.RFC3339))
	got, err = typed(t, Field{Type: Time, Zone: "Europe/Berlin"}, `"2026-01-01T00:00:00Z"`)
	require.NoError(t, err)
	assert.Equal(t, "2026-01-01T01:00:00+01:00", got.(time.Time).Format(time.RFC3339))
	got, err = typed(t, Field{Type: Time, Format: "2006-01-02 15:04 MST", Zone: "Europe/Berlin"}, `"2026-07-01 10:00 CEST"`)
	require.NoError(t, err)
	assert.Equal(t, "2026-07-01T10:00:00+02:00", got.(time.Time).Format(time.RFC3339))
}

func TestTypes_WhatIsOfAnotherTypeIsAnError(t *testing.T) {
	for _, row := range []struct {
		name  string
		field Field
		in    string
		rule  string
	}{
		{"a fraction is no integer", Field{Type: Integer}, `7.5`, "not a whole number"},
		{"a small number is no integer", Field{Type: Integer}, `1e-3`, "not a whole number"},
		{"an exponent for one digit more", Field{Type: Integer}, `1e1000`, "more than 1000 digits"},
		{"an endless integer", Field{Type: Integer}, `1e999999999`, "more than 1000 digits"},
		{"a word is no number", Field{Type: Decimal}, `"n/a"`, "no number"},
		{"half a number is none", Field{Type: Decimal}, `"1.2.3"`, "no number"},
		{"hexadecimal is none", Field{Type: Integer}, `"0x10"`, "no number"},
		{"NaN is none", Field{Type: Float}, `"NaN"`, "no number"},
		{"a float has a range", Field{Type: Float}, `1e400`, "range of a float"},
		{"and one towards 0", Field{Type: Float}, `1e-999999999`, "range of a float"},
		{"also as a text, below 0", Field{Type: Float}, `" -0.0001e-330"`, "range of a float"},
		{"a boolean is no number", Field{Type: Integer}, `true`, "a boolean"},
		{"an object is no number", Field{Type: Integer}, `{"a":1}`, "an object"},
		{"two is no boolean", Field{Type: Boolean}, `2`, "neither true"},
		{"one wrong element is a wrong list", Field{Type: Integer}, `[1,"x"]`, "no number"},
		{"a day that is not there", Field{Type: Time, Format: "date"}, `"2026-02-30"`, "no time"},
		{"a number is no RFC 3339", Field{Type: Time}, `1772359200`, "no time like 2006-01-02T15:04:05Z07:00"},
		{"an unknown zone would be wrong by hours", Field{Type: Time, Format: "rfc1123"}, `"Mon, 02 Mar 2026 08:00:00 AEST"`, "the zone AEST is not known"},
		{"seconds taken for milliseconds", Field{Type: Time, Format: "unix"}, `1772359200000`, "beyond the year 9999"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := typed(t, row.field, row.in)
			var wrong *TypeError
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, row.field.Type, wrong.Type)
			assert.ErrorContains(t, err, row.rule)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, Error{Record: 0, Field: "f", Path: "$.v", Sample: row.in, Err: wrong}, *e)
		})
	}
	_, err := typed(t, Field{Type: Integer, Required: true}, `""`)
	assert.ErrorIs(t, err, ErrNotFound, "an empty text is missing")
}

func TestExtract_BadRecords(t *testing.T) {
	m := Mapping{Fields: []Field{{Name: "id", Path: "$.id", Required: true}, {Name: "n", Path: "$.n", Type: Integer}}}
	answer := Answer{Body: []byte(`[{"id":1,"n":"1"},{"n":2},{"id":3,"n":"x"},{"id":4}]`)}

	x, err := New(m)
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), answer)
	require.EqualError(t, err, `extract record 1, field "id" at $.id: nothing there, in {"n":2}`)
	assert.Equal(t, Result{}, result, "every record or none")

	m.BadRecords = SkipRecords
	x, err = New(m)
	require.NoError(t, err)
	result, err = x.Extract(t.Context(), answer)
	require.NoError(t, err)
	assert.Equal(t, `[{"id":1,"n":1} {"id":4,"n":null}]`, sprint(result.Records))
	assert.Equal(t, int64(2), result.Rejected)
	assert.EqualError(t, errors.Join(result.Problems...), `extract record 1, field "id" at $.id: nothing there, in {"n":2}`+"\n"+
		`extract record 2, field "n" at $.n: not of type integer: no number, in "x"`)
}

func TestExtract_OnlyTheFirstProblemsAreTold(t *testing.T) {
	x, err := New(Mapping{BadRecords: SkipRecords, Fields: []Field{{Name: "id", Path: "$.id", Required: true}}})
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte("[" + strings.Repeat("{},", 999) + "{}]")})
	require.NoError(t, err)
	assert.Equal(t, int64(1000), result.Rejected)
	assert.Len(t, result.Problems, maxProblems)
}

func TestExtract_ABudgetIsNoBadRecord(t *testing.T) {
	x, err := New(Mapping{BadRecords: SkipRecords, Fields: []Field{{Name: "f", Path: "$..[*]..[*]..[*]..[*]"}}})
	require.NoError(t, err)
	_, err = x.Extract(t.Context(), Answer{Body: []byte(strings.Repeat("[", 120) + strings.Repeat("]", 120))})
	require.ErrorIs(t, err, ErrBudget)
}

func TestExtract_MetadataAndConstants(t *testing.T) {
	x, err := New(Mapping{Fields: []Field{
		{Name: "id", Path: "$.id"},
		{Name: "run", From: ExecutionID},
		{Name: "schedule", From: ScheduleID, Default: "none"},
		{Name: "due", From: ScheduledAt, Type: String},
		{Name: "due_at", From: ScheduledAt, Type: Time, Zone: "Europe/Berlin"},
		{Name: "page", From: Page},
		{Name: "url", From: URL},
		{Name: "version", Const: 2},
		{Name: "since", Const: "2026-01-01", Type: Time, Format: "date"},
	}})
	require.NoError(t, err)
	due := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	result, err := x.Extract(t.Context(), Answer{Body: []byte(`[{"id":7}]`), ExecutionID: "0192", ScheduledAt: due, Page: 2})
	require.NoError(t, err)
	assert.Equal(t, `{"id":7,"run":"0192","schedule":"none","due":"2026-03-01T11:00:00Z","due_at":"2026-03-01T12:00:00+01:00",`+
		`"page":2,"url":null,"version":2,"since":"2026-01-01T00:00:00Z"}`, result.Records[0].String())
	since, _ := result.Records[0].Get("since")
	assert.IsType(t, time.Time{}, since)

	for _, m := range []Mapping{
		{Fields: []Field{{Name: "url", From: URL}, {Name: "schedule", From: ScheduleID}, {Name: "id", Path: "$.id"}}},
		{Fields: []Field{{Name: "url", From: URL}, {Name: "schedule", From: ScheduleID}, {Name: "id", Path: "$..id"}}},
		{Format: FormatXML, Fields: []Field{{Name: "url", From: URL}, {Name: "schedule", From: ScheduleID}, {Name: "id", Path: "id"}}},
	} {
		x, err := New(m)
		require.NoError(t, err)
		body := map[Format]string{"": `{"id":7}`, FormatXML: "<r><id>7</id></r>"}[m.Format]
		result, err := x.Extract(t.Context(), Answer{Body: []byte(body), ScheduleID: "rates", URL: "https://api.example.com/rates?page=2"})
		require.NoError(t, err)
		url, _ := result.Records[0].Get("url")
		assert.Equal(t, "https://api.example.com/rates?page=2", url)
		schedule, _ := result.Records[0].Get("schedule")
		assert.Equal(t, "rates", schedule)
	}
}

func TestExtract_FieldsInFields(t *testing.T) {
	got, err := extractText(t, Mapping{Records: "$.l", Fields: []Field{
		{Name: "quote", Fields: []Field{{Name: "price", Path: "$.p", Type: Decimal}, {Name: "run", Const: "c"}}},
		{Name: "owner", Path: "$.owner", Fields: []Field{{Name: "login", Path: "$.login", Required: true}}},
		{Name: "lines", Path: "$.lines[*]", Fields: []Field{{Name: "sku", Path: "$.s"}, {Name: "big", Path: "$.q[?@ > $.min]"}}},
		{Name: "after", Path: "$.p"},
	}}, `{"l":[{"p":"1.10","owner":{"login":"a"},"lines":[{"s":1,"min":2,"q":[1,3]},{"s":2}]},{"p":2,"owner":null},{"p":3}]}`)
	require.NoError(t, err)
	assert.Equal(t, []string{
		`{"quote":{"price":1.10,"run":"c"},"owner":{"login":"a"},"lines":[{"sku":1,"big":[3]},{"sku":2,"big":[]}],"after":"1.10"}`,
		`{"quote":{"price":2,"run":"c"},"owner":null,"lines":[],"after":2}`,
		`{"quote":{"price":3,"run":"c"},"owner":null,"lines":[],"after":3}`,
	}, got)

	_, err = extractText(t, Mapping{Fields: []Field{{Name: "lines", Path: "$.lines[*]", Fields: []Field{
		{Name: "sku", Path: "$.s", Required: true}}}}}, `{"lines":[{"s":1},{}]}`)
	assert.EqualError(t, err, `extract record 0, field "lines.sku" at $.s: nothing there, in {}`)
	_, err = extractText(t, Mapping{Fields: []Field{{Name: "owner", Path: "$.o", Required: true, Fields: []Field{
		{Name: "login", Path: "$.login"}}}}}, `{}`)
	assert.EqualError(t, err, `extract record 0, field "owner" at $.o: nothing there, in {}`)
}

func TestMapping_ValidateKnowsTypesAndSources(t *testing.T) {
	var deep []Field
	for range maxNesting + 2 {
		deep = []Field{{Name: "deep", Fields: deep}}
	}
	err := Mapping{
		Format: "yaml", Language: "sql", BadRecords: "ignore",
		CSV: CSV{Delimiter: "::"}, Pattern: "x",
		Fields: []Field{
			{Name: "a", Path: "$.a", Type: "number"},
			{Name: "b", Path: "$.b", Type: Time, Format: "rfc", Zone: "Mars/North"},
			{Name: "c", Path: "$.c", Type: Integer, Format: "date", Zone: "UTC", Default: "x"},
			{Name: "d", Path: "$.d", From: Page},
			{Name: "e", From: "host"},
			{Name: "f", Const: 1, Type: Boolean, Default: 7},
			{Name: "g", Path: "$.g", Type: String, Fields: []Field{{Name: "h"}}},
			{Name: "t", Path: "$.t", Type: Time, Zone: "Local"},
		},
	}.Validate()
	assert.Equal(t, []string{
		`format: "yaml": must be one of json, ndjson, csv, tsv, xml, text`,
		`language: "sql": must be one of jsonpath, jq, xpath`,
		`csv: "": is for the formats csv and tsv`,
		`pattern: "x": is for the format text`,
		`fields[0].type: "number": must be one of string, integer, decimal, float, boolean, time, json`,
		`fields[1].format: "rfc": ` + ruleTimeFormat,
		`fields[1].zone: "Mars/North": "Mars/North" is not the name of a time zone, such as Europe/Berlin or UTC`,
		`fields[2].format: "date": is for the type time`,
		`fields[2].zone: "UTC": is for the type time`,
		`fields[2].default: "\"x\"": a default is of the field's type: not of type integer: no number`,
		`fields[3]: "d": a field has a path, from or const: one of them`,
		`fields[4].from: "host": must be one of execution_id, schedule_id, scheduled_at, url, page`,
		`fields[5].default: "7": a default is of the field's type: not of type boolean: neither true, yes, 1 nor false, no, 0`,
		`fields[6].type: "string": a field with fields has no type: they have theirs`,
		`fields[6].fields[0].path: "": a field needs a path, such as $.name`,
		`fields[7].zone: "Local": the zone Local differs from machine to machine`,
		`bad_records: "ignore": must be one of fail, skip`,
	}, strings.Split(err.Error(), "\n"))
	assert.ErrorContains(t, Mapping{Fields: deep}.Validate(), "nested at most 16 deep")
}

func FuzzTypes(f *testing.F) {
	for _, seed := range []string{"0", "-0", "7.00", "1e400", "+.5", "5.", "0x10", "1e999999999", " 12 ", "-1.5e-3", "2026-03-01T12:00:00Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []Type{String, Integer, Decimal, Float, Boolean, Time} {
			convert, err := newConverter(Field{Type: kind, Format: "unix"})
			if kind != Time {
				convert, err = newConverter(Field{Type: kind})
			}
			require.NoError(t, err)
			value, ok, err := convert.apply(text)
			if err != nil || !ok {
				continue
			}
			if number, is := value.(json.Number); is {
				require.Equal(t, len(number), scanNumber(number, 0), "%q", number)
				again, ok, err := convert.apply(number)
				require.True(t, ok && err == nil)
				require.Equal(t, number, again, "a number of the type stays as it is")
			}
			_, err = appendValue(nil, value)
			require.NoError(t, err)
		}
	})
}
