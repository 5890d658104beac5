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
)

// A Deliver that returns an error has left nothing, whichever of its syncs it was that failed.
func TestFault_RefusedBatchIsNotVisible(t *testing.T) {
	for _, target := range []string{"a/b/x.jsonl", "a/b/x.csv"} {
		for _, mode := range []callsheet.WriteMode{callsheet.Append, callsheet.PerExecution} {
			for before := range 2 {
				for _, lasting := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s %s behind %d lasting %t", target, mode, before, lasting), func(t *testing.T) {
						syncs := 0
						for failSync(t, target, mode, before, syncs, lasting) {
							syncs++
						}
						require.GreaterOrEqual(t, syncs, 2, "of one Deliver")
					})
				}
			}
		}
	}
}

// failSync delivers behind some other Batches with a disk whose sync of that number fails, and those
// behind it where that is lasting. It returns false if there were not so many.
func failSync(t *testing.T, target string, mode callsheet.WriteMode, before, number int, lasting bool) bool {
	dir := t.TempDir()
	d := open(t, dir)
	next := func(n int, value any) callsheet.Batch {
		b := batch(target, fmt.Sprint("e", n), row("n", value))
		b.Delivery.Mode = mode
		return b
	}
	for n := range before {
		deliver(t, d, next(n, n))
	}
	expected := readAll(t, dir, target)

	broken := errors.New("the disk is broken")
	asked := 0
	d.SetSync(func(*os.File) error {
		asked++
		if asked == number+1 || lasting && asked > number {
			return broken
		}
		return nil
	})
	err := d.Deliver(t.Context(), next(before, "refused"))
	if asked <= number {
		require.NoError(t, err)
		return false
	}
	require.ErrorIs(t, err, broken, "sync %d", number)
	assert.Equal(t, expected, readAll(t, dir, target), "sync %d", number)
	assert.Empty(t, temporaries(t, dir), "sync %d", number)

	d.SetSync(func(*os.File) error { return nil })
	for range 2 {
		deliver(t, d, next(before, "good"))
		deliver(t, open(t, dir), next(before, "good"))
	}
	all := readAll(t, dir, target)
	require.Len(t, all, before+1, "sync %d", number)
	assert.Equal(t, `{"n":"good"}`, all[before].String(), "sync %d", number)
	return true
}

func temporaries(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(name, ".tmp") {
			names = append(names, name)
		}
		return err
	}))
	return names
}

// Behind the journal's line the Batch is delivered, whatever closing the files says.
func TestFault_CloseAfterTheCommitIsNoFailure(t *testing.T) {
	for _, kind := range []string{".jsonl", ".journal"} {
		dir := t.TempDir()
		d := openWith(t, dir)
		deliver(t, d, batch("x.jsonl", "e1", row("n", 1)))
		closed := 0
		d.SetSync(func(f *os.File) error {
			err := f.Sync()
			if strings.HasSuffix(f.Name(), kind) {
				closed++
				_ = f.Close() // so that Deliver's own Close fails
			}
			return err
		})
		assert.NoError(t, d.Deliver(t.Context(), batch("x.jsonl", "e2", row("n", 2))), kind)
		assert.Equal(t, 1, closed, kind)
		assert.Equal(t, "{\"n\":1}\n{\"n\":2}\n", content(t, dir, "x.jsonl"))
	}
}

// A file of somebody is claimed by the first Batch that it takes, not by one that does not fit.
func TestFault_BatchThatDoesNotFitLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	write(t, "a\n1\n", dir, "mine.csv")
	var classified *callsheet.ClassifiedError
	require.ErrorAs(t, d.Deliver(t.Context(), batch("mine.csv", "e1", row("b", 1))), &classified)
	assert.Equal(t, callsheet.ClassPermanent, classified.Class)
	write(t, "2\n", dir, "mine.csv")
	deliver(t, d, batch("mine.csv", "e2", row("a", 3)))
	assert.Equal(t, "a\n1\n2\n3\n", content(t, dir, "mine.csv"))

	require.ErrorAs(t, d.Deliver(t.Context(), batch("folder/new.jsonl", "e1", row("a", make(chan int)))), &classified)
	assert.NoDirExists(t, filepath.Join(dir, "folder"))
}
