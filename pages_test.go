package callsheet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
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

// A library is an API that lists items in pages, in each of the ways there are, those since a number only if asked to.
type library struct {
	size   int
	format extract.Format // of the answers; empty: JSON, with what is known of the next page
	// before, if not nil, answers in place of the library where it returns something.
	before func(r *http.Request) *http.Response

	mu    sync.Mutex
	items int            // there are; guarded by mu
	asked map[string]int // how often each page was answered, by the request that asks for it; guarded by mu
	times []time.Time    // of all calls; guarded by mu
}

func newLibrary(items, size int) *library {
	return &library{items: items, size: size, asked: map[string]int{}}
}

func (l *library) grow(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items += n
}

func response(r *http.Request, status int, body string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(body)),
		Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func (l *library) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.before != nil {
		if instead := l.before(r); instead != nil {
			return instead, nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, time.Now())
	query := r.URL.Query()
	since, _ := strconv.Atoi(query.Get("since"))
	from := since
	switch {
	case query.Has("number"):
		n, _ := strconv.Atoi(query.Get("number"))
		from += (n - 1) * l.size
	case query.Has("offset"):
		n, _ := strconv.Atoi(query.Get("offset"))
		from += n
	case query.Has("after"):
		from, _ = strconv.Atoi(strings.TrimPrefix(query.Get("after"), "item-"))
	}
	to := min(from+l.size, l.items)
	page := map[string]any{"items": []any{}}
	var items []any
	for i := from + 1; i <= to; i++ {
		items = append(items, map[string]any{"id": i, "text": fmt.Sprintf("item %d", i)})
	}
	if items != nil {
		page["items"] = items
	}
	header := http.Header{}
	if page["more"] = to < l.items; to < l.items {
		next := fmt.Sprintf("/list?after=item-%d", to)
		header.Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next))
		page["next"], page["token"] = "http://api.example"+next, fmt.Sprintf("item-%d", to)
	}
	l.asked[r.URL.RawQuery]++
	body, err := json.Marshal(page)
	if err != nil {
		return nil, err
	}
	if l.format != "" {
		return response(r, 200, inLines(l.format, items), header), nil
	}
	return response(r, 200, string(body), header), nil
}

// inLines writes items in a format that is made of lines.
func inLines(format extract.Format, items []any) string {
	var b strings.Builder
	if format == extract.FormatCSV {
		b.WriteString("id,text\n")
	}
	for _, item := range items {
		id := item.(map[string]any)["id"]
		switch format {
		case extract.FormatNDJSON:
			fmt.Fprintf(&b, "{\"id\":%d,\"text\":\"item %[1]d\"}\n", id)
		case extract.FormatCSV:
			fmt.Fprintf(&b, "%d,\"item\n%[1]d\"\n", id)
		default:
			fmt.Fprintf(&b, "# of the next line\n%d: item\n", id)
		}
	}
	return b.String()
}

// linesExtract is the Extract for what inLines writes.
func linesExtract(format extract.Format) callsheet.Extract {
	x := callsheet.Extract{ID: "items", Format: format, Fields: []callsheet.Field{{Name: "id", Path: "$.id", Type: extract.Integer}}}
	if format == extract.FormatText {
		x.Pattern = `^(?P<id>\d+): `
	}
	return x
}

// paginations are the ways to ask a library for pages of a size.
func paginations(size int) map[string]*callsheet.Pagination {
	return map[string]*callsheet.Pagination{
		"link":              {By: callsheet.PageByLink},
		"url":               {By: callsheet.PageByURL, Path: "$.next"},
		"token":             {By: callsheet.PageByToken, Path: "$.token", Param: "after"},
		"number":            {By: callsheet.PageByNumber, Param: "number"},
		"number, with size": {By: callsheet.PageByNumber, Param: "number", Size: size, SizeParam: "size"},
		"number, with more": {By: callsheet.PageByNumber, Param: "number", More: "$.more"},
		"offset":            {By: callsheet.PageByOffset, Param: "offset"},
		"offset, with size": {By: callsheet.PageByOffset, Param: "offset", Size: size, SizeParam: "size"},
	}
}

func librarySheet(pages *callsheet.Pagination, cursor *callsheet.Cursor) callsheet.Sheet {
	return callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
		Requests:   []callsheet.Request{{ID: "list", Source: "api", Path: "/list", Pages: pages, Cursor: cursor}},
		Extracts:   []callsheet.Extract{{ID: "items", Records: "$.items[*]", Fields: []callsheet.Field{{Name: "id", Path: "$.id"}}}},
		Deliveries: []callsheet.Delivery{{ID: "out", Destination: "d", Target: "items"}},
		Schedules:  []callsheet.Schedule{{ID: "s", Request: "list", Extract: "items", Delivery: "out", RetryDelay: time.Second, MaxRetries: 2}},
	}
}

// ids are those of the records delivered, in their order.
func ids(d *destmemory.Destination) []int {
	var all []int
	for _, r := range d.Records("items") {
		id, _ := r.Get("id")
		n, _ := strconv.Atoi(fmt.Sprint(id))
		all = append(all, n)
	}
	return all
}

