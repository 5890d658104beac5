package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

func sinceID() *callsheet.Cursor {
	return &callsheet.Cursor{Path: "$.id", Type: callsheet.CursorInteger, Param: "since"}
}

// roundTrips is a transport that is a function.
type roundTrips func(r *http.Request) *http.Response

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestCursor_OnlyWhatIsNewIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(5, 100)
		sched, d := newReader(t, l, librarySheet(nil, sinceID()))
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, upTo(5), ids(d))
		assert.Equal(t, "5", e.Progress.Cursor, "the execution tells how far it went")
		sch, err := sched.Schedules().Get(t.Context(), "s")
		require.NoError(t, err)
		assert.Equal(t, callsheet.CursorState{Value: "5", Version: 1, MovedAt: e.FinishedAt, Execution: e.ID, Of: sch.Cursor.Of}, *sch.Cursor)

		l.grow(2)
		e = reads(t, sched)
		assert.EqualValues(t, 2, e.Records)
		assert.Equal(t, upTo(7), ids(d))
		assert.Equal(t, "5", e.Progress.Since.Value)

		e = reads(t, sched)
		assert.Zero(t, e.Records)
		sch, err = sched.Schedules().Get(t.Context(), "s")
		require.NoError(t, err)
		assert.EqualValues(t, 2, sch.Cursor.Version, "where there is nothing new the cursor stays")
		assert.Equal(t, map[string]int{"": 1, "since=5": 1, "since=7": 1}, l.asked)
	})
}

func TestCursor_MovesOnlyWhenTheDestinationHasConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(5, 2)
		d := &reluctant{Destination: destmemory.New()}
		d.refusals.Store(1000)
		sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", d), callsheet.WithTransport(l))
		require.NoError(t, err)
		require.NoError(t, sched.Define(t.Context(), librarySheet(&callsheet.Pagination{By: callsheet.PageByOffset, Param: "offset"}, sinceID())))
		start(t, sched)
		e := reads(t, sched)
		require.Equal(t, callsheet.StateFailed, e.State)
		sch, err := sched.Schedules().Get(t.Context(), "s")
		require.NoError(t, err)
		assert.Nil(t, sch.Cursor)
		d.refusals.Store(0)
		e = reads(t, sched)
		assert.Equal(t, "5", e.Progress.Cursor)
		assert.Equal(t, 1, l.asked["offset=2"], "pages that follow were asked with the cursor of the beginning")
	})
}

// An answer that is not kept is asked for again when its worker vanishes, and then there is more. The Destination knows the
// Batch by its execution, and leaves out the second: if the first was delivered, the cursor would pass over what is new in the second.
func TestCursor_DoesNotPassOverWhatCameBetweenTwoCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLibrary(3, 100), destmemory.New()
		cut := &cutOff{Store: memory.New()}
		var once sync.Once
		l.before = func(*http.Request) *http.Response {
			once.Do(func() { cut.cut.Store(true) }) // from here on nothing can be kept or recorded
			return nil
		}
		sched, err := callsheet.New(cut, callsheet.WithDestination("d", d), callsheet.WithTransport(l))
		require.NoError(t, err)
		require.NoError(t, sched.Define(t.Context(), librarySheet(nil, sinceID())))
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(20 * time.Second) // its lease is over
		l.grow(2)
		cut.cut.Store(false)
		time.Sleep(time.Minute)
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, callsheet.ClassLostWorker, e.Attempts[0].Class)
		assert.Equal(t, "5", schedule(t, sched, "s").Cursor.Value)
		assert.Equal(t, upTo(5), ids(d))
	})
}

func TestCursor_PassesRecordsThatAreSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		api := roundTrips(func(r *http.Request) *http.Response {
			asked = append(asked, r.URL.Query().Get("since"))
			return response(r, 200, `{"items":[{"id":1,"price":"1.5"},{"id":2,"price":"n/a"}]}`, nil)
		})
		sheet := librarySheet(nil, sinceID())
		sheet.Extracts[0].BadRecords = extract.SkipRecords
		sheet.Extracts[0].Fields = append(sheet.Extracts[0].Fields, callsheet.Field{Name: "price", Path: "$.price", Type: extract.Decimal})
		sched, d := newReader(t, api, sheet)
		e := reads(t, sched)
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.EqualValues(t, 1, e.Rejected)
		assert.Equal(t, []int{1}, ids(d))
		assert.Equal(t, "2", schedule(t, sched, "s").Cursor.Value, "the record that was set aside is counted and gone")
		reads(t, sched)
		assert.Equal(t, []string{"", "2"}, asked)
	})
}

