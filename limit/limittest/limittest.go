// Package limittest proves that a [limit.Limiter] keeps its promises. Run it from a test of any implementation:
//
//	func TestLimiter(t *testing.T) {
//		limittest.Run(t, func(t *testing.T) limit.Limiter { return mylimiter.Open(t) })
//	}
//
// Every case gets a Limiter of its own, without a past, and carries a sentence that says why it matters; the sentence is
// logged when the case fails. The suite waits for about four seconds in all, and not at all [WithBubbles]. An
// implementation must answer within 50 ms.
package limittest

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

	"github.com/callsheet-go/callsheet/limit"
)

// Run tests the Limiters that open returns. open is called once for each case, with the case's t; what must be closed is
// closed by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) limit.Limiter, opts ...Option) {
	s := settings{around: func(t *testing.T, run func(t *testing.T)) { run(t) }}
	for _, opt := range opts {
		opt(&s)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.long && !s.bubbles {
				t.Skip("it takes minutes: run the suite WithBubbles to have it")
			}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("why it matters: %s", c.why)
				}
			})
			s.around(t, func(t *testing.T) { c.run(&trial{T: t, Limiter: open(t)}) })
		})
	}
}

// An Option changes how the suite runs.
type Option func(*settings)

type settings struct {
	around  func(t *testing.T, run func(t *testing.T))
	bubbles bool
}

// WithBubbles runs each case in a testing/synctest bubble, where waiting costs no time. It is for Limiters that wait for
// nothing outside of the process, and whose clock is [time.Now].
func WithBubbles() Option {
	return func(s *settings) { s.around, s.bubbles = synctest.Test, true }
}

type testCase struct {
	name string
	why  string // why the promise matters, logged when it is broken
	long bool   // whether it waits for minutes
	run  func(t *trial)
}

var cases = []testCase{
	{"a call within the limit is granted", "a limiter that holds up what it need not costs time", false, withinLimit},
	{"a burst is granted at once, and no more", "the burst is what the API was said to bear", false, burst},
	{"holders that wait are given times of their own", "a thousand that come back at once are a stampede, and all but one of them wait again", false, ownTimes},
	{"who comes back in time is granted", "a promise that is not kept makes people wait for ever", false, comesBack},
	{"who asks later does not overtake", "without an order, some wait for ever", false, noOvertaking},
	{"several limits are taken together or not at all", "a call that is not made must not be counted, or limits starve each other", false, together},
	{"so many calls are under way at once and no more", "an API may bear few calls at once, however short", false, concurrent},
	{"a call that has ended makes room once", "a call that is counted down twice lets one too many through", false, releaseOnce},
	{"Retry-After holds up everybody under the key, and nobody else", "who calls on is blocked for longer by many APIs", false, retryAfter},
	{"no calls remaining holds up until the reset, or until the API says otherwise", "the API would refuse them all, and may have been misunderstood", false, noneRemaining},
	{"who asks after the API's time is over comes after those who waited for it", "newcomers would take what was promised, and come all at once", false, afterTheWait},
	{"no more calls are granted than remain", "calls under way are not yet in what the API says", false, fewRemaining},
	{"the settings seen last hold", "an edit must take effect without a restart", false, lastSettings},
	{"a limit with nothing but a key has the settings of the others", "who shares a key without a limit of its own must not lift that of the others", false, keyOnly},
	{"a faster holder does not free a slower one", "sources that share a key may be set differently, and each is asked in turn", false, slowStaysSlow},
	{"settings that nobody gives any more end", "a limit that was taken away must not hold for ever", true, settingsEnd},
	{"no wait is longer than a day", "an API, or a typing error, must not stop a schedule for ever", false, atMostADay},
	{"many that ask at once get no more than there is", "two workers must not take the same turn", false, atOnce},
	{"nothing is granted to who has stopped", "a grant that nobody gives back is lost", false, ended},
	{"those who left are not waited for, by a Limiter that can be told", "an execution that was cancelled must not hold up others for hours", false, left},
	{"a turn that was left is taken by who asks next, by a Limiter that can be told", "the API would take the call, and those who come wait for nothing", false, leftTurn},
	{"a turn that was left is good for one call", "the turn of who left, and then the one behind, would be given twice", false, leftTurnOnce},
	{"who is late holds up nobody who asks", "an execution whose worker was lost must not cost the others its turn", false, lateHolder},
	{"who asks after some did not come gets a turn that is nobody's", "two who are promised the same turn both come, and one of them waits again", true, promisedTwice},
	{"what an API said that stops all calls is told, by a Limiter that can", "somebody asks why there is no data, and nothing failed", false, toldStandstills},
	{"a place that nobody comes back for is given up", "cancelled holders must not hold up the others for good", true, givenUp},
}

