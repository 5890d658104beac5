package fetch_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

const canary = "c4n4ry-s3cr3t"

var credentials = map[string]string{
	"Authorization":       "Bearer " + canary,
	"Cookie":              "session=" + canary,
	"X-Api-Key":           canary,
	"Proxy-Authorization": canary,
	"X-Custom":            canary,
	"User-Agent":          canary,
	"Host":                canary + ".example.com",
	"Content-Type":        "text/x-" + canary,
}

// A witness is a server that keeps every request it gets and answers by a table of paths.
type witness struct {
	*httptest.Server
	mu     sync.Mutex // guards seen and bodies
	seen   []*http.Request
	bodies []string
}

// newWitness redirects the paths of hops: "302 http://…" with ORIGIN for the witness itself; all other
// paths answer "arrived".
func newWitness(t testing.TB, hops map[string]string) *witness {
	w := &witness{}
	w.Server = serve(t, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.seen, w.bodies = append(w.seen, r), append(w.bodies, string(body))
		w.mu.Unlock()
		hop, found := hops[r.URL.Path]
		if !found {
			_, _ = io.WriteString(rw, "arrived")
			return
		}
		status, location, _ := strings.Cut(hop, " ")
		code, _ := strconv.Atoi(status)
		rw.Header()["Location"] = []string{strings.ReplaceAll(location, "ORIGIN", w.URL)}
		rw.WriteHeader(code)
	})
	return w
}

func (w *witness) last() (*http.Request, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[len(w.seen)-1], w.bodies[len(w.bodies)-1]
}

func (w *witness) requireNoCanary(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(t, w.seen, "the other origin should have been asked")
	for _, r := range w.seen {
		assert.NotContains(t, r.Host, canary)
		assert.Equal(t, "callsheet", r.Header.Get("User-Agent"))
		for name, values := range r.Header {
			assert.NotContains(t, strings.Join(values, " "), canary, "header %s came along", name)
		}
		assert.NotContains(t, r.Header, "Referer")
	}
}

func TestRedirect_SameOriginKeepsHeaders(t *testing.T) {
	for name, location := range map[string]string{"a relative location": "/end", "an absolute location": "ORIGIN/end"} {
		t.Run(name, func(t *testing.T) {
			home := newWitness(t, map[string]string{"/start": "302 " + location})
			answer, err := newClient(t).Do(t.Context(), fetch.Request{
				BaseURL: home.URL, Path: "/start?key=" + canary, Headers: credentials,
			})
			require.NoError(t, err)
			assert.Equal(t, home.URL+"/end", answer.URL)
			got, _ := home.last()
			assert.Equal(t, "Bearer "+canary, got.Header.Get("Authorization"))
			assert.Equal(t, canary, got.Header.Get("X-Api-Key"))
			assert.Equal(t, "session="+canary, got.Header.Get("Cookie"))
			assert.Equal(t, canary+".example.com", got.Host, "the configured Host stays with its origin")
			assert.NotContains(t, got.Header, "Referer")
		})
	}
}

func TestRedirect_OtherOriginLosesAllHeaders(t *testing.T) {
	away := newWitness(t, nil)
	awayHost := strings.TrimPrefix(away.URL, "http://")
	for name, location := range map[string]string{
		"another port":                       away.URL + "/end",
		"a location without a scheme":        "//" + awayHost + "/end",
		"a location that brings credentials": "http://user:pw@" + awayHost + "/end",
	} {
		t.Run(name, func(t *testing.T) {
			home := newWitness(t, map[string]string{"/start": "302 " + location})
			answer, err := newClient(t).Do(t.Context(), fetch.Request{
				BaseURL: home.URL, Path: "/start?key=" + canary, Headers: credentials,
			})
			require.NoError(t, err)
			assert.Equal(t, away.URL+"/end", answer.URL)
			away.requireNoCanary(t)
			got, _ := away.last()
			assert.NotContains(t, got.Header, "Authorization")
		})
	}
}

