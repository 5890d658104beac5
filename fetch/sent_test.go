package fetch_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func TestSent_IsWhatGoesOnTheWire(t *testing.T) {
	var wire http.Header
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { wire = r.Header }))
	defer api.Close()
	client := fetch.New(http.DefaultTransport)
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	r := fetch.Request{
		Method: "POST", BaseURL: api.URL, Path: "/a?x=1", Query: map[string]string{"key": "v"},
		Headers: map[string]string{"accept": "text/csv", "X-Key": "canary-key", "Content-Type": "application/json", "Upgrade": "h2c"},
		Auth:    fetch.Auth{Type: fetch.AuthBearer, Secret: "canary-token"},
		Body:    `{"user":"canary-user","n":12345678}`,
	}
	_, err := client.Do(t.Context(), r)
	require.NoError(t, err)
	sent, err := r.Sent()
	require.NoError(t, err)
	for name := range sent.Header {
		assert.Contains(t, wire, name)
	}
	wire.Del("Content-Length")
	assert.Len(t, sent.Header, len(wire))
	assert.Equal(t, fetch.Sent{
		Method: "POST", URL: api.URL + "/a?x=…&key=…",
		Header: http.Header{
			"Accept": {"text/csv"}, "X-Key": {"redacted"}, "Content-Type": {"application/json"}, "Authorization": {"redacted"},
			"User-Agent": {"callsheet"}, "Accept-Encoding": wire["Accept-Encoding"],
		},
		Body: `{"user":"redacted","n":redacted}`, BodyBytes: len(r.Body),
	}, sent)
}

func TestSent_Masks(t *testing.T) {
	for name, tc := range map[string]struct {
		r    fetch.Request
		want func(t *testing.T, s fetch.Sent)
	}{
		"a form": {fetch.Request{BaseURL: "http://x", Method: "POST", Body: "user=canary&pw=canary2&",
			Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
			func(t *testing.T, s fetch.Sent) { assert.Equal(t, "user=redacted&pw=redacted&", s.Body) }},
		"text": {fetch.Request{BaseURL: "http://x", Method: "POST", Body: "my canary, please"},
			func(t *testing.T, s fetch.Sent) { assert.Equal(t, "redacted redacted, redacted", s.Body) }},
		"the secret in a path": {fetch.Request{BaseURL: "http://x/canary-token/y", Auth: fetch.Auth{Type: fetch.AuthQuery, Name: "key", Secret: "canary-token"}},
			func(t *testing.T, s fetch.Sent) { assert.Equal(t, "http://x/redacted/y?key=…", s.URL) }},
		"the secret in a harmless header": {fetch.Request{BaseURL: "http://x", Headers: map[string]string{"User-Agent": "canary-token"},
			Auth: fetch.Auth{Type: fetch.AuthHeader, Name: "X-Key", Secret: "canary-token"}},
			func(t *testing.T, s fetch.Sent) { assert.Equal(t, []string{"redacted"}, s.Header["User-Agent"]) }},
		"a long body": {fetch.Request{BaseURL: "http://x", Method: "POST", Body: `["` + strings.Repeat("canary", 2000) + `"]`},
			func(t *testing.T, s fetch.Sent) {
				assert.Equal(t, 12004, s.BodyBytes)
				assert.LessOrEqual(t, len(s.Body), fetch.MaxSentBody)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := tc.r.Sent()
			require.NoError(t, err)
			tc.want(t, s)
			assert.NotContains(t, s.URL+s.Body+strings.Join(s.Header["User-Agent"], ""), "canary")
		})
	}
	_, err := fetch.Request{BaseURL: "ftp://x"}.Sent()
	var wrong *fetch.Error
	require.ErrorAs(t, err, &wrong)
	assert.Equal(t, fetch.KindRequest, wrong.Kind)
}

func TestShown_HidesWhatGivesOutSessions(t *testing.T) {
	given := http.Header{"Set-Cookie": {"a", "b"}, "X-Auth-Token": {"c"}, "X-Ratelimit-Remaining": {"7"}, "Content-Type": {"text/csv"}}
	assert.Equal(t, http.Header{"Set-Cookie": {"redacted", "redacted"}, "X-Auth-Token": {"redacted"}, "X-Ratelimit-Remaining": {"7"}, "Content-Type": {"text/csv"}},
		fetch.Shown(given))
	assert.Equal(t, []string{"a", "b"}, given["Set-Cookie"], "the answer's own is left alone")
}