// A trial is one case's run: its test and its own Limiter.
type trial struct {
	*testing.T
	limit.Limiter
}

func (t *trial) takes(holder string, limits ...limit.Limit) limit.Grant {
	t.Helper()
	g, err := t.Take(t.Context(), holder, limits)
	require.NoError(t, err)
	require.GreaterOrEqual(t, g.Wait, time.Duration(0), "a wait was expected not to be negative")
	return g
}

func (t *trial) granted(holder string, limits ...limit.Limit) limit.Grant {
	t.Helper()
	g := t.takes(holder, limits...)
	require.Zero(t, g.Wait, "%s was expected to be granted, and waits for %q", holder, g.Key)
	return g
}

func (t *trial) waits(holder string, limits ...limit.Limit) time.Duration {
	t.Helper()
	g := t.takes(holder, limits...)
	require.Positive(t, g.Wait, "%s was expected to wait", holder)
	g.Release() // must do nothing
	return g.Wait
}

// Rates slow enough that an implementation's own time makes no difference.
var (
	slow  = limit.Limit{Key: "slow", Requests: 1, Per: time.Hour}
	brisk = limit.Limit{Key: "brisk", Requests: 4, Per: time.Second}
	free  = limit.Limit{Key: "free"}
)

// slack is what an implementation may take for a few answers.
const slack = 200 * time.Millisecond

func withinLimit(t *trial) {
	t.granted("a", slow)
	t.granted("b", brisk)
	for range 100 {
		t.granted("c", free)
	}
}

func burst(t *trial) {
	l := limit.Limit{Key: "k", Requests: 1, Per: time.Hour, Burst: 5}
	for i := range 5 {
		t.granted(fmt.Sprint("holder", i), l)
	}
	wait := t.waits("late", l)
	assert.InDelta(t, time.Hour, wait, float64(slack), "the next call was expected one interval later")
}

func ownTimes(t *trial) {
	t.granted("first", slow)
	for i := range 10 {
		wait := t.waits(fmt.Sprint("holder", i), slow)
		assert.InDelta(t, time.Duration(i+1)*time.Hour, wait, float64(slack), "holder %d was expected to have a turn of its own", i)
	}
	wait := t.waits("holder3", slow)
	assert.InDelta(t, 4*time.Hour, wait, float64(slack), "who asks early was expected to be told what is left of its wait")
}

func comesBack(t *trial) {
	t.granted("first", brisk)
	started := time.Now()
	for {
		g := t.takes("second", brisk)
		if g.Wait == 0 {
			break
		}
		time.Sleep(g.Wait)
	}
	took := time.Since(started)
	assert.GreaterOrEqual(t, took, 250*time.Millisecond-slack/4)
	assert.Less(t, took, 250*time.Millisecond+slack)
}

func noOvertaking(t *trial) {
	t.granted("first", brisk)
	second := t.waits("second", brisk)
	time.Sleep(second)
	third := t.waits("third", brisk)
	assert.Greater(t, third, second/2, "the turn was promised to the second")
	t.granted("second", brisk)
}

func together(t *trial) {
	other := limit.Limit{Key: "other", Requests: 1, Per: time.Hour}
	t.granted("first", slow)
	t.waits("second", other, slow)
	t.granted("third", other)
	wait := t.waits("fourth", slow, limit.Limit{Key: "room", Concurrent: 1})
	assert.Greater(t, wait, time.Hour+slack, "the second was expected to be before the fourth")
	t.granted("fifth", limit.Limit{Key: "room", Concurrent: 1})
}

func concurrent(t *trial) {
	l := limit.Limit{Key: "k", Concurrent: 2}
	a := t.granted("a", l)
	t.granted("b", l)
	t.waits("c", l)
	a.Release()
	t.granted("c", l)
	t.waits("d", l)
}

func releaseOnce(t *trial) {
	l := limit.Limit{Key: "k", Concurrent: 2}
	a := t.granted("a", l)
	t.granted("b", l)
	a.Release()
	a.Release()
	t.granted("c", l)
	t.waits("d", l)
	limit.Grant{}.Release() // must not panic
}

