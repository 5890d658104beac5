package callsheet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What happens to pages, cursors and validators when an answer is lost, or somebody edits what they belong to.

// lostOnce delivers, and loses its first answer.
type lostOnce struct {
	callsheet.Destination
	done bool
}

func (d *lostOnce) Deliver(ctx context.Context, b callsheet.Batch) error {
	err := d.Destination.Deliver(ctx, b)
	if !d.done {
		d.done = true
		return errors.New("the answer was lost")
	}
	return err
}

func newForgetful(t *testing.T, rt http.RoundTripper, sheet callsheet.Sheet) (callsheet.Scheduler, *destmemory.Destination) {
	d := destmemory.New()
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", &lostOnce{Destination: d}), callsheet.WithTransport(rt))
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), sheet))
	start(t, sched)
	return sched, d
}

func TestCursor_DoesNotPassOverWhatALargerAnswerBrought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pad := strings.Repeat("x", callsheet.MaxAnswerBytes)
		n := 0
		api := roundTrips(func(r *http.Request) *http.Response {
			n++
			since := r.URL.Query().Get("since")
			var items []string
			for i := 1; i <= n; i++ { // one more with each call
				if since == "" || fmt.Sprint(i) > since {
					items = append(items, fmt.Sprintf(`{"id":%d}`, i))
				}
			}
			return response(r, 200, `{"items":[`+strings.Join(items, ",")+`],"pad":"`+pad+`"}`, nil)
		})
		sched, d := newForgetful(t, api, librarySheet(nil, sinceID()))
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		reads(t, sched)
		assert.Subset(t, ids(d), []int{1, 2, 3}, "item 2 came with the second answer, which the destination took for the first")
	})
}

func TestUnchanged_NotByTheValidatorsOfWhatWasNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pad := strings.Repeat("x", callsheet.MaxAnswerBytes)
		n := 0
		api := roundTrips(func(r *http.Request) *http.Response {
			if n < 2 {
				n++
			}
			tag := fmt.Sprintf(`"v%d"`, n)
			if r.Header.Get("If-None-Match") == tag {
				return response(r, 304, "", nil)
			}
			return response(r, 200, fmt.Sprintf(`{"items":[{"id":%d}],"pad":%q}`, n, pad), http.Header{"Etag": {tag}})
		})
		sched, d := newForgetful(t, api, librarySheet(nil, nil))
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		for range 3 {
			e = reads(t, sched)
		}
		assert.Contains(t, ids(d), 2, "the last is %s", e.Reason)
	})
}

func TestUnchanged_AgainAfterAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := roundTrips(func(r *http.Request) *http.Response {
			if r.Header.Get("If-None-Match") == `"v"` {
				return response(r, 304, "", nil)
			}
			return response(r, 200, `{"items":[{"id":1}]}`, http.Header{"Etag": {`"v"`}})
		})
		sched, _ := newReader(t, api, librarySheet(nil, nil))
		reads(t, sched)
		require.Equal(t, callsheet.ReasonUnchanged, reads(t, sched).Reason)
		_, err := sched.ResetCursor(t.Context(), "s")
		require.NoError(t, err)
		reads(t, sched)
		assert.Equal(t, callsheet.ReasonUnchanged, reads(t, sched).Reason, "the answer after the reset is known now")
	})
}

