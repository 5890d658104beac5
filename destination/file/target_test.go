package file_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
)

// guarded returns a directory for a Destination, and a check that nothing beside it has changed. In the
// directory, symbolic links lead out.
func guarded(t *testing.T) (dir string, check func()) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "a", "root")
	outside := filepath.Join(top, "outside")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.MkdirAll(outside, 0o755))
	for _, name := range []string{"x", "x.jsonl", "sentinel.jsonl"} {
		require.NoError(t, os.WriteFile(filepath.Join(outside, name), []byte("sentinel\n"), 0o600))
	}
	for name, to := range map[string]string{
		"link": outside, "link.jsonl": filepath.Join(outside, "sentinel.jsonl"), "relative": "../../outside",
		"new.jsonl": filepath.Join(outside, "created.jsonl"), "inner": "inside",
	} {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "inside"), 0o755))
	snapshot := func() map[string]string {
		all := map[string]string{}
		require.NoError(t, filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
			if name == dir {
				return fs.SkipDir
			}
			if err == nil && e.Type().IsRegular() {
				text, err := os.ReadFile(name)
				all[name] = string(text)
				return err
			}
			all[name] = e.Type().String()
			return err
		}))
		return all
	}
	before := snapshot()
	return dir, func() {
		t.Helper()
		assert.Equal(t, before, snapshot(), "nothing outside the directory may be created or changed")
	}
}