func upTo(n int) []int {
	var all []int
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// newReader returns a Scheduler that reads from l, and runs, and where it delivers to.
func newReader(t *testing.T, l http.RoundTripper, sheet callsheet.Sheet, opts ...callsheet.Option) (callsheet.Scheduler, *destmemory.Destination) {
	t.Helper()
	d := destmemory.New()
	sched, err := callsheet.New(memory.New(), append(opts, callsheet.WithDestination("d", d), callsheet.WithTransport(l))...)
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), sheet))
	start(t, sched)
	return sched, d
}

// reads executes the schedule "s", and returns the execution after some time.
func reads(t *testing.T, sched callsheet.Scheduler) callsheet.Execution {
	t.Helper()
	e, err := sched.Execute(t.Context(), "s")
	require.NoError(t, err)
	time.Sleep(time.Minute)
	return execution(t, sched, e.ID)
}

func TestPages_EachWayReadsEverything(t *testing.T) {
	for name, pages := range paginations(3) {
		for _, items := range []int{0, 1, 3, 4, 9, 10} {
			t.Run(fmt.Sprintf("%s, %d items", name, items), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLibrary(items, 3)
					sched, d := newReader(t, l, librarySheet(pages, nil))
					e := reads(t, sched)
					require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
					assert.Equal(t, upTo(items), ids(d))
					assert.EqualValues(t, items, e.Records)
					assert.Equal(t, len(l.times), e.Progress.Pages)
					assert.Equal(t, len(l.times), e.Pages)
					batches := d.Batches("items")
					for i, b := range batches {
						assert.Equal(t, i, b.Chunk, "each page was expected to be a chunk")
					}
					for query, times := range l.asked {
						assert.Equal(t, 1, times, "page %q was asked for again", query)
					}
				})
			})
		}
	}
}

func TestPages_AnExecutionGoesOnAtThePageWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(10, 2)
		failures := map[string]int{"after=item-2": 503, "after=item-6": 429}
		l.before = func(r *http.Request) *http.Response {
			status := failures[r.URL.RawQuery]
			delete(failures, r.URL.RawQuery)
			switch status {
			case 0:
				return nil
			case 429:
				return response(r, 429, "", http.Header{"Retry-After": {"30"}})
			}
			return response(r, status, "", nil)
		}
		sched, d := newReader(t, l, librarySheet(&callsheet.Pagination{By: callsheet.PageByLink}, nil))
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StatePending, e.State)
		assert.Equal(t, callsheet.ReasonPartial, e.Reason, "an execution that has to wait for its quota is partial")
		assert.Equal(t, 3, e.Progress.Pages)
		assert.EqualValues(t, 6, e.Records)
		assert.Zero(t, e.Attempt, "attempts that delivered pages are not spent")
		time.Sleep(time.Minute)
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.StateSucceeded, e.State)
		assert.Equal(t, upTo(10), ids(d))
		assert.Equal(t, 5, e.Progress.Pages)
		assert.Equal(t, 2, e.Pages, "of the last attempt")
		for query, times := range l.asked {
			assert.Equal(t, 1, times, "page %q was asked for again", query)
		}
	})
}

func TestPages_WhatEachIsAskedWith(t *testing.T) {
	for name, tt := range map[string]struct {
		pages callsheet.Pagination
		want  []string // the queries; the second page is asked for twice
	}{
		"a link is followed as it is":   {callsheet.Pagination{By: callsheet.PageByLink}, []string{"lang=de&since=7", "after=item-9", "after=item-9"}},
		"and so is a URL":               {callsheet.Pagination{By: callsheet.PageByURL, Path: "$.next"}, []string{"lang=de&since=7", "after=item-9", "after=item-9"}},
		"a token comes to the request":  {callsheet.Pagination{By: callsheet.PageByToken, Path: "$.token", Param: "after"}, []string{"lang=de&since=7", "after=item-9&lang=de&since=7", "after=item-9&lang=de&since=7"}},
		"a number comes to the request": {callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", More: "$.more"}, []string{"lang=de&number=1&since=7", "lang=de&number=2&since=7", "lang=de&number=2&since=7"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLibrary(10, 2)
				var queries, keys []string
				l.before = func(r *http.Request) *http.Response {
					queries, keys = append(queries, r.URL.RawQuery), append(keys, r.Header.Get("Idempotency-Key"))
					if len(queries) == 2 {
						return response(r, 503, "", nil)
					}
					return nil
				}
				sheet := librarySheet(&tt.pages, sinceID())
				sheet.Requests[0].Method, sheet.Requests[0].Query = "POST", map[string]string{"lang": "de"}
				sheet.Requests[0].Cursor.Initial = "7"
				sched, d := newReader(t, l, sheet)
				e := reads(t, sched)
				require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				assert.Equal(t, []int{8, 9, 10}, ids(d))
				assert.Equal(t, tt.want, queries)
				assert.Equal(t, []string{e.ID + "-1", e.ID + "-2", e.ID + "-2"}, keys, "each page was expected to have a key of its own, the same for each attempt")
			})
		})
	}
}