func TestCursor_IsSetAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(5, 100)
		sched, d := newReader(t, l, librarySheet(nil, sinceID()))
		sch, err := sched.SetCursor(t.Context(), "s", "3")
		require.NoError(t, err)
		assert.Equal(t, "3", sch.Cursor.Value)
		reads(t, sched)
		assert.Equal(t, []int{4, 5}, ids(d))
		_, err = sched.ResetCursor(t.Context(), "s")
		require.NoError(t, err)
		reads(t, sched)
		assert.Equal(t, []int{4, 5, 1, 2, 3, 4, 5}, ids(d))

		_, err = sched.SetCursor(t.Context(), "s", "yesterday")
		assert.Equal(t, []string{"cursor"}, slices.Collect(maps.Keys(faultsOf(err))), "%v", err)
		_, err = sched.SetCursor(t.Context(), "s", "")
		assert.Equal(t, []string{"cursor"}, slices.Collect(maps.Keys(faultsOf(err))), "%v", err)
		_, err = sched.SetCursor(t.Context(), "absent", "1")
		assert.ErrorAs(t, err, new(*callsheet.NotFoundError))
		_, err = sched.ResetCursor(t.Context(), "absent")
		assert.ErrorAs(t, err, new(*callsheet.NotFoundError))

		plain, _ := newReader(t, l, librarySheet(nil, nil))
		_, err = plain.SetCursor(t.Context(), "s", "1")
		assert.Equal(t, []string{"request"}, slices.Collect(maps.Keys(faultsOf(err))), "%v", err)
	})
}

func TestCursor_SetWhileAnExecutionRunsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(5, 100)
		var sched callsheet.Scheduler
		l.before = func(r *http.Request) *http.Response {
			_, err := sched.SetCursor(context.Background(), "s", "100")
			assert.NoError(t, err)
			return nil
		}
		sched, _ = newReader(t, l, librarySheet(nil, sinceID()))
		e := reads(t, sched)
		assert.Equal(t, callsheet.StateSucceeded, e.State)
		sch, err := sched.Schedules().Get(t.Context(), "s")
		require.NoError(t, err)
		assert.Equal(t, "100", sch.Cursor.Value)
	})
}

func TestCursor_OfEachType(t *testing.T) {
	for name, tt := range map[string]struct {
		cursor callsheet.Cursor
		body   string
		want   []string // the parameter of two calls
		fault  string
	}{
		"times, with a lookback": {callsheet.Cursor{Path: "$.at", Lookback: time.Hour}, `[{"at":"2026-05-01T10:00:00Z"},{"at":"2026-05-01T12:00:00+01:00"},{"at":null},{}]`,
			[]string{"", "2026-05-01T11:00:00+01:00"}, ""},
		"large integers":        {callsheet.Cursor{Path: "$.n", Type: callsheet.CursorInteger, Initial: "7"}, `[{"n":9007199254740993},{"n":9007199254740992}]`, []string{"7", "9007199254740993"}, ""},
		"texts":                 {callsheet.Cursor{Path: "$.n", Type: callsheet.CursorString}, `[{"n":"a"},{"n":"c"},{"n":"b"}]`, []string{"", "c"}, ""},
		"a token of the answer": {callsheet.Cursor{Path: "$.sync", Type: callsheet.CursorToken}, `{"sync":"t&1","items":[]}`, []string{"", "t&1"}, ""},
		"what is no time":       {callsheet.Cursor{Path: "$.at"}, `[{"at":"soon"}]`, nil, `find how far the records go: "soon" is not a time in RFC 3339`},
		"what is no value":      {callsheet.Cursor{Path: "$.at", Type: callsheet.CursorString}, `[{"at":[1]}]`, nil, `find how far the records go: [1], not a text or a number`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				sheet := librarySheet(nil, &tt.cursor)
				tt.cursor.Param = "since"
				sheet.Schedules[0].Extract, sheet.Extracts = "", nil
				sched, _ := newReader(t, roundTrips(func(r *http.Request) *http.Response {
					got = append(got, r.URL.Query().Get("since"))
					return response(r, 200, tt.body, nil)
				}), sheet)
				e := reads(t, sched)
				if tt.fault != "" {
					assert.Equal(t, callsheet.StateFailed, e.State)
					assert.Equal(t, callsheet.ClassBadResponse, e.Class)
					assert.Contains(t, e.Error, tt.fault)
					return
				}
				require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				reads(t, sched)
				assert.Equal(t, tt.want, got)
			})
		})
	}
}

