package callsheet

import "time"

// windowStart is where the window of the occurrence at a time begins, which ends at that time: at the occurrence
// before, by the times that the Schedule has, whether or not that was run. A Schedule without times has empty windows.
//
// It depends on nothing that an attempt or another execution may change. StartAt and EndAt bound what is run and not
// what it is about, so that the first occurrence has a window as long as the others.
func (s Schedule) windowStart(at time.Time) (time.Time, error) {
	if s.Type != TypeCron && s.Type != TypeInterval {
		return at, nil
	}
	times, err := s.timing(parseCron)
	if err != nil {
		return at, err
	}
	if b, is := times.(bounded); is {
		times = b.timing
	}
	before := times.Latest(at.Add(-instant))
	if before.IsZero() {
		return at, nil
	}
	return before.UTC(), nil
}
