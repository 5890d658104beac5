package limit

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"
)

const (
	// grace is how long, after its time, nobody who asked later may take what is promised to a holder. Timers
	// and workers are late by milliseconds; without it a holder could lose the race for every turn.
	grace = 250 * time.Millisecond
	// restart is the time between two holders where nothing but an API's word held them up, so that
	// they do not all come the moment it ends.
	restart = 100 * time.Millisecond
	// sameWindow is how far two answers' reset times may lie apart that speak of the same window: they are
	// whole seconds, counted from answers that took a while.
	sameWindow = 2 * time.Second
	// maxFormer bounds how many settings are remembered that were replaced.
	maxFormer = 20
	// How long calls take until that is known, at least, and at most.
	usualCall, shortCall, longCall = time.Second, 10 * time.Millisecond, time.Minute
	// forever bounds sums of intervals, so that none overflows.
	forever = 10 * 365 * 24 * time.Hour
)

// A key is all that is known of one key. The Limiter's mutex guards it.
//
// The rate is kept by the generic cell rate algorithm: one time, tat, tells when the calls that were granted would have
// begun at an even pace. It moves when a call is granted and never when a place is kept, so that holders who come
// late or not at all cannot break the limit, whatever was promised.
type key struct {
	limit   Limit
	defined time.Time           // when its settings were given last
	former  map[Limit]time.Time // settings that were replaced, each with its tat

	tat       time.Time // the theoretical arrival time of the next call
	until     time.Time // nobody calls before it: an API said so by Retry-After
	spent     time.Time // nobody calls before it: an API said that no calls remain
	remaining int       // calls that an API takes until reset
	reset     time.Time
	stopped   time.Time     // since when an API's word lets nobody call, while one does
	underway  int           // calls that were granted and not released
	call      time.Duration // how long calls take, a moving average; 0: not known

	queue   []*place // turns, in the order in which they were promised first
	waiting map[string]*place
	parked  int // how many who wait do so for another key, longer than for this
	vacant  int // how many turns in the queue were left
	lastSeq uint64
	swept   time.Time
	used    time.Time
}

// A place is a turn in a key's queue.
type place struct {
	holder string // empty: it was left, and is for who asks next
	seq    uint64
	due    time.Time // when the holder was told to ask again
	parked bool
	spread bool // nothing but an API's word makes it wait, and due is its turn after that
	paced  bool // due is its turn at the pace in force, and no guess
}

// late reports whether the turn's time is over, so that nobody waits for it.
func (p *place) late(now time.Time) bool { return p.due.Before(now.Add(-grace)) }

func newKey() *key { return &key{waiting: map[string]*place{}} }

// set puts l's settings in force, if it has any. Those that nobody has given for a while are no longer.
func (k *key) set(l Limit, now time.Time) {
	if l == (Limit{Key: l.Key}) {
		if now.Sub(k.defined) <= max(idleFor, k.limit.Per) {
			return
		}
	} else {
		k.defined = now
	}
	if k.limit == l {
		return
	}
	if k.limit.Requests > 0 {
		if len(k.former) >= maxFormer {
			maps.DeleteFunc(k.former, func(_ Limit, tat time.Time) bool { return !tat.After(now) })
		}
		if k.former == nil {
			k.former = map[Limit]time.Time{}
		}
		if len(k.former) < maxFormer {
			k.former[k.limit] = k.tat
		}
	}
	k.limit = l
	k.unpace()
	// What was counted at a slower pace must not hold up a faster one, nor be forgotten should the slower come back:
	// holders whose settings differ ask in turn.
	if tat, known := k.former[l]; known {
		k.tat = tat
		delete(k.former, l)
	} else if gap := l.interval(); gap > 0 {
		k.tat = earlier(k.tat, now.Add(times(gap, l.burst())))
	}
}

// sweep gives up the places that nobody came back for, once a second at most.
func (k *key) sweep(now time.Time) {
	if now.Sub(k.swept) < time.Second {
		return
	}
	k.swept = now
	k.queue = slices.DeleteFunc(k.queue, func(p *place) bool {
		stale := now.Sub(p.due) > PlaceKept || p.holder == "" && p.due.Before(now)
		if stale {
			k.forget(p)
		}
		return stale
	})
	k.trim()
}

func (k *key) forget(p *place) {
	if p.holder == "" {
		k.vacant--
		return
	}
	delete(k.waiting, p.holder)
	if p.parked {
		k.parked--
	}
}

// trim forgets the turns behind the last that is promised: they are nobody's anyway.
func (k *key) trim() {
	for n := len(k.queue); n > 0 && k.queue[n-1].holder == ""; n-- {
		k.forget(k.queue[n-1])
		k.queue = slices.Delete(k.queue, n-1, n)
	}
}

