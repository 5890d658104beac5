package fetch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

// An identity is a token endpoint, and the API that takes its tokens.
type identity struct {
	mu      sync.Mutex
	forms   []url.Values // of the token requests
	users   []string
	calls   []string // what the API was sent as Authorization
	answer  func(w http.ResponseWriter, n int)
	refused map[string]bool
}

// answered is the usual answer to the nth token request, with a life of an hour.
func answered(w http.ResponseWriter, n int) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":"t0ken-no-%d","token_type":"bearer","expires_in":3600}`, n)
}

func (i *identity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path == "/token" {
		user, password, _ := r.BasicAuth()
		_ = r.ParseForm()
		i.users, i.forms = append(i.users, user+" "+password), append(i.forms, r.PostForm)
		i.answer(w, len(i.forms))
		return
	}
	i.calls = append(i.calls, r.Header.Get("Authorization"))
	if i.refused[r.Header.Get("Authorization")] {
		w.WriteHeader(http.StatusUnauthorized)
	}
	_, _ = io.WriteString(w, "you sent "+r.Header.Get("Authorization"))
}

func (i *identity) refuse(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refused["Bearer "+token] = true
}

func newIdentity(t testing.TB, answer func(w http.ResponseWriter, n int)) (*identity, fetch.Request) {
	i := &identity{answer: answer, refused: map[string]bool{}}
	server := serve(t, i.ServeHTTP)
	return i, fetch.Request{BaseURL: server.URL + "/v1", Auth: fetch.Auth{
		Type: fetch.AuthOAuth2, TokenURL: server.URL + "/token", ClientID: "jane doe", Secret: "s3cr3t:/of+jane",
	}}
}

func TestOAuth2_TokenIsAskedForOnceAndKept(t *testing.T) {
	id, request := newIdentity(t, answered)
	request.Auth.Scopes = []string{"rows:read", "rows:list"}
	request.Auth.Params = map[string]string{"audience": "rows"}
	client := newClient(t)
	for range 3 {
		answer, err := client.Do(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, "you sent Bearer redacted", string(answer.Body))
	}
	assert.Equal(t, []url.Values{{"grant_type": {"client_credentials"}, "scope": {"rows:read rows:list"}, "audience": {"rows"}}}, id.forms)
	assert.Equal(t, []string{"jane+doe s3cr3t%3A%2Fof%2Bjane"}, id.users, "RFC 6749 2.3.1 escapes both")
	assert.Equal(t, []string{"Bearer t0ken-no-1", "Bearer t0ken-no-1", "Bearer t0ken-no-1"}, id.calls)
}

func TestOAuth2_SecretInTheBody(t *testing.T) {
	id, request := newIdentity(t, answered)
	request.Auth.TokenAuthMethod = fetch.ClientSecretPost
	_, err := newClient(t).Do(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, []url.Values{{"grant_type": {"client_credentials"}, "client_id": {"jane doe"}, "client_secret": {"s3cr3t:/of+jane"}}}, id.forms)
	assert.Equal(t, []string{" "}, id.users)
}

func TestOAuth2_WhoSharesATokenAndWhoDoesNot(t *testing.T) {
	for name, tc := range map[string]struct {
		other  func(r *fetch.Request)
		shared bool
	}{
		"another path":               {func(r *fetch.Request) { r.Path = "rows" }, true},
		"another path of the base":   {func(r *fetch.Request) { r.BaseURL += "/other" }, true},
		"another host":               {func(r *fetch.Request) { r.BaseURL = strings.Replace(r.BaseURL, "127.0.0.1", "localhost", 1) }, false},
		"another secret":             {func(r *fetch.Request) { r.Auth.Secret = "other" }, false},
		"another client":             {func(r *fetch.Request) { r.Auth.ClientID = "joe" }, false},
		"other scopes":               {func(r *fetch.Request) { r.Auth.Scopes = []string{"all"} }, false},
		"another audience":           {func(r *fetch.Request) { r.Auth.Params = map[string]string{"audience": "x"} }, false},
		"another endpoint":           {func(r *fetch.Request) { r.Auth.TokenURL += "?tenant=2" }, false},
		"another way to be told who": {func(r *fetch.Request) { r.Auth.TokenAuthMethod = fetch.ClientSecretPost }, false},
	} {
		t.Run(name, func(t *testing.T) {
			id, request := newIdentity(t, answered)
			client := newClient(t)
			_, err := client.Do(t.Context(), request)
			require.NoError(t, err)
			tc.other(&request)
			_, err = client.Do(t.Context(), request)
			require.NoError(t, err)
			assert.Equal(t, tc.shared, len(id.forms) == 1)
		})
	}
}

