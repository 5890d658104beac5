package callsheet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faultsOf returns what err has to say of each field.
func faultsOf(err error) map[string]string {
	faults := map[string]string{}
	for _, f := range callsheet.ValidationErrors(err) {
		faults[f.Field] = f.Value + ": " + f.Rule
	}
	return faults
}

func TestCreate_TellsEveryFaultAtOnce(t *testing.T) {
	files, err := file.New(t.TempDir())
	require.NoError(t, err)
	defer files.Close()
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("files", files))
	require.NoError(t, err)
	ctx := t.Context()
	create := map[string]func() error{
		"source": func() error {
			_, err := sched.Sources().Create(ctx, callsheet.Source{
				ID: "no slug!", BaseURL: "ftp://user:pw@files.example", MaxBodyBytes: -1, Timeout: -time.Second,
				Headers: map[string]string{"X A": "b", "X-Api-Key": "secret\r\nX-Evil: 1"},
				Labels:  map[string]string{"": "empty"},
			})
			return err
		},
		"request": func() error {
			_, err := sched.Requests().Create(ctx, callsheet.Request{
				ID: "r", Source: "nowhere", Method: "FETCH", Path: "//other.example/x", Timeout: -1,
				Headers: map[string]string{"X-A": "b\nY: 1"},
			})
			return err
		},
		"extract": func() error {
			_, err := sched.Extracts().Create(ctx, callsheet.Extract{
				ID: "x", Records: "features[*]", Fields: []callsheet.Field{{Name: "", Path: "$.a"}, {Name: "b", Path: "$.["}},
			})
			return err
		},
		"delivery": func() error {
			_, err := sched.Deliveries().Create(ctx, callsheet.Delivery{ID: "d", Destination: "files", Target: "../../etc/passwd", Mode: "upsert"})
			return err
		},
		"delivery without a destination": func() error {
			_, err := sched.Deliveries().Create(ctx, callsheet.Delivery{ID: "d", Destination: "lake", Target: "t"})
			return err
		},
		"schedule": func() error {
			_, err := sched.Schedules().Create(ctx, callsheet.Schedule{
				ID: "s", Type: "hourly", Cron: "61 * * * *", Zone: "Mars/Olympus", Request: "nothing", Extract: "nothing", Delivery: "nothing",
				MaxRetries: -2, RetryDelay: -time.Second, MaxRetryDelay: -time.Second, Timeout: -time.Second, PauseAfterFailures: -1,
			})
			return err
		},
		"schedule without a request": func() error {
			_, err := sched.Schedules().Create(ctx, callsheet.Schedule{ID: "s", Type: callsheet.TypeCron, Zone: "Local", RetryDelay: time.Hour, MaxRetryDelay: time.Minute})
			return err
		},
	}
	for kind, fields := range map[string][]string{
		"source":                         {"id", "base_url", "max_body_bytes", "timeout", "headers", "headers.X-Api-Key", "labels."},
		"request":                        {"source", "method", "path", "timeout", "headers.X-A"},
		"extract":                        {"records", "fields[0].name", "fields[1].path"},
		"delivery":                       {"target", "mode"},
		"delivery without a destination": {"destination"},
		"schedule": {"type", "cron", "zone", "request", "extract", "delivery", "max_retries", "retry_delay",
			"max_retry_delay", "timeout", "pause_after_failures"},
		"schedule without a request": {"cron", "zone", "request", "max_retry_delay"},
	} {
		t.Run(kind, func(t *testing.T) {
			err := create[kind]()
			require.Error(t, err)
			faults := faultsOf(err)
			for _, field := range fields {
				assert.Contains(t, faults, field, "in %v", faults)
			}
			assert.NotContains(t, err.Error(), "secret", "values of sensitive headers stay out of errors")
			assert.NotContains(t, err.Error(), "user:pw")
		})
	}
	for _, list := range []func() (int, error){
		func() (int, error) { p, err := sched.Sources().List(ctx, callsheet.Query{}); return len(p.Items), err },
		func() (int, error) {
			p, err := sched.Schedules().List(ctx, callsheet.Query{})
			return len(p.Items), err
		},
	} {
		n, err := list()
		require.NoError(t, err)
		assert.Zero(t, n, "nothing of what was refused is kept")
	}
}

func TestCreate_FillsInDefaultsThatCanBeRead(t *testing.T) {
	sched := newScheduler(t, succeed)
	define(t, sched, callsheet.Schedule{ID: "cron", Cron: "30 9 * * 1-5"}, callsheet.Schedule{ID: "manual", MaxRetries: callsheet.NoRetries})
	cron, manual := schedule(t, sched, "cron"), schedule(t, sched, "manual")
	assert.Equal(t, callsheet.TypeCron, cron.Type)
	assert.Equal(t, "UTC", cron.Zone)
	assert.Equal(t, "at 09:30 on weekdays", cron.Description)
	assert.Equal(t, callsheet.DefaultMaxRetries, cron.MaxRetries)
	assert.Equal(t, callsheet.DefaultRetryDelay, cron.RetryDelay)
	assert.Equal(t, callsheet.DefaultMaxRetryDelay, cron.MaxRetryDelay)
	assert.Equal(t, callsheet.DefaultTimeout, cron.Timeout)
	assert.Equal(t, callsheet.StatusActive, cron.Status)
	assert.False(t, cron.NextExecutionAt.IsZero())
	assert.Equal(t, callsheet.TypeManual, manual.Type)
	assert.Equal(t, callsheet.NoRetries, manual.MaxRetries)
	assert.Equal(t, 1, manual.MaxAttempts())
	assert.Zero(t, manual.NextExecutionAt)

	made, err := sched.Sources().Create(t.Context(), callsheet.Source{BaseURL: "https://api.example"})
	require.NoError(t, err)
	assert.Len(t, made.ID, 36, "an ID is made where none was given")
}

