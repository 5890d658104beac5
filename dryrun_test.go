package callsheet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
	"github.com/callsheet-go/callsheet/limit"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dryScheduler returns a Scheduler that may call this machine, with the marketsSheet of an API defined.
func dryScheduler(t *testing.T, api http.HandlerFunc, opts ...callsheet.Option) (callsheet.Scheduler, *destmemory.Destination, callsheet.Sheet) {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	out := destmemory.New()
	opts = append([]callsheet.Option{callsheet.WithDestination("out", out), callsheet.WithAllowedNetworks("127.0.0.0/8")}, opts...)
	sched, err := callsheet.New(memory.New(), opts...)
	require.NoError(t, err)
	sheet := marketsSheet(server.URL)
	require.NoError(t, sched.Define(t.Context(), sheet))
	return sched, out, sheet
}

func dryRun(t *testing.T, sched callsheet.DryRunner, r callsheet.DryRunRequest) callsheet.DryRunReport {
	t.Helper()
	report, err := sched.DryRun(t.Context(), r)
	require.NoError(t, err)
	return report
}

func TestDryRun_DoesAllButDeliver(t *testing.T) {
	var calls atomic.Int64
	sched, out, sheet := dryScheduler(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "session=abc")
		_, _ = fmt.Fprint(w, marketsAnswer)
	})
	values := callsheet.DryRunRequest{Source: &sheet.Sources[0], Request: &sheet.Requests[0], Extract: &sheet.Extracts[0], Delivery: &sheet.Deliveries[0]}
	for name, r := range map[string]callsheet.DryRunRequest{"by schedule": {Schedule: "s"}, "by values": values} {
		t.Run(name, func(t *testing.T) {
			calls.Store(0)
			report := dryRun(t, sched, r)
			require.Nil(t, report.Failure)
			assert.EqualValues(t, 1, calls.Load())

			assert.Equal(t, "POST", report.Sent.Method)
			assert.Equal(t, sheet.Sources[0].BaseURL+"/markets?page=…&vs=…", report.Sent.URL)
			assert.Equal(t, []string{"application/json"}, report.Sent.Header["Accept"])
			assert.Equal(t, []string{"redacted"}, report.Sent.Header["X-Shared"])
			assert.Equal(t, `{"top":redacted}`, report.Sent.Body)

			assert.Equal(t, 200, report.Answer.Status)
			assert.EqualValues(t, len(marketsAnswer), report.Answer.Bytes)
			assert.Equal(t, marketsAnswer, report.Answer.Body)
			assert.False(t, report.Answer.Cut)
			assert.Equal(t, []string{"application/json"}, report.Answer.Header["Content-Type"])
			assert.Equal(t, []string{"redacted"}, report.Answer.Header["Set-Cookie"])

			assert.EqualValues(t, 2, report.RecordCount)
			require.Len(t, report.Records, 2)
			assert.Equal(t, `{"id":"bitcoin","price":18717.930,"cap":9007199254740993,"roi":"none"}`, report.Records[0].String())
			assert.Equal(t, &callsheet.Preview{Inserted: 2, Creates: true}, report.Preview)
			assert.Positive(t, report.Timings.Fetch)
			assert.Positive(t, report.Timings.Extract)
			assert.Positive(t, report.Timings.Deliver)
		})
	}
	assert.Empty(t, out.Records("markets"))
	assert.Empty(t, executions(t, sched, ""))
}

