package cron

import (
	"fmt"
	"unicode/utf8"
)

// A FieldError says which part of an expression was refused and why.
// [Parse] joins one for each fault; [errors.As] finds the first.
type FieldError struct {
	Field string // "second", "minute", "hour", "day of month", "month", "day of week" or "expression"
	Value string // the part refused; long values are cut
	Rule  string // what would have been accepted, or why this never can be
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Rule)
}

// refuse cuts the value, so that an error about an over-long expression is not itself over-long.
func refuse(field, value, rule string, args ...any) *FieldError {
	const longest = 80
	if len(value) > longest {
		cut := longest
		for cut > 0 && !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "…"
	}
	return &FieldError{Field: field, Value: value, Rule: fmt.Sprintf(rule, args...)}
}
