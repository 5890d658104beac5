package fetch_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

// packers make a body of each coding; deflate comes in both of the ways in which servers understand it.
var packers = []struct {
	name, coding string
	new          func(w io.Writer) io.WriteCloser
}{
	{"gzip", "gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
	{"x-gzip, in capitals", "X-GZIP", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
	{"zlib", "deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }},
	{"raw deflate", "deflate", func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 9); return f }},
	{"brotli", "br", func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }},
	{"zstd", "zstd", func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)); return z }},
}

func pack(t testing.TB, to func(io.Writer) io.WriteCloser, plain io.Reader) []byte {
	var out bytes.Buffer
	w := to(&out)
	_, err := io.Copy(w, plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// packedAnswer sends body under a coding, with or without its length.
func packedAnswer(status int, coding string, body []byte, chunked bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", coding)
		if !chunked {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.WriteHeader(status)
		if chunked {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(body)
	}
}

func TestUnpack_EveryCoding(t *testing.T) {
	for _, p := range packers {
		for _, size := range []int{1, 5000, 300_000} {
			for _, chunked := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d bytes, chunked %v", p.name, size, chunked), func(t *testing.T) {
					plain := hardToPack(size)
					server := serve(t, packedAnswer(200, p.coding, pack(t, p.new, bytes.NewReader(plain)), chunked))
					answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, MaxBodyBytes: int64(size)})
					require.NoError(t, err)
					assert.True(t, bytes.Equal(plain, answer.Body), "the body must come whole")
					assert.NotContains(t, answer.Header, "Content-Encoding")
					assert.NotContains(t, answer.Header, "Content-Length")

					_, err = newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, MaxBodyBytes: max(int64(size)-1, 1)})
					if size > 1 {
						requireKind(t, err, fetch.KindTooLarge)
					}
				})
			}
		}
	}
}

// A body that ends early is an error wherever it ends, and whatever stood before the end.
func TestUnpack_CutBodyIsAnError(t *testing.T) {
	for _, p := range packers {
		packed := pack(t, p.new, bytes.NewReader(hardToPack(2000)))
		client := newClient(t)
		for _, cut := range []int{1, 2, 5, len(packed) / 2, len(packed) - 5, len(packed) - 1} {
			t.Run(fmt.Sprintf("%s, %d of %d", p.name, cut, len(packed)), func(t *testing.T) {
				server := serve(t, packedAnswer(200, p.coding, packed[:cut], true))
				answer, err := client.Do(t.Context(), fetch.Request{BaseURL: server.URL})
				requireKind(t, err, fetch.KindProtocol)
				assert.Nil(t, answer)
			})
		}
		t.Run(p.name+", with something behind it", func(t *testing.T) {
			server := serve(t, packedAnswer(200, p.coding, append(bytes.Clone(packed), "garbage behind"...), true))
			_, err := client.Do(t.Context(), fetch.Request{BaseURL: server.URL})
			requireKind(t, err, fetch.KindProtocol)
		})
	}
}

func TestUnpack_Bombs(t *testing.T) {
	for _, p := range packers {
		t.Run(p.name, func(t *testing.T) {
			bomb := pack(t, p.new, io.LimitReader(zeros{}, 8<<20))
			server := serve(t, packedAnswer(200, p.coding, bomb, false))
			_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL})
			assert.ErrorContains(t, requireKind(t, err, fetch.KindTooLarge), "more than 200 times as long")
		})
	}
}

// Empty members of gzip unpack to nothing, and there is no end to them.
func TestUnpack_EndlessNothing(t *testing.T) {
	empty := pack(t, packers[0].new, strings.NewReader(""))
	server := serve(t, packedAnswer(200, "gzip", bytes.Repeat(empty, 20_000), true))
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, MaxBodyBytes: 1000})
	requireKind(t, err, fetch.KindTooLarge)
}

func TestUnpack_ErrorsAreQuoted(t *testing.T) {
	for _, p := range packers {
		t.Run(p.name, func(t *testing.T) {
			server := serve(t, packedAnswer(401, p.coding, pack(t, p.new, strings.NewReader("no key "+canary)), false))
			_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL, Headers: map[string]string{"X-Key": canary}})
			assert.Equal(t, "no key redacted", requireKind(t, err, fetch.KindStatus).Snippet)
		})
	}
}

func TestUnpack_StallingBodyDoesNotHideTheStatus(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusBadGateway)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: server.URL})
	assert.Equal(t, http.StatusBadGateway, requireKind(t, err, fetch.KindStatus).Status)
}

// RFC 9659: who reads zstd need not have a window of more than 8 MiB.
func TestUnpack_WindowOfZstd(t *testing.T) {
	body := hardToPack(9 << 20)
	for _, row := range []struct {
		window int
		taken  bool
	}{{8 << 20, true}, {16 << 20, false}} {
		packed := pack(t, func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(row.window))
			require.NoError(t, err)
			return z
		}, bytes.NewReader(body))
		answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: serve(t, packedAnswer(200, "zstd", packed, false)).URL})
		if row.taken {
			require.NoError(t, err)
			require.True(t, bytes.Equal(body, answer.Body))
			continue
		}
		assert.ErrorContains(t, requireKind(t, err, fetch.KindProtocol), "window size exceeded")
	}
}
