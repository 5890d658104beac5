package extract

import (
	"fmt"
	"strings"

	"github.com/itchyny/gojq"
)

// guardJQ rewrites a program so that it stays within the bounds of its jqRun. gojq can be stopped between
// two of its steps, and counts none of what a step makes or how long it takes; one step may repeat a text
// a billion times, or compare two lists of a million. So
//
//   - a value that the program makes, by [], {}, +, a function, is counted when it is made
//   - where a step may make much more than it is given, it is asked first whether there is room for that
//   - regular expressions are matched by functions of our own: gojq keeps each it ever saw
//   - what reads from outside, or from the clock, or writes, is refused: the same answer gives the same records
func guardJQ(query *gojq.Query) (guarded *gojq.Query, err error) {
	g := &jqGuard{defined: map[string]bool{}}
	g.names(query)
	prelude := jqPrelude()
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case jqFault:
			guarded, err = nil, fault
		default:
			panic(fault)
		}
	}()
	g.query(query)
	query.FuncDefs = append(prelude.needed(g.called), query.FuncDefs...)
	return query, nil
}

// A jqFault is what a program must not have.
type jqFault struct{ error }

type jqGuard struct {
	defined map[string]bool // functions of the program's own, as name/arity
	called  []string
	trusted bool // the prelude, which may call what others may not
}

const jqRunVariable = "$__run"

// The functions that are refused.
var jqRefused = set("input inputs input_filename input_line_number debug stderr halt halt_error now localtime strflocaltime " +
	"modulemeta get_search_list builtins fromstream truncate_stream transpose")

// Functions that give out what there was before, or a number or a boolean: nothing to count. Nor is infinite
// an overflow, where values are compared with it.
var jqFree = set("infinite empty not select length utf8bytelength type has in any all isempty startswith endswith error first last nth " +
	"recurse arrays objects iterables booleans numbers normals finites strings nulls values scalars test limit skip until while " +
	"repeat range path floor ceil round sqrt fabs abs isnan isinfinite isnormal min max IN env getpath")

// Functions whose arguments need not be counted when they are evaluated: they keep references only.
var jqLazy = set("map select first last any all isempty recurse limit skip until while repeat range path paths del " +
	"with_entries map_values walk nth has in error getpath pick")

// Functions whose one step may make, or take the time of, a multiple of their input.
var jqFactors = map[string]int{
	"explode": 24, "split": 32, "fromjson": 48, "tonumber": 1, "tojson": 6, "tostring": 6, "ascii": 1, "implode": 4,
	"@json": 6, "@text": 6, "@html": 6, "@uri": 3, "@csv": 2, "@tsv": 2, "@sh": 4, "@base64": 2, "@base64d": 1, "@urid": 1,
	"format": 6, "strftime": 64, "strptime": 64, "tostream": 8, "to_entries": 4, "from_entries": 4, "with_entries": 4, "flatten": 1,
	"group_by": 4, "unique_by": 4, "sort_by": 4, "sort": 2, "unique": 2,
}

// Functions of two values that may take the product of their sizes.
var jqProducts = set("contains inside index rindex indices")

func set(words string) map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		m[word] = true
	}
	return m
}

func (g *jqGuard) fail(format string, args ...any) {
	panic(jqFault{fmt.Errorf(format, args...)})
}

// names notes the functions that a program defines anywhere.
func (g *jqGuard) names(query *gojq.Query) {
	walkJQ(query, func(q *gojq.Query) {
		for _, def := range q.FuncDefs {
			g.defined[fmt.Sprintf("%s/%d", def.Name, len(def.Args))] = true
			for _, arg := range def.Args {
				g.defined[strings.TrimPrefix(arg, "$")+"/0"] = true
			}
		}
	})
}

func (g *jqGuard) query(q *gojq.Query) {
	if q == nil {
		return
	}
	if len(q.Imports) > 0 || q.Meta != nil {
		g.fail("there are no modules to import")
	}
	for _, def := range q.FuncDefs {
		g.definition(def)
	}
	g.patterns(q.Patterns)
	g.term(q.Term)
	g.query(q.Left)
	g.query(q.Right)
	definitions := q.FuncDefs
	g.operation(q)
	q.FuncDefs = definitions
}

