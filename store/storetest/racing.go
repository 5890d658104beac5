package storetest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

// lineRace lets workers claim, finish, hand back and abandon executions of one schedule, while others are
// inserted, backfilled and cancelled, until all have ended.
func lineRace(t *trial) {
	t.hasSchedule("s", oneAtATime)
	r := race{trial: t, giveUp: time.Now().Add(30 * time.Second)}
	random := t.random()
	const workers, executions = 8, 60
	var late []callsheet.Execution
	for i, minute := range random.Perm(executions) {
		e := newExecution("s", past.Add(time.Duration(minute)*time.Minute), 4)
		if i%3 == 0 {
			e.Trigger = callsheet.TriggerBackfill
		}
		if r.all = append(r.all, e.ID); i%2 == 0 {
			late = append(late, e)
			continue
		}
		t.inserts(e)
	}
	for i := range workers {
		seeded := rand.New(rand.NewPCG(random.Uint64(), 0))
		r.does(func() error { return r.work(numbered("w", i), seeded) })
	}
	r.does(func() error { return r.add(late) })
	r.does(func() error { return r.cancel(0) })
	r.does(func() error { return r.cancel(4) })
	r.Wait()
	require.NoError(t, errors.Join(r.errs...))
	require.EqualValues(t, 1, r.most.Load(), "one execution of the schedule was expected to run at a time")
	history := t.executions(callsheet.ExecutionQuery{Limit: 1000})
	require.Len(t, history, executions)
	for _, e := range history {
		require.True(t, e.State.Final(), "every execution was expected to come to its end, not to be %s (waits: %t)", e.State, e.Waits)
	}
	total, _ := t.tallies()
	require.Equal(t, recount(history), asJSON(total))
}

// A race is what the goroutines of lineRace share.
type race struct {
	*trial
	sync.WaitGroup
	all           []string // the executions, also those to come
	giveUp        time.Time
	running, most atomic.Int64
	ended         atomic.Int64

	mu   sync.Mutex
	errs []error // guarded by mu
}

func (r *race) does(what func() error) {
	r.Go(func() {
		err := what()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	})
}

// work claims and finishes what it gets, until all has ended. Some it takes and never comes back to.
func (r *race) work(worker string, random *rand.Rand) error {
	outcomes := []callsheet.Outcome{
		{State: callsheet.StateSucceeded},
		{State: callsheet.StateFailed, Class: callsheet.ClassPermanent},
		{State: callsheet.StateCancelled},
		{State: callsheet.StatePending, Reason: callsheet.ReasonHandBack, Unspent: true, Class: callsheet.ClassCancelled},
		{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Class: callsheet.ClassTransient},
	}
	for r.ended.Load() < int64(len(r.all)) && time.Now().Before(r.giveUp) {
		lost, err := r.Reclaim(r.Context(), 100, longLease)
		r.count(lost...)
		if err != nil {
			return err
		}
		lease := longLease
		if random.IntN(8) == 0 {
			lease = time.Millisecond
		}
		calls, err := r.Claim(r.Context(), callsheet.ClaimRequest{ExecutionIDs: r.all, Worker: worker, Lease: lease})
		if err != nil {
			return err
		}
		if len(calls) == 0 || lease != longLease {
			r.passes(0)
			continue
		}
		r.runs(len(calls))
		for _, call := range calls {
			o := outcomes[random.IntN(len(outcomes))]
			o.ExecutionID, o.Fence = call.Execution.ID, call.Execution.Fence
			r.running.Add(-1)
			finishes, err := r.Finish(r.Context(), []callsheet.Outcome{o})
			if err != nil {
				return err
			}
			if finishes[0].Err != nil {
				return finishes[0].Err
			}
			r.count(finishes[0].Execution)
		}
	}
	return nil
}

// runs notes that so many more run, and the most there ever were.
func (r *race) runs(more int) {
	n := r.running.Add(int64(more))
	for {
		most := r.most.Load()
		if n <= most || r.most.CompareAndSwap(most, n) {
			return
		}
	}
}

// count counts those that have ended.
func (r *race) count(executions ...callsheet.Execution) {
	for _, e := range executions {
		if e.State.Final() {
			r.ended.Add(1)
		}
	}
}

// add inserts some of the executions and backfills the others.
func (r *race) add(executions []callsheet.Execution) error {
	for _, e := range executions {
		var err error
		if e.Trigger == callsheet.TriggerSchedule {
			_, err = r.Insert(r.Context(), e, longLease)
		} else {
			_, err = r.Backfill(r.Context(), callsheet.BackfillRequest{Schedule: "s", From: past, To: future, Decide: func(callsheet.Schedule, []callsheet.Execution, time.Time) ([]callsheet.Execution, error) {
				return []callsheet.Execution{e}, nil
			}})
		}
		if err != nil {
			return err
		}
		r.passes(0)
	}
	return nil
}

// cancel cancels every eighth of those that are there, from one on.
func (r *race) cancel(first int) error {
	for i := first; i < len(r.all); i += 8 {
		r.passes(0)
		e, changed, err := r.Cancel(r.Context(), r.all[i], "in a race")
		var missing *callsheet.NotFoundError
		switch {
		case errors.As(err, &missing): // is to come
		case err != nil:
			return err
		case changed:
			r.count(e)
		}
	}
	return nil
}
