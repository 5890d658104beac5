package limit

import (
	"context"
	"sync"
	"time"
)

// MaxWait is the longest wait that a Limiter asks for, and the longest that it believes an API that asks for it.
// Who has waited so long asks again.
const MaxWait = 24 * time.Hour

// PlaceKept is how long after its time a holder's place is kept for it.
const PlaceKept = time.Minute

// A Limiter is asked before each call whether it may be made now.
//
// All methods may be called from many goroutines at once. [New] returns one for this process; package
// limittest proves any other.
type Limiter interface {
	// Take asks for one call under all of limits, for holder. Limits are looked at together: either all
	// grant the call and each counts it, or none does.
	//
	// If the call may not be made now, the Grant says how long to wait, and holder has a place under the limit
	// that makes it wait longest: calls of others that ask later come after its own. holder asks again when its wait
	// is over; who asks earlier is told what is left of it. Holders are granted in the order in which
	// they first asked, as far as they come back in time: who is late is not waited for, also by those who ask first, but
	// keeps its place for a minute ([PlaceKept]). After that, the place is given up.
	//
	// holder names who calls, such as an execution; it must not ask twice at once. Each Limit must be valid and have a
	// Key, each another. The settings seen last under a key are those that hold; a Limit with nothing but a Key has none.
	//
	// An error means that the Limiter could not be asked, or that ctx has ended. Nothing is granted then.
	Take(ctx context.Context, holder string, limits []Limit) (Grant, error)

	// Learn tells what an API's answer said of key. Until then, and for [MaxWait] at most, nobody is granted
	// what the API would refuse: nothing for RetryAfter, nothing until Reset if Remaining is zero, no more than Remaining calls
	// until Reset otherwise. It forgets nothing that it learned earlier and that is stricter, but that a Remaining above zero,
	// of another window, is right from then on, whatever was said of what remains. RetryAfter
	// holds on. It never fails: what cannot be learned is lost.
	Learn(key string, q Quota)
}

// A Leaver is a Limiter that can be told that a holder will not ask again. Implementing it is optional: a place
// that nobody comes back for is given up anyway, but late.
type Leaver interface {
	// Leave gives up holder's places under all keys. A turn that is left so, and still to come, is taken by who asks next, be it for
	// the first time, or early and with a later turn, which is left for the next in the same way. Nobody who has a place is
	// held up by that; who does not ask keeps its time. It does nothing to calls that were granted, nor to a holder that has
	// no place.
	Leave(holder string)
}

// A Teller is a Limiter that can tell what it learned that stops all calls. Implementing it is optional: without it nobody sees
// why the calls wait.
type Teller interface {
	// Standstills returns, by key, those that last.
	Standstills() []Standstill
}

// A Standstill is a time in which nobody is granted a call under a key, because an API said so.
type Standstill struct {
	Key   string
	Since time.Time // when the first was learned of those without a break
	Until time.Time
	Why   StandstillReason
}

// StandstillReason says what an API said.
type StandstillReason string

const (
	AskedToWait   StandstillReason = "asked to wait"   // Quota.RetryAfter
	NoneRemaining StandstillReason = "no calls remain" // Quota.Remaining, which is zero, or was used up since
)

// A Grant is a Limiter's answer.
type Grant struct {
	// Wait is zero if the call may be made. Otherwise it may not, and Wait is after what time to ask again.
	Wait time.Duration
	// Key is the key that makes the holder wait.
	Key string

	release func()
}

// Granted returns a Grant for a call that may be made; it is for implementations of [Limiter]. release, which may be
// nil, is called once, with the first Release.
func Granted(release func()) Grant {
	if release == nil {
		return Grant{}
	}
	return Grant{release: sync.OnceFunc(release)}
}

// Release says that the call has ended. It must be called for each Grant that does not wait, whatever became
// of the call. Calling it again, or on a Grant that waits, does nothing.
func (g Grant) Release() {
	if g.release != nil {
		g.release()
	}
}

// A Quota is what an answer says of the calls that the API will take. The zero Quota says nothing.
type Quota struct {
	// RetryAfter is for how long nobody should call; zero where nothing was said.
	RetryAfter time.Duration
	// Remaining is how many calls are left until Reset. It says nothing while Reset is zero.
	Remaining int
	Reset     time.Time
}
