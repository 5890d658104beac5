package extract

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// jqFunctions are what jqGuard puts into programs. The first argument of each is the jqRun.
func jqFunctions() []gojq.CompilerOption {
	with := func(name string, arguments int, f func(r *jqRun, value any, args []any) any) gojq.CompilerOption {
		return gojq.WithFunction(name, arguments+1, arguments+1, func(value any, args []any) any {
			return f(args[0].(*jqRun), value, args[1:])
		})
	}
	return []gojq.CompilerOption{
		with("_cs_count", 0, jqCount),
		with("_cs_room", 1, jqRoom),
		with("_cs_index", 0, jqIndex),
		with("_cs_two", 2, jqTwo),
		with("_cs_join", 1, jqJoin),
		with("_cs_match", 3, jqMatch),
	}
}

func jqCount(r *jqRun, value any, _ []any) any {
	if f, is := value.(float64); is && math.IsInf(f, 0) {
		return errJQOverflow // before it is written in a text
	}
	if err := r.spend(jqSize(value, r.bytes)); err != nil {
		return err
	}
	return true
}

func jqRoom(r *jqRun, value any, args []any) any {
	factor := args[0].(int)
	if err := r.room(factor*jqSize(value, r.transient), r.transient); err != nil {
		return err
	}
	if text, is := value.(string); is && longestDigits(text) > maxInteger { // as fromjson and tonumber read it
		return r.room(1, 0)
	}
	return true
}

