package memory

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/google/btree"

	"github.com/callsheet-go/callsheet"
)

// A table keeps the Definitions of one kind. A row is replaced and never changed, so that a Call
// may go on reading it; schedules' states are the exception, and leave the Store by value only.
type table[T callsheet.Definition, P callsheet.Entity[T]] struct {
	store *Store
	kind  callsheet.Kind
	rows  map[string]P
	ids   *btree.BTreeG[string]

	clone func(T) T
	// inherit sets what the library keeps in item, from the row it replaces; nil if it is new.
	inherit func(row, item P, now time.Time)
	// moved is told of every row that comes, is replaced or goes; nil for none.
	moved func(before, after P, now time.Time)
}

func newTable[T callsheet.Definition, P callsheet.Entity[T]](s *Store, kind callsheet.Kind, clone func(T) T) *table[T, P] {
	return &table[T, P]{
		store:   s,
		kind:    kind,
		rows:    make(map[string]P),
		ids:     btree.NewOrderedG[string](treeDegree),
		clone:   clone,
		inherit: func(P, P, time.Time) {},
		moved:   func(P, P, time.Time) {},
	}
}

// Create implements [callsheet.Collection].
func (t *table[T, P]) Create(ctx context.Context, item T) (T, error) {
	var none T
	if err := t.store.enter(ctx, "create "+string(t.kind)); err != nil {
		return none, err
	}
	defer t.store.mu.Unlock()

	item = t.clone(item)
	meta := P(&item).Meta()
	if *meta.ID == "" {
		*meta.ID = newID()
	}
	if t.has(*meta.ID) {
		return none, &callsheet.ConflictError{Ref: meta.Ref(), Reason: "the ID is taken"}
	}
	if err := t.store.unknown(meta, nil); err != nil {
		return none, err
	}
	now := t.store.moment
	t.put(t.created(&item, now), now)
	return t.clone(item), nil
}

// Get implements [callsheet.Collection].
func (t *table[T, P]) Get(ctx context.Context, id string) (T, error) {
	var none T
	if err := t.store.enter(ctx, "get "+string(t.kind)); err != nil {
		return none, err
	}
	defer t.store.mu.Unlock()

	row, ok := t.rows[id]
	if !ok {
		return none, t.notFound(id)
	}
	return t.clone(*row), nil
}

// Update implements [callsheet.Collection].
func (t *table[T, P]) Update(ctx context.Context, item T) (T, error) {
	var none T
	if err := t.store.enter(ctx, "update "+string(t.kind)); err != nil {
		return none, err
	}
	defer t.store.mu.Unlock()

	item = t.clone(item)
	meta := P(&item).Meta()
	row, ok := t.rows[*meta.ID]
	if !ok {
		return none, t.notFound(*meta.ID)
	}
	if *meta.Version != *row.Meta().Version {
		return none, edited(meta)
	}
	if err := t.store.unknown(meta, nil); err != nil {
		return none, err
	}
	now := t.store.moment
	t.put(t.updated(row, &item, now), now)
	return t.clone(item), nil
}

// Delete implements [callsheet.Collection].
func (t *table[T, P]) Delete(ctx context.Context, id string) error {
	if err := t.store.enter(ctx, "delete "+string(t.kind)); err != nil {
		return err
	}
	defer t.store.mu.Unlock()

	row, ok := t.rows[id]
	if !ok {
		return t.notFound(id)
	}
	ref := callsheet.Ref{Kind: t.kind, ID: id}
	if users := t.store.users(ref); len(users) > 0 {
		return &callsheet.InUseError{Ref: ref, Users: users}
	}
	delete(t.rows, id)
	t.ids.Delete(id)
	t.moved(row, nil, t.store.moment)
	return nil
}

// List implements [callsheet.Collection].
func (t *table[T, P]) List(ctx context.Context, q callsheet.Query) (callsheet.Page[T], error) {
	var page callsheet.Page[T]
	if err := t.store.enter(ctx, "list "+string(t.kind)+" definitions"); err != nil {
		return page, err
	}
	defer t.store.mu.Unlock()

	size := callsheet.PageSize(q.Limit)
	last := ""
	t.ids.AscendGreaterOrEqual(q.After, func(id string) bool {
		row := t.rows[id]
		if id == q.After || !matches(row, q) {
			return true
		}
		if len(page.Items) == size {
			page.Next = last
			return false
		}
		page.Items = append(page.Items, t.clone(*row))
		last = id
		return true
	})
	return page, nil
}

