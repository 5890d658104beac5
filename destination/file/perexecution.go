package file

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet"
)

const (
	// suffixRoom is the most bytes that ownName adds: time, execution ID, chunk.
	suffixRoom  = len("-20261123T134500Z") + 1 + maxIDInName + 1 + len("9223372036854775807")
	maxIDInName = 36

	// lockFiles bounds the files below journalFolder by which deliveries keep apart.
	lockFiles = 64

	temporaryPrefix = ".callsheet-"
	temporarySuffix = ".tmp"
	temporaryLife   = time.Hour
)

// ownName returns the name of the file that the Batch gets to itself. The execution's ID keeps
// executions of one second apart.
func (t target) ownName(b callsheet.Batch) string {
	ext := path.Ext(t.name)
	name := strings.TrimSuffix(t.name, ext) + "-" + b.ScheduledAt.UTC().Format("20060102T150405Z") + "-" + idInName(b.ExecutionID)
	if b.Chunk > 0 {
		name += "-" + strconv.Itoa(b.Chunk)
	}
	return name + ext
}

// idInName returns id, or a hash of it where it is no good part of a file's name.
func idInName(id string) string {
	unusual := func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r == '-' || r == '_')
	}
	if len(id) <= maxIDInName && !strings.ContainsFunc(id, unusual) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

// deliverFile writes the Batch to a file of its own, unless it is there.
func (d *Destination) deliverFile(ctx context.Context, t target, b callsheet.Batch) error {
	own := t
	own.name = t.ownName(b)
	// Two workers may deliver one execution at once, with different answers. Under the lock the first
	// that commits is the only one, and may take its file away again if that cannot be synced.
	lock, err := d.lockExecution(ctx, t, b)
	if err != nil {
		return err
	}
	defer lock.release()
	if err := d.heedFence(lock, b); err != nil {
		return err
	}

	info, err := d.root.Lstat(own.name)
	if err == nil && info.Mode().IsRegular() {
		return d.syncFolders(own) // whoever renamed it may have been killed before its own sync
	}
	if err == nil {
		return d.check(own)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	var text []byte
	if t.format == jsonLines {
		text, err = encodeJSONLines(b.Records)
	} else {
		text, _, err = encodeCSV(nil, b)
	}
	if err != nil {
		return err
	}
	folder := path.Dir(own.name)
	if err := d.makeFolder(folder); err != nil {
		return err
	}
	d.sweep(folder)
	temporary := path.Join(folder, temporaryPrefix+rand.Text()+temporarySuffix)
	if err := d.writeNew(temporary, text); err != nil {
		return err
	}
	err = ctx.Err()
	if err == nil {
		err = d.root.Rename(temporary, own.name)
	}
	if err != nil {
		return errors.Join(err, d.root.Remove(temporary))
	}
	if err := d.syncFolders(own); err != nil {
		return errors.Join(err, d.root.Remove(own.name))
	}
	return nil
}

// An executionLock keeps all others, in this process and in others, from delivering an execution's files.
type executionLock struct {
	*os.File // what it remembers: see heedFence
	name     string
	size     int64
	turn     chan struct{}
}

func (l executionLock) release() {
	_ = l.Close()
	<-l.turn
}

func (d *Destination) lockExecution(ctx context.Context, t target, b callsheet.Batch) (executionLock, error) {
	b.Chunk = 0 // all of them have the lock of the first
	// Names that differ in case only may be one file.
	sum := sha256.Sum256([]byte(strings.ToLower(t.ownName(b))))
	number := int(sum[0]) % lockFiles
	l := executionLock{name: fmt.Sprintf("files-%02d.lock", number), turn: d.turns[number]}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return l, ctx.Err()
	}
	f, info, err := d.openLocked(l.name, func(f *os.File) error { return lockFile(ctx, f) })
	if err != nil {
		<-l.turn
		return l, fmt.Errorf("open its lock %q: %w", d.journalPath(l.name), err)
	}
	l.File, l.size = f, info.Size()
	return l, nil
}

// writeNew writes a new file, whole or not at all.
func (d *Destination) writeNew(name string, text []byte) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = d.syncFile(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.root.Remove(name))
	}
	return nil
}

// sweep removes temporary files that a crash left in the folder, when it is first used. Young ones
// may be another process's work. It is housekeeping: nothing depends on its success.
func (d *Destination) sweep(folder string) {
	d.mu.Lock()
	done := d.swept[folder]
	d.swept[folder] = true
	d.mu.Unlock()
	if done {
		return
	}
	entries, err := fs.ReadDir(d.root.FS(), folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), temporaryPrefix) || !strings.HasSuffix(e.Name(), temporarySuffix) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > temporaryLife {
			_ = d.root.Remove(path.Join(folder, e.Name()))
		}
	}
}
