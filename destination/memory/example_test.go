package memory_test

import (
	"context"
	"fmt"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/extract"
)

func ExampleNew() {
	d := memory.New()
	batch := callsheet.Batch{
		Delivery:    callsheet.Delivery{Target: "rates"},
		ExecutionID: "0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b",
		Records: []callsheet.Record{extract.NewRecord(
			extract.Value{Name: "currency", Value: "EUR"},
			extract.Value{Name: "rate", Value: 1.0842},
		)},
	}
	for range 2 { // delivered twice, there once
		if err := d.Deliver(context.Background(), batch); err != nil {
			fmt.Println(err)
		}
	}
	for _, r := range d.Records("rates") {
		fmt.Println(r)
	}
	// Output: {"currency":"EUR","rate":1.0842}
}
