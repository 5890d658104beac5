package fetch_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func TestSnippet_DoesNotRepeatWhatWasSent(t *testing.T) {
	header := func(name, value string) fetch.Request {
		return fetch.Request{Headers: map[string]string{name: value}}
	}
	query := func(name, value string) fetch.Request {
		return fetch.Request{Query: map[string]string{name: value}}
	}
	body := func(contentType, body string) fetch.Request {
		return fetch.Request{Method: "POST", Body: body, Headers: map[string]string{"Content-Type": contentType}}
	}
	basic := header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("jane.doe:pässw:rd&1")))

	for _, row := range []struct {
		name    string
		request fetch.Request
		answer  string
		snippet string
	}{
		// Headers.
		{"X-Auth", header("X-Auth", canary), "no user " + canary, "no user redacted"},
		{"X-Credential", header("X-Credential", canary), canary + "?", "redacted?"},
		{"X-Session", header("X-Session", canary), "session=" + canary, "session=redacted"},
		{"X-Pat", header("X-Pat", canary), `{"pat":"` + canary + `"}`, `{"pat":"redacted"}`},
		{"a header that nobody has heard of", header("Zebra", "Token "+canary), "stripes of " + canary, "stripes of redacted"},
		{"a header short as a PIN", header("X-Pin", "4711"), `{"pin":"4711","of":"47110"}`, `{"pin":"redacted","of":"47110"}`},
		{"the whole of Authorization", header("Authorization", "Bearer "+canary), "Bearer " + canary + " expired", "redacted expired"},
		{"the scheme is not a secret", header("Authorization", "Bearer "+canary), "a Bearer token, not " + canary, "a Bearer token, not redacted"},
		{"a scheme in another header", header("X-Auth", "Bearer abc"), "not abc, abcd", "not redacted, abcd"},
		{"one of several cookies", header("Cookie", "a=12; session="+canary), "a is 12, session " + canary, "a is redacted, session redacted"},
		{"a part of Digest", header("Authorization", `Digest username="jane", response="`+canary+`"`), "jane, " + canary, "redacted, redacted"},
		{"a harmless header is shown", header("Accept", "application/xml"), "application/xml is not offered", "application/xml is not offered"},

		// Basic credentials, decoded.
		{"the user of Basic", basic, "no user jane.doe here", "no user redacted here"},
		{"the password of Basic", basic, "not pässw:rd&1", "not redacted"},
		{"both of Basic", basic, "<jane.doe:pässw:rd&1>", "<redacted>"},
		{"the password of Basic, escaped for JSON", basic, `{"p":"p\u00e4ssw:rd\u00261"}`, `{"p":"redacted"}`},
		{"the password of Basic, escaped for HTML", basic, `<b>p&auml;ssw:rd&amp;1</b>`, `<b>redacted</b>`},
		{"the password of Basic, escaped for URLs", basic, `?p=p%c3%a4ssw%3Ard%261`, `?p=redacted`},
		{"a short password of Basic", header("Authorization", "basic YTpi"), "user a, password b, not ab", "user redacted, password redacted, not ab"},
		{"Basic in another header", header("X-Auth", "Basic amFuZTpodW50ZXIy"), "jane has hunter2", "redacted has redacted"},
		{"Basic without padding", header("Authorization", "Basic amFuZTpodW50ZXI"), "jane has hunter", "redacted has redacted"},

		// Escapes of anything.
		{"a slash escaped for JSON", header("X-Auth", "ab/cd+ef=="), `"ab\/cd+ef=="`, `"redacted"`},
		{"quotes escaped for JSON", header("X-Auth", `my "own" key`), `{"k":"my \"own\" key"}`, `{"k":"redacted"}`},
		{"a pair of surrogates", query("q", "key 🔑 of jane"), `"key \ud83d\udd11 of jane"`, `"redacted"`},
		{"a blank as a plus", query("q", "jane doe"), "?q=jane+doe", "?q=redacted"},
		{"JSON within JSON", header("X-Auth", `a"b"c"d`), `{"e":"{\"k\":\"a\\\"b\\\"c\\\"d\"}"}`, `{"e":"{\"k\":\"redacted\"}"}`},
		{"bytes that the server took for Latin-1", header("X-Auth", "schlüssel"), "schlÃ¼ssel", "redacted"},
		{"a value that overlaps itself", header("X-Auth", "ababab"), "abababab", "redacted"},

		// Query.
		{"a query value", query("key", canary), "key " + canary, "key redacted"},
		{"a short query value", query("pin", "4711"), "4711 (no.4711) is not 14711, 4711x or x_4711", "redacted (no.redacted) is not 14711, 4711x or x_4711"},
		{"a query value as it was escaped", fetch.Request{Path: "?k=sec%2Fret"}, "sec%2Fret sec%2fret sec/ret", "redacted redacted redacted"},
		{"a parameter without a name", fetch.Request{Path: "?" + canary}, canary, "redacted"},

		// Body.
		{"a string of a JSON body", body("application/json", `{"client_id":"me","client_secret":"`+canary+`"}`), `client_secret ` + canary + ` of me`, "client_secret redacted of redacted"},
		{"the JSON body itself", body("application/json", `{"a":[1.50,true,{"b":"x\ny"}]}`), `{"a":[1.50,true,{"b":"x\ny"}]}`, `{"a":[redacted,true,{"b":"redacted"}]}`},
		{"a JSON body without a content type", fetch.Request{Method: "POST", Body: `["` + canary + `"]`}, canary, "redacted"},
		{"a name that comes twice", body("application/json", `{"k":"first1","k":"second"}`), "first1 second", "redacted redacted"},
		{"a value of a form", body("application/x-www-form-urlencoded; charset=utf-8", "grant=password&password=p%40ss+word"), "grant of p@ss word, p%40ss+word", "grant of redacted, redacted"},
		{"a form that does not say so", fetch.Request{Method: "POST", Body: "user=jane&password=p%40ss"}, "user jane has p@ss", "user redacted has redacted"},
		{"a word of XML", body("text/xml", "<login><pin>4711</pin><key>"+canary+"</key></login>"), "4711 and " + canary, "redacted and redacted-redacted"},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, row.answer)
			})
			request := row.request
			request.BaseURL = server.URL
			_, err := newClient(t).Do(t.Context(), request)
			assert.Equal(t, row.snippet, requireKind(t, err, fetch.KindStatus).Snippet)
		})
	}
}

