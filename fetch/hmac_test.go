package fetch_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

// vectorTime is the time of the test vector in docs/requests.md.
var vectorTime = time.Unix(1_700_000_000, 0)

// recorder is a transport that keeps what goes out.
type recorder struct {
	sent   []*http.Request
	bodies []string
	answer func(r *http.Request) *http.Response
}

func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		read, _ := io.ReadAll(r.Body)
		body = string(read)
	}
	t.sent, t.bodies = append(t.sent, r.Clone(r.Context())), append(t.bodies, body)
	if t.answer != nil {
		return t.answer(r), nil
	}
	return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}, nil
}

func TestHMAC_TestVector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(vectorTime))
		wire := &recorder{}
		request := fetch.Request{
			Method: "POST", BaseURL: "https://API.example.com/v1", Path: "orders/a b?z=1&a=2", Query: map[string]string{"m": "é"},
			Auth: fetch.Auth{Type: fetch.AuthHMAC, Username: "key-1", Secret: "correct horse battery staple"},
			Body: `{"n":1}`,
		}
		_, err := fetch.New(wire).Do(t.Context(), request)
		require.NoError(t, err)
		request.Auth.Algorithm, request.Auth.Name = fetch.SHA512, "x-sign"
		_, err = fetch.New(wire).Do(t.Context(), request)
		require.NoError(t, err)

		canonical := strings.Join([]string{
			"POST", "api.example.com", "/v1/orders/a%20b", "a=2&m=%C3%A9&z=1", "1700000000", hexSum(`{"n":1}`),
		}, "\n")
		key := []byte("correct horse battery staple")
		first, second := hmac.New(sha256.New, key), hmac.New(sha512.New, key)
		first.Write([]byte(canonical))
		second.Write([]byte(canonical))
		sums := []string{hex.EncodeToString(first.Sum(nil)), hex.EncodeToString(second.Sum(nil))}

		assert.Equal(t, sums[0], wire.sent[0].Header.Get("X-Signature"))
		assert.Equal(t, sums[1], wire.sent[1].Header.Get("X-Sign"))
		for _, sent := range wire.sent {
			assert.Equal(t, "1700000000", sent.Header.Get("X-Timestamp"))
			assert.Equal(t, "key-1", sent.Header.Get("X-Key-Id"))
		}
		docs, err := os.ReadFile("../docs/requests.md")
		require.NoError(t, err)
		for _, line := range append(strings.Split(canonical, "\n"), sums...) {
			assert.Contains(t, string(docs), "    "+line+"\n", "the vector in the docs")
		}
	})
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// verify is what a server does that takes signatures.
func verify(r *http.Request, body, key string) bool {
	pairs := strings.Split(r.URL.RawQuery, "&")
	slices.Sort(pairs)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(strings.Join([]string{
		r.Method, strings.ToLower(r.Host), r.URL.EscapedPath(), strings.Join(pairs, "&"), r.Header.Get("X-Timestamp"), hexSum(body),
	}, "\n")))
	return hex.EncodeToString(mac.Sum(nil)) == r.Header.Get("X-Signature")
}

func TestHMAC_ServersCanVerify(t *testing.T) {
	var hops []bool
	away := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("X-Signature")+r.Header.Get("X-Timestamp")+r.Header.Get("X-Key-Id"), "another origin is sent no signature")
	})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hops = append(hops, verify(r, string(body), "k3y-0f-j4n3"))
		switch r.URL.Path {
		case "/same":
			http.Redirect(w, r, "/end?b=1&a=%2F", http.StatusTemporaryRedirect)
		case "/get":
			http.Redirect(w, r, "/end", http.StatusSeeOther)
		case "/away":
			http.Redirect(w, r, away.URL, http.StatusFound)
		}
	})
	for name, tc := range map[string]struct {
		request fetch.Request
		hops    int
	}{
		"a plain call":                         {fetch.Request{}, 1},
		"a body and a query":                   {fetch.Request{Method: "PUT", Path: "a%2Fb/ü", Query: map[string]string{"b": "2 &", "a": "="}, Body: "text"}, 1},
		"a name of its own":                    {fetch.Request{Headers: map[string]string{"Host": "API.internal:81"}}, 1},
		"a name that is not ASCII":             {fetch.Request{Headers: map[string]string{"Host": "bücher.example"}}, 1},
		"a form":                               {fetch.Request{Method: "POST", Form: map[string]string{"a": "b c"}}, 1},
		"a redirect that repeats the body":     {fetch.Request{Method: "POST", Path: "same", Body: "text"}, 2},
		"a redirect that makes a GET of it":    {fetch.Request{Method: "POST", Path: "get", Body: "text"}, 2},
		"a redirect that leads somewhere else": {fetch.Request{Path: "away"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			hops = nil
			tc.request.BaseURL = server.URL
			tc.request.Auth = fetch.Auth{Type: fetch.AuthHMAC, Username: "jane", Secret: "k3y-0f-j4n3"}
			_, err := newClient(t).Do(t.Context(), tc.request)
			require.NoError(t, err)
			assert.Len(t, hops, tc.hops)
			assert.NotContains(t, hops, false, "each hop is signed by itself")
		})
	}
}

func TestHMAC_Faults(t *testing.T) {
	for field, request := range map[string]fetch.Request{
		"auth.algorithm":      {Auth: fetch.Auth{Type: fetch.AuthHMAC, Secret: "s", Algorithm: "md5"}},
		"auth.name":           {Auth: fetch.Auth{Type: fetch.AuthHMAC, Secret: "s", Name: "Content-Type"}},
		"auth.secret":         {Auth: fetch.Auth{Type: fetch.AuthHMAC}},
		"headers.x-timestamp": {Auth: fetch.Auth{Type: fetch.AuthHMAC, Secret: "s"}, Headers: map[string]string{"x-timestamp": "1"}},
		"headers.X-Signature": {Auth: fetch.Auth{Type: fetch.AuthHMAC, Secret: "s"}, Headers: map[string]string{"X-Signature": "1"}},
		"headers.X-Key-Id":    {Auth: fetch.Auth{Type: fetch.AuthHMAC, Secret: "s"}, Headers: map[string]string{"X-Key-Id": "1"}},
	} {
		request.BaseURL = "http://api.example"
		faults := faultsOf(request.Validate())
		require.Len(t, faults, 1, field)
		assert.Equal(t, field, faults[0].Field)
	}
	other := fetch.Request{BaseURL: "http://api.example", Auth: fetch.Auth{Type: fetch.AuthBearer, Secret: "s", Algorithm: "sha256"}}
	require.Len(t, faultsOf(other.Validate()), 1)
}
