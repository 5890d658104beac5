package callsheet

// Overlap says what becomes of an occurrence that falls due while an earlier execution of its
// Schedule is pending or running. Executions that wait for a retry are pending.
//
// What Backfill plans and Retry takes up again is no earlier execution: an occurrence goes before
// it, and at most waits for the one that is running. While it waits it is open itself, and Overlap says
// what of the next. What Execute adds is an earlier execution.
type Overlap string

const (
	// OverlapSkip skips the occurrence, with ReasonOverlap. It is the default.
	OverlapSkip Overlap = "skip"
	// OverlapQueueOne lets the occurrence wait for the earlier execution's end. While one waits,
	// further occurrences are skipped.
	OverlapQueueOne Overlap = "queue_one"
	// OverlapAllow runs it beside the earlier execution.
	OverlapAllow Overlap = "allow"
	// OverlapCancelPrevious cancels the earlier executions, with ReasonOvertaken, and runs the
	// occurrence as soon as they have stopped.
	OverlapCancelPrevious Overlap = "cancel_previous"
)

// Overlaps lists all there are, the default first.
func Overlaps() []Overlap {
	return []Overlap{OverlapSkip, OverlapQueueOne, OverlapAllow, OverlapCancelPrevious}
}

// Misfire says what becomes of occurrences that nobody planned in time, which is within
// MisfireGrace and before the next one was due as well. What is not run is recorded with ReasonMissed,
// as one row with a Gap however many they are. Those older than MisfireWindow are never run.
type Misfire string

const (
	// MisfireLatest runs the latest occurrence that is due, once. It is the default.
	MisfireLatest Misfire = "latest"
	// MisfireAll runs all that are due, up to the MisfireLimit latest. Where there are several
	// they run one after another, behind what is still open, unless Overlap allows more.
	MisfireAll Misfire = "all"
	// MisfireSkip runs the latest that is due if it is within the grace, and nothing else.
	MisfireSkip Misfire = "skip"
)

// Misfires lists all there are, the default first.
func Misfires() []Misfire { return []Misfire{MisfireLatest, MisfireAll, MisfireSkip} }

// OnResume says what becomes of the occurrences that fell due during a pause.
type OnResume string

const (
	// ResumeSkip runs none of them. They are one row with a Gap, with ReasonPaused. It is the default.
	ResumeSkip OnResume = "skip"
	// ResumeMisfire treats them as occurrences that nobody planned in time.
	ResumeMisfire OnResume = "misfire"
)

// OnResumes lists all there are, the default first.
func OnResumes() []OnResume { return []OnResume{ResumeSkip, ResumeMisfire} }
