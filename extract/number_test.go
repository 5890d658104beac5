package extract

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
)

func FuzzCompareNumbers(f *testing.F) {
	f.Add("1.0", "10e-1")
	f.Add("-0.00123e5", "9007199254740993")
	f.Add("0.0", "-0")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, n := range []string{a, b} {
			// Exponents of four digits and more would make big.Rat write them out.
			if end := scanNumber(n, 0); end <= 0 || end != len(n) || len(n) > 40 || max(parseExponentOf(n), -parseExponentOf(n)) > 999 {
				return
			}
		}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		assert.Equal(t, x.Cmp(y), compareNumbers(a, b), "%s and %s", a, b)
	})
}

func parseExponentOf(number string) int64 {
	for i, c := range number {
		if c == 'e' || c == 'E' {
			return parseExponent(number[i+1:])
		}
	}
	return 0
}