func TestRedirect_SameOriginKeepsTheKeyInTheQuery(t *testing.T) {
	const key = "k&y of 1/2"
	for name, row := range map[string]struct{ location, then string }{
		"a Location without a query":               {"/end", "api_key=k%26y+of+1%2F2"},
		"a Location with a query of its own":       {"/end?page=2", "page=2&api_key=k%26y+of+1%2F2"},
		"a Location with the key":                  {"/end?api_key=k%26y%20of+1/2&page=2", "api_key=k%26y%20of+1/2&page=2"},
		"a Location with another key":              {"/end?page=2&api%5Fkey=one-time", "page=2&api%5Fkey=one-time"},
		"a Location with a name that begins as it": {"/end?api_key2=1", "api_key2=1&api_key=k%26y+of+1%2F2"},
		"a second hop":                             {"/middle", "api_key=k%26y+of+1%2F2"},
	} {
		t.Run(name, func(t *testing.T) {
			home := newWitness(t, map[string]string{"/start": "302 " + row.location, "/middle": "302 /end"})
			answer, err := newClient(t).Do(t.Context(), fetch.Request{
				BaseURL: home.URL, Path: "start", Auth: fetch.Auth{Type: fetch.AuthQuery, Name: "api_key", Secret: key},
			})
			require.NoError(t, err)
			got, _ := home.last()
			assert.Equal(t, row.then, got.URL.RawQuery)
			for _, value := range []string{"k%26y", "one-time", "=2"} {
				assert.NotContains(t, answer.URL, value)
			}
		})
	}
}

// A server that has moved repeats the query that it was sent.
func TestRedirect_OtherOriginLosesTheConfiguredQuery(t *testing.T) {
	away := newWitness(t, map[string]string{"/again": "302 /end?api_key=" + canary + "&page=2&ticket=t1ck3t-0f-away"})
	for name, row := range map[string]struct {
		request        fetch.Request
		location, then string
	}{
		"all that was sent": {fetch.Request{Path: "start?path=a%20b", Query: map[string]string{"conf": "own", "empty": ""}},
			"/end?path=a+b&conf=own&empty=&api_key=" + canary, ""},
		"the parameters of the Location itself stay, as they are written": {fetch.Request{}, "/end?b=%7e&&a=1+2&api_key=" + canary + "&c", "b=%7e&&a=1+2&c"},
		"the name of the key, whatever its value":                         {fetch.Request{}, "/end?api_key=other&API%5FKEY=x", ""},
		"the key by another name, in part of a value, and as a name":      {fetch.Request{}, "/end?token=" + canary + "&next=%2Fx%3Fk%3D" + canary + "&" + canary, ""},
		"the key escaped twice and in base64":                             {fetch.Request{}, "/end?a=c4n4ry%252Ds3cr3t&b=YzRuNHJ5LXMzY3IzdA==", ""},
		"a configured value by another name":                              {fetch.Request{Query: map[string]string{"q": "own-value"}}, "/end?r=own-value", ""},
		"a configured name with another value, and a short value":         {fetch.Request{Query: map[string]string{"page": "1"}}, "/end?page=2&n=1", "page=2&n=1"},
		"a header, a cookie and a value of the body":                      {fetch.Request{Method: "POST", Headers: map[string]string{"X-Key": "key-in-header", "Cookie": "sid=key-in-cookie"}, Body: `{"a":"key-in-body"}`}, "/end?a=key-in-header&b=key-in-cookie&c=key-in-body&d=4", "d=4"},
		"the hop after that, which repeats what the first did not get":    {fetch.Request{}, "/again", "page=2&ticket=t1ck3t-0f-away"},
	} {
		t.Run(name, func(t *testing.T) {
			home := newWitness(t, map[string]string{"/start": "302 " + away.URL + row.location})
			row.request.BaseURL = home.URL
			if row.request.Path == "" {
				row.request.Path = "start"
			}
			row.request.Auth = fetch.Auth{Type: fetch.AuthQuery, Name: "api_key", Secret: canary}
			answer, err := newClient(t).Do(t.Context(), row.request)
			require.NoError(t, err)
			got, _ := away.last()
			assert.Equal(t, row.then, got.URL.RawQuery)
			assert.True(t, answer.LeftOrigin)
		})
	}
}

func TestRedirect_ChainThatReturnsStaysWithoutTheKeyInTheQuery(t *testing.T) {
	away, hops := (*witness)(nil), map[string]string{}
	home := newWitness(t, hops)
	away = newWitness(t, map[string]string{"/middle": "302 " + home.URL + "/back?api_key=" + canary})
	hops["/start"] = "302 " + away.URL + "/middle?api_key=" + canary
	hops["/back"] = "302 /end"

	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: home.URL, Path: "start", Auth: fetch.Auth{Type: fetch.AuthQuery, Name: "api_key", Secret: canary}})
	require.NoError(t, err)
	require.Len(t, home.seen, 3)
	for _, r := range append(away.seen, home.seen[1:]...) {
		assert.Empty(t, r.URL.RawQuery)
	}
}

