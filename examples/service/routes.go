package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet"
)

// routes is where the host puts the scheduler's parts into its own handlers. Each handler asks for no
// more than it uses, so it can neither do more nor needs more in a test.
func routes(scheduler callsheet.Scheduler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /schedules", listSchedules(scheduler.Schedules()))
	mux.Handle("POST /schedules/{id}/run", runSchedule(scheduler))
	mux.Handle("GET /executions", listExecutions(scheduler))
	mux.HandleFunc("GET /demo/rates", demoRates)
	return mux
}

// A schedule is what this service tells of a callsheet.Schedule.
type schedule struct {
	ID         string           `json:"id"`
	Name       string           `json:"name,omitempty"`
	Runs       string           `json:"runs"`
	Status     callsheet.Status `json:"status"`
	Next       time.Time        `json:"next,omitzero"`
	Executions int64            `json:"executions"`
	Failures   int64            `json:"failures"`
}

// A scheduleLister is the one method of callsheet.Collection[callsheet.Schedule] that is needed here.
type scheduleLister interface {
	List(ctx context.Context, q callsheet.Query) (callsheet.Page[callsheet.Schedule], error)
}

// listSchedules answers with a page of schedules; ?after= is the next of the page before.
func listSchedules(schedules scheduleLister) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kept, err := schedules.List(r.Context(), callsheet.Query{After: r.FormValue("after")})
		if err != nil {
			fail(w, err)
			return
		}
		page := callsheet.Page[schedule]{Items: []schedule{}, Next: kept.Next}
		for _, s := range kept.Items {
			runs := s.Description
			if s.Type == callsheet.TypeManual {
				runs = "on demand"
			}
			page.Items = append(page.Items, schedule{
				ID: s.ID, Name: s.Name, Runs: runs, Status: s.Status, Next: s.NextExecutionAt,
				Executions: s.ExecutionCount, Failures: s.FailureCount,
			})
		}
		answer(w, http.StatusOK, page)
	}
}

// runSchedule runs a schedule now, and answers with its execution without waiting for the end.
func runSchedule(control callsheet.Controller) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		execution, err := control.Execute(r.Context(), r.PathValue("id"))
		if err != nil {
			fail(w, err)
			return
		}
		answer(w, http.StatusAccepted, execution)
	}
}

// listExecutions answers with a page of what happened, latest first; ?schedule= and ?state= select,
// the latter also several times, and ?after= is the next of the page before.
func listExecutions(view callsheet.Viewer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		states, err := parseStates(r.URL.Query()["state"])
		if err != nil {
			fail(w, err)
			return
		}
		page, err := view.Executions(r.Context(), callsheet.ExecutionQuery{
			Schedule: r.FormValue("schedule"), States: states, After: r.FormValue("after"), Limit: 50,
		})
		if err != nil {
			fail(w, err)
			return
		}
		if page.Items == nil {
			page.Items = []callsheet.Execution{} // [] and not null
		}
		answer(w, http.StatusOK, page)
	}
}

// parseStates refuses states that there are not, all at once, instead of finding nothing.
func parseStates(given []string) ([]callsheet.State, error) {
	var states []callsheet.State
	var faults []error
	for _, text := range given {
		state := callsheet.State(text)
		if !slices.Contains(callsheet.States(), state) {
			faults = append(faults, &callsheet.ValidationError{Field: "state", Value: text, Rule: "must be one of " + stateNames()})
		}
		states = append(states, state)
	}
	return states, errors.Join(faults...)
}

func stateNames() string {
	var names []string
	for _, state := range callsheet.States() {
		names = append(names, string(state))
	}
	return strings.Join(names, ", ")
}

// A problem is the body of every answer that is an error.
type problem struct {
	Error  string  `json:"error"`
	Faults []fault `json:"faults,omitempty"`
}

type fault struct {
	Field string `json:"field"`
	Value string `json:"value"`
	Rule  string `json:"rule"`
}

// fail answers with what the error says of itself. An error of no known type may tell of the inside,
// so the caller is not shown it.
func fail(w http.ResponseWriter, err error) {
	var notFound *callsheet.NotFoundError
	var conflict *callsheet.ConflictError
	faults := callsheet.ValidationErrors(err)
	switch {
	case errors.As(err, &notFound):
		answer(w, http.StatusNotFound, problem{Error: notFound.Error()})
	case errors.As(err, &conflict):
		answer(w, http.StatusConflict, problem{Error: conflict.Error()})
	case len(faults) > 0:
		p := problem{Error: "what was sent is not valid"}
		for _, f := range faults {
			p.Faults = append(p.Faults, fault{f.Field, f.Value, f.Rule})
		}
		answer(w, http.StatusUnprocessableEntity, p)
	default:
		answer(w, http.StatusInternalServerError, problem{Error: "internal error"})
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone if this fails
}

// demoRates is the API that the service polls: its own. The rates move with the seconds of the clock.
func demoRates(w http.ResponseWriter, _ *http.Request) {
	type rate struct {
		Currency string  `json:"currency"`
		Rate     float64 `json:"rate"`
	}
	drift := float64(time.Now().Second()) / 1000
	answer(w, http.StatusOK, map[string][]rate{"rates": {{"CAD", 1.4 + drift}, {"JPY", 150 + drift}}})
}
