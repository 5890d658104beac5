package limit_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet/limit"
	"github.com/callsheet-go/callsheet/limit/limittest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLocal_Conforms(t *testing.T) {
	limittest.Run(t, func(*testing.T) limit.Limiter { return limit.New() }, limittest.WithBubbles())
}

func TestLocal_ConformsInRealTime(t *testing.T) {
	limittest.Run(t, func(*testing.T) limit.Limiter { return limit.New() })
}

func TestLocal_RefusesLimitsThatAreWrong(t *testing.T) {
	l := limit.New()
	_, err := l.Take(t.Context(), "h", []limit.Limit{{Requests: -1}, {Key: "a"}, {Key: "a", Concurrent: -1}})
	require.Error(t, err)
	assert.Equal(t, `limit 0: key "" must not be empty
requests "-1" must be 0 (for any number) to 1000000
limit 2: concurrent "-1" must be 0 (for any number) to 1000000
key "a" must be given once`, err.Error())
}

// A call that was granted.
type call struct {
	holder     string
	asked, at  time.Time
	promised   time.Duration // what it was told to wait when it asked first
	began, end int           // positions: of the first time it asked, and of its grant
}

// crowd has holders come at random, each back when it was told to, or later, or, a share of them, never; half of those
// leave while they wait. It returns the calls in the order in which they were granted.
func crowd(t *testing.T, random *rand.Rand, l limit.Limiter, n int, never float64, limitsOf func(i int) []limit.Limit, late, lasts func() time.Duration) []call {
	t.Helper()
	var mu sync.Mutex
	var calls []call
	asked := 0
	var all sync.WaitGroup
	for i := range n {
		mu.Lock()
		arrives, gone := time.Duration(random.Int64N(int64(5*time.Second))), random.Float64() < never
		mu.Unlock()
		all.Go(func() {
			time.Sleep(arrives)
			c := call{holder: fmt.Sprint("holder", i), asked: time.Now()}
			for first := true; ; first = false {
				mu.Lock()
				g, err := l.Take(context.Background(), c.holder, limitsOf(i))
				if first {
					c.began, asked, c.promised = asked, asked+1, g.Wait
				}
				if err != nil || g.Wait == 0 {
					c.at, c.end = time.Now(), len(calls)
					calls = append(calls, c)
				}
				pause, length := g.Wait+late(), lasts() // random is guarded by mu as well
				leaves, after := random.IntN(2) == 0, time.Duration(random.Int64N(int64(g.Wait)+1))
				mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
					return
				case g.Wait > 0 && gone:
					if leaver, ok := l.(limit.Leaver); ok && leaves {
						time.Sleep(after)
						leaver.Leave(c.holder)
					}
					return
				case g.Wait > 0:
					time.Sleep(pause)
					continue
				}
				time.Sleep(length)
				g.Release()
				return
			}
		})
	}
	all.Wait()
	return calls
}

// seeded runs a property with seeds; the failing one is logged.
func seeded(t *testing.T, property func(t *testing.T, random *rand.Rand)) {
	for range 50 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			property(t, rand.New(rand.NewPCG(seed, 0)))
		})
		if t.Failed() {
			return
		}
	}
}

func TestLocal_NeverGrantsMoreThanTheRate(t *testing.T) {
	seeded(t, func(t *testing.T, random *rand.Rand) {
		limits := make([]limit.Limit, 3)
		for i := range limits {
			limits[i] = limit.Limit{Key: fmt.Sprint("key", i), Requests: 1 + random.IntN(20), Per: time.Duration(1+random.IntN(4)) * time.Second, Burst: random.IntN(6)}
		}
		uses := make([][]limit.Limit, 60)
		for i := range uses {
			uses[i] = slices.Clone(limits[:1+random.IntN(3)])
			random.Shuffle(len(uses[i]), func(a, b int) { uses[i][a], uses[i][b] = uses[i][b], uses[i][a] })
		}
		late := func() time.Duration { // mostly on time, sometimes very late
			return time.Duration(random.Int64N(int64(20*time.Millisecond))) + time.Duration(random.IntN(10)/9)*time.Duration(random.Int64N(int64(20*time.Second)))
		}
		calls := crowd(t, random, limit.New(), len(uses), 0.1, func(i int) []limit.Limit { return uses[i] }, late, func() time.Duration { return 0 })

		for _, l := range limits {
			var at []time.Time
			for _, c := range calls {
				var i int
				_, _ = fmt.Sscanf(c.holder, "holder%d", &i)
				if slices.ContainsFunc(uses[i], func(u limit.Limit) bool { return u.Key == l.Key }) {
					at = append(at, c.at)
				}
			}
			for i := range at {
				within := 0
				for _, t := range at[i:] {
					if t.Sub(at[i]) < l.Per {
						within++
					}
				}
				if most := l.Requests + max(l.Burst, 1) - 1; within > most {
					t.Fatalf("%d calls began within %s of %+v, expected at most %d", within, l.Per, l, most)
				}
			}
		}
	})
}

