package callsheet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
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

// An export is an API whose answer is one table, of rows that can be changed.
type export struct {
	mu    sync.Mutex
	rows  []string // guarded by mu
	calls int      // guarded by mu
}

func newExport(n int) *export {
	x := &export{}
	for i := range n {
		x.rows = append(x.rows, fmt.Sprintf("%d,item %[1]d", i+1))
	}
	return x
}

func (x *export) change(f func(rows []string) []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rows = f(x.rows)
}

func (x *export) asked() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.calls
}

func (x *export) RoundTrip(r *http.Request) (*http.Response, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calls++
	return response(r, 200, fmt.Sprintf("made by call %d\nid,text\n%s\n", x.calls, strings.Join(x.rows, "\n")), nil), nil
}

func exportSheet() callsheet.Sheet {
	sheet := librarySheet(nil, nil)
	sheet.Extracts[0] = linesExtract(extract.FormatCSV)
	sheet.Extracts[0].CSV.SkipLines = 1
	return sheet
}

// failingAt fails a number of times to deliver a chunk.
type failingAt struct {
	callsheet.Destination
	chunk, times int
}

func (d *failingAt) Deliver(ctx context.Context, b callsheet.Batch) error {
	if b.Chunk == d.chunk && d.times > 0 {
		d.times--
		return errors.New("no room")
	}
	b.Delivery.Mode, b.Delivery.Key = callsheet.Append, nil // the one behind takes no other
	return d.Destination.Deliver(ctx, b)
}

func (d *failingAt) Validate(callsheet.Delivery) error { return nil }

// newExporter returns a running Scheduler for an export in parts of 25 bytes.
func newExporter(t *testing.T, store callsheet.Store, api http.RoundTripper, d callsheet.Destination, sheet callsheet.Sheet) callsheet.Scheduler {
	t.Helper()
	sched, err := callsheet.New(store, callsheet.WithDestination("d", d), callsheet.WithTransport(api), callsheet.WithWholeBytes(100))
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), sheet))
	start(t, sched)
	return sched
}

func TestLongAnswer_IsDeliveredInParts(t *testing.T) {
	for _, n := range []int{0, 1, 8, 9, 10, 100} {
		synctest.Test(t, func(t *testing.T) {
			x, d := newExport(n), destmemory.New()
			if n == 0 {
				x.rows = []string{}
			}
			store := memory.New()
			sched := newExporter(t, store, x, d, exportSheet())
			e := reads(t, sched)
			require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
			assert.Equal(t, upTo(n), ids(d))
			assert.EqualValues(t, n, e.Records)
			assert.Equal(t, 1, x.asked())
			batches := d.Batches("items")
			for i, b := range batches {
				assert.Equal(t, i, b.Chunk)
			}
			if n < 9 { // up to 100 bytes
				assert.Len(t, batches, 1)
				assert.Nil(t, e.Progress)
				return
			}
			assert.Greater(t, len(batches), n/4)
			assert.Equal(t, len(batches), e.Pages)
			assert.Equal(t, 1, e.Progress.Pages)
			assert.Equal(t, len(batches)-1, e.Progress.Parts)
			assert.Nil(t, e.Progress.Part)
			_, err := store.Answer(t.Context(), e.ID)
			assert.ErrorAs(t, err, new(*callsheet.NotFoundError), "what was kept goes with success")
		})
	}
}

func TestLongAnswer_AnExecutionGoesOnAtThePartWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, d := newExport(20), destmemory.New()
		store := memory.New()
		sched := newExporter(t, store, x, &failingAt{d, 3, 2}, exportSheet())
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.ReasonRetry, e.Reason)
		assert.Equal(t, 3, e.Progress.Parts)
		assert.True(t, e.Attempts[0].Unspent, "an attempt that delivered something is not spent")
		kept, err := store.Answer(t.Context(), e.ID)
		require.NoError(t, err)
		assert.Contains(t, string(kept.Body), "\nid,text\n", "a part has the header of the table")
		x.change(func(rows []string) []string { return append(rows, "21,new") }) // what comes behind the place changes nothing
		time.Sleep(time.Minute)
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, upTo(21), ids(d))
		assert.EqualValues(t, 21, e.Records)
		assert.Equal(t, 2, x.asked(), "the part that could not be delivered was kept; what follows was asked for again, once")
	})
}

