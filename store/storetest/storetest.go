// Package storetest proves that a [callsheet.Store] keeps its promises. Run it from a test of any
// implementation:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) callsheet.Store { return mystore.Open(t) })
//	}
//
// Every case gets a Store of its own, empty, and carries a sentence that says why it matters;
// the sentence is logged when the case fails. The suite uses nothing but the Store: no Scheduler,
// no Queue. It waits less than two seconds in all for leases to run out, and not at all
// [WithBubbles].
package storetest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Run tests the Stores that open returns. open is called once for each case, with the case's t,
// and returns an empty Store; what must be closed is closed by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) callsheet.Store, opts ...Option) {
	s := settings{
		lease:  50 * time.Millisecond,
		seed:   rand.Uint64(),
		around: func(t *testing.T, run func(t *testing.T)) { run(t) },
	}
	for _, opt := range opts {
		opt(&s)
	}
	groups := []struct {
		concern string
		cases   []testCase
	}{
		{"definitions", slices.Concat(definitionCases(), scheduleCases(), editCases(), referenceCases(), defineCases())},
		{"planning", slices.Concat(planCases(), decisionCases(), insertCases(), backfillCases(), ringCases())},
		{"line", lineCases()},
		{"claims", claimCases()},
		{"leases", leaseCases()},
		{"finishing", slices.Concat(finishCases(), progressCases(), cancelCases(), reopenCases())},
		{"answers", answerCases()},
		{"ledger", ledgerCases()},
		{"statistics", slices.Concat(tallyCases(), walkCases())},
		{"upkeep", slices.Concat(surveyCases(), pruneCases(), retentionCases())},
		{"conduct", conductCases()},
	}
	for _, group := range groups {
		t.Run(group.concern, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Cleanup(func() {
						if t.Failed() {
							t.Logf("why it matters: %s", c.why)
						}
					})
					s.around(t, func(t *testing.T) {
						c.run(&trial{T: t, Store: open(t), settings: s})
					})
				})
			}
		})
	}
}

// An Option changes how the suite runs.
type Option func(*settings)

type settings struct {
	lease  time.Duration
	seed   uint64
	around func(t *testing.T, run func(t *testing.T))
}

// WithLease sets the lease that cases wait for to run out. The default, 50 ms, is enough for a
// Store that answers within a few milliseconds; a Store behind a slow network needs more, as a
// case fails when a lease runs out between two calls.
func WithLease(d time.Duration) Option { return func(s *settings) { s.lease = d } }

// WithBubbles runs each case in a testing/synctest bubble, where waiting costs no time. It is for
// Stores that wait for nothing outside of the process, and whose clock is [time.Now].
func WithBubbles() Option { return func(s *settings) { s.around = synctest.Test } }

// WithSeed repeats the random cases of a run that failed and logged its seed.
func WithSeed(seed uint64) Option { return func(s *settings) { s.seed = seed } }

// A testCase is one promise of a Store.
type testCase struct {
	name string
	why  string // why the promise matters, logged when it is broken
	run  func(t *trial)
}

// A trial is one case's run: its test and its own Store.
type trial struct {
	*testing.T
	callsheet.Store
	settings
}

// random returns a source of random numbers, and logs its seed if the case fails.
func (t *trial) random() *rand.Rand {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat it with storetest.WithSeed(%d)", t.seed)
		}
	})
	return rand.New(rand.NewPCG(t.seed, 0))
}
