//go:build linux

package crashtest_test

import (
	"flag"
	"os"
	"testing"

	"github.com/rs/zerolog"
)

var (
	seedFlag  = flag.Uint64("crash.seed", 0, "the sequence of faults; 0 takes another each time")
	scaleFlag = flag.Int("crash.scale", 0, "how long: 0 is short, 1 as in CI, 10 the long run")
)

func TestMain(m *testing.M) {
	if config := os.Getenv(nodeVariable); config != "" {
		os.Exit(nodeMain(config))
	}
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics write to its global logger
	os.Exit(m.Run())
}
