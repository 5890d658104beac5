package callsheet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	// finishAgain is the pause before an outcome is written again that the Store did not take.
	finishAgain = 200 * time.Millisecond
	// jitter is the share by which a retry's delay varies, either way.
	jitter = 0.25
	// maxErrorText bounds the error text that is kept, in bytes.
	maxErrorText = 2000
	maxStack     = 8000
)

// handle answers a ring: it claims the execution and sees one attempt through. A ring for an
// execution that somebody else has, or that is not due, is nothing. Whatever panics here and has
// not been caught nearer by ends this attempt and not the process; its lease will run out.
func (n *node) handle(ctx context.Context, id string) {
	n.answering.begin()
	defer n.answering.end()
	_ = guard(func() error {
		n.answer(ctx, id)
		return nil
	})
}

func (n *node) answer(ctx context.Context, id string) {
	defer n.leases.expect(id)()
	asked := time.Now()
	call, err := n.claims.do(ctx, id)
	if err != nil {
		n.log.WarnContext(ctx, "claim broke off, rings again", slog.String(keyExecution, id), slog.Any(keyError, err))
		return
	}
	if call != nil {
		call.Keep = n.keep
		n.attempt(*call, workShare(n.lease)-time.Since(asked))
	}
}

// claim claims executions, and returns for each its Call, or nil.
func (n *node) claim(ctx context.Context, ids []string) ([]*Call, error) {
	won, err := n.store.Claim(ctx, ClaimRequest{ExecutionIDs: ids, Worker: n.workerName, Lease: n.lease})
	if err != nil {
		return nil, err
	}
	calls := make([]*Call, len(ids))
	for i := range won {
		// An ID that was rung for twice may stand there twice: one call, one worker.
		if at := slices.Index(ids, won[i].Execution.ID); at >= 0 {
			calls[at] = &won[i]
		}
	}
	return calls, nil
}

// keep keeps an answer. A Store that cannot is no reason to give up what was fetched: should the delivery
// fail, the call is made again. Where there are pages, a cursor or validators it is one: what the second call brings beyond
// the first would be left out by a Destination that has the first, and passed over by what comes after.
func (n *node) keep(ctx context.Context, a Answer) error {
	err := guard(func() error { return n.store.Keep(ctx, a) })
	switch {
	case errors.Is(err, ErrStaleFence):
		return ErrLeaseLost
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && a.Progress != nil:
		return fmt.Errorf("keep the answer, which must not be delivered otherwise: %w", err)
	case err != nil:
		n.log.WarnContext(ctx, "answer could not be kept", slog.String(keyExecution, a.ExecutionID), slog.Any(keyError, err))
	}
	return nil
}

// attempt runs the Pipeline for a claimed execution and records what came of it.
func (n *node) attempt(call Call, leaseLeft time.Duration) {
	ctx, cancel := context.WithCancelCause(n.work)
	defer cancel(nil)
	ctx, cancelTimeout := context.WithTimeoutCause(ctx, call.Schedule.Timeout, ErrTimeout)
	defer cancelTimeout()
	if n.log.Enabled(ctx, slog.LevelDebug) {
		n.log.DebugContext(ctx, "attempt started", attrs(call.Execution)...)
	}
	n.leases.add(call, cancel, leaseLeft)
	defer n.leases.remove(call.Execution) // where record, which does it, is not reached
	var outcome Outcome
	var finish *Finish // where the outcome is recorded already
	err := isolate(func() error {
		if call.Unreadable != nil {
			outcome = newOutcome(call, Result{}, &ClassifiedError{ClassPermanent, call.Unreadable})
			return nil
		}
		var result Result
		var joint *jointDelivery
		call.Join = n.joining(&joint)
		err := guard(func() (err error) {
			result, err = n.pipeline.Run(ctx, call)
			return err
		})
		if err == nil && joint != nil {
			var f Finish
			if f, err = n.deliverJointly(ctx, call, &result, joint); err == nil {
				finish = &f
			} else {
				joint.failed.Timings = result.Timings
				result = joint.failed
			}
		}
		// Why the context ended says more than what the Pipeline made of it.
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		outcome = newOutcome(call, result, err)
		return nil
	})
	if err != nil { // not the Pipeline's error, but one that could not even be looked at
		outcome = newOutcome(call, Result{}, err)
	}
	if finish != nil {
		n.leases.remove(call.Execution)
		n.recorded(context.WithoutCancel(ctx), call, outcome, []Finish{*finish}, nil)
		return
	}
	n.record(ctx, call, outcome)
}

