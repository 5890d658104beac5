package cron_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/cron"
)

var update = flag.Bool("update", false, "write the table of docs/time.md anew")

// A row of divergent.json: an expression on which implementations disagree.
type divergence struct {
	Expr    string
	From    time.Time
	Results map[string]json.RawMessage // four times, or "rejects"
}

// The table of docs/time.md says what we make of each expression on which others disagree.
func TestDocs_SayWhatWeDoWhereOthersDisagree(t *testing.T) {
	const (
		file  = "../docs/time.md"
		begin = "<!-- written by go test ./cron -run TestDocs -update: begin -->\n"
		end   = "<!-- end -->\n"
	)
	var table struct{ Cases []divergence }
	readTable(t, "divergent.json", &table)
	require.Len(t, table.Cases, 102)

	var b strings.Builder
	fmt.Fprintln(&b, "| expression | here | first time | the same in | otherwise in | refused by |")
	fmt.Fprintln(&b, "| --- | --- | --- | --- | --- | --- |")
	for _, row := range table.Cases {
		b.WriteString(row.tableRow(t))
	}

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "%s has lost the line %q", file, begin)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok, "%s has lost the line %q", file, end)
	want := head + begin + b.String() + end + tail
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(text), "%s is not what the code does; run go test ./cron -run TestDocs -update", file)
}

func (d *divergence) tableRow(t *testing.T) string {
	here, first := "", "–"
	s, err := cron.Parse(d.Expr, nil)
	if err != nil {
		faults := strings.Split(err.Error(), "\n")
		here = "refused: " + strings.ReplaceAll(faults[0], "*", `\*`)
		if more := len(faults) - 1; more > 0 {
			here += fmt.Sprintf(" (and %d more)", more)
		}
	} else {
		here = s.Describe()
		first = s.Next(d.From).Format("2006-01-02 15:04")
	}
	var same, otherwise, refused []string
	for name, result := range d.Results {
		var times []time.Time
		switch {
		case string(result) == `"rejects"`:
			refused = append(refused, name)
			continue
		case s == nil:
			otherwise = append(otherwise, name)
			continue
		}
		require.NoError(t, json.Unmarshal(result, &times))
		if sameTimes(times, upcoming(s, d.From, len(times))) && len(times) > 0 {
			same = append(same, name)
		} else {
			otherwise = append(otherwise, name)
		}
	}
	names := func(of []string) string {
		slices.Sort(of)
		return strings.Join(of, ", ")
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |\n", d.Expr, here, first, names(same), names(otherwise), names(refused))
}

// Nobody but us may read an expression as we do only where that is known and meant.
func TestNext_IsAloneOnNoExpression(t *testing.T) {
	var table struct{ Cases []divergence }
	readTable(t, "divergent.json", &table)
	for _, row := range table.Cases {
		s, err := cron.Parse(row.Expr, nil)
		if err != nil {
			continue
		}
		company := 0
		for _, result := range row.Results {
			var times []time.Time
			if json.Unmarshal(result, &times) == nil && len(times) > 0 && sameTimes(times, upcoming(s, row.From, len(times))) {
				company++
			}
		}
		assert.NotZero(t, company, "%q (%s)", row.Expr, s.Describe())
	}
}
