package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/callsheet-go/callsheet"
)

var _ callsheet.JointDestination = (*Destination)(nil)

// Shares implements [callsheet.JointDestination]: a Store that was given the same pool or *sql.DB records an
// execution in the transaction that has its rows. With [WithMigration] the first delivery is not joint: it migrates,
// for which it needs a connection of its own.
func (d *Destination) Shares(database any) bool {
	if d.migrate && !d.migrated.Load() {
		return false
	}
	switch db := d.db.(type) {
	case hostPool:
		return database == any(db.Pool)
	case hostDB:
		return database == any(db.DB)
	}
	return false
}

// DeliverJoint implements [callsheet.JointDestination]. conn is a *stdlib.Conn or a *pgx.Conn.
func (d *Destination) DeliverJoint(ctx context.Context, conn any, b callsheet.Batch) error {
	switch conn := conn.(type) {
	case *stdlib.Conn:
		return d.DeliverTx(ctx, conn.Conn(), b)
	case *pgx.Conn:
		return d.DeliverTx(ctx, conn, b)
	}
	return permanent(errors.New("deliver with the store: its connection is not one of pgx"))
}
