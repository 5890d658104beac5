package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/callsheet-go/callsheet"
)

// catalogSize bounds how many decoded Schedules are kept in memory.
const catalogSize = 50_000

// A catalog has Definitions that were read before, decoded. They are shared and never changed.
//
// A Schedule is good as long as the row of its state names the same edition, which is read anyway. The others
// are good as long as meta names the same generation, which every edit of a Definition moves on.
type catalog struct {
	mu         sync.Mutex // guards all below
	schedules  map[string]edition
	generation int64
	others     map[callsheet.Ref]any
}

// An edition is a Schedule but for its state.
type edition struct {
	number   int64
	schedule callsheet.Schedule
}

func (c *catalog) schedule(id string, number int64) (callsheet.Schedule, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.schedules[id]
	return known.schedule, ok && known.number == number
}

func (c *catalog) learn(number int64, sch callsheet.Schedule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.schedules == nil {
		c.schedules = make(map[string]edition)
	}
	if len(c.schedules) >= catalogSize {
		for id := range c.schedules { // any
			delete(c.schedules, id)
			break
		}
	}
	c.schedules[sch.ID] = edition{number, sch}
}

// at returns what is known of a generation; it may be added to under learnOther.
func (c *catalog) other(generation int64, ref callsheet.Ref) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return nil, false
	}
	v, ok := c.others[ref]
	return v, ok
}

func (c *catalog) learnOther(generation int64, ref callsheet.Ref, v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation || c.others == nil {
		c.generation, c.others = generation, make(map[callsheet.Ref]any)
	}
	c.others[ref] = v
}

type definitionRow struct {
	Kind      callsheet.Kind `db:"kind"`
	ID        string         `db:"id"`
	Version   int64          `db:"version"`
	CreatedAt moment         `db:"created_at"`
	UpdatedAt moment         `db:"updated_at"`
	Doc       []byte         `db:"doc"`
}

// unreadable is why a Definition cannot be read that is there: what a newer version of the library wrote, or somebody by hand.
// It costs those who need the Definition, and nobody who is read with them.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

func unreadableAs(ref callsheet.Ref, err error) unreadable {
	return unreadable{fmt.Errorf("read %s: %w", ref, err)}
}

// errGone is for a Definition that is referred to, and whose row somebody deleted by hand.
var errGone = errors.New("its row is gone")

const definitionColumns = `d.kind, d.id, d.version, d.created_at, d.updated_at, d.doc`

func decode[T callsheet.Definition, P callsheet.Entity[T]](row *definitionRow) (T, error) {
	var item T
	if row.Doc == nil {
		return item, unreadableAs(callsheet.Ref{Kind: row.Kind, ID: row.ID}, errGone)
	}
	if err := json.Unmarshal(row.Doc, &item); err != nil {
		return item, unreadableAs(callsheet.Ref{Kind: row.Kind, ID: row.ID}, err)
	}
	meta := P(&item).Meta()
	*meta.Version, *meta.CreatedAt, *meta.UpdatedAt = row.Version, row.CreatedAt.Time, row.UpdatedAt.Time
	return item, nil
}

// A schedule is a row that was read, and what is to become of it.
type schedule struct {
	callsheet.Schedule
	edition int64
	changed bool
	// unreadable is set if the Schedule cannot be read: it has its ID and, as far as that can be read, its state. That stays
	// as it is, for its rules are not known, until the Schedule is defined anew.
	unreadable error
}

// schedule returns the Schedule of a row, or, if there is an error, what is known of one that cannot be read.
func (r *scheduleRow) schedule(sch callsheet.Schedule, err error) *schedule {
	state, fault := r.state()
	if err == nil && fault != nil {
		err = unreadable{fmt.Errorf("read the state of schedule %q: %w", r.ID, fault)}
	}
	if err != nil {
		sch = callsheet.Schedule{ID: r.ID, Version: r.Version, CreatedAt: r.CreatedAt.Time, UpdatedAt: r.UpdatedAt.Time}
	}
	sch.ScheduleState = state
	return &schedule{Schedule: sch, edition: r.Edition, unreadable: err}
}

const selectSchedules = `
SELECT ` + scheduleColumns + `
  FROM callsheet.schedules s
 WHERE s.id = ANY(?)
 ORDER BY s.id`

