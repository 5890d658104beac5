package callsheet

import (
	"encoding/json"
	"time"
)

// A Request is one call to a Source: method, path, query, headers and body.
//
// Path, the values of Query and Headers, and Body are templates: what stands in double braces is filled in for each
// call, and escaped for where it stands. docs/templates.md tells what there is. They are compiled, and what is wrong
// with them told, when the Request is defined.
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
	// Body is sent as it is; if it is JSON, with that Content-Type unless a header gives one. At most one of Body, Form
	// and Multipart may be given.
	Body string `json:"body,omitempty"`
	// Form is sent url-encoded, sorted by name.
	Form map[string]string `json:"form,omitempty"`
	// Multipart is sent as multipart/form-data, in this order, and as the same bytes by every attempt.
	Multipart []Part `json:"multipart,omitempty"`
	// Params are what templates know as .Params. A Schedule's of the same name win. Names are of letters, digits
	// and '_', values have at most 4 KiB; at most 100.
	Params map[string]string `json:"params,omitempty"`
	// Rules say which answers are errors, and of which Class, where the status does not tell. They come before the
	// Source's. At most 50.
	Rules []AnswerRule `json:"rules,omitempty"`
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
