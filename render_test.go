package callsheet_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A teller is an API in the place of the network that gives the same answer to all and remembers what it was asked.
type teller struct {
	status int // 200 if zero
	body   string
	header http.Header

	mu    sync.Mutex
	asked []askedOf
}

type askedOf struct {
	method, path string
	query        map[string][]string
	header       http.Header
	body         string
}

func (a *teller) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, askedOf{r.Method, r.URL.EscapedPath(), r.URL.Query(), r.Header, string(body)})
	return &http.Response{StatusCode: cmp.Or(a.status, 200), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
		Header: a.header.Clone(), Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

func (a *teller) all() []askedOf {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// callOnce executes the schedule "s" with a Request, and returns what became of it.
func callOnce(t *testing.T, api http.RoundTripper, source callsheet.Source, request callsheet.Request, schedule callsheet.Schedule, opts ...callsheet.Option) callsheet.Execution {
	t.Helper()
	source.ID, source.BaseURL = "api", "http://api.example/v1"
	request.ID, request.Source = "r", "api"
	schedule.ID, schedule.Request = "s", "r"
	return execute(t, callsheet.Sheet{
		Sources: []callsheet.Source{source}, Requests: []callsheet.Request{request}, Schedules: []callsheet.Schedule{schedule},
	}, append(opts, callsheet.WithTransport(api))...)
}

func TestRequest_TemplatesAreFilledInForEachCall(t *testing.T) {
	api := &teller{}
	e := callOnce(t, api, callsheet.Source{Headers: map[string]string{"content-type": "application/x-www-form-urlencoded"}}, callsheet.Request{
		Method: "POST", Path: "/{{.Params.shop}}/rows?page={{.Page.Number}}",
		Query:   map[string]string{"at": "{{rfc3339 .ScheduledAt}}", "plain": "}}"},
		Headers: map[string]string{"X-Run": "{{.ScheduleID}}/{{.ExecutionID}}/{{.Attempt}}"},
		Body:    `team={{.Labels.team}}&by={{.Labels.by}}&since={{default "ever" .Cursor}}`,
		Params:  map[string]string{"shop": "berlin", "unused": "x"}, Labels: map[string]string{"team": "r", "by": "r&d"},
	}, callsheet.Schedule{Params: map[string]string{"shop": "são paulo/?"}, Labels: map[string]string{"team": "s"}})
	require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
	asked := api.all()
	require.Len(t, asked, 1)
	assert.Equal(t, "/v1/s%C3%A3o%20paulo%2F%3F/rows", asked[0].path)
	assert.Equal(t, map[string][]string{"at": {e.ScheduledAt.Format(time.RFC3339Nano)}, "page": {"1"}, "plain": {"}}"}}, asked[0].query)
	assert.Equal(t, "s/"+e.ID+"/1", asked[0].header.Get("X-Run"))
	assert.Equal(t, "team=s&by=r%26d&since=ever", asked[0].body, "the Source says that the body is a form")
}

// A backfill of a day asks for that day, each part of it once, whatever the clocks do.
func TestBackfill_WindowsAdjoin(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	day := func(month time.Month, day int) time.Time { return time.Date(1999, month, day, 0, 0, 0, 0, berlin) }
	for _, tc := range []struct {
		name     string
		schedule callsheet.Schedule
		from, to time.Time
		windows  int
	}{
		{"a day by the hour", callsheet.Schedule{Cron: "0 * * * *", Zone: "Europe/Berlin"}, day(6, 1), day(6, 2), 24},
		{"the day the clock is put forward", callsheet.Schedule{Cron: "0 * * * *", Zone: "Europe/Berlin"}, day(3, 28), day(3, 29), 23},
		{"the day the clock is put back", callsheet.Schedule{Cron: "0 * * * *", Zone: "Europe/Berlin"}, day(10, 31), day(11, 1), 25},
		{"days at a time that is repeated", callsheet.Schedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}, day(10, 29), day(11, 2), 4},
		{"days at a time that is skipped", callsheet.Schedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}, day(3, 27), day(3, 30), 3},
		{"an interval", callsheet.Schedule{Every: 45 * time.Minute}, day(10, 31), day(11, 1), 33},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &teller{}
				sched, err := callsheet.New(memory.New(), callsheet.WithTransport(api), callsheet.WithPlanInterval(time.Minute))
				require.NoError(t, err)
				tc.schedule.ID, tc.schedule.Request = "s", "r"
				require.NoError(t, sched.Define(t.Context(), callsheet.Sheet{
					Sources: []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
					Requests: []callsheet.Request{{ID: "r", Source: "api", Query: map[string]string{
						"from": "{{unix .Window.Start}}", "to": "{{unix .Window.End}}", "at": "{{unix .ScheduledAt}}"}}},
					Schedules: []callsheet.Schedule{tc.schedule},
				}))
				// The occurrence at from is about what was before it.
				report, err := sched.Backfill(t.Context(), "s", tc.from.Add(time.Second), tc.to.Add(time.Second))
				require.NoError(t, err)
				assert.Equal(t, tc.windows, report.Planned)
				start(t, sched)
				time.Sleep(10 * time.Minute)
				synctest.Wait()

				asked := api.all()
				require.Len(t, asked, tc.windows)
				slices.SortFunc(asked, func(a, b askedOf) int { return cmp.Compare(a.query["to"][0], b.query["to"][0]) })
				for i, a := range asked {
					assert.Equal(t, a.query["at"], a.query["to"])
					assert.Less(t, a.query["from"][0], a.query["to"][0])
					if i > 0 {
						assert.Equal(t, asked[i-1].query["to"], a.query["from"], "neither gap nor overlap")
					}
				}
				if tc.schedule.Cron == "0 * * * *" {
					assert.Equal(t, fmt.Sprint(tc.from.Unix()), asked[0].query["from"][0])
					assert.Equal(t, fmt.Sprint(tc.to.Unix()), asked[len(asked)-1].query["to"][0])
				}
			})
		})
	}
}

