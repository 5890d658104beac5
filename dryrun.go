package callsheet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
	"github.com/callsheet-go/callsheet/limit"
)

const (
	// DefaultDryRunRecords is how many records a DryRunReport shows.
	DefaultDryRunRecords = 20
	// MaxDryRunRecords is how many it shows at most.
	MaxDryRunRecords = 1000
	// dryRunBody is how much of an answer's body a report shows, in bytes.
	dryRunBody = 2 << 10
	// dryRunID is that of a value which has none.
	dryRunID = "dry-run"
)

// A DryRunRequest says what is tried. What is given as a value is taken as it is; it need not be defined, and needs no ID.
// What is not given is what Schedule names, and the Source the one that the Request names. At least a
// Schedule or a Request has to be given.
type DryRunRequest struct {
	// Schedule is the ID of one that is there. Empty: there is none, and without a value there is neither
	// an Extract nor a Delivery.
	Schedule string    `json:"schedule,omitempty"`
	Source   *Source   `json:"source,omitempty"`
	Request  *Request  `json:"request,omitempty"`
	Extract  *Extract  `json:"extract,omitempty"`
	Delivery *Delivery `json:"delivery,omitempty"`

	// Answer is taken for that of the API, and no call is made: one that is kept, or one that was found elsewhere. Without a
	// Status it has 200. AnswerBody is short for an Answer with this body.
	Answer     *Answer `json:"answer,omitempty"`
	AnswerBody string  `json:"answer_body,omitempty"`

	// Cursor is where the cursor stands; "" is before the first success. nil: where that of the Schedule stands.
	Cursor *string `json:"cursor,omitempty"`
	// ScheduledAt is the time of the occurrence. Zero means now.
	ScheduledAt time.Time `json:"scheduled_at,omitzero"`
	// MaxRecords is how many records the report shows, at most 1000. Zero means 20.
	MaxRecords int `json:"max_records,omitempty"`
}

// A DryRunReport is what an execution would do. It has no secrets, as executions have none: see [Auth].
type DryRunReport struct {
	// Sent is the call as it is sent to the API. It is here also where it did not get there, and Failure says why: the host has no
	// address or one that is closed, nobody listens, the token endpoint gives no token. nil: no call was tried, because the
	// answer was given, a secret is not there, what it is made of makes no request, or the call has to wait for its turn.
	Sent *fetch.Sent `json:"sent,omitempty"`
	// Answer is nil where there was none.
	Answer *DryRunAnswer `json:"answer,omitempty"`

	// Records are the first of those extracted, RecordCount says how many there are.
	Records     []Record `json:"records,omitempty"`
	RecordCount int64    `json:"record_count"`
	// Rejected counts the records that fail, Problems has the first ten of them, also where the Extract does not set
	// them aside but fails: see Failure.
	Rejected int64           `json:"rejected"`
	Problems []DryRunProblem `json:"problems,omitempty"`

	// Cursor is where the cursor would move.
	Cursor string `json:"cursor,omitempty"`
	// More says that there are more pages, or that the answer is delivered in parts. Only the first of them is looked at.
	More bool `json:"more,omitempty"`

	// Preview is what the Destination would do with the records, if it is a [Previewer]. NoPreview says why there is
	// none although there is a Delivery.
	Preview   *Preview `json:"preview,omitempty"`
	NoPreview string   `json:"no_preview,omitempty"`

	// Failure is how the attempt would fail; nil if it would succeed, as far as can be told.
	Failure *DryRunFailure `json:"failure,omitempty"`
	// Timings says how long each stage took; that of the delivery is that of its preview.
	Timings Timings `json:"timings,omitzero"`
}

// A DryRunAnswer is the head of an answer, and the beginning of its body.
type DryRunAnswer struct {
	Status int                 `json:"status"`
	URL    string              `json:"url,omitempty"`    // after redirects, without user info, query values masked
	Header map[string][]string `json:"header,omitempty"` // "redacted" for cookies and the like
	Bytes  int64               `json:"bytes"`            // of the whole decompressed body; 0 of an answer that is an error
	Body   string              `json:"body,omitempty"`   // at most 2 KiB
	Cut    bool                `json:"cut,omitempty"`    // the body is longer
}

// A DryRunProblem says why a record fails.
type DryRunProblem struct {
	Record int    `json:"record"` // its index, from 0
	Field  string `json:"field,omitempty"`
	Path   string `json:"path,omitempty"`
	Error  string `json:"error"`
	Sample string `json:"sample,omitempty"` // the beginning of the value that was looked at
}

