package curl_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/internal/curl"
)

type header = map[string]string

func TestParse_UnderstandsCommands(t *testing.T) {
	form := header{"Content-Type": "application/x-www-form-urlencoded"}
	for name, tc := range map[string]struct {
		command string
		want    curl.Request
	}{
		"a URL alone":               {`curl https://api.example/v1?a=b`, curl.Request{Method: "GET", URL: "https://api.example/v1?a=b", Header: header{}}},
		"a URL without a scheme":    {`curl api.example`, curl.Request{Method: "GET", URL: "http://api.example", Header: header{}}},
		"--url, and a fragment":     {`curl --url 'https://x/#top'`, curl.Request{Method: "GET", URL: "https://x/", Header: header{}}},
		"headers, in any case":      {`curl -H 'accept: text/csv' --header "x-a:1" https://x`, curl.Request{Method: "GET", URL: "https://x", Header: header{"Accept": "text/csv", "X-A": "1"}}},
		"an empty header":           {`curl -H 'X-Empty;' https://x`, curl.Request{Method: "GET", URL: "https://x", Header: header{"X-Empty": ""}}},
		"short options in one word": {`curl -sSLXPUT -d'a=1' https://x`, curl.Request{Method: "PUT", URL: "https://x", Header: form, Body: "a=1"}},
		"data makes a POST":         {`curl -d a=1 --data 'b=2 3' https://x`, curl.Request{Method: "POST", URL: "https://x", Header: form, Body: "a=1&b=2 3"}},
		"empty data does, too":      {`curl -d '' https://x`, curl.Request{Method: "POST", URL: "https://x", Header: form}},
		"data with a type":          {`curl -H 'content-type: text/plain' --data-raw '@me' https://x`, curl.Request{Method: "POST", URL: "https://x", Header: header{"Content-Type": "text/plain"}, Body: "@me"}},
		"data that is encoded":      {`curl --data-urlencode 'q=a b&c' --data-urlencode '=d/e' https://x`, curl.Request{Method: "POST", URL: "https://x", Header: form, Body: "q=a%20b%26c&d%2Fe"}},
		"data in the query":         {`curl -G -d a=1 -d b=2 'https://x?z=0'`, curl.Request{Method: "GET", URL: "https://x?z=0&a=1&b=2", Header: header{}}},
		"JSON":                      {`curl --json '{"a":' --json '1}' https://x`, curl.Request{Method: "POST", URL: "https://x", Header: header{"Content-Type": "application/json", "Accept": "application/json"}, Body: `{"a":1}`}},
		"HEAD":                      {`curl -I https://x`, curl.Request{Method: "HEAD", URL: "https://x", Header: header{}}},
		"a user":                    {`curl -u me:pass:word https://x`, curl.Request{Method: "GET", URL: "https://x", Header: header{}, User: "me:pass:word"}},
		"a user in the URL":         {`curl https://me:p%40ss@x/a`, curl.Request{Method: "GET", URL: "https://x/a", Header: header{}, User: "me:p@ss"}},
		"a bearer's token":          {`curl -H 'authorization: bearer abc' https://x`, curl.Request{Method: "GET", URL: "https://x", Header: header{}, Bearer: "abc"}},
		"basic in a header":         {`curl -H 'Authorization: Basic bWU6cGFzcw==' https://x`, curl.Request{Method: "GET", URL: "https://x", Header: header{}, User: "me:pass"}},
		"another authorization":     {`curl -H 'Authorization: Token abc' https://x`, curl.Request{Method: "GET", URL: "https://x", Header: header{}, Authorization: "Token abc"}},
		"agent, referer, cookies": {`curl -A me/1 -e https://y -b a=1 --cookie 'b=2; c=3' https://x`, curl.Request{Method: "GET", URL: "https://x",
			Header: header{"User-Agent": "me/1", "Referer": "https://y", "Cookie": "a=1; b=2; c=3"}}},
		"a time":                    {`curl -m 2.5 https://x`, curl.Request{Method: "GET", URL: "https://x", Header: header{}, MaxTime: 2500 * time.Millisecond}},
		"brackets with -g":          {`curl -g 'https://x?f[1-2]={a}'`, curl.Request{Method: "GET", URL: "https://x?f[1-2]={a}", Header: header{}}},
		"brackets of an address":    {`curl 'http://[::1]:80/?ids[]=1'`, curl.Request{Method: "GET", URL: "http://[::1]:80/?ids[]=1", Header: header{}}},
		"continued lines":           {"curl \\\n  -X POST \\\r\n  https://x # the end\n", curl.Request{Method: "POST", URL: "https://x", Header: header{}}},
		"quotes of all kinds":       {`curl -H 'X-A: it'\''s "so"' -H "X-B: \$5 \"b\" \x" -H $'X-C: a\u00e9\'b' -H X-D:\ d https://x`, curl.Request{Method: "GET", URL: "https://x", Header: header{"X-A": `it's "so"`, "X-B": `$5 "b" \x`, "X-C": "aé'b", "X-D": "d"}}},
		"what looks like a pattern": {`curl -d 'a*?[b]~' https://x/~me`, curl.Request{Method: "POST", URL: "https://x/~me", Header: form, Body: "a*?[b]~"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := curl.Parse(tc.command)
			require.NoError(t, err)
			got.Notes = nil
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestParse_NotesWhatItPassesOver(t *testing.T) {
	got, err := curl.Parse(`curl -s --compressed -o out.json -H 'Accept-Encoding: br' -H 'X-A:' --retry 3 https://x`)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"-s: is about what curl prints", "--compressed: answers are asked for compressed anyway", "-o: is about what curl prints",
		"-H Accept-Encoding: is set by the client", "-H X-A: is not sent unless it is given",
		"--retry: retries are the schedule's matter", "without -L: redirects are followed all the same",
	}, got.Notes)
	got, err = curl.Parse(`curl -L https://x`)
	require.NoError(t, err)
	assert.Empty(t, got.Notes)
}

func TestParse_RefusesTheRest(t *testing.T) {
	for command, want := range map[string][]string{
		``:                                   {"must be one command"},
		`wget https://x`:                     {`must begin with "curl"`},
		`curl`:                               {"must be one URL, there are 0"},
		`curl https://x https://y`:           {"must be one URL, there are 2"},
		`curl ftp://x`:                       {"must begin with http:// or https://"},
		`curl 'https://x/{a,b}'`:             {"stands for several"},
		`curl 'https://x/[1-20:5]'`:          {"stands for several"},
		`curl 'https://u:canary@x:y/'`:       {"the URL cannot be read: invalid port"},
		`curl -k -F a=b --proxy p https://x`: {"-k: certificates are always checked", "-F: bodies of several parts", "--proxy: there are no proxies"},
		`curl --no-such -ß https://x`:        {"--no-such is no option", "is no option that is known here"},
		`curl https://x -H`:                  {"-H needs a value"},
		`curl -H 'Bearer canary' https://x`:  {`-H: must be "name: value"`},
		`curl -H 'A: 1' -H 'a: 2' https://x`: {"the header A is given twice"},
		`curl -d @canary https://x`:          {"-d @…: files are not read"},
		`curl -b canary https://x`:           {"files of cookies are not read"},
		`curl -u canary https://x`:           {"-u: must be user:password"},
		`curl -u a:canary -H 'Authorization: Bearer canary' https://x`: {"there is another option that says who calls"},
		`curl -H 'Authorization: Basic canary!' https://x`:             {"must be user:password in base64"},
		`curl -I -d canary https://x`:                                  {"a HEAD has no data"},
		`curl -m soon https://x`:                                       {"must be a number of seconds"},
		`curl https://x?a=1&b=2`:                                       {"must be one command"},
		`curl https://x | jq .`:                                        {"one plain command"},
		`curl https://x > out`:                                         {"one plain command"},
		`A=1 curl https://x`:                                           {"one plain command"},
		`curl -H "X: $TOKEN" https://x`:                                {"a shell would put something in"},
		`curl "https://x/$(date)"`:                                     {"a shell would put something in"},
		"curl https://x/`date`":                                        {"a shell would put something in"},
		`curl 'https://x`:                                              {"cannot be read"},
	} {
		_, err := curl.Parse(command)
		if !assert.Error(t, err, command) {
			continue
		}
		for _, text := range want {
			assert.ErrorContains(t, err, text, command)
		}
		assert.NotContains(t, err.Error(), "canary", "what may be a secret stays out of errors")
	}
}

// What a shell makes of a command is the judge of what Parse does.
func TestParse_SplitsAsBashDoes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	for _, words := range []string{
		`'a b' "c d" e\ f`, `'it'\''s'`, `"a\"b\\c\$d\x"`, `a"b"'c'd`, `$'\t\x41\u00e9\n\101\\\'q'`, "a\\\nb", `""`, `'' x`, `a\#b '#c'`, `"{\"a\": [1, 2]}"`,
	} {
		out, err := exec.CommandContext(t.Context(), bash, "-c", `export LC_ALL=C.UTF-8; printf '%s\0' `+words).Output()
		require.NoError(t, err)
		want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		got, err := curl.Split("curl " + words)
		require.NoError(t, err)
		assert.Equal(t, append([]string{"curl"}, want...), got, words)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`curl https://x`, `curl -sSLXPUT -d'a=1' 'https://x?a=b'`, `curl $'\u0041' --json '{}' -u a:b https://x -G`, "curl \\\n -H \"a: \\\"\" https://u:p@x/[1-2]",
		`curl -H 'Authorization: Basic bWU6cGFzcw==' -b a=b -m 1e3 --data-urlencode a=b http://[::1]/#x`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, command string) {
		r, err := curl.Parse(command)
		if err != nil {
			return
		}
		if r.Method == "" && !strings.Contains(command, "X") && !strings.Contains(command, "request") {
			t.Errorf("no method: %q", command)
		}
		if !strings.HasPrefix(r.URL, "http://") && !strings.HasPrefix(r.URL, "https://") {
			t.Errorf("URL %q of %q", r.URL, command)
		}
		if _, given := r.Header["Authorization"]; given {
			t.Errorf("credentials are in the headers: %q", command)
		}
	})
}
