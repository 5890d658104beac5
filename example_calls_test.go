package callsheet_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/limit"
	"github.com/callsheet-go/callsheet/store/memory"
)

// A form is sent url-encoded, its fields sorted by name.
func ExampleRequest_form() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.Header.Get("Content-Type"))
		fmt.Println(string(body))
		fmt.Fprint(w, `[{"id":1}]`)
	}))
	defer api.Close()
	runs(1, callsheet.Request{Path: api.URL, Method: "POST",
		Form: map[string]string{"state": "open & paid", "shop": "7"}})
	// Output:
	// POST application/x-www-form-urlencoded
	// shop=7&state=open+%26+paid
	// succeeded  1 records
}

// Addresses that are not public are closed until the program opens them. What is opened for one is not for where it redirects to.
func ExampleWithAllowedNetworks() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			return
		}
		fmt.Fprint(w, `[{"id":1}]`)
	}))
	defer api.Close()
	try := func(path string, opts ...callsheet.Option) {
		sched, err := callsheet.New(memory.New(), opts...)
		if err != nil {
			fmt.Println(err)
			return
		}
		report, err := sched.DryRun(context.Background(), callsheet.DryRunRequest{
			Source: &callsheet.Source{BaseURL: api.URL}, Request: &callsheet.Request{Path: path}})
		switch {
		case err != nil:
			fmt.Println(err)
		case report.Failure != nil:
			_, why, _ := strings.Cut(report.Failure.Error, "address: ")
			why, _, _ = strings.Cut(why, ";")
			fmt.Printf("%s: %s\n", report.Failure.Class, why)
		default:
			fmt.Println("status", report.Answer.Status)
		}
	}
	try("/")
	try("/", callsheet.WithAllowedNetworks("127.0.0.0/8"))
	try("/moved", callsheet.WithAllowedNetworks("127.0.0.0/8"))
	// Output:
	// permanent: 127.0.0.1 is loopback (127.0.0.0/8), which is not open to calls
	// status 200
	// permanent: 169.254.169.254 is a metadata service (169.254.169.254/32), which is not open to calls
}

// After two failures in a row the API is left alone for a while. Who comes then waits, and spends nothing.
func ExampleSource_breaker() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("called for", r.URL.Path)
		w.WriteHeader(http.StatusInternalServerError)
	}))
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
	sheet := callsheet.Sheet{Sources: []callsheet.Source{{ID: "acme", BaseURL: api.URL, Breaker: limit.Breaker{Failures: 2, Pause: time.Hour}}}}
	for _, id := range []string{"orders", "stock", "prices"} {
		sheet.Requests = append(sheet.Requests, callsheet.Request{ID: id, Source: "acme", Path: "/" + id})
		sheet.Schedules = append(sheet.Schedules, callsheet.Schedule{ID: id, Type: callsheet.TypeManual, Request: id, MaxRetries: callsheet.NoRetries})
	}
	if err := sched.Define(ctx, sheet); err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- sched.Run(ctx) }()
	for _, schedule := range sheet.Schedules {
		if _, err := sched.Execute(ctx, schedule.ID); err != nil {
			fmt.Println(err)
			return
		}
		e := <-ended
		fmt.Printf("%s is %s: %s\n", e.Schedule, e.State, e.Reason)
	}
	if report, err := sched.Monitor(ctx); err == nil {
		for _, c := range report.Circuits {
			fmt.Println(c.Source, c.State, "after", c.Failures, "failures")
		}
	}
	stop()
	<-done
	// Output:
	// called for /orders
	// orders is failed: attempts spent
	// called for /stock
	// stock is failed: attempts spent
	// prices is pending: circuit open
	// acme open after 2 failures
}

// A call that changes something has the execution's ID as its Idempotency-Key, the same for each attempt: an API that knows the key
// does what it is asked for once, also if its answer was lost.
func ExampleRequest_idempotencyKey() {
	var booked sync.Map
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, already := booked.LoadOrStore(r.Header.Get("Idempotency-Key"), true); already {
			fmt.Println("booked already")
			fmt.Fprint(w, `[{"id":1}]`)
			return
		}
		fmt.Println("booked")
		w.WriteHeader(http.StatusBadGateway) // and the answer is lost
	}))
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	sched, err := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
			if e.State != callsheet.StatePending {
				_, known := booked.Load(e.ID)
				fmt.Println(e.State, "in attempt", e.Attempt, "with the key of the execution:", known)
				stop()
			}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = sched.Define(ctx, callsheet.Sheet{
		Sources:   []callsheet.Source{{ID: "bank", BaseURL: api.URL}},
		Requests:  []callsheet.Request{{ID: "book", Source: "bank", Path: "/bookings", Method: "POST", Body: `{"amount":"9.90"}`}},
		Schedules: []callsheet.Schedule{{ID: "book", Type: callsheet.TypeManual, Request: "book", RetryDelay: time.Millisecond}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := sched.Execute(ctx, "book"); err != nil {
		fmt.Println(err)
		return
	}
	_ = sched.Run(ctx)
	// Output:
	// booked
	// booked already
	// succeeded in attempt 2 with the key of the execution: true
}
