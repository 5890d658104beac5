package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet"
)

// show prints a report for people.
func show(w io.Writer, r callsheet.DryRunReport, notes []string) {
	for _, note := range notes {
		fmt.Fprintln(w, "note:", note)
	}
	if r.Sent != nil {
		fmt.Fprintf(w, "> %s %s\n", r.Sent.Method, r.Sent.URL)
		headers(w, "> ", r.Sent.Header)
		text(w, "> ", r.Sent.Body)
	}
	if r.Answer != nil {
		fmt.Fprintf(w, "< status %d, %d bytes", r.Answer.Status, r.Answer.Bytes)
		if r.Timings.Fetch > 0 {
			fmt.Fprintf(w, " in %s", r.Timings.Fetch.Round(time.Millisecond))
		}
		fmt.Fprintln(w)
		headers(w, "< ", r.Answer.Header)
		if r.RecordCount == 0 {
			text(w, "< ", r.Answer.Body) // else the records say it better
			if r.Answer.Cut {
				fmt.Fprintln(w, "< …")
			}
		}
	}
	if r.RecordCount > 0 || r.Rejected > 0 {
		fmt.Fprintf(w, "\n%d records, %d that fail, in %s\n", r.RecordCount, r.Rejected, r.Timings.Extract.Round(time.Microsecond))
	}
	for _, record := range r.Records {
		fmt.Fprintln(w, " ", record)
	}
	if more := r.RecordCount - int64(len(r.Records)); more > 0 {
		fmt.Fprintf(w, "  … and %d more\n", more)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  problem: record %d, field %q at %s: %s", p.Record, p.Field, p.Path, p.Error)
		if p.Sample != "" {
			fmt.Fprintf(w, ", in %s", p.Sample)
		}
		fmt.Fprintln(w)
	}
	if r.Failure != nil {
		fmt.Fprintf(w, "\nan execution would fail in the stage %s (%s): %s\n", r.Failure.Stage, r.Failure.Class, r.Failure.Error)
	}
}

func headers(w io.Writer, prefix string, all map[string][]string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(w, "%s%s: %s\n", prefix, name, strings.Join(all[name], ", "))
	}
}

// text prints a body with a prefix before each line, and nothing that a terminal would take for a command.
func text(w io.Writer, prefix, body string) {
	if body == "" {
		return
	}
	plain := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '�'
		}
		return r
	}, body)
	for line := range strings.SplitSeq(strings.TrimRight(plain, "\n"), "\n") {
		fmt.Fprintf(w, "%s%s\n", prefix, line)
	}
}
