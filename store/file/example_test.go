package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/file"
)

func ExampleOpen() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "callsheet-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	for range 2 { // the second time the program starts, everything is there
		store, err := file.Open(ctx, filepath.Join(folder, "callsheet.db"))
		if err != nil {
			fmt.Println(err)
			return
		}
		err = store.Define(ctx, callsheet.Sheet{
			Sources:   []callsheet.Source{{ID: "usgs", BaseURL: "https://earthquake.usgs.gov"}},
			Requests:  []callsheet.Request{{ID: "last-hour", Source: "usgs", Path: "/earthquakes/feed/v1.0/summary/all_hour.geojson"}},
			Schedules: []callsheet.Schedule{{ID: "quakes", Type: callsheet.TypeCron, Cron: "*/5 * * * *", Request: "last-hour"}},
		})
		if err != nil {
			fmt.Println(err)
		}
		quakes, err := store.Schedules().Get(ctx, "quakes")
		fmt.Println(quakes.ID, "has version", quakes.Version, err)
		if err := store.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// quakes has version 1 <nil>
	// quakes has version 1 <nil>
}
