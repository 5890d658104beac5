package callsheet_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/limit"
	"github.com/callsheet-go/callsheet/store/memory"
)

// Two schedules share an API that may be called once an hour. The second waits for its turn, and spends nothing.
func ExampleSource_limits() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `[]`) }))
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	ended := make(chan callsheet.Execution)
	sched, err := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) { ended <- e }))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = sched.Define(ctx, callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "acme", BaseURL: api.URL, Limits: []limit.Limit{{Requests: 1, Per: time.Hour}}}},
		Requests: []callsheet.Request{{ID: "orders", Source: "acme", Path: "/orders"}, {ID: "stock", Source: "acme", Path: "/stock"}},
		Schedules: []callsheet.Schedule{
			{ID: "orders", Type: callsheet.TypeManual, Request: "orders"},
			{ID: "stock", Type: callsheet.TypeManual, Request: "stock"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- sched.Run(ctx) }()
	for _, schedule := range []string{"orders", "stock"} {
		if _, err := sched.Execute(ctx, schedule); err != nil {
			fmt.Println(err)
			return
		}
		e := <-ended
		fmt.Println(e.Schedule, e.State, e.Reason, "attempts spent:", e.Attempt)
		if e.State == callsheet.StatePending {
			fmt.Println("its turn is in", time.Until(e.NotBefore).Round(time.Minute))
		}
	}
	stop()
	<-done
	// Output:
	// orders succeeded  attempts spent: 1
	// stock pending rate limit attempts spent: 0
	// its turn is in 1h0m0s
}
