package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/store/postgres"
	"github.com/callsheet-go/callsheet/store/storetest"
)

func open(t testing.TB, dsn string, opts ...postgres.Option) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), dsn, append(opts, postgres.WithMigrate())...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func TestStore(t *testing.T) {
	dsn := pgtest.Database(t)
	n := 0
	storetest.Run(t, func(t *testing.T) callsheet.Store {
		n++
		return open(t, dsn, postgres.WithSchema(fmt.Sprintf("case %d", n)))
	}, storetest.WithLease(400*time.Millisecond)) // every case has fresh connections, which have yet to learn each statement
}
