package extract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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

func BenchmarkExtract(b *testing.B) {
	x, err := New(Mapping{Records: "$.data.items", Fields: []Field{
		{Name: "id", Path: "$.id", Required: true},
		{Name: "symbol", Path: "$.symbol"},
		{Name: "price", Path: "$.quote.price"},
		{Name: "updated_at", Path: "$.updated_at"},
	}})
	require.NoError(b, err)
	for _, n := range []int{20, 1000} {
		answer := answerOf(n)
		b.Run(fmt.Sprintf("%d records", n), func(b *testing.B) {
			b.SetBytes(int64(len(answer)))
			b.ReportAllocs()
			for b.Loop() {
				result, err := x.Extract(b.Context(), Answer{Body: answer})
				if err != nil || len(result.Records) != n {
					b.Fatal(err, len(result.Records))
				}
			}
		})
	}
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
