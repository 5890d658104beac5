package extract_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet/extract"
)

func ExampleNew() {
	extractor, err := extract.New(extract.Mapping{
		Records: "$.data[?@.active == true]",
		Fields: []extract.Field{
			{Name: "id", Path: "$.id", Required: true},
			{Name: "price", Path: "$.quote.price"},
			{Name: "tags", Path: "$.tags[*]"},
			{Name: "note", Path: "$.note", Default: "none"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := []byte(`{"data": [
		{"id": 9007199254740993, "active": true, "quote": {"price": 1.10}, "tags": ["a", "b"]},
		{"id": 2, "active": false},
		{"id": 3, "active": true, "note": null}
	]}`)
	result, err := extractor.Extract(context.Background(), extract.Answer{Body: answer})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, record := range result.Records {
		fmt.Println(record)
	}
	// Output:
	// {"id":9007199254740993,"price":1.10,"tags":["a","b"],"note":"none"}
	// {"id":3,"price":null,"tags":[],"note":null}
}

func ExampleMapping_Validate() {
	err := extract.Mapping{
		Fields: []extract.Field{{Name: "price", Path: "quote.price"}, {Name: "price", Path: "$.id-x"}},
	}.Validate()
	fmt.Println(err)
	// Output:
	// fields[0].path: "quote.price": a path starts with $: write $.quote.price
	// fields[1].name: "price": fields[0] has this name already
	// fields[1].path: "$.id-x": position 4: expected ".", "[" or the end of the path; a name with other characters than letters, digits and _ is written ['so-and-so'], found '-'
}

func ExampleRecord() {
	record := extract.NewRecord(
		extract.Value{Name: "id", Value: 7},
		extract.Value{Name: "city", Value: "Zürich"},
	)
	for name, value := range record.All() {
		fmt.Println(name, "=", value)
	}
	line, err := record.AppendJSON(nil)
	fmt.Println(string(line), err)
	// Output:
	// id = 7
	// city = Zürich
	// {"id":7,"city":"Zürich"} <nil>
}

func ExampleCompilePath() {
	path, err := extract.CompilePath("$.rates.*")
	if err != nil {
		fmt.Println(err)
		return
	}
	doc, err := extract.Parse([]byte(`{"base": "EUR", "rates": {"USD": 1.0850, "CHF": 0.9712}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(path.Select(context.Background(), doc))
	// Output:
	// [1.0850 0.9712] <nil>
}

// show prints the records of an answer, or what is wrong.
func show(m extract.Mapping, answer extract.Answer) {
	extractor, err := extract.New(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := extractor.Extract(context.Background(), answer)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, record := range result.Records {
		fmt.Println(record)
	}
	for _, problem := range result.Problems {
		fmt.Println("set aside:", problem)
	}
}

func ExampleType() {
	show(extract.Mapping{Fields: []extract.Field{
		{Name: "id", Path: "$.id", Type: extract.Integer},
		{Name: "price", Path: "$.price", Type: extract.Decimal},
		{Name: "open", Path: "$.open", Type: extract.Boolean},
		{Name: "at", Path: "$.ts", Type: extract.Time, Format: "unix_ms", Zone: "Europe/Berlin"},
	}}, extract.Answer{Body: []byte(`[{"id": "12345678901234567890", "price": "0.10", "open": "yes", "ts": 1772359200000}]`)})
	// Output:
	// {"id":12345678901234567890,"price":0.10,"open":true,"at":"2026-03-01T11:00:00+01:00"}
}

func ExampleBadRecords() {
	show(extract.Mapping{
		BadRecords: extract.SkipRecords,
		Fields: []extract.Field{
			{Name: "id", Path: "$.id", Required: true},
			{Name: "n", Path: "$.n", Type: extract.Integer},
		},
	}, extract.Answer{Body: []byte(`[{"id": 1, "n": 7}, {"n": 8}, {"id": 3, "n": "n/a"}]`)})
	// Output:
	// {"id":1,"n":7}
	// set aside: extract record 1, field "id" at $.id: nothing there, in {"n":8}
	// set aside: extract record 2, field "n" at $.n: not of type integer: no number, in "n/a"
}

func ExampleMetadata() {
	show(extract.Mapping{Fields: []extract.Field{
		{Name: "currency", Path: "$.c"},
		{Name: "source", Const: "ecb"},
		{Name: "run", From: extract.ExecutionID},
		{Name: "due", From: extract.ScheduledAt, Type: extract.Time, Zone: "Europe/Berlin"},
	}}, extract.Answer{
		Body:        []byte(`[{"c": "USD"}]`),
		ExecutionID: "0192f0c1", ScheduledAt: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC),
	})
	// Output:
	// {"currency":"USD","source":"ecb","run":"0192f0c1","due":"2026-03-01T12:00:00+01:00"}
}

func ExampleField_fields() {
	show(extract.Mapping{Fields: []extract.Field{
		{Name: "order", Path: "$.id"},
		{Name: "lines", Path: "$.lines[*]", Fields: []extract.Field{
			{Name: "sku", Path: "$.sku"},
			{Name: "quantity", Path: "$.qty", Type: extract.Integer},
		}},
	}}, extract.Answer{Body: []byte(`[{"id": 7, "lines": [{"sku": "a", "qty": "2"}, {"sku": "b", "qty": 1}]}]`)})
	// Output:
	// {"order":7,"lines":[{"sku":"a","quantity":2},{"sku":"b","quantity":1}]}
}

func ExampleFormat_csv() {
	show(extract.Mapping{
		Format: extract.FormatCSV,
		CSV:    extract.CSV{Delimiter: ";", SkipLines: 1},
		Fields: []extract.Field{
			{Name: "day", Path: "$.Date", Type: extract.Time, Format: "02.01.2006"},
			{Name: "rate", Path: "$['USD rate']", Type: extract.Decimal},
		},
	}, extract.Answer{Body: []byte("Reference rates\r\nDate;USD rate\r\n01.03.2026;1.0850\r\n02.03.2026;\"1.0842\"\r\n")})
	// Output:
	// {"day":"2026-03-01T00:00:00Z","rate":1.0850}
	// {"day":"2026-03-02T00:00:00Z","rate":1.0842}
}

func ExampleFormat_ndjson() {
	show(extract.Mapping{
		Format: extract.FormatNDJSON,
		Fields: []extract.Field{{Name: "level", Path: "$.level"}, {Name: "id", Path: "$.user.id"}},
	}, extract.Answer{Body: []byte("{\"level\":\"info\",\"user\":{\"id\":1}}\n{\"level\":\"warn\"}\n")})
	// Output:
	// {"level":"info","id":1}
	// {"level":"warn","id":null}
}

func ExampleFormat_text() {
	show(extract.Mapping{
		Format:  extract.FormatText,
		Pattern: `^(?P<name>\w+) (?P<value>[\d.]+)$`,
		Fields:  []extract.Field{{Name: "name", Path: "$.name"}, {Name: "value", Path: "$.value", Type: extract.Decimal}},
	}, extract.Answer{Body: []byte("# requests\nrequests_total 1027\nlatency_seconds 0.25\n")})
	// Output:
	// {"name":"requests_total","value":1027}
	// {"name":"latency_seconds","value":0.25}
}

func ExampleFormat_xml() {
	show(extract.Mapping{
		Format:  extract.FormatXML,
		Records: "//item",
		Fields: []extract.Field{
			{Name: "title", Path: "title", Required: true},
			{Name: "feed", Path: "/rss/channel/title"},
			{Name: "by", Path: "dc:creator", Default: "unknown"},
			{Name: "tags", Path: "category", Type: extract.JSON},
			{Name: "at", Path: "pubDate", Type: extract.Time, Format: "rfc1123"},
		},
	}, extract.Answer{Body: []byte(`<rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News</title>
		<item><title>A &amp; B</title><dc:creator>ann</dc:creator><category>x</category><category>y</category></item>
		<item><title>C</title><pubDate>Mon, 2 Mar 2026 08:00:00 EST</pubDate></item>
	</channel></rss>`)})
	// Output:
	// {"title":"A & B","feed":"News","by":"ann","tags":["x","y"],"at":null}
	// {"title":"C","feed":"News","by":"unknown","tags":[],"at":"2026-03-02T13:00:00Z"}
}

func ExampleLanguage_jq() {
	show(extract.Mapping{
		Language: extract.JQ,
		Records:  `.orders[] | select(.paid)`,
		Fields: []extract.Field{
			{Name: "id", Path: ".id"},
			{Name: "total", Path: "[.lines[] | .price * .qty] | add"},
			{Name: "city", Path: `.address // "" | split(", ") | last`},
		},
	}, extract.Answer{Body: []byte(`{"orders": [
		{"id": 9007199254740993, "paid": true, "lines": [{"price": 2.5, "qty": 2}, {"price": 1, "qty": 1}], "address": "Quai 1, Basel"},
		{"id": 2, "paid": false}
	]}`)})
	// Output:
	// {"id":9007199254740993,"total":6,"city":"Basel"}
}

// keyValues is a format of a host's own: each line is a record of name=value pairs.
type keyValues struct{}

func (keyValues) Extract(ctx context.Context, answer extract.Answer) (extract.Result, error) {
	var result extract.Result
	lines := bufio.NewScanner(bytes.NewReader(answer.Body))
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return extract.Result{}, err
		}
		var values []extract.Value
		for pair := range strings.FieldsSeq(lines.Text()) {
			name, value, _ := strings.Cut(pair, "=")
			values = append(values, extract.Value{Name: name, Value: value})
		}
		result.Records = append(result.Records, extract.NewRecord(values...))
	}
	return result, lines.Err()
}

func ExampleExtractor() {
	var extractor extract.Extractor = keyValues{}
	result, err := extractor.Extract(context.Background(), extract.Answer{Body: []byte("level=info id=1\nlevel=warn id=2\n")})
	fmt.Println(result.Records, err)
	// Output:
	// [{"level":"info","id":"1"} {"level":"warn","id":"2"}] <nil>
}

func ExampleParts() {
	mapping := extract.Mapping{Format: extract.FormatCSV, Fields: []extract.Field{{Name: "id", Path: "$.id", Type: extract.Integer}}}
	extractor, err := extract.New(mapping)
	if err != nil {
		log.Fatal(err)
	}
	export := strings.NewReader("id,name\n1,one\n2,two\n3,three\n") // a file, or an answer as it comes in
	parts, err := extract.NewParts(mapping, export, "text/csv", 16)
	if err != nil {
		log.Fatal(err)
	}
	for {
		part, err := parts.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		result, err := extractor.Extract(context.Background(), extract.Answer{Body: part.Body})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.Records, "up to byte", part.End)
	}
	// Output:
	// [{"id":1}] up to byte 14
	// [{"id":2} {"id":3}] up to byte 28
}
