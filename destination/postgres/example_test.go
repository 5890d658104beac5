package postgres_test

import (
	"context"
	"database/sql"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/store/memory"
)

// Rates by day and currency, of which the API may correct one: the last one that it told counts.
func ExampleNew() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	check(err)
	defer pool.Close()

	warehouse, err := postgres.New(pool, postgres.WithCreateTable())
	check(err)
	check(warehouse.Migrate(ctx))

	scheduler, err := callsheet.New(memory.New(), callsheet.WithDestination("warehouse", warehouse))
	check(err)
	check(scheduler.Define(ctx, callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "bank", BaseURL: "https://api.bank.example"}},
		Requests: []callsheet.Request{{ID: "rates", Source: "bank", Path: "/rates"}},
		Extracts: []callsheet.Extract{{ID: "rate", Records: "$.rates[*]", Fields: []callsheet.Field{
			{Name: "day", Path: "$.date", Type: extract.String},
			{Name: "currency", Path: "$.code", Type: extract.String},
			{Name: "rate", Path: "$.value", Type: extract.Decimal},
		}}},
		Deliveries: []callsheet.Delivery{{ID: "rates", Destination: "warehouse", Target: "rates",
			Mode: callsheet.Upsert, Key: []string{"day", "currency"}}},
		Schedules: []callsheet.Schedule{{ID: "rates", Cron: "*/5 * * * *", Request: "rates", Extract: "rate", Delivery: "rates"}},
	}))
	check(scheduler.Run(ctx))
}

// A host that has a database/sql pool already.
func ExampleNewDB() {
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	check(err)
	defer db.Close()
	warehouse, err := postgres.NewDB(db, postgres.WithMigration(), postgres.WithBadRows(postgres.SetAside))
	check(err)
	_, err = callsheet.New(memory.New(), callsheet.WithDestination("warehouse", warehouse))
	check(err)
}

// Records, their marker and rows of the host's own are committed together or not at all.
func ExampleDestination_DeliverTx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	check(err)
	defer pool.Close()
	warehouse, err := postgres.New(pool)
	check(err)

	var batch callsheet.Batch // as a Pipeline of the host's has it
	check(pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE imports SET last = $1", batch.ExecutionID); err != nil {
			return err
		}
		return warehouse.DeliverTx(ctx, tx.Conn(), batch)
	}))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
