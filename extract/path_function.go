package extract

// A function is an extension of RFC 9535, section 2.4. None is evaluated here, but their calls are read and
// checked, so that a path that needs one is told from a path that is wrong.
type function struct {
	name  string
	takes []parameter
	tests bool // true or false by itself; the others give a value, to be compared
}

// A parameter is what a function takes.
type parameter int

const (
	oneValue  parameter = iota // a literal, a path that selects one value at most, a function that gives one
	allValues                  // any path
)

var functions = map[string]*function{
	"length": {"length", []parameter{oneValue}, false},
	"count":  {"count", []parameter{allValues}, false},
	"value":  {"value", []parameter{allValues}, false},
	"match":  {"match", []parameter{oneValue, oneValue}, true},
	"search": {"search", []parameter{oneValue, oneValue}, true},
}

// call reads what stands after a function's name, and notes that the path is to be refused.
func (p *pathParser) call(start int, name string) (operand, error) {
	f := functions[name]
	if f == nil {
		return operand{}, p.fail(start, "%s() is no function of JSONPath", name)
	}
	if p.refused == nil {
		p.refused = p.unsupported(start, "the function %s() is not supported", name)
	}
	p.pos++
	found := 0
	if p.blank(); !p.at(')') {
		for more := true; more; more = p.take(',') {
			if err := p.argument(f, found); err != nil {
				return operand{}, err
			}
			found++
		}
	}
	if !p.take(')') {
		return operand{}, p.unexpected(`"," or ")"`)
	}
	if found != len(f.takes) {
		return operand{}, p.fail(start, "the number of arguments of %s() is %d, found %d", name, len(f.takes), found)
	}
	return operand{function: f}, nil
}

// argument reads the argument at an index, and the blanks around it.
func (p *pathParser) argument(f *function, index int) error {
	p.blank()
	start := p.pos
	o, err := p.operand()
	if err != nil {
		return err
	}
	p.blank()
	switch {
	case index >= len(f.takes):
		return nil // call says how many there should be
	case f.takes[index] == oneValue:
		return p.checkValue(start, o)
	case o.query == nil:
		return p.fail(start, "%s() takes a path", f.name)
	default:
		return nil
	}
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
