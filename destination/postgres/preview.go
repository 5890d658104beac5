package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callsheet-go/callsheet"
)

// previewTime bounds a whole preview, and so how long its locks can be in anybody's way.
const previewTime = 10 * time.Second

var errPreviewTime = fmt.Errorf("preview: took longer than %s", previewTime)

// limitPreview sets what a preview waits for at most, in milliseconds, for its transaction. What the host has set lower stays.
const limitPreview = `
SELECT pg_catalog.set_config(name, least(nullif(setting::bigint, 0), most)::text, true)
FROM   pg_catalog.pg_settings
       JOIN (VALUES ('lock_timeout', 2000), ('statement_timeout', 5000), ('idle_in_transaction_session_timeout', 10000)) limits (name, most) USING (name)`

// Preview implements [callsheet.Previewer]. It writes the rows in a transaction that is rolled back, so that constraints,
// triggers and rights are asked as Deliver would ask them. What a rollback does not take back stays: the numbers that
// sequences gave, dead rows until the next vacuum, and what triggers did outside the database.
//
// It waits at most 2 s for a lock, and ends after 10 s; until it does, writers of rows with the same keys wait for it.
//
// It takes the rights that Deliver takes. A table that Deliver would make is stood in for by a temporary one: a role that may not make
// that has no preview, which is no error of [callsheet.ClassPermanent] where Deliver makes none.
func (d *Destination) Preview(ctx context.Context, b callsheet.Batch) (p callsheet.Preview, err error) {
	if err := ctx.Err(); err != nil {
		return p, err
	}
	t, err := d.prepare(b)
	if err != nil {
		return p, err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, previewTime, errPreviewTime)
	defer cancel()
	err = d.db.with(bounded, func(conn *pgx.Conn) error {
		tx, err := conn.BeginTx(bounded, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
		if err != nil {
			return err
		}
		defer rollback(ctx, tx)
		p, err = d.preview(bounded, conn, t, b)
		return err
	})
	switch {
	case err == nil:
		return p, nil
	case ctx.Err() != nil:
		return callsheet.Preview{}, ctx.Err()
	case bounded.Err() != nil:
		err = context.Cause(bounded)
	}
	return callsheet.Preview{}, t.explain(err)
}

func (d *Destination) preview(ctx context.Context, conn *pgx.Conn, t target, b callsheet.Batch) (p callsheet.Preview, err error) {
	if _, err := conn.Exec(ctx, limitPreview); err != nil {
		return p, err
	}
	tbl, err := lookUp(ctx, conn, t)
	if err != nil {
		return p, err
	}
	names := columnNames(t, b)
	var faults []error
	if p.Creates = tbl.missing() && d.createTable; p.Creates {
		if tbl, err = standIn(ctx, conn, t, b.Fields); err != nil {
			return p, err
		}
		faults = tbl.columnFaults(t, names)
	} else {
		faults = tbl.faults(t, names)
	}
	if len(faults) > 0 {
		return p, permanent(errors.Join(faults...))
	}
	rows, err := encode(tbl, names, t, b.Records)
	if err != nil {
		return p, permanent(err)
	}
	w := writing{conn: conn, target: t, table: tbl, rows: rows}
	if err := w.try(ctx, &p); err != nil {
		return p, err
	}
	slices.SortFunc(w.rows.rejects, func(a, b reject) int { return cmp.Compare(a.position, b.position) })
	for _, r := range w.rows.rejects {
		p.Fails = p.Fails || d.badRows == Fail
		p.Reject(r.position, r.reason)
	}
	return p, w.count(ctx, &p)
}

const rightsToCreate = `
SELECT pg_catalog.has_schema_privilege($1, 'CREATE'),
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY')`

// standIn makes a temporary table in the place of one that is not there.
func standIn(ctx context.Context, conn *pgx.Conn, t target, fields []callsheet.Field) (table, error) {
	if faults := creationFaults(t, fields); len(faults) > 0 {
		return table{}, permanent(errors.Join(faults...))
	}
	schema, err := t.schemaToCreateIn(ctx, conn)
	if err != nil {
		return table{}, err
	}
	var may, mayStandIn bool
	if err := conn.QueryRow(ctx, rightsToCreate, schema).Scan(&may, &mayStandIn); err != nil {
		return table{}, err
	}
	switch {
	case !may:
		return table{}, permanent(fmt.Errorf("the role may not create a table in the schema %q", schema))
	case !mayStandIn && !t.merges(): // Deliver makes a temporary one itself to merge
		return table{}, previewError{errors.New("a preview of a table that would be made takes the right to make temporary ones (TEMPORARY), " +
			"which the role does not have")}
	}
	t.table = "callsheet_preview"
	if err := execute(ctx, conn, "CREATE TEMPORARY TABLE "+t.table+" ("+t.definition(fields)+") ON COMMIT DROP"); err != nil {
		return table{}, err
	}
	if err := conn.QueryRow(ctx, "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE oid = pg_catalog.pg_my_temp_schema()").Scan(&t.schema); err != nil {
		return table{}, err
	}
	return lookUp(ctx, conn, t)
}

// try writes the rows to see which the server refuses, and takes them back.
func (w *writing) try(ctx context.Context, p *callsheet.Preview) error {
	const point = "SAVEPOINT callsheet_preview"
	if err := execute(ctx, w.conn, point); err != nil {
		return err
	}
	if err := w.storeWhatFits(ctx, 0, w.rows.len()); err != nil {
		return err
	}
	// What is deferred would fail the commit.
	if err := execute(ctx, w.conn, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		if !aboutRows(err) {
			return err
		}
		p.Fail(withDetail(err).Error())
	}
	return execute(ctx, w.conn, "ROLLBACK TO "+point)
}

// count says what becomes of the rows that fit. Of the table it sees what try has not changed.
func (w *writing) count(ctx context.Context, p *callsheet.Preview) error {
	fits := w.rows.fitting()
	if w.target.mode != callsheet.Upsert || fits.len() == 0 {
		p.Inserted = int(w.added)
		p.Ignored = fits.len() - p.Inserted
		return nil
	}
	w.rows = fits
	columns, position := quoteList("", w.names()), w.position()
	if err := w.bringIn(ctx, columns, position, 0, fits.len()); err != nil {
		return err
	}
	err := w.conn.QueryRow(ctx, w.countStatement(columns, position), pgx.QueryExecModeExec).Scan(&p.Inserted, &p.Unchanged, &p.Updated)
	if err != nil {
		return previewError{err}
	}
	p.Ignored = fits.len() - p.Inserted - p.Unchanged - p.Updated
	return nil
}

// countStatement compares the rows with those that have their keys. Values are compared by their text: some
// types have no other equality, and 1.0 in the place of 1 is a change. It reads no column that Deliver does not read: the
// role may have no right to. A row that was not found has null for its key, and IS NULL would take a composite of nulls for that.
func (w *writing) countStatement(columns, position string) string {
	key := quoteList("", w.target.key)
	found, same := make([]string, 0, len(w.target.key)), []string{"true"}
	for _, name := range w.names() {
		if slices.Contains(w.target.key, name) {
			found = append(found, "there."+quote(name)+" = brought."+quote(name))
		} else {
			same = append(same, "there."+quote(name)+"::text IS NOT DISTINCT FROM brought."+quote(name)+"::text")
		}
	}
	equal := strings.Join(same, " AND ")
	known := "there." + quote(w.target.key[0]) + " IS DISTINCT FROM NULL"
	return "SELECT count(*) FILTER (WHERE NOT " + known + "), count(*) FILTER (WHERE " + known + " AND " + equal + ")," +
		" count(*) FILTER (WHERE " + known + " AND NOT (" + equal + "))" +
		" FROM (SELECT DISTINCT ON (" + key + ") " + columns + " FROM " + incoming + " ORDER BY " + key + ", " + position + " DESC) brought" +
		" LEFT JOIN " + w.table.quoted() + " there ON " + strings.Join(found, " AND ")
}

// fitting returns the rows without those that were rejected.
func (r rows) fitting() rows {
	refused := make(map[int]bool, len(r.rejects))
	for _, reject := range r.rejects {
		refused[reject.position] = true
	}
	fits := rows{columns: r.columns}
	for i, position := range r.positions {
		if !refused[position] {
			fits.text = append(fits.text, r.lines(i, i+1)...)
			fits.ends, fits.positions = append(fits.ends, len(fits.text)), append(fits.positions, position)
		}
	}
	return fits
}
