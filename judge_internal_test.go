package callsheet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
	"github.com/stretchr/testify/assert"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	sch := Schedule{MaxRetries: 2, RetryDelay: 10 * time.Second, MaxRetryDelay: time.Minute}
	attempt := func(n int) Execution {
		return Execution{ID: "e", Fence: int64(n), Attempt: n, MaxAttempts: 3, CreatedAt: now}
	}
	throttled := func(wait time.Duration) error {
		return &fetch.Error{Kind: fetch.KindStatus, Status: 429, RetryAfter: wait}
	}
	old := attempt(1)
	old.Attempts = []Attempt{{Class: ClassThrottled, Unspent: true, StartedAt: now.Add(-MaxThrottled)}}
	longThrottled := attempt(1)
	longThrottled.CreatedAt = now.Add(-2 * MaxThrottled) // it was not throttled all the time
	longThrottled.Attempts = []Attempt{{Class: ClassTransient, StartedAt: now.Add(-MaxThrottled)},
		{Class: ClassThrottled, Unspent: true, StartedAt: now.Add(-time.Hour)}, {Class: ClassThrottled, Unspent: true, StartedAt: now.Add(-time.Minute)}}
	waits := func(reason string) error {
		return &StageError{StageFetch, &WaitError{Wait: 7 * time.Minute, Reason: reason}}
	}
	history := func(attempts ...Attempt) Execution {
		e := attempt(3)
		e.Attempts = attempts
		return e
	}
	waited := func(reason string, ago time.Duration) Attempt {
		return Attempt{Class: ClassThrottled, Waited: reason, Unspent: true, StartedAt: now.Add(-ago)}
	}
	for _, tc := range []struct {
		name    string
		e       Execution
		err     error
		state   State
		reason  string
		delay   time.Duration
		unspent bool
	}{
		{"no error is a success", attempt(1), nil, StateSucceeded, "", 0, false},
		{"a transient error is retried after the delay", attempt(1), errors.New("broken pipe"), StatePending, ReasonRetry, 10 * time.Second, false},
		{"the second retry waits twice as long", attempt(2), errors.New("broken pipe"), StatePending, ReasonRetry, 20 * time.Second, false},
		{"the last attempt's failure is final", attempt(3), errors.New("broken pipe"), StateFailed, ReasonExhausted, 0, false},
		{"a permanent error is not retried", attempt(1), &fetch.Error{Kind: fetch.KindStatus, Status: 404}, StateFailed, ReasonPermanent, 0, false},
		{"refused credentials are not retried", attempt(1), &fetch.Error{Kind: fetch.KindStatus, Status: 401}, StateFailed, ReasonPermanent, 0, false},
		{"a throttled attempt waits and is given back", attempt(3), throttled(0), StatePending, ReasonThrottled, 10 * time.Second, true},
		{"Retry-After is kept where it is longer", attempt(1), throttled(5 * time.Minute), StatePending, ReasonThrottled, 5 * time.Minute, true},
		{"throttling backs off in a row", longThrottled, throttled(time.Second), StatePending, ReasonThrottled, 40 * time.Second, true},
		{"throttling for a day is a failure", old, throttled(time.Second), StateFailed, ReasonExhausted, 0, false},
		{"a limit's wait is kept exactly", attempt(3), waits(ReasonLimited), StatePending, ReasonLimited, 7 * time.Minute, true},
		{"a wait for a limit has no end", history(waited(ReasonLimited, 9*MaxThrottled)), waits(ReasonLimited), StatePending, ReasonLimited, 7 * time.Minute, true},
		{"a wait without a reason is for a limit", attempt(3), waits(""), StatePending, ReasonLimited, 7 * time.Minute, true},
		{"a wait for a circuit is stretched", attempt(3), waits(ReasonCircuit), StatePending, ReasonCircuit, 7*time.Minute + 7*time.Minute/8, true},
		{"a wait for a circuit ends after a day", history(waited(ReasonCircuit, MaxThrottled)), waits(ReasonCircuit), StateFailed, ReasonExhausted, 0, false},
		{"with limits in between as well", history(waited(ReasonCircuit, MaxThrottled), waited(ReasonLimited, time.Hour)), waits(ReasonCircuit), StateFailed, ReasonExhausted, 0, false},
		{"a failed call in between begins another day", history(waited(ReasonCircuit, MaxThrottled), Attempt{Class: ClassTransient}), waits(ReasonCircuit), StatePending, ReasonCircuit, 7*time.Minute + 7*time.Minute/8, true},
		{"waits of our own are not the API's", history(waited(ReasonLimited, 9*MaxThrottled), waited(ReasonCircuit, MaxThrottled)), throttled(0), StatePending, ReasonThrottled, 10 * time.Second, true},
		{"nor do they end the row of the API's", history(Attempt{Class: ClassThrottled, Unspent: true, StartedAt: now.Add(-time.Hour)}, waited(ReasonLimited, time.Minute)), throttled(0), StatePending, ReasonThrottled, 20 * time.Second, true},
		{"a cancelled execution is over", attempt(1), fmt.Errorf("fetch: %w", ErrCancelled), StateCancelled, ReasonCancelled, 0, true},
		{"a stopping worker hands back at once", attempt(1), fmt.Errorf("fetch: %w", ErrStopping), StatePending, ReasonHandBack, 0, true},
		{"a panic is retried", attempt(1), &PanicError{Value: "boom"}, StatePending, ReasonRetry, 10 * time.Second, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := judge(tc.e, sch, Result{Bytes: 7}, tc.err, now, 0.5)
			assert.Equal(t, tc.state, o.State)
			assert.Equal(t, tc.reason, o.Reason)
			assert.Equal(t, tc.delay, o.Delay)
			assert.Equal(t, tc.unspent, o.Unspent)
			assert.EqualValues(t, 7, o.Bytes, "what was fetched is recorded in any case")
			assert.Equal(t, tc.e.Fence, o.Fence)
		})
	}
}