func TestPages_ADeadLetterGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(6, 2)
		broken := true
		l.before = func(r *http.Request) *http.Response {
			if broken && r.URL.Query().Get("after") == "item-4" {
				return response(r, 404, "", nil)
			}
			return nil
		}
		sched, d := newReader(t, l, librarySheet(&callsheet.Pagination{By: callsheet.PageByURL, Path: "$.next"}, nil))
		e := reads(t, sched)
		require.Equal(t, callsheet.StateFailed, e.State)
		assert.Equal(t, upTo(4), ids(d), "pages are delivered as they come")
		broken = false
		_, err := sched.Retry(t.Context(), e.ID)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, e.ID).State)
		assert.Equal(t, upTo(6), ids(d))
		_, err = sched.Reextract(t.Context(), e.ID)
		assert.ErrorAs(t, err, new(*callsheet.ConflictError), "nothing is kept of it any more")
	})
}

func TestPages_WhatIsWrongWithThem(t *testing.T) {
	page := func(body string, header http.Header) func(*http.Request) *http.Response {
		return func(r *http.Request) *http.Response { return response(r, 200, body, header.Clone()) }
	}
	link := func(to string) http.Header { return http.Header{"Link": {"<" + to + `>; rel="next"`}} }
	number := callsheet.Pagination{By: callsheet.PageByNumber, Param: "number"}
	for name, tt := range map[string]struct {
		pages  callsheet.Pagination
		answer func(*http.Request) *http.Response
		fault  string
		calls  int // in all attempts
	}{
		"the same page for every number": {number, page(`{"items":[{"id":1}]}`, nil), "page 2, or its link to the next, came before", 5},
		"a link to itself": {callsheet.Pagination{By: callsheet.PageByLink}, func(r *http.Request) *http.Response {
			return response(r, 200, fmt.Sprintf(`{"items":[{"id":%d}]}`, rand.Int64()), link("/list?p=1"))
		}, "page 2, or its link to the next, came before", 5},
		"a circle of pages": {callsheet.Pagination{By: callsheet.PageByToken, Path: "$.token", Param: "after"}, func(r *http.Request) *http.Response {
			next := map[string]string{"": "a", "a": "b", "b": "c", "c": "a"}[r.URL.Query().Get("after")]
			return response(r, 200, fmt.Sprintf(`{"items":[{"id":%d}],"token":%q}`, rand.Int64(), next), nil)
		}, "page 4, or its link to the next, came before", 7},
		"a page at another host": {callsheet.Pagination{By: callsheet.PageByLink}, page(`{"items":[]}`, link("http://evil.example/")),
			"the next page is at http://evil.example, and not at http://api.example as the source is", 3},
		"a token that is none": {callsheet.Pagination{By: callsheet.PageByToken, Path: "$.token", Param: "after"}, page(`{"items":[],"token":{"a":1}}`, nil),
			`$.token is {"a":1}, not a text or a number`, 3},
		"more that is no boolean": {callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", More: "$.more"}, page(`{"items":[{"id":1}],"more":"yes"}`, nil),
			`$.more is "yes", not a boolean`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLibrary(0, 1)
				calls := 0
				l.before = func(r *http.Request) *http.Response { calls++; return tt.answer(r) }
				sched, _ := newReader(t, l, librarySheet(&tt.pages, nil))
				e := reads(t, sched)
				assert.Equal(t, callsheet.StateFailed, e.State)
				assert.Equal(t, callsheet.ClassBadResponse, e.Class)
				assert.Contains(t, e.Error, tt.fault)
				assert.LessOrEqual(t, calls, tt.calls)
			})
		})
	}
}

func TestPages_NoMoreThanWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(100, 10)
		sched, d := newReader(t, l, librarySheet(&callsheet.Pagination{By: callsheet.PageByLink, MaxPages: 3}, nil))
		e := reads(t, sched)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		assert.Equal(t, upTo(30), ids(d))
	})
}

// inTurn is an API that gives bodies by the parameter at.
func inTurn(at map[string]string) *library {
	l := newLibrary(0, 1)
	l.before = func(r *http.Request) *http.Response {
		body, ok := at[r.URL.Query().Get("at")]
		if !ok {
			return response(r, 404, "", nil)
		}
		return response(r, 200, body, nil)
	}
	return l
}

