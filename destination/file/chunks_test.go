package file_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
)

func chunk(b callsheet.Batch, number int, fence int64) callsheet.Batch {
	b.Chunk, b.Attempt, b.Fence = number, int(fence), fence
	return b
}

func TestPerExecution_EachChunkHasAFile(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	for i := range 3 {
		b := chunk(batch("x.jsonl", "e1", row("n", i)), i, 1)
		b.Delivery.Mode = callsheet.PerExecution
		deliver(t, d, b)
		deliver(t, d, b)
	}
	names, err := filepath.Glob(filepath.Join(dir, "x-*.jsonl"))
	require.NoError(t, err)
	require.Len(t, names, 3)
	for i, suffix := range []string{"-e1-1.jsonl", "-e1-2.jsonl", "-e1.jsonl"} {
		assert.True(t, strings.HasSuffix(names[i], suffix), names[i])
		assert.Equal(t, fmt.Sprintf("{\"n\":%d}\n", (i+1)%3), content(t, dir, filepath.Base(names[i])))
	}
}

// An execution of many pages is still open when others fill the journal.
func TestJournal_KeepsTheChunksOfOpenExecutions(t *testing.T) {
	dir := t.TempDir()
	d := openForgetful(t, dir)
	const chunks = kept / 5
	for i := range chunks {
		deliver(t, d, chunk(batch("x.jsonl", "open", row("n", i)), i, 2))
	}
	for i := chunks; i < 2*kept-2; i++ {
		deliver(t, d, batch("x.jsonl", fmt.Sprint("e", i), row("n", i)))
	}
	deliver(t, d, chunk(batch("x.jsonl", "open", row("n", 0)), chunks, 2))
	deliver(t, d, batch("x.jsonl", "one more", row("n", 1)))
	end := size(dir, "x.jsonl")
	require.Less(t, lines(t, journalOf(t, dir)), kept+kept/2+3, "the journal was shortened")
	for _, d := range []*file.Destination{d, openForgetful(t, dir)} {
		for i := range chunks {
			deliver(t, d, chunk(batch("x.jsonl", "open", row("n", i)), i, 2))
		}
		assert.Equal(t, end, size(dir, "x.jsonl"), "all chunks of the execution are remembered")
		stale := chunk(batch("x.jsonl", "open", row("n", 1)), chunks+1, 1)
		assert.ErrorIs(t, d.Deliver(t.Context(), stale), callsheet.ErrStaleFence)
	}
}

// An execution with more chunks than a journal holds must not keep it from being shortened.
func TestJournal_OfOneExecutionIsBoundedToo(t *testing.T) {
	dir := t.TempDir()
	d := openForgetful(t, dir)
	for i := range 4 * kept {
		deliver(t, d, chunk(batch("x.jsonl", "open", row("n", i)), i, 1))
	}
	assert.LessOrEqual(t, lines(t, journalOf(t, dir)), 2*kept)
	assert.Equal(t, 4*kept, lines(t, filepath.Join(dir, "x.jsonl")))
}

// locks returns the locks of mode PerExecution that remember something.
func locks(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, ".callsheet", "files-*.lock"))
	require.NoError(t, err)
	for _, name := range all {
		if info, err := os.Stat(name); err == nil && info.Size() > 0 {
			names = append(names, name)
		}
	}
	return names
}

func TestFences_OfFilesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	own := func(execution string, number int, fence int64) callsheet.Batch {
		b := chunk(batch("x.jsonl", execution, row("n", 1)), number, fence)
		b.Delivery.Mode = callsheet.PerExecution
		return b
	}
	d := open(t, dir)
	deliver(t, d, own("e1", 0, 1))
	assert.Empty(t, locks(t, dir), "the first worker needs no memory")
	deliver(t, d, own("e1", 0, 3))
	deliver(t, d, own("e1", 1, 3))
	require.Len(t, locks(t, dir), 1)
	lock := locks(t, dir)[0]
	assert.Equal(t, 1, lines(t, lock))

	another := open(t, dir) // as another process has it
	for _, d := range []*file.Destination{d, another} {
		err := d.Deliver(t.Context(), own("e1", 2, 2))
		require.ErrorIs(t, err, callsheet.ErrStaleFence)
		var classified *callsheet.ClassifiedError
		require.True(t, errors.As(err, &classified))
		assert.Equal(t, callsheet.ClassLostWorker, classified.Class)
	}

	t.Run("what is damaged is forgotten, and written anew", func(t *testing.T) {
		require.NoError(t, os.WriteFile(lock, []byte("rubbish\n"), 0o600))
		deliver(t, d, own("e1", 2, 2))
		assert.ErrorIs(t, another.Deliver(t.Context(), own("e1", 3, 1)), callsheet.ErrStaleFence)
	})
	t.Run("it is bounded", func(t *testing.T) {
		for i := range int64(4000) {
			deliver(t, d, own("e1", 0, i+3))
		}
		info, err := os.Stat(lock)
		require.NoError(t, err)
		assert.Less(t, info.Size(), int64(66<<10))
		assert.ErrorIs(t, another.Deliver(t.Context(), own("e1", 4, 4001)), callsheet.ErrStaleFence)
	})
}
