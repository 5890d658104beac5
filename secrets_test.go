package callsheet_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
)

// canaries are secrets of many kinds, which are to be found nowhere.
var canaries = []string{
	"c4n4ry-s3cr3t", "k3y_9xZ2", "ab/cd+ef==gh", `my "own" \key\`, "p&l<ess>=?", "50%25 off %41",
	"schlüssel-für-Zürich", "key 🔑 of jane", "jane.doe:hunter2!x", "eyJhbGciOi.J9eyJzdWIi.OiIxMjM0NT",
	"0123456789abcdef0123456789abcdef", "ends with a quote\"", "sk_live_" + strings.Repeat("aZ9", 40),
}

// formsOf are the ways in which a server may repeat a secret.
func formsOf(secret string) map[string]string {
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b[1 : len(b)-1]) }
	b := []byte(secret)
	return map[string]string{
		"plain": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret), "HTML": html.EscapeString(secret),
		"JSON": quoted(secret), "JSON in JSON": quoted(quoted(secret)), "slashes": strings.ReplaceAll(quoted(secret), "/", `\/`),
		"hex": hex.EncodeToString(b), "HEX": strings.ToUpper(hex.EncodeToString(b)),
		"base64": base64.StdEncoding.EncodeToString(b), "base64 of URLs": base64.RawURLEncoding.EncodeToString(b),
		"base64 of more": base64.StdEncoding.EncodeToString([]byte("jane:" + secret + ":x")),
	}
}

// accessToken is what the echo's token endpoint gives for the secret.
const accessToken = "eyJrIjoi4cc3ss.t0k3n_0f-j4n3"

// An echo is an API that repeats the secret and the access token, in the way that the path asks for.
type echo struct {
	secret string
	sent   int
}

func (e *echo) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/token" {
		if _, password, _ := r.BasicAuth(); password != url.QueryEscape(e.secret) {
			return nil, fmt.Errorf("the token endpoint was sent %q", password)
		}
		return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
			Header: http.Header{"Content-Type": {"application/json"}},
			Body:   io.NopCloser(strings.NewReader(`{"access_token":"` + accessToken + `","token_type":"Bearer"}`))}, nil
	}
	if r.Header.Get("Authorization") == "Bearer "+accessToken || len(r.Header.Get("X-Signature")) == 64 {
		e.sent++
	}
	if all := fmt.Sprint(r.Header, r.URL); strings.Contains(all, e.secret) || strings.Contains(all, url.QueryEscape(e.secret)) ||
		strings.Contains(all, base64.StdEncoding.EncodeToString([]byte("jane:"+e.secret))) {
		e.sent++
	}
	how, form, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if r.Header.Get("Authorization") == "Bearer "+accessToken {
		form = formsOf(e.secret)[form] + " and " + formsOf(accessToken)[form]
	} else {
		form = formsOf(e.secret)[form]
	}
	status, body, header := 200, `{"rows":[{"a":`+string(must(json.Marshal("as "+form)))+`}]}`, http.Header{"Content-Type": {"application/json"}}
	switch how {
	case "success":
		header.Set("Link", "<http://api.example/?key="+form+">; rel=next")
		header.Set("Etag", `"`+form+`"`)
	case "status":
		status, body = 401, "no "+form+" is known"
	case "redirect":
		status = 302
		header.Set("Location", "/status/plain/"+url.PathEscape(e.secret)+"?key="+url.QueryEscape(e.secret))
	case "extract":
		body = `{"rows": ` + form
	case "transport":
		return nil, fmt.Errorf("dial %s with %v and %s", r.URL, r.Header, form)
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
		Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSecrets_AreFoundNowhere(t *testing.T) {
	auths := map[string]callsheet.Auth{
		"basic":  {Type: callsheet.AuthBasic, Username: "jane", Secret: "key"},
		"bearer": {Type: callsheet.AuthBearer, Secret: "key"},
		"header": {Type: callsheet.AuthHeader, Name: "X-Api-Key", Secret: "key"},
		"query":  {Type: callsheet.AuthQuery, Name: "key", Secret: "key"},
		"hmac":   {Type: callsheet.AuthHMAC, Username: "jane", Secret: "key"},
		"oauth2": {Type: callsheet.AuthOAuth2, TokenURL: "http://api.example/token", ClientID: "jane", Secret: "key"},
	}
	for _, canary := range canaries {
		t.Run(canary, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen bytes.Buffer
				api, store, delivered := &echo{secret: canary}, memory.New(), destmemory.New()
				sheet := callsheet.Sheet{
					Extracts:   []callsheet.Extract{{ID: "x", Records: "$.rows"}},
					Deliveries: []callsheet.Delivery{{ID: "d", Destination: "d", Target: "rows"}},
				}
				for name, auth := range auths {
					sheet.Sources = append(sheet.Sources, callsheet.Source{ID: name, BaseURL: "http://api.example", Auth: auth})
					for form := range formsOf(canary) {
						for _, how := range []string{"success", "status", "redirect", "extract", "transport"} {
							id := strings.ReplaceAll(name+"-"+how+"-"+form, " ", "_")
							sheet.Requests = append(sheet.Requests, callsheet.Request{ID: id, Source: name, Path: how + "/" + form})
							sheet.Schedules = append(sheet.Schedules, callsheet.Schedule{ID: id, Request: id, Extract: "x", Delivery: "d",
								KeepAnswers: 1, MaxRetries: callsheet.NoRetries})
						}
					}
				}
				log := slog.New(slog.NewJSONHandler(&seen, &slog.HandlerOptions{Level: slog.LevelDebug}))
				sched, err := callsheet.New(store, callsheet.WithTransport(api), callsheet.WithDestination("d", delivered), callsheet.WithLogger(log),
					callsheet.WithWorkers(1), callsheet.WithSecrets(callsheet.SecretsFunc(func(context.Context, string) (string, error) { return canary, nil })))
				require.NoError(t, err)
				require.NoError(t, sched.Define(t.Context(), sheet))
				start(t, sched)
				for _, s := range sheet.Schedules {
					_, err := sched.Execute(t.Context(), s.ID)
					require.NoError(t, err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()

				tell := func(v any, err error) {
					require.NoError(t, err)
					fmt.Fprintf(&seen, "%v %+v %#v %d %x %s\n%s\n", v, v, v, v, v, v, must(json.Marshal(v)))
				}
				succeeded := 0
				for after := ""; ; {
					page, err := sched.Executions(t.Context(), callsheet.ExecutionQuery{After: after, Limit: 1000})
					tell(page, err)
					for _, e := range page.Items {
						if answer, err := store.Answer(t.Context(), e.ID); err == nil {
							tell(answer, nil)
							seen.Write(answer.Body)
						}
						if e.State == callsheet.StateSucceeded {
							succeeded++
						}
						fmt.Fprintln(&seen, e.Error)
					}
					if after = page.Next; after == "" {
						break
					}
				}
				require.Equal(t, len(auths)*len(formsOf(canary)), succeeded)
				require.GreaterOrEqual(t, api.sent, len(sheet.Schedules), "each call was to carry the secret")
				tell(sched.Sources().List(t.Context(), callsheet.Query{}))
				tell(sched.Monitor(t.Context()))
				fmt.Fprintln(&seen, delivered.Records("rows"))

				text := seen.String()
				for _, secret := range []string{canary, accessToken} {
					for name, form := range formsOf(secret) {
						if name == "base64 of more" {
							form = form[8 : len(form)-8] // what stands there beside the secret is no secret
						}
						if at := strings.Index(text, form); at >= 0 {
							t.Errorf("%s: %s is shown in …%s…", name, form, text[max(0, at-200):min(len(text), at+200)])
						}
					}
				}
			})
		})
	}
}

func TestAuth_PrintsNoSecret(t *testing.T) {
	for _, v := range []any{
		callsheet.Auth{Type: callsheet.AuthBearer, Secret: "c4n4ry"},
		callsheet.Source{ID: "a", Auth: callsheet.Auth{Type: callsheet.AuthBearer, Secret: "c4n4ry"}},
		&callsheet.Source{ID: "a", Auth: callsheet.Auth{Type: callsheet.AuthBearer, Secret: "c4n4ry"}},
	} {
		for _, verb := range strings.Split("%v %+v %#v %s %q %d %x %X %t %g", " ") {
			text := fmt.Sprintf(verb, v)
			assert.NotContains(t, text, "c4n4ry", verb)
			assert.NotContains(t, strings.ToLower(text), "63346e347279", verb)
			assert.Contains(t, text, "redacted", verb)
		}
	}
	assert.Equal(t, "none", callsheet.Auth{}.String())
}

func TestAuth_AllFaultsAtOnce(t *testing.T) {
	source := func(auth callsheet.Auth, headers ...string) callsheet.Source {
		s := callsheet.Source{ID: "api", BaseURL: "http://api.example", Auth: auth}
		for _, name := range headers {
			s.Headers = map[string]string{name: "c4n4ry"}
		}
		return s
	}
	for _, tc := range []struct {
		name   string
		source callsheet.Source
		fields string
	}{
		{"none", source(callsheet.Auth{}), ""},
		{"none, in words", source(callsheet.Auth{Type: callsheet.AuthNone}), ""},
		{"basic", source(callsheet.Auth{Type: callsheet.AuthBasic, Username: "jane", Secret: "a"}), ""},
		{"basic of one secret", source(callsheet.Auth{Type: callsheet.AuthBasic, Secret: "a"}), ""},
		{"a key in a header", source(callsheet.Auth{Type: callsheet.AuthHeader, Name: "x-api-key", Secret: "a"}, "Accept"), ""},
		{"a key in the query", source(callsheet.Auth{Type: callsheet.AuthQuery, Name: "api_key", Secret: "a"}), ""},
		{"a type that is none", source(callsheet.Auth{Type: "digest", Secret: "a"}), "auth.type"},
		{"no secret", source(callsheet.Auth{Type: callsheet.AuthBearer}), "auth.secret"},
		{"the secret in the place of its name", source(callsheet.Auth{Type: callsheet.AuthBearer, Secret: "c4n4ry/+="}), "auth.secret"},
		{"a secret without a type", source(callsheet.Auth{Secret: "a"}), "auth.secret"},
		{"fields of other types", source(callsheet.Auth{Type: callsheet.AuthBearer, Username: "c4n4ry", Name: "X", Secret: "a"}), "auth.username auth.name"},
		{"user and password in the place of the user", source(callsheet.Auth{Type: callsheet.AuthBasic, Username: "jane:c4n4ry", Secret: "a"}), "auth.username"},
		{"no name of a header", source(callsheet.Auth{Type: callsheet.AuthHeader, Secret: "a"}), "auth.name"},
		{"a header in the place of its name", source(callsheet.Auth{Type: callsheet.AuthHeader, Name: "X-Key: c4n4ry", Secret: "a"}), "auth.name"},
		{"a header that frames", source(callsheet.Auth{Type: callsheet.AuthHeader, Name: "content-length", Secret: "a"}), "auth.name"},
		{"a header that does not go out", source(callsheet.Auth{Type: callsheet.AuthHeader, Name: "keep-alive", Secret: "a"}), "auth.name"},
		{"no name of a parameter", source(callsheet.Auth{Type: callsheet.AuthQuery, Secret: "a"}), "auth.name"},
		{"the same header twice", source(callsheet.Auth{Type: callsheet.AuthBearer, Secret: "a"}, "authorization"), "headers.authorization"},
		{"a signature", source(callsheet.Auth{Type: callsheet.AuthHMAC, Username: "key-1", Secret: "a", Algorithm: "sha512"}), ""},
		{"a signature by another algorithm", source(callsheet.Auth{Type: callsheet.AuthHMAC, Secret: "a", Algorithm: "md5"}), "auth.algorithm"},
		{"an access token", source(callsheet.Auth{Type: callsheet.AuthOAuth2, Secret: "a", TokenURL: "https://login.example/token", ClientID: "jane", Scopes: []string{"a:b"}}), ""},
		{"an access token from nowhere", source(callsheet.Auth{Type: callsheet.AuthOAuth2, Secret: "a", TokenURL: "https://jane:c4n4ry@login.example"}), "auth.client_id auth.token_url"},
		{"all at once", source(callsheet.Auth{Type: callsheet.AuthHeader, Username: "c4n4ry", Name: "X Y", Secret: "?"}, "b ad"), "auth.username auth.name headers auth.secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sched, err := callsheet.New(memory.New())
			require.NoError(t, err)
			_, err = sched.Sources().Create(t.Context(), tc.source)
			var fields []string
			for _, fault := range callsheet.ValidationErrors(err) {
				fields = append(fields, fault.Field)
			}
			assert.Equal(t, tc.fields, strings.Join(fields, " "), "%v", err)
			if err != nil {
				assert.NotContains(t, err.Error(), "c4n4ry")
			}
		})
	}
}

func TestAuth_OnTheWire(t *testing.T) {
	for name, tc := range map[string]struct {
		auth    callsheet.Auth
		request callsheet.Request
		want    string
	}{
		"none":                {callsheet.Auth{}, callsheet.Request{}, " "},
		"basic":               {callsheet.Auth{Type: callsheet.AuthBasic, Username: "jane", Secret: "s"}, callsheet.Request{}, "Basic " + base64.StdEncoding.EncodeToString([]byte("jane:user:pass-word")) + " "},
		"basic of one secret": {callsheet.Auth{Type: callsheet.AuthBasic, Secret: "s"}, callsheet.Request{}, "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pass-word")) + " "},
		"bearer":              {callsheet.Auth{Type: callsheet.AuthBearer, Secret: "s"}, callsheet.Request{}, "Bearer user:pass-word "},
		"a header":            {callsheet.Auth{Type: callsheet.AuthHeader, Name: "authorization", Secret: "s"}, callsheet.Request{}, "user:pass-word "},
		"the query":           {callsheet.Auth{Type: callsheet.AuthQuery, Name: "k", Secret: "s"}, callsheet.Request{Query: map[string]string{"a": "1"}}, " a=1&k=user%3Apass-word"},
		"a Request's own header": {callsheet.Auth{Type: callsheet.AuthBearer, Secret: "unknown"},
			callsheet.Request{Headers: map[string]string{"authorization": "mine"}}, "mine "},
		"a Request's own parameter": {callsheet.Auth{Type: callsheet.AuthQuery, Name: "k", Secret: "unknown"},
			callsheet.Request{Query: map[string]string{"k": "mine"}}, " k=mine"},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			wire := roundTripFunc(func(r *http.Request) (*http.Response, error) {
				got = r.Header.Get("Authorization") + " " + r.URL.RawQuery
				return &http.Response{StatusCode: 204, Request: r, Header: http.Header{}, Body: http.NoBody}, nil
			})
			tc.request.ID, tc.request.Source = "r", "api"
			e := execute(t, callsheet.Sheet{
				Sources:   []callsheet.Source{{ID: "api", BaseURL: "http://api.example", Auth: tc.auth}},
				Requests:  []callsheet.Request{tc.request},
				Schedules: []callsheet.Schedule{{ID: "s", Request: "r"}},
			}, callsheet.WithTransport(wire), callsheet.WithSecrets(callsheet.SecretsFunc(func(_ context.Context, name string) (string, error) {
				if name != "s" {
					return "", callsheet.ErrNoSecret
				}
				return "user:pass-word", nil
			})))
			require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
			assert.Equal(t, tc.want, got)
		})
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSecrets_ThatAreNotThere(t *testing.T) {
	fails := func(err error) callsheet.Option {
		return callsheet.WithSecrets(callsheet.SecretsFunc(func(context.Context, string) (string, error) { return "", err }))
	}
	for name, tc := range map[string]struct {
		opts  []callsheet.Option
		class callsheet.Class
		text  string
	}{
		"no resolver":          {nil, callsheet.ClassAuth, `fetch: secret "github": this node has no secrets; the host program gives them: WithSecrets`},
		"an unknown name":      {[]callsheet.Option{fails(callsheet.ErrNoSecret)}, callsheet.ClassAuth, `fetch: secret "github": there is no such secret`},
		"an empty one":         {[]callsheet.Option{fails(nil)}, callsheet.ClassAuth, `fetch: secret "github": there is no such secret`},
		"an empty variable":    {[]callsheet.Option{callsheet.WithSecrets(callsheet.EnvSecrets("CALLSHEET_NONE_"))}, callsheet.ClassAuth, `the environment variable CALLSHEET_NONE_GITHUB is empty or not set`},
		"no file":              {[]callsheet.Option{callsheet.WithSecrets(callsheet.FileSecrets("no-such-folder"))}, callsheet.ClassTransient, `open the folder of secrets`},
		"a vault that is down": {[]callsheet.Option{fails(errors.New("vault is sealed"))}, callsheet.ClassTransient, `fetch: secret "github": vault is sealed`},
	} {
		t.Run(name, func(t *testing.T) {
			wire := roundTripFunc(func(*http.Request) (*http.Response, error) { panic("nothing is to be sent") })
			e := execute(t, callsheet.Sheet{
				Sources:   []callsheet.Source{{ID: "api", BaseURL: "http://api.example", Auth: callsheet.Auth{Type: callsheet.AuthBearer, Secret: "github"}}},
				Requests:  []callsheet.Request{{ID: "r", Source: "api"}},
				Schedules: []callsheet.Schedule{{ID: "s", Request: "r", MaxRetries: callsheet.NoRetries}},
			}, append(tc.opts, callsheet.WithTransport(wire))...)
			assert.Equal(t, tc.class, e.Class)
			assert.Contains(t, e.Error, tc.text)
		})
	}
}

func TestEnvSecrets(t *testing.T) {
	t.Setenv("API_GITHUB_TOKEN_2", "v4lue")
	for _, name := range []string{"github-token.2", "GitHub_Token-2"} {
		value, err := callsheet.EnvSecrets("API_").Secret(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, "v4lue", value)
	}
	_, err := callsheet.EnvSecrets("").Secret(t.Context(), "no-such-variable")
	assert.ErrorIs(t, err, callsheet.ErrNoSecret)
}

func TestFileSecrets(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("c4n4ry"), 0o600))
	dir := t.TempDir()
	for name, content := range map[string]string{
		"plain": "v4lue", "line": "v4lue\n", "windows": "v4lue\r\n", "blanks": " v4lue \n\n", "empty": "\n", "large": strings.Repeat("x", 70_000),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "..data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "..data", "mounted"), []byte("v4lue"), 0o600))
	require.NoError(t, os.Symlink(filepath.Join("..data", "mounted"), filepath.Join(dir, "mounted")))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "escapes")))

	secrets := callsheet.FileSecrets(dir)
	for name, want := range map[string]string{"plain": "v4lue", "line": "v4lue", "windows": "v4lue", "blanks": " v4lue \n", "mounted": "v4lue"} {
		value, err := secrets.Secret(t.Context(), name)
		require.NoError(t, err, name)
		assert.Equal(t, want, value, name)
	}
	for _, name := range []string{"empty", "missing"} {
		_, err := secrets.Secret(t.Context(), name)
		assert.ErrorIs(t, err, callsheet.ErrNoSecret, name)
	}
	for _, name := range []string{"escapes", "../outside", outside, "large", "..data"} {
		value, err := secrets.Secret(t.Context(), name)
		assert.Error(t, err, name)
		assert.Empty(t, value)
	}
}
