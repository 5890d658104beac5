// Package file keeps everything in one SQLite file.
package file

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/callsheet-go/callsheet/internal/sqlstore"
)

//go:embed migrations
var files embed.FS

// A Store keeps everything in a file. Make one with [Open].
type Store struct {
	*sqlstore.Store
	writer, reader *sql.DB
	lock           *os.File
}

func dialect() sqlstore.Dialect {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sqlstore.Dialect{
		Driver:     "sqlite",
		Translate:  translate,
		Time:       func(t time.Time) any { return t.UnixMicro() },
		List:       list,
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
	locking   = regexp.MustCompile(`\s+FOR UPDATE( OF \w+)?( SKIP LOCKED)?`)
	casts     = regexp.MustCompile(`::[a-z]+`)
	recordset = regexp.MustCompile(`json_to_recordset\(\?\) AS (\w+) \(([^()]*)\)`)
	words     = strings.NewReplacer(
		"callsheet.", "",
		"= ANY(?)", "IN (SELECT value FROM json_each(?))",
		" * interval '1 microsecond'", "",
		"least(", "min(",
	)
)

// translate turns PostgreSQL's SQL into SQLite's. These are all the differences there are.
func translate(text string) string {
	text = locking.ReplaceAllString(text, "") // there is one writer
	text = recordset.ReplaceAllStringFunc(text, func(rows string) string {
		parts := recordset.FindStringSubmatch(rows)
		columns := strings.Split(parts[2], ",")
		for i, column := range columns {
			name, _, _ := strings.Cut(strings.TrimSpace(column), " ")
			columns[i] = "value ->> '" + name + "' AS " + name
		}
		return "(SELECT " + strings.Join(columns, ", ") + " FROM json_each(?)) AS " + parts[1]
	})
	text = casts.ReplaceAllString(text, "")
	return words.Replace(text)
}

// Open opens the file at path, and makes it if it is not there.
func Open(ctx context.Context, path string) (*Store, error) {
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

func intact(ctx context.Context, db *sql.DB) error {
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", ErrCorrupt, found)
	}
	return nil
}

// ErrCorrupt is returned for a file that is damaged. It is left as it is.
var ErrCorrupt = errors.New("the file is damaged")

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

// ErrInUse is returned for a file that another Store has open, in this process or another.
var ErrInUse = errors.New("another process has it open; a file is for one, several can share store/postgres")
