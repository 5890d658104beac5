package callsheet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAlarm_GoesOffAtTheEarliestTimeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		a := newAlarm()
		var rang []time.Duration
		go a.run(ctx, func() { rang = append(rang, time.Since(start)) })

		a.set(time.Time{}) // never
		a.set(start.Add(3 * time.Second))
		a.set(start.Add(5 * time.Second)) // later than what is set: covered by the pass at 3 s
		a.set(start.Add(2 * time.Second)) // earlier: takes its place
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, []time.Duration{2 * time.Second}, rang)

		a.set(time.Now().Add(-time.Hour)) // past: at once, or as good as
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []time.Duration{2 * time.Second, 10*time.Second + time.Millisecond}, rang)
		cancel()
		synctest.Wait()
	})
}
