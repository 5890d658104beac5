package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/pgtest"
)

func TestJoint_DeadlockInADeliveryIsTriedAgain(t *testing.T) {
	s := open(t, pgtest.Database(t))
	require.NoError(t, s.Define(t.Context(), sheetR(callsheet.Schedule{ID: "s", Type: callsheet.TypeManual})))
	e := claimR(t, s, "s", time.Minute)
	n := 0
	_, err := s.FinishWith(t.Context(), e.ID, e.Fence, func(context.Context, any) (callsheet.Outcome, error) {
		if n++; n == 1 {
			return callsheet.Outcome{}, &pgconn.PgError{Code: "40P01"}
		}
		return callsheet.Outcome{ExecutionID: e.ID, Fence: e.Fence, State: callsheet.StateSucceeded}, nil
	})
	assert.NoError(t, err, "a deadlock is tried again inside")
}

func TestReextract_KeepsTheAnswerItIsToUse(t *testing.T) {
	s := open(t, pgtest.Database(t))
	require.NoError(t, s.Define(t.Context(), sheetR(callsheet.Schedule{ID: "s", Type: callsheet.TypeManual, KeepAnswers: 1})))
	run := func() callsheet.Execution {
		e := claimR(t, s, "s", time.Minute)
		require.NoError(t, s.Keep(t.Context(), callsheet.Answer{ExecutionID: e.ID, Fence: e.Fence, Body: []byte("x")}))
		_, err := s.Finish(t.Context(), []callsheet.Outcome{{ExecutionID: e.ID, Fence: e.Fence, State: callsheet.StateSucceeded}})
		require.NoError(t, err)
		return e
	}
	e := run()
	re, err := s.Insert(t.Context(), callsheet.Execution{Schedule: "s", Trigger: callsheet.TriggerReextract, AnswerOf: e.ID, MaxAttempts: 1}, 0)
	require.NoError(t, err)
	run()
	calls, err := s.Claim(t.Context(), callsheet.ClaimRequest{ExecutionIDs: []string{re.ID}, Worker: "w", Lease: time.Minute})
	require.NoError(t, err)
	require.Len(t, calls, 1)
	assert.NotNil(t, calls[0].Answer, "the answer that was promised to it")
}
