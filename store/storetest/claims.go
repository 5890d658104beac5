package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func claimCases() []testCase {
	return []testCase{
		{"a claim hands an execution over", "a worker needs the execution, its lease and fence, and every definition, as of that moment", claimHandsOver},
		{"one winner of many", "an execution must run on one worker only, however often its bell rings", claimOneWinner},
		{"nothing is claimed before its time", "a retry must wait as long as it was told to", claimNotBefore},
		{"what cannot be claimed is left out", "a late or wrong ring must do no harm to the others in the batch", claimLeavesOut},
		{"calls keep what they were given", "an edit must not change what a worker is in the middle of", claimIsSnapshot},
	}
}

func claimHandsOver(t *trial) {
	t.hasSchedule("full")
	t.hasSchedule("bare", func(s *callsheet.Schedule) { s.Extract, s.Delivery = "", "" })
	pending := t.hasPending("full")
	before := t.now()
	call := t.claims(pending.ID, longLease)

	e := call.Execution
	require.Equal(t, pending.ID, e.ID)
	require.Equal(t, callsheet.StateRunning, e.State)
	require.Equal(t, "worker", e.Worker)
	require.Equal(t, 1, e.Attempt, "the first claim was expected to be the first attempt")
	require.EqualValues(t, 1, e.Fence)
	require.False(t, e.StartedAt.Before(before), "the attempt was expected to have begun now, by the Store's clock")
	require.True(t, e.LeaseUntil.Equal(e.StartedAt.Add(longLease)), "the lease was expected to run from the Store's now")
	require.Equal(t, e, t.execution(pending.ID), "Claim was expected to return the execution as kept")

	require.Equal(t, t.schedule("full"), call.Schedule)
	kept := t.defined()
	require.Equal(t, kept.Sources[0], call.Source)
	require.Equal(t, kept.Requests[0], call.Request)
	require.Equal(t, &kept.Extracts[0], call.Extract)
	require.Equal(t, &kept.Deliveries[0], call.Delivery)

	bare := t.claims(t.hasPending("bare").ID, longLease)
	require.Nil(t, bare.Extract, "no Extract was expected where the schedule has none")
	require.Nil(t, bare.Delivery, "no Delivery was expected where the schedule has none")
}

