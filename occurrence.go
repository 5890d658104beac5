package callsheet

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet/cron"
)

// An Occurrence is a time at which a Schedule falls due: one that has come, with what became of it, or
// one that is coming.
type Occurrence struct {
	Schedule string `json:"schedule"`
	// At is the time itself, by the clocks of the Schedule's zone, so that its offset shows.
	At time.Time `json:"at"`
	// Rule is the rule of the clock by which it is then. RuleNone: by the Schedule's present
	// times it would not be.
	Rule cron.Rule `json:"rule"`
	// MovedFrom is, with RuleMoved, the time that the clock skipped, in the offset before.
	MovedFrom time.Time `json:"moved_from,omitzero"`
	// Jitter is by how much later it is planned.
	Jitter time.Duration `json:"jitter,omitzero"`
	// Outlook is what becomes of it.
	Outlook Outlook `json:"outlook"`
	// Execution is its row, with OutlookRecorded. One with a Gap stands for Gap.Count
	// occurrences, of which this is the first.
	Execution *Execution `json:"execution,omitempty"`
}

// Outlook says what becomes of an Occurrence.
type Outlook string

const (
	OutlookRecorded Outlook = "recorded" // it has an Execution, which says what happened
	OutlookDue      Outlook = "due"      // it has come, and the next planning pass decides
	OutlookMissed   Outlook = "missed"   // it has come, and Misfire will not have it run
	OutlookRuns     Outlook = "runs"     // it is coming, and will be planned
	OutlookBlackout Outlook = "blackout" // it is coming, and will be skipped: it falls into a blackout
	OutlookPaused   Outlook = "paused"   // it comes to nothing if the pause lasts until then; see OnResume
)

// MarshalJSON writes Jitter as text ("30s").
func (o Occurrence) MarshalJSON() ([]byte, error) {
	type plain Occurrence
	return json.Marshal(struct {
		plain
		Jitter durationText `json:"jitter,omitzero"`
	}{plain(o), durationText(o.Jitter)})
}

// UnmarshalJSON reads Jitter as text ("30s").
func (o *Occurrence) UnmarshalJSON(b []byte) error {
	type plain Occurrence
	v := struct {
		*plain
		Jitter *durationText `json:"jitter"`
	}{(*plain)(o), (*durationText)(&o.Jitter)}
	return json.Unmarshal(b, &v)
}

// String is the occurrence as a line for people, such as
//
//	2024-03-10 03:00:00 -0400 EDT: runs (moved out of a gap: 02:30 -0500 is skipped)
func (o Occurrence) String() string {
	var b strings.Builder
	b.WriteString(o.At.Format(longTime) + ": ")
	if e := o.Execution; e == nil {
		b.WriteString(string(o.Outlook))
	} else {
		b.WriteString(string(e.State))
		if e.Reason != "" {
			b.WriteString(", " + e.Reason)
		}
		if e.Gap != nil && e.Gap.Count > 1 {
			fmt.Fprintf(&b, ", %s until %s", count(e.Gap.Count, "occurrence"), e.Gap.Last.In(o.At.Location()).Format(longTime))
		}
	}
	var why []string
	switch o.Rule {
	case cron.RuleNone:
		why = append(why, "no occurrence by the present times")
	case cron.RuleMoved:
		why = append(why, fmt.Sprintf("%s: %s is skipped", o.Rule, o.MovedFrom.Format("15:04 -0700")))
	case cron.RuleFirst, cron.RuleAgain:
		why = append(why, o.Rule.String())
	}
	if o.Jitter > 0 {
		why = append(why, "jittered by "+o.Jitter.String())
	}
	if len(why) > 0 {
		b.WriteString(" (" + strings.Join(why, "; ") + ")")
	}
	return b.String()
}

const longTime = "2006-01-02 15:04:05 -0700 MST"

// An outlook describes the occurrences of one Schedule.
type outlook struct {
	sch   Schedule
	times timing
	zone  *time.Location
	crons cronSource
	now   time.Time
}

func (s *scheduler) outlook(sch Schedule, now time.Time) (outlook, error) {
	times, err := sch.timing(s.crons.get)
	if err != nil {
		return outlook{}, fmt.Errorf("read the times of schedule %q: %w", sch.ID, err)
	}
	zone, err := loadZone(sch.Zone)
	if err != nil {
		return outlook{}, fmt.Errorf("load the zone of schedule %q: %w", sch.ID, err)
	}
	return outlook{sch, times, zone, s.crons.get, now}, nil
}

// at describes the occurrence at t by the rules of the clock.
func (v outlook) at(t time.Time) Occurrence {
	o := Occurrence{Schedule: v.sch.ID, At: t.In(v.zone), Jitter: v.sch.delay()}
	if v.times.Count(t.Add(-instant), t) == 0 {
		return o
	}
	o.Rule = cron.RulePlain
	if v.sch.Type == TypeCron {
		if parsed, err := v.crons(v.sch.Cron, v.sch.Zone); err == nil {
			var said time.Time
			if o.Rule, said = parsed.Explain(t); o.Rule == cron.RuleMoved {
				o.MovedFrom = said
			}
		}
	}
	return o
}

// coming describes the occurrence at t, which has no row yet.
func (v outlook) coming(t time.Time) (Occurrence, error) {
	o := v.at(t)
	blackedOut, err := v.sch.blackedOut(t, v.crons)
	switch {
	case err != nil:
		return o, fmt.Errorf("read the blackouts of schedule %q: %w", v.sch.ID, err)
	case v.sch.Status == StatusPaused:
		o.Outlook = OutlookPaused
	case blackedOut:
		o.Outlook = OutlookBlackout
	case !t.Add(o.Jitter).After(v.now):
		o.Outlook = OutlookDue
	default:
		o.Outlook = OutlookRuns
	}
	return o, nil
}

// recorded describes the occurrence whose row is e.
func (v outlook) recorded(e Execution) Occurrence {
	t := e.ScheduledAt
	if e.Gap != nil {
		t = e.Gap.First
	}
	o := v.at(t)
	o.Outlook, o.Execution = OutlookRecorded, &e
	return o
}

// left is how many occurrences may still be planned to run.
func (s Schedule) left() int64 {
	switch {
	case s.Disabled:
		return 0
	case s.MaxRuns > 0:
		return max(0, s.MaxRuns-s.Runs)
	}
	return 1 << 62
}
