package destinationtest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"

	"github.com/callsheet-go/callsheet"
)

func manyAtOnce(b *bench) {
	const deliveries = 40
	batches := make([]callsheet.Batch, deliveries)
	var all []callsheet.Record
	for i := range batches {
		batches[i] = b.batch(records(5)...)
		all = append(all, batches[i].Records...)
	}
	var workers sync.WaitGroup
	for _, batch := range batches {
		workers.Go(func() {
			if err := b.Destination.Deliver(b.Context(), batch); err != nil {
				b.Errorf("execution %s: %v", batch.ExecutionID, err)
			}
		})
	}
	workers.Wait()
	b.seeInAnyOrder(all...)
}

func cancelled(b *bench) {
	before := records(1)
	b.deliver(b.batch(before...))

	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	batch := b.batch(records(3)...)
	if err := b.Destination.Deliver(ctx, batch); !errors.Is(err, context.Canceled) {
		b.Errorf("Deliver with an ended context must return its error, returned %v", err)
	}
	b.see(before...)

	b.deliver(batch)
	b.see(append(before, batch.Records...)...)
}

func recordsStayTheCallers(b *bench) {
	all := records(3)
	batch := b.batch(slices.Clone(all)...)
	b.deliver(batch)
	for i, r := range batch.Records {
		if r.String() != all[i].String() {
			b.Errorf("Deliver changed record %d to %s", i, r)
		}
	}
	if !reflect.DeepEqual(batch.Fields, Fields) {
		b.Errorf("Deliver changed the fields to %v", batch.Fields)
	}
	for i := range batch.Records {
		batch.Records[i] = record("used again", nil)
	}
	for i := range batch.Fields {
		batch.Fields[i] = callsheet.Field{Name: "used again"}
	}
	b.see(all...)
	more := records(1)
	b.deliver(b.batch(more...))
	b.see(append(all, more...)...)
}
