package fetch

import (
	"errors"
	"fmt"
	"strings"
	"text/template/parse"
)

// explainSyntax turns "template: t:1: unexpected …" into a TemplateError.
func explainSyntax(err error) *TemplateError {
	at, problem, _ := strings.Cut(strings.TrimPrefix(err.Error(), "template: "+templateName+":"), ": ")
	e := &TemplateError{Line: 1, Problem: problem}
	_, _ = fmt.Sscanf(at, "%d:%d", &e.Line, &e.Column)
	if problem == "" {
		e.Problem = at
	}
	return e
}

// positionOf is where node stands in tree; of names with dots, where the last stands.
func positionOf(tree *parse.Tree, node parse.Node) *TemplateError {
	at, _ := tree.ErrorContext(node)
	e := &TemplateError{}
	_, _ = fmt.Sscanf(strings.TrimPrefix(at, templateName+":"), "%d:%d", &e.Line, &e.Column)
	e.Column++ // text/template counts from 0
	return e
}

// explainRendering turns "template: t:1:12: executing "t" at <.Params.x>: …" into a TemplateError. The values that
// text/template repeats may be secrets: only what is known to have none is kept of its text.
func explainRendering(err error) *TemplateError {
	e := &TemplateError{Line: 1, Problem: "cannot be rendered"}
	at, rest, found := strings.Cut(strings.TrimPrefix(err.Error(), "template: "+templateName+":"), ": executing ")
	if found {
		if n, _ := fmt.Sscanf(at, "%d:%d", &e.Line, &e.Column); n == 2 {
			e.Column++
		}
	}
	if own, ok := errors.AsType[*valueError](err); ok {
		e.Problem = own.problem
		return e
	}
	if own, ok := errors.AsType[*limitError](err); ok {
		e.Problem = own.Error()
		return e
	}
	if _, problem, ofBuiltin := strings.Cut(rest, ">: error calling "); ofBuiltin {
		name, problem, _ := strings.Cut(problem, ": ")
		e.Problem = name + " cannot take values of these types; times are compared by unix"
		if !strings.HasPrefix(problem, "non-comparable") { // which repeats them
			e.Problem = name + ": " + problem
		}
		return e
	}
	for _, known := range harmlessProblems {
		if i := strings.Index(rest, ">: "+known.text); i >= 0 {
			e.Problem = known.text
			if !known.alone {
				e.Problem = strings.ReplaceAll(rest[i+len(">: "):], "fetch.moment", "a time")
			}
			return e
		}
	}
	return e
}

// harmlessProblems are those that text/template tells with names, types and numbers only, or alone: with what
// follows left out.
var harmlessProblems = [...]struct {
	text  string
	alone bool
}{
	{"map has no entry for key ", false},
	{"wrong number of args for ", false},
	{"wrong type for value", false},
	{"can't evaluate field ", false},
	{"can't handle ", false},
	{"expected ", false},
	{"value has type ", false},
	{"can't give argument to non-function", true},
	{"can't use", true},
	{"range can't iterate over", true},
	{"if/with can't use", true},
	{"can't print", true},
}

// A valueError is that of a function whose arguments it could not take. It repeats none of them.
type valueError struct{ problem string }

func (e *valueError) Error() string { return e.problem }

func badValue(format string, args ...any) error { return &valueError{fmt.Sprintf(format, args...)} }

// ofValues reports whether other values may not have the error of a rendering.
func ofValues(err error) bool {
	_, own := errors.AsType[*valueError](err)
	return own || strings.Contains(err.Error(), ">: error calling ") && strings.Contains(err.Error(), "index out of range")
}

// A limitError is the end of a rendering that makes or does too much.
type limitError struct {
	what  string
	limit int
}

func (e *limitError) Error() string { return fmt.Sprintf("more than %d %s", e.limit, e.what) }