func TestDryRun_ValuesWinOverTheSchedules(t *testing.T) {
	sched, _, sheet := dryScheduler(t, text(marketsAnswer))
	dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s"}) // its Extract is compiled
	edited := sheet.Extracts[0]
	edited.Version = 1 // as it was read, and edited without being stored
	edited.Fields = []callsheet.Field{{Name: "only", Path: "$.id"}}
	report := dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s", Extract: &edited, MaxRecords: 1})
	require.Nil(t, report.Failure)
	require.Len(t, report.Records, 1)
	assert.Equal(t, `{"only":"bitcoin"}`, report.Records[0].String())
	assert.EqualValues(t, 2, report.RecordCount)
	assert.Len(t, dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s"}).Records[0].Map(), 4, "the stored one is as it was")
}

func TestDryRun_TellsEveryFault(t *testing.T) {
	sched, _, sheet := dryScheduler(t, text(marketsAnswer))
	cursor := "2026"
	_, err := sched.DryRun(t.Context(), callsheet.DryRunRequest{
		Source:   &callsheet.Source{BaseURL: "ftp://x"},
		Request:  &callsheet.Request{Method: "FETCH", Path: "a#b"},
		Extract:  &callsheet.Extract{Records: "$["},
		Delivery: &callsheet.Delivery{Destination: "nowhere"},
		Cursor:   &cursor, MaxRecords: -1, Answer: &callsheet.Answer{}, AnswerBody: "x",
	})
	var fields []string
	for _, fault := range callsheet.ValidationErrors(err) {
		fields = append(fields, fault.Field)
	}
	assert.Equal(t, []string{"base_url", "method", "path", "records", "destination", "max_records", "answer_body", "cursor"}, fields)

	for name, r := range map[string]callsheet.DryRunRequest{
		"nothing":                     {},
		"a request without a source":  {Request: &callsheet.Request{Path: "/"}},
		"a source without a request":  {Source: &sheet.Sources[0]},
		"a delivery without anything": {Delivery: &sheet.Deliveries[0]},
	} {
		_, err := sched.DryRun(t.Context(), r)
		assert.Len(t, callsheet.ValidationErrors(err), 1, name)
	}
	var missing *callsheet.NotFoundError
	_, err = sched.DryRun(t.Context(), callsheet.DryRunRequest{Schedule: "unknown"})
	require.ErrorAs(t, err, &missing)
	_, err = sched.DryRun(t.Context(), callsheet.DryRunRequest{Request: &callsheet.Request{Source: "unknown"}})
	require.ErrorAs(t, err, &missing)
	assert.Equal(t, callsheet.Ref{Kind: callsheet.KindSource, ID: "unknown"}, missing.Ref)
}

func TestDryRun_OfAnAnswerThatIsGivenMakesNoCall(t *testing.T) {
	var calls atomic.Int64
	sched, _, _ := dryScheduler(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	for name, r := range map[string]callsheet.DryRunRequest{
		"pasted": {Schedule: "s", AnswerBody: marketsAnswer},
		"kept":   {Schedule: "s", Answer: &callsheet.Answer{Status: 200, Body: []byte(marketsAnswer)}},
	} {
		report := dryRun(t, sched, r)
		require.Nil(t, report.Failure, name)
		assert.Nil(t, report.Sent, name)
		assert.EqualValues(t, 2, report.RecordCount, name)
		assert.Equal(t, 200, report.Answer.Status, name)
	}
	assert.Zero(t, calls.Load())
}

func TestDryRun_ShowsAllRecordsThatFail(t *testing.T) {
	sched, _, sheet := dryScheduler(t, text(marketsAnswer))
	x := sheet.Extracts[0]
	x.Fields = []callsheet.Field{
		{Name: "id", Path: "$.id", Required: true, Type: extract.String},
		{Name: "n", Path: "$.n", Type: extract.Integer},
	}
	answer := `{"data":[{"id":"a","n":1},{"n":2},{"id":"c","n":"three"},{"id":"d","n":4}]}`
	r := callsheet.DryRunRequest{Schedule: "s", Extract: &x, AnswerBody: answer}
	report := dryRun(t, sched, r)
	assert.EqualValues(t, 2, report.Rejected)
	assert.EqualValues(t, 2, report.RecordCount)
	require.Len(t, report.Problems, 2)
	assert.Equal(t, 1, report.Problems[0].Record)
	assert.Equal(t, "id", report.Problems[0].Field)
	assert.Equal(t, "$.id", report.Problems[0].Path)
	assert.Equal(t, 2, report.Problems[1].Record)
	assert.Equal(t, "n", report.Problems[1].Field)
	assert.Contains(t, report.Problems[1].Sample, "three")
	require.NotNil(t, report.Failure, "the Extract does not set records aside")
	assert.Equal(t, callsheet.StageExtract, report.Failure.Stage)
	assert.Equal(t, callsheet.ClassBadResponse, report.Failure.Class)
	assert.Nil(t, report.Preview)

	x.BadRecords = extract.SkipRecords
	report = dryRun(t, sched, r)
	assert.Nil(t, report.Failure)
	assert.EqualValues(t, 2, report.Rejected)
	assert.Equal(t, 2, report.Preview.Inserted)
}

func TestDryRun_SaysHowAnAttemptWouldFail(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		edit   func(*callsheet.DryRunRequest)
		stage  callsheet.Stage
		class  callsheet.Class
		text   string
		status int
		sent   bool
	}{
		{"a status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such market", 404) }, nil,
			callsheet.StageFetch, callsheet.ClassPermanent, "status 404", 404, true},
		{"an answer that is no JSON", text("<html>"), nil, callsheet.StageExtract, callsheet.ClassBadResponse, "extract", 200, true},
		{"an answer that is too large", text(marketsAnswer), func(r *callsheet.DryRunRequest) { r.Source.MaxBodyBytes = 10 },
			callsheet.StageFetch, callsheet.ClassPermanent, "larger than 10 bytes", 0, true},
		{"an address that is not open", text(marketsAnswer), func(r *callsheet.DryRunRequest) { r.Source.BaseURL = "http://10.0.0.1" },
			callsheet.StageFetch, callsheet.ClassPermanent, "not open to calls", 0, true},
		{"a secret that is not there", text(marketsAnswer), func(r *callsheet.DryRunRequest) {
			r.Source.Auth = callsheet.Auth{Type: callsheet.AuthBearer, Secret: "token"}
		}, callsheet.StageFetch, callsheet.ClassAuth, `secret "token"`, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sched, _, sheet := dryScheduler(t, tc.answer)
			r := callsheet.DryRunRequest{Schedule: "s", Source: &sheet.Sources[0]}
			if tc.edit != nil {
				tc.edit(&r)
			}
			report := dryRun(t, sched, r)
			require.NotNil(t, report.Failure)
			assert.Equal(t, tc.stage, report.Failure.Stage)
			assert.Equal(t, tc.class, report.Failure.Class)
			assert.Contains(t, report.Failure.Error, tc.text)
			assert.Equal(t, tc.sent, report.Sent != nil)
			if tc.status == 0 {
				assert.Nil(t, report.Answer)
			} else if assert.NotNil(t, report.Answer) {
				assert.Equal(t, tc.status, report.Answer.Status)
			}
		})
	}
}