// newOutcome makes the outcome of an attempt that has ended with result and err.
func newOutcome(call Call, result Result, err error) Outcome {
	o := judge(call.Execution, call.Schedule, result, err, now(), rand.Float64())
	o.Error = cut(o.Error, maxErrorText)
	o.Stack = cut(stackOf(err), maxStack)
	return o
}

// judge decides what follows from an attempt that ended with result and err: the end of the
// execution, or another attempt and when. random is in [0,1).
func judge(e Execution, sch Schedule, result Result, err error, now time.Time, random float64) Outcome {
	o := Outcome{ExecutionID: e.ID, Fence: e.Fence, State: StateSucceeded, Result: result}
	if err == nil {
		if result.Progress != nil && result.Progress.Unchanged {
			o.Reason = ReasonUnchanged
		}
		return o
	}
	o.Class, o.Error = Classify(err), err.Error()
	// An attempt that came further did its work; how many there can be is bounded by the pages and their parts.
	further := result.Progress.batches() > e.Progress.batches()
	if !further {
		o.Pages = 0
	}
	o.Unspent = !o.Class.Spends() || further && o.Class.Retryable()
	wait, inARow := retryAfter(err), throttledInARow(e)
	if further {
		inARow = 0
	}
	own, _ := errors.AsType[*WaitError](err)
	if own != nil && o.Class == ClassThrottled {
		own = own.bounded()
		o.Waited = own.Reason
	}
	switch {
	case errors.Is(err, ErrStopping):
		o.State, o.Reason, o.Unspent = StatePending, ReasonHandBack, true
	case o.Class == ClassCancelled:
		o.State, o.Reason = StateCancelled, ReasonCancelled
	case o.Waited == ReasonCircuit && now.Sub(circuitOpenSince(e, now)) >= MaxThrottled:
		o.State, o.Reason, o.Unspent = StateFailed, ReasonExhausted, false
	case o.Waited != "":
		o.State, o.Reason, o.Delay = StatePending, o.Waited, own.delay(random)
		if result.Progress.batches() > 0 {
			o.Reason = ReasonPartial
		}
	case o.Class == ClassThrottled && (further || now.Sub(throttledSince(e, now)) < MaxThrottled):
		o.State, o.Reason = StatePending, ReasonThrottled
		if result.Progress.batches() > 0 {
			o.Reason = ReasonPartial
		}
		o.Delay = max(wait, backoff(sch, inARow+1, random))
	case o.Class == ClassLostWorker && e.LostWorkers+1 >= MaxLostWorkers:
		o.State, o.Reason = StateFailed, ReasonLost
	case o.Class == ClassLostWorker:
		o.State, o.Reason, o.Delay = StatePending, ReasonLost, backoff(sch, e.LostWorkers+1, random)
	case !o.Class.Retryable():
		o.State, o.Reason = StateFailed, ReasonPermanent
	case o.Class == ClassThrottled, e.Attempt >= e.MaxAttempts && !o.Unspent:
		o.State, o.Reason, o.Unspent = StateFailed, ReasonExhausted, false
	default:
		o.State, o.Reason = StatePending, ReasonRetry
		o.Delay = max(wait, backoff(sch, retriesSpent(e, sch)+1, random))
	}
	return o
}

// backoff is the delay before the n-th retry, from 1: the schedule's delay, doubled with each,
// varied at random, capped.
func backoff(sch Schedule, n int, random float64) time.Duration {
	delay := sch.RetryDelay
	for ; n > 1 && delay < sch.MaxRetryDelay; n-- {
		delay *= 2
	}
	delay = time.Duration(float64(delay) * (1 - jitter + 2*jitter*random))
	return min(delay, sch.MaxRetryDelay)
}

