//go:build linux

package crashtest_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	pgstore "github.com/callsheet-go/callsheet/store/postgres"
)

// hanging is a schedule whose API does not answer the first claim's call.
var hanging = callsheet.Schedule{ID: "hanging", Type: callsheet.TypeManual, Request: "hang", Extract: "items", Delivery: "polled",
	MaxRetries: callsheet.NoRetries}

// begin starts the nodes of a world with schedules, and has the first of them executed.
func begin(t *testing.T, nodes int, config nodeConfig, all ...callsheet.Schedule) (*world, callsheet.Store, callsheet.Execution) {
	t.Helper()
	w := newWorld(t, nodes, config)
	w.api.recover() // these are about workers
	store, err := pgstore.Open(t.Context(), w.store)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	w.define(store, all)
	for _, n := range w.nodes {
		require.NoError(t, n.start())
	}
	e, err := w.scheduler(store).Execute(t.Context(), all[0].ID)
	require.NoError(t, err)
	return w, store, e
}

// holder waits for the API's call under a fence, and returns the node that makes it.
func (w *world) holder(e callsheet.Execution, fence int64, patience time.Duration) *node {
	w.t.Helper()
	var name string
	require.Eventually(w.t, func() bool {
		calls := w.api.of(e.ID)
		if len(calls) == 0 || calls[len(calls)-1].fence != fence {
			return false
		}
		w.history.mu.Lock()
		defer w.history.mu.Unlock()
		name = w.history.claimed[claim{e.ID, fence}] // which is told by another way than the call is made
		return name != ""
	}, patience, 10*time.Millisecond, "nobody works on it")
	for _, n := range w.nodes {
		if n.config.Name == name {
			return n
		}
	}
	require.Fail(w.t, "nobody has claimed it")
	return nil
}

func (w *world) execution(store callsheet.Store, id string) callsheet.Execution {
	w.t.Helper()
	e, err := store.Execution(w.t.Context(), id)
	require.NoError(w.t, err)
	return e
}

// sound says that a world is as it should be, after all is over.
func (w *world) sound(store callsheet.Store) {
	w.t.Helper()
	w.pauseAll(store)
	w.waitUntilIdle(store)
	c, err := w.check(w.t.Context(), store)
	require.NoError(w.t, err)
	w.report("in the end", c)
	w.stopAll()
	w.leavesNothing()
}

func TestTakeOver_AtDefaultSettingsWithin15Seconds(t *testing.T) {
	t.Parallel()
	w, store, e := begin(t, 2, nodeConfig{}, hanging)
	dead := w.holder(e, 1, 10*time.Second)
	time.Sleep(4 * time.Second) // so that its lease was renewed, and has long to go
	killed := time.Now()
	dead.kill()
	other := w.holder(e, 2, 15*time.Second)
	took := time.Since(killed)
	require.NotEqual(t, dead.config.Name, other.config.Name)
	t.Logf("taken over %s after the kill, with the default lease", took.Round(100*time.Millisecond))
	w.waitUntilIdle(store)
	assert.Equal(t, callsheet.StateSucceeded, w.execution(store, e.ID).State)
	require.NoError(t, dead.start())
	w.sound(store)
}

func TestQuarantine_AnExecutionThatKillsItsWorkersIsGivenUp(t *testing.T) {
	t.Parallel()
	poison := callsheet.Schedule{ID: "poison", Type: callsheet.TypeManual, Request: "poll", Delivery: "polled", Extract: "items"}
	well := callsheet.Schedule{ID: "well", Every: time.Second, Request: "poll", Delivery: "polled", Extract: "items",
		RetryDelay: 100 * time.Millisecond, Overlap: callsheet.OverlapAllow}
	w, store, e := begin(t, 2, nodeConfig{Lease: time.Second, Poison: "poison"}, poison, well)
	deaths := 0
	for patience := time.Now().Add(40 * time.Second); !w.execution(store, e.ID).State.Final(); time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(patience), "it goes on killing, after %d deaths", deaths)
		for _, n := range w.nodes {
			if p := n.current(); p.endsWithin(0) {
				require.Empty(t, p.failure())
				deaths++
				require.NoError(t, n.start())
			}
		}
	}
	after := w.execution(store, e.ID)
	assert.Equal(t, callsheet.StateFailed, after.State)
	assert.Equal(t, callsheet.ReasonLost, after.Reason)
	assert.Equal(t, callsheet.ClassLostWorker, after.Class)
	assert.Equal(t, callsheet.MaxLostWorkers, after.LostWorkers)
	assert.Equal(t, callsheet.MaxLostWorkers, deaths, "nodes that died of it")
	assert.Empty(t, w.api.of(e.ID))

	_, before := w.api.total()
	time.Sleep(3 * time.Second)
	for _, n := range w.nodes {
		assert.False(t, n.current().endsWithin(0), "%s died of it afterwards", n.config.Name)
	}
	_, calls := w.api.total()
	assert.Greater(t, calls, before, "the other schedule goes on")
	w.sound(store)
}

func TestStop_HandsBackWithoutSpendingAnAttempt(t *testing.T) {
	t.Parallel()
	w, store, e := begin(t, 1, nodeConfig{Drain: 200 * time.Millisecond}, hanging)
	n := w.holder(e, 1, 10*time.Second)
	asked := time.Now()
	require.NoError(t, n.stop())
	assert.Less(t, time.Since(asked), 4*time.Second, "it was expected to stop soon after the drain timeout")
	back := w.execution(store, e.ID)
	assert.Equal(t, callsheet.StatePending, back.State)
	assert.Equal(t, callsheet.ReasonHandBack, back.Reason)
	assert.Zero(t, back.Attempt)
	assert.Zero(t, back.LostWorkers)
	require.Len(t, back.Attempts, 1)
	assert.True(t, back.Attempts[0].Unspent)

	require.NoError(t, n.start())
	w.waitUntilIdle(store)
	after := w.execution(store, e.ID)
	assert.Equal(t, callsheet.StateSucceeded, after.State, after.Error)
	assert.Equal(t, 1, after.Attempt, "of one that is allowed")
	w.sound(store)
}

// A worker that was stopped for longer than its lease cannot record anything when it wakes up, while another is at work.
func TestZombie_CannotRecord(t *testing.T) {
	t.Parallel()
	w, store, e := begin(t, 2, nodeConfig{Lease: 3 * time.Second}, hanging)
	sleeper := w.holder(e, 1, 10*time.Second)
	sleeper.current().signal(syscall.SIGSTOP)
	w.holder(e, 2, 15*time.Second)
	sleeper.current().signal(syscall.SIGCONT)
	require.Eventually(t, func() bool {
		w.history.mu.Lock()
		defer w.history.mu.Unlock()
		return w.history.refused > 0
	}, 10*time.Second, 10*time.Millisecond, "what it tried to record was expected to be refused")
	w.waitUntilIdle(store)
	after := w.execution(store, e.ID)
	assert.Equal(t, callsheet.StateSucceeded, after.State)
	// On a busy machine the other may be slow to renew, too; what the first one tried to say is nowhere.
	assert.GreaterOrEqual(t, after.Fence, int64(2))
	require.Len(t, after.Attempts, int(after.Fence))
	assert.Equal(t, callsheet.ClassLostWorker, after.Attempts[0].Class)
	report, err := w.scheduler(store).Stats(t.Context(), callsheet.StatsQuery{})
	require.NoError(t, err)
	assert.Positive(t, report.Total.StaleWrites)
	w.sound(store)
}
