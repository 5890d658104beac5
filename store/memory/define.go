package memory

import (
	"context"
	"errors"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Define implements [callsheet.DefinitionStore].
func (s *Store) Define(ctx context.Context, sheet callsheet.Sheet) error {
	if err := s.enter(ctx, "define a sheet"); err != nil {
		return err
	}
	defer s.mu.Unlock()

	// Everything is staged before anything is put: a fault anywhere leaves all as it was.
	now := s.moment
	within := make(map[callsheet.Ref]bool)
	names(within, sheet.Sources)
	names(within, sheet.Requests)
	names(within, sheet.Extracts)
	names(within, sheet.Deliveries)
	sources, sourceFaults := s.sources.staged(sheet.Sources, within, now)
	requests, requestFaults := s.requests.staged(sheet.Requests, within, now)
	extracts, extractFaults := s.extracts.staged(sheet.Extracts, within, now)
	deliveries, deliveryFaults := s.deliveries.staged(sheet.Deliveries, within, now)
	schedules, scheduleFaults := s.schedules.staged(sheet.Schedules, within, now)
	if err := errors.Join(sourceFaults, requestFaults, extractFaults, deliveryFaults, scheduleFaults); err != nil {
		return err
	}

	for _, row := range sources {
		s.sources.put(row, now)
	}
	for _, row := range requests {
		s.requests.put(row, now)
	}
	for _, row := range extracts {
		s.extracts.put(row, now)
	}
	for _, row := range deliveries {
		s.deliveries.put(row, now)
	}
	for _, row := range schedules {
		s.schedules.put(row, now)
	}
	return nil
}

// ChangeSchedule implements [callsheet.DefinitionStore].
func (s *Store) ChangeSchedule(ctx context.Context, id string, change func(callsheet.Schedule, time.Time) (callsheet.Decision, error)) (callsheet.Changed, error) {
	var changed callsheet.Changed
	if err := s.enter(ctx, "change schedule"); err != nil {
		return changed, err
	}
	defer s.mu.Unlock()

	row, ok := s.schedules.rows[id]
	if !ok {
		return changed, s.schedules.notFound(id)
	}
	now := s.moment
	d, err := change(cloneSchedule(*row), now)
	if err == nil {
		err = s.takenID(d.Executions)
	}
	if err != nil {
		return changed, err
	}
	inserted, cancelled := s.decided(id, d, now, 0)
	s.setState(row, d.State)
	s.settle(row, now)
	return callsheet.Changed{
		Schedule: cloneSchedule(*row), Inserted: cloneExecutions(inserted), Cancelled: cloneExecutions(cancelled),
	}, nil
}

// names adds what items are called to within.
func names[T callsheet.Definition, P callsheet.Entity[T]](within map[callsheet.Ref]bool, items []T) {
	for i := range items {
		within[P(&items[i]).Meta().Ref()] = true
	}
}

// unknown returns a fault for every reference to what is neither kept nor within the sheet.
func (s *Store) unknown(meta callsheet.Meta, within map[callsheet.Ref]bool) error {
	var faults []error
	for _, ref := range meta.Uses {
		if ref.ID != "" && (within[ref] || s.has(ref)) {
			continue
		}
		faults = append(faults, callsheet.UnknownReference(meta.Ref(), ref))
	}
	return errors.Join(faults...)
}

func (s *Store) has(ref callsheet.Ref) bool {
	switch ref.Kind {
	case callsheet.KindSource:
		return s.sources.has(ref.ID)
	case callsheet.KindRequest:
		return s.requests.has(ref.ID)
	case callsheet.KindExtract:
		return s.extracts.has(ref.ID)
	case callsheet.KindDelivery:
		return s.deliveries.has(ref.ID)
	case callsheet.KindSchedule:
		return s.schedules.has(ref.ID)
	}
	return false
}

// users returns what refers to ref directly, by kind and ID.
func (s *Store) users(ref callsheet.Ref) []callsheet.Ref {
	switch ref.Kind {
	case callsheet.KindSource:
		return s.requests.users(ref)
	case callsheet.KindRequest, callsheet.KindExtract, callsheet.KindDelivery:
		return s.schedules.users(ref)
	}
	return nil
}
