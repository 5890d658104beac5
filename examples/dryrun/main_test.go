package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const quakes = `{"features":[{"id":"a","properties":{"mag":1.10}},{"id":"b","properties":{"mag":"n/a"}},{"id":"c","properties":{"mag":3}}]}`

// tried runs the program against an API that answers with body, and returns what it printed.
func tried(t *testing.T, body, stdin string, args func(url string) []string) (code int, stdout, stderr string, last *http.Request) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = r
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, body)
	}))
	defer api.Close()
	var out, wrong strings.Builder
	code = run(t.Context(), args(api.URL), strings.NewReader(stdin), &out, &wrong)
	return code, out.String(), wrong.String(), last
}

func TestRun_ShowsTheCallAndItsRecords(t *testing.T) {
	extract := []string{"-allow", "127.0.0.1", "-skip", "-records", "$.features[*]", "-field", "id=$.id", "-field", "mag=$.properties.mag:decimal"}
	for name, tc := range map[string]struct {
		args func(url string) []string
	}{
		"a command in words": {func(url string) []string {
			return append(extract, "--", "curl", "-H", "Accept: application/json", "-u", "me:canary-password", url+"/quakes?day=today")
		}},
		"a command in one text": {func(url string) []string {
			return append(extract, "--", "curl -H 'Accept: application/json' \\\n -u me:canary-password '"+url+"/quakes?day=today'")
		}},
		"flags": {func(url string) []string {
			return append(extract, "-url", url+"/quakes?day=today", "-header", "accept: application/json", "-header", "Authorization: Bearer canary-password")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, wrong, last := tried(t, quakes, "", tc.args)
			require.Zero(t, code, wrong+out)
			assert.Equal(t, "/quakes", last.URL.Path)
			assert.Equal(t, "day=today", last.URL.RawQuery)
			assert.Equal(t, "application/json", last.Header.Get("Accept"))
			assert.NotEmpty(t, last.Header.Get("Authorization"))
			for _, want := range []string{
				"/quakes?day=…\n", "> Accept: application/json\n", "> Authorization: redacted\n", "< status 200, 123 bytes in",
				"2 records, 1 that fail", "  {\"id\":\"a\",\"mag\":1.10}\n", "  {\"id\":\"c\",\"mag\":3}\n",
				`problem: record 1, field "mag" at $.properties.mag: not of type decimal`,
			} {
				assert.Contains(t, out, want)
			}
			assert.NotContains(t, out+wrong, "canary")
		})
	}
}

func TestRun_ReadsACommandFromTheStandardInput(t *testing.T) {
	var url atomic.Value
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		url.Store(r.URL.Path)
		_, _ = fmt.Fprint(w, `plain text`+"\x1b[2J")
	}))
	defer api.Close()
	var out, wrong strings.Builder
	code := run(t.Context(), []string{"-allow", "127.0.0.0/8", "--", "-"}, strings.NewReader("curl -s '"+api.URL+"/x'\n"), &out, &wrong)
	require.Zero(t, code, wrong.String())
	assert.Equal(t, "/x", url.Load())
	assert.Contains(t, out.String(), "note: -s: is about what curl prints\n")
	assert.Contains(t, out.String(), "< plain text�[2J\n", "a terminal is not told anything")
}

func TestRun_OfAnAnswerCallsNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "answer.json")
	require.NoError(t, os.WriteFile(name, []byte(quakes), 0o600))
	code, out, wrong, last := tried(t, "", "", func(string) []string {
		return []string{"-answer", name, "-records", "$.features[*]", "-field", "mag=$.properties.mag:decimal", "-show", "1"}
	})
	assert.Equal(t, 1, code, wrong)
	assert.Nil(t, last)
	assert.Contains(t, out, "an execution would fail in the stage extract (bad_response)")
	assert.Contains(t, out, "  {\"mag\":1.10}\n  … and 1 more\n")
}

func TestRun_SaysWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing to do":             {nil, 2, "there is nothing to call"},
		"a closed address":          {[]string{"-url", "URL"}, 1, "not open to calls"},
		"an option that is refused": {[]string{"--", "curl", "-k", "URL"}, 2, "-k: certificates are always checked"},
		"flags beside a command":    {[]string{"-body", "x", "--", "curl", "URL"}, 2, "have no place beside a curl command"},
		"a field without a path":    {[]string{"-field", "id", "-url", "URL"}, 2, "must be name=path"},
		"a path that cannot be":     {[]string{"-records", "$[", "-url", "URL"}, 2, "records"},
		"a file that is not there":  {[]string{"-answer", "/nowhere/answer.json"}, 2, "-answer: open"},
		"a network that is none":    {[]string{"-allow", "here", "-url", "URL"}, 2, "WithAllowedNetworks"},
		"a flag that there is not":  {[]string{"-nothing"}, 2, "flag provided but not defined"},
		"an answer that is no JSON": {[]string{"-allow", "127.0.0.1", "-records", "$.a", "-url", "URL"}, 1, "would fail in the stage extract"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, wrong, _ := tried(t, "<html>", "", func(url string) []string {
				args := append([]string(nil), tc.args...)
				for i := range args {
					args[i] = strings.ReplaceAll(args[i], "URL", url)
				}
				return args
			})
			assert.Equal(t, tc.code, code)
			assert.Contains(t, out+wrong, tc.want)
		})
	}
}

func TestFieldOf_TakesTheTypeFromTheEnd(t *testing.T) {
	for text, want := range map[string][3]string{
		"id=$.id":             {"id", "$.id", ""},
		"id=$.id:integer":     {"id", "$.id", "integer"},
		"first=$.a[0:2]":      {"first", "$.a[0:2]", ""},
		"x=$.a[0:2]:json":     {"x", "$.a[0:2]", "json"},
		"eq=$.a[?@.b=='c:d']": {"eq", "$.a[?@.b=='c:d']", ""},
	} {
		f, err := fieldOf(text)
		require.NoError(t, err)
		assert.Equal(t, want, [3]string{f.Name, f.Path, string(f.Type)}, text)
	}
}
