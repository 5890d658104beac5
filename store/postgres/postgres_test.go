package postgres_test

import (
	"testing"

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
		return open(t, dsn, postgres.WithSchema("case "+string(rune('a'+n%26))+t.Name()[max(0, len(t.Name())-40):]))
	})
}
