package storetest

import (
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/stretchr/testify/require"
)

func progressCases() []testCase {
	return []testCase{
		{"progress goes from attempt to attempt", "an execution goes on at the page where it stopped, on any node", progressStays},
		{"success keeps what progress came to", "what happened must be told when it is over, and no more", progressEnds},
		{"a cursor moves with success only", "what was not delivered must be asked for again", cursorMoves},
		{"a cursor that was moved meanwhile stays", "what somebody set must not be undone by what began before", cursorStays},
		{"validators come with success", "an answer that was not delivered is not the last one", validatorsCome},
		{"another request has neither", "a cursor means nothing to another request", cursorForgotten},
		{"an answer says which page it is", "a page that is kept is delivered in its place", answerHasProgress},
	}
}

func someProgress() *callsheet.Progress {
	return &callsheet.Progress{
		Pages: 3, Next: callsheet.PageState{Number: 4, Offset: 300, Token: "a\"b", URL: "https://api.example.com/x?page=4"},
		Part: &callsheet.PartState{End: 1 << 20, Hash: "h", Records: 100, Matched: true}, Parts: 7, Restarts: 1,
		Records: 300, Rejected: 2, Bytes: 12345, Seen: []string{"one", "two"},
		Since:  callsheet.CursorState{Value: "2026-01-01T00:00:00Z", Version: 7, MovedAt: time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC), Execution: "before"},
		Cursor: "2026-02-01T00:00:00Z", Validators: &callsheet.Validators{Key: "k", ETag: `W/"1"`, LastModified: "then", Hash: "h"},
	}
}

func progressStays(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	o := callsheet.Outcome{State: callsheet.StatePending, Reason: callsheet.ReasonPartial, Unspent: true, Class: callsheet.ClassThrottled}
	o.Pages, o.Progress = 3, someProgress()
	e := t.finishes(running, o).Execution
	require.Equal(t, someProgress(), e.Progress)
	require.Equal(t, 3, e.Pages)
	require.Equal(t, e, t.execution(e.ID))
	require.Nil(t, e.Attempts[0].Progress, "the history was expected to have no progress")
	require.Equal(t, 3, e.Attempts[0].Pages)

	e.Progress.Seen[0], e.Progress.Validators.Key, e.Progress.Part.Hash = "changed", "changed", "changed" // the caller's own
	call := t.claims(e.ID, longLease)
	require.Equal(t, someProgress(), call.Execution.Progress, "the next attempt was expected to go on from there")
	require.Zero(t, call.Execution.Pages)
	o = callsheet.Outcome{State: callsheet.StateFailed, Reason: callsheet.ReasonPermanent, Class: callsheet.ClassPermanent}
	e = t.finishes(call.Execution, o).Execution
	require.Equal(t, someProgress(), e.Progress, "an attempt without progress was expected to leave it as it was")
	again, err := t.Reopen(t.Context(), e.ID, 0)
	require.NoError(t, err)
	want := someProgress()
	want.Restarts = 0
	require.Equal(t, want, again.Progress, "a dead letter was expected to go on where it stopped, with nothing that counts against it")
}

func progressEnds(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	o := callsheet.Outcome{State: callsheet.StateSucceeded}
	o.Progress = someProgress()
	e := t.finishes(running, o).Execution
	want := someProgress()
	want.Next, want.Seen, want.Part = callsheet.PageState{}, nil, nil
	require.Equal(t, want, e.Progress)
	require.Equal(t, e, t.execution(e.ID))

	running = t.hasRunning("s", longLease)
	e = t.finishes(running, callsheet.Outcome{State: callsheet.StateSucceeded}).Execution
	require.Nil(t, e.Progress)
}

// moves finishes an execution that brings the cursor to a value.
func (t *trial) moves(state callsheet.State, since callsheet.CursorState, to string) callsheet.Execution {
	t.Helper()
	running := t.hasRunning("s", longLease)
	o := callsheet.Outcome{State: state}
	if state == callsheet.StateFailed {
		o.Class = callsheet.ClassPermanent
	}
	o.Progress = &callsheet.Progress{Pages: 1, Since: since, Cursor: to}
	return t.finishes(running, o).Execution
}

func (t *trial) cursor() *callsheet.CursorState {
	t.Helper()
	sch, err := t.Schedules().Get(t.Context(), "s")
	require.NoError(t, err)
	return sch.Cursor
}

