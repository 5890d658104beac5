package file_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/internal/sqltest"
	"github.com/callsheet-go/callsheet/store/file"
)

// unreadable returns an empty file, as sqltest wants it.
func unreadable(t *testing.T) sqltest.Database {
	path := temporary(t)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	var store *file.Store
	done := func() {
		if store != nil {
			require.NoError(t, store.Close())
		}
	}
	t.Cleanup(func() { done() })
	return sqltest.Database{
		Open: func() callsheet.Store {
			done()
			store, err = file.Open(t.Context(), path)
			require.NoError(t, err)
			return store
		},
		Exec: func(statement string) {
			_, err := db.ExecContext(t.Context(), strings.ReplaceAll(statement, "callsheet.", ""))
			require.NoError(t, err)
		},
	}
}

func TestStore_Unreadable(t *testing.T) { sqltest.TestUnreadable(t, unreadable) }

// What cannot be read must be where people look: in the ledger, and in the monitor's report.
func TestScheduler_Unreadable(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(api.Close)
	db := unreadable(t)
	now := time.Now().Truncate(time.Second)
	require.NoError(t, db.Open().Define(t.Context(), callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "api", BaseURL: api.URL}, {ID: "bad", BaseURL: api.URL}},
		Requests: []callsheet.Request{{ID: "get", Source: "api"}, {ID: "get-bad", Source: "bad"}},
		Schedules: []callsheet.Schedule{
			{ID: "good", Type: callsheet.TypeOnce, StartAt: now, Request: "get", MisfireGrace: time.Minute, MisfireWindow: time.Hour, Timeout: time.Minute},
			{ID: "of-source", Type: callsheet.TypeOnce, StartAt: now, Request: "get-bad", MisfireGrace: time.Minute, MisfireWindow: time.Hour, Timeout: time.Minute, MaxRetries: 3},
			{ID: "due", Type: callsheet.TypeOnce, StartAt: now.Add(-time.Minute), Request: "get"},
		},
	}))
	db.Exec(`UPDATE callsheet.definitions SET doc = '{"id": 7}' WHERE id IN ('bad', 'due')`)
	sched, err := callsheet.New(db.Open(), callsheet.WithAllowedNetworks("127.0.0.1"))
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- sched.Run(t.Context()) }()
	t.Cleanup(func() { require.NoError(t, <-ended) })

	end := func(schedule string) (e callsheet.Execution) {
		require.Eventually(t, func() bool {
			page, err := sched.Executions(t.Context(), callsheet.ExecutionQuery{Schedule: schedule})
			if err != nil || len(page.Items) == 0 {
				return false
			}
			e = page.Items[0]
			return e.State.Final()
		}, 10*time.Second, 10*time.Millisecond)
		return e
	}
	good := end("good")
	require.Equal(t, callsheet.StateSucceeded, good.State, good.Error)
	bad := end("of-source")
	require.Equal(t, callsheet.StateFailed, bad.State)
	require.Equal(t, callsheet.ReasonPermanent, bad.Reason)
	require.Equal(t, callsheet.ClassPermanent, bad.Class)
	require.Contains(t, bad.Error, `read source "bad": json: cannot unmarshal`)
	require.Len(t, bad.Attempts, 1)

	report, err := sched.Monitor(t.Context())
	require.NoError(t, err)
	require.Len(t, report.Stale, 1)
	require.Equal(t, "due", report.Stale[0].Schedule)
	require.Contains(t, report.Stale[0].What, `read schedule "due": json: cannot unmarshal`)
	require.Len(t, report.NeverRun, 1)
	require.Contains(t, report.NeverRun[0].What, `read schedule "due"`)
	require.Len(t, report.DeadLetters, 1)
}
