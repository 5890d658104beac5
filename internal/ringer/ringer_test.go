package ringer_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet/internal/ringer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs r until stop is called, which waits for the end.
func start(r *ringer.Ringer, handle func(context.Context, string)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, handle)
	}()
	return func() { cancel(); <-done }
}

// notes collects IDs from many goroutines.
type notes struct {
	mu  sync.Mutex
	ids []string
}

func (n *notes) add(_ context.Context, id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids = append(n.ids, id)
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.ids...)
}

func TestRing_FirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ringer.New(1)
		var got notes
		r.Enqueue("a", "b")
		stop := start(r, got.add)
		synctest.Wait()
		r.Enqueue("c", "d", "e")
		synctest.Wait()
		stop()
		assert.Equal(t, []string{"a", "b", "c", "d", "e"}, got.all())
	})
}

func TestEnqueue_DropsWhatWaitsAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ringer.New(1)
		for range 1000 {
			r.Enqueue("a", "b", "a")
		}
		waiting, working, workers := r.Stats()
		assert.Equal(t, [3]int{2, 0, 1}, [3]int{waiting, working, workers})

		var got notes
		release := make(chan struct{})
		stop := start(r, func(ctx context.Context, id string) { got.add(ctx, id); <-release })
		synctest.Wait()
		r.Enqueue("a") // is being worked on and does not wait: this one counts
		waiting, working, _ = r.Stats()
		assert.Equal(t, [2]int{2, 1}, [2]int{waiting, working})
		close(release)
		synctest.Wait()
		stop()
		assert.Equal(t, []string{"a", "b", "a"}, got.all())
	})
}

func TestRun_NeverMoreThanTheWorkersAndAllOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ringer.New(3)
		var now, most atomic.Int32
		stop := start(r, func(context.Context, string) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
		})
		began := time.Now()
		for i := range 30 {
			r.Enqueue(fmt.Sprint(i))
		}
		synctest.Wait()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		waiting, working, _ := r.Stats()
		assert.Equal(t, [2]int{0, 0}, [2]int{waiting, working}, "30 calls of 1 s on 3 workers take 10 s, took %v", time.Since(began))
		stop()
		assert.EqualValues(t, 3, most.Load())
	})
}

func TestRun_EndsWithItsContextAndKeepsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		r := ringer.New(2)
		r.Enqueue("a", "b", "c", "d")
		var first notes
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx, func(ctx context.Context, id string) {
				first.add(ctx, id)
				assert.Equal(t, "value", ctx.Value(key{}))
				time.Sleep(time.Minute)
				assert.NoError(t, ctx.Err())
			})
		}()
		synctest.Wait()
		cancel()
		time.Sleep(30 * time.Second)
		select {
		case <-done:
			t.Fatal("Run returned before the calls under way were over")
		default:
		}
		<-done
		assert.ElementsMatch(t, []string{"a", "b"}, first.all(), "no call may start after ctx ended")

		var second notes
		stop := start(r, second.add)
		synctest.Wait()
		stop()
		assert.ElementsMatch(t, []string{"c", "d"}, second.all(), "the rest waits for another Run")
	})
}

func TestRun_TwoAtOnceShareTheWorkersAndOneTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ringer.New(2)
		var now, most atomic.Int32
		var got notes
		handle := func(ctx context.Context, id string) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
			got.add(ctx, id)
		}
		stopFirst := start(r, handle)
		stopSecond := start(r, handle)
		for i := range 8 {
			r.Enqueue(fmt.Sprint(i))
		}
		time.Sleep(1500 * time.Millisecond)
		stopFirst()
		time.Sleep(4 * time.Second)
		stopSecond()
		assert.Len(t, got.all(), 8)
		assert.EqualValues(t, 2, most.Load())
	})
}

// Runs that come and go under fire lose nothing, though rings are handed to workers whose Run
// ends at that moment.
func TestRun_ComingAndGoingLosesNothing(t *testing.T) {
	const rings = 20_000
	r := ringer.New(4)
	var seen sync.Map
	var count atomic.Int64
	handle := func(_ context.Context, id string) {
		if _, again := seen.LoadOrStore(id, true); !again {
			count.Add(1)
		}
	}
	quit := make(chan struct{})
	var runs sync.WaitGroup
	for range 3 {
		runs.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
					ctx, cancel := context.WithTimeout(context.Background(), 100*time.Microsecond)
					r.Run(ctx, handle)
					cancel()
				}
			}
		})
	}
	var callers sync.WaitGroup
	for c := range 4 {
		callers.Go(func() {
			for i := range rings / 4 {
				r.Enqueue(fmt.Sprintf("%d-%d", c, i))
			}
		})
	}
	callers.Wait()
	close(quit)
	runs.Wait()

	stop := start(r, handle)
	require.Eventually(t, func() bool { return count.Load() == rings }, 10*time.Second, time.Millisecond,
		"every ring must arrive, in whichever Run")
	stop()
	waiting, working, _ := r.Stats()
	assert.Equal(t, [2]int{0, 0}, [2]int{waiting, working})
}

func TestRun_ReturnsAtOnceWhenTheContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := ringer.New(0)
	r.Enqueue("a")
	r.Run(ctx, func(context.Context, string) { t.Error("no call may start after ctx ended") })
	waiting, _, workers := r.Stats()
	assert.Equal(t, 1, waiting)
	assert.Equal(t, ringer.DefaultWorkers, workers)
}