// retriesSpent is how many retries came before the running attempt, since the last Reopen.
func retriesSpent(e Execution, sch Schedule) int {
	return max(0, sch.MaxAttempts()-(e.MaxAttempts-e.Attempt)-1)
}

// throttledSince is when the first of the attempts at the end of the history began that were throttled, this one among them.
func throttledSince(e Execution, now time.Time) time.Time {
	since := now
	for a := range throttledAttempts(e) {
		since = a.StartedAt
	}
	return since
}

// throttledInARow counts the attempts at the end of the history that were throttled and came to nothing.
func throttledInARow(e Execution) int {
	n := 0
	for range throttledAttempts(e) {
		n++
	}
	return n
}

// throttledAttempts yields the attempts at the end of the history, latest first, that the API throttled and that came to
// nothing. Waits of our own in between say nothing of the API.
func throttledAttempts(e Execution) iter.Seq[Attempt] {
	return func(yield func(Attempt) bool) {
		for _, a := range slices.Backward(e.Attempts) {
			if !a.toldToWait() {
				return
			}
			if a.Waited == "" && !yield(a) {
				return
			}
		}
	}
}

// circuitOpenSince is since when the execution has done nothing but wait for a circuit, and for limits in between.
func circuitOpenSince(e Execution, now time.Time) time.Time {
	since := now
	for _, a := range slices.Backward(e.Attempts) {
		if !a.onlyWaited() || !a.Unspent {
			break
		}
		if a.Waited == ReasonCircuit {
			since = a.StartedAt
		}
	}
	return since
}

// record writes an outcome, and tells of it. ctx carries values only: it may have ended.
func (n *node) record(ctx context.Context, call Call, o Outcome) {
	n.leases.conclude(call.Execution, o)
	ctx = context.WithoutCancel(ctx)
	finishes, err := n.finish(ctx, n.lease, o)
	// The Store's word is final: from here on nothing is held, however long telling takes.
	n.leases.remove(call.Execution)
	n.recorded(ctx, call, o, finishes, err)
}

// recorded tells of what became of an outcome.
func (n *node) recorded(ctx context.Context, call Call, o Outcome, finishes []Finish, err error) {
	if err != nil {
		n.log.ErrorContext(ctx, "outcome could not be recorded, lease will expire",
			attrs(call.Execution, slog.String("state", string(o.State)), slog.Any(keyError, err))...)
		return
	}
	finish := finishes[0]
	if finish.Err != nil {
		n.log.WarnContext(ctx, "outcome refused", attrs(call.Execution, slog.Any(keyError, finish.Err))...)
		return
	}
	n.gate.leave(finish.Execution)
	n.tell(ctx, call, finish, o)
	if e := finish.Execution; e.State == StatePending {
		n.alarm.set(e.NotBefore)
	}
	if finish.Released || finish.Execution.Trigger == TriggerBackfill {
		n.alarm.set(now()) // another may begin
	}
	n.observe(ctx, finish.Execution)
}

