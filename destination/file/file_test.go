package file_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/destinationtest"
	"github.com/callsheet-go/callsheet/destination/file"
	"github.com/callsheet-go/callsheet/extract"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirVariable); dir != "" {
		os.Exit(deliverUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

func TestDestination(t *testing.T) {
	for target, modes := range map[string][]callsheet.WriteMode{
		"quakes.jsonl":          {"", callsheet.PerExecution}, // "" is Append
		"deep/er/quakes.ndjson": {callsheet.Append},
		"deep/quakes.csv":       {callsheet.Append, callsheet.PerExecution},
	} {
		for _, mode := range modes {
			t.Run(path.Base(target)+"/"+string(mode), func(t *testing.T) {
				destinationtest.Run(t, func(t *testing.T) destinationtest.Harness {
					dir := t.TempDir()
					d := open(t, dir)
					other := "other" + path.Ext(target)
					return destinationtest.Harness{
						Destination: d,
						Delivery:    callsheet.Delivery{ID: "d", Target: target, Mode: mode},
						Read:        func(t *testing.T) []callsheet.Record { return readAll(t, dir, target) },
						Other:       callsheet.Delivery{ID: "o", Target: other, Mode: mode},
						ReadOther:   func(t *testing.T) []callsheet.Record { return readAll(t, dir, other) },
						Reopen: func(t *testing.T) callsheet.Destination {
							require.NoError(t, d.Close())
							d = open(t, dir)
							return d
						},
						Invalid: []callsheet.Delivery{
							{ID: "none"}, {ID: "up", Target: "../x.csv"}, {ID: "type", Target: "x.parquet"}, {ID: "many", Target: "/{{.Name}}\n"},
						},
						Text: path.Ext(target) == ".csv",
					}
				})
			})
		}
	}
}

// open is for tests that have no use for sync.
func open(t testing.TB, dir string) *file.Destination {
	t.Helper()
	return openWith(t, dir, file.WithoutSync())
}

func openWith(t testing.TB, dir string, options ...file.Option) *file.Destination {
	t.Helper()
	d, err := file.New(dir, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// readAll returns the records of the target's file, and of the files of its executions by name.
func readAll(t *testing.T, dir, target string) []callsheet.Record {
	t.Helper()
	ext := path.Ext(target)
	names, err := filepath.Glob(filepath.Join(dir, strings.TrimSuffix(target, ext)+"*"+ext))
	require.NoError(t, err)
	slices.Sort(names)
	// "x-1.csv" is behind "x.csv", whatever the bytes say.
	slices.SortStableFunc(names, func(a, b string) int {
		return strings.Compare(strings.TrimSuffix(a, ext), strings.TrimSuffix(b, ext))
	})
	var all []callsheet.Record
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		if ext == ".csv" {
			all = append(all, csvRecords(t, text)...)
		} else {
			all = append(all, jsonRecords(t, text)...)
		}
	}
	return all
}

func jsonRecords(t *testing.T, text []byte) (all []callsheet.Record) {
	t.Helper()
	for line := range bytes.Lines(text) {
		require.True(t, bytes.HasSuffix(line, []byte("\n")), "half a record: %q", line)
		var r callsheet.Record
		require.NoError(t, json.Unmarshal(line, &r))
		all = append(all, r)
	}
	return all
}

// csvRecords reads text as RFC 4180 says, which encoding/csv does not: it turns CR LF in a cell to LF.
func csvRecords(t *testing.T, text []byte) (all []callsheet.Record) {
	t.Helper()
	lines := parseCSV(t, string(text))
	for i, cells := range lines {
		if i == 0 {
			continue
		}
		require.Len(t, cells, len(lines[0]), "line %d", i)
		values := make([]extract.Value, len(cells))
		for c, text := range cells {
			values[c] = extract.Value{Name: lines[0][c], Value: text}
		}
		all = append(all, extract.NewRecord(values...))
	}
	return all
}

func parseCSV(t *testing.T, text string) (lines [][]string) {
	t.Helper()
	var line []string
	for text != "" {
		var cell string
		if strings.HasPrefix(text, `"`) {
			var parts []string
			text = text[1:]
			for {
				end := strings.IndexByte(text, '"')
				require.GreaterOrEqual(t, end, 0, "a quote is not closed")
				parts = append(parts, text[:end])
				text = text[end+1:]
				if !strings.HasPrefix(text, `"`) {
					break
				}
				text = text[1:]
			}
			cell = strings.Join(parts, `"`)
		} else {
			end := strings.IndexAny(text, ",\n")
			require.GreaterOrEqual(t, end, 0, "the last line does not end")
			cell, text = text[:end], text[end:]
			require.NotContains(t, cell, `"`, "a quote in a bare cell")
			require.NotContains(t, cell, "\r", "a carriage return in a bare cell")
		}
		line = append(line, cell)
		require.Contains(t, ",\n", text[:1], "what follows a cell")
		if text[0] == '\n' {
			lines, line = append(lines, line), nil
		}
		text = text[1:]
	}
	return lines
}

var noon = time.Date(2026, 11, 23, 13, 45, 0, 0, time.UTC)

func batch(target, execution string, records ...callsheet.Record) callsheet.Batch {
	return callsheet.Batch{
		Delivery: callsheet.Delivery{ID: "d", Target: target}, ExecutionID: execution, ScheduledAt: noon, Records: records,
	}
}

func row(pairs ...any) callsheet.Record {
	var values []extract.Value
	for i := 0; i < len(pairs); i += 2 {
		values = append(values, extract.Value{Name: pairs[i].(string), Value: pairs[i+1]})
	}
	return extract.NewRecord(values...)
}

func deliver(t testing.TB, d *file.Destination, b callsheet.Batch) {
	t.Helper()
	require.NoError(t, d.Deliver(t.Context(), b))
}

func content(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "(no file)"
	}
	require.NoError(t, err)
	return string(text)
}

func journalOf(t testing.TB, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, ".callsheet", "*.journal"))
	require.NoError(t, err)
	require.Len(t, names, 1)
	return names[0]
}