// usedUp is a Limiter without a call to give.
type usedUp struct{ limit.Limiter }

func (usedUp) Take(context.Context, string, []limit.Limit) (limit.Grant, error) {
	return limit.Grant{Wait: time.Hour}, nil
}

// What would have been sent helps to see why it was not.
func TestDryRun_SentIsTheCallAlsoWhereItDidNotGetThere(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
	}))
	defer identity.Close()
	nameless := callsheet.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		return nil, &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}
	}))
	secrets := callsheet.WithSecrets(callsheet.SecretsFunc(func(_ context.Context, name string) (string, error) {
		if name == "missing" {
			return "", errors.New("there is none")
		}
		return "canary-1\nof two lines", nil
	}))
	for _, tc := range []struct {
		kind fetch.Kind // or why there is no conversation
		opt  callsheet.Option
		edit func(*callsheet.DryRunRequest)
		text string
		sent bool
	}{
		{fetch.KindToken, nil, func(r *callsheet.DryRunRequest) {
			r.Source.Auth = callsheet.Auth{Type: callsheet.AuthOAuth2, TokenURL: identity.URL, ClientID: "jane", Secret: "s"}
		}, "token: status 401", true},
		{fetch.KindAddress, nil, func(r *callsheet.DryRunRequest) { r.Source.BaseURL = "http://10.0.0.1" }, "address: ", true},
		{fetch.KindDNS, nameless, func(*callsheet.DryRunRequest) {}, "dns: ", true},
		{fetch.KindConnect, nil, func(r *callsheet.DryRunRequest) { r.Source.BaseURL = closed.URL }, "connect: ", true},
		{fetch.KindRequest, nil, func(r *callsheet.DryRunRequest) {
			r.Source.Auth = callsheet.Auth{Type: callsheet.AuthBearer, Secret: "s"}
		}, "request: ", false},
		{"no secret", nil, func(r *callsheet.DryRunRequest) {
			r.Source.Auth = callsheet.Auth{Type: callsheet.AuthBearer, Secret: "missing"}
		}, "there is none", false},
		{"a limit", callsheet.WithLimiter(usedUp{}), func(r *callsheet.DryRunRequest) { r.Source = nil }, "rate limit", false},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			opts := []callsheet.Option{secrets}
			if tc.opt != nil {
				opts = append(opts, tc.opt)
			}
			sched, _, sheet := dryScheduler(t, func(http.ResponseWriter, *http.Request) { t.Error("the API was called") }, opts...)
			r := callsheet.DryRunRequest{Schedule: "s", Source: &sheet.Sources[0]}
			tc.edit(&r)
			report := dryRun(t, sched, r)
			require.NotNil(t, report.Failure)
			assert.Contains(t, report.Failure.Error, tc.text)
			assert.Nil(t, report.Answer)
			if !tc.sent {
				assert.Nil(t, report.Sent)
				return
			}
			require.NotNil(t, report.Sent)
			assert.Equal(t, sheet.Sources[0].BaseURL+"/markets?page=…&vs=…", report.Sent.URL)
			assert.Equal(t, `{"top":redacted}`, report.Sent.Body)
			assert.NotContains(t, fmt.Sprint(report.Sent), "canary")
		})
	}
}

