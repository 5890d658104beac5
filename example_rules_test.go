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

// An API that says 200 whatever happens. By the rule what it reports is an error, and of which class.
func ExampleAnswerRule() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"ok": false, "reason": "account is closed"}`)
	}))
	defer api.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()

	sched, err := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
			fmt.Println(e.State, e.HTTPStatus, e.Class)
			stop()
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = sched.Define(ctx, callsheet.Sheet{
		Sources: []callsheet.Source{{ID: "api", BaseURL: api.URL, Rules: []callsheet.AnswerRule{
			{Path: "$.reason", Values: []string{"busy"}, Class: callsheet.ClassThrottled},
			{Path: "$.ok", Values: []string{"false"}, Class: callsheet.ClassPermanent, Message: "$.reason"},
		}}},
		Requests:  []callsheet.Request{{ID: "get", Source: "api"}},
		Schedules: []callsheet.Schedule{{ID: "poll", Request: "get"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := sched.Execute(ctx, "poll"); err != nil {
		fmt.Println(err)
		return
	}
	if err := sched.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// failed 200 permanent
}
