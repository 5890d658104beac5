package storetest

import (
	"bytes"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func answerCases() []testCase {
	return []testCase{
		{"an answer comes with the next claim", "a retry after a failed delivery must not cost a second call", answerIsClaimed},
		{"an answer is kept by the holder only", "a worker that lost its lease must not replace what another fetched", answerNeedsFence},
		{"a later answer replaces the earlier", "what is delivered is what was fetched last", answerIsReplaced},
		{"answers go with success, unless they are wanted", "answers are large; a schedule says how many it keeps", answersGo},
		{"answers of dead letters stay, of cancelled executions they go", "a dead letter is delivered when its destination is back", answersOfTheFailed},
		{"an execution may use another's answer", "a mapping that was wrong is put right without a call", answerOfAnother},
		{"a pruned execution takes its answer along", "nobody could find it any more", answerIsPruned},
	}
}

func newAnswer(e callsheet.Execution, body string) callsheet.Answer {
	return callsheet.Answer{
		ExecutionID: e.ID, Fence: e.Fence, FetchedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Status: 203, URL: "https://api.example.com/v1?key=…",
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Link": {"<a>", "<b>"}}, Body: []byte(body),
	}
}

func (t *trial) keeps(e callsheet.Execution, body string) callsheet.Answer {
	t.Helper()
	answer := newAnswer(e, body)
	require.NoError(t, t.Keep(t.Context(), answer), "the holder's answer was expected to be taken")
	return answer
}

func (t *trial) hasAnswer(id string) bool {
	t.Helper()
	_, err := t.Answer(t.Context(), id)
	if err != nil {
		isNotFound(t, callsheet.Ref{Kind: callsheet.KindExecution, ID: id}, err)
	}
	return err == nil
}

func answerIsClaimed(t *trial) {
	t.hasSchedule("s")
	e := t.hasPending("s")
	call := t.claims(e.ID, longLease)
	require.Nil(t, call.Answer, "nothing was expected to be kept before the first attempt")
	require.False(t, t.hasAnswer(e.ID))
	// Bytes of every kind, and more than one page of them.
	body := string(bytes.Repeat([]byte("\x00\xff{\"a\":1}\n"), 10_000))
	answer := t.keeps(call.Execution, body)
	answer.Body[0] = 'x' // the caller's own
	answer = newAnswer(call.Execution, body)
	got, err := t.Answer(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, answer, got)
	t.finishes(call.Execution, callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonRetry, Class: callsheet.ClassDelivery})
	call = t.claims(e.ID, longLease)
	require.Equal(t, &answer, call.Answer)

	empty := t.hasRunning("s", longLease)
	none := callsheet.Answer{ExecutionID: empty.ID, Fence: empty.Fence, FetchedAt: ago(0), Status: 204}
	require.NoError(t, t.Keep(t.Context(), none))
	got, err = t.Answer(t.Context(), empty.ID)
	require.NoError(t, err)
	require.Empty(t, got.Body)
	require.Empty(t, got.Header)
	require.Equal(t, 204, got.Status)
}

func answerNeedsFence(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	t.keeps(running, "1")
	stale := running
	stale.Fence++
	require.ErrorIs(t, t.Keep(t.Context(), newAnswer(stale, "2")), callsheet.ErrStaleFence)
	t.finishes(running, callsheet.Outcome{State: callsheet.StateFailed})
	require.ErrorIs(t, t.Keep(t.Context(), newAnswer(running, "3")), callsheet.ErrStaleFence, "it is over")
	absent := running
	absent.ID = "absent"
	require.ErrorIs(t, t.Keep(t.Context(), newAnswer(absent, "4")), callsheet.ErrStaleFence)
	got, err := t.Answer(t.Context(), running.ID)
	require.NoError(t, err)
	require.Equal(t, "1", string(got.Body))
}

