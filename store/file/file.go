// Package file keeps everything in one SQLite file: a [callsheet.Store] for a program that runs once, and has to go on
// where it was.
//
//	store, err := file.Open(ctx, "callsheet.db")
//	…
//	defer store.Close()
//
// It needs no server and no C compiler. The file is made if it is not there, and its schema is brought up to date; people who want to
// see the schema find it as files in store/file/migrations.
//
// # Promises
//
// Everything that [callsheet.Store] promises. What a method returned is on the disk: it survives the end of the process,
// however that comes, and the loss of power as far as the disk keeps its word (WAL, synchronous=FULL). While it is open
// there are files beside it, with the endings -wal and -shm, which belong to it: copy them only together, or use
// SQLite's own backup. A file with the ending .lock stays for good on Unix; elsewhere
// it goes with Close, and has to be removed by hand where a process was killed.
//
// A file is for one Store at a time: a second one, in this process or another, gets [ErrInUse]. Looking into it with the sqlite3
// program is fine. [Open] reads through the whole file, and refuses one that is damaged, or is none of SQLite's, with [ErrCorrupt];
// it is left as it is.
//
// # What it does not do
//
// There is one writer at a time: it costs one flush of the disk for each call that writes, however many executions the call is about.
// The clock is the process's ([time.Now]), and the Store does not notice when it is set: leases and delays are times, and move with it.
// It is not for network file systems, on which locks and the WAL do not work.
package file

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/callsheet-go/callsheet/internal/sqlstore"
)

//go:embed migrations
var files embed.FS

var (
	// ErrInUse is returned for a file that another Store has open, in this process or another.
	ErrInUse = errors.New("another Store has it open: a file is for one at a time, store/postgres is for several")
	// ErrCorrupt is returned for a file that is damaged.
	ErrCorrupt = errors.New("the file is damaged")
	// ErrNewer is returned for a file that a newer version of the library has migrated.
	ErrNewer = sqlstore.ErrNewer
)

// A Store keeps everything in a file. Make one with [Open].
type Store struct {
	*sqlstore.Store
	writer, reader *sql.DB
	lock           io.Closer
}

func dialect() sqlstore.Dialect {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sqlstore.Dialect{
		Driver:    "sqlite",
		Translate: translate,
		Time:      func(t time.Time) any { return t.UnixMicro() },
		List:      list,
		Rows: func(r sqlstore.Recordset) ([]any, error) {
			text, err := r.JSON()
			return []any{text}, err
		},
		Now:        time.Now,
		Again:      func(error) bool { return false }, // there is one writer
		Migrations: migrations,
		There: func(ctx context.Context, db sqlstore.Querier) (there bool, err error) {
			const query = `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta')`
			err = db.QueryRowContext(ctx, query).Scan(&there)
			return there, err
		},
	}
}

func list(ids []string) any {
	if len(ids) == 0 {
		return "[]"
	}
	text, err := json.Marshal(ids)
	if err != nil {
		panic(err) // of strings there is nothing that cannot be written
	}
	return string(text)
}

var (
	locking = regexp.MustCompile(`\s+FOR UPDATE( OF \w+)?( SKIP LOCKED)?`)
	casts   = regexp.MustCompile(`::[a-z]+`)
	words   = strings.NewReplacer(
		"callsheet.", "",
		"= ANY(?)", "IN (SELECT value FROM json_each(?))",
		" * interval '1 microsecond'", "",
		"least(", "min(",
	)
)

// translate turns PostgreSQL's SQL into SQLite's. These are all the differences there are.
func translate(text string) string {
	text = locking.ReplaceAllString(text, "") // there is one writer
	text = sqlstore.ReplaceRecordset(text, func(alias string, columns []sqlstore.Column) string {
		values := make([]string, len(columns))
		for i, column := range columns {
			values[i] = "value ->> '" + column.Name + "' AS " + column.Name
		}
		return "(SELECT " + strings.Join(values, ", ") + " FROM json_each(?)) AS " + alias
	})
	text = casts.ReplaceAllString(text, "")
	return words.Replace(text)
}

// Open opens the file at path, and makes it if it is not there.
func Open(ctx context.Context, path string) (*Store, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return nil, fmt.Errorf("open the store %q: must be the path of a file; store/memory keeps nothing on the disk", path)
	}
	path, err := resolved(path)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	lock, err := hold(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	s := &Store{lock: lock}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store %s: %w", path, err), s.Close())
	}
	return s, nil
}

// resolved returns where a path leads, so that a file has one lock by whatever link it is opened. The file need not be
// there yet, its folder must.
func resolved(path string) (string, error) {
	file, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		var folder string
		if folder, err = filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			file = filepath.Join(folder, filepath.Base(path))
		}
	}
	if err != nil {
		return "", err
	}
	return filepath.Abs(file)
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	if s.writer, err = sql.Open("sqlite", dsn(path, "immediate", "synchronous(FULL)")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if err := intact(ctx, s.writer); err != nil {
		return err
	}
	if err := sqlstore.Migrate(ctx, s.writer, dialect()); err != nil {
		return err
	}
	if s.reader, err = sql.Open("sqlite", dsn(path, "deferred", "query_only(true)")); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	s.Store = sqlstore.New(s.writer, s.reader, dialect())
	return nil
}

// readers is how many read at once, beside the one that writes.
const readers = 4

// dsn names the file to the driver, and what is to be set on each connection.
func dsn(path, lock string, pragmas ...string) string {
	q := url.Values{"_txlock": {lock}, "_pragma": append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "temp_store(MEMORY)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// intact reads through the whole file, so that damage is found before anything is built on it.
func intact(ctx context.Context, db *sql.DB) error {
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil {
		fault, ok := errors.AsType[*sqlite.Error](err)
		if ok && (fault.Code()&0xff == sqlite3.SQLITE_CORRUPT || fault.Code()&0xff == sqlite3.SQLITE_NOTADB) {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return err
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", ErrCorrupt, found)
	}
	return nil
}

// Close closes the file and lets others open it.
func (s *Store) Close() error {
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