func TestCursor_RefusedWhenDefined(t *testing.T) {
	for name, tt := range map[string]struct {
		cursor callsheet.Cursor
		want   []string
	}{
		"nothing":                      {callsheet.Cursor{}, []string{"cursor.path", "cursor.param"}},
		"another type":                 {callsheet.Cursor{Path: "$.a", Param: "p", Type: "date"}, []string{"cursor.type"}},
		"an initial value of no type":  {callsheet.Cursor{Path: "$.a", Param: "p", Type: callsheet.CursorInteger, Initial: "x"}, []string{"cursor.initial"}},
		"a lookback that fits nothing": {callsheet.Cursor{Path: "$.a", Param: "p", Type: callsheet.CursorString, Lookback: 1, LookbackCount: 1, Layout: "2006"}, []string{"cursor.lookback", "cursor.lookback_count", "cursor.layout"}},
		"a layout that tells no times": {callsheet.Cursor{Path: "$.a", Param: "p", Layout: "YYYY-MM-DD"}, []string{"cursor.layout"}},
		"a token's path":               {callsheet.Cursor{Path: "a[", Param: "p", Type: callsheet.CursorToken}, []string{"cursor.path"}},
	} {
		t.Run(name, func(t *testing.T) {
			sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", destmemory.New()))
			require.NoError(t, err)
			err = sched.Define(t.Context(), librarySheet(nil, &tt.cursor))
			assert.ElementsMatch(t, tt.want, slices.Collect(maps.Keys(faultsOf(err))), "%v", err)
		})
	}
}

