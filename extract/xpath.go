package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/antchfx/xpath"
)

// An xpathExpression is an XPath, evaluated by antchfx/xpath on a tree of our own, whose every step
// counts against the budget and asks the context: antchfx/xpath itself does neither.
type xpathExpression struct {
	expr string
	list bool      // all nodes, else the only one
	near bool      // a computed number is taken as the float64 that it is
	pool sync.Pool // of *xpath.Expr, each used by one goroutine at a time
}

// The functions of antchfx/xpath that take a regular expression keep each they ever saw.
var (
	xpathTexts   = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	xpathRefused = regexp.MustCompile(`\b(matches|replace)\s*\(`)
)

func newXPath(expr string, list bool) (*xpathExpression, error) {
	if len(expr) > maxExpression {
		return nil, &PathError{Expr: expr, Offset: maxExpression, Rule: fmt.Sprintf("longer than %d bytes", maxExpression)}
	}
	if call := xpathRefused.FindStringSubmatch(xpathTexts.ReplaceAllString(expr, "''")); call != nil {
		return nil, &PathError{Expr: expr, Rule: call[1] + "() is no function of XPath 1.0"}
	}
	compiled, err := compileXPath(expr)
	if err != nil {
		return nil, &PathError{Expr: expr, Rule: strings.TrimPrefix(err.Error(), "xpath: ")}
	}
	x := &xpathExpression{expr: expr, list: list}
	x.pool.Put(compiled)
	return x, nil
}

func compileXPath(expr string) (compiled *xpath.Expr, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("no XPath: %v", r)
		}
	}()
	return xpath.Compile(expr)
}

func (x *xpathExpression) single() bool { return !x.list }
func (x *xpathExpression) visits() int {
	return visitsPerField + strings.Count(x.expr, "/")*visitsPerField
}

// one gives the only node.
func (x *xpathExpression) one(e *evaluation, node any) (any, bool, error) {
	nodes, err := x.evaluate(e, node, 2)
	switch {
	case err != nil || len(nodes) == 0:
		return nil, false, err
	case len(nodes) > 1:
		return nil, false, fmt.Errorf("several nodes where one is taken: choose it, as in (%s)[1], or take a list, with the type json", shorten(x.expr))
	default:
		return nodes[0], true, nil
	}
}

func (x *xpathExpression) all(e *evaluation, node any) ([]any, error) {
	return x.evaluate(e, node, math.MaxInt)
}

// evaluate gives nodes up to a number: elements as they are, attributes and texts as string, what is
// computed as json.Number, string or bool. A number that is none, as of number("x"), is nothing.
func (x *xpathExpression) evaluate(e *evaluation, node any, most int) (nodes []any, err error) {
	element, ok := node.(*xmlNode)
	if !ok {
		return nil, errors.New("not an element")
	}
	compiled, _ := x.pool.Get().(*xpath.Expr)
	if compiled == nil {
		if compiled, err = compileXPath(x.expr); err != nil {
			return nil, err
		}
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
			x.pool.Put(compiled)
		case outOfBudget:
			err = r.error
		default: // as antchfx/xpath reports a wrong argument; what is half evaluated is not used again
			err = fmt.Errorf("xpath: %v", r)
		}
	}()
	nodes = []any{}
	switch result := compiled.Evaluate(&navigator{e: e, node: element, attr: -1}).(type) {
	case *xpath.NodeIterator:
		for len(nodes) < most && result.MoveNext() {
			nodes = append(nodes, result.Current().(*navigator).result())
		}
	case float64:
		if !math.IsNaN(result) && !math.IsInf(result, 0) {
			if math.Abs(result) >= 1<<53 && !x.near {
				return nil, errXPathNumber
			}
			nodes = append(nodes, json.Number(strconv.FormatFloat(result, 'f', -1, 64)))
		}
	default:
		nodes = append(nodes, result)
	}
	return nodes, nil
}

var errXPathNumber = errors.New("a number beyond 2^53, which XPath does not compute exactly: take the text, without number(), or the type float")

// outOfBudget ends an evaluation from the inside.
type outOfBudget struct{ error }

// A navigator is a place in a tree of XML. antchfx/xpath sees the tree through it only.
type navigator struct {
	e     *evaluation
	node  *xmlNode
	attr  int // -1 on the node itself
	moves int // not yet counted
}

// movesPerVisit is how many steps of a navigator cost as much as one visit of a value.
const movesPerVisit = 16

func (n *navigator) move() {
	if n.moves++; n.moves >= movesPerVisit {
		n.moves = 0
		n.spend(1)
	}
}

func (n *navigator) spend(visits int) {
	if err := n.e.spend(visits); err != nil {
		panic(outOfBudget{err})
	}
}

// result is what an expression that selects this place gives.
func (n *navigator) result() any {
	if n.attr < 0 && n.node.kind != xpath.TextNode {
		n.spend(1)
		return n.node
	}
	return n.Value()
}

func (n *navigator) NodeType() xpath.NodeType {
	if n.attr >= 0 {
		return xpath.AttributeNode
	}
	return n.node.kind
}

func (n *navigator) LocalName() string {
	if n.attr >= 0 {
		return n.node.attrs[n.attr].Name.Local
	}
	return n.node.name
}

func (n *navigator) Prefix() string {
	if n.attr >= 0 {
		return n.node.attrs[n.attr].Name.Space
	}
	return n.node.prefix
}

func (n *navigator) Value() string {
	if n.attr >= 0 {
		n.spend(1)
		return n.node.attrs[n.attr].Value
	}
	value, cost := n.node.content(math.MaxInt)
	n.spend(cost)
	return value
}

func (n *navigator) Copy() xpath.NodeNavigator {
	n.spend(1)
	c := *n
	return &c
}

func (n *navigator) MoveToRoot() {
	for n.attr = -1; n.node.parent != nil; n.node = n.node.parent {
		n.move()
	}
}

func (n *navigator) MoveToParent() bool {
	n.move()
	if n.attr >= 0 {
		n.attr = -1
		return true
	}
	return n.to(n.node.parent)
}

func (n *navigator) MoveToNextAttribute() bool {
	n.move()
	if n.attr+1 >= len(n.node.attrs) {
		return false
	}
	n.attr++
	return true
}

func (n *navigator) MoveToChild() bool {
	return n.attr < 0 && n.to(n.node.first)
}

func (n *navigator) MoveToFirst() bool {
	if n.attr >= 0 || n.node.parent == nil {
		return false
	}
	return n.to(n.node.parent.first)
}

func (n *navigator) MoveToNext() bool     { return n.attr < 0 && n.to(n.node.after) }
func (n *navigator) MoveToPrevious() bool { return n.attr < 0 && n.to(n.node.before) }

func (n *navigator) to(node *xmlNode) bool {
	n.move()
	if node == nil {
		return false
	}
	n.node = node
	return true
}

func (n *navigator) MoveTo(other xpath.NodeNavigator) bool {
	n.move()
	o := other.(*navigator)
	n.node, n.attr = o.node, o.attr
	return true
}