func TestDryRun_PagesAndCursor(t *testing.T) {
	var calls atomic.Int64
	sched, _, sheet := dryScheduler(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = fmt.Fprintf(w, `{"data":[{"id":"%s"}],"next":"b"}`, r.URL.Query().Get("since"))
	})
	request := sheet.Requests[0]
	request.Pages = &callsheet.Pagination{By: callsheet.PageByToken, Path: "$.next", Param: "token"}
	request.Cursor = &callsheet.Cursor{Path: "$.id", Type: callsheet.CursorInteger, Param: "since", Initial: "7"}
	forty := "40"
	for _, tc := range []struct {
		name   string
		cursor *string
		want   string
	}{{"before the first success", nil, "7"}, {"from a value", &forty, "40"}} {
		calls.Store(0)
		report := dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s", Request: &request, Cursor: tc.cursor})
		require.Nil(t, report.Failure, tc.name)
		assert.True(t, report.More, tc.name)
		assert.EqualValues(t, 1, calls.Load(), tc.name)
		assert.Equal(t, tc.want, report.Cursor, tc.name)
	}
	s := schedule(t, sched, "s")
	assert.Nil(t, s.Cursor, "it has not moved")

	// What was found stays in the report when the next page cannot be.
	request.Pages.Path = "$.data"
	report := dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s", Request: &request})
	require.NotNil(t, report.Failure)
	assert.Contains(t, report.Failure.Error, "turn the page")
	assert.Len(t, report.Records, 1)
}

