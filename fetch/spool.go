package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
)

// A Spool is a body that is too long to be held in memory: a temporary file, which nobody but this process's user may read.
// Where the system lets an open file be removed, it has no name any more, and goes with the process.
type Spool struct {
	file *os.File
	size int64
	hash hash.Hash
}

// spoolError is that of a temporary file.
type spoolError struct{ error }

func (e spoolError) Error() string { return "keep the body in a temporary file: " + e.error.Error() }
func (e spoolError) Unwrap() error { return e.error }

// newSpool makes an empty one in the system's folder for temporary files.
func newSpool() (*Spool, error) {
	file, err := os.CreateTemp("", "callsheet-body-*")
	if err != nil {
		return nil, spoolError{err}
	}
	if runtime.GOOS != "windows" {
		err = os.Remove(file.Name())
	}
	s := &Spool{file: file, hash: sha256.New()}
	if err != nil {
		return nil, spoolError{errors.Join(err, s.Close())}
	}
	return s, nil
}

// Size is how many bytes there are.
func (s *Spool) Size() int64 { return s.size }

// Sum is the SHA-256 of the body, in hexadecimal.
func (s *Spool) Sum() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// Reader reads the body from its beginning. It may be used until the Spool is closed.
func (s *Spool) Reader() io.Reader { return io.NewSectionReader(s.file, 0, s.size) }

// Close gives the space back.
func (s *Spool) Close() error {
	err := s.file.Close()
	if runtime.GOOS == "windows" {
		err = errors.Join(err, os.Remove(s.file.Name()))
	}
	return err
}

// Write adds to the body.
func (s *Spool) Write(b []byte) (int, error) {
	n, err := s.file.Write(b)
	s.size += int64(n)
	_, _ = s.hash.Write(b[:n])
	if err != nil {
		err = spoolError{err}
	}
	return n, err
}

// spool takes the rest of a body whose beginning was read already, without c's secrets.
func (c *conversation) spool(beginning []byte, answer *http.Response) (_ *Spool, err error) {
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	clean := &hider{forms: c.hidden(), to: s}
	if _, err = clean.Write(beginning); err != nil {
		return nil, err
	}
	left := c.request.MaxBodyBytes - int64(len(beginning))
	// io.Copy's own buffer; one byte more tells a body that is too long from one that just fits.
	read, err := io.Copy(clean, io.LimitReader(answer.Body, left+1))
	if err == nil && read > left {
		err = &tooLargeError{c.request.MaxBodyBytes}
	}
	if err == nil {
		err = clean.end()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// A hider writes a text without the forms of secrets in it. It holds back what may be the beginning of one.
type hider struct {
	forms   []string // the longest first
	to      io.Writer
	pending []byte
	hidden  int // bytes of pending that are of a form which began before
}

func (h *hider) Write(b []byte) (int, error) {
	if len(h.forms) == 0 {
		return h.to.Write(b)
	}
	h.pending = append(h.pending, b...)
	return len(b), h.flush(len(h.pending) - len(h.forms[0]) + 1)
}

// end writes what was held back.
func (h *hider) end() error { return h.flush(len(h.pending)) }

// flush writes what stands before end, and the forms that begin there.
func (h *hider) flush(end int) error {
	if end <= 0 {
		return nil
	}
	var clean []byte
	done := h.hidden
	for _, found := range h.found(end) {
		if found.start >= done {
			clean = append(append(clean, h.pending[done:found.start]...), redacted...)
		}
		done = max(done, found.end)
	}
	if done < end {
		clean = append(clean, h.pending[done:end]...)
		done = end
	}
	h.hidden = done - end
	h.pending = append(h.pending[:0], h.pending[end:]...)
	_, err := h.to.Write(clean)
	return err
}

type stretch struct{ start, end int }

// found returns where forms stand that begin before end, in their order.
func (h *hider) found(end int) []stretch {
	var all []stretch
	for _, form := range h.forms {
		for from := 0; from < end; {
			at := bytes.Index(h.pending[from:], []byte(form))
			if at < 0 || from+at >= end {
				break
			}
			all = append(all, stretch{from + at, from + at + len(form)})
			from += at + 1
		}
	}
	slices.SortFunc(all, func(a, b stretch) int { return a.start - b.start })
	return all
}