func retryAfter(t *trial) {
	t.Learn("k", limit.Quota{RetryAfter: time.Hour})
	for _, l := range []limit.Limit{{Key: "k"}, {Key: "k", Requests: 1000, Per: time.Second}} {
		assert.InDelta(t, time.Hour, t.waits("a", l), float64(slack))
	}
	t.Learn("k", limit.Quota{RetryAfter: time.Minute})
	assert.Greater(t, t.waits("a", limit.Limit{Key: "k"}), 59*time.Minute, "what was learned was expected not to be forgotten")
	t.granted("b", free)
}

func noneRemaining(t *trial) {
	t.Learn("k", limit.Quota{Remaining: 0, Reset: time.Now().Add(time.Hour)})
	assert.InDelta(t, time.Hour, t.waits("a", limit.Limit{Key: "k"}), float64(slack))
	t.granted("b", free)

	t.Learn("k", limit.Quota{Remaining: 5, Reset: time.Now().Add(time.Hour)})
	t.waits("a", limit.Limit{Key: "k"}) // an answer that was overtaken
	t.Learn("k", limit.Quota{Remaining: 5, Reset: time.Now().Add(time.Minute)})
	t.granted("a", limit.Limit{Key: "k"})
	t.Learn("k", limit.Quota{RetryAfter: time.Hour, Remaining: 0, Reset: time.Now().Add(2 * time.Hour)})
	t.Learn("k", limit.Quota{Remaining: 5, Reset: time.Now().Add(time.Minute)})
	assert.InDelta(t, time.Hour, t.waits("a", limit.Limit{Key: "k"}), float64(slack), "what is left was expected to lift no Retry-After")

	t.Learn("past", limit.Quota{Remaining: 0, Reset: time.Now().Add(-time.Second)})
	t.granted("c", limit.Limit{Key: "past"})
}

func afterTheWait(t *trial) {
	l := limit.Limit{Key: "k"}
	t.Learn("k", limit.Quota{RetryAfter: 300 * time.Millisecond})
	began := time.Now()
	var dues []time.Time
	for i := range 4 {
		dues = append(dues, time.Now().Add(t.waits(fmt.Sprint("holder", i), l)))
	}
	time.Sleep(time.Until(dues[0]) + time.Millisecond)
	for i := range 3 {
		due := time.Now().Add(t.waits(fmt.Sprint("newcomer", i), l))
		assert.Greater(t, due.Sub(began), dues[3].Sub(began), "newcomer %d was expected to come after the last who waited", i)
	}
	assert.Positive(t, t.waits("holder3", l), "who asks early was expected to be told what is left of its wait")
	for i, due := range dues {
		time.Sleep(time.Until(due))
		t.granted(fmt.Sprint("holder", i), l)
	}
}

func fewRemaining(t *trial) {
	reset := time.Now().Add(time.Hour)
	l := limit.Limit{Key: "k"}
	t.Learn("k", limit.Quota{Remaining: 3, Reset: reset})
	t.granted("a", l)
	t.granted("b", l)
	// An answer that does not know of b yet.
	t.Learn("k", limit.Quota{Remaining: 2, Reset: reset.Add(time.Second)})
	t.granted("c", l)
	assert.InDelta(t, time.Hour, t.waits("d", l), float64(slack))
	// The next window.
	t.Learn("k", limit.Quota{Remaining: 1, Reset: reset.Add(time.Minute)})
	t.granted("d", l)
}

func lastSettings(t *trial) {
	l := limit.Limit{Key: "k", Requests: 1, Per: time.Hour}
	t.granted("a", l)
	t.waits("b", l)
	l = limit.Limit{Key: "k", Requests: 1, Per: time.Millisecond, Burst: 1}
	g := t.takes("b", l)
	assert.LessOrEqual(t, g.Wait, slack, "the slower limit was expected to be gone")
}

func keyOnly(t *trial) {
	only := limit.Limit{Key: slow.Key}
	t.granted("a", slow)
	assert.InDelta(t, time.Hour, t.waits("b", only), float64(slack))
	assert.Greater(t, t.waits("c", slow), time.Hour+slack, "b was expected to be before c")

	t.granted("d", limit.Limit{Key: "other"})
	two := limit.Limit{Key: "other", Concurrent: 2}
	t.granted("e", two)
	t.waits("f", two)
}