func TestOAuth2_CallsAtTheSameTimeShareOneTokenRequest(t *testing.T) {
	id, request := newIdentity(t, func(w http.ResponseWriter, n int) {
		time.Sleep(100 * time.Millisecond) // the others are to come while this is under way
		answered(w, n)
	})
	client := newClient(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := client.Do(t.Context(), request)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.Len(t, id.forms, 1)
	assert.Len(t, id.calls, 20)
}

func TestOAuth2_RefusedTokenIsReplacedOnce(t *testing.T) {
	id, request := newIdentity(t, answered)
	client := newClient(t)
	do := func() error {
		_, err := client.Do(t.Context(), request)
		return err
	}
	require.NoError(t, do())
	id.refuse("t0ken-no-1")
	require.NoError(t, do(), "a token that was revoked is replaced")
	assert.Equal(t, []string{"Bearer t0ken-no-1", "Bearer t0ken-no-1", "Bearer t0ken-no-2"}, id.calls)

	for n := range 10 {
		id.refuse(fmt.Sprintf("t0ken-no-%d", n))
	}
	failed := requireKind(t, do(), fetch.KindStatus)
	assert.Equal(t, http.StatusUnauthorized, failed.Status)
	assert.Len(t, id.forms, 3, "one replacement, and the refusal stands")
	failed = requireKind(t, do(), fetch.KindStatus)
	assert.Equal(t, http.StatusUnauthorized, failed.Status)
	assert.Len(t, id.forms, 4, "a new token that is refused is not replaced")
	assert.NotContains(t, failed.Error(), "t0ken")
}

func TestOAuth2_ABodyThatDoesNotComeDoesNotKeepATokenFromBeingReplaced(t *testing.T) {
	id, request := newIdentity(t, answered)
	stalled := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer t0ken-no-1" && len(id.calls) > 0 {
			w.WriteHeader(http.StatusUnauthorized)
			_ = http.NewResponseController(w).Flush()
			<-stalled
			return
		}
		id.ServeHTTP(w, r)
	})
	t.Cleanup(func() { close(stalled) })
	request.BaseURL = server.URL
	client := newClient(t)
	for range 2 {
		_, err := client.Do(t.Context(), request)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"Bearer t0ken-no-1", "Bearer t0ken-no-2"}, id.calls)
}

func TestOAuth2_EndpointThatGivesNoToken(t *testing.T) {
	status := func(code int, body string) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, int)
		kind   fetch.Kind
		status int
		text   string
	}{
		"a client it does not know": {status(401, `{"error":"invalid_client","error_description":"no s3cr3t:/of+jane"}`), fetch.KindToken, 401,
			`token: status 401 Unauthorized, retry after 7s: {"error":"invalid_client","error_description":"no redacted"}`},
		"the header repeated":        {status(400, "amFuZStkb2U6czNjcjN0JTNBJTJGb2YlMkJqYW5l"), fetch.KindToken, 400, "redacted"},
		"an error that says 200":     {status(200, `{"error":"invalid_scope"}`), fetch.KindToken, 200, "invalid_scope"},
		"trouble":                    {status(503, "down"), fetch.KindToken, 503, "token: status 503 Service Unavailable, retry after 7s: down"},
		"a redirect":                 {status(307, ""), fetch.KindToken, 307, "status 307"},
		"no JSON":                    {status(200, "<html>"), fetch.KindToken, 0, "cannot parse json"},
		"no token":                   {status(200, "{}"), fetch.KindToken, 0, "missing access_token"},
		"a token of another type":    {status(200, `{"access_token":"t","token_type":"mac"}`), fetch.KindToken, 0, `type "mac", not bearer`},
		"a token that splits lines":  {status(200, `{"access_token":"t\r\nX: y"}`), fetch.KindToken, 0, "characters that a token must not have"},
		"a connection that is cut":   {func(http.ResponseWriter, int) { panic(http.ErrAbortHandler) }, fetch.KindProtocol, 0, "EOF"},
		"more than a token can need": {status(200, `{"access_token":"`+strings.Repeat("a", 2<<20)+`"}`), fetch.KindToken, 0, "cannot parse json"},
	} {
		t.Run(name, func(t *testing.T) {
			id, request := newIdentity(t, tc.answer)
			_, err := newClient(t).Do(t.Context(), request)
			failed := requireKind(t, err, tc.kind)
			assert.Equal(t, tc.status, failed.Status)
			assert.Equal(t, "POST", failed.Method)
			assert.Equal(t, request.Auth.TokenURL, failed.URL)
			assert.Contains(t, err.Error(), tc.text)
			assert.NotContains(t, err.Error(), "s3cr3t")
			id.mu.Lock() // a handler that broke off has nothing that happens after it
			defer id.mu.Unlock()
			assert.Len(t, id.forms, 1)
			assert.Empty(t, id.calls, "the API is not called without a token")
		})
	}
}

func TestOAuth2_EndpointIsGuarded(t *testing.T) {
	request := fetch.Request{BaseURL: "http://api.example", Auth: fetch.Auth{
		Type: fetch.AuthOAuth2, TokenURL: "http://169.254.169.254/token", ClientID: "jane", Secret: "s3cr3t",
	}}
	_, err := newClient(t).Do(t.Context(), request)
	failed := requireKind(t, err, fetch.KindAddress)
	assert.Equal(t, "http://169.254.169.254/token", failed.URL)
}

// tokenWire is an endpoint and an API without a network, for tests in which time passes.
type tokenWire struct {
	identity
	pause time.Duration
}

