package callsheet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
)

var (
	// ErrStaleFence is returned for a write by a worker that no longer holds the execution.
	ErrStaleFence = errors.New("stale fence: the execution is no longer held by this worker")

	// ErrRunning is returned by Run while another Run of the same Scheduler is under way.
	ErrRunning = errors.New("scheduler is already running")

	// ErrCancelled is the cause of the context's end when an execution is cancelled.
	ErrCancelled = errors.New("execution was cancelled")

	// ErrStopping is the cause of the context's end when a worker stops before an attempt is done.
	ErrStopping = errors.New("scheduler is stopping")

	// ErrLeaseLost is the cause of the context's end when a worker could not renew its lease.
	ErrLeaseLost = errors.New("lease was lost")

	// ErrTimeout is the cause of the context's end when an attempt outlasts its Schedule's Timeout.
	ErrTimeout = fmt.Errorf("attempt timed out: %w", context.DeadlineExceeded)
)

// A ValidationError says what is wrong with one field of what was given, and what would be right.
// Where several things are wrong, an error joins them all; [ValidationErrors] lists them.
type ValidationError struct {
	Ref   Ref    // whose field; zero where the value belongs to nothing that is kept
	Field string // as it is written in JSON: "cron", "headers.X-Key", "fields[2].path"
	Value string // as given; header values are "redacted", but for harmless ones
	Rule  string // what would be right
}

func (e *ValidationError) Error() string {
	text := fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Rule)
	if e.Ref == (Ref{}) {
		return text
	}
	return e.Ref.String() + ": " + text
}

// ValidationErrors returns every ValidationError that err holds, in the order they were found.
func ValidationErrors(err error) []*ValidationError {
	if v, ok := err.(*ValidationError); ok {
		return []*ValidationError{v}
	}
	var all []*ValidationError
	switch u := err.(type) {
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			all = append(all, ValidationErrors(e)...)
		}
	case interface{ Unwrap() error }:
		all = ValidationErrors(u.Unwrap())
	}
	return all
}

// UnknownReference returns the fault of a Definition that refers to what is not there. Stores
// use it so that all say it alike.
func UnknownReference(of, to Ref) *ValidationError {
	return &ValidationError{Ref: of, Field: string(to.Kind), Value: to.ID,
		Rule: fmt.Sprintf("must name one that is there: no %s has this ID", to.Kind)}
}

// A NotFoundError says that there is no such thing.
type NotFoundError struct{ Ref }

func (e *NotFoundError) Error() string { return e.Ref.String() + " is not there" }

// A ConflictError says that a thing is not in the state that the call needs: its ID is taken, it
// was edited since it was read, it is disabled, it did not fail.
type ConflictError struct {
	Ref
	Reason string
}

func (e *ConflictError) Error() string { return e.Ref.String() + ": " + e.Reason }

// An InUseError says that a Definition cannot be deleted, and names its users.
type InUseError struct {
	Ref
	Users []Ref // by kind and ID
}

func (e *InUseError) Error() string {
	users := make([]string, len(e.Users))
	for i, u := range e.Users {
		users[i] = u.String()
	}
	return e.Ref.String() + " is used by " + strings.Join(users, ", ")
}

// A Class says what kind of failure an error is. It decides whether an attempt is repeated and
// whether it counts.
type Class string

const (
	// ClassThrottled: the API asks to wait (429, or 503 with Retry-After, or 403 with no calls remaining), or a limit of the Source,
	// or its open circuit, does. Repeated, not counted.
	ClassThrottled Class = "throttled"
	// ClassTransient: may pass by itself (5xx, timeouts, broken connections). Repeated.
	ClassTransient Class = "transient"
	// ClassPermanent: will not pass by itself (most 4xx, a request that cannot be built, an address that is not open, a
	// certificate that is not trusted). Not repeated.
	ClassPermanent Class = "permanent"
	// ClassAuth: the API refuses the credentials (401, 403, 407), or its token endpoint does (4xx). Not repeated.
	ClassAuth Class = "auth"
	// ClassBadResponse: the answer is not what the Extract expects, or has too many headers. Repeated.
	ClassBadResponse Class = "bad_response"
	// ClassDelivery: the Destination did not take the records. Repeated.
	ClassDelivery Class = "delivery"
	// ClassPanic: a stage or a host's code panicked. Repeated.
	ClassPanic Class = "panic"
	// ClassCancelled: somebody cancelled the execution, or its worker stopped. Not counted.
	ClassCancelled Class = "cancelled"
	// ClassLostWorker: the worker vanished. Repeated, not counted.
	ClassLostWorker Class = "lost_worker"
)

