//go:build !unix

package file

import (
	"errors"
	"io/fs"
	"os"
)

// hold makes a file beside the store's, which must not be there yet. Where a process was killed it stays, and has to be
// removed by hand: there is nothing better in the standard library.
func hold(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrInUse
	}
	return f, err
}