func TestPages_APageIsKnownAgainByItsRecords(t *testing.T) {
	number := callsheet.Pagination{By: callsheet.PageByNumber, Param: "number"}
	items := func(x callsheet.Extract) callsheet.Extract { x.ID = "items"; return x }
	id := []callsheet.Field{{Name: "id", Path: "$.id"}}
	same := func(page int) string { return fmt.Sprintf(`{"took":%d,"items":[{"id":1,"n":1.0},{"id":2}]}`, page) }
	for name, tt := range map[string]struct {
		pages   callsheet.Pagination
		extract callsheet.Extract
		body    func(page int) string // from 1
		known   bool                  // whether the second page is known to be the first; else five are read
	}{
		"with fields":                  {number, callsheet.Extract{Records: "$.items[*]", Fields: id}, same, true},
		"whole objects":                {number, callsheet.Extract{Records: "$.items"}, same, true},
		"in jq":                        {callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", Items: "$.items[*]"}, callsheet.Extract{Language: extract.JQ, Records: ".items[]", Fields: []callsheet.Field{{Name: "id", Path: ".id"}}}, same, true},
		"by offset":                    {callsheet.Pagination{By: callsheet.PageByOffset, Param: "offset"}, callsheet.Extract{Records: "$.items[*]", Fields: id}, same, true},
		"a page that tells its number": {number, callsheet.Extract{Records: "$.items[*]", Fields: append([]callsheet.Field{{Name: "page", From: extract.Page}}, id...)}, same, true},
		"each page has another token":  {callsheet.Pagination{By: callsheet.PageByToken, Path: "$.took", Param: "at"}, callsheet.Extract{Records: "$.items[*]", Fields: id}, same, true},
		"records that are set aside": {number, callsheet.Extract{Records: "$.items[*]", BadRecords: extract.SkipRecords,
			Fields: []callsheet.Field{{Name: "id", Path: "$.none", Required: true}}}, same, true},
		"only the fields agree": {number, callsheet.Extract{Records: "$.items[*]", Fields: id},
			func(page int) string { return fmt.Sprintf(`{"items":[{"id":1,"at":%d}]}`, page) }, false},
		"another order": {number, callsheet.Extract{Records: "$.items[*]", Fields: id},
			func(page int) string { return `{"items":[{"id":1}` + strings.Repeat(`,{"id":1}`, page) + `]}` }, false},
		"records that are too much together": {callsheet.Pagination{By: callsheet.PageByToken, Path: "$.took", Param: "at"}, callsheet.Extract{Records: "$.items..*", Fields: id},
			func(page int) string {
				return fmt.Sprintf(`{"took":%d,"items":%s%s}`, page, strings.Repeat("[", 3000), strings.Repeat("]", 3000))
			}, false},
		"lines, whose bytes count": {number, callsheet.Extract{Format: extract.FormatNDJSON, Fields: id},
			func(page int) string { return fmt.Sprintf("%*s\n", 10+page, `{"id":1}`) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLibrary(0, 1)
				calls := 0
				l.before = func(r *http.Request) *http.Response {
					if calls++; calls > 5 {
						return response(r, 404, "", nil)
					}
					return response(r, 200, tt.body(calls), nil)
				}
				sheet := librarySheet(&tt.pages, nil)
				sheet.Extracts[0], sheet.Schedules[0].MaxRetries = items(tt.extract), callsheet.NoRetries
				sched, d := newReader(t, l, sheet)
				e := reads(t, sched)
				if !tt.known {
					assert.Equal(t, callsheet.ClassPermanent, e.Class, "%s", e.Error)
					assert.Len(t, d.Batches("items"), 5)
					return
				}
				assert.Equal(t, callsheet.ClassBadResponse, e.Class)
				assert.Contains(t, e.Error, "page 2, or its link to the next, came before")
				assert.Len(t, d.Batches("items"), 1)
			})
		})
	}
}

func TestPages_WhereMoreIsGivenItDecides(t *testing.T) {
	for name, tt := range map[string]struct {
		pages   callsheet.Pagination
		answers map[string]string
		want    []int
		fault   string // empty: it succeeds
	}{
		"a page without items, by number": {callsheet.Pagination{By: callsheet.PageByNumber}, map[string]string{
			"1": `{"items":[{"id":9}],"more":true}`, "2": `{"items":[],"more":true}`, "3": `{"items":[{"id":3}],"more":false}`}, []int{9, 3}, ""},
		"a short page, by number": {callsheet.Pagination{By: callsheet.PageByNumber, Size: 2}, map[string]string{
			"1": `{"items":[{"id":1}],"more":true}`, "2": `{"items":[{"id":2},{"id":3}],"more":false}`}, []int{1, 2, 3}, ""},
		"a short page, by offset": {callsheet.Pagination{By: callsheet.PageByOffset, Size: 2}, map[string]string{
			"0": `{"items":[{"id":1}],"more":true}`, "1": `{"items":[{"id":2},{"id":3}],"more":false}`}, []int{1, 2, 3}, ""},
		"a full page that is the last": {callsheet.Pagination{By: callsheet.PageByNumber, Size: 1}, map[string]string{
			"1": `{"items":[{"id":1}],"more":false}`}, []int{1}, ""},
		"null is false": {callsheet.Pagination{By: callsheet.PageByNumber, Size: 1}, map[string]string{
			"1": `{"items":[{"id":1}],"more":null}`}, []int{1}, ""},
		"by offset, the same would be asked for": {callsheet.Pagination{By: callsheet.PageByOffset}, map[string]string{
			"0": `{"items":[{"id":1}],"more":true}`, "1": `{"items":[],"more":true}`}, []int{1}, "$.more says that there are more pages, but this one has no items: the offset would stay the same"},
		"it has another name": {callsheet.Pagination{By: callsheet.PageByNumber}, map[string]string{
			"1": `{"items":[{"id":1}],"has_more":true}`}, nil, "find out whether there are more pages: $.more: nothing there"},
		"no token although there are more": {callsheet.Pagination{By: callsheet.PageByToken, Path: "$.token"}, map[string]string{
			"": `{"items":[{"id":1}],"more":true}`}, nil, "$.more says that there are more pages, but the answer has no token for the next"},
		"a token although there are no more": {callsheet.Pagination{By: callsheet.PageByToken, Path: "$.token"}, map[string]string{
			"": `{"items":[{"id":1}],"more":false,"token":"a"}`}, []int{1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.pages.Param, tt.pages.More = "at", "$.more"
				sched, d := newReader(t, inTurn(tt.answers), librarySheet(&tt.pages, nil))
				e := reads(t, sched)
				assert.Equal(t, tt.want, ids(d))
				if tt.fault == "" {
					assert.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
					return
				}
				assert.Equal(t, callsheet.ClassBadResponse, e.Class)
				assert.Contains(t, e.Error, tt.fault)
			})
		})
	}
}