// operation guards what an operator makes.
func (g *jqGuard) operation(q *gojq.Query) {
	switch q.Op {
	case gojq.OpAdd:
		*q = gojq.Query{Left: &gojq.Query{Left: q.Left, Op: q.Op, Right: q.Right}, Op: gojq.OpPipe, Right: jqCounted()}
	case gojq.OpMul, gojq.OpSub, gojq.OpDiv:
		*q = *jqOfTwo(q.Left, q.Right, q.Op)
	case gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv:
		op := map[gojq.Operator]gojq.Operator{gojq.OpUpdateAdd: gojq.OpAdd, gojq.OpUpdateSub: gojq.OpSub,
			gojq.OpUpdateMul: gojq.OpMul, gojq.OpUpdateDiv: gojq.OpDiv}[q.Op]
		// a op= b is b as $x | a |= . op $x
		const by = "$__by"
		changed := jqOfTwo(jqIdentity(), jqCall(by), op)
		if op == gojq.OpAdd {
			changed = g.counted(&gojq.Query{Left: jqIdentity(), Op: op, Right: jqCall(by)})
		}
		update := &gojq.Query{Left: q.Left, Op: gojq.OpModify, Right: changed}
		*q = *g.counted(&gojq.Query{Left: q.Right, Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: by}}, Right: update})
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAlt, gojq.OpUpdateMod:
		*q = *g.counted(&gojq.Query{Left: q.Left, Op: q.Op, Right: q.Right})
	}
}

// definition refuses the names of jq's own functions: a call must mean the same everywhere.
func (g *jqGuard) definition(def *gojq.FuncDef) {
	if !g.trusted {
		g.ownName(def.Name, len(def.Args))
		for _, arg := range def.Args {
			if !strings.HasPrefix(arg, "$") {
				g.ownName(arg, 0)
			}
		}
	}
	g.query(def.Body)
}

func (g *jqGuard) ownName(name string, arity int) {
	call := jqCall(name)
	for range arity {
		call.Term.Func.Args = append(call.Term.Func.Args, jqIdentity())
	}
	if _, err := gojq.Compile(call); err == nil || strings.HasPrefix(name, "_") || jqRefused[name] {
		g.fail("%s/%d is a function of jq, or of its own: choose another name", name, arity)
	}
}

func (g *jqGuard) patterns(list []*gojq.Pattern) {
	for _, p := range list {
		if strings.HasPrefix(p.Name, "$__") && !g.trusted {
			g.fail("variables that begin with $__ are reserved")
		}
		g.patterns(p.Array)
		for _, o := range p.Object {
			g.str(o.KeyString)
			g.query(o.KeyQuery)
			if strings.HasPrefix(o.Key, "$__") && !g.trusted {
				g.fail("variables that begin with $__ are reserved")
			}
			if o.Val != nil {
				g.patterns([]*gojq.Pattern{o.Val})
			}
		}
	}
}

// term guards what a term consists of, and the term.
func (g *jqGuard) term(t *gojq.Term) {
	if t == nil {
		return
	}
	g.index(t.Index)
	for _, suffix := range t.SuffixList {
		g.index(suffix.Index)
	}
	g.query(t.Query)
	switch t.Type {
	case gojq.TermTypeFunc:
		g.call(t)
	case gojq.TermTypeObject:
		for _, kv := range t.Object.KeyVals {
			g.str(kv.KeyString)
			g.query(kv.KeyQuery)
			g.query(kv.Val)
		}
		g.wrap(t, nil)
	case gojq.TermTypeArray:
		g.query(t.Array.Query)
		g.wrap(t, nil)
	case gojq.TermTypeUnary:
		g.term(t.Unary.Term)
	case gojq.TermTypeFormat:
		g.str(t.Str)
		g.wrap(t, jqRoomFor(jqFactors[t.Format]))
	case gojq.TermTypeString:
		g.str(t.Str)
		if len(t.Str.Queries) > 0 {
			g.wrap(t, nil)
		}
	case gojq.TermTypeIf:
		g.query(t.If.Cond)
		g.query(t.If.Then)
		for _, elif := range t.If.Elif {
			g.query(elif.Cond)
			g.query(elif.Then)
		}
		g.query(t.If.Else)
	case gojq.TermTypeTry:
		g.query(t.Try.Body)
		g.query(t.Try.Catch)
	case gojq.TermTypeReduce:
		g.query(t.Reduce.Query)
		g.patterns(t.Reduce.Patterns)
		g.query(t.Reduce.Start)
		g.query(t.Reduce.Update)
	case gojq.TermTypeForeach:
		g.query(t.Foreach.Query)
		g.patterns(t.Foreach.Patterns)
		g.query(t.Foreach.Start)
		g.query(t.Foreach.Update)
		g.query(t.Foreach.Extract)
	case gojq.TermTypeLabel:
		g.query(t.Label.Body)
	}
}

