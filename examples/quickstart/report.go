package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/callsheet-go/callsheet"
)

const (
	maxWidth    = 100 // of a line of a file
	maxReason   = 130 // of an error's text
	maxFindings = 3   // that are printed of each kind
	sampleLines = 3   // that are printed of each file
)

// A printer tells people what happens.
type printer struct {
	mu    sync.Mutex // guards w: executions end on many goroutines
	w     io.Writer
	width int // of the column of schedules
}

func newPrinter(w io.Writer, sheet callsheet.Sheet) *printer {
	p := &printer{w: w}
	for _, sch := range sheet.Schedules {
		p.width = max(p.width, len(sch.ID))
	}
	return p
}

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format, args...)
}

// opening says what is going to happen.
func (p *printer) opening(ctx context.Context, sched callsheet.Scheduler, sheet callsheet.Sheet, f flags) error {
	what, _, _ := strings.Cut(sheet.Sources[0].BaseURL, "?") // a query may hold a key
	if f.url == "" {
		what = "a small API on this machine, " + what + ","
	}
	length := "until Ctrl-C"
	if f.runFor > 0 {
		length = fmt.Sprintf("for %s. Ctrl-C stops earlier", f.runFor)
	}
	p.printf("Polling %s %s.\n\n", what, length)
	for _, sch := range sheet.Schedules {
		kept, err := sched.Schedules().Get(ctx, sch.ID)
		if err != nil {
			return err
		}
		zone := ""
		if kept.Zone != "UTC" {
			zone = " in " + kept.Zone
		}
		p.printf("  %-*s  %s%s, first at %s\n", p.width, kept.ID, kept.Description, zone, when(kept.NextExecutionAt))
	}
	p.printf("\n")
	return nil
}

// execution tells of an attempt that has ended, or of an occurrence that was not run. It is the
// scheduler's observer.
func (p *printer) execution(_ context.Context, e callsheet.Execution) {
	now := time.Now().Format("15:04:05.000")
	state, story := string(e.State), e.Reason
	switch {
	case e.Reason == callsheet.ReasonOverlap:
		story += ": the execution before it is not over"
	case e.Gap != nil:
		story += fmt.Sprintf(": %d occurrences", e.Gap.Count)
	}
	if n := len(e.Attempts); n > 0 {
		last := e.Attempts[n-1]
		attempt := fmt.Sprintf("attempt %d of %d", last.Number, e.MaxAttempts)
		switch e.State {
		case callsheet.StateSucceeded:
			story = fmt.Sprintf("%3d records, %s in %s", last.Records, size(last.Bytes), short(last.Duration()))
			if last.Number > 1 {
				story += ", at " + attempt
			}
		case callsheet.StatePending:
			state = "retry"
			story = fmt.Sprintf("%s: %s; next in %s", attempt, why(last), short(e.NotBefore.Sub(last.FinishedAt)))
		case callsheet.StateFailed:
			story = fmt.Sprintf("%s: %s; %s, now a dead letter", attempt, why(last), e.Reason)
		}
	}
	p.printf("%s  %-*s  %-9s  %s\n", now, p.width, e.Schedule, state, story)
}

// why says in a few words what an attempt failed of.
func why(a callsheet.Attempt) string {
	if a.HTTPStatus >= 300 {
		return strings.TrimSpace(fmt.Sprintf("%d %s", a.HTTPStatus, http.StatusText(a.HTTPStatus)))
	}
	return clip(a.Error, maxReason)
}

// stopping is told when somebody pressed Ctrl-C.
func (p *printer) stopping() {
	p.printf("\nStopping: what is running may finish. Ctrl-C again ends at once.\n")
}

// summary tells what came of it all.
func (p *printer) summary(ctx context.Context, sched callsheet.Viewer, sheet callsheet.Sheet, f flags) error {
	stats, err := sched.Stats(ctx, callsheet.StatsQuery{})
	if err != nil {
		return err
	}
	report, err := sched.Monitor(ctx)
	if err != nil {
		return err
	}
	p.statistics(stats)
	p.attention(report)
	if err := p.files(sheet, f.out); err != nil {
		return err
	}
	if f.url == "" {
		p.printf("\nNext: poll an API of yours, with -url; -h shows how.\n")
	}
	return nil
}

