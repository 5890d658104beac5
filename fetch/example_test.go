package fetch_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/callsheet-go/callsheet/fetch"
)

func ExampleClient_Do() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"base":%q,"usd":1.08}`, r.URL.Query().Get("base"))
	}))
	defer api.Close()

	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"127.0.0.1"}}) // where the API of the example listens
	defer client.Close()

	answer, err := client.Do(context.Background(), fetch.Request{
		BaseURL: api.URL + "/v1",
		Path:    "rates",
		Query:   map[string]string{"base": "EUR"},
		Headers: map[string]string{"Accept": "application/json"},
		Timeout: 5 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Status, string(answer.Body))
	// Output: 200 {"base":"EUR","usd":1.08}
}

func ExampleError() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	}))
	defer api.Close()

	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"127.0.0.1"}}) // where the API of the example listens
	defer client.Close()

	_, err := client.Do(context.Background(), fetch.Request{BaseURL: api.URL})
	var failed *fetch.Error
	if errors.As(err, &failed) && failed.Kind == fetch.KindStatus {
		fmt.Println(failed.Status, failed.RetryAfter, failed.Snippet)
	}
	// Output: 429 3s slow down
}

func ExampleRequest_Validate() {
	fmt.Println(fetch.Request{
		BaseURL: "https://user:pw@api.example.com",
		Path:    "//elsewhere.example.com",
		Headers: map[string]string{"X-Api-Key": "s3cr3t\n"},
	}.Validate())
	// Output:
	// base_url "https://api.example.com" must not contain user info: use Auth
	// path "//elsewhere.example.com" must be relative to the base URL
	// headers.X-Api-Key "redacted" must not contain control characters
}

func ExampleRequest_URL() {
	request := fetch.Request{
		BaseURL: "https://api.example.com/v1/?key=k-42",
		Path:    "/orders?state=open",
		Query:   map[string]string{"page": "2"},
	}
	sent, _ := request.URL()
	fmt.Println(sent)
	fmt.Println(request)
	// Output:
	// https://api.example.com/v1/orders?key=k-42&state=open&page=2
	// GET https://api.example.com/v1/orders?key=…&state=…&page=…
}

func ExampleAuth() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "unknown key "+r.Header.Get("X-Api-Key"), http.StatusUnauthorized)
	}))
	defer api.Close()

	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"127.0.0.1"}})
	defer client.Close()

	auth := fetch.Auth{Type: fetch.AuthHeader, Name: "X-Api-Key", Secret: "k3y-0f-j4n3"}
	_, err := client.Do(context.Background(), fetch.Request{BaseURL: api.URL, Auth: auth})
	var failed *fetch.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Status, failed.Snippet)
	}
	fmt.Println(auth.Type, auth.Name, auth.Secret)
	// Output:
	// 401 unknown key redacted
	// header X-Api-Key redacted
}

func ExampleAuth_oauth2() {
	tokens := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			tokens++
			client, _, _ := r.BasicAuth()
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"access_token":"t0k3n-of-%s","token_type":"Bearer","expires_in":3600}`, client)
			return
		}
		_, _ = fmt.Fprintf(w, `{"authorized":%t}`, r.Header.Get("Authorization") == "Bearer t0k3n-of-callsheet")
	}))
	defer api.Close()

	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"127.0.0.1"}})
	defer client.Close()

	request := fetch.Request{BaseURL: api.URL, Auth: fetch.Auth{
		Type: fetch.AuthOAuth2, TokenURL: api.URL + "/token", ClientID: "callsheet", Secret: "s3cr3t-of-the-client", Scopes: []string{"rows:read"},
	}}
	for range 2 {
		answer, err := client.Do(context.Background(), request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(string(answer.Body))
	}
	fmt.Println(tokens, "token was asked for")
	// Output:
	// {"authorized":true}
	// {"authorized":true}
	// 1 token was asked for
}

func ExampleAuth_hmac() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := sha256.Sum256(nil) // of a GET
		mac := hmac.New(sha256.New, []byte("s1gning-key"))
		_, _ = fmt.Fprintf(mac, "%s\n%s\n%s\n%s\n%s\n%x", r.Method, r.Host, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("X-Timestamp"), body)
		_, _ = fmt.Fprintf(w, "%s signed: %t", r.Header.Get("X-Key-Id"), r.Header.Get("X-Signature") == hex.EncodeToString(mac.Sum(nil)))
	}))
	defer api.Close()

	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"127.0.0.1"}})
	defer client.Close()

	answer, err := client.Do(context.Background(), fetch.Request{
		BaseURL: api.URL, Path: "rows", Query: map[string]string{"page": "1"},
		Auth: fetch.Auth{Type: fetch.AuthHMAC, Username: "key-1", Secret: "s1gning-key"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(answer.Body))
	// Output: key-1 signed: true
}

func ExampleTLS() {
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello") }))
	defer api.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}))

	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"127.0.0.1"}})
	defer client.Close()

	answer, err := client.Do(context.Background(), fetch.Request{BaseURL: api.URL, TLS: fetch.TLS{CA: ca, ServerName: "example.com"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(answer.Body))
	// Output: hello
}

func ExampleRequest_multipart() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer file.Close()
		_, _ = fmt.Fprintf(w, "%s, %d bytes, %s", header.Filename, header.Size, r.FormValue("note"))
	}))
	defer api.Close()

	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"127.0.0.1"}})
	defer client.Close()

	answer, err := client.Do(context.Background(), fetch.Request{
		Method: "POST", BaseURL: api.URL, IdempotencyKey: "upload-1",
		Multipart: []fetch.Part{{Name: "note", Value: "every hour"}, {Name: "file", Filename: "ids.csv", ContentType: "text/csv", Value: "id\n1\n2\n"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(answer.Body))
	// Output: ids.csv, 7 bytes, every hour
}

func ExampleClient_Do_conditional() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = fmt.Fprint(w, "[1, 2, 3]")
	}))
	defer api.Close()

	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"127.0.0.1"}})
	defer client.Close()

	request := fetch.Request{BaseURL: api.URL}
	for range 2 {
		answer, err := client.Do(context.Background(), request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(answer.Status, string(answer.Body))
		request.Headers = map[string]string{"If-None-Match": answer.Header.Get("Etag")}
	}
	// Output:
	// 200 [1, 2, 3]
	// 304
}
