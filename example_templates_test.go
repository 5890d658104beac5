package callsheet_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
)

// A Request that asks for the hour of each occurrence, of the shop that the Schedule names: the values in double
// braces are filled in for each call, and escaped. A backfill asks for hours that have passed.
func ExampleRequest_templates() {
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.EscapedPath(), r.URL.Query().Get("from"), "to", r.URL.Query().Get("to"))
	}))
	defer api.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()

	calls := 0
	sched, err := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithWorkers(1),
		// The example ends after three calls.
		callsheet.WithObserver(func(context.Context, callsheet.Execution) {
			if calls++; calls == 3 {
				stop()
			}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = sched.Define(ctx, callsheet.Sheet{
		Sources: []callsheet.Source{{ID: "shops", BaseURL: api.URL}},
		Requests: []callsheet.Request{{ID: "orders", Source: "shops",
			Path:   "/{{.Params.shop}}/orders",
			Query:  map[string]string{"from": `{{rfc3339 .Window.Start}}`, "to": `{{rfc3339 .Window.End}}`},
			Params: map[string]string{"shop": "berlin"},
		}},
		Schedules: []callsheet.Schedule{
			{ID: "paris", Cron: "0 * * * *", Request: "orders", Params: map[string]string{"shop": "paris/rive gauche"}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	from := time.Date(2024, 3, 1, 22, 0, 0, 0, time.UTC)
	if _, err := sched.Backfill(ctx, "paris", from, from.Add(3*time.Hour)); err != nil {
		fmt.Println(err)
		return
	}
	if err := sched.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// /paris%2Frive%20gauche/orders 2024-03-01T21:00:00Z to 2024-03-01T22:00:00Z
	// /paris%2Frive%20gauche/orders 2024-03-01T22:00:00Z to 2024-03-01T23:00:00Z
	// /paris%2Frive%20gauche/orders 2024-03-01T23:00:00Z to 2024-03-02T00:00:00Z
}
