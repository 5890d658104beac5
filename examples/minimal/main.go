// Minimal fetches the day's earthquakes every five minutes and appends them to data/quakes.jsonl.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
	"github.com/callsheet-go/callsheet/store/memory"
)

var sheet = callsheet.Sheet{
	Sources:  []callsheet.Source{{ID: "usgs", BaseURL: "https://earthquake.usgs.gov/earthquakes/feed/v1.0"}},
	Requests: []callsheet.Request{{ID: "today", Source: "usgs", Path: "/summary/all_day.geojson"}},
	Extracts: []callsheet.Extract{{ID: "quake", Records: "$.features[*]", Fields: []callsheet.Field{
		{Name: "id", Path: "$.id", Required: true},
		{Name: "time", Path: "$.properties.time"},
		{Name: "place", Path: "$.properties.place"},
		{Name: "magnitude", Path: "$.properties.mag"},
		{Name: "depth", Path: "$.geometry.coordinates[2]"},
	}}},
	Deliveries: []callsheet.Delivery{{ID: "file", Destination: "files", Target: "quakes.jsonl"}},
	Schedules: []callsheet.Schedule{{ID: "quakes", Cron: "*/5 * * * *",
		Request: "today", Extract: "quake", Delivery: "file"}},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	files, err := file.New("data")
	check(err)
	defer files.Close()

	scheduler, err := callsheet.New(memory.New(),
		callsheet.WithDestination("files", files),
		callsheet.WithLogger(slog.Default()))
	check(err)

	check(scheduler.Define(ctx, sheet))
	check(scheduler.Run(ctx)) // until Ctrl-C
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
