package queuetest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/queue/local"
	"github.com/callsheet-go/callsheet/queue/queuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFaulty_IsStillAQueue(t *testing.T) {
	for name, rates := range map[string]queuetest.Rates{
		"no faults":    {},
		"duplicates":   {Duplicate: 0.5},
		"delays":       {Delay: 1, Duplicate: 0.5},
		"reorders":     {Reorder: 1},
		"loses":        {Lose: 0.5},
		"fails":        {Fail: 0.5},
		"all of these": {Seed: 7, Fail: 0.1, Lose: 0.3, Duplicate: 0.3, Delay: 0.3, Reorder: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			queuetest.Run(t, func(*testing.T) callsheet.Queue { return queuetest.Faulty(local.New(4), rates) },
				queuetest.Features{Loses: rates.Lose+rates.Fail > 0})
		})
	}
}

func TestFaulty_DoesWhatItWasAskedTo(t *testing.T) {
	const rings = 1000
	// ring returns, in a bubble where time passes at once, what arrives of rings 0 to 999.
	ring := func(t *testing.T, rates queuetest.Rates) (arrived []string, failed int) {
		synctest.Test(t, func(t *testing.T) {
			q := queuetest.Faulty(local.New(1), rates)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				done <- q.Run(ctx, func(_ context.Context, id string) { arrived = append(arrived, id) })
			}()
			for i := range rings {
				if err := q.Enqueue(ctx, fmt.Sprintf("%03d", i)); err != nil {
					assert.ErrorIs(t, err, queuetest.ErrFaulty)
					failed++
				}
				synctest.Wait()
			}
			time.Sleep(time.Minute)
			cancel()
			assert.NoError(t, <-done)
		})
		return arrived, failed
	}
	distinct := func(ids []string) int {
		all := map[string]bool{}
		for _, id := range ids {
			all[id] = true
		}
		return len(all)
	}

	plain, _ := ring(t, queuetest.Rates{})
	assert.Len(t, plain, rings)
	assert.IsIncreasing(t, plain)

	lost, _ := ring(t, queuetest.Rates{Lose: 0.5})
	assert.InDelta(t, rings/2, len(lost), 100)

	again, _ := ring(t, queuetest.Rates{Lose: 0.5})
	assert.Equal(t, lost, again, "the same seed, the same fate")

	twice, _ := ring(t, queuetest.Rates{Duplicate: 0.5, Delay: 0.5})
	assert.Equal(t, rings, distinct(twice))
	assert.Greater(t, len(twice), rings)

	late, _ := ring(t, queuetest.Rates{Delay: 0.5})
	assert.Equal(t, rings, distinct(late))
	assert.NotEqual(t, plain, late)

	shuffled, _ := ring(t, queuetest.Rates{Reorder: 0.5})
	assert.Len(t, shuffled, rings)
	assert.NotEqual(t, plain, shuffled)

	few, failed := ring(t, queuetest.Rates{Fail: 0.5})
	assert.Equal(t, rings, len(few)+failed)
	assert.InDelta(t, rings/2, failed, 100)
}
