package file_test

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
)

// deliveredBefore adds to x.jsonl and its journal what the executions e<from> to e<to-1> would have left.
func deliveredBefore(t *testing.T, dir string, from, to int) {
	t.Helper()
	var data, journal strings.Builder
	end := size(dir, "x.jsonl")
	for i := from; i < to; i++ {
		n, _ := fmt.Fprintf(&data, "{\"n\":%d}\n", i)
		end += int64(n)
		line := fmt.Sprintf("done %d 0 \"e%d\"\n", end, i)
		fmt.Fprintf(&journal, "%08x %s", crc32.Checksum([]byte(line), crc32.MakeTable(crc32.Castagnoli)), line)
	}
	write(t, data.String(), dir, "x.jsonl")
	write(t, journal.String(), journalOf(t, dir))
}

func lines(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.Count(string(text), "\n")
}

const kept = 500

func openForgetful(t *testing.T, dir string) *file.Destination {
	t.Helper()
	d := open(t, dir)
	d.SetKept(kept)
	return d
}

func TestJournal_IsBounded(t *testing.T) {
	assert.Equal(t, 50_000, file.KeptBatches, "as the documentation says")
	dir := t.TempDir()
	d := openForgetful(t, dir)
	deliver(t, d, batch("x.jsonl", "e0", row("n", 0)))
	deliveredBefore(t, dir, 1, 2*kept)
	end := size(dir, "x.jsonl")

	for _, d := range []*file.Destination{d, openForgetful(t, dir)} {
		for i := kept; i < 2*kept; i++ {
			deliver(t, d, batch("x.jsonl", fmt.Sprint("e", i), row("n", i)))
		}
		assert.Equal(t, end, size(dir, "x.jsonl"), "the last batches are remembered")
		assert.Equal(t, kept+1, lines(t, journalOf(t, dir)))
	}
	deliver(t, d, batch("x.jsonl", "new", row("n", 1)))
	assert.Equal(t, end+int64(len("{\"n\":1}\n")), size(dir, "x.jsonl"))
}

func TestJournal_ThatCannotBeShortenedGrowsOn(t *testing.T) {
	dir := t.TempDir()
	d := openForgetful(t, dir)
	deliver(t, d, batch("x.jsonl", "e0", row("n", 0)))
	deliveredBefore(t, dir, 1, 2*kept)
	journal := journalOf(t, dir)
	// A folder in the place of the new journal keeps it from being written, as a full disk would.
	require.NoError(t, os.MkdirAll(filepath.Join(journal+".new", "x"), 0o755))

	for range 2 {
		deliver(t, d, batch("x.jsonl", "new", row("n", 1)))
		deliver(t, openForgetful(t, dir), batch("x.jsonl", "e7", row("n", 7)))
	}
	assert.Equal(t, 2*kept+2, lines(t, journal), "a base, those before, and the new one")

	require.NoError(t, os.RemoveAll(journal+".new"))
	for i := range kept / 10 {
		deliver(t, d, batch("x.jsonl", fmt.Sprint("later", i), row("n", i)))
	}
	assert.Less(t, lines(t, journal), kept+kept/5, "it is tried again later")
	before := size(dir, "x.jsonl")
	deliver(t, d, batch("x.jsonl", "new", row("n", 1)))
	assert.Equal(t, before, size(dir, "x.jsonl"))
	assert.NoFileExists(t, journal+".new")
}

// A shortening that fails half way leaves nothing of it, and is no failure of the delivery.
func TestJournal_ShorteningOnABrokenDisk(t *testing.T) {
	dir := t.TempDir()
	d := openForgetful(t, dir)
	deliver(t, d, batch("x.jsonl", "e0", row("n", 0)))
	deliveredBefore(t, dir, 1, 2*kept)
	refused := 0
	d.SetSync(func(f *os.File) error {
		if strings.HasSuffix(f.Name(), ".new") {
			refused++
			return syscall.ENOSPC
		}
		return nil
	})
	for i := range 3 {
		deliver(t, d, batch("x.jsonl", fmt.Sprint("new", i), row("n", 1)))
		assert.NoFileExists(t, journalOf(t, dir)+".new")
	}
	assert.Equal(t, 1, refused, "not tried at every delivery")
}

