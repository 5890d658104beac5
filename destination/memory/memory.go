// Package memory is a [callsheet.Destination] that keeps records in memory: for tests, for trying
// things out, and for hosts that work on the records themselves. It keeps all that it was given for
// as long as it lives.
package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/callsheet-go/callsheet"
)

// A Destination keeps Batches by target. A target is any text, also none.
type Destination struct {
	mu      sync.RWMutex // guards what follows
	batches map[string][]callsheet.Batch
	seen    map[mark]struct{}
	fences  map[string]int64 // the greatest of each execution that was seen
}

// A mark is what a repeated Batch is known by.
type mark struct {
	target, execution string
	chunk             int
}

var _ callsheet.Previewer = (*Destination)(nil)

// New returns an empty Destination.
func New() *Destination {
	return &Destination{batches: map[string][]callsheet.Batch{}, seen: map[mark]struct{}{}, fences: map[string]int64{}}
}

// Promise is [callsheet.ExactlyOnce].
func (d *Destination) Promise() callsheet.Promise { return callsheet.ExactlyOnce }

// Validate takes every target, the modes Append and PerExecution, and no key. There is no difference between the
// two here: Batches keep their execution's identity, so [Destination.Batches] tells them apart.
func (d *Destination) Validate(delivery callsheet.Delivery) error {
	var faults []error
	refuse := func(field, value, rule string) {
		ref := callsheet.Ref{Kind: callsheet.KindDelivery, ID: delivery.ID}
		faults = append(faults, &callsheet.ValidationError{Ref: ref, Field: field, Value: value, Rule: rule})
	}
	switch delivery.Mode {
	case "", callsheet.Append, callsheet.PerExecution:
	default:
		refuse("mode", string(delivery.Mode), "must be \"append\" or \"per_execution\"")
	}
	if len(delivery.Key) > 0 {
		refuse("key", strings.Join(delivery.Key, ", "), "must be empty: every record is added")
	}
	return errors.Join(faults...)
}

// Deliver keeps the Batch, unless the target has one of the same execution and chunk: then it
// changes nothing. One whose Fence is smaller than one that was seen for its execution is refused with
// [callsheet.ErrStaleFence].
func (d *Destination) Deliver(ctx context.Context, b callsheet.Batch) error {
	if err := d.Validate(b.Delivery); err != nil {
		return &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if known := d.fences[b.ExecutionID]; b.Fence < known {
		return &callsheet.ClassifiedError{Class: callsheet.ClassLostWorker,
			Err: fmt.Errorf("execution %s: %w (fence %d, and %d was seen)", b.ExecutionID, callsheet.ErrStaleFence, b.Fence, known)}
	}
	d.fences[b.ExecutionID] = b.Fence
	target := b.Delivery.Target
	m := mark{target, b.ExecutionID, b.Chunk}
	if _, ok := d.seen[m]; ok {
		return nil
	}
	d.seen[m] = struct{}{}
	d.batches[target] = append(d.batches[target], clone(b))
	return nil
}

// Preview implements [callsheet.Previewer]. Every record would be added.
func (d *Destination) Preview(ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
	if err := d.Validate(b.Delivery); err != nil {
		return callsheet.Preview{}, &callsheet.ClassifiedError{Class: callsheet.ClassPermanent, Err: err}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, there := d.batches[b.Delivery.Target]
	return callsheet.Preview{Inserted: len(b.Records), Creates: !there}, ctx.Err()
}

// Records returns the records of a target in the order they were delivered.
func (d *Destination) Records(target string) []callsheet.Record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []callsheet.Record
	for _, b := range d.batches[target] {
		all = append(all, b.Records...)
	}
	return all
}

// Batches returns the Batches of a target in the order they were delivered.
func (d *Destination) Batches(target string) []callsheet.Batch {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]callsheet.Batch, len(d.batches[target]))
	for i, b := range d.batches[target] {
		all[i] = clone(b)
	}
	return all
}

// clone gives a Batch slices of its own. Records are immutable and shared.
func clone(b callsheet.Batch) callsheet.Batch {
	b.Fields, b.Records = slices.Clone(b.Fields), slices.Clone(b.Records)
	return b
}