// A DryRunFailure is how an attempt fails, as its execution would record it.
type DryRunFailure struct {
	Stage Stage  `json:"stage"`
	Class Class  `json:"class"`
	Error string `json:"error"`
}

// DryRun implements DryRunner.
func (s *scheduler) DryRun(ctx context.Context, r DryRunRequest) (DryRunReport, error) {
	call, err := s.dryCall(ctx, r)
	if err != nil {
		return DryRunReport{}, fmt.Errorf("dry run: %w", err)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, cmp.Or(call.Schedule.Timeout, DefaultTimeout), ErrTimeout)
	defer cancel()
	gate := s.gate
	if r.Source != nil { // a value is not the Source that is defined, whatever its ID: what it meets with is not that one's
		gate = newGate(limit.New(), slog.New(slog.DiscardHandler))
	}
	defer gate.giveUp(call.Execution.ID)
	d := newDryRun(s, gate, call, cmp.Or(r.MaxRecords, DefaultDryRunRecords))
	err = isolate(func() error { return d.run(bounded) })
	if ctx.Err() != nil {
		return DryRunReport{}, fmt.Errorf("dry run: %w", context.Cause(ctx))
	}
	if err != nil {
		d.fail(err)
	}
	d.report.Timings = d.result.Timings
	return d.report, nil
}

// dryCall puts together what is tried, checks it, and reports every fault.
func (s *scheduler) dryCall(ctx context.Context, r DryRunRequest) (Call, error) {
	call, err := s.dryValues(ctx, r)
	if err != nil {
		return call, err
	}
	var f faults
	f.add(prepareSource(&call.Source))
	f.add(prepareRequest(&call.Request))
	if call.Extract != nil {
		f.add(s.prepareExtract(call.Extract))
	}
	if call.Delivery != nil {
		f.add(s.prepareDelivery(call.Delivery))
	}
	for _, err := range s.languages.answerFaults(call.Request, call.Extract) {
		f.add(err)
	}
	if r.MaxRecords < 0 || r.MaxRecords > MaxDryRunRecords {
		f.field("max_records", r.MaxRecords, "must be 0 (for the default of %d) to %d", DefaultDryRunRecords, MaxDryRunRecords)
	}
	if r.Answer != nil && r.Answer.Status != 0 && (r.Answer.Status < 200 || r.Answer.Status > 299) {
		f.field("answer.status", r.Answer.Status, "must be 2xx: there is nothing to extract from others")
	}
	if r.Answer != nil && r.AnswerBody != "" {
		f.field("answer_body", cut(r.AnswerBody, 100), "must be empty beside an answer")
	}
	if r.Cursor != nil {
		switch c := call.Request.Cursor; {
		case c == nil:
			f.field("cursor", *r.Cursor, "must not be given: the request has no cursor")
		case *r.Cursor != "":
			if err := c.checkValue(*r.Cursor); err != nil {
				f.field("cursor", *r.Cursor, "must be a value of the type: %s", err)
			}
		}
	}
	return call, f.err()
}

// dryValues takes the values given, and the others from the Store. What it returns is its own.
func (s *scheduler) dryValues(ctx context.Context, r DryRunRequest) (call Call, err error) {
	call = Call{
		Execution: Execution{ID: newID(), Schedule: r.Schedule, ScheduledAt: r.ScheduledAt.UTC(), Trigger: TriggerManual, Attempt: 1, MaxAttempts: 1, Fence: 1},
		Schedule:  Schedule{ID: r.Schedule}, Answer: r.Answer,
	}
	if r.ScheduledAt.IsZero() {
		call.Execution.ScheduledAt = now()
	}
	if r.Schedule != "" {
		if call.Schedule, err = s.store.Schedules().Get(ctx, r.Schedule); err != nil {
			return call, err
		}
	}
	call.Schedule.Validators = nil // an answer that is as it was is looked at all the same
	if r.Cursor != nil {
		call.Schedule.Cursor = &CursorState{Value: *r.Cursor}
	}
	if r.AnswerBody != "" && r.Answer == nil {
		call.Answer = &Answer{Body: []byte(r.AnswerBody)}
	}

	request, err := valueOr(ctx, r.Request, s.store.Requests(), call.Schedule.Request)
	if err != nil {
		return call, err
	}
	if request == nil {
		return call, &ValidationError{Field: "request", Rule: "must be given, or a schedule"}
	}
	call.Request = *request
	if r.Source != nil {
		call.Request.Source = cmp.Or(r.Source.ID, dryRunID)
	}
	source, err := valueOr(ctx, r.Source, s.store.Sources(), call.Request.Source)
	if err != nil {
		return call, err
	}
	if source == nil {
		return call, &ValidationError{Field: "source", Rule: "must be given, or be named by the request"}
	}
	call.Source = *source
	if call.Extract, err = valueOr(ctx, r.Extract, s.store.Extracts(), call.Schedule.Extract); err != nil {
		return call, err
	}
	call.Delivery, err = valueOr(ctx, r.Delivery, s.store.Deliveries(), call.Schedule.Delivery)
	return call, err
}