func TestDryRun_UsesTheSchedulesCursor(t *testing.T) {
	sched, _, sheet := dryScheduler(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"data":[{"id":"%s"}]}`, r.URL.Query().Get("since"))
	})
	sheet.Requests[0].Cursor = &callsheet.Cursor{Path: "$.id", Type: callsheet.CursorInteger, Param: "since"}
	require.NoError(t, sched.Define(t.Context(), sheet))
	_, err := sched.SetCursor(t.Context(), "s", "99")
	require.NoError(t, err)
	assert.Equal(t, "99", dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s"}).Cursor)
	begin := ""
	assert.Empty(t, dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s", Cursor: &begin}).Cursor)
}

// A previewing Destination says what it is told to.
type previewing struct {
	*destmemory.Destination
	preview func() (callsheet.Preview, error)
}

func (d previewing) Preview(context.Context, callsheet.Batch) (callsheet.Preview, error) {
	return d.preview()
}

// plain is a Destination without previews.
type plain struct{ callsheet.Destination }

func TestDryRun_Previews(t *testing.T) {
	out := destmemory.New()
	says := func(p callsheet.Preview, err error) callsheet.Destination {
		return previewing{out, func() (callsheet.Preview, error) { return p, err }}
	}
	for _, tc := range []struct {
		name        string
		destination callsheet.Destination
		preview     bool
		noPreview   string
		failure     callsheet.Class
	}{
		{"a destination without previews is no failure", plain{out}, false, `the destination "special" cannot say`, ""},
		{"what could not be found out is no failure", says(callsheet.Preview{}, errors.New("lock timeout")), false, "lock timeout", ""},
		{"what cannot be delivered is one", says(callsheet.Preview{}, &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: errors.New("no such table")}),
			false, "no such table", callsheet.ClassPermanent},
		{"what would fail is one, with its preview", says(callsheet.Preview{Rejected: 2, Fails: true, Problems: []string{"record 0: too long"}}, nil),
			true, "", callsheet.ClassPermanent},
		{"a panic is one", previewing{out, func() (callsheet.Preview, error) { panic("oops") }}, false, "", callsheet.ClassPanic},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sched, _, sheet := dryScheduler(t, text(marketsAnswer), callsheet.WithDestination("special", tc.destination))
			sheet.Deliveries[0].Destination = "special"
			report := dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s", Delivery: &sheet.Deliveries[0]})
			assert.Equal(t, tc.preview, report.Preview != nil)
			assert.Contains(t, report.NoPreview, tc.noPreview)
			if tc.failure == "" {
				assert.Nil(t, report.Failure)
			} else if assert.NotNil(t, report.Failure) {
				assert.Equal(t, tc.failure, report.Failure.Class)
			}
			assert.Len(t, report.Records, 2)
		})
	}
}

func TestDryRun_EndsWithItsContext(t *testing.T) {
	sched, _, _ := dryScheduler(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := sched.DryRun(ctx, callsheet.DryRunRequest{Schedule: "s"})
	assert.ErrorIs(t, err, context.Canceled)
}

// An API that repeats all it was sent, in the answer's head and body, gets no secret into a report.
func TestDryRun_ReportsHaveNoSecrets(t *testing.T) {
	const canary = "canary+9Zk/2 secret"
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", r.Header.Get("Authorization")+r.Header.Get("X-Key"))
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"data": []any{map[string]any{
				"id": r.Header.Get("Authorization") + r.Header.Get("X-Key") + r.URL.RawQuery, "query": r.URL.Query(),
			}}})
		}
	}
	secrets := callsheet.WithSecrets(callsheet.SecretsFunc(func(context.Context, string) (string, error) { return canary, nil }))
	for _, auth := range []callsheet.Auth{
		{Type: callsheet.AuthBasic, Username: "u", Secret: "s"}, {Type: callsheet.AuthBearer, Secret: "s"},
		{Type: callsheet.AuthHeader, Name: "X-Key", Secret: "s"}, {Type: callsheet.AuthQuery, Name: "key", Secret: "s"},
	} {
		for _, status := range []int{200, 401} {
			sched, _, sheet := dryScheduler(t, echo(status), secrets)
			sheet.Sources[0].Auth = auth
			sheet.Requests[0].Body = `{"password":"canary in the body"}`
			sheet.Requests[0].Headers["Cookie"] = "canary-of-a-cookie"
			report := dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s", Source: &sheet.Sources[0], Request: &sheet.Requests[0]})
			require.NotNil(t, report.Sent)
			require.NotNil(t, report.Answer)
			encoded, err := json.Marshal(report)
			require.NoError(t, err)
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("tried", "report", report, "sent", report.Sent)
			slog.New(slog.NewJSONHandler(&log, nil)).Info("tried", "report", report)
			for _, text := range []string{string(encoded), log.String(), fmt.Sprintf("%v %+v %#v", report, report, report),
				fmt.Sprintf("%v %+v %#v", *report.Sent, *report.Sent, *report.Answer)} {
				assert.NotContains(t, strings.ToLower(text), "canary", "%s, status %d", auth.Type, status)
				assert.NotContains(t, text, "Y2FuYXJ5", "in base64: %s, status %d", auth.Type, status)
			}
			assert.Contains(t, string(encoded), "redacted")
		}
	}
}

func ExampleDryRunner() {
	sched, _ := callsheet.New(memory.New(), callsheet.WithDestination("memory", destmemory.New()))
	report, err := sched.DryRun(context.Background(), callsheet.DryRunRequest{
		Source:  &callsheet.Source{BaseURL: "https://api.example/v1"},
		Request: &callsheet.Request{Path: "/rates"},
		Extract: &callsheet.Extract{Records: "$.rates[*]", Fields: []callsheet.Field{
			{Name: "currency", Path: "$.code", Required: true},
			{Name: "rate", Path: "$.rate", Type: extract.Decimal},
		}},
		Delivery:   &callsheet.Delivery{Destination: "memory", Target: "rates"},
		AnswerBody: `{"rates":[{"code":"EUR","rate":1.10},{"code":"JPY","rate":"n/a"}]}`, // without it the call is made
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, record := range report.Records {
		fmt.Println(record)
	}
	for _, problem := range report.Problems {
		fmt.Printf("record %d, %s: %s\n", problem.Record, problem.Field, problem.Error)
	}
	fmt.Println("fails in:", report.Failure.Stage)
	// Output:
	// {"currency":"EUR","rate":1.10}
	// record 1, rate: not of type decimal: no number
	// fails in: extract
}

func TestDryRun_OfASourceGivenHasNothingToDoWithThoseThatAreDefined(t *testing.T) {
	calls := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer api.Close()
	sched, err := callsheet.New(memory.New(), callsheet.WithAllowedNetworks("127.0.0.0/8"))
	require.NoError(t, err)
	for range 2 {
		report, err := sched.DryRun(t.Context(), callsheet.DryRunRequest{Source: &callsheet.Source{BaseURL: api.URL}, Request: &callsheet.Request{Path: "/x"}})
		require.NoError(t, err)
		require.NotNil(t, report.Failure)
		assert.Equal(t, 429, report.Answer.Status)
	}
	assert.Equal(t, 2, calls, "the second was not told to wait for the first's quota")
}

func TestDryRun_AnAnswerGivenIsJudged(t *testing.T) {
	sched, err := callsheet.New(memory.New())
	require.NoError(t, err)
	source := callsheet.Source{BaseURL: "https://api.example.com/v1?api_key=topsecretkey"}
	request := callsheet.Request{Path: "/a", Rules: []callsheet.AnswerRule{{Path: "$.error", Class: callsheet.ClassAuth}}}
	report, err := sched.DryRun(t.Context(), callsheet.DryRunRequest{Source: &source, Request: &request, AnswerBody: `{"error":"bad key"}`})
	require.NoError(t, err)
	require.NotNil(t, report.Failure)
	assert.Equal(t, callsheet.ClassAuth, report.Failure.Class)
	assert.NotContains(t, report.Answer.URL, "topsecretkey")
	_, err = sched.DryRun(t.Context(), callsheet.DryRunRequest{Source: &source, Request: &request, Answer: &callsheet.Answer{Status: 503, Body: []byte(`[]`)}})
	assert.ErrorContains(t, err, "answer.status")
}

func TestDryRun_AnAnswerThatARuleRefusesIsShown(t *testing.T) {
	for _, status := range []int{200, 404} {
		resolved := 0
		secrets := callsheet.WithSecrets(callsheet.SecretsFunc(func(context.Context, string) (string, error) {
			resolved++
			return "tell-nobody", nil
		}))
		sched, _, sheet := dryScheduler(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"error":"no such key: %s"}`, r.Header.Get("X-Key"))
		}, secrets)
		sheet.Sources[0].Auth = callsheet.Auth{Type: callsheet.AuthHeader, Name: "X-Key", Secret: "key"}
		sheet.Requests[0].Rules = []callsheet.AnswerRule{{Status: []int{status}, Path: "$.error", Class: callsheet.ClassAuth}}
		report := dryRun(t, sched, callsheet.DryRunRequest{Source: &sheet.Sources[0], Request: &sheet.Requests[0], Extract: &sheet.Extracts[0]})
		require.NotNil(t, report.Failure)
		assert.Equal(t, callsheet.StageFetch, report.Failure.Stage)
		assert.Equal(t, callsheet.ClassAuth, report.Failure.Class)
		assert.NotNil(t, report.Sent)
		require.NotNil(t, report.Answer, "status %d", status)
		assert.Equal(t, status, report.Answer.Status)
		assert.JSONEq(t, `{"error":"no such key: redacted"}`, report.Answer.Body)
		assert.Positive(t, report.Timings.Fetch)
		assert.Equal(t, 1, resolved, "a secret is asked for once")
	}
}

