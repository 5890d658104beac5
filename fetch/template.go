package fetch

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"
	"time"
)

// Bounds of a [Template].
const (
	MaxTemplateBytes = 64 << 10 // of its text
	MaxRenderedBytes = 1 << 20  // of what it makes
	// MaxTemplateSteps is how many names, constants and functions one rendering goes through: as many as stand in the
	// template, and with each turn of a loop as many as stand in its body, and one.
	MaxTemplateSteps = 10_000
	maxTemplateDepth = 100     // of if, with, range and parentheses within each other
	maxMadeBytes     = 4 << 20 // read and made by all functions of one rendering together
)

// TemplateData is what a template is rendered with. docs/templates.md tells what each is for.
type TemplateData struct {
	ScheduledAt time.Time // the occurrence, in UTC
	Window      TemplateWindow
	Cursor      string            // how far the records have come; empty at first
	Labels      map[string]string // the schedule's over the request's
	Params      map[string]string // the schedule's over the request's
	Page        TemplatePage
	ExecutionID string
	ScheduleID  string
	Attempt     int // from 1
}

// A TemplateWindow is the time that an occurrence is for, from Start on and before End, in UTC.
type TemplateWindow struct{ Start, End time.Time }

// A TemplatePage is a page of the answer.
type TemplatePage struct {
	Number int // from the first that the pagination names
	Offset int
	Size   int
	Token  string // empty on the first page
}

// A Template is a text with actions in double braces, as text/template has them, compiled. It may be rendered
// from many goroutines at once.
//
// What an action gives is escaped for where it stands, so that a value never becomes more than a value: see
// [Place]. There are no functions but those that docs/templates.md lists, and no templates within templates.
// What a rendering may cost is bounded, whatever the template says.
type Template struct {
	text      string
	instances *sync.Pool // of *instance; nil if text is all there is
	sample    string
	sampled   bool
	fields    map[string]bool // the names after dots
}

// An instance is what renders a Template for one goroutine at a time.
type instance struct {
	template *template.Template
	run      run
}

// A TemplateError says what is wrong with a template, or with a rendering of it, and where. It repeats no value.
type TemplateError struct {
	Line, Column int // from 1; Column counts bytes, and is 0 where only the line is known
	Problem      string
}

func (e *TemplateError) Error() string {
	if e.Column == 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.Problem)
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
}

// IsTemplate reports whether text has actions.
func IsTemplate(text string) bool { return strings.Contains(text, leftDelim) }

const leftDelim = "{{"

// CompileTemplate reads a template whose result goes to place. Errors are [*TemplateError]s, joined.
// Text without actions is a Template that gives itself, and is bounded by nothing.
func CompileTemplate(text string, place Place) (t *Template, err error) {
	if !place.known() {
		return nil, fmt.Errorf("compile template: place %q must be one of %q", place, Places())
	}
	t = &Template{text: text, sample: text, sampled: true}
	if !IsTemplate(text) {
		return t, nil
	}
	if len(text) > MaxTemplateBytes {
		return nil, &TemplateError{1, 0, fmt.Sprintf("must have at most %d bytes, and has %d", MaxTemplateBytes, len(text))}
	}
	// text/template lets through what it takes for mistakes of Go code. No template may end the process.
	defer func() {
		if v := recover(); v != nil {
			t, err = nil, &TemplateError{1, 0, "cannot be read"}
		}
	}()
	tree, err := parseTemplate(text)
	if err != nil {
		return nil, err
	}
	c := checker{tree: tree, fields: map[string]bool{}, keys: map[string]bool{}}
	c.list(tree.Root, place.start(), scope{atRoot: true})
	c.count(tree.Root, c.steps)
	if c.problems != nil {
		return nil, errors.Join(c.problems...)
	}
	t.fields = c.fields
	t.instances = &sync.Pool{New: func() any { return newInstance(tree) }}
	t.sample, err = t.render(newSample(c.keys))
	if err != nil && !ofValues(err) {
		return nil, explainRendering(err)
	}
	t.sampled = err == nil
	return t, nil
}

// templateName stands before each position in the errors of text/template.
const templateName = "t"

// parseTemplate reads a text. Which functions there are is looked at later.
func parseTemplate(text string) (*parse.Tree, error) {
	tree := parse.New(templateName)
	tree.Mode = parse.SkipFuncCheck
	all := map[string]*parse.Tree{}
	tree, err := tree.Parse(text, "", "", all)
	if err != nil {
		return nil, explainSyntax(err)
	}
	if len(all) > 1 || len(all) == 1 && all[templateName] != tree {
		return nil, &TemplateError{1, 0, "define and block are not allowed"}
	}
	return tree, nil
}

func newInstance(tree *parse.Tree) *instance {
	in := &instance{}
	t := template.New(templateName).Option("missingkey=error").Funcs(in.run.functions())
	in.template = template.Must(t.AddParseTree(templateName, tree)) // fails only once t has run
	return in
}

// Render returns the text with d's values in it. Its error is a [*TemplateError].
func (t *Template) Render(d TemplateData) (string, error) {
	if t.instances == nil {
		return t.text, nil
	}
	text, err := t.render(newRoot(d))
	if err != nil {
		return "", explainRendering(err)
	}
	return text, nil
}

func (t *Template) render(data root) (text string, err error) {
	defer func() {
		if v := recover(); v != nil {
			text, err = "", errors.New("cannot be rendered")
		}
	}()
	in := t.instances.Get().(*instance)
	in.run.reset()
	if err := in.template.Execute(&in.run, data); err != nil {
		return "", err
	}
	text = in.run.out.String()
	t.instances.Put(in)
	return text, nil
}

// Sample returns what t gives where every text is "x", every number 1, and all times are in 2024; and whether it
// gives anything then: a template may need texts that are times, or long enough to be cut.
func (t *Template) Sample() (string, bool) { return t.sample, t.sampled }

// Uses reports whether t may use the field of this name, such as "Window", of the data or within it.
func (t *Template) Uses(field string) bool { return t.fields[field] }

// root is TemplateData as templates see it: times have no methods, so that docs/templates.md lists all that can
// be done with them.
type root struct {
	ScheduledAt moment
	Window      struct{ Start, End moment }
	Cursor      string
	Labels      map[string]string
	Params      map[string]string
	Page        TemplatePage
	ExecutionID string
	ScheduleID  string
	Attempt     int
}

func newRoot(d TemplateData) root {
	r := root{
		ScheduledAt: momentOf(d.ScheduledAt.UTC()), Cursor: d.Cursor, Labels: d.Labels, Params: d.Params,
		Page: d.Page, ExecutionID: d.ExecutionID, ScheduleID: d.ScheduleID, Attempt: d.Attempt,
	}
	r.Window.Start, r.Window.End = momentOf(d.Window.Start.UTC()), momentOf(d.Window.End.UTC())
	return r
}

func newSample(keys map[string]bool) root {
	values := make(map[string]string, len(keys))
	for key := range keys {
		values[key] = "x"
	}
	noon := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	return newRoot(TemplateData{
		ScheduledAt: noon, Window: TemplateWindow{noon.Add(-time.Hour), noon}, Cursor: "x", Labels: values, Params: values,
		Page: TemplatePage{1, 1, 1, "x"}, ExecutionID: "x", ScheduleID: "x", Attempt: 1,
	})
}

// A moment is a time in a template. It prints as RFC 3339 and cannot be compared, as two of the same instant may
// differ in zone.
type moment struct {
	t time.Time
	_ [0]func()
}

func momentOf(t time.Time) moment { return moment{t: t} }

func (m moment) String() string { return m.t.Format(time.RFC3339Nano) }