// schedulesOf returns the Schedules of rows, in their order.
func (t *tx) schedulesOf(rows []scheduleRow) ([]*schedule, error) {
	all := make([]*schedule, len(rows))
	missing := make(map[string]int)
	for i := range rows {
		row := &rows[i]
		known, ok := t.store.known.schedule(row.ID, row.Edition)
		if !ok {
			missing[row.ID] = i
			continue
		}
		all[i] = row.schedule(known, nil)
	}
	if len(missing) == 0 {
		return all, nil
	}

	// Where the rows are not locked a Schedule may have been edited between the two statements, or be gone.
	// So the state is read once more, with the definition it belongs to.
	const query = `
		SELECT ` + scheduleColumns + `, d.doc
		  FROM callsheet.schedules s
		  LEFT JOIN callsheet.definitions d ON d.kind = 'schedule' AND d.id = s.id
		 WHERE s.id = ANY(?)`
	var found []struct {
		scheduleRow
		Doc []byte `db:"doc"`
	}
	if err := t.all(&found, query, slices.Sorted(maps.Keys(missing))); err != nil {
		return nil, err
	}
	for i := range found {
		row := &found[i]
		sch, err := decode[callsheet.Schedule](&definitionRow{Kind: callsheet.KindSchedule, ID: row.ID,
			Version: row.Version, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, Doc: row.Doc})
		if err == nil {
			sch.ScheduleState = callsheet.ScheduleState{}
			t.store.known.learn(row.Edition, sch)
		}
		all[missing[row.ID]] = row.schedule(sch, err)
	}
	return slices.DeleteFunc(all, func(s *schedule) bool { return s == nil }), nil
}

func values(all []*schedule) []callsheet.Schedule {
	var copies []callsheet.Schedule
	for _, s := range all {
		copies = append(copies, clone(s.Schedule))
	}
	return copies
}

// clone returns a copy that shares nothing with what the catalog has.
func clone(s callsheet.Schedule) callsheet.Schedule {
	s.Labels, s.Params = maps.Clone(s.Labels), maps.Clone(s.Params)
	s.Blackouts = slices.Clone(s.Blackouts)
	return s
}

// A resolver finds the Definitions that executions need, as of one generation.
type resolver struct {
	*tx
	generation int64
}

// call returns a Call with all the Definitions that an execution of the Schedule needs, or an unreadable, and those that
// were read.
func (r *resolver) call(sch *schedule) (callsheet.Call, error) {
	call := callsheet.Call{Schedule: sch.Schedule}
	if sch.unreadable != nil {
		return call, sch.unreadable
	}
	request, err := other[callsheet.Request](r, callsheet.KindRequest, sch.Request)
	if err != nil {
		return call, err
	}
	source, err := other[callsheet.Source](r, callsheet.KindSource, request.Source)
	if err != nil {
		return call, err
	}
	call.Request, call.Source = *request, *source
	if sch.Extract != "" {
		if call.Extract, err = other[callsheet.Extract](r, callsheet.KindExtract, sch.Extract); err != nil {
			return call, err
		}
	}
	if sch.Delivery != "" {
		call.Delivery, err = other[callsheet.Delivery](r, callsheet.KindDelivery, sch.Delivery)
	}
	return call, err
}

func other[T callsheet.Definition, P callsheet.Entity[T]](r *resolver, kind callsheet.Kind, id string) (*T, error) {
	ref := callsheet.Ref{Kind: kind, ID: id}
	if known, ok := r.store.known.other(r.generation, ref); ok {
		return known.(*T), nil
	}
	// The generation comes with the row: of an edit in between nothing must be learned under the wrong one.
	const query = `
		SELECT ` + definitionColumns + `, m.generation
		  FROM callsheet.definitions d, callsheet.meta m
		 WHERE d.kind = ? AND d.id = ?`
	var row struct {
		definitionRow
		Generation int64 `db:"generation"`
	}
	err := r.one(&row, query, kind, id)
	if noRows(err) {
		return nil, r.gone(ref)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	item, err := decode[T, P](&row.definitionRow)
	if err != nil {
		return nil, err
	}
	if row.Generation == r.generation {
		r.store.known.learnOther(r.generation, ref, &item)
	}
	return &item, nil
}

const selectGeneration = `SELECT m.generation FROM callsheet.meta m`

// gone returns why a Definition is not there. The Schedule may have been edited since it was read, and what it referred to been
// deleted; then it is to be read again.
func (r *resolver) gone(ref callsheet.Ref) error {
	var generation int64
	if err := r.one(&generation, selectGeneration); err != nil {
		return err
	}
	if generation != r.generation {
		return errRaced
	}
	return unreadableAs(ref, errGone)
}
