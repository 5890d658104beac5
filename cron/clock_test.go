package cron_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/callsheet-go/callsheet/cron"
)

func TestNext_WhenClocksChange(t *testing.T) {
	tests := []struct {
		name, expr, zone, from string
		want                   []string
	}{
		{"a fixed time in the skipped hour comes right after it", "30 2 * * *", "America/New_York", "2024-03-09T06:00:00Z",
			[]string{"2024-03-09T02:30:00-05:00", "2024-03-10T03:00:00-04:00", "2024-03-11T02:30:00-04:00"}},
		{"several in one gap come once, with the one that is due then", "0,30 2,3 * * *", "America/New_York", "2024-03-10T06:00:00Z",
			[]string{"2024-03-10T03:00:00-04:00", "2024-03-10T03:30:00-04:00", "2024-03-11T02:00:00-04:00"}},
		{"asked at the first instant after the gap", "30 2 * * *", "America/New_York", "2024-03-10T07:00:00Z",
			[]string{"2024-03-11T02:30:00-04:00"}},
		{"asked a moment before it", "30 2 * * *", "America/New_York", "2024-03-10T06:59:59.9Z",
			[]string{"2024-03-10T03:00:00-04:00"}},
		{"a star does not make up", "*/15 2 * * *", "America/New_York", "2024-03-09T07:45:00Z",
			[]string{"2024-03-11T02:00:00-04:00"}},
		{"a fixed time in the repeated hour comes the first time only", "30 1 * * *", "America/New_York", "2024-11-03T04:00:00Z",
			[]string{"2024-11-03T01:30:00-04:00", "2024-11-04T01:30:00-05:00"}},
		{"asked between the two", "30 1 * * *", "America/New_York", "2024-11-03T05:45:00Z", []string{"2024-11-04T01:30:00-05:00"}},
		{"a star follows the clock in spring", "0 * * * *", "America/New_York", "2024-03-10T05:30:00Z",
			[]string{"2024-03-10T01:00:00-05:00", "2024-03-10T03:00:00-04:00"}},
		{"a star follows the clock in autumn", "0 * * * *", "America/New_York", "2024-11-03T04:30:00Z",
			[]string{"2024-11-03T01:00:00-04:00", "2024-11-03T01:00:00-05:00", "2024-11-03T02:00:00-05:00"}},
		{"a star follows the clock on one day of the year", "*/30 1 3 11 *", "America/New_York", "2024-11-03T05:45:00Z",
			[]string{"2024-11-03T01:00:00-05:00", "2024-11-03T01:30:00-05:00", "2025-11-03T01:00:00-05:00"}},
		{"a full range is no star", "0 0-23 * * *", "America/New_York", "2024-11-03T04:30:00Z",
			[]string{"2024-11-03T01:00:00-04:00", "2024-11-03T02:00:00-05:00"}},
		{"other times stay where they are", "0 9 * * *", "America/New_York", "2024-03-09T06:00:00Z",
			[]string{"2024-03-09T09:00:00-05:00", "2024-03-10T09:00:00-04:00"}},
		{"a skipped midnight belongs to its day", "0 0 4 11 *", "America/Sao_Paulo", "2018-11-03T01:00:00Z",
			[]string{"2018-11-04T01:00:00-02:00", "2019-11-04T00:00:00-03:00"}},
		{"a skipped midnight in Beirut", "0 0 * * *", "Asia/Beirut", "2024-03-30T12:00:00Z",
			[]string{"2024-03-31T01:00:00+03:00", "2024-04-01T00:00:00+03:00"}},
		{"a repeated last hour of the day in Beirut", "30 23 * * *", "Asia/Beirut", "2024-10-26T12:00:00Z",
			[]string{"2024-10-26T23:30:00+03:00", "2024-10-27T23:30:00+02:00"}},
		{"a skipped midnight in Cairo", "@daily", "Africa/Cairo", "2024-04-25T12:00:00Z",
			[]string{"2024-04-26T01:00:00+03:00", "2024-04-27T00:00:00+03:00"}},
		{"times of a skipped day come once, when it is over", "0 8,12 * * *", "Pacific/Apia", "2011-12-29T21:00:00Z",
			[]string{"2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T08:00:00+14:00"}},
		{"a star leaves a skipped day out", "0 */12 * * *", "Pacific/Apia", "2011-12-29T21:00:00Z",
			[]string{"2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00"}},
		{"a skipped day in Kwajalein", "0 12 * * *", "Pacific/Kwajalein", "1993-08-20T12:00:00Z",
			[]string{"1993-08-20T12:00:00-12:00", "1993-08-22T00:00:00+12:00", "1993-08-22T12:00:00+12:00"}},
		{"a day that came twice", "0 12 * * *", "America/Juneau", "1867-10-17T12:00:00Z",
			[]string{"1867-10-18T12:00:00+15:02", "1867-10-19T12:00:00+15:02", "1867-10-20T12:00:00-08:57"}},
		{"half an hour is repeated", "45 1 * * *", "Australia/Lord_Howe", "2017-04-01T13:00:00Z",
			[]string{"2017-04-02T01:45:00+11:00", "2017-04-03T01:45:00+10:30"}},
		{"half an hour is skipped", "15 2 * * *", "Australia/Lord_Howe", "2017-09-30T13:00:00Z",
			[]string{"2017-10-01T02:30:00+11:00", "2017-10-02T02:15:00+11:00"}},
		{"two hours are skipped", "30 1,2 * * *", "Antarctica/Troll", "2024-03-31T00:00:00Z",
			[]string{"2024-03-31T03:00:00+02:00", "2024-04-01T01:30:00+02:00"}},
		{"seconds are skipped with local mean time", "0 0 * * *", "Europe/Berlin", "1893-03-31T12:00:00Z",
			[]string{"1893-04-01T00:06:32+01:00", "1893-04-02T00:00:00+01:00"}},
		{"the last day of a far leap year is a day like others", "0 12 * * *", "Europe/Berlin", "2040-12-30T12:00:00Z",
			[]string{"2040-12-31T12:00:00+01:00", "2041-01-01T12:00:00+01:00"}},
		{"a far year has the rules of the last known", "30 2 * * *", "Europe/Berlin", "2099-03-28T12:00:00Z",
			[]string{"2099-03-29T03:00:00+02:00", "2099-03-30T02:30:00+02:00"}},
		{"seconds: a daily job is made up for", "0 30 2 * * *", "America/New_York", "2024-03-10T06:00:00Z",
			[]string{"2024-03-10T03:00:00-04:00", "2024-03-11T02:30:00-04:00"}},
		{"seconds: many in the gap are made up for once", "*/10 0 2 * * *", "America/New_York", "2024-03-10T06:00:00Z",
			[]string{"2024-03-10T03:00:00-04:00", "2024-03-11T02:00:00-04:00"}},
		{"seconds: nothing is made up for when a regular time comes soon", "15 30 2-4 * * *", "America/New_York", "2024-03-10T06:00:00Z",
			[]string{"2024-03-10T03:30:15-04:00", "2024-03-10T04:30:15-04:00"}},
		{"seconds: an hour later is not soon", "0 0 2,4 * * *", "America/New_York", "2024-03-10T06:00:00Z",
			[]string{"2024-03-10T03:00:00-04:00", "2024-03-10T04:00:00-04:00"}},
		{"seconds: a second less is", "59 59 2,3 * * *", "America/New_York", "2024-03-10T06:00:00Z",
			[]string{"2024-03-10T03:59:59-04:00", "2024-03-11T02:59:59-04:00"}},
		{"seconds: a starred second does not follow the clock back", "*/30 0 1 * * *", "America/New_York", "2024-11-03T04:30:00Z",
			[]string{"2024-11-03T01:00:00-04:00", "2024-11-03T01:00:30-04:00", "2024-11-04T01:00:00-05:00"}},
		{"seconds: each second is each second", "* * * * * *", "America/New_York", "2024-11-03T05:59:58Z",
			[]string{"2024-11-03T01:59:59-04:00", "2024-11-03T01:00:00-05:00"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, from := parse(t, tt.expr, location(t, tt.zone)), at(t, tt.from)
			times := upcoming(s, from, len(tt.want))
			var got []string
			for _, next := range times {
				got = append(got, next.Format("2006-01-02T15:04:05Z07:00"))
			}
			assert.Equal(t, tt.want, got)

			last := times[len(times)-1]
			assert.Equal(t, len(times), s.Count(from, last))
			for i := len(times) - 1; i > 0; i-- {
				assert.Equal(t, times[i], s.Latest(times[i]))
				assert.Equal(t, times[i-1], s.Latest(times[i].Add(-time.Nanosecond)))
			}
		})
	}
}

