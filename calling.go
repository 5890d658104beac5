package callsheet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/callsheet-go/callsheet/fetch"
	"github.com/callsheet-go/callsheet/limit"
)

const (
	// longestInPlace is the longest wait that a worker sits out: to come again would cost more than it saves.
	longestInPlace = time.Second
	// leastInPlace is the shortest, lest a Limiter is asked without end.
	leastInPlace = 10 * time.Millisecond
	// mostInPlace is how long a worker sits out waits before one call, by the clock since the first.
	mostInPlace = 2 * time.Second
	// longestHint is how far away a reset is believed to be that an answer tells of which refuses nothing: APIs do not
	// agree on its unit, and a Source that is well must not stand still for a day.
	longestHint = time.Hour
)

// A WaitError says that a call was not made because it has to wait. The execution is pending until the wait is
// over, to the microsecond, and no attempt is spent. A host's Pipeline may return one: its Wait is a day at most, and a
// second if it is not above zero; any other Reason is ReasonLimited.
type WaitError struct {
	Wait time.Duration
	// Reason is ReasonLimited or ReasonCircuit. Only for the latter there is an end, MaxThrottled, and
	// the wait is stretched by up to a quarter, so that not all come at once.
	Reason string
	// Key is the limit that makes it wait, or the Source whose circuit is open.
	Key string
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("%s of %q: the next call in %s", e.Reason, e.Key, e.Wait.Round(time.Millisecond))
}

// delay is for how long the execution is pending. random is in [0,1).
func (e *WaitError) delay(random float64) time.Duration {
	if e.Reason == ReasonCircuit {
		return e.Wait + time.Duration(jitter*random*float64(e.Wait))
	}
	return e.Wait
}

// bounded returns e as far as a host's is believed: a wait of a day at most, and a second where it has none.
func (e WaitError) bounded() *WaitError {
	if e.Wait <= 0 {
		e.Wait = time.Second
	}
	e.Wait = min(e.Wait, limit.MaxWait)
	if e.Reason != ReasonCircuit {
		e.Reason = ReasonLimited
	}
	return &e
}

// A gate is what every call of the default Pipeline goes through.
type gate struct {
	limiter  limit.Limiter
	breakers *limit.Breakers
}

func newGate(limiter limit.Limiter, log *slog.Logger) *gate {
	return &gate{limiter, limit.NewBreakers(func(c limit.Circuit) { tellCircuit(log, c) })}
}

// tellCircuit logs that a circuit has opened or closed.
func tellCircuit(log *slog.Logger, c limit.Circuit) {
	if c.State == limit.CircuitClosed {
		log.Info("circuit closed", slog.String(keySource, c.Key))
		return
	}
	log.Warn("circuit opened", slog.String(keySource, c.Key), slog.Int("failures", c.Failures),
		slog.Time("until", c.Until), slog.String(keyError, c.LastError))
}

// limited makes a call by do when the Source's circuit and limits let it, and takes in what the answer says of them. If
// the call has to wait longer than a worker sits out, it is not made, and the error is a [*WaitError].
func (p *pipeline) limited(ctx context.Context, call Call, do func(context.Context) (*fetch.Response, error)) (*fetch.Response, error) {
	var inPlace time.Time // since when it is waited
	done, err := p.gate.pass(ctx, call.Source, &inPlace)
	if err != nil {
		return nil, err
	}
	verdict := limit.ErrUncounted // also if do panics
	defer func() { done(verdict) }()
	grant, err := p.gate.take(ctx, call, &inPlace)
	if err != nil {
		return nil, err
	}
	defer grant.Release()
	response, err := do(ctx)
	verdict = failing(err)
	if err != nil {
		return nil, p.gate.learnFailure(call.Source.ID, err)
	}
	if !response.LeftOrigin { // another's quota is not the Source's
		p.gate.learn(call.Source.ID, response.Status, response.Header, 0)
	}
	return response, nil
}

