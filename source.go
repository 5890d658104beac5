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
	// TLS is for APIs with a CA of their own, or that ask for a client's certificate.
	TLS TLS `json:"tls,omitzero"`
	// Timeout bounds one whole HTTP conversation, body included. Zero means 30 seconds.
	Timeout time.Duration `json:"timeout,omitzero"`
	// IdleTimeout bounds how long the body may pause. Zero means 30 seconds; more than the conversation's timeout
	// means that.
	IdleTimeout time.Duration `json:"idle_timeout,omitzero"`
	// MaxBodyBytes bounds the decompressed body; a longer one is an error, never cut. Zero means 16 MiB.
	// Memory holds as much, unless the format is one of lines or rows: see [MaxAnswerBytes].
	MaxBodyBytes int64 `json:"max_body_bytes,omitzero"`
	// MaxHeaderBytes bounds the headers of an answer; more are an error. Zero means 1 MiB, which is the most.
	MaxHeaderBytes int64 `json:"max_header_bytes,omitzero"`
	// Rules say which answers are errors, and of which Class, where the status does not tell. At most 50.
	Rules []AnswerRule `json:"rules,omitempty"`
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
		Timeout     durationText `json:"timeout,omitzero"`
		IdleTimeout durationText `json:"idle_timeout,omitzero"`
	}{plain(s), durationText(s.Timeout), durationText(s.IdleTimeout)})
}

// UnmarshalJSON reads durations as text ("30s").
func (s *Source) UnmarshalJSON(b []byte) error {
	type plain Source
	v := struct {
		*plain
		Timeout     *durationText `json:"timeout"`
		IdleTimeout *durationText `json:"idle_timeout"`
	}{(*plain)(s), (*durationText)(&s.Timeout), (*durationText)(&s.IdleTimeout)}
	return json.Unmarshal(b, &v)
}

// Meta implements [Entity].
func (s *Source) Meta() Meta {
	return Meta{Kind: KindSource, ID: &s.ID, Labels: s.Labels,
		Version: &s.Version, CreatedAt: &s.CreatedAt, UpdatedAt: &s.UpdatedAt}
}