// A cursor's path is read as the Extract's are, so it shows only where the two meet whether it can be.
func TestCursor_APathThatTheExtractCannotReadIsRefused(t *testing.T) {
	own := callsheet.WithExtractor("pairs", func(m extract.Mapping) (extract.Extractor, error) {
		if len(m.Fields) > 0 && strings.Contains(m.Fields[0].Path, "=") {
			return nil, errors.New("a name has no =")
		}
		return newPairs(m)
	})
	fields := func(path string) []callsheet.Field { return []callsheet.Field{{Name: "id", Path: path}} }
	for name, tt := range map[string]struct {
		extract *callsheet.Extract
		path    string
		want    string // of the rule; empty: it is taken
	}{
		"JSONPath without an extract": {nil, "$.id", ""},
		"a name without an extract":   {nil, "id", "must be a JSONPath, as there is no extract: a path starts with $: write $.id"},
		"JSONPath":                    {&callsheet.Extract{}, "$.id", ""},
		"a name":                      {&callsheet.Extract{}, "id", `must be written as the paths of extract "x" are: a path starts with $: write $.id`},
		"jq":                          {&callsheet.Extract{Language: extract.JQ}, ".id", ""},
		"JSONPath beside jq":          {&callsheet.Extract{Language: extract.JQ}, "$.id", `must be written as the paths of extract "x" are: position 1: unexpected token "$"`},
		"XPath":                       {&callsheet.Extract{Format: extract.FormatXML, Records: "//item", Fields: fields("id")}, "@id", ""},
		"JSONPath beside XPath":       {&callsheet.Extract{Format: extract.FormatXML, Records: "//item", Fields: fields("id")}, "$.id", `must be written as the paths of extract "x" are: $.id has an invalid token`},
		"a host's language":           {&callsheet.Extract{Language: "pairs", Fields: fields("id")}, "id", ""},
		"not of a host's language":    {&callsheet.Extract{Language: "pairs", Fields: fields("id")}, "=", `must be written as the paths of extract "x" are: a name has no =`},
	} {
		t.Run(name, func(t *testing.T) {
			sched, err := callsheet.New(memory.New(), own)
			require.NoError(t, err)
			ctx := t.Context()
			cursor := &callsheet.Cursor{Path: tt.path, Type: callsheet.CursorString, Param: "since"}
			sheet := callsheet.Sheet{
				Sources:   []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
				Requests:  []callsheet.Request{{ID: "r", Source: "api", Path: "/", Cursor: cursor}, {ID: "plain", Source: "api", Path: "/"}},
				Schedules: []callsheet.Schedule{{ID: "s", Request: "r"}, {ID: "same", Request: "r"}, {ID: "other", Request: "plain"}},
			}
			id := ""
			if tt.extract != nil {
				tt.extract.ID, id = "x", "x"
				sheet.Extracts = []callsheet.Extract{*tt.extract}
				for i := range sheet.Schedules {
					sheet.Schedules[i].Extract = id
				}
			}
			expect := func(err error) {
				t.Helper()
				if tt.want == "" {
					require.NoError(t, err)
					return
				}
				require.Equal(t, []*callsheet.ValidationError{{Ref: callsheet.Ref{Kind: callsheet.KindRequest, ID: "r"},
					Field: "cursor.path", Value: tt.path, Rule: tt.want}}, callsheet.ValidationErrors(err), "%v", err)
			}
			expect(sched.Define(ctx, sheet))

			sheet.Schedules = sheet.Schedules[2:]
			require.NoError(t, sched.Define(ctx, sheet), "by itself each is right")
			_, err = sched.Schedules().Create(ctx, callsheet.Schedule{ID: "new", Request: "r", Extract: id})
			expect(err)
			kept := schedule(t, sched, "other")
			kept.Request = "r"
			_, err = sched.Schedules().Update(ctx, kept)
			expect(err)
			_, err = sched.DryRun(ctx, callsheet.DryRunRequest{Request: &sheet.Requests[0], Extract: tt.extract, AnswerBody: " "})
			expect(err)
		})
	}
}

func TestCursor_AnEditOfTheExtractAloneIsNotChecked(t *testing.T) {
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", destmemory.New()))
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), librarySheet(nil, &callsheet.Cursor{Path: "$.id", Type: callsheet.CursorInteger, Param: "since"})))
	x, err := sched.Extracts().Get(t.Context(), "items")
	require.NoError(t, err)
	x.Language, x.Records, x.Fields[0].Path = extract.JQ, ".items[]", ".id"
	_, err = sched.Extracts().Update(t.Context(), x)
	require.NoError(t, err)
	_, err = sched.DryRun(t.Context(), callsheet.DryRunRequest{Schedule: "s", AnswerBody: `{"items":[]}`})
	assert.Contains(t, faultsOf(err), "cursor.path", "a dry run tells")
}

func TestCursor_WhatIsWrongByItselfIsToldOnce(t *testing.T) {
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", destmemory.New()))
	require.NoError(t, err)
	sheet := librarySheet(nil, &callsheet.Cursor{Param: "since"})
	err = sched.Define(t.Context(), sheet)
	assert.Len(t, callsheet.ValidationErrors(err), 1, "a path that is missing: %v", err)
	sheet = librarySheet(nil, &callsheet.Cursor{Path: "$.id", Param: "since"})
	sheet.Extracts[0].Format = "morse"
	err = sched.Define(t.Context(), sheet)
	assert.Len(t, callsheet.ValidationErrors(err), 1, "an extract that is wrong: %v", err)
	sheet = librarySheet(nil, &callsheet.Cursor{Path: "$.sync", Type: callsheet.CursorToken, Param: "since"})
	sheet.Extracts[0] = callsheet.Extract{ID: sheet.Extracts[0].ID, Language: extract.JQ, Records: ".items[]"}
	assert.NoError(t, sched.Define(t.Context(), sheet), "a token stands in the answer, and has a JSONPath whatever the extract")
}

