package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/callsheet-go/callsheet"
)

// deliverAppend adds the Batch to the target's file, unless it is there.
func (d *Destination) deliverAppend(ctx context.Context, t target, b callsheet.Batch) error {
	l, err := d.ledgers.take(ctx, journalName(t.name))
	if err != nil {
		return err
	}
	defer d.ledgers.give(l)

	// Errors of Close do not matter here: what counts was synced before, and behind the journal's line
	// a Batch is delivered.
	journal, err := d.openLedger(ctx, l)
	if err != nil {
		return err
	}
	defer journal.Close()
	if err := d.checkName(l, t); err != nil {
		return err
	}
	data, size, err := d.openData(t.name)
	if err != nil {
		return err
	}
	if data != nil {
		defer data.Close()
	}
	size, err = d.bringInLine(l, data, size)
	if err != nil {
		return err
	}
	known := l.fences[markOfExecution(b.ExecutionID)]
	if err := refuseStale(b, known); err != nil {
		return err
	}
	if _, delivered := l.seen[markOf(b.ExecutionID, b.Chunk)]; delivered {
		if b.Fence > max(known, firstFence) {
			_, err = d.write(l, journal, doneEntry(l.end, b))
		}
		return err
	}
	text, columns, err := encode(l, data, size, t, b)
	if err != nil {
		return err
	}
	if data == nil {
		if data, err = d.createData(t.name); err != nil {
			return err
		}
		defer data.Close()
	}
	if err := d.begin(l, journal, size, t); err != nil {
		return err
	}
	if err := d.commit(ctx, l, journal, data, text, b); err != nil {
		return err
	}
	l.columns = columns
	return nil
}

// bringInLine cuts off what is behind the journal's end, and returns the size that the file has then.
func (d *Destination) bringInLine(l *ledger, data *os.File, size int64) (int64, error) {
	good, err := d.inLine(l, data, size)
	if err == nil && good < size {
		err = d.cut(data, good)
	}
	return good, err
}

// inLine returns how much of the file is good by its journal.
func (d *Destination) inLine(l *ledger, data *os.File, size int64) (int64, error) {
	switch {
	case l.entries == 0:
		// No journal yet: what is in the file now is somebody's, and stays.
		return size, endsLine(data, size)
	case size > 0 && size < l.end:
		return 0, fmt.Errorf("somebody changed the file: it has %d bytes and %d were delivered, as its journal %q says; "+
			"restore the file, or move it away to begin a new one", size, l.end, d.journalPath(l.journal))
	}
	return min(size, l.end), nil
}

// checkName refuses a target whose journal is another's.
func (d *Destination) checkName(l *ledger, t target) error {
	if l.entries > 0 && l.target != t.name {
		return permanent(fmt.Errorf("differs in case only from %q, whose journal is %q", l.target, d.journalPath(l.journal)))
	}
	return nil
}

// begin prepares a file that has no journal yet, or nothing in it, for its next Batch.
func (d *Destination) begin(l *ledger, journal *os.File, size int64, t target) error {
	// With nothing in it the file is new, or was renamed, removed or emptied since: it is begun anew,
	// and the journal remembers the Batches.
	if l.entries == 0 || size < l.end {
		if _, err := d.write(l, journal, baseEntry(size, t.name)); err != nil {
			return err
		}
	}
	if size > 0 {
		return nil
	}
	return d.syncFolders(t) // whoever made the file may have been killed before it could sync the name
}

// openData opens the file if it is there.
func (d *Destination) openData(name string) (*os.File, int64, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (d *Destination) createData(name string) (*os.File, error) {
	if err := d.makeFolder(path.Dir(name)); err != nil {
		return nil, err
	}
	return d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
}

// endsLine refuses to write behind half a line: it may be somebody's who is still writing it.
func endsLine(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		return errors.New("the file was there before and does not end with a line end: add one, or name another file")
	}
	return nil
}

// commit writes the Batch's text behind the committed end, then the line in the journal that makes
// it count. On an error the file is as it was.
func (d *Destination) commit(ctx context.Context, l *ledger, journal, data *os.File, text []byte, b callsheet.Batch) (err error) {
	before := l.end
	if len(text) > 0 {
		_, err = data.WriteAt(text, before)
		if err == nil {
			err = d.syncFile(data)
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	undone := true
	if err == nil {
		undone, err = d.write(l, journal, doneEntry(before+int64(len(text)), b))
	}
	if err != nil && undone { // else the line may count, and the records with it
		err = errors.Join(err, d.cut(data, before))
	}
	return err
}

// cut takes debris off the file.
func (d *Destination) cut(f *os.File, end int64) error {
	if err := f.Truncate(end); err != nil {
		return fmt.Errorf("cut off what was not committed: %w", err)
	}
	return d.syncFile(f)
}

// encode returns the bytes that the Batch adds to the file of that size, and the columns of CSV.
func encode(l *ledger, data *os.File, size int64, t target, b callsheet.Batch) (text []byte, columns []string, err error) {
	if t.format == jsonLines {
		text, err = encodeJSONLines(b.Records)
		return text, nil, err
	}
	if size > 0 {
		columns = l.columns
	}
	if columns == nil && size > 0 {
		if columns, err = readCSVHeader(data, size); err != nil {
			return nil, nil, err
		}
	}
	return encodeCSV(columns, b)
}

// encodeCSV returns the lines of a Batch. Without columns they begin with the header.
func encodeCSV(columns []string, b callsheet.Batch) (text []byte, _ []string, err error) {
	if columns == nil {
		columns = csvColumns(b)
		if text, err = appendCSVHeader(nil, columns); err != nil {
			return nil, nil, err
		}
	}
	text, err = appendCSV(text, columns, b)
	return text, columns, err
}