func TestRequest_EachAttemptAsksForTheSameWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &teller{status: 500}
		sched, err := callsheet.New(memory.New(), callsheet.WithTransport(api))
		require.NoError(t, err)
		require.NoError(t, sched.Define(t.Context(), callsheet.Sheet{
			Sources: []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
			Requests: []callsheet.Request{{ID: "r", Source: "api", Query: map[string]string{
				"from": "{{.Window.Start}}", "to": "{{.Window.End}}", "attempt": "{{.Attempt}}"}}},
			Schedules: []callsheet.Schedule{{ID: "s", Request: "r", Cron: "0 * * * *", Overlap: callsheet.OverlapAllow, MaxRetries: 2, RetryDelay: 50 * time.Minute}},
		}))
		stop := start(t, sched)
		time.Sleep(time.Hour + time.Minute)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		stop()
		attempts := map[string][]string{}
		for _, a := range api.all() {
			window := a.query["from"][0] + " " + a.query["to"][0]
			attempts[window] = append(attempts[window], a.query["attempt"][0])
		}
		assert.Equal(t, []string{"1", "2", "3"}, attempts["2000-01-01T00:00:00Z 2000-01-01T01:00:00Z"])
		byHand := "2000-01-01T01:00:00Z " + e.ScheduledAt.Format(time.RFC3339Nano)
		assert.Equal(t, []string{"1", "2", "3"}, attempts[byHand], "since the last occurrence: %v", attempts)
	})
}

func TestRequest_TemplatesAreCheckedWhenItIsDefined(t *testing.T) {
	sched, err := callsheet.New(memory.New())
	require.NoError(t, err)
	_, err = sched.Sources().Create(t.Context(), callsheet.Source{ID: "api", BaseURL: "http://api.example"})
	require.NoError(t, err)
	for _, tc := range []struct {
		name    string
		request callsheet.Request
		want    []string
	}{
		{"all faults at once", callsheet.Request{
			Path: "/{{.Param.x}}", Query: map[string]string{"since": "c4n4ry{{.Windo.Start}}"},
			Headers: map[string]string{"X-Since": "{{env}}"}, Body: `{"a":"{{if .Cursor}}"{{end}}{{.Cursor}}"}`,
		}, []string{
			`request "r": path "redacted": line 1, column 10: there is no .Param; there are .Attempt, .Cursor,`,
			`request "r": query.since "redacted": line 1, column 15: there is no .Windo; there are .Attempt, .Cursor,`,
			`request "r": headers.X-Since "redacted": line 1, column 3: there is no function "env"; there are add, addDate,`,
			`request "r": body "redacted": line 1, column 31: it is not clear what a value is a part of here: the branches before it end differently`,
		}},
		{"the rest of a path with templates is checked as well", callsheet.Request{Path: "/{{.Params.x}}#a"}, []string{`path "/x": must not contain a fragment`}},
		{"and that of a header", callsheet.Request{Headers: map[string]string{"X-A": "{{.Params.x}}\n"}}, []string{`headers.X-A "redacted": must not contain control characters`}},
		{"names of parameters", callsheet.Request{Params: map[string]string{"a-b": "c", "1a": "d"}}, []string{`params.1a "d": must have a name`, `params.a-b "c": must have a name of 1 to 64 letters, digits and '_'`}},
		{"a long parameter", callsheet.Request{Params: map[string]string{"a": strings.Repeat("x", 5000)}}, []string{"must have at most 4096 bytes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.request.ID, tc.request.Source = "r", "api"
			_, err := sched.Requests().Create(t.Context(), tc.request)
			faults := callsheet.ValidationErrors(err)
			require.Len(t, faults, len(tc.want), "%v", err)
			for i, fault := range faults {
				assert.ErrorContains(t, fault, tc.want[i])
				assert.NotContains(t, fault.Error(), "c4n4ry")
			}
		})
	}
	_, err = sched.Schedules().Create(t.Context(), callsheet.Schedule{ID: "s", Request: "r", Params: map[string]string{"a b": ""}})
	assert.ErrorContains(t, err, `schedule "s": params.a b "": must have a name`)
}

