//go:build !unix

package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// hold makes a file beside the store's, which must not be there yet, and removes it when it is closed. Where a process was
// killed it stays, and has to be removed by hand: there is nothing better in the standard library.
func hold(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, err
	}
	return held{f}, nil
}

type held struct{ *os.File }

func (h held) Close() error { return errors.Join(h.File.Close(), os.Remove(h.Name())) }
