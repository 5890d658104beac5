package callsheet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Sources implements Definer.
func (s *scheduler) Sources() Collection[Source] {
	return collection[Source, *Source]{s, s.store.Sources(), prepareSource}
}

// Requests implements Definer.
func (s *scheduler) Requests() Collection[Request] {
	return collection[Request, *Request]{s, s.store.Requests(), prepareRequest}
}

// Extracts implements Definer.
func (s *scheduler) Extracts() Collection[Extract] {
	return collection[Extract, *Extract]{s, s.store.Extracts(), s.prepareExtract}
}

// Deliveries implements Definer.
func (s *scheduler) Deliveries() Collection[Delivery] {
	return collection[Delivery, *Delivery]{s, s.store.Deliveries(), s.prepareDelivery}
}

// Schedules implements Definer.
func (s *scheduler) Schedules() Collection[Schedule] {
	return collection[Schedule, *Schedule]{s, s.store.Schedules(), s.prepareSchedule}
}

// The prepare functions fill in defaults and then check, so that what enters the Store is whole.

func prepareSource(src *Source) error { return checkSource(*src) }

func prepareRequest(r *Request) error {
	if r.Method == "" {
		r.Method = "GET"
	}
	return checkRequest(*r)
}

func (s *scheduler) prepareExtract(x *Extract) error {
	if err := checkExtract(*x, s.languages); err != nil {
		return err
	}
	x.Fields = x.Mapping().Canonical().Fields // as they come back from a Store that keeps JSON
	return nil
}

func (s *scheduler) prepareDelivery(d *Delivery) error {
	if d.Mode == "" {
		d.Mode = Append
	}
	return s.checkDelivery(*d)
}

func (s *scheduler) prepareSchedule(sch *Schedule) error {
	if sch.Type == "" {
		switch {
		case sch.Cron != "":
			sch.Type = TypeCron
		case sch.Every != 0:
			sch.Type = TypeInterval
		default:
			sch.Type = TypeManual
		}
	}
	if sch.Zone == "" {
		sch.Zone = "UTC"
	}
	// The same time in another zone, or with a monotonic reading, is no edit.
	sch.StartAt, sch.EndAt = sch.StartAt.Round(0).UTC(), sch.EndAt.Round(0).UTC()
	if sch.Overlap == "" {
		sch.Overlap = OverlapSkip
	}
	if sch.Misfire == "" {
		sch.Misfire = MisfireLatest
	}
	if sch.MisfireGrace == 0 {
		sch.MisfireGrace = DefaultMisfireGrace
	}
	if sch.MisfireWindow == 0 {
		sch.MisfireWindow = max(DefaultMisfireWindow, sch.MisfireGrace)
	}
	if sch.MisfireLimit == 0 {
		sch.MisfireLimit = DefaultMisfireLimit
	}
	if sch.OnResume == "" {
		sch.OnResume = ResumeSkip
	}
	if sch.MaxRetries == 0 {
		sch.MaxRetries = DefaultMaxRetries
	}
	if sch.RetryDelay == 0 {
		sch.RetryDelay = DefaultRetryDelay
	}
	if sch.MaxRetryDelay == 0 {
		sch.MaxRetryDelay = max(DefaultMaxRetryDelay, sch.RetryDelay)
	}
	if sch.Timeout == 0 {
		sch.Timeout = DefaultTimeout
	}
	if err := s.checkSchedule(*sch); err != nil {
		return err
	}
	var err error
	if sch.Description, err = s.describe(*sch); err != nil {
		return err
	}
	// The Store has the last word on the state; this is to know when to wake.
	sch.ScheduleState = sch.Defined(now())
	return nil
}

// collection puts validation, defaults and logging before a Store's Collection.
type collection[T Definition, P Entity[T]] struct {
	s       *scheduler
	kept    Collection[T]
	prepare func(*T) error
}

// Create implements Collection.
func (c collection[T, P]) Create(ctx context.Context, item T) (T, error) {
	m := P(&item).Meta()
	if *m.ID == "" {
		*m.ID = newID()
	}
	err := c.checked(ctx, &item)
	if err == nil {
		item, err = c.kept.Create(ctx, item)
	}
	return c.written(ctx, "create", "created", item, m.Ref(), err)
}

// Get implements Collection.
func (c collection[T, P]) Get(ctx context.Context, id string) (T, error) { return c.kept.Get(ctx, id) }

// Update implements Collection.
func (c collection[T, P]) Update(ctx context.Context, item T) (T, error) {
	ref := P(&item).Meta().Ref()
	err := c.checked(ctx, &item)
	if err == nil {
		item, err = c.kept.Update(ctx, item)
	}
	return c.written(ctx, "update", "updated", item, ref, err)
}

// Delete implements Collection.
func (c collection[T, P]) Delete(ctx context.Context, id string) error {
	var none T
	ref := Ref{P(&none).Meta().Kind, id}
	if err := c.kept.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete %s: %w", ref, err)
	}
	c.s.log.InfoContext(ctx, "definition deleted", slog.String(keyKind, string(ref.Kind)), slog.String(keyID, id))
	return nil
}

// List implements Collection.
func (c collection[T, P]) List(ctx context.Context, q Query) (Page[T], error) {
	return c.kept.List(ctx, q)
}

