package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/limit"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A gauge is an API that notes when it is called, and by how many at once.
type gauge struct {
	takes  time.Duration
	answer func(n int, r *http.Request) *http.Response // to the n-th call, from 1; nil: 200

	mu       sync.Mutex
	times    []time.Time // of the calls; guarded by mu
	underway int         // guarded by mu
	most     int         // at once; guarded by mu
}

func (g *gauge) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	g.times = append(g.times, time.Now())
	n := len(g.times)
	g.underway++
	g.most = max(g.most, g.underway)
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.underway--
	}()
	if g.takes > 0 {
		select {
		case <-time.After(g.takes):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if g.answer != nil {
		return g.answer(n, r), nil
	}
	return response(r, 200, "[]", nil), nil
}

func (g *gauge) calls() []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.times)
}

// limitedSheet has n schedules, "s0" and on, spread over the sources.
func limitedSheet(n int, sources ...callsheet.Source) callsheet.Sheet {
	var sheet callsheet.Sheet
	for _, src := range sources {
		src.BaseURL = "http://" + src.ID + ".example"
		sheet.Sources = append(sheet.Sources, src)
		sheet.Requests = append(sheet.Requests, callsheet.Request{ID: src.ID, Source: src.ID, Path: "/"})
	}
	for i := range n {
		sheet.Schedules = append(sheet.Schedules, callsheet.Schedule{ID: fmt.Sprint("s", i), Type: callsheet.TypeManual,
			Request: sources[i%len(sources)].ID, MaxRetries: 2, RetryDelay: time.Second})
	}
	return sheet
}

// runLimited runs a Scheduler with sheet that calls api.
func runLimited(t *testing.T, api http.RoundTripper, sheet callsheet.Sheet, opts ...callsheet.Option) callsheet.Scheduler {
	t.Helper()
	sched, err := callsheet.New(memory.New(), append([]callsheet.Option{callsheet.WithTransport(api)}, opts...)...)
	require.NoError(t, err)
	require.NoError(t, sched.Define(t.Context(), sheet))
	start(t, sched)
	return sched
}

// executesAll executes the schedules of sheet, one after the other, at once.
func executesAll(t *testing.T, sched callsheet.Controller, sheet callsheet.Sheet) []callsheet.Execution {
	t.Helper()
	var all []callsheet.Execution
	for _, sch := range sheet.Schedules {
		e, err := sched.Execute(t.Context(), sch.ID)
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}

// succeededUnspent wants that all have succeeded with their first attempt, whatever they waited for.
func succeededUnspent(t *testing.T, sched callsheet.Viewer, all []callsheet.Execution) {
	t.Helper()
	for _, e := range all {
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.StateSucceeded, e.State, "%s: %s %s", e.Schedule, e.Reason, e.Error)
		require.Equal(t, 1, e.Attempt, "waiting was expected to cost no attempt")
		for _, a := range e.Attempts[:len(e.Attempts)-1] {
			require.True(t, a.Unspent)
		}
	}
}

func TestLimits_SchedulesTakeTurns(t *testing.T) {
	second := limit.Limit{Requests: 1, Per: time.Second}
	partner := limit.Limit{Key: "partner", Requests: 1, Per: time.Second}
	for name, sources := range map[string][]callsheet.Source{
		"of one Source":                     {{ID: "a", Limits: []limit.Limit{second}}},
		"of Sources that name the same key": {{ID: "a", Limits: []limit.Limit{partner}}, {ID: "b", Limits: []limit.Limit{partner}}},
		"of one Source with a second, slower limit": {{ID: "a", Limits: []limit.Limit{
			{Requests: 100, Per: time.Second, Burst: 100}, {Requests: 60, Per: time.Minute}}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &gauge{}
				sheet := limitedSheet(20, sources...)
				sched := runLimited(t, api, sheet)
				began := time.Now()
				all := executesAll(t, sched, sheet)
				time.Sleep(10 * time.Second)
				waiting := 0
				for _, e := range all {
					if e = execution(t, sched, e.ID); e.Reason == callsheet.ReasonLimited {
						waiting++
						require.Equal(t, callsheet.StatePending, e.State)
						require.Equal(t, callsheet.ClassThrottled, e.Class)
						require.Zero(t, e.Attempt)
					}
				}
				require.GreaterOrEqual(t, waiting, 8)
				time.Sleep(12 * time.Second)
				succeededUnspent(t, sched, all)
				calls := api.calls()
				require.Len(t, calls, 20)
				for i := 1; i < len(calls); i++ {
					require.GreaterOrEqual(t, calls[i].Sub(calls[i-1]), time.Second)
				}
				require.Less(t, calls[19].Sub(began), 19*time.Second+500*time.Millisecond, "turns were expected to be used")
				for _, e := range all {
					e = execution(t, sched, e.ID)
					require.LessOrEqual(t, len(e.Attempts), 2, "waits in a row were expected to be one entry")
				}
				stats, err := sched.Stats(t.Context(), callsheet.StatsQuery{})
				require.NoError(t, err)
				require.EqualValues(t, 20, stats.Total.Attempts, "waits are no attempts to the statistics")
			})
		})
	}
}

