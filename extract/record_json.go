package extract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MarshalJSON writes the record as an object with its members in order, see [Record.AppendJSON].
//
// json.Marshal escapes <, > and & in whatever a MarshalJSON method returns; who wants them as they are
// calls this method, AppendJSON, or a json.Encoder with SetEscapeHTML(false).
func (r Record) MarshalJSON() ([]byte, error) {
	return r.AppendJSON(nil)
}

// AppendJSON appends the record to dst as one JSON object on one line, members in order, numbers with
// the digits they came with and HTML characters not escaped, and returns the extended slice.
// It fails where JSON has no words for a value: NaN, a json.Number that is no number, a channel.
// On an error the returned slice is dst as it was.
func (r Record) AppendJSON(dst []byte) ([]byte, error) {
	start := len(dst)
	dst, err := appendRecord(dst, r)
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// UnmarshalJSON reads an object: members in document order, numbers as [json.Number], objects as Record.
// A null leaves the record as it is, as encoding/json asks of every Unmarshaler.
func (r *Record) UnmarshalJSON(data []byte) error {
	doc, err := Parse(data)
	if err != nil {
		return err
	}
	switch value := doc.Value().(type) {
	case nil:
		return nil
	case Record:
		*r = value
		return nil
	default:
		return fmt.Errorf("a record is read from a JSON object, not from %s", sample(doc.root))
	}
}

func appendRecord(dst []byte, r Record) ([]byte, error) {
	dst = append(dst, '{')
	for i, v := range r.values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, v.Name), ':')
		var err error
		if dst, err = appendValue(dst, v.Value); err != nil {
			return dst, fmt.Errorf("%s: %w", v.Name, err)
		}
	}
	return append(dst, '}'), nil
}

func appendValue(dst []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return appendString(dst, v), nil
	case json.Number:
		if end := scanNumber(v, 0); end <= 0 || end != len(v) {
			return dst, fmt.Errorf("%q is not a JSON number", string(v))
		}
		return append(dst, v...), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case Record:
		return appendRecord(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendValue(dst, element); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	default:
		return appendForeign(dst, v)
	}
}

// appendForeign leaves the values a host put in to encoding/json.
func appendForeign(dst []byte, value any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return dst, err
	}
	return append(dst, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...), nil
}

// appendString quotes s as encoding/json does with HTML escaping off: invalid UTF-8 becomes U+FFFD, and
// U+2028 and U+2029 are escaped because JavaScript once took them for line ends.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(append(dst, s[start:i]...), `\ufffd`...)
				start = i + size
			case r == '\u2028' || r == '\u2029':
				dst = append(append(dst, s[start:i]...), `\u202`...)
				dst = append(dst, hex[r&0xF])
				start = i + size
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&0xF])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
