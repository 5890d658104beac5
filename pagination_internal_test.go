package callsheet

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNextLink(t *testing.T) {
	for name, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"GitHub's":                            {[]string{`<https://api.github.com/a?page=3>; rel="prev", <https://api.github.com/a?page=5>; rel="next", <https://api.github.com/a?page=9>; rel="last"`}, "https://api.github.com/a?page=5"},
		"without quotes":                      {[]string{`</b>; rel=next`}, "/b"},
		"several relations of one link":       {[]string{`</b>; rel="last next"`}, "/b"},
		"relations do not differ by case":     {[]string{`</b>; REL="Next"`}, "/b"},
		"blanks everywhere":                   {[]string{` < /b > ; rel = "next" `}, "/b"},
		"other parameters around it":          {[]string{`</b>; title="a, b; rel=\"last\""; rel="next"; type="x"`}, "/b"},
		"a comma in the target":               {[]string{`</a,b>; rel="next"`}, "/a,b"},
		"lines of their own":                  {[]string{`</a>; rel="prev"`, `</b>; rel="next"`}, "/b"},
		"only the first rel counts":           {[]string{`</b>; rel="prev"; rel="next"`}, ""},
		"a relation that only begins so":      {[]string{`</b>; rel="nextish"`}, ""},
		"no link":                             {nil, ""},
		"an empty target":                     {[]string{`<>; rel="next"`}, ""},
		"a target without an end":             {[]string{`</b; rel="next"`}, ""},
		"a quote without an end":              {[]string{`</b>; rel="next`}, "/b"},
		"a parameter without a value":         {[]string{`</b>; crossorigin; rel="next"`}, "/b"},
		"an empty link before":                {[]string{`, </b>; rel="next"`}, "/b"},
		"rubbish between parameters":          {[]string{`</b> junk; rel="next"`}, "/b"},
		"the title of another link is not it": {[]string{`</a>; title="<x>; rel=next", </b>; rel="next"`}, "/b"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, nextLink(http.Header{"Link": tt.lines}))
		})
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add(`</b>; rel="next"`)
	f.Add(`</a>; title="\"`)
	f.Fuzz(func(t *testing.T, line string) {
		link := nextLink(http.Header{"Link": {line}})
		assert.LessOrEqual(t, len(link), len(line))
		base := &url.URL{Scheme: "https", Host: "api.example", Path: "/v1/"}
		if next, err := nextURL(base, base, link); err == nil {
			u, err := url.Parse(next)
			require.NoError(t, err)
			assert.Equal(t, "https", u.Scheme)
			assert.Equal(t, "api.example", u.Hostname())
		}
	})
}

