package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// A database lends connections.
type database interface {
	// with calls f with a connection that is its own while it runs.
	with(ctx context.Context, f func(*pgx.Conn) error) error
	close()
}

type hostPool struct{ *pgxpool.Pool }

func (p hostPool) with(ctx context.Context, f func(*pgx.Conn) error) error {
	return p.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return f(conn.Conn()) })
}

func (hostPool) close() {}

type ownPool struct{ hostPool }

func (p ownPool) close() { p.Close() }

type hostDB struct{ *sql.DB }

func (db hostDB) with(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return permanent(errors.New(`the database was not opened with the driver "pgx" (github.com/jackc/pgx/v5/stdlib)`))
		}
		return f(c.Conn())
	})
}

func (hostDB) close() {}
