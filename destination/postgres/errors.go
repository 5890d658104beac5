package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/callsheet-go/callsheet"
)

// permanent marks an error that another attempt would meet again.
func permanent(err error) error {
	return &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: err}
}

// A lostError is the end of a connection before its transaction was committed.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

// A previewError is about what only a preview does: Deliver may succeed, whatever the server says here.
type previewError struct{ error }

func (e previewError) Unwrap() error { return e.error }

// lostIf marks err if the connection did not survive it.
func lostIf(conn *pgx.Conn, err error) error {
	if conn.IsClosed() {
		return lostError{err}
	}
	return err
}

// passes reports whether the same transaction may succeed if it is tried again at once: it lost against
// others, or its connection, of which a pool has many when the server was restarted.
func passes(err error) bool {
	if _, ok := errors.AsType[lostError](err); ok {
		return true
	}
	return class(err) == "40" // serialization failure, deadlock
}

// answered reports whether the server said itself that it did not commit. A FATAL error may come from a
// server that is shutting down and has committed.
func answered(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.SeverityUnlocalized == "ERROR"
}

// class returns the first two characters of the server's error code; "" for what the server did not say.
func class(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && len(e.Code) == 5 {
		return e.Code[:2]
	}
	return ""
}

// aboutRows reports whether the server refused what a row has in it: data, constraints, a view's
// check, a limit on sizes, a trigger's RAISE.
func aboutRows(err error) bool {
	switch class(err) {
	case "22", "23", "44", "54", "P0":
		return true
	}
	return false
}

// aboutTable reports whether the server refused the statement for what the table or the role is.
func aboutTable(err error) bool {
	switch class(err) {
	case "0A", "21", "3F", "42":
		return true
	}
	return false
}

// unreachable reports whether there was no connection. What a server says then is about that moment: a role that may
// not connect now, a database that is being restored.
func unreachable(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

// explain says which target an error is about, and classifies what the server said.
func (t target) explain(err error) error {
	if err == nil {
		return nil
	}
	about := fmt.Errorf("target %q: %w", t.given, withDetail(err))
	_, classified := errors.AsType[*callsheet.ClassifiedError](err)
	_, preview := errors.AsType[previewError](err)
	if !classified && !preview && !unreachable(err) && (aboutRows(err) || aboutTable(err)) {
		return permanent(about)
	}
	return about
}

// withDetail adds what the server says besides the message: which key, which line and column.
func withDetail(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	where, _, _ := strings.Cut(e.Where, "\n")
	for _, more := range []string{e.Detail, where} {
		if more != "" {
			err = fmt.Errorf("%w; %s", err, more)
		}
	}
	return err
}
