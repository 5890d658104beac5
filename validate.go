package callsheet

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
)

const ruleID = "must be 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit"

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func validID(id string) bool { return idPattern.MatchString(id) }

// faults gathers what is wrong with one thing, so that all of it is told at once.
type faults struct {
	ref Ref
	all []error
}

func (f *faults) add(err error) {
	if err != nil {
		f.all = append(f.all, err)
	}
}

func (f *faults) field(field string, value any, rule string, args ...any) {
	f.add(&ValidationError{Ref: f.ref, Field: field, Value: fmt.Sprint(value), Rule: fmt.Sprintf(rule, args...)})
}

func (f *faults) notNegative(field string, d time.Duration) {
	if d < 0 {
		f.field(field, d, "must not be negative")
	}
}

func (f *faults) err() error { return errors.Join(f.all...) }

// meta checks what is common to all Definitions.
func (f *faults) meta(m Meta, name string) {
	if !validID(*m.ID) {
		f.field("id", *m.ID, ruleID)
	}
	if len(name) > 256 {
		f.field("name", name[:32]+"…", "must have at most 256 bytes")
	}
	for key, value := range m.Labels {
		if key == "" || len(key) > 64 || len(value) > 256 {
			f.field("labels."+key, value, "must have a key of 1 to 64 bytes and a value of at most 256")
		}
	}
}

// placeholderURL stands for a Source's base URL where a Request is checked by itself.
const placeholderURL = "http://source.invalid"

func checkSource(src Source) error {
	f := faults{ref: Ref{KindSource, src.ID}}
	f.meta(src.Meta(), src.Name)
	f.fetchFaults(fetch.Request{BaseURL: src.BaseURL, Headers: src.Headers, Timeout: src.Timeout, MaxBodyBytes: src.MaxBodyBytes})
	return f.err()
}

func checkRequest(r Request) error {
	f := faults{ref: Ref{KindRequest, r.ID}}
	f.meta(r.Meta(), r.Name)
	if r.Source == "" {
		f.field("source", r.Source, "must name a source")
	}
	f.fetchFaults(fetch.Request{
		BaseURL: placeholderURL, Method: r.Method, Path: r.Path, Query: r.Query,
		Headers: r.Headers, Body: r.Body, Timeout: r.Timeout,
	})
	return f.err()
}

func (f *faults) fetchFaults(r fetch.Request) {
	for _, e := range unjoin(r.Validate()) {
		var fault *fetch.FaultError
		if errors.As(e, &fault) {
			e = &ValidationError{Ref: f.ref, Field: fault.Field, Value: fault.Value, Rule: fault.Rule}
		}
		f.add(e)
	}
}

func checkExtract(x Extract) error {
	f := faults{ref: Ref{KindExtract, x.ID}}
	f.meta(x.Meta(), x.Name)
	for _, e := range unjoin(x.Mapping().Validate()) {
		var fault *extract.FaultError
		if errors.As(e, &fault) {
			e = &ValidationError{Ref: f.ref, Field: fault.Field, Value: fault.Value, Rule: fault.Rule}
		}
		f.add(e)
	}
	return f.err()
}

func (s *scheduler) checkDelivery(d Delivery) error {
	f := faults{ref: Ref{KindDelivery, d.ID}}
	f.meta(d.Meta(), d.Name)
	dest := s.destinations[d.Destination]
	if dest == nil {
		f.field("destination", d.Destination, "must be the name of a registered destination")
		return f.err()
	}
	f.add(guard(func() error { return dest.Validate(d) }))
	return f.err()
}

func (s *scheduler) checkSchedule(sch Schedule) error {
	f := faults{ref: Ref{KindSchedule, sch.ID}}
	f.meta(sch.Meta(), sch.Name)
	switch sch.Type {
	case TypeCron, TypeManual:
	default:
		f.field("type", sch.Type, "must be %q or %q", TypeCron, TypeManual)
	}
	zone := sch.Zone
	if _, err := loadZone(zone); err != nil {
		f.field("zone", zone, "must be the name of a time zone, such as Europe/Berlin or UTC")
		zone = "UTC" // for the sake of what else is wrong
	}
	if sch.Type == TypeCron || sch.Cron != "" {
		_, err := s.crons.get(sch.Cron, zone)
		for _, e := range unjoin(err) {
			f.field("cron", sch.Cron, "%s", e)
		}
	}
	if sch.Request == "" {
		f.field("request", sch.Request, "must name a request")
	}
	if sch.MaxRetries < NoRetries || sch.MaxRetries > 100 {
		f.field("max_retries", sch.MaxRetries, "must be 0 (for the default of %d) to 100, or %d for none", DefaultMaxRetries, NoRetries)
	}
	f.notNegative("retry_delay", sch.RetryDelay)
	f.notNegative("max_retry_delay", sch.MaxRetryDelay)
	f.notNegative("timeout", sch.Timeout)
	if sch.MaxRetryDelay > 0 && sch.MaxRetryDelay < sch.RetryDelay {
		f.field("max_retry_delay", sch.MaxRetryDelay, "must not be shorter than retry_delay (%s)", sch.RetryDelay)
	}
	if sch.PauseAfterFailures < 0 {
		f.field("pause_after_failures", strconv.Itoa(sch.PauseAfterFailures), "must not be negative")
	}
	return f.err()
}

// loadZone returns the time zone of an IANA name; empty is UTC. "Local" is refused: it would mean
// another zone on another machine.
func loadZone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New("the zone Local differs from machine to machine")
	}
	return time.LoadLocation(name)
}

// unjoin lists the errors that errors.Join put together.
func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
