//go:build unix

package fetch_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

// patience is how long a call of these tests may last; it must have ended a second after.
const patience = 400 * time.Millisecond

// A behaviour is what a server or network does, and what must come of it.
type behaviour struct {
	serve  func(t *testing.T, request *fetch.Request) // sets BaseURL, and what else is needed
	kind   fetch.Kind                                 // of the error; empty for an answer
	status int                                        // of the answer or error
	body   string                                     // of the answer, where one is expected
	retry  time.Duration                              // what the error's RetryAfter must be, give or take two seconds
	calls  int                                        // how often the call is made; the last one counts; 0 is once
}

// raw answers with these bytes and closes the connection.
func raw(text string) func(*testing.T, *fetch.Request) {
	return faulty(func(c *rawConn) { c.write(text) })
}

func faulty(answer func(c *rawConn)) func(*testing.T, *fetch.Request) {
	return func(t *testing.T, r *fetch.Request) { r.BaseURL = serveFaults(t, answer) }
}

// whole answers 200 with a body.
func whole(kind, body string) behaviour {
	text := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
	return behaviour{serve: raw(text), status: 200, body: body}
}

// failing answers with a status and a header.
func failing(status int, header string, retry time.Duration) behaviour {
	return behaviour{serve: raw(fmt.Sprintf("HTTP/1.1 %03d X\r\n%sContent-Length: 0\r\n\r\n", status, header)), kind: fetch.KindStatus, status: status, retry: retry}
}

func packedAs(coding string, body []byte) func(*testing.T, *fetch.Request) {
	return raw(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", coding, len(body), body))
}

func gzipped(size int64) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.CopyN(w, zeros{}, size)
	_ = w.Close()
	return b.Bytes()
}

func withTLS(name string, until time.Duration, trusted bool) func(*testing.T, *fetch.Request) {
	return func(t *testing.T, r *fetch.Request) {
		ours := newAuthority(t, "ours")
		r.BaseURL = serveAs(t, ours.issue(t, name, time.Now().Add(until)), nil, sayWho).URL
		if trusted {
			r.TLS = fetch.TLS{CA: ours.pem}
		}
	}
}

// named calls a server by a name, which a name server of the test knows, or not.
func named(address func(nth int) net.IP) func(*testing.T, *fetch.Request) {
	return func(t *testing.T, r *fetch.Request) {
		serveNames(t, address)
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
		r.BaseURL, r.Headers = "http://api.test:"+port, map[string]string{"Connection": "close"}
	}
}

