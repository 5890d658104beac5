package fetch_test

import (
	"context"
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
