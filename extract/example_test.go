package extract_test

import (
	"context"
	"fmt"

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
