package file

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
)

// repair cuts off what crashes left behind the committed end of every file that has a journal.
func (d *Destination) repair() error {
	folder, err := d.root.Open(journalFolder)
	if err != nil {
		return err
	}
	names, err := folder.Readdirnames(-1)
	_ = folder.Close()
	if err != nil {
		return err
	}
	for _, name := range names {
		if path.Ext(name) == ".journal" {
			// What cannot be mended is reported by the next Deliver to that target.
			_ = d.repairOne(name)
		}
	}
	return nil
}

func (d *Destination) repairOne(journalName string) error {
	busy := errors.New("in use by another process, which has mended it")
	journal, info, err := d.openLocked(journalName, func(f *os.File) error {
		locked, err := tryLockFile(f)
		if err == nil && !locked {
			return busy
		}
		return err
	})
	if err != nil {
		return err
	}
	defer journal.Close()

	name, end, err := lastEnd(journal, info.Size())
	if err != nil {
		return err
	}
	if err := d.check(target{name: name, given: name}); err != nil {
		return err
	}
	data, size, err := d.openData(name)
	if data == nil || err != nil {
		return err
	}
	defer data.Close()
	if size > end {
		return d.cut(data, end)
	}
	return nil
}

// lastEnd returns the target of a journal and the committed end of its file. It reads the first and the
// last lines only, because New reads every journal.
func lastEnd(journal *os.File, size int64) (target string, end int64, err error) {
	const tail = 64 << 10
	first, err := bufio.NewReader(journal).ReadBytes('\n')
	if err != nil {
		return "", 0, err
	}
	base, err := parseEntry(first)
	if err != nil {
		return "", 0, err
	}
	offset := max(0, size-tail)
	text, err := readFrom(journal, offset, size)
	if err != nil {
		return "", 0, err
	}
	if offset > 0 {
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	found := false
	if _, err := parseEntries(text, func(e entry) { end, found = e.end, true }); err != nil {
		return "", 0, err
	}
	if !found {
		return "", 0, fs.ErrInvalid
	}
	return base.target, end, nil
}
