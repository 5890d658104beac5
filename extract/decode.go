package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest: encoding/json's limit, well within a Go stack.
const maxDepth = 10_000

// maxValues bounds the memory of a decoded answer, which may be fifty times the answer's own: an object
// takes some 400 bytes and can be written in nine. Most answers have ten bytes or more for each value.
const maxValues = 2_000_000

var errDigits = fmt.Errorf("a number of more than %d digits: %w", maxInteger, ErrBudget)

// A SyntaxError says where an answer stops being JSON, or a table.
type SyntaxError struct {
	Offset int    // of the first byte that does not fit, counted from the start of the answer
	Rule   string // what was expected there
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Rule) }

// Parse decodes one JSON value. It accepts what [encoding/json] accepts, and a UTF-8 byte order mark
// before it; anything but white space after the value is an error. Numbers keep their digits, objects
// the order of their members; of a name that comes twice the last value wins, at the place of the first.
// Invalid UTF-8 and lone surrogates in strings become U+FFFD. Errors are [*SyntaxError], and
// [ErrBudget] for more than 2,000,000 values; each element and each member is one, whatever it is.
//
// Parse neither changes data nor keeps it.
func Parse(data []byte) (Document, error) { return decode(context.Background(), data) }

// decode is Parse with an end: it returns ctx's error soon after ctx ends.
func decode(ctx context.Context, data []byte) (Document, error) {
	return decodeFrom(&decoder{ctx: ctx, data: data})
}

func decodeFrom(d *decoder) (Document, error) {
	if bytes.HasPrefix(d.data, []byte("\uFEFF")) {
		d.pos = len("\uFEFF")
	}
	root, err := d.value()
	if err != nil {
		return Document{}, err
	}
	if d.space(); d.pos < len(d.data) {
		return Document{}, d.unexpected("the end after the value")
	}
	return Document{root: root, values: d.values}, nil
}

// decoder checks and builds in one pass over the bytes.
type decoder struct {
	ctx    context.Context
	data   []byte
	pos    int
	depth  int
	values int
	plain  bool // objects without their order, and numbers of a bounded length: for jq

	// Members and elements wait here until their number is known: one stack for all levels.
	pendingNames  []string
	pendingValues []any

	known  map[string]string // member names seen: an answer repeats few names many times
	shapes []any             // by depth: the names of the last object there, to be shared with the next
}

func (d *decoder) value() (any, error) {
	if err := d.count(); err != nil {
		return nil, err
	}
	d.space()
	if d.pos >= len(d.data) {
		return nil, d.unexpected("a value")
	}
	switch c := d.data[d.pos]; {
	case c == '"':
		return d.string()
	case c == '{':
		return d.object()
	case c == '[':
		return d.array()
	case c == '-' || '0' <= c && c <= '9':
		return d.number()
	case c == 't':
		return true, d.literal("true")
	case c == 'f':
		return false, d.literal("false")
	case c == 'n':
		return nil, d.literal("null")
	default:
		return nil, d.unexpected("a value")
	}
}

// count counts a value before it is read.
func (d *decoder) count() error {
	d.values++
	if d.values > maxValues {
		return errValues
	}
	if d.values%checkEvery == 0 {
		return d.ctx.Err()
	}
	return nil
}

func (d *decoder) array() (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	if d.space(); d.at(']') {
		d.pos++
		return []any{}, nil
	}
	base := len(d.pendingValues)
	for {
		element, err := d.value()
		if err != nil {
			return nil, err
		}
		d.pendingValues = append(d.pendingValues, element)
		d.space()
		switch {
		case d.at(','):
			d.pos++
		case d.at(']'):
			d.pos++
			list := make([]any, len(d.pendingValues)-base)
			copy(list, d.pendingValues[base:])
			d.pendingValues = d.pendingValues[:base]
			return list, nil
		default:
			return nil, d.unexpected(`"," or "]"`)
		}
	}
}

func (d *decoder) object() (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	if d.space(); d.at('}') {
		d.pos++
		return emptyObject, nil
	}
	base, nameBase := len(d.pendingValues), len(d.pendingNames)
	for {
		if d.space(); !d.at('"') {
			return nil, d.unexpected("a member name in double quotes")
		}
		name, err := d.name()
		if err != nil {
			return nil, err
		}
		if d.space(); !d.at(':') {
			return nil, d.unexpected(`":"`)
		}
		d.pos++
		member, err := d.value()
		if err != nil {
			return nil, err
		}
		d.pendingNames = append(d.pendingNames, name)
		d.pendingValues = append(d.pendingValues, member)
		d.space()
		switch {
		case d.at(','):
			d.pos++
		case d.at('}'):
			d.pos++
			object := d.build(d.pendingNames[nameBase:], d.pendingValues[base:])
			d.pendingNames = d.pendingNames[:nameBase]
			d.pendingValues = d.pendingValues[:base]
			return object, nil
		default:
			return nil, d.unexpected(`"," or "}"`)
		}
	}
}

// build makes the map of an object and hands it the order of its names.
func (d *decoder) build(order []string, values []any) map[string]any {
	object := newObject(len(order))
	unique := order[:0]
	for i, name := range order {
		before := len(object)
		if object[name] = values[i]; len(object) > before {
			unique = append(unique, name)
		}
	}
	if !d.plain {
		object[orderKey] = d.shape(unique)
	}
	return object
}

