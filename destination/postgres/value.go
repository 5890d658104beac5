package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/callsheet-go/callsheet/extract"
)

// columnType is what a made table has for values of a type. Values of which nothing is known keep what they
// are, text or number or null, as jsonb only does.
func columnType(t extract.Type) string {
	switch t {
	case extract.String:
		return "text"
	case extract.Integer:
		return "bigint"
	case extract.Decimal:
		return "numeric"
	case extract.Float:
		return "double precision"
	case extract.Boolean:
		return "boolean"
	case extract.Time:
		return "timestamptz"
	}
	return "jsonb"
}

// takes reports whether values of a type can fit the column. Of those of which nothing is known, and of text, each
// has to be looked at.
func (c column) takes(t extract.Type) bool {
	switch c.base {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.NumericOID, pgtype.Float4OID, pgtype.Float8OID:
		return t != extract.Boolean && t != extract.Time && t != extract.JSON
	case pgtype.BoolOID:
		return t == extract.Boolean || t == extract.String || t == ""
	case pgtype.TimestamptzOID, pgtype.TimestampOID, pgtype.DateOID:
		return t == extract.Time || t == extract.String || t == ""
	case pgtype.ByteaOID:
		return t == extract.String || t == ""
	}
	return true
}

// appendValue appends a value as COPY reads it. An error says why the column cannot have the value, as far
// as can be told here; the server has the last word. No value is rounded or cut to make it fit.
func appendValue(dst []byte, c column, value any) ([]byte, error) {
	if value == nil {
		return append(dst, `\N`...), nil
	}
	if c.base == pgtype.JSONOID || c.base == pgtype.JSONBOID {
		return c.appendJSON(dst, value)
	}
	value, err := plain(value)
	if err != nil {
		return dst, err
	}
	var text string
	switch c.base {
	case pgtype.Int2OID:
		text, err = wholeNumber(value, 16)
	case pgtype.Int4OID:
		text, err = wholeNumber(value, 32)
	case pgtype.Int8OID:
		text, err = wholeNumber(value, 64)
	case pgtype.NumericOID:
		text, err = number(value)
	case pgtype.Float4OID:
		text, err = floatingPoint(value, 32)
	case pgtype.Float8OID:
		text, err = floatingPoint(value, 64)
	case pgtype.BoolOID:
		text, err = boolean(value)
	case pgtype.TimestamptzOID, pgtype.TimestampOID, pgtype.DateOID:
		text, err = point(value)
	case pgtype.ByteaOID:
		text, err = bytesOf(value)
	default:
		text, err = textOf(value)
	}
	if err != nil {
		return dst, fmt.Errorf("%s: %w", c.typ, err)
	}
	return appendEscaped(dst, text), nil
}

// appendJSON keeps every value as what it is. A null in the column is a null of the table.
func (c column) appendJSON(dst []byte, value any) ([]byte, error) {
	text, err := jsonOf(value)
	if err != nil {
		return dst, err
	}
	if c.base == pgtype.JSONBOID && hasEscapedNUL(text) {
		return dst, fmt.Errorf("%s: text with U+0000, which PostgreSQL cannot keep", c.typ)
	}
	return appendEscaped(dst, text), nil
}

// hasEscapedNUL reports whether JSON text has \u0000, and not a backslash with u0000 behind it.
func hasEscapedNUL(text string) bool {
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		if strings.HasPrefix(text[i:], `\u0000`) {
			return true
		}
		text = text[i+2:]
	}
}

// composite is an object or a list, as JSON.
type composite string

// plain returns a value as one of bool, string, json.Number, float64, time.Time and composite.
func plain(value any) (any, error) {
	switch v := value.(type) {
	case bool, string, json.Number, float64, time.Time:
		return v, nil
	case int:
		return json.Number(strconv.Itoa(v)), nil
	case int64:
		return json.Number(strconv.FormatInt(v, 10)), nil
	}
	// What else a host puts in is what its JSON says.
	text, err := jsonOf(value)
	if err != nil {
		return nil, err
	}
	switch text[0] {
	case '{', '[':
		return composite(text), nil
	case 't', 'f':
		return text == "true", nil
	case '"':
		var s string
		err := json.Unmarshal([]byte(text), &s)
		return s, err
	}
	return json.Number(text), nil
}

// jsonOf returns a value as a Record has it in its JSON.
func jsonOf(value any) (string, error) {
	member, err := extract.NewRecord(extract.Value{Value: value}).AppendJSON(nil)
	if err != nil {
		return "", errors.New("cannot be written as JSON" + strings.TrimPrefix(err.Error(), ":"))
	}
	return string(member[len(`{"":`) : len(member)-1]), nil
}