func TestPerExecution_Names(t *testing.T) {
	const id = "0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b"
	dir := t.TempDir()
	d := openWith(t, dir)
	b := batch("dir/quakes.csv", id, row("n", 1))
	b.Delivery.Mode = callsheet.PerExecution
	for range 2 {
		for b.Chunk = range 2 {
			deliver(t, d, b)
		}
	}
	b.Chunk, b.ScheduledAt, b.ExecutionID = 0, noon.Add(time.Millisecond), "0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5c"
	deliver(t, d, b)
	b.ExecutionID = "../../OUT\x00"
	deliver(t, d, b)

	entries, err := os.ReadDir(filepath.Join(dir, "dir"))
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.ElementsMatch(t, []string{
		"quakes-20261123T134500Z-" + id + ".csv",
		"quakes-20261123T134500Z-" + id + "-1.csv",
		"quakes-20261123T134500Z-0193a7b2-3c4d-7e5f-8a9b-0c1d2e3f4a5c.csv",
		"quakes-20261123T134500Z-f29254050689dd96b691340f70dae5a4.csv", // an ID that is no part of a file name
	}, names)
	assert.Equal(t, "n\n1\n", content(t, dir, "dir/"+names[0]))
}

func TestPerExecution_RepeatChangesNothing(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	for n := range 3 {
		b := batch("x.jsonl", "e", row("n", n))
		b.Delivery.Mode = callsheet.PerExecution
		deliver(t, d, b)
	}
	assert.Equal(t, "{\"n\":0}\n", content(t, dir, "x-20261123T134500Z-e.jsonl"))
}

// Two workers may deliver one execution at once, each with the answer it got.
func TestPerExecution_WhatWasCommittedStays(t *testing.T) {
	dir := t.TempDir()
	workers := []*file.Destination{open(t, dir), open(t, dir)}
	const rounds = 300
	for round := range rounds {
		id := fmt.Sprint("e", round)
		name := "x-20261123T134500Z-" + id + ".jsonl"
		var start, done sync.WaitGroup
		start.Add(1)
		saw := make([]string, len(workers))
		for i, d := range workers {
			b := batch("x.jsonl", id, row("worker", i))
			b.Delivery.Mode = callsheet.PerExecution
			done.Go(func() {
				start.Wait()
				assert.NoError(t, d.Deliver(t.Context(), b))
				saw[i] = content(t, dir, name)
			})
		}
		start.Done()
		done.Wait()
		for _, text := range saw {
			require.Equal(t, text, content(t, dir, name), "round %d: another answer took the place of the delivered one", round)
		}
	}
}

func TestPerExecution_RemovesOldDebrisOnly(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{
		".callsheet-OLD.tmp": 2 * time.Hour, ".callsheet-NEW.tmp": 0, "mine.tmp": 2 * time.Hour,
	} {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		require.NoError(t, os.Chtimes(name, time.Time{}, time.Now().Add(-age)))
	}
	b := batch("x.jsonl", "e", row("n", 1))
	b.Delivery.Mode = callsheet.PerExecution
	deliver(t, open(t, dir), b)
	assert.Equal(t, "(no file)", content(t, dir, ".callsheet-OLD.tmp"))
	assert.Equal(t, "", content(t, dir, ".callsheet-NEW.tmp"))
	assert.Equal(t, "", content(t, dir, "mine.tmp"))
}

func TestNew_NeedsADirectory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	_, err := file.New(filepath.Join(dir, "f"))
	require.Error(t, err)

	outside := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, ".callsheet")))
	_, err = file.New(dir)
	require.ErrorContains(t, err, "journals")
}