func through(toxic, body string) func(*testing.T, *fetch.Request) {
	return func(t *testing.T, r *fetch.Request) {
		r.BaseURL = serveThrough(t, toxic, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	}
}

var ok200 = "HTTP/1.1 200 OK\r\n"

// behaviours are those of testdata/http_behaviours.json. What is wrong within a body is for the extraction to find: fetch gives it as it
// came.
func behaviours() map[string]behaviour {
	every := func(pause time.Duration, c *rawConn, text string) {
		for c.write(text) {
			time.Sleep(pause)
		}
	}
	twice := new(atomic.Int64)
	return map[string]behaviour{
		"never-accepts":  {serve: func(t *testing.T, r *fetch.Request) { r.BaseURL = serveFull(t) }, kind: fetch.KindTimeout},
		"blackhole":      {serve: func(t *testing.T, r *fetch.Request) { r.BaseURL = serveFull(t) }, kind: fetch.KindTimeout},
		"accepts-silent": {serve: faulty((*rawConn).wait), kind: fetch.KindTimeout},
		"conn-refused": {serve: func(t *testing.T, r *fetch.Request) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, listener.Close())
			r.BaseURL = "http://" + listener.Addr().String()
		}, kind: fetch.KindConnect},
		"dns-nxdomain": {serve: named(func(int) net.IP { return nil }), kind: fetch.KindDNS},
		"dns-slow":     {serve: named(func(int) net.IP { return net.IPv4bcast }), kind: fetch.KindTimeout},
		"dns-flap": {serve: named(func(nth int) net.IP {
			return []net.IP{net.IPv4(10, 0, 0, 1), net.IPv4(127, 0, 0, 1)}[nth%2]
		}), calls: 2, kind: fetch.KindAddress},

		"slow-headers":     {serve: faulty(func(c *rawConn) { every(50*time.Millisecond, c, "H") }), kind: fetch.KindTimeout},
		"endless-headers":  {serve: faulty(func(c *rawConn) { c.write(ok200); every(0, c, "X-A: "+strings.Repeat("a", 1017)+"\r\n") }), kind: fetch.KindHeaders},
		"huge-header":      {serve: raw(ok200 + "X-A: " + strings.Repeat("a", 2<<20) + "\r\n\r\n"), kind: fetch.KindHeaders},
		"set-cookie-flood": {serve: raw(ok200 + strings.Repeat("Set-Cookie: a=b\r\n", 10_000) + "Content-Length: 2\r\n\r\nok"), status: 200, body: "ok"},
		"slow-body":        {serve: faulty(func(c *rawConn) { c.write(ok200 + "\r\n"); every(50*time.Millisecond, c, "x") }), kind: fetch.KindTimeout},
		"stall-mid-body":   {serve: faulty(func(c *rawConn) { c.write(ok200 + "Content-Length: 8\r\n\r\nhalf"); c.wait() }), kind: fetch.KindTimeout},
		"short-body":       {serve: raw(ok200 + "Content-Length: 8\r\n\r\nhalf"), kind: fetch.KindProtocol},
		"long-body":        {serve: raw(ok200 + "Content-Length: 4\r\n\r\nhalf and more"), status: 200, body: "half"},
		"endless-chunked": {serve: faulty(func(c *rawConn) {
			c.write(ok200 + "Transfer-Encoding: chunked\r\n\r\n")
			every(0, c, "400\r\n"+strings.Repeat("x", 1024)+"\r\n")
		}), kind: fetch.KindTooLarge},
		"bad-chunk":        {serve: raw(ok200 + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"), kind: fetch.KindProtocol},
		"gzip-bomb":        {serve: packedAs("gzip", bytes.Repeat(gzipped(1<<20), 256)), kind: fetch.KindTooLarge},
		"gzip-nested":      {serve: packedAs("gzip, gzip, gzip", gzipped(100)), kind: fetch.KindProtocol},
		"gzip-truncated":   {serve: packedAs("gzip", gzipped(1000)[:15]), kind: fetch.KindProtocol},
		"gzip-lie":         {serve: packedAs("gzip", []byte("plain text")), kind: fetch.KindProtocol},
		"gzip-trailing":    {serve: packedAs("gzip", append(gzipped(100), "garbage"...)), kind: fetch.KindProtocol},
		"encoding-unknown": {serve: packedAs("x-none", []byte("x")), kind: fetch.KindProtocol},
		"br-zstd-unasked": {serve: func(t *testing.T, r *fetch.Request) {
			packedAs("zstd", []byte("x"))(t, r)
			r.Headers = map[string]string{"Accept-Encoding": "identity"}
		}, kind: fetch.KindProtocol},
		"reset-after-request": {serve: faulty(func(c *rawConn) { _ = c.SetLinger(0) }), kind: fetch.KindProtocol},
		"reset-mid-body":      {serve: faulty(func(c *rawConn) { c.write(ok200 + "Content-Length: 8\r\n\r\nhalf"); _ = c.SetLinger(0) }), kind: fetch.KindProtocol},
		"close-idle-reuse": {serve: func(t *testing.T, r *fetch.Request) {
			r.Headers = map[string]string{"Keep": "open"}
			r.BaseURL = serveFaults(t, func(c *rawConn) {
				if c.nth > 1 {
					_ = c.Close()
					return
				}
				c.write(ok200 + "Content-Length: 2\r\n\r\nok")
			})
		}, calls: 3, status: 200, body: "ok"},

		"redirect-loop": {serve: raw("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), kind: fetch.KindRedirect},
		"redirect-chain-50": {serve: faulty(func(c *rawConn) {
			var hop int
			_, _ = fmt.Sscanf(c.request.URL.Path, "/%d", &hop)
			c.write(fmt.Sprintf("HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n", hop+1))
		}), kind: fetch.KindRedirect},
		"redirect-other-origin": {serve: func(t *testing.T, r *fetch.Request) {
			away := serveFaults(t, func(c *rawConn) {
				body := fmt.Sprint(len(c.request.Header), c.request.Header.Get("User-Agent"), c.request.Header.Get("Accept-Encoding"))
				c.write(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok200, len(body), body))
			})
			r.Headers = map[string]string{"X-Custom": "s3cr3t", "Cookie": "s3cr3t"}
			r.Auth = fetch.Auth{Type: fetch.AuthBearer, Secret: "s3cr3t-0f-j4n3"}
			raw("HTTP/1.1 302 Found\r\nLocation: "+away+"\r\nContent-Length: 0\r\n\r\n")(t, r)
		}, status: 200, body: "2callsheetgzip, deflate, br, zstd"},
		"redirect-downgrade": {serve: func(t *testing.T, r *fetch.Request) {
			ours, plain := newAuthority(t, "ours"), newWitness(t, nil)
			r.BaseURL = serveAs(t, ours.issue(t, "127.0.0.1", time.Now().Add(time.Hour)), nil, func(w http.ResponseWriter, q *http.Request) {
				http.Redirect(w, q, plain.URL, http.StatusFound)
			}).URL
			r.TLS = fetch.TLS{CA: ours.pem}
		}, kind: fetch.KindRedirect},
		"redirect-post-307": {serve: func(t *testing.T, r *fetch.Request) {
			r.Method, r.Path, r.Body = "POST", "307", "text"
			r.BaseURL = serveFaults(t, func(c *rawConn) {
				switch c.request.URL.Path {
				case "/307":
					c.write("HTTP/1.1 307 X\r\nLocation: /303\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
				case "/303":
					c.write("HTTP/1.1 303 X\r\nLocation: /end/" + c.request.Method + "/" + c.body + "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
				default:
					body := c.request.URL.Path + " " + c.request.Method + c.body
					c.write(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok200, len(body), body))
				}
			})
		}, status: 200, body: "/end/POST/text GET"},

		"204-with-body": {serve: raw("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody"), status: 204},
		"304-unasked":   failing(304, "", 0),
		"etag-lies": {serve: func(t *testing.T, r *fetch.Request) {
			r.Headers = map[string]string{"If-None-Match": `"v1"`}
			raw("HTTP/1.1 304 Not Modified\r\nEtag: \"v2\"\r\n\r\n")(t, r)
		}, status: 304},
		"1xx-flood":               {serve: faulty(func(c *rawConn) { every(0, c, "HTTP/1.1 100 Continue\r\n\r\n") }), kind: fetch.KindHeaders},
		"status-000":              failing(0, "", 0),
		"status-999":              failing(999, "", 0),
		"http09":                  {serve: raw("just a body\n"), kind: fetch.KindProtocol},
		"429-retry-after-seconds": failing(429, "Retry-After: 3\r\n", 3*time.Second),
		"429-retry-after-date": {serve: func(t *testing.T, r *fetch.Request) {
			failing(429, "Retry-After: "+time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)+"\r\n", 0).serve(t, r)
		}, kind: fetch.KindStatus, status: 429, retry: time.Hour},
		"429-retry-after-huge":     failing(429, "Retry-After: 999999999\r\n", 24*time.Hour),
		"429-retry-after-negative": failing(429, "Retry-After: -5\r\n", 0),
		"500-forever":              {serve: failing(500, "", 0).serve, calls: 5, kind: fetch.KindStatus, status: 500},
		"503-then-200": {serve: faulty(func(c *rawConn) {
			if twice.Add(1) <= 2 {
				c.write("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
				return
			}
			c.write(ok200 + "Content-Length: 2\r\n\r\nok")
		}), calls: 3, status: 200, body: "ok"},

		"tls-expired":     {serve: withTLS("127.0.0.1", -time.Hour, true), kind: fetch.KindTLS},
		"tls-wrong-host":  {serve: withTLS("api.internal", time.Hour, true), kind: fetch.KindTLS},
		"tls-self-signed": {serve: withTLS("127.0.0.1", time.Hour, false), kind: fetch.KindTLS},
		"tls10-only":      {serve: func(t *testing.T, r *fetch.Request) { r.BaseURL = serveOldTLS(t, sayWho).URL }, kind: fetch.KindTLS},

		"200-error-body":       whole("application/json", `{"error":"no"}`),
		"content-type-lie":     whole("application/json", "<html>log in</html>"),
		"charset-utf16":        whole("text/csv", "\xff\xfea\x00,\x00b\x00"),
		"charset-1251":         whole("text/xml", "<?xml version=\"1.0\" encoding=\"windows-1251\"?><a>\xcf</a>"),
		"bom-json":             whole("application/json", "\xef\xbb\xbf{}"),
		"invalid-utf8":         whole("application/json", "{\"a\":\"\xe9\"}"),
		"two-json-values":      whole("application/json", "{}{}"),
		"ndjson":               whole("application/x-ndjson", "{}\n{}\n"),
		"json-depth-20000":     whole("application/json", strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)),
		"json-dup-keys":        whole("application/json", `{"a":1,"a":2}`),
		"json-big-int":         whole("application/json", `12345678901234567890`),
		"json-1e400":           whole("application/json", `1e400`),
		"xml-billion-laughs":   whole("text/xml", `<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "x">]><a>&b;</a>`),
		"xml-external-entity":  whole("text/xml", `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`),
		"xml-depth-100000":     whole("text/xml", strings.Repeat("<a>", 100_000)+strings.Repeat("</a>", 100_000)),
		"link-next-self":       whole("application/json\r\nLink: </>; rel=next", "[]"),
		"link-next-other-host": whole("application/json\r\nLink: <http://169.254.169.254/>; rel=next", "[]"),
		"csv-one-row-100MB": {serve: faulty(func(c *rawConn) {
			c.write(ok200 + "Content-Type: text/csv\r\nContent-Length: 104857600\r\n\r\n")
			every(0, c, strings.Repeat("a", 1<<16))
		}), kind: fetch.KindTooLarge},

		// A packet that is dropped by its size never arrives, however often it is sent again.
		"mtu-blackhole": {serve: faulty(func(c *rawConn) {
			c.write(ok200 + "Content-Length: 3000\r\n\r\n" + strings.Repeat("x", 1200))
			c.wait()
		}), kind: fetch.KindTimeout},
		"bandwidth-1kbps": {serve: through(`{"type":"bandwidth","attributes":{"rate":1}}`, strings.Repeat("x", 20_000)), kind: fetch.KindTimeout},
		"latency-jitter":  {serve: through(`{"type":"latency","attributes":{"latency":100,"jitter":100}}`, "ok"), status: 200, body: "ok"},
		"slicer-1-byte":   {serve: through(`{"type":"slicer","attributes":{"average_size":1,"size_variation":0,"delay":10}}`, "ok"), status: 200, body: "ok"},
	}
}

func TestBehaviours(t *testing.T) {
	text, err := os.ReadFile("testdata/http_behaviours.json")
	require.NoError(t, err)
	var table struct{ Cases []struct{ ID, What string } }
	require.NoError(t, json.Unmarshal(text, &table))
	all := behaviours()
	require.Len(t, table.Cases, len(all), "each behaviour is one of the table")
	for _, row := range table.Cases {
		t.Run(row.ID, func(t *testing.T) {
			b, known := all[row.ID]
			require.True(t, known, "the table has a behaviour that is not tried: %s", row.What)
			request := fetch.Request{MaxBodyBytes: 4 << 20}
			b.serve(t, &request)
			request.Timeout = patience
			if b.kind != fetch.KindTimeout {
				request.Timeout = 10 * time.Second
			}
			client := newClient(t)

			var answer *fetch.Response
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			started := time.Now()
			for range max(b.calls, 1) {
				answer, err = client.Do(t.Context(), request)
			}
			assert.Less(t, time.Since(started), request.Timeout+time.Second)
			runtime.ReadMemStats(&after)
			assert.Less(t, after.HeapAlloc, before.HeapAlloc+4<<20+16<<20, "memory stays within the limit and a little")
			if b.kind == "" {
				require.NoError(t, err)
				assert.Equal(t, b.status, answer.Status)
				assert.Equal(t, b.body, string(answer.Body))
				return
			}
			assert.Nil(t, answer, "nothing partial is given")
			failed := requireKind(t, err, b.kind)
			assert.Equal(t, b.status, failed.Status)
			assert.InDelta(t, b.retry.Seconds(), failed.RetryAfter.Seconds(), 2)
			assert.LessOrEqual(t, len(err.Error()), 3000)
		})
	}
}
