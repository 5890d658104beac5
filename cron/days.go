package cron

import "time"

// monthly is the days whose date depends on the month: those of L, W and #.
type monthly struct {
	last        set // L-n: so many days before the last one
	nearest     set // nW: the weekday nearest this date
	nearestLast set // L-nW: the weekday nearest so many days before the last one
	nth         set // w#n: bit 7*(n-1)+w
	lastWeekday set // wL
}

func (m *monthly) datesVary() bool    { return m.last|m.nearest|m.nearestLast != 0 }
func (m *monthly) weekdaysVary() bool { return m.nth|m.lastWeekday != 0 }

const (
	eachWeek     set = 1 | 1<<7 | 1<<14 | 1<<21 | 1<<28 // the first day of the five weeks of a month
	weeksInMonth     = 5
)

// tidy drops what says nothing new: a list with "each Friday" has the third Friday already.
func (f *fields) tidy() {
	if f.dayOfMonth.set == allDaysOfMonth {
		f.last, f.nearest, f.nearestLast = 0, 0, 0
	}
	for weekday := range 7 {
		if all := eachWeek << weekday; f.nth&all == all {
			f.dayOfWeek.set |= setOf(weekday)
		}
	}
	f.nth &^= f.dayOfWeek.set * eachWeek
	f.lastWeekday &^= f.dayOfWeek.set
}

// daysOf returns the dates in a month on which the schedule fires, if it does in that month at all.
func (f *fields) daysOf(year, month int) set {
	length := daysIn(year, month)
	// 1970-01-01 was a Thursday; 0001-01-01 lies less than 7*200000 days before.
	first := (dayNumber(year, month, 1) + 4 + 7*200000) % 7

	ofMonth := f.dayOfMonth.set
	if f.datesVary() {
		ofMonth |= f.varyingDates(first, length)
	}
	ofWeek := weeksFrom(f.dayOfWeek.set*eachWeek|f.nth, first) << 1
	if f.lastWeekday != 0 {
		ofWeek |= weeksFrom(f.lastWeekday, (first+length)%7) & allDaysOfWeek << (length - 6)
	}
	days := ofMonth | ofWeek
	if f.bothDays() {
		days = ofMonth & ofWeek
	}
	return days & (1<<(length+1) - 2)
}

// weeksFrom turns weeks that begin on Sunday into weeks that begin on the given weekday.
func weeksFrom(weeks set, weekday int) set {
	stay := (allDaysOfWeek >> weekday) * eachWeek
	return weeks>>weekday&stay | weeks<<(7-weekday)&^stay
}

func (f *fields) varyingDates(first, length int) (dates set) {
	for s := f.last; s != 0; s &= s - 1 {
		if date := length - s.first(); date >= 1 {
			dates |= setOf(date)
		}
	}
	for s := f.nearest; s != 0; s &= s - 1 {
		if date := s.first(); date <= length {
			dates |= setOf(nearestWeekday(date, first, length))
		}
	}
	for s := f.nearestLast; s != 0; s &= s - 1 {
		if date := length - s.first(); date >= 1 {
			dates |= setOf(nearestWeekday(date, first, length))
		}
	}
	return dates
}

// nearestWeekday moves a Saturday to the Friday before and a Sunday to the Monday after, unless
// that would leave the month.
func nearestWeekday(date, first, length int) int {
	switch time.Weekday((first + date - 1) % 7) {
	case time.Saturday:
		if date == 1 {
			return 3
		}
		return date - 1
	case time.Sunday:
		if date == length {
			return date - 2
		}
		return date + 1
	}
	return date
}

func daysIn(year, month int) int {
	if month == 2 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (month+month/8)&1
}

// everFires is exact: the calendars of 28 years in a row are all there are.
func (f *fields) everFires() bool {
	for year := 2000; year < 2028; year++ {
		for months := f.month.set; months != 0; months &= months - 1 {
			if f.daysOf(year, months.first()) != 0 {
				return true
			}
		}
	}
	return false
}

// bothDays reports whether a day must be in the day of month and in the day of week. In Vixie cron
// that is so as soon as one of them has a star; else one of them is enough.
func (f *fields) bothDays() bool { return f.dayOfMonth.star || f.dayOfWeek.star }