// Retryable reports whether another attempt may help.
func (c Class) Retryable() bool {
	switch c {
	case ClassThrottled, ClassTransient, ClassBadResponse, ClassDelivery, ClassPanic, ClassLostWorker:
		return true
	}
	return false
}

// Spends reports whether an attempt that ended so counts against the retries.
func (c Class) Spends() bool {
	switch c {
	case ClassThrottled, ClassCancelled, ClassLostWorker:
		return false
	}
	return true
}

// A ClassifiedError lets a host's code say what kind of failure its error is.
type ClassifiedError struct {
	Class Class
	Err   error
}

func (e *ClassifiedError) Error() string { return e.Err.Error() }
func (e *ClassifiedError) Unwrap() error { return e.Err }

// A PanicError is a panic in a stage or in a host's code, caught and turned into a failure.
type PanicError struct {
	Value any
	Site  string // file and line of the panic
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic at %s: %v", e.Site, e.Value) }

// Unwrap returns the panic's value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Classify returns the Class of an attempt's error: what the error says of itself
// ([ClassifiedError]), else what follows from its type. An error that nothing is known of is
// transient. The Class of nil is empty.
func Classify(err error) Class {
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[*PanicError](err); ok {
		return ClassPanic
	}
	if errors.Is(err, ErrCancelled) || errors.Is(err, ErrStopping) {
		return ClassCancelled
	}
	if errors.Is(err, ErrLeaseLost) {
		return ClassLostWorker
	}
	if _, ok := errors.AsType[*WaitError](err); ok {
		return ClassThrottled
	}
	if e, ok := errors.AsType[*ClassifiedError](err); ok {
		return e.Class
	}
	if e, ok := asFetchError(err); ok {
		return classifyFetch(e)
	}
	if _, ok := errors.AsType[*extract.Error](err); ok {
		return ClassBadResponse
	}
	return ClassTransient
}

func asFetchError(err error) (*fetch.Error, bool) { return errors.AsType[*fetch.Error](err) }

func classifyFetch(e *fetch.Error) Class {
	switch e.Kind {
	case fetch.KindRequest, fetch.KindAddress, fetch.KindRedirect, fetch.KindTooLarge:
		return ClassPermanent
	case fetch.KindStatus:
		return classifyStatus(e.Status, e.RetryAfter)
	case fetch.KindToken:
		return classifyToken(e)
	case fetch.KindHeaders:
		return ClassBadResponse
	case fetch.KindTLS:
		// Another attempt would meet the same certificate; other trouble may be that of a moment.
		if e.Err != nil && strings.Contains(e.Err.Error(), "certificate") {
			return ClassPermanent
		}
	}
	return ClassTransient
}

// classifyToken follows RFC 6749, 5.2: what a token endpoint refuses, it refuses because of the credentials.
func classifyToken(e *fetch.Error) Class {
	if e.Status == 0 {
		return ClassTransient
	}
	class := classifyStatus(e.Status, e.RetryAfter)
	if class == ClassPermanent {
		return ClassAuth
	}
	return class
}

// classifyStatus follows RFC 9110, section 15, and RFC 6585 for 429.
func classifyStatus(status int, retryAfter time.Duration) Class {
	switch {
	case status == http.StatusTooManyRequests,
		status == http.StatusServiceUnavailable && retryAfter > 0:
		return ClassThrottled
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return ClassAuth
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500:
		return ClassTransient
	}
	return ClassPermanent
}

// asDelivery classifies a Destination's error as one of delivery, unless it says what it is.
func asDelivery(err error) error {
	if _, ok := errors.AsType[*ClassifiedError](err); ok {
		return err
	}
	return &ClassifiedError{ClassDelivery, err}
}

// retryAfter is how long the API asked to be left alone; zero where it did not.
func retryAfter(err error) time.Duration {
	if e, ok := asFetchError(err); ok {
		return e.RetryAfter
	}
	return 0
}
