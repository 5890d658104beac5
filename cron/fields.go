package cron

import "math/bits"

// fields is all that an expression says: whatever computes or describes times works from here,
// so that there is one reading of the text only.
type fields struct {
	second, minute, hour, dayOfMonth, month, dayOfWeek field
	monthly
	withSeconds bool // it was written with six fields
}

// A field is the values of one column and whether its text starts with * or ?, which is what
// Vixie cron asks, and not whether all values are in: 1-31 restricts the day of month and */2 does not.
type field struct {
	set
	star bool
}

// followsClock reports whether this is a wildcard job of Vixie cron; any other is a fixed-time job.
// A star for the seconds does not count: "*/10 0 9 * * *" is a job of nine o'clock.
func (f *fields) followsClock() bool { return f.minute.star || f.hour.star }

func (f *fields) timesPerDay() int {
	return f.second.count() * f.minute.count() * f.hour.count()
}

// A set holds small numbers, one bit each.
type set uint64

func setOf(values ...int) (s set) {
	for _, v := range values {
		s |= 1 << v
	}
	return s
}

// span returns the numbers from low to high that are a multiple of step away from low.
func span(low, high, step int) (s set) {
	for v := low; v <= high; v += step {
		s |= 1 << v
	}
	return s
}

func (s set) has(v int) bool { return s&(1<<v) != 0 }
func (s set) from(v int) set { return s >> v << v }
func (s set) upTo(v int) set { return s & (1<<(v+1) - 1) }
func (s set) count() int     { return bits.OnesCount64(uint64(s)) }
func (s set) first() int     { return bits.TrailingZeros64(uint64(s)) }
func (s set) last() int      { return bits.Len64(uint64(s)) - 1 }
func (s set) single() bool   { return s.count() == 1 }

// contiguous reports whether no number is missing between the first and the last.
func (s set) contiguous() bool { return s == span(s.first(), s.last(), 1) }

func (s set) values() []int {
	values := make([]int, 0, s.count())
	for ; s != 0; s &= s - 1 {
		values = append(values, s.first())
	}
	return values
}

const (
	allSixty       set = 1<<60 - 1
	allHours       set = 1<<24 - 1
	allDaysOfMonth set = 1<<32 - 1<<1
	allMonths      set = 1<<13 - 1<<1
	allDaysOfWeek  set = 1<<7 - 1
)