func TestNextURL(t *testing.T) {
	for name, tt := range map[string]struct{ source, base, link, want, fault string }{
		"absolute":                      {"https://a.example", "https://a.example/v1/x", "https://a.example/v1/x?p=2", "https://a.example/v1/x?p=2", ""},
		"a query only":                  {"https://a.example", "https://a.example/v1/x?key=…", "?p=2", "https://a.example/v1/x?p=2", ""},
		"a path":                        {"https://a.example", "https://a.example/v1/x", "/v2?p=2", "https://a.example/v2?p=2", ""},
		"dots are resolved":             {"https://a.example", "https://a.example/v1/x/", "../../y", "https://a.example/y", ""},
		"the default port, written":     {"https://a.example", "https://a.example/", "https://a.example:443/y", "https://a.example:443/y", ""},
		"the host in capitals":          {"https://a.example", "https://a.example/", "https://A.example/y", "https://A.example/y", ""},
		"http behind a proxy":           {"https://a.example", "https://a.example/", "http://a.example/y", "https://a.example/y", ""},
		"a fragment goes":               {"https://a.example", "https://a.example/", "/y#z", "https://a.example/y", ""},
		"user info goes":                {"https://a.example", "https://a.example/", "https://u:p@a.example/y", "https://a.example/y", ""},
		"another host":                  {"https://a.example", "https://a.example/", "https://b.example/y", "", "credentials must not go there"},
		"another port":                  {"https://a.example", "https://a.example/", "https://a.example:8443/y", "", "credentials must not go there"},
		"another host by //":            {"https://a.example", "https://a.example/", "//b.example/y", "", "credentials must not go there"},
		"http on a port of its own":     {"https://a.example", "https://a.example/", "http://a.example:8080/y", "", "credentials must not go there"},
		"https where the source is not": {"http://a.example", "http://a.example/", "https://a.example/y", "", "credentials must not go there"},
		"no URL":                        {"https://a.example", "https://a.example/", "https://a.example/%zz", "", "is not a URL"},
		"another scheme":                {"https://a.example", "https://a.example/", "file:///etc/passwd", "", "credentials must not go there"},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := url.Parse(tt.source)
			require.NoError(t, err)
			base, err := url.Parse(tt.base)
			require.NoError(t, err)
			got, err := nextURL(base, source, tt.link)
			if tt.fault != "" {
				require.ErrorContains(t, err, tt.fault)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestCursor_Further(t *testing.T) {
	for name, tt := range map[string]struct {
		cursor     Cursor
		a, b, want string
		fault      string
	}{
		"the later time":                {Cursor{}, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:01Z", ""},
		"times of two zones":            {Cursor{}, "2026-01-01T01:00:00+02:00", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", ""},
		"an equal time is not further":  {Cursor{}, "2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", ""},
		"a layout":                      {Cursor{Layout: "02.01.2006"}, "31.01.2026", "01.02.2026", "01.02.2026", ""},
		"integers are not texts":        {Cursor{Type: CursorInteger}, "9", "10", "10", ""},
		"integers of any size":          {Cursor{Type: CursorInteger}, "12345678901234567890123", "12345678901234567890122", "12345678901234567890123", ""},
		"texts":                         {Cursor{Type: CursorString}, "b", "a", "b", ""},
		"a token is the last":           {Cursor{Type: CursorToken}, "z", "a", "a", ""},
		"the first":                     {Cursor{Type: CursorInteger}, "", "-5", "-5", ""},
		"one of another type gives way": {Cursor{Type: CursorInteger}, "2026-01-01T00:00:00Z", "5", "5", ""},
		"what is no time":               {Cursor{}, "", "yesterday", "", `"yesterday" is not a time in RFC 3339`},
		"what is no integer":            {Cursor{Type: CursorInteger}, "1", "1.5", "", `"1.5" is not an integer`},
		"what is not in the layout":     {Cursor{Layout: "2006"}, "", "26", "", `"26" is not a time in the layout 2006`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.cursor.further(tt.a, tt.b)
			if tt.fault != "" {
				require.EqualError(t, err, tt.fault)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestCursor_Asked(t *testing.T) {
	for name, tt := range map[string]struct {
		cursor      Cursor
		value, want string
	}{
		"nothing before the first":         {Cursor{}, "", ""},
		"the initial value":                {Cursor{Initial: "2026-01-01T00:00:00Z"}, "", "2026-01-01T00:00:00Z"},
		"the value as it came":             {Cursor{}, "2026-01-01T00:00:00.120+01:00", "2026-01-01T00:00:00.120+01:00"},
		"a lookback":                       {Cursor{Lookback: 3600e9}, "2026-01-01T00:30:00Z", "2025-12-31T23:30:00Z"},
		"a lookback in a layout":           {Cursor{Lookback: 48 * 3600e9, Layout: "02.01.2006"}, "01.03.2028", "28.02.2028"},
		"a lookback by number":             {Cursor{Type: CursorInteger, LookbackCount: 10}, "12345678901234567890", "12345678901234567880"},
		"not before the initial value":     {Cursor{Type: CursorInteger, LookbackCount: 10, Initial: "3"}, "5", "3"},
		"no lookback on the initial value": {Cursor{Type: CursorInteger, LookbackCount: 10, Initial: "3"}, "", "3"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, tt.cursor.asked(tt.value)) })
	}
}

func TestJudge_OnlyWhatCameFurtherIsUnspent(t *testing.T) {
	now := time.Now()
	sch := Schedule{RetryDelay: time.Second, MaxRetryDelay: time.Minute}
	last := Execution{ID: "e", Attempt: 3, MaxAttempts: 3, CreatedAt: now}
	o := judge(last, sch, Result{Pages: 2}, &ClassifiedError{ClassTransient, errors.New("502")}, now, 0.5)
	assert.Equal(t, StateFailed, o.State, "a Pipeline that begins anew each time does not come further")
	assert.Zero(t, o.Pages)

	throttled := Execution{ID: "e", Attempt: 1, MaxAttempts: 3, CreatedAt: now.Add(-25 * time.Hour),
		Attempts: []Attempt{{StartedAt: now.Add(-25 * time.Hour), Class: ClassThrottled}}}
	o = judge(throttled, sch, Result{Pages: 40, Progress: &Progress{Pages: 40}}, &ClassifiedError{ClassThrottled, errors.New("429")}, now, 0.5)
	assert.Equal(t, StatePending, o.State, "it has been throttled for a day, and delivered 40 pages just now")
	assert.Equal(t, ReasonPartial, o.Reason)
	assert.Equal(t, time.Second, o.Delay, "the first delay")
}

func TestCursor_ValuesThatAreTooLong(t *testing.T) {
	long := strings.Repeat("7", 3<<20) // to read it as a number would take minutes
	for _, kind := range []CursorType{CursorTime, CursorInteger, CursorString, CursorToken} {
		_, err := Cursor{Type: kind}.further("", long)
		assert.ErrorContains(t, err, "is longer than 4096 bytes")
	}
	assert.Equal(t, "0", Cursor{Type: CursorInteger, Initial: "0"}.asked("2026-01-01T00:00:00Z"), "the type was edited")
}

func TestAttempt_LinksOfEveryShapeAreFollowed(t *testing.T) {
	a := &attempt{pipeline: &pipeline{}, call: Call{Source: Source{ID: "s", BaseURL: "https://api.example/v1?shop=1"}, Request: Request{ID: "r", Path: "/list", Pages: &Pagination{By: PageByLink}}}}
	for _, link := range []string{"https://api.example//items?p=2", "https://api.example/v1/%2e%2e/items?p=2", "https://api.example/v1/items", "https://api.example/a%2Fb?q=a+b&q=c"} {
		a.progress.Next.URL = link
		h, err := a.request()
		require.NoError(t, err)
		require.NoError(t, h.Validate(), link)
		sent, err := h.URL()
		require.NoError(t, err)
		assert.Equal(t, link, sent)
	}
}

func TestExtract_WhatIsWrongInALanguageOfTheHostsOwn(t *testing.T) {
	own := extractLanguages{"mine": func(extract.Mapping) (extract.Extractor, error) { return extract.New(extract.Mapping{}) }}
	err := checkExtract(Extract{ID: "x", Language: "mine", BadRecords: "nonsense", Fields: []Field{{Name: "a", Path: "p"}, {Name: "a", Path: "q"}, {Name: "", Path: "r"}}}, own)
	assert.Len(t, ValidationErrors(err), 3, "%v", err)
	assert.NoError(t, checkExtract(Extract{ID: "x", Language: "mine", Fields: []Field{{Name: "a", Path: "no JSONPath"}}}, own))
}

func TestAttempt_AParameterThatTheRequestGivesStaysInLinks(t *testing.T) {
	a := &attempt{pipeline: &pipeline{}, call: Call{
		Source:  Source{ID: "s", BaseURL: "https://api.example", Auth: Auth{Type: AuthQuery, Name: "api_key", Secret: "k"}},
		Request: Request{ID: "r", Path: "/list", Query: map[string]string{"api_key": "DEMO"}, Pages: &Pagination{By: PageByLink}},
	}}
	assert.Equal(t, "https://api.example/list?page=2&api_key=DEMO", a.withoutKey("https://api.example/list?page=2&api_key=DEMO"))
	a.call.Request.Query = nil
	assert.Equal(t, "https://api.example/list?page=2", a.withoutKey("https://api.example/list?page=2&api_key=DEMO"))
	assert.Equal(t, "https://api.example/list?b=2&a=1", a.withoutKey("https://api.example/list?b=2&a=1"), "what has no key stays as it is")
	assert.Equal(t, "https://api.example/list?after=x;y&b=%zz", a.withoutKey("https://api.example/list?after=x;y&api%5Fkey=DEMO&b=%zz"), "to the byte")
	assert.Equal(t, "https://api.example/list", a.withoutKey("https://api.example/list?api_key=DEMO"))
	a.call.Source.Auth = Auth{Type: AuthBearer, Secret: "k"}
	assert.Equal(t, "https://api.example/list?page=2", a.withoutKey("https://api.example/list?access_token=redacted&page=2"), "the token is in the header")
}
