package callsheet

import "github.com/callsheet-go/callsheet/internal/text"

// durationText is a time.Duration that reads and writes itself as text ("1m30s").
type durationText = text.Duration
