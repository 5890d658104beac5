//go:build linux

package crashtest_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	pgstore "github.com/callsheet-go/callsheet/store/postgres"
)

// crashLease is the nodes' lease where nothing else is said. With the default of 10 s a worker that is lost would be
// noticed ten times later, and the proof would take that much longer.
const crashLease = 1500 * time.Millisecond

// A form is how large a run is.
type form struct {
	nodes, schedules int
	perNode          counts        // faults of each node
	machine          counts        // faults of what they share
	pause            time.Duration // between two faults of a node, on average
	machinePause     time.Duration
	least            least
}

// least is what a run has to have seen to count.
type least struct{ executions, kills, zombies, network, crashes int }

func formOf(scale int) form {
	if scale == 0 {
		return form{
			nodes: 3, schedules: 60, pause: 200 * time.Millisecond, machinePause: 1500 * time.Millisecond,
			perNode: counts{{kill, 2}, {suicide, 2}, {zombie, 1}, {toxic, 2}, {cut, 1}, {noCommit, 1}, {stop, 1}},
			machine: counts{{crash, 1}, {full, 1}},
		}
	}
	return form{
		nodes: 4, schedules: 300, pause: 2 * time.Second, machinePause: 15 * time.Second,
		least:   least{20_000 * scale, 150 * scale, 20 * scale, 100 * scale, 5 * scale},
		perNode: counts{{kill, 20 * scale}, {suicide, 20 * scale}, {zombie, 6 * scale}, {toxic, 16 * scale}, {cut, 7 * scale}, {noCommit, 7 * scale}, {stop, 2 * scale}},
		machine: counts{{crash, 6 * scale}, {full, 6 * scale}},
	}
}

// seed returns the seed of this run.
func seed(t *testing.T) uint64 {
	s := *seedFlag
	for s == 0 {
		s = rand.Uint64() >> 32
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to have the same faults again: -crash.seed=%d -crash.scale=%d", s, *scaleFlag)
		}
	})
	return s
}

func TestCrash_ManyNodesOnPostgres(t *testing.T) {
	t.Parallel()
	f, s := formOf(*scaleFlag), seed(t)
	began := time.Now()
	w := newWorld(t, f.nodes, nodeConfig{Lease: crashLease, Drain: 2 * time.Second})
	if disk := smallDisk(t); disk != "" {
		w.files = disk
		for _, n := range w.nodes {
			n.config.Files = disk
		}
	} else {
		f.machine = slices.DeleteFunc(f.machine, func(s share) bool { return s.kind == full })
	}
	store, err := pgstore.Open(t.Context(), w.store)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	w.define(store, schedules(f.schedules, []string{"polled", "polled", "polled", "polled", "a.jsonl", "b.jsonl", "c.csv", ""}))
	for _, n := range w.nodes {
		require.NoError(t, n.start())
	}

	x := newNemesis(w)
	var lanes sync.WaitGroup
	for i, n := range w.nodes {
		lane := faults(rand.New(rand.NewPCG(s, uint64(i+1))), f.pause, crashLease, f.perNode)
		lanes.Go(func() { x.torment(n, lane) })
	}
	x.tormentMachine(t, faults(rand.New(rand.NewPCG(s, 0)), f.machinePause, crashLease, f.machine))
	lanes.Wait()
	last := time.Now()
	for _, err := range x.errs {
		t.Error(err)
	}
	w.api.recover()

	w.settle(store, last)
	c, err := w.check(t.Context(), store)
	require.NoError(t, err)
	w.report("after the last fault", c)
	w.retryDeadLetters(store)
	c, err = w.check(t.Context(), store)
	require.NoError(t, err)
	for _, e := range c.executions {
		if e.State == callsheet.StateFailed {
			c.problem("%s failed when all was well: %s", e.ID, e.Error)
		}
	}
	w.report("after the dead letters were retried", c)
	w.stopAll()
	w.leavesNothing()
	t.Logf("seed %d, lease %s, %s: %v", s, crashLease, time.Since(began).Round(time.Second), x.done)
	seen := least{len(c.executions), x.done[kill] + x.done[suicide], x.done[zombie],
		x.done[toxic] + x.done[cut] + x.done[noCommit] - x.done["no commit came by"], x.done[crash]}
	assert.True(t, seen.executions >= f.least.executions && seen.kills >= f.least.kills && seen.zombies >= f.least.zombies &&
		seen.network >= f.least.network && seen.crashes >= f.least.crashes, "%+v was expected, and %+v was seen", f.least, seen)
}

