package callsheet

import (
	"slices"
	"time"
)

// Progress is how far an execution has come with what takes more than one call: the pages of an answer
// ([Request].Pages), the cursor of its Schedule ([Request].Cursor), and whether there was anything new at all
// ([Request].Unchanged).
//
// The Pipeline reports it in the Result. What an attempt came to is kept with the Execution, so that the next one goes on from
// there, on any node. When the execution has succeeded it says how many pages there were, and from where to where the
// cursor moved.
type Progress struct {
	// Pages have been delivered, each as a Batch of its own; Next is the page to ask for then.
	Pages int       `json:"pages,omitempty"`
	Next  PageState `json:"next,omitzero"`
	// Part is how far the answer of the page at hand is delivered, where a long one is delivered in parts; nil: not at all. Parts
	// counts the Batches so far beyond one for each page, Restarts how often an answer was begun again because it had changed.
	Part     *PartState `json:"part,omitempty"`
	Parts    int        `json:"parts,omitempty"`
	Restarts int        `json:"restarts,omitempty"`
	// Kept is set on what is kept of an answer, if that is a part of it.
	Kept *KeptPart `json:"kept,omitempty"`
	// Of is a hash of the request that pages and parts belong to: another one has others.
	Of string `json:"of,omitempty"`
	// Records, Rejected and Bytes are those of the pages delivered.
	Records  int64 `json:"records,omitempty"`
	Rejected int64 `json:"rejected,omitempty"`
	Bytes    int64 `json:"bytes,omitempty"`
	// Seen has hashes of the last pages and of what asked for them: one that comes again is an error.
	Seen []string `json:"seen,omitempty"`

	// Since is the cursor that every page is asked with, Cursor how far the pages delivered go.
	Since  CursorState `json:"since,omitzero"`
	Cursor string      `json:"cursor,omitempty"`

	// Validators are those of the answer, Unchanged is set if it was that of the last success.
	Validators *Validators `json:"validators,omitempty"`
	Unchanged  bool        `json:"unchanged,omitempty"`

	// Omitted is set on what is kept of an answer that was too large to be kept and is about to be delivered. Should its worker
	// vanish, nobody knows whether it was, and what is fetched in its stead may hold more than a Destination that has it takes. The
	// execution is Doubtful then: it does not move cursor and validators, so that the next one asks for the same again.
	Omitted  bool `json:"omitted,omitempty"`
	Doubtful bool `json:"doubtful,omitempty"`
}

// maxSeen bounds Progress.Seen: what goes round in a larger circle is ended by the number of pages.
const maxSeen = 200

// seen reports whether what has this hash came before, and notes that it did.
func (p *Progress) seen(hash string) bool {
	if slices.Contains(p.Seen, hash) {
		return true
	}
	p.Seen = append(p.Seen[max(0, len(p.Seen)+1-maxSeen):len(p.Seen):len(p.Seen)], hash)
	return false
}

// done returns what is kept of an execution that succeeded; nil if that is nothing.
func (p *Progress) done() *Progress {
	if p == nil {
		return nil
	}
	end := *p
	end.Next, end.Seen, end.Part = PageState{}, nil, nil
	return &end
}

// batches is how many Batches have been delivered.
func (p *Progress) batches() int {
	if p == nil {
		return 0
	}
	return p.Pages + p.Parts
}

// A PartState is how far an answer is delivered in parts: see [extract.Part].
type PartState struct {
	End  int64  `json:"end"`
	Hash string `json:"hash"`
	// Records are those up to there, with those that were set aside; Matched says of a text that it has lines that match.
	Records int64 `json:"records,omitempty"`
	Matched bool  `json:"matched,omitempty"`
}

// A KeptPart says which part of an answer is kept.
type KeptPart struct {
	End  int64  `json:"end"`
	Hash string `json:"hash"`
	Last bool   `json:"last,omitempty"`
	// Page is the hash of the whole page.
	Page string `json:"page,omitempty"`
}

// A CursorState is where the cursor of a Schedule stands.
type CursorState struct {
	Value string `json:"value,omitempty"`
	// Version counts the changes. An execution moves the cursor only if it stands where it was when the execution began: what
	// SetCursor or another execution did meanwhile stays.
	Version int64     `json:"version"`
	MovedAt time.Time `json:"moved_at,omitzero"`
	// Execution is the one that moved it; empty: a call of SetCursor or ResetCursor, or an edit.
	Execution string `json:"execution,omitempty"`
	// Of is a hash of what the value means something to: the Source, the Request's path, and the cursor's path, type and layout.
	// To others it is as if there were none.
	Of string `json:"of,omitempty"`
}

// Validators are what tells an answer that is as it was: the ETag and Last-Modified of the API (RFC 9110, 8.8), and the hash
// of the body.
type Validators struct {
	// Key is the hash of the request, the Extract and the Delivery they hold for.
	Key          string `json:"key"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Hash         string `json:"hash,omitempty"`
}

// moved returns the state with the cursor at value, which means something to what has the hash of.
func (s ScheduleState) moved(value, of, execution string, now time.Time) ScheduleState {
	version := int64(1)
	if s.Cursor != nil {
		version = s.Cursor.Version + 1
	}
	s.Cursor = &CursorState{Value: value, Version: version, MovedAt: now, Execution: execution, Of: of}
	return s
}

// progressed returns the state after the success of e: what its Progress says of cursor and validators.
func (s ScheduleState) progressed(e Execution, now time.Time) ScheduleState {
	p := e.Progress
	if p == nil || p.Doubtful {
		return s
	}
	version := int64(0)
	if s.Cursor != nil {
		version = s.Cursor.Version
	}
	if p.Cursor != "" && p.Since.Version == version && p.Cursor != p.Since.Value {
		s = s.moved(p.Cursor, p.Since.Of, e.ID, now)
	}
	if p.Validators != nil && p.Since.Version == version {
		v := *p.Validators
		s.Validators = &v
	}
	return s
}

// uncertain returns the state after e ended in another way than by delivering what it fetched: if it may have delivered
// something all the same, or delivered what is older, the answer that the validators are of is not the last that was delivered.
func (s ScheduleState) uncertain(e Execution) ScheduleState {
	delivered := func(a Attempt) bool {
		return a.Timings.Deliver > 0 || a.Class == ClassDelivery || a.Class == ClassLostWorker
	}
	if e.AnswerOf != "" || e.State != StateSucceeded && slices.ContainsFunc(e.Attempts, delivered) {
		s.Validators = nil
	}
	return s
}

// forgotten returns the state without cursor and validators: they belong to another request.
func (s ScheduleState) forgotten(now time.Time) ScheduleState {
	if s.Cursor != nil {
		s = s.moved("", "", "", now)
	}
	s.Validators = nil
	return s
}
