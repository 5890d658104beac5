package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/callsheet-go/callsheet"
)

// BenchmarkDeliver is one Batch of 1,000 records with 4 fields, and the same rows written as a program of one's own
// might: without a marker, one INSERT each, sent one by one or all at once, or one INSERT for all.
func BenchmarkDeliver(b *testing.B) {
	const table = "(id text, magnitude numeric, place text, time bigint)"
	d, pool := open(b, "CREATE TABLE quakes "+table+"; CREATE TABLE keyed (id text PRIMARY KEY, magnitude numeric, place text, time bigint); CREATE TABLE plain "+table)
	records := make([]callsheet.Record, 1000)
	for i := range records {
		records[i] = row("id", fmt.Sprintf("us7000%04d", i), "magnitude", json.Number("4.70"),
			"place", "112 km SSE of Sand Point, Alaska", "time", json.Number("1795441500000"))
	}
	ctx := context.Background()
	deliveries := func(delivery callsheet.Delivery) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				deliver(b, d, callsheet.Batch{Delivery: delivery, ExecutionID: uuid.NewString(), Records: records})
			}
		}
	}
	inTx := func(b *testing.B, write func(tx pgx.Tx) error) {
		for b.Loop() {
			if err := pgx.BeginFunc(ctx, pool, write); err != nil {
				b.Fatal(err)
			}
		}
	}
	values := func(r callsheet.Record) (all []any) {
		for _, value := range r.All() {
			if n, ok := value.(json.Number); ok {
				value = string(n)
			}
			all = append(all, value)
		}
		return all
	}
	const insert = "INSERT INTO plain VALUES ($1, $2::text::numeric, $3, $4::text::bigint)"

	b.Run("append", deliveries(into("quakes")))
	b.Run("insert/one by one", func(b *testing.B) {
		inTx(b, func(tx pgx.Tx) error {
			for _, r := range records {
				if _, err := tx.Exec(ctx, insert, values(r)...); err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("insert/pipelined", func(b *testing.B) {
		inTx(b, func(tx pgx.Tx) error {
			var batch pgx.Batch
			for _, r := range records {
				batch.Queue(insert, values(r)...)
			}
			return tx.SendBatch(ctx, &batch).Close()
		})
	})
	b.Run("insert/one statement", func(b *testing.B) {
		var statement strings.Builder
		statement.WriteString("INSERT INTO plain VALUES ")
		for i := range records {
			if i > 0 {
				statement.WriteString(", ")
			}
			fmt.Fprintf(&statement, "($%d, $%d::text::numeric, $%d, $%d::text::bigint)", 4*i+1, 4*i+2, 4*i+3, 4*i+4)
		}
		inTx(b, func(tx pgx.Tx) error {
			var all []any
			for _, r := range records {
				all = append(all, values(r)...)
			}
			_, err := tx.Exec(ctx, statement.String(), all...)
			return err
		})
	})
	b.Run("ignore", deliveries(ignore("keyed", "id")))
	b.Run("upsert", deliveries(upsert("keyed", "id")))
	b.Run("append/20 records", func(b *testing.B) {
		for b.Loop() {
			deliver(b, d, callsheet.Batch{Delivery: into("quakes"), ExecutionID: uuid.NewString(), Records: records[:20]})
		}
	})
}
