package callsheet_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
)

// runs executes a schedule of one request some times, and prints what became of each.
func runs(times int, request callsheet.Request) {
	ctx, stop := context.WithCancel(context.Background())
	var sched callsheet.Scheduler
	sched, _ = callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"), // where the API of the example listens
		callsheet.WithDestination("memory", destmemory.New()),
		callsheet.WithObserver(func(ctx context.Context, e callsheet.Execution) {
			fmt.Println(e.State, e.Reason, e.Records, "records")
			if times--; times == 0 {
				stop()
				return
			}
			_, _ = sched.Execute(ctx, "s")
		}))
	request.ID, request.Source = "r", "api"
	base := request.Path
	request.Path = ""
	_ = sched.Define(ctx, callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: base}},
		Requests:   []callsheet.Request{request},
		Deliveries: []callsheet.Delivery{{ID: "d", Destination: "memory"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "r", Delivery: "d"}},
	})
	_, _ = sched.Execute(ctx, "s")
	_ = sched.Run(ctx)
}

// An execution asks for all pages, and delivers each before it asks for the next.
func ExamplePagination() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		fmt.Println("page", page, "is asked for")
		if page < 3 {
			w.Header().Set("Link", fmt.Sprintf(`</?page=%d>; rel="next"`, page+1))
		}
		fmt.Fprintf(w, `[{"id":%d},{"id":%d}]`, 2*page+1, 2*page+2)
	}))
	defer api.Close()
	runs(1, callsheet.Request{Path: api.URL, Pages: &callsheet.Pagination{By: callsheet.PageByLink}})
	// Output:
	// page 0 is asked for
	// page 1 is asked for
	// page 2 is asked for
	// page 3 is asked for
	// succeeded  8 records
}

// A cursor remembers how far the records went, and asks for what is new.
func ExampleCursor() {
	items := 2
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		since, _ := strconv.Atoi(r.URL.Query().Get("after"))
		fmt.Println("asked for what is after", since)
		list := "["
		for id := since + 1; id <= items; id++ {
			list += fmt.Sprintf(`{"id":%d},`, id)
		}
		fmt.Fprint(w, list[:max(1, len(list)-1)]+"]")
		items++
	}))
	defer api.Close()
	runs(2, callsheet.Request{Path: api.URL, Cursor: &callsheet.Cursor{Path: "$.id", Type: callsheet.CursorInteger, Param: "after"}})
	// Output:
	// asked for what is after 0
	// succeeded  2 records
	// asked for what is after 2
	// succeeded  1 records
}

// What an API says is unchanged is not delivered again.
func ExampleUnchanged() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, `[{"id":1}]`)
	}))
	defer api.Close()
	runs(2, callsheet.Request{Path: api.URL})
	// Output:
	// succeeded  1 records
	// succeeded unchanged 0 records
}

// A long answer of lines is delivered in parts: memory holds about a MiB of it.
func Example_longAnswer() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for id := range 200_000 {
			fmt.Fprintf(w, "{\"id\":%d,\"name\":\"one of many\"}\n", id)
		}
	}))
	defer api.Close()
	ctx, stop := context.WithCancel(context.Background())
	out := destmemory.New()
	sched, _ := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("127.0.0.0/8"),
		callsheet.WithDestination("memory", out),
		callsheet.WithObserver(func(_ context.Context, e callsheet.Execution) {
			fmt.Println(e.State, e.Records, "records in", len(out.Batches("things")), "parts")
			stop()
		}))
	_ = sched.Define(ctx, callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: api.URL, MaxBodyBytes: 1 << 30}}, // what an export may have at most
		Requests:   []callsheet.Request{{ID: "export", Source: "api"}},
		Extracts:   []callsheet.Extract{{ID: "things", Format: "ndjson"}},
		Deliveries: []callsheet.Delivery{{ID: "out", Destination: "memory", Target: "things"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "export", Extract: "things", Delivery: "out"}},
	})
	_, _ = sched.Execute(ctx, "s")
	_ = sched.Run(ctx)
	// Output:
	// succeeded 200000 records in 7 parts
}
