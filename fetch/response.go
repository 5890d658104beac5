package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Response is a whole 2xx answer, or the 304 to a conditional request. It owns its Body; whoever asked for a Spool closes the Response.
type Response struct {
	Status  int
	Header  http.Header
	Body    []byte        // decompressed; empty with 304, and with a Spool
	Spool   *Spool        // the body where it is longer than Request.SpoolAbove, else nil
	URL     string        // where the answer came from, after redirects, query values masked
	Elapsed time.Duration // from the call of Do to the end of the body

	LeftOrigin bool // a redirect led to another origin, and this is its answer

	scrub scrubber
}

// Close closes the Spool, if there is one. Of a nil Response there is nothing to close.
func (r *Response) Close() error {
	if r == nil || r.Spool == nil {
		return nil
	}
	return r.Spool.Close()
}

const (
	// A Content-Length is believed up to this size; a larger body grows as its bytes come in.
	believedLength = 1 << 20
	// Bodies of unknown length are first read into pooled memory of this size.
	pooledLength = 32 << 10
	// How much of an error's body is looked at, and for how long.
	snippetRead = 4 << 10
	snippetWait = 2 * time.Second
)

var pooled = sync.Pool{New: func() any { return new([pooledLength]byte) }}

type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("the body is larger than %d bytes", e.limit)
}

// unchanged says whether answer tells that what the caller has is still right. A 304 that nobody asked for, also
// because a redirect to another origin lost the condition, says nothing of the sort.
func unchanged(answer *http.Response) bool {
	asked := answer.Request
	return answer.StatusCode == http.StatusNotModified &&
		(asked.Method == http.MethodGet || asked.Method == http.MethodHead) &&
		(asked.Header.Get("If-None-Match") != "" || asked.Header.Get("If-Modified-Since") != "")
}

// readAnswer returns the whole body of a 2xx answer, or what is spooled of it.
func (c *conversation) readAnswer(answer *http.Response) ([]byte, *Spool, error) {
	r := c.request
	if answer.Request.Method == http.MethodHead {
		return nil, nil, nil
	}
	if answer.StatusCode == http.StatusPartialContent && answer.Request.Header.Get("Range") == "" {
		return nil, nil, errors.New("the answer is partial (206), which was not asked for")
	}
	if answer.ContentLength > r.MaxBodyBytes {
		return nil, nil, &tooLargeError{r.MaxBodyBytes}
	}
	inMemory := r.MaxBodyBytes
	if r.SpoolAbove > 0 {
		inMemory = min(inMemory, r.SpoolAbove)
	}
	body, err := readBody(answer, inMemory)
	if inMemory < r.MaxBodyBytes && is[*tooLargeError](err) && int64(len(body)) > inMemory {
		spool, err := c.spool(body, answer)
		return nil, spool, err
	}
	if err != nil {
		return nil, nil, err
	}
	return c.hide(body), nil, nil
}

// readBody returns the body, or with a [*tooLargeError] its first limit+1 bytes.
func readBody(answer *http.Response, limit int64) ([]byte, error) {
	if answer.ContentLength >= 0 {
		// One byte more leaves room to meet the end without growing.
		buffer := make([]byte, 0, min(answer.ContentLength, believedLength)+1)
		return readAll(answer.Body, buffer, limit)
	}

	buffer := pooled.Get().(*[pooledLength]byte)
	defer pooled.Put(buffer)
	body, err := readAll(answer.Body, buffer[:0], limit)
	if len(body) <= pooledLength {
		body = bytes.Clone(body)
	}
	return body, err
}

// readAll appends all of from to buffer, which grows into memory of its own when it is full.
func readAll(from io.Reader, buffer []byte, limit int64) ([]byte, error) {
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, 0)[:len(buffer)]
		}
		end := int64(cap(buffer))
		if end > limit {
			end = limit + 1 // one byte more tells a body that is too long from one that just fits
		}
		n, err := from.Read(buffer[len(buffer):end])
		buffer = buffer[:len(buffer)+n]
		switch {
		case int64(len(buffer)) > limit:
			return buffer, &tooLargeError{limit}
		case err == io.EOF:
			return buffer, nil
		case err != nil:
			return nil, err
		}
	}
}

// contentCoding returns how the body is encoded.
func contentCoding(answer *http.Response) string {
	var codings []string
	for _, line := range answer.Header.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				codings = append(codings, coding)
			}
		}
	}
	return strings.Join(codings, ", ")
}

// readSnippet returns the beginning of an error's body, if it comes soon and can be read, and whether the
// body goes on.
func readSnippet(answer *http.Response, cancel context.CancelFunc) (beginning string, cut bool) {
	// After 101 the body is the connection itself, and it may never end.
	if answer.StatusCode < 200 || answer.Request.Method == http.MethodHead || contentCoding(answer) != "" {
		return "", false
	}
	defer time.AfterFunc(snippetWait, cancel).Stop()
	read, err := io.ReadAll(io.LimitReader(answer.Body, snippetRead+1))
	if len(read) > snippetRead {
		return string(read[:snippetRead]), true
	}
	return string(read), err != nil
}