func TestPages_WithMoreNobodyNeedsToSayWhatIsCountedByNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", More: "$.more"}, nil)
		sheet.Extracts[0].Records = "$.items[?@.id>4]"
		sched, d := newReader(t, newLibrary(10, 3), sheet)
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, []int{5, 6, 7, 8, 9, 10}, ids(d))
	})
}

func TestPages_AnOffsetIsKnownBesideMore(t *testing.T) {
	for name, items := range map[string]string{"each item is a record": "", "items are said": "$.items[*]"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByNumber, More: "$.more", Items: items}, nil)
				sheet.Requests[0].Query = map[string]string{"at": "{{.Page.Number}}-{{.Page.Offset}}"}
				sched, d := newReader(t, inTurn(map[string]string{
					"1-0": `{"items":[{"id":1},{"id":2}],"more":true}`, "2-2": `{"items":[],"more":true}`, "3-2": `{"items":[{"id":3}],"more":false}`,
				}), sheet)
				e := reads(t, sched)
				require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				assert.Equal(t, upTo(3), ids(d))
			})
		})
	}
}

func TestPages_MoreThanThereCanBe(t *testing.T) {
	for name, tt := range map[string]struct {
		max  int
		want int // pages, after 9,998
	}{
		"nobody said how many":  {0, 2},
		"so many that are more": {callsheet.DefaultMaxPages + 5, 7},
	} {
		t.Run(name, func(t *testing.T) {
			var run callsheet.Pipeline
			d := destmemory.New()
			_, err := callsheet.New(memory.New(), callsheet.WithTransport(newLibrary(20_000, 1)), callsheet.WithDestination("d", d),
				callsheet.WithPipeline(func(p callsheet.Pipeline) callsheet.Pipeline { run = p; return p }))
			require.NoError(t, err)
			sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", MaxPages: tt.max}, nil)
			progress := &callsheet.Progress{Pages: callsheet.DefaultMaxPages - 2, Next: callsheet.PageState{Number: callsheet.DefaultMaxPages - 1}}
			result, err := run.Run(t.Context(), callsheet.Call{Execution: callsheet.Execution{ID: "e", Result: callsheet.Result{Progress: progress}}, Schedule: sheet.Schedules[0], Source: sheet.Sources[0],
				Request: sheet.Requests[0], Extract: &sheet.Extracts[0], Delivery: &sheet.Deliveries[0]})
			if tt.max == 0 {
				assert.ErrorContains(t, err, "there are more than 10000 pages")
				assert.Equal(t, callsheet.ClassBadResponse, callsheet.Classify(err))
				assert.Len(t, d.Batches("items"), tt.want-1, "the last is not delivered")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, result.Pages)
		})
	}
}

func TestPages_NoBoundBesideACursor(t *testing.T) {
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", destmemory.New()))
	require.NoError(t, err)
	sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByLink, MaxPages: 3}, sinceID())
	err = sched.Define(t.Context(), sheet)
	assert.Equal(t, []string{"pages.max_pages"}, slices.Collect(maps.Keys(faultsOf(err))), "%v", err)
	sheet.Requests[0].Cursor = nil
	assert.NoError(t, sched.Define(t.Context(), sheet))
}

func TestPages_RefusedWhenDefined(t *testing.T) {
	start := -1
	for name, tt := range map[string]struct {
		pages callsheet.Pagination
		want  []string
	}{
		"no way":                   {callsheet.Pagination{}, []string{"pages.by"}},
		"no path":                  {callsheet.Pagination{By: callsheet.PageByURL}, []string{"pages.path"}},
		"a path that is none":      {callsheet.Pagination{By: callsheet.PageByURL, Path: "next["}, []string{"pages.path"}},
		"a path for nothing":       {callsheet.Pagination{By: callsheet.PageByLink, Path: "$.next"}, []string{"pages.path"}},
		"no parameter, and more":   {callsheet.Pagination{By: callsheet.PageByNumber, More: "?", Size: -1, MaxPages: -1, Start: &start}, []string{"pages.more", "pages.param", "pages.size", "pages.start", "pages.max_pages"}},
		"a parameter for nothing":  {callsheet.Pagination{By: callsheet.PageByLink, Param: "page"}, []string{"pages.param"}},
		"items for nothing":        {callsheet.Pagination{By: callsheet.PageByLink, Items: "$.a"}, []string{"pages.items"}},
		"a size that is not known": {callsheet.Pagination{By: callsheet.PageByLink, SizeParam: "per_page"}, []string{"pages.size"}},
	} {
		t.Run(name, func(t *testing.T) {
			sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", destmemory.New()))
			require.NoError(t, err)
			err = sched.Define(t.Context(), librarySheet(&tt.pages, nil))
			assert.ElementsMatch(t, tt.want, slices.Collect(maps.Keys(faultsOf(err))), "%v", err)
		})
	}
}

