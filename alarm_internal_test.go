package callsheet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAlarm_RingsAtTheEarliestTimeSetUntilItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		a := newAlarm()
		var rang []time.Duration
		deaf := 0 // rings that nobody hears
		go a.run(ctx, func() {
			rang = append(rang, time.Since(start))
			if deaf--; deaf < 0 {
				a.stop()
			}
		})
		heard := func(after time.Duration) []time.Duration {
			time.Sleep(after)
			synctest.Wait()
			list := rang
			rang = nil
			return list
		}

		a.set(time.Time{}) // never
		a.set(start.Add(3 * time.Second))
		a.set(start.Add(5 * time.Second)) // later than what is set: whoever rings at 3 s sets it anew
		a.set(start.Add(2 * time.Second)) // earlier: takes its place
		assert.Equal(t, []time.Duration{2 * time.Second}, heard(10*time.Second))

		a.set(time.Now().Add(-time.Hour)) // past: at once
		assert.Equal(t, []time.Duration{10 * time.Second}, heard(10*time.Second))

		deaf = 3
		a.set(time.Now())
		assert.Equal(t, []time.Duration{20 * time.Second, 20*time.Second + 10*time.Millisecond, 20*time.Second + 30*time.Millisecond,
			20*time.Second + 70*time.Millisecond}, heard(10*time.Second), "it rings until it is heard")

		a.set(time.Now().Add(90 * time.Minute)) // farther away than it looks at a time
		assert.Equal(t, []time.Duration{30*time.Second + 90*time.Minute}, heard(2*time.Hour))
		cancel()
		synctest.Wait()
	})
}