func TestPages_WhatIsCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		pages  callsheet.Pagination
		change func(*callsheet.Sheet)
		want   int // records; 0: what is counted has to be said
	}{
		"the API caps the size that is asked for": {callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", Size: 1000, SizeParam: "size"}, nil, 10},
		"records are filtered":                    {callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", Size: 3, Items: "$.items[*]"}, func(s *callsheet.Sheet) { s.Extracts[0].Records = "$.items[?@.id>2]" }, 8},
		"filtered, offset without size":           {callsheet.Pagination{By: callsheet.PageByOffset, Param: "offset", Items: "$.items[*]"}, func(s *callsheet.Sheet) { s.Extracts[0].Records = "$.items[?@.id>1]" }, 9},
		"a page without any that pass":            {callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", Items: "$.items[*]"}, func(s *callsheet.Sheet) { s.Extracts[0].Records = "$.items[?@.id>4]" }, 6},
		"no Extract":                              {callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", Items: "$.items[*]"}, func(s *callsheet.Sheet) { s.Schedules[0].Extract, s.Extracts = "", nil }, 5},
		"whole objects, and nothing is said":      {callsheet.Pagination{By: callsheet.PageByNumber, Param: "number"}, func(s *callsheet.Sheet) { s.Schedules[0].Extract, s.Extracts = "", nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLibrary(10, 3)
				sheet := librarySheet(&tt.pages, nil)
				if tt.change != nil {
					tt.change(&sheet)
				}
				sched, d := newReader(t, l, sheet)
				e := reads(t, sched)
				if tt.want == 0 {
					assert.Equal(t, callsheet.ClassPermanent, e.Class)
					assert.Contains(t, e.Error, "pages.items must say what is counted")
					return
				}
				assert.Equal(t, tt.want, len(d.Records("items")), "%s after %d pages %s", e.State, e.Progress.Pages, e.Error)
			})
		})
	}
}

// retriedAfter reads, which has to fail, tries the execution again after edit, and returns it as it is after some time.
func retriedAfter(t *testing.T, sched callsheet.Scheduler, edit func()) callsheet.Execution {
	t.Helper()
	e := reads(t, sched)
	require.Equal(t, callsheet.StateFailed, e.State)
	edit()
	_, err := sched.Retry(t.Context(), e.ID)
	require.NoError(t, err)
	time.Sleep(time.Minute)
	return execution(t, sched, e.ID)
}

// retriedAfterPage1 has the library's second page fail until the Request was edited.
func retriedAfterPage1(t *testing.T, l *library, pages callsheet.Pagination, edit func(*callsheet.Request)) (callsheet.Execution, *destmemory.Destination) {
	t.Helper()
	calls := 0
	l.before = func(r *http.Request) *http.Response {
		if calls++; calls > 1 {
			return response(r, 404, "", nil)
		}
		return nil
	}
	sched, d := newReader(t, l, librarySheet(&pages, nil))
	return retriedAfter(t, sched, func() {
		editRequest(t, sched, edit)
		l.before = nil
	}), d
}

func editRequest(t *testing.T, sched callsheet.Scheduler, edit func(*callsheet.Request)) {
	t.Helper()
	r, err := sched.Requests().Get(t.Context(), "list")
	require.NoError(t, err)
	edit(&r)
	_, err = sched.Requests().Update(t.Context(), r)
	require.NoError(t, err)
}

func TestPages_WhatIsCountedIsNotKnownAfterAnEditOfTheExtract(t *testing.T) {
	for name, records := range map[string]string{"filtered": "$.items[?@.id>4]", "unfolded": "$.items[*].id"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sched, _ := newReader(t, newLibrary(10, 3), librarySheet(&callsheet.Pagination{By: callsheet.PageByOffset, Param: "offset"}, nil))
				edited(callsheet.Scheduler.Extracts, "items", func(x *callsheet.Extract) { x.Records = records })(t, sched)
				e := reads(t, sched)
				assert.Equal(t, callsheet.ClassPermanent, e.Class)
				assert.Contains(t, e.Error, "pages.items must say what is counted")
			})
		})
	}
}

func TestPages_SourceEditedBetweenThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leaked []string
		broken := true
		api := roundTrips(func(r *http.Request) *http.Response {
			if r.URL.Host == "old.example" && r.Header.Get("X-Key") == "new-secret" {
				leaked = append(leaked, r.URL.String())
			}
			if r.URL.Query().Get("p") == "2" {
				if broken {
					return response(r, 404, "", nil)
				}
				return response(r, 200, `{"items":[{"id":2}]}`, nil)
			}
			return response(r, 200, `{"items":[{"id":1}]}`, http.Header{"Link": {`</list?p=2>; rel="next"`}})
		})
		sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByLink}, nil)
		sheet.Sources[0].BaseURL = "http://old.example"
		sched, _ := newReader(t, api, sheet)
		retriedAfter(t, sched, func() {
			src, err := sched.Sources().Get(t.Context(), "api")
			require.NoError(t, err)
			src.BaseURL, src.Headers = "https://new.example", map[string]string{"X-Key": "new-secret"}
			_, err = sched.Sources().Update(t.Context(), src)
			require.NoError(t, err)
			broken = false
		})
		assert.Empty(t, leaked)
	})
}

func TestPages_RequestEditedBetweenThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, d := retriedAfterPage1(t, newLibrary(6, 2), callsheet.Pagination{By: callsheet.PageByLink}, func(r *callsheet.Request) {
			r.Pages = &callsheet.Pagination{By: callsheet.PageByOffset, Param: "offset", Size: 4} // another way
		})
		assert.Equal(t, callsheet.StateFailed, e.State)
		assert.Equal(t, callsheet.ClassPermanent, e.Class)
		assert.Contains(t, e.Error, "was edited after 1 pages")
		assert.Equal(t, upTo(2), ids(d))
	})
}