// What is read of an error's body may end within a secret, of which nothing can be found by looking for
// the whole. The blanks before it shrink to one, so that the end of what is read is shown.
func TestSnippet_DoesNotEndWithTheBeginningOfASecret(t *testing.T) {
	const secret = `s3cr3t/of "jänę" & more`
	for form, echoed := range map[string]string{
		"plain": secret,
		"JSON":  `s3cr3t\/of \"j\u00e4n\u0119\" \u0026 more`,
		"HTML":  `s3cr3t/of &#34;j&auml;n&#281;&quot; &amp; more`,
		"a URL": url.QueryEscape(secret),
	} {
		for kept := range len(echoed) {
			t.Run(fmt.Sprintf("%s, %d bytes", form, kept), func(t *testing.T) {
				const read = 4 << 10
				text := "no" + strings.Repeat(" ", read-kept-len("nokey ")) + "key " + echoed
				client := fetch.New(roundTrip(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 401, Header: http.Header{}, Request: r, ContentLength: -1, Body: io.NopCloser(strings.NewReader(text))}, nil
				}))
				_, err := client.Do(t.Context(), fetch.Request{BaseURL: "http://x.invalid", Headers: map[string]string{"X-Auth": secret}})
				snippet := requireKind(t, err, fetch.KindStatus).Snippet
				assert.True(t, strings.HasPrefix("no key", snippet), "nothing of the secret is left in %q", snippet)
			})
		}
	}
}

func TestSnippet_BodyThatBreaksOffEndsWithoutTheBeginningOfASecret(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "invalid key "+canary[:9])
	})
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, Headers: map[string]string{"X-Auth": canary}})
	assert.Equal(t, "invalid key", requireKind(t, err, fetch.KindStatus).Snippet)
}

