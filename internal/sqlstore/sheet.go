package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/callsheet-go/callsheet"
)

// Define implements [callsheet.DefinitionStore].
func (s *Store) Define(ctx context.Context, sheet callsheet.Sheet) error {
	err := s.write(ctx, "define a sheet", func(t *tx) error {
		d, err := t.define()
		if err != nil {
			return err
		}
		// Everything is read and staged before anything is written.
		p := sheetOf{within: make(map[callsheet.Ref]bool)}
		sources := stage[callsheet.Source](&p, sheet.Sources)
		requests := stage[callsheet.Request](&p, sheet.Requests)
		extracts := stage[callsheet.Extract](&p, sheet.Extracts)
		deliveries := stage[callsheet.Delivery](&p, sheet.Deliveries)
		schedules := stage[callsheet.Schedule](&p, sheet.Schedules)
		if err := errors.Join(p.faults...); err != nil {
			return err
		}
		if err := d.read(p.refs); err != nil {
			return err
		}
		if err := errors.Join(
			staged[callsheet.Source](d, &p, sources), staged[callsheet.Request](d, &p, requests), staged[callsheet.Extract](d, &p, extracts),
			staged[callsheet.Delivery](d, &p, deliveries), staged[callsheet.Schedule](d, &p, schedules),
		); err != nil {
			return answer{err}
		}
		return d.flush()
	})
	return said(err)
}

// A sheetOf is what a sheet names and refers to.
type sheetOf struct {
	within map[callsheet.Ref]bool
	refs   []callsheet.Ref
	faults []error
}

// stage returns the items as they would come back.
func stage[T callsheet.Definition, P callsheet.Entity[T]](p *sheetOf, given []T) []T {
	items := make([]T, len(given))
	for i := range given {
		item, err := fresh[T, P](given[i])
		if err != nil {
			p.faults = append(p.faults, err)
			continue
		}
		meta := P(&item).Meta()
		if *meta.ID == "" {
			*meta.ID = newID()
		}
		*meta.Version = *P(&given[i]).Meta().Version
		if meta.Kind != callsheet.KindSchedule {
			p.within[meta.Ref()] = true
		}
		p.refs = append(append(p.refs, meta.Ref()), meta.Uses...)
		items[i] = item
	}
	return items
}

// staged puts what differs from what is there, or returns what is wrong with the items.
func staged[T callsheet.Definition, P callsheet.Entity[T]](d *defining, p *sheetOf, items []T) error {
	var faults []error
	for i := range items {
		item := P(&items[i])
		meta := item.Meta()
		version := *meta.Version
		*meta.Version = 0
		row := d.there[meta.Ref()]
		if row != nil {
			same, err := equal[T, P](row, item)
			if err != nil {
				return err
			}
			if same {
				continue
			}
			if version != 0 && version != row.Version {
				faults = append(faults, edited(meta))
				continue
			}
		}
		if err := d.unknown(meta, p.within); err != nil {
			faults = append(faults, err)
			continue
		}
		put[T, P](d, row, item)
	}
	return errors.Join(faults...)
}

// fresh returns the host's part of an item, as it comes back from JSON.
func fresh[T callsheet.Definition, P callsheet.Entity[T]](given T) (item T, err error) {
	text, err := hostsPart[T, P](given)
	if err == nil {
		err = json.Unmarshal(text, &item)
	}
	return item, err
}

// hostsPart returns the JSON of what a host sets in an item.
func hostsPart[T callsheet.Definition, P callsheet.Entity[T]](item T) ([]byte, error) {
	meta := P(&item).Meta()
	*meta.Version, *meta.CreatedAt, *meta.UpdatedAt = 0, time.Time{}, time.Time{}
	if sch, ok := any(&item).(*callsheet.Schedule); ok {
		sch.ScheduleState = callsheet.ScheduleState{}
	}
	return json.Marshal(&item)
}

// equal reports whether the host's part of both is the same. What is kept is read first: an older version of the
// library may have written it otherwise.
func equal[T callsheet.Definition, P callsheet.Entity[T]](row *definitionRow, item P) (bool, error) {
	old, err := decode[T, P](row)
	if err != nil {
		return false, nil // what cannot be read is replaced
	}
	a, err := hostsPart[T, P](old)
	if err != nil {
		return false, err
	}
	b, err := hostsPart[T, P](*item)
	return bytes.Equal(a, b), err
}