func TestLongAnswer_ThatHasChanged(t *testing.T) {
	atTheTop := func(rows []string) []string { return append([]string{"99,new"}, rows...) }
	for name, tt := range map[string]struct {
		mode   callsheet.WriteMode
		change func([]string) []string
		want   []int // of which the first are those that were delivered before; nil: it fails
	}{
		"appended":                   {callsheet.Append, atTheTop, nil},
		"by key":                     {callsheet.Upsert, atTheTop, append([]int{99}, upTo(20)...)},
		"by key, new ones only":      {callsheet.InsertIgnore, atTheTop, append([]int{99}, upTo(20)...)},
		"by key, and shorter":        {callsheet.Upsert, func(rows []string) []string { return rows[18:] }, []int{19, 20}},
		"appended, and empty by now": {callsheet.Append, func([]string) []string { return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, d := newExport(20), destmemory.New()
				sheet := exportSheet()
				sheet.Deliveries[0].Mode = tt.mode
				if tt.mode == callsheet.Upsert || tt.mode == callsheet.InsertIgnore {
					sheet.Deliveries[0].Key = []string{"id"}
				}
				sched := newExporter(t, memory.New(), x, &failingAt{d, 3, 1}, sheet)
				e, err := sched.Execute(t.Context(), "s")
				require.NoError(t, err)
				time.Sleep(500 * time.Millisecond)
				x.change(tt.change)
				time.Sleep(time.Minute)
				e = execution(t, sched, e.ID)
				require.Greater(t, len(d.Batches("items")), 3, "%+v", e)
				records := 0
				for _, b := range d.Batches("items")[:4] { // the fourth was kept
					records += len(b.Records)
				}
				first := upTo(records)
				if tt.want == nil {
					assert.Equal(t, callsheet.StateFailed, e.State)
					assert.Equal(t, callsheet.ClassBadResponse, e.Class)
					assert.Contains(t, e.Error, "it has changed since ")
					assert.Equal(t, first, ids(d), "nothing of another answer was expected to be added")
					return
				}
				require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				assert.Equal(t, append(first, tt.want...), ids(d))
				assert.Equal(t, 1, e.Progress.Restarts)
			})
		})
	}
}

func TestLongAnswer_IsNotBegunAgainForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, d := newExport(20), destmemory.New()
		sheet := exportSheet()
		sheet.Deliveries[0].Mode, sheet.Deliveries[0].Key = callsheet.Upsert, []string{"id"}
		changing := roundTrips(func(r *http.Request) *http.Response {
			x.change(func(rows []string) []string { return append([]string{fmt.Sprintf("%d,new", 100+x.calls)}, rows...) })
			response, _ := x.RoundTrip(r)
			return response
		})
		sched := newExporter(t, memory.New(), changing, &failingEach{Destination: d, every: 4}, sheet)
		e := reads(t, sched)
		time.Sleep(time.Hour)
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StateFailed, e.State)
		assert.Contains(t, e.Error, "it has changed since ")
		assert.Less(t, x.asked(), 10)
	})
}

// failingEach fails each so many batches.
type failingEach struct {
	callsheet.Destination
	every, n int
}

func (d *failingEach) Deliver(ctx context.Context, b callsheet.Batch) error {
	if d.n++; d.n%d.every == 0 {
		return errors.New("no room")
	}
	b.Delivery.Mode, b.Delivery.Key = callsheet.Append, nil // the one behind takes no other
	return d.Destination.Deliver(ctx, b)
}

func (d *failingEach) Validate(callsheet.Delivery) error { return nil }

func TestLongAnswer_ABadRecordEndsItWhereItStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, d := newExport(20), destmemory.New()
		x.rows[10] = "eleven,x"
		sched := newExporter(t, memory.New(), x, d, exportSheet())
		e := reads(t, sched)
		require.Equal(t, callsheet.StateFailed, e.State)
		assert.Equal(t, callsheet.ClassBadResponse, e.Class)
		assert.Contains(t, e.Error, "extract: in the part of the answer up to byte ")
		assert.Contains(t, e.Error, `field "id"`)
		assert.NotEmpty(t, ids(d))
		assert.Less(t, len(ids(d)), 11, "parts before it are delivered, as pages are")

		x.change(func(rows []string) []string { rows[10] = "11,x"; return rows })
		_, err := sched.Retry(t.Context(), e.ID)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, upTo(20), ids(d))
	})
}

