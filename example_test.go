package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
)

// An API, and a sheet that polls it, for the examples below.
func exampleAPI() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"rates":[{"currency":"USD","rate":1.0873},{"currency":"GBP","rate":0.8612}]}`)
	}))
}

func exampleSheet(baseURL string) callsheet.Sheet {
	return callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "bank", BaseURL: baseURL}},
		Requests:   []callsheet.Request{{ID: "latest", Source: "bank", Path: "/latest"}},
		Extracts:   []callsheet.Extract{{ID: "rates", Records: "$.rates"}},
		Deliveries: []callsheet.Delivery{{ID: "keep", Destination: "memory", Target: "rates"}},
		Schedules:  []callsheet.Schedule{{ID: "rates", Cron: "0 6 * * *", Zone: "Europe/Berlin", Request: "latest", Extract: "rates", Delivery: "keep"}},
	}
}

// A whole program: define what is called, run, look at what was delivered.
func Example() {
	api := exampleAPI()
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	delivered := destmemory.New()

	sched, err := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithDestination("memory", delivered),
		// The example ends when the first execution has.
		callsheet.WithObserver(func(ctx context.Context, e callsheet.Execution) {
			fmt.Println(e.Schedule, e.State, "with", e.Records, "records")
			stop()
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sched.Define(ctx, exampleSheet(api.URL)); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := sched.Execute(ctx, "rates"); err != nil { // now, not at six in the morning
		fmt.Println(err)
		return
	}
	if err := sched.Run(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, record := range delivered.Records("rates") {
		fmt.Println(record)
	}
	// Output:
	// rates succeeded with 2 records
	// {"currency":"USD","rate":1.0873}
	// {"currency":"GBP","rate":0.8612}
}

// Everything that is wrong is told at once, each with the field, the value and the rule.
func ExampleValidationErrors() {
	sched, _ := callsheet.New(memory.New())
	_, err := sched.Schedules().Create(context.Background(), callsheet.Schedule{
		ID: "rates", Cron: "0 25 * * *", Zone: "Europe/Bern", Request: "nowhere",
	})
	for _, fault := range callsheet.ValidationErrors(err) {
		fmt.Printf("%s: %q\n", fault.Field, fault.Value)
	}
	// Output:
	// zone: "Europe/Bern"
	// cron: "0 25 * * *"
	// request: "nowhere"
}

// A Definition that others use cannot be deleted; the error names them.
func ExampleInUseError() {
	sched, _ := callsheet.New(memory.New(), callsheet.WithDestination("memory", destmemory.New()))
	ctx := context.Background()
	if err := sched.Define(ctx, exampleSheet("https://bank.example")); err != nil {
		fmt.Println(err)
		return
	}
	err := sched.Sources().Delete(ctx, "bank")
	if inUse, ok := errors.AsType[*callsheet.InUseError](err); ok {
		fmt.Println(inUse)
	}
	// Output:
	// source "bank" is used by request "latest"
}

// A host's own code may stand around the Pipeline, or in its place.
func ExampleWithPipeline() {
	api := exampleAPI()
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	sched, _ := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithDestination("memory", destmemory.New()),
		callsheet.WithPipeline(func(next callsheet.Pipeline) callsheet.Pipeline {
			return callsheet.PipelineFunc(func(ctx context.Context, call callsheet.Call) (callsheet.Result, error) {
				result, err := next.Run(ctx, call)
				fmt.Println("called", call.Source.ID, "with status", result.HTTPStatus)
				return result, err
			})
		}),
		callsheet.WithObserver(func(context.Context, callsheet.Execution) { stop() }))
	_ = sched.Define(ctx, exampleSheet(api.URL))
	_, _ = sched.Execute(ctx, "rates")
	_ = sched.Run(ctx)
	// Output:
	// called bank with status 200
}

// Classify says what follows from an error; a host's own errors may say it of themselves.
func ExampleClassify() {
	full := &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: errors.New("no such table")}
	fmt.Println(callsheet.Classify(full), callsheet.Classify(full).Retryable())
	fmt.Println(callsheet.Classify(errors.New("broken pipe")), callsheet.Classify(errors.New("broken pipe")).Retryable())
	// Output:
	// permanent false
	// transient true
}

// Upcoming lists the next occurrences, each in its schedule's time zone.
func ExampleViewer_upcoming() {
	sched, _ := callsheet.New(memory.New(), callsheet.WithDestination("memory", destmemory.New()))
	ctx := context.Background()
	_ = sched.Define(ctx, exampleSheet("https://bank.example"))
	upcoming, _ := sched.Upcoming(ctx, 3)
	for _, o := range upcoming {
		fmt.Println(o.Schedule, o.At.Format(time.TimeOnly), o.At.Location())
	}
	// Output:
	// rates 06:00:00 Europe/Berlin
	// rates 06:00:00 Europe/Berlin
	// rates 06:00:00 Europe/Berlin
}

// A schedule's policies, each with its default where it is left out.
func ExampleSchedule_policies() {
	sched, _ := callsheet.New(memory.New(), callsheet.WithDestination("memory", destmemory.New()))
	ctx := context.Background()
	_ = sched.Define(ctx, exampleSheet("https://bank.example"))
	orders, err := sched.Schedules().Create(ctx, callsheet.Schedule{
		ID: "orders", Cron: "0 * * * *", Request: "latest",
		Overlap:       callsheet.OverlapQueueOne, // an hour's poll waits for the one before
		Misfire:       callsheet.MisfireAll,      // and each hour is wanted, also after an outage,
		MisfireWindow: 48 * time.Hour,            // but not what is older than two days
	})
	fmt.Println(orders.Overlap, orders.Misfire, orders.MisfireLimit, orders.MisfireGrace, orders.MisfireWindow, orders.OnResume, err)
	// Output:
	// queue_one all 100 1m0s 48h0m0s skip <nil>
}

// Explain tells of each occurrence by which rule it is, here where clocks change.
func ExampleViewer_explain() {
	sched, _ := callsheet.New(memory.New(), callsheet.WithDestination("memory", destmemory.New()))
	ctx := context.Background()
	sheet := exampleSheet("https://bank.example")
	sheet.Schedules[0].Cron = "30 2 * * *"
	_ = sched.Define(ctx, sheet)
	for _, from := range []time.Time{time.Date(2040, 3, 24, 12, 0, 0, 0, time.UTC), time.Date(2040, 10, 27, 12, 0, 0, 0, time.UTC)} {
		occurrences, _ := sched.Explain(ctx, "rates", from, from.AddDate(0, 0, 2))
		for _, o := range occurrences {
			fmt.Println(o)
		}
	}
	// Output:
	// 2040-03-25 03:00:00 +0200 CEST: runs (moved out of a gap: 02:30 +0100 is skipped)
	// 2040-03-26 02:30:00 +0200 CEST: runs
	// 2040-10-28 02:30:00 +0200 CEST: runs (first of a repeat)
	// 2040-10-29 02:30:00 +0100 CET: runs
}

// Backfill runs what was not run: here the days before the schedule was there.
func ExampleController_backfill() {
	api := exampleAPI()
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	var left atomic.Int32 // observers are called from many goroutines
	left.Store(3)
	sched, _ := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithDestination("memory", destmemory.New()),
		callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
			fmt.Println(e.ScheduledAt.Format(time.DateOnly), e.Trigger, e.State)
			if left.Add(-1) == 0 {
				stop()
			}
		}))
	_ = sched.Define(ctx, exampleSheet(api.URL))
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 2 { // the second finds nothing to do
		report, err := sched.Backfill(ctx, "rates", from, from.AddDate(0, 0, 3))
		fmt.Println(report.Planned, "planned,", report.Left, "left,", err)
	}
	_ = sched.Run(ctx)
	// Unordered output:
	// 3 planned, 0 left, <nil>
	// 0 planned, 3 left, <nil>
	// 2026-01-01 backfill succeeded
	// 2026-01-02 backfill succeeded
	// 2026-01-03 backfill succeeded
}

// Statistics and the monitor's report tell how things are. Run's context has ended when it
// returns; look with another.
func ExampleViewer_stats() {
	api := exampleAPI()
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	sched, _ := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithDestination("memory", destmemory.New()),
		callsheet.WithObserver(func(context.Context, callsheet.Execution) { stop() }))
	_ = sched.Define(ctx, exampleSheet(api.URL))
	_, _ = sched.Execute(ctx, "rates")
	_ = sched.Run(ctx)

	ctx = context.Background()
	stats, _ := sched.Stats(ctx, callsheet.StatsQuery{})
	fmt.Println(stats.Total.Succeeded, "succeeded,", stats.Total.Failed, "failed,", stats.Total.Records, "records")
	report, _ := sched.Monitor(ctx)
	fmt.Println("healthy:", report.Healthy())
	// Output:
	// 1 succeeded, 0 failed, 2 records
	// healthy: true
}

// A failed execution is a dead letter. It waits for Retry and holds nothing up.
func ExampleController_retryAll() {
	var down atomic.Bool
	down.Store(true)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "maintenance", http.StatusNotFound)
			return
		}
		fmt.Fprint(w, `{"rates":[]}`)
	}))
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	var sched callsheet.Scheduler
	retried := 0
	sched, _ = callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithDestination("memory", destmemory.New()),
		callsheet.WithObserver(func(ctx context.Context, e callsheet.Execution) {
			fmt.Println(e.State, e.HTTPStatus)
			if e.State == callsheet.StateSucceeded {
				stop()
				return
			}
			down.Store(false)
			retried, _ = sched.RetryAll(ctx, callsheet.ExecutionQuery{Schedule: "rates"})
		}))
	_ = sched.Define(ctx, exampleSheet(api.URL))
	_, _ = sched.Execute(ctx, "rates")
	_ = sched.Run(ctx)
	fmt.Println("retried", retried)
	// Output:
	// failed 404
	// succeeded 200
	// retried 1
}

// A Source names a secret; where its value comes from is the program's choice.
func ExampleWithSecrets() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("called with", r.Header.Get("Authorization"))
		fmt.Fprint(w, `{"rates":[]}`)
	}))
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())

	sched, _ := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithSecrets(callsheet.SecretsFunc(func(ctx context.Context, name string) (string, error) {
			return "t0k3n-of-" + name, nil // or EnvSecrets, or FileSecrets
		})),
		callsheet.WithObserver(func(context.Context, callsheet.Execution) { stop() }))
	_ = sched.Define(ctx, callsheet.Sheet{
		Sources: []callsheet.Source{{ID: "bank", BaseURL: api.URL,
			Auth: callsheet.Auth{Type: callsheet.AuthBearer, Secret: "bank"}}},
		Requests:  []callsheet.Request{{ID: "latest", Source: "bank"}},
		Schedules: []callsheet.Schedule{{ID: "rates", Request: "latest"}},
	})
	_, _ = sched.Execute(ctx, "rates")
	_ = sched.Run(ctx)

	source, _ := sched.Sources().Get(context.Background(), "bank")
	fmt.Println("prints as", source.Auth)
	// Output:
	// called with Bearer t0k3n-of-bank
	// prints as bearer redacted
}
