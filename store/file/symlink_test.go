package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/store/file"
)

func TestOpen_BySymbolicLinkIsTheSameFile(t *testing.T) {
	dir := t.TempDir()
	a, err := file.Open(t.Context(), filepath.Join(dir, "a.db"))
	require.NoError(t, err)
	defer a.Close()
	require.NoError(t, os.Symlink(filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db")))
	b, err := file.Open(t.Context(), filepath.Join(dir, "b.db"))
	assert.ErrorIs(t, err, file.ErrInUse)
	if err == nil {
		b.Close()
	}
}
