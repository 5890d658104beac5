package callsheet_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// work stands for the Pipeline in tests of the Scheduler: what one attempt does.
type work func(ctx context.Context, call callsheet.Call) error

func (w work) pipeline(callsheet.Pipeline) callsheet.Pipeline {
	return callsheet.PipelineFunc(func(ctx context.Context, call callsheet.Call) (callsheet.Result, error) {
		return callsheet.Result{HTTPStatus: 200, Bytes: 100, Records: 1}, w(ctx, call)
	})
}

// succeed is work that succeeds at once.
func succeed(context.Context, callsheet.Call) error { return nil }

// newScheduler returns a Scheduler on a Store in memory whose attempts do w.
func newScheduler(t testing.TB, w work, opts ...callsheet.Option) callsheet.Scheduler {
	t.Helper()
	return newSchedulerOn(t, memory.New(), w, opts...)
}

func newSchedulerOn(t testing.TB, store callsheet.Store, w work, opts ...callsheet.Option) callsheet.Scheduler {
	t.Helper()
	opts = append([]callsheet.Option{
		callsheet.WithDestination("memory", destmemory.New()),
		callsheet.WithPipeline(w.pipeline),
	}, opts...)
	sched, err := callsheet.New(store, opts...)
	require.NoError(t, err)
	return sched
}

// define brings schedules into sched, with a Source and a Request for them to use.
func define(t testing.TB, sched callsheet.Definer, schedules ...callsheet.Schedule) {
	t.Helper()
	sheet := callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
		Requests: []callsheet.Request{{ID: "get", Source: "api", Path: "/"}},
	}
	for _, s := range schedules {
		s.Request = "get"
		sheet.Schedules = append(sheet.Schedules, s)
	}
	require.NoError(t, sched.Define(t.Context(), sheet))
}

// start runs sched until the function it returns is called, or the test ends.
func start(t testing.TB, sched callsheet.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sched.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// executions returns all executions of a schedule (all schedules if empty), earliest first.
func executions(t testing.TB, sched callsheet.Viewer, schedule string) []callsheet.Execution {
	t.Helper()
	var all []callsheet.Execution
	q := callsheet.ExecutionQuery{Schedule: schedule, Limit: 1000}
	for {
		page, err := sched.Executions(context.Background(), q)
		require.NoError(t, err)
		for _, e := range page.Items {
			all = append([]callsheet.Execution{e}, all...)
		}
		if q.After = page.Next; q.After == "" {
			return all
		}
	}
}

// states lists the states of executions.
func states(all []callsheet.Execution) []callsheet.State {
	list := make([]callsheet.State, len(all))
	for i, e := range all {
		list[i] = e.State
	}
	return list
}

func execution(t testing.TB, sched callsheet.Viewer, id string) callsheet.Execution {
	t.Helper()
	e, err := sched.Execution(context.Background(), id)
	require.NoError(t, err)
	return e
}

func schedule(t testing.TB, sched callsheet.Definer, id string) callsheet.Schedule {
	t.Helper()
	s, err := sched.Schedules().Get(context.Background(), id)
	require.NoError(t, err)
	return s
}

// logbook keeps what is logged.
type logbook struct {
	mu      sync.Mutex
	records []slog.Record
}

func (b *logbook) logger() *slog.Logger { return slog.New(b) }

func (b *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logbook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logbook) WithGroup(string) slog.Handler            { return b }
func (b *logbook) Handle(_ context.Context, r slog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r.Clone())
	return nil
}

// lines returns the records with a message, each as its attributes.
func (b *logbook) lines(message string) []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []map[string]any
	for _, r := range b.records {
		if r.Message != message {
			continue
		}
		line := map[string]any{"level": r.Level}
		r.Attrs(func(a slog.Attr) bool { line[a.Key] = a.Value.Any(); return true })
		lines = append(lines, line)
	}
	return lines
}

// every is a cron expression with seconds that fires every n seconds, where n divides 60.
func every(n string) string { return "*/" + n + " * * * * *" }

const tick = time.Millisecond
