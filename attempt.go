package callsheet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
)

// An attempt is one Run of the default Pipeline: page after page is fetched, extracted and delivered, from where the
// attempt before came to.
type attempt struct {
	*pipeline
	call      Call
	kept      *Answer    // the answer to begin with; nil: it is fetched
	parts     *cutAnswer // the answer that is delivered in parts; nil: none is at hand
	unmatched error      // of a part of a text in which no line matches; nil: one does
	doubtful  *KeptPart  // the next part, which was too long to be kept and may have been delivered; nil: it is not so
	progress  Progress   // before the page, or part of one, that is worked on
	of        string     // the hash of the request that the pages are of
	broken    error      // why the attempt cannot begin
	result    Result
}

// newAttempt finds out where to begin: after the pages that are known to be delivered, with the answer that is kept, if
// that is of the page after them.
func newAttempt(p *pipeline, call Call) *attempt {
	a := &attempt{pipeline: p, call: call}
	if call.Execution.Progress != nil {
		a.progress = *call.Execution.Progress
	}
	kept := call.Answer
	switch {
	case kept == nil:
	case call.Execution.AnswerOf != "":
		a.kept = kept
	case kept.Progress.batches() < a.progress.batches():
	default:
		if kept.Progress != nil {
			a.progress = *kept.Progress
			a.progress.Kept = nil
			a.progress.Restarts = 0
			if call.Execution.Progress != nil {
				a.progress.Restarts = call.Execution.Progress.Restarts
			}
		}
		switch {
		case a.progress.Omitted && kept.part() != nil:
			a.progress.Omitted, a.doubtful = false, kept.part()
		case a.progress.Omitted:
			a.progress.Omitted, a.progress.Doubtful = false, true
		case call.usesKept():
			a.kept = kept
		}
	}
	if call.Request.Pages != nil || a.progress.Of != "" {
		a.of = call.askedOf()
	}
	switch {
	case a.kept == nil && a.doubtful == nil && a.progress.batches() == 0:
		a.begin()
	case a.progress.Of != "" && a.progress.Of != a.of:
		// To begin anew would not do: a Destination knows the pages that it has by their place.
		a.broken = &ClassifiedError{ClassPermanent, fmt.Errorf("the request, or the format of its answers, was edited after %d pages or parts of them; execute the schedule for what it asks for now", a.progress.batches())}
	}
	if a.progress.batches() > 0 {
		a.report(a.progress)
	}
	a.result.Records, a.result.Rejected = a.progress.Records, a.progress.Rejected
	return a
}

// usesKept reports whether the attempt takes the answer that is kept. It does unless that could not be
// extracted: the API may answer better now.
func (c Call) usesKept() bool {
	for _, last := range slices.Backward(c.Execution.Attempts) {
		if !last.onlyWaited() {
			return last.Class != ClassBadResponse
		}
	}
	return false
}

// begin sets what the first page is asked with.
func (a *attempt) begin() {
	a.progress = Progress{Doubtful: a.progress.Doubtful}
	if a.call.Request.Pages != nil {
		a.progress.Next, a.progress.Of = a.call.Request.Pages.first(), a.of
	}
	since := &a.progress.Since
	if a.call.Schedule.Cursor != nil {
		*since = *a.call.Schedule.Cursor
	}
	of := a.call.Request.cursorOf()
	if of == "" || since.Of != "" && since.Of != of {
		since.Value = "" // it belongs to another
	}
	since.Of = of
	a.progress.Cursor = since.Value
}

// askedOf is the hash of what pages and parts belong to.
func (c Call) askedOf() string {
	r := c.Request
	asked := Request{Source: r.Source, Method: r.Method, Path: r.Path, Query: r.Query, Body: r.Body, Form: r.Form, Multipart: r.Multipart, Pages: r.Pages,
		Params: over(r.Params, c.Schedule.Params)}
	if r.templated() { // which may read labels
		asked.Labels = over(r.Labels, c.Schedule.Labels)
	}
	asked.Headers = maps.Clone(r.Headers)
	maps.DeleteFunc(asked.Headers, func(_, text string) bool { return !fetch.IsTemplate(text) }) // the others may be secrets that are changed
	parts := []string{"pages", c.Source.BaseURL, asText(asked)}
	if x := c.Extract; x != nil && x.Mapping().Splits() {
		parts = append(parts, string(x.Format), asText(x.CSV))
	}
	return hashOf(parts...)
}

