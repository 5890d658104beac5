package callsheet

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
)

const ruleID = "must be 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit"

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// maxMisfireLimit bounds what one planning transaction inserts for one schedule.
const maxMisfireLimit = 1000

// maxKeepAnswers bounds what a schedule keeps of its API's answers.
const maxKeepAnswers = 1000

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

func (f *faults) wholeSecond(field string, t time.Time) {
	if t.Nanosecond() != 0 {
		f.field(field, t.Format(time.RFC3339Nano), "must be on a whole second")
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
	for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
		value := m.Labels[key]
		if key == "" || len(key) > 64 || len(value) > 256 {
			f.field("labels."+key, value, "must have a key of 1 to 64 bytes and a value of at most 256")
		}
	}
}

// placeholderURL stands for a Source's base URL where a Request is checked by itself.
const placeholderURL = "http://source.invalid"

// placeholderSecret stands for a secret where a Source is checked: its value is nobody's business then.
const placeholderSecret = "secret"

func checkSource(src Source) error {
	f := faults{ref: Ref{KindSource, src.ID}}
	f.meta(src.Meta(), src.Name)
	auth := src.Auth.with("")
	if src.Auth.Secret != "" {
		auth = src.Auth.with(placeholderSecret)
	}
	f.fetchFaults(fetch.Request{
		BaseURL: src.BaseURL, Headers: src.Headers, Auth: auth,
		Timeout: src.Timeout, MaxBodyBytes: src.MaxBodyBytes,
	})
	src.Auth.check(&f)
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
	if r.Pages != nil {
		r.Pages.check(&f, r.templated(".Page"))
	}
	if r.Cursor != nil {
		r.Cursor.check(&f, r.templated(".Cursor"))
	}
	oneOf(&f, "unchanged", cmp.Or(r.Unchanged, UnchangedSkip), []Unchanged{UnchangedSkip, UnchangedHash, UnchangedDeliver})
	if r.Unchanged == UnchangedHash && !r.conditional() {
		f.field("unchanged", r.Unchanged, "must be empty unless the method is GET and there are no pages")
	}
	return f.err()
}

func (f *faults) fetchFaults(r fetch.Request) {
	for _, e := range unjoin(r.Validate()) {
		if fault, ok := errors.AsType[*fetch.FaultError](e); ok {
			e = &ValidationError{Ref: f.ref, Field: fault.Field, Value: fault.Value, Rule: fault.Rule}
		}
		f.add(e)
	}
}

func checkExtract(x Extract, languages extractLanguages) error {
	f := faults{ref: Ref{KindExtract, x.ID}}
	f.meta(x.Meta(), x.Name)
	_, err := languages.compile(x.Mapping())
	for _, e := range unjoin(err) {
		if fault, ok := errors.AsType[*extract.FaultError](e); ok {
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
	zone := sch.Zone
	if _, err := loadZone(zone); err != nil {
		f.field("zone", zone, "must be the name of a time zone, such as Europe/Berlin or UTC")
		zone = "UTC" // for the sake of what else is wrong
	}
	s.checkTimes(&f, sch, zone)
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
	if sch.KeepAnswers < 0 || sch.KeepAnswers > maxKeepAnswers {
		f.field("keep_answers", sch.KeepAnswers, "must be between 0 and %d", maxKeepAnswers)
	}
	if sch.PauseAfterFailures < 0 {
		f.field("pause_after_failures", sch.PauseAfterFailures, "must not be negative")
	}
	return f.err()
}

// checkTimes checks all that says when sch falls due.
func (s *scheduler) checkTimes(f *faults, sch Schedule, zone string) {
	oneOf(f, "type", sch.Type, []ScheduleType{TypeCron, TypeInterval, TypeOnce, TypeManual})
	checkCron := func(field, expr string) {
		_, err := s.crons.get(expr, zone)
		for _, e := range unjoin(err) {
			f.field(field, expr, "%s", e)
		}
	}
	if sch.Type == TypeCron || sch.Cron != "" {
		checkCron("cron", sch.Cron)
	}
	if sch.Cron != "" && (sch.Type == TypeInterval || sch.Type == TypeOnce || sch.Type == TypeManual) {
		f.field("cron", sch.Cron, "must be empty for a schedule of type %q", sch.Type)
	}
	switch {
	case sch.Type == TypeInterval && (sch.Every < time.Second || sch.Every%time.Second != 0):
		f.field("every", sch.Every, "must be a whole number of seconds, at least one")
	case sch.Type != TypeInterval && sch.Every != 0:
		f.field("every", sch.Every, "must be zero for a schedule of type %q", sch.Type)
	}
	f.wholeSecond("start_at", sch.StartAt)
	f.wholeSecond("end_at", sch.EndAt)
	if sch.Type == TypeOnce && sch.StartAt.IsZero() {
		f.field("start_at", "", "must be the time at which the schedule runs")
	}
	if !sch.EndAt.IsZero() && !sch.StartAt.Before(sch.EndAt) {
		f.field("end_at", sch.EndAt.Format(time.RFC3339), "must be after start_at")
	}
	if sch.MaxRuns < 0 {
		f.field("max_runs", sch.MaxRuns, "must not be negative")
	}
	if sch.Jitter < 0 || sch.Jitter > 24*time.Hour {
		f.field("jitter", sch.Jitter, "must be between zero and 24h")
	}
	oneOf(f, "overlap", sch.Overlap, Overlaps())
	oneOf(f, "misfire", sch.Misfire, Misfires())
	oneOf(f, "on_resume", sch.OnResume, OnResumes())
	f.notNegative("misfire_grace", sch.MisfireGrace)
	f.notNegative("misfire_window", sch.MisfireWindow)
	if sch.MisfireWindow > 0 && sch.MisfireWindow < sch.MisfireGrace {
		f.field("misfire_window", sch.MisfireWindow, "must not be shorter than misfire_grace (%s)", sch.MisfireGrace)
	}
	if sch.MisfireLimit < 0 || sch.MisfireLimit > maxMisfireLimit {
		f.field("misfire_limit", sch.MisfireLimit, "must be between 0 (for the default of %d) and %d", DefaultMisfireLimit, maxMisfireLimit)
	}
	for i, b := range sch.Blackouts {
		checkCron(fmt.Sprintf("blackouts[%d].cron", i), b.Cron)
		if b.For <= 0 {
			f.field(fmt.Sprintf("blackouts[%d].for", i), b.For, "must be longer than zero")
		}
	}
}

// oneOf checks that value is one of those there are.
func oneOf[S ~string](f *faults, field string, value S, all []S) {
	if !slices.Contains(all, value) {
		f.field(field, value, "must be one of %q", all)
	}
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
