//go:build linux

package crashtest_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The kinds of faults.
const (
	kill     = "kill"        // at a random instant
	suicide  = "failpoint"   // at a named place
	zombie   = "zombie"      // stopped for longer than the lease, then woken up
	stop     = "stop"        // asked to stop
	toxic    = "toxic"       // the connection to the database is slow, reset, dead in one direction, …
	cut      = "cut"         // there is no connection
	noCommit = "commit lost" // or its answer
	crash    = "crash"       // of the database
	full     = "disk full"   // where files are
)

// A fault is one thing that a nemesis does, after a pause.
type fault struct {
	kind   string
	pause  time.Duration
	lasts  time.Duration
	detail string // which failpoint, toxic, …
	passes int    // how often the failpoint is passed
}

// counts says how many faults of which kind there are, in an order that is always the same.
type counts []share

type share struct {
	kind string
	n    int
}

// faults returns a sequence that only depends on rng. The pauses are about pause long each.
func faults(rng *rand.Rand, pause, lease time.Duration, of counts) []fault {
	names := slices.Sorted(maps.Keys(toxics))
	var all []fault
	for _, c := range of {
		for range c.n {
			f := fault{kind: c.kind, pause: time.Duration(rng.Int64N(int64(2 * pause)))}
			f.lasts = 100*time.Millisecond + time.Duration(rng.Int64N(int64(time.Second)))
			switch c.kind {
			case kill:
				f.lasts /= 3
			case suicide:
				f.detail, f.passes = failpoints[rng.IntN(len(failpoints))], 1+rng.IntN(5)
				if f.detail == "after reclaim" {
					f.passes = 1 // which is rare enough
				}
			case zombie:
				f.lasts = lease + lease/10 + time.Duration(rng.Int64N(int64(lease)))
			case toxic:
				f.detail = names[rng.IntN(len(names))]
			case noCommit:
				f.detail = [...]string{"arrives", "is lost"}[rng.IntN(2)]
			}
			all = append(all, f)
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// A nemesis does faults to a world, and counts them.
type nemesis struct {
	world *world

	mu   sync.Mutex
	done map[string]int // by kind; guarded by mu
	errs []error        // guarded by mu
}

func newNemesis(w *world) *nemesis {
	return &nemesis{world: w, done: map[string]int{}}
}

func (x *nemesis) count(kind string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done[kind]++
}

func (x *nemesis) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.errs = append(x.errs, err)
}

// torment does faults to a node, one after the other.
func (x *nemesis) torment(n *node, faults []fault) {
	for i, f := range faults {
		time.Sleep(f.pause)
		if failure := n.current().failure(); failure != "" {
			x.fail(fmt.Errorf("%s ended by itself before fault %d, %+v: %s", n.config.Name, i, f, failure))
			return
		}
		if err := x.do(n, f); err != nil {
			x.fail(fmt.Errorf("%s, fault %d, %+v: %w", n.config.Name, i, f, err))
			return
		}
		x.count(f.kind)
	}
}

func (x *nemesis) do(n *node, f fault) error {
	p := n.current()
	switch f.kind {
	case kill:
		n.kill()
		time.Sleep(f.lasts)
		return n.start()
	case suicide:
		p.arm(f.detail, f.passes)
		if !p.endsWithin(3 * time.Second) {
			x.count("no " + f.detail) // it is a random kill then
			n.kill()
		}
		if failure := p.failure(); failure != "" {
			return errors.New(failure)
		}
		return n.start()
	case zombie:
		p.signal(syscall.SIGSTOP)
		time.Sleep(f.lasts)
		p.signal(syscall.SIGCONT)
		return nil
	case stop:
		if err := n.stop(); err != nil {
			return err
		}
		return n.start()
	case toxic:
		return n.network.poison(f.detail, f.lasts)
	case cut:
		return n.network.cut(f.lasts)
	case noCommit:
		if !n.network.relay.loseCommit(f.detail == "arrives", 3*time.Second) {
			x.count("no commit came by")
		}
		return nil
	default:
		return errors.New("no such fault")
	}
}

// tormentMachine does faults to what all nodes share. It is called by the test's goroutine.
func (x *nemesis) tormentMachine(t *testing.T, faults []fault) {
	for _, f := range faults {
		time.Sleep(f.pause)
		switch f.kind {
		case crash:
			x.world.pg.Kill(t)
			x.world.pg.Restart(t)
			x.world.vacuum(t)
		case full:
			require.NoError(t, fillDisk(x.world.files, f.lasts))
		}
		x.count(f.kind)
	}
}

// The guard of a disk unmounts it when its input ends, which it does with the process.
const diskGuard = `cat; umount -l "$1"; rmdir "$1"`

// smallDisk returns a folder that is a disk of its own, or "" where none can be mounted.
func smallDisk(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "callsheet-disk-")
	require.NoError(t, err)
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=48m"); err != nil {
		t.Logf("no disk runs full in this test, because none can be mounted: %v", err)
		require.NoError(t, os.Remove(folder))
		return ""
	}
	guard := exec.Command("/bin/sh", "-c", diskGuard, "sh", folder)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what ends the test does not end it
	alive, err := guard.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, guard.Start())
	t.Cleanup(func() {
		_ = alive.Close()
		_ = guard.Wait()
	})
	return folder
}

// fillDisk fills a disk up for a while.
func fillDisk(folder string, lasts time.Duration) error {
	name := filepath.Join(folder, "ballast")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for size := 1 << 20; size > 0 && err == nil; {
		if _, err = f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size, err = size/2, nil
		}
	}
	if err == nil {
		time.Sleep(lasts)
	}
	if errors.Is(err, io.ErrShortWrite) {
		err = nil
	}
	return errors.Join(err, f.Close(), os.Remove(name))
}
