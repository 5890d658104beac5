package fetch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func TestURL_JoinsByPlainRules(t *testing.T) {
	for _, row := range []struct {
		name, base, path string
		query            map[string]string
		want             string
	}{
		{"a base alone", "https://h", "", nil, "https://h"},
		{"a base with a slash alone", "https://h/", "", nil, "https://h/"},
		{"one slash is put between", "https://h/v1", "x", nil, "https://h/v1/x"},
		{"the path brings the slash", "https://h/v1", "/x", nil, "https://h/v1/x"},
		{"the base brings the slash", "https://h/v1/", "x", nil, "https://h/v1/x"},
		{"both bring a slash", "https://h/v1/", "/x", nil, "https://h/v1/x"},
		{"the base brings many", "https://h/v1///", "/x", nil, "https://h/v1/x"},
		{"a base without a path", "https://h", "x", nil, "https://h/x"},
		{"a slash alone", "https://h/v1", "/", nil, "https://h/v1/"},
		{"a slash at the end is kept", "https://h/v1", "x/", nil, "https://h/v1/x/"},
		{"the path has a query", "https://h/v1", "x?a=1", nil, "https://h/v1/x?a=1"},
		{"the path is only a query", "https://h/v1", "?a=1", nil, "https://h/v1?a=1"},
		{"the query of the base comes first", "https://h/v1?k=1", "x?a=2", map[string]string{"b": "3"}, "https://h/v1/x?k=1&a=2&b=3"},
		{"the query map is sorted and escaped", "https://h", "", map[string]string{"z": "a b&c", "a": "ü"}, "https://h?a=%C3%BC&z=a+b%26c"},
		{"a name given twice is sent twice", "https://h?a=1", "", map[string]string{"a": "2"}, "https://h?a=1&a=2"},
		{"escapes are kept", "https://h/a%2Fb", "c%2fd?e=%20", nil, "https://h/a%2Fb/c%2fd?e=%20"},
		{"escapes are kept beside what needs one", "https://h/a b", "c%2Fd é", nil, "https://h/a%20b/c%2Fd%20%C3%A9"},
		{"a query is escaped where it must be", "https://h", "x?a=b c\"<é&f[x]=1", nil, "https://h/x?a=b%20c%22%3C%C3%A9&f[x]=1"},
		{"a question mark in a query", "https://h", "x?a=b?c", nil, "https://h/x?a=b?c"},
		{"a colon in the first segment", "https://h", "users:search", nil, "https://h/users:search"},
		{"an absolute URL as a later part", "https://h", "proxy/http://x", nil, "https://h/proxy/http://x"},
		{"an absolute URL in a query", "https://h", "x?u=http://y/../z", nil, "https://h/x?u=http://y/../z"},
		{"a backslash is no slash", "https://h", `\\evil\x`, nil, "https://h/%5C%5Cevil%5Cx"},
		{"an at sign belongs to the path", "https://h", "@evil/x", nil, "https://h/@evil/x"},
		{"dots within a segment", "https://h", "a..b/.c/d.", nil, "https://h/a..b/.c/d."},
		{"an address of IPv6 with a port", "http://[::1]:8080/v1", "x", nil, "http://[::1]:8080/v1/x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := fetch.Request{BaseURL: row.base, Path: row.path, Query: row.query}.URL()
			require.NoError(t, err)
			assert.Equal(t, row.want, got)
		})
	}
}