func TestRequest_TemplateThatCannotBeRenderedEndsTheExecution(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request callsheet.Request
		want    string
	}{
		{"a parameter that nobody gives", callsheet.Request{Query: map[string]string{"a": "{{.Params.nope}}"}, Path: "/{{.Params.up}}"},
			"fetch: request \"r\": path \"redacted\": line 1, column 4: a value in a path must not be . or ..; " +
				"request \"r\": query.a \"redacted\": line 1, column 10: map has no entry for key \"nope\""},
		{"a value that some servers take for steps up", callsheet.Request{Path: "/{{.Params.steps}}/x"}, "must not contain . or .. segments"},
		{"a header with a line of its own", callsheet.Request{Headers: map[string]string{"X-A": "{{.Params.line}}"}}, "a value in a header must not contain control characters"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api := &teller{}
			e := callOnce(t, api, callsheet.Source{}, tc.request, callsheet.Schedule{Params: map[string]string{"up": "..", "steps": `a\..\b`, "line": "c4n4ry\r\nX-Admin: 1"}})
			assert.Equal(t, callsheet.StateFailed, e.State)
			assert.Equal(t, callsheet.ClassPermanent, e.Class)
			assert.Contains(t, e.Error, tc.want)
			assert.NotContains(t, e.Error, "c4n4ry")
			assert.Equal(t, 1, e.Attempt, "another attempt would not help")
			assert.Empty(t, api.all())
		})
	}
}

func TestRequest_ValuesOfTemplatesAreMaskedAsOthersAre(t *testing.T) {
	api := &teller{status: 400, body: `{"error":"no such c4n4ry-1, c4n4ry-2 or c4n4ry-3"}`}
	e := callOnce(t, api, callsheet.Source{}, callsheet.Request{
		Method: "POST", Query: map[string]string{"a": "{{.Params.a}}"}, Headers: map[string]string{"X-B": "{{.Params.b}}"}, Body: `{"c":"{{.Params.c}}"}`,
	}, callsheet.Schedule{Params: map[string]string{"a": "c4n4ry-1", "b": "c4n4ry-2", "c": "c4n4ry-3"}})
	assert.Equal(t, `fetch: POST http://api.example/v1?a=…: status 400 Bad Request: {"error":"no such redacted, redacted or redacted"}`, e.Error)
}

func TestRequest_TemplatesFollowItsEdits(t *testing.T) {
	api := &teller{}
	over := make(chan struct{}, 1)
	sched, err := callsheet.New(memory.New(), callsheet.WithTransport(api),
		callsheet.WithObserver(func(context.Context, callsheet.Execution) { over <- struct{}{} }))
	require.NoError(t, err)
	sheet := callsheet.Sheet{
		Sources:   []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
		Requests:  []callsheet.Request{{ID: "r", Source: "api", Path: "/{{.Params.p}}"}},
		Schedules: []callsheet.Schedule{{ID: "s", Request: "r", Params: map[string]string{"p": "x"}}},
	}
	require.NoError(t, sched.Define(t.Context(), sheet))
	start(t, sched)
	for _, path := range []string{"/{{.Params.p}}", "/{{.Params.p}}{{.Attempt}}"} {
		r, err := sched.Requests().Get(t.Context(), "r")
		require.NoError(t, err)
		r.Path = path
		_, err = sched.Requests().Update(t.Context(), r)
		require.NoError(t, err)
		_, err = sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		<-over
	}
	require.NoError(t, sched.Schedules().Delete(t.Context(), "s"))
	require.NoError(t, sched.Requests().Delete(t.Context(), "r"))
	sheet.Requests[0].Path = "/anew/{{.Params.p}}"
	require.NoError(t, sched.Define(t.Context(), sheet))
	_, err = sched.Execute(t.Context(), "s")
	require.NoError(t, err)
	<-over
	var paths []string
	for _, a := range api.all() {
		paths = append(paths, a.path)
	}
	assert.Equal(t, []string{"/x", "/x1", "/anew/x"}, paths)
}
