package fetch_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func zipped(t testing.TB, plain io.Reader) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.Copy(w, plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestBody_Limit(t *testing.T) {
	for _, row := range []struct {
		name    string
		size    int
		limit   int64
		tooLong bool
	}{
		{"a body far below the limit", 10, 1000, false},
		{"a body that just fits", 1000, 1000, false},
		{"a body one byte too long", 1001, 1000, true},
		{"a body that just fits the pooled memory", 32 << 10, 1 << 20, false},
		{"a body one byte over the pooled memory", 32<<10 + 1, 1 << 20, false},
		{"a limit of exactly the pooled memory", 32<<10 + 1, 32 << 10, true},
		{"a large body", 3 << 20, 4 << 20, false},
		{"a large body that just fits", 3 << 20, 3 << 20, false},
		{"a large body one byte too long", 3<<20 + 1, 3 << 20, true},
		{"an empty body", 0, 1, false},
		{"the greatest limit there is", 5000, math.MaxInt64, false},
	} {
		body := hardToPack(row.size)
		for framing, handler := range map[string]http.HandlerFunc{
			"with a length": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				_, _ = w.Write(body)
			},
			"in chunks": func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush()
				_, _ = w.Write(body)
			},
			"zipped": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(zipped(t, bytes.NewReader(body)))
			},
		} {
			t.Run(row.name+" "+framing, func(t *testing.T) {
				answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: serve(t, handler).URL, MaxBodyBytes: row.limit})
				if row.tooLong {
					failed := requireKind(t, err, fetch.KindTooLarge)
					assert.Contains(t, failed.Error(), fmt.Sprint(row.limit))
					return
				}
				require.NoError(t, err)
				assert.True(t, bytes.Equal(body, answer.Body), "the body must come whole")
			})
		}
	}
}

// hardToPack returns a text that packs to about a half.
func hardToPack(size int) []byte {
	random, text := rand.New(rand.NewPCG(1, 2)), make([]byte, size)
	for i := range text {
		text[i] = "0123456789abcdef"[random.IntN(16)]
	}
	return text
}

func TestBody_DefaultLimitIs16MiB(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(16<<20+1))
		_, _ = io.CopyN(w, zeros{}, 16<<20+1)
	})
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL})
	requireKind(t, err, fetch.KindTooLarge)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBody_BombStaysWithinTheLimit(t *testing.T) {
	bomb := zipped(t, io.LimitReader(zeros{}, 8<<20))
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, MaxBodyBytes: 256 << 10})
	runtime.ReadMemStats(&after)
	requireKind(t, err, fetch.KindTooLarge)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

func TestBody_LyingLengthCostsNoMemory(t *testing.T) {
	base := serveRaw(t, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nshort")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: base, MaxBodyBytes: 2e9})
	runtime.ReadMemStats(&after)
	requireKind(t, err, fetch.KindProtocol)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

func TestBody_Broken(t *testing.T) {
	packed := string(zipped(t, strings.NewReader(strings.Repeat("abc", 1000))))
	ok := "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	length := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	for _, row := range []struct {
		name, answer string
		cause        error
	}{
		{"shorter than its Content-Length", ok + "Content-Length: 100\r\n\r\nshort", io.ErrUnexpectedEOF},
		{"a chunk size that is none", ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", nil},
		{"a missing last chunk", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", io.ErrUnexpectedEOF},
		{"gzip cut in the middle", ok + "Content-Encoding: gzip\r\n" + length(packed[:len(packed)-9]), io.ErrUnexpectedEOF},
		{"gzip with a wrong checksum", ok + "Content-Encoding: gzip\r\n" + length(packed[:len(packed)-8]+"xxxxxxxx"), gzip.ErrChecksum},
		{"gzip that is plain text", ok + "Content-Encoding: gzip\r\n" + length("plain text, no gzip"), gzip.ErrHeader},
		{"gzip with something behind it", ok + "Content-Encoding: gzip\r\n" + length(packed+"garbage behind"), gzip.ErrHeader},
		{"gzip thrice", ok + "Content-Encoding: gzip, gzip, gzip\r\n" + length(packed), nil},
		{"an unknown encoding", ok + "Content-Encoding: x-none\r\n" + length("?"), nil},
		{"brotli that is none", ok + "Content-Encoding: br\r\n" + length("plain text"), nil},
		{"zstd that is none", ok + "Content-Encoding: identity, zstd\r\n" + length("?"), nil},
		{"a part that was not asked for", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\n" + length("ab"), nil},
		{"no status line", "just a body\n", nil},
		{"a status of 000 with a broken header", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", nil},
		{"nothing at all", "", io.EOF},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: serveRaw(t, row.answer)})
			requireKind(t, err, fetch.KindProtocol)
			assert.Nil(t, answer)
			if row.cause != nil {
				assert.ErrorIs(t, err, row.cause)
			}
			assert.Less(t, len(err.Error()), 3000, "the answer must not flood the log")
		})
	}
}

func TestBody_Sound(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	for _, row := range []struct{ name, answer, body string }{
		{"identity encoding", ok + "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\nab", "ab"},
		{"an encoding of nothing", ok + "Content-Encoding: br\r\nContent-Length: 0\r\n\r\n", ""},
		{"ended by the connection's end", ok + "\r\nabc", "abc"},
		{"204 with a body that is none", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", ""},
		{"after early hints", "HTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nab", "ab"},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: serveRaw(t, row.answer)})
			require.NoError(t, err)
			assert.Equal(t, row.body, string(answer.Body))
		})
	}
}

func TestBody_HeadHasNone(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "99999999")
		w.Header().Set("Content-Encoding", "br")
	})
	answer, err := newClient(t).Do(t.Context(), fetch.Request{Method: "HEAD", BaseURL: server.URL})
	require.NoError(t, err)
	assert.Empty(t, answer.Body)
	assert.Equal(t, "99999999", answer.Header.Get("Content-Length"))
}

func TestBody_EncodingIsNegotiatedByTheClientAlone(t *testing.T) {
	const all = "gzip, deflate, br, zstd"
	for asked, wire := range map[string]string{"gzip, br": all, "br": all, "": all, "identity": "identity"} {
		t.Run("asked for "+asked, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, wire, r.Header.Get("Accept-Encoding"))
				if r.Header.Get("Accept-Encoding") == all {
					w.Header().Set("Content-Encoding", "gzip")
					_, _ = w.Write(zipped(t, strings.NewReader("plain")))
					return
				}
				_, _ = io.WriteString(w, "plain")
			})
			headers := map[string]string{"accept-encoding": asked}
			answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, Headers: headers})
			require.NoError(t, err)
			assert.Equal(t, "plain", string(answer.Body))
		})
	}
}

func TestBody_PartOnRequestIsAnAnswer(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("0123456789"))
	})
	headers := map[string]string{"Range": "bytes=2-3"}
	answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, Headers: headers})
	require.NoError(t, err)
	assert.Equal(t, http.StatusPartialContent, answer.Status)
	assert.Equal(t, "23", string(answer.Body))
}

// nameless is a transport that does not say what its answers answer.
type nameless int

func (status nameless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(status), Body: io.NopCloser(strings.NewReader("body"))}, nil
}

func TestDo_AnswerNeedNotNameItsRequest(t *testing.T) {
	answer, err := fetch.New(nameless(200)).Do(t.Context(), fetch.Request{BaseURL: "http://api.example"})
	require.NoError(t, err)
	assert.Equal(t, "body", string(answer.Body))
	_, err = fetch.New(nameless(500)).Do(t.Context(), fetch.Request{BaseURL: "http://api.example"})
	require.ErrorContains(t, err, "500")
}
