// Package rates is code of a host's own: it polls exchange rates every hour and knows the latest. Its
// test shows how a host tests such code: a simulated day, with retries and an outage, in milliseconds.
package rates

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/memory"
)

const (
	hourly = "rates-hourly" // the schedule
	target = "rates"        // what is delivered to
)

// Rates polls exchange rates while its Scheduler runs.
type Rates struct {
	Scheduler callsheet.Scheduler
	delivered *memory.Destination
}

// New returns Rates that keep their schedule in store. The options are the caller's to add to: a
// logger in production, a transport in tests.
func New(ctx context.Context, store callsheet.Store, opts ...callsheet.Option) (*Rates, error) {
	delivered := memory.New()
	scheduler, err := callsheet.New(store, append(opts, callsheet.WithDestination("memory", delivered))...)
	if err != nil {
		return nil, fmt.Errorf("make the scheduler of rates: %w", err)
	}
	if err := scheduler.Define(ctx, sheet()); err != nil {
		return nil, fmt.Errorf("define the schedule of rates: %w", err)
	}
	return &Rates{scheduler, delivered}, nil
}

// Latest returns what one unit of currency costs, with the digits that the API gave, and whether that
// is known.
func (r *Rates) Latest(currency string) (price json.Number, known bool) {
	// The latest hour is not always what was delivered last: a dead letter that is retried comes late.
	var latest callsheet.Batch
	for _, batch := range r.delivered.Batches(target) {
		if batch.ScheduledAt.After(latest.ScheduledAt) {
			latest = batch
		}
	}
	for _, record := range latest.Records {
		if name, _ := record.Get("currency"); name == currency {
			rate, _ := record.Get("rate")
			price, known = rate.(json.Number)
			return price, known
		}
	}
	return "", false
}

func sheet() callsheet.Sheet {
	return callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "bank", BaseURL: "https://bank.example"}},
		Requests: []callsheet.Request{{ID: "rates", Source: "bank", Path: "/rates"}},
		Extracts: []callsheet.Extract{{ID: "rates", Records: "$.rates[*]", Fields: []callsheet.Field{
			{Name: "currency", Path: "$.currency", Required: true},
			{Name: "rate", Path: "$.rate", Required: true},
		}}},
		Deliveries: []callsheet.Delivery{{ID: "rates", Destination: "memory", Target: target}},
		Schedules: []callsheet.Schedule{{ID: hourly, Cron: "0 * * * *",
			Request: "rates", Extract: "rates", Delivery: "rates"}},
	}
}