// Only where a Request and an Extract meet does it show that pages cannot be told from the answer.
func TestPages_WhatTheExtractsAnswerCannotTellIsRefused(t *testing.T) {
	fields := []callsheet.Field{{Name: "id", Path: "id"}}
	xml := callsheet.Extract{Format: extract.FormatXML, Records: "//item", Fields: fields}
	lines := callsheet.Extract{Format: extract.FormatNDJSON}
	number := callsheet.Pagination{By: callsheet.PageByNumber, Param: "page"}
	with := func(p callsheet.Pagination, edit func(*callsheet.Pagination)) callsheet.Pagination {
		edit(&p)
		return p
	}
	type fault struct{ field, value, rule string }
	for name, tt := range map[string]struct {
		pages   *callsheet.Pagination
		cursor  *callsheet.Cursor
		extract callsheet.Extract
		want    fault // the zero value: it is taken
	}{
		"XML by number": {&number, nil, xml, fault{}},
		"XML by link":   {&callsheet.Pagination{By: callsheet.PageByLink}, nil, xml, fault{}},
		"XML by URL": {&callsheet.Pagination{By: callsheet.PageByURL, Path: "$.next"}, nil, xml,
			fault{"pages.path", "$.next", `is a JSONPath, but the answer is xml by extract "x": its pages can be by link, number or offset`}},
		"CSV by token": {&callsheet.Pagination{By: callsheet.PageByToken, Path: "$.next", Param: "at"}, nil, callsheet.Extract{Format: extract.FormatCSV},
			fault{"pages.path", "$.next", `is a JSONPath, but the answer is csv by extract "x": its pages can be by link, number or offset`}},
		"XML with more": {new(with(number, func(p *callsheet.Pagination) { p.More = "$.more" })), nil, xml,
			fault{"pages.more", "$.more", `must be empty: it is a JSONPath, but the answer is xml by extract "x"`}},
		"XML with items": {new(with(number, func(p *callsheet.Pagination) { p.Items = "$.item" })), nil, xml,
			fault{"pages.items", "$.item", `must be empty: it is a JSONPath, but the answer is xml by extract "x", of which the records are counted`}},
		"XML with a predicate": {&number, nil, callsheet.Extract{Format: extract.FormatXML, Records: "//item[@new]", Fields: fields},
			fault{"pages.by", "number", `must be link, unless each record of extract "x" is an item: its records must be a path without predicates, such as //item`}},
		"XML without records": {&number, nil, callsheet.Extract{Format: extract.FormatXML, Fields: fields},
			fault{"pages.by", "number", `must be link, unless each record of extract "x" is an item: its records must be a path without predicates, such as //item`}},
		"lines": {&number, nil, lines, fault{}},
		"lines that are unfolded": {&number, nil, callsheet.Extract{Format: extract.FormatNDJSON, Records: "$.a"},
			fault{"pages.by", "number", `must be link, unless each record of extract "x" is an item: its records must be empty`}},
		"JSON":              {&number, nil, callsheet.Extract{Records: "$.items"}, fault{}},
		"JSON of any shape": {&number, nil, callsheet.Extract{}, fault{}},
		"JSON that is filtered": {&number, nil, callsheet.Extract{Records: "$.items[?@.a]"},
			fault{"pages.items", "", `must say what is counted, such as $.items[*]: a record of extract "x" is not an item of the page each`}},
		"jq": {&number, nil, callsheet.Extract{Language: extract.JQ, Records: ".items[]"},
			fault{"pages.items", "", `must say what is counted, such as $.items[*]: a record of extract "x" is not an item of the page each`}},
		"jq with items":      {new(with(number, func(p *callsheet.Pagination) { p.Items = "$.items[*]" })), nil, callsheet.Extract{Language: extract.JQ, Records: ".items[]"}, fault{}},
		"jq with more":       {new(with(number, func(p *callsheet.Pagination) { p.More = "$.more" })), nil, callsheet.Extract{Language: extract.JQ, Records: ".items[]"}, fault{}},
		"a token of JSON":    {nil, &callsheet.Cursor{Path: "$.sync", Type: callsheet.CursorToken, Param: "at"}, callsheet.Extract{}, fault{}},
		"a token of no JSON": {nil, &callsheet.Cursor{Path: "$.sync", Type: callsheet.CursorToken, Param: "at"}, lines, fault{"cursor.path", "$.sync", `is a JSONPath, but the answer is ndjson by extract "x": its cursor must be in the records, of another type than token`}},
		"a language of the host's own": {&callsheet.Pagination{By: callsheet.PageByURL, Path: "$.next"}, nil,
			callsheet.Extract{Language: "pairs", Format: "pairs", Fields: fields}, fault{}},
	} {
		t.Run(name, func(t *testing.T) {
			sched, err := callsheet.New(memory.New(), callsheet.WithExtractor("pairs", newPairs))
			require.NoError(t, err)
			tt.extract.ID = "x"
			request := callsheet.Request{ID: "r", Source: "api", Path: "/", Pages: tt.pages, Cursor: tt.cursor}
			want := []*callsheet.ValidationError{{Ref: callsheet.Ref{Kind: callsheet.KindRequest, ID: "r"}, Field: tt.want.field, Value: tt.want.value, Rule: tt.want.rule}}
			if tt.want == (fault{}) {
				want = nil
			}
			err = sched.Define(t.Context(), callsheet.Sheet{
				Sources: []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}}, Requests: []callsheet.Request{request},
				Extracts: []callsheet.Extract{tt.extract}, Schedules: []callsheet.Schedule{{ID: "s", Request: "r", Extract: "x"}},
			})
			assert.Equal(t, want, callsheet.ValidationErrors(err), "%v", err)
			_, err = sched.DryRun(t.Context(), callsheet.DryRunRequest{Source: &callsheet.Source{BaseURL: "http://api.example"}, Request: &request, Extract: &tt.extract, AnswerBody: " "})
			assert.Equal(t, want, callsheet.ValidationErrors(err), "of a dry run: %v", err)
		})
	}
}

