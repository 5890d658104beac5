package callsheet

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
)

// A Pipeline does the work of one attempt: fetch, extract, deliver. The default one does it with
// the packages fetch and extract and the registered Destinations; a host may wrap or replace it
// ([WithPipeline]).
//
// Run may be called from many goroutines at once. It returns when the work is done or ctx ends,
// whichever is first; [context.Cause] of ctx tells why it ended (ErrCancelled, ErrTimeout,
// ErrStopping, ErrLeaseLost). The Result is filled as far as the attempt came, also when there is an
// error. [Classify] says what follows from the error. A panic is caught by the caller and counts
// as a failed attempt.
type Pipeline interface {
	Run(ctx context.Context, call Call) (Result, error)
}

// PipelineFunc makes a Pipeline of a function.
type PipelineFunc func(ctx context.Context, call Call) (Result, error)

// Run calls f.
func (f PipelineFunc) Run(ctx context.Context, call Call) (Result, error) { return f(ctx, call) }

// A Call is all that one attempt needs, resolved when the execution was claimed. Edits that come
// later do not touch it. It is shared and must not be changed.
type Call struct {
	Execution Execution
	Schedule  Schedule
	Source    Source
	Request   Request
	Extract   *Extract  // nil: whole objects
	Delivery  *Delivery // nil: records are counted and dropped

	// Answer is what is kept of an earlier attempt, or of the execution that is extracted anew; nil if nothing is.
	Answer *Answer
	// Keep keeps an answer for this execution before it is extracted and delivered; nil where nothing can be
	// kept. A stale fence is ErrLeaseLost.
	Keep func(ctx context.Context, a Answer) error
	// Join has a Batch delivered in the transaction that records the execution, after the Pipeline has returned
	// without an error, and reports whether it will be: see [JointDestination]. nil where no Store can.
	Join func(d Destination, b Batch) bool
}

// A Stage is a part of the default Pipeline.
type Stage string

// The stages, in their order.
const (
	StageFetch   Stage = "fetch"
	StageExtract Stage = "extract"
	StageDeliver Stage = "deliver"
)

// A StageError says in which stage of the default Pipeline an attempt ended.
type StageError struct {
	Stage Stage
	Err   error
}

func (e *StageError) Error() string { return string(e.Stage) + ": " + e.Err.Error() }
func (e *StageError) Unwrap() error { return e.Err }

// pipeline is the default Pipeline.
type pipeline struct {
	client       *fetch.Client
	destinations map[string]Destination
	secrets      SecretResolver // nil: there are none

	templates templates

	mu         sync.Mutex
	extractors map[extractKey]extract.Extractor // compiled Extracts; guarded by mu
}

// extractKey names one version of an Extract.
type extractKey struct {
	id      string
	version int64
}

// maxExtractors bounds the compiled Extracts that are kept. When there are more it starts anew.
const maxExtractors = 1024

func newPipeline(client *fetch.Client, set *settings) Pipeline {
	return &pipeline{client: client, destinations: set.destinations, secrets: set.secrets, extractors: map[extractKey]extract.Extractor{}}
}

// Run implements Pipeline.
func (p *pipeline) Run(ctx context.Context, call Call) (Result, error) {
	var result Result
	answer, err := p.answer(ctx, call, &result)
	if err != nil {
		return result, &StageError{StageFetch, err}
	}
	if call.Extract == nil && call.Delivery == nil {
		return result, nil
	}
	records, err := p.extract(ctx, call, answer, &result)
	if err != nil {
		return result, &StageError{StageExtract, err}
	}
	if call.Delivery == nil {
		return result, nil
	}
	if err := p.deliver(ctx, call, records, &result); err != nil {
		return result, &StageError{StageDeliver, err}
	}
	return result, nil
}

// answer returns the answer: the one that is kept, or else that of a call.
func (p *pipeline) answer(ctx context.Context, call Call, result *Result) (*Answer, error) {
	switch {
	case call.usesKept():
		result.HTTPStatus, result.Bytes, result.FromKept = call.Answer.Status, int64(len(call.Answer.Body)), true
		return call.Answer, nil
	case call.Execution.AnswerOf != "":
		return nil, &ClassifiedError{ClassPermanent, fmt.Errorf("the answer of execution %s is not kept any more", call.Execution.AnswerOf)}
	}
	response, err := p.fetch(ctx, call, result)
	if err != nil {
		return nil, err
	}
	answer := Answer{
		ExecutionID: call.Execution.ID, Fence: call.Execution.Fence, FetchedAt: now(),
		Status: response.Status, URL: response.URL, Header: keptHeader(response.Header), Body: response.Body,
	}
	keeps := call.Keep != nil && (call.Delivery != nil || call.Schedule.KeepAnswers > 0)
	if keeps && len(response.Body) <= MaxAnswerBytes {
		err = call.Keep(ctx, answer)
	}
	return &answer, err
}

