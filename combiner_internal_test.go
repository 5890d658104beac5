package callsheet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestCombiner_OneAtATimeGoesAtOnceAndManyGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sizes []int
		c := combiner[int, int]{call: func(_ context.Context, in []int) ([]int, error) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, len(in))
			out := make([]int, len(in))
			for i, n := range in {
				out[i] = 2 * n
			}
			return out, nil
		}}
		start := time.Now()
		var wg sync.WaitGroup
		for n := range 1 + 1 + combinerMost + 5 {
			wg.Go(func() {
				got, err := c.do(t.Context(), n)
				assert.NoError(t, err)
				assert.Equal(t, 2*n, got)
			})
		}
		wg.Wait()
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.ElementsMatch(t, []int{1, 1, combinerMost, 5}, sizes)
		assert.Zero(t, c.flights)
	})
}

func TestCombiner_AFailureIsAllCallers(t *testing.T) {
	for name, call := range map[string]func(context.Context, []int) ([]int, error){
		"an error":         func(context.Context, []int) ([]int, error) { return nil, errors.New("no") },
		"a panic":          func(context.Context, []int) ([]int, error) { panic("no") },
		"too few answers":  func(context.Context, []int) ([]int, error) { return nil, nil },
		"too many answers": func(_ context.Context, in []int) ([]int, error) { return append(in, 1), nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := combiner[int, int]{call: call}
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					_, err := c.do(t.Context(), 1)
					assert.Error(t, err)
				})
			}
			wg.Wait()
			assert.Zero(t, c.flights)
			assert.Empty(t, c.waiting)
		})
	}
}
