//go:build linux

package crashtest_test

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	filestore "github.com/callsheet-go/callsheet/store/file"
)

// One node keeps everything in one file, and delivers to others. There is no network and no other node, but there is a disk.
func TestCrash_OneNodeOnSQLite(t *testing.T) {
	t.Parallel()
	scale, pause, n := *scaleFlag, 300*time.Millisecond, 20
	perNode, machine := counts{{kill, 3}, {suicide, 3}, {zombie, 1}, {stop, 1}}, counts{{full, 1}}
	if scale > 0 {
		n, pause = 60, 700*time.Millisecond
		perNode, machine = counts{{kill, 25 * scale}, {suicide, 25 * scale}, {zombie, 6 * scale}, {stop, 4 * scale}}, counts{{full, 8 * scale}}
	}
	s, began := seed(t), time.Now()
	folder := smallDisk(t)
	if folder == "" {
		folder, machine = t.TempDir(), nil
	}
	w := newSmallWorld(t, folder, nodeConfig{Lease: crashLease, Drain: 2 * time.Second})
	require.NoError(t, os.Mkdir(w.files, 0o755))
	node := w.nodes[0]
	w.offline(func(store callsheet.Store) {
		w.define(store, schedules(n, []string{"a.jsonl", "b.jsonl", "c.csv", ""}))
	})

	x := newNemesis(w)
	lane := faults(rand.New(rand.NewPCG(s, 1)), pause, crashLease, perNode)
	var lanes sync.WaitGroup
	lanes.Go(func() { x.torment(node, lane) })
	x.tormentMachine(t, faults(rand.New(rand.NewPCG(s, 0)), 3*time.Second, crashLease, machine))
	lanes.Wait()
	for _, err := range x.errs {
		t.Error(err)
	}
	w.api.recover()
	time.Sleep(2 * time.Second)

	w.offline(w.pauseAll)
	w.idle()
	for _, when := range []string{"after the last fault", "after the dead letters were retried"} {
		w.offline(func(store callsheet.Store) {
			c, err := w.check(t.Context(), store)
			require.NoError(t, err)
			w.report(when, c)
			if _, _, resumed := c.resumed(); scale > 0 {
				assert.Positive(t, resumed, "no execution went on in the midst of its pages")
			}
			_, err = w.scheduler(store).RetryAll(t.Context(), callsheet.ExecutionQuery{})
			require.NoError(t, err)
		})
		w.idle()
	}
	w.offline(func(store callsheet.Store) {
		assert.Empty(t, w.list(store, callsheet.StateFailed), "when all was well")
	})
	w.stopAll()
	w.leavesNothing()
	t.Logf("seed %d, lease %s, %s: %v", s, crashLease, time.Since(began).Round(time.Second), x.done)
}

// offline does something with the Store while the node does not run, which it does afterwards.
func (w *world) offline(do func(callsheet.Store)) {
	w.t.Helper()
	require.NoError(w.t, w.nodes[0].stop())
	store, err := filestore.Open(w.t.Context(), w.store)
	require.NoError(w.t, err)
	do(store)
	require.NoError(w.t, store.Close())
	require.NoError(w.t, w.nodes[0].start())
}

// idle lets everything come to an end.
func (w *world) idle() {
	w.t.Helper()
	for patience := time.Now().Add(time.Minute); ; {
		time.Sleep(2 * time.Second)
		open := 0
		w.offline(func(store callsheet.Store) { open = len(w.list(store, callsheet.StatePending, callsheet.StateRunning)) })
		if open == 0 {
			return
		}
		require.True(w.t, time.Now().Before(patience), "%d do not end", open)
	}
}