// pages is how the answer comes in pages; nil: it does not.
func (a *attempt) pages() *Pagination {
	if a.call.Execution.AnswerOf != "" {
		return nil
	}
	return a.call.Request.Pages
}

// cursor is what has to be found in the answer; nil: nothing.
func (a *attempt) cursor() *Cursor {
	if a.call.Execution.AnswerOf != "" {
		return nil
	}
	return a.call.Request.Cursor
}

// looksInto reports whether the answer is looked into at all.
func (a *attempt) looksInto() bool {
	return a.call.Extract != nil || a.call.Delivery != nil || a.pages() != nil || a.cursor() != nil
}

func (a *attempt) run(ctx context.Context) error {
	defer a.close()
	if a.broken != nil {
		return &StageError{StageFetch, a.broken}
	}
	for {
		answer, err := a.answer(ctx)
		if err != nil {
			return inStage(StageFetch, err)
		}
		if a.progress.Unchanged || !a.looksInto() {
			a.report(a.progress)
			return nil
		}
		after, records, more, err := a.read(ctx, answer)
		if err != nil {
			return &StageError{StageExtract, err}
		}
		if a.call.Delivery != nil {
			err := a.omit(ctx, answer)
			if err == nil {
				err = a.deliver(ctx, records, !more)
			}
			if err != nil {
				return &StageError{StageDeliver, err}
			}
		}
		a.progress, a.kept = after, nil
		a.result.Pages++
		a.report(after)
		if !more {
			return nil
		}
		if after.Part == nil {
			a.close()
		}
		if err := context.Cause(ctx); err != nil {
			return &StageError{StageFetch, err}
		}
	}
}

// report puts p in the result, if there is anything to tell.
func (a *attempt) report(p Progress) {
	if a.pages() != nil || a.cursor() != nil || p.Validators != nil || p.Unchanged || p.Parts > 0 {
		a.result.Progress = &p
	}
}

// answer returns what is next to be looked into: the answer that is kept, the next part of the one at hand, or else that of
// a call, or its first part.
func (a *attempt) answer(ctx context.Context) (*Answer, error) {
	switch {
	case a.kept != nil:
		a.result.HTTPStatus, a.result.FromKept = a.kept.Status, true
		return a.kept, nil
	case a.call.Execution.AnswerOf != "":
		return nil, &ClassifiedError{ClassPermanent, fmt.Errorf("the answer of execution %s is not kept any more", a.call.Execution.AnswerOf)}
	case a.parts != nil:
		return a.nextPart(ctx)
	}
	a.result.FromKept = false
	request, err := a.request()
	if err != nil {
		return nil, err
	}
	response, err := a.ask(ctx, request)
	if err != nil {
		return nil, err
	}
	a.result.Bytes += bodySize(response)
	answer := a.answered(response)
	if a.progress.Unchanged {
		return answer, response.Close()
	}
	if response.Spool != nil || a.progress.Part != nil || a.doubtful != nil {
		if err := a.cut(ctx, response); err != nil {
			return nil, &StageError{StageExtract, err}
		}
	}
	if a.parts != nil {
		return a.nextPart(ctx)
	}
	if a.pages() != nil || a.cursor() != nil || a.progress.Validators != nil || a.progress.Parts > 0 {
		before := a.progress
		answer.Progress = &before
	}
	return answer, a.keep(ctx, answer)
}

// answered is what a Store keeps of a response.
func (a *attempt) answered(response *fetch.Response) *Answer {
	return &Answer{
		ExecutionID: a.call.Execution.ID, Fence: a.call.Execution.Fence, FetchedAt: now(),
		Status: response.Status, URL: response.URL, Header: keptHeader(response.Header), Body: response.Body,
	}
}