func TestPages_OfXML(t *testing.T) {
	for name, tt := range map[string]struct {
		pages callsheet.Pagination
		at    []string
	}{
		"by number":            {callsheet.Pagination{By: callsheet.PageByNumber}, []string{"1", "2", "3"}},
		"by number, with size": {callsheet.Pagination{By: callsheet.PageByNumber, Size: 2}, []string{"1", "2"}},
		"by offset":            {callsheet.Pagination{By: callsheet.PageByOffset}, []string{"0", "2", "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.pages.Param = "at"
				bodies := []string{`<list><item id="1"/><item id="2"/></list>`, `<list><item id="3"/></list>`, `<list/>`}
				answers := map[string]string{}
				for i, at := range tt.at {
					answers[at] = bodies[i]
				}
				sheet := librarySheet(&tt.pages, nil)
				sheet.Extracts[0] = callsheet.Extract{ID: "items", Format: extract.FormatXML, Records: "//item", Fields: []callsheet.Field{{Name: "id", Path: "@id"}}}
				sched, d := newReader(t, inTurn(answers), sheet)
				e := reads(t, sched)
				require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				assert.Equal(t, upTo(3), ids(d))
				assert.Equal(t, len(tt.at), e.Pages)
			})
		})
	}
}

func TestPages_GitHubReplayed(t *testing.T) {
	text, err := os.ReadFile("testdata/github_issues_pages.json")
	require.NoError(t, err)
	var pages []struct {
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	}
	require.NoError(t, json.Unmarshal(text, &pages))
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(0, 1)
		l.before = func(r *http.Request) *http.Response {
			for _, p := range pages {
				if p.Path == r.URL.RequestURI() {
					h := http.Header{}
					for name, value := range p.Headers {
						if name != "content-encoding" && name != "content-length" && name != "transfer-encoding" {
							h.Set(name, value)
						}
					}
					return response(r, 200, string(p.Body), h)
				}
			}
			return response(r, 404, "", nil)
		}
		sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByLink}, nil)
		sheet.Sources[0].BaseURL = "https://api.github.com"
		sheet.Requests[0].Path = "/repos/octokit-fixture-org/paginate-issues/issues"
		sheet.Requests[0].Query = map[string]string{"per_page": "3"}
		sheet.Extracts[0].Records = "$[*]"
		sheet.Extracts[0].Fields = []callsheet.Field{{Name: "title", Path: "$.title"}}
		sched, d := newReader(t, l, sheet)
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		var titles []string
		for _, r := range d.Records("items") {
			title, _ := r.Get("title")
			titles = append(titles, fmt.Sprint(title))
		}
		var want []string
		for i := 13; i > 0; i-- {
			want = append(want, fmt.Sprintf("Test issue %d", i))
		}
		assert.Equal(t, want, titles)
		assert.Equal(t, 5, e.Progress.Pages)
	})
}

// A fitful Destination fails at random, before or after it has delivered.
type fitful struct {
	callsheet.Destination
	mu     sync.Mutex
	random *rand.Rand // guarded by mu
	fails  float64
}

func (d *fitful) dice() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.Float64()
}

func (d *fitful) Deliver(ctx context.Context, b callsheet.Batch) error {
	if d.dice() < d.fails {
		return errors.New("no room")
	}
	err := d.Destination.Deliver(ctx, b)
	if err == nil && d.dice() < d.fails {
		return errors.New("the answer was lost")
	}
	return err
}

// What pages bring is, whatever happens to API, Destination and nodes, what one clean run of them brings; and no page is asked
// for that is known to be delivered.
func TestPages_PropertyOfAnyFailuresAndRestarts(t *testing.T) {
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 1))
		size := 1 + random.IntN(7)
		ways := paginations(size)
		names := make([]string, 0, len(ways))
		for name := range ways {
			names = append(names, name)
		}
		slices.Sort(names)
		name := names[random.IntN(len(names))]
		cursor := random.IntN(2) == 0
		t.Run(fmt.Sprintf("seed %d: %s by %d", seed, name, size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { readUnderFaults(t, random, ways[name], size, "", cursor) })
		})
	}
}

