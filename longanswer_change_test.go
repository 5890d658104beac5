package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What happens to long answers when definitions, or the answer itself, change between two attempts.

// table writes a CSV with the rows from one to another.
func table(from, to int) string {
	var b strings.Builder
	b.WriteString("id,text\n")
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "%d,item %[1]d\n", i)
	}
	return b.String()
}

// tagged is an API with one answer and an ETag, or none.
type tagged struct {
	body, etag string
	asked      []string // the query and the condition of each call
	mu         sync.Mutex
}

// says makes it another answer.
func (a *tagged) says(body, etag string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.body, a.etag = body, etag
}

func (a *tagged) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	condition := r.Header.Get("If-None-Match")
	a.asked = append(a.asked, r.URL.RawQuery+condition)
	if a.etag != "" && condition == a.etag {
		return response(r, 304, "", nil), nil
	}
	header := http.Header{}
	if a.etag != "" {
		header.Set("Etag", a.etag)
	}
	return response(r, 200, a.body, header), nil
}

// lostAt delivers a chunk and says once that it did not.
type lostAt struct {
	callsheet.Destination
	chunk int
	done  bool
}

func (d *lostAt) Deliver(ctx context.Context, b callsheet.Batch) error {
	err := d.Destination.Deliver(ctx, b)
	if b.Chunk == d.chunk && !d.done {
		d.done = true
		return errors.New("the answer was lost")
	}
	return err
}

// stoppedMidway executes "s" of a sheet until its fourth part fails.
func stoppedMidway(t *testing.T, api http.RoundTripper, sheet callsheet.Sheet) (callsheet.Scheduler, *destmemory.Destination, callsheet.Execution) {
	t.Helper()
	d := destmemory.New()
	sched := newExporter(t, memory.New(), api, &failingAt{d, 3, 1}, sheet)
	e, err := sched.Execute(t.Context(), "s")
	require.NoError(t, err)
	time.Sleep(500 * time.Millisecond)
	e = execution(t, sched, e.ID)
	require.Equal(t, 3, e.Progress.Parts, "%+v", e)
	return sched, d, e
}

func tableSheet() callsheet.Sheet {
	sheet := librarySheet(nil, nil)
	sheet.Extracts[0] = linesExtract(extract.FormatCSV)
	return sheet
}

func TestLongAnswer_OfDefinitionsThatWereEdited(t *testing.T) {
	for name, edit := range map[string]func(t *testing.T, sched callsheet.Scheduler){
		"pages are added": func(t *testing.T, sched callsheet.Scheduler) {
			r, err := sched.Requests().Get(t.Context(), "list")
			require.NoError(t, err)
			r.Pages = &callsheet.Pagination{By: callsheet.PageByNumber, Param: "page"}
			_, err = sched.Requests().Update(t.Context(), r)
			require.NoError(t, err)
		},
		"another path": func(t *testing.T, sched callsheet.Scheduler) {
			r, err := sched.Requests().Get(t.Context(), "list")
			require.NoError(t, err)
			r.Path = "/other"
			_, err = sched.Requests().Update(t.Context(), r)
			require.NoError(t, err)
		},
		"a header is none any more": func(t *testing.T, sched callsheet.Scheduler) {
			x, err := sched.Extracts().Get(t.Context(), "items")
			require.NoError(t, err)
			x.CSV = extract.CSV{Columns: []string{"id", "text"}}
			_, err = sched.Extracts().Update(t.Context(), x)
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &tagged{body: table(1, 20)}
				sched, d, e := stoppedMidway(t, api, tableSheet())
				before := ids(d)
				edit(t, sched)
				time.Sleep(time.Minute)
				e = execution(t, sched, e.ID)
				assert.Equal(t, callsheet.ClassPermanent, e.Class)
				assert.Contains(t, e.Error, "the request, or the format of its answers, was edited after 3 pages or parts of them")
				assert.Equal(t, before, ids(d))
				assert.Len(t, api.asked, 1)
			})
		})
	}
}

func TestLongAnswer_ValidatorsAreOfWhatWasDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &tagged{body: table(1, 20), etag: `"a"`}
		sched, d, e := stoppedMidway(t, api, tableSheet())
		time.Sleep(time.Minute)
		require.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State)
		assert.Equal(t, upTo(20), ids(d))
		assert.Equal(t, callsheet.ReasonUnchanged, reads(t, sched).Reason)
		assert.Equal(t, []string{"", "", `"a"`}, api.asked, "in the midst of an answer it is not asked for on condition")
	})
	synctest.Test(t, func(t *testing.T) { // the first parts went elsewhere
		api := &tagged{body: table(1, 20), etag: `"a"`}
		sched, d, e := stoppedMidway(t, api, tableSheet())
		delivery, err := sched.Deliveries().Get(t.Context(), "out")
		require.NoError(t, err)
		delivery.Target = "elsewhere"
		_, err = sched.Deliveries().Update(t.Context(), delivery)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State)
		require.Less(t, len(d.Records("elsewhere")), 20)
		assert.Empty(t, reads(t, sched).Reason, "what the new target lacks was expected to be asked for")
		assert.Greater(t, len(d.Records("elsewhere")), 20)
	})
	synctest.Test(t, func(t *testing.T) { // the answer that ended it had none
		api := &tagged{body: table(1, 20), etag: `"a"`}
		sched, d, e := stoppedMidway(t, api, tableSheet())
		api.says(table(1, 15), "")
		time.Sleep(time.Minute)
		require.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State)
		api.says(table(1, 20), `"a"`)
		reads(t, sched)
		assert.Contains(t, ids(d), 20)
	})
}

