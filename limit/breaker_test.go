package limit_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet/limit"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errDown = errors.New("status 500")

// calls makes n calls, each with this result, and wants all of them to be let through.
func calls(t *testing.T, b *limit.Breakers, settings limit.Breaker, n int, result error) {
	t.Helper()
	for range n {
		done, wait := b.Allow("api", settings)
		require.Zero(t, wait, "the circuit was expected not to be open")
		done(result)
	}
}

func TestBreakers_OpenAfterFailuresInARow(t *testing.T) {
	three := limit.Breaker{Failures: 3}
	for _, tc := range []struct {
		name     string
		settings limit.Breaker
		results  []error
		open     bool
	}{
		{"as many failures as were set", three, []error{errDown, errDown, errDown}, true},
		{"fewer", three, []error{errDown, errDown}, false},
		{"a success in between", three, []error{errDown, errDown, nil, errDown, errDown}, false},
		{"calls in between that do not count", three, []error{errDown, errDown, limit.ErrUncounted, errDown}, true},
		{"the default is ten, not nine", limit.Breaker{}, []error{errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown}, false},
		{"the default is ten", limit.Breaker{}, []error{errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown}, true},
		{"no breaker at all", limit.Breaker{Failures: limit.NoBreaker}, []error{errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown, errDown}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := limit.NewBreakers(nil)
			for _, result := range tc.results {
				calls(t, b, tc.settings, 1, result)
			}
			_, wait := b.Allow("api", tc.settings)
			assert.Equal(t, tc.open, wait > 0)
			assert.Len(t, b.States(), map[bool]int{true: 1}[tc.open])
			_, wait = b.Allow("another", tc.settings)
			assert.Zero(t, wait, "the circuit of another key was expected to be closed")
		})
	}
}

func TestBreakers_LetOneThroughAfterThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		b := limit.NewBreakers(func(c limit.Circuit) { changes = append(changes, fmt.Sprint(c.State, " ", c.Failures)) })
		settings := limit.Breaker{Failures: 2, Pause: time.Minute}
		opened := time.Now()
		calls(t, b, settings, 2, errDown)
		require.Equal(t, []limit.Circuit{{Key: "api", State: limit.CircuitOpen, Since: opened, Until: opened.Add(time.Minute),
			Failures: 2, LastError: "status 500"}}, b.States())

		_, wait := b.Allow("api", settings)
		require.InDelta(t, time.Minute, wait, float64(time.Millisecond))
		time.Sleep(wait)
		require.Equal(t, limit.CircuitHalfOpen, b.States()[0].State)
		probe, wait := b.Allow("api", settings)
		require.Zero(t, wait, "who came back when it was told to was expected to be let through")
		_, wait = b.Allow("api", settings)
		require.Positive(t, wait, "a second one was not")
		probe(limit.ErrUncounted)
		probe, wait = b.Allow("api", settings)
		require.Zero(t, wait, "a probe that told nothing was expected to make room for another")
		probe(errDown)

		states := b.States()
		require.Equal(t, limit.CircuitOpen, states[0].State)
		require.Equal(t, 3, states[0].Failures)
		require.Equal(t, opened, states[0].Since, "it was expected to count from when it opened first")
		_, wait = b.Allow("api", settings)
		time.Sleep(wait)
		calls(t, b, settings, 1, nil)
		require.Empty(t, b.States())
		calls(t, b, settings, 1, errDown)
		require.Empty(t, b.States(), "failures were expected to be counted anew")
		require.Equal(t, []string{"open 2", "closed 0"}, changes, "a probe that fails is no change")
	})
}

func TestBreakers_WhatBeganBeforeIsTooLate(t *testing.T) {
	b := limit.NewBreakers(nil)
	settings := limit.Breaker{Failures: 1}
	early, _ := b.Allow("api", settings)
	calls(t, b, settings, 1, errDown)
	early(nil)
	require.Equal(t, limit.CircuitOpen, b.States()[0].State)
	_, wait := b.Allow("api", settings)
	assert.Positive(t, wait, "an old call must not close a circuit that has opened since")
}

func TestBreakers_EditedSettingsTakeEffectInPlace(t *testing.T) {
	t.Run("what was counted stays", func(t *testing.T) {
		b := limit.NewBreakers(nil)
		calls(t, b, limit.Breaker{Failures: 5}, 2, errDown)
		calls(t, b, limit.Breaker{Failures: 3}, 1, errDown)
		require.Len(t, b.States(), 1)
	})
	t.Run("an open circuit stays open until its pause is over, and has the new one then", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := limit.NewBreakers(nil)
			before, after := limit.Breaker{Failures: 1, Pause: time.Minute}, limit.Breaker{Failures: 2, Pause: time.Hour}
			calls(t, b, before, 1, errDown)
			time.Sleep(20 * time.Second)
			_, wait := b.Allow("api", after)
			require.Equal(t, 40*time.Second, wait)
			time.Sleep(wait)
			calls(t, b, after, 1, errDown)
			_, wait = b.Allow("api", before)
			require.Equal(t, time.Hour, wait)
		})
	})
	t.Run("two settings in use at once open it", func(t *testing.T) {
		b := limit.NewBreakers(nil)
		let := 0
		for i := range 1000 {
			done, wait := b.Allow("api", limit.Breaker{Failures: 3 + i%2})
			if wait == 0 {
				let++
			}
			done(errDown)
		}
		assert.Equal(t, 3, let)
	})
}

func TestBreakers_WhoMeetsTheProbeComesBackSoon(t *testing.T) {
	for pause, want := range map[time.Duration]time.Duration{time.Second: time.Second, 20 * time.Second: 5 * time.Second, 4 * time.Hour: 15 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := limit.NewBreakers(nil)
				settings := limit.Breaker{Failures: 1, Pause: pause}
				calls(t, b, settings, 1, errDown)
				time.Sleep(pause)
				_, wait := b.Allow("api", settings)
				require.Zero(t, wait)
				_, wait = b.Allow("api", settings)
				assert.Equal(t, want, wait)
			})
		})
	}
}

func TestBreakers_ForgetWhatNobodyAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBreakers(nil)
		calls(t, b, limit.Breaker{Failures: 1}, 1, errDown)
		time.Sleep(2 * time.Hour)
		_, _ = b.Allow("another", limit.Breaker{})
		assert.Empty(t, b.States())
	})
}

func TestBreakers_ManyAtOnceSendOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBreakers(func(limit.Circuit) {})
		settings := limit.Breaker{Failures: 1}
		calls(t, b, settings, 1, errDown)
		time.Sleep(limit.DefaultPause + time.Second)
		var mu sync.Mutex
		let := 0
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if done, wait := b.Allow("api", settings); wait == 0 {
					time.Sleep(time.Second)
					done(nil)
					mu.Lock()
					defer mu.Unlock()
					let++
				}
			})
		}
		all.Wait()
		assert.Equal(t, 1, let)
		assert.Empty(t, b.States())
	})
}