// shown is a value as an error shows it.
func shown(value any) string {
	const most = 60
	text := fmt.Sprint(value)
	if s, ok := value.(string); ok {
		text = strconv.Quote(s)
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func wholeNumber(value any, bits int) (string, error) {
	var digits string
	switch v := value.(type) {
	case string:
		digits = strings.TrimSpace(v)
	case json.Number:
		digits = wholeDigits(string(v))
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			digits = strconv.FormatFloat(v, 'f', 0, 64)
		}
	}
	n, err := strconv.ParseInt(digits, 10, bits)
	if errors.Is(err, strconv.ErrRange) {
		return "", fmt.Errorf("%s is out of range", shown(value))
	}
	if err != nil {
		return "", fmt.Errorf("%s is not a whole number", shown(value))
	}
	return strconv.FormatInt(n, 10), nil
}

// wholeDigits writes a JSON number without fraction and exponent: 1.20e3 is 1200. It returns "" for one that
// is not whole, and enough digits to be out of range for one that is longer than any integer type.
func wholeDigits(n string) string {
	mantissa, power, _ := strings.Cut(strings.ToLower(n), "e")
	exponent := 0
	if power != "" {
		var err error
		if exponent, err = strconv.Atoi(power); err != nil && !errors.Is(err, strconv.ErrRange) {
			return ""
		}
		exponent = max(-1<<30, min(exponent, 1<<30)) // so that nothing below overflows
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return ""
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	zeros := len(digits) - len(significant) + exponent - len(fraction) // behind them
	switch {
	case significant == "":
		return "0"
	case zeros < 0:
		return ""
	case len(significant)+zeros > 19:
		return sign + strings.Repeat("9", 20)
	}
	return sign + significant + strings.Repeat("0", zeros)
}

func number(value any) (string, error) {
	switch v := value.(type) {
	case json.Number:
		return string(v), nil
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	}
	return "", fmt.Errorf("%s is not a number", shown(value))
}

func floatingPoint(value any, bits int) (string, error) {
	var f float64
	switch v := value.(type) {
	case string:
		return v, nil
	case float64:
		f = v
	case json.Number:
		var err error
		if f, err = strconv.ParseFloat(string(v), bits); errors.Is(err, strconv.ErrRange) {
			return "", fmt.Errorf("%s is out of range", shown(value))
		} else if err != nil {
			return "", fmt.Errorf("%s is not a number", shown(value))
		}
	default:
		return "", fmt.Errorf("%s is not a number", shown(value))
	}
	return strconv.FormatFloat(f, 'g', -1, bits), nil
}

func boolean(value any) (string, error) {
	switch v := value.(type) {
	case bool:
		return strconv.FormatBool(v), nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s is neither true nor false", shown(value))
}

// point is a point in time. The words that PostgreSQL takes for one (now, tomorrow) would make something
// else of it with each delivery, and a number does not say what it counts.
func point(value any) (string, error) {
	switch v := value.(type) {
	case time.Time:
		return timestamp(v), nil
	case string:
		if s := strings.TrimSpace(v); s != "" && s[0] >= '0' && s[0] <= '9' {
			return s, textFault(s)
		}
	}
	return "", fmt.Errorf("%s is not a time", shown(value))
}

// timestamp writes a time in UTC, to the microsecond that PostgreSQL keeps; what is below is cut off.
func timestamp(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	const behindYear = "-01-02 15:04:05.999999Z07:00"
	if t.Year() <= 0 { // there is no year 0
		return fmt.Sprintf("%04d", 1-t.Year()) + t.Format(behindYear) + " BC"
	}
	return t.Format("2006" + behindYear)
}

// bytesOf writes text as its bytes, and does not read escapes from it.
func bytesOf(value any) (string, error) {
	if s, ok := value.(string); ok {
		return fmt.Sprintf(`\x%x`, s), nil
	}
	return "", fmt.Errorf("%s is not text", shown(value))
}

// textOf is for text, and for all types that are read from it: uuid, inet, enumerations, those of extensions.
func textOf(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, textFault(v)
	case json.Number:
		return string(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case composite:
		return string(v), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	}
	return jsonOf(value)
}

func textFault(s string) error {
	switch {
	case strings.Contains(s, "\x00"):
		return errors.New("text with U+0000, which PostgreSQL cannot keep")
	case !utf8.ValidString(s):
		return errors.New("text that is not UTF-8")
	}
	return nil
}

// appendEscaped appends text as COPY's text format has it.
func appendEscaped(dst []byte, text string) []byte {
	for {
		i := strings.IndexAny(text, "\\\n\r\t")
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i]...), '\\')
		switch text[i] {
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		default:
			dst = append(dst, '\\')
		}
		text = text[i+1:]
	}
}
