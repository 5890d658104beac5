package extract

import "encoding/json"

// A condition is what stands after the ? of a filter, asked of each candidate.
type condition interface {
	holds(e *evaluation, current any) (bool, error)
}

type (
	anyOf      []condition
	allOf      []condition
	not        struct{ condition condition }
	exists     struct{ operand operand }
	comparison struct {
		left, right operand
		op          string
	}
)

// operand is a literal, a query, relative to the candidate or from the root, or the call of a function.
type operand struct {
	literal   any
	pattern   *pattern // of a literal that match or search takes, where it is an I-Regexp
	query     *query
	absolute  bool
	function  *function
	arguments []operand
}

// nothing is the value of a query without a result. It equals itself and nothing else, null included.
type nothing struct{}

func (c anyOf) holds(e *evaluation, current any) (bool, error) {
	for _, each := range c {
		if holds, err := each.holds(e, current); err != nil || holds {
			return holds, err
		}
	}
	return false, nil
}

func (c allOf) holds(e *evaluation, current any) (bool, error) {
	for _, each := range c {
		if holds, err := each.holds(e, current); err != nil || !holds {
			return false, err
		}
	}
	return true, nil
}

func (c not) holds(e *evaluation, current any) (bool, error) {
	holds, err := c.condition.holds(e, current)
	return !holds, err
}

func (c exists) holds(e *evaluation, current any) (bool, error) {
	if c.operand.function != nil {
		holds, err := c.operand.value(e, current)
		return holds == true, err
	}
	_, found, err := c.operand.first(e, current)
	return found, err
}

// The rules are those of RFC 9535, section 2.3.5.2.2: only numbers and strings have an order, values
// of different types are unequal, and <= is < or ==, which holds for null and null.
func (c comparison) holds(e *evaluation, current any) (bool, error) {
	left, err := c.left.value(e, current)
	if err != nil {
		return false, err
	}
	right, err := c.right.value(e, current)
	if err != nil {
		return false, err
	}
	if err := e.spend(comparisonCost(left, right)); err != nil {
		return false, err
	}
	switch c.op {
	case "<":
		return less(left, right), nil
	case ">":
		return less(right, left), nil
	}
	same, err := equal(e, left, right)
	switch c.op {
	case "!=":
		return !same, err
	case "<=":
		return same || less(left, right), err
	case ">=":
		return same || less(right, left), err
	default:
		return same, err
	}
}

func (o operand) first(e *evaluation, current any) (any, bool, error) {
	if o.absolute {
		current = e.root
	}
	return o.query.one(e, current)
}

// each calls yield with every node of a query.
func (o operand) each(e *evaluation, current any, yield func(any) error) error {
	if o.absolute {
		current = e.root
	}
	return o.query.each(e, current, yield)
}

func (o operand) value(e *evaluation, current any) (any, error) {
	switch {
	case o.function != nil:
		if err := e.visit(); err != nil {
			return nil, err
		}
		return o.function.call(e, current, o.arguments)
	case o.query == nil:
		return o.literal, nil
	}
	found, ok, err := o.first(e, current)
	if err != nil || ok {
		return found, err
	}
	return nothing{}, nil
}

func less(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && compareNumbers(string(a), string(b)) < 0
	case string:
		// The order of UTF-8 bytes is that of Unicode scalar values, which the RFC asks for.
		b, ok := b.(string)
		return ok && a < b
	default:
		return false
	}
}

// comparisonCost is what the comparison of two values counts for, not counting what is inside them: one,
// and one more for each KiB of text that may have to be looked at.
func comparisonCost(a, b any) int {
	const perVisit = 1 << 10
	switch a := a.(type) {
	case json.Number:
		if b, ok := b.(json.Number); ok {
			return 1 + (len(a)+len(b))/perVisit
		}
	case string:
		if b, ok := b.(string); ok {
			return 1 + min(len(a), len(b))/perVisit
		}
	}
	return 1
}

// equal counts what it visits: $..[?@ == $] compares the whole document with itself many times.
func equal(e *evaluation, a, b any) (bool, error) {
	if err := e.spend(comparisonCost(a, b)); err != nil {
		return false, err
	}
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && compareNumbers(string(a), string(b)) == 0, nil
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		for i := range a {
			if same, err := equal(e, a[i], b[i]); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(names(a)) != len(names(b)) {
			return false, nil
		}
		for _, name := range names(a) {
			other, ok := b[name]
			if !ok {
				return false, nil
			}
			if same, err := equal(e, a[name], other); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case string:
		b, ok := b.(string)
		return ok && a == b, nil
	case bool:
		b, ok := b.(bool)
		return ok && a == b, nil
	case nothing:
		_, ok := b.(nothing)
		return ok, nil
	default: // null
		return b == nil, nil
	}
}