// schedules returns n of them, with all policies, that fire every few seconds and deliver in turns.
func schedules(n int, deliveries []string) []callsheet.Schedule {
	all := make([]callsheet.Schedule, n)
	for i := range all {
		seconds := [...]int{1, 2, 2, 3, 5}[i%5]
		s := callsheet.Schedule{
			ID: fmt.Sprintf("s%03d", i), Request: "poll", Extract: "items", Delivery: deliveries[i%len(deliveries)],
			Overlap: callsheet.Overlaps()[i%4], Misfire: callsheet.Misfires()[i%3],
			MisfireGrace: 2 * time.Second, MisfireLimit: 10,
			RetryDelay: 200 * time.Millisecond, MaxRetryDelay: time.Second, Timeout: 10 * time.Second,
		}
		if i%2 == 0 {
			s.Every = time.Duration(seconds) * time.Second
		} else {
			s.Cron = fmt.Sprintf("*/%d * * * * *", seconds)
		}
		all[i] = s
	}
	return all
}

func (w *world) define(store callsheet.Store, all []callsheet.Schedule) {
	w.t.Helper()
	require.NoError(w.t, w.scheduler(store).Define(w.t.Context(), w.sheet(all...)))
}

// scheduler returns a Scheduler to ask and to tell, which does not run.
func (w *world) scheduler(store callsheet.Store) callsheet.Scheduler {
	w.t.Helper()
	sched, err := callsheet.New(store, callsheet.WithDestination("warehouse", nowhere{}), callsheet.WithDestination("files", nowhere{}))
	require.NoError(w.t, err)
	return sched
}

// nowhere is a Destination that takes every Delivery, and is never delivered to.
type nowhere struct{}

func (nowhere) Validate(callsheet.Delivery) error              { return nil }
func (nowhere) Deliver(context.Context, callsheet.Batch) error { panic("nobody delivers here") }
func (nowhere) Promise() callsheet.Promise                     { return callsheet.ExactlyOnce }

// settle lets everything come to an end, after the last fault.
func (w *world) settle(store callsheet.Store, last time.Time) {
	w.t.Helper()
	time.Sleep(2 * time.Second) // in which all that is due is planned
	w.pauseAll(store)
	w.waitUntil(last.Add(15*time.Second), "over 15 s after the last fault", func() bool {
		running := w.list(store, callsheet.StateRunning)
		return !slices.ContainsFunc(running, func(e callsheet.Execution) bool { return e.StartedAt.Before(last) })
	})
	w.waitUntilIdle(store)
	w.t.Logf("all was over %s after the last fault", time.Since(last).Round(100*time.Millisecond))
}

func (w *world) pauseAll(store callsheet.Store) {
	w.t.Helper()
	sched := w.scheduler(store)
	all, err := every(func(after string) (callsheet.Page[callsheet.Schedule], error) {
		return store.Schedules().List(w.t.Context(), callsheet.Query{After: after, Limit: 1000})
	})
	require.NoError(w.t, err)
	for _, s := range all {
		at := time.Now()
		s, err := sched.Pause(w.t.Context(), s.ID, "that is all")
		require.NoError(w.t, err)
		// Nobody was kept from planning for the last two seconds.
		if s.Type != callsheet.TypeManual {
			assert.Less(w.t, at.Sub(s.PlannedUntil), 10*time.Second, "%s was not planned any more", s.ID)
		}
	}
}

func (w *world) list(store callsheet.Store, states ...callsheet.State) []callsheet.Execution {
	w.t.Helper()
	all, err := every(func(after string) (callsheet.Page[callsheet.Execution], error) {
		return store.Executions(w.t.Context(), callsheet.ExecutionQuery{States: states, After: after, Limit: 1000})
	})
	require.NoError(w.t, err)
	return all
}

