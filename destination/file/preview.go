package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/callsheet-go/callsheet"
)

// Preview implements [callsheet.Previewer]. It reads the target's file and its journal as they are, without a lock, and does not
// mend them: what a crash left behind is passed over, as the next Deliver would cut it off.
func (d *Destination) Preview(ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
	if err := ctx.Err(); err != nil {
		return callsheet.Preview{}, err
	}
	t, err := d.prepare(b)
	if err != nil {
		return callsheet.Preview{}, err
	}
	var p callsheet.Preview
	var columns []string
	if t.mode == callsheet.PerExecution {
		p.Creates = true
	} else if columns, p.Creates, err = d.lookAt(t); err != nil {
		return callsheet.Preview{}, fmt.Errorf("target %q: %w", t.name, err)
	}
	if err := judge(ctx, &p, t, columns, b); err != nil {
		if ctx.Err() != nil {
			return callsheet.Preview{}, ctx.Err()
		}
		return callsheet.Preview{}, fmt.Errorf("target %q: %w", t.name, err)
	}
	return p, nil
}

// lookAt returns the columns of a CSV file that is there, and whether there is none.
func (d *Destination) lookAt(t target) (columns []string, missing bool, err error) {
	l := &ledger{journal: journalName(t.name), seen: map[mark]struct{}{}, fences: map[mark]int64{}}
	text, err := d.root.ReadFile(path.Join(journalFolder, l.journal))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("read its journal %q: %w", d.journalPath(l.journal), err)
	}
	if _, err := parseEntries(text, l.take); err != nil {
		return nil, false, fmt.Errorf("its journal %q %w", d.journalPath(l.journal), err)
	}
	if err := d.checkName(l, t); err != nil {
		return nil, false, err
	}
	data, err := d.root.Open(t.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer data.Close()
	info, err := data.Stat()
	if err != nil {
		return nil, false, err
	}
	size, err := d.inLine(l, data, info.Size())
	if err != nil || size == 0 || t.format != csvLines {
		return nil, false, err
	}
	columns, err = readCSVHeader(data, size)
	return columns, false, err
}

// judge counts what would become of each record.
func judge(ctx context.Context, p *callsheet.Preview, t target, columns []string, b callsheet.Batch) error {
	one := b
	one.Records = nil
	if t.format == csvLines {
		if columns == nil {
			columns = csvColumns(b)
			if _, err := appendCSVHeader(nil, columns); err != nil {
				return err
			}
		}
		if _, err := appendCSV(nil, columns, one); err != nil {
			return err
		}
	}
	var line []byte
	for i, r := range b.Records {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if t.format == jsonLines {
			line, err = r.AppendJSON(line[:0])
		} else {
			one.Records = b.Records[i : i+1]
			line, err = appendCSV(line[:0], columns, one)
		}
		if err != nil {
			p.Fails = true
			p.Reject(i, reason(err))
			continue
		}
		p.Inserted++
	}
	return nil
}

// reason is why one record cannot be written, without its place among those that were tried with it.
func reason(err error) string {
	if e, ok := errors.AsType[*recordError](err); ok {
		err = e.err
	}
	return err.Error()
}
