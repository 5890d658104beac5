package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/internal/pgtest"
)

func TestMigrate_TenProcessesAtOnce(t *testing.T) {
	pool := connect(t, pgtest.Database(t))
	var processes sync.WaitGroup
	for range 10 {
		own := connect(t, pool.Config().ConnString())
		processes.Go(func() {
			d, err := postgres.New(own, postgres.WithSchema("My schema"))
			assert.NoError(t, err)
			assert.NoError(t, d.Migrate(context.Background()))
			assert.NoError(t, d.Migrate(context.Background()))
		})
	}
	processes.Wait()
	assert.Equal(t, []string{"1"}, query(t, pool, `SELECT count(*) FROM "My schema".destination_version`))
}

func TestMigrate_RefusesANewerVersion(t *testing.T) {
	d, pool := open(t, "")
	execute(t, pool, "INSERT INTO callsheet.destination_version (version) VALUES (1000)")
	before := catalog(t, pool)
	err := d.Migrate(t.Context())
	assert.ErrorContains(t, err, "it has version 1000, and this library knows 1")
	assert.Equal(t, before, catalog(t, pool))
}

// A host may let an administrator migrate, and give its own role no more than it needs.
func TestMigrate_NeedsNoRightsWhereAllIsThere(t *testing.T) {
	d, pool := open(t, "CREATE TABLE public.t (n integer)")
	mine := newDestination(t, as(t, pool, "GRANT INSERT ON t TO %[1]s"))
	deliver(t, mine, batch(into("t"), row("n", 1)))
	execute(t, pool, "CREATE TABLE public.other (n integer)")
	assert.ErrorContains(t, refused(t, mine, batch(into("other"), row("n", 1))), "permission denied")
	deliver(t, d, batch(into("other"), row("n", 1)))
}

func TestPrune_ForgetsOldMarkers(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer)")
	old, recent := batch(into("t"), row("n", 1)), batch(into("t"), row("n", 2))
	deliver(t, d, old)
	deliver(t, d, recent)
	execute(t, pool, "UPDATE callsheet.delivered_batches SET delivered_at = now() - interval '30 days' WHERE execution_id = '"+old.ExecutionID+"'")
	execute(t, pool, `INSERT INTO callsheet.delivered_batches (execution_id, chunk, fence, attempt, schedule_id, delivery_id, target, records, delivered_at)
		SELECT 'old', n, 1, 1, 's', 'd', 't', 0, '2020-01-01' FROM generate_series(1, 25000) n`)
	pruned, err := d.Prune(t.Context(), time.Now().AddDate(0, 0, -7))
	require.NoError(t, err)
	assert.EqualValues(t, 25001, pruned)
	deliver(t, d, recent)
	assert.Len(t, query(t, pool, "SELECT FROM t"), 2, "what was delivered lately is known")
	deliver(t, d, old)
	assert.Len(t, query(t, pool, "SELECT FROM t"), 3, "what was pruned is not, as Prune says")
}

func TestPrune_KeepsTheChunksOfAnExecutionTogether(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer)")
	b := batch(into("t"), row("n", 1))
	for b.Chunk = range 3 {
		b.Fence = 2
		deliver(t, d, b)
	}
	execute(t, pool, "UPDATE callsheet.delivered_batches SET delivered_at = now() - interval '8 days' WHERE chunk < 2")
	week := time.Now().AddDate(0, 0, -7)
	pruned, err := d.Prune(t.Context(), week)
	require.NoError(t, err)
	assert.Zero(t, pruned, "its last chunk is young, it may be tried again")
	for b.Chunk = range 3 {
		deliver(t, d, b)
	}
	assert.Len(t, query(t, pool, "SELECT FROM t"), 3)
	b.Chunk, b.Fence = 3, 1
	assert.ErrorIs(t, d.Deliver(t.Context(), b), callsheet.ErrStaleFence)

	execute(t, pool, "UPDATE callsheet.delivered_batches SET delivered_at = now() - interval '8 days'")
	pruned, err = d.Prune(t.Context(), week)
	require.NoError(t, err)
	assert.EqualValues(t, 3, pruned)
}
