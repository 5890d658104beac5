package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/internal/pgtest"
)

func TestRun_DemoShowsSuccessRetryAndDeadLetter(t *testing.T) {
	dir := t.TempDir()
	text := runUntil(t, []string{"-for", "1m", "-out", dir},
		`earthquakes +succeeded +300 records, 233\.4 kB in `,
		`rates +retry +attempt 1 of 4: 503 Service Unavailable; next in \d+ms`,
		`rates +retry +attempt 2 of 4: 503 Service Unavailable; next in \d+ms`,
		`rates +succeeded +5 records, 15\.3 kB in .*, at attempt 3 of 4`,
		`hong-kong +failed +attempt 2 of 2: 500 Internal Server Error; attempts spent, now a dead letter`,
	)
	for _, want := range []string{
		`(?m)^  total( +[\d.]+(µs|ms|s| k?M?B)?){8}$`,
		`failing schedules: 1\n +hong-kong +since .* failed`,
		`dead letters: \d+\n +hong-kong .* failed after 2 attempts: .*out of order\n`,
		`hong-kong\.csv: not written`,
	} {
		assert.Regexp(t, want, text)
	}

	quakes := lines(t, filepath.Join(dir, "earthquakes.jsonl"))
	assert.Zero(t, len(quakes)%300, "every poll delivers its 300 records whole")
	for _, line := range quakes {
		var quake map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &quake), line)
		assert.Len(t, quake, 5, line)
	}
	assert.Equal(t, `{"id":"ci37868143","place":"4km W of Castaic, CA","magnitude":2,"time":1517966773840,"depth":26.49}`, quakes[0])

	rows, err := csv.NewReader(strings.NewReader(strings.Join(lines(t, filepath.Join(dir, "rates.csv")), "\n"))).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, []string{"day", "usd", "eur", "gbp", "jpy"}, rows[0])
	assert.Equal(t, []string{"2026-03-12", "1.3617", "1.5693", "1.8190", "0.008550"}, rows[1], "digits are kept, the last zero too")
	assert.Zero(t, (len(rows)-1)%5, "every poll delivers its 5 records whole")
}

// One of the three is never seen to work, so its Extract is tried here.
func TestDemoSheet_ExtractsFitTheAnswers(t *testing.T) {
	answers := map[string][]byte{"earthquakes": earthquakes, "rates": rates, "hong-kong": hongKong}
	first := map[string]string{
		"earthquakes": `{"id":"ci37868143","place":"4km W of Castaic, CA","magnitude":2,"time":1517966773840,"depth":26.49}`,
		"rates":       `{"day":"2026-03-12","usd":"1.3617","eur":"1.5693","gbp":"1.8190","jpy":"0.008550"}`,
		"hong-kong":   `{"day":"2026-02-28","usd":7.8245000000000005}`,
	}
	count := map[string]int{"earthquakes": 300, "rates": 5, "hong-kong": 4}
	for _, x := range demoSheet("http://127.0.0.1").Extracts {
		extractor, err := extract.New(x.Mapping())
		require.NoError(t, err)
		result, err := extractor.Extract(t.Context(), extract.Answer{Body: answers[x.ID]})
		require.NoError(t, err)
		records := result.Records
		require.Len(t, records, count[x.ID], x.ID)
		assert.Equal(t, first[x.ID], records[0].String())
		for _, record := range records {
			for name, value := range record.All() {
				assert.NotNil(t, value, "%s of %s has nothing in %s", name, x.ID, record)
			}
		}
	}
}

func TestRun_PollsTheURLThatIsGiven(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/orders?key=secret", r.URL.String())
		_, _ = w.Write([]byte(`{"orders":[{"id":9007199254740993,"amount":{"value":0.10}},{"id":7,"amount":null}]}`))
	}))
	defer api.Close()
	dir := t.TempDir()
	text := runUntil(t, []string{
		"-for", "1m", "-out", dir, "-url", api.URL + "/orders?key=secret", "-cron", "* * * * * *", "-zone", "Asia/Tokyo",
		"-records", "$.orders[*]", "-field", "id=$.id", "-field", "total=$.amount.value",
	}, `yours +succeeded +2 records`)

	got := lines(t, filepath.Join(dir, "records.jsonl"))
	require.NotEmpty(t, got)
	assert.Equal(t, []string{`{"id":9007199254740993,"total":0.10}`, `{"id":7,"total":null}`}, got[:2])
	assert.Contains(t, text, "every second in Asia/Tokyo")
	assert.Contains(t, text, "Needs attention\n  nothing\n")
	assert.NotContains(t, text, "secret")
	assert.NotContains(t, text, "earthquakes", "only the given API is polled")
}

