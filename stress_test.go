package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dice are random numbers that several goroutines share. In a synctest bubble the same seed does
// not make the same run, but one of the same kind.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand // guarded by mu
}

func newDice(seed, stream uint64) *dice { return &dice{random: rand.New(rand.NewPCG(seed, stream))} }

func (d *dice) float() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.Float64()
}

func (d *dice) upTo(t time.Duration) time.Duration { return time.Duration(d.float() * float64(t)) }

func oneOf[T any](d *dice, all []T) T { return all[int(d.float()*float64(len(all)))] }

// flaky is a Store that fails before it does what it was asked, or after, or panics.
type flaky struct {
	callsheet.Store
	dice *dice
	rate float64
}

func flakily[A any](f *flaky, ask func() (A, error)) (A, error) {
	var none A
	switch roll := f.dice.float(); {
	case roll < f.rate:
		return none, errors.New("store failed before the commit")
	case roll < 2*f.rate:
		_, _ = ask()
		return none, errors.New("store failed after the commit")
	case roll < 2.5*f.rate:
		panic("store panicked")
	}
	return ask()
}

func (f *flaky) Plan(ctx context.Context, r callsheet.PlanRequest) (callsheet.PlanResult, error) {
	return flakily(f, func() (callsheet.PlanResult, error) { return f.Store.Plan(ctx, r) })
}

func (f *flaky) Ring(ctx context.Context, r callsheet.RingRequest) (callsheet.RingResult, error) {
	return flakily(f, func() (callsheet.RingResult, error) { return f.Store.Ring(ctx, r) })
}

func (f *flaky) Claim(ctx context.Context, r callsheet.ClaimRequest) ([]callsheet.Call, error) {
	return flakily(f, func() ([]callsheet.Call, error) { return f.Store.Claim(ctx, r) })
}

func (f *flaky) Renew(ctx context.Context, r callsheet.RenewRequest) ([]callsheet.Renewal, error) {
	return flakily(f, func() ([]callsheet.Renewal, error) { return f.Store.Renew(ctx, r) })
}

func (f *flaky) Finish(ctx context.Context, o []callsheet.Outcome) ([]callsheet.Finish, error) {
	return flakily(f, func() ([]callsheet.Finish, error) { return f.Store.Finish(ctx, o) })
}

func (f *flaky) Reclaim(ctx context.Context, limit int, rung time.Duration) ([]callsheet.Execution, error) {
	return flakily(f, func() ([]callsheet.Execution, error) { return f.Store.Reclaim(ctx, limit, rung) })
}

// Three nodes on one Store are started and stopped at random, the Store fails at random, and somebody
// pauses, edits, cancels, retries and deletes. In the end every execution has ended, none was
// worked on by two at once, and the counters are what a recount gives.
func TestRun_ThreeNodesInBadWeather(t *testing.T) {
	for seed := range uint64(4) {
		for _, rate := range []float64{0, 0.02, 0.1} {
			t.Run(fmt.Sprintf("seed=%d/failures=%v", seed, rate), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { badWeather(t, seed, rate) })
			})
		}
	}
}