// next returns when a call can be granted, at the earliest, if ahead others are granted before it.
func (k *key) next(now time.Time, ahead int) time.Time {
	from := later(now, later(k.until, k.spent))
	at := from
	gap := k.limit.interval()
	if gap > 0 {
		at = later(at, later(k.tat, from).Add(times(gap, ahead)-times(gap, k.limit.burst()-1)))
	} else if from.After(now) {
		at = at.Add(times(restart, ahead))
	}
	if beyond := ahead - k.remaining; beyond >= 0 && k.reset.After(now) {
		at = later(at, k.reset.Add(times(max(gap, restart), beyond)))
	}
	if slots := k.limit.Concurrent; slots > 0 && k.underway+ahead >= slots {
		// A guess: calls end one after the other.
		beyond := k.underway + ahead - slots + 1
		at = later(at, now.Add(max(times(k.usual(), beyond)/time.Duration(slots), shortCall)))
	}
	return at
}

// usual is how long a call takes.
func (k *key) usual() time.Duration {
	if k.call == 0 {
		return usualCall
	}
	return k.call
}

// ask returns when holder's call can be granted: now, or the time that can be promised.
func (k *key) ask(now time.Time, holder string) time.Time {
	p := k.seat(now, holder)
	if p == nil {
		return later(k.next(now, k.expected(now)), k.afterTurns(now))
	}
	if (p.spread || p.paced && p.holder == "") && p.due.After(now) { // those behind have the turns right after it
		return later(k.next(now, 0), p.due)
	}
	// Those before it who are late are not waited for. Those whose time is about to come are: what holder would
	// take now is promised to them.
	window := k.limit.interval()
	if k.limit.Concurrent > 0 {
		window = max(window, k.usual())
	}
	ahead, soon := 0, 0
	for _, q := range k.queue[:k.index(p)] {
		if q.holder == "" || q.late(now) {
			continue
		}
		if !q.parked {
			ahead++
		}
		if q.due.Before(now.Add(window)) {
			soon++
		}
	}
	if !p.due.After(now) && !k.next(now, soon).After(now) {
		return now
	}
	return k.next(now, ahead)
}

// seat returns the turn that is holder's if it asks now: the first that was left, if it comes before its own. One whose time
// is over is nobody's: who took it would be in the way of the next. It is nil for who has none and gets none.
func (k *key) seat(now time.Time, holder string) *place {
	own := k.waiting[holder]
	if k.vacant == 0 || own != nil && own.parked {
		return own
	}
	for _, p := range k.queue {
		if p == own {
			break
		}
		if p.holder == "" && !p.due.Before(now) && (own == nil || p.due.Before(own.due)) {
			return p
		}
	}
	return own
}

// expected is how many come before who asks first, but for those at the head who are late.
func (k *key) expected(now time.Time) int {
	n := len(k.waiting) - k.parked
	for _, p := range k.queue {
		if !p.late(now) {
			break
		}
		if p.holder != "" && !p.parked {
			n--
		}
	}
	return n
}

// afterTurns is the turn after those that were given out, be it beyond the end of what an API said: until the last of them has
// come, nobody passes by.
func (k *key) afterTurns(now time.Time) time.Time {
	for _, p := range slices.Backward(k.queue) {
		if (p.spread || p.paced) && !p.late(now) {
			return p.due.Add(cmp.Or(k.limit.interval(), restart))
		}
	}
	return time.Time{}
}

func (k *key) index(p *place) int {
	return sort.Search(len(k.queue), func(i int) bool { return k.queue[i].seq >= p.seq })
}

// keep keeps holder's place, or gives it one, until due. It is parked if another key makes it wait.
func (k *key) keep(now time.Time, holder string, due time.Time, parked bool) {
	p := k.waiting[holder]
	if p == nil && parked {
		return // it has no need of a place here yet
	}
	if !parked {
		p = k.sit(now, holder)
	}
	if p == nil {
		k.lastSeq++
		p = &place{holder: holder, seq: k.lastSeq}
		k.waiting[holder] = p
		k.queue = append(k.queue, p)
	}
	if p.parked {
		k.parked--
	}
	if parked {
		k.parked++
	}
	p.spread = !parked && k.limit.interval() == 0 && (p.spread && due.Equal(p.due) || k.told(now))
	p.paced = !parked && k.limit.interval() > 0 && k.limit.Concurrent == 0
	p.due, p.parked = due, parked
}