func cursorMoves(t *trial) {
	t.hasSchedule("s")
	require.Nil(t, t.cursor())
	t.moves(callsheet.StateFailed, callsheet.CursorState{}, "5")
	require.Nil(t, t.cursor(), "a failure was expected to leave the cursor alone")
	e := t.moves(callsheet.StateSucceeded, callsheet.CursorState{}, "7")
	got := t.cursor()
	require.NotNil(t, got)
	require.Equal(t, callsheet.CursorState{Value: "7", Version: 1, MovedAt: got.MovedAt, Execution: e.ID}, *got)
	require.False(t, got.MovedAt.IsZero())
	call := t.claims(t.hasPending("s").ID, longLease)
	require.Equal(t, got, call.Schedule.Cursor, "the next execution was expected to know the cursor")
}

func cursorStays(t *trial) {
	t.hasSchedule("s")
	set := func(value string) {
		_, err := t.ChangeSchedule(t.Context(), "s", func(sch callsheet.Schedule, now time.Time) (callsheet.Decision, error) {
			st, version := sch.ScheduleState, int64(1)
			if st.Cursor != nil {
				version = st.Cursor.Version + 1
			}
			st.Cursor = &callsheet.CursorState{Value: value, Version: version, MovedAt: now}
			return callsheet.Decision{State: st}, nil
		})
		require.NoError(t, err)
	}
	set("100")
	t.moves(callsheet.StateSucceeded, callsheet.CursorState{}, "7")
	require.Equal(t, "100", t.cursor().Value, "an execution that began before the cursor was set was expected not to move it")
	t.moves(callsheet.StateSucceeded, *t.cursor(), "101")
	require.Equal(t, "101", t.cursor().Value)
	require.EqualValues(t, 2, t.cursor().Version)
}

func validatorsCome(t *trial) {
	t.hasSchedule("s")
	for _, state := range []callsheet.State{callsheet.StateFailed, callsheet.StateSucceeded} {
		running := t.hasRunning("s", longLease)
		o := callsheet.Outcome{State: state}
		v := callsheet.Validators{Key: "k", ETag: `"1"`}
		o.Progress = &callsheet.Progress{Validators: &v}
		t.finishes(running, o)
		sch, err := t.Schedules().Get(t.Context(), "s")
		require.NoError(t, err)
		if state == callsheet.StateFailed {
			require.Nil(t, sch.Validators)
			continue
		}
		require.Equal(t, &v, sch.Validators)
	}
}

func cursorForgotten(t *trial) {
	sch := t.hasSchedule("s")
	t.moves(callsheet.StateSucceeded, callsheet.CursorState{}, "7")
	request, err := t.Requests().Get(t.Context(), sch.Request)
	require.NoError(t, err)
	request.ID = "another"
	_, err = t.Requests().Create(t.Context(), request)
	require.NoError(t, err)
	sch, err = t.Schedules().Get(t.Context(), "s")
	require.NoError(t, err)
	sch.Name = "renamed"
	sch, err = t.Schedules().Update(t.Context(), sch)
	require.NoError(t, err)
	require.Equal(t, "7", sch.Cursor.Value, "an edit of anything else was expected to leave the cursor alone")
	sch.Request = "another"
	_, err = t.Schedules().Update(t.Context(), sch)
	require.NoError(t, err)
	require.Empty(t, t.cursor().Value)
	t.moves(callsheet.StateSucceeded, callsheet.CursorState{Value: "7", Version: 1}, "8")
	require.Empty(t, t.cursor().Value, "what began under the other request was expected not to move it")
}

func answerHasProgress(t *trial) {
	t.hasSchedule("s")
	running := t.hasRunning("s", longLease)
	answer := newAnswer(running, "[]")
	answer.Progress = someProgress()
	require.NoError(t, t.Keep(t.Context(), answer))
	kept, err := t.Answer(t.Context(), running.ID)
	require.NoError(t, err)
	require.Equal(t, answer.Progress, kept.Progress)
	answer.Progress = nil
	require.NoError(t, t.Keep(t.Context(), answer))
	kept, err = t.Answer(t.Context(), running.ID)
	require.NoError(t, err)
	require.Nil(t, kept.Progress)
}
