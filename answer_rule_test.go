package callsheet_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/fetch"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnswerRule_TellsWhatAnAnswerIs(t *testing.T) {
	const limited = `{"message":"API rate limit exceeded","documentation_url":"https://api.example/limits"}`
	long := `{"padding":"` + strings.Repeat("x", 3000) + `","error":{"type":"quota"}}`
	rule := func(r callsheet.AnswerRule) []callsheet.AnswerRule { return []callsheet.AnswerRule{r} }
	for _, tc := range []struct {
		name    string
		status  int
		body    string
		rules   []callsheet.AnswerRule
		request []callsheet.AnswerRule
		class   callsheet.Class // empty: it succeeds
		err     string
	}{
		{"without rules a 200 is a success", 200, `{"error":"x"}`, nil, nil, "", ""},
		{"an error inside a 200", 200, `{"error":{"code":7,"text":"no such table"}}`,
			rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassPermanent, Message: "$.error.text"}), nil,
			callsheet.ClassPermanent, `fetch: http://api.example/v1: status 200 (permanent by rules[0] of source "api"): no such table`},
		{"what the path selects is the message unless there is another", 200, `{"error":{"code":7}}`,
			rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassAuth}), nil, callsheet.ClassAuth, `source "api"): {"code":7}`},
		{"a message that is not there", 200, `{"error":"x"}`,
			rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassAuth, Message: "$.why"}), nil, callsheet.ClassAuth, `status 200 (auth by rules[0] of source "api")`},
		{"null is no error", 200, `{"error":null}`, rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassPermanent}), nil, "", ""},
		{"false is no error", 200, `{"error":false}`, rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassPermanent}), nil, "", ""},
		{"an empty text is no error", 200, `{"error":""}`, rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassPermanent}), nil, "", ""},
		{"what is not there is no error", 200, `{}`, rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassPermanent}), nil, "", ""},
		{"an empty list of errors selects nothing", 200, `{"errors":[]}`, rule(callsheet.AnswerRule{Path: "$.errors[*]", Class: callsheet.ClassPermanent}), nil, "", ""},
		{"an answer that is no JSON does not match a path", 200, `error`, rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassPermanent}), nil, "", ""},
		{"false may be what is looked for", 200, `{"ok":false,"why":"maintenance"}`,
			rule(callsheet.AnswerRule{Path: "$.ok", Values: []string{"false"}, Class: callsheet.ClassTransient, Message: "$.why"}), nil, callsheet.ClassTransient, "maintenance"},
		{"a number by its digits", 200, `{"code":429}`, rule(callsheet.AnswerRule{Path: "$.code", Values: []string{"420", "429"}, Class: callsheet.ClassThrottled}), nil, callsheet.ClassThrottled, "429"},
		{"another number", 200, `{"code":0}`, rule(callsheet.AnswerRule{Path: "$.code", Values: []string{"420", "429"}, Class: callsheet.ClassThrottled}), nil, "", ""},
		{"one of several that a path selects", 200, `{"errors":[{"type":"a"},{"type":"quota"}]}`,
			rule(callsheet.AnswerRule{Path: "$.errors[*].type", Values: []string{"quota"}, Class: callsheet.ClassThrottled}), nil, callsheet.ClassThrottled, "quota"},
		{"a list at the top", 200, `[{"error":"x"}]`, rule(callsheet.AnswerRule{Path: "$[0].error", Class: callsheet.ClassBadResponse}), nil, callsheet.ClassBadResponse, "x"},
		{"the first that matches decides", 200, `{"error":"x","code":2}`, []callsheet.AnswerRule{
			{Path: "$.code", Values: []string{"1"}, Class: callsheet.ClassAuth},
			{Path: "$.error", Class: callsheet.ClassThrottled},
			{Path: "$.code", Class: callsheet.ClassPermanent}}, nil, callsheet.ClassThrottled, "rules[1]"},
		{"those of the request come first", 200, `{"error":"x"}`, rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassAuth}),
			rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassThrottled}), callsheet.ClassThrottled, `rules[0] of request "r"`},
		{"a 403 that means to wait", 403, limited,
			rule(callsheet.AnswerRule{Status: []int{403, 429}, Path: "$[?match(@, '.*rate limit.*')]", Class: callsheet.ClassThrottled}), nil, callsheet.ClassThrottled,
			`fetch: GET http://api.example/v1: status 403 Forbidden: ` + limited + ` (throttled by rules[0] of source "api"): API rate limit exceeded`},
		{"a 403 that means no", 403, `{"message":"bad credentials"}`,
			rule(callsheet.AnswerRule{Status: []int{403}, Path: "$[?match(@, '.*rate limit.*')]", Class: callsheet.ClassThrottled}), nil, callsheet.ClassAuth, "bad credentials"},
		{"more of an error's body is looked at than shown", 400, long,
			rule(callsheet.AnswerRule{Status: []int{400}, Path: "$.error.type", Class: callsheet.ClassThrottled}), nil, callsheet.ClassThrottled, `source "api"): quota`},
		{"but not all of it", 400, `{"padding":"` + strings.Repeat("x", 5000) + `","error":1}`,
			rule(callsheet.AnswerRule{Status: []int{400}, Path: "$.error", Class: callsheet.ClassThrottled}), nil, callsheet.ClassPermanent, "status 400"},
		{"a status alone", 404, "gone fishing", rule(callsheet.AnswerRule{Status: []int{404}, Class: callsheet.ClassTransient}), nil, callsheet.ClassTransient, "gone fishing (transient by"},
		{"a 2xx by its status", 202, `{}`, rule(callsheet.AnswerRule{Status: []int{202}, Class: callsheet.ClassTransient}), nil, callsheet.ClassTransient, "status 202"},
		{"a rule without a status is not for errors", 404, `{"error":"x"}`, rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassTransient}), nil, callsheet.ClassPermanent, "status 404"},
		{"a message repeats nothing that was sent, and is bounded", 200, `{"error":"no c4n4ry\n` + strings.Repeat("é", 300) + `"}`,
			rule(callsheet.AnswerRule{Path: "$.error", Class: callsheet.ClassPermanent}), nil, callsheet.ClassPermanent, "no redacted é"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api := &teller{status: tc.status, body: tc.body}
			var failure error // of the first attempt, which then is the last
			e := callOnce(t, api, callsheet.Source{Rules: tc.rules, Headers: map[string]string{"X-Key": "c4n4ry"}}, callsheet.Request{Rules: tc.request},
				callsheet.Schedule{}, callsheet.WithPipeline(func(next callsheet.Pipeline) callsheet.Pipeline {
					return callsheet.PipelineFunc(func(ctx context.Context, call callsheet.Call) (result callsheet.Result, err error) {
						if result, failure = next.Run(ctx, call); failure != nil {
							err = &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: failure}
						}
						return result, err
					})
				}))
			assert.Equal(t, tc.class, callsheet.Classify(failure))
			assert.Equal(t, tc.status, e.HTTPStatus)
			assert.Contains(t, e.Error, tc.err)
			assert.NotContains(t, e.Error, "c4n4ry")
			assert.Less(t, len(e.Error), 700)
			if answer, is := errors.AsType[*callsheet.AnswerError](failure); is {
				assert.Equal(t, tc.class, answer.Class)
				assert.LessOrEqual(t, len(answer.Message), 200)
				status, is := errors.AsType[*fetch.Error](failure)
				assert.Equal(t, tc.status > 299, is, "the error of the status is there as well")
				assert.True(t, !is || status.Status == tc.status)
			}
		})
	}
}

