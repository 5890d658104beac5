package callsheet

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"
)

// A Tally counts executions and what they did. Stores keep one for each Schedule and one for all,
// and bring them up to date with every change of an execution, in the same transaction; so a
// Tally is always what a recount of the executions would give, but that attempts which their histories have let go of
// ([Execution].Attempts) stay counted. The zero Tally is empty.
type Tally struct {
	Pending   int64 `json:"pending,omitempty"`
	Running   int64 `json:"running,omitempty"`
	Succeeded int64 `json:"succeeded,omitempty"`
	Failed    int64 `json:"failed,omitempty"`
	Cancelled int64 `json:"cancelled,omitempty"`
	Skipped   int64 `json:"skipped,omitempty"`
	// Missed counts occurrences that were not run and have no row of their own, each one of a Gap.
	Missed int64 `json:"missed,omitempty"`
	// Attempts counts attempts that ended, but for those that only waited, Bytes what they fetched, Records what those that
	// succeeded extracted, Durations how long each took.
	Attempts  int64     `json:"attempts,omitempty"`
	Bytes     int64     `json:"bytes,omitempty"`
	Records   int64     `json:"records,omitempty"`
	Durations Histogram `json:"durations,omitzero"`
	// StaleWrites counts writes refused because of their fence.
	StaleWrites int64 `json:"stale_writes,omitempty"`
}

// Applied counts the change of an execution from before to after; before is nil for a new one.
func (t *Tally) Applied(before *Execution, after Execution) {
	var lastFence int64
	if before != nil {
		*t.state(before.State)--
		if n := len(before.Attempts); n > 0 {
			lastFence = before.Attempts[n-1].Fence
		}
		t.Missed -= before.Gap.count()
	}
	t.Missed += after.Gap.count()
	*t.state(after.State)++
	for _, a := range after.Attempts {
		if a.Fence <= lastFence || a.onlyWaited() {
			continue
		}
		t.Attempts++
		t.Bytes += a.Bytes
		t.Durations.Add(a.Duration())
		if a.Class == "" {
			t.Records += a.Records
		}
	}
}

func (t *Tally) state(s State) *int64 {
	switch s {
	case StatePending:
		return &t.Pending
	case StateRunning:
		return &t.Running
	case StateSucceeded:
		return &t.Succeeded
	case StateFailed:
		return &t.Failed
	case StateCancelled:
		return &t.Cancelled
	default:
		return &t.Skipped
	}
}

// Clone returns a copy that shares nothing with t.
func (t Tally) Clone() Tally {
	t.Durations.counts = maps.Clone(t.Durations.counts)
	return t
}

// Stats returns the Tally with its durations as percentiles.
func (t Tally) Stats() Stats {
	return Stats{
		Pending: t.Pending, Running: t.Running, Succeeded: t.Succeeded, Failed: t.Failed,
		Cancelled: t.Cancelled, Skipped: t.Skipped, Missed: t.Missed,
		Attempts: t.Attempts, Bytes: t.Bytes, Records: t.Records, StaleWrites: t.StaleWrites,
		P50: t.Durations.Quantile(0.50), P90: t.Durations.Quantile(0.90), P99: t.Durations.Quantile(0.99),
	}
}

// A Histogram counts durations in buckets of which eight double the duration, so that a quantile is right to
// within 5%. It can be added to for ever, and costs memory only for the buckets in use. The zero
// Histogram is empty.
type Histogram struct {
	counts map[int16]int64
}

// bucketsPerDoubling is how many buckets there are between a duration and twice that duration.
const bucketsPerDoubling = 8

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	if h.counts == nil {
		h.counts = make(map[int16]int64, 4)
	}
	micros := max(float64(d)/float64(time.Microsecond), 1)
	h.counts[int16(math.Floor(math.Log2(micros)*bucketsPerDoubling))]++
}

// Count is how many durations were added.
func (h Histogram) Count() int64 {
	var n int64
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Quantile returns the duration that a share q (0 to 1) of the durations do not exceed, to within
// 5%. It is zero for an empty Histogram.
func (h Histogram) Quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.Count())))
	var seen int64
	for _, bucket := range slices.Sorted(maps.Keys(h.counts)) {
		if seen += h.counts[bucket]; seen >= rank {
			middle := math.Exp2((float64(bucket) + 0.5) / bucketsPerDoubling)
			return time.Duration(middle * float64(time.Microsecond))
		}
	}
	return 0
}

// IsZero reports whether the Histogram is empty.
func (h Histogram) IsZero() bool { return len(h.counts) == 0 }

// MarshalJSON writes the counts by bucket, so that a Store can keep them.
func (h Histogram) MarshalJSON() ([]byte, error) { return json.Marshal(h.counts) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	h.counts = nil
	return json.Unmarshal(b, &h.counts)
}

// Stats is a Tally for people. Percentiles are of attempts, right to within 5%.
type Stats struct {
	Pending     int64         `json:"pending"`
	Running     int64         `json:"running"`
	Succeeded   int64         `json:"succeeded"`
	Failed      int64         `json:"failed"`
	Cancelled   int64         `json:"cancelled"`
	Skipped     int64         `json:"skipped"`
	Missed      int64         `json:"missed"`
	Attempts    int64         `json:"attempts"`
	Bytes       int64         `json:"bytes"`
	Records     int64         `json:"records"`
	StaleWrites int64         `json:"stale_writes"`
	P50         time.Duration `json:"p50"`
	P90         time.Duration `json:"p90"`
	P99         time.Duration `json:"p99"`
}

// MarshalJSON writes durations as text ("12ms").
func (s Stats) MarshalJSON() ([]byte, error) {
	type plain Stats
	return json.Marshal(struct {
		plain
		P50 durationText `json:"p50"`
		P90 durationText `json:"p90"`
		P99 durationText `json:"p99"`
	}{plain(s), durationText(s.P50), durationText(s.P90), durationText(s.P99)})
}

// A StatsReport is what Scheduler.Stats returns.
type StatsReport struct {
	// Total is over all executions ever, those of deleted schedules and pruned ones included.
	Total     Stats               `json:"total"`
	Schedules Page[ScheduleStats] `json:"schedules"`
}

// ScheduleStats are the Stats of one Schedule.
type ScheduleStats struct {
	Schedule string `json:"schedule"`
	Stats    Stats  `json:"stats"`
}
