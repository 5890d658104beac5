package callsheet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
)

// A cutAnswer is a long answer that is kept, extracted and delivered in parts. It is fetched whole before that, into a temporary file:
// no part of an answer that breaks off is delivered, and the API does not wait for a Destination.
type cutAnswer struct {
	response *fetch.Response
	parts    *extract.Parts
}

// maxRestarts is how often an execution begins an answer again that has changed since some of its parts were delivered.
const maxRestarts = 3

// inParts reports whether a long answer is delivered in parts: it is made of lines or rows, and nothing looks at it as a whole.
func (a *attempt) inParts() bool {
	x := a.call.Extract
	if x == nil || a.languages[x.Language] != nil || !x.Mapping().Splits() {
		return false
	}
	if c := a.cursor(); c != nil && c.kind() == CursorToken {
		return false
	}
	p := a.pages()
	return p == nil || p.Path == "" && p.More == "" && p.Items == ""
}

// cut makes the answer that was fetched one that is delivered in parts, from the first on that is not delivered yet. One that is
// short, and not the rest of another, stays whole.
func (a *attempt) cut(ctx context.Context, response *fetch.Response) error {
	err := a.isNew(response)
	var parts *extract.Parts
	if err == nil {
		parts, err = a.rest(ctx, response)
	}
	if err == nil && parts == nil && response.Spool != nil {
		parts, err = a.newParts(response)
	}
	if err != nil || parts == nil {
		_ = response.Close()
		return err
	}
	a.parts = &cutAnswer{response, parts}
	return nil
}

// isNew refuses a page that came before, of which nothing must be delivered.
func (a *attempt) isNew(response *fetch.Response) error {
	if a.pages() != nil && slices.Contains(a.progress.Seen, bodyHash(response)) {
		return badResponse("turn the page", fmt.Errorf("page %d came before", a.progress.Pages+1))
	}
	return nil
}

// rest returns the parts behind those that are delivered. Without any, or if the answer is not the one they are of and can
// be begun again, it is nil.
func (a *attempt) rest(ctx context.Context, response *fetch.Response) (*extract.Parts, error) {
	if a.progress.Part == nil && a.doubtful == nil {
		return nil, nil
	}
	doubtful := a.doubtful
	a.doubtful = nil
	if !a.inParts() {
		return nil, a.restart()
	}
	parts, err := a.behind(ctx, response)
	if err == nil && parts != nil && doubtful != nil {
		var part extract.Part
		part, err = parts.Next(ctx)
		parts = nil
		if err == nil && part.End == doubtful.End && part.Hash == doubtful.Hash {
			parts, err = a.behind(ctx, response) // once more: that one is delivered again
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if parts == nil {
		return nil, a.restart()
	}
	return parts, nil
}

// behind returns the parts behind those that are delivered; nil if the answer is another one.
func (a *attempt) behind(ctx context.Context, response *fetch.Response) (*extract.Parts, error) {
	parts, err := a.newParts(response)
	if err != nil || a.progress.Part == nil {
		return parts, err
	}
	same, err := parts.Resume(ctx, a.progress.Part.End, a.progress.Part.Hash)
	if err != nil || !same {
		return nil, err
	}
	return parts, nil
}

// delivered is how far the answer at hand is delivered.
func (a *attempt) delivered() PartState {
	if a.progress.Part == nil {
		return PartState{}
	}
	return *a.progress.Part
}

func (a *attempt) newParts(response *fetch.Response) (*extract.Parts, error) {
	var body io.Reader = bytes.NewReader(response.Body)
	if response.Spool != nil {
		body = response.Spool.Reader()
	}
	return extract.NewParts(a.call.Extract.Mapping(), body, response.Header.Get("Content-Type"), a.partBytes)
}

// restart begins the answer again, of which parts are delivered that are not in it any more. Where the Destination knows records
// by their key, and where there is none, that leaves nothing twice. Elsewhere the next attempt may get the answer that it was.
func (a *attempt) restart() error {
	d := a.call.Delivery
	keyed := d == nil || d.Mode == Upsert || d.Mode == InsertIgnore
	if !keyed || a.progress.Restarts >= maxRestarts {
		return badResponse("go on with the answer", errors.New("it has changed since parts of it were delivered; execute the schedule for what it says now"))
	}
	a.progress.Restarts++
	a.progress.Part = nil
	a.progress.Parts++ // a part behind those may have been delivered, and a Destination knows it by its place
	return nil
}

// nextPart returns the next part of the answer at hand.
func (a *attempt) nextPart(ctx context.Context) (*Answer, error) {
	part, err := a.parts.next(ctx, &a.result.Timings)
	if err != nil {
		return nil, &StageError{StageExtract, fmt.Errorf("read the answer: %w", err)}
	}
	if a.progress.Of == "" {
		a.of = a.call.askedOf()
		a.progress.Of = a.of
	}
	answer := a.answered(a.parts.response)
	answer.Body = part.Body
	before := a.progress
	before.Kept = &KeptPart{End: part.End, Hash: part.Hash, Last: part.Last, Page: bodyHash(a.parts.response)}
	answer.Progress = &before
	return answer, a.keep(ctx, answer)
}

func (c *cutAnswer) next(ctx context.Context, timings *Timings) (extract.Part, error) {
	defer stopwatch(&timings.Extract)()
	return c.parts.Next(ctx)
}

// close gives the answer back that is at hand in parts.
func (a *attempt) close() {
	if a.parts != nil {
		_ = a.parts.response.Close()
		a.parts = nil
	}
}

// bodySize is how long the body of an answer is, wherever that is.
func bodySize(r *fetch.Response) int64 {
	if r.Spool != nil {
		return r.Spool.Size()
	}
	return int64(len(r.Body))
}