func TestLimits_TheTurnOfACancelledExecutionIsForWhoAsksNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &gauge{}
		sheet := limitedSheet(5, callsheet.Source{ID: "a", Limits: []limit.Limit{{Requests: 1, Per: time.Minute}}})
		sched := runLimited(t, api, sheet)
		began := time.Now()
		var all []callsheet.Execution
		for _, sch := range sheet.Schedules[:4] {
			e, err := sched.Execute(t.Context(), sch.ID)
			require.NoError(t, err)
			time.Sleep(time.Second)
			all = append(all, e)
		}
		_, err := sched.Cancel(t.Context(), all[1].ID, "not wanted")
		require.NoError(t, err)
		next, err := sched.Execute(t.Context(), "s4")
		require.NoError(t, err)
		time.Sleep(4 * time.Minute)
		for e, at := range map[string]time.Duration{all[0].ID: 0, next.ID: 1, all[2].ID: 2, all[3].ID: 3} {
			last, _ := execution(t, sched, e).Last()
			require.WithinDuration(t, began.Add(at*time.Minute), last.StartedAt, time.Second, "turn %d", at)
		}
		require.Len(t, api.calls(), 4)
	})
}

func TestLimits_ADryRunThatWouldHaveToWaitKeepsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sheet := limitedSheet(2, callsheet.Source{ID: "a", Limits: []limit.Limit{{Requests: 1, Per: time.Hour}}})
		sched := runLimited(t, &gauge{}, sheet)
		began := time.Now()
		_, err := sched.Execute(t.Context(), "s0")
		require.NoError(t, err)
		time.Sleep(time.Second)
		report, err := sched.DryRun(t.Context(), callsheet.DryRunRequest{Schedule: "s1"})
		require.NoError(t, err)
		require.Equal(t, callsheet.ClassThrottled, report.Failure.Class)
		e, err := sched.Execute(t.Context(), "s1")
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.WithinDuration(t, began.Add(time.Hour), execution(t, sched, e.ID).NotBefore, time.Second)
	})
}

func TestLimits_SoManyCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &gauge{takes: 3 * time.Second}
		sheet := limitedSheet(10, callsheet.Source{ID: "a", Limits: []limit.Limit{{Concurrent: 2}}})
		sched := runLimited(t, api, sheet)
		all := executesAll(t, sched, sheet)
		time.Sleep(time.Minute)
		succeededUnspent(t, sched, all)
		assert.Equal(t, 2, api.most)
		calls := api.calls()
		assert.Less(t, calls[len(calls)-1].Sub(calls[0]), 30*time.Second, "two at once were expected to be used")
	})
}

func TestLimits_OneExecutionsRetryAfterHoldsUpTheOthers(t *testing.T) {
	for name, after := range map[string]func() string{
		"in seconds": func() string { return "60" },
		"as a date":  func() string { return time.Now().Add(time.Minute).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) { holdsUpTheOthers(t, after) })
	}
}