func TestLocal_NeverGrantsMoreAtOnce(t *testing.T) {
	seeded(t, func(t *testing.T, random *rand.Rand) {
		l := limit.Limit{Key: "k", Concurrent: 1 + random.IntN(5)}
		underway, most := 0, 0
		var mu sync.Mutex
		counting := countingLimiter{limit.New(), func(n int) {
			mu.Lock()
			defer mu.Unlock()
			underway += n
			most = max(most, underway)
		}}
		calls := crowd(t, random, counting, 50, 0.1, func(int) []limit.Limit { return []limit.Limit{l} },
			func() time.Duration { return time.Duration(random.Int64N(int64(10 * time.Millisecond))) },
			func() time.Duration { return time.Duration(1+random.Int64N(2000)) * time.Millisecond })
		assert.LessOrEqual(t, most, l.Concurrent)
		assert.GreaterOrEqual(t, len(calls), 25, "all but those who went were expected to be granted")
	})
}

// countingLimiter tells of each call that begins and ends.
type countingLimiter struct {
	limit.Limiter
	count func(n int)
}

func (c countingLimiter) Take(ctx context.Context, holder string, limits []limit.Limit) (limit.Grant, error) {
	g, err := c.Limiter.Take(ctx, holder, limits)
	if err != nil || g.Wait > 0 {
		return g, err
	}
	c.count(1)
	return limit.Granted(func() { c.count(-1); g.Release() }), nil
}

func TestLocal_GrantsInTheOrderOfAsking(t *testing.T) {
	seeded(t, func(t *testing.T, random *rand.Rand) {
		l := limit.Limit{Key: "k", Requests: 1 + random.IntN(3), Per: time.Second}
		calls := crowd(t, random, limit.New(), 60, 0, func(int) []limit.Limit { return []limit.Limit{l} },
			func() time.Duration { return time.Duration(random.Int64N(int64(5 * time.Millisecond))) },
			func() time.Duration { return 0 })
		require.Len(t, calls, 60)
		for place, c := range slices.SortedFunc(slices.Values(calls), func(a, b call) int { return cmp.Compare(a.began, b.began) }) {
			require.Equal(t, place, c.end, "%s was expected to be granted in its turn", c.holder)
		}
	})
}

func TestLocal_KeepsWhatItPromised(t *testing.T) {
	seeded(t, func(t *testing.T, random *rand.Rand) {
		l := limit.Limit{Key: "k", Requests: 1 + random.IntN(3), Per: time.Second, Burst: random.IntN(4)}
		calls := crowd(t, random, limit.New(), 60, 0.3, func(int) []limit.Limit { return []limit.Limit{l} },
			func() time.Duration { return time.Duration(random.Int64N(int64(5 * time.Millisecond))) },
			func() time.Duration { return 0 })
		for _, c := range calls {
			delay := c.at.Sub(c.asked) - c.promised
			require.LessOrEqual(t, delay, 60*5*time.Millisecond, "%s waited longer than it was told at first, and all 60 were late", c.holder)
		}
	})
}

func TestLocal_TurnsThatAreLeftAreNotLost(t *testing.T) {
	seeded(t, func(t *testing.T, random *rand.Rand) {
		l := limit.New()
		limits := []limit.Limit{{Key: "k", Requests: 10, Per: time.Second, Burst: 1 + random.IntN(3)}}
		took := map[time.Duration]int{}
		ask := func(holder int) {
			g, err := l.Take(t.Context(), fmt.Sprint(holder), limits)
			require.NoError(t, err)
			took[g.Wait]++
		}
		for i := range 50 {
			ask(i)
		}
		for _, i := range random.Perm(50)[:20] {
			if i >= limits[0].Burst { // it waits
				l.Leave(fmt.Sprint(i))
				ask(100 + i)
			}
		}
		for wait, times := range took {
			if wait == 0 {
				continue
			}
			assert.LessOrEqual(t, wait, 5*time.Second, "a turn behind those that were left was expected to be given to nobody")
			assert.LessOrEqual(t, times, 2, "only who left and who came were expected to be told %s", wait)
		}
		time.Sleep(2*time.Second + 5*time.Millisecond) // all workers were busy
		for i := range 200 {
			l.Leave(fmt.Sprint(i))
		}
		granted := 0
		for i := range 50 {
			g, err := l.Take(t.Context(), fmt.Sprint("new", i), limits)
			require.NoError(t, err)
			if g.Wait == 0 {
				granted++
			}
		}
		assert.Equal(t, limits[0].Burst, granted, "what was left was expected not to be made up for at once")
	})
}

