package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/callsheet-go/callsheet"
)

// rows are the records of a Batch as COPY reads them: one line each. COPY's text format is what every type of the
// server can be read from, without this side knowing the type, and without a number passing through a float.
type rows struct {
	columns   []column
	text      []byte
	ends      []int // of each line
	positions []int // of each line's record in the Batch
	rejects   []reject
}

// A reject is a record that does not fit.
type reject struct {
	position int
	reason   string
}

func (r rows) len() int { return len(r.ends) }

// lines returns the lines from one to before another.
func (r rows) lines(from, to int) []byte {
	start := 0
	if from > 0 {
		start = r.ends[from-1]
	}
	return r.text[start:r.ends[to-1]]
}

// failure is the error of a Batch that has rejects.
func (r rows) failure() error {
	first := r.rejects[0]
	more := ""
	if n := len(r.rejects) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more do not fit)", n)
	}
	return fmt.Errorf("record %d does not fit: %s%s", first.position, first.reason, more)
}

// encode makes lines with these columns. Where rows are merged each begins with its position, by which they
// keep their order.
func encode(tbl table, names []string, t target, records []callsheet.Record) (rows, error) {
	r := rows{columns: make([]column, len(names))}
	place := make(map[string]int, len(names))
	for i, name := range names {
		r.columns[i], _ = tbl.column(name)
		place[name] = i
	}
	if len(names) == 0 && len(records) > 0 {
		return r, errors.New("records without any value cannot be rows")
	}
	const usual = 64 // bytes of a line
	r.text = make([]byte, 0, usual*len(records))
	r.ends, r.positions = make([]int, 0, len(records)), make([]int, 0, len(records))
	values := make([]any, len(names))
	for i, record := range records {
		clear(values)
		for name, value := range record.All() {
			values[place[name]] = value
		}
		start := len(r.text)
		if t.merges() {
			r.text = append(strconv.AppendInt(r.text, int64(i), 10), '\t')
		}
		var err error
		if r.text, err = appendLine(r.text, r.columns, values, t.key); err != nil {
			r.text = r.text[:start]
			r.rejects = append(r.rejects, reject{i, err.Error()})
			continue
		}
		r.ends, r.positions = append(r.ends, len(r.text)), append(r.positions, i)
	}
	return r, nil
}

func appendLine(dst []byte, columns []column, values []any, key []string) ([]byte, error) {
	for i, value := range values {
		if i > 0 {
			dst = append(dst, '\t')
		}
		if value == nil && slices.Contains(key, columns[i].name) {
			return dst, fmt.Errorf("column %q: is null, and belongs to the key", columns[i].name)
		}
		var err error
		if dst, err = appendValue(dst, columns[i], value); err != nil {
			return dst, fmt.Errorf("column %q: %w", columns[i].name, err)
		}
	}
	return append(dst, '\n'), nil
}

// writing is the storing of rows in one transaction.
type writing struct {
	conn   *pgx.Conn
	target target
	table  table
	rows   rows
	added  int64 // rows that were inserted or replaced
}

// store writes the lines from one to before another.
func (w *writing) store(ctx context.Context, from, to int) error {
	switch {
	case from == to:
		return nil
	case w.target.merges():
		return w.merge(ctx, from, to)
	}
	err := w.copy(ctx, w.table.quoted()+" ("+quoteList("", w.names())+")", from, to)
	if err == nil {
		w.added += int64(to - from)
	}
	return err
}

func (w *writing) copy(ctx context.Context, into string, from, to int) error {
	_, err := w.conn.PgConn().CopyFrom(ctx, bytes.NewReader(w.rows.lines(from, to)),
		"COPY "+into+" FROM STDIN (FORMAT text, ENCODING 'UTF8')")
	return err
}

func (w *writing) names() []string {
	names := make([]string, len(w.rows.columns))
	for i, c := range w.rows.columns {
		names[i] = c.name
	}
	return names
}

// incoming is the temporary table that rows pass through where they are compared with those in the table.
const incoming = "pg_temp.callsheet_incoming"

// merge copies the rows to a temporary table, and takes from there what the mode wants.
func (w *writing) merge(ctx context.Context, from, to int) error {
	columns, position := quoteList("", w.names()), w.position()
	if err := w.bringIn(ctx, columns, position, from, to); err != nil {
		return err
	}
	// Dropped now, because the transaction may be somebody's who delivers another Batch in it.
	results, err := w.conn.PgConn().Exec(ctx, w.mergeStatement(columns, position)+";\nDROP TABLE "+incoming).ReadAll()
	if err == nil {
		w.added += results[0].CommandTag.RowsAffected()
	}
	return err
}

