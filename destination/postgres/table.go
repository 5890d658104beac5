package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/extract"
)

// A table is what the catalog says about a target.
type table struct {
	schema, name string
	kind         string // pg_class.relkind; empty: there is none
	persistence  string // pg_class.relpersistence
	columns      []column
	keys         [][]string // the columns of each unique index that ON CONFLICT can use; read for a target with a key only
}

type column struct {
	name      string
	typ       string // as PostgreSQL writes it
	base      uint32 // OID of the type, of a domain that of its base
	needed    bool   // NOT NULL without a default
	generated bool   // by the table, from which nobody may take it
}

// searched is the search path without the Destination's own schema, which "$user" may well be, and without what the
// server searches before it, its catalog and the session's temporary tables: none of these is meant.
const searched = `pg_catalog.array_remove(pg_catalog.current_schemas(false), $1::name)`

// The table of that name: in its schema, or in the first of the search path that has it.
const tableNamed = `
WITH target AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence
    FROM   pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE  c.relname = $3 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND  n.nspname = ANY (CASE WHEN $2 = '' THEN ` + searched + ` ELSE ARRAY[$2]::name[] END)
    ORDER  BY pg_catalog.array_position(` + searched + `, n.nspname)
    LIMIT  1
)`

// A row for each column; one with nulls for a table without any. A domain is followed down to the type that it is of.
const readColumns = tableNamed + `
SELECT t.nspname::text, t.relname::text, t.relkind::text, t.relpersistence::text,
       a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       CASE WHEN y.typtype <> 'd' THEN y.oid ELSE (
           WITH RECURSIVE base AS (
               SELECT y.oid, y.typbasetype
               UNION ALL
               SELECT z.oid, z.typbasetype FROM base JOIN pg_catalog.pg_type z ON z.oid = base.typbasetype
           ) SELECT oid FROM base WHERE typbasetype = 0) END,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '',
       a.attgenerated <> '' OR a.attidentity = 'a'
FROM   target t
       LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
       LEFT JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
ORDER  BY a.attnum`

const readKeys = tableNamed + `
SELECT ARRAY (
           SELECT a.attname::text FROM pg_catalog.pg_attribute a
           WHERE  a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))
FROM   target t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid
WHERE  i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL`

func queueTable(batch *pgx.Batch, t target) {
	batch.Queue(readColumns, t.own, t.schema, t.table)
	if len(t.key) > 0 {
		batch.Queue(readKeys, t.own, t.schema, t.table)
	}
}

func readTable(results pgx.BatchResults, t target) (tbl table, err error) {
	rows, err := results.Query()
	if err != nil {
		return tbl, err
	}
	for rows.Next() {
		var name, typ *string
		var base *uint32
		var needed, generated *bool
		if err := rows.Scan(&tbl.schema, &tbl.name, &tbl.kind, &tbl.persistence, &name, &typ, &base, &needed, &generated); err != nil {
			rows.Close()
			return tbl, err
		}
		if name != nil {
			tbl.columns = append(tbl.columns, column{*name, *typ, *base, *needed, *generated})
		}
	}
	if err := rows.Err(); err != nil || len(t.key) == 0 {
		return tbl, err
	}
	if rows, err = results.Query(); err != nil {
		return tbl, err
	}
	tbl.keys, err = pgx.CollectRows(rows, pgx.RowTo[[]string])
	return tbl, err
}

func (tbl table) missing() bool { return tbl.kind == "" }

func (tbl table) quoted() string { return quote(tbl.schema, tbl.name) }

