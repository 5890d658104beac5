package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/callsheet-go/callsheet/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) callsheet.Store { return memory.New() })
}

func TestStore_InBubbles(t *testing.T) {
	storetest.Run(t, func(*testing.T) callsheet.Store { return memory.New() }, storetest.WithBubbles())
}
