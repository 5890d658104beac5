package file_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/file"
	"github.com/callsheet-go/callsheet/store/storetest"
)

func open(t testing.TB, path string) *file.Store {
	t.Helper()
	store, err := file.Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) callsheet.Store { return open(t, filepath.Join(t.TempDir(), "callsheet.db")) })
}
