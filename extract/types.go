package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Type is what a [Field]'s value is made, whatever stands in the document.
//
// A null stays null. A text that is empty, or all blanks, is no number, boolean or time: for those types
// it counts as missing. Of a list each element is made the type.
type Type string

// The types of values, and as which Go values a [Record] has them.
const (
	String  Type = "string"  // string; of a list or an object, its JSON
	Integer Type = "integer" // json.Number, digits only: 7, 7.0 and "7" are 7, and 7.5 is an error
	Decimal Type = "decimal" // json.Number, with every digit
	Float   Type = "float"   // float64, the nearest; an error beyond its range, also where that would be 0
	Boolean Type = "boolean" // bool: true, yes, 1 and false, no, 0, in any case
	Time    Type = "time"    // time.Time, see [Field.Format]
	JSON    Type = "json"    // what stands in the document, of any kind
)

// A TypeError says why a value is not of its field's type.
type TypeError struct {
	Type Type
	Rule string
}

func (e *TypeError) Error() string { return fmt.Sprintf("not of type %s: %s", e.Type, e.Rule) }

// A converter makes a value that is neither null nor a list one of its type. ok is false for an empty text.
type converter func(value any) (converted any, ok bool, err error)

// apply converts nulls and lists too.
func (c converter) apply(value any) (any, bool, error) {
	switch value := value.(type) {
	case nil:
		return nil, true, nil
	case []any:
		list := make([]any, len(value))
		for i, element := range value {
			converted, ok, err := c.apply(element)
			if err != nil {
				return nil, false, err
			}
			if ok {
				list[i] = converted
			}
		}
		return list, true, nil
	default:
		return c(value)
	}
}

// newConverter returns nil for a field whose values stay as they are.
func newConverter(f Field) (converter, error) {
	switch f.Type {
	case "", JSON:
		return nil, nil
	case String:
		return toString, nil
	case Integer:
		return ofText(Integer, toInteger), nil
	case Decimal:
		return ofText(Decimal, toDecimal), nil
	case Float:
		return ofText(Float, toFloat), nil
	case Boolean:
		return ofText(Boolean, toBoolean), nil
	case Time:
		read, err := newTimeReader(f.Format, f.Zone)
		if err != nil {
			return nil, err
		}
		return func(value any) (any, bool, error) {
			if t, is := value.(time.Time); is {
				return read.in(t), true, nil
			}
			return ofText(Time, read.parse)(value)
		}, nil
	default:
		return nil, errors.New(`a type is "string", "integer", "decimal", "float", "boolean", "time" or "json"`)
	}
}

// ofText is a converter by the text of a value: of a string, without the blanks around it, of a number,
// or of a boolean.
func ofText(t Type, read func(text string) (any, string)) converter {
	return func(value any) (any, bool, error) {
		var text string
		switch value := value.(type) {
		case string:
			if text = strings.TrimSpace(value); text == "" {
				return nil, false, nil
			}
		case json.Number:
			text = string(value)
		case bool:
			if t != Boolean {
				return nil, false, &TypeError{t, "a boolean"}
			}
			return value, true, nil
		case time.Time:
			text = timeText(value)
		default:
			return nil, false, &TypeError{t, "an object"}
		}
		converted, rule := read(text)
		if rule != "" {
			return nil, false, &TypeError{t, rule}
		}
		return converted, true, nil
	}
}

func toString(value any) (any, bool, error) {
	switch value := value.(type) {
	case string:
		return value, true, nil
	case json.Number:
		return string(value), true, nil
	case time.Time:
		return timeText(value), true, nil
	default:
		text, err := appendValue(nil, value)
		return string(text), true, err
	}
}

const ruleNumber = "no number"

func toDecimal(text string) (any, string) {
	number, ok := plainNumber(text)
	if !ok {
		return nil, ruleNumber
	}
	return json.Number(number), ""
}

func toFloat(text string) (any, string) {
	number, ok := plainNumber(text)
	if !ok {
		return nil, ruleNumber
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(f, 0) || f == 0 && newDecimal(number).digits != "" {
		return nil, "beyond the range of a float"
	}
	return f, ""
}

// maxInteger bounds the digits of an integer that is not written as its digits: 1e999999999 is one too.
const maxInteger = 1000

func toInteger(text string) (any, string) {
	number, ok := plainNumber(text)
	if !ok {
		return nil, ruleNumber
	}
	if !strings.ContainsAny(number, ".eE") && number != "-0" {
		return json.Number(number), ""
	}
	d := newDecimal(number)
	switch {
	case d.digits == "":
		return json.Number("0"), ""
	case d.exponent < int64(len(d.digits)):
		return nil, "not a whole number"
	case d.exponent > maxInteger:
		return nil, fmt.Sprintf("an integer of more than %d digits", maxInteger)
	}
	number = d.digits + strings.Repeat("0", int(d.exponent)-len(d.digits))
	if d.negative {
		number = "-" + number
	}
	return json.Number(number), ""
}

// plainNumber is a number as JSON writes it, of one as JSON or a table writes it: there +5, 007, .5 and
// 5. are numbers too.
func plainNumber(text string) (string, bool) {
	if scanNumber(text, 0) == len(text) {
		return text, true
	}
	sign := ""
	if text[0] == '-' || text[0] == '+' {
		sign, text = strings.TrimPrefix(text[:1], "+"), text[1:]
	}
	mantissa, exponent := text, ""
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		mantissa, exponent = text[:at], text[at:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" && fraction == "" {
		return "", false
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	number := sign + whole + fraction + exponent
	return number, scanNumber(number, 0) == len(number)
}

func toBoolean(text string) (any, string) {
	switch strings.ToLower(text) {
	case "true", "yes", "1":
		return true, ""
	case "false", "no", "0":
		return false, ""
	}
	return nil, "neither true, yes, 1 nor false, no, 0"
}
