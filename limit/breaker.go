package limit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/callsheet-go/callsheet/internal/text"
	"github.com/sony/gobreaker/v2"
)

// A Breaker says when calls to an API that fails are stopped for a while. The zero Breaker has the defaults.
type Breaker struct {
	// Failures is after how many failures in a row the circuit opens. Zero means 10, -1 that it never does.
	Failures int `json:"failures,omitzero"`
	// Pause is how long it stays open before one call is let through to see, 1 second to 6 hours. Zero means 30 seconds.
	Pause time.Duration `json:"pause,omitzero"`
}

// Defaults and bounds of a Breaker.
const (
	DefaultFailures = 10
	DefaultPause    = 30 * time.Second
	NoBreaker       = -1 // Breaker.Failures of a circuit that never opens

	maxFailures = 10_000
	maxPause    = 6 * time.Hour
	// maxProbeWait bounds the wait for a call that was let through to see.
	maxProbeWait = 15 * time.Second
)

// Validate returns all faults of b at once, each a [*FaultError], joined; nil if there is none.
func (b Breaker) Validate() error {
	var faults []error
	if b.Failures < NoBreaker || b.Failures > maxFailures {
		faults = append(faults, &FaultError{"failures", fmt.Sprint(b.Failures),
			fmt.Sprintf("must be 1 to %d, 0 (for the default of %d), or %d for none", maxFailures, DefaultFailures, NoBreaker)})
	}
	if b.Pause != 0 && (b.Pause < time.Second || b.Pause > maxPause) {
		faults = append(faults, &FaultError{"pause", b.Pause.String(), fmt.Sprintf("must be 1s to 6h, or zero (for the default of %s)", DefaultPause)})
	}
	return errors.Join(faults...)
}

func (b Breaker) withDefaults() Breaker {
	if b.Failures == 0 {
		b.Failures = DefaultFailures
	}
	if b.Pause == 0 {
		b.Pause = DefaultPause
	}
	return b
}

// MarshalJSON writes the pause as text ("30s").
func (b Breaker) MarshalJSON() ([]byte, error) {
	type plain Breaker
	return json.Marshal(struct {
		plain
		Pause text.Duration `json:"pause,omitzero"`
	}{plain(b), text.Duration(b.Pause)})
}

// UnmarshalJSON reads the pause as text ("30s").
func (b *Breaker) UnmarshalJSON(data []byte) error {
	type plain Breaker
	v := struct {
		*plain
		Pause *text.Duration `json:"pause"`
	}{(*plain)(b), (*text.Duration)(&b.Pause)}
	return json.Unmarshal(data, &v)
}

// ErrUncounted is what is said of a call that tells nothing of its API: it was cancelled, or not made.
var ErrUncounted = errors.New("the call does not count")

// CircuitState is where a circuit is.
type CircuitState string

const (
	CircuitClosed   CircuitState = "closed"    // calls are made
	CircuitOpen     CircuitState = "open"      // none is
	CircuitHalfOpen CircuitState = "half-open" // the pause is over: one call is let through, and decides
)

// A Circuit tells of one circuit.
type Circuit struct {
	Key       string
	State     CircuitState
	Since     time.Time // when it left the state closed; when it came back to it
	Until     time.Time // while it is open: when the next call is let through
	Failures  int       // in a row
	LastError string    // the text of the last failure
}

// Breakers keep the circuits of this process, one for each key. Their methods may be called from many goroutines at once.
// A circuit that nobody asks for is forgotten an hour after its pause.
type Breakers struct {
	changed func(Circuit)

	mu       sync.Mutex          // guards circuits, all that is in them, and every call of their breakers
	circuits map[string]*circuit // by key
	swept    time.Time
}

// circuitIdle is for how long a circuit is remembered that is not used, beyond its pause.
const circuitIdle = time.Hour

// circuit is a gobreaker, which decides, with what it does not tell: since when, until when, why.
type circuit struct {
	Circuit
	settings Breaker
	breaker  *gobreaker.TwoStepCircuitBreaker[any]
	used     time.Time
	changes  []Circuit // that are to be told
}