func TestRedirect_SecretInThePathIsNotTakenToAnotherOrigin(t *testing.T) {
	away := newWitness(t, nil)
	for name, location := range map[string]string{
		"in the path":         away.URL + "/of/" + canary,
		"escaped in the path": away.URL + "/of/%634n4ry-s3cr3t/x",
		"in the host":         "http://" + canary + ".example.com/",
	} {
		t.Run(name, func(t *testing.T) {
			home := newWitness(t, map[string]string{"/start": "302 " + location})
			_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: home.URL, Path: "start", Auth: fetch.Auth{Type: fetch.AuthBearer, Secret: canary}})
			failed := requireKind(t, err, fetch.KindRedirect)
			assert.Contains(t, failed.Error(), "it takes the secret to another origin")
			assert.NotContains(t, failed.Error(), canary)
			assert.NotContains(t, failed.Error(), "4n4ry-s3cr3t")
		})
	}
	assert.Empty(t, away.seen)
}

func TestRedirect_AnotherNameOfTheSameMachineIsAnotherOrigin(t *testing.T) {
	home := newWitness(t, map[string]string{})
	byName := strings.Replace(home.URL, "127.0.0.1", "localhost", 1)
	start := newWitness(t, map[string]string{"/start": "302 " + byName + "/end"})
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: start.URL, Path: "start", Headers: credentials})
	require.NoError(t, err)
	home.requireNoCanary(t)
}

func TestRedirect_ChainThatReturnsStaysWithoutHeaders(t *testing.T) {
	away, hops := (*witness)(nil), map[string]string{}
	home := newWitness(t, hops)
	away = newWitness(t, map[string]string{"/middle": "302 " + home.URL + "/back"})
	hops["/start"] = "302 " + away.URL + "/middle"
	hops["/back"] = "302 /end"

	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: home.URL, Path: "start", Headers: credentials})
	require.NoError(t, err)
	away.requireNoCanary(t)
	require.Len(t, home.seen, 3)
	home.seen = home.seen[1:] // the first one is the call itself
	home.requireNoCanary(t)
}

func TestRedirect_MethodAndBody(t *testing.T) {
	away := newWitness(t, nil)
	for _, row := range []struct {
		name, method string
		hop          string
		kind         fetch.Kind
		then, body   string
	}{
		{"301 turns a POST into a GET", "POST", "301 /end", "", "GET", ""},
		{"302 turns a POST into a GET", "POST", "302 /end", "", "GET", ""},
		{"303 turns a POST into a GET", "POST", "303 /end", "", "GET", ""},
		{"303 turns a PUT into a GET", "PUT", "303 /end", "", "GET", ""},
		{"301 must not turn a PUT into a GET", "PUT", "301 /end", fetch.KindRedirect, "", ""},
		{"302 must not turn a DELETE into a GET", "DELETE", "302 /end", fetch.KindRedirect, "", ""},
		{"302 leaves HEAD alone", "HEAD", "302 /end", "", "HEAD", ""},
		{"307 resends the body to the same origin", "POST", "307 /end", "", "POST", "payload"},
		{"308 resends the body to the same origin", "PUT", "308 /end", "", "PUT", "payload"},
		{"307 does not take the body to another origin", "POST", "307 " + away.URL, fetch.KindRedirect, "", ""},
		{"308 does not take the body to another origin", "PUT", "308 " + away.URL, fetch.KindRedirect, "", ""},
		{"303 goes to another origin without the body", "POST", "303 " + away.URL, "", "GET", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			home := newWitness(t, map[string]string{"/start": row.hop})
			_, err := newClient(t).Do(t.Context(), fetch.Request{
				Method: row.method, BaseURL: home.URL, Path: "start", Body: "payload",
				Headers: map[string]string{"Content-Type": "text/plain"},
			})
			if row.kind != "" {
				requireKind(t, err, row.kind)
				return
			}
			require.NoError(t, err)
			end := home
			if strings.Contains(row.hop, away.URL) {
				end = away
			}
			got, body := end.last()
			assert.Equal(t, row.then, got.Method)
			assert.Equal(t, row.body, body)
			assert.Equal(t, row.body != "", got.Header.Get("Content-Type") != "", "Content-Type goes with the body")
		})
	}
	for _, r := range away.seen {
		assert.Equal(t, "GET", r.Method, "no body may have reached the other origin")
	}
}

