package file

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// keptBatches is usual for Destination.kept. With twice as many lines a journal is written anew.
const keptBatches = 50_000

// A journal is text, one line for each event:
//
//	<checksum> base <end> <generation> "<target>"  the file is good up to end, whatever was in it before
//	<checksum> done <end> <chunk> [<fence>] "<execution>"
//	                                               a Batch was written and ends there
//
// A fence is written if it is not the first. A Batch that comes again with a greater one has a line more, with the
// end of the file as it is then.
//
// Lines are only added, with one write each, so a crash can hurt the last line and no other. The
// generation is random: it tells a journal from another that has its inode, name and size.

// An entry is one line of a journal.
type entry struct {
	end        int64
	generation string // of a base
	target     string // of a base
	execution  string // of a done
	chunk      int
	fence      int64 // of a done; the first of an execution stands for itself as 0
}

func baseEntry(end int64, target string) entry {
	return entry{end: end, generation: rand.Text(), target: target}
}

// A mark stands for one execution and chunk. 128 bits of a hash take a third of the memory that the
// ID would, and do not meet by chance.
type mark [16]byte

func markOf(execution string, chunk int) mark {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(execution), uint64(chunk)))
	return mark(sum[:16])
}

// markOfExecution stands for all chunks of an execution.
func markOfExecution(execution string) mark { return markOf(execution, -1) }

// journalName is the same for targets that differ in case only, so that the second is found out.
func journalName(target string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(target)))
	return hex.EncodeToString(sum[:16]) + ".journal"
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (e entry) line() []byte {
	text := fmt.Appendf(nil, "base %d %s %q\n", e.end, e.generation, e.target)
	switch {
	case e.fence > firstFence:
		text = fmt.Appendf(nil, "done %d %d %d %q\n", e.end, e.chunk, e.fence, e.execution)
	case e.execution != "":
		text = fmt.Appendf(nil, "done %d %d %q\n", e.end, e.chunk, e.execution)
	}
	return append(fmt.Appendf(nil, "%08x ", crc32.Checksum(text, castagnoli)), text...)
}

var errDamagedLine = errors.New("damaged line")

// parseEntry reads a line, with its line end.
func parseEntry(line []byte) (entry, error) {
	sum, text, _ := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || len(sum) != 8 || crc32.Checksum(text, castagnoli) != uint32(want) {
		return entry{}, errDamagedLine
	}
	// What has a right checksum was written by line: only another version's could be wrong here.
	words := strings.SplitN(strings.TrimSuffix(string(text), "\n"), " ", 3)
	if len(words) != 3 {
		return entry{}, errDamagedLine
	}
	end, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return entry{}, errDamagedLine
	}
	e, quoted := entry{end: end}, words[2]
	switch words[0] {
	case "base":
		e.generation, quoted, _ = strings.Cut(quoted, " ")
		e.target, err = strconv.Unquote(quoted)
	case "done":
		chunk, rest, _ := strings.Cut(quoted, " ")
		if e.chunk, err = strconv.Atoi(chunk); err != nil {
			break
		}
		if fence, behind, _ := strings.Cut(rest, " "); !strings.HasPrefix(rest, `"`) {
			rest = behind
			if e.fence, err = strconv.ParseInt(fence, 10, 64); err != nil {
				break
			}
		}
		e.execution, err = strconv.Unquote(rest)
	default:
		err = errDamagedLine
	}
	if err != nil {
		return entry{}, errDamagedLine
	}
	return e, nil
}

// parseEntries gives every whole line of text to take and returns how many bytes they are. A last
// line that is damaged was torn by a crash before its Batch was committed: it is left out. A
// damaged line before others is an error, because going on without it could cut committed records
// off.
func parseEntries(text []byte, take func(entry)) (whole int, err error) {
	for whole < len(text) {
		length := bytes.IndexByte(text[whole:], '\n') + 1
		if length == 0 {
			return whole, nil
		}
		e, err := parseEntry(text[whole : whole+length])
		if err != nil && whole+length == len(text) {
			return whole, nil
		}
		if err != nil {
			return whole, fmt.Errorf("is damaged in the line at byte %d; move the file and the journal away to begin anew", whole)
		}
		take(e)
		whole += length
	}
	return whole, nil
}

// openLocked opens a file in the folder of journals and locks it against other processes. Closing it
// unlocks.
func (d *Destination) openLocked(name string, lock func(*os.File) error) (*os.File, os.FileInfo, error) {
	name = path.Join(journalFolder, name)
	for {
		f, err := d.openOrCreate(name)
		if err != nil {
			return nil, nil, err
		}
		if err := lock(f); err != nil {
			_ = f.Close()
			return nil, nil, err
		}
		held, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return nil, nil, err
		}
		// While this waited for the lock, its holder may have put a shorter journal in place.
		current, err := d.root.Lstat(name)
		if err == nil && os.SameFile(held, current) {
			return f, held, nil
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
}

func (d *Destination) openOrCreate(name string) (*os.File, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	// Somebody has removed the folder since New.
	if err := d.makeJournalFolder(); err != nil {
		return nil, err
	}
	return d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
}

// journalPath is the name that errors call a journal by, for people who have to find it.
func (d *Destination) journalPath(name string) string {
	return filepath.Join(d.root.Name(), journalFolder, name)
}

// compact replaces the journal, which is open and locked as f, by one with the last Batches only. On
// an error the journal is as it was.
func (d *Destination) compact(l *ledger, f *os.File) error {
	text, err := readFrom(f, 0, l.size)
	if err != nil {
		return err
	}
	var entries []entry
	if _, err := parseEntries(text, func(e entry) { entries = append(entries, e) }); err != nil {
		return err
	}
	text = shortened(text, entries, l.target, d.kept)

	name := path.Join(journalFolder, l.journal)
	short := name + ".new"
	if err := d.root.Remove(short); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.writeNew(short, text); err != nil {
		return err
	}
	if err := d.root.Rename(short, name); err != nil {
		return errors.Join(err, d.root.Remove(short))
	}
	return nil // who reads it first syncs its folder
}

// shortened returns a journal with the last of the lines, and what comes before of the executions that these are of:
// one that is still open must find all its chunks. The latter are at most half as many, so that it is shorter.
func shortened(text []byte, entries []entry, target string, kept int) []byte {
	first := len(entries) - kept
	open := make(map[string]bool, kept)
	for _, e := range entries[first:] {
		open[e.execution] = true
	}
	keep := make([]bool, first)
	for i, room := first-1, kept/2; i >= 0 && room > 0; i-- {
		if keep[i] = entries[i].execution != "" && open[entries[i].execution]; keep[i] {
			room--
		}
	}
	short := baseEntry(entries[first-1].end, target).line()
	for i := range first {
		line := text[:bytes.IndexByte(text, '\n')+1]
		if keep[i] {
			short = append(short, line...)
		}
		text = text[len(line):]
	}
	return append(short, text...)
}

// readFrom reads f from there to its end.
func readFrom(f *os.File, offset, size int64) ([]byte, error) {
	text := make([]byte, size-offset)
	n, err := f.ReadAt(text, offset)
	if err == io.EOF {
		err = nil
	}
	return text[:n], err
}
