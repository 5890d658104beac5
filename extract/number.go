package extract

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
)

// compareNumbers compares two JSON numbers by value, exactly: 9007199254740993 is more than
// 9007199254740992, 1.0 is 1, and 1e400 is a number like any other.
func compareNumbers(a, b string) int {
	const safe = 18 // digits that fit an int64 whatever they are
	if len(a) <= safe && len(b) <= safe {
		x, errX := strconv.ParseInt(a, 10, 64)
		y, errY := strconv.ParseInt(b, 10, 64)
		if errX == nil && errY == nil {
			return cmp.Compare(x, y)
		}
	}
	return newDecimal(a).compare(newDecimal(b))
}

// numberOf is a count as a value of a document.
func numberOf(n int) json.Number { return json.Number(strconv.Itoa(n)) }

// decimal is sign × 0.digits × 10^exponent, with neither a first nor a last digit of 0; zero has no
// digits. Nothing is ever expanded, so that 1e999999999 costs no more than 1.
type decimal struct {
	negative bool
	digits   string
	exponent int64
}

func newDecimal(number string) decimal {
	var d decimal
	number, d.negative = strings.CutPrefix(number, "-")
	mantissa := number
	if at := strings.IndexAny(number, "eE"); at >= 0 {
		mantissa = number[:at]
		d.exponent = parseExponent(number[at+1:])
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	d.exponent += int64(len(whole)) - int64(len(whole)+len(fraction)-len(digits))
	d.digits = strings.TrimRight(digits, "0")
	if d.digits == "" {
		return decimal{}
	}
	return d
}

// parseExponent takes an exponent beyond 10^18 for 10^18: two numbers that differ there only are equal.
func parseExponent(text string) int64 {
	const most = 1_000_000_000_000_000_000
	n, _ := strconv.ParseInt(text, 10, 64) // of an overflow, the nearest int64
	return min(max(n, -most), most)
}

func (d decimal) compare(other decimal) int {
	if c := cmp.Compare(d.sign(), other.sign()); c != 0 {
		return c
	}
	c := cmp.Or(cmp.Compare(d.exponent, other.exponent), strings.Compare(d.digits, other.digits))
	if d.negative {
		return -c
	}
	return c
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	default:
		return 1
	}
}