// holdsUpTheOthers has an API say once to wait for a minute, by what after returns.
func holdsUpTheOthers(t *testing.T, after func() string) {
	synctest.Test(t, func(t *testing.T) {
		api := &gauge{answer: func(n int, r *http.Request) *http.Response {
			if n == 1 {
				return response(r, 429, "", http.Header{"Retry-After": {after()}})
			}
			return response(r, 200, "[]", nil)
		}}
		sheet := limitedSheet(4, callsheet.Source{ID: "a"}, callsheet.Source{ID: "other"})
		sched := runLimited(t, api, sheet)
		began := time.Now()
		first, err := sched.Execute(t.Context(), "s0")
		require.NoError(t, err)
		time.Sleep(time.Second)
		all := append(executesAll(t, sched, sheet), first)
		time.Sleep(time.Second)
		require.Len(t, api.calls(), 3, "the other Source was expected to be called on")
		held := execution(t, sched, all[2].ID)
		require.Equal(t, callsheet.ReasonLimited, held.Reason)
		require.WithinDuration(t, began.Add(time.Minute), held.NotBefore, time.Second)
		require.Equal(t, callsheet.ReasonThrottled, execution(t, sched, first.ID).Reason, "to this one the API said it")
		report, err := sched.Monitor(t.Context())
		require.NoError(t, err)
		require.Equal(t, []callsheet.Standstill{{Source: "a", Since: began.UTC(), Until: began.Add(time.Minute).UTC(), Why: limit.AskedToWait}}, report.Standstills)
		time.Sleep(2 * time.Minute)
		succeededUnspent(t, sched, all)
		require.GreaterOrEqual(t, api.calls()[3].Sub(began), time.Minute)
		report, err = sched.Monitor(t.Context())
		require.NoError(t, err)
		require.Empty(t, report.Standstills)
		require.NotNil(t, report.Standstills, "an empty list in JSON")
	})
}

func TestLimits_WhatAnAPISaysOfItsQuotaHolds(t *testing.T) {
	for _, tc := range []struct {
		name    string
		status  int
		header  http.Header
		free    int // calls that may still be made at once
		attempt callsheet.Class
	}{
		{"no calls remain, says a success", 200, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"90"}}, 0, ""},
		{"two calls remain", 200, http.Header{"Ratelimit": {`"default";r=2;t=90`}}, 2, ""},
		{"a 403 without calls remaining is no refusal", 403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"90"}}, 0, callsheet.ClassThrottled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &gauge{answer: func(n int, r *http.Request) *http.Response {
					if n == 1 {
						return response(r, tc.status, "[]", tc.header.Clone())
					}
					return response(r, 200, "[]", nil)
				}}
				sheet := limitedSheet(6, callsheet.Source{ID: "a"})
				sched := runLimited(t, api, sheet)
				began := time.Now()
				first, err := sched.Execute(t.Context(), "s0")
				require.NoError(t, err)
				time.Sleep(time.Second)
				require.Equal(t, tc.attempt, execution(t, sched, first.ID).Class)
				all := append(executesAll(t, sched, sheet), first)
				time.Sleep(80 * time.Second)
				require.Len(t, api.calls(), 1+tc.free)
				report, err := sched.Monitor(t.Context())
				require.NoError(t, err)
				require.Len(t, report.Standstills, 1)
				stop := report.Standstills[0]
				require.Equal(t, callsheet.Standstill{Source: "a", Since: stop.Since, Until: began.Add(90 * time.Second).UTC(), Why: limit.NoneRemaining}, stop)
				require.WithinDuration(t, began, stop.Since, 2*time.Second)
				time.Sleep(time.Minute)
				succeededUnspent(t, sched, all)
				require.GreaterOrEqual(t, api.calls()[1+tc.free].Sub(began), 90*time.Second)
			})
		})
	}
}

func TestLimits_AQuotaThatEndsBetweenPagesMakesAPartialExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(10, 2)
		sheet := librarySheet(&callsheet.Pagination{By: callsheet.PageByLink}, nil)
		sheet.Sources[0].Limits = []limit.Limit{{Requests: 1, Per: time.Minute, Burst: 3}}
		sched, d := newReader(t, l, sheet)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.StatePending, e.State, e.Error)
		require.Equal(t, callsheet.ReasonPartial, e.Reason)
		require.Equal(t, upTo(6), ids(d), "what it had was expected to be delivered")
		last, _ := e.Last()
		require.Equal(t, callsheet.ReasonLimited, last.Waited)
		time.Sleep(2 * time.Minute)
		succeededUnspent(t, sched, []callsheet.Execution{e})
		require.Equal(t, upTo(10), ids(d))
		for query, times := range l.asked {
			require.Equal(t, 1, times, "page %q was asked for again", query)
		}
	})
}

func TestLimits_AQuotaThatAPageSaysHasEndedMakesAPartialExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(6, 2)
		var called []time.Time
		l.before = func(r *http.Request) *http.Response {
			called = append(called, time.Now())
			if r.URL.Query().Get("number") != "2" {
				return nil
			}
			return response(r, 200, `{"items":[{"id":3},{"id":4}]}`, http.Header{"Ratelimit": {`"default";r=0;t=90`}})
		}
		sched, d := newReader(t, l, librarySheet(&callsheet.Pagination{By: callsheet.PageByNumber, Param: "number", Size: 2}, nil))
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.StatePending, e.State, e.Error)
		require.Equal(t, callsheet.ReasonPartial, e.Reason)
		require.Equal(t, upTo(4), ids(d))
		require.WithinDuration(t, called[1].Add(90*time.Second), e.NotBefore, time.Second)
		time.Sleep(90 * time.Second)
		succeededUnspent(t, sched, []callsheet.Execution{e})
		require.Equal(t, upTo(6), ids(d))
		require.Len(t, called, 4, "no page was expected to be asked for again")
		require.GreaterOrEqual(t, called[2].Sub(called[1]), 90*time.Second)
	})
}

func TestCircuit_IsHalfOpenWhileItIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &gauge{takes: 5 * time.Second, answer: func(n int, r *http.Request) *http.Response {
			if n == 1 {
				return response(r, 500, "", nil)
			}
			return response(r, 200, "[]", nil)
		}}
		sheet := limitedSheet(1, callsheet.Source{ID: "a", Breaker: limit.Breaker{Failures: 1}})
		sched := runLimited(t, api, sheet)
		executesAll(t, sched, sheet)
		var states []limit.CircuitState
		for range 60 {
			time.Sleep(time.Second)
			report, err := sched.Monitor(t.Context())
			require.NoError(t, err)
			for _, c := range report.Circuits {
				if !slices.Contains(states, c.State) {
					states = append(states, c.State)
				}
			}
		}
		require.Equal(t, []limit.CircuitState{limit.CircuitOpen, limit.CircuitHalfOpen}, states)
		require.Len(t, api.calls(), 2)
	})
}

func TestCircuit_StopsCallsUntilTheAPIIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wellAt := time.Now().Add(45 * time.Second)
		api := &gauge{answer: func(_ int, r *http.Request) *http.Response {
			if time.Now().Before(wellAt) {
				return response(r, 500, "", nil)
			}
			return response(r, 200, "[]", nil)
		}}
		var book logbook
		sheet := limitedSheet(20, callsheet.Source{ID: "a"})
		sched := runLimited(t, api, sheet, callsheet.WithWorkers(1), callsheet.WithLogger(book.logger()))
		began := time.Now()
		all := executesAll(t, sched, sheet)
		time.Sleep(20 * time.Second)
		require.Len(t, api.calls(), 10, "no call was expected after ten failures in a row")
		waiting := 0
		for _, e := range all {
			if e = execution(t, sched, e.ID); e.Reason == callsheet.ReasonCircuit {
				waiting++
				require.Equal(t, callsheet.StatePending, e.State)
				last, _ := e.Last()
				require.Zero(t, last.HTTPStatus)
				require.True(t, last.Unspent)
			}
		}
		require.Equal(t, 20, waiting, "also those whose retry is due")

		report, err := sched.Monitor(t.Context())
		require.NoError(t, err)
		require.Len(t, report.Circuits, 1)
		c := report.Circuits[0]
		require.Equal(t, "a", c.Source)
		require.Equal(t, limit.CircuitOpen, c.State)
		require.WithinDuration(t, began, c.Since, time.Second)
		require.Equal(t, c.Since.Add(30*time.Second), c.Until)
		require.Equal(t, 10, c.Failures)
		require.Contains(t, c.LastError, "status 500")

		time.Sleep(20 * time.Second) // at 40 s
		require.Len(t, api.calls(), 11, "one call was expected to be let through after the pause")
		time.Sleep(5 * time.Minute)
		for _, e := range all {
			e = execution(t, sched, e.ID)
			require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
			require.LessOrEqual(t, e.Attempt, 3)
			spent := 0
			for _, a := range e.Attempts {
				if a.HTTPStatus > 0 {
					spent++
				}
			}
			require.Equal(t, spent, e.Attempt, "only calls that were made were expected to be spent")
		}
		require.Len(t, api.calls(), 11+20)
		report, err = sched.Monitor(t.Context())
		require.NoError(t, err)
		require.Empty(t, report.Circuits)
		require.NotNil(t, report.Circuits, "an empty list in JSON")

		opened := book.lines("circuit opened")
		require.Len(t, opened, 1)
		require.Equal(t, slog.LevelWarn, opened[0]["level"])
		require.Equal(t, "a", opened[0]["source"])
		require.Len(t, book.lines("circuit closed"), 1)
	})
}

