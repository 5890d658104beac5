package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
)

// ErrNotMigrated is returned for a database whose tables are not there, or older than this version of the library.
var ErrNotMigrated = errors.New("the schema is not migrated")

// ErrNewer is returned for a database that a newer version of the library has migrated.
var ErrNewer = errors.New("the schema is newer than this version of callsheet knows")

// Migrate brings the schema to the version that this library knows. The migrations that are missing are one transaction:
// they are all applied or none is.
func Migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	files, err := fs.Glob(d.Migrations, "*.sql")
	if err != nil {
		return err
	}
	begun, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() { _ = begun.Rollback() }()
	if d.Prepare != nil {
		// Of several that start at once the first migrates, and the others find it done.
		if err := d.Prepare(ctx, begun); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	version, err := versionOf(ctx, begun, d)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if version > len(files) {
		return newer(version, len(files))
	}
	for _, name := range files[version:] {
		text, err := fs.ReadFile(d.Migrations, name)
		if err != nil {
			return err
		}
		if _, err := begun.ExecContext(ctx, d.Translate(string(text))); err != nil {
			return fmt.Errorf("apply migration %s: %w", name, err)
		}
	}
	if err := begun.Commit(); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Check returns an error unless the schema has the version that this library knows.
func Check(ctx context.Context, db *sql.DB, d Dialect) error {
	files, err := fs.Glob(d.Migrations, "*.sql")
	if err != nil {
		return err
	}
	version, err := versionOf(ctx, db, d)
	switch {
	case err != nil:
		return fmt.Errorf("read the version of the schema: %w", err)
	case version > len(files):
		return newer(version, len(files))
	case version < len(files):
		return fmt.Errorf("%w: it has version %d, and this version of callsheet needs %d", ErrNotMigrated, version, len(files))
	}
	return nil
}

func newer(version, known int) error {
	return fmt.Errorf("%w: it has version %d, the latest known is %d", ErrNewer, version, known)
}

// versionOf is the version of the schema; zero: there is none.
func versionOf(ctx context.Context, db Querier, d Dialect) (version int, err error) {
	if there, err := d.There(ctx, db); err != nil || !there {
		return 0, err
	}
	err = db.QueryRowContext(ctx, d.Translate(`SELECT version FROM callsheet.meta`)).Scan(&version)
	return version, err
}