// A row that is longer than what is kept is a part of its own, of which only that it was about to be delivered is known.
func TestLongAnswer_WithARowThatIsTooLongToBeKept(t *testing.T) {
	first, long, last := table(1, 6), "7,"+strings.Repeat("x", 200)+"\n", strings.TrimPrefix(table(8, 20), "id,text\n")
	for name, tt := range map[string]struct {
		after string
		want  []int // nil: it fails
	}{
		"the same again":       {first + long + last, upTo(20)},
		"more behind it":       {first + long + last + "21,x\n", upTo(21)},
		"it is gone":           {first + last, nil},
		"it is another":        {first + strings.Replace(long, "x", "y", 1) + last, nil},
		"new rows before it":   {first + "30,x\n31,x\n" + long + last, nil},
		"nothing is there":     {"id,text\n", nil},
		"short, and cut there": {first, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, d := &tagged{body: first + long + last}, destmemory.New()
				sheet := tableSheet()
				chunk := -1
				counted := &noting{Destination: d, note: func(b callsheet.Batch) {
					if id, _ := b.Records[0].Get("id"); len(b.Records) > 0 && fmt.Sprint(id) == "7" {
						chunk = b.Chunk
						assert.Len(t, b.Records, 1)
					}
				}}
				lost := &lostAt{Destination: counted, chunk: 4}
				sched := newExporter(t, memory.New(), api, lost, sheet)
				e, err := sched.Execute(t.Context(), "s")
				require.NoError(t, err)
				time.Sleep(500 * time.Millisecond)
				synctest.Wait()
				require.Equal(t, 4, chunk, "the test is about that part")
				require.Equal(t, callsheet.StatePending, execution(t, sched, e.ID).State)
				api.says(tt.after, "")
				time.Sleep(time.Minute)
				e = execution(t, sched, e.ID)
				if tt.want == nil {
					assert.Equal(t, callsheet.ClassBadResponse, e.Class, e.Error)
					assert.Contains(t, e.Error, "it has changed since parts of it were delivered")
					assert.Equal(t, upTo(7), ids(d))
					return
				}
				require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				assert.Equal(t, tt.want, ids(d))
			})
		})
	}
}

// noting tells of each batch.
type noting struct {
	callsheet.Destination
	note func(b callsheet.Batch)
}

func (d *noting) Deliver(ctx context.Context, b callsheet.Batch) error {
	if len(b.Records) > 0 {
		d.note(b)
	}
	return d.Destination.Deliver(ctx, b)
}

func TestLongAnswer_APageThatCameBeforeIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, d := &tagged{body: table(1, 20)}, destmemory.New() // which knows no pages
		sheet := tableSheet()
		sheet.Requests[0].Pages = &callsheet.Pagination{By: callsheet.PageByNumber, Param: "page"}
		e := reads(t, newExporter(t, memory.New(), api, d, sheet))
		assert.Equal(t, callsheet.ClassBadResponse, e.Class)
		assert.Contains(t, e.Error, "page 2 came before")
		assert.Equal(t, upTo(20), ids(d))
	})
}

// A text with lines that match but no records is none that has changed.
func TestLongAnswer_TextWithoutWantedLines(t *testing.T) {
	for _, lines := range []int{5, 50} {
		synctest.Test(t, func(t *testing.T) {
			sheet := librarySheet(nil, nil)
			sheet.Extracts[0] = callsheet.Extract{ID: "items", Format: extract.FormatText, Language: extract.JQ, Pattern: `^(?P<level>\w+) (?P<m>.*)`,
				Records: `select(.level == "ERROR")`, Fields: []callsheet.Field{{Name: "id", Path: ".m"}}}
			api := &tagged{body: strings.Repeat("INFO all well\n", lines) + strings.Repeat("\n#\n", 50)}
			e := reads(t, newExporter(t, memory.New(), api, destmemory.New(), sheet))
			assert.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		})
	}
}

func TestLongAnswer_ARetryMayBeginItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, d := newExport(20), destmemory.New()
		sheet := exportSheet()
		sheet.Deliveries[0].Mode, sheet.Deliveries[0].Key = callsheet.Upsert, []string{"id"}
		changing := roundTrips(func(r *http.Request) *http.Response {
			x.change(func(rows []string) []string { return append([]string{fmt.Sprintf("%d,new", 100+x.calls)}, rows...) })
			response, _ := x.RoundTrip(r)
			return response
		})
		fails := &failingEach{Destination: d, every: 4}
		sched := newExporter(t, memory.New(), changing, fails, sheet)
		e := reads(t, sched)
		time.Sleep(time.Hour)
		require.Equal(t, callsheet.StateFailed, execution(t, sched, e.ID).State)
		synctest.Wait()
		fails.every = 1000
		_, err := sched.Retry(t.Context(), e.ID)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
	})
}

func TestLongAnswer_InACharsetThatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := roundTrips(func(r *http.Request) *http.Response {
			answer := response(r, 200, table(1, 20), nil)
			answer.Header.Set("Content-Type", "text/csv; charset=klingon")
			return answer
		})
		e := reads(t, newExporter(t, memory.New(), api, destmemory.New(), tableSheet()))
		assert.Equal(t, callsheet.ClassBadResponse, e.Class)
		assert.Equal(t, `extract: extract: the charset "klingon" is not known`, e.Error)
	})
}