func TestRun_StopsByItself(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{
		"-for", "50ms", "-out", t.TempDir(), "-url", "http://127.0.0.1:1", "-cron", "0 0 1 1 *",
	}, &out))
	assert.Regexp(t, `never run: 1\n +yours +since .* no execution has succeeded or failed yet\n\n`, out.String())
	assert.NotContains(t, out.String(), "next occurrence", "there is none: the program has ended")
	assert.NotContains(t, out.String(), "Stopping", "nobody interrupted it")
}

func TestRun_NamesAllThatIsWrongWithTheFlags(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"what the library refuses": {
			[]string{"-url", "ftp://x", "-cron", "61 * * * * FOO", "-zone", "Mars", "-records", "features", "-field", "a", "-field", "b=$.x["},
			[]string{
				`-url "ftp://x": `, `-records "features": `, `-field "a": `, `-field "b=$.x[": `, `-zone "Mars": `,
				`-cron "61 * * * * FOO": second "61": `, `-cron "61 * * * * FOO": day of week "FOO": `,
			},
		},
		"what makes no sense together": {
			[]string{"-for", "-3s", "-cron", "* * * * *", "-zone", "UTC", "more"},
			[]string{`-for "-3s": `, `-cron: needs -url`, `-zone: needs -url`, `"more": `},
		},
		"an unknown flag": {[]string{"-every", "5s"}, []string{"-every"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), test.args, &out)
			var usage *usageError
			require.ErrorAs(t, err, &usage)
			assert.Len(t, usage.lines, len(test.want), "each fault once: %v", err)
			for _, want := range test.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Empty(t, out.String())
		})
	}
}

// runUntil runs the program until its output matches all patterns, interrupts it as Ctrl-C would, and
// returns the whole output. It waits for what happens and not for a time, so that a busy machine only
// makes it slower.
func runUntil(t *testing.T, args []string, patterns ...string) string {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &watcher{interrupt: interrupt}
	for _, pattern := range patterns {
		out.awaited = append(out.awaited, regexp.MustCompile(pattern))
	}
	require.NoError(t, run(ctx, args, out))
	for _, pattern := range patterns {
		assert.Regexp(t, pattern, out.String())
	}
	assert.Contains(t, out.String(), "Stopping: what is running may finish")
	return out.String()
}

// A watcher keeps what is written, and interrupts when it has seen all that is awaited.
type watcher struct {
	bytes.Buffer
	awaited   []*regexp.Regexp
	interrupt func()
}

// Write is called by one goroutine at a time: the printer sees to that.
func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if !slices.ContainsFunc(w.awaited, func(re *regexp.Regexp) bool { return !re.Match(w.Bytes()) }) {
		w.interrupt()
	}
	return n, err
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.HasSuffix(content, []byte("\n")), "%s ends with a whole record", path)
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

func TestRun_GoesOnWhereItWas(t *testing.T) {
	for name, store := range map[string]func(t *testing.T) string{
		"file":     func(t *testing.T) string { return "file:" + filepath.Join(t.TempDir(), "kept.db") },
		"postgres": func(t *testing.T) string { return "postgres:" + pgtest.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-for", "1m", "-out", t.TempDir(), "-store", store(t)}
			polls := func() int {
				text := runUntil(t, args, `earthquakes +succeeded +300 records`)
				found := regexp.MustCompile(`(?m)^  earthquakes +(\d+)`).FindStringSubmatch(text)
				require.NotNil(t, found, text)
				n, err := strconv.Atoi(found[1])
				require.NoError(t, err)
				return n
			}
			first := polls()
			assert.Greater(t, polls(), first, "the second start was expected to count on from the first")
		})
	}

	err := run(t.Context(), []string{"-store", "paper"}, io.Discard)
	require.ErrorContains(t, err, `-store "paper": must be memory, file:PATH or postgres:DSN`)
}
