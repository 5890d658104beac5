// Package storebench measures what the ledger costs: executions that do nothing, from their planning to their end.
package storebench

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callsheet-go/callsheet"
)

// Batch is how many executions are planned, claimed and finished in one call.
const Batch = 100

// Prepare defines schedules that are due now and stay so.
func Prepare(b *testing.B, store callsheet.Store) {
	b.Helper()
	sheet := callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "api", BaseURL: "https://api.example.com"}},
		Requests: []callsheet.Request{{ID: "get", Source: "api"}},
	}
	for i := range 10 * Batch {
		sheet.Schedules = append(sheet.Schedules, callsheet.Schedule{
			ID: fmt.Sprintf("s-%04d", i), Type: callsheet.TypeInterval, Every: time.Second, Request: "get", Overlap: callsheet.OverlapSkip,
			Timeout: time.Minute,
		})
	}
	if err := store.Define(b.Context(), sheet); err != nil {
		b.Fatal(err)
	}
	past := time.Date(1999, time.January, 1, 0, 0, 0, 0, time.UTC)
	for _, s := range sheet.Schedules {
		_, err := store.ChangeSchedule(b.Context(), s.ID, func(s callsheet.Schedule, _ time.Time) (callsheet.Decision, error) {
			s.NextExecutionAt = past
			return callsheet.Decision{State: s.ScheduleState}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// Run takes about n executions from their planning to their end, by as many workers at once, and returns how many there were.
func Run(b *testing.B, store callsheet.Store, workers, n int) int {
	b.Helper()
	var done atomic.Int64
	InParallel(b, workers, func(ctx context.Context) error {
		for done.Load() < int64(n) {
			ended, err := batch(ctx, store)
			done.Add(int64(ended))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return int(done.Load())
}

// InParallel runs work so many times at once.
func InParallel(b *testing.B, workers int, work func(ctx context.Context) error) {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	for range workers {
		group.Go(func() error { return work(ctx) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

func batch(ctx context.Context, store callsheet.Store) (int, error) {
	planned, err := store.Plan(ctx, callsheet.PlanRequest{Limit: Batch, Decide: runOnce, RingAgain: time.Minute})
	if err != nil {
		return 0, err
	}
	var ids []string
	for _, e := range planned.Executions {
		ids = append(ids, e.ID)
	}
	calls, err := store.Claim(ctx, callsheet.ClaimRequest{ExecutionIDs: ids, Worker: "w", Lease: time.Minute})
	if err != nil {
		return 0, err
	}
	var outcomes []callsheet.Outcome
	for _, call := range calls {
		outcomes = append(outcomes, callsheet.Outcome{ExecutionID: call.Execution.ID, Fence: call.Execution.Fence, State: callsheet.StateSucceeded})
	}
	finishes, err := store.Finish(ctx, outcomes)
	return len(finishes), err
}

func runOnce(d callsheet.Due) callsheet.Decision {
	state := d.Schedule.ScheduleState
	e := callsheet.Execution{Schedule: d.Schedule.ID, ScheduledAt: state.NextExecutionAt, Trigger: callsheet.TriggerSchedule, MaxAttempts: 1}
	state.PlannedUntil = state.NextExecutionAt
	state.NextExecutionAt = state.NextExecutionAt.Add(time.Second)
	return callsheet.Decision{Executions: []callsheet.Execution{e}, State: state}
}