func TestCircuit_CountsWhatTheAPIFailsAt(t *testing.T) {
	status := func(code int, header http.Header) func(int, *http.Request) *http.Response {
		return func(_ int, r *http.Request) *http.Response { return response(r, code, "", header.Clone()) }
	}
	for _, tc := range []struct {
		name   string
		api    *gauge
		opens  bool
		breaks callsheet.Source
	}{
		{"a server's error", &gauge{answer: status(502, nil)}, true, callsheet.Source{}},
		{"no answer in time", &gauge{takes: time.Hour}, true, callsheet.Source{Timeout: time.Second}},
		{"what is not found", &gauge{answer: status(404, nil)}, false, callsheet.Source{}},
		{"refused credentials", &gauge{answer: status(401, nil)}, false, callsheet.Source{}},
		{"being told to wait", &gauge{answer: status(503, http.Header{"Retry-After": {"1"}})}, false, callsheet.Source{}},
		{"a breaker that is off", &gauge{answer: status(502, nil)}, false, callsheet.Source{Breaker: limit.Breaker{Failures: limit.NoBreaker}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.breaks.ID = "a"
				sheet := limitedSheet(12, tc.breaks)
				sched := runLimited(t, tc.api, sheet)
				executesAll(t, sched, sheet)
				time.Sleep(15 * time.Second)
				report, err := sched.Monitor(t.Context())
				require.NoError(t, err)
				assert.Equal(t, tc.opens, len(report.Circuits) == 1)
			})
		})
	}
}

func TestLimits_AWorkerThatSitsOutAWaitStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sheet := limitedSheet(2, callsheet.Source{ID: "a", Limits: []limit.Limit{{Requests: 1, Per: time.Second}}})
		sched, err := callsheet.New(memory.New(), callsheet.WithTransport(&gauge{}), callsheet.WithDrainTimeout(0))
		require.NoError(t, err)
		require.NoError(t, sched.Define(t.Context(), sheet))
		stop := start(t, sched)
		all := executesAll(t, sched, sheet)
		time.Sleep(500 * time.Millisecond)
		stopped := time.Now()
		stop()
		require.Less(t, time.Since(stopped), 300*time.Millisecond)
		back := 0
		for _, e := range all {
			if e = execution(t, sched, e.ID); e.Reason == callsheet.ReasonHandBack {
				back++
				require.Zero(t, e.Attempt)
			}
		}
		require.Equal(t, 1, back)
	})
}

// brokenLimiter fails the first times it is asked.
type brokenLimiter struct {
	limit.Limiter
	mu       sync.Mutex
	failures int // guarded by mu
}

func (l *brokenLimiter) Take(ctx context.Context, holder string, limits []limit.Limit) (limit.Grant, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures--; l.failures >= 0 {
		return limit.Grant{}, errors.New("connection refused")
	}
	return l.Limiter.Take(ctx, holder, limits)
}

// brokenTeller cannot tell.
type brokenTeller struct{ limit.Limiter }

func (brokenTeller) Standstills() []limit.Standstill { panic("no connection") }

func TestLimits_MonitorReportsWithoutALimiterThatTells(t *testing.T) {
	for name, limiter := range map[string]limit.Limiter{"none": struct{ limit.Limiter }{limit.New()}, "one that panics": brokenTeller{limit.New()}} {
		t.Run(name, func(t *testing.T) {
			var book logbook
			sched, err := callsheet.New(memory.New(), callsheet.WithLimiter(limiter), callsheet.WithLogger(book.logger()))
			require.NoError(t, err)
			report, err := sched.Monitor(t.Context())
			require.NoError(t, err)
			require.Empty(t, report.Standstills)
			require.Len(t, book.lines("limiter did not tell"), map[string]int{"one that panics": 1}[name])
		})
	}
}

func TestLimits_ALimiterThatFailsCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &gauge{}
		sheet := limitedSheet(1, callsheet.Source{ID: "a"})
		sched := runLimited(t, api, sheet, callsheet.WithLimiter(&brokenLimiter{Limiter: limit.New(), failures: 4}))
		all := executesAll(t, sched, sheet)
		time.Sleep(time.Minute)
		succeededUnspent(t, sched, all)
		require.Contains(t, execution(t, sched, all[0].ID).Attempts[0].Error, "ask the limiter: connection refused")
	})
}