// checked prepares item, and reports unknown references together with everything else.
func (c collection[T, P]) checked(ctx context.Context, item *T) error {
	err := c.prepare(item)
	all := append(unjoin(err), c.s.unknownReferences(ctx, P(item).Meta(), nil)...)
	if sch, ok := any(*item).(Schedule); ok {
		all = append(all, c.s.joinFaults(ctx, Sheet{Schedules: []Schedule{sch}})...)
	}
	return errors.Join(all...)
}

// written logs and returns what a write came to.
func (c collection[T, P]) written(ctx context.Context, verb, past string, item T, ref Ref, err error) (T, error) {
	if err != nil {
		var none T
		return none, fmt.Errorf("%s %s: %w", verb, ref, err)
	}
	m := P(&item).Meta()
	c.s.log.InfoContext(ctx, "definition "+past,
		slog.String(keyKind, string(m.Kind)), slog.String(keyID, *m.ID), slog.Int64("version", *m.Version))
	if sch, ok := any(item).(Schedule); ok {
		c.s.wakeAt(sch.NextExecutionAt)
		c.s.wakeAt(now()) // what waited may have been released by the edit
	}
	return item, nil
}

// unknownReferences reports what m refers to that is neither known nor kept. The Store checks the
// same when it writes; here it is asked so that all faults come at once.
func (s *scheduler) unknownReferences(ctx context.Context, m Meta, known map[Ref]bool) []error {
	f := faults{ref: m.Ref()}
	for _, use := range m.Uses {
		if known[use] {
			continue
		}
		var err error
		switch use.Kind {
		case KindSource:
			_, err = s.store.Sources().Get(ctx, use.ID)
		case KindRequest:
			_, err = s.store.Requests().Get(ctx, use.ID)
		case KindExtract:
			_, err = s.store.Extracts().Get(ctx, use.ID)
		case KindDelivery:
			_, err = s.store.Deliveries().Get(ctx, use.ID)
		}
		switch {
		case isNotFound(err):
			f.add(UnknownReference(m.Ref(), use))
		case err != nil:
			f.add(fmt.Errorf("read %s: %w", use, err))
		}
	}
	return f.all
}

// Define implements Definer.
func (s *scheduler) Define(ctx context.Context, sheet Sheet) error {
	bad := &faults{}
	known := map[Ref]bool{}
	prepared := Sheet{
		Sources:    prepareAll(bad, known, sheet.Sources, prepareSource),
		Requests:   prepareAll(bad, known, sheet.Requests, prepareRequest),
		Extracts:   prepareAll(bad, known, sheet.Extracts, s.prepareExtract),
		Deliveries: prepareAll(bad, known, sheet.Deliveries, s.prepareDelivery),
		Schedules:  prepareAll(bad, known, sheet.Schedules, s.prepareSchedule),
	}
	checkReferences(ctx, s, bad, known, prepared.Requests)
	checkReferences(ctx, s, bad, known, prepared.Schedules)
	for _, err := range s.joinFaults(ctx, prepared) {
		bad.add(err)
	}
	if err := bad.err(); err != nil {
		return fmt.Errorf("define: %w", err)
	}
	if err := s.store.Define(ctx, prepared); err != nil {
		return fmt.Errorf("define: %w", err)
	}
	var first time.Time
	for _, sch := range prepared.Schedules {
		first = earlier(first, sch.NextExecutionAt)
	}
	s.log.InfoContext(ctx, "sheet defined",
		slog.Int("sources", len(sheet.Sources)), slog.Int("requests", len(sheet.Requests)),
		slog.Int("extracts", len(sheet.Extracts)), slog.Int("deliveries", len(sheet.Deliveries)),
		slog.Int("schedules", len(sheet.Schedules)), slog.Time(keyNext, first))
	s.wakeAt(first)
	s.wakeAt(now()) // what waited may have been released by an edit
	return nil
}

// prepareAll returns prepared copies of items, and notes their faults and names.
func prepareAll[T Definition, P interface{ Entity[T] }](bad *faults, known map[Ref]bool, items []T, prepare func(P) error) []T {
	prepared := make([]T, len(items))
	for i, item := range items {
		p := P(&item)
		for _, err := range unjoin(prepare(p)) {
			bad.add(err)
		}
		ref := p.Meta().Ref()
		if known[ref] {
			bad.add(&ValidationError{Ref: ref, Field: "id", Value: ref.ID, Rule: "must be in the sheet once"})
		}
		known[ref] = true
		prepared[i] = item
	}
	return prepared
}

// joinFaults reports what a sheet's schedules join that does not fit together.
func (s *scheduler) joinFaults(ctx context.Context, sheet Sheet) []error {
	return append(s.targetFaults(ctx, sheet), s.answerFaults(ctx, sheet)...)
}

func checkReferences[T Definition, P Entity[T]](ctx context.Context, s *scheduler, bad *faults, known map[Ref]bool, items []T) {
	for i := range items {
		for _, err := range s.unknownReferences(ctx, P(&items[i]).Meta(), known) {
			bad.add(err)
		}
	}
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*NotFoundError](err)
	return ok
}

// isGone reports whether err says that a thing is not there, or not in that state, any more.
func isGone(err error) bool {
	_, conflict := errors.AsType[*ConflictError](err)
	return conflict || isNotFound(err)
}
