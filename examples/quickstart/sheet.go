package main

import (
	"strings"
	"time"

	"github.com/callsheet-go/callsheet"
)

// demoSheet polls the built-in API: one endpoint that works, one that recovers, one that never does.
func demoSheet(apiURL string) callsheet.Sheet {
	return callsheet.Sheet{
		Sources: []callsheet.Source{{ID: "local", BaseURL: apiURL}},
		Requests: []callsheet.Request{
			{ID: "earthquakes", Source: "local", Path: "/earthquakes"},
			{ID: "rates", Source: "local", Path: "/rates", Query: map[string]string{"base": "CAD"}},
			{ID: "hong-kong", Source: "local", Path: "/hong-kong"},
		},
		Extracts: []callsheet.Extract{
			{ID: "earthquakes", Records: "$.features[*]", Fields: []callsheet.Field{
				{Name: "id", Path: "$.id", Required: true},
				{Name: "place", Path: "$.properties.place"},
				{Name: "magnitude", Path: "$.properties.mag"},
				{Name: "time", Path: "$.properties.time"},
				{Name: "depth", Path: "$.geometry.coordinates[2]"},
			}},
			{ID: "rates", Records: "$.observations[*]", Fields: []callsheet.Field{
				{Name: "day", Path: "$.d", Required: true},
				{Name: "usd", Path: "$.FXUSDCAD.v"},
				{Name: "eur", Path: "$.FXEURCAD.v"},
				{Name: "gbp", Path: "$.FXGBPCAD.v"},
				{Name: "jpy", Path: "$.FXJPYCAD.v"},
			}},
			{ID: "hong-kong", Records: "$.result.records[*]", Fields: []callsheet.Field{
				{Name: "day", Path: "$.end_of_day", Required: true},
				{Name: "usd", Path: "$.usd"},
			}},
		},
		Deliveries: []callsheet.Delivery{
			{ID: "earthquakes", Destination: "files", Target: "earthquakes.jsonl"},
			{ID: "rates", Destination: "files", Target: "rates.csv"},
			{ID: "hong-kong", Destination: "files", Target: "hong-kong.csv"},
		},
		Schedules: []callsheet.Schedule{
			{ID: "earthquakes", Cron: "*/2 * * * * *",
				Request: "earthquakes", Extract: "earthquakes", Delivery: "earthquakes"},
			{ID: "rates", Cron: "*/2 * * * * *", RetryDelay: 300 * time.Millisecond,
				Request: "rates", Extract: "rates", Delivery: "rates"},
			{ID: "hong-kong", Cron: "*/3 * * * * *", RetryDelay: 200 * time.Millisecond, MaxRetries: 1,
				Request: "hong-kong", Extract: "hong-kong", Delivery: "hong-kong"},
		},
	}
}

// sheetOf polls the API that the flags name.
func sheetOf(f flags) callsheet.Sheet {
	extract := callsheet.Extract{ID: "yours", Records: f.records}
	for _, field := range f.fields {
		name, path, _ := strings.Cut(field, "=") // without a path it is refused, with all else that is wrong
		extract.Fields = append(extract.Fields, callsheet.Field{Name: name, Path: path})
	}
	return callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "yours", BaseURL: f.url}},
		Requests:   []callsheet.Request{{ID: "yours", Source: "yours"}},
		Extracts:   []callsheet.Extract{extract},
		Deliveries: []callsheet.Delivery{{ID: "yours", Destination: "files", Target: "records.jsonl"}},
		Schedules: []callsheet.Schedule{{ID: "yours", Cron: f.cron, Zone: f.zone, RetryDelay: 500 * time.Millisecond,
			Request: "yours", Extract: "yours", Delivery: "yours"}},
	}
}
