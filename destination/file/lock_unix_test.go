//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package file_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hold locks the journal as another process would that delivers.
func hold(t *testing.T, journal string) (release func()) {
	t.Helper()
	f, err := os.Open(journal)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	return func() { require.NoError(t, f.Close()) }
}

func TestLock_WaitEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
	defer hold(t, journalOf(t, dir))()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	assert.Equal(t, context.DeadlineExceeded, d.Deliver(ctx, batch("x.jsonl", "e2", row("n", 2))))
	open(t, dir) // does not wait: who holds the lock has mended the file
}

func TestLock_JournalThatWasReplacedMeanwhileIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
	journal := journalOf(t, dir)
	release := hold(t, journal)

	delivered := make(chan error)
	go func() { delivered <- d.Deliver(t.Context(), batch("x.jsonl", "e2", row("n", 2))) }()
	time.Sleep(20 * time.Millisecond)
	// The other process delivers e3, and puts a new journal in place.
	write(t, "{\"n\":3}\n", dir, "x.jsonl")
	text, err := os.ReadFile(journal)
	require.NoError(t, err)
	line := "done 16 0 \"e3\"\n"
	text = fmt.Appendf(text, "%08x %s", crc32.Checksum([]byte(line), crc32.MakeTable(crc32.Castagnoli)), line)
	require.NoError(t, os.WriteFile(journal+".new", text, 0o600))
	require.NoError(t, os.Rename(journal+".new", journal))
	release()

	require.NoError(t, <-delivered)
	assert.Equal(t, "{\"n\":1}\n{\"n\":3}\n{\"n\":2}\n", content(t, dir, "x.jsonl"))
}
