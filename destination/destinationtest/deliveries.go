package destinationtest

import (
	"slices"

	"github.com/callsheet-go/callsheet"
)

func validDelivery(b *bench) {
	if err := b.Destination.Validate(b.Delivery); err != nil {
		b.Errorf("a valid Delivery was refused: %v", err)
	}
}

func invalidMode(b *bench) {
	d := b.Delivery
	d.Mode = "sideways"
	b.expectFaults(d, "mode")
}

func invalidKey(b *bench) {
	d := b.Delivery
	d.Key = []string{""}
	b.expectFaults(d, "key")
}

func invalidTargets(b *bench) {
	for _, d := range b.Invalid {
		b.expectFaults(d, "target")
		d.Mode = "sideways"
		b.expectFaults(d, "target", "mode")
	}
}

// expectFaults checks that Validate names these fields, each with the rule it breaks.
func (b *bench) expectFaults(d callsheet.Delivery, fields ...string) {
	b.Helper()
	err := b.Destination.Validate(d)
	faults := callsheet.ValidationErrors(err)
	for _, field := range fields {
		i := slices.IndexFunc(faults, func(f *callsheet.ValidationError) bool { return f.Field == field })
		if i < 0 {
			b.Errorf("Validate of target %q, mode %q must return a ValidationError for %q, returned %v", d.Target, d.Mode, field, err)
			continue
		}
		if want := (callsheet.Ref{Kind: callsheet.KindDelivery, ID: d.ID}); faults[i].Ref != want {
			b.Errorf("the fault must say whose field it is: %s, says %s", want, faults[i].Ref)
		}
		if faults[i].Rule == "" {
			b.Errorf("the fault must say what would be right: %v", faults[i])
		}
	}
}