func (tbl table) column(name string) (column, bool) {
	i := slices.IndexFunc(tbl.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return tbl.columns[i], true
}

// columnNames are the columns that a Batch writes: its fields, then what else is in its records or its key.
func columnNames(t target, b callsheet.Batch) []string {
	names := fieldNames(b.Fields)
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	add := func(name string) {
		if !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	for _, r := range b.Records {
		for name := range r.All() {
			add(name)
		}
	}
	if len(b.Records) > 0 {
		for _, name := range t.key {
			add(name)
		}
	}
	return names
}

func fieldNames(fields []callsheet.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// faults says why records with these columns cannot be written to the table at all.
func (tbl table) faults(t target, names []string) (faults []error) {
	refuse := func(field, value, rule string, args ...any) {
		faults = append(faults, t.fault(field, value, fmt.Sprintf(rule, args...)))
	}
	if rule := tbl.brokenRule(); rule != "" {
		refuse("target", t.given, "%s", rule)
		return faults
	}
	return tbl.columnFaults(t, names)
}

// columnFaults says which of the columns the table does not have, and whether it lacks the key.
func (tbl table) columnFaults(t target, names []string) (faults []error) {
	refuse := func(field, value, rule string, args ...any) {
		faults = append(faults, t.fault(field, value, fmt.Sprintf(rule, args...)))
	}
	for _, name := range names {
		c, ok := tbl.column(name)
		switch {
		case !ok:
			refuse("target", t.given, "must have a column %q; its columns are %s", name, quoteList("", tbl.columnNames()))
		case c.generated:
			refuse("target", t.given, "must not make the column %q itself: records have it", name)
		}
	}
	if len(t.key) > 0 && !slices.ContainsFunc(tbl.keys, func(key []string) bool { return sameNames(key, t.key) }) {
		refuse("key", strings.Join(t.key, ", "), "must be all columns of a unique index or primary key of the table, "+
			"one without a condition and not deferrable")
	}
	return faults
}

// brokenRule returns the rule for a table that this one does not keep; empty if it keeps all. The schema
// counts here too: a target without one may turn out to be anywhere on the search path.
func (tbl table) brokenRule() string {
	switch {
	case tbl.missing():
		return "must be a table that is there"
	case brokenSchemaRule(tbl.schema) != "":
		return "the schema " + brokenSchemaRule(tbl.schema)
	case tbl.kind != "r" && tbl.kind != "p":
		return "must be a table: what is written to a view or a foreign table may not be undone with the transaction"
	case tbl.persistence != "p":
		return "must not be unlogged: the rows would be lost in a crash, and the marker that they were delivered would not"
	}
	return ""
}

func (tbl table) columnNames() []string {
	names := make([]string, len(tbl.columns))
	for i, c := range tbl.columns {
		names[i] = c.name
	}
	return names
}

func sameNames(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// CheckTarget implements [callsheet.TargetChecker]. It compares the fields with the table's columns and their
// types, and the key with its unique indexes. With [WithCreateTable] a table that is not there is fine if it
// can be made.
func (d *Destination) CheckTarget(ctx context.Context, delivery callsheet.Delivery, x *callsheet.Extract) error {
	t, err := d.parseTarget(delivery)
	if err != nil {
		return err
	}
	var tbl table
	err = d.db.with(ctx, func(conn *pgx.Conn) error {
		tbl, err = lookUp(ctx, conn, t)
		return err
	})
	if err != nil {
		return fmt.Errorf("target %q: %w", t.given, err)
	}
	var fields []callsheet.Field
	if x != nil {
		fields = x.Fields
	}
	if tbl.missing() && d.createTable {
		return errors.Join(creationFaults(t, fields)...)
	}
	return errors.Join(append(tbl.faults(t, fieldNames(fields)), tbl.fieldFaults(t, fields)...)...)
}

// fieldFaults says what will go wrong with each record, as far as the fields tell.
func (tbl table) fieldFaults(t target, fields []callsheet.Field) (faults []error) {
	if len(fields) == 0 || tbl.brokenRule() != "" {
		return nil
	}
	names := fieldNames(fields)
	for _, name := range t.key {
		if !slices.Contains(names, name) {
			faults = append(faults, t.fault("key", name, "must be a field of the extract"))
		}
	}
	for _, c := range tbl.columns {
		at := slices.Index(names, c.name)
		switch {
		case at < 0 && c.needed:
			faults = append(faults, t.fault("target", t.given, fmt.Sprintf("must not need the column %q, which is no field and has no default", c.name)))
		case at >= 0 && !c.takes(fieldType(fields[at])):
			faults = append(faults, t.fault("target", t.given, fmt.Sprintf("must have a column %q that takes values of the type %s, not %s",
				c.name, fieldType(fields[at]), c.typ)))
		}
	}
	return faults
}

// fieldType is the type of a field's values. A path that may select several gives lists, whatever the type.
func fieldType(f callsheet.Field) extract.Type {
	if path, err := extract.CompilePath(f.Path); err == nil && !path.Singular() {
		return extract.JSON
	}
	return f.Type
}

// creationFaults says why a table cannot be made of the fields.
func creationFaults(t target, fields []callsheet.Field) (faults []error) {
	if len(fields) == 0 {
		return []error{t.fault("target", t.given, "must be a table that is there, or an extract must have fields to make its columns of")}
	}
	names := fieldNames(fields)
	for _, name := range names {
		for _, rule := range brokenColumnRules(name) {
			faults = append(faults, t.fault("target", t.given, fmt.Sprintf("cannot have a column %q: a name %s", name, rule)))
		}
	}
	for _, name := range t.key {
		if !slices.Contains(names, name) {
			faults = append(faults, t.fault("key", name, "must be a field of the extract"))
		}
	}
	return faults
}

// create makes the table, unless somebody else just did.
func (d *Destination) create(ctx context.Context, conn *pgx.Conn, t target, fields []callsheet.Field) (table, error) {
	if faults := creationFaults(t, fields); len(faults) > 0 {
		return table{}, permanent(errors.Join(faults...))
	}
	if _, err := conn.Exec(ctx, takeTurn, "table "+t.given); err != nil {
		return table{}, err
	}
	schema, err := t.schemaToCreateIn(ctx, conn)
	if err != nil {
		return table{}, err
	}
	statement := "CREATE TABLE IF NOT EXISTS " + quote(schema, t.table) + " (" + t.definition(fields) + ")"
	if err := execute(ctx, conn, statement); err != nil {
		return table{}, err
	}
	return lookUp(ctx, conn, t)
}

// definition is what stands in the parentheses of CREATE TABLE.
func (t target) definition(fields []callsheet.Field) string {
	definition := make([]string, len(fields))
	for i, f := range fields {
		definition[i] = quote(f.Name) + " " + columnType(fieldType(f))
	}
	if len(t.key) > 0 {
		definition = append(definition, "UNIQUE ("+quoteList("", t.key)+")")
	}
	return strings.Join(definition, ", ")
}

// schemaToCreateIn is the target's, else the first of the search path.
func (t target) schemaToCreateIn(ctx context.Context, conn *pgx.Conn) (string, error) {
	if t.schema != "" {
		return t.schema, nil
	}
	var first *string
	if err := conn.QueryRow(ctx, "SELECT ("+searched+")[1]::text", t.own).Scan(&first); err != nil {
		return "", err
	}
	if first == nil {
		return "", permanent(t.fault("target", t.given, "must name a schema: the search path has none that is there"))
	}
	return *first, nil
}

// lookUp reads what the target's table looks like.
func lookUp(ctx context.Context, conn *pgx.Conn, t target) (table, error) {
	var batch pgx.Batch
	queueTable(&batch, t)
	results := conn.SendBatch(ctx, &batch)
	tbl, err := readTable(results, t)
	return tbl, errors.Join(err, results.Close())
}

// execute runs statements without arguments. They differ for each table, so the connection does not
// keep them prepared.
func execute(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	_, err := conn.PgConn().Exec(ctx, strings.Join(statements, ";\n")).ReadAll()
	return err
}
