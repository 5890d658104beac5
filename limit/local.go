package limit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// idleFor is how long a key is remembered that nobody asks for.
const idleFor = 10 * time.Minute

// Local is a [Limiter], a [Leaver] and a [Teller] within this process. What it counts and learned ends with the process. It keeps a few hundred bytes
// for each key in use, and for each holder that waits; a key that nobody asked for in ten minutes is forgotten
// unless something holds it up still.
type Local struct {
	mu    sync.Mutex      // guards all below, so that several limits are taken together
	keys  map[string]*key // by Limit.Key
	swept time.Time
}

// New returns a Limiter within this process.
func New() *Local { return &Local{keys: map[string]*key{}} }

// Take implements [Limiter].
func (l *Local) Take(ctx context.Context, holder string, limits []Limit) (Grant, error) {
	if err := ctx.Err(); err != nil {
		return Grant{}, context.Cause(ctx)
	}
	if err := check(limits); err != nil {
		return Grant{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forgetIdle(now)

	keys := make([]*key, len(limits))
	at, slowest := now, -1
	for i, limit := range limits {
		k := l.key(limit.Key, now)
		k.set(limit, now)
		k.sweep(now)
		keys[i] = k
		if t := k.ask(now, holder); t.After(at) {
			at, slowest = t, i
		}
	}
	if slowest >= 0 {
		for i, k := range keys {
			k.keep(now, holder, at, i != slowest)
		}
		return Grant{Wait: min(at.Sub(now), MaxWait), Key: limits[slowest].Key}, nil
	}
	for _, k := range keys {
		k.grant(now, holder)
	}
	return Granted(func() { l.release(keys, now) }), nil
}

func check(limits []Limit) error {
	var faults []error
	for i, limit := range limits {
		err := limit.Validate()
		if limit.Key == "" {
			err = errors.Join(&FaultError{"key", "", "must not be empty"}, err)
		}
		for _, other := range limits[:i] {
			if other.Key == limit.Key {
				err = errors.Join(err, &FaultError{"key", limit.Key, "must be given once"})
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("limit %d: %w", i, err))
		}
	}
	return errors.Join(faults...)
}

func (l *Local) release(keys []*key, granted time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, k := range keys {
		k.release(now.Sub(granted))
		k.used = now
	}
}

// Learn implements [Limiter].
func (l *Local) Learn(name string, q Quota) {
	if q == (Quota{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.key(name, now).learn(now, q)
}

// Leave implements [Leaver].
func (l *Local) Leave(holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, k := range l.keys {
		k.leave(now, holder)
	}
}

// Standstills implements [Teller].
func (l *Local) Standstills() []Standstill {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var all []Standstill
	for _, name := range slices.Sorted(maps.Keys(l.keys)) {
		k := l.keys[name]
		if until, why := k.standsStill(now); !until.IsZero() {
			all = append(all, Standstill{Key: name, Since: k.stopped, Until: until, Why: why})
		}
	}
	return all
}

// key returns the state of a key, which is used now.
func (l *Local) key(name string, now time.Time) *key {
	k := l.keys[name]
	if k == nil {
		k = newKey()
		l.keys[name] = k
	}
	k.used = now
	return k
}

// forgetIdle forgets keys, now and then.
func (l *Local) forgetIdle(now time.Time) {
	if now.Sub(l.swept) < idleFor/10 {
		return
	}
	l.swept = now
	for name, k := range l.keys {
		if k.sweep(now); k.idle(now) {
			delete(l.keys, name)
		}
	}
}