// valueOr returns a copy of the value that is given, else the one that is kept; nil if there is neither.
func valueOr[T Definition, P Entity[T]](ctx context.Context, given *T, kept interface {
	Get(ctx context.Context, id string) (T, error)
}, id string) (*T, error) {
	if given == nil && id == "" {
		return nil, nil
	}
	if given == nil {
		item, err := kept.Get(ctx, id)
		return &item, err
	}
	item := *given
	if m := P(&item).Meta(); *m.ID == "" {
		*m.ID = dryRunID
	}
	return &item, nil
}

// A dryRun is an attempt at the first page that keeps and delivers nothing, and reports.
type dryRun struct {
	*attempt
	maxRecords int
	skips      bool // the Extract sets records aside
	report     DryRunReport
}

func newDryRun(s *scheduler, gate *gate, call Call, maxRecords int) *dryRun {
	d := &dryRun{maxRecords: maxRecords}
	given := call.Answer
	call.Answer = nil
	if call.Extract != nil {
		x := *call.Extract
		d.skips = x.BadRecords == extract.SkipRecords
		x.BadRecords = extract.SkipRecords // to see all that fail, and not the first
		call.Extract = &x
	}
	// A pipeline of its own: values may have the IDs and versions of what is defined, and be others.
	p := newPipeline(s.client, s.settings, gate).(*pipeline)
	d.attempt = newAttempt(p, call)
	if given != nil {
		kept := *given
		kept.Status = cmp.Or(kept.Status, http.StatusOK)
		kept.URL = shownURL(cmp.Or(kept.URL, call.Source.BaseURL))
		d.kept = &kept
	}
	return d
}

// shownURL returns a URL as it may be shown: user info, the values of a query and a fragment may be secrets.
func shownURL(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return "" // where a secret in it begins and ends nobody can tell
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery != "" {
		return shown.String() + "?…"
	}
	return shown.String()
}

func (d *dryRun) run(ctx context.Context) error {
	defer d.close()
	answer, err := d.fetchOnce(ctx)
	if err != nil {
		return inStage(StageFetch, err)
	}
	if answer.Status == http.StatusNotModified {
		return nil // to a condition of the request's own: there is nothing new
	}
	if !d.looksInto() {
		return nil // as in an execution, the answer is not looked into
	}
	records, err := d.readOnce(ctx, answer)
	if err != nil {
		return &StageError{StageExtract, err}
	}
	if d.call.Delivery == nil {
		return nil
	}
	if err := d.previewOnce(ctx, records); err != nil {
		return &StageError{StageDeliver, err}
	}
	return nil
}

// fetchOnce makes the call, or takes the answer that was given.
func (d *dryRun) fetchOnce(ctx context.Context) (*Answer, error) {
	if d.kept != nil {
		given := &fetch.Response{Status: d.kept.Status, URL: d.kept.URL, Header: d.kept.Header, Body: d.kept.Body}
		d.show(given)
		return d.kept, d.judged(ctx, d.call, given, nil)
	}
	request, err := d.request()
	if err != nil {
		return nil, err
	}
	defer stopwatch(&d.result.Timings.Fetch)()
	if err := d.authorize(ctx, d.call, &request); err != nil {
		return nil, err
	}
	response, err := d.converse(ctx, d.call, request, &d.result)
	d.showCall(request, response, err)
	if err := d.judged(ctx, d.call, response, err); err != nil {
		_ = response.Close()
		return nil, err
	}
	if response.Spool == nil {
		return d.answered(response), nil
	}
	if err := d.cut(ctx, response); err != nil {
		return nil, &StageError{StageExtract, err}
	}
	return d.nextPart(ctx)
}