func slowStaysSlow(t *trial) {
	t.granted("slow", slow)
	for _, l := range []limit.Limit{{Key: slow.Key, Requests: 1000, Per: time.Second, Burst: 100}, {Key: slow.Key, Concurrent: 100}} {
		assert.LessOrEqual(t, t.takes("fast", l).Wait, slack)
		assert.Greater(t, t.waits("slow", slow), time.Hour-slack)
	}
}

func settingsEnd(t *trial) {
	l := limit.Limit{Key: "k", Concurrent: 1}
	t.granted("a", l)
	for range 11 {
		t.waits("b", limit.Limit{Key: "k"})
		time.Sleep(time.Minute)
	}
	t.granted("b", limit.Limit{Key: "k"})
}

func atMostADay(t *trial) {
	daily := limit.Limit{Key: "daily", Requests: 1, Per: 24 * time.Hour}
	t.granted("a", daily)
	for i := range 3 {
		assert.LessOrEqual(t, t.waits(fmt.Sprint(i), daily), limit.MaxWait)
	}
	t.Learn("k", limit.Quota{RetryAfter: 1000 * time.Hour})
	t.Learn("k", limit.Quota{Reset: time.Now().AddDate(1000, 0, 0)})
	assert.LessOrEqual(t, t.waits("a", limit.Limit{Key: "k"}), limit.MaxWait)
}

func atOnce(t *trial) {
	limits := []limit.Limit{{Key: "rate", Requests: 1, Per: time.Hour, Burst: 7}, {Key: "room", Concurrent: 5}}
	var granted atomic.Int64
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if g, err := t.Take(t.Context(), fmt.Sprint(i), limits); assert.NoError(t, err) && g.Wait == 0 {
				granted.Add(1)
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 5, granted.Load())
}

func ended(t *trial) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := t.Take(ctx, "a", []limit.Limit{slow})
	require.ErrorIs(t, err, context.Canceled)
	t.granted("b", slow)
}

func left(t *trial) {
	leaver, ok := t.Limiter.(limit.Leaver)
	if !ok {
		t.Skip("it is no limit.Leaver")
	}
	l := limit.Limit{Key: "k", Requests: 1, Per: time.Hour}
	t.granted("first", l)
	for i := range 5 {
		t.waits(fmt.Sprint("gone", i), l)
	}
	for i := range 5 {
		leaver.Leave(fmt.Sprint("gone", i))
	}
	leaver.Leave("nobody")
	assert.InDelta(t, time.Hour, t.waits("next", l), float64(slack))

	t.Learn("free", limit.Quota{RetryAfter: time.Hour})
	t.waits("gone", free)
	leaver.Leave("gone")
	assert.InDelta(t, time.Hour, t.waits("next", free), float64(50*time.Millisecond))
}

func leftTurn(t *trial) {
	leaver, ok := t.Limiter.(limit.Leaver)
	if !ok {
		t.Skip("it is no limit.Leaver")
	}
	t.granted("first", slow)
	for i := range 4 {
		t.waits(fmt.Sprint("holder", i), slow)
	}
	due := func(holder string, turn int) {
		t.Helper()
		assert.InDelta(t, time.Duration(turn)*time.Hour, t.waits(holder, slow), float64(slack), "%s was expected to have turn %d", holder, turn)
	}
	leaver.Leave("holder1")
	due("newcomer", 2)
	due("holder0", 1)
	due("holder3", 4)
	due("another", 5)
	leaver.Leave("holder0")
	due("holder2", 1) // it waits, and asks early
	due("holder3", 3) // which holder2 has left
	due("last", 4)
	due("newcomer", 2)
	leaver.Leave("another")
	due("holder3", 3)
	due("the very last", 5)
}

func leftTurnOnce(t *trial) {
	leaver, ok := t.Limiter.(limit.Leaver)
	if !ok {
		t.Skip("it is no limit.Leaver")
	}
	t.granted("first", brisk)
	began := time.Now()
	for i := range 3 {
		t.waits(fmt.Sprint("holder", i), brisk)
	}
	leaver.Leave("holder0")
	var turns []time.Duration
	for _, holder := range []string{"newcomer", "holder1", "holder2"} {
		if holder == "newcomer" {
			time.Sleep(t.waits(holder, brisk))
		} else {
			time.Sleep(time.Until(began.Add(time.Duration(len(turns)+1) * 250 * time.Millisecond)))
		}
		g := t.takes(holder, brisk)
		for g.Wait > 0 { // others were late by a little
			require.Less(t, g.Wait, slack, "%s was expected to have its turn", holder)
			time.Sleep(g.Wait)
			g = t.takes(holder, brisk)
		}
		turns = append(turns, time.Since(began))
		t.waits(fmt.Sprint("after ", holder), brisk)
	}
	for i, at := range turns {
		assert.InDelta(t, time.Duration(i+1)*250*time.Millisecond, at, float64(slack), "turn %d", i)
	}
}