// str guards what is interpolated: each piece is turned into text by a step that may make six times as much.
func (g *jqGuard) str(s *gojq.String) {
	if s == nil {
		return
	}
	for _, q := range s.Queries {
		if q.Term != nil && q.Term.Str != nil {
			continue // a piece between two
		}
		g.query(q)
		inner := *q
		*q = gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: jqPipe(&inner, jqRoomFor(jqFactors["tostring"]))}}
	}
}

// index guards .[…]: a list that is assigned to far beyond its end becomes as long.
func (g *jqGuard) index(i *gojq.Index) {
	if i == nil {
		return
	}
	g.str(i.Str)
	for _, q := range []*gojq.Query{i.Start, i.End} {
		if q == nil {
			continue
		}
		if i.IsSlice {
			g.query(q)
			continue
		}
		if t := q.Term; t != nil && t.Type == gojq.TermTypeNumber && len(t.Number) < 6 && strings.Trim(t.Number, "0123456789") == "" {
			continue // small enough, and sooner found without a call
		}
		g.query(q)
		inner := *q
		*q = gojq.Query{Left: &inner, Op: gojq.OpPipe, Right: jqCall("_cs_index", jqCall(jqRunVariable))}
	}
}

func (g *jqGuard) call(t *gojq.Term) {
	f := t.Func
	arity := fmt.Sprintf("%s/%d", f.Name, len(f.Args))
	for _, arg := range f.Args {
		g.query(arg)
	}
	switch {
	case strings.HasPrefix(f.Name, "$"):
		if strings.HasPrefix(f.Name, "$__") && f.Name != "$__loc__" && !g.trusted {
			g.fail("variables that begin with $__ are reserved")
		}
		return
	case g.defined[arity]:
		return
	case g.trusted && strings.HasPrefix(f.Name, "_cs_"):
		return
	case jqRefused[f.Name] || strings.HasPrefix(f.Name, "_"):
		g.fail("the function %s is not supported", f.Name)
	}
	g.called = append(g.called, arity)
	var before *gojq.Query
	switch {
	case jqPrelude().defines(arity):
		return // which counts itself
	case jqProducts[f.Name] && len(f.Args) == 1:
		applied := jqPipe(jqCall("_cs_two", jqCall(jqRunVariable), jqIdentity(), f.Args[0]), jqApplied(f.Name))
		t.Type, t.Func, t.Query = gojq.TermTypeQuery, nil, applied
		return
	case f.Name == "setpath" || f.Name == "getpath":
		f.Args[0] = jqPipe(f.Args[0], jqCall("_cs_index", jqCall(jqRunVariable)))
	case f.Name == "nth" && len(f.Args) > 0:
		f.Args[0] = jqPipe(f.Args[0], jqCall("_cs_index", jqCall(jqRunVariable)))
	case jqFactors[f.Name] > 0:
		before = jqRoomFor(jqFactors[f.Name])
	}
	if !jqLazy[f.Name] {
		for i, arg := range f.Args {
			f.Args[i] = jqPipe(arg, jqCounted())
		}
	}
	if !jqFree[f.Name] {
		g.wrap(t, before)
	}
}

// wrap makes a term (before | term | count it), with the suffixes after that.
func (g *jqGuard) wrap(t *gojq.Term, before *gojq.Query) {
	inner := *t
	inner.SuffixList = nil
	q := g.counted(&gojq.Query{Term: &inner})
	if before != nil {
		q = jqPipe(before, q)
	}
	*t = gojq.Term{Type: gojq.TermTypeQuery, Query: q, SuffixList: t.SuffixList}
}

