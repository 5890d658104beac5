package extract

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A scanPlan reads records of the common shape in one pass over the bytes: a list that lies some names
// below the document, and fields that lie some names below a record. No tree is built, and what nobody
// asked for is checked but not decoded.
//
// It reads answers that are as they should be. Whenever there is a doubt (a text that is no JSON, a list
// that is not there, a value of another type) it gives up, and the answer is read again in the general
// way, which says what is wrong. So there is nothing that the two could disagree about but a record, and
// a fuzz test sees to those.
type scanPlan struct {
	list     []scanStep
	wildcard bool // [*] after them: an array it must be
	fields   []*field
	root     *scanNode
	place    []int // of each field that has a path: its slot
	slots    int
}

// A scanStep is a name, or an index where the name is empty and index is not -1.
type scanStep struct {
	name  string
	index int
}

// scanNode is a place below a record: a value that a field wants, or the way to such values.
type scanNode struct {
	members  []scanEdge
	elements []scanEdge
	slot     int // -1 on the way
	from, to int // the slots from here on
}

type scanEdge struct {
	scanStep
	node *scanNode
}

// newScanPlan returns nil for mappings of another shape. Fields must not overlap, so that no value is
// copied twice and the budget of the general way holds by itself.
func newScanPlan(m Mapping, fields []*field) *scanPlan {
	if len(fields) == 0 || m.Language == JQ || m.Format != "" && m.Format != FormatJSON && m.Format != FormatNDJSON {
		return nil
	}
	path, err := CompilePath(m.recordsPath())
	if err != nil {
		return nil
	}
	p := &scanPlan{fields: fields, root: &scanNode{slot: -1}, place: make([]int, len(fields))}
	segments := path.query.segments
	if n := len(segments); n > 0 && !segments[n-1].descend && len(segments[n-1].selectors) == 1 {
		if _, p.wildcard = segments[n-1].selectors[0].(wildcard); p.wildcard {
			segments = segments[:n-1]
		}
	}
	var ok bool
	if p.list, ok = scanSteps(segments); !ok {
		return nil
	}
	for i, f := range fields {
		if f.source != nil {
			continue
		}
		q, isPath := f.expr.(*query)
		if !isPath || len(f.fields) > 0 || len(q.segments) == 0 {
			return nil
		}
		steps, ok := scanSteps(q.segments)
		if !ok || !p.root.add(steps, i) {
			return nil
		}
	}
	p.slots = p.root.number(0, p.place)
	return p
}

func scanSteps(segments []segment) ([]scanStep, bool) {
	steps := make([]scanStep, len(segments))
	for i, s := range segments {
		switch selector := own(s).(type) {
		case nameSelector:
			name := string(selector)
			if end, plain := plainString([]byte(name+`"`), -1); !plain || end != len(name) {
				return nil, false // a name that may be written in several ways
			}
			steps[i] = scanStep{name, -1}
		case indexSelector:
			if selector < 0 {
				return nil, false
			}
			steps[i] = scanStep{"", int(selector)}
		default:
			return nil, false
		}
	}
	return steps, true
}

// add makes the way to the value of a field. It fails where another is on the way, or beyond.
func (n *scanNode) add(steps []scanStep, field int) bool {
	for _, step := range steps {
		if n.slot >= 0 {
			return false
		}
		edges := &n.members
		if step.index >= 0 {
			edges = &n.elements
		}
		at := slices.IndexFunc(*edges, func(e scanEdge) bool { return e.scanStep == step })
		if at < 0 {
			at = len(*edges)
			*edges = append(*edges, scanEdge{step, &scanNode{slot: -1}})
		}
		n = (*edges)[at].node
	}
	if n.slot >= 0 || len(n.members)+len(n.elements) > 0 {
		return false
	}
	n.slot = field
	return true
}

// number gives out the slots, in the order of the tree: those below a node are a run.
func (n *scanNode) number(next int, place []int) int {
	n.from = next
	if n.slot >= 0 {
		place[n.slot], n.slot = next, next
		next++
	}
	for _, edges := range [][]scanEdge{n.members, n.elements} {
		for _, edge := range edges {
			next = edge.node.number(next, place)
		}
	}
	n.to = next
	return next
}

