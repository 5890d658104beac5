package callsheet

import (
	"context"
	"log/slog"
)

// targetFaults asks the Destinations of a sheet's schedules whether their targets take what the
// Extracts give. Deliveries and Extracts that are not in the sheet are those kept; what cannot be
// found or is not valid somebody else reports.
func (s *scheduler) targetFaults(ctx context.Context, sheet Sheet) []error {
	var faults []error
	type join struct{ delivery, extract string }
	asked := map[join]bool{}
	for _, sch := range sheet.Schedules {
		j := join{sch.Delivery, sch.Extract}
		if sch.Delivery == "" || asked[j] {
			continue
		}
		asked[j] = true
		faults = append(faults, s.targetFaultsOf(ctx, sheet, sch)...)
	}
	return faults
}

func (s *scheduler) targetFaultsOf(ctx context.Context, sheet Sheet, sch Schedule) []error {
	d, ok := find(ctx, sheet.Deliveries, s.store.Deliveries(), sch.Delivery)
	if !ok {
		return nil
	}
	checker, ok := s.destinations[d.Destination].(TargetChecker)
	if !ok || guard(func() error { return checker.Validate(d) }) != nil {
		return nil
	}
	var x *Extract
	if sch.Extract != "" {
		found, ok := find(ctx, sheet.Extracts, s.store.Extracts(), sch.Extract)
		if !ok {
			return nil
		}
		x = &found
	}
	err := guard(func() error { return checker.CheckTarget(ctx, d, x) })
	if err != nil && len(ValidationErrors(err)) == 0 {
		s.log.WarnContext(ctx, "target could not be checked", slog.String(keySchedule, sch.ID),
			slog.String("delivery", d.ID), slog.String("target", d.Target), slog.Any(keyError, err))
		return nil
	}
	return unjoin(err)
}

// find returns a Definition of a sheet, else the one that is kept.
func find[T Definition, P Entity[T]](ctx context.Context, sheet []T, kept interface {
	Get(ctx context.Context, id string) (T, error)
}, id string) (T, bool) {
	for _, item := range sheet {
		if *P(&item).Meta().ID == id {
			return item, true
		}
	}
	item, err := kept.Get(ctx, id)
	return item, err == nil
}
