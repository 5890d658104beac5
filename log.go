package callsheet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Names of log attributes. They are the same as in JSON.
const (
	keySchedule  = "schedule"
	keyExecution = "execution"
	keyAttempt   = "attempt"
	keyScheduled = "scheduled_at"
	keyReason    = "reason"
	keyClass     = "class"
	keyError     = "error"
	keyStack     = "stack"
	keyNext      = "next_execution_at"
	keyKind      = "kind"
	keyID        = "id"
	keySource    = "source"
)

// carefulHandler is a host's log handler whose panics end with the line that they are about.
type carefulHandler struct{ host slog.Handler }

func (h carefulHandler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	_ = guard(func() error { enabled = h.host.Enabled(ctx, level); return nil })
	return enabled
}

func (h carefulHandler) Handle(ctx context.Context, r slog.Record) error {
	return guard(func() error { return h.host.Handle(ctx, r) })
}

func (h carefulHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return carefulHandler{h.host.WithAttrs(attrs)}
}

func (h carefulHandler) WithGroup(name string) slog.Handler {
	return carefulHandler{h.host.WithGroup(name)}
}

// attrs are the attributes by which a log line names an execution, and more.
func attrs(e Execution, more ...slog.Attr) []any {
	all := make([]any, 0, 3+len(more))
	all = append(all,
		slog.String(keySchedule, e.Schedule),
		slog.String(keyExecution, e.ID),
		slog.Int(keyAttempt, e.Attempt))
	for _, a := range more {
		all = append(all, a)
	}
	return all
}

// resultAttrs describe what an attempt did.
func resultAttrs(e Execution, took time.Duration) []any {
	return attrs(e,
		slog.Time(keyScheduled, e.ScheduledAt),
		slog.Duration("took", took),
		slog.Int("http_status", e.HTTPStatus),
		slog.Int64("bytes", e.Bytes),
		slog.Int64("records", e.Records))
}

// guard calls f and turns a panic into a [*PanicError]. It is the one place where panics of
// hosts' code are caught.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Site: panicSite(), Stack: string(debug.Stack())}
		}
	}()
	return f()
}

// isolate calls f in a goroutine of its own and waits for it. Beyond what guard does, it survives
// code that ends its goroutine with runtime.Goexit, as a test's FailNow does.
func isolate(f func() error) error {
	var err error = &PanicError{Value: "the goroutine was ended (runtime.Goexit)", Site: "an unknown place"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = guard(f)
	}()
	<-done
	return err
}

// panicSite returns where the panic that is being recovered happened: the first frame that is not
// the runtime's below the deferred function that called recover.
func panicSite() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)]) // without Callers, this and the deferred function
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
		if !more {
			return "unknown"
		}
	}
}

// stackOf returns the stack of the panic in err; empty if it is none.
func stackOf(err error) string {
	if p, ok := errors.AsType[*PanicError](err); ok {
		return p.Stack
	}
	return ""
}
