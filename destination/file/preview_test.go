package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func TestPreview_LooksAtTheFileAsItIs(t *testing.T) {
	for name, c := range map[string]struct {
		file  string // what is in x.csv before; "-" for none
		want  callsheet.Preview
		error string
	}{
		"a file that is not there is made":        {"-", callsheet.Preview{Inserted: 2, Creates: true}, ""},
		"a file of somebody's is continued":       {"n\n7\n", callsheet.Preview{Inserted: 2}, ""},
		"a header without the column is an error": {"m\n7\n", callsheet.Preview{}, `column "n" is not in the file's header (m)`},
		"half a line is an error":                 {"n\n7", callsheet.Preview{}, "does not end with a line end"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir)
			if c.file != "-" {
				write(t, c.file, dir, "x.csv")
			}
			b := batch("x.csv", "e1", row("n", 1), row("n", 2))
			b.Fields = []callsheet.Field{{Name: "n", Path: "$.n"}}
			p, err := d.Preview(t.Context(), b)
			if c.error == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.error)
				assert.ErrorContains(t, d.Deliver(t.Context(), b), c.error, "as Deliver says it")
			}
			assert.Equal(t, c.want, p)
		})
	}
}

func TestPreview_LeavesDebrisAndJournalsAlone(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	deliver(t, d, batch("x.csv", "e1", row("n", 1)))
	write(t, "2\n3", dir, "x.csv") // of a writer that was killed
	journal, err := os.ReadFile(journalOf(t, dir))
	require.NoError(t, err)
	for _, target := range []string{"x.csv", "deep/y.jsonl"} {
		for _, mode := range []callsheet.WriteMode{callsheet.Append, callsheet.PerExecution} {
			b := batch(target, "e2", row("n", 4))
			b.Delivery.Mode = mode
			p, err := d.Preview(t.Context(), b)
			require.NoError(t, err)
			assert.Equal(t, 1, p.Inserted)
		}
	}
	assert.Equal(t, "n\n1\n2\n3", content(t, dir, "x.csv"))
	after, err := os.ReadFile(journalOf(t, dir))
	require.NoError(t, err)
	assert.Equal(t, journal, after)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "the file and the folder of journals")

	_, err = d.Preview(t.Context(), batch("X.csv", "e2", row("n", 4)))
	assert.ErrorContains(t, err, "differs in case only")
	require.NoError(t, os.Truncate(filepath.Join(dir, "x.csv"), 2))
	_, err = d.Preview(t.Context(), batch("x.csv", "e2", row("n", 4)))
	assert.ErrorContains(t, err, "somebody changed the file")
}