func TestUpdate_MovesTheNextOccurrenceOnlyWhenItsTimesWereEdited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, succeed)
		define(t, sched, callsheet.Schedule{ID: "s", Cron: "0 * * * *"})
		s := schedule(t, sched, "s")
		due := s.NextExecutionAt
		time.Sleep(90 * time.Minute) // it is due, and nobody has planned it

		s.Name = "renamed"
		s, err := sched.Schedules().Update(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, due, s.NextExecutionAt, "what fell due is not lost by an edit of something else")
		assert.EqualValues(t, 2, s.Version)

		s.Cron = "30 * * * *"
		s, err = sched.Schedules().Update(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, time.Now().UTC().Add(time.Hour), s.NextExecutionAt, "new times count from now")
		assert.Equal(t, "every hour at minute 30", s.Description)

		s.Disabled = true
		s, err = sched.Schedules().Update(t.Context(), s)
		require.NoError(t, err)
		assert.Zero(t, s.NextExecutionAt)
		_, err = sched.Execute(t.Context(), "s")
		_, conflict := errors.AsType[*callsheet.ConflictError](err)
		assert.True(t, conflict, "a disabled schedule is not executed: %v", err)

		stale := s
		stale.Version--
		_, err = sched.Schedules().Update(t.Context(), stale)
		_, conflict = errors.AsType[*callsheet.ConflictError](err)
		assert.True(t, conflict, "an edit of an old version is refused: %v", err)
	})
}

func TestDefine_AllOrNothingAndIdempotent(t *testing.T) {
	ctx := t.Context()
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("memory", destmemory.New()))
	require.NoError(t, err)
	sheet := exampleSheet("https://bank.example")

	bad := sheet
	bad.Schedules = append([]callsheet.Schedule{{ID: "other", Cron: "* * * *", Request: "nowhere"}}, sheet.Schedules...)
	bad.Sources = append([]callsheet.Source{{ID: "other", BaseURL: "bank.example"}}, sheet.Sources...)
	err = sched.Define(ctx, bad)
	faults := faultsOf(err)
	for _, field := range []string{"base_url", "cron", "request"} {
		assert.Contains(t, faults, field)
	}
	page, err := sched.Sources().List(ctx, callsheet.Query{})
	require.NoError(t, err)
	assert.Empty(t, page.Items, "nothing of a faulty sheet is kept")

	require.NoError(t, sched.Define(ctx, sheet))
	before, err := sched.Schedules().Get(ctx, "rates")
	require.NoError(t, err)
	require.NoError(t, sched.Define(ctx, sheet))
	after, err := sched.Schedules().Get(ctx, "rates")
	require.NoError(t, err)
	assert.Equal(t, before, after, "defining the same again changes nothing")

	sheet.Schedules[0].MaxRetries = 5
	require.NoError(t, sched.Define(ctx, sheet))
	after, err = sched.Schedules().Get(ctx, "rates")
	require.NoError(t, err)
	assert.EqualValues(t, 2, after.Version)
	assert.Equal(t, 5, after.MaxRetries)

	sheet.Sources = append(sheet.Sources, sheet.Sources[0])
	assert.Contains(t, faultsOf(sched.Define(ctx, sheet)), "id", "twice in one sheet")
}

func TestDelete_RefusedWhileInUse(t *testing.T) {
	ctx := t.Context()
	sched := newScheduler(t, succeed)
	define(t, sched, callsheet.Schedule{ID: "a"}, callsheet.Schedule{ID: "b"})
	err := sched.Requests().Delete(ctx, "get")
	inUse, ok := errors.AsType[*callsheet.InUseError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, []callsheet.Ref{{Kind: callsheet.KindSchedule, ID: "a"}, {Kind: callsheet.KindSchedule, ID: "b"}}, inUse.Users)
	require.NoError(t, sched.Schedules().Delete(ctx, "a"))
	require.NoError(t, sched.Schedules().Delete(ctx, "b"))
	require.NoError(t, sched.Requests().Delete(ctx, "get"))
	_, err = sched.Requests().Get(ctx, "get")
	_, gone := errors.AsType[*callsheet.NotFoundError](err)
	assert.True(t, gone, "%v", err)
}

func TestDelete_OfARunningScheduleStopsItAndKeepsItsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newScheduler(t, func(ctx context.Context, _ callsheet.Call) error { <-ctx.Done(); return ctx.Err() })
		define(t, sched, callsheet.Schedule{ID: "s"})
		start(t, sched)
		running, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, sched.Schedules().Delete(t.Context(), "s"))
		time.Sleep(4 * time.Second)
		e := execution(t, sched, running.ID)
		assert.Equal(t, callsheet.StateCancelled, e.State)
		assert.Equal(t, callsheet.ReasonDeleted, e.Reason)
	})
}

func TestNew_TellsEveryFaultAtOnce(t *testing.T) {
	_, err := callsheet.New(nil)
	assert.Contains(t, faultsOf(err), "store")
	_, err = callsheet.New(memory.New(), callsheet.WithWorkers(0), callsheet.WithLease(-1),
		callsheet.WithDestination("", destmemory.New()), callsheet.WithWorkerName(""))
	faults := faultsOf(err)
	for _, option := range []string{"WithWorkers", "WithLease", "WithDestination", "WithWorkerName"} {
		assert.Contains(t, faults, option)
	}
}
