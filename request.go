package callsheet

import (
	"encoding/json"
	"strings"
	"time"
)

// A Request is one call to a Source: method, path, query, headers and body.
type Request struct {
	// ID is the caller's slug, or a UUIDv7 given by Create when left empty.
	ID     string            `json:"id"`
	Name   string            `json:"name,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`

	// Source is the ID of the Source to call.
	Source string `json:"source"`
	// Method is GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. Empty means GET.
	Method string `json:"method"`
	// Path is appended to the Source's base URL. It may carry a query of its own.
	Path string `json:"path,omitempty"`
	// Query is added to the path's query. To repeat a key, write it into Path.
	Query map[string]string `json:"query,omitempty"`
	// Headers are sent with the call and win over the Source's.
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	// Timeout bounds one whole HTTP conversation. Zero means the Source's.
	Timeout time.Duration `json:"timeout,omitzero"`

	// Pages says how the answer comes in pages. nil means that it is whole.
	Pages *Pagination `json:"pages,omitempty"`
	// Cursor has the request ask only for what is new. nil means that it asks for everything each time.
	Cursor *Cursor `json:"cursor,omitempty"`
	// Unchanged says what becomes of an answer that is as it was. Empty means UnchangedSkip. It is for GET without Pages.
	Unchanged Unchanged `json:"unchanged,omitempty"`

	// Version counts the edits, from 1. Update takes the version that was read.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// MarshalJSON writes durations as text ("30s").
func (r Request) MarshalJSON() ([]byte, error) {
	type plain Request
	return json.Marshal(struct {
		plain
		Timeout durationText `json:"timeout,omitzero"`
	}{plain(r), durationText(r.Timeout)})
}

// UnmarshalJSON reads durations as text ("30s").
func (r *Request) UnmarshalJSON(b []byte) error {
	type plain Request
	v := struct {
		*plain
		Timeout *durationText `json:"timeout"`
	}{(*plain)(r), (*durationText)(&r.Timeout)}
	return json.Unmarshal(b, &v)
}

// Meta implements [Entity].
func (r *Request) Meta() Meta {
	var uses []Ref
	if r.Source != "" {
		uses = []Ref{{KindSource, r.Source}}
	}
	return Meta{Kind: KindRequest, ID: &r.ID, Labels: r.Labels, Uses: uses,
		Version: &r.Version, CreatedAt: &r.CreatedAt, UpdatedAt: &r.UpdatedAt}
}

// templated reports whether a template of the request may use what name says.
func (r Request) templated(name string) bool {
	uses := func(text string) bool { return strings.Contains(text, "{{") && strings.Contains(text, name) }
	for _, values := range []map[string]string{r.Query, r.Headers} {
		for _, value := range values {
			if uses(value) {
				return true
			}
		}
	}
	return uses(r.Path) || uses(r.Body)
}
