package callsheet

import (
	"net/http"
	"time"
)

// An Answer is what an API said to an execution, kept so that neither a failing Destination nor a
// mapping that was wrong costs a second call. It has no cookies and nothing of the request but its URL.
type Answer struct {
	ExecutionID string    `json:"execution_id"`
	Fence       int64     `json:"fence"` // of the attempt that fetched it
	FetchedAt   time.Time `json:"fetched_at"`
	Status      int       `json:"status"`
	URL         string    `json:"url"` // where it came from, query values masked
	// Header has the headers that say what the body is: see [AnswerHeaders].
	Header http.Header `json:"header,omitempty"`
	// Body is decompressed. A Store may compress what it keeps.
	Body []byte `json:"body"`
	// Progress is how far the execution had come before this answer; nil where there is but one. Where the answer is delivered in
	// parts, Body is one of them, with the header of the table, and Progress.Kept says which.
	Progress *Progress `json:"progress,omitempty"`
}

// part is the part that a is; nil: it is whole.
func (a Answer) part() *KeptPart {
	if a.Progress == nil {
		return nil
	}
	return a.Progress.Kept
}

// MaxAnswerBytes is how large an answer may be to be kept. For a larger one the call is made again, unless it is delivered in
// parts, as those in formats of lines or rows are (NDJSON, CSV, TSV, text): then each part is kept before it is delivered.
// docs/pages.md says more of these.
const MaxAnswerBytes = 4 << 20

// AnswerHeaders lists the headers of an answer that are kept.
func AnswerHeaders() []string {
	return []string{"Content-Type", "Content-Language", "Date", "Etag", "Last-Modified", "Link"}
}

// keptHeader returns of an answer's headers those that are kept.
func keptHeader(h http.Header) http.Header {
	kept := http.Header{}
	for _, name := range AnswerHeaders() {
		if values := h.Values(name); len(values) > 0 {
			kept[name] = values
		}
	}
	return kept
}
