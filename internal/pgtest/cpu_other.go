//go:build !linux

package pgtest

import (
	"database/sql"
	"testing"
	"time"
)

// CPU is known on Linux only.
func CPU(testing.TB, *sql.DB) (client, server time.Duration, ok bool) { return 0, 0, false }