func (p *printer) statistics(report callsheet.StatsReport) {
	rows := [][]string{{"", "succeeded", "failed", "skipped", "attempts", "records", "bytes", "p50", "p99"}}
	row := func(name string, s callsheet.Stats) {
		rows = append(rows, []string{name,
			fmt.Sprint(s.Succeeded), fmt.Sprint(s.Failed), fmt.Sprint(s.Skipped), fmt.Sprint(s.Attempts),
			fmt.Sprint(s.Records), size(s.Bytes), short(s.P50), short(s.P99)})
	}
	for _, s := range report.Schedules.Items {
		row(s.Schedule, s.Stats)
	}
	row("total", report.Total)
	p.printf("\nStatistics\n%s", table(rows))
}

// attention prints what the monitor found.
func (p *printer) attention(r callsheet.MonitorReport) {
	p.printf("\nNeeds attention\n")
	p.findings("failing schedules", r.Counts.Failed, r.Failed)
	p.findings("stuck executions", r.Counts.Stuck, r.Stuck)
	p.findings("stale", r.Counts.Stale, r.Stale)
	for i := range r.NeverRun {
		r.NeverRun[i].Advice = "" // it tells of the next occurrence, and the program has ended
	}
	p.findings("never run", r.Counts.NeverRun, r.NeverRun)
	p.findings("dead letters", r.Counts.DeadLetters, r.DeadLetters)
	if r.Healthy() && r.Counts.NeverRun == 0 {
		p.printf("  nothing\n")
	}
	if n := r.Backlog.Pending; n > 0 {
		p.printf("  still pending: %d (a store that outlives the process would take it up at the next start)\n", n)
	}
}

func (p *printer) findings(title string, count int, found []callsheet.Finding) {
	if count == 0 {
		return
	}
	p.printf("  %s: %d\n", title, count)
	shown := found[:min(len(found), maxFindings)]
	for i, f := range shown {
		p.printf("    %-*s  since %s  %s\n", p.width, f.Schedule, when(f.Since), clip(f.What, maxReason))
		if f.Advice != "" && (i+1 == len(shown) || shown[i+1].Advice != f.Advice) {
			p.printf("    %-*s  → %s\n", p.width, "", f.Advice)
		}
	}
	if more := count - len(shown); more > 0 {
		p.printf("    … and %d more\n", more)
	}
}

// files shows the beginning of what was written.
func (p *printer) files(sheet callsheet.Sheet, dir string) error {
	p.printf("\nFiles in %s\n", dir)
	for _, d := range sheet.Deliveries {
		content, err := os.ReadFile(filepath.Join(dir, d.Target))
		if errors.Is(err, fs.ErrNotExist) {
			p.printf("  %s: not written, nothing was delivered\n", d.Target)
			continue
		}
		if err != nil {
			return err
		}
		lines := bytes.Count(content, []byte("\n"))
		p.printf("  %s: %d lines, %s\n", d.Target, lines, size(int64(len(content))))
		shown := 0
		for line := range bytes.Lines(content) {
			if shown++; shown > sampleLines {
				p.printf("    …\n")
				break
			}
			p.printf("    %s\n", clip(strings.TrimRight(string(line), "\r\n"), maxWidth))
		}
	}
	return nil
}

// table lines up columns: the first to the left, the others to the right.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "  %-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			fmt.Fprintf(&b, "  %*s", widths[i+1], cell)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// when is a time by the clock here, with the date if it is not today's.
func when(t time.Time) string {
	t = t.Local()
	if t.Format(time.DateOnly) != time.Now().Format(time.DateOnly) {
		return t.Format(time.DateTime)
	}
	return t.Format(time.TimeOnly)
}

// short is a duration with the digits that matter.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	case d >= 100*time.Millisecond:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	default:
		d = d.Round(time.Microsecond)
	}
	return d.String()
}

// size is a number of bytes with its unit.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// clip cuts text to n characters of one line.
func clip(text string, n int) string {
	text, _, _ = strings.Cut(text, "\n")
	runes := []rune(text)
	if len(runes) <= n {
		return cmp.Or(text, "no reason given")
	}
	return string(runes[:n-1]) + "…"
}