// A page of one source under validators.
func validated(header http.Header, body *atomic.Pointer[string], conditions *[]string) roundTrips {
	return func(r *http.Request) *http.Response {
		*conditions = append(*conditions, strings.TrimSpace(r.Header.Get("If-None-Match")+" "+r.Header.Get("If-Modified-Since")))
		text := *body.Load()
		h := header.Clone()
		if h.Get("Etag") == "auto" {
			h.Set("Etag", fmt.Sprintf("%q", text))
		}
		if etag := h.Get("Etag"); etag != "" && etag == r.Header.Get("If-None-Match") || h.Get("Last-Modified") != "" && h.Get("Last-Modified") == r.Header.Get("If-Modified-Since") && etag == "" {
			return response(r, 304, "", h)
		}
		return response(r, 200, text, h)
	}
}

func TestUnchanged_IsNotDeliveredAgain(t *testing.T) {
	const then = "Wed, 21 Oct 2015 07:28:00 GMT"
	for name, tt := range map[string]struct {
		header     http.Header
		mode       callsheet.Unchanged
		delivered  int // of four executions, of which the fourth is answered otherwise
		status     int // of the second
		conditions []string
	}{
		"by its ETag":            {http.Header{"Etag": {"auto"}}, "", 2, 304, []string{"", `"[1]"`, `"[1]"`, `"[1]"`}},
		"by when it was made":    {http.Header{"Last-Modified": {then}}, "", 1, 304, []string{"", then, then, then}},
		"by its hash":            {http.Header{}, callsheet.UnchangedHash, 2, 200, []string{"", "", "", ""}},
		"not without validators": {http.Header{}, "", 4, 200, []string{"", "", "", ""}},
		"not if it is wanted":    {http.Header{"Etag": {"auto"}}, callsheet.UnchangedDeliver, 4, 200, []string{"", "", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conditions []string
				var body atomic.Pointer[string]
				first, second := "[1]", "[2]"
				body.Store(&first)
				sheet := librarySheet(nil, nil)
				sheet.Requests[0].Unchanged = tt.mode
				sheet.Extracts[0].Records, sheet.Extracts[0].Fields = "$", []callsheet.Field{{Name: "id", Path: "$"}}
				sched, d := newReader(t, validated(tt.header, &body, &conditions), sheet)
				for i := range 4 {
					if i == 3 {
						body.Store(&second)
					}
					e := reads(t, sched)
					require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
					if i == 1 {
						assert.Equal(t, tt.status, e.HTTPStatus)
						if tt.delivered < 4 {
							assert.Equal(t, callsheet.ReasonUnchanged, e.Reason)
							assert.True(t, e.Progress.Unchanged)
							assert.Zero(t, e.Records)
						}
					}
				}
				assert.Len(t, d.Batches("items"), tt.delivered)
				assert.Equal(t, tt.conditions, conditions)
			})
		})
	}
}

// edited returns what edits a definition.
func edited[T callsheet.Definition](all func(callsheet.Scheduler) callsheet.Collection[T], id string, edit func(*T)) func(*testing.T, callsheet.Scheduler) {
	return func(t *testing.T, sched callsheet.Scheduler) {
		t.Helper()
		item, err := all(sched).Get(t.Context(), id)
		require.NoError(t, err)
		edit(&item)
		_, err = all(sched).Update(t.Context(), item)
		require.NoError(t, err)
	}
}

