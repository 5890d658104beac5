package callsheet

import (
	"cmp"
	"slices"
	"time"
)

// Line says which of a Schedule's pending executions has to wait, because another of the Schedule comes
// before it: unless Overlap allows more, one is open to be worked on at a time. Those that are due now come before those
// that catch up ([Execution.CatchesUp]); within each, the earlier scheduled comes first. What Execute
// added waits for nobody, and everybody waits for it.
//
// busy says whether one of the Schedule's executions is [Execution.Busy]; up are the others that are open and do not
// wait, next is the first of those that wait ([Execution.Before]), if any. Line returns those of them that change.
// A Store calls it, in the same transaction, whenever one of a Schedule's executions came, ended or
// failed an attempt, and when Overlap was edited; with what it returns applied, again, until it returns nothing.
func (s Schedule) Line(busy bool, up []Execution, next *Execution, now time.Time) []Execution {
	if s.Overlap == OverlapAllow {
		if next == nil {
			return nil
		}
		return []Execution{next.released(now)}
	}
	line := slices.Clone(up)
	if next != nil {
		line = append(line, *next)
	}
	slices.SortFunc(line, Execution.Before)
	var changed []Execution
	for i, e := range line {
		switch waits := busy || i > 0; {
		case waits && !e.Waits:
			changed = append(changed, e.waiting())
		case !waits && e.Waits:
			changed = append(changed, e.released(now))
		}
	}
	return changed
}

// Busy reports whether the execution, if it is open, is one that all others of its Schedule wait for, unless they
// may overlap: it runs, or Execute added it and nobody had to Retry it.
func (e Execution) Busy() bool {
	return e.State == StateRunning || e.Trigger == TriggerManual && !e.CatchesUp()
}

// Before orders the executions of one Schedule as they stand in line: those that are due now
// before those that catch up, the earlier scheduled first.
func (e Execution) Before(other Execution) int {
	if e.CatchesUp() != other.CatchesUp() {
		if other.CatchesUp() {
			return -1
		}
		return 1
	}
	return cmp.Or(e.ScheduledAt.Compare(other.ScheduledAt), cmp.Compare(e.ID, other.ID))
}

func (e Execution) waiting() Execution {
	if e.Waits = true; e.Reason == "" {
		e.Reason = ReasonWaits
	}
	return e
}

// released returns the execution as one that may be claimed; that it waited is no delay of a worker's.
func (e Execution) released(now time.Time) Execution {
	if e.Waits = false; e.Reason == ReasonWaits {
		e.Reason = ""
	}
	e.NotBefore = later(e.NotBefore, now)
	return e
}
