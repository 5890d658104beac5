package callsheet

import (
	"bytes"
	"context"
	"fmt"
	"io"

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

// cut makes the answer that was fetched one that is delivered in parts, from the first on that is not delivered yet. An answer that
// is not the one they are of is begun again, if that does no harm; one that is short is then left whole.
func (a *attempt) cut(response *fetch.Response) (err error) {
	defer func() {
		if err != nil || a.parts == nil {
			_ = response.Close()
		}
	}()
	if a.progress.Part != nil && a.inParts() {
		parts, err := a.newParts(response)
		if err != nil {
			return err
		}
		same, err := parts.Resume(a.progress.Part.End, a.progress.Part.Hash)
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if same {
			a.parts = &cutAnswer{response, parts}
			return nil
		}
	}
	if a.progress.Part != nil {
		if err := a.restart(); err != nil {
			return err
		}
	}
	if response.Spool == nil {
		return nil
	}
	parts, err := a.newParts(response)
	if err != nil {
		return err
	}
	a.parts = &cutAnswer{response, parts}
	return nil
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
		return badResponse("go on with the answer", fmt.Errorf("it has changed since %d bytes of it were delivered; execute the schedule for what it says now", a.progress.Part.End))
	}
	a.progress.Restarts++
	a.progress.Part = nil
	return nil
}

// nextPart returns the next part of the answer at hand.
func (a *attempt) nextPart(ctx context.Context) (*Answer, error) {
	part, err := a.parts.next(&a.result.Timings)
	if err != nil {
		return nil, &StageError{StageExtract, fmt.Errorf("read the answer: %w", err)}
	}
	answer := a.answered(a.parts.response)
	answer.Body = part.Body
	before := a.progress
	before.Kept = &PartState{End: part.End, Hash: part.Hash, Last: part.Last}
	answer.Progress = &before
	return answer, a.keep(ctx, answer)
}

func (c *cutAnswer) next(timings *Timings) (extract.Part, error) {
	defer stopwatch(&timings.Extract)()
	return c.parts.Next()
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
