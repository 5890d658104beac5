package callsheet_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/store/memory"
)

// pairs reads lines such as "a=1;b=2", of which each is a record.
type pairs struct{ fields []extract.Field }

func newPairs(m extract.Mapping) (extract.Extractor, error) {
	if len(m.Fields) == 0 {
		return nil, &extract.FaultError{Field: "fields", Rule: "must say which pairs are wanted"}
	}
	return pairs{m.Fields}, nil
}

func (p pairs) Extract(ctx context.Context, answer extract.Answer) (extract.Result, error) {
	var result extract.Result
	for lines := bufio.NewScanner(bytes.NewReader(answer.Body)); lines.Scan(); {
		var record []extract.Value
		for _, f := range p.fields {
			for pair := range strings.SplitSeq(lines.Text(), ";") {
				if name, value, ok := strings.Cut(pair, "="); ok && name == f.Path {
					record = append(record, extract.Value{Name: f.Name, Value: value})
				}
			}
		}
		if len(record) < len(p.fields) {
			return extract.Result{}, errors.New("a pair is missing")
		}
		result.Records = append(result.Records, extract.NewRecord(record...))
	}
	return result, ctx.Err()
}

// A host's own format, beside those that are built in.
func ExampleWithExtractor() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "id=1;t=20.5\nid=2;t=21\n") }))
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	destination := destmemory.New()
	sched, _ := callsheet.New(memory.New(),
		callsheet.WithExtractor("pairs", newPairs),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithDestination("memory", destination),
		callsheet.WithObserver(func(context.Context, callsheet.Execution) { stop() }))
	sheet := callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: api.URL}},
		Requests:   []callsheet.Request{{ID: "r", Source: "api"}},
		Extracts:   []callsheet.Extract{{ID: "x", Language: "pairs"}},
		Deliveries: []callsheet.Delivery{{ID: "d", Destination: "memory", Target: "t"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "r", Extract: "x", Delivery: "d"}},
	}
	fmt.Println(sched.Define(ctx, sheet))
	sheet.Extracts[0].Fields = []callsheet.Field{{Name: "sensor", Path: "id"}, {Name: "celsius", Path: "t"}}
	_ = sched.Define(ctx, sheet)
	_, _ = sched.Execute(ctx, "s")
	_ = sched.Run(ctx)
	for _, r := range destination.Records("t") {
		fmt.Println(r)
	}
	// Output:
	// define: extract "x": fields "": must say which pairs are wanted
	// {"sensor":"1","celsius":"20.5"}
	// {"sensor":"2","celsius":"21"}
}
