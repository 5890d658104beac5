package cron

import "math"

// This file counts on a clock that never changes. Its times are the seconds such a clock has shown
// since 1970-01-01 00:00:00, so that a day has 86400 of them; clock.go applies a location's changes.

const (
	day   = 24 * 60 * 60
	never = math.MaxInt64 // no such time

	firstYear, lastYear = 1, 9999 // outside them, times have no RFC 3339 form

	// The rarest dates, 29 February on a given weekday, are 40 years apart around 2100.
	yearsToLook = 50
)

var (
	firstShown = int64(dayNumber(firstYear, 1, 1)) * day
	endShown   = int64(dayNumber(lastYear+1, 1, 1)) * day
)

// nextShown returns the first time that fits at or after the given one, or never.
func (f *fields) nextShown(from int64) int64 {
	from = max(from, firstShown)
	if from >= endShown {
		return never
	}
	today, tod := split(from)
	year, month, date := civil(today)
	if f.month.has(month) && f.daysOf(year, month).has(date) {
		if t, ok := f.timeFrom(tod); ok {
			return int64(today)*day + int64(t)
		}
	}

	date++
	for horizon := min(year+yearsToLook, lastYear); year <= horizon; {
		if f.month.has(month) {
			if days := f.daysOf(year, month).from(date); days != 0 {
				first, _ := f.timeFrom(0)
				return int64(dayNumber(year, month, days.first()))*day + int64(first)
			}
		}
		if later := f.month.from(month + 1); later != 0 {
			month = later.first()
		} else {
			year, month = year+1, f.month.first()
		}
		date = 1
	}
	return never
}

// lastShown returns the last time that fits at or before the given one, or never.
func (f *fields) lastShown(until int64) int64 {
	until = min(until, endShown-1)
	if until < firstShown {
		return never
	}
	today, tod := split(until)
	year, month, date := civil(today)
	if f.month.has(month) && f.daysOf(year, month).has(date) {
		if t, ok := f.timeUpTo(tod); ok {
			return int64(today)*day + int64(t)
		}
	}

	date--
	for horizon := max(year-yearsToLook, firstYear); year >= horizon; {
		if f.month.has(month) {
			if days := f.daysOf(year, month).upTo(date); days != 0 {
				last, _ := f.timeUpTo(day - 1)
				return int64(dayNumber(year, month, days.last()))*day + int64(last)
			}
		}
		if earlier := f.month.upTo(month - 1); earlier != 0 {
			month = earlier.last()
		} else {
			year, month = year-1, f.month.last()
		}
		date = 31
	}
	return never
}

// countShown returns how many times fit from low on and before high.
func (f *fields) countShown(low, high int64) int64 {
	low, high = max(low, firstShown), min(high, endShown)
	if low >= high {
		return 0
	}
	return f.countBefore(high, low) - f.countBefore(low, low)
}

// countBefore counts from the month on in which origin lies, a month at a time.
func (f *fields) countBefore(t, origin int64) (n int64) {
	today, tod := split(t)
	year, month, date := civil(today)
	originDay, _ := split(origin)
	fromYear, fromMonth, _ := civil(originDay)
	for y, m := fromYear, fromMonth; y < year || y == year && m < month; {
		if f.month.has(m) {
			n += int64(f.daysOf(y, m).count())
		}
		if m++; m > 12 {
			y, m = y+1, 1
		}
	}
	fits := false
	if f.month.has(month) {
		days := f.daysOf(year, month)
		n += int64(days.upTo(date - 1).count())
		fits = days.has(date)
	}
	n *= int64(f.timesPerDay())
	if fits {
		n += int64(f.timesBefore(tod))
	}
	return n
}

// timeFrom returns the first time of a day at or after the given one, in seconds.
func (f *fields) timeFrom(tod int) (int, bool) {
	hour, minute, second := tod/3600, tod/60%60, tod%60
	if f.hour.has(hour) {
		if f.minute.has(minute) {
			if s := f.second.from(second); s != 0 {
				return hour*3600 + minute*60 + s.first(), true
			}
		}
		if m := f.minute.from(minute + 1); m != 0 {
			return hour*3600 + m.first()*60 + f.second.first(), true
		}
	}
	if h := f.hour.from(hour + 1); h != 0 {
		return h.first()*3600 + f.minute.first()*60 + f.second.first(), true
	}
	return 0, false
}

// timeUpTo returns the last time of a day at or before the given one, in seconds.
func (f *fields) timeUpTo(tod int) (int, bool) {
	hour, minute, second := tod/3600, tod/60%60, tod%60
	if f.hour.has(hour) {
		if f.minute.has(minute) {
			if s := f.second.upTo(second); s != 0 {
				return hour*3600 + minute*60 + s.last(), true
			}
		}
		if m := f.minute.upTo(minute - 1); m != 0 {
			return hour*3600 + m.last()*60 + f.second.last(), true
		}
	}
	if h := f.hour.upTo(hour - 1); h != 0 {
		return h.last()*3600 + f.minute.last()*60 + f.second.last(), true
	}
	return 0, false
}

func (f *fields) timesBefore(tod int) int {
	hour, minute, second := tod/3600, tod/60%60, tod%60
	n := f.hour.upTo(hour-1).count() * f.minute.count() * f.second.count()
	if f.hour.has(hour) {
		n += f.minute.upTo(minute-1).count() * f.second.count()
		if f.minute.has(minute) {
			n += f.second.upTo(second - 1).count()
		}
	}
	return n
}

// split returns the day and the second of the day, also for times before 1970.
func split(t int64) (today, tod int) {
	tod = int((t%day + day) % day)
	return int((t - int64(tod)) / day), tod
}

// dayNumber counts days from 1970-01-01; a year begins in March here, which puts the leap day last.
func dayNumber(year, month, date int) int {
	if month <= 2 {
		year, month = year-1, month+12
	}
	// The years of a time are 0-9999 here, so that nothing is negative before the epoch is taken off.
	return year*365 + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + date - 1 - 719468
}

// civil is the inverse of dayNumber.
func civil(number int) (year, month, date int) {
	const daysOf400Years = 146097
	n := number + 719468
	era := n / daysOf400Years
	n %= daysOf400Years
	yearOfEra := (n - n/1460 + n/36524 - n/146096) / 365
	dayOfYear := n - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	m := (5*dayOfYear + 2) / 153
	year, month, date = era*400+yearOfEra, m+3, dayOfYear-(153*m+2)/5+1
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, date
}