func TestBackoff_DoublesWithJitterUpToTheCap(t *testing.T) {
	sch := Schedule{RetryDelay: time.Second, MaxRetryDelay: 30 * time.Second}
	for n, want := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 4: 8, 5: 16} {
		want *= time.Second
		assert.Equal(t, want*3/4, backoff(sch, n, 0), "retry %d at the least", n)
		assert.Equal(t, want, backoff(sch, n, 0.5), "retry %d in the middle", n)
	}
	assert.Equal(t, 30*time.Second, backoff(sch, 6, 0.5))
	assert.Equal(t, 30*time.Second, backoff(sch, 1_000_000, 0.999), "never over the cap, and no overflow")
}

func TestRetriesSpent_CountsSinceReopen(t *testing.T) {
	sch := Schedule{MaxRetries: 2}
	assert.Equal(t, 0, retriesSpent(Execution{Attempt: 1, MaxAttempts: 3}, sch))
	assert.Equal(t, 2, retriesSpent(Execution{Attempt: 3, MaxAttempts: 3}, sch))
	assert.Equal(t, 0, retriesSpent(Execution{Attempt: 4, MaxAttempts: 6}, sch), "reopened after three")
	assert.Equal(t, 0, retriesSpent(Execution{Attempt: 1, MaxAttempts: 9}, sch), "the schedule was edited since")
}

func TestClassify(t *testing.T) {
	status := func(code int) error { return &fetch.Error{Kind: fetch.KindStatus, Status: code} }
	for _, tc := range []struct {
		err  error
		want Class
	}{
		{nil, ""},
		{errors.New("who knows"), ClassTransient},
		{context.DeadlineExceeded, ClassTransient},
		{ErrTimeout, ClassTransient},
		{status(400), ClassPermanent},
		{status(401), ClassAuth},
		{status(403), ClassAuth},
		{status(404), ClassPermanent},
		{status(407), ClassAuth},
		{status(408), ClassTransient},
		{status(425), ClassTransient},
		{status(429), ClassThrottled},
		{status(500), ClassTransient},
		{status(503), ClassTransient},
		{&fetch.Error{Kind: fetch.KindStatus, Status: 503, RetryAfter: time.Second}, ClassThrottled},
		{status(304), ClassPermanent},
		{&fetch.Error{Kind: fetch.KindTimeout}, ClassTransient},
		{&fetch.Error{Kind: fetch.KindDNS}, ClassTransient},
		{&fetch.Error{Kind: fetch.KindProtocol}, ClassTransient},
		{&fetch.Error{Kind: fetch.KindRequest}, ClassPermanent},
		{&fetch.Error{Kind: fetch.KindTooLarge}, ClassPermanent},
		{&fetch.Error{Kind: fetch.KindRedirect}, ClassPermanent},
		{&fetch.Error{Kind: fetch.KindHeaders}, ClassBadResponse},
		{&fetch.Error{Kind: fetch.KindTLS, Err: errors.New("x509: certificate signed by unknown authority")}, ClassPermanent},
		{&fetch.Error{Kind: fetch.KindTLS, Err: errors.New("remote error: tls: internal error")}, ClassTransient},
		{&fetch.Error{Kind: fetch.KindToken, Err: errors.New("oauth2: server response missing access_token")}, ClassTransient},
		{&fetch.Error{Kind: fetch.KindToken, Status: 200}, ClassAuth},
		{&fetch.Error{Kind: fetch.KindToken, Status: 307}, ClassAuth},
		{&fetch.Error{Kind: fetch.KindToken, Status: 400}, ClassAuth},
		{&fetch.Error{Kind: fetch.KindToken, Status: 401}, ClassAuth},
		{&fetch.Error{Kind: fetch.KindToken, Status: 429}, ClassThrottled},
		{&fetch.Error{Kind: fetch.KindToken, Status: 502}, ClassTransient},
		{&extract.Error{}, ClassBadResponse},
		{asDelivery(errors.New("disk full")), ClassDelivery},
		{asDelivery(&ClassifiedError{ClassPermanent, errors.New("no such column")}), ClassPermanent},
		{&PanicError{Value: status(500)}, ClassPanic},
		{fmt.Errorf("%w: %w", ErrCancelled, status(500)), ClassCancelled},
		{fmt.Errorf("%w: %w", ErrLeaseLost, context.Canceled), ClassLostWorker},
	} {
		assert.Equal(t, tc.want, Classify(tc.err), "%v", tc.err)
		if tc.err != nil {
			assert.Equal(t, tc.want, Classify(&StageError{StageFetch, tc.err}), "wrapped: %v", tc.err)
		}
	}
}

func TestManualTime_NeverFallsOnAWholeSecond(t *testing.T) {
	whole := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.Equal(t, whole.Add(time.Microsecond), manualTime(whole))
	assert.Equal(t, whole.Add(5*time.Millisecond), manualTime(whole.Add(5*time.Millisecond)))
}
