package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/callsheet-go/callsheet"
)

// journalFolder holds the journals and locks, below the directory.
const journalFolder = ".callsheet"

// A Destination writes below one directory. Close it when the Scheduler has stopped.
type Destination struct {
	root    *os.Root
	fsync   func(*os.File) error // nil: it is left to the operating system
	kept    int                  // how many of a target's last Batches its journal remembers at least
	ledgers ledgers
	turns   [lockFiles]chan struct{} // each holds a token while one of its files is delivered

	mu    sync.Mutex
	swept map[string]bool // folders whose old temporary files were removed; guarded by mu
}

var _ callsheet.Previewer = (*Destination)(nil)

// An Option changes how a Destination works.
type Option func(*Destination)

// WithoutSync leaves it to the operating system when files reach the disk. A process that is killed
// still loses and doubles nothing. A machine that loses power may lose the last deliveries, and
// may leave files that later deliveries refuse as changed by somebody.
func WithoutSync() Option {
	return func(d *Destination) { d.fsync = nil }
}

// New returns a Destination that writes below dir, which is made if it is not there. It first mends
// what a crash left in the files it has journals for. A file that cannot be mended does not keep New from
// returning: its next Deliver says what is wrong.
func New(dir string, options ...Option) (*Destination, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory for files: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory for files: %w", err)
	}
	d := &Destination{root: root, fsync: (*os.File).Sync, kept: keptBatches, swept: map[string]bool{}}
	for i := range d.turns {
		d.turns[i] = make(chan struct{}, 1)
	}
	for _, option := range options {
		option(d)
	}
	if err := d.makeJournalFolder(); err != nil {
		_ = d.Close()
		return nil, err
	}
	if err := d.repair(); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("mend the files in %q: %w", dir, err)
	}
	return d, nil
}

// makeJournalFolder makes the folder of journals, unless it is there.
func (d *Destination) makeJournalFolder() error {
	name := filepath.Join(d.root.Name(), journalFolder)
	err := d.root.Mkdir(journalFolder, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the directory was removed while in use: restart the process, which makes it again: %q", d.root.Name())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the folder of journals %q: %w", name, err)
	}
	info, err := d.root.Lstat(journalFolder)
	if err == nil && !info.IsDir() {
		err = errors.New("is no folder")
	}
	if err == nil {
		err = d.syncFolder(".")
	}
	if err != nil {
		return fmt.Errorf("folder of journals %q: %w", name, err)
	}
	return nil
}

// Close gives back what New opened. Deliveries under way may fail.
func (d *Destination) Close() error { return d.root.Close() }

// Promise is [callsheet.ExactlyOnce].
func (d *Destination) Promise() callsheet.Promise { return callsheet.ExactlyOnce }

// Validate takes a target that names a file below the directory, with slashes, the modes Append
// and PerExecution, and no key. The rules for a target are part of the errors it returns.
func (d *Destination) Validate(delivery callsheet.Delivery) error {
	_, err := parseTarget(delivery)
	return err
}

// Deliver writes the Batch. See the package's documentation for when it is visible and durable.
//
// A Batch that does not fit the file (an unknown CSV column, a value that the format cannot hold)
// is a [callsheet.ClassifiedError] with [callsheet.ClassPermanent]: trying again would not help.
func (d *Destination) Deliver(ctx context.Context, b callsheet.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := d.prepare(b)
	if err != nil {
		return err
	}
	if t.mode == callsheet.PerExecution {
		err = d.deliverFile(ctx, t, b)
	} else {
		err = d.deliverAppend(ctx, t, b)
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("target %q: %w", t.name, err)
	}
	return nil
}

// prepare checks what can be checked of a Batch before it is its turn.
func (d *Destination) prepare(b callsheet.Batch) (target, error) {
	t, err := parseTarget(b.Delivery)
	if err != nil {
		return t, permanent(err)
	}
	if b.ExecutionID == "" {
		return t, permanent(errors.New("a batch without an execution ID cannot be delivered exactly once"))
	}
	return t, d.check(t)
}

// permanent marks an error that another attempt would meet again.
func permanent(err error) error {
	return &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: err}
}

// makeFolder makes the folder of a file that is to be created.
func (d *Destination) makeFolder(folder string) error {
	if folder == "." {
		return nil
	}
	return d.root.MkdirAll(folder, 0o755)
}

// syncFolders makes a new name durable: in its folder, and the folder in those above it.
func (d *Destination) syncFolders(t target) error {
	for _, folder := range t.folders() {
		if err := d.syncFolder(folder); err != nil {
			return err
		}
	}
	return nil
}

func (d *Destination) syncFolder(folder string) error {
	if d.fsync == nil || runtime.GOOS == "windows" { // Windows cannot sync a folder
		return nil
	}
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.fsync(f)
}

func (d *Destination) syncFile(f *os.File) error {
	if d.fsync == nil {
		return nil
	}
	return d.fsync(f)
}
