package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// A pattern is a regular expression that is small enough to run on any text: package regexp takes time in
// proportion to the text and to the size of the expression, whose repetitions multiply it.
type pattern struct {
	*regexp.Regexp
	size int
}

// maxPattern bounds the size of a pattern: 10,000 steps take less than one MiB.
const maxPattern = 10_000

var errPatternSize = fmt.Errorf("a regular expression with more than %d steps: %w", maxPattern, ErrBudget)

func compilePattern(expr string) (*pattern, error) {
	if len(expr) > maxExpression {
		return nil, errPatternSize
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if isRepeatLimit(err) {
		return nil, errPatternSize
	}
	if err != nil {
		return nil, err
	}
	size := patternSize(tree)
	if size > maxPattern {
		return nil, errPatternSize
	}
	re, err := regexp.Compile(expr)
	return &pattern{re, size}, err
}

// patternSize estimates the number of instructions that package regexp makes of an expression.
func patternSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size = min(size+patternSize(sub), 2*maxPattern)
	}
	if re.Op == syntax.OpRepeat {
		size = min(size*max(re.Min, re.Max, 1), 2*maxPattern)
	}
	return size
}

// stepsPerVisit is how many steps of a regular expression cost as much as one visit of a value.
const stepsPerVisit = 32

// cost is what matching a text counts for.
func (p *pattern) cost(text string) int { return 1 + len(text)*p.size/stepsPerVisit }

// longText is from how many steps on a match must be able to stop in the middle.
const longText = 1 << 20

// matches reports whether the pattern matches somewhere in the text.
func (p *pattern) matches(e *evaluation, text string) (bool, error) {
	if err := e.spend(p.cost(text)); err != nil {
		return false, err
	}
	if len(text)*p.size < longText {
		return p.MatchString(text), nil
	}
	r := &interruptible[string]{ctx: e.ctx, text: text}
	found := p.MatchReader(r)
	return found, r.err
}

// submatches returns the places of the groups in a line, nil if it does not match.
func (p *pattern) submatches(ctx context.Context, line []byte) ([]int, error) {
	if len(line)*p.size < longText {
		return p.FindSubmatchIndex(line), nil
	}
	r := &interruptible[[]byte]{ctx: ctx, text: line}
	found := p.FindReaderSubmatchIndex(r)
	return found, r.err
}

// interruptible is a text that ends when its context does.
type interruptible[T ~string | ~[]byte] struct {
	ctx       context.Context
	text      T
	pos       int
	unchecked int
	err       error
}

func (r *interruptible[T]) ReadRune() (rune, int, error) {
	if r.unchecked++; r.unchecked >= checkEvery {
		r.unchecked = 0
		r.err = r.ctx.Err()
	}
	if r.err != nil || r.pos >= len(r.text) {
		return 0, 0, io.EOF
	}
	if c := r.text[r.pos]; c < utf8.RuneSelf {
		r.pos++
		return rune(c), 1, nil
	}
	char, size := utf8.DecodeRuneInString(string(r.text[r.pos:min(r.pos+utf8.UTFMax, len(r.text))]))
	r.pos += size
	return char, size, nil
}

// newPattern compiles the pattern of a text. Its groups name the columns.
func newPattern(expr string) (*pattern, error) {
	if expr == "" {
		return nil, errors.New("the format text needs a pattern, such as (?P<name>\\w+)=(?P<value>\\d+)")
	}
	p, err := compilePattern(expr)
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(slices.Clone(p.SubexpNames()), func(name string) bool { return name == "" })
	if len(names) == 0 {
		return nil, errors.New("a pattern names its groups, as in (?P<name>…)")
	}
	if slices.Sort(names); len(slices.Compact(slices.Clone(names))) < len(names) {
		return nil, errors.New("a pattern has each name once")
	}
	return p, nil
}

// newIRegexp compiles an I-Regexp. It returns nil for what is none: match and search are false for that.
func newIRegexp(expr string, whole bool) (*pattern, error) {
	translated, ok := iRegexp(expr, whole)
	if !ok {
		return nil, nil
	}
	p, err := compilePattern(translated)
	if err != nil && !errors.Is(err, ErrBudget) {
		return nil, nil
	}
	return p, err
}

// isRepeatLimit tells an expression that package regexp finds too large from one that is wrong.
func isRepeatLimit(err error) bool {
	e, ok := errors.AsType[*syntax.Error](err)
	return ok && (e.Code == syntax.ErrInvalidRepeatSize || e.Code == syntax.ErrLarge || e.Code == syntax.ErrNestingDepth)
}

// iRegexp makes a regular expression of package regexp of one of RFC 9485, which is what match and
// search of JSONPath take; ok is false for what the RFC does not allow. Beyond its grammar ^ and $ are
// anchors, as the compliance suite has it.
func iRegexp(expr string, whole bool) (string, bool) {
	var out strings.Builder
	if whole {
		out.WriteString(`\A(?:`)
	}
	for i := 0; i < len(expr); {
		n := 1
		switch c := expr[i]; c {
		case '.':
			out.WriteString(`[^\n\r]`)
		case '\\':
			if n = iEscape(expr[i:]); n == 0 {
				return "", false
			}
			out.WriteString(expr[i : i+n])
		case '[':
			if n = iClass(expr[i:]); n == 0 {
				return "", false
			}
			out.WriteString(expr[i : i+n])
		case '*', '+', '?':
			if i+1 < len(expr) && strings.IndexByte("*+?{", expr[i+1]) >= 0 || strings.HasSuffix(expr[:i], "(") {
				return "", false // neither lazy nor possessive, and no flags
			}
			out.WriteByte(c)
		case '{':
			if n = iQuantity(expr[i:]); n == 0 {
				return "", false
			}
			out.WriteString(expr[i : i+n])
		case ']', '}':
			return "", false
		default:
			out.WriteByte(c)
		}
		i += n
	}
	if whole {
		out.WriteString(`)\z`)
	}
	return out.String(), true
}

// iEscape is the length of the escape at the beginning of text, 0 if RFC 9485 has none like it.
func iEscape(text string) int {
	if len(text) < 2 {
		return 0
	}
	switch c := text[1]; {
	case strings.IndexByte(`()*+-.?[\]^nrt{|}$`, c) >= 0:
		return 2
	case c == 'p' || c == 'P':
		end := strings.IndexByte(text, '}')
		if len(text) < 5 || text[2] != '{' || end < 4 || end > 5 || strings.IndexByte("LMNPZSC", text[3]) < 0 {
			return 0
		}
		return end + 1
	}
	return 0
}

// iClass is the length of the class of characters at the beginning of text, 0 if it is none.
func iClass(text string) int {
	i := 1
	if i < len(text) && text[i] == '^' {
		i++
	}
	for first := i; i < len(text); {
		switch text[i] {
		case ']':
			if i == first {
				return 0
			}
			return i + 1
		case '[':
			return 0
		case '\\':
			n := iEscape(text[i:])
			if n == 0 {
				return 0
			}
			i += n
		default:
			i++
		}
	}
	return 0
}

// iQuantity is the length of the {n,m} at the beginning of text, 0 if it is none.
func iQuantity(text string) int {
	end := strings.IndexByte(text, '}')
	if end < 2 || text[1] == ',' || strings.Trim(text[1:end], "0123456789,") != "" || strings.Count(text[:end], ",") > 1 {
		return 0
	}
	return end + 1
}