func lateHolder(t *trial) {
	t.granted("first", brisk)
	t.waits("gone", brisk)
	time.Sleep(time.Second)
	t.granted("newcomer", brisk)
}

func promisedTwice(t *trial) {
	l := limit.Limit{Key: "k", Requests: 1, Per: time.Hour}
	t.granted("first", l)
	for _, holder := range []string{"gone", "second", "third"} {
		t.waits(holder, l)
	}
	time.Sleep(time.Hour + limit.PlaceKept/2) // gone keeps its place, and is late
	assert.InDelta(t, 3*time.Hour-limit.PlaceKept/2, t.waits("early", l), float64(slack))
	time.Sleep(limit.PlaceKept)
	assert.InDelta(t, 4*time.Hour-limit.PlaceKept*3/2, t.waits("later", l), float64(slack))
	time.Sleep(time.Hour - limit.PlaceKept*3/2)
	for _, holder := range []string{"second", "third", "early", "later"} {
		t.granted(holder, l)
		time.Sleep(time.Hour)
	}
}

func toldStandstills(t *trial) {
	teller, ok := t.Limiter.(limit.Teller)
	if !ok {
		t.Skip("it is no limit.Teller")
	}
	began := time.Now()
	expect := func(why string, expected ...limit.Standstill) {
		t.Helper()
		told := teller.Standstills()
		require.Len(t, told, len(expected), why)
		for i, e := range expected {
			assert.Equal(t, e.Key, told[i].Key, why)
			assert.Equal(t, e.Why, told[i].Why, why)
			assert.WithinDuration(t, e.Since, told[i].Since, slack, why)
			assert.WithinDuration(t, e.Until, told[i].Until, slack, why)
		}
	}
	hour := began.Add(time.Hour)
	t.granted("first", slow)
	t.waits("second", slow)
	t.Learn("few", limit.Quota{Remaining: 2, Reset: hour})
	t.granted("a", limit.Limit{Key: "few"})
	expect("neither a rate nor calls that remain were expected to be told")

	time.Sleep(2 * slack)
	now := time.Now()
	asked := limit.Standstill{Key: "asked", Since: now, Until: now.Add(2 * time.Hour), Why: limit.AskedToWait}
	daily := limit.Standstill{Key: "daily", Since: now, Until: now.Add(limit.MaxWait), Why: limit.AskedToWait}
	few := limit.Standstill{Key: "few", Since: now, Until: hour, Why: limit.NoneRemaining}
	none := limit.Standstill{Key: "none", Since: now, Until: hour, Why: limit.NoneRemaining}
	t.Learn("none", limit.Quota{Remaining: 0, Reset: hour})
	t.Learn("asked", limit.Quota{RetryAfter: 2 * time.Hour, Remaining: 0, Reset: hour})
	t.granted("b", limit.Limit{Key: "few"})
	t.Learn("short", limit.Quota{RetryAfter: slack})
	t.Learn("daily", limit.Quota{RetryAfter: 1000 * time.Hour})
	expect("all were expected, by key", asked, daily, few, none, limit.Standstill{Key: "short", Since: now, Until: now.Add(slack), Why: limit.AskedToWait})

	time.Sleep(2 * slack)
	none.Until = now.Add(3 * time.Hour)
	t.Learn("none", limit.Quota{Remaining: 0, Reset: none.Until})
	t.Learn("few", limit.Quota{Remaining: 5, Reset: now.Add(3 * time.Hour)})
	expect("what is over, or taken back, was expected to be told no more, and what is longer now from its beginning", asked, daily, none)
}

func givenUp(t *trial) {
	l := limit.Limit{Key: "k", Requests: 1, Per: time.Minute}
	t.granted("first", l)
	for i := range 10 {
		t.waits(fmt.Sprint("gone", i), l)
	}
	time.Sleep(10*time.Minute + limit.PlaceKept + 2*time.Second)
	t.granted("late", l)
	assert.Equal(t, time.Minute, t.waits("later", l), "the places of those who are gone were expected to be given up")
}