// position is the column, quoted, by which rows keep their order: one that the table does not have.
func (w *writing) position() string {
	name := "position"
	for slices.Contains(w.names(), name) {
		name += "_"
	}
	return quote(name)
}

// bringIn copies the rows to the temporary table.
func (w *writing) bringIn(ctx context.Context, columns, position string, from, to int) error {
	// It has the types of the columns and none of their rules, which are the table's own to check.
	err := execute(ctx, w.conn, "CREATE TEMPORARY TABLE callsheet_incoming ON COMMIT DROP AS SELECT 0::bigint AS "+
		position+", "+columns+" FROM "+w.table.quoted()+" WITH NO DATA")
	if err != nil {
		return err
	}
	return w.copy(ctx, incoming, from, to)
}

// mergeStatement takes rows in the order of their keys: two transactions with the same keys then wait for
// each other, and do not deadlock.
func (w *writing) mergeStatement(columns, position string) string {
	key := quoteList("", w.target.key)
	insert := "INSERT INTO " + w.table.quoted() + " (" + columns + ") SELECT "
	from := columns + " FROM " + incoming + " ORDER BY "
	switch {
	case w.target.mode == callsheet.Upsert:
		return insert + "DISTINCT ON (" + key + ") " + from + key + ", " + position + " DESC" +
			" ON CONFLICT (" + key + ") " + w.replacement()
	case key != "":
		return insert + from + key + ", " + position + " ON CONFLICT (" + key + ") DO NOTHING"
	}
	return insert + from + position + " ON CONFLICT DO NOTHING"
}

// replacement sets all columns that a row brings, but for the key that it was found by.
func (w *writing) replacement() string {
	var set []string
	for _, name := range w.names() {
		if !slices.Contains(w.target.key, name) {
			set = append(set, quote(name)+" = excluded."+quote(name))
		}
	}
	if len(set) == 0 {
		return "DO NOTHING"
	}
	return "DO UPDATE SET " + strings.Join(set, ", ")
}

// storeWhatFits writes the lines from one to before another, and notes those that the server refuses. It finds them
// by halving: what the server says about the place is for people, in their language.
func (w *writing) storeWhatFits(ctx context.Context, from, to int) error {
	if from == to {
		return nil
	}
	if err := execute(ctx, w.conn, "SAVEPOINT callsheet_rows"); err != nil {
		return err
	}
	refused := w.store(ctx, from, to)
	if refused == nil {
		return execute(ctx, w.conn, "RELEASE SAVEPOINT callsheet_rows")
	}
	if !aboutRows(refused) {
		return refused
	}
	if err := execute(ctx, w.conn, "ROLLBACK TO SAVEPOINT callsheet_rows", "RELEASE SAVEPOINT callsheet_rows"); err != nil {
		return errors.Join(refused, err)
	}
	if to-from == 1 {
		w.rows.rejects = append(w.rows.rejects, reject{w.rows.positions[from], withDetail(refused).Error()})
		return nil
	}
	half := (from + to) / 2
	if err := w.storeWhatFits(ctx, from, half); err != nil {
		return err
	}
	return w.storeWhatFits(ctx, half, to)
}

const countRejects = `UPDATE {schema}.delivered_batches SET rejected = $3 WHERE execution_id = $1 AND chunk = $2`

// setAside keeps the records that do not fit, with the reasons.
func (d *Destination) setAside(ctx context.Context, conn *pgx.Conn, b callsheet.Batch, rejects []reject) error {
	if _, err := conn.Exec(ctx, d.own(countRejects), b.ExecutionID, b.Chunk, len(rejects)); err != nil {
		return err
	}
	var text []byte
	for _, r := range rejects {
		record, err := b.Records[r.position].AppendJSON(nil)
		for _, cell := range []any{b.ExecutionID, b.Chunk, r.position, b.ScheduleID, b.Delivery.ID, b.Delivery.Target} {
			text = append(appendEscaped(text, fmt.Sprint(cell)), '\t')
		}
		if err != nil {
			record = []byte(`\N`)
		} else {
			record = appendEscaped(nil, string(record))
		}
		text = append(append(text, record...), '\t')
		text = append(appendEscaped(text, strings.ReplaceAll(strings.ToValidUTF8(r.reason, "\ufffd"), "\x00", "")), '\n')
	}
	_, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(text), d.own("COPY {schema}.rejected_records "+
		"(execution_id, chunk, position, schedule_id, delivery_id, target, record, reason) FROM STDIN (FORMAT text, ENCODING 'UTF8')"))
	return err
}