func badWeather(t *testing.T, seed uint64, rate float64) {
	d := newDice(seed, 0)
	store := memory.New()
	atWork := &atWork{on: map[string]int{}}
	unruly := func(ctx context.Context, call callsheet.Call) error {
		defer atWork.begin(call.Execution.ID)()
		select {
		case <-time.After(d.upTo(20 * time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
		switch roll := d.float(); {
		case roll < 0.1:
			panic("unruly")
		case roll < 0.3:
			return errors.New("transient")
		case roll < 0.35:
			return &callsheet.ClassifiedError{Class: callsheet.ClassThrottled, Err: errors.New("too many")}
		}
		return nil
	}
	nodes := make([]callsheet.Scheduler, 3)
	for i := range nodes {
		nodes[i] = newSchedulerOn(t, &flaky{store, newDice(seed, uint64(i+1)), rate}, unruly,
			callsheet.WithWorkers(3), callsheet.WithWorkerName(fmt.Sprint("node", i)), callsheet.WithDrainTimeout(5*time.Second))
	}
	person := newSchedulerOn(t, store, succeed)
	sheet := make([]callsheet.Schedule, 8)
	for i := range sheet {
		sheet[i] = callsheet.Schedule{ID: fmt.Sprint("s", i), Request: "get", Cron: every([]string{"5", "10", "30"}[i%3]),
			RetryDelay: time.Second, MaxRetries: 2, PauseAfterFailures: i % 3 * 2}
	}
	define(t, person, sheet...)

	ctx, cancel := context.WithCancel(t.Context())
	var weather sync.WaitGroup
	for _, node := range nodes {
		weather.Go(func() {
			for ctx.Err() == nil {
				running, stop := context.WithTimeout(ctx, d.upTo(90*time.Second))
				assert.NoError(t, node.Run(running))
				stop()
				time.Sleep(d.upTo(5 * time.Second))
			}
		})
	}
	weather.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(d.upTo(2 * time.Second))
			meddle(ctx, d, oneOf(d, nodes), person, sheet)
		}
	})
	time.Sleep(10 * time.Minute)
	cancel()
	weather.Wait()

	for _, s := range sheet {
		_, err := person.Pause(t.Context(), s.ID, "the end")
		if _, gone := errors.AsType[*callsheet.NotFoundError](err); !gone {
			require.NoError(t, err)
		}
	}
	stop := start(t, person)
	time.Sleep(30 * time.Minute)
	stop()
	assert.Zero(t, atWork.doubles, "executions that two workers had at once")
	var recount callsheet.Tally
	own := map[string]*callsheet.Tally{}
	for _, e := range executions(t, person, "") {
		assert.True(t, e.State.Final(), "%s of %s is %s", e.ID, e.Schedule, e.State)
		recount.Applied(nil, e)
		if own[e.Schedule] == nil {
			own[e.Schedule] = new(callsheet.Tally)
		}
		own[e.Schedule].Applied(nil, e)
	}
	stats, err := person.Stats(t.Context(), callsheet.StatsQuery{})
	require.NoError(t, err)
	recount.StaleWrites = stats.Total.StaleWrites
	assert.Equal(t, recount.Stats(), stats.Total)
	for _, s := range stats.Schedules.Items {
		if own[s.Schedule] != nil {
			assert.Equal(t, own[s.Schedule].Stats(), s.Stats, "statistics of %s", s.Schedule)
		}
	}
}

// meddle does one of the things that people do. What is not possible just now is refused, and that
// is all right.
func meddle(ctx context.Context, d *dice, node, person callsheet.Scheduler, sheet []callsheet.Schedule) {
	id := oneOf(d, sheet).ID
	switch roll := d.float(); {
	case roll < 0.2:
		_, _ = node.Execute(ctx, id)
	case roll < 0.3:
		_, _ = node.Pause(ctx, id, "a whim")
	case roll < 0.6:
		_, _ = node.Resume(ctx, id)
	case roll < 0.7:
		_, _ = node.RetryAll(ctx, callsheet.ExecutionQuery{})
	case roll < 0.8:
		if s, err := person.Schedules().Get(ctx, id); err == nil {
			s.Name = fmt.Sprint(roll)
			_, _ = node.Schedules().Update(ctx, s)
		}
	case roll < 0.9:
		open, err := person.Executions(ctx, callsheet.ExecutionQuery{States: []callsheet.State{callsheet.StatePending, callsheet.StateRunning}})
		if err == nil && len(open.Items) > 0 {
			_, _ = node.Cancel(ctx, oneOf(d, open.Items).ID, "a whim")
		}
	case roll < 0.93:
		_ = person.Schedules().Delete(ctx, id)
	default:
		_ = node.Define(ctx, callsheet.Sheet{Schedules: sheet})
	}
}

// atWork notices when an execution is worked on by two at once.
type atWork struct {
	mu      sync.Mutex
	on      map[string]int // by execution ID; guarded by mu
	doubles int            // guarded by mu
}

func (a *atWork) begin(id string) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.on[id]++; a.on[id] > 1 {
		a.doubles++
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.on[id]--
	}
}
