package fetch_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

// tempFolder is the system's for the test; it is expected to be left empty.
func tempFolder(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	t.Setenv("TMP", folder)
	t.Cleanup(func() {
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, left, "a temporary file was left")
	})
}

func TestSpool(t *testing.T) {
	tempFolder(t)
	for _, row := range []struct {
		name              string
		size              int
		above, limit      int64
		spooled, tooLarge bool
	}{
		{"a body that just fits in memory", 1000, 1000, 5000, false, false},
		{"one byte more", 1001, 1000, 5000, true, false},
		{"a body that just fits", 5000, 1000, 5000, true, false},
		{"a body one byte too long", 5001, 1000, 5000, false, true},
		{"the default limit", 17 << 20, 1000, 0, false, true},
		{"the greatest limit there is", 100_000, 1000, math.MaxInt64, true, false},
		{"a limit below what memory may hold", 600, 1000, 500, false, true},
		{"all in memory", 100_000, 0, 0, false, false},
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
			t.Run(row.name+", "+framing, func(t *testing.T) {
				answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: serve(t, handler).URL, SpoolAbove: row.above, MaxBodyBytes: row.limit})
				if row.tooLarge {
					e, ok := errors.AsType[*fetch.Error](err)
					require.True(t, ok, "%v", err)
					require.Equal(t, fetch.KindTooLarge, e.Kind, "%v", err)
					return
				}
				require.NoError(t, err)
				if !row.spooled {
					require.Nil(t, answer.Spool)
					require.True(t, bytes.Equal(body, answer.Body))
					return
				}
				require.Empty(t, answer.Body)
				require.EqualValues(t, row.size, answer.Spool.Size())
				for range 2 { // as often as one likes
					got, err := io.ReadAll(answer.Spool.Reader())
					require.NoError(t, err)
					require.True(t, bytes.Equal(body, got))
				}
				sum := sha256.Sum256(body)
				require.Equal(t, hex.EncodeToString(sum[:]), answer.Spool.Sum())
				require.NoError(t, answer.Spool.Close())
			})
		}
	}
}

func TestSpool_Broken(t *testing.T) {
	tempFolder(t)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2000")
		_, _ = w.Write(make([]byte, 1500))
		panic(http.ErrAbortHandler)
	}
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: serve(t, handler).URL, SpoolAbove: 1000})
	e, ok := errors.AsType[*fetch.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, fetch.KindProtocol, e.Kind, "a body that is cut is none")
}

func TestSpool_NoRoom(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	t.Setenv("TMP", filepath.Join(t.TempDir(), "none"))
	handler := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2000)) }
	_, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: serve(t, handler).URL, SpoolAbove: 1000})
	e, ok := errors.AsType[*fetch.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, fetch.KindSpool, e.Kind)
	require.ErrorContains(t, err, "keep the body in a temporary file: ")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestSpool_HidesTheSecret(t *testing.T) {
	tempFolder(t)
	const secret = "key-of-thirty-characters-in-all"
	for offset := range 64 { // of the secret, around the border of what is read at once
		body := append(bytes.Repeat([]byte("x"), 1000+32<<10-48+offset), secret...)
		body = append(body, "yz"...)
		handler := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
		answer, err := newClient(t).Do(t.Context(), fetch.Request{
			BaseURL: serve(t, handler).URL, SpoolAbove: 1000, Auth: fetch.Auth{Type: fetch.AuthBearer, Secret: secret},
		})
		require.NoError(t, err)
		got, err := io.ReadAll(answer.Spool.Reader())
		require.NoError(t, err)
		require.NoError(t, answer.Spool.Close())
		require.True(t, bytes.Equal(bytes.ReplaceAll(body, []byte(secret), []byte("redacted")), got), "offset %d: …%s", offset, got[len(got)-50:])
	}
}

func TestSpool_MemoryIsBounded(t *testing.T) {
	tempFolder(t)
	const size = 128 << 20
	chunk := hardToPack(1 << 20)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		for range size / len(chunk) {
			_, _ = w.Write(chunk)
		}
	}
	base := serve(t, handler).URL
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: base, SpoolAbove: 1 << 20, MaxBodyBytes: size})
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.EqualValues(t, size, answer.Spool.Size())
	require.NoError(t, answer.Spool.Close())
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20), "of client and server together")
}