// pass waits for the Source's circuit.
func (g *gate) pass(ctx context.Context, src Source, since *time.Time) (done func(error), err error) {
	for {
		done, wait := g.breakers.Allow(src.ID, src.Breaker)
		if wait == 0 {
			return done, nil
		}
		if err := sitOut(ctx, &WaitError{wait, ReasonCircuit, src.ID}, since); err != nil {
			return nil, err
		}
	}
}

// take waits for the Source's limits.
func (g *gate) take(ctx context.Context, call Call, since *time.Time) (limit.Grant, error) {
	limits := limitsOf(call.Source)
	for {
		grant, err := g.limiter.Take(ctx, call.Execution.ID, limits)
		switch {
		case err != nil && ctx.Err() != nil:
			return grant, context.Cause(ctx)
		case err != nil: // that is nothing the API did, nor the execution
			return grant, &ClassifiedError{ClassThrottled, fmt.Errorf("ask the limiter: %w", err)}
		case grant.Wait <= 0:
			return grant, nil
		}
		if err := sitOut(ctx, &WaitError{grant.Wait, ReasonLimited, grant.Key}, since); err != nil {
			return grant, err
		}
	}
}

// leave tells the limiter that an execution makes no more calls, if it waited for one.
func (g *gate) leave(e Execution) {
	waited := func(a Attempt) bool { return a.Waited == ReasonLimited }
	if e.State.Final() && slices.ContainsFunc(e.Attempts, waited) {
		g.giveUp(e.ID)
	}
}

// giveUp tells the limiter that holder does not ask again.
func (g *gate) giveUp(holder string) {
	if leaver, ok := g.limiter.(limit.Leaver); ok {
		leaver.Leave(holder)
	}
}

// limitsOf returns what a call to src is under, each limit with its key. The Source's own is always among
// them: what the API says is learned under it.
func limitsOf(src Source) []limit.Limit {
	limits := make([]limit.Limit, 0, len(src.Limits)+1)
	own, unnamed := false, 0
	for _, l := range src.Limits {
		if l.Key == "" {
			l.Key = src.ID
			if unnamed++; unnamed > 1 {
				l.Key = fmt.Sprintf("%s#%d", src.ID, unnamed) // which is no ID
			}
		}
		own = own || l.Key == src.ID
		limits = append(limits, l)
	}
	if !own {
		limits = append(limits, limit.Limit{Key: src.ID})
	}
	return limits
}

