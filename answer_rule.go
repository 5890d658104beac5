package callsheet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
)

// An AnswerRule says of which Class an answer is that its status does not tell: the error within a 200, or the 403
// that means to wait. Of a Request's rules and then its Source's the first that matches decides. Where
// none does, an answer of 2xx is a success, and the status classifies the others.
//
// Errors of a connection, and answers that are cut or too long, have no rules.
type AnswerRule struct {
	// Status are those for which the rule is, each from 200 to 599. Empty means all of 2xx.
	Status []int `json:"status,omitempty"`
	// Path is a JSONPath into the answer, of which of an error status the first 4 KiB are looked at. The rule
	// matches if it selects a value that is not null, false or an empty text; an answer that is no
	// JSON does not match. Empty: the status decides, which then must be given.
	Path string `json:"path,omitempty"`
	// Values, if there are any, are those of which Path must select one instead: a text, the digits of a number as
	// they stand in the answer, or true, false or null.
	Values []string `json:"values,omitempty"`
	// Class is what the answer is: throttled, transient, permanent, auth or bad_response.
	Class Class `json:"class"`
	// Message is a JSONPath to what the error is to say. Empty means what Path selects.
	Message string `json:"message,omitempty"`
}

// answerClasses are those that a rule may name.
var answerClasses = []Class{ClassThrottled, ClassTransient, ClassPermanent, ClassAuth, ClassBadResponse}

// maxAnswerRules bounds the rules of a Source and of a Request.
const maxAnswerRules = 50

// An AnswerError is that of an answer of which an [AnswerRule] says that it is one.
type AnswerError struct {
	Ref     Ref // whose rule
	Rule    int // its index
	Class   Class
	Status  int
	Message string // of the answer: one line, at most 200 bytes, with what was sent redacted
	URL     string // query values masked
	Err     error  // the [*fetch.Error] of the status; nil for 2xx
}

func (e *AnswerError) Error() string {
	text := fmt.Sprintf("%s: status %d", e.URL, e.Status)
	if e.Err != nil {
		text = e.Err.Error()
	}
	text += fmt.Sprintf(" (%s by rules[%d] of %s)", e.Class, e.Rule, e.Ref)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Unwrap returns the error of the status.
func (e *AnswerError) Unwrap() error { return e.Err }

// checkRules checks the rules of a Source or Request.
func (f *faults) checkRules(rules []AnswerRule) {
	if len(rules) > maxAnswerRules {
		f.field("rules", len(rules), "must be at most %d", maxAnswerRules)
		return
	}
	for i, r := range rules {
		field := func(name string) string { return fmt.Sprintf("rules[%d].%s", i, name) }
		for _, status := range r.Status {
			if status < 200 || status > 599 {
				f.field(field("status"), status, "must be from 200 to 599")
			}
		}
		if r.Path == "" && len(r.Status) == 0 {
			f.field(field("path"), "", "must be given where no status is: else every answer matches")
		}
		if r.Path == "" && len(r.Values) > 0 {
			f.field(field("values"), r.Values, "must be empty without a path")
		}
		for _, path := range [...]struct{ name, expr string }{{"path", r.Path}, {"message", r.Message}} {
			if path.expr == "" {
				continue
			}
			if _, err := extract.CompilePath(path.expr); err != nil {
				f.field(field(path.name), cut(path.expr, 200), "must be a JSONPath: %s", err)
			}
		}
		if !slices.Contains(answerClasses, r.Class) {
			f.field(field("class"), r.Class, "must be one of %q", answerClasses)
		}
	}
}

// judged returns the error of one call, which ended with response or with err, after the rules of its Request and its
// Source: nil, err, or a [*ClassifiedError] with an [*AnswerError].
func (p *pipeline) judged(ctx context.Context, call Call, response *fetch.Response, err error) error {
	if len(call.Request.Rules) == 0 && len(call.Source.Rules) == 0 {
		return err
	}
	a := judgedAnswer{}
	failure, failed := asFetchError(err)
	switch {
	case failed && failure.Kind == fetch.KindStatus:
		a.status, a.body, a.url, a.quote = failure.Status, failure.Beginning(), failure.URL, failure.Quote
	case err == nil && response != nil:
		a.status, a.body, a.url, a.quote = response.Status, response.Body, response.URL, response.Quote
	default:
		return err
	}
	for _, set := range [...]struct {
		ref   Ref
		rules []AnswerRule
	}{{Ref{KindRequest, call.Request.ID}, call.Request.Rules}, {Ref{KindSource, call.Source.ID}, call.Source.Rules}} {
		for i, rule := range set.rules {
			message, matches, wrong := a.match(ctx, rule)
			if wrong != nil {
				return wrong
			}
			if matches {
				return &ClassifiedError{rule.Class, &AnswerError{Ref: set.ref, Rule: i, Class: rule.Class,
					Status: a.status, Message: a.quote(message), URL: a.url, Err: err}}
			}
		}
	}
	return err
}

// A judgedAnswer is what rules look at.
type judgedAnswer struct {
	status int
	body   []byte
	url    string
	quote  func(string) string

	parsed   bool
	isJSON   bool
	document extract.Document
}

// match reports whether rule matches, and with what message. Its error is ctx's, or that of a path that cannot be
// compiled or goes too far.
func (a *judgedAnswer) match(ctx context.Context, rule AnswerRule) (message string, matches bool, err error) {
	if len(rule.Status) == 0 && (a.status < 200 || a.status > 299) || len(rule.Status) > 0 && !slices.Contains(rule.Status, a.status) {
		return "", false, nil
	}
	if rule.Path != "" {
		selected, err := a.selected(ctx, rule.Path)
		if err != nil {
			return "", false, err
		}
		i := slices.IndexFunc(selected, func(v any) bool { return rule.means(v) })
		if i < 0 {
			return "", false, nil
		}
		message = plainText(selected[i])
	}
	if rule.Message != "" {
		selected, err := a.selected(ctx, rule.Message)
		if err != nil {
			return "", false, err
		}
		message = ""
		if len(selected) > 0 {
			message = plainText(selected[0])
		}
	}
	return message, true, nil
}

// selected returns what a path selects in the answer; nothing if that is no JSON.
func (a *judgedAnswer) selected(ctx context.Context, expr string) ([]any, error) {
	if !a.parsed {
		document, err := extract.Parse(a.body)
		a.document, a.isJSON, a.parsed = document, err == nil, true
	}
	if !a.isJSON {
		return nil, nil
	}
	path, err := extract.CompilePath(expr)
	if err != nil {
		return nil, &ClassifiedError{ClassPermanent, err}
	}
	selected, err := path.Select(ctx, a.document)
	if errors.Is(err, extract.ErrBudget) {
		return nil, &ClassifiedError{ClassBadResponse, fmt.Errorf("look for %s in the answer: %w", expr, err)}
	}
	if err != nil {
		return nil, fmt.Errorf("look for %s in the answer: %w", expr, err)
	}
	return selected, nil
}

// means reports whether a value that Path selects is one for which the rule is.
func (r AnswerRule) means(v any) bool {
	if len(r.Values) > 0 {
		return slices.Contains(r.Values, plainText(v))
	}
	return v != nil && v != false && v != ""
}

// plainText is a value of an answer as people write it.
func plainText(v any) string {
	if s, is := v.(string); is {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