func TestUnchanged_EverythingIsAskedForAgainWhen(t *testing.T) {
	source := func(edit func(*callsheet.Source)) func(*testing.T, callsheet.Scheduler) {
		return edited(callsheet.Scheduler.Sources, "api", edit)
	}
	request := func(edit func(*callsheet.Request)) func(*testing.T, callsheet.Scheduler) {
		return edited(callsheet.Scheduler.Requests, "list", edit)
	}
	for name, change := range map[string]func(*testing.T, callsheet.Scheduler){
		"the extract was edited":              edited(callsheet.Scheduler.Extracts, "items", func(x *callsheet.Extract) { x.Fields[0].Name = "number" }),
		"the delivery was edited":             edited(callsheet.Scheduler.Deliveries, "out", func(d *callsheet.Delivery) { d.Name = "renamed" }),
		"the request asks for something else": request(func(r *callsheet.Request) { r.Query = map[string]string{"other": "1"} }),
		"the path was edited":                 request(func(r *callsheet.Request) { r.Path = "/others" }),
		"a header was edited":                 request(func(r *callsheet.Request) { r.Headers = map[string]string{"Accept-Language": "de"} }),
		"the body was edited":                 request(func(r *callsheet.Request) { r.Body = `{"state":"open"}` }),
		"the form was edited":                 request(func(r *callsheet.Request) { r.Form = map[string]string{"state": "open"} }),
		"a part was edited":                   request(func(r *callsheet.Request) { r.Multipart = []callsheet.Part{{Name: "state", Value: "open"}} }),
		"it is another source":                request(func(r *callsheet.Request) { r.Source = "twin" }),
		"the base URL was edited":             source(func(s *callsheet.Source) { s.BaseURL = "http://other.example" }),
		"the secret has another name":         source(func(s *callsheet.Source) { s.Auth.Secret = "theirs" }),
		"there is no secret any more":         source(func(s *callsheet.Source) { s.Auth = callsheet.Auth{} }),
		"the cursor is reset": func(t *testing.T, sched callsheet.Scheduler) {
			_, err := sched.ResetCursor(t.Context(), "s")
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conditions []string
				sched, d, _ := newValidatedReader(t, &conditions)
				reads(t, sched)
				change(t, sched)
				e := reads(t, sched)
				assert.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				assert.Empty(t, e.Reason)
				assert.Equal(t, []string{"", ""}, conditions)
				assert.Len(t, d.Batches("items"), 2)
			})
		})
	}
}

func TestUnchanged_ASecretMayBeRotated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conditions []string
		sched, _, secret := newValidatedReader(t, &conditions)
		reads(t, sched)
		secret.Store("another value")
		assert.Equal(t, callsheet.ReasonUnchanged, reads(t, sched).Reason)
		assert.Equal(t, []string{"", `"1"`}, conditions)
	})
}

// newValidatedReader returns a Scheduler that reads, with a secret, from an API whose answer never changes, where it delivers
// to, and the value of the secret.
func newValidatedReader(t *testing.T, conditions *[]string) (callsheet.Scheduler, *destmemory.Destination, *atomic.Value) {
	t.Helper()
	var body atomic.Pointer[string]
	text := `{"items":[{"id":1}]}`
	body.Store(&text)
	var secret atomic.Value
	secret.Store("the first value")
	sheet := librarySheet(nil, nil)
	sheet.Sources[0].Auth = callsheet.Auth{Type: callsheet.AuthBearer, Secret: "ours"}
	twin := sheet.Sources[0]
	twin.ID = "twin"
	sheet.Sources = append(sheet.Sources, twin)
	sched, d := newReader(t, validated(http.Header{"Etag": {`"1"`}}, &body, conditions), sheet,
		callsheet.WithSecrets(callsheet.SecretsFunc(func(context.Context, string) (string, error) { return secret.Load().(string), nil })))
	return sched, d, &secret
}

func TestUnchanged_AFailedDeliveryIsNotTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conditions []string
		var body atomic.Pointer[string]
		text := `{"items":[{"id":1}]}`
		body.Store(&text)
		d := &reluctant{Destination: destmemory.New()}
		d.refusals.Store(3)
		sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", d), callsheet.WithTransport(validated(http.Header{"Etag": {`"1"`}}, &body, &conditions)))
		require.NoError(t, err)
		require.NoError(t, sched.Define(t.Context(), librarySheet(nil, nil)))
		start(t, sched)
		assert.Equal(t, callsheet.StateFailed, reads(t, sched).State)
		assert.Empty(t, reads(t, sched).Reason)
		assert.Equal(t, callsheet.ReasonUnchanged, reads(t, sched).Reason)
		assert.Equal(t, []string{"", "", `"1"`}, conditions)
	})
}