// sitOut waits as long as w says, if that is worth it and the attempt has the time; otherwise it returns w.
func sitOut(ctx context.Context, w *WaitError, since *time.Time) error {
	if since.IsZero() {
		*since = time.Now()
	}
	wait := max(w.Wait, leastInPlace)
	if wait > longestInPlace || time.Since(*since)+wait > mostInPlace {
		return w
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return w // the attempt would time out, and be spent
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// failing returns what a circuit is told of a call: err if the API failed, nil if it answered as it should, and that
// the call does not count where it says nothing of the API: another answered, nobody was to answer any more, or the answer found no room here.
func failing(err error) error {
	if err == nil {
		return nil
	}
	e, ok := asFetchError(err)
	if ok && e.Kind == fetch.KindStatus && e.Status >= 400 && e.Status < 500 && !e.LeftOrigin && Classify(err) != ClassTransient {
		return nil // it is well: what it says is that the call is wrong, or comes too often
	}
	if !ok || e.LeftOrigin || e.Kind == fetch.KindCancelled || e.Kind == fetch.KindSpool || Classify(err) != ClassTransient {
		return limit.ErrUncounted
	}
	return err
}

// learn takes in what an answer's header says.
func (g *gate) learn(source string, status int, header http.Header, retryAfter time.Duration) (q limit.Quota, known bool) {
	at := time.Now()
	q, known = limit.ReadQuota(header, at)
	switch status {
	case http.StatusTooManyRequests, http.StatusForbidden, http.StatusServiceUnavailable:
	default:
		if hint := at.Add(longestHint); q.Reset.After(hint) {
			q.Reset = hint
		}
	}
	q.RetryAfter = retryAfter
	if known || retryAfter > 0 {
		g.limiter.Learn(source, q)
	}
	return q, known
}

// learnFailure takes in what an error says, if it is the Source's answer, and returns it for what it is.
func (g *gate) learnFailure(source string, err error) error {
	e, ok := asFetchError(err)
	if !ok || e.Kind != fetch.KindStatus || e.LeftOrigin {
		return err
	}
	var asked time.Duration
	if Classify(err) == ClassThrottled {
		asked = e.RetryAfter
	}
	q, known := g.learn(source, e.Status, e.Header, asked)
	if e.Status == http.StatusForbidden && known && q.Remaining == 0 {
		return &ClassifiedError{ClassThrottled, err} // GitHub, among others: the credentials are right
	}
	return err
}

// A Circuit is that of a Source whose calls were stopped because they failed. It is open, or, when the pause is
// over, half-open: one call is let through to see.
type Circuit struct {
	Source string             `json:"source"`
	State  limit.CircuitState `json:"state"`
	Since  time.Time          `json:"since"`          // when it opened
	Until  time.Time          `json:"until,omitzero"` // while it is open: when a call is let through
	// Failures is how many calls failed in a row, LastError why the last of them did.
	Failures  int    `json:"failures"`
	LastError string `json:"last_error"`
}

// circuits lists those that are not closed.
func (g *gate) circuits() []Circuit {
	all := []Circuit{}
	for _, c := range g.breakers.States() {
		all = append(all, Circuit{Source: c.Key, State: c.State, Since: c.Since.UTC(), Until: c.Until.UTC(),
			Failures: c.Failures, LastError: cut(c.LastError, maxFindingError)})
	}
	return all
}

// A Standstill is a time in which a Source is not called, because its API said so.
type Standstill struct {
	Source string                 `json:"source"`
	Since  time.Time              `json:"since"` // when the API said so first
	Until  time.Time              `json:"until"`
	Why    limit.StandstillReason `json:"why"`
}

// standstills lists those that the limiter can tell of.
func (g *gate) standstills() []Standstill {
	all := []Standstill{}
	teller, ok := g.limiter.(limit.Teller)
	if !ok {
		return all
	}
	for _, s := range teller.Standstills() { // what is learned is learned under the key of a Source
		all = append(all, Standstill{Source: s.Key, Since: s.Since.UTC(), Until: s.Until.UTC(), Why: s.Why})
	}
	return all
}

// maxLimits bounds how many limits a Source has.
const maxLimits = 10

// limits checks the limits and the breaker of a Source.
func (f *faults) limits(src Source) {
	if len(src.Limits) > maxLimits {
		f.field("limits", len(src.Limits), "must be at most %d", maxLimits)
	}
	for i, l := range src.Limits {
		prefix := fmt.Sprintf("limits[%d].", i)
		f.limitFaults(prefix, l.Validate())
		if l.Key == "" {
			continue
		}
		if !validID(l.Key) {
			f.field(prefix+"key", l.Key, "%s; empty is the source's own", ruleID)
		}
		for j, other := range src.Limits[:i] {
			if other.Key == l.Key {
				f.field(prefix+"key", l.Key, "must not be that of limits[%d] as well", j)
			}
		}
	}
	f.limitFaults("breaker.", src.Breaker.Validate())
}

func (f *faults) limitFaults(prefix string, err error) {
	for _, e := range unjoin(err) {
		if fault, ok := errors.AsType[*limit.FaultError](e); ok {
			e = &ValidationError{Ref: f.ref, Field: prefix + fault.Field, Value: fault.Value, Rule: fault.Rule}
		}
		f.add(e)
	}
}