func TestSnippet_QueryOfARedirectIsNotRepeated(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/start" {
			http.Redirect(w, r, "/middle?ticket="+canary, http.StatusFound)
			return
		}
		if r.URL.Path == "/middle" {
			http.Redirect(w, r, "/end?signature=abc%2F123", http.StatusFound)
			return
		}
		http.Error(w, "no "+canary+", abc/123", http.StatusForbidden)
	})
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, Path: "start"})
	assert.Equal(t, "no redacted, redacted", requireKind(t, err, fetch.KindStatus).Snippet)
}

// A transport's own words are kept as far as they can be: the addresses of a refused connection are no
// secrets, also when a query value looks like a part of them.
func TestError_OfATransportHidesShortValuesToo(t *testing.T) {
	for name, row := range map[string]struct {
		fail func(r *http.Request) error
		text string
	}{
		"an address": {
			func(*http.Request) error {
				return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Err: errors.New("connection refused")}
			},
			"connect: dial tcp 10.0.0.1:443: connection refused",
		},
		"what was sent, before an address": {
			func(r *http.Request) error {
				return fmt.Errorf("%s with %s: %w", r.URL, r.Header.Get("X-Pin"),
					&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Err: errors.New("refused " + canary)})
			},
			"connect: http://x.invalid?port=redacted&key=redacted with redacted: dial tcp 10.0.0.1:443: refused redacted",
		},
		"a sentence": {
			func(r *http.Request) error { return fmt.Errorf("port %s, pin %s", "443", r.Header.Get("X-Pin")) },
			"protocol: port redacted, pin redacted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := fetch.New(roundTrip(func(r *http.Request) (*http.Response, error) { return nil, row.fail(r) }))
			_, err := client.Do(t.Context(), fetch.Request{
				BaseURL: "http://x.invalid?port=443&key=" + canary, Headers: map[string]string{"X-Pin": "4711"},
			})
			assert.EqualError(t, err, "GET http://x.invalid?port=…&key=…: "+row.text)
		})
	}
}

func TestError_OfTimeAndSizeIsKept(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		_, _ = io.WriteString(w, "hello")
	})
	client := newClient(t)
	_, err := client.Do(t.Context(), fetch.Request{BaseURL: server.URL, Path: "slow?after=20ms", Timeout: 20 * time.Millisecond})
	assert.ErrorContains(t, err, "timeout: no whole answer within 20ms")
	_, err = client.Do(t.Context(), fetch.Request{BaseURL: server.URL, Path: "?size=3", MaxBodyBytes: 3})
	assert.ErrorContains(t, err, "too-large: the body is larger than 3 bytes")
}

func TestFault_ShowsNoValueOfAHeader(t *testing.T) {
	for name, shown := range map[string]string{
		"X-Auth": "redacted", "X-Credential": "redacted", "X-Session": "redacted", "X-Pat": "redacted",
		"Cookie": "redacted", "authorization": "redacted", "Zebra": "redacted",
		"accept": "v\x01", "Accept-Language": "v\x01", "content-type": "v\x01", "User-Agent": "v\x01",
		"If-None-Match": "v\x01", "Cache-Control": "v\x01", "Range": "v\x01", "Date": "v\x01",
	} {
		err := fetch.Request{BaseURL: "http://h", Headers: map[string]string{name: "v\x01"}}.Validate()
		faults := faultsOf(err)
		require.Len(t, faults, 1)
		assert.Equal(t, shown, faults[0].Value, name)
	}

	for name, shown := range map[string]string{
		"X-Auth: " + canary: "X-Auth…", "Basic " + canary: "Basic…", ":" + canary: "…", "": "",
	} {
		faults := faultsOf(fetch.Request{BaseURL: "http://h", Headers: map[string]string{name: ""}}.Validate())
		require.Len(t, faults, 1)
		assert.Equal(t, shown, faults[0].Value, "a whole header in the place of its name")
	}

	faults := faultsOf(fetch.Request{BaseURL: "http://h", Headers: map[string]string{"Host": "http://u:" + canary + "@h?k=" + canary}}.Validate())
	require.Len(t, faults, 1)
	assert.Equal(t, "http://h?k=…", faults[0].Value, "a URL in the place of a host")
}