// showCall notes what was sent and what came, which is response or err.
func (d *dryRun) showCall(request fetch.Request, response *fetch.Response, err error) {
	e, failed := asFetchError(err)
	if err != nil && !failed {
		return
	}
	if sent, err := request.Sent(); err == nil {
		d.report.Sent = &sent
	}
	switch {
	case err == nil:
		d.show(response)
	case e.Kind == fetch.KindStatus:
		d.report.Answer = &DryRunAnswer{Status: e.Status, URL: e.URL, Header: fetch.Shown(e.Header), Body: e.Snippet, Cut: e.Snippet != ""}
	}
}

func (d *dryRun) show(r *fetch.Response) {
	head := r.Body[:min(len(r.Body), dryRunBody)]
	if r.Spool != nil {
		head = make([]byte, dryRunBody)
		n, _ := io.ReadFull(r.Spool.Reader(), head) // what is wrong with the file is seen when it is cut
		head = head[:n]
	}
	size := bodySize(r)
	d.report.Answer = &DryRunAnswer{
		Status: r.Status, URL: r.URL, Header: fetch.Shown(r.Header), Bytes: size,
		Body: strings.ToValidUTF8(string(head), "�"), Cut: size > dryRunBody,
	}
}

// readOnce extracts the records, with all that is wrong with them.
func (d *dryRun) readOnce(ctx context.Context, answer *Answer) ([]Record, error) {
	defer stopwatch(&d.result.Timings.Extract)()
	extracted, err := d.extract(ctx, answer)
	if err != nil {
		return nil, err
	}
	r := &d.report
	r.Records = extracted.Records[:min(len(extracted.Records), d.maxRecords)]
	r.RecordCount, r.Rejected = int64(len(extracted.Records)), extracted.Rejected
	for _, problem := range extracted.Problems {
		r.Problems = append(r.Problems, newDryRunProblem(problem))
	}
	if extracted.Rejected > 0 && !d.skips {
		return nil, extracted.Problems[0]
	}
	after, more, err := d.advance(ctx, answer, extracted)
	if err != nil {
		return nil, err
	}
	r.More = more
	if d.cursor() != nil {
		r.Cursor = after.Cursor
	}
	return extracted.Records, nil
}

func newDryRunProblem(err error) DryRunProblem {
	e, ok := errors.AsType[*extract.Error](err)
	if !ok {
		return DryRunProblem{Error: cut(err.Error(), maxErrorText)}
	}
	return DryRunProblem{Record: e.Record, Field: e.Field, Path: e.Path, Error: cut(e.Err.Error(), maxErrorText), Sample: e.Sample}
}

// previewOnce asks the Destination what it would do.
func (d *dryRun) previewOnce(ctx context.Context, records []Record) error {
	defer stopwatch(&d.result.Timings.Deliver)()
	destination := d.destinations[d.call.Delivery.Destination]
	if checker, ok := destination.(TargetChecker); ok {
		if err := checker.CheckTarget(ctx, *d.call.Delivery, d.call.Extract); len(ValidationErrors(err)) > 0 {
			return &ClassifiedError{ClassPermanent, err} // a schedule of both would be refused
		}
	}
	previewer, ok := destination.(Previewer)
	if !ok {
		d.report.NoPreview = fmt.Sprintf("the destination %q cannot say what it would do", d.call.Delivery.Destination)
		return nil
	}
	preview, err := previewer.Preview(ctx, d.batch(records))
	if err != nil {
		d.report.NoPreview = cut(err.Error(), maxErrorText)
		if Classify(err) == ClassPermanent {
			return err // so it is with Deliver
		}
		return nil
	}
	d.report.Preview = &preview
	if preview.Fails && len(preview.Problems) > 0 {
		return &ClassifiedError{ClassPermanent, errors.New(preview.Problems[0])}
	}
	return nil
}

// fail notes how the attempt would fail.
func (d *dryRun) fail(err error) {
	failure := DryRunFailure{Class: Classify(err), Error: cut(err.Error(), maxErrorText)}
	if e, ok := errors.AsType[*StageError](err); ok {
		failure.Stage, failure.Error = e.Stage, cut(e.Err.Error(), maxErrorText)
	}
	d.report.Failure = &failure
}