func TestLongAnswer_Text(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLibrary(50, 100), destmemory.New()
		l.format = extract.FormatText
		sheet := librarySheet(nil, nil)
		sheet.Extracts[0] = linesExtract(extract.FormatText)
		sched := newExporter(t, memory.New(), l, d, sheet)
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, upTo(50), ids(d))
		l.before = func(r *http.Request) *http.Response {
			return response(r, 200, strings.Repeat("not what it was\n", 20), nil)
		}
		e = reads(t, sched)
		assert.Equal(t, callsheet.ClassBadResponse, e.Class, "a text without a record in any part is not what was expected")
		assert.ErrorContains(t, errors.New(e.Error), "nothing there")
	})
}

// What has to be looked at as a whole is.
func TestLongAnswer_Whole(t *testing.T) {
	for name, change := range map[string]func(s *callsheet.Sheet){
		"JSON":       func(s *callsheet.Sheet) { s.Extracts[0] = librarySheet(nil, nil).Extracts[0] },
		"no Extract": func(s *callsheet.Sheet) { s.Schedules[0].Extract, s.Extracts = "", nil },
		"a token cursor": func(s *callsheet.Sheet) {
			s.Requests[0].Cursor = &callsheet.Cursor{Path: "$.token", Type: callsheet.CursorToken, Param: "t"}
		},
		"pages by what the answer says": func(s *callsheet.Sheet) {
			s.Requests[0].Pages = &callsheet.Pagination{By: callsheet.PageByToken, Path: "$.token", Param: "t"}
		},
		"the host's own language": func(s *callsheet.Sheet) { s.Extracts[0].Language = "own" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := `{"token":"","items":[{"id":1},{"id":2},{"id":3}],"more":"` + strings.Repeat("x", 200) + `"}`
				api := roundTrips(func(r *http.Request) *http.Response { return response(r, 200, body, nil) })
				sheet := librarySheet(nil, nil)
				sheet.Extracts[0] = callsheet.Extract{ID: "items", Format: extract.FormatNDJSON, Records: "$.items[*]", Fields: []callsheet.Field{{Name: "id", Path: "$.id"}}}
				requests := slices.Clone(sheet.Requests)
				change(&sheet)
				requests, sheet.Requests = sheet.Requests, requests
				d := destmemory.New()
				own := func(extract.Mapping) (extract.Extractor, error) { return wholeOnly{t, body}, nil }
				sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", d), callsheet.WithTransport(api), callsheet.WithWholeBytes(100), callsheet.WithExtractor("own", own))
				require.NoError(t, err)
				require.NoError(t, sched.Define(t.Context(), sheet))
				require.NoError(t, sched.Define(t.Context(), callsheet.Sheet{Requests: requests}), "an edit of the Request alone is not checked against the Extract")
				start(t, sched)
				e := reads(t, sched)
				require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				assert.Len(t, d.Batches("items"), 1)
				assert.True(t, e.Progress == nil || e.Progress.Parts == 0)
			})
		})
	}
}

type wholeOnly struct {
	t    *testing.T
	body string
}

func (x wholeOnly) Extract(_ context.Context, a extract.Answer) (extract.Result, error) {
	assert.Equal(x.t, x.body, string(a.Body))
	return extract.Result{}, nil
}

func TestLongAnswer_HashAndKeptAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := "id,text\n" + strings.Repeat("1,x\n", 100)
		api := roundTrips(func(r *http.Request) *http.Response { return response(r, 200, body, nil) })
		sheet := librarySheet(nil, nil)
		sheet.Extracts[0] = linesExtract(extract.FormatCSV)
		sheet.Requests[0].Unchanged = callsheet.UnchangedHash
		sheet.Schedules[0].KeepAnswers = 5
		d := destmemory.New()
		sched := newExporter(t, memory.New(), api, d, sheet)
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, callsheet.ReasonUnchanged, reads(t, sched).Reason)
		assert.Len(t, ids(d), 100)
		_, err := sched.Reextract(t.Context(), e.ID)
		assert.ErrorContains(t, err, "its answer came in parts, of which only the last is kept")
		body += "2,y\n"
		assert.Empty(t, reads(t, sched).Reason)
		assert.Len(t, ids(d), 201)
	})
}

