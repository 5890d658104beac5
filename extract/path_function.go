package extract

import (
	"errors"
	"unicode/utf8"
)

// A function is an extension of RFC 9535, section 2.4.
type function struct {
	name  string
	takes []parameter
	tests bool // true or false by itself; the others give a value, to be compared
	call  func(e *evaluation, current any, arguments []operand) (any, error)
}

// A parameter is what a function takes.
type parameter int

const (
	oneValue  parameter = iota // a literal, a path that selects one value at most, a function that gives one
	allValues                  // any path
)

var functions = map[string]*function{
	"length": {"length", []parameter{oneValue}, false, callLength},
	"count":  {"count", []parameter{allValues}, false, callCount},
	"value":  {"value", []parameter{allValues}, false, callValue},
	"match":  {"match", []parameter{oneValue, oneValue}, true, callMatch},
	"search": {"search", []parameter{oneValue, oneValue}, true, callSearch},
}

func callLength(e *evaluation, current any, arguments []operand) (any, error) {
	value, err := arguments[0].value(e, current)
	if err != nil {
		return nil, err
	}
	switch value := value.(type) {
	case string:
		const perVisit = 1 << 10
		return numberOf(utf8.RuneCountInString(value)), e.spend(len(value) / perVisit)
	case []any:
		return numberOf(len(value)), nil
	case map[string]any:
		return numberOf(len(names(value))), nil
	default:
		return nothing{}, nil
	}
}

func callCount(e *evaluation, current any, arguments []operand) (any, error) {
	count := 0
	err := arguments[0].each(e, current, func(any) error {
		count++
		return nil
	})
	return numberOf(count), err
}

// callValue gives the value of the only node. Of several it gives nothing, as of none.
func callValue(e *evaluation, current any, arguments []operand) (any, error) {
	var only any = nothing{}
	count := 0
	err := arguments[0].each(e, current, func(node any) error {
		if only = node; count > 0 {
			only = nothing{}
			return errEnough
		}
		count++
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return only, err
}

func callMatch(e *evaluation, current any, arguments []operand) (any, error) {
	return callPattern(e, current, arguments, true)
}

func callSearch(e *evaluation, current any, arguments []operand) (any, error) {
	return callPattern(e, current, arguments, false)
}

// callPattern is false for what is no text, and for what is no I-Regexp.
func callPattern(e *evaluation, current any, arguments []operand, whole bool) (any, error) {
	value, err := arguments[0].value(e, current)
	if err != nil {
		return false, err
	}
	text, ok := value.(string)
	if !ok {
		return false, nil
	}
	p := arguments[1].pattern
	if p == nil {
		expr, err := arguments[1].value(e, current)
		if err != nil {
			return false, err
		}
		if p, err = e.compilePattern(expr, whole); err != nil || p == nil {
			return false, err
		}
	}
	return p.matches(e, text)
}

// maxCompiled bounds the patterns from the document that an evaluation keeps.
const maxCompiled = 64

// compilePattern compiles an I-Regexp that stands in the document, the same one once. It returns nil for
// what is none.
func (e *evaluation) compilePattern(expr any, whole bool) (*pattern, error) {
	text, ok := expr.(string)
	if !ok {
		return nil, nil
	}
	key := compiledPattern{text, whole}
	if p, known := e.patterns[key]; known {
		return p, nil
	}
	const visitsPerByte = 16 // compiling is dear
	if err := e.spend(visitsPerByte * len(text)); err != nil {
		return nil, err
	}
	p, err := newIRegexp(text, whole)
	if err != nil {
		return nil, err
	}
	e.keepPattern(key, p)
	return p, nil
}

func (e *evaluation) keepPattern(key compiledPattern, p *pattern) {
	if e.patterns == nil || len(e.patterns) >= maxCompiled {
		e.patterns = make(map[compiledPattern]*pattern)
	}
	e.patterns[key] = p
}

type compiledPattern struct {
	expr  string
	whole bool
}

// call reads what stands after a function's name.
func (p *pathParser) call(start int, name string) (operand, error) {
	f := functions[name]
	if f == nil {
		return operand{}, p.fail(start, "%s() is no function of JSONPath", name)
	}
	p.pos++
	var arguments []operand
	if p.blank(); !p.at(')') {
		for more := true; more; more = p.take(',') {
			argument, err := p.argument(f, len(arguments))
			if err != nil {
				return operand{}, err
			}
			arguments = append(arguments, argument)
		}
	}
	if !p.take(')') {
		return operand{}, p.unexpected(`"," or ")"`)
	}
	if len(arguments) != len(f.takes) {
		return operand{}, p.fail(start, "the number of arguments of %s() is %d, found %d", name, len(f.takes), len(arguments))
	}
	return operand{function: f, arguments: arguments}, nil
}

// argument reads the argument at an index, and the blanks around it.
func (p *pathParser) argument(f *function, index int) (operand, error) {
	p.blank()
	start := p.pos
	o, err := p.operand()
	if err != nil {
		return o, err
	}
	p.blank()
	switch {
	case index >= len(f.takes):
		return o, nil // call says how many there should be
	case f.takes[index] == allValues && o.query == nil:
		return o, p.fail(start, "%s() takes a path", f.name)
	case f.takes[index] == allValues:
		return o, nil
	case f.tests && index == 1:
		if text, ok := o.literal.(string); ok {
			if o.pattern, err = newIRegexp(text, f.name == "match"); err != nil {
				return o, p.fail(start, "%s", err)
			}
		}
	}
	return o, p.checkValue(start, o)
}

// checkValue refuses an operand that is no single value where one is needed.
func (p *pathParser) checkValue(start int, o operand) error {
	switch {
	case o.function != nil && o.function.tests:
		return p.fail(start, "%s() is true or false by itself, and no value", o.function.name)
	case o.query != nil && !o.query.singular:
		return p.fail(start, "a value is taken from a path of names and indices only, since others may select several")
	default:
		return nil
	}
}

// test makes a condition of an operand that stands alone.
func (p *pathParser) test(start int, o operand) (condition, error) {
	switch {
	case o.function != nil && !o.function.tests:
		return nil, p.fail(start, "%s() gives a value; compare it with something", o.function.name)
	case o.function == nil && o.query == nil:
		return nil, p.fail(start, "a literal is no condition; compare it with something")
	default:
		return exists{o}, nil
	}
}
