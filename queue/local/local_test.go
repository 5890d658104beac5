package local_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/queue/local"
	"github.com/callsheet-go/callsheet/queue/queuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQueue(t *testing.T) {
	for _, workers := range []int{1, 3, 16} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			queuetest.Run(t, func(*testing.T) callsheet.Queue { return local.New(workers) },
				queuetest.Features{Ordered: true, KeepsRings: true})
		})
	}
}

func TestNew_WithoutWorkersHas16(t *testing.T) {
	for _, workers := range []int{0, -1} {
		stats, err := local.New(workers).Stats(t.Context())
		assert.NoError(t, err)
		assert.Equal(t, callsheet.QueueStats{Workers: 16}, stats)
	}
}

func ExampleNew() {
	q := local.New(4)
	ctx, cancel := context.WithCancel(context.Background())
	_ = q.Enqueue(ctx, "0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b")
	_ = q.Run(ctx, func(_ context.Context, executionID string) {
		fmt.Println("ring:", executionID)
		cancel()
	})
	// Output: ring: 0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b
}
