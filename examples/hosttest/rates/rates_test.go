package rates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRates_OneDay lives through a day of 24 polls. In the hour of 05:00 the bank is busy twice, and
// from 12:00 to 13:00 it cannot be reached at all.
//
// Time is that of the synctest bubble, which begins at midnight: it jumps to the next timer whenever
// all goroutines wait, so that the day takes as long as the work in it.
func TestRates_OneDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bank := &fakeBank{}
		rates, err := New(t.Context(), memory.New(),
			callsheet.WithTransport(bank),
			// Occurrences and retries are planned when they are due, whatever the interval. The passes
			// between look for what other processes did, and here there are none: at the default of
			// one second a day would have 86,400 of them to simulate. The search for workers that are
			// gone has a rhythm of its own, which is a part of the lease: at the default of ten seconds
			// that is another 43,200, for workers that are not there.
			callsheet.WithPlanInterval(time.Minute),
			callsheet.WithLease(10*time.Minute),
		)
		require.NoError(t, err)
		stop := start(t, rates.Scheduler)
		midnight := time.Now()
		until := func(hour, minute int) {
			time.Sleep(time.Until(midnight.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)))
			synctest.Wait()
		}

		until(0, 59)
		assertUnknown(t, rates, "before the first poll")

		until(5, 5)
		assertPrice(t, rates, "1.0500", "the third attempt brought the rate of 05:00")
		assert.Equal(t, 3, latest(t, rates).Attempt)

		until(12, 30)
		assertPrice(t, rates, "1.1100", "the outage leaves the rate of 11:00")
		assert.Equal(t, callsheet.StatusFailed, schedule(t, rates).Status)
		report := monitor(t, rates)
		assert.False(t, report.Healthy())
		require.Len(t, report.Failed, 1)
		require.Len(t, report.DeadLetters, 1)
		deadLetter := report.DeadLetters[0]
		assert.Equal(t, hourly, deadLetter.Schedule)
		assert.Contains(t, deadLetter.What, "failed after 4 attempts")

		until(13, 5)
		assertPrice(t, rates, "1.1300", "the next hour is polled as if nothing had been")
		assert.Equal(t, callsheet.StatusActive, schedule(t, rates).Status)
		report = monitor(t, rates)
		assert.Empty(t, report.Failed)
		assert.Len(t, report.DeadLetters, 1, "a dead letter stays until somebody retries it")

		until(24, 5)
		stats := total(t, rates)
		assert.EqualValues(t, 23, stats.Succeeded)
		assert.EqualValues(t, 1, stats.Failed)
		assert.EqualValues(t, 22+3+4, stats.Attempts)

		_, err = rates.Scheduler.Retry(t.Context(), deadLetter.Execution)
		require.NoError(t, err)
		synctest.Wait()
		assert.True(t, monitor(t, rates).Healthy())
		stats = total(t, rates)
		assert.EqualValues(t, 24, stats.Succeeded, "each hour of the day has its execution, and all succeeded")
		assert.Zero(t, stats.Failed+stats.Skipped+stats.Missed+stats.Pending+stats.Running)
		assert.EqualValues(t, 24*2, stats.Records)
		assertPrice(t, rates, "1.2400", "12:00 was delivered last, but 24:00 is the latest")

		stop()
		assert.Equal(t, 30, bank.calls, "no call was made that the attempts do not tell of")
	})
}

// start runs the scheduler; the function it returns stops it and waits for it.
func start(t *testing.T, scheduler callsheet.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- scheduler.Run(ctx) }()
	return func() {
		cancel()
		assert.NoError(t, <-done)
	}
}

// A fakeBank answers in the place of the network.
type fakeBank struct {
	mu    sync.Mutex // guards the rest
	calls int
	busy  int // calls that were turned away at 05:00
}

// RoundTrip implements http.RoundTripper.
func (b *fakeBank) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	hour := time.Now().UTC().Hour()
	if time.Now().UTC().Day() > 1 {
		hour += 24
	}
	status, body := http.StatusOK, fmt.Sprintf(
		`{"rates":[{"currency":"EUR","rate":1.%02d00},{"currency":"CHF","rate":1.0%02d0}]}`, hour, hour)
	switch {
	case hour == 5 && b.busy < 2:
		b.busy++
		status, body = http.StatusServiceUnavailable, "busy"
	case hour == 12:
		return nil, errors.New("network is unreachable")
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func assertPrice(t *testing.T, rates *Rates, want json.Number, why string) {
	t.Helper()
	price, known := rates.Latest("EUR")
	assert.True(t, known, why)
	assert.Equal(t, want, price, why)
}

func assertUnknown(t *testing.T, rates *Rates, why string) {
	t.Helper()
	_, known := rates.Latest("EUR")
	assert.False(t, known, why)
}

func schedule(t *testing.T, rates *Rates) callsheet.Schedule {
	t.Helper()
	s, err := rates.Scheduler.Schedules().Get(t.Context(), hourly)
	require.NoError(t, err)
	return s
}

func latest(t *testing.T, rates *Rates) callsheet.Execution {
	t.Helper()
	page, err := rates.Scheduler.Executions(t.Context(), callsheet.ExecutionQuery{Schedule: hourly, Limit: 1})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	return page.Items[0]
}

func monitor(t *testing.T, rates *Rates) callsheet.MonitorReport {
	t.Helper()
	report, err := rates.Scheduler.Monitor(t.Context())
	require.NoError(t, err)
	return report
}

func total(t *testing.T, rates *Rates) callsheet.Stats {
	t.Helper()
	report, err := rates.Scheduler.Stats(t.Context(), callsheet.StatsQuery{})
	require.NoError(t, err)
	return report.Total
}