func matches[T callsheet.Definition, P callsheet.Entity[T]](row P, q callsheet.Query) bool {
	if schedule, ok := any(row).(*callsheet.Schedule); ok && len(q.Statuses) > 0 {
		if !slices.Contains(q.Statuses, schedule.Status) {
			return false
		}
	}
	if len(q.Labels) == 0 && q.Uses == (callsheet.Ref{}) {
		return true
	}
	meta := row.Meta()
	for name, want := range q.Labels {
		if value, ok := meta.Labels[name]; !ok || value != want {
			return false
		}
	}
	return q.Uses == (callsheet.Ref{}) || slices.Contains(meta.Uses, q.Uses)
}

// staged returns the rows to put for what a Sheet says of one kind: nothing for what is there and
// equal. It changes nothing yet.
func (t *table[T, P]) staged(items []T, sheet map[callsheet.Ref]bool, now time.Time) ([]P, error) {
	var rows []P
	var faults []error
	for _, given := range items {
		item := t.clone(given)
		meta := P(&item).Meta()
		if *meta.ID == "" {
			*meta.ID = newID()
		}
		row, ok := t.rows[*meta.ID]
		if ok && t.equal(row, &item) {
			continue
		}
		if ok && *meta.Version != 0 && *meta.Version != *row.Meta().Version {
			faults = append(faults, edited(meta))
			continue
		}
		if err := t.store.unknown(meta, sheet); err != nil {
			faults = append(faults, err)
			continue
		}
		if ok {
			rows = append(rows, t.updated(row, &item, now))
		} else {
			rows = append(rows, t.created(&item, now))
		}
	}
	return rows, errors.Join(faults...)
}

func (t *table[T, P]) created(item P, now time.Time) P {
	meta := item.Meta()
	*meta.Version, *meta.CreatedAt, *meta.UpdatedAt = 1, now, now
	t.inherit(nil, item, now)
	return item
}

func (t *table[T, P]) updated(row, item P, now time.Time) P {
	before, meta := row.Meta(), item.Meta()
	*meta.Version, *meta.CreatedAt, *meta.UpdatedAt = *before.Version+1, *before.CreatedAt, now
	t.inherit(row, item, now)
	return item
}

func (t *table[T, P]) put(row P, now time.Time) {
	id := *row.Meta().ID
	before := t.rows[id]
	t.rows[id] = row
	t.ids.ReplaceOrInsert(id)
	t.moved(before, row, now)
}

// equal reports whether the host's part of both is the same.
func (t *table[T, P]) equal(a, b P) bool {
	return reflect.DeepEqual(t.hostsPart(a), t.hostsPart(b))
}

func (t *table[T, P]) hostsPart(row P) T {
	item := t.clone(*row)
	meta := P(&item).Meta()
	*meta.Version, *meta.CreatedAt, *meta.UpdatedAt = 0, time.Time{}, time.Time{}
	if schedule, ok := any(&item).(*callsheet.Schedule); ok {
		schedule.ScheduleState = callsheet.ScheduleState{}
	}
	return item
}

func (t *table[T, P]) has(id string) bool { return t.rows[id] != nil }

// users returns the rows that refer to ref, in the order of their IDs.
func (t *table[T, P]) users(ref callsheet.Ref) []callsheet.Ref {
	var users []callsheet.Ref
	t.ids.Ascend(func(id string) bool {
		if slices.Contains(t.rows[id].Meta().Uses, ref) {
			users = append(users, callsheet.Ref{Kind: t.kind, ID: id})
		}
		return true
	})
	return users
}

func (t *table[T, P]) notFound(id string) error {
	return &callsheet.NotFoundError{Ref: callsheet.Ref{Kind: t.kind, ID: id}}
}

func edited(meta callsheet.Meta) error {
	return &callsheet.ConflictError{Ref: meta.Ref(), Reason: "it was edited since it was read"}
}