func TestValidate_FindsEachFault(t *testing.T) {
	for _, row := range []struct {
		name    string
		request fetch.Request
		field   string
		value   string
	}{
		{"a method in small letters", fetch.Request{Method: "get"}, "method", "get"},
		{"a method of another protocol", fetch.Request{Method: "CONNECT"}, "method", "CONNECT"},
		{"a base without a scheme", fetch.Request{BaseURL: "api.example.com/v1"}, "base_url", "api.example.com/v1"},
		{"a base of another scheme", fetch.Request{BaseURL: "ftp://h"}, "base_url", "ftp://h"},
		{"a base without a host", fetch.Request{BaseURL: "https://:80/"}, "base_url", "https://:80/"},
		{"a base with an opaque part", fetch.Request{BaseURL: "https:h"}, "base_url", "https:h"},
		{"a base with user info", fetch.Request{BaseURL: "https://u:p@h/?k=v"}, "base_url", "https://h/?k=…"},
		{"a base with a fragment", fetch.Request{BaseURL: "https://h/#frag"}, "base_url", "https://h/"},
		{"a base with an empty fragment", fetch.Request{BaseURL: "https://h/#"}, "base_url", "https://h/"},
		{"a base with a line feed", fetch.Request{BaseURL: "https://h/\n"}, "base_url", "https://h/\n"},
		{"a base with a backslash", fetch.Request{BaseURL: `https://h\@evil`}, "base_url", "https://evil"},
		{"a base with a port out of range", fetch.Request{BaseURL: "https://h:65536"}, "base_url", "https://h:65536"},
		{"a base with a broken escape", fetch.Request{BaseURL: "https://h/%zz"}, "base_url", "https://h/%zz"},
		{"a base with a broken escape in its query", fetch.Request{BaseURL: "https://h/?a=%z"}, "base_url", "https://h/?a=…"},
		{"a path that names a host", fetch.Request{Path: "//evil.test/x"}, "path", "//evil.test/x"},
		{"a path that is a URL", fetch.Request{Path: "http://evil.test/x"}, "path", "http://evil.test/x"},
		{"a path that climbs", fetch.Request{Path: "a/../../x"}, "path", "a/../../x"},
		{"a path that climbs in escapes", fetch.Request{Path: "%2e%2E/x"}, "path", "%2e%2E/x"},
		{"a path that climbs behind an escaped slash", fetch.Request{Path: "a%2f..%5cx"}, "path", "a%2f..%5cx"},
		{"a path with a fragment", fetch.Request{Path: "x#y"}, "path", "x"},
		{"a path with a carriage return", fetch.Request{Path: "x\r\ny"}, "path", "x\r\ny"},
		{"a path with a control character in its query", fetch.Request{Path: "x?a=\x00"}, "path", "x?a=…"},
		{"a path with a broken escape", fetch.Request{Path: "x%2"}, "path", "x%2"},
		{"a path with a broken escape in its query", fetch.Request{Path: "x?a=%2"}, "path", "x?a=…"},
		{"a header name with a blank", fetch.Request{Headers: map[string]string{"X A": "v"}}, "headers", "X…"},
		{"a header name that holds it all", fetch.Request{Headers: map[string]string{"Authorization: Bearer x": ""}}, "headers", "Authorization…"},
		{"a harmless header value with a line feed", fetch.Request{Headers: map[string]string{"Accept": "a\nb"}}, "headers.Accept", "a\nb"},
		{"any other header value with a line feed", fetch.Request{Headers: map[string]string{"x-api-KEY": "a\nb"}}, "headers.x-api-KEY", "redacted"},
		{"a Host that is a URL", fetch.Request{Headers: map[string]string{"host": "http://x"}}, "headers.host", "http://x"},
		{"a Host that is empty", fetch.Request{Headers: map[string]string{"Host": " "}}, "headers.Host", " "},
		{"a header in two spellings", fetch.Request{Headers: map[string]string{"X-A": "1", "x-a": "2"}}, "headers.x-a", "redacted"},
		{"a negative timeout", fetch.Request{Timeout: -time.Second}, "timeout", "-1s"},
		{"a negative limit", fetch.Request{MaxBodyBytes: -1}, "max_body_bytes", "-1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.request.BaseURL == "" {
				row.request.BaseURL = "https://h"
			}
			faults := faultsOf(row.request.Validate())
			require.Len(t, faults, 1)
			assert.Equal(t, row.field, faults[0].Field)
			assert.Equal(t, row.value, faults[0].Value)
			assert.NotContains(t, faults[0].Error(), "\n")
		})
	}
}

func TestValidate_ReportsAllFaultsAtOnce(t *testing.T) {
	err := fetch.Request{
		Method: "BREW", Path: "//x", Timeout: -1, MaxBodyBytes: -1,
		Headers: map[string]string{"a b": "", "c": "\n", "d": "\r"},
	}.Validate()
	var fields []string
	for _, fault := range faultsOf(err) {
		fields = append(fields, fault.Field)
	}
	assert.Equal(t, []string{"method", "base_url", "path", "headers", "headers.c", "headers.d", "timeout", "max_body_bytes"}, fields)
}

func TestValidate_AcceptsWhatIsSound(t *testing.T) {
	assert.NoError(t, fetch.Request{BaseURL: "http://h"}.Validate())
	assert.NoError(t, fetch.Request{
		Method: "PATCH", BaseURL: "HTTPS://H:8443/v1?x=y", Path: "a?b", Timeout: time.Second, MaxBodyBytes: 1,
		Headers: map[string]string{"host": "[::1]:80", "X-A": "\tü"}, Body: "\x00",
	}.Validate())
}

