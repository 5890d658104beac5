package extract

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxExpression bounds the length of a path, and with it the depth of its parentheses.
const maxExpression = 4 << 10

// parsePath reads the grammar of RFC 9535, appendix A.
func parsePath(expr string) ([]segment, error) {
	p := &pathParser{expr: expr}
	switch {
	case len(expr) > maxExpression:
		return nil, p.fail(maxExpression, "longer than %d bytes", maxExpression)
	case !utf8.ValidString(expr):
		return nil, p.fail(firstInvalid(expr), "not valid UTF-8")
	case !p.take('$'):
		return nil, p.fail(0, "%s", p.suggestRoot())
	}
	segments, err := p.segments()
	if err != nil {
		return nil, err
	}
	if p.pos < len(expr) {
		return nil, p.unexpected(`".", "[" or the end of the path; a name with other characters than letters, digits and _ is written ['so-and-so']`)
	}
	return segments, nil
}

type pathParser struct {
	expr string
	pos  int
}

// segments reads as many as there are. It is the body of the path itself and of each query in a filter.
func (p *pathParser) segments() ([]segment, error) {
	var segments []segment
	for {
		before := p.pos
		p.blank()
		if !p.at('.') && !p.at('[') {
			p.pos = before
			return segments, nil
		}
		s, err := p.segment()
		if err != nil {
			return nil, err
		}
		segments = append(segments, s)
	}
}

func (p *pathParser) segment() (s segment, err error) {
	if p.at('[') {
		s.selectors, err = p.bracket()
		return s, err
	}
	p.pos++
	s.descend = p.take('.')
	switch {
	case p.take('*'):
		s.selectors = []selector{wildcard{}}
	case s.descend && p.at('['):
		s.selectors, err = p.bracket()
	default:
		var name string
		name, err = p.shorthand()
		s.selectors = []selector{nameSelector(name)}
	}
	return s, err
}