func TestDryRun_AConditionOfTheRequestsOwn(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) }))
	defer api.Close()
	sched, err := callsheet.New(memory.New(), callsheet.WithAllowedNetworks("127.0.0.0/8"))
	require.NoError(t, err)
	report, err := sched.DryRun(t.Context(), callsheet.DryRunRequest{Source: &callsheet.Source{BaseURL: api.URL},
		Request: &callsheet.Request{Headers: map[string]string{"If-None-Match": `"v"`}}, Extract: &callsheet.Extract{}})
	require.NoError(t, err)
	assert.Nil(t, report.Failure)
	assert.Equal(t, 304, report.Answer.Status)
}

func TestDryRun_AnAnswersURLShowsNoSecret(t *testing.T) {
	sched, _, _ := dryScheduler(t, text(""))
	for given, want := range map[string]string{
		"https://jane:topsecret@api.example.com/a?key=1": "https://api.example.com/a?…",
		"https://topsecret@api.example.com":              "https://api.example.com",
		"https://jane:top@secret@api.example.com:8443/@": "https://api.example.com:8443/@",
		"https://jane:top#secret@api.example.com":        "", // is no URL
		"//jane:topsecret@api.example.com/a":             "//api.example.com/a",
		"https://api.example.com/@jane":                  "https://api.example.com/@jane",
		"https://api.example.com/a?mail=jane@there":      "https://api.example.com/a?…",
		"/a@b": "/a@b",
	} {
		report := dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s", Answer: &callsheet.Answer{URL: given, Body: []byte(marketsAnswer)},
			Extract: &callsheet.Extract{Records: "$.data[*]", Fields: []callsheet.Field{{Name: "url", From: extract.URL}}}})
		require.Nil(t, report.Failure, given)
		assert.Equal(t, want, report.Answer.URL)
		url, _ := report.Records[0].Get("url")
		if want != "" {
			assert.Equal(t, want, url, "of a record")
		} else {
			assert.Nil(t, url, "of a record")
		}
	}
}