func (w *tokenWire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/token" {
		select {
		case <-time.After(w.pause):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	recorder := httptest.NewRecorder()
	w.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

func overTime(t *testing.T, f func(t *testing.T, w *tokenWire, client *fetch.Client, request fetch.Request)) {
	synctest.Test(t, func(t *testing.T) {
		w := &tokenWire{identity: identity{answer: answered, refused: map[string]bool{}}}
		f(t, w, fetch.New(w), fetch.Request{BaseURL: "http://api.example", Auth: fetch.Auth{
			Type: fetch.AuthOAuth2, TokenURL: "http://login.example/token", ClientID: "jane", Secret: "s3cr3t-0f-jane",
		}})
	})
}

func TestOAuth2_TokenIsReplacedBeforeItExpires(t *testing.T) {
	overTime(t, func(t *testing.T, w *tokenWire, client *fetch.Client, request fetch.Request) {
		for _, after := range []time.Duration{0, 59 * time.Minute, time.Minute} {
			time.Sleep(after)
			_, err := client.Do(t.Context(), request)
			require.NoError(t, err)
		}
		assert.Equal(t, []string{"Bearer t0ken-no-1", "Bearer t0ken-no-1", "Bearer t0ken-no-2"}, w.calls)
	})
}

func TestOAuth2_SlowEndpointEndsWithTheRequest(t *testing.T) {
	overTime(t, func(t *testing.T, w *tokenWire, client *fetch.Client, request fetch.Request) {
		w.pause, request.Timeout = time.Hour, 5*time.Second
		started := time.Now()
		_, err := client.Do(t.Context(), request)
		requireKind(t, err, fetch.KindTimeout)
		assert.Equal(t, 5*time.Second, time.Since(started))
	})
}

func TestOAuth2_WhoWaitsDoesNotFailWithWhoAsked(t *testing.T) {
	for name, asker := range map[string]struct {
		ends func(ctx context.Context) (context.Context, context.CancelFunc)
		kind fetch.Kind
	}{
		"whose time is over": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, fetch.KindTimeout},
		"who is cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, fetch.KindCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			overTime(t, func(t *testing.T, w *tokenWire, client *fetch.Client, request fetch.Request) {
				w.pause = 10 * time.Second
				var all sync.WaitGroup
				all.Go(func() {
					ctx, cancel := asker.ends(t.Context())
					defer cancel()
					_, err := client.Do(ctx, request)
					requireKind(t, err, asker.kind)
				})
				synctest.Wait()
				impatient := request
				impatient.Timeout = 500 * time.Millisecond
				all.Go(func() {
					_, err := client.Do(t.Context(), impatient)
					requireKind(t, err, fetch.KindTimeout)
				})
				all.Go(func() {
					_, err := client.Do(t.Context(), request)
					assert.NoError(t, err, "when who asked gives up, who waits asks")
				})
				all.Wait()
				assert.Len(t, w.forms, 1)
			})
		})
	}
}

func TestOAuth2_RefusalIsThatOfAllWhoWait(t *testing.T) {
	overTime(t, func(t *testing.T, w *tokenWire, client *fetch.Client, request fetch.Request) {
		w.pause = time.Second
		w.answer = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusForbidden) }
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				_, err := client.Do(t.Context(), request)
				assert.Equal(t, 403, requireKind(t, err, fetch.KindToken).Status)
			})
		}
		all.Wait()
		assert.Len(t, w.forms, 1)
	})
}

func TestOAuth2_FaultsAreToldAtOnce(t *testing.T) {
	fields := func(auth fetch.Auth) []string {
		var fields []string
		for _, fault := range faultsOf((fetch.Request{BaseURL: "http://api.example", Auth: auth}).Validate()) {
			fields = append(fields, fault.Field)
		}
		return fields
	}
	assert.Equal(t, []string{
		"auth.secret", "auth.client_id", "auth.params.client_secret", "auth.scopes", "auth.token_auth_method", "auth.token_url",
	}, fields(fetch.Auth{
		Type: fetch.AuthOAuth2, TokenURL: "login.example", Scopes: []string{"a b"}, Params: map[string]string{"client_secret": "x"},
		TokenAuthMethod: "private_key_jwt",
	}))
	assert.Equal(t, []string{"auth.client_id", "auth.params", "auth.scopes", "auth.token_auth_method", "auth.token_url"},
		fields(fetch.Auth{Type: fetch.AuthBearer, Secret: "s", TokenURL: "x", ClientID: "x", Scopes: []string{"x"},
			Params: map[string]string{"a": "b"}, TokenAuthMethod: "x"}))
}

func TestOAuth2_TokenIsHiddenInAnswers(t *testing.T) {
	id, request := newIdentity(t, answered)
	answer, err := newClient(t).Do(t.Context(), request)
	require.NoError(t, err)
	assert.NotContains(t, string(answer.Body), "t0ken")
	id.refuse("t0ken-no-2")
	_, err = newClient(t).Do(t.Context(), request)
	assert.Equal(t, "you sent Bearer redacted", requireKind(t, err, fetch.KindStatus).Snippet)
	shown, _ := json.Marshal(request.Auth)
	assert.NotContains(t, string(shown), "s3cr3t")
}