// shorthand reads the name after a dot.
func (p *pathParser) shorthand() (string, error) {
	start := p.pos
	for p.pos < len(p.expr) {
		r, size := utf8.DecodeRuneInString(p.expr[p.pos:])
		digit := '0' <= r && r <= '9'
		if !(isLetter(r) || r == '_' || r >= utf8.RuneSelf || digit && p.pos > start) {
			break
		}
		p.pos += size
	}
	if p.pos == start {
		return "", p.unexpected(`a name (letters, digits and _, not a digit first; others are written ['so-and-so'])`)
	}
	return p.expr[start:p.pos], nil
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

func (p *pathParser) bracket() ([]selector, error) {
	p.pos++
	var selectors []selector
	for {
		p.blank()
		s, err := p.selector()
		if err != nil {
			return nil, err
		}
		selectors = append(selectors, s)
		p.blank()
		switch {
		case p.take(','):
		case p.take(']'):
			return selectors, nil
		default:
			return nil, p.unexpected(`"," or "]"`)
		}
	}
}

func (p *pathParser) selector() (selector, error) {
	switch {
	case p.at('\'') || p.at('"'):
		name, err := p.quoted()
		return nameSelector(name), err
	case p.take('*'):
		return wildcard{}, nil
	case p.take('?'):
		p.blank()
		condition, err := p.or()
		return filter{condition}, err
	case p.at('('):
		return nil, p.fail(p.pos, "script expressions are not part of JSONPath; a filter is written ?(…)")
	case p.at(':') || p.at('-') || p.atDigit():
		return p.indexOrSlice()
	default:
		return nil, p.unexpected("a quoted name, an index, a slice, * or a filter")
	}
}

func (p *pathParser) indexOrSlice() (selector, error) {
	start, err := p.optionalInt()
	if err != nil {
		return nil, err
	}
	afterStart := p.pos
	p.blank()
	if !p.take(':') {
		p.pos = afterStart
		return indexSelector(*start), nil // the caller saw a digit or a sign
	}
	p.blank()
	s := slice{start: start, step: 1}
	if s.end, err = p.optionalInt(); err != nil {
		return nil, err
	}
	p.blank()
	if p.take(':') {
		p.blank()
		step, err := p.optionalInt()
		if err != nil {
			return nil, err
		}
		if step != nil {
			s.step = *step
		}
	}
	return s, nil
}

// optionalInt reads an integer in the range that every JSON implementation keeps exactly.
func (p *pathParser) optionalInt() (*int64, error) {
	const maxInt = 1<<53 - 1
	if !p.at('-') && !p.atDigit() {
		return nil, nil
	}
	start := p.pos
	p.take('-')
	digits := p.pos
	for p.atDigit() {
		p.pos++
	}
	text := p.expr[start:p.pos]
	switch {
	case p.pos == digits:
		return nil, p.unexpected("a digit")
	case p.expr[digits] == '0' && len(text) > 1:
		return nil, p.fail(start, "an integer has no leading zero and zero no sign, found %s", text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > maxInt || n < -maxInt {
		return nil, p.fail(start, "an integer is at most 2^53-1, found %s", text)
	}
	return &n, nil
}

// quoted reads a string literal in either kind of quotes.
func (p *pathParser) quoted() (string, error) {
	quote := p.expr[p.pos]
	start := p.pos
	p.pos++
	var text strings.Builder
	for p.pos < len(p.expr) {
		r, size := utf8.DecodeRuneInString(p.expr[p.pos:])
		switch {
		case r == rune(quote):
			p.pos++
			return text.String(), nil
		case r < ' ':
			return "", p.unexpected("no control character in a string; write it as \\u00XX")
		case r == '\\':
			escaped, err := p.escape(quote)
			if err != nil {
				return "", err
			}
			text.WriteRune(escaped)
		default:
			text.WriteRune(r)
			p.pos += size
		}
	}
	return "", p.fail(start, "a string without a closing %c", quote)
}

func (p *pathParser) escape(quote byte) (rune, error) {
	p.pos++
	if p.pos >= len(p.expr) {
		return 0, p.unexpected("an escape")
	}
	c := p.expr[p.pos]
	if r, ok := controls[c]; ok {
		p.pos++
		return r, nil
	}
	switch c {
	case quote, '\\', '/':
		p.pos++
		return rune(c), nil
	case 'u':
		return p.unicodeEscape()
	}
	return 0, p.unexpected(fmt.Sprintf(`one of b f n r t u / \ %c after \`, quote))
}

func (p *pathParser) unicodeEscape() (rune, error) {
	start := p.pos - 1
	r, ok := hex4(p.expr, p.pos+1)
	if !ok {
		return 0, p.fail(start, "\\u takes four hexadecimal digits")
	}
	p.pos += 5
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if strings.HasPrefix(p.expr[p.pos:], `\u`) {
		if low, ok := hex4(p.expr, p.pos+2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				p.pos += 6
				return pair, nil
			}
		}
	}
	return 0, p.fail(start, "a surrogate without its other half")
}

func (p *pathParser) blank() {
	for p.at(' ') || p.at('\t') || p.at('\n') || p.at('\r') {
		p.pos++
	}
}

func (p *pathParser) at(c byte) bool { return p.pos < len(p.expr) && p.expr[p.pos] == c }

func (p *pathParser) atDigit() bool {
	return p.pos < len(p.expr) && '0' <= p.expr[p.pos] && p.expr[p.pos] <= '9'
}

func (p *pathParser) take(c byte) bool {
	if !p.at(c) {
		return false
	}
	p.pos++
	return true
}

func (p *pathParser) fail(pos int, rule string, args ...any) *PathError {
	return &PathError{Expr: p.expr, Offset: pos, Rule: fmt.Sprintf(rule, args...)}
}

func (p *pathParser) unexpected(expected string) *PathError {
	found := "the end"
	if p.pos < len(p.expr) {
		r, _ := utf8.DecodeRuneInString(p.expr[p.pos:])
		found = strconv.QuoteRune(r)
	}
	return p.fail(p.pos, "expected %s, found %s", expected, found)
}

// firstInvalid is the place of the first byte that is not UTF-8.
func firstInvalid(s string) int {
	for i, r := range s {
		if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
			return i
		}
	}
	return len(s)
}

// suggestRoot is the rule for a path without its $, with the path that was probably meant.
func (p *pathParser) suggestRoot() string {
	const rule = "a path starts with $"
	meant := "$." + p.expr
	switch {
	case p.expr == "":
		return rule
	case p.expr[0] == '@':
		meant = "$" + p.expr[1:]
	case p.expr[0] == '.' || p.expr[0] == '[':
		meant = "$" + p.expr
	}
	if _, err := parsePath(meant); err != nil {
		return rule
	}
	return rule + ": write " + meant
}
