package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/internal/sqltest"
)

func TestStore_Unreadable(t *testing.T) {
	sqltest.TestUnreadable(t, func(t *testing.T) sqltest.Database {
		dsn := pgtest.Database(t)
		db := database(t, dsn)
		return sqltest.Database{
			Open: func() callsheet.Store { return open(t, dsn) },
			Exec: func(statement string) {
				_, err := db.ExecContext(t.Context(), statement)
				require.NoError(t, err)
			},
		}
	})
}
