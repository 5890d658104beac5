package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

// write puts text at the end of a file, as a crash or somebody else would.
func write(t *testing.T, text string, name ...string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(name...), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestAppend_DebrisOfACrashIsCutOff(t *testing.T) {
	for name, restart := range map[string]bool{"by New": true, "by the next Deliver": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := openWith(t, dir)
			deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
			write(t, "{\"n\":2}\n{\"n\"", dir, "x.jsonl")
			if restart {
				d = openWith(t, dir)
				assert.Equal(t, "{\"n\":1}\n", content(t, dir, "x.jsonl"))
			}
			deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
			deliver(t, d, batch("x.jsonl", "e2", row("n", 2)))
			assert.Equal(t, "{\"n\":1}\n{\"n\":2}\n", content(t, dir, "x.jsonl"))
		})
	}
}

func TestAppend_TornJournalLineWasNotCommitted(t *testing.T) {
	for _, torn := range []string{"0", "00000000 done 99 0 \"e2\"", "00000000 done 99 0 \"e2\"\n", "\x00\x00\x00"} {
		t.Run(fmt.Sprintf("%q", torn), func(t *testing.T) {
			dir := t.TempDir()
			deliver(t, open(t, dir), batch("x.jsonl", "e1", row("n", 1)))
			write(t, "{\"n\":2}\n", dir, "x.jsonl")
			write(t, torn, journalOf(t, dir))

			d := open(t, dir)
			assert.Equal(t, "{\"n\":1}\n", content(t, dir, "x.jsonl"))
			deliver(t, d, batch("x.jsonl", "e2", row("n", 2)))
			deliver(t, open(t, dir), batch("x.jsonl", "e2", row("n", 2)))
			assert.Equal(t, "{\"n\":1}\n{\"n\":2}\n", content(t, dir, "x.jsonl"))
		})
	}
}

func TestAppend_DamagedJournalIsNotGuessedAt(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	for i := range 3 {
		deliver(t, d, batch("x.jsonl", fmt.Sprint("e", i), row("n", i)))
	}
	journal := journalOf(t, dir)
	text, err := os.ReadFile(journal)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(journal, []byte(strings.Replace(string(text), "done", "dome", 1)), 0o600))

	before := content(t, dir, "x.jsonl")
	err = open(t, dir).Deliver(t.Context(), batch("x.jsonl", "e9", row("n", 9)))
	require.ErrorContains(t, err, "is damaged in the line at byte")
	assert.Equal(t, before, content(t, dir, "x.jsonl"))
}

func TestAppend_FileThatBecameShorterIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	deliver(t, d, batch("x.jsonl", "e1", row("n", 1), row("n", 2)))
	require.NoError(t, os.Truncate(filepath.Join(dir, "x.jsonl"), 8))

	err := d.Deliver(t.Context(), batch("x.jsonl", "e2", row("n", 3)))
	require.ErrorContains(t, err, `target "x.jsonl": somebody changed the file: it has 8 bytes and 16 were delivered`)
	assert.Equal(t, "{\"n\":1}\n", content(t, dir, "x.jsonl"))
}

func TestAppend_RotatedFileBeginsAnew(t *testing.T) {
	for name, rotate := range map[string]func(path string) error{
		"renamed": func(path string) error { return os.Rename(path, path+".1") },
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir)
			deliver(t, d, batch("x.csv", "e1", row("a", 1, "b", 1)))
			deliver(t, d, batch("x.csv", "e2", row("a", 2)))
			require.NoError(t, rotate(filepath.Join(dir, "x.csv")))
			deliver(t, d, batch("x.csv", "e2", row("a", 2)))
			deliver(t, d, batch("x.csv", "e3", row("c", 3)))
			d = open(t, dir)
			deliver(t, d, batch("x.csv", "e1", row("a", 1, "b", 1)))
			deliver(t, d, batch("x.csv", "e4", row("c", 4)))
			assert.Equal(t, "c\n3\n4\n", content(t, dir, "x.csv"))
		})
	}
}

func TestAppend_FileOfSomebodyIsContinued(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	write(t, "\ufeffid,\"a \"\"b\"\"\r\n\"\r\n7,x\r\n", dir, "mine.csv")
	deliver(t, d, batch("mine.csv", "e1", row("a \"b\"\r\n", "y")))
	assert.Equal(t, "\ufeffid,\"a \"\"b\"\"\r\n\"\r\n7,x\r\n,y\n", content(t, dir, "mine.csv"))

	write(t, "{\"n\":1}", dir, "half.jsonl")
	err := d.Deliver(t.Context(), batch("half.jsonl", "e1", row("n", 2)))
	require.ErrorContains(t, err, "does not end with a line end")
	assert.Equal(t, "{\"n\":1}", content(t, dir, "half.jsonl"))
	write(t, "\n", dir, "half.jsonl")
	deliver(t, d, batch("half.jsonl", "e1", row("n", 2)))
	assert.Equal(t, "{\"n\":1}\n{\"n\":2}\n", content(t, dir, "half.jsonl"))
}

func TestAppend_EmptyBatchMakesTheFile(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	b := batch("x.csv", "e1")
	deliver(t, d, b)
	assert.Equal(t, "", content(t, dir, "x.csv"), "no columns are known yet")
	b.Fields, b.ExecutionID = []callsheet.Field{{Name: "b"}, {Name: "a"}}, "e2"
	deliver(t, d, b)
	b.ExecutionID = "e3"
	deliver(t, d, b)
	assert.Equal(t, "b,a\n", content(t, dir, "x.csv"))
}

// countdown is a context that ends when it was asked a number of times.
type countdown struct {
	context.Context
	left atomic.Int32
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

func TestAppend_CancelledBeforeTheCommitLeavesNothing(t *testing.T) {
	for _, mode := range []callsheet.WriteMode{callsheet.Append, callsheet.PerExecution} {
		dir := t.TempDir()
		d := open(t, dir)
		deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
		b := batch("x.jsonl", "e2", row("n", 2))
		b.Delivery.Mode = mode
		before := readAll(t, dir, "x.jsonl")
		ctx := &countdown{Context: t.Context()}
		ctx.left.Store(1) // alive when Deliver begins, ended when the records are written
		assert.Equal(t, context.Canceled, d.Deliver(ctx, b))
		assert.Equal(t, before, readAll(t, dir, "x.jsonl"), mode)
		deliver(t, d, b)
		assert.Len(t, readAll(t, dir, "x.jsonl"), 2, mode)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			assert.NotContains(t, e.Name(), ".tmp")
		}
	}
}

func TestAppend_SeveralDestinationsTakeTurns(t *testing.T) {
	dir := t.TempDir()
	var workers sync.WaitGroup
	const each = 100
	for range 4 {
		d := open(t, dir) // each with its own locks, like a process of its own
		workers.Go(func() {
			for i := range each {
				for _, target := range []string{"x.jsonl", "x.csv"} {
					assert.NoError(t, d.Deliver(t.Context(), batch(target, fmt.Sprint("e", i), row("n", i), row("n", -i))))
				}
			}
		})
	}
	workers.Wait()
	for _, target := range []string{"x.jsonl", "x.csv"} {
		seen := map[string]bool{}
		all := readAll(t, dir, target)
		for i := 0; i < len(all); i += 2 {
			seen[all[i].String()] = true
		}
		assert.Len(t, all, 2*each, target)
		assert.Len(t, seen, each, target)
	}
}
