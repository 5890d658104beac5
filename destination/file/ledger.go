package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
)

// rememberedMarks bounds the memory for what journals say: about 40 bytes each, over all targets.
// Beyond it, journals that were not used for the longest time are forgotten and read again when needed.
const rememberedMarks = 1 << 20

// A ledger is what a journal says, kept in memory between deliveries.
type ledger struct {
	journal string        // its file's name
	turn    chan struct{} // holds the right to use what follows; one delivery at a time

	info      os.FileInfo // the journal that was read; nil: none
	first     []byte      // its first line, which no other journal has
	target    string      // whose journal it is
	size      int64       // bytes of it that were read
	end       int64       // where the last committed Batch ends
	entries   int         // lines
	shortenAt int         // lines with which it is shortened, if more than usual
	seen      map[mark]struct{}
	fences    map[mark]int64 // of executions that were delivered by a worker after their first
	columns   []string       // of a CSV file; nil: not read

	users int    // deliveries that hold or wait for turn; guarded by ledgers.mu
	used  uint64 // when it was last used; guarded by ledgers.mu
	marks int    // what was remembered when it was last used; guarded by ledgers.mu
}

// ledgers are the ledgers in memory.
type ledgers struct {
	mu        sync.Mutex
	byJournal map[string]*ledger
	clock     uint64
	marks     int // of all ledgers
}

// take returns the journal's ledger when it is this delivery's turn. It must be given back.
func (all *ledgers) take(ctx context.Context, journal string) (*ledger, error) {
	all.mu.Lock()
	if all.byJournal == nil {
		all.byJournal = map[string]*ledger{}
	}
	l := all.byJournal[journal]
	if l == nil {
		l = &ledger{journal: journal, turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
		all.byJournal[journal] = l
	}
	l.users++
	all.mu.Unlock()

	select {
	case <-l.turn:
		return l, nil
	case <-ctx.Done():
		all.mu.Lock()
		defer all.mu.Unlock()
		l.users--
		return nil, ctx.Err()
	}
}

func (all *ledgers) give(l *ledger) {
	marks := len(l.seen) + len(l.fences)
	l.turn <- struct{}{}

	all.mu.Lock()
	defer all.mu.Unlock()
	all.clock++
	l.users, l.used = l.users-1, all.clock
	all.marks += marks - l.marks
	l.marks = marks
	for all.marks > rememberedMarks && all.forgetOne() {
	}
}

// forgetOne drops the ledger that nobody used for the longest time.
func (all *ledgers) forgetOne() bool {
	var oldest *ledger
	for _, l := range all.byJournal {
		if l.users == 0 && (oldest == nil || l.used < oldest.used) {
			oldest = l
		}
	}
	if oldest == nil {
		return false
	}
	delete(all.byJournal, oldest.journal)
	all.marks -= oldest.marks
	return true
}

// forget makes the next delivery read the journal again.
func (l *ledger) forget() {
	l.info, l.first, l.target, l.size, l.end, l.entries, l.shortenAt = nil, nil, "", 0, 0, 0, 0
	l.seen, l.fences, l.columns = nil, nil, nil
}

// openLedger opens and locks the ledger's journal and brings the ledger up to date with it.
func (d *Destination) openLedger(ctx context.Context, l *ledger) (*os.File, error) {
	for {
		f, info, err := d.openLocked(l.journal, func(f *os.File) error { return lockFile(ctx, f) })
		if err != nil {
			return nil, fmt.Errorf("open its journal %q: %w", d.journalPath(l.journal), err)
		}
		if err := d.read(l, f, info); err != nil {
			_ = f.Close()
			return nil, err
		}
		if l.entries < max(2*d.kept, l.shortenAt) {
			return f, nil
		}
		// Housekeeping: where it fails, as on a full disk, the long journal does for some time more.
		if err := d.compact(l, f); err != nil {
			l.shortenAt = l.entries + d.kept/50
		} else {
			l.forget()
		}
		_ = f.Close() // what has the journal's name now is opened and locked in its turn
	}
}

// read brings the ledger up to date with the locked journal f, which another process may have
// extended or replaced. What a crash tore is cut off.
func (d *Destination) read(l *ledger, f *os.File, info os.FileInfo) error {
	if l.info == nil || !l.isOf(f, info) {
		l.forget()
		// The name may be new, from a process that was killed before it could sync it.
		if err := d.syncFolder(journalFolder); err != nil {
			return fmt.Errorf("sync the folder of its journal %q: %w", d.journalPath(l.journal), err)
		}
		l.seen, l.fences = map[mark]struct{}{}, map[mark]int64{}
	}
	l.info = info
	if info.Size() == l.size {
		return nil
	}
	text, err := readFrom(f, l.size, info.Size())
	if err != nil {
		l.forget()
		return fmt.Errorf("read its journal %q: %w", d.journalPath(l.journal), err)
	}
	whole, err := parseEntries(text, l.take)
	if err != nil {
		l.forget()
		return fmt.Errorf("its journal %q %w", d.journalPath(l.journal), err)
	}
	if whole < len(text) {
		err = f.Truncate(l.size + int64(whole))
	}
	if err == nil {
		// The lines may be those of a process that was killed before it could sync them.
		err = d.syncFile(f)
	}
	if err != nil {
		l.forget()
		return fmt.Errorf("mend its journal %q: %w", d.journalPath(l.journal), err)
	}
	if l.size == 0 {
		l.first = bytes.Clone(text[:bytes.IndexByte(text[:whole], '\n')+1])
	}
	l.size += int64(whole)
	return nil
}

// isOf reports whether f is the journal that the ledger was read from. The file system's word is not
// enough: a journal that was removed and made again may have the inode of the old one.
func (l *ledger) isOf(f *os.File, info os.FileInfo) bool {
	if !os.SameFile(l.info, info) || info.Size() < l.size {
		return false
	}
	first := make([]byte, len(l.first))
	_, err := f.ReadAt(first, 0)
	return err == nil && bytes.Equal(first, l.first)
}

func (l *ledger) take(e entry) {
	l.entries++
	l.end = e.end
	if e.execution == "" {
		l.target, l.columns = e.target, nil
		return
	}
	l.seen[markOf(e.execution, e.chunk)] = struct{}{}
	if e.fence > firstFence {
		m := markOfExecution(e.execution)
		l.fences[m] = max(l.fences[m], e.fence)
	}
}

// write adds a line to the locked journal f. When it returns an error, the line is not there, and
// nothing else has changed; undone is false if that cannot be said.
func (d *Destination) write(l *ledger, f *os.File, e entry) (undone bool, err error) {
	line := e.line()
	_, err = f.WriteAt(line, l.size)
	if err == nil {
		err = d.syncFile(f)
	}
	if err == nil {
		if l.size == 0 {
			l.first = line
		}
		l.size += int64(len(line))
		l.take(e)
		return true, nil
	}
	cut := f.Truncate(l.size)
	if cut == nil {
		_ = d.syncFile(f) // the disk may have the line already
	}
	l.forget()
	return cut == nil, errors.Join(fmt.Errorf("write its journal %q: %w", d.journalPath(l.journal), err), cut)
}
