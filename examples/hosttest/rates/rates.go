// Package rates is code of a host's own: it polls exchange rates every hour and knows the latest. Its
// test shows how a host tests such code: a simulated day, with retries and an outage, in milliseconds.
package rates

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/callsheet-go/callsheet"
)

const hourly = "rates-hourly" // the schedule

// Rates polls exchange rates while its Scheduler runs.
type Rates struct {
	Scheduler callsheet.Scheduler
	latest    *latestBatch
}

// New returns Rates that keep their schedule in store. The options are the caller's to add to: a
// logger in production, a transport in tests.
func New(ctx context.Context, store callsheet.Store, opts ...callsheet.Option) (*Rates, error) {
	latest := &latestBatch{}
	scheduler, err := callsheet.New(store, append(opts, callsheet.WithDestination("latest", latest))...)
	if err != nil {
		return nil, fmt.Errorf("make the scheduler of rates: %w", err)
	}
	if err := scheduler.Define(ctx, sheet()); err != nil {
		return nil, fmt.Errorf("define the schedule of rates: %w", err)
	}
	return &Rates{scheduler, latest}, nil
}

// Latest returns what one unit of currency costs, with the digits that the API gave, and whether that
// is known.
func (r *Rates) Latest(currency string) (price json.Number, known bool) {
	r.latest.mu.RLock()
	defer r.latest.mu.RUnlock()
	for _, record := range r.latest.batch.Records {
		if name, _ := record.Get("currency"); name == currency {
			rate, _ := record.Get("rate")
			price, known = rate.(json.Number)
			return price, known
		}
	}
	return "", false
}

// A latestBatch is a Destination that keeps the Batch of the latest hour and forgets the others. It
// counts on the rates being so few that they come in one.
type latestBatch struct {
	mu    sync.RWMutex // guards batch
	batch callsheet.Batch
}

func (*latestBatch) Validate(callsheet.Delivery) error { return nil }
func (*latestBatch) Promise() callsheet.Promise        { return callsheet.ExactlyOnce }

func (l *latestBatch) Deliver(ctx context.Context, b callsheet.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	// What is delivered last is not always of the latest hour: a dead letter that is retried comes late.
	if !b.ScheduledAt.Before(l.batch.ScheduledAt) {
		b.Records = slices.Clone(b.Records) // they are the caller's
		l.batch = b
	}
	return nil
}

func sheet() callsheet.Sheet {
	return callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "bank", BaseURL: "https://bank.example"}},
		Requests: []callsheet.Request{{ID: "rates", Source: "bank", Path: "/rates"}},
		Extracts: []callsheet.Extract{{ID: "rates", Records: "$.rates[*]", Fields: []callsheet.Field{
			{Name: "currency", Path: "$.currency", Required: true},
			{Name: "rate", Path: "$.rate", Required: true},
		}}},
		Deliveries: []callsheet.Delivery{{ID: "rates", Destination: "latest"}},
		Schedules: []callsheet.Schedule{{ID: hourly, Cron: "0 * * * *",
			Request: "rates", Extract: "rates", Delivery: "rates"}},
	}
}