// usesKept reports whether the attempt takes the answer that is kept. It does unless that could not be
// extracted: the API may answer better now.
func (c Call) usesKept() bool {
	if c.Answer == nil {
		return false
	}
	last, tried := c.Execution.Last()
	return c.Execution.AnswerOf != "" || tried && last.Class != ClassBadResponse
}

func (p *pipeline) fetch(ctx context.Context, call Call, result *Result) (*fetch.Response, error) {
	defer stopwatch(&result.Timings.Fetch)()
	var err error
	if call.Request, err = p.templates.render(call, "", fetch.TemplatePage{Number: 1}); err != nil {
		return nil, err
	}
	request := httpRequest(call.Source, call.Request)
	if auth := call.Source.Auth; !auth.none() && !auth.givenBy(call.Request) {
		secret, err := resolve(ctx, p.secrets, auth.Secret)
		if err != nil {
			return nil, err
		}
		request.Auth = auth.with(secret)
	}
	response, err := p.client.Do(ctx, request)
	if err == nil {
		result.HTTPStatus, result.Bytes = response.Status, int64(len(response.Body))
	} else if e, ok := asFetchError(err); ok {
		result.HTTPStatus = e.Status
	}
	if err := p.judged(ctx, call, response, err); err != nil {
		return nil, err
	}
	return response, nil
}

// httpRequest puts together what a Source and a Request say.
func httpRequest(src Source, r Request) fetch.Request {
	h := fetch.Request{
		Method: r.Method, BaseURL: src.BaseURL, Path: r.Path, Query: r.Query,
		Headers: src.Headers, Body: r.Body, Timeout: r.Timeout, MaxBodyBytes: src.MaxBodyBytes,
	}
	if len(r.Headers) > 0 {
		h.Headers = mergeHeaders(src.Headers, r.Headers)
	}
	if h.Timeout == 0 {
		h.Timeout = src.Timeout
	}
	return h
}

// mergeHeaders returns the headers of both, whatever their spelling; those of over win.
func mergeHeaders(under, over map[string]string) map[string]string {
	merged := make(map[string]string, len(under)+len(over))
	for _, headers := range []map[string]string{under, over} {
		for name, value := range headers {
			merged[http.CanonicalHeaderKey(name)] = value
		}
	}
	return merged
}

func (p *pipeline) extract(ctx context.Context, call Call, answer *Answer, result *Result) ([]Record, error) {
	defer stopwatch(&result.Timings.Extract)()
	extractor, err := p.extractor(call.Extract)
	if err != nil {
		return nil, err
	}
	extracted, err := extractor.Extract(ctx, extract.Answer{
		Body: answer.Body, ContentType: answer.Header.Get("Content-Type"),
		ExecutionID: call.Execution.ID, ScheduleID: call.Schedule.ID, ScheduledAt: call.Execution.ScheduledAt,
		URL: answer.URL, Page: 1,
	})
	if err != nil {
		return nil, err
	}
	result.Records, result.Rejected = int64(len(extracted.Records)), extracted.Rejected
	return extracted.Records, nil
}

// extractor returns the compiled form of x, which is compiled once for each version. Without an
// Extract records are whole objects.
func (p *pipeline) extractor(x *Extract) (extract.Extractor, error) {
	var key extractKey
	var mapping extract.Mapping
	if x != nil {
		key, mapping = extractKey{x.ID, x.Version}, x.Mapping()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if compiled := p.extractors[key]; compiled != nil {
		return compiled, nil
	}
	compiled, err := extract.New(mapping)
	if err != nil {
		return nil, &ClassifiedError{ClassPermanent, err}
	}
	if len(p.extractors) >= maxExtractors {
		clear(p.extractors)
	}
	p.extractors[key] = compiled
	return compiled, nil
}

func (p *pipeline) deliver(ctx context.Context, call Call, records []Record, result *Result) error {
	defer stopwatch(&result.Timings.Deliver)()
	destination := p.destinations[call.Delivery.Destination]
	if destination == nil {
		return &ClassifiedError{ClassDelivery, fmt.Errorf("destination %q is not registered on this node", call.Delivery.Destination)}
	}
	batch := Batch{
		Delivery: *call.Delivery, ScheduleID: call.Schedule.ID,
		ExecutionID: call.Execution.ID, ScheduledAt: call.Execution.ScheduledAt,
		Attempt: call.Execution.Attempt, Fence: call.Execution.Fence,
		Records: records,
	}
	if call.Extract != nil {
		batch.Fields = call.Extract.Fields
	}
	if call.Join != nil && call.Join(destination, batch) {
		return nil
	}
	if err := destination.Deliver(ctx, batch); err != nil {
		return asDelivery(err)
	}
	return nil
}

// stopwatch sets d, when the function it returns is called, to the time since.
func stopwatch(d *time.Duration) func() {
	start := time.Now()
	return func() { *d = time.Since(start) }
}
