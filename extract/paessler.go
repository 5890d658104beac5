package extract

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/PaesslerAG/gval"
	"github.com/PaesslerAG/jsonpath"
)

// PaesslerAG/jsonpath answers as RFC 9535 does where a path goes by names. Runs of names are lent to it,
// in its spelling, always quoted. For the rest it answers otherwise, in random order, or without end:
//
//   - [0] finds the member "0" of an object, ["0"] the first element of an array
//   - a negative index is an error, and [1:-1] selects nothing
//   - wildcards and descendants of objects come in the random order of Go maps
//   - filters compare numbers as float64 or text, and missing values not at all
//   - whatever may select several values runs to its end, whatever becomes of the context and the budget
//
// That rest is evaluated in evaluate.go, over the same tree.

// lend makes the steps of a query: each longest run that can be lent is one step.
func lend(segments []segment) ([]step, error) {
	var steps []step
	for len(segments) > 0 {
		names := lendable(segments)
		if len(names) == 0 {
			steps = append(steps, own(segments[0]))
			segments = segments[1:]
			continue
		}
		lent, err := newLent(names)
		if err != nil {
			return nil, err
		}
		steps = append(steps, lent)
		segments = segments[len(names):]
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

// lendable returns the names that the segments begin with.
func lendable(segments []segment) []string {
	var names []string
	for _, s := range segments {
		name, ok := own(s).(nameSelector)
		if !ok {
			break
		}
		// gval takes a name for an index of an array if it reads as a number, "NaN" and "0x1p4" included.
		if _, err := strconv.ParseFloat(string(name), 64); err == nil {
			break
		}
		names = append(names, string(name))
	}
	return names
}

// lent is a step that PaesslerAG/jsonpath takes: from a node to one that lies some names below it.
type lent struct {
	evaluate gval.Evaluable
	names    int
}

func newLent(names []string) (lent, error) {
	var expr strings.Builder
	expr.WriteByte('$')
	for _, name := range names {
		fmt.Fprintf(&expr, "[%s]", strconv.QuoteToASCII(name))
	}
	evaluate, err := jsonpath.New(expr.String())
	if err != nil {
		return lent{}, fmt.Errorf("compile %s: %w", expr.String(), err)
	}
	return lent{evaluate, len(names)}, nil
}

// Its only errors are a missing name and a value that has no members: the path selects nothing there.
func (l lent) each(e *evaluation, node any, yield func(any) error) error {
	if err := e.spend(l.names); err != nil {
		return err
	}
	found, err := l.evaluate(e.ctx, node)
	if err != nil {
		return nil
	}
	return yield(found)
}