func TestDocs_StatusesAreOfTheClassesTheyAreSaidToBe(t *testing.T) {
	page, err := os.ReadFile("docs/rules.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| (.*) \\| `(\\w+)` \\| (after|no|yes)")
	rows := row.FindAllStringSubmatch(string(page), -1)
	require.Len(t, rows, 4)
	statuses := map[string][]fetch.Error{
		"429; 503 with `Retry-After`": {{Status: 429}, {Status: 503, RetryAfter: time.Second}},
		"401, 403, 407":               {{Status: 401}, {Status: 403}, {Status: 407}},
		"408, 425, other 5xx":         {{Status: 408}, {Status: 425}, {Status: 500}, {Status: 503}, {Status: 599}},
		"any other":                   {{Status: 300}, {Status: 304}, {Status: 400}, {Status: 404}, {Status: 451}},
	}
	for _, m := range rows {
		require.NotEmpty(t, statuses[m[1]], m[1])
		for _, e := range statuses[m[1]] {
			e.Kind = fetch.KindStatus
			class := callsheet.Classify(&e)
			assert.Equal(t, m[2], string(class), "%d", e.Status)
			assert.Equal(t, m[3] != "no", class.Retryable(), "%d", e.Status)
		}
	}
}

func TestDocs_DefinitionsOfTemplatesAndRulesAreValid(t *testing.T) {
	sched, err := callsheet.New(memory.New())
	require.NoError(t, err)
	_, err = sched.Sources().Create(t.Context(), callsheet.Source{ID: "shop", BaseURL: "http://api.example"})
	require.NoError(t, err)
	block := func(page string, into any) {
		t.Helper()
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		found := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(text), -1)
		require.Len(t, found, 1)
		d := json.NewDecoder(strings.NewReader(found[0][1]))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(into))
	}
	var request callsheet.Request
	block("docs/templates.md", &request)
	_, err = sched.Requests().Create(t.Context(), request)
	require.NoError(t, err)
	var source callsheet.Source
	block("docs/rules.md", &source)
	_, err = sched.Sources().Create(t.Context(), source)
	require.NoError(t, err)
}

