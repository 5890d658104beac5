package postgres_test

import (
	"context"
	"database/sql"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/postgres"
)

// A service with several nodes: each opens the same database, and whichever is first makes the tables.
func ExampleOpen() {
	ctx := context.Background()
	store, err := postgres.Open(ctx, os.Getenv("DATABASE_URL"), postgres.WithMigrate())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sched, err := callsheet.New(store)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(sched.Run(ctx))
}

// A host that has a pool anyway hands it over, and closes it itself when all is done.
func ExampleNewFromPool() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	store, err := postgres.NewFromPool(ctx, pool, postgres.WithSchema("polling"), postgres.WithMigrate())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	log.Print(store.Schedules().List(ctx, callsheet.Query{}))
}

// A release that migrates in a step of its own, by a role that may make tables; the service's role need not.
func ExampleMigrate() {
	ctx := context.Background()
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := postgres.Migrate(ctx, db); err != nil {
		log.Fatal(err)
	}
}