// waitUntilIdle waits for everything to be over. A long run leaves much to make up for: what counts is that it
// gets less.
func (w *world) waitUntilIdle(store callsheet.Store) {
	w.t.Helper()
	least, patience := math.MaxInt, time.Time{}
	for {
		open := w.list(store, callsheet.StatePending, callsheet.StateRunning)
		if len(open) == 0 {
			return
		}
		if len(open) < least {
			least, patience = len(open), time.Now().Add(time.Minute)
		}
		if time.Now().After(patience) {
			w.t.Logf("the first of them: %+v", open[0])
			require.Fail(w.t, "not everything was over", "%d executions have been open for a minute, and do not get less", len(open))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// waitUntil waits for everything to be so, in the test's goroutine.
func (w *world) waitUntil(patience time.Time, so string, is func() bool) {
	w.t.Helper()
	for !is() {
		require.True(w.t, time.Now().Before(patience), "not everything was %s", so)
		time.Sleep(100 * time.Millisecond)
	}
}

// retryDeadLetters has all that failed done again, now that all is well.
func (w *world) retryDeadLetters(store callsheet.Store) {
	w.t.Helper()
	n, err := w.scheduler(store).RetryAll(w.t.Context(), callsheet.ExecutionQuery{})
	require.NoError(w.t, err)
	w.waitUntilIdle(store)
	w.t.Logf("%d dead letters were retried", n)
}

// report says what was found, and fails the test for what is wrong.
func (w *world) report(when string, c *checker) {
	w.t.Helper()
	states := map[callsheet.State]int{}
	attempts, lost, gaps, missed, claimed := 0, 0, 0, 0, 0
	for _, e := range c.executions {
		states[e.State]++
		attempts += len(e.Attempts)
		lost += e.LostWorkers
		if e.Fence > 0 {
			claimed++
		}
		if e.Gap != nil {
			gaps++
			missed += e.Gap.Count
		}
	}
	left := 0
	for id := range c.rows {
		if c.executions[id].State != callsheet.StateSucceeded {
			left++
		}
	}
	called, calls := w.api.total()
	w.t.Logf("%s: %d executions %v, of which %d ran, in %d attempts; %d workers were lost under them; %d gaps of %d occurrences; %d calls for %d of them; "+
		"rows of %d, of which %d have not succeeded; %d writes refused",
		when, len(c.executions), states, claimed, attempts, lost, gaps, missed, calls, called, len(c.rows), left, w.history.refused)
	slices.Sort(c.problems)
	for _, problem := range c.problems[:min(20, len(c.problems))] {
		w.t.Errorf("%s: %s", when, problem)
	}
	if len(c.problems) > 20 {
		w.t.Errorf("%s: and %d more", when, len(c.problems)-20)
	}
}

// stopAll stops the nodes, as they should be stopped.
func (w *world) stopAll() {
	w.t.Helper()
	for _, n := range w.nodes {
		assert.NoError(w.t, n.stop())
	}
}

// leavesNothing: no connection to the database, and no temporary file.
func (w *world) leavesNothing() {
	w.t.Helper()
	if w.pg != nil {
		conn, err := pgx.Connect(w.t.Context(), w.store)
		require.NoError(w.t, err)
		defer conn.Close(w.t.Context())
		assert.Eventually(w.t, func() bool {
			var n int
			const query = `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'node%'`
			return conn.QueryRow(w.t.Context(), query).Scan(&n) == nil && n == 0
		}, 5*time.Second, 20*time.Millisecond, "nodes have left connections")
	}
	left := map[string]bool{}
	for _, folder := range []string{w.temporary, w.files} {
		assert.NoError(w.t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (folder == w.temporary || filepath.Ext(path) == ".tmp") {
				left[path] = true
			}
			return err
		}))
	}
	assert.Empty(w.t, slices.Collect(maps.Keys(left)), "nodes have left temporary files")
}
