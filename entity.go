package callsheet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Kind names a kind of thing that has an ID.
type Kind string

// The kinds. The first five are Definitions.
const (
	KindSource    Kind = "source"
	KindRequest   Kind = "request"
	KindExtract   Kind = "extract"
	KindDelivery  Kind = "delivery"
	KindSchedule  Kind = "schedule"
	KindExecution Kind = "execution"
)

// A Ref names one thing: its kind and ID.
type Ref struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// String returns the Ref as people read it: schedule "quakes".
func (r Ref) String() string { return fmt.Sprintf("%s %q", r.Kind, r.ID) }

// A Definition is one of the five things that hosts define. Each is an entity of its own, kept
// and edited apart, and reusable.
type Definition interface {
	Source | Request | Extract | Delivery | Schedule
}

// Entity is the pointer to a Definition; with it a Store treats the five alike.
type Entity[T Definition] interface {
	*T
	Meta() Meta
}

// Meta is the view of a Definition that is common to all: pointers to the fields that a Store
// fills in, and what it refers to.
type Meta struct {
	Kind      Kind
	ID        *string
	Labels    map[string]string
	Uses      []Ref // what must exist for this Definition to be valid; never empty IDs
	Version   *int64
	CreatedAt *time.Time
	UpdatedAt *time.Time
}

// Ref returns the name of the Definition.
func (m Meta) Ref() Ref { return Ref{m.Kind, *m.ID} }

// A Collection holds the Definitions of one kind. The Scheduler's collections validate what goes
// in and fill in defaults; a Store's keep it.
//
// Values go in and come out as copies: changing one changes nothing that is kept.
type Collection[T Definition] interface {
	// Create adds item with Version 1 and returns it as kept. An empty ID is replaced by a new
	// UUIDv7. It returns a [*ConflictError] when the ID is taken, and a [*ValidationError] for
	// everything that is wrong with item, unknown references included.
	Create(ctx context.Context, item T) (T, error)

	// Get returns the item, or a [*NotFoundError].
	Get(ctx context.Context, id string) (T, error)

	// Update replaces the item if its Version is still the one that was read, and returns it with
	// the next Version; else it returns a [*ConflictError], or a [*NotFoundError]. What the library keeps in the item
	// (creation time, a schedule's state and counters) is not changed by it.
	Update(ctx context.Context, item T) (T, error)

	// Delete removes the item. An item in use is refused with an [*InUseError] that names the
	// users; one that is not there with a [*NotFoundError].
	Delete(ctx context.Context, id string) error

	// List returns the items that match q in the order of their IDs, a page at a time.
	List(ctx context.Context, q Query) (Page[T], error)
}

// A Query selects Definitions. The zero Query selects all, the first 100.
type Query struct {
	// Labels must all be there with these values.
	Labels map[string]string
	// Uses selects the items that refer to this one directly. The zero Ref selects all.
	Uses Ref
	// Statuses selects schedules in one of these. Empty selects all; kinds without a status ignore it.
	Statuses []Status
	// After is the Next of the page before. Empty starts at the beginning.
	After string
	// Limit is the size of a page: at most 1000, zero means 100.
	Limit int
}

// A Page is a part of a list.
type Page[T any] struct {
	Items []T `json:"items"`
	// Next goes into the query's After for the following page. Empty on the last page.
	Next string `json:"next,omitempty"`
}

// MarshalJSON writes the Items of an empty page as [] and not as null.
func (p Page[T]) MarshalJSON() ([]byte, error) {
	type plain Page[T]
	if p.Items == nil {
		p.Items = []T{}
	}
	return json.Marshal(plain(p))
}

const (
	defaultPageSize = 100
	maxPageSize     = 1000
)

// PageSize returns the page size that a Limit asks for: the default for zero, never over the
// maximum. Stores use it so that all page alike.
func PageSize(limit int) int {
	if limit <= 0 {
		return defaultPageSize
	}
	return min(limit, maxPageSize)
}

// A Sheet is a set of Definitions that belong together, given to Define.
type Sheet struct {
	Sources    []Source   `json:"sources,omitempty"`
	Requests   []Request  `json:"requests,omitempty"`
	Extracts   []Extract  `json:"extracts,omitempty"`
	Deliveries []Delivery `json:"deliveries,omitempty"`
	Schedules  []Schedule `json:"schedules,omitempty"`
}
