package memory_test

import (
	"context"
	"fmt"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
)

func ExampleNew() {
	ctx := context.Background()
	store := memory.New()
	err := store.Define(ctx, callsheet.Sheet{
		Sources:   []callsheet.Source{{ID: "usgs", BaseURL: "https://earthquake.usgs.gov"}},
		Requests:  []callsheet.Request{{ID: "last-hour", Source: "usgs", Path: "/earthquakes/feed/v1.0/summary/all_hour.geojson"}},
		Schedules: []callsheet.Schedule{{ID: "quakes", Cron: "*/5 * * * *", Request: "last-hour"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Sources().Delete(ctx, "usgs"))
	// Output: source "usgs" is used by request "last-hour"
}