func TestDryRun_AsksWithoutConditionsAndShowsTheBeginning(t *testing.T) {
	var conditions []string
	item := `{"id":"` + strings.Repeat("x", 10) + `"}`
	answer := `{"data":[` + item + strings.Repeat(","+item, 1200) + `]}`
	sched, _, sheet := dryScheduler(t, func(w http.ResponseWriter, r *http.Request) {
		conditions = append(conditions, r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = fmt.Fprint(w, answer)
	})
	sheet.Requests[0].Method, sheet.Requests[0].Body = "", ""
	sheet.Extracts[0].Fields = []callsheet.Field{{Name: "id", Path: "$.id"}}
	require.NoError(t, sched.Define(t.Context(), sheet))
	start(t, sched)
	for range 2 {
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return execution(t, sched, e.ID).State == callsheet.StateSucceeded }, 10*time.Second, 5*time.Millisecond)
	}
	require.Equal(t, []string{"", `"1"`}, conditions, "an execution asks on condition")

	report := dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s", MaxRecords: 1000})
	assert.Equal(t, []string{"", `"1"`, ""}, conditions)
	require.Nil(t, report.Failure)
	assert.Equal(t, 200, report.Answer.Status)
	assert.Equal(t, answer[:2<<10], report.Answer.Body)
	assert.True(t, report.Answer.Cut)
	assert.EqualValues(t, len(answer), report.Answer.Bytes)
	assert.EqualValues(t, 1201, report.RecordCount)
	assert.Len(t, report.Records, 1000)
	assert.Len(t, dryRun(t, sched, callsheet.DryRunRequest{Schedule: "s"}).Records, 20)
	_, err := sched.DryRun(t.Context(), callsheet.DryRunRequest{Schedule: "s", MaxRecords: 1001})
	assert.Len(t, callsheet.ValidationErrors(err), 1)
	assert.Contains(t, faultsOf(err), "max_records")
}
