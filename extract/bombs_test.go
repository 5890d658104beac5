package extract

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A bomb is an expression that is small and wants much.
type bomb struct {
	Lang, Expr, Expect string
	Doc                *struct {
		Gen              string
		N, Length, Depth int
	}
	body []byte // made of Doc where it is nil
}

const (
	bombDeadline = time.Second
	bombGrace    = 100 * time.Millisecond
	bombMemory   = 64 << 20
	bombVariable = "CALLSHEET_TEST_BOMB"
)

// bombs are those of testdata/hostile, and some of XPath, in which that has none.
func bombs(t testing.TB) []bomb {
	t.Helper()
	data, err := os.ReadFile("testdata/hostile/expression_bombs.json")
	require.NoError(t, err)
	var file struct{ Cases []bomb }
	require.NoError(t, json.Unmarshal(data, &file))
	list := file.Cases
	wide := []byte("<r>" + strings.Repeat("<a><b>x</b></a>", 5_000) + "</r>")
	deep := []byte(strings.Repeat("<a>", 5_000) + strings.Repeat("</a>", 5_000))
	for _, b := range []bomb{
		{Expr: "//*//*//*//*", body: deep},
		{Expr: "//*[count(//*) > 1]", body: wide},
		{Expr: "//*[string(/) = 'x']", body: wide},
		{Expr: "//b[//b != //b/@none or //b = 'y']", body: wide},
		{Expr: strings.Repeat("//*|", 500) + "//*", body: wide},
		{Expr: "//*[count(preceding::*) > count(following::*)]", body: wide},
		{Expr: strings.Repeat("concat(", 190) + "string(/)" + strings.Repeat(",string(/))", 190), body: wide},
		{Expr: "//*[translate(string(/), string(/), 'y')]", body: wide},
	} {
		b.Lang = "xpath"
		list = append(list, b)
	}
	return list
}

func (b bomb) answer() []byte {
	switch {
	case b.body != nil:
		return b.body
	case b.Doc == nil:
		return []byte("null")
	}
	switch b.Doc.Gen {
	case "nested-array":
		return []byte(strings.Repeat("[", b.Doc.Depth) + strings.Repeat("]", b.Doc.Depth))
	case "nested-object":
		return []byte(strings.Repeat(`{"a":`, b.Doc.Depth) + "1" + strings.Repeat("}", b.Doc.Depth))
	case "array":
		return []byte("[" + strings.Repeat("1,", b.Doc.N-1) + "1]")
	case "strings-of-a":
		text := strings.Repeat("a", b.Doc.Length)
		if b.Lang == "regex" {
			return []byte(strings.Repeat(text+"\n", b.Doc.N))
		}
		return []byte(`["` + strings.Join(slices.Repeat([]string{text}, b.Doc.N), `","`) + `"]`)
	default:
		panic("no document like " + b.Doc.Gen)
	}
}

func (b bomb) mapping() Mapping {
	switch b.Lang {
	case "regex":
		return Mapping{Format: FormatText, Pattern: "(?P<m>" + b.Expr + ")"}
	case "xpath":
		return Mapping{Format: FormatXML, Records: b.Expr, Fields: []Field{{Name: "a", Path: "."}}}
	default:
		return Mapping{Language: Language(b.Lang), Records: b.Expr}
	}
}

// bombReport is what a process that lit a bomb tells.
type bombReport struct {
	Elapsed time.Duration
	Peak    uint64 // of the heap, beyond what the answer took
	Error   string
	Records []string
}

// Each bomb ends within its deadline and its memory, in a process of its own where nothing else allocates.
func TestBombs(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("starts processes and measures them")
	}
	lit := 0
	for i, b := range bombs(t) {
		if b.Lang == "template" {
			continue // of requests: package fetch lights them
		}
		lit++
		t.Run(fmt.Sprintf("%s %s", b.Lang, shorten(b.Expr)), func(t *testing.T) {
			command := exec.Command(os.Args[0], "-test.run=^TestBombs_Light$")
			command.Env = append(os.Environ(), bombVariable+"="+strconv.Itoa(i))
			out, err := command.CombinedOutput()
			require.NoError(t, err, "%s", out)
			line, _, found := strings.Cut(string(out), "\n")
			require.True(t, found, "%s", out)
			var report bombReport
			require.NoError(t, json.Unmarshal([]byte(line), &report), "%s", out)
			assert.Less(t, report.Elapsed, bombDeadline+bombGrace)
			assert.Less(t, report.Peak, uint64(bombMemory))
			switch b.Expect {
			case "error":
				assert.NotEmpty(t, report.Error)
			case "no environment":
				assert.Equal(t, []string{"{}"}, report.Records)
			}
			t.Logf("%v, %d KiB, %d records, %s", report.Elapsed.Round(time.Millisecond), report.Peak>>10, len(report.Records), shorten(report.Error))
		})
	}
	assert.Equal(t, 39, lit)
}

// TestBombs_Light is the process that TestBombs starts.
func TestBombs_Light(t *testing.T) {
	number := os.Getenv(bombVariable)
	if number == "" {
		t.Skip("is started by TestBombs")
	}
	i, err := strconv.Atoi(number)
	require.NoError(t, err)
	b := bombs(t)[i]
	answer := b.answer()
	debug.SetGCPercent(25) // so that the heap is little more than what is held
	debug.FreeOSMemory()
	before := heapBytes()
	ctx, cancel := context.WithTimeout(t.Context(), bombDeadline)
	defer cancel()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		highest := uint64(0)
		for {
			highest = max(highest, heapBytes())
			select {
			case <-stop:
				peak <- highest
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	start := time.Now()
	var report bombReport
	var result Result
	x, err := New(b.mapping())
	if err == nil {
		result, err = x.Extract(ctx, Answer{Body: answer})
	}
	report.Elapsed = time.Since(start)
	close(stop)
	report.Peak = max(<-peak, before) - before
	if err != nil {
		report.Error = shorten(err.Error())
	}
	for _, r := range result.Records[:min(len(result.Records), 3)] {
		report.Records = append(report.Records, shorten(r.String()))
	}
	line, err := json.Marshal(report)
	require.NoError(t, err)
	fmt.Println(string(line))
}

// heapBytes is what the objects on the heap take, those included that wait to be collected.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