// scanner reads texts, one after the other.
type scanner struct {
	decoder
	*scanPlan
	answer  Answer
	values  []any  // by slot
	found   []bool // by slot
	records []Record
	block   []Value         // of which records take their values
	texts   strings.Builder // of which values take their text
}

func (p *scanPlan) scanner(e *evaluation) *scanner {
	return &scanner{decoder: decoder{ctx: e.ctx}, scanPlan: p, answer: e.answer,
		values: make([]any, p.slots), found: make([]bool, p.slots)}
}

// scan reads the records of a text, of an answer of which that many values were read before. It returns
// ok false where it gives up, and else how many values there are now. The slice is used again by the next
// scan, the records in it are not.
func (s *scanner) scan(text []byte, before int) (records []Record, values int, ok bool) {
	s.data, s.pos, s.depth, s.decoder.values, s.records = text, 0, 0, before, s.records[:0]
	s.pendingNames, s.pendingValues = s.pendingNames[:0], s.pendingValues[:0]
	if bytes.HasPrefix(text, []byte("\uFEFF")) {
		s.pos = len("\uFEFF")
	}
	if !s.seek(s.list) {
		return nil, 0, false
	}
	if s.space(); s.pos < len(text) {
		return nil, 0, false
	}
	return s.records, s.decoder.values, true
}

// give gives out the records of a text of the common shape. It reports whether it was one.
func (s *scanner) give(e *evaluation, text []byte, yield func(any, error) error) (bool, error) {
	if s == nil {
		return false, nil
	}
	records, values, ok := s.scan(text, e.values)
	if !ok {
		return false, nil
	}
	e.enter(Document{values: values - e.values})
	for i := range records {
		if err := yield(&records[i], nil); err != nil {
			return true, err
		}
	}
	return true, nil
}

// begin counts a value and stops at its first byte, 0 at the end of the text.
func (s *scanner) begin() byte {
	if s.decoder.count() != nil {
		return 0
	}
	s.space()
	if s.pos >= len(s.data) {
		return 0
	}
	return s.data[s.pos]
}

// seek follows the way to the list, and reads it.
func (s *scanner) seek(steps []scanStep) bool {
	c := s.begin()
	if len(steps) == 0 {
		return s.readList(c)
	}
	step, found := steps[0], false
	next := func() bool {
		found = true
		s.records = s.records[:0] // of a name that comes twice the last value wins
		return s.seek(steps[1:])
	}
	var ok bool
	switch {
	case c == '{' && step.index < 0:
		only := []scanEdge{{step, nil}}
		ok = s.object(func() bool {
			edge, ok := s.member(only)
			if !ok {
				return false
			}
			if edge == nil {
				return s.skip()
			}
			return next()
		})
	case c == '[' && step.index >= 0:
		ok = s.array(func(i int) bool {
			if i == step.index {
				return next()
			}
			return s.skip()
		})
	}
	return ok && found
}

// readList reads the records of the value that begins here.
func (s *scanner) readList(c byte) bool {
	switch {
	case c == '[':
		return s.array(func(int) bool { return s.record() })
	case s.wildcard:
		return false
	case c == 'n':
		return s.literal("null") == nil
	case c == '{':
		s.decoder.values-- // record counts it again
		return s.record()
	default:
		return false
	}
}

func (s *scanner) record() bool {
	if s.ctx.Err() != nil {
		return false
	}
	clear(s.found)
	if !s.fill(s.root) {
		return false
	}
	n := len(s.fields)
	if len(s.block) < n {
		const fewest, most = 16, 256 // records to a block
		s.block = make([]Value, n*min(max(fewest, len(s.records)), most))
	}
	values := s.block[:n:n]
	s.block = s.block[n:]
	for i, f := range s.fields {
		var value any
		var found bool
		if f.source != nil {
			value = f.source(s.answer)
			found = value != nil
		} else if at := s.place[i]; s.found[at] {
			value, found = s.values[at], true
		}
		value, err := f.finish(value, found)
		if err != nil {
			return false
		}
		values[i] = Value{f.Name, value}
	}
	s.records = append(s.records, Record{values})
	return true
}

