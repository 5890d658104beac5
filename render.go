package callsheet

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/callsheet-go/callsheet/fetch"
)

// paramPattern is what .Params.name can be written with.
var paramPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

const (
	maxParams     = 100
	maxParamBytes = 4 << 10
)

// checkParams checks the parameters of a Request or Schedule.
func (f *faults) checkParams(params map[string]string) {
	if len(params) > maxParams {
		f.field("params", len(params), "must be at most %d", maxParams)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !paramPattern.MatchString(name) {
			f.field("params."+cut(name, 64), cut(params[name], 64), "must have a name of 1 to 64 letters, digits and '_', not beginning with a digit")
		}
		if len(params[name]) > maxParamBytes {
			f.field("params."+cut(name, 64), cut(params[name], 64), "must have at most %d bytes", maxParamBytes)
		}
	}
}

// A requestTemplate is one field of a Request that is a template.
type requestTemplate struct {
	field    string // "query.since"
	template *fetch.Template
	put      func(r *Request, text string) // into maps of r's own
}

// requestTemplates are those of one Request.
type requestTemplates []requestTemplate

// templated reports whether any field of r is a template.
func (r Request) templated() bool {
	if fetch.IsTemplate(r.Path) || fetch.IsTemplate(r.Body) {
		return true
	}
	for _, fields := range [...]map[string]string{r.Query, r.Headers, r.Form} {
		for _, text := range fields {
			if fetch.IsTemplate(text) {
				return true
			}
		}
	}
	return slices.ContainsFunc(r.Multipart, func(p Part) bool { return fetch.IsTemplate(p.Value) })
}

// compileTemplates compiles those fields of r that are templates. contentType is that of the body. What is wrong is
// told of all of them at once.
func compileTemplates(r Request, contentType string) (all requestTemplates, wrong []error) {
	add := func(field, text string, place fetch.Place, put func(*Request, string)) {
		if !fetch.IsTemplate(text) {
			return
		}
		t, err := fetch.CompileTemplate(text, place)
		for _, e := range unjoin(err) {
			wrong = append(wrong, templateFault(r, field, e))
		}
		if err == nil {
			all = append(all, requestTemplate{field, t, put})
		}
	}
	add("path", r.Path, fetch.PlacePath, func(r *Request, text string) { r.Path = text })
	for _, name := range slices.Sorted(maps.Keys(r.Query)) {
		add("query."+name, r.Query[name], fetch.PlaceQuery, func(r *Request, text string) { r.Query[name] = text })
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		add("headers."+name, r.Headers[name], fetch.PlaceHeader, func(r *Request, text string) { r.Headers[name] = text })
	}
	for _, name := range slices.Sorted(maps.Keys(r.Form)) { // it is encoded afterwards
		add("form."+name, r.Form[name], fetch.PlaceText, func(r *Request, text string) { r.Form[name] = text })
	}
	for i, part := range r.Multipart {
		add(fmt.Sprintf("multipart[%d].value", i), part.Value, fetch.BodyPlace(part.ContentType, part.Value), func(r *Request, text string) { r.Multipart[i].Value = text })
	}
	if fetch.IsTemplate(r.Body) {
		add("body", r.Body, fetch.BodyPlace(contentType, r.Body), func(r *Request, text string) { r.Body = text })
	}
	return all, wrong
}

// templateFault says what is wrong with a template of r. What stands around the actions may be a secret.
func templateFault(r Request, field string, err error) *ValidationError {
	return &ValidationError{Ref: Ref{KindRequest, r.ID}, Field: field, Value: redacted, Rule: err.Error()}
}

// ownFields returns r with maps that are not shared.
func (r Request) ownFields() Request {
	r.Query, r.Headers, r.Form, r.Multipart = maps.Clone(r.Query), maps.Clone(r.Headers), maps.Clone(r.Form), slices.Clone(r.Multipart)
	return r
}

// checkTemplates checks r's templates, and returns r as a call may look like, for further checks, and its templates.
func (f *faults) checkTemplates(r Request) (Request, requestTemplates) {
	if !r.templated() {
		return r, nil
	}
	all, wrong := compileTemplates(r, contentType(r.Headers))
	for _, err := range wrong {
		f.add(err)
	}
	sample := r.ownFields()
	// What has no sample is wrong already, or depends on values that are not there yet.
	if fetch.IsTemplate(sample.Path) {
		sample.Path = ""
	}
	for _, fields := range [...]map[string]string{sample.Query, sample.Headers, sample.Form} {
		for name, text := range fields {
			if fetch.IsTemplate(text) {
				fields[name] = "x"
			}
		}
	}
	for _, t := range all {
		if text, ok := t.template.Sample(); ok {
			t.put(&sample, text)
		}
	}
	return sample, all
}

