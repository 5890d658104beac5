package extract

import (
	"maps"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

// A Document is an answer decoded once; any number of paths then run on it. See [Parse].
// It does not change and may be used from several goroutines. The zero Document is a JSON null.
type Document struct {
	root   any
	values int // of the whole tree: what a path may visit grows with it
}

// Value returns the whole document in the kinds of [Record]'s values, as a tree of the caller's own.
func (d Document) Value() any {
	value, _ := export(d.root, func() error { return nil })
	return value
}

// Inside a Document a value is nil, bool, string, json.Number, []any or map[string]any, because these
// are the types PaesslerAG/jsonpath walks. A Go map has no order, so each object carries its own: the
// names in document order, under a key that no JSON text can spell and no path can name, since both are
// made of valid UTF-8. Nothing outside this file and the decoder looks at that key.
const orderKey = "\xff"

// emptyObject serves for every {}: nobody changes an object once it is decoded.
var emptyObject = map[string]any{}

func newObject(size int) map[string]any { return make(map[string]any, size+1) }

// names returns the names of an object's members in document order. Objects of jq have none: their names
// are sorted, as jq writes them.
func names(object map[string]any) []string {
	order, ordered := object[orderKey].([]string)
	if !ordered && len(object) > 0 {
		order = slices.Sorted(maps.Keys(object))
	}
	return order
}

// export copies a value out of a Document: objects become Records. It asks count before each value it
// copies and stops at an error: the same value may be selected many times, each time with all below it.
func export(node any, count func() error) (any, error) {
	switch node := node.(type) {
	case map[string]any:
		return exportObject(node, count)
	case []any:
		list := make([]any, len(node))
		for i, element := range node {
			err := count()
			if err != nil {
				return nil, err
			}
			if list[i], err = export(element, count); err != nil {
				return nil, err
			}
		}
		return list, nil
	case *xmlNode:
		text, cost := node.content(math.MaxInt)
		for range cost {
			if err := count(); err != nil {
				return nil, err
			}
		}
		return text, nil
	case int, float64, *big.Int:
		return jqNumber(node)
	default:
		return node, nil
	}
}

func exportObject(object map[string]any, count func() error) (Record, error) {
	order := names(object)
	values := make([]Value, len(order))
	for i, name := range order {
		err := count()
		if err != nil {
			return Record{}, err
		}
		values[i].Name = name
		if values[i].Value, err = export(object[name], count); err != nil {
			return Record{}, err
		}
	}
	return Record{values}, nil
}

// children calls yield with the elements of an array or the members of an object, in document order.
func children(node any, yield func(any) error) error {
	switch node := node.(type) {
	case []any:
		for _, element := range node {
			if err := yield(element); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range names(node) {
			if err := yield(node[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

const sampleSize = 120

// sample is the beginning of a value as JSON, short enough for an error message and made without
// writing out the rest.
func sample(node any) string {
	return shorten(appendSample(nil, node))
}

func appendSample(dst []byte, node any) []byte {
	switch node := node.(type) {
	case *xmlNode:
		return appendXMLSample(dst, node)
	case *row:
		return appendSample(dst, node.tree())
	case []any:
		dst = append(dst, '[')
		for i, element := range node {
			if len(dst) > sampleSize {
				return dst
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendSample(dst, element)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, name := range names(node) {
			if len(dst) > sampleSize {
				return dst
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, shorten(name)), ':')
			dst = appendSample(dst, node[name])
		}
		return append(dst, '}')
	case string:
		return appendString(dst, shorten(node))
	default:
		dst, _ = appendValue(dst, node)
		return dst
	}
}

// shorten ends a text that is longer than a sample with an ellipsis, at the end of a character. Quoting
// what it returns makes that too long again, so that a second shorten sees that there was more.
func shorten[T ~string | ~[]byte](text T) string {
	if len(text) <= sampleSize {
		return string(text)
	}
	const ellipsis = "…"
	end := sampleSize - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return string(text[:end]) + ellipsis
}