// keep has the answer kept, if it can be and somebody may need it.
func (a *attempt) keep(ctx context.Context, answer *Answer) error {
	keeps := a.call.Keep != nil && (a.call.Delivery != nil || a.call.Schedule.KeepAnswers > 0 || a.pages() != nil)
	if !keeps || len(answer.Body) > a.wholeBytes {
		return nil
	}
	return a.call.Keep(ctx, *answer)
}

// omit notes that an answer that is too large to be kept is about to be delivered, where that matters.
func (a *attempt) omit(ctx context.Context, answer *Answer) error {
	if a.call.Keep == nil || answer.Progress == nil || len(answer.Body) <= a.wholeBytes {
		return nil
	}
	note := *answer
	progress := *answer.Progress
	progress.Omitted = true
	note.Body, note.Progress = nil, &progress
	return a.call.Keep(ctx, note)
}

// request puts together what the next page is asked for by.
func (a *attempt) request() (fetch.Request, error) {
	since, page := "", fetch.TemplatePage{Number: 1}
	if c := a.call.Request.Cursor; c != nil {
		since = c.asked(a.progress.Since.Value)
	}
	if p := a.call.Request.Pages; p != nil {
		next := a.progress.Next
		page = fetch.TemplatePage{Number: next.Number, Offset: next.Offset, Size: p.Size, Token: next.Token}
	}
	r, err := a.templates.render(a.call, since, page)
	if err != nil {
		return fetch.Request{}, err
	}
	if c := r.Cursor; c != nil && c.Param != "" && since != "" {
		r.Query = over(r.Query, map[string]string{c.Param: since})
	}
	if r.Pages != nil {
		r.Query = r.Pages.apply(r.Query, a.progress.Next)
	}
	h := httpRequest(a.call.Source, r)
	h.IdempotencyKey = a.call.Execution.ID
	if a.inParts() {
		h.SpoolAbove = int64(a.wholeBytes)
	}
	if r.Pages != nil {
		h.IdempotencyKey += "-" + strconv.Itoa(a.progress.Pages+1)
	}
	if r.Pages != nil && a.progress.Next.URL != "" {
		return a.followed(h)
	}
	return h, nil
}

// ask makes the call, on condition where the request has it so, and notes whether the answer is as it was.
func (a *attempt) ask(ctx context.Context, h fetch.Request) (*fetch.Response, error) {
	if !a.call.Request.conditional() {
		response, err := a.fetch(ctx, a.call, h, &a.result)
		if err == nil && response.Status == http.StatusNotModified { // to a condition of the request's own
			if a.progress.batches() > 0 {
				return nil, badResponse("ask for the next page", errors.New("the answer is 304 Not Modified"))
			}
			a.progress.Unchanged = true
		}
		return response, err
	}
	var known Validators
	key := sync.OnceValue(func() string { return validatorsKey(a.call, h) })
	asked := h
	// In the midst of an answer it is that one which is asked for, and not whether there is another.
	if v := a.call.Schedule.Validators; v != nil && a.progress.batches() == 0 && v.Key == key() {
		known = *v
		asked = known.onCondition(h)
	}
	response, err := a.fetch(ctx, a.call, asked, &a.result)
	if err != nil {
		return nil, err
	}
	if response.Status == http.StatusNotModified {
		a.progress.Unchanged = true
		return response, nil
	}
	before := a.progress.Validators
	a.progress.Validators = nil
	v := newValidators(a.call.Request, response)
	// What was delivered under other definitions, or of an answer that had none, is not of these validators.
	if v == nil || a.progress.batches() > 0 && (before == nil || before.Key != key()) {
		return response, nil
	}
	v.Key = key()
	a.progress.Validators, a.progress.Unchanged = v, v.Hash != "" && v.Hash == known.Hash
	return response, nil
}

// read extracts the records of the answer, and finds out how far they go, and what the next page is.
func (a *attempt) read(ctx context.Context, answer *Answer) (after Progress, records []Record, more bool, err error) {
	defer stopwatch(&a.result.Timings.Extract)()
	extracted, err := a.extract(ctx, answer)
	if err == nil {
		after, more, err = a.advance(ctx, answer, extracted)
	}
	if part := answer.part(); err != nil && part != nil {
		err = fmt.Errorf("in the part of the answer up to byte %d of its text: %w", part.End, err)
	}
	return after, extracted.Records, more, err
}

