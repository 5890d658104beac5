package cron_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A plan is an expression together with what it means, as the generator knows without parsing.
type plan struct {
	expr    string
	values  [6][64]bool // second, minute, hour, day of month, month, day of week
	star    [6]bool
	seconds []int // of a day, filled when asked for
	varying varying
}

// varying is what L, W and # mean, in the terms of a person with a calendar.
type varying struct {
	fromEnd       [31]bool   // so many days before the last day of the month
	nearest       [32]bool   // the weekday nearest the date
	nearestToEnd  [31]bool   // the weekday nearest so many days before the last
	nth           [6][7]bool // the nth of the weekdays
	lastOfWeekday [7]bool
}

func (p *plan) fitsDay(t time.Time) bool {
	ofMonth := p.values[3][t.Day()] || p.varying.fitsDate(t)
	ofWeek := p.values[5][int(t.Weekday())] || p.varying.fitsWeekday(t)
	if p.star[3] || p.star[5] {
		return p.values[4][int(t.Month())] && ofMonth && ofWeek
	}
	return p.values[4][int(t.Month())] && (ofMonth || ofWeek)
}

func (v *varying) fitsDate(t time.Time) bool {
	last := time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if v.fromEnd[last-t.Day()] {
		return true
	}
	// This is the nearest weekday to a date if it is a weekday and no other of the month is nearer.
	for date := 1; date <= last; date++ {
		if !v.nearest[date] && !v.nearestToEnd[last-date] {
			continue
		}
		for _, distance := range []int{0, -1, 1, -2, 2} {
			near := time.Date(t.Year(), t.Month(), date+distance, 0, 0, 0, 0, time.UTC)
			if near.Month() == t.Month() && near.Weekday() != time.Saturday && near.Weekday() != time.Sunday {
				if near.Day() == t.Day() {
					return true
				}
				break
			}
		}
	}
	return false
}

func (v *varying) fitsWeekday(t time.Time) bool {
	if v.lastOfWeekday[t.Weekday()] && t.AddDate(0, 0, 7).Month() != t.Month() {
		return true
	}
	n := 1
	for t.AddDate(0, 0, -7*n).Month() == t.Month() {
		n++
	}
	return v.nth[n][t.Weekday()]
}

// firstAfter tries day after day, and on a day that fits all its times in order.
func (p *plan) firstAfter(after time.Time) time.Time {
	day := time.Date(after.Year(), after.Month(), after.Day(), 0, 0, 0, 0, time.UTC)
	for range 41 * 366 {
		if p.fitsDay(day) {
			for _, second := range p.secondsOfDay() {
				if t := day.Add(time.Duration(second) * time.Second); t.After(after) {
					return t
				}
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}
}

func (p *plan) secondsOfDay() []int {
	if p.seconds == nil {
		for hour := range 24 {
			for minute := range 60 {
				for second := range 60 {
					if p.values[2][hour] && p.values[1][minute] && p.values[0][second] {
						p.seconds = append(p.seconds, hour*3600+minute*60+second)
					}
				}
			}
		}
	}
	return p.seconds
}

const allFields = 1<<6 - 1

// randomPlan draws the fields whose bit is set in vary and leaves the others at "0 0 * * * *".
func randomPlan(random *rand.Rand, vary int) *plan {
	bounds := [6][2]int{{0, 59}, {0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}}
	var p plan
	var texts []string
	for i, bound := range bounds {
		low, high := bound[0], bound[1]
		var items []string
		for range 1 + vary>>i&1*random.IntN(2)*random.IntN(4) {
			start, end, step := low+random.IntN(high-low+1), high, 1
			var item string
			kind := random.IntN(7)
			if (i == 3 || i == 5) && random.IntN(4) == 0 {
				kind = 7
			}
			if vary&(1<<i) == 0 {
				kind = 0
			}
			switch kind {
			case 0:
				start, item = low, "*"
				if i < 2 && vary&(1<<i) == 0 {
					end, item = low, "0"
				}
			case 1:
				start, item = low, "*"
			case 2:
				start, step = low, 1+random.IntN(high-1)
				item = fmt.Sprintf("*/%d", step)
			case 3:
				end = start
				item = fmt.Sprint(start)
			case 4:
				end = start + random.IntN(high-start+1)
				item = fmt.Sprintf("%d-%d", start, end)
			case 5:
				end, step = start+random.IntN(high-start+1), 1+random.IntN(high)
				item = fmt.Sprintf("%d-%d/%d", start, end, step)
			case 6:
				step = 1 + random.IntN(high)
				item = fmt.Sprintf("%d/%d", start, step)
			case 7:
				item, end = p.varying.draw(random, i), start-1
			}
			for v := start; v <= end; v += step {
				p.values[i][v] = true
			}
			items = append(items, item)
		}
		p.star[i] = items[0][0] == '*'
		texts = append(texts, strings.Join(items, ","))
	}
	p.expr = strings.Join(texts, " ")
	return &p
}

// draw returns an item with L, W or #.
func (v *varying) draw(random *rand.Rand, column int) string {
	if column == 5 {
		weekday := random.IntN(7)
		name := []string{fmt.Sprint(weekday), strings.ToUpper(time.Weekday(weekday).String()[:3])}[random.IntN(2)]
		n := 1 + random.IntN(5)
		switch random.IntN(4) {
		case 0:
			v.lastOfWeekday[weekday] = true
			return name + "L"
		case 1:
			v.lastOfWeekday[weekday] = true
			return "L" + name
		default:
			v.nth[n][weekday] = true
			return fmt.Sprintf("%s#%d", name, n)
		}
	}
	date, before := 1+random.IntN(31), random.IntN(31)
	switch random.IntN(5) {
	case 0:
		v.fromEnd[0] = true
		return "L"
	case 1:
		v.fromEnd[before] = true
		return fmt.Sprintf("L-%d", before)
	case 2:
		v.nearestToEnd[0] = true
		return "lw"
	case 3:
		v.nearestToEnd[before] = true
		return fmt.Sprintf("L-%dW", before)
	default:
		v.nearest[date] = true
		return fmt.Sprintf("%dW", date)
	}
}

func allOf(low, high int) (all [64]bool) {
	for v := low; v <= high; v++ {
		all[v] = true
	}
	return all
}

// A meaning is equal for two plans when they fire at the same times of a clock that never changes.
type meaning struct {
	values   [6][64]bool
	varying  varying
	bothDays bool
}

func (p *plan) meaning() meaning {
	m := meaning{p.values, p.varying, p.star[3] || p.star[5]}
	for weekday := range 7 {
		all := true
		for n := 1; n <= 5; n++ {
			all = all && m.varying.nth[n][weekday]
		}
		if all {
			m.values[5][weekday] = true
		}
		if m.values[5][weekday] {
			m.varying.lastOfWeekday[weekday] = false
			for n := range m.varying.nth {
				m.varying.nth[n][weekday] = false
			}
		}
	}
	if m.values[3] == allOf(1, 31) {
		m.varying.fromEnd, m.varying.nearest, m.varying.nearestToEnd = [31]bool{}, [32]bool{}, [31]bool{}
	}
	ofMonth, ofWeek := m.values[3] == allOf(1, 31), m.values[5] == allOf(0, 6)
	if !m.bothDays && (ofMonth || ofWeek) {
		m.values[3], m.values[5], m.varying = allOf(1, 31), allOf(0, 6), varying{}
	}
	m.bothDays = m.bothDays || ofMonth || ofWeek
	return m
}
