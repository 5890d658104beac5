package callsheet

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

const (
	// overdueAfter is how long something may be due without anybody taking it.
	overdueAfter = 30 * time.Second
	// maxFindings is how many findings of each kind a report lists.
	maxFindings = 100
	// maxFindingError bounds the error text in a finding, in bytes.
	maxFindingError = 300
)

// A MonitorReport lists what needs a person's attention. Each list holds at most 100 findings, those
// of longest standing first; Counts has how many there are in all.
type MonitorReport struct {
	At time.Time `json:"at"` // by the Store's clock

	// Failed schedules' last execution failed after its retries.
	Failed []Finding `json:"failed"`
	// Stuck executions are running, but longer than they may or under a worker that is gone.
	Stuck []Finding `json:"stuck"`
	// Stale schedules have an occurrence that has been due for over 30 s without being planned, or planned
	// without being started.
	Stale []Finding `json:"stale"`
	// NeverRun schedules are not disabled, and none of their executions has succeeded or failed yet.
	NeverRun []Finding `json:"never_run"`
	// DeadLetters are executions that failed and wait for Retry, or to be pruned.
	DeadLetters []Finding `json:"dead_letters"`

	// Circuits are those of this process that are not closed: their Sources' executions wait. They are no findings,
	// and close by themselves when the API is well.
	Circuits []Circuit `json:"circuits"`
	// Standstills are those of Sources whose API said that nobody may call, as far as this process learned: executions wait. They
	// are no findings either. A Limiter that is no [limit.Teller] tells of none.
	Standstills []Standstill `json:"standstills"`

	Counts  MonitorCounts `json:"counts"`
	Backlog Backlog       `json:"backlog"`
}

// MonitorCounts says how many findings there are, listed or not.
type MonitorCounts struct {
	Failed      int `json:"failed"`
	Stuck       int `json:"stuck"`
	Stale       int `json:"stale"`
	NeverRun    int `json:"never_run"`
	DeadLetters int `json:"dead_letters"`
}

// A Backlog says how much work waits.
type Backlog struct {
	Pending int `json:"pending"`
	Running int `json:"running"`
	// OldestReady is when the pending execution was scheduled that has been ready the longest.
	// Zero if none is.
	OldestReady time.Time `json:"oldest_ready,omitzero"`
	// Queue is what this process's Queue holds.
	Queue QueueStats `json:"queue"`
	// QueueError is set when the Queue did not say.
	QueueError string `json:"queue_error,omitempty"`
}

// A Finding is one thing that needs attention.
type Finding struct {
	Schedule  string    `json:"schedule"`
	Execution string    `json:"execution,omitempty"`
	Since     time.Time `json:"since"`
	What      string    `json:"what"`   // what is so
	Advice    string    `json:"advice"` // what to do about it
}

// Healthy reports whether nothing is failed, stuck or stale, and there are no dead letters.
func (r MonitorReport) Healthy() bool {
	return r.Counts.Failed+r.Counts.Stuck+r.Counts.Stale+r.Counts.DeadLetters == 0
}

// Monitor implements Viewer.
func (s *scheduler) Monitor(ctx context.Context) (MonitorReport, error) {
	survey, err := s.store.Survey(ctx, SurveyQuery{Overdue: overdueAfter, Limit: maxFindings})
	if err != nil {
		return MonitorReport{}, fmt.Errorf("survey: %w", err)
	}
	report := newReport(survey)
	report.Circuits = s.gate.circuits()
	err = guard(func() error {
		report.Standstills = s.gate.standstills()
		return nil
	})
	if err != nil {
		s.log.WarnContext(ctx, "limiter did not tell", slog.Any(keyError, err))
	}
	err = guard(func() (err error) {
		report.Backlog.Queue, err = s.queue.Stats(ctx)
		return err
	})
	if err != nil {
		report.Backlog.QueueError = err.Error() // the report is wanted most when something is wrong
	}
	return report, nil
}

