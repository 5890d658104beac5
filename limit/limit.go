package limit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/callsheet-go/callsheet/internal/text"
)

// A Limit says how fast calls are made under a key, and how many at once. Holders that name the same Key
// share it. Where their settings differ, the latest that the Limiter saw hold for all; a pace that was replaced and comes
// back goes on where it was.
//
// A Limit with nothing but a Key changes no settings: calls under it count, and wait for what was learned and for the settings
// that others give. Settings that nobody has given for ten minutes, or for their Per if that is longer, end.
type Limit struct {
	// Key names what is shared, at most 200 bytes. In a Source of callsheet empty means the Source's own.
	Key string `json:"key,omitempty"`
	// Requests are the calls that may begin in each Per, evenly spread. Zero means any number, and Per is zero then.
	Requests int           `json:"requests,omitzero"`
	Per      time.Duration `json:"per,omitzero"`
	// Burst is how many calls may begin at once after a pause. Zero means 1: calls are Per/Requests apart. In a span
	// of Per no more than Requests + Burst - 1 begin. So an API that allows 100 calls a minute, and
	// does not mind when, is given Requests 90 and Burst 11, or Requests 100 and Burst 1.
	Burst int `json:"burst,omitzero"`
	// Concurrent is how many calls may be under way at once. Zero means any number.
	Concurrent int `json:"concurrent,omitzero"`
}

// The bounds of a Limit.
const (
	maxKey = 200
	minPer = time.Millisecond
	maxPer = 24 * time.Hour
	maxN   = 1_000_000
)

// A FaultError says which field of a Limit or a Breaker breaks which rule.
type FaultError struct {
	Field string // as it is written in JSON: key, requests, per, burst, concurrent, failures or pause
	Value string
	Rule  string
}

func (e *FaultError) Error() string { return fmt.Sprintf("%s %q %s", e.Field, e.Value, e.Rule) }

// Validate returns all faults of l at once, each a [*FaultError], joined; nil if there is none.
func (l Limit) Validate() error {
	var faults []error
	field := func(wrong bool, field string, value any, rule string) {
		if wrong {
			faults = append(faults, &FaultError{field, fmt.Sprint(value), rule})
		}
	}
	field(len(l.Key) > maxKey || strings.ContainsFunc(l.Key, unicode.IsControl), "key", l.Key,
		fmt.Sprintf("must have at most %d bytes and no control characters", maxKey))
	field(l.Requests < 0 || l.Requests > maxN, "requests", l.Requests, fmt.Sprintf("must be 0 (for any number) to %d", maxN))
	field(l.Requests > 0 && (l.Per < minPer || l.Per > maxPer), "per", l.Per,
		fmt.Sprintf("must be %s to %s, the time in which so many requests may begin", minPer, maxPer))
	field(l.Requests == 0 && l.Per != 0, "per", l.Per, "must be zero where requests is")
	field(l.Burst < 0 || l.Burst > maxN, "burst", l.Burst, fmt.Sprintf("must be 0 (for 1) to %d", maxN))
	field(l.Requests == 0 && l.Burst > 0, "burst", l.Burst, "must be zero where requests is")
	field(l.Concurrent < 0 || l.Concurrent > maxN, "concurrent", l.Concurrent, fmt.Sprintf("must be 0 (for any number) to %d", maxN))
	return errors.Join(faults...)
}

// interval is the time between two calls at an even pace, rounded up; zero where there is no rate.
func (l Limit) interval() time.Duration {
	if l.Requests == 0 {
		return 0
	}
	n := time.Duration(l.Requests)
	return (l.Per + n - 1) / n
}

func (l Limit) burst() int { return max(l.Burst, 1) }

// MarshalJSON writes durations as text ("30s").
func (l Limit) MarshalJSON() ([]byte, error) {
	type plain Limit
	return json.Marshal(struct {
		plain
		Per text.Duration `json:"per,omitzero"`
	}{plain(l), text.Duration(l.Per)})
}

// UnmarshalJSON reads durations as text ("30s").
func (l *Limit) UnmarshalJSON(b []byte) error {
	type plain Limit
	v := struct {
		*plain
		Per *text.Duration `json:"per"`
	}{(*plain)(l), (*text.Duration)(&l.Per)}
	return json.Unmarshal(b, &v)
}
