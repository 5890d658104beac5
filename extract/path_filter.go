package extract

import (
	"encoding/json"
	"strings"
)

// The logical expression after a ?, from the loosest binding to the tightest: || then && then ! and
// comparisons.

func (p *pathParser) or() (condition, error) {
	var alternatives anyOf
	for {
		c, err := p.and()
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, c)
		if !p.operator("||") {
			break
		}
	}
	if len(alternatives) == 1 {
		return alternatives[0], nil
	}
	return alternatives, nil
}

func (p *pathParser) and() (condition, error) {
	var all allOf
	for {
		p.blank()
		c, err := p.basic()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		if !p.operator("&&") {
			break
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func (p *pathParser) basic() (condition, error) {
	if p.take('!') {
		p.blank()
		c, err := p.negated()
		return not{c}, err
	}
	if p.at('(') {
		return p.parenthesis()
	}
	start := p.pos
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	op, found := p.comparison()
	if !found {
		return p.test(start, left)
	}
	if err := p.checkValue(start, left); err != nil {
		return nil, err
	}
	p.blank()
	start = p.pos
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	return comparison{left, right, op}, p.checkValue(start, right)
}

// negated reads what may follow a !: a parenthesis or a query, not a comparison.
func (p *pathParser) negated() (condition, error) {
	if p.at('(') {
		return p.parenthesis()
	}
	start := p.pos
	o, err := p.operand()
	if err != nil {
		return nil, err
	}
	if _, found := p.comparison(); found {
		return nil, p.fail(start, "! takes a path or a parenthesis: write !(…) around the comparison")
	}
	return p.test(start, o)
}

func (p *pathParser) parenthesis() (condition, error) {
	p.pos++
	c, err := p.or()
	if err != nil {
		return nil, err
	}
	p.blank()
	if !p.take(')') {
		return nil, p.unexpected(`")", "&&" or "||"`)
	}
	return c, nil
}

func (p *pathParser) operand() (operand, error) {
	switch {
	case p.at('@') || p.at('$'):
		return p.query()
	case p.at('\'') || p.at('"'):
		text, err := p.quoted()
		return operand{literal: text}, err
	case p.at('-') || p.atDigit():
		end := scanNumber(p.expr, p.pos)
		if end < 0 {
			p.pos = -end
			return operand{}, p.unexpected("a digit")
		}
		number := json.Number(p.expr[p.pos:end])
		p.pos = end
		return operand{literal: number}, nil
	default:
		return p.word()
	}
}

func (p *pathParser) query() (operand, error) {
	start := p.pos
	absolute := p.at('$')
	p.pos++
	segments, err := p.segments()
	if err != nil {
		return operand{}, err
	}
	q, err := newQuery(segments)
	if err != nil {
		return operand{}, p.fail(start, "%s", err)
	}
	return operand{query: q, absolute: absolute}, nil
}

// word reads true, false, null and the calls of functions.
func (p *pathParser) word() (operand, error) {
	start := p.pos
	for p.pos < len(p.expr) && (isLetter(rune(p.expr[p.pos])) || p.pos > start && (p.at('_') || p.atDigit())) {
		p.pos++
	}
	switch word := p.expr[start:p.pos]; {
	case word == "true":
		return operand{literal: true}, nil
	case word == "false":
		return operand{literal: false}, nil
	case word == "null":
		return operand{literal: nil}, nil
	case word != "" && word == strings.ToLower(word) && p.at('('):
		return p.call(start, word)
	default:
		p.pos = start
		return operand{}, p.unexpected("a path (@ or $), a number, a quoted string, true, false or null")
	}
}

func (p *pathParser) operator(word string) bool {
	before := p.pos
	p.blank()
	if strings.HasPrefix(p.expr[p.pos:], word) {
		p.pos += len(word)
		return true
	}
	p.pos = before
	return false
}

func (p *pathParser) comparison() (string, bool) {
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if p.operator(op) {
			return op, true
		}
	}
	return "", false
}
