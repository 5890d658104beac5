//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package file

import (
	"context"
	"os"
)

// There is no flock here: a directory must belong to one Destination.

func lockFile(context.Context, *os.File) error { return nil }

func tryLockFile(*os.File) (locked bool, err error) { return true, nil }