func TestRedirect_OnlyReadsLeaveTheOrigin(t *testing.T) {
	away := newWitness(t, nil)
	for method, leaves := range map[string]bool{
		"GET": true, "HEAD": true,
		"POST": false, "PUT": false, "PATCH": false, "DELETE": false, "OPTIONS": false,
	} {
		for _, status := range []string{"307", "308"} {
			t.Run(method+" "+status, func(t *testing.T) {
				home := newWitness(t, map[string]string{"/start": status + " " + away.URL + "/end", "/near": status + " /end"})
				_, err := newClient(t).Do(t.Context(), fetch.Request{Method: method, BaseURL: home.URL, Path: "near"})
				require.NoError(t, err, "within the origin every method follows")

				_, err = newClient(t).Do(t.Context(), fetch.Request{Method: method, BaseURL: home.URL, Path: "start"})
				if leaves {
					require.NoError(t, err)
					return
				}
				assert.Contains(t, requireKind(t, err, fetch.KindRedirect).Error(), "it takes a "+method+" to another origin")
			})
		}
	}
	for _, r := range away.seen {
		assert.Contains(t, []string{"GET", "HEAD"}, r.Method, "nothing that changes anything may have reached the other origin")
	}
}

func TestRedirect_StatusSaysThatTheOriginWasLeft(t *testing.T) {
	locked := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/middle" {
			http.Redirect(w, r, "/end", http.StatusFound)
			return
		}
		http.Error(w, "log in", http.StatusUnauthorized)
	}
	secure := serveTLS(t, locked)
	client := fetch.New(trusting(t, secure))
	const left = ", after a redirect to another origin, without the configured headers: log in"
	for name, row := range map[string]struct {
		location string
		left     bool
		text     string
	}{
		"from http to https":          {secure.URL + "/end", true, left},
		"and a hop in the new origin": {secure.URL + "/middle", true, left},
		"a hop within the origin":     {"/middle", false, ": log in"},
	} {
		t.Run(name, func(t *testing.T) {
			home := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/start" {
					http.Redirect(w, r, row.location, http.StatusMovedPermanently)
					return
				}
				locked(w, r)
			})
			_, err := client.Do(t.Context(), fetch.Request{
				BaseURL: home.URL, Path: "start", Headers: map[string]string{"Authorization": "Bearer " + canary},
			})
			failed := requireKind(t, err, fetch.KindStatus)
			assert.Equal(t, row.left, failed.LeftOrigin)
			assert.True(t, strings.HasSuffix(failed.Error(), "/end: status 401 Unauthorized"+row.text), failed.Error())
		})
	}
}

func TestRedirect_Refused(t *testing.T) {
	for name, row := range map[string]struct{ location, says string }{
		"a scheme that is not HTTP":         {"ftp://127.0.0.1/?k=" + canary, "neither http nor https"},
		"a file":                            {"file:///etc/passwd", "neither http nor https"},
		"a location that cannot be parsed":  {"http://[::1/%zz?k=" + canary, "cannot be parsed"},
		"a location with no host":           {"http:///x?k=" + canary, "has no host"},
		"a loop":                            {"/start", "hop 11"},
		"a loop with a query":               {"/start?k=" + canary, "hop 11"},
		"a loop through an absolute origin": {"ORIGIN/start", "hop 11"},
	} {
		t.Run(name, func(t *testing.T) {
			home := newWitness(t, map[string]string{"/start": "302 " + row.location})
			_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: home.URL, Path: "start"})
			failed := requireKind(t, err, fetch.KindRedirect)
			assert.Contains(t, failed.Error(), row.says)
			assert.NotContains(t, failed.Error(), canary)
			assert.LessOrEqual(t, len(home.seen), 11, "the call and at most ten hops")
		})
	}
}

func TestRedirect_TenHopsArrive(t *testing.T) {
	hops := map[string]string{}
	for i := range 10 {
		hops["/"+strconv.Itoa(i)] = "302 /" + strconv.Itoa(i+1)
	}
	home := newWitness(t, hops)
	answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: home.URL, Path: "0"})
	require.NoError(t, err)
	assert.Equal(t, "arrived", string(answer.Body))
}

func TestRedirect_NeverLeavesHTTPS(t *testing.T) {
	plain := newWitness(t, nil)
	secure := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+"/?k="+canary, http.StatusFound)
	})
	client := fetch.New(trusting(t, secure))
	_, err := client.Do(t.Context(), fetch.Request{BaseURL: secure.URL})
	failed := requireKind(t, err, fetch.KindRedirect)
	assert.Contains(t, failed.Error(), "leaves https")
	assert.NotContains(t, failed.Error(), canary)
	assert.Empty(t, plain.seen)
}

func TestRedirect_WithoutLocationIsAStatus(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) })
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL})
	assert.Equal(t, http.StatusFound, requireKind(t, err, fetch.KindStatus).Status)
}