func TestCursor_MeansNothingToAnEditedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(5, 100)
		sched, _ := newReader(t, l, librarySheet(nil, sinceID()))
		reads(t, sched)
		editRequest(t, sched, func(r *callsheet.Request) {
			r.Path, r.Cursor = "/other", &callsheet.Cursor{Path: "$.at", Param: "since", Initial: "2026-01-01T00:00:00Z"}
		})
		reads(t, sched)
		assert.NotContains(t, l.asked, "since=5", "%v", l.asked)
	})
}

type losing struct {
	sched callsheet.Scheduler
	mem   *destmemory.Destination
	lost  *lostOnce
}

func newLost(t *testing.T, rt http.RoundTripper, sheet callsheet.Sheet) losing {
	d := destmemory.New()
	l := &lostOnce{Destination: d, done: true}
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", l), callsheet.WithTransport(rt))
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), sheet))
	start(t, sched)
	return losing{sched, d, l}
}

func TestPages_SizeEditedBetweenThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(6, 2)
		pages := callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", Size: 2, SizeParam: "size"}
		e, d := retriedAfterPage1(t, l, pages, func(r *callsheet.Request) { r.Pages.Size, l.size = 4, 4 })
		assert.False(t, e.State == callsheet.StateSucceeded && len(ids(d)) < 6, "succeeded with %v", ids(d))
	})
}

func TestPages_AKeyThatALinkRepeatsIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := roundTrips(func(r *http.Request) *http.Response {
			if r.URL.Query().Get("p") == "2" {
				return response(r, 404, "", nil)
			}
			return response(r, 200, `{"items":[{"id":1}]}`, http.Header{"Link": {`</list?p=2&api_key=abc1234>; rel="next"`}})
		})
		sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByLink}, nil)
		sheet.Sources[0].Auth = callsheet.Auth{Type: callsheet.AuthQuery, Name: "api_key", Secret: "k"}
		sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", destmemory.New()), callsheet.WithTransport(api),
			callsheet.WithSecrets(callsheet.SecretsFunc(func(context.Context, string) (string, error) { return "abc1234", nil })))
		require.NoError(t, err)
		require.NoError(t, sched.Define(t.Context(), sheet))
		start(t, sched)
		e := reads(t, sched)
		text, err := json.Marshal(e)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "abc1234")
	})
}

func TestUnchanged_ByAConditionOfTheRequestsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := roundTrips(func(r *http.Request) *http.Response { return response(r, 304, "", nil) })
		sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByLink}, nil)
		sheet.Requests[0].Headers = map[string]string{"If-None-Match": `"v"`}
		sched, _ := newReader(t, api, sheet)
		e := reads(t, sched)
		assert.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, callsheet.ReasonUnchanged, e.Reason)
	})
}

func TestUnchanged_NotAfterADeliveryThatMayHaveHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := 1
		api := roundTrips(func(r *http.Request) *http.Response {
			tag := fmt.Sprintf(`"v%d"`, v)
			if r.Header.Get("If-None-Match") == tag {
				return response(r, 304, "", nil)
			}
			return response(r, 200, fmt.Sprintf(`{"items":[{"id":%d}]}`, v), http.Header{"Etag": {tag}})
		})
		sheet := librarySheet(nil, nil)
		sheet.Schedules[0].MaxRetries = callsheet.NoRetries
		d := newLost(t, api, sheet)
		reads(t, d.sched) // v1
		v, d.lost.done = 2, false
		e := reads(t, d.sched)
		require.Equal(t, callsheet.StateFailed, e.State)
		v = 1 // up, down, up
		e = reads(t, d.sched)
		got := ids(d.mem)
		assert.Equal(t, 1, got[len(got)-1], "%v: the API says 1, the table 2, and the execution %s", got, e.Reason)
	})
}

func TestPages_TakenAwayBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(6, 2)
		e, d := retriedAfterPage1(t, l, callsheet.Pagination{By: callsheet.PageByLink}, func(r *callsheet.Request) {
			r.Pages, r.Path = nil, "/everything"
		})
		assert.Zero(t, l.asked["after=item-2"], "%s, delivered %v, asked %v", e.State, ids(d), l.asked)
	})
}

func TestStats_BytesCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(1, 10)
		d := newLost(t, l, librarySheet(nil, nil))
		d.lost.done = false
		e := reads(t, d.sched)
		require.Len(t, e.Attempts, 2)
		report, err := d.sched.Stats(t.Context(), callsheet.StatsQuery{})
		require.NoError(t, err)
		assert.Equal(t, e.Attempts[0].Bytes, report.Total.Bytes, "one call was made")
	})
}
