package file_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
	"github.com/callsheet-go/callsheet/extract"
)

func ExampleNew() {
	dir, _ := os.MkdirTemp("", "callsheet")
	defer os.RemoveAll(dir)

	d, err := file.New(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()

	batch := callsheet.Batch{
		Delivery:    callsheet.Delivery{Target: "rates.csv"},
		ExecutionID: "0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b",
		Records: []callsheet.Record{extract.NewRecord(
			extract.Value{Name: "currency", Value: "EUR"},
			extract.Value{Name: "rate", Value: json.Number("1.0840")},
		)},
	}
	for range 2 { // delivered twice, there once
		if err := d.Deliver(context.Background(), batch); err != nil {
			fmt.Println(err)
		}
	}
	text, _ := os.ReadFile(filepath.Join(dir, "rates.csv"))
	fmt.Print(string(text))
	// Output:
	// currency,rate
	// EUR,1.0840
}