func claimOneWinner(t *trial) {
	t.hasSchedule("s")
	const workers, executions = 32, 10
	var wanted []string
	for range executions {
		wanted = append(wanted, t.hasPending("s").ID)
	}
	var (
		mu   sync.Mutex
		won  = make(map[string]int)
		errs []error
		wg   sync.WaitGroup
	)
	for i := range workers {
		wg.Go(func() {
			calls, err := t.Claim(t.Context(), callsheet.ClaimRequest{ExecutionIDs: wanted, Worker: numbered("w", i), Lease: longLease})
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			for _, call := range calls {
				won[call.Execution.ID]++
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...), "losing a race was expected to be no error")
	require.Len(t, won, executions, "each execution was expected to be claimed")
	for id, n := range won {
		require.Equal(t, 1, n, "of %d workers one was expected to get execution %s", workers, id)
		require.EqualValues(t, 1, t.execution(id).Fence)
	}
}

func claimNotBefore(t *trial) {
	t.hasSchedule("s")
	e := t.hasRunning("s", longLease)
	t.finishes(e, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Delay: t.lease, Class: callsheet.ClassTransient})
	require.Empty(t, t.asksFor("early", longLease, e.ID), "nobody was expected to get a retry before it is ready")
	t.passes(t.lease)
	again := t.claims(e.ID, longLease).Execution
	require.Equal(t, 2, again.Attempt)
	require.EqualValues(t, 2, again.Fence, "every claim was expected to raise the fence")
	require.True(t, again.NotBefore.IsZero())
	require.Empty(t, again.Class, "a new attempt was expected to begin without the last one's error")
	require.Len(t, again.Attempts, 1, "the history was expected to go along")
}

func claimLeavesOut(t *trial) {
	t.hasSchedule("s")
	good := t.hasPending("s")
	cancelled := t.hasPending("s")
	_, _, err := t.Cancel(t.Context(), cancelled.ID, "enough")
	require.NoError(t, err)
	calls := t.asksFor("worker", longLease,
		"absent", t.hasRunning("s", longLease).ID, t.hasFinished("s", callsheet.StateSucceeded).ID,
		t.hasFinished("s", callsheet.StateFailed).ID, cancelled.ID, good.ID, good.ID)
	require.Len(t, calls, 1, "only the pending execution was expected to be handed over, once")
	require.Equal(t, good.ID, calls[0].Execution.ID)
	require.Empty(t, t.asksFor("worker", longLease), "a claim of nothing was expected to get nothing")
}

func claimIsSnapshot(t *trial) {
	t.hasSchedule("s")
	call := t.claims(t.hasPending("s").ID, longLease)
	sheet := t.defined()
	sheet.Sources[0].Headers["Accept"] = "text/csv"
	sheet.Requests[0].Path = "/v2"
	sheet.Extracts[0].Fields[0].Path = "$.other"
	sheet.Deliveries[0].Target = "other.jsonl"
	sheet.Schedules[0].Labels["team"] = "other"
	t.defines(sheet)
	require.Equal(t, newSource("api").Headers, call.Source.Headers)
	require.Equal(t, newSource("api").Auth, call.Source.Auth)
	require.Equal(t, newRequest("get").Path, call.Request.Path)
	require.Equal(t, newExtract("rows").Fields, call.Extract.Fields)
	require.Equal(t, newDelivery("out").Target, call.Delivery.Target)
	require.Equal(t, newSchedule("s").Labels, call.Schedule.Labels)
}

func leaseCases() []testCase {
	return []testCase{
		{"a renewed lease goes on", "a worker that is alive must keep what it holds, however long it takes", leaseRenewed},
		{"an expired lease is taken over", "when a worker vanishes another must be able to go on, and soon", leaseTakenOver},
		{"a lost lease writes nothing", "a worker that lost its lease must not be able to record anything, nor to get the lease back", leaseLost},
		{"an expired lease that nobody took is still held", "the fence decides, not the clock: a slow worker may still record what it did", leaseLate},
		{"three lost workers fail an execution", "an execution that kills its workers must not go on killing them", leaseThreeLost},
		{"a batch of renewals is answered in order", "a worker must know which of its leases it lost", leaseBatch},
	}
}

func leaseRenewed(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", t.lease)
	require.Empty(t, t.reclaims(), "a lease that runs was expected not to be reclaimed")
	before := t.now()
	require.NoError(t, t.triesToRenew(running.ID, running.Fence, longLease).Err)
	kept := t.execution(running.ID)
	require.False(t, kept.LeaseUntil.Before(before.Add(longLease)), "the lease was expected to run from the Store's now")
	require.Equal(t, running.Fence, kept.Fence, "renewing was expected to leave the fence")
	t.passes(t.lease)
	require.Empty(t, t.reclaims(), "a renewed lease was expected to outlast the first one")
	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
}

func leaseTakenOver(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", t.lease)
	alive := t.hasRunning("s", longLease)
	require.Empty(t, t.asksFor("other", longLease, running.ID), "nobody was expected to get what another holds")
	t.passes(t.lease)
	lost := t.reclaims()
	require.Equal(t, []string{running.ID}, ids(lost), "the execution whose lease ran out was expected to be reclaimed")
	e := lost[0]
	require.Equal(t, callsheet.StatePending, e.State)
	require.Equal(t, callsheet.ReasonLost, e.Reason)
	require.Equal(t, 0, e.Attempt, "a lost worker was expected not to spend an attempt")
	require.Equal(t, 1, e.LostWorkers)
	require.Empty(t, e.Worker)
	require.Len(t, e.Attempts, 1, "the lost attempt was expected in the history")
	require.Empty(t, t.rings(longLease).IDs, "what Reclaim returned was expected to count as rung")
	require.Equal(t, callsheet.ClassLostWorker, e.Attempts[0].Class)
	require.Equal(t, e, t.execution(e.ID), "Reclaim was expected to return the execution as kept")
	require.Empty(t, t.reclaims(), "an execution was expected to be reclaimed once")

	calls := t.asksFor("other", longLease, running.ID)
	require.Len(t, calls, 1, "another worker was expected to get the execution at once")
	require.Greater(t, calls[0].Execution.Fence, running.Fence, "the new fence was expected to be above the old one")
	require.Equal(t, callsheet.StateRunning, t.execution(alive.ID).State, "leases that run were expected to be left alone")
}

func leaseLost(t *trial) {
	t.hasSchedule("s")
	old := t.hasRunning("s", t.lease)
	t.passes(t.lease)
	t.reclaims()
	refused := func(when string) {
		t.Helper()
		before := t.execution(old.ID)
		require.ErrorIs(t, t.triesToRenew(old.ID, old.Fence, longLease).Err, callsheet.ErrStaleFence, when)
		finish := t.triesToFinish(callsheet.Outcome{ExecutionID: old.ID, Fence: old.Fence, State: callsheet.StateSucceeded})
		require.ErrorIs(t, finish.Err, callsheet.ErrStaleFence, when)
		require.Equal(t, before, t.execution(old.ID), "%s: a stale write was expected to change nothing", when)
	}
	refused("while nobody holds it")
	calls := t.asksFor("other", longLease, old.ID)
	require.Len(t, calls, 1)
	refused("while another holds it")
	t.finishes(calls[0].Execution, callsheet.Outcome{State: callsheet.StateSucceeded})
	refused("when it is over")
	total, own := t.tallies()
	require.EqualValues(t, 3, total.StaleWrites, "each refused outcome was expected to be counted")
	require.EqualValues(t, 1, own["s"].Succeeded)
	require.EqualValues(t, 1, t.schedule("s").ExecutionCount, "a stale write was expected not to be counted as an execution")
	finish := t.triesToFinish(callsheet.Outcome{ExecutionID: "absent", Fence: 1, State: callsheet.StateSucceeded})
	require.ErrorIs(t, finish.Err, callsheet.ErrStaleFence, "nobody holds what is not there")
}

func leaseLate(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", t.lease)
	t.passes(t.lease)
	require.Empty(t, t.asksFor("other", longLease, running.ID), "an expired lease was expected to be reclaimed before it is claimed")
	require.NoError(t, t.triesToRenew(running.ID, running.Fence, longLease).Err, "the holder was expected to renew what nobody took")
	require.Empty(t, t.reclaims(), "a lease renewed late was expected to run")
	t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
}

func leaseThreeLost(t *trial) {
	t.hasSchedule("s")
	id := t.hasPending("s").ID
	for range callsheet.MaxLostWorkers {
		t.claims(id, time.Millisecond)
		t.passes(time.Millisecond)
		require.Len(t, t.reclaims(), 1)
	}
	e := t.execution(id)
	require.Equal(t, callsheet.StateFailed, e.State, "an execution that lost %d workers was expected to fail", callsheet.MaxLostWorkers)
	require.Equal(t, callsheet.ReasonLost, e.Reason)
	require.False(t, e.FinishedAt.IsZero())
	s := t.schedule("s")
	require.EqualValues(t, 1, s.FailureCount, "the failure was expected to be counted on the schedule")
	require.Equal(t, callsheet.StatusFailed, s.Status)
}

func leaseBatch(t *trial) {
	t.hasSchedule("s")
	one, two, gone := t.hasRunning("s", longLease), t.hasRunning("s", longLease), t.hasRunning("s", longLease)
	t.finishes(gone, callsheet.Outcome{State: callsheet.StateSucceeded})
	_, _, err := t.Cancel(t.Context(), two.ID, "enough")
	require.NoError(t, err)
	renewals, err := t.Renew(t.Context(), callsheet.RenewRequest{Lease: 2 * longLease, Held: []callsheet.Held{
		{ExecutionID: one.ID, Fence: one.Fence}, {ExecutionID: gone.ID, Fence: gone.Fence},
		{ExecutionID: "absent", Fence: 1}, {ExecutionID: two.ID, Fence: two.Fence}, {ExecutionID: one.ID, Fence: one.Fence + 1},
	}})
	require.NoError(t, err, "a lost lease was expected to be no error for the others")
	require.Equal(t, []callsheet.Renewal{
		{}, {Err: callsheet.ErrStaleFence}, {Err: callsheet.ErrStaleFence}, {CancelRequested: true}, {Err: callsheet.ErrStaleFence},
	}, renewals)
	require.WithinDuration(t, t.now().Add(2*longLease), t.execution(one.ID).LeaseUntil, 10*time.Second, "a lease was expected to be extended from now, not from its old end")
}