func TestLatest(t *testing.T) {
	tests := []struct{ name, expr, until, want string }{
		{"a time asked about counts", "0 9 * * *", "2024-05-01T09:00:00Z", "2024-05-01T09:00:00Z"},
		{"a moment before, it has not come", "0 9 * * *", "2024-05-01T08:59:59.999999999Z", "2024-04-30T09:00:00Z"},
		{"leap days on a Monday, past a year that is none", "0 0 */28 2 1#5", "2112-02-28T00:00:00Z", "2072-02-29T00:00:00Z"},
		{"never before", "0 0 29 2 *", "0004-02-28T00:00:00Z", "0001-01-01T00:00:00Z"},
		{"after all times", "0 0 1 1 *", "9999-12-31T23:59:59Z", "9999-01-01T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, parse(t, tt.expr, nil).Latest(at(t, tt.until)).Format(time.RFC3339))
		})
	}
	t.Run("in the first pass of an hour, on one day of the year", func(t *testing.T) {
		s := parse(t, "45 */23 3 11 *", location(t, "America/Havana"))
		assert.Equal(t, "2024-11-03T00:45:00-04:00", s.Latest(at(t, "2024-11-03T05:10:00Z")).Format(time.RFC3339))
	})
	t.Run("before the years that a schedule knows", func(t *testing.T) {
		assert.Zero(t, parse(t, "* * * * *", nil).Latest(time.Time{}.Add(-time.Second)))
	})
}