func TestLocal_AThousandHoldersDoNotStampede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New()
		limits := []limit.Limit{{Key: "k", Requests: 1, Per: time.Second}}
		waits := map[time.Duration]bool{}
		for i := range 1000 {
			g, err := l.Take(t.Context(), fmt.Sprint(i), limits)
			require.NoError(t, err)
			require.Equal(t, time.Duration(i)*time.Second, g.Wait)
			waits[g.Wait] = true
		}
		require.Len(t, waits, 1000)
		for i := 1; i < 1000; i++ {
			time.Sleep(time.Second)
			g, err := l.Take(t.Context(), fmt.Sprint(i), limits)
			require.NoError(t, err)
			require.Zero(t, g.Wait, "holder %d came at its time", i)
		}
	})
}

// With two limits, a holder that waits for the slow one must not hold up those who need only the other.
func TestLocal_WhoWaitsForAnotherKeyHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New()
		quick, slow := limit.Limit{Key: "quick", Requests: 10, Per: time.Second}, limit.Limit{Key: "slow", Requests: 1, Per: time.Hour}
		take := func(holder string, limits ...limit.Limit) time.Duration {
			g, err := l.Take(t.Context(), holder, limits)
			require.NoError(t, err)
			return g.Wait
		}
		require.Zero(t, take("first", slow, quick))
		require.Equal(t, 100*time.Millisecond, take("parked", quick), "it waits for the quick one first")
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, time.Hour-100*time.Millisecond, take("parked", quick, slow), "and then for the slow one")
		require.Zero(t, take("other", quick))
		require.Equal(t, 100*time.Millisecond, take("another", quick))
		time.Sleep(100 * time.Millisecond)
		require.Zero(t, take("another", quick))
		time.Sleep(time.Hour)
		require.Zero(t, take("parked", slow, quick))
	})
}

func TestLocal_LateHoldersDoNotComeAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New()
		limits := []limit.Limit{{Key: "k", Requests: 1, Per: time.Second}}
		for i := range 31 {
			_, err := l.Take(t.Context(), fmt.Sprint(i), limits)
			require.NoError(t, err)
		}
		time.Sleep(30 * time.Second) // all workers were busy
		waits := map[time.Duration]int{}
		for i := 1; i < 31; i++ {
			g, err := l.Take(t.Context(), fmt.Sprint(i), limits)
			require.NoError(t, err)
			waits[g.Wait]++
		}
		for i := range 30 {
			assert.Equal(t, 1, waits[time.Duration(i)*time.Second], "one was expected to be told to wait for %d s", i)
		}
	})
}

func TestLocal_HoldersThatAnAPIHeldUpComeOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New()
		l.Learn("k", limit.Quota{RetryAfter: time.Minute})
		for i := range 5 {
			g, err := l.Take(t.Context(), fmt.Sprint(i), []limit.Limit{{Key: "k"}})
			require.NoError(t, err)
			assert.Equal(t, time.Minute+time.Duration(i)*100*time.Millisecond, g.Wait)
		}
	})
}

func BenchmarkLocal_Take(b *testing.B) {
	for _, waiting := range []int{0, 1000, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			l := limit.New()
			limits := []limit.Limit{{Key: "api", Requests: 1, Per: time.Hour}}
			for i := range waiting + 1 {
				_, _ = l.Take(b.Context(), fmt.Sprint(i), limits)
			}
			free := []limit.Limit{{Key: "other", Requests: 1_000_000, Per: time.Millisecond, Burst: 1_000_000}}
			b.ResetTimer()
			for b.Loop() {
				if waiting > 0 {
					_, _ = l.Take(b.Context(), "1", limits)
					continue
				}
				g, _ := l.Take(b.Context(), "h", free)
				g.Release()
			}
		})
	}
}
