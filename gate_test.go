package callsheet_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/limit"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLimits_AFarResetStopsAWellSourceForAnHourAtMost(t *testing.T) {
	// Milliseconds from now, which read as seconds are 41 days.
	far := http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"3600000"}}
	for _, tc := range []struct {
		name   string
		status int
		wait   time.Duration
	}{
		{"told by an answer as it should be", 200, time.Hour},
		{"told by one that is not found", 404, time.Hour},
		{"told by one that refuses the call", 429, 24 * time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &gauge{answer: func(n int, r *http.Request) *http.Response {
					if n == 1 {
						return response(r, tc.status, "[]", far.Clone())
					}
					return response(r, 200, "[]", nil)
				}}
				sheet := limitedSheet(2, callsheet.Source{ID: "a"})
				sched := runLimited(t, api, sheet)
				_, err := sched.Execute(t.Context(), "s0")
				require.NoError(t, err)
				time.Sleep(time.Second)
				e, err := sched.Execute(t.Context(), "s1")
				require.NoError(t, err)
				time.Sleep(time.Second)
				e = execution(t, sched, e.ID)
				require.Equal(t, callsheet.ReasonLimited, e.Reason)
				assert.WithinDuration(t, e.CreatedAt.Add(tc.wait), e.NotBefore, 2*time.Second)
			})
		})
	}
}

func TestLimits_AnotherOriginsQuotaIsNotTheSources(t *testing.T) {
	for _, status := range []int{200, 403, 404, 429, 503} {
		for _, host := range []string{"a.example", "b.example"} {
			t.Run(fmt.Sprintf("%d of %s", status, host), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api := &gauge{answer: func(n int, r *http.Request) *http.Response {
						switch n {
						case 1:
							return response(r, 302, "", http.Header{"Location": {"http://" + host + "/end"}})
						case 2:
							return response(r, status, "[]", http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"600"}, "Retry-After": {"600"}})
						}
						return response(r, 200, "[]", nil)
					}}
					sched := runLimited(t, api, limitedSheet(2, callsheet.Source{ID: "a"}))
					_, err := sched.Execute(t.Context(), "s0")
					require.NoError(t, err)
					time.Sleep(100 * time.Millisecond)
					e, err := sched.Execute(t.Context(), "s1")
					require.NoError(t, err)
					time.Sleep(100 * time.Millisecond)
					e = execution(t, sched, e.ID)
					if host == "a.example" {
						assert.Equal(t, callsheet.ReasonLimited, e.Reason, "what the Source itself says holds for all its calls")
						return
					}
					assert.Equal(t, callsheet.StateSucceeded, e.State, "%s", e.Reason)
				})
			})
		}
	}
}

// What the answer of another origin says of itself is nothing that the Source's circuit counts.
func TestCircuit_AnotherOriginIsNotTheSource(t *testing.T) {
	for host, calls := range map[string]int{"a.example": 2, "b.example": 5} {
		t.Run(host, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &gauge{answer: func(_ int, r *http.Request) *http.Response {
					if r.URL.Path == "/" {
						return response(r, 302, "", http.Header{"Location": {"http://" + host + "/end"}})
					}
					return response(r, 500, "", nil)
				}}
				sheet := limitedSheet(5, callsheet.Source{ID: "a", Breaker: limit.Breaker{Failures: 2}})
				sched := runLimited(t, api, sheet, callsheet.WithWorkers(1))
				for _, sch := range sheet.Schedules {
					_, err := sched.Execute(t.Context(), sch.ID)
					require.NoError(t, err)
					time.Sleep(100 * time.Millisecond)
				}
				assert.Len(t, api.calls(), 2*calls)
			})
		})
	}
}

func TestCircuit_AnotherOriginDoesNotSayThatTheSourceIsWell(t *testing.T) {
	for host, calls := range map[string]int{"a.example": 5, "b.example": 4} { // the second of them has two hops
		t.Run(host, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &gauge{answer: func(n int, r *http.Request) *http.Response {
					switch n {
					case 2:
						return response(r, 302, "", http.Header{"Location": {"http://" + host + "/end"}})
					case 3:
						return response(r, 404, "", nil)
					}
					return response(r, 500, "", nil)
				}}
				sheet := limitedSheet(4, callsheet.Source{ID: "a", Breaker: limit.Breaker{Failures: 2}})
				sched := runLimited(t, api, sheet, callsheet.WithWorkers(1))
				for _, sch := range sheet.Schedules {
					_, err := sched.Execute(t.Context(), sch.ID)
					require.NoError(t, err)
					time.Sleep(100 * time.Millisecond)
				}
				assert.Len(t, api.calls(), calls)
			})
		})
	}
}

func TestLimits_CancelledExecutionsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sheet := limitedSheet(30, callsheet.Source{ID: "a", Limits: []limit.Limit{{Requests: 1, Per: time.Minute}}})
		sched := runLimited(t, &gauge{}, sheet)
		all := executesAll(t, sched, sheet)
		time.Sleep(time.Second)
		for _, e := range all {
			_, err := sched.Cancel(t.Context(), e.ID, "")
			require.NoError(t, err)
		}
		next, err := sched.Execute(t.Context(), "s0")
		require.NoError(t, err)
		time.Sleep(61 * time.Second)
		assert.Equal(t, callsheet.StateSucceeded, execution(t, sched, next.ID).State)
	})
}

// eagerLimiter answers slowly that the wait is short, again and again.
type eagerLimiter struct{ asked atomic.Int64 }

func (l *eagerLimiter) Take(context.Context, string, []limit.Limit) (limit.Grant, error) {
	l.asked.Add(1)
	time.Sleep(20 * time.Millisecond)
	return limit.Grant{Wait: time.Nanosecond, Key: "k"}, nil
}

func (*eagerLimiter) Learn(string, limit.Quota) {}

func TestLimits_ShortWaitsDoNotHoldAWorkerForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &eagerLimiter{}
		sheet := limitedSheet(1, callsheet.Source{ID: "a"})
		sched := runLimited(t, &gauge{}, sheet, callsheet.WithLimiter(l))
		all := executesAll(t, sched, sheet)
		time.Sleep(3 * time.Second)
		e := execution(t, sched, all[0].ID)
		require.NotEmpty(t, e.Attempts)
		first := e.Attempts[0]
		assert.Equal(t, callsheet.ReasonLimited, first.Waited)
		assert.LessOrEqual(t, l.asked.Load(), int64(101), "30 ms for each time it is asked")
	})
}

func TestLimits_AHostsWaitIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		asked callsheet.WaitError
		wait  time.Duration
	}{
		"none":           {callsheet.WaitError{Wait: -time.Hour, Reason: "anything"}, time.Second},
		"longer than is": {callsheet.WaitError{Wait: 1000 * time.Hour}, limit.MaxWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := false
				sched := newScheduler(t, func(context.Context, callsheet.Call) error {
					if asked {
						return nil
					}
					asked = true
					return &tc.asked
				})
				define(t, sched, callsheet.Schedule{ID: "s", Type: callsheet.TypeManual})
				start(t, sched)
				e, err := sched.Execute(t.Context(), "s")
				require.NoError(t, err)
				time.Sleep(500 * time.Millisecond)
				e = execution(t, sched, e.ID)
				require.Equal(t, callsheet.ReasonLimited, e.Reason)
				assert.WithinDuration(t, e.CreatedAt.Add(tc.wait), e.NotBefore, 400*time.Millisecond)
			})
		})
	}
}