func TestLongAnswer_DryRun(t *testing.T) {
	x, d := newExport(20), destmemory.New()
	sched := newExporter(t, memory.New(), x, d, exportSheet())
	report := dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s"})
	require.Nil(t, report.Failure)
	assert.True(t, report.More, "there are more parts")
	assert.EqualValues(t, len(report.Records), report.RecordCount)
	require.NotEmpty(t, report.Records)
	assert.Less(t, len(report.Records), 10)
	assert.Greater(t, report.Answer.Bytes, int64(100))
	assert.True(t, strings.HasPrefix(report.Answer.Body, "made by call 1\nid,text\n1,item 1\n"), report.Answer.Body)
	assert.NotNil(t, report.Preview)
	assert.Empty(t, d.Batches("items"))
}

func TestLongAnswer_WithoutRoomForIt(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "none")
	t.Setenv("TMPDIR", folder)
	t.Setenv("TMP", folder)
	synctest.Test(t, func(t *testing.T) {
		sheet := exportSheet()
		sheet.Schedules[0].MaxRetries = 20
		sched := newExporter(t, memory.New(), newExport(20), destmemory.New(), sheet)
		e := reads(t, sched)
		assert.Equal(t, callsheet.ClassTransient, e.Class)
		assert.Contains(t, e.Error, "keep the body in a temporary file")
		time.Sleep(10 * time.Minute)
		report, err := sched.Monitor(t.Context())
		require.NoError(t, err)
		assert.Empty(t, report.Circuits, "the API is not to blame")
	})
}

// A counting Destination holds no more than it is given.
type counting struct {
	callsheet.Destination
	mu      sync.Mutex
	records int    // guarded by mu
	heap    uint64 // the most that was in use; guarded by mu
}

func (d *counting) Deliver(_ context.Context, b callsheet.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records += len(b.Records)
	if b.Chunk%16 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		d.heap = max(d.heap, m.HeapAlloc)
	}
	return nil
}

func TestLongAnswer_MemoryIsThatOfAPart(t *testing.T) {
	const line = `{"id":123456,"name":"a name of some length","at":"2026-03-01T00:00:00Z","price":19.99}` + "\n"
	const lines = 96 << 20 / len(line)
	api := roundTrips(func(r *http.Request) *http.Response {
		body := &repeated{chunk: []byte(strings.Repeat(line, 100)), times: lines / 100}
		return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1, Header: http.Header{}, Body: io.NopCloser(body)}
	})
	d := &counting{Destination: destmemory.New()}
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", d), callsheet.WithTransport(api))
	require.NoError(t, err)
	sheet := librarySheet(nil, nil)
	sheet.Sources[0].MaxBodyBytes = 1 << 30
	sheet.Extracts[0] = linesExtract(extract.FormatNDJSON)
	require.NoError(t, sched.Define(t.Context(), sheet))
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start(t, sched)
	e, err := sched.Execute(t.Context(), "s")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return execution(t, sched, e.ID).State.Final() }, time.Minute, 10*time.Millisecond)
	e = execution(t, sched, e.ID)
	require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
	assert.Equal(t, lines/100*100, d.records)
	assert.EqualValues(t, lines/100*100*len(line), e.Bytes)
	used := d.heap - min(d.heap, before.HeapAlloc)
	assert.Less(t, used, uint64(24<<20), "of an answer of %d bytes", e.Bytes)
	t.Logf("%d MiB of an answer of %d MiB", used>>20, e.Bytes>>20)
}

// repeated is a text so many times.
type repeated struct {
	chunk []byte
	times int
	rest  bytes.Reader
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest.Len() == 0 {
		if r.times == 0 {
			return 0, io.EOF
		}
		r.times--
		r.rest.Reset(r.chunk)
	}
	return r.rest.Read(p)
}

func TestLongAnswer_InPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLibrary(50, 20), destmemory.New()
		l.format = extract.FormatNDJSON
		sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByLink}, nil)
		sheet.Extracts[0] = linesExtract(l.format)
		sheet.Extracts[0].Fields = append(sheet.Extracts[0].Fields, callsheet.Field{Name: "page", From: extract.Page})
		sched := newExporter(t, memory.New(), l, d, sheet)
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, upTo(50), ids(d))
		assert.Equal(t, 3, e.Progress.Pages)
		pages := map[string]int{}
		for _, r := range d.Records("items") {
			page, _ := r.Get("page")
			pages[fmt.Sprint(page)]++
		}
		assert.Equal(t, map[string]int{"1": 20, "2": 20, "3": 10}, pages, "%v", slices.Sorted(maps.Keys(pages)))
	})
}
