package fetch

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template/parse"
)

// A checker goes through a template once: it refuses what is not allowed, gives each action its escaper, and each
// loop and the whole its count of steps.
type checker struct {
	tree     *parse.Tree
	problems []error
	steps    int // of what was seen, run once
	depth    int
	fields   map[string]bool // names after dots
	keys     map[string]bool // of Params and Labels
}

// A scope is what a list of nodes is within.
type scope struct {
	atRoot bool // the dot is the data
	inLoop bool
	loop   spot // where a turn of the loop begins
}

func (c *checker) problem(node parse.Node, format string, args ...any) {
	e := positionOf(c.tree, node)
	e.Problem = fmt.Sprintf(format, args...)
	c.problems = append(c.problems, e)
}

// list checks the nodes of l, which begins at s, and returns where it ends.
func (c *checker) list(l *parse.ListNode, s spot, in scope) spot {
	if l == nil {
		return s
	}
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxTemplateDepth {
		c.problem(l, "must not be deeper than %d within each other", maxTemplateDepth)
		return s
	}
	for _, node := range l.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			s = s.after(string(n.Text))
		case *parse.ActionNode:
			c.action(n, s, in)
		case *parse.IfNode:
			c.pipe(n.Pipe, in)
			s = joined(c.list(n.List, s, in), c.list(n.ElseList, s, in))
		case *parse.WithNode:
			c.pipe(n.Pipe, in)
			inner := in
			inner.atRoot = false
			s = joined(c.list(n.List, s, inner), c.list(n.ElseList, s, in))
		case *parse.RangeNode:
			s = c.loop(n, s, in)
		case *parse.BreakNode, *parse.ContinueNode:
			if in.inLoop && s != in.loop {
				c.problem(node, "a turn of a loop must end where it began: within the same quotes, segment or tag")
			}
		default:
			c.problem(node, "templates within templates are not allowed")
		}
	}
	return s
}

// loop checks a range, and has each of its turns counted.
func (c *checker) loop(n *parse.RangeNode, s spot, in scope) spot {
	c.pipe(n.Pipe, in)
	before := c.steps
	if c.list(n.List, s, scope{inLoop: true, loop: s}) != s {
		c.problem(n, "a turn of a loop must end where it began: within the same quotes, segment or tag")
	}
	c.count(n.List, 1+c.steps-before)
	return joined(s, c.list(n.ElseList, s, in))
}

// count has l begin with so many steps.
func (c *checker) count(l *parse.ListNode, steps int) {
	step, err := parseTemplate(fmt.Sprintf("{{_step %d}}", steps))
	if err != nil {
		c.problem(l, "cannot be counted") // cannot be
		return
	}
	l.Nodes = slices.Insert(l.Nodes, 0, step.Root.Nodes[0])
}

func (c *checker) action(n *parse.ActionNode, s spot, in scope) {
	c.pipe(n.Pipe, in)
	if len(n.Pipe.Decl) > 0 {
		return // it sets a variable, and writes nothing
	}
	if why := s.refused(); why != "" {
		c.problem(n, "%s", why)
		return
	}
	n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos,
		Args: []parse.Node{parse.NewIdentifier(s.escaper()).SetTree(c.tree).SetPos(n.Pos)}})
}

func (c *checker) pipe(p *parse.PipeNode, in scope) {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxTemplateDepth {
		c.problem(p, "must not be deeper than %d within each other", maxTemplateDepth)
		return
	}
	for _, v := range p.Decl {
		if v.Ident[0] == "$" {
			c.problem(v, "$ is the data, and cannot be another variable")
		}
	}
	var all []*parse.CommandNode
	for i, command := range p.Cmds {
		c.steps += len(command.Args)
		for _, arg := range command.Args {
			c.argument(arg, in)
		}
		c.lookup(command, in)
		if charges(command) {
			if i > 0 {
				all = append(all, c.taking(command.Pos))
			}
			c.take(command)
		}
		all = append(all, command)
	}
	p.Cmds = all
}

// charges reports whether command calls a function whose arguments count as bytes that are read.
func charges(command *parse.CommandNode) bool {
	function, is := command.Args[0].(*parse.IdentifierNode)
	return is && slices.Contains(readingFunctions[:], function.Ident)
}

// take gives each argument of command that may be a text to _take first.
func (c *checker) take(command *parse.CommandNode) {
	for i, arg := range command.Args[1:] {
		switch arg.(type) {
		case *parse.NilNode, *parse.BoolNode, *parse.NumberNode, *parse.IdentifierNode:
			continue
		}
		pos := arg.Position()
		command.Args[1+i] = &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Cmds: []*parse.CommandNode{c.taking(pos, arg)}}
	}
}

func (c *checker) taking(pos parse.Pos, args ...parse.Node) *parse.CommandNode {
	take := parse.NewIdentifier("_take").SetTree(c.tree).SetPos(pos)
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: append([]parse.Node{take}, args...)}
}

func (c *checker) argument(node parse.Node, in scope) {
	switch n := node.(type) {
	case *parse.IdentifierNode:
		if !slices.Contains(templateFunctions[:], n.Ident) {
			c.problem(n, "there is no function %q; there are %s", n.Ident, strings.Join(templateFunctions[:], ", "))
		}
	case *parse.FieldNode:
		c.names(n, n.Ident, in.atRoot)
	case *parse.VariableNode:
		c.names(n, n.Ident[1:], n.Ident[0] == "$")
	case *parse.ChainNode:
		c.argument(n.Node, in)
		c.names(n, n.Field, false)
	case *parse.PipeNode:
		c.pipe(n, in)
	}
}

// lookup learns the key of (index .Params "key").
func (c *checker) lookup(command *parse.CommandNode, in scope) {
	if len(command.Args) != 3 {
		return
	}
	function, is := command.Args[0].(*parse.IdentifierNode)
	key, literal := command.Args[2].(*parse.StringNode)
	if is && literal && function.Ident == "index" {
		c.keys[key.Text] = true
	}
}

// names checks the names after dots, where it is known that they begin at the data.
func (c *checker) names(node parse.Node, names []string, atRoot bool) {
	for _, name := range names {
		c.fields[name] = true
	}
	if !atRoot {
		return
	}
	at := reflect.TypeFor[root]()
	for i, name := range names {
		path := "." + strings.Join(names[:i+1], ".")
		switch {
		case at.Kind() == reflect.Map:
			c.keys[name] = true
			at = at.Elem()
			continue
		case at == reflect.TypeFor[moment]() || at.Kind() != reflect.Struct:
			c.problem(node, "there is no %s: %s has no parts", path, "."+strings.Join(names[:i], "."))
			return
		}
		field, ok := at.FieldByName(name)
		if !ok {
			prefix := strings.TrimSuffix(path, name)
			c.problem(node, "there is no %s; there are %s", path, strings.Join(fieldNames(at, prefix), ", "))
			return
		}
		at = field.Type
	}
}

func fieldNames(t reflect.Type, prefix string) []string {
	names := map[string]bool{}
	for i := range t.NumField() {
		names[prefix+t.Field(i).Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