func TestAnswerRule_RetryAfterOfTheStatusIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().UTC()
		api := &teller{status: 403, body: `{"message":"slow down"}`, header: http.Header{"Retry-After": {"600"}}}
		sched, err := callsheet.New(memory.New(), callsheet.WithTransport(api))
		require.NoError(t, err)
		require.NoError(t, sched.Define(t.Context(), callsheet.Sheet{
			Sources: []callsheet.Source{{ID: "api", BaseURL: "http://api.example", Rules: []callsheet.AnswerRule{
				{Status: []int{403}, Path: "$.message", Values: []string{"slow down"}, Class: callsheet.ClassThrottled}}}},
			Requests:  []callsheet.Request{{ID: "r", Source: "api"}},
			Schedules: []callsheet.Schedule{{ID: "s", Request: "r"}},
		}))
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()
		e = execution(t, sched, e.ID)
		assert.Equal(t, callsheet.StatePending, e.State)
		assert.Equal(t, callsheet.ReasonThrottled, e.Reason)
		assert.Equal(t, begin.Add(10*time.Minute), e.NotBefore)
		assert.Zero(t, e.Attempt, "it is given back")
	})
}

func TestAnswerRule_IsCheckedWhenItIsDefined(t *testing.T) {
	sched, err := callsheet.New(memory.New())
	require.NoError(t, err)
	bad := []callsheet.AnswerRule{
		{Class: callsheet.ClassThrottled},
		{Status: []int{99, 404}, Path: "error", Class: "slow", Message: "$.["},
		{Status: []int{404}, Values: []string{"a"}, Class: callsheet.ClassDelivery},
		{Path: "$.a", Class: callsheet.ClassTransient},
	}
	want := []string{
		`rules[0].path "": must be given where no status is: else every answer matches`,
		`rules[1].status "99": must be from 200 to 599`,
		`rules[1].path "error": must be a JSONPath: path "error": `,
		`rules[1].message "$.[": must be a JSONPath: `,
		`rules[1].class "slow": must be one of ["throttled" "transient" "permanent" "auth" "bad_response"]`,
		`rules[2].values "[a]": must be empty without a path`,
		`rules[2].class "delivery": must be one of`,
	}
	check := func(err error) {
		t.Helper()
		faults := callsheet.ValidationErrors(err)
		require.Len(t, faults, len(want), "%v", err)
		for i, fault := range faults {
			assert.ErrorContains(t, fault, want[i])
		}
	}
	_, err = sched.Sources().Create(t.Context(), callsheet.Source{ID: "api", BaseURL: "http://api.example", Rules: bad})
	check(err)
	_, err = sched.Sources().Create(t.Context(), callsheet.Source{ID: "api", BaseURL: "http://api.example"})
	require.NoError(t, err)
	_, err = sched.Requests().Create(t.Context(), callsheet.Request{ID: "r", Source: "api", Rules: bad})
	check(err)
	_, err = sched.Requests().Create(t.Context(), callsheet.Request{ID: "r", Source: "api", Rules: make([]callsheet.AnswerRule, 51)})
	assert.ErrorContains(t, err, `rules "51": must be at most 50`)
}
