package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
)

// The server is killed at any instant, and who delivered repeats what was not acknowledged, as the Scheduler
// does. Every record is there once.
func TestCrash_KilledServerLosesAndDoublesNothing(t *testing.T) {
	kills := 8
	if testing.Short() {
		kills = 2
	}
	server := pgtest.Start(t)
	pool := connect(t, server.Database(t))
	execute(t, pool, "CREATE TABLE appended (execution text, place integer); CREATE TABLE merged (execution text, place integer, UNIQUE (execution, place))")
	d := newDestination(t, pool)
	deliveries := []callsheet.Delivery{into("appended"), upsert("merged", "execution", "place"), ignore("merged", "execution", "place")}

	const workers, records = 6, 200
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex // guards what follows
	acknowledged, failures, known := map[string]int{}, 0, map[string]bool{}
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				which := n % len(deliveries)
				b := batch(deliveries[which])
				for place := range records {
					b.Records = append(b.Records, row("execution", b.ExecutionID, "place", place))
				}
				for b.Attempt = 1; ; b.Attempt++ {
					b.Fence = int64(b.Attempt)
					// Not ctx: what was begun is finished, so that the test knows of it.
					err := d.Deliver(context.Background(), b)
					mu.Lock()
					if err == nil {
						acknowledged[b.ExecutionID] = which
						mu.Unlock()
						break
					}
					failures++
					known[fmt.Sprint(callsheet.Classify(err) == callsheet.ClassPermanent)] = true
					mu.Unlock()
					if b.Attempt > 2000 {
						t.Errorf("worker %d: %v", worker, err)
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	for range kills {
		time.Sleep(50*time.Millisecond + rand.N(200*time.Millisecond))
		server.Kill(t)
		server.Restart(t)
	}
	time.Sleep(100 * time.Millisecond)
	stop()
	running.Wait()

	assert.NotContains(t, known, "true", "a crash of the server is nothing permanent")
	all := fmt.Sprintf("%d %d", len(acknowledged), records*len(acknowledged))
	assert.Equal(t, []string{all}, query(t, pool,
		"SELECT count(DISTINCT execution), count(*) FROM (SELECT * FROM appended UNION ALL SELECT * FROM merged) x"))
	assert.Equal(t, []string{fmt.Sprintf("%d", len(acknowledged))}, query(t, pool, "SELECT count(*) FROM callsheet.delivered_batches"))
	assert.Empty(t, query(t, pool, "SELECT execution, place FROM appended GROUP BY 1, 2 HAVING count(*) > 1"))
	require.NotEmpty(t, acknowledged)
	t.Logf("%d kills, %d executions delivered, %d deliveries failed before they succeeded; delivered before: %v", kills, len(acknowledged), failures,
		query(t, pool, "SELECT deliveries, count(*) FROM callsheet.delivered_batches GROUP BY 1 ORDER BY 1"))
}