// A journal that was removed and made again may have the old one's inode, and by chance its size.
func TestJournal_AnotherInTheSameInodeIsReadAgain(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	d := open(t, dir)
	deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
	deliver(t, d, batch("x.jsonl", "e2", row("n", 2)))
	another := open(t, other)
	deliver(t, another, batch("x.jsonl", "e9", row("n", 9)))
	deliver(t, another, batch("x.jsonl", "e2", row("n", 2)))

	for _, name := range []string{journalOf(t, other), filepath.Join(other, "x.jsonl")} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		inPlace, err := filepath.Rel(other, name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, inPlace), text, 0o600))
	}
	deliver(t, d, batch("x.jsonl", "e9", row("n", 9)))
	deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
	assert.Equal(t, "{\"n\":9}\n{\"n\":2}\n{\"n\":1}\n", content(t, dir, "x.jsonl"))
}

func TestJournal_RemovedAndMadeAgain(t *testing.T) {
	dir := t.TempDir()
	d, another := open(t, dir), open(t, dir)
	for range 50 { // on many file systems the new journal has the old one's inode
		deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
		require.NoError(t, os.Remove(journalOf(t, dir)))
		require.NoError(t, os.Remove(filepath.Join(dir, "x.jsonl")))
		deliver(t, another, batch("x.jsonl", "e2", row("n", 2)))
		deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
		require.Equal(t, "{\"n\":2}\n{\"n\":1}\n", content(t, dir, "x.jsonl"))
		require.NoError(t, os.Remove(journalOf(t, dir)))
		require.NoError(t, os.Remove(filepath.Join(dir, "x.jsonl")))
	}
}

func TestJournal_FolderRemovedWhileInUseIsMadeAgain(t *testing.T) {
	for name, remove := range map[string]func(path string) error{
		"removed": os.RemoveAll,
		"renamed": func(path string) error { return os.Rename(path, path+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := openWith(t, dir)
			deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
			require.NoError(t, remove(filepath.Join(dir, ".callsheet")))
			own := batch("x.jsonl", "e2", row("n", 2))
			own.Delivery.Mode = callsheet.PerExecution
			deliver(t, d, own)
			require.NoError(t, os.RemoveAll(filepath.Join(dir, ".callsheet")))

			for range 2 {
				deliver(t, d, batch("x.jsonl", "e2", row("n", 2)))
			}
			deliver(t, openWith(t, dir), batch("x.jsonl", "e2", row("n", 2)))
			assert.Equal(t, "{\"n\":1}\n{\"n\":2}\n", content(t, dir, "x.jsonl"))
		})
	}
}

func TestJournal_DirectoryRemovedWhileInUseIsSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	d := open(t, dir)
	require.NoError(t, os.RemoveAll(dir))
	for _, mode := range []callsheet.WriteMode{callsheet.Append, callsheet.PerExecution} {
		b := batch("x.jsonl", "e1", row("n", 1))
		b.Delivery.Mode = mode
		err := d.Deliver(t.Context(), b)
		require.ErrorContains(t, err, "the directory was removed while in use: restart the process")
		require.ErrorContains(t, err, dir)
	}
}

func TestJournal_IsNamedWhereItMatters(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
	deliver(t, d, batch("x.jsonl", "e2", row("n", 2)))
	journal := journalOf(t, dir)
	assert.ErrorContains(t, d.Deliver(t.Context(), batch("X.jsonl", "e3")), fmt.Sprintf("%q", journal))

	text, err := os.ReadFile(journal)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(filepath.Join(dir, "x.jsonl"), 3))
	assert.ErrorContains(t, d.Deliver(t.Context(), batch("x.jsonl", "e3")), fmt.Sprintf("%q", journal))
	require.NoError(t, os.WriteFile(journal, []byte(strings.Replace(string(text), "done", "dome", 1)), 0o600))
	assert.ErrorContains(t, open(t, dir).Deliver(t.Context(), batch("x.jsonl", "e3")), fmt.Sprintf("journal %q is damaged", journal))
}
