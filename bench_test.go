package callsheet_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/require"
)

// roundTripper answers every request with the same body, without a network.
type roundTripper []byte

func (body roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}, nil
}

// answerOf returns a JSON answer of n records of about 190 bytes each.
func answerOf(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"data":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"coin-%04d","symbol":"c%d","name":"Coin number %d","price":%d.%04d,"cap":%d,"change":-0.%03d,"tags":["a","b","c"],"links":{"home":"https://coin.example/%d"}}`,
			i, i, i, i*17, i%10000, i*1_000_003, i%1000, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// BenchmarkPipeline measures one call through the default Pipeline without a network: fetch, four
// fields of each record, delivery.
func BenchmarkPipeline(b *testing.B) {
	for _, n := range []int{20, 1000} {
		for _, to := range []string{"memory", "jsonl"} {
			b.Run(fmt.Sprintf("records=%d/to=%s", n, to), func(b *testing.B) {
				answer := answerOf(n)
				target := "out.jsonl"
				var out callsheet.Destination = discard{}
				if to == "jsonl" {
					files, err := file.New(b.TempDir())
					require.NoError(b, err)
					defer files.Close()
					out = files
				}
				var run callsheet.Pipeline
				_, err := callsheet.New(memory.New(), callsheet.WithTransport(roundTripper(answer)),
					callsheet.WithDestination("out", out),
					callsheet.WithPipeline(func(p callsheet.Pipeline) callsheet.Pipeline { run = p; return p }))
				require.NoError(b, err)
				call := callsheet.Call{
					Execution: callsheet.Execution{Attempt: 1, Fence: 1, ScheduledAt: time.Now()},
					Schedule:  callsheet.Schedule{ID: "s"},
					Source:    callsheet.Source{ID: "api", BaseURL: "http://api.example"},
					Request:   callsheet.Request{ID: "r", Method: "GET", Path: "/markets"},
					Extract: &callsheet.Extract{ID: "x", Version: 1, Records: "$.data[*]", Fields: []callsheet.Field{
						{Name: "id", Path: "$.id"}, {Name: "price", Path: "$.price"}, {Name: "cap", Path: "$.cap"}, {Name: "home", Path: "$.links.home"}}},
					Delivery: &callsheet.Delivery{ID: "d", Destination: "out", Target: target, Mode: callsheet.Append},
				}
				b.SetBytes(int64(len(answer)))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					call.Execution.ID = fmt.Sprint("e", i)
					result, err := run.Run(b.Context(), call)
					if err != nil || result.Records != int64(n) {
						b.Fatal(result.Records, err)
					}
				}
			})
		}
	}
}

// discard is a Destination that keeps nothing.
type discard struct{}

func (discard) Validate(callsheet.Delivery) error              { return nil }
func (discard) Deliver(context.Context, callsheet.Batch) error { return nil }
func (discard) Promise() callsheet.Promise                     { return callsheet.ExactlyOnce }

// BenchmarkPlan measures planning passes over schedules that all fall due in the same second.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("schedules=%d", n), func(b *testing.B) {
			var perSchedule float64
			for b.Loop() {
				b.StopTimer()
				before := heap()
				store := memory.New()
				sched := newSchedulerOn(b, store, succeed)
				defineMany(b, sched, n, "* * * * *")
				perSchedule = float64(heap()-before) / float64(n)
				due := time.Now().UTC().Truncate(time.Minute)
				for i := range n {
					_, err := store.ChangeSchedule(b.Context(), fmt.Sprintf("s%06d", i), func(s callsheet.Schedule, _ time.Time) (callsheet.Decision, error) {
						s.NextExecutionAt, s.PlannedUntil = due, due.Add(-time.Second)
						return callsheet.Decision{State: s.ScheduleState}, nil
					})
					require.NoError(b, err)
				}
				b.StartTimer()
				report, err := sched.Plan(b.Context())
				if err != nil || report.Planned != n {
					b.Fatal(report, err)
				}
			}
			b.ReportMetric(perSchedule, "B/schedule")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/schedule")
		})
	}
}

// BenchmarkRun measures how late schedules start that all fall due in the same second, with
// work that takes no time.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("schedules=%d", n), func(b *testing.B) {
			var late []time.Duration
			for b.Loop() {
				begun := make(chan time.Duration, n)
				sched := newScheduler(b, func(_ context.Context, call callsheet.Call) error {
					begun <- time.Since(call.Execution.ScheduledAt)
					return nil
				})
				at := time.Now().UTC().Truncate(time.Second).Add(4 * time.Second)
				defineMany(b, sched, n, fmt.Sprintf("%d %d %d * * *", at.Second(), at.Minute(), at.Hour()))
				stop := start(b, sched)
				for range n {
					late = append(late, <-begun)
				}
				stop()
			}
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkExecutions measures executions from Execute to their recorded end, with work that
// takes no time.
func BenchmarkExecutions(b *testing.B) {
	done := make(chan struct{}, 1024)
	sched := newScheduler(b, succeed, callsheet.WithObserver(func(context.Context, callsheet.Execution) { done <- struct{}{} }))
	defineMany(b, sched, 1, "")
	start(b, sched)
	b.ReportAllocs()
	inFlight := 0
	for b.Loop() {
		if _, err := sched.Execute(b.Context(), "s000000"); err != nil {
			b.Fatal(err)
		}
		if inFlight++; inFlight > 256 {
			<-done
			inFlight--
		}
	}
	for ; inFlight > 0; inFlight-- {
		<-done
	}
}

func defineMany(b *testing.B, sched callsheet.Definer, n int, cron string) {
	list := make([]callsheet.Schedule, n)
	for i := range list {
		list[i] = callsheet.Schedule{ID: fmt.Sprintf("s%06d", i), Cron: cron}
	}
	define(b, sched, list...)
}

// heap is what lives on the heap.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
