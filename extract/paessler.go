package extract

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/PaesslerAG/gval"
	"github.com/PaesslerAG/jsonpath"
)

// PaesslerAG/jsonpath answers as RFC 9535 does where a path goes by names, and by slices that count from
// the front. Runs of such segments are lent to it, in its spelling, with names always quoted. It answers
// otherwise, or in random order, for the rest:
//
//   - [0] finds the member "0" of an object, ["0"] the first element of an array
//   - a negative index is an error, and [1:-1] selects nothing
//   - wildcards and descendants of objects come in the random order of Go maps
//   - filters compare numbers as float64 or text, and missing values not at all
//
// That rest is evaluated in evaluate.go, over the same tree.

// lend makes the steps of a query: each longest run that can be lent is one step.
func lend(segments []segment) ([]step, error) {
	var steps []step
	for len(segments) > 0 {
		run := 0
		for run < len(segments) && canLend(segments[run]) {
			run++
		}
		if run == 0 {
			steps = append(steps, own(segments[0]))
			segments = segments[1:]
			continue
		}
		lent, err := newLent(segments[:run])
		if err != nil {
			return nil, err
		}
		steps = append(steps, lent)
		segments = segments[run:]
	}
	return steps, nil
}

// own skips the segment around a single selector.
func own(s segment) step {
	if !s.descend && len(s.selectors) == 1 {
		return s.selectors[0]
	}
	return s
}

func canLend(s segment) bool {
	if s.descend || len(s.selectors) != 1 {
		return false
	}
	switch sel := s.selectors[0].(type) {
	case nameSelector:
		// gval takes a name for an index of an array if it reads as a number, "NaN" and "0x1p4" included.
		_, err := strconv.ParseFloat(string(sel), 64)
		return err != nil
	case slice:
		return (sel.start == nil || *sel.start >= 0) && (sel.end == nil || *sel.end >= 0) && sel.step > 0
	default:
		return false
	}
}

// lent is a step that PaesslerAG/jsonpath takes.
type lent struct {
	evaluate gval.Evaluable
	singular bool
}

func newLent(segments []segment) (lent, error) {
	var expr strings.Builder
	expr.WriteByte('$')
	for _, s := range segments {
		switch sel := s.selectors[0].(type) {
		case nameSelector:
			fmt.Fprintf(&expr, "[%s]", strconv.QuoteToASCII(string(sel)))
		case slice:
			start, end := int64(0), int64(math.MaxInt32)
			if sel.start != nil {
				start = *sel.start
			}
			if sel.end != nil {
				end = *sel.end
			}
			fmt.Fprintf(&expr, "[%d:%d:%d]", start, end, sel.step)
		}
	}
	evaluate, err := jsonpath.New(expr.String())
	if err != nil {
		return lent{}, fmt.Errorf("compile %s: %w", expr.String(), err)
	}
	return lent{evaluate, singularPrefix(segments) == len(segments)}, nil
}

// Its only errors are a missing name and a value that has no members: the path selects nothing there.
func (l lent) each(e *evaluation, node any, yield func(any) error) error {
	if err := e.visit(); err != nil {
		return err
	}
	found, err := l.evaluate(e.ctx, node)
	if err != nil {
		return nil
	}
	if l.singular {
		return yield(found)
	}
	selected, _ := found.([]any)
	for _, n := range selected {
		if err := e.visit(); err != nil {
			return err
		}
		if err := yield(n); err != nil {
			return err
		}
	}
	return nil
}