func TestCount(t *testing.T) {
	berlin := location(t, "Europe/Berlin")
	tests := []struct {
		name, expr   string
		after, until string
		want         int
	}{
		{"the first time does not count, the second does", "0 9 * * *", "2024-05-01T07:00:00Z", "2024-05-03T07:00:00Z", 2},
		{"nothing lies between a time and itself", "* * * * *", "2024-05-01T07:00:00Z", "2024-05-01T07:00:00Z", 0},
		{"nothing lies between a time and one before", "* * * * *", "2024-05-01T07:00:00Z", "2023-05-01T07:00:00Z", 0},
		{"ten years of minutes", "* * * * *", "2014-05-01T07:00:00Z", "2024-05-01T07:00:00Z", 3653 * 24 * 60},
		{"ten years of days, each once", "30 2 * * *", "2014-05-01T07:00:00Z", "2024-05-01T07:00:00Z", 3653},
		{"each second there is", "* * * * * *", "0001-01-01T12:00:00Z", "9999-12-31T12:00:00Z", 3652058 * 86400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, parse(t, tt.expr, berlin).Count(at(t, tt.after), at(t, tt.until)))
		})
	}
}

func TestExplain(t *testing.T) {
	tests := []struct {
		name, expr, at string
		rule           cron.Rule
		asked          string
	}{
		{"an ordinary day", "0 9 * * *", "2024-05-01T13:00:00Z", cron.RulePlain, "2024-05-01T09:00:00-04:00"},
		{"another time", "0 9 * * *", "2024-05-01T13:01:00Z", cron.RuleNone, ""},
		{"a fraction of a second later", "0 9 * * *", "2024-05-01T13:00:00.1Z", cron.RuleNone, ""},
		{"after a gap", "15,30 2 * * *", "2024-03-10T07:00:00Z", cron.RuleMoved, "2024-03-10T02:15:00-05:00"},
		{"after a gap, and due anyway", "0 2,3 * * *", "2024-03-10T07:00:00Z", cron.RuleMoved, "2024-03-10T02:00:00-05:00"},
		{"after a gap that skipped nothing", "0 3 * * *", "2024-03-10T07:00:00Z", cron.RulePlain, "2024-03-10T03:00:00-04:00"},
		{"after a gap, with a star", "0 * * * *", "2024-03-10T07:00:00Z", cron.RulePlain, "2024-03-10T03:00:00-04:00"},
		{"the first of a repeat", "30 1 * * *", "2024-11-03T05:30:00Z", cron.RuleFirst, "2024-11-03T01:30:00-04:00"},
		{"the second of a repeat does not fire", "30 1 * * *", "2024-11-03T06:30:00Z", cron.RuleNone, ""},
		{"the first time of the clock", "30 * * * *", "2024-11-03T05:30:00Z", cron.RulePlain, "2024-11-03T01:30:00-04:00"},
		{"the second time of the clock", "30 * * * *", "2024-11-03T06:30:00Z", cron.RuleAgain, "2024-11-03T01:30:00-05:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rule, asked := parse(t, tt.expr, location(t, "America/New_York")).Explain(at(t, tt.at))
			assert.Equal(t, tt.rule, rule, "%s", rule)
			if tt.asked == "" {
				assert.Zero(t, asked)
			} else {
				assert.Equal(t, tt.asked, asked.Format(time.RFC3339))
			}
		})
	}
}
