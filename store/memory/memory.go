// Package memory keeps everything in the memory of one process: a [callsheet.Store] for tests, for
// programs that may forget, and for trying things out. It needs nothing and starts nothing.
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/btree"
	"github.com/google/uuid"

	"github.com/callsheet-go/callsheet"
)

const (
	// treeDegree trades the depth of the trees for the cost of moving items within a node.
	treeDegree = 32

	// clockSet is by how much the clock must have run ahead of real time, or fallen behind, to count as set.
	clockSet = time.Second

	// lastID comes after every ID.
	lastID = "\xff"

	// defaultLimit is what a limit of zero means where no page is asked for.
	defaultLimit = 100
)

// A Store keeps Definitions, Executions and statistics in memory. Make one with [New].
//
// Its clock is [time.Now], so that in a testing/synctest bubble it follows the bubble's time. It
// starts no goroutines and no timers, and need not be closed.
//
// When the machine's clock is set, or goes on after a suspend, leases, delays of retries and rings that are under
// way keep what is left of them: they are lengths of time. Occurrences follow the clock.
//
// Finding due schedules, bells to ring, expired leases and old rows costs what is found. Deleting
// a Definition other than a Schedule looks at everything that might use it.
type Store struct {
	// mu guards everything below, and is held for the whole of every method: that makes each of
	// them atomic. The callbacks of Plan and ChangeSchedule run under it.
	mu sync.Mutex

	clock func() time.Time // nil for time.Now
	// moment is when the method under way began, by clock.
	moment time.Time
	// Since baseReal, by the monotonic clock, and baseMoment, which is the same by clock, that was not set.
	baseMoment, baseReal time.Time

	sources    *table[callsheet.Source, *callsheet.Source]
	requests   *table[callsheet.Request, *callsheet.Request]
	extracts   *table[callsheet.Extract, *callsheet.Extract]
	deliveries *table[callsheet.Delivery, *callsheet.Delivery]
	schedules  *table[callsheet.Schedule, *callsheet.Schedule]

	planned  *order // schedules that Plan will take, by NextExecutionAt
	failing  *order // schedules whose last execution failed, by FailingSince
	neverRun *order // schedules that nothing has come of yet, by CreatedAt

	executions *executions
	// answers are by execution ID.
	answers map[string]callsheet.Answer

	total callsheet.Tally
	// tallies are by Schedule, made with its first execution. They outlive the Schedule as long
	// as executions of it are kept, so that one defined anew under the same ID counts on.
	tallies map[string]*callsheet.Tally
}

var _ callsheet.Store = (*Store)(nil)

// An Option changes a default of [New].
type Option func(*Store)

// WithClock has the Store read the time from clock instead of [time.Now], for tests of what happens when
// a clock is set. It must not call the Store.
func WithClock(clock func() time.Time) Option {
	return func(s *Store) { s.clock = clock }
}

// New returns an empty Store.
func New(opts ...Option) *Store {
	s := &Store{
		planned: newOrder(
			func(s *callsheet.Schedule) bool { return s.Planned() && !s.NextExecutionAt.IsZero() },
			func(s *callsheet.Schedule) time.Time { return s.NextExecutionAt }),
		failing: newOrder(
			func(s *callsheet.Schedule) bool { return !s.FailingSince.IsZero() },
			func(s *callsheet.Schedule) time.Time { return s.FailingSince }),
		neverRun: newOrder(
			func(s *callsheet.Schedule) bool { return !s.Disabled && s.ExecutionCount == 0 },
			func(s *callsheet.Schedule) time.Time { return s.CreatedAt }),
		executions: newExecutions(),
		answers:    make(map[string]callsheet.Answer),
		tallies:    make(map[string]*callsheet.Tally),
	}
	s.sources = newTable[callsheet.Source](s, callsheet.KindSource, cloneSource)
	s.requests = newTable[callsheet.Request](s, callsheet.KindRequest, cloneRequest)
	s.extracts = newTable[callsheet.Extract](s, callsheet.KindExtract, cloneExtract)
	s.deliveries = newTable[callsheet.Delivery](s, callsheet.KindDelivery, cloneDelivery)
	s.schedules = newTable[callsheet.Schedule](s, callsheet.KindSchedule, cloneSchedule)
	s.schedules.inherit = inheritState
	s.schedules.moved = s.scheduleMoved
	for _, opt := range opts {
		opt(s)
	}
	s.moment, s.baseReal = s.read()
	s.baseMoment = s.moment
	return s
}

// read reads the clock, and the monotonic clock at the same time.
func (s *Store) read() (moment, real time.Time) {
	real = time.Now()
	if s.clock == nil {
		return kept(real), real
	}
	return kept(s.clock()), real
}

// Sources implements [callsheet.DefinitionStore].
func (s *Store) Sources() callsheet.Collection[callsheet.Source] { return s.sources }

// Requests implements [callsheet.DefinitionStore].
func (s *Store) Requests() callsheet.Collection[callsheet.Request] { return s.requests }

// Extracts implements [callsheet.DefinitionStore].
func (s *Store) Extracts() callsheet.Collection[callsheet.Extract] { return s.extracts }

// Deliveries implements [callsheet.DefinitionStore].
func (s *Store) Deliveries() callsheet.Collection[callsheet.Delivery] { return s.deliveries }

// Schedules implements [callsheet.DefinitionStore].
func (s *Store) Schedules() callsheet.Collection[callsheet.Schedule] { return s.schedules }

// enter begins a method: it locks mu and reads the clock, unless ctx is done already.
func (s *Store) enter(ctx context.Context, doing string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	s.mu.Lock()
	moment, real := s.read()
	s.moment = moment
	if set := moment.Sub(s.baseMoment) - real.Sub(s.baseReal); set.Abs() >= clockSet {
		s.baseMoment, s.baseReal = moment, real
		s.executions.clockSet(set.Truncate(time.Microsecond))
	}
	return nil
}

// kept returns t as times are kept: in UTC, with microseconds, without a monotonic reading.
func kept(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func limitOf(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return limit
}

func newTree[R any](less btree.LessFunc[R]) *btree.BTreeG[R] { return btree.NewG(treeDegree, less) }

// head returns the first rows of a tree, up to limit.
func head[R any](tree *btree.BTreeG[R], limit int) []R {
	rows := make([]R, 0, min(limit, tree.Len()))
	tree.Ascend(func(row R) bool {
		if len(rows) == cap(rows) {
			return false
		}
		rows = append(rows, row)
		return true
	})
	return rows
}