// longestDigits is the length of the longest run of digits: to read a number takes the square of its length.
func longestDigits(text string) int {
	if len(text) <= maxInteger {
		return 0
	}
	longest, run := 0, 0
	for i := range len(text) {
		if run++; text[i] < '0' || text[i] > '9' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// jqIndex wants an index, or a path of them, that no list has to grow for.
func jqIndex(r *jqRun, value any, _ []any) any {
	check := func(v any) error {
		if i, ok := gojq.ToInt(v); ok {
			return r.room(i, maxValues)
		}
		return nil
	}
	if i, ok := gojq.ToInt(value); ok && i < 0 {
		return value
	}
	if path, is := value.([]any); is {
		for _, step := range path {
			if i, ok := gojq.ToInt(step); ok && i < 0 {
				continue
			}
			if err := check(step); err != nil {
				return err
			}
		}
		return value
	}
	if err := check(value); err != nil {
		return err
	}
	return value
}

// jqTwo gives two values if what * - / contains and index make of them, and how long they take, is bounded.
func jqTwo(r *jqRun, _ any, args []any) any {
	const most, mostText = 1 << 26, 1 << 28 // pairs of values, and of bytes
	left, right := args[0], args[1]
	var err error
	switch l := left.(type) {
	case string:
		if n, ok := gojq.ToFloat64(right); ok {
			err = repeats(r, l, n)
		} else if s, ok := right.(string); ok {
			err = r.room(32*len(l), r.transient) // l / s, and where s is in l
			if err == nil {
				err = r.room(len(l)*len(s), mostText)
			}
		}
	case []any:
		err = r.room(jqSize(l, most)/16*(jqSize(right, most)/16), most)
	case map[string]any:
		err = r.room(jqSize(l, most)/16*(jqSize(right, most)/16), most)
	default:
		if s, ok := right.(string); ok {
			if n, ok := gojq.ToFloat64(left); ok {
				err = repeats(r, s, n)
			}
		} else {
			err = r.room(max(digitsOf(left), digitsOf(right)), 10*maxInteger)
		}
	}
	if err != nil {
		return err
	}
	return []any{left, right}
}

func repeats(r *jqRun, s string, n float64) error {
	if n < 0 {
		return nil
	}
	return r.room(int(min(float64(len(s))*n, math.MaxInt32)), min(r.transient, r.bytes))
}

func digitsOf(number any) int {
	switch number := number.(type) {
	case *big.Int:
		return number.BitLen() / 3
	case json.Number:
		return len(number)
	default:
		return 0
	}
}

// jqJoin is join, of texts, numbers, booleans and nulls.
func jqJoin(r *jqRun, value any, args []any) any {
	list, ok := value.([]any)
	if !ok {
		return errors.New("join takes a list")
	}
	separator, ok := args[0].(string)
	if !ok {
		return errors.New("join takes a text to put between")
	}
	texts := make([]string, len(list))
	for i, element := range list {
		switch element := element.(type) {
		case nil:
		case string:
			texts[i] = element
		case []any, map[string]any:
			return errors.New("join takes a list of texts")
		default:
			text, err := gojq.Marshal(element)
			if err != nil {
				return err
			}
			texts[i] = string(text)
		}
		if err := r.spend(len(texts[i]) + len(separator)); err != nil {
			return err
		}
	}
	return strings.Join(texts, separator)
}

// jqMatch gives the matches of a regular expression, or whether there is one.
func jqMatch(r *jqRun, value any, args []any) any {
	text, ok := value.(string)
	if !ok {
		return errors.New("a regular expression matches texts only")
	}
	expr, ok := args[0].(string)
	if !ok {
		return errors.New("a regular expression is a text")
	}
	flags, _ := args[1].(string)
	p, global, noEmpty, err := r.pattern(expr, flags)
	if err != nil {
		return err
	}
	if args[2] == true {
		found, err := p.matches(r.e, text)
		if err != nil {
			r.err = err
			return err
		}
		return found
	}
	matches := []any{}
	for at := 0; at <= len(text); {
		if err := r.e.spend(p.cost(text[at:])); err != nil {
			r.err = err
			return err
		}
		places := p.FindStringSubmatchIndex(text[at:])
		if places == nil {
			break
		}
		if places[0] != places[1] || !noEmpty {
			const perMatch = 1024
			if err := r.spend(perMatch * len(places)); err != nil {
				return err
			}
			matches = append(matches, jqMatchOf(p.Regexp, text, at, places))
		}
		if !global {
			break
		}
		end := at + places[1]
		if places[0] == places[1] {
			_, size := utf8.DecodeRuneInString(text[end:])
			end += max(size, 1)
		}
		at = end
	}
	return matches
}

// pattern compiles a regular expression with the flags of jq, the same one once.
func (r *jqRun) pattern(expr, flags string) (p *pattern, global, noEmpty bool, err error) {
	set := ""
	for _, flag := range flags {
		switch flag {
		case 'g':
			global = true
		case 'n':
			noEmpty = true
		case 'i':
			set += "i"
		case 's', 'p':
			set += "s"
		default:
			return nil, false, false, errors.New("the flags of regular expressions are g, n, i, s and p")
		}
	}
	if set != "" {
		expr = "(?" + set + ")" + expr
	}
	key := compiledPattern{expr: expr}
	if p, known := r.e.patterns[key]; known && p != nil {
		return p, global, noEmpty, nil
	}
	if err := r.spend(64 * len(expr)); err != nil {
		return nil, false, false, err
	}
	if p, err = compilePattern(expr); err != nil {
		if errors.Is(err, ErrBudget) {
			r.err = err
		}
		return nil, false, false, err
	}
	r.e.keepPattern(key, p)
	return p, global, noEmpty, nil
}

// jqMatchOf is a match as jq shows it, with offsets in characters.
func jqMatchOf(re *regexp.Regexp, text string, at int, places []int) map[string]any {
	part := func(i int) map[string]any {
		start, end := places[2*i], places[2*i+1]
		if start < 0 {
			return map[string]any{"offset": -1, "length": 0, "string": nil}
		}
		start, end = at+start, at+end
		return map[string]any{
			"offset": utf8.RuneCountInString(text[:start]), "length": utf8.RuneCountInString(text[start:end]), "string": text[start:end],
		}
	}
	captures := []any{}
	for i, name := range re.SubexpNames()[1:] {
		capture := part(i + 1)
		if capture["name"] = any(nil); name != "" {
			capture["name"] = name
		}
		captures = append(captures, capture)
	}
	match := part(0)
	match["captures"] = captures
	return match
}