// NewBreakers returns Breakers whose circuits are all closed. changed, if it is not nil, is called whenever
// a circuit opens or closes, by the goroutine whose call did it.
func NewBreakers(changed func(Circuit)) *Breakers {
	return &Breakers{changed: changed, circuits: map[string]*circuit{}}
}

// Allow asks for one call under key. If wait is zero the call may be made, and done must be called once with
// what became of it: nil if the API answered, [ErrUncounted] if the call tells nothing, any other error for a failure.
// Otherwise the call may not be made, done does nothing, and wait is after what time to ask again.
//
// The latest settings hold. What was counted stays, and a circuit that is open stays so until its Until.
func (b *Breakers) Allow(key string, settings Breaker) (done func(error), wait time.Duration) {
	settings = settings.withDefaults()
	if settings.Failures < 0 {
		return func(error) {}, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.forgetIdle(now)
	c := b.circuit(key, settings)
	c.used = now
	if c.resting(now) {
		return func(error) {}, c.Until.Sub(now)
	}
	report, err := c.breaker.Allow()
	if err != nil {
		return func(error) {}, min(max(c.settings.Pause/4, time.Second), maxProbeWait) // a call is under way that will tell
	}
	return func(result error) { b.done(c, report, result) }, 0
}

// done takes in the result of a call. What a call that began before the circuit changed has to say is too late.
func (b *Breakers) done(c *circuit, report func(error), result error) {
	b.mu.Lock()
	switch {
	case errors.Is(result, ErrUncounted):
	case result == nil:
		if c.State == CircuitClosed {
			c.Failures, c.LastError = 0, ""
		}
	default:
		c.Failures++
		c.LastError = result.Error()
	}
	if !c.resting(time.Now()) {
		report(result)
	}
	changes := c.changes
	c.changes = nil
	b.mu.Unlock()
	if b.changed != nil {
		for _, change := range changes {
			b.changed(change)
		}
	}
}

// circuit returns the circuit of key, and puts settings in force.
func (b *Breakers) circuit(key string, settings Breaker) *circuit {
	if c := b.circuits[key]; c != nil {
		c.settings = settings
		return c
	}
	c := &circuit{Circuit: Circuit{Key: key, State: CircuitClosed}, settings: settings}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests:   1,               // in half-open
		Timeout:       time.Nanosecond, // it is not asked before Until, since its own timeout cannot be changed
		ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= uint32(c.settings.Failures) },
		IsExcluded:    func(err error) bool { return errors.Is(err, ErrUncounted) },
		OnStateChange: func(_ string, from, to gobreaker.State) { c.change(from, to) },
	})
	b.circuits[key] = c
	return c
}

// change is called by the breaker, within a call of it.
func (c *circuit) change(from, to gobreaker.State) {
	now := time.Now()
	c.Until = time.Time{}
	switch to {
	case gobreaker.StateOpen:
		c.State, c.Until = CircuitOpen, now.Add(c.settings.Pause)
		if from == gobreaker.StateClosed {
			c.Since = now
			c.changes = append(c.changes, c.Circuit)
		}
	case gobreaker.StateHalfOpen:
		c.State = CircuitHalfOpen
	case gobreaker.StateClosed:
		c.State, c.Since, c.Failures, c.LastError = CircuitClosed, now, 0, ""
		c.changes = append(c.changes, c.Circuit)
	}
}

// resting reports whether the circuit is open, and its pause not over.
func (c *circuit) resting(now time.Time) bool {
	return c.State == CircuitOpen && now.Before(c.Until)
}

// States lists the circuits that are not closed, by key.
func (b *Breakers) States() []Circuit {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Circuit
	for _, key := range slices.Sorted(maps.Keys(b.circuits)) {
		c := b.circuits[key]
		if !c.resting(time.Now()) {
			c.breaker.State() // a pause may have ended unseen
		}
		if c.State != CircuitClosed {
			all = append(all, c.Circuit)
		}
	}
	return all
}

// forgetIdle forgets circuits, now and then.
func (b *Breakers) forgetIdle(now time.Time) {
	if now.Sub(b.swept) < circuitIdle/10 {
		return
	}
	b.swept = now
	maps.DeleteFunc(b.circuits, func(_ string, c *circuit) bool {
		return now.Sub(c.used) > c.settings.Pause+circuitIdle
	})
}
