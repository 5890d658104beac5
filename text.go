package callsheet

import (
	"encoding/json"
	"fmt"
	"time"
)

// durationText is a time.Duration that reads and writes itself as text ("1m30s").
type durationText time.Duration

func (d durationText) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

func (d *durationText) UnmarshalJSON(b []byte) error {
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
	*d = durationText(v)
	return nil
}
