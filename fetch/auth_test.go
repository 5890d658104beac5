package fetch_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func TestAuth_DoesNotFollowToAnotherOrigin(t *testing.T) {
	for _, auth := range []fetch.Auth{
		{Type: fetch.AuthBasic, Username: "jane", Secret: canary},
		{Type: fetch.AuthBearer, Secret: canary},
		{Type: fetch.AuthHeader, Name: "X-Api-Key", Secret: canary},
		{Type: fetch.AuthQuery, Name: "key", Secret: canary},
	} {
		t.Run(string(auth.Type), func(t *testing.T) {
			away := newWitness(t, nil)
			home := newWitness(t, map[string]string{"/near": "302 /end", "/far": "302 " + away.URL + "/end"})
			client := newClient(t)
			_, err := client.Do(t.Context(), fetch.Request{BaseURL: home.URL, Path: "near", Auth: auth})
			require.NoError(t, err)
			got, _ := home.last()
			assert.Equal(t, auth.Header() != "", got.Header.Get(auth.Header()) != "", "within the origin the header stays")
			assert.Equal(t, auth.Type == fetch.AuthQuery, got.URL.RawQuery == "key="+canary, "and so does the parameter")

			_, err = client.Do(t.Context(), fetch.Request{BaseURL: home.URL, Path: "far", Auth: auth})
			require.NoError(t, err)
			away.requireNoCanary(t)
			got, _ = away.last()
			assert.Empty(t, got.Header.Get(auth.Header()))
			assert.Empty(t, got.URL.RawQuery)
		})
	}
}

func TestAuth_PrintsAsRedacted(t *testing.T) {
	auth := fetch.Auth{Type: fetch.AuthBearer, Secret: canary}
	for _, v := range []any{auth, &auth, auth.Secret, fetch.Request{BaseURL: "http://h", Auth: auth}, &fetch.Request{BaseURL: "http://h", Auth: auth}} {
		for _, verb := range strings.Split("%v %+v %#v %s %q %d %x %X %t %g", " ") {
			text := strings.ToLower(fmt.Sprintf(verb, v))
			assert.NotContains(t, text, canary, "%s of %T", verb, v)
			assert.NotContains(t, text, fmt.Sprintf("%x", canary), "%s of %T", verb, v)
		}
		text, err := json.Marshal(v)
		require.NoError(t, err)
		assert.NotContains(t, string(text), canary)
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("it", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("it", "v", v)
		assert.NotContains(t, log.String(), canary)
	}
}

func TestAuth_HeaderThatIsGivenTwiceIsAFault(t *testing.T) {
	for field, request := range map[string]fetch.Request{
		"headers.authorization": {Auth: fetch.Auth{Type: fetch.AuthBearer, Secret: canary}, Headers: map[string]string{"authorization": canary}},
		"headers.x-key":         {Auth: fetch.Auth{Type: fetch.AuthHeader, Name: "X-Key", Secret: canary}, Headers: map[string]string{"x-key": canary}},
		"query.key":             {Auth: fetch.Auth{Type: fetch.AuthQuery, Name: "key", Secret: canary}, Query: map[string]string{"key": canary}},
	} {
		request.BaseURL = "http://h"
		err := request.Validate()
		faults := faultsOf(err)
		require.Len(t, faults, 1)
		assert.Equal(t, field, faults[0].Field)
		assert.NotContains(t, err.Error(), canary)
	}
}

// A secret that no header can hold is a fault when the call is made, and is not shown.
func TestAuth_SecretThatBreaksTheWire(t *testing.T) {
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: "http://h.invalid", Auth: fetch.Auth{Type: fetch.AuthBearer, Secret: canary + "\nX-Injected: 1"}})
	assert.EqualError(t, requireKind(t, err, fetch.KindRequest), `GET http://h.invalid: request: headers.Authorization "redacted" must not contain control characters`)
}

func TestAuth_AnswerIsLeftAloneButForTheSecret(t *testing.T) {
	for _, row := range []struct{ name, secret, body, want string }{
		{"nothing is repeated", canary, `{"a":"c4n4ry"}`, `{"a":"c4n4ry"}`},
		{"the secret is repeated", canary, `{"a":"` + canary + `"}`, `{"a":"redacted"}`},
		{"a short one is left", "secret7", `{"secret7":1}`, `{"secret7":1}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Echo", row.body)
				_, _ = io.WriteString(w, row.body)
			})
			answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, Auth: fetch.Auth{Type: fetch.AuthBearer, Secret: fetch.Secret(row.secret)}})
			require.NoError(t, err)
			assert.Equal(t, row.want, string(answer.Body))
			assert.Equal(t, row.want, answer.Header.Get("X-Echo"))
		})
	}
}
