package callsheet

import "time"

// WriteMode says how a Destination adds records to a target. Each Destination says in its
// Validate which modes it takes.
type WriteMode string

const (
	// Append adds the records behind those already there. It is the default.
	Append WriteMode = "append"
	// PerExecution gives every execution a target of its own, such as a file.
	PerExecution WriteMode = "per_execution"
	// InsertIgnore adds the records whose key is not there yet, and leaves out the others.
	InsertIgnore WriteMode = "insert_ignore"
	// Upsert adds the records whose key is not there yet, and replaces those whose key is.
	Upsert WriteMode = "upsert"
)

// A Delivery says where records go: a registered Destination, and what to write there, and how.
type Delivery struct {
	// ID is the caller's slug, or a UUIDv7 given by Create when left empty.
	ID     string            `json:"id"`
	Name   string            `json:"name,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`

	// Destination is the name under which the host registered a Destination ([WithDestination]).
	Destination string `json:"destination"`
	// Target is what the Destination writes to: a file's path, a table's name.
	Target string `json:"target,omitempty"`
	// Mode is how records are added. Empty means [Append].
	Mode WriteMode `json:"mode"`
	// Key names the fields by which a record is known in the modes [InsertIgnore] and [Upsert].
	Key []string `json:"key,omitempty"`

	// Version counts the edits, from 1. Update takes the version that was read.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// Meta implements [Entity].
func (d *Delivery) Meta() Meta {
	return Meta{Kind: KindDelivery, ID: &d.ID, Labels: d.Labels,
		Version: &d.Version, CreatedAt: &d.CreatedAt, UpdatedAt: &d.UpdatedAt}
}