// object calls each for every member, before its name.
func (s *scanner) object(each func() bool) bool {
	if s.enter() != nil {
		return false
	}
	defer s.leave()
	if s.space(); s.at('}') {
		s.pos++
		return true
	}
	for {
		if s.space(); !s.at('"') || !each() {
			return false
		}
		if more, ok := s.next('}'); !ok || !more {
			return ok
		}
	}
}

// array calls each for every element, before it.
func (s *scanner) array(each func(i int) bool) bool {
	if s.enter() != nil {
		return false
	}
	defer s.leave()
	if s.space(); s.at(']') {
		s.pos++
		return true
	}
	for i := 0; ; i++ {
		if !each(i) {
			return false
		}
		if more, ok := s.next(']'); !ok || !more {
			return ok
		}
	}
}

// next passes over a comma, when there is more, or over the end.
func (s *scanner) next(end byte) (more, ok bool) {
	s.space()
	switch {
	case s.at(','):
		s.pos++
		return true, true
	case s.at(end):
		s.pos++
		return false, true
	default:
		return false, false
	}
}

// member reads the name of a member and its colon, and returns the edge of that name, or nil.
func (s *scanner) member(edges []scanEdge) (*scanEdge, bool) {
	start := s.pos + 1
	var match *scanEdge
	for i := range edges {
		name := edges[i].name
		if end := start + len(name); end < len(s.data) && s.data[end] == '"' && string(s.data[start:end]) == name {
			match, s.pos = &edges[i], end+1
			break
		}
	}
	if match == nil {
		end, plain := plainString(s.data, s.pos)
		if plain {
			s.pos = end + 1
		} else { // the name may be one of ours, written with escapes
			name, err := s.unquote()
			if err != nil {
				return nil, false
			}
			if i := slices.IndexFunc(edges, func(e scanEdge) bool { return e.name == name }); i >= 0 {
				match = &edges[i]
			}
		}
	}
	if s.space(); !s.at(':') {
		return nil, false
	}
	s.pos++
	return match, true
}

// fill reads the value that begins here into the slots of a node.
func (s *scanner) fill(n *scanNode) bool {
	if n.slot >= 0 {
		return s.take(n.slot)
	}
	c := s.begin()
	switch {
	case c == '{' && len(n.members) > 0:
		return s.object(func() bool {
			edge, ok := s.member(n.members)
			if !ok {
				return false
			}
			if edge == nil {
				return s.skip()
			}
			clear(s.found[edge.node.from:edge.node.to]) // what an earlier member of this name had
			return s.fill(edge.node)
		})
	case c == '[' && len(n.elements) > 0:
		return s.array(func(i int) bool {
			for _, edge := range n.elements {
				if edge.index == i {
					return s.fill(edge.node)
				}
			}
			return s.skip()
		})
	default:
		s.decoder.values-- // skip counts it again
		return s.skip()
	}
}

// take decodes a value into a slot.
func (s *scanner) take(slot int) bool {
	c := s.begin()
	var value any
	switch {
	case c == '"':
		end, plain := plainString(s.data, s.pos)
		if plain {
			value = s.text(s.data[s.pos+1 : end])
			s.pos = end + 1
			break
		}
		text, err := s.unquote()
		if err != nil {
			return false
		}
		value = text
	case c == '-' || '0' <= c && c <= '9':
		end := skipNumber(s.data, s.pos)
		if end < 0 {
			return false
		}
		value = json.Number(s.text(s.data[s.pos:end]))
		s.pos = end
	case c == 0:
		return false
	default:
		s.decoder.values-- // value counts it again
		node, err := s.value()
		if err != nil {
			return false
		}
		if value, err = export(node, func() error { return nil }); err != nil {
			return false
		}
	}
	s.values[slot], s.found[slot] = value, true
	return true
}

// text copies a piece of the answer. Pieces share memory with those of about a page around them.
func (s *scanner) text(piece []byte) string {
	const page = 4 << 10
	if s.texts.Cap()-s.texts.Len() < len(piece) {
		s.texts = strings.Builder{}
		s.texts.Grow(max(min(page, len(s.data)-s.pos), len(piece)))
	}
	start := s.texts.Len()
	s.texts.Write(piece)
	return s.texts.String()[start:]
}
