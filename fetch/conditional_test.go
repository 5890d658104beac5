package fetch_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func TestDo_NotModified(t *testing.T) {
	away := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	home := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/near":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/away":
			http.Redirect(w, r, away.URL, http.StatusFound)
		default:
			w.Header().Set("Etag", `"v2"`)
			w.Header().Set("Content-Encoding", "some")
			w.WriteHeader(http.StatusNotModified)
		}
	})
	for name, tc := range map[string]struct {
		request fetch.Request
		answer  bool
	}{
		"asked for by tag":                    {fetch.Request{Headers: map[string]string{"if-none-match": `"v2"`}}, true},
		"asked for by time":                   {fetch.Request{Headers: map[string]string{"If-Modified-Since": "Sat, 29 Oct 1994 19:43:31 GMT"}}, true},
		"asked for with HEAD":                 {fetch.Request{Method: "HEAD", Headers: map[string]string{"If-None-Match": `"v2"`}}, true},
		"asked for before a redirect nearby":  {fetch.Request{Path: "near", Headers: map[string]string{"If-None-Match": `"v2"`}}, true},
		"the condition was lost on the way":   {fetch.Request{Path: "away", Headers: map[string]string{"If-None-Match": `"v2"`}}, false},
		"not asked for":                       {fetch.Request{}, false},
		"not asked for by another condition":  {fetch.Request{Headers: map[string]string{"If-Match": `"v2"`}}, false},
		"not asked for by an empty condition": {fetch.Request{Headers: map[string]string{"If-None-Match": ""}}, false},
		"a POST is not answered so":           {fetch.Request{Method: "POST", Headers: map[string]string{"If-None-Match": `"v2"`}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tc.request.BaseURL = home.URL
			answer, err := newClient(t).Do(t.Context(), tc.request)
			if !tc.answer {
				require.Nil(t, answer)
				assert.Equal(t, http.StatusNotModified, requireKind(t, err, fetch.KindStatus).Status)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, http.StatusNotModified, answer.Status)
			assert.Equal(t, `"v2"`, answer.Header.Get("Etag"))
			assert.Empty(t, answer.Body)
		})
	}
}
