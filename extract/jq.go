package extract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/itchyny/gojq"
)

// A jqProgram is an expression of jq, run by itchyny/gojq. See jqGuard for what keeps it within bounds.
type jqProgram struct {
	expr string
	code *gojq.Code
}

func newJQ(expr string) (*jqProgram, error) {
	if len(expr) > maxExpression {
		return nil, &PathError{Expr: expr, Offset: maxExpression, Rule: fmt.Sprintf("longer than %d bytes", maxExpression)}
	}
	query, err := gojq.Parse(expr)
	if err != nil {
		rule := &PathError{Expr: expr, Rule: err.Error()}
		if parse, ok := errors.AsType[*gojq.ParseError](err); ok {
			rule.Offset = min(parse.Offset, len(expr))
		}
		return nil, rule
	}
	guarded, err := guardJQ(query)
	if err != nil {
		return nil, &PathError{Expr: expr, Rule: err.Error()}
	}
	options := append(jqFunctions(), gojq.WithVariables([]string{jqRunVariable}))
	code, err := gojq.Compile(guarded, options...)
	if err != nil {
		return nil, &PathError{Expr: expr, Rule: err.Error()}
	}
	return &jqProgram{expr: expr, code: code}, nil
}

func (*jqProgram) single() bool  { return true }
func (p *jqProgram) visits() int { return 4*visitsPerField + len(p.expr) }

// one gives the only output.
func (p *jqProgram) one(e *evaluation, node any) (any, bool, error) {
	outputs, err := p.run(e, node, 2)
	switch {
	case err != nil || len(outputs) == 0:
		return nil, false, err
	case len(outputs) > 1:
		return nil, false, errors.New("several outputs where one is taken: choose it, as in first(…), or make a list, as in […]")
	default:
		return outputs[0], true, nil
	}
}

func (p *jqProgram) all(e *evaluation, node any) ([]any, error) {
	return p.run(e, node, math.MaxInt)
}

// nodes implements finder: each output is a record.
func (p *jqProgram) nodes(e *evaluation, root any) ([]any, error) { return p.all(e, root) }

// run gives the outputs for a node, up to a number.
func (p *jqProgram) run(e *evaluation, node any, most int) ([]any, error) {
	r := newJQRun(e)
	outputs := []any{}
	for iter := p.code.RunWithContext(r, node, r); len(outputs) < most; {
		output, more := iter.Next()
		if r.err != nil {
			return nil, r.err
		}
		if !more {
			return outputs, nil
		}
		if err, failed := output.(error); failed {
			return nil, fmt.Errorf("jq: %s", shorten(err.Error()))
		}
		outputs = append(outputs, output)
	}
	return outputs, nil
}

// A jqRun is the context of one run. gojq asks it before each of its steps whether it has ended, and so
// the steps are counted; the functions of the guard count what the program makes. Once over budget a run
// ends, whatever the program catches.
type jqRun struct {
	context.Context
	e     *evaluation
	steps int
	bytes int // that the values which the program makes may still take
	err   error

	transient int // what a single step may make for a while
}

func newJQRun(e *evaluation) *jqRun {
	return &jqRun{
		Context: e.ctx, e: e,
		bytes:     jqBytes + jqBytesPerValue*e.values,
		transient: jqTransient + jqTransientPerValue*e.values,
	}
}

const (
	// jqStepsPerVisit is how many steps of gojq count as much as one visit of a value.
	jqStepsPerVisit = 2
	// jqBytes bounds what a program makes, in all; jqBytesPerValue is more for each value of the answer.
	jqBytes         = 8 << 20
	jqBytesPerValue = 512
	// jqTransient bounds what a single step may make for a while, and jqTransientPerValue as much more.
	jqTransient         = 24 << 20
	jqTransientPerValue = 256
)

var (
	errJQBytes = fmt.Errorf("the program makes too much: %w", ErrBudget)
	ended      = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
)

// Done is asked before each step.
func (r *jqRun) Done() <-chan struct{} {
	if r.steps++; r.steps >= jqStepsPerVisit {
		r.steps = 0
		if err := r.e.visit(); err != nil && r.err == nil {
			r.err = err
		}
	}
	if r.err != nil {
		return ended
	}
	return nil
}

// Err is why the run ended.
func (r *jqRun) Err() error { return r.err }

// spend counts bytes.
func (r *jqRun) spend(bytes int) error {
	if r.bytes -= bytes; r.bytes < 0 && r.err == nil {
		r.err = errJQBytes
	}
	return r.err
}

// room wants that much to be left, without taking it: of what comes and goes, or cannot be interrupted.
func (r *jqRun) room(bytes, most int) error {
	if (bytes > most || bytes < 0) && r.err == nil {
		r.err = errJQBytes
	}
	return r.err
}

// jqSize estimates the bytes of a value, as if nothing in it were shared, and stops when it is over most.
func jqSize(value any, most int) int {
	const perValue, perMember = 16, 48
	size := perValue
	switch value := value.(type) {
	case string:
		size += len(value)
	case json.Number:
		size += len(value)
	case *big.Int:
		size += value.BitLen() / 8
	case []any:
		for _, element := range value {
			if size += jqSize(element, most-size); size > most {
				return size
			}
		}
	case map[string]any:
		for name, member := range value {
			if size += perMember + len(name) + jqSize(member, most-size); size > most {
				return size
			}
		}
	}
	return size
}

var errJQOverflow = errors.New("a number beyond the range of a float")

// jqNumber makes a number of gojq one of a Record. What is no number is null, as jq writes it; what is infinite jq writes as the
// largest float, which nobody has sent or computed: it is an error.
func jqNumber(value any) (any, error) {
	switch value := value.(type) {
	case int:
		return numberOf(value), nil
	case *big.Int:
		return json.Number(value.String()), nil
	case float64:
		switch {
		case math.IsNaN(value):
			return nil, nil
		case math.IsInf(value, 0):
			return nil, errJQOverflow
		case value == math.Trunc(value) && math.Abs(value) < 1e17:
			return json.Number(strconv.FormatFloat(value, 'f', -1, 64)), nil
		}
		text, err := json.Marshal(value)
		return json.Number(text), err
	default:
		return value, nil
	}
}
