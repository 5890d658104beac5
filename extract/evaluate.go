package extract

import (
	"context"
	"errors"
)

// query is a list of segments and the steps that answer them.
type query struct {
	segments []segment
	steps    []step
	singular bool
}

// single implements expression.
func (q *query) single() bool { return q.singular }

// visits implements expression.
func (q *query) visits() int { return visitsPerField + len(q.segments) }

// A step goes from one node to the nodes it selects there. Walking depth first gives the order of the
// RFC's node lists without ever holding one.
type step interface {
	each(e *evaluation, node any, yield func(any) error) error
}

// segment is a step as the RFC writes it: selectors on a node, or on it and all its descendants.
type segment struct {
	descend   bool
	selectors []selector
}

// A selector is one part of a bracket: the same contract as a step.
type selector = step

type (
	nameSelector  string
	indexSelector int64
	wildcard      struct{}
	filter        struct{ condition condition }
	slice         struct {
		start, end *int64
		step       int64
	}
)

// newQuery lends to PaesslerAG/jsonpath what that answers as the RFC does, and keeps the rest.
func newQuery(segments []segment) (*query, error) {
	steps, err := lend(segments)
	if err != nil {
		return nil, err
	}
	return &query{segments: segments, steps: steps, singular: singularPrefix(segments) == len(segments)}, nil
}

// singularPrefix counts the segments before the first that may select more than one node.
func singularPrefix(segments []segment) int {
	for i, s := range segments {
		if s.descend || len(s.selectors) != 1 {
			return i
		}
		switch s.selectors[0].(type) {
		case nameSelector, indexSelector:
		default:
			return i
		}
	}
	return len(segments)
}

// each calls yield with every node the query selects from node, in order, until yield fails.
func (q *query) each(e *evaluation, node any, yield func(any) error) error {
	return walk(e, q.steps, node, yield)
}

func walk(e *evaluation, steps []step, node any, yield func(any) error) error {
	switch len(steps) {
	case 0:
		return yield(node)
	case 1:
		return steps[0].each(e, node, yield)
	}
	return steps[0].each(e, node, func(next any) error { return walk(e, steps[1:], next, yield) })
}

// all returns every node the query selects. It implements expression.
func (q *query) all(e *evaluation, node any) ([]any, error) {
	nodes := []any{}
	err := q.each(e, node, func(n any) error {
		nodes = append(nodes, n)
		return nil
	})
	return nodes, err
}

// values returns copies of all that the query selects.
func (q *query) values(e *evaluation, node any) ([]any, error) {
	selected, err := q.all(e, node)
	if err != nil {
		return nil, err
	}
	for i, node := range selected {
		if selected[i], err = export(node, e.visit); err != nil {
			return nil, err
		}
	}
	return selected, nil
}

// errEnough ends a walk that has what it wants.
var errEnough = errors.New("enough")

// one returns the first node the query selects. It implements expression.
func (q *query) one(e *evaluation, node any) (found any, ok bool, err error) {
	err = q.each(e, node, func(n any) error {
		found, ok = n, true
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, false, err
	}
	return found, ok, nil
}

// evaluation is the state of queries that run one after the other on one answer: what $ is, and how
// much they may still visit together.
type evaluation struct {
	ctx       context.Context
	answer    Answer
	root      any
	values    int // of the answer, so far
	left      int
	unchecked int // visits since the context was asked
	patterns  map[compiledPattern]*pattern
}

func newEvaluation(ctx context.Context, answer Answer) *evaluation {
	return &evaluation{ctx: ctx, answer: answer, left: maxVisits}
}

// enter makes doc the one that $ is. What may be visited grows with the values of all that were entered.
func (e *evaluation) enter(doc Document) {
	e.root = doc.root
	before := max(maxVisits, visitsPerValue*e.values)
	e.values += doc.values
	e.left += max(maxVisits, visitsPerValue*e.values) - before
}

// visit counts one node. Everything that can be repeated calls it, or spend.
func (e *evaluation) visit() error { return e.spend(1) }

// spend counts what costs as much as that many nodes.
func (e *evaluation) spend(visits int) error {
	if e.left -= visits; e.left < 0 {
		return errVisits
	}
	if e.unchecked += visits; e.unchecked < checkEvery {
		return nil
	}
	e.unchecked = 0
	return e.ctx.Err()
}

func (s segment) each(e *evaluation, node any, yield func(any) error) error {
	if err := e.visit(); err != nil {
		return err
	}
	for _, sel := range s.selectors {
		if err := sel.each(e, node, yield); err != nil {
			return err
		}
	}
	if !s.descend {
		return nil
	}
	return children(node, func(child any) error { return s.each(e, child, yield) })
}

func (name nameSelector) each(e *evaluation, node any, yield func(any) error) error {
	if err := e.visit(); err != nil {
		return err
	}
	if object, ok := node.(map[string]any); ok {
		if member, ok := object[string(name)]; ok {
			return yield(member)
		}
	}
	return nil
}

func (index indexSelector) each(e *evaluation, node any, yield func(any) error) error {
	if err := e.visit(); err != nil {
		return err
	}
	array, ok := node.([]any)
	if !ok {
		return nil
	}
	i := int64(index)
	if i < 0 {
		i += int64(len(array))
	}
	if i < 0 || i >= int64(len(array)) {
		return nil
	}
	return yield(array[i])
}

func (wildcard) each(e *evaluation, node any, yield func(any) error) error {
	return children(node, func(child any) error {
		if err := e.visit(); err != nil {
			return err
		}
		return yield(child)
	})
}

// The bounds are those of RFC 9535, section 2.3.4.2.2.
func (s slice) each(e *evaluation, node any, yield func(any) error) error {
	array, ok := node.([]any)
	if !ok || s.step == 0 {
		return nil
	}
	size := int64(len(array))
	bound := func(given *int64, absent, low, high int64) int64 {
		if given == nil {
			return absent
		}
		n := *given
		if n < 0 {
			n += size
		}
		return min(max(n, low), high)
	}
	var from, to int64
	if s.step > 0 {
		from, to = bound(s.start, 0, 0, size), bound(s.end, size, 0, size)
	} else {
		from, to = bound(s.start, size-1, -1, size-1), bound(s.end, -1, -1, size-1)
	}
	for i := from; s.step > 0 && i < to || s.step < 0 && i > to; i += s.step {
		if err := e.visit(); err != nil {
			return err
		}
		if err := yield(array[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f filter) each(e *evaluation, node any, yield func(any) error) error {
	return children(node, func(child any) error {
		if err := e.visit(); err != nil {
			return err
		}
		holds, err := f.condition.holds(e, child)
		if err != nil || !holds {
			return err
		}
		return yield(child)
	})
}