func TestTarget_HostilePathsStayInside(t *testing.T) {
	var table struct {
		Cases []struct {
			Path   string
			Inside bool
		}
	}
	text, err := os.ReadFile("testdata/paths.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &table))
	require.NotEmpty(t, table.Cases)

	// The Destination is stricter than it would have to be for these.
	stricter := map[string]bool{"a\nb.jsonl": true, "\u2025/x.jsonl": true}
	for _, c := range table.Cases {
		target := c.Path
		if strings.Trim(target, ".") != "" {
			target += ".jsonl"
		}
		for _, mode := range []callsheet.WriteMode{callsheet.Append, callsheet.PerExecution} {
			t.Run(fmt.Sprintf("%.40q/%s", c.Path, mode), func(t *testing.T) {
				dir, check := guarded(t)
				d := open(t, dir)
				b := batch(target, "e", row("n", 1))
				b.Delivery.Mode = mode
				err := d.Deliver(t.Context(), b)
				check()

				room := 255
				if mode == callsheet.PerExecution {
					room = 160
				}
				if !c.Inside || stricter[target] || len(path.Base(target)) > room {
					faults := callsheet.ValidationErrors(err)
					require.NotEmpty(t, faults, "must be refused with the field's name, got %v", err)
					assert.Equal(t, "target", faults[0].Field)
					return
				}
				require.NoError(t, err)
				if mode == callsheet.Append {
					assert.Equal(t, "{\"n\":1}\n", content(t, dir, target))
				}
			})
		}
	}
}

func TestTarget_Rules(t *testing.T) {
	d := open(t, t.TempDir())
	for target, rules := range map[string][]string{
		"":                                      {"must name a file"},
		"x":                                     {"must end in .jsonl, .ndjson or .csv"},
		"x.JSONL":                               {"must end in"},
		"/x.csv":                                {"must be relative"},
		"a/../x.csv":                            {`must not contain ".."`},
		".../x.csv":                             {"nothing but dots and spaces"},
		". ./x.csv":                             {"nothing but dots and spaces"},
		"\uff0e\u200b\uff0e/x.csv":              {"nothing but dots and spaces"},
		"a\x7f.csv":                             {"control characters"},
		"a\u0085.csv":                           {"control characters"},
		"a\xff.csv":                             {"must be UTF-8"},
		"{{.ID}}.csv":                           {"is no template"},
		".callsheet/x.csv":                      {"belongs to the destination"},
		"./.CallSheet/x.csv":                    {"belongs to the destination"},
		strings.Repeat("x", 252) + ".csv":       {"more than 255 bytes"},
		strings.Repeat("x/", 2047) + "xxxx.csv": {"at most 4096 bytes"},
		"/../{{x}}\x00":                         {"must be relative", `".."`, "control", "template", "must end in"},
	} {
		faults := callsheet.ValidationErrors(d.Validate(callsheet.Delivery{ID: "d", Target: target}))
		if assert.Len(t, faults, len(rules), "%.50q: %v", target, faults) {
			for i, rule := range rules {
				assert.Contains(t, faults[i].Rule, rule)
				assert.Equal(t, target, faults[i].Value)
				assert.Equal(t, callsheet.Ref{Kind: callsheet.KindDelivery, ID: "d"}, faults[i].Ref)
			}
		}
	}
	long := callsheet.Delivery{Target: strings.Repeat("x", 200) + ".csv"}
	assert.NoError(t, d.Validate(long))
	long.Mode = callsheet.PerExecution
	assert.ErrorContains(t, d.Validate(long), "to leave room for the execution")
	for _, fine := range []string{"a.csv", "a/b c/ä.ndjson", "./a//b.jsonl", "..a/b...csv", strings.Repeat("x", 251) + ".csv"} {
		assert.NoError(t, d.Validate(callsheet.Delivery{Target: fine}), "%q", fine)
	}
}

func TestTarget_LongestNameLeavesRoomForTheExecution(t *testing.T) {
	d := open(t, t.TempDir())
	n := 255
	for ; n > 0; n-- {
		if d.Validate(callsheet.Delivery{Target: strings.Repeat("x", n-4) + ".csv", Mode: callsheet.PerExecution}) == nil {
			break
		}
	}
	b := batch(strings.Repeat("x", n-4)+".csv", strings.Repeat("x", 36), row("n", 1))
	b.Delivery.Mode, b.Chunk = callsheet.PerExecution, math.MaxInt
	deliver(t, d, b)
}

func TestTarget_SymbolicLinksAreRefusedInsideToo(t *testing.T) {
	dir, check := guarded(t)
	d := open(t, dir)
	for _, target := range []string{"link/new.csv", "link.jsonl", "new.jsonl", "relative/x.jsonl", "inner/x.csv"} {
		for _, mode := range []callsheet.WriteMode{callsheet.Append, callsheet.PerExecution} {
			b := batch(target, "e", row("n", 1))
			b.Delivery.Mode = mode
			assert.ErrorContains(t, d.Deliver(t.Context(), b), "must not lead over a symbolic link", target)
		}
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.csv"), 0o755))
	assert.ErrorContains(t, d.Deliver(t.Context(), batch("folder.csv", "e")), "must be a regular file")
	deliver(t, d, batch("plain.csv", "e"))
	assert.ErrorContains(t, d.Deliver(t.Context(), batch("plain.csv/x.csv", "e")), "must not lead through")
	check()
}

func TestTarget_CaseOnlyIsRefused(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	deliver(t, d, batch("Dir/x.csv", "e", row("n", 1)))
	for _, d := range []*file.Destination{d, open(t, dir)} {
		assert.ErrorContains(t, d.Deliver(t.Context(), batch("dir/X.csv", "e2", row("n", 1))), `differs in case only from "Dir/x.csv"`)
		deliver(t, d, batch("Dir/x.csv", "e3", row("n", 3)))
	}
	assert.Equal(t, "n\n1\n3\n", content(t, dir, "Dir/x.csv"))
}

func TestTarget_LinksThatChangeMeanwhileNeverLeadOut(t *testing.T) {
	dir, check := guarded(t)
	d := open(t, dir)
	stop := make(chan struct{})
	var attacker sync.WaitGroup
	attacker.Go(func() {
		folder, leaf := filepath.Join(dir, "swapped"), filepath.Join(dir, "leaf.jsonl")
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Symlink("../../outside", folder)
			_ = os.Symlink(filepath.Join("..", "..", "outside", "x.jsonl"), leaf)
			_ = os.Remove(folder)
			_ = os.Remove(leaf)
			_ = os.Mkdir(folder, 0o755)
			_ = os.RemoveAll(folder)
		}
	})
	for i := range 500 {
		for _, mode := range []callsheet.WriteMode{callsheet.Append, callsheet.PerExecution} {
			for _, target := range []string{"swapped/x.jsonl", "leaf.jsonl"} {
				b := batch(target, fmt.Sprint("e", i), row("n", i))
				b.Delivery.Mode = mode
				_ = d.Deliver(t.Context(), b) // may fail or not, as the race goes
			}
		}
	}
	close(stop)
	attacker.Wait()
	check()
}
