package file_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func TestCSV_HostileCellsComeBackUnchanged(t *testing.T) {
	var table struct {
		Cases []struct{ Cell string }
	}
	text, err := os.ReadFile("testdata/csv_cells.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &table))
	require.NotEmpty(t, table.Cases)

	dir := t.TempDir()
	d := open(t, dir)
	for i, c := range table.Cases {
		alone, first := fmt.Sprintf("alone%d.csv", i), fmt.Sprintf("first%d.csv", i)
		deliver(t, d, batch(alone, "e", row("only", c.Cell)))
		deliver(t, d, batch(first, "e", row(c.Cell, c.Cell, "b", c.Cell, "c", nil)))
		assert.Equal(t, [][]string{{"only"}, {c.Cell}}, parseCSV(t, content(t, dir, alone)))
		assert.Equal(t, [][]string{{c.Cell, "b", "c"}, {c.Cell, c.Cell, ""}}, parseCSV(t, content(t, dir, first)))

		lines, err := csv.NewReader(bytes.NewReader([]byte(content(t, dir, first)))).ReadAll()
		require.NoError(t, err)
		folded := strings.ReplaceAll(c.Cell, "\r\n", "\n") // encoding/csv does that
		assert.Equal(t, [][]string{{folded, "b", "c"}, {folded, folded, ""}}, lines)

		// The header is read back when another process goes on with the file.
		deliver(t, open(t, dir), batch(first, "e2", row("c", c.Cell)))
		assert.Len(t, parseCSV(t, content(t, dir, first)), 3)
	}
}

func TestCSV_Values(t *testing.T) {
	dir := t.TempDir()
	deliver(t, open(t, dir), batch("x.csv", "e",
		row("nil", nil, "empty", "", "digits", json.Number("1.10"), "bool", true,
			"object", row("b", json.Number("1e2"), "a", nil), "list", []any{"x", 1.5}, "int", 7, "time", noon, "tags", []string{"<&>"}),
	))
	assert.Equal(t, "nil,empty,digits,bool,object,list,int,time,tags\n"+
		`,"",1.10,true,"{""b"":1e2,""a"":null}","[""x"",1.5]",7,2026-11-23T13:45:00Z,"[""<&>""]"`+"\n", content(t, dir, "x.csv"))
}

func TestCSV_OneEmptyCellIsNoBlankLine(t *testing.T) {
	dir := t.TempDir()
	deliver(t, open(t, dir), batch("x.csv", "e", row("a", nil), row("a", ""), row()))
	assert.Equal(t, "a\n\"\"\n\"\"\n\"\"\n", content(t, dir, "x.csv"))
}

func TestCSV_LaterBatchesFitTheHeader(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	deliver(t, d, batch("x.csv", "e1", row("a", 1), row("b", 2, "a", 2)))
	deliver(t, d, batch("x.csv", "e2", row("b", 3)))
	const want = "a,b\n1,\n2,2\n,3\n"
	assert.Equal(t, want, content(t, dir, "x.csv"))

	unknown := batch("x.csv", "e3", row("b", 4), row("b", 5, "c", 5))
	for _, b := range []callsheet.Batch{unknown, {Delivery: unknown.Delivery, ExecutionID: "e4", Fields: []callsheet.Field{{Name: "a"}, {Name: "c"}}}} {
		err := d.Deliver(t.Context(), b)
		require.ErrorContains(t, err, `column "c" is not in the file's header (a,b)`)
		assert.Equal(t, callsheet.ClassPermanent, callsheet.Classify(err), "another attempt meets the same header")
		assert.Equal(t, want, content(t, dir, "x.csv"))
	}
}

func TestDeliver_ValuesWithoutWordsLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	for target, want := range map[string]string{"x.jsonl": "record 1 cannot be written as JSON", "x.csv": "record 1 cannot be written as CSV"} {
		err := d.Deliver(t.Context(), batch(target, "e", row("n", 1), row("n", math.NaN())))
		require.ErrorContains(t, err, want)
		assert.Equal(t, callsheet.ClassPermanent, callsheet.Classify(err))
		assert.Equal(t, "(no file)", content(t, dir, target))
	}
	for name, b := range map[string]callsheet.Batch{
		"records without any value": batch("empty.csv", "e", row()),
		`column "a" comes twice`:    {Delivery: callsheet.Delivery{Target: "twice.csv"}, ExecutionID: "e", Fields: []callsheet.Field{{Name: "a"}, {Name: "a"}}},
		"without an execution ID":   batch("x.csv", "", row("n", 1)),
	} {
		err := d.Deliver(t.Context(), b)
		require.ErrorContains(t, err, name)
		assert.Equal(t, callsheet.ClassPermanent, callsheet.Classify(err))
	}
}
