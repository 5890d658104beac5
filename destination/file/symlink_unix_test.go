//go:build unix

package file_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

// A neighbour who may write to the directory swaps folders for links that lead out, again and again, while
// records are delivered. Deliveries may fail; nothing may be written outside.
func TestTarget_LinksThatComeAndGoLeadNowhere(t *testing.T) {
	dir, check := guarded(t)
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "rows.jsonl"), []byte("theirs\n"), 0o600))
	d := open(t, dir)

	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			link := filepath.Join(dir, fmt.Sprint(".link", i%2))
			for _, err := range []error{
				os.Symlink(outside, link),
				os.Rename(link, filepath.Join(dir, "sub")),         // where no folder is
				os.Rename(filepath.Join(dir, "sub"), link+".gone"), // a folder or a link, out of the way
				os.Symlink(filepath.Join(outside, "rows.jsonl"), filepath.Join(dir, "rows.jsonl")),
				os.Remove(link),
				os.RemoveAll(link + ".gone"),
			} {
				if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrExist) &&
					!errors.Is(err, syscall.EISDIR) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ENOTEMPTY) {
					t.Errorf("swap: %v", err)
					return
				}
			}
		}
	})
	delivered := 0
	for i := range 400 {
		for _, mode := range []callsheet.WriteMode{callsheet.Append, callsheet.PerExecution} {
			for _, target := range []string{"sub/rows.jsonl", "sub/deep/rows.csv", "rows.jsonl"} {
				b := batch(target, fmt.Sprint(mode, i), row("n", i))
				b.Delivery.Mode = mode
				if d.Deliver(t.Context(), b) == nil {
					delivered++
				}
			}
		}
	}
	close(stop)
	swapping.Wait()
	assert.Positive(t, delivered, "some deliveries meet a folder")
	check()
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	text, err := os.ReadFile(filepath.Join(outside, "rows.jsonl"))
	require.NoError(t, err)
	assert.Equal(t, "theirs\n", string(text), "what links led to is as it was")
}
