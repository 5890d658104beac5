package sqlstore

import (
	"context"
	"slices"

	"github.com/callsheet-go/callsheet"
)

// A collection keeps the Definitions of one kind.
type collection[T callsheet.Definition, P callsheet.Entity[T]] struct {
	store *Store
	kind  callsheet.Kind
}

// Create implements [callsheet.Collection].
func (c collection[T, P]) Create(ctx context.Context, given T) (item T, err error) {
	meta := P(&given).Meta()
	if *meta.ID == "" {
		*meta.ID = newID()
	}
	err = c.store.write(ctx, "create "+string(c.kind), func(t *tx) error {
		d, err := t.define()
		if err != nil {
			return err
		}
		item, err = fresh[T, P](given)
		if err != nil {
			return err
		}
		if err := d.read(append(P(&item).Meta().Uses, P(&item).Meta().Ref())); err != nil {
			return err
		}
		if d.there[meta.Ref()] != nil {
			return answer{&callsheet.ConflictError{Ref: meta.Ref(), Reason: "the ID is taken"}}
		}
		if err := d.unknown(P(&item).Meta(), nil); err != nil {
			return answer{err}
		}
		put[T, P](d, nil, &item)
		if err := d.flush(); err != nil {
			return err
		}
		asKept(d, P(&item))
		return nil
	})
	return item, said(err)
}

// Get implements [callsheet.Collection].
func (c collection[T, P]) Get(ctx context.Context, id string) (item T, err error) {
	err = c.store.read(ctx, "get "+string(c.kind), func(t *tx) error {
		items, err := c.list(t, definitionQuery{where: "d.id = ?", args: []any{id}, limit: 1})
		if err == nil && len(items) == 0 {
			return c.notFound(id)
		}
		if err == nil {
			item = items[0]
		}
		return err
	})
	return item, said(err)
}

// Update implements [callsheet.Collection].
func (c collection[T, P]) Update(ctx context.Context, given T) (item T, err error) {
	meta := P(&given).Meta()
	err = c.store.write(ctx, "update "+string(c.kind), func(t *tx) error {
		d, err := t.define()
		if err != nil {
			return err
		}
		item, err = fresh[T, P](given)
		if err != nil {
			return err
		}
		if err := d.read(append(P(&item).Meta().Uses, meta.Ref())); err != nil {
			return err
		}
		row := d.there[meta.Ref()]
		if row == nil {
			return c.notFound(*meta.ID)
		}
		if row.Version != *meta.Version {
			return answer{edited(meta)}
		}
		if err := d.unknown(P(&item).Meta(), nil); err != nil {
			return answer{err}
		}
		put[T, P](d, row, &item)
		if err := d.flush(); err != nil {
			return err
		}
		asKept(d, P(&item))
		return nil
	})
	return item, said(err)
}

// Delete implements [callsheet.Collection].
func (c collection[T, P]) Delete(ctx context.Context, id string) error {
	ref := callsheet.Ref{Kind: c.kind, ID: id}
	err := c.store.write(ctx, "delete "+string(c.kind), func(t *tx) error {
		d, err := t.define()
		if err != nil {
			return err
		}
		if err := d.read([]callsheet.Ref{ref}); err != nil {
			return err
		}
		if d.there[ref] == nil {
			return c.notFound(id)
		}
		const users = `SELECT u.kind, u.id FROM callsheet.definition_uses u WHERE u.uses_kind = ? AND u.uses_id = ? ORDER BY u.kind, u.id`
		var rows []definitionRow
		if err := t.all(&rows, users, c.kind, id); err != nil {
			return err
		}
		if len(rows) > 0 {
			used := &callsheet.InUseError{Ref: ref}
			for _, row := range rows {
				used.Users = append(used.Users, callsheet.Ref{Kind: row.Kind, ID: row.ID})
			}
			return answer{used}
		}
		return d.remove(ref)
	})
	return said(err)
}

// List implements [callsheet.Collection].
func (c collection[T, P]) List(ctx context.Context, q callsheet.Query) (page callsheet.Page[T], err error) {
	err = c.store.read(ctx, "list "+string(c.kind)+" definitions", func(t *tx) error {
		page = callsheet.Page[T]{}
		size := callsheet.PageSize(q.Limit)
		dq := definitionQuery{where: "true", limit: size + 1}
		if q.Uses != (callsheet.Ref{}) {
			dq.where += ` AND EXISTS (SELECT 1 FROM callsheet.definition_uses u
			                           WHERE u.uses_kind = ? AND u.uses_id = ? AND u.kind = d.kind AND u.id = d.id)`
			dq.args = append(dq.args, q.Uses.Kind, q.Uses.ID)
		}
		if c.kind == callsheet.KindSchedule && len(q.Statuses) > 0 {
			statuses := make([]string, len(q.Statuses))
			for i, status := range q.Statuses {
				statuses[i] = string(status)
			}
			dq.where += ` AND s.status = ANY(?)`
			dq.args = append(dq.args, statuses)
		}
		dq.where += ` AND d.id > ?`
		for after := q.After; ; {
			args := append(slices.Clone(dq.args), after)
			items, err := c.list(t, definitionQuery{dq.where, args, dq.limit})
			if err != nil {
				return err
			}
			for i := range items {
				meta := P(&items[i]).Meta()
				after = *meta.ID
				if !hasLabels(meta, q.Labels) {
					continue
				}
				if len(page.Items) == size {
					page.Next = *P(&page.Items[size-1]).Meta().ID
					return nil
				}
				page.Items = append(page.Items, items[i])
			}
			if len(items) < dq.limit {
				return nil
			}
		}
	})
	return page, said(err)
}

func hasLabels(meta callsheet.Meta, labels map[string]string) bool {
	for name, want := range labels {
		if value, ok := meta.Labels[name]; !ok || value != want {
			return false
		}
	}
	return true
}

// A definitionQuery selects Definitions of a kind, in the order of their IDs.
type definitionQuery struct {
	where string
	args  []any
	limit int
}

func (c collection[T, P]) list(t *tx, q definitionQuery) ([]T, error) {
	args := append([]any{c.kind}, q.args...)
	args = append(args, q.limit)
	if c.kind == callsheet.KindSchedule {
		schedules, err := t.listSchedules(q.where, args)
		items, _ := any(schedules).([]T)
		return items, err
	}
	query := `SELECT ` + definitionColumns + ` FROM callsheet.definitions d WHERE d.kind = ? AND ` + q.where + ` ORDER BY d.id LIMIT ?`
	var rows []definitionRow
	if err := t.all(&rows, query, args...); err != nil {
		return nil, err
	}
	var items []T
	for i := range rows {
		item, err := decode[T, P](&rows[i])
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func (t *tx) listSchedules(where string, args []any) ([]callsheet.Schedule, error) {
	query := `SELECT ` + scheduleColumns + `
	            FROM callsheet.definitions d
	            JOIN callsheet.schedules s ON s.id = d.id
	           WHERE d.kind = ? AND ` + where + `
	           ORDER BY d.id LIMIT ?`
	var rows []scheduleRow
	if err := t.all(&rows, query, args...); err != nil {
		return nil, err
	}
	all, err := t.schedulesOf(rows)
	for _, sch := range all {
		if sch.unreadable != nil {
			return nil, sch.unreadable
		}
	}
	return values(all), err
}

func (c collection[T, P]) notFound(id string) error {
	return answer{&callsheet.NotFoundError{Ref: callsheet.Ref{Kind: c.kind, ID: id}}}
}

func edited(meta callsheet.Meta) error {
	return &callsheet.ConflictError{Ref: meta.Ref(), Reason: "it was edited since it was read"}
}
