package callsheet

import (
	"encoding/json"
	"time"

	"github.com/callsheet-go/callsheet/limit"
)

// A Source is an API: its base URL and what every call to it shares. Requests point at it.
//
// The zero value of every field but BaseURL is useful. A Source is a plain value; a Store keeps
// its own copy.
type Source struct {
	// ID is the caller's slug ("usgs"), at most 128 letters, digits, '.', '_' and '-', or a UUIDv7
	// given by Create when left empty.
	ID     string            `json:"id"`
	Name   string            `json:"name,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`

	// BaseURL is absolute, http or https, without user info and fragment.
	BaseURL string `json:"base_url"`
	// Headers are sent with every call. A Request's header of the same name wins.
	Headers map[string]string `json:"headers,omitempty"`
	// Auth proves who calls. Secrets do not belong into Headers: those are kept and shown.
	Auth Auth `json:"auth,omitzero"`
	// Timeout bounds one whole HTTP conversation, body included. Zero means 30 seconds.
	Timeout time.Duration `json:"timeout,omitzero"`
	// MaxBodyBytes bounds the decompressed body; a longer one is an error, never cut.
	// Zero means 16 MiB.
	MaxBodyBytes int64 `json:"max_body_bytes,omitzero"`
	// Limits are how fast the API is called, and how often at once: all of them together, at most 10. Without a Key
	// a Limit is the Source's own; Sources that name the same Key share it. See docs/limits.md.
	Limits []limit.Limit `json:"limits,omitempty"`
	// Breaker stops calls for a while after failures in a row. The zero value means 30 seconds after 10.
	Breaker limit.Breaker `json:"breaker,omitzero"`

	// Version counts the edits, from 1. Update takes the version that was read.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// MarshalJSON writes durations as text ("30s").
func (s Source) MarshalJSON() ([]byte, error) {
	type plain Source
	return json.Marshal(struct {
		plain
		Timeout durationText `json:"timeout,omitzero"`
	}{plain(s), durationText(s.Timeout)})
}

// UnmarshalJSON reads durations as text ("30s").
func (s *Source) UnmarshalJSON(b []byte) error {
	type plain Source
	v := struct {
		*plain
		Timeout *durationText `json:"timeout"`
	}{(*plain)(s), (*durationText)(&s.Timeout)}
	return json.Unmarshal(b, &v)
}

// Meta implements [Entity].
func (s *Source) Meta() Meta {
	return Meta{Kind: KindSource, ID: &s.ID, Labels: s.Labels,
		Version: &s.Version, CreatedAt: &s.CreatedAt, UpdatedAt: &s.UpdatedAt}
}