// The same of long answers, in one page or several, that are delivered in parts of a few lines.
func TestLongAnswer_PropertyOfAnyFailuresAndRestarts(t *testing.T) {
	formats := []extract.Format{extract.FormatNDJSON, extract.FormatCSV, extract.FormatText}
	parts, resumed := 0, 0
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 2))
		size := 1 + random.IntN(30)
		name, pages := "in one page", (*callsheet.Pagination)(nil)
		if random.IntN(2) == 0 {
			name = []string{"link", "number", "number, with size", "offset, with size"}[random.IntN(4)]
			pages = paginations(size)[name]
		}
		format := formats[random.IntN(len(formats))]
		cursor := random.IntN(2) == 0
		t.Run(fmt.Sprintf("seed %d: %s, %s by %d", seed, format, name, size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, r := readUnderFaults(t, random, pages, size, format, cursor)
				parts, resumed = parts+p, resumed+r
			})
		})
	}
	assert.Greater(t, parts, 500)
	assert.Greater(t, resumed, 100, "attempts that went on in executions with parts")
	t.Logf("%d parts, %d attempts after the first", parts, resumed)
}

func readUnderFaults(t *testing.T, random *rand.Rand, pages *callsheet.Pagination, size int, format extract.Format, cursor bool) (parts, resumed int) {
	var mu sync.Mutex // guards random
	dice := func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64()
	}
	l := newLibrary(random.IntN(40), size)
	l.format = format
	brokenOff := map[extract.Format]string{"": `{"items":[{"id":`, extract.FormatNDJSON: `{"id":`, extract.FormatCSV: "id,text\n\"", extract.FormatText: "Oops\n"}[format]
	if pages == nil {
		l.size = 1000
	}
	fails := random.Float64() * 0.3
	l.before = func(r *http.Request) *http.Response {
		switch x := dice(); {
		case x < fails/3:
			return response(r, 502, "", nil)
		case x < fails*2/3:
			return response(r, 429, "", http.Header{"Retry-After": {"3"}})
		case x < fails:
			return response(r, 200, brokenOff, nil) // broken off, but complete to HTTP
		}
		return nil
	}
	var c *callsheet.Cursor
	if cursor {
		c = &callsheet.Cursor{Path: "$.id", Type: callsheet.CursorInteger, Param: "since"}
	}
	sheet := librarySheet(pages, c)
	if format != "" {
		sheet.Extracts[0] = linesExtract(format)
	}
	if pages == nil {
		sheet.Requests[0].Unchanged = callsheet.UnchangedDeliver
	}
	sheet.Schedules[0].MaxRetries = 100
	sheet.Schedules[0].RetryDelay, sheet.Schedules[0].MaxRetryDelay = time.Second, 2*time.Second
	store, delivered := memory.New(), destmemory.New()
	d := &fitful{Destination: delivered, random: rand.New(rand.NewPCG(random.Uint64(), 2)), fails: fails / 2}

	wholeBytes := callsheet.MaxAnswerBytes
	if format != "" {
		wholeBytes = 20 + random.IntN(400)
	}
	var cut *cutOff
	var stop func()
	begin := func() callsheet.Scheduler {
		cut = &cutOff{Store: store}
		sched, err := callsheet.New(cut, callsheet.WithDestination("d", d), callsheet.WithTransport(l), callsheet.WithDrainTimeout(0), callsheet.WithWholeBytes(wholeBytes))
		require.NoError(t, err)
		stop = start(t, sched)
		return sched
	}
	sched := begin()
	require.NoError(t, sched.Define(t.Context(), sheet))

	total, crashes := 0, 0
	for range 1 + random.IntN(3) {
		grown := random.IntN(20)
		l.grow(grown)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		for !e.State.Final() {
			time.Sleep(time.Duration(dice() * float64(4*time.Second)))
			switch x := dice(); {
			case x < 0.1: // the node is cut off, as when it dies; another comes
				crashes++
				cut.cut.Store(true)
				time.Sleep(20 * time.Second)
				cut.cut.Store(false) // so that it can end
				fallthrough
			case x < 0.3: // it is stopped, and starts again
				stop()
				sched = begin()
			}
			e = execution(t, sched, e.ID)
		}
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		if !cursor {
			assert.Equal(t, l.items, int(e.Records))
		}
		var got []int
		for _, b := range delivered.Batches("items") {
			if b.ExecutionID != e.ID {
				continue
			}
			for _, r := range b.Records {
				id, _ := r.Get("id")
				n, _ := strconv.Atoi(fmt.Sprint(id))
				got = append(got, n)
			}
		}
		first := 0
		if cursor {
			first = total
		}
		assert.Equal(t, append([]int{}, upTo(l.items)[first:]...), append([]int{}, got...), "an execution was expected to bring what a clean run brings")
		total = l.items
		if p := e.Progress; p != nil && p.Parts > 0 {
			parts += p.Parts
			resumed += len(e.Attempts) - 1
		}
		again := 0
		for query, times := range l.asked {
			again += times - 1
			delete(l.asked, query)
		}
		if format != "" {
			continue // what is left of an answer in parts is in the answer to another call
		}
		assert.LessOrEqual(t, again, crashes, "pages that are known to be delivered were expected not to be asked for again")
	}
	stop()
	return parts, resumed
}