func TestLimits_APipelineOfTheHostsMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := 0
		sched := newScheduler(t, func(context.Context, callsheet.Call) error {
			if times++; times <= 200 {
				return &callsheet.WaitError{Wait: time.Minute}
			}
			return nil
		}, callsheet.WithPlanInterval(time.Minute), callsheet.WithLease(10*time.Minute))
		define(t, sched, callsheet.Schedule{ID: "s", Type: callsheet.TypeManual})
		start(t, sched)
		e, err := sched.Execute(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(202 * time.Minute)
		e = execution(t, sched, e.ID)
		require.Equal(t, callsheet.StateSucceeded, e.State, "waits by no word of the API were expected not to be counted")
		require.Equal(t, 1, e.Attempt)
	})
}

func TestLimits_FaultsAreToldAtOnce(t *testing.T) {
	sched, err := callsheet.New(memory.New())
	require.NoError(t, err)
	_, err = sched.Sources().Create(t.Context(), callsheet.Source{ID: "a", BaseURL: "http://a.example", Limits: []limit.Limit{
		{Requests: 5},
		{Key: "not an ID"},
		{Key: "partner", Concurrent: -1},
		{Key: "partner"},
	}, Breaker: limit.Breaker{Failures: -5, Pause: time.Millisecond}})
	var fields []string
	for _, fault := range callsheet.ValidationErrors(err) {
		fields = append(fields, fault.Field)
	}
	assert.Equal(t, []string{"limits[0].per", "limits[1].key", "limits[2].concurrent", "limits[3].key", "breaker.failures", "breaker.pause"}, fields)

	_, err = callsheet.New(memory.New(), callsheet.WithLimiter(nil))
	assert.ErrorContains(t, err, "WithLimiter")
}

func TestLimits_AreKeptWithTheSource(t *testing.T) {
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("d", destmemory.New()))
	require.NoError(t, err)
	src := callsheet.Source{ID: "a", BaseURL: "http://a.example", Limits: []limit.Limit{{Requests: 5, Per: time.Minute}},
		Breaker: limit.Breaker{Failures: 3}}
	sheet := callsheet.Sheet{Sources: []callsheet.Source{src}}
	require.NoError(t, sched.Define(t.Context(), sheet))
	src.Limits[0].Requests = 1_000_000 // nobody else's
	kept, err := sched.Sources().Get(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, []limit.Limit{{Requests: 5, Per: time.Minute}}, kept.Limits)
	assert.Equal(t, limit.Breaker{Failures: 3}, kept.Breaker)
}

func TestExecution_WaitsInARowAreOneEntry(t *testing.T) {
	at := time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)
	limited := callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonLimited, Waited: callsheet.ReasonLimited,
		Class: callsheet.ClassThrottled, Unspent: true, Delay: time.Minute}
	circuit := limited
	circuit.Reason, circuit.Waited = callsheet.ReasonCircuit, callsheet.ReasonCircuit
	failed := callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Class: callsheet.ClassTransient, Result: callsheet.Result{HTTPStatus: 500}}
	partly := limited
	partly.Result = callsheet.Result{HTTPStatus: 200, Pages: 2}
	for _, tc := range []struct {
		name     string
		outcomes []callsheet.Outcome
		history  string
	}{
		{"waits in a row", []callsheet.Outcome{limited, limited, limited}, "rate limit 3m"},
		{"waits for different things", []callsheet.Outcome{limited, circuit, circuit, limited}, "rate limit 1m, circuit open 3m"},
		{"with a failure in between", []callsheet.Outcome{limited, failed, limited}, "rate limit 1m, transient 1m, rate limit 1m"},
		{"after pages that were delivered", []callsheet.Outcome{limited, partly, partly, limited}, "rate limit 1m, rate limit 1m, rate limit 1m, rate limit 1m"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := callsheet.Execution{State: callsheet.StatePending, MaxAttempts: 3}
			var tally callsheet.Tally
			now := at
			for _, o := range tc.outcomes {
				running := e.Claimed("w", now, time.Minute)
				now = now.Add(time.Minute)
				o.Fence = running.Fence
				e = running.Finished(o, now)
				tally.Applied(&running, e)
			}
			var history []string
			for _, a := range e.Attempts {
				what := a.Waited
				if what == "" {
					what = string(a.Class)
				}
				history = append(history, fmt.Sprintf("%s %s", what, strings.TrimSuffix(a.Duration().String(), "0s")))
			}
			assert.Equal(t, tc.history, strings.Join(history, ", "))
			last, _ := e.Last()
			assert.Equal(t, e.Fence, last.Fence)

			var recount callsheet.Tally
			recount.Applied(nil, e)
			assert.Equal(t, recount.Attempts, tally.Attempts, "the statistics were expected to be what a recount gives")
			assert.Equal(t, recount.Durations, tally.Durations)
		})
	}
}