// finish writes outcomes. While the Store does not answer it tries again, for at most patience.
func (n *node) finish(ctx context.Context, patience time.Duration, outcomes ...Outcome) ([]Finish, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for again := false; ; again = true {
		finishes, err := n.finishOnce(ctx, outcomes, again)
		if err == nil {
			if again {
				n.lookUp(ctx, outcomes, finishes)
			}
			return finishes, nil
		}
		timer := time.NewTimer(finishAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

// finishOnce writes outcomes: a single one together with those of other workers, unless that failed
// before, lest one that the Store cannot take costs the others.
func (n *node) finishOnce(ctx context.Context, outcomes []Outcome, again bool) (finishes []Finish, err error) {
	if len(outcomes) == 1 && !again {
		f, err := n.finishes.do(ctx, outcomes[0])
		return []Finish{f}, err
	}
	err = guard(func() (err error) {
		finishes, err = n.finishAll(ctx, outcomes)
		return err
	})
	return finishes, err
}

// finishAll writes outcomes in one call.
func (n *node) finishAll(ctx context.Context, outcomes []Outcome) ([]Finish, error) {
	finishes, err := n.store.Finish(ctx, outcomes)
	if err == nil && len(finishes) != len(outcomes) {
		err = fmt.Errorf("store answered %d outcomes of %d", len(finishes), len(outcomes))
	}
	return finishes, err
}

// lookUp finds out whether outcomes that were refused had been written all the same, by an earlier
// try whose answer was lost.
func (n *node) lookUp(ctx context.Context, outcomes []Outcome, finishes []Finish) {
	for i, f := range finishes {
		if f.Err == nil {
			continue
		}
		_ = guard(func() error {
			e, err := n.store.Execution(ctx, outcomes[i].ExecutionID)
			if err != nil {
				return err
			}
			last, _ := e.Last()
			if last.Fence == outcomes[i].Fence && last.Class == outcomes[i].Class {
				finishes[i] = Finish{Execution: e}
			}
			return nil
		})
	}
}

// tell logs the end of an attempt.
func (n *node) tell(ctx context.Context, call Call, f Finish, o Outcome) {
	level, text := slog.LevelInfo, "execution succeeded"
	switch f.Execution.State {
	case StatePending:
		level, text = slog.LevelWarn, "attempt failed, another follows"
		switch {
		case o.Class == ClassCancelled:
			level, text = slog.LevelInfo, "execution handed back"
		case o.Waited != "":
			level, text = slog.LevelDebug, "execution waits"
		}
	case StateFailed:
		level, text = slog.LevelError, "execution failed"
	case StateCancelled:
		text = "execution cancelled"
	}
	if !n.log.Enabled(ctx, level) {
		return
	}
	e := f.Execution
	e.Attempt = call.Execution.Attempt // the one that ended, given back or not
	last, _ := e.Last()
	args := resultAttrs(e, last.Duration())
	if e.Reason != "" {
		args = append(args, slog.String(keyReason, e.Reason))
	}
	if o.Error != "" {
		args = append(args, slog.String(keyClass, string(o.Class)), slog.String(keyError, o.Error))
	}
	if e.State == StatePending {
		args = append(args, slog.Time("not_before", e.NotBefore))
	}
	if o.Stack != "" {
		args = append(args, slog.String(keyStack, o.Stack))
	}
	n.log.Log(ctx, level, text, args...)
	if sch := f.Schedule; sch != nil && sch.Status == StatusPaused && call.Schedule.Status != StatusPaused && e.State == StateFailed {
		n.log.WarnContext(ctx, "schedule paused", slog.String(keySchedule, sch.ID), slog.String(keyReason, sch.PauseReason))
	}
}

// abandon hands back what is still held after the context of its work has ended and the grace is
// over. Its Pipeline goes on for itself; the fence keeps it from recording anything. An attempt that has
// come to its end, and could not be recorded yet, keeps its outcome.
func (n *node) abandon() error {
	held := n.leases.all()
	if len(held) == 0 {
		return nil
	}
	var left []error
	outcomes := make([]Outcome, len(held))
	for i, h := range held {
		outcome, concluded := n.leases.outcome(h)
		if !concluded {
			e := h.call.Execution
			outcome = newOutcome(h.call, Result{}, ErrStopping)
			left = append(left, fmt.Errorf("pipeline did not return: schedule %q, execution %s", e.Schedule, e.ID))
		}
		outcomes[i] = outcome
	}
	ctx := context.WithoutCancel(n.work)
	finishes, err := n.finish(ctx, stopGrace/2, outcomes...)
	for i, h := range held {
		n.leases.remove(h.call.Execution)
		var finish []Finish
		if err == nil {
			finish = finishes[i : i+1]
		}
		n.recorded(ctx, h.call, outcomes[i], finish, err)
	}
	return errors.Join(left...)
}

// pausedByFailures is the reason of a pause after n failures in a row.
func pausedByFailures(n int) string { return fmt.Sprintf("%d failures in a row", n) }

// cut shortens text to at most n bytes, and says so.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const mark = "… (cut)"
	return strings.ToValidUTF8(text[:n-len(mark)], "") + mark
}