// extract extracts the records of the answer.
func (a *attempt) extract(ctx context.Context, answer *Answer) (extract.Result, error) {
	extractor, err := a.extractor(a.call.Extract, nil)
	if err != nil {
		return extract.Result{}, err
	}
	extracted, err := extractor.Extract(ctx, a.source(answer))
	a.unmatched = nil
	if err != nil && answer.part() != nil && a.call.Extract.Format == extract.FormatText && errors.Is(err, extract.ErrNotFound) {
		a.unmatched, err = err, nil
	}
	return extracted, err
}

// source is the answer as it is extracted.
func (a *attempt) source(answer *Answer) extract.Answer {
	return extract.Answer{
		Body: answer.Body, ContentType: answer.Header.Get("Content-Type"),
		ExecutionID: a.call.Execution.ID, ScheduleID: a.call.Schedule.ID, ScheduledAt: a.call.Execution.ScheduledAt,
		URL: answer.URL, Page: a.progress.Pages + 1,
	}
}

// advance finds out how far the answer goes, and what the next page is.
func (a *attempt) advance(ctx context.Context, answer *Answer, extracted extract.Result) (after Progress, more bool, err error) {
	after = a.progress
	after.Records += int64(len(extracted.Records))
	after.Rejected += extracted.Rejected
	items := int64(len(extracted.Records)) + extracted.Rejected // of the page so far
	part := answer.part()
	if part == nil {
		after.Bytes += int64(len(answer.Body))
	} else {
		done := a.delivered()
		after.Bytes += part.End - done.End
		items += done.Records
	}
	a.result.Records, a.result.Rejected = after.Records, after.Rejected
	if c := a.cursor(); c != nil && a.unmatched == nil {
		values, err := a.extractor(a.call.Extract, c)
		if err != nil {
			return after, false, err
		}
		if after.Cursor, err = c.furthest(ctx, values, a.source(answer), after.Cursor); err != nil {
			return after, false, badResponse("find how far the records go", err)
		}
	}
	if part != nil {
		matched := a.unmatched == nil || a.delivered().Matched
		if !part.Last {
			after.Parts++
			after.Part = &PartState{End: part.End, Hash: part.Hash, Records: items, Matched: matched}
			return after, true, nil
		}
		if !matched {
			return after, false, a.unmatched
		}
	}
	after.Pages++
	after.Part = nil
	if a.pages() == nil {
		after.Next = PageState{}
		return after, false, nil
	}
	more, err = a.turn(ctx, answer, extracted, &after, int(items))
	return after, more, err
}

func badResponse(doing string, err error) error {
	if _, ok := errors.AsType[*ClassifiedError](err); ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &ClassifiedError{ClassBadResponse, fmt.Errorf("%s: %w", doing, err)}
}

// deliver delivers the records of a page. Those of the last one may be delivered with the recording of the execution.
func (a *attempt) deliver(ctx context.Context, records []Record, last bool) error {
	defer stopwatch(&a.result.Timings.Deliver)()
	call := a.call
	destination := a.destinations[call.Delivery.Destination]
	if destination == nil {
		return &ClassifiedError{ClassDelivery, fmt.Errorf("destination %q is not registered on this node", call.Delivery.Destination)}
	}
	batch := a.batch(records)
	if last && call.Join != nil && call.Join(destination, batch, a.result) {
		return nil
	}
	if err := destination.Deliver(ctx, batch); err != nil {
		return asDelivery(err)
	}
	return nil
}

// batch is what a Destination takes of a page.
func (a *attempt) batch(records []Record) Batch {
	call := a.call
	b := Batch{
		Delivery: *call.Delivery, ScheduleID: call.Schedule.ID,
		ExecutionID: call.Execution.ID, ScheduledAt: call.Execution.ScheduledAt,
		Attempt: call.Execution.Attempt, Fence: call.Execution.Fence,
		Chunk: a.progress.batches(), Records: records,
	}
	if call.Extract != nil {
		b.Fields = call.Extract.Fields
	}
	return b
}