// newReport puts into words what a Store found.
func newReport(v Survey) MonitorReport {
	r := MonitorReport{
		At:     v.Now,
		Failed: []Finding{}, Stuck: []Finding{}, Stale: []Finding{}, NeverRun: []Finding{}, DeadLetters: []Finding{},
		Circuits: []Circuit{}, Standstills: []Standstill{},
		Counts: MonitorCounts{Failed: v.FailedCount, Stuck: v.StuckCount, Stale: v.UnplannedCount + v.UnclaimedCount,
			NeverRun: v.NeverRunCount, DeadLetters: v.DeadLetterCount},
		Backlog: Backlog{Pending: v.Pending, Running: v.Running, OldestReady: v.OldestReady},
	}
	for _, sch := range v.Failed {
		advice := "it goes on being scheduled, and is active again after a success"
		if sch.Status == StatusPaused {
			advice = fmt.Sprintf("it is paused (%s): put right what the error says, then Resume it", sch.PauseReason)
		}
		r.Failed = append(r.Failed, Finding{Schedule: sch.ID, Execution: sch.LastExecution, Since: sch.FailingSince,
			What:   failures(sch.ConsecutiveFailures) + ": " + cut(sch.LastError, maxFindingError),
			Advice: advice})
	}
	for _, e := range v.Stuck {
		f := Finding{Schedule: e.Schedule, Execution: e.ID, Since: e.StartedAt,
			What:   fmt.Sprintf("running on %s for %s", e.Worker, v.Now.Sub(e.StartedAt).Round(time.Second)),
			Advice: "its Timeout is over: see what its Pipeline waits for, or Cancel it"}
		if e.LeaseUntil.Before(v.Now) {
			f.What += ", lease has run out"
			f.Advice = "its worker is gone; a running scheduler takes the execution over"
		}
		r.Stuck = append(r.Stuck, f)
	}
	for _, sch := range v.Unplanned {
		f := Finding{Schedule: sch.ID, Since: sch.NextExecutionAt,
			What:   "due, but nobody has planned it",
			Advice: "see whether a scheduler is running (Run), or calls Plan"}
		if why := v.Unreadable[sch.ID]; why != "" {
			f.What = "due, but it cannot be planned: " + cut(why, maxFindingError)
			f.Advice = adviceForUnreadable
		}
		r.Stale = append(r.Stale, f)
	}
	for _, e := range v.Unclaimed {
		r.Stale = append(r.Stale, Finding{Schedule: e.Schedule, Execution: e.ID, Since: e.ReadySince(),
			What:   "planned, but no worker has taken it",
			Advice: "see whether workers are running, and whether there are enough (WithWorkers)"})
	}
	for _, sch := range v.NeverRun {
		f := Finding{Schedule: sch.ID, Since: sch.CreatedAt,
			What: "no execution has succeeded or failed yet", Advice: adviceForNeverRun(sch)}
		if why := v.Unreadable[sch.ID]; why != "" {
			f.What += ": " + cut(why, maxFindingError)
			f.Advice = adviceForUnreadable
		}
		r.NeverRun = append(r.NeverRun, f)
	}
	for _, e := range v.DeadLetters {
		advice := "Retry it, or leave it: later occurrences are not held up"
		if e.Class == ClassPermanent || e.Class == ClassAuth {
			advice = "put right what the error says, then Retry it"
		}
		r.DeadLetters = append(r.DeadLetters, Finding{Schedule: e.Schedule, Execution: e.ID, Since: e.FinishedAt,
			What:   fmt.Sprintf("failed after %s: %s", count(e.Attempt, "attempt"), cut(e.Error, maxFindingError)),
			Advice: advice})
	}
	return r
}

const adviceForUnreadable = "put right what the error says, or define it anew (Define), or run the version that wrote it"

func adviceForNeverRun(sch Schedule) string {
	switch {
	case sch.Type == TypeManual:
		return "it is manual: Execute it when it is wanted"
	case sch.Status == StatusPaused:
		return "it is paused: Resume it when it is wanted"
	case sch.NextExecutionAt.IsZero():
		return "it has no further occurrence: see its cron expression"
	}
	return "see in its Executions whether one is under way; the next occurrence is at " + sch.NextExecutionAt.Format(time.RFC3339)
}

func failures(inARow int) string {
	if inARow == 1 {
		return "the last execution failed"
	}
	return fmt.Sprintf("the last %d executions failed", inARow)
}

// count says how many there are of what: "1 attempt", "3 attempts".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// monitor is the job that logs what Monitor reports, whenever that has changed.
func (n *node) monitor(ctx context.Context) error {
	report, err := n.Monitor(ctx)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, findings := range [][]Finding{report.Failed, report.Stuck, report.Stale, report.DeadLetters} {
		for _, f := range findings {
			fmt.Fprintf(&b, "%s %s %d;", f.Schedule, f.Execution, f.Since.UnixNano())
		}
	}
	if b.String() == n.findings {
		return nil
	}
	n.findings = b.String()
	level := slog.LevelWarn
	if report.Healthy() {
		level = slog.LevelInfo
	}
	n.log.Log(ctx, level, "monitor report",
		slog.Int("failed", report.Counts.Failed), slog.Int("stuck", report.Counts.Stuck),
		slog.Int("stale", report.Counts.Stale), slog.Int("dead_letters", report.Counts.DeadLetters),
		slog.Int("pending", report.Backlog.Pending), slog.Int("running", report.Backlog.Running))
	return nil
}
