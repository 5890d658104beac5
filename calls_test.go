package callsheet_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
)

// knows is a resolver of these secrets.
func knows(secrets map[string]string) callsheet.Option {
	return callsheet.WithSecrets(callsheet.SecretsFunc(func(_ context.Context, name string) (string, error) {
		value, known := secrets[name]
		if !known {
			return "", callsheet.ErrNoSecret
		}
		return value, nil
	}))
}

func TestTLS_OfASource(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	secrets := knows(map[string]string{
		"right": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), "none": "c4n4ry",
	})
	open := callsheet.WithAllowedNetworks("127.0.0.0/8")
	for name, tc := range map[string]struct {
		tls   callsheet.TLS
		opts  []callsheet.Option
		class callsheet.Class // empty: it succeeds
		text  string
	}{
		"its CA":                        {callsheet.TLS{CA: "right"}, []callsheet.Option{secrets, open}, "", ""},
		"its CA and a name of its":      {callsheet.TLS{CA: "right", ServerName: "example.com"}, []callsheet.Option{secrets, open}, "", ""},
		"the system's CAs":              {callsheet.TLS{}, []callsheet.Option{secrets, open}, callsheet.ClassPermanent, "certificate signed by unknown authority"},
		"a name that it does not have":  {callsheet.TLS{CA: "right", ServerName: "example.org"}, []callsheet.Option{secrets, open}, callsheet.ClassPermanent, "certificate is valid for example.com"},
		"a secret that is no CA":        {callsheet.TLS{CA: "none"}, []callsheet.Option{secrets, open}, callsheet.ClassPermanent, `tls.ca "redacted" must hold certificates in PEM`},
		"a secret that is no key pair":  {callsheet.TLS{CA: "right", Certificate: "right"}, []callsheet.Option{secrets, open}, callsheet.ClassPermanent, `tls.certificate "redacted" must hold a certificate and its private key in PEM`},
		"a secret that is not there":    {callsheet.TLS{CA: "unknown"}, []callsheet.Option{secrets, open}, callsheet.ClassAuth, `secret "unknown": there is no such secret`},
		"an address that is closed":     {callsheet.TLS{CA: "right"}, []callsheet.Option{secrets}, callsheet.ClassPermanent, "which is not open to calls"},
		"a transport of the host's own": {callsheet.TLS{CA: "right"}, []callsheet.Option{secrets, callsheet.WithTransport(server.Client().Transport)}, callsheet.ClassPermanent, "must be empty where the transport is the host's own"},
	} {
		t.Run(name, func(t *testing.T) {
			e := execute(t, callsheet.Sheet{
				Sources:   []callsheet.Source{{ID: "api", BaseURL: server.URL, TLS: tc.tls}},
				Requests:  []callsheet.Request{{ID: "r", Source: "api"}},
				Schedules: []callsheet.Schedule{{ID: "s", Request: "r", MaxRetries: callsheet.NoRetries}},
			}, tc.opts...)
			assert.Equal(t, tc.class, e.Class, e.Error)
			assert.Contains(t, e.Error, tc.text)
			assert.NotContains(t, e.Error, "c4n4ry")
		})
	}
}

func TestSource_FaultsOfTLSAndLimits(t *testing.T) {
	sched, err := callsheet.New(memory.New())
	require.NoError(t, err)
	_, err = sched.Sources().Create(t.Context(), callsheet.Source{
		ID: "api", BaseURL: "http://api.example", IdleTimeout: -1, MaxHeaderBytes: 2 << 20,
		TLS: callsheet.TLS{CA: "-----BEGIN c4n4ry", Certificate: "a/b", ServerName: "a:1"},
	})
	var fields []string
	for _, fault := range callsheet.ValidationErrors(err) {
		fields = append(fields, fault.Field)
	}
	assert.Equal(t, []string{"tls", "tls.server_name", "idle_timeout", "max_header_bytes", "tls.ca", "tls.certificate"}, fields)
	assert.NotContains(t, err.Error(), "c4n4ry")
}

func TestSource_JSONSpeaksDurationsAndOAuth2(t *testing.T) {
	const text = `{"id":"api","base_url":"https://api.example","auth":{"type":"oauth2","secret":"s","token_url":"https://login.example","client_id":"c",` +
		`"scopes":["a"],"params":{"audience":"x"}},"tls":{"ca":"ca"},"max_header_bytes":100,"version":0,"timeout":"1m0s","idle_timeout":"5s"}`
	var src callsheet.Source
	require.NoError(t, json.Unmarshal([]byte(text), &src))
	assert.Equal(t, 5*time.Second, src.IdleTimeout)
	assert.Equal(t, []string{"a"}, src.Auth.Scopes)
	back, err := json.Marshal(src)
	require.NoError(t, err)
	assert.JSONEq(t, text, string(back))
}

