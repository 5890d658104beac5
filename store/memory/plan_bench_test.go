package memory_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
)

// BenchmarkPlan plans schedules that all fall due in the same second, and says what a schedule
// costs in memory before it has run, and with its first execution.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("%d schedules due", n), func(b *testing.B) {
			var took time.Duration
			var empty, defined, planned uint64
			for range b.N {
				b.StopTimer()
				empty = heap()
				s := memory.New()
				due := defineDue(b, s, n)
				defined = heap()
				b.StartTimer()
				start := time.Now()
				planAll(b, s, due, n)
				took += time.Since(start)
				b.StopTimer()
				planned = heap()
				runtime.KeepAlive(s)
				b.StartTimer()
			}
			perSchedule := float64(took.Nanoseconds()) / float64(b.N) / float64(n)
			b.ReportMetric(perSchedule, "ns/schedule")
			b.ReportMetric(1e9/perSchedule, "executions/s")
			b.ReportMetric(float64(defined-empty)/float64(n), "bytes/schedule")
			b.ReportMetric(float64(planned-defined)/float64(n), "bytes/execution")
		})
	}
}

// BenchmarkLife takes executions from their claim to success, 100 at a time, as a worker does.
func BenchmarkLife(b *testing.B) {
	const n, batch = 10_000, 100
	ctx := context.Background()
	var took time.Duration
	for range b.N {
		b.StopTimer()
		s := memory.New()
		due := defineDue(b, s, n)
		ids := planAll(b, s, due, n)
		b.StartTimer()
		start := time.Now()
		for ; len(ids) > 0; ids = ids[batch:] {
			calls, err := s.Claim(ctx, callsheet.ClaimRequest{ExecutionIDs: ids[:batch], Worker: "w", Lease: time.Minute})
			if err != nil || len(calls) != batch {
				b.Fatalf("claimed %d of %d: %v", len(calls), batch, err)
			}
			outcomes := make([]callsheet.Outcome, batch)
			for i, call := range calls {
				outcomes[i] = callsheet.Outcome{ExecutionID: call.Execution.ID, Fence: call.Execution.Fence, State: callsheet.StateSucceeded}
			}
			if _, err := s.Finish(ctx, outcomes); err != nil {
				b.Fatal(err)
			}
		}
		took += time.Since(start)
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/n, "ns/execution")
}

// defineDue defines n schedules that have been due for a second, and returns that time.
func defineDue(b *testing.B, s *memory.Store, n int) time.Time {
	b.Helper()
	due := time.Now().Add(-time.Second).UTC().Truncate(time.Second)
	sheet := callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "api", BaseURL: "https://api.example.com"}},
		Requests: []callsheet.Request{{ID: "get", Source: "api", Method: "GET"}},
	}
	for i := range n {
		sheet.Schedules = append(sheet.Schedules, callsheet.Schedule{
			ID: fmt.Sprintf("schedule-%06d", i), Type: callsheet.TypeCron, Cron: "* * * * *", Request: "get",
		})
	}
	if err := s.Define(context.Background(), sheet); err != nil {
		b.Fatal(err)
	}
	for _, schedule := range sheet.Schedules {
		_, err := s.ChangeSchedule(context.Background(), schedule.ID, func(sch callsheet.Schedule, _ time.Time) (callsheet.Decision, error) {
			sch.NextExecutionAt, sch.PlannedUntil = due, due.Add(-time.Minute)
			return callsheet.Decision{State: sch.ScheduleState}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return due
}

// planAll plans until nothing is due, and returns the executions' IDs.
func planAll(b *testing.B, s *memory.Store, due time.Time, n int) []string {
	b.Helper()
	ids := make([]string, 0, n)
	next := due.Add(time.Minute)
	for {
		result, err := s.Plan(context.Background(), callsheet.PlanRequest{
			Limit: 1000,
			Decide: func(d callsheet.Due) callsheet.Decision {
				state := d.Schedule.ScheduleState
				state.NextExecutionAt, state.PlannedUntil = next, d.Schedule.NextExecutionAt
				return callsheet.Decision{
					Executions: []callsheet.Execution{{ScheduledAt: d.Schedule.NextExecutionAt, Trigger: callsheet.TriggerSchedule, MaxAttempts: 4}},
					State:      state,
				}
			},
			RingAgain: time.Minute,
		})
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range result.Executions {
			ids = append(ids, e.ID)
		}
		if result.Schedules == 0 {
			break
		}
	}
	if len(ids) != n {
		b.Fatalf("%d executions were planned of %d schedules due", len(ids), n)
	}
	return ids
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
