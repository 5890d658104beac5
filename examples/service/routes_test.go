package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoutes(t *testing.T) {
	scheduler, err := callsheet.New(memory.New(), callsheet.WithAllowedNetworks("127.0.0.0/8"))
	require.NoError(t, err)
	server := httptest.NewServer(routes(scheduler))
	defer server.Close()
	require.NoError(t, scheduler.Define(t.Context(), sheet(server.URL)))
	_, err = scheduler.Schedules().Create(t.Context(), callsheet.Schedule{ID: "old", Request: "rates", Disabled: true})
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- scheduler.Run(ctx) }()
	defer func() {
		cancel()
		assert.NoError(t, <-done)
	}()

	// Run one, and wait until the history has its end.
	var run callsheet.Execution
	require.Equal(t, http.StatusAccepted, call(t, "POST", server.URL+"/schedules/rates-once/run", &run))
	assert.Equal(t, "rates-once", run.Schedule)
	assert.Equal(t, callsheet.TriggerManual, run.Trigger)
	var history callsheet.Page[callsheet.Execution]
	require.Eventually(t, func() bool {
		require.Equal(t, http.StatusOK, call(t, "GET", server.URL+"/executions?schedule=rates-once&state=succeeded", &history))
		return len(history.Items) == 1
	}, 5*time.Second, 10*time.Millisecond)
	assert.Equal(t, run.ID, history.Items[0].ID)
	assert.EqualValues(t, 2, history.Items[0].Records)
	require.Equal(t, http.StatusOK, call(t, "GET", server.URL+"/executions?schedule=rates-once&state=failed&state=skipped", &history))
	assert.Empty(t, history.Items)

	var schedules callsheet.Page[schedule]
	require.Equal(t, http.StatusOK, call(t, "GET", server.URL+"/schedules", &schedules))
	require.Len(t, schedules.Items, 3)
	rates, once := schedules.Items[1], schedules.Items[2]
	assert.Equal(t, "rates", rates.ID)
	assert.Equal(t, "every 10 seconds", rates.Runs)
	assert.True(t, rates.Next.After(time.Now().Add(-time.Second)))
	assert.Equal(t, schedule{ID: "rates-once", Name: "Exchange rates, on demand", Runs: "on demand", Status: callsheet.StatusActive, Executions: 1}, once)

	for name, test := range map[string]struct {
		method, path string
		status       int
		error        string
		faults       []string
	}{
		"a schedule that is not there": {"POST", "/schedules/gone/run", http.StatusNotFound, `schedule "gone" is not there`, nil},
		"a disabled schedule":          {"POST", "/schedules/old/run", http.StatusConflict, "is disabled", nil},
		"states that there are not": {"GET", "/executions?state=done&state=failed&state=lost", http.StatusUnprocessableEntity, "not valid",
			[]string{"done", "lost"}},
		"a page that there is not": {"GET", "/executions?after=here", http.StatusUnprocessableEntity, "not valid", []string{"here"}},
	} {
		t.Run(name, func(t *testing.T) {
			var p problem
			assert.Equal(t, test.status, call(t, test.method, server.URL+test.path, &p))
			assert.Contains(t, p.Error, test.error)
			require.Len(t, p.Faults, len(test.faults))
			for i, value := range test.faults {
				assert.Equal(t, value, p.Faults[i].Value)
			}
		})
	}
}

func TestFail_ShowsNothingOfTheInside(t *testing.T) {
	recorder := httptest.NewRecorder()
	fail(recorder, errors.New("dial tcp 10.0.0.7:5432: password rejected"))
	assert.Equal(t, http.StatusInternalServerError, recorder.Code)
	assert.JSONEq(t, `{"error":"internal error"}`, recorder.Body.String())
}

func TestServe_StopsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, listener, slog.New(slog.DiscardHandler)) }()

	var page callsheet.Page[schedule]
	require.Equal(t, http.StatusOK, call(t, "GET", "http://"+listener.Addr().String()+"/schedules", &page))
	assert.Len(t, page.Items, 2)
	cancel()
	select {
	case err := <-done:
		assert.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("serve did not return after its context had ended")
	}
}

// call sends a request, decodes the answer's JSON into body, and returns the status.
func call(t *testing.T, method, url string, body any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, body), "%s", content)
	return response.StatusCode
}