type headerCase struct {
	Name     string
	Value    *string
	ValueGen *struct {
		Repeat string
		N      int
	} `json:"value_gen"`
	Valid bool
}

func (c headerCase) value() string {
	if c.Value != nil {
		return *c.Value
	}
	return strings.Repeat(c.ValueGen.Repeat, c.ValueGen.N)
}

func TestHeaders_Hostile(t *testing.T) {
	text, err := os.ReadFile("testdata/headers.json")
	require.NoError(t, err)
	var table struct{ Cases []headerCase }
	require.NoError(t, json.Unmarshal(text, &table))
	require.NotEmpty(t, table.Cases)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{MaxHeaderBytes: 2 << 20, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})}
	wire := &tape{Listener: listener}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(wire) }()
	t.Cleanup(func() { _ = server.Close(); <-done })

	client := newClient(t)
	for i, row := range table.Cases {
		value := row.value()
		t.Run(fmt.Sprintf("%d %q %.20q", i, row.Name, value), func(t *testing.T) {
			request := fetch.Request{
				Method: "POST", BaseURL: "http://" + listener.Addr().String(), Body: "the body",
				Headers: map[string]string{row.Name: value},
			}
			err := request.Validate()
			if !row.Valid {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			for range 2 { // the second one finds a connection that the first must not have spoilt
				answer, err := client.Do(t.Context(), request)
				require.NoError(t, err)
				assert.Equal(t, "the body", string(answer.Body))
				sent := wire.take()
				assert.Equal(t, 1, strings.Count(sent, " HTTP/1.1\r\n"), "one request must go on the wire")
				assert.Equal(t, 1, strings.Count(sent, "\r\n\r\n"))
				assert.Contains(t, sent, "Content-Length: 8\r\n")
				assert.NotContains(t, sent, "Transfer-Encoding")
				assert.NotContains(t, sent, "X-A:  ", "blanks around a value are not sent")
			}
		})
	}
}

// A tape keeps all bytes that clients send to a listener.
type tape struct {
	net.Listener
	mu    sync.Mutex // guards bytes
	bytes bytes.Buffer
}

func (l *tape) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &taped{conn, l}, nil
}

// take returns what was sent since the last take.
func (l *tape) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.bytes.String()
	l.bytes.Reset()
	return text
}

type taped struct {
	net.Conn
	tape *tape
}

func (c *taped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tape.mu.Lock()
	defer c.tape.mu.Unlock()
	c.tape.bytes.Write(p[:n])
	return n, err
}

func TestRequest_IsLoggedWithoutSecrets(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	logger.Info("call", "request", fetch.Request{
		BaseURL: "https://h?k=" + canary, Headers: map[string]string{"X-Api-Key": canary}, Body: canary,
	})
	assert.Contains(t, out.String(), "GET https://h?k=…")
	assert.NotContains(t, out.String(), canary)
}

func FuzzRequestURL(f *testing.F) {
	for _, seed := range [][4]string{
		{"https://h/v1?k=1", "/x?a=1", "q", "v"},
		{"http://[::1]:80", "//evil.test", "", ""},
		{"https://h", `\\evil`, "\r\n", "\x00"},
		{"https://h/a b", "@evil%2F..", "&", "#"},
		{"https://h\\@evil", "%2e%2e/%zz", "é", "\xff"},
		{"https://u:p@h/#f", "http://evil", "=", "?"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, base, path, name, value string) {
		request := fetch.Request{BaseURL: base, Path: path, Query: map[string]string{name: value}}
		_ = request.String()
		text, err := request.URL()
		if err != nil {
			return
		}
		given, err := url.Parse(base)
		require.NoError(t, err)
		got, err := url.Parse(text)
		require.NoError(t, err, "what URL returns must parse")
		assert.Equal(t, given.Scheme, got.Scheme)
		assert.Equal(t, given.Host, got.Host, "the host is the base's")
		assert.Nil(t, got.User)
		assert.Empty(t, got.Fragment)
		assert.Equal(t, text, got.String(), "printing the URL again must not change it")
		assert.True(t, strings.HasPrefix(got.Path, strings.TrimRight(given.Path, "/")), "the path of the base is kept")
		assert.Equal(t, value, got.Query()[name][len(got.Query()[name])-1], "the query arrives as given")

		sent, err := http.NewRequest(http.MethodGet, text, nil)
		require.NoError(t, err)
		wire := sent.URL.RequestURI()
		assert.NotContains(t, wire, " ")
		for _, c := range []byte(wire) {
			assert.True(t, c > ' ' && c < 0x7f, "byte %#x would go on the wire", c)
		}
	})
}
