// Package text has the texts in which values are written in JSON.
package text

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that reads and writes itself as text ("1m30s").
type Duration time.Duration

// MarshalJSON writes the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads a duration as text; empty is zero.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("duration %s: must be text such as \"30s\"", b)
	}
	if text == "" {
		*d = 0
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("duration %q: must be a number with a unit, such as \"30s\" or \"1m30s\"", text)
	}
	*d = Duration(v)
	return nil
}