// use reports whether one of them uses what has the name, of [fetch.TemplateData].
func (all requestTemplates) use(name string) bool {
	return slices.ContainsFunc(all, func(t requestTemplate) bool { return t.template.Uses(name) })
}

// contentType returns the Content-Type of the first headers that have one.
func contentType(all ...map[string]string) string {
	for _, headers := range all {
		for name, value := range headers {
			if strings.EqualFold(name, "Content-Type") {
				return value
			}
		}
	}
	return ""
}

// maxTemplates bounds the Requests whose compiled templates are kept. When there are more it starts anew.
const maxTemplates = 1024

// templates keeps the compiled templates of Requests. The zero value is ready; it may be used from many goroutines.
type templates struct {
	mu       sync.Mutex
	compiled map[templateKey]requestTemplates // guarded by mu
}

// templateKey names one version of a Request, and what its body is. One that is defined anew under the ID of another
// begins with its version.
type templateKey struct {
	id          string
	version     int64
	updatedAt   int64
	contentType string
}

// render returns call's Request as it is sent for one page: with its templates filled in. Its error is a
// [*ClassifiedError] of ClassPermanent, with a [*ValidationError] for each field that could not be rendered.
func (t *templates) render(call Call, cursor string, page fetch.TemplatePage) (Request, error) {
	r := call.Request
	if !r.templated() {
		return r, nil
	}
	all, err := t.of(r, contentType(r.Headers, call.Source.Headers))
	if err != nil {
		return r, &ClassifiedError{ClassPermanent, err}
	}
	data, err := call.templateData(all, cursor, page)
	if err != nil {
		return r, &ClassifiedError{ClassPermanent, err}
	}
	rendered := r.ownFields()
	var wrong error
	for _, one := range all {
		text, err := one.template.Render(data)
		switch {
		case err == nil:
			one.put(&rendered, text)
		case wrong == nil:
			wrong = templateFault(r, one.field, err)
		default:
			wrong = fmt.Errorf("%w; %w", wrong, templateFault(r, one.field, err)) // one line, as it is kept
		}
	}
	if wrong != nil {
		return r, &ClassifiedError{ClassPermanent, wrong}
	}
	return rendered, nil
}

// of returns the templates of r, which are compiled once for each version, or so.
func (t *templates) of(r Request, contentType string) (requestTemplates, error) {
	key := templateKey{r.ID, r.Version, r.UpdatedAt.UnixMicro(), contentType}
	if compiled := t.known(key); compiled != nil {
		return compiled, nil
	}
	compiled, wrong := compileTemplates(r, contentType) // without the lock: others need not wait for it
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if first := t.compiled[key]; first != nil {
		return first, nil
	}
	if t.compiled == nil || len(t.compiled) >= maxTemplates {
		t.compiled = make(map[templateKey]requestTemplates)
	}
	t.compiled[key] = compiled
	return compiled, nil
}

func (t *templates) known(key templateKey) requestTemplates {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.compiled[key]
}

// templateData is what the templates of a call are rendered with.
func (c Call) templateData(all requestTemplates, cursor string, page fetch.TemplatePage) (fetch.TemplateData, error) {
	at := c.Execution.ScheduledAt
	d := fetch.TemplateData{
		ScheduledAt: at, Window: fetch.TemplateWindow{Start: at, End: at}, Cursor: cursor,
		Labels: over(c.Request.Labels, c.Schedule.Labels), Params: over(c.Request.Params, c.Schedule.Params), Page: page,
		ExecutionID: c.Execution.ID, ScheduleID: c.Schedule.ID, Attempt: c.Execution.Attempt,
	}
	if all.use("Window") {
		var err error
		if d.Window.Start, err = c.Schedule.windowStart(at); err != nil {
			return d, fmt.Errorf("find the window of schedule %q: %w", c.Schedule.ID, err)
		}
	}
	return d, nil
}

// over returns the entries of both; those of upper win.
func over(lower, upper map[string]string) map[string]string {
	if len(lower) == 0 {
		return upper
	}
	all := maps.Clone(lower)
	maps.Copy(all, upper)
	return all
}
