package destinationtest

import (
	"context"
	"errors"
	"slices"

	"github.com/callsheet-go/callsheet"
)

// previewer returns the Destination, if it has previews.
func (b *bench) previewer() callsheet.Previewer {
	p, ok := b.Destination.(callsheet.Previewer)
	if !ok {
		b.Skip("declared: the Destination is no Previewer")
	}
	return p
}

func (b *bench) preview(batch callsheet.Batch) callsheet.Preview {
	b.Helper()
	p, err := b.previewer().Preview(b.Context(), batch)
	if err != nil {
		b.Fatalf("Preview of %d records: %v", len(batch.Records), err)
	}
	if sum := p.Inserted + p.Updated + p.Unchanged + p.Ignored + p.Rejected; sum != len(batch.Records) {
		b.Errorf("a preview must count each of %d records once, counts %d: %+v", len(batch.Records), sum, p)
	}
	if len(p.Problems) > callsheet.MaxPreviewProblems {
		b.Errorf("a preview must explain at most %d problems, explains %d", callsheet.MaxPreviewProblems, len(p.Problems))
	}
	return p
}

func previewLeavesNothing(b *bench) {
	b.previewer()
	var before []callsheet.Record
	for range 2 { // in a target that is not there yet, and in one that is
		batch := b.batch(records(3)...)
		for range 2 {
			first := b.preview(batch)
			if second := b.preview(batch); first.Inserted != second.Inserted || first.Creates != second.Creates {
				b.Errorf("a second preview must say what the first did: %+v, says %+v", first, second)
			}
			b.see(before...)
			b.reopen()
			b.see(before...)
		}
		b.deliver(batch) // it has no marker
		before = append(before, batch.Records...)
		b.see(before...)
	}
}

func previewIsRight(b *bench) {
	b.previewer()
	there := records(3)
	b.preview(b.batch())
	for _, some := range [][]callsheet.Record{there, records(2), append(records(2), there...), nil} {
		batch := b.batch(some...)
		p := b.preview(batch)
		if p.Fails || p.Rejected > 0 || len(p.Problems) > 0 {
			b.Errorf("a preview of records that fit must have no problems, has %+v", p)
		}
		before := len(b.read())
		b.deliver(batch)
		if added := len(b.read()) - before; added != p.Inserted {
			b.Errorf("the delivery added %d records, the preview said %+v", added, p)
		}
	}
	b.seePreviewsOfDelivered(b.batch(there...))
}

// seePreviewsOfDelivered checks that a Batch that was delivered is previewed as one that was not.
func (b *bench) seePreviewsOfDelivered(batch callsheet.Batch) {
	b.Helper()
	first := b.preview(batch)
	b.deliver(batch)
	again := b.preview(batch)
	if again.Inserted != first.Inserted || again.Rejected != first.Rejected {
		b.Errorf("a preview must not mind whether the Batch was delivered: said %+v before, says %+v", first, again)
	}
}

func previewOfUnwritable(b *bench) {
	b.previewer()
	if b.TakesAll {
		b.Skip("declared: the target takes every Go value")
	}
	bad := b.batch(append(append(records(4), b.unwritable()), append(records(2), b.unwritable())...)...)
	p := b.preview(bad)
	if p.Rejected != 2 || p.Inserted != 6 || len(p.Problems) != 2 || slices.Contains(p.Problems, "") {
		b.Errorf("of 8 records 2 do not fit, and each must have its reason, the preview said %+v", p)
	}
	if err := b.Destination.Deliver(b.Context(), bad); p.Fails != (err != nil) {
		b.Errorf("the preview said %+v, and Deliver returned %v", p, err)
	}
	bad = b.batch()
	for range callsheet.MaxPreviewProblems + 2 {
		bad.Records = append(bad.Records, b.unwritable())
	}
	if p := b.preview(bad); p.Rejected != len(bad.Records) || len(p.Problems) != callsheet.MaxPreviewProblems {
		b.Errorf("all of %d records do not fit, the preview said %+v", len(bad.Records), p)
	}
}

func previewOfInvalid(b *bench) {
	previewer := b.previewer()
	batch := b.batch(records(1)...)
	batch.Delivery.Mode = "sideways"
	if p, err := previewer.Preview(b.Context(), batch); len(callsheet.ValidationErrors(err)) == 0 {
		b.Errorf("Preview with an invalid mode must return a ValidationError, returned %+v, %v", p, err)
	}
	b.see()
}

func previewCancelled(b *bench) {
	previewer := b.previewer()
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	if _, err := previewer.Preview(ctx, b.batch(records(3)...)); !errors.Is(err, context.Canceled) {
		b.Errorf("Preview with an ended context must return its error, returned %v", err)
	}
	b.see()
}