// sit gives holder its seat, and returns it. The turn that it had before is for who asks next.
func (k *key) sit(now time.Time, holder string) *place {
	own, p := k.waiting[holder], k.seat(now, holder)
	if p == own {
		return own
	}
	if own != nil {
		k.vacate(own)
	}
	p.holder = holder
	k.waiting[holder] = p
	k.vacant--
	k.trim()
	return p
}

// vacate leaves a turn to who asks next.
func (k *key) vacate(p *place) {
	k.forget(p)
	p.holder = ""
	k.vacant++
}

// told reports whether an API's word holds up calls that ask now.
func (k *key) told(now time.Time) bool {
	return k.until.After(now) || k.spent.After(now) || k.reset.After(now) && k.remaining <= len(k.waiting)-k.parked
}

// leave gives up holder's place. Its turn is for who asks next.
func (k *key) leave(now time.Time, holder string) {
	p := k.waiting[holder]
	if p == nil {
		return
	}
	if p.parked || p.due.Before(now) {
		k.remove(p)
	} else {
		k.vacate(p)
	}
	k.trim()
}

// remove takes a holder's place out of the queue.
func (k *key) remove(p *place) {
	i := k.index(p)
	if i == 0 {
		k.queue[0] = nil
		k.queue = k.queue[1:] // the usual case, and cheap however many wait
	} else {
		k.queue = slices.Delete(k.queue, i, i+1)
	}
	k.forget(p)
}

// grant counts a call of holder's.
func (k *key) grant(now time.Time, holder string) {
	if p := k.sit(now, holder); p != nil {
		k.remove(p)
		k.trim()
	}
	if gap := k.limit.interval(); gap > 0 {
		k.tat = later(k.tat, now).Add(gap)
	}
	if k.reset.After(now) {
		k.remaining = max(k.remaining-1, 0)
		k.stopped = now
	}
	k.underway++
}

// release counts a call that has ended and took so long.
func (k *key) release(took time.Duration) {
	k.underway--
	took = min(max(took, shortCall), longCall)
	if k.call == 0 {
		k.call = took
	}
	k.call += (took - k.call) / 4
}

// learn takes in what an API said.
func (k *key) learn(now time.Time, q Quota) {
	if until, _ := k.standsStill(now); until.IsZero() {
		k.stopped = now
	}
	bound := now.Add(MaxWait)
	if q.RetryAfter > 0 {
		k.until = later(k.until, earlier(now.Add(q.RetryAfter), bound))
	}
	reset := earlier(q.Reset, bound)
	switch {
	case !reset.After(now):
	case q.Remaining <= 0:
		k.spent = later(k.spent, reset)
	case k.spent.After(now) && reset.Sub(k.spent).Abs() <= sameWindow:
		// An answer that was overtaken.
	case k.reset.After(now) && reset.Sub(k.reset).Abs() <= sameWindow:
		// Answers overtake each other, and do not know of calls under way. The reset time stays, lest a window
		// that slides along seems to be the same for ever.
		k.remaining, k.spent = min(k.remaining, q.Remaining), time.Time{}
		k.unspread(now)
	default:
		k.remaining, k.reset, k.spent = q.Remaining, reset, time.Time{}
		k.unspread(now)
	}
}

// standsStill returns until when an API's word lets nobody call; zero if they may.
func (k *key) standsStill(now time.Time) (until time.Time, why StandstillReason) {
	spent := k.spent
	if k.remaining == 0 {
		spent = later(spent, k.reset)
	}
	switch {
	case !later(k.until, spent).After(now):
		return time.Time{}, ""
	case k.until.Before(spent):
		return spent, NoneRemaining
	}
	return k.until, AskedToWait
}

// unspread lets those go early who waited for a word that holds no more.
func (k *key) unspread(now time.Time) {
	if k.until.After(now) {
		return
	}
	for _, p := range k.queue {
		p.spread = false
	}
	k.unpace()
}

// unpace lets those who come pass by who was promised a turn at a pace, or by a word, that holds no more.
func (k *key) unpace() {
	for _, p := range k.queue {
		p.paced = false
	}
}

// idle reports whether nothing would be lost if the key were forgotten.
func (k *key) idle(now time.Time) bool {
	for _, tat := range k.former {
		if tat.After(now) {
			return false
		}
	}
	return k.underway == 0 && len(k.queue) == 0 &&
		!k.tat.After(now) && !k.until.After(now) && !k.spent.After(now) && !k.reset.After(now) && now.Sub(k.used) > idleFor
}

// times is n times d, or forever if that is longer.
func times(d time.Duration, n int) time.Duration {
	if d <= 0 || n <= 0 {
		return 0
	}
	if int64(n) > int64(forever/d) {
		return forever
	}
	return time.Duration(n) * d
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
