package file

import (
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

	info    os.FileInfo // the journal that was read; nil: none
	target  string      // whose journal it is
	size    int64       // bytes of it that were read
	end     int64       // where the last committed Batch ends
	entries int         // lines
	seen    map[mark]struct{}
	columns []string // of a CSV file; nil: not read

	users int    // deliveries that hold or wait for turn; guarded by ledgers.mu
	used  uint64 // when it was last used; guarded by ledgers.mu
	marks int    // len(seen) when it was last used; guarded by ledgers.mu
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
	marks := len(l.seen)
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
	l.info, l.target, l.size, l.end, l.entries, l.seen, l.columns = nil, "", 0, 0, 0, nil, nil
}

// openLedger opens and locks the ledger's journal and brings the ledger up to date with it.
func (d *Destination) openLedger(ctx context.Context, l *ledger) (*os.File, error) {
	for {
		f, info, err := d.openJournal(l.journal, func(f *os.File) error { return lockFile(ctx, f) })
		if err != nil {
			return nil, fmt.Errorf("open its journal: %w", err)
		}
		err = d.read(l, f, info)
		if err == nil && l.entries < 2*keptBatches {
			return f, nil
		}
		if err == nil { // the new journal has to be opened and locked in its turn
			err = d.compact(l, f)
			l.forget()
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// read brings the ledger up to date with the locked journal f, which another process may have
// extended or replaced. What a crash tore is cut off.
func (d *Destination) read(l *ledger, f *os.File, info os.FileInfo) error {
	if l.info != nil && (!os.SameFile(l.info, info) || info.Size() < l.size) {
		l.forget()
	}
	l.info = info
	if l.seen == nil {
		l.seen = map[mark]struct{}{}
	}
	if info.Size() == l.size {
		return nil
	}
	text, err := readFrom(f, l.size, info.Size())
	if err != nil {
		return err
	}
	whole, err := parseEntries(text, l.take)
	if err == nil && whole < len(text) {
		err = f.Truncate(l.size + int64(whole))
	}
	if err == nil {
		// The lines may be those of a process that was killed before it could sync them.
		err = d.syncFile(f)
	}
	if err != nil {
		l.forget()
		return err
	}
	l.size += int64(whole)
	return nil
}

func (l *ledger) take(e entry) {
	l.entries++
	l.end = e.end
	if e.execution == "" {
		l.target, l.columns = e.target, nil
		return
	}
	l.seen[markOf(e.execution, e.chunk)] = struct{}{}
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
		l.size += int64(len(line))
		l.take(e)
		return true, nil
	}
	cut := f.Truncate(l.size)
	l.forget()
	return cut == nil, errors.Join(fmt.Errorf("write its journal: %w", err), cut)
}
