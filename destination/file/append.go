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
func (d *Destination) deliverAppend(ctx context.Context, t target, b callsheet.Batch) (err error) {
	l, err := d.ledgers.take(ctx, journalName(t.name))
	if err != nil {
		return err
	}
	defer d.ledgers.give(l)

	journal, err := d.openLedger(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	if l.entries > 0 && l.target != t.name {
		return permanent(fmt.Errorf("differs in case only from %q, which has a journal", l.target))
	}

	data, err := d.openInLine(l, journal, t, b)
	if data == nil || err != nil {
		return err
	}
	return errors.Join(d.commit(ctx, l, journal, data, t, b), data.Close())
}

// openInLine opens the target's file after it has brought file and journal in line. It returns nil
// if the journal has the Batch already.
func (d *Destination) openInLine(l *ledger, journal *os.File, t target, b callsheet.Batch) (data *os.File, err error) {
	data, size, err := d.openData(t.name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && data != nil {
			err = errors.Join(err, data.Close())
			data = nil
		}
	}()

	switch {
	case l.entries == 0:
		// No journal yet: what is in the file now is somebody's, and stays.
		if err := endsLine(data, size); err != nil {
			return data, err
		}
		if _, err := d.write(l, journal, entry{end: size, target: t.name}); err != nil {
			return data, err
		}
		if err := d.syncFolder(d.journals, "."); err != nil {
			return data, err
		}
	case size > l.end && data != nil:
		if err := d.cut(data, l.end); err != nil {
			return data, err
		}
	case size > 0 && size < l.end:
		return data, fmt.Errorf("somebody changed the file: it has %d bytes and %d were delivered; restore it, or move it away to begin a new one", size, l.end)
	}

	if _, delivered := l.seen[markOf(b.ExecutionID, b.Chunk)]; delivered {
		if data != nil {
			err = data.Close()
		}
		return nil, err
	}
	if size == 0 && l.end > 0 {
		// Renamed, removed or emptied since: begin anew, and remember the Batches.
		if _, err := d.write(l, journal, entry{end: 0, target: t.name}); err != nil {
			return data, err
		}
	}
	if data == nil {
		return d.createData(t)
	}
	return data, nil
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
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func (d *Destination) createData(t target) (*os.File, error) {
	if err := d.makeFolder(path.Dir(t.name)); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(t.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	if err := d.syncFolders(t); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
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

// commit writes the Batch behind the committed end, then the line in the journal that makes it count.
// On an error the file is as it was.
func (d *Destination) commit(ctx context.Context, l *ledger, journal, data *os.File, t target, b callsheet.Batch) error {
	text, columns, err := encode(l, data, t, b)
	if err != nil {
		return err
	}
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
		undone, err = d.write(l, journal, entry{end: before + int64(len(text)), execution: b.ExecutionID, chunk: b.Chunk})
	}
	if err == nil {
		l.columns = columns
		return nil
	}
	if undone { // else the line may count, and the records with it
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

// encode returns the bytes that the Batch adds to the file, and the columns of CSV.
func encode(l *ledger, data *os.File, t target, b callsheet.Batch) (text []byte, columns []string, err error) {
	if t.format == jsonLines {
		text, err = encodeJSONLines(b.Records)
		return text, nil, err
	}
	columns = l.columns
	if columns == nil && l.end > 0 {
		if columns, err = readCSVHeader(data, l.end); err != nil {
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
