package callsheet

import (
	"context"
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

	// Unreadable says which of these Definitions the Store has and cannot read, and why: a newer version of the library wrote it, or
	// somebody by hand. The attempt ends with it, not to be repeated, and no Pipeline is run.
	Unreadable error

	// Answer is what is kept of an earlier attempt, or of the execution that is extracted anew; nil if nothing is.
	Answer *Answer
	// Keep keeps an answer for this execution before it is extracted and delivered; nil where nothing can be
	// kept. A stale fence is ErrLeaseLost.
	Keep func(ctx context.Context, a Answer) error
	// Join has a Batch delivered in the transaction that records the execution, after the Pipeline has returned
	// without an error, and reports whether it will be: see [JointDestination]. failed is the Result that stands if it
	// cannot be delivered. nil where no Store can.
	Join func(d Destination, b Batch, failed Result) bool
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

// inStage returns err as that of a stage, if it does not say itself of which it is.
func inStage(stage Stage, err error) error {
	if _, ok := err.(*StageError); ok {
		return err
	}
	return &StageError{stage, err}
}

// pipeline is the default Pipeline.
type pipeline struct {
	client       *fetch.Client
	destinations map[string]Destination
	secrets      SecretResolver // nil: there are none
	gate         *gate
	languages    extractLanguages

	templates templates

	wholeBytes int // longer answers are delivered in parts, where their format allows
	partBytes  int // about as long as these

	mu         sync.Mutex
	extractors map[extractKey]extract.Extractor // compiled Extracts; guarded by mu
}

// extractKey names one version of an Extract, and what is extracted with it in place of its fields, if anything: the values of a
// cursor, or whole records.
type extractKey struct {
	id      string
	version int64
	cursor  string
	whole   bool
}

func keyOf(x *Extract) extractKey {
	if x == nil {
		return extractKey{}
	}
	return extractKey{id: x.ID, version: x.Version}
}

// maxExtractors bounds the compiled Extracts that are kept. When there are more it starts anew.
const maxExtractors = 1024

func newPipeline(client *fetch.Client, set *settings, gate *gate) Pipeline {
	return &pipeline{
		client: client, gate: gate, destinations: set.destinations, secrets: set.secrets, languages: set.languages,
		wholeBytes: set.wholeBytes, partBytes: set.wholeBytes / 4, extractors: map[extractKey]extract.Extractor{},
	}
}

// Run implements Pipeline.
func (p *pipeline) Run(ctx context.Context, call Call) (Result, error) {
	a := newAttempt(p, call)
	err := a.run(ctx)
	return a.result, err
}

// fetch makes one call, with its secrets, and judges the answer.
func (p *pipeline) fetch(ctx context.Context, call Call, request fetch.Request, result *Result) (*fetch.Response, error) {
	defer stopwatch(&result.Timings.Fetch)()
	if err := p.authorize(ctx, call, &request); err != nil {
		return nil, err
	}
	response, err := p.converse(ctx, call, request, result)
	if err := p.judged(ctx, call, response, err); err != nil {
		_ = response.Close()
		return nil, err
	}
	return response, nil
}

// converse makes one call by a request that has its secrets.
func (p *pipeline) converse(ctx context.Context, call Call, request fetch.Request, result *Result) (*fetch.Response, error) {
	response, err := p.limited(ctx, call, func(ctx context.Context) (*fetch.Response, error) { return p.client.Do(ctx, request) })
	if err == nil {
		result.HTTPStatus = response.Status
	} else if e, ok := asFetchError(err); ok {
		result.HTTPStatus = e.Status
	}
	return response, err
}

// httpRequest puts together what a Source and a Request say.
func httpRequest(src Source, r Request) fetch.Request {
	h := fetch.Request{
		Method: r.Method, BaseURL: src.BaseURL, Path: r.Path, Query: r.Query,
		Headers: src.Headers, Body: r.Body, Timeout: r.Timeout, MaxBodyBytes: src.MaxBodyBytes,
		Form: r.Form, Multipart: fetchParts(r.Multipart), IdleTimeout: src.IdleTimeout, MaxHeaderBytes: src.MaxHeaderBytes,
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

// extractor returns the compiled form of x, which is compiled once for each version. Without an
// Extract records are whole objects. With a cursor it extracts that cursor's values instead.
func (p *pipeline) extractor(x *Extract, cursor *Cursor) (extract.Extractor, error) {
	key := keyOf(x)
	var mapping extract.Mapping
	if x != nil {
		mapping = x.Mapping()
	}
	if cursor != nil {
		key.cursor, mapping = cursor.Path, cursor.mapping(x)
	}
	return p.compiled(key, mapping)
}

// wholeExtractor is as extractor, but records are what x selects, whole.
func (p *pipeline) wholeExtractor(x *Extract) (extract.Extractor, error) {
	key, mapping := keyOf(x), x.Mapping()
	key.whole, mapping.Fields = true, nil
	return p.compiled(key, mapping)
}

// compiled returns the compiled form of mapping, for which key stands.
func (p *pipeline) compiled(key extractKey, mapping extract.Mapping) (extract.Extractor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if compiled := p.extractors[key]; compiled != nil {
		return compiled, nil
	}
	compiled, err := p.languages.compile(mapping)
	if err != nil {
		return nil, &ClassifiedError{ClassPermanent, err}
	}
	if len(p.extractors) >= maxExtractors {
		clear(p.extractors)
	}
	p.extractors[key] = compiled
	return compiled, nil
}

// stopwatch adds to d, when the function it returns is called, the time since.
func stopwatch(d *time.Duration) func() {
	start := time.Now()
	return func() { *d += time.Since(start) }
}