// shape returns the names as a []string of their own, boxed. The records of a list mostly have the same
// names in the same order, so the last list of this depth is taken again where it fits.
func (d *decoder) shape(order []string) any {
	for len(d.shapes) <= d.depth {
		d.shapes = append(d.shapes, []string(nil))
	}
	if slices.Equal(d.shapes[d.depth].([]string), order) {
		return d.shapes[d.depth]
	}
	boxed := any(slices.Clone(order))
	d.shapes[d.depth] = boxed
	return boxed
}

func (d *decoder) enter() error {
	if d.depth++; d.depth > maxDepth {
		return &SyntaxError{d.pos, fmt.Sprintf("nested deeper than %d", maxDepth)}
	}
	d.pos++
	return nil
}

func (d *decoder) leave() { d.depth-- }

// maxKnown bounds the table of names for answers that use their names as data.
const maxKnown = 1024

func (d *decoder) name() (string, error) {
	start := d.pos
	end, plain := plainString(d.data, start)
	if !plain {
		return d.string()
	}
	d.pos = end + 1
	text := d.data[start+1 : end]
	if name, ok := d.known[string(text)]; ok {
		return name, nil
	}
	name := string(text)
	if d.known == nil {
		d.known = make(map[string]string)
	}
	if len(d.known) < maxKnown {
		d.known[name] = name
	}
	return name, nil
}

func (d *decoder) string() (string, error) {
	start := d.pos
	if end, plain := plainString(d.data, start); plain {
		d.pos = end + 1
		return string(d.data[start+1 : end]), nil
	}
	return d.unquote()
}

// plainString looks for the end of a string of printable ASCII without escapes, which most strings are.
func plainString(data []byte, start int) (end int, plain bool) {
	for i := start + 1; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			return i, true
		case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
			return 0, false
		}
	}
	return 0, false
}

// unquote reads any string, character by character.
func (d *decoder) unquote() (string, error) {
	d.pos++
	var text []byte
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			d.pos++
			return string(text), nil
		case c < ' ':
			return "", d.unexpected("no control character in a string")
		case c == '\\':
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			text = utf8.AppendRune(text, r)
		case c < utf8.RuneSelf:
			text = append(text, c)
			d.pos++
		default:
			r, size := utf8.DecodeRune(d.data[d.pos:])
			text = utf8.AppendRune(text, r) // U+FFFD for an invalid byte
			d.pos += size
		}
	}
	return "", d.unexpected(`a closing "`)
}

func (d *decoder) escape() (rune, error) {
	d.pos++
	if d.pos >= len(d.data) {
		return 0, d.unexpected("an escape")
	}
	switch c := d.data[d.pos]; c {
	case '"', '\\', '/':
		d.pos++
		return rune(c), nil
	case 'b', 'f', 'n', 'r', 't':
		d.pos++
		return controls[c], nil
	case 'u':
		d.pos++
		r, ok := hex4(d.data, d.pos)
		if !ok {
			return 0, d.unexpected("four hexadecimal digits")
		}
		d.pos += 4
		if !utf16.IsSurrogate(r) {
			return r, nil
		}
		if d.at('\\') && d.pos+1 < len(d.data) && d.data[d.pos+1] == 'u' {
			if low, ok := hex4(d.data, d.pos+2); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					d.pos += 6
					return pair, nil
				}
			}
		}
		return utf8.RuneError, nil // a surrogate alone; what follows it is read for itself
	default:
		return 0, d.unexpected("an escape of JSON")
	}
}

var controls = map[byte]rune{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (d *decoder) number() (any, error) {
	end := scanNumber(d.data, d.pos)
	if end < 0 {
		d.pos = -end
		return nil, d.unexpected("a digit")
	}
	if d.plain && end-d.pos > maxInteger { // arithmetic takes the square of the length
		return nil, errDigits
	}
	number := json.Number(d.data[d.pos:end])
	d.pos = end
	return number, nil
}

func (d *decoder) literal(word string) error {
	for i := range len(word) {
		if !d.at(word[i]) {
			return d.unexpected(word)
		}
		d.pos++
	}
	return nil
}

func (d *decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *decoder) at(c byte) bool { return d.pos < len(d.data) && d.data[d.pos] == c }

func (d *decoder) unexpected(expected string) error {
	if d.pos >= len(d.data) {
		return &SyntaxError{len(d.data), "the answer ends, expected " + expected}
	}
	r, size := utf8.DecodeRune(d.data[d.pos:])
	if r == utf8.RuneError && size == 1 {
		return &SyntaxError{d.pos, fmt.Sprintf("byte 0x%02x, expected %s", d.data[d.pos], expected)}
	}
	return &SyntaxError{d.pos, fmt.Sprintf("%q, expected %s", r, expected)}
}

// scanNumber returns the end of the JSON number that starts at pos, or minus the place where a digit is missing.
func scanNumber[T ~string | ~[]byte](text T, pos int) int {
	digits := func() bool {
		start := pos
		for pos < len(text) && '0' <= text[pos] && text[pos] <= '9' {
			pos++
		}
		return pos > start
	}
	if pos < len(text) && text[pos] == '-' {
		pos++
	}
	if pos < len(text) && text[pos] == '0' {
		pos++
	} else if !digits() {
		return -pos
	}
	if pos < len(text) && text[pos] == '.' {
		if pos++; !digits() {
			return -pos
		}
	}
	if pos < len(text) && (text[pos] == 'e' || text[pos] == 'E') {
		if pos++; pos < len(text) && (text[pos] == '+' || text[pos] == '-') {
			pos++
		}
		if !digits() {
			return -pos
		}
	}
	return pos
}

func hex4[T ~string | ~[]byte](text T, pos int) (rune, bool) {
	if pos+4 > len(text) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(text[pos : pos+4]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
