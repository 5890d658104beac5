package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/PaesslerAG/jsonpath"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// answerOf has about 190 bytes for each record, of which four fields are wanted.
func answerOf(records int) []byte {
	var b strings.Builder
	b.WriteString(`{"status":"ok","data":{"items":[`)
	for i := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"symbol":"SYM%d","name":"Instrument number %d","quote":{"price":%d.25,"volume":%d,"currency":"EUR"},`+
			`"active":true,"tags":["a","b"],"updated_at":"2026-03-01T12:00:00Z","note":null}`, 1e9+i, i, i, i, i*100)
	}
	b.WriteString(`]}}`)
	return []byte(b.String())
}

// benchMapping takes four fields of each record of answerOf.
var benchMapping = Mapping{Records: "$.data.items[*]", Fields: []Field{
	{Name: "id", Path: "$.id", Required: true},
	{Name: "symbol", Path: "$.symbol"},
	{Name: "price", Path: "$.quote.price"},
	{Name: "updated_at", Path: "$.updated_at"},
}}

// BenchmarkExtract takes the same four fields of each record in several ways: by a scan, as New does for
// this shape; by a tree, as New does for others; and as a program does by hand.
func BenchmarkExtract(b *testing.B) {
	scanning, err := New(benchMapping)
	require.NoError(b, err)
	general, err := compile(benchMapping.Canonical())
	require.NoError(b, err)
	general.reader = withoutScan(general.reader)
	ours := func(x Extractor) func(testing.TB, []byte) int {
		return func(tb testing.TB, answer []byte) int {
			result, err := x.Extract(tb.Context(), Answer{Body: answer, ContentType: "application/json; charset=utf-8"})
			require.NoError(tb, err)
			return len(result.Records)
		}
	}
	for _, way := range []struct {
		name    string
		extract func(testing.TB, []byte) int
	}{
		{"scan", ours(scanning)}, {"tree", ours(general)},
		{"encoding-json struct", byStruct}, {"gjson", byGJSON}, {"PaesslerAG", byPaessler},
	} {
		for _, n := range []int{20, 1000} {
			answer := answerOf(n)
			b.Run(fmt.Sprintf("%s/%d records", way.name, n), func(b *testing.B) {
				b.SetBytes(int64(len(answer)))
				b.ReportAllocs()
				for b.Loop() {
					if found := way.extract(b, answer); found != n {
						b.Fatal(found)
					}
				}
			})
		}
	}
}

func byStruct(tb testing.TB, answer []byte) int {
	var document struct {
		Data struct {
			Items []struct {
				ID        json.Number `json:"id"`
				Symbol    string      `json:"symbol"`
				Quote     struct{ Price json.Number }
				UpdatedAt string `json:"updated_at"`
			}
		}
	}
	require.NoError(tb, json.Unmarshal(answer, &document))
	return len(document.Data.Items)
}

func byGJSON(tb testing.TB, answer []byte) int {
	require.True(tb, gjson.ValidBytes(answer))
	var records []Record
	gjson.GetBytes(answer, "data.items").ForEach(func(_, item gjson.Result) bool {
		records = append(records, Record{[]Value{
			{"id", json.Number(item.Get("id").Raw)}, {"symbol", item.Get("symbol").String()},
			{"price", json.Number(item.Get("quote.price").Raw)}, {"updated_at", item.Get("updated_at").String()},
		}})
		return true
	})
	return len(records)
}

var paesslerPaths = func() (list []func(context.Context, any) (any, error)) {
	for _, expr := range []string{"$.data.items", "$.id", "$.symbol", "$.quote.price", "$.updated_at"} {
		evaluate, err := jsonpath.New(expr)
		if err != nil {
			panic(err)
		}
		list = append(list, evaluate)
	}
	return list
}()

func byPaessler(tb testing.TB, answer []byte) int {
	var document any
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	require.NoError(tb, decoder.Decode(&document))
	items, err := paesslerPaths[0](tb.Context(), document)
	require.NoError(tb, err)
	var records []Record
	for _, item := range items.([]any) {
		values := make([]Value, 4)
		for i, name := range []string{"id", "symbol", "price", "updated_at"} {
			value, err := paesslerPaths[i+1](tb.Context(), item)
			require.NoError(tb, err)
			values[i] = Value{name, value}
		}
		records = append(records, Record{values})
	}
	return len(records)
}

func BenchmarkParse(b *testing.B) {
	answer := answerOf(1000)
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(answer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord_AppendJSON(b *testing.B) {
	doc, err := Parse(answerOf(1))
	require.NoError(b, err)
	r := doc.Value().(Record)
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		if line, err = r.AppendJSON(line[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

// What cutting an answer into parts costs, beside extracting it.
func BenchmarkParts(b *testing.B) {
	var ndjson, csv bytes.Buffer
	csv.WriteString("id,name,at,price\n")
	for ndjson.Len() < 8<<20 {
		ndjson.WriteString(`{"id":123456,"name":"a name of some length","at":"2026-03-01T00:00:00Z","price":19.99}` + "\n")
		csv.WriteString(`123456,"a name of some length",2026-03-01T00:00:00Z,19.99` + "\n")
	}
	for _, format := range []struct {
		Format
		body []byte
	}{{FormatNDJSON, ndjson.Bytes()}, {FormatCSV, csv.Bytes()}} {
		m := Mapping{Format: format.Format, Fields: []Field{{Name: "id", Path: "$.id"}, {Name: "price", Path: "$.price"}}}
		x, err := New(m)
		require.NoError(b, err)
		b.Run(string(format.Format)+"/cut", func(b *testing.B) {
			b.SetBytes(int64(len(format.body)))
			for b.Loop() {
				p, err := NewParts(m, bytes.NewReader(format.body), "", 1<<20)
				require.NoError(b, err)
				for err == nil {
					_, err = p.Next(b.Context())
				}
				require.ErrorIs(b, err, io.EOF)
			}
		})
		b.Run(string(format.Format)+"/extract", func(b *testing.B) {
			b.SetBytes(int64(len(format.body)))
			for b.Loop() {
				_, err := x.Extract(b.Context(), Answer{Body: format.body})
				require.NoError(b, err)
			}
		})
	}
}
