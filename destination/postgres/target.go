package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/callsheet-go/callsheet"
)

const maxName = 63 // bytes; PostgreSQL cuts off what is longer, without an error

// A target is a Delivery, checked.
type target struct {
	ref    callsheet.Ref
	given  string // as in the Delivery
	schema string // empty: the first of the search path that has the table
	table  string
	mode   callsheet.WriteMode
	key    []string
	own    string // the schema of the Destination's own tables
}

// parseTarget checks what can be checked without the database, and reports every fault.
func (d *Destination) parseTarget(delivery callsheet.Delivery) (target, error) {
	t := target{
		ref:   callsheet.Ref{Kind: callsheet.KindDelivery, ID: delivery.ID},
		given: delivery.Target, mode: delivery.Mode, key: delivery.Key, own: d.schema,
	}
	if t.mode == "" {
		t.mode = callsheet.Append
	}
	var faults []error
	refuse := func(field, value, rule string) { faults = append(faults, t.fault(field, value, rule)) }

	var dotted bool
	if t.schema, t.table, dotted = strings.Cut(delivery.Target, "."); !dotted {
		t.schema, t.table = "", delivery.Target
	}
	if dotted {
		for _, rule := range brokenSchemaRules(t.schema) {
			refuse("target", delivery.Target, "the schema "+rule)
		}
		if t.schema == t.own {
			refuse("target", delivery.Target, "must not be in the schema of the destination's own tables")
		}
	}
	for _, rule := range brokenNameRules(t.table) {
		refuse("target", delivery.Target, "the table's name "+rule)
	}
	if strings.Contains(t.table, ".") {
		refuse("target", delivery.Target, `must be "table" or "schema.table"`)
	}

	switch t.mode {
	case callsheet.Append:
		if len(t.key) > 0 {
			refuse("key", strings.Join(t.key, ", "), `must be empty in the mode "append"`)
		}
	case callsheet.Upsert:
		if len(t.key) == 0 {
			refuse("key", "", `must name the columns by which rows are known in the mode "upsert"`)
		}
	case callsheet.InsertIgnore:
	default:
		refuse("mode", string(delivery.Mode), `must be "append", "insert_ignore" or "upsert"`)
	}
	for i, name := range t.key {
		for _, rule := range brokenColumnRules(name) {
			refuse("key", name, rule)
		}
		if slices.Contains(t.key[:i], name) {
			refuse("key", name, "must name each column once")
		}
	}
	return t, errors.Join(faults...)
}

func (t target) fault(field, value, rule string) error {
	return &callsheet.ValidationError{Ref: t.ref, Field: field, Value: value, Rule: rule}
}

// merges reports whether rows are compared with those in the table.
func (t target) merges() bool { return t.mode != callsheet.Append }

// brokenNameRules returns the rules for the name of a table or schema that name does not keep. Names are
// taken as they are, and quoted; what could only be a mistake or a disguise is refused.
func brokenNameRules(name string) []string {
	broken := brokenColumnRules(name)
	if strings.ContainsFunc(name, func(r rune) bool { return r != 0 && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }) {
		broken = append(broken, "must not contain invisible characters")
	}
	if len(name) > 1 && strings.HasPrefix(name, `"`) && strings.HasSuffix(name, `"`) {
		broken = append(broken, "must be written without quotes: it is taken as it is")
	}
	return broken
}

// brokenSchemaRules returns the rules for the name of a schema that name does not keep.
func brokenSchemaRules(name string) []string {
	broken := brokenNameRules(name)
	if rule := brokenSchemaRule(name); rule != "" {
		broken = append(broken, rule)
	}
	return broken
}

// brokenSchemaRule keeps Deliveries out of the server's own tables, and of the temporary ones of a session.
func brokenSchemaRule(name string) string {
	if strings.HasPrefix(name, "pg_") || name == "information_schema" {
		return "must not be one of the server's own"
	}
	return ""
}

// brokenColumnRules returns the rules for any name that PostgreSQL has, which name does not keep.
func brokenColumnRules(name string) (broken []string) {
	switch {
	case name == "":
		return []string{"must not be empty"}
	case len(name) > maxName:
		broken = append(broken, fmt.Sprintf("must have at most %d bytes, has %d: PostgreSQL would cut it off", maxName, len(name)))
	}
	if strings.Contains(name, "\x00") {
		broken = append(broken, "must not contain U+0000")
	}
	if !utf8.ValidString(name) {
		broken = append(broken, "must be UTF-8")
	}
	return broken
}

func quote(names ...string) string { return pgx.Identifier(names).Sanitize() }

// quoteList returns names as a list of columns, each behind a prefix such as "excluded.".
func quoteList(prefix string, names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = prefix + quote(name)
	}
	return strings.Join(quoted, ", ")
}