func answerIsReplaced(t *trial) {
	t.hasSchedule("s")
	e := t.hasRunning("s", longLease)
	t.keeps(e, "first")
	t.keeps(e, "second")
	got, err := t.Answer(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, "second", string(got.Body))
}

func answersGo(t *trial) {
	t.hasSchedule("none")
	t.hasSchedule("two", func(s *callsheet.Schedule) { s.KeepAnswers = 2 })
	succeeds := func(e callsheet.Execution) {
		running := t.claims(e.ID, longLease).Execution
		t.keeps(running, "{}")
		t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded})
	}
	gone := t.hasPending("none")
	succeeds(gone)
	require.False(t, t.hasAnswer(gone.ID), "without KeepAnswers the answer was expected to go with success")
	var all []callsheet.Execution
	for range 4 {
		all = append(all, t.hasPending("two"))
		t.passes(0)
	}
	for _, i := range []int{1, 0, 3, 2} { // not in the order of their times
		succeeds(all[i])
	}
	for i, want := range []bool{false, false, true, true} {
		require.Equal(t, want, t.hasAnswer(all[i].ID), "the answers of the latest two by scheduled time were expected to stay; this is no. %d", i)
	}
}

func answersOfTheFailed(t *trial) {
	t.hasSchedule("s")
	failed, cancelled := t.hasRunning("s", longLease), t.hasRunning("s", longLease)
	t.keeps(failed, "{}")
	t.keeps(cancelled, "{}")
	t.finishes(failed, callsheet.Outcome{State: callsheet.StateFailed, Class: callsheet.ClassDelivery})
	t.finishes(cancelled, callsheet.Outcome{State: callsheet.StateCancelled})
	require.True(t, t.hasAnswer(failed.ID))
	require.False(t, t.hasAnswer(cancelled.ID))
	_, err := t.Reopen(t.Context(), failed.ID, longLease)
	require.NoError(t, err)
	call := t.claims(failed.ID, longLease)
	require.NotNil(t, call.Answer, "who retries a dead letter was expected to get its answer")
	t.finishes(call.Execution, callsheet.Outcome{State: callsheet.StateSucceeded})
	require.False(t, t.hasAnswer(failed.ID))
}

func answerOfAnother(t *trial) {
	t.hasSchedule("s", func(s *callsheet.Schedule) { s.KeepAnswers = 1 })
	of := t.hasRunning("s", longLease)
	answer := t.keeps(of, "{}")
	t.finishes(of, callsheet.Outcome{State: callsheet.StateSucceeded})
	t.hasFinished("s", callsheet.StateSucceeded) // LastExecution is another

	again := newExecution("s", of.ScheduledAt, 4)
	again.Trigger, again.AnswerOf = callsheet.TriggerReextract, of.ID
	again, err := t.Insert(t.Context(), again, longLease)
	require.NoError(t, err)
	require.Equal(t, of.ID, again.AnswerOf)
	require.Zero(t, t.prunes(map[callsheet.State]time.Time{callsheet.StateSucceeded: in(time.Hour)}, 100),
		"an execution whose answer is to be used was expected to stay")
	call := t.claims(again.ID, longLease)
	require.Equal(t, &answer, call.Answer)
	t.finishes(call.Execution, callsheet.Outcome{State: callsheet.StateSucceeded})
	require.True(t, t.hasAnswer(of.ID), "extracting anew was expected to cost the first no answer")
	require.NotZero(t, t.prunes(map[callsheet.State]time.Time{callsheet.StateSucceeded: in(time.Hour)}, 100))
}

func answerIsPruned(t *trial) {
	t.hasSchedule("s")
	e := t.hasRunning("s", longLease)
	t.keeps(e, "{}")
	t.finishes(e, callsheet.Outcome{State: callsheet.StateFailed})
	t.hasFinished("s", callsheet.StateSucceeded)
	require.Equal(t, 1, t.prunes(map[callsheet.State]time.Time{callsheet.StateFailed: in(time.Hour)}, 100))
	require.False(t, t.hasAnswer(e.ID))
}