func TestIdempotencyKey_IsThatOfTheExecution(t *testing.T) {
	for method, want := range map[string]bool{"GET": false, "POST": true, "DELETE": true} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var keys []string
				wire := roundTripFunc(func(r *http.Request) (*http.Response, error) {
					keys = append(keys, r.Header.Get("Idempotency-Key"))
					status := 500
					if len(keys)%3 == 0 {
						status = 204
					}
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
				})
				sched, err := callsheet.New(memory.New(), callsheet.WithTransport(wire))
				require.NoError(t, err)
				require.NoError(t, sched.Define(t.Context(), callsheet.Sheet{
					Sources:   []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
					Requests:  []callsheet.Request{{ID: "r", Source: "api", Method: method}},
					Schedules: []callsheet.Schedule{{ID: "s", Request: "r"}},
				}))
				start(t, sched)
				var ids []string
				for range 2 {
					e, err := sched.Execute(t.Context(), "s")
					require.NoError(t, err)
					ids = append(ids, e.ID)
					time.Sleep(time.Hour)
				}
				first, second := ids[0], ids[1]
				if !want {
					first, second = "", ""
				}
				assert.Equal(t, []string{first, first, first, second, second, second}, keys, "each attempt has the key of its execution")
			})
		})
	}
}

func TestRequest_FormAndPartsAreSent(t *testing.T) {
	var got atomic.Value
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseMultipartForm(1 << 20)
		seen := fmt.Sprint(r.PostForm)
		if r.MultipartForm != nil {
			seen += " " + r.MultipartForm.File["f"][0].Filename
		}
		got.Store(seen)
	}))
	defer api.Close()
	for want, request := range map[string]callsheet.Request{
		"map[a:[1 & 2]]":   {Form: map[string]string{"a": "1 & 2"}},
		"map[a:[1]] x.csv": {Multipart: []callsheet.Part{{Name: "a", Value: "1"}, {Name: "f", Filename: "x.csv", Value: "1,2"}}},
	} {
		request.ID, request.Source, request.Method = "r", "api", "POST"
		e := execute(t, callsheet.Sheet{
			Sources:   []callsheet.Source{{ID: "api", BaseURL: api.URL, Headers: map[string]string{"Content-Type": "application/json"}}},
			Requests:  []callsheet.Request{request},
			Schedules: []callsheet.Schedule{{ID: "s", Request: "r"}},
		}, callsheet.WithAllowedNetworks("127.0.0.0/8"))
		require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		assert.Equal(t, want, got.Load())
	}
}

func TestOAuth2_ClassOfWhatFails(t *testing.T) {
	for status, want := range map[int]callsheet.Class{400: callsheet.ClassAuth, 401: callsheet.ClassAuth, 429: callsheet.ClassThrottled, 503: callsheet.ClassTransient} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := roundTripFunc(func(r *http.Request) (*http.Response, error) {
					require.Equal(t, "login.example", r.URL.Host, "the API is not called without a token")
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
				})
				sched, err := callsheet.New(memory.New(), callsheet.WithTransport(wire), knows(map[string]string{"s": "s3cr3t-0f-j4n3"}))
				require.NoError(t, err)
				require.NoError(t, sched.Define(t.Context(), callsheet.Sheet{
					Sources: []callsheet.Source{{ID: "api", BaseURL: "http://api.example",
						Auth: callsheet.Auth{Type: callsheet.AuthOAuth2, TokenURL: "https://login.example/token", ClientID: "jane", Secret: "s"}}},
					Requests:  []callsheet.Request{{ID: "r", Source: "api"}},
					Schedules: []callsheet.Schedule{{ID: "s", Request: "r", MaxRetries: callsheet.NoRetries}},
				}))
				start(t, sched)
				e, err := sched.Execute(t.Context(), "s")
				require.NoError(t, err)
				time.Sleep(time.Second)
				last, tried := execution(t, sched, e.ID).Last()
				require.True(t, tried)
				assert.Equal(t, want, last.Class)
				assert.Contains(t, last.Error, "POST https://login.example/token: token: status")
			})
		})
	}
}