func (g *jqGuard) counted(q *gojq.Query) *gojq.Query { return jqPipe(q, jqCounted()) }

// The pieces that are put in. Each is a tree of its own.

func jqPipe(left, right *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: left, Op: gojq.OpPipe, Right: right}
}

func jqIdentity() *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}
}

func jqCall(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

// jqCounted counts the value that it is given. It is an if so that paths lead through it.
func jqCounted() *gojq.Query { return jqThrough(jqCall("_cs_count", jqCall(jqRunVariable))) }

// jqRoomFor asks whether there is room for that many times the value.
func jqRoomFor(factor int) *gojq.Query {
	number := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: fmt.Sprint(max(factor, 1))}}
	return jqThrough(jqCall("_cs_room", jqCall(jqRunVariable), number))
}

func jqThrough(cond *gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIf, If: &gojq.If{Cond: cond, Then: jqIdentity(), Else: jqIdentity()}}}
}

// jqOfTwo is an operation on two values that are looked at first, together.
func jqOfTwo(left, right *gojq.Query, op gojq.Operator) *gojq.Query {
	element := func(i string) *gojq.Query {
		number := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: i}}
		return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Start: number}}}
	}
	both := jqCall("_cs_two", jqCall(jqRunVariable), left, right)
	return jqPipe(both, jqPipe(&gojq.Query{Left: element("0"), Op: op, Right: element("1")}, jqCounted()))
}

// jqApplied calls a function of the first of two values with the second.
func jqApplied(name string) *gojq.Query {
	q, err := gojq.Parse(". as [$__a, $__b] | $__a | " + name + "($__b)")
	if err != nil {
		panic(err)
	}
	return jqPipe(q, jqCounted())
}

// walkJQ visits the queries of a program, from the outside in.
func walkJQ(q *gojq.Query, visit func(*gojq.Query)) {
	if q == nil {
		return
	}
	visit(q)
	for _, def := range q.FuncDefs {
		walkJQ(def.Body, visit)
	}
	walkJQ(q.Left, visit)
	walkJQ(q.Right, visit)
	if t := q.Term; t != nil {
		walkJQTerm(t, visit)
	}
}

func walkJQTerm(t *gojq.Term, visit func(*gojq.Query)) {
	var inner []*gojq.Query
	index := func(i *gojq.Index) {
		if i != nil {
			inner = append(inner, i.Start, i.End)
			if i.Str != nil {
				inner = append(inner, i.Str.Queries...)
			}
		}
	}
	index(t.Index)
	for _, suffix := range t.SuffixList {
		index(suffix.Index)
	}
	inner = append(inner, t.Query)
	if t.Func != nil {
		inner = append(inner, t.Func.Args...)
	}
	if t.Object != nil {
		for _, kv := range t.Object.KeyVals {
			inner = append(inner, kv.KeyQuery, kv.Val)
			if kv.KeyString != nil {
				inner = append(inner, kv.KeyString.Queries...)
			}
		}
	}
	if t.Array != nil {
		inner = append(inner, t.Array.Query)
	}
	if t.Unary != nil {
		walkJQTerm(t.Unary.Term, visit)
	}
	if t.Str != nil {
		inner = append(inner, t.Str.Queries...)
	}
	if t.If != nil {
		inner = append(inner, t.If.Cond, t.If.Then, t.If.Else)
		for _, elif := range t.If.Elif {
			inner = append(inner, elif.Cond, elif.Then)
		}
	}
	if t.Try != nil {
		inner = append(inner, t.Try.Body, t.Try.Catch)
	}
	if t.Reduce != nil {
		inner = append(inner, t.Reduce.Query, t.Reduce.Start, t.Reduce.Update)
	}
	if t.Foreach != nil {
		inner = append(inner, t.Foreach.Query, t.Foreach.Start, t.Foreach.Update, t.Foreach.Extract)
	}
	if t.Label != nil {
		inner = append(inner, t.Label.Body)
	}
	for _, q := range inner {
		walkJQ(q, visit)
	}
}
