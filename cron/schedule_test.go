package cron_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/cron"
)

func TestParse_SaysWhatIsWrong(t *testing.T) {
	const (
		never   = "start must not be after end"
		last    = "must be L, L-0 to L-30 or, for the nearest weekday, 15W, LW or L-3W, without a range or a step"
		lastDay = "L must have one day with it, as in 5L or FRIL for the last Friday of a month, without a range or a step"
		nthDay  = "# must have one day before and 1-5 after it, as in 5#3 for the third Friday of a month, without a range or a step"
		hashed  = "H and R (a value chosen by hash or at random) are not supported"
		hasOnly = "; must have 5 (minute, hour, day of month, month, day of week) or 6 (with second first)"
		macro   = "must be one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually, alone"
		zone    = "must not name a time zone: the time zone has its own field"
		ascii   = "must be printable ASCII, its fields separated by spaces or tabs"
	)
	tests := []struct {
		name, expr string
		want       []string
	}{
		{"nothing at all", "", []string{`expression "": must not be empty`}},
		{"white space only", " \t ", []string{`expression "": must not be empty`}},
		{"more than 1 KiB", strings.Repeat("1,", 600) + "1 * * * *",
			[]string{`expression "` + strings.Repeat("1,", 40) + `…": must not be longer than 1024 bytes`}},
		{"too few fields", "* * *", []string{`expression "* * *": has 3 fields` + hasOnly}},
		{"too many fields", "* * * * * * 2030", []string{`expression "* * * * * * 2030": has 7 fields` + hasOnly}},
		{"a zone by TZ=", "TZ=UTC * * * * *", []string{`expression "TZ=UTC * * * * *": ` + zone}},
		{"a zone by CRON_TZ=", "cron_tz=UTC @daily", []string{`expression "cron_tz=UTC @daily": ` + zone}},
		{"an interval", "@every 5m", []string{`expression "@every 5m": @every is not supported: it counts from when a process started and is not a clock time; write */5 * * * * for every 5 minutes`}},
		{"a start", "@reboot", []string{`expression "@reboot": @reboot is not supported: the start of a process is not a clock time`}},
		{"an unknown macro", "@fortnightly", []string{`expression "@fortnightly": ` + macro}},
		{"a macro with company", "@daily *", []string{`expression "@daily *": ` + macro}},
		{"a second line", "* * * * *\n0 0 * * *", []string{`expression "* * * * *\n0 0 * * *": ` + ascii}},
		{"a space that is not a space", "0 9\u00a0* * *", []string{"expression \"0 9\\u00a0* * *\": " + ascii}},
		{"a number above the field", "61 * * * *", []string{`minute "61": must be within 0-59`}},
		{"a number below the field", "0 0 0 * *", []string{`day of month "0": must be within 1-31`}},
		{"a number that overflows", "18446744073709551617 * * * *", []string{`minute "18446744073709551617": must be within 0-59`}},
		{"a negative number", "-5 * * * *", []string{`minute "-5": must be within 0-59`}},
		{"a plus sign", "+5 * * * *", []string{`minute "+5": must be within 0-59`}},
		{"the wrong kind of name", "0 0 * MON *", []string{`month "MON": must be within 1-12 or JAN-DEC`}},
		{"a name in full", "0 0 * * monday", []string{`day of week "monday": must be within 0-7 or SUN-SAT`}},
		{"a range from end to start", "50-10 * * * *", []string{`minute "50-10": ` + never}},
		{"weekdays past Saturday", "0 0 * * FRI-MON", []string{`day of week "FRI-MON": ` + never}},
		{"weekdays up to Sunday", "0 0 * * FRI-SUN", []string{`day of week "FRI-SUN": ` + never + "; a range ends on Sunday with 7, as in 5-7"}},
		{"a range of three", "1-2-3 * * * *", []string{`minute "1-2-3": must be within 0-59`}},
		{"a range from a star", "*-5 * * * *", []string{`minute "*-5": must be within 0-59`}},
		{"a range without end", "5- * * * *", []string{`minute "5-": must be within 0-59`}},
		{"a step of zero", "*/0 * * * *", []string{`minute "*/0": step must be within 1-59`}},
		{"an empty step", "*/ * * * *", []string{`minute "*/": step must be within 1-59`}},
		{"a negative step", "*/-5 * * * *", []string{`minute "*/-5": step must be within 1-59`}},
		{"a named step", "0 0 * */FEB *", []string{`month "*/FEB": step must be within 1-12`}},
		{"two steps", "*/5/5 * * * *", []string{`minute "*/5/5": step must be within 1-59`}},
		{"a step longer than the hour", "*/90 * * * *", []string{`minute "*/90": step must be within 1-59`}},
		{"empty list entries, told once", ",1,,2 * * * *", []string{`minute ",1,,2": must not have an empty list entry`}},
		{"a range to the last day", "0 0 29-L * *", []string{`day of month "29-L": ` + last}},
		{"a step from the last day", "0 0 L/2 * *", []string{`day of month "L/2": ` + last}},
		{"a day before each first one", "0 0 L-31 * *", []string{`day of month "L-31": ` + last}},
		{"a nearest weekday of a range", "0 0 1-7W * *", []string{`day of month "1-7W": ` + last}},
		{"a last day of no weekday", "0 0 * * L", []string{`day of week "L": ` + lastDay}},
		{"a last day of a weekday that is none", "0 0 * * L8", []string{`day of week "L8": ` + lastDay}},
		{"a last Friday and a step", "0 0 * * FRIL/2", []string{`day of week "FRIL/2": ` + lastDay}},
		{"a sixth Monday", "0 0 * * 1#6", []string{`day of week "1#6": ` + nthDay}},
		{"the first of some weekdays", "0 0 * * MON-FRI#1", []string{`day of week "MON-FRI#1": ` + nthDay}},
		{"a last minute", "L * * * *", []string{`minute "L": L (last) is for day of month and day of week only`}},
		{"a nearest weekday among weekdays", "0 0 * * W", []string{`day of week "W": W (the nearest weekday) is for day of month only`}},
		{"a third date", "0 0 5#3 * *", []string{`day of month "5#3": # (the nth weekday of a month) is for day of week only`}},
		{"a hash", "H H/3 * * *", []string{`minute "H": ` + hashed, `hour "H/3": ` + hashed}},
		{"a question mark for minutes", "? * * * *", []string{`minute "?": ? is for day of month and day of week only; write *`}},
		{"a question mark with a step", "0 0 ?/2 * *", []string{`day of month "?/2": ? must stand alone`}},
		{"a date that does not exist", "0 0 31 FEB,4-6/2 *", []string{`day of month "31": never comes in month "FEB,4-6/2"`}},
		{"a date that does not exist, on a starred weekday", "0 0 30 2 */2", []string{`day of month "30": never comes in month "2"`}},
		{"a date that never has the weekday", "0 0 */30 * MON#2", []string{`day of month "*/30": never falls on day of week "MON#2" in month "*"`}},
		{"a weekday nearest a date that does not exist", "0 0 30W 2 *", []string{`day of month "30W": never comes in month "2"`}},
		{"every fault of every field at once", "60,x 61 24 0 13 9", []string{
			`second "60": must be within 0-59`,
			`second "x": must be within 0-59`,
			`minute "61": must be within 0-59`,
			`hour "24": must be within 0-23`,
			`day of month "0": must be within 1-31`,
			`month "13": must be within 1-12 or JAN-DEC`,
			`day of week "9": must be within 0-7 or SUN-SAT`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := cron.Parse(tt.expr, nil)
			require.Error(t, err)
			assert.Nil(t, s)
			assert.Equal(t, tt.want, strings.Split(err.Error(), "\n"))
			var fault *cron.FieldError
			assert.True(t, errors.As(err, &fault), "every fault is a FieldError")
		})
	}
}

func TestParse_ReadsEachWayOfWritingTheSame(t *testing.T) {
	tests := []struct{ name, expr, same string }{
		{"seconds left out are zero", "5 4 * * *", "0 5 4 * * *"},
		{"white space does not matter", " \t*/5  *\t* * * \n", "*/5 * * * *"},
		{"names are numbers", "0 0 * jan,Jul mOn-fri", "0 0 * 1,7 1-5"},
		{"zeros may lead", "05 009 01 * *", "5 9 1 * *"},
		{"7 is Sunday", "0 0 * * 7", "0 0 * * 0"},
		{"a range may end on Sunday", "0 0 * * 5-7", "0 0 * * FRI,SAT,SUN"},
		{"all eight numbers are seven days", "0 0 * * 0-7", "0 0 * * *"},
		{"a step from a value goes to the end", "5/15 * * * *", "5-59/15 * * * *"},
		{"a step from a weekday ends on Saturday", "0 0 * * 1/2", "0 0 * * 1,3,5"},
		{"a step over numbered weekdays reaches Sunday", "0 0 * * 1-7/2", "0 0 * * 0,1,3,5"},
		{"a question mark is a star", "0 0 ? * ?", "0 0 * * *"},
		{"a question mark lets the other field decide", "0 0 ? * MON", "0 0 * * MON"},
		{"a step of one changes nothing", "*/1 * */1 * 3", "* * * * 3"},
		{"lists may overlap", "1-5,3,4-6 * * * *", "1-6 * * * *"},
		{"L before and after the weekday", "0 0 * * L5,lmon", "0 0 * * FRIL,1l"},
		{"7 is Sunday with L and # too", "0 0 * * 7L,7#1", "0 0 * * SUNL,0#1"},
		{"no day before the last is the last", "0 0 L-0,l-0w * *", "0 0 lw,L * *"},
		{"five of a weekday are all", "0 0 * * 1#1,1#2,1#3,1#4,1#5,1L", "0 0 * * MON"},
		{"a third Friday is among the Fridays", "0 0 * * 5,5#3,6#3", "0 0 * * 6#3,5"},
		{"a last day is among all", "0 0 1-31,L,5W * *", "0 0 1-31 * *"},
		{"@hourly", "@hourly", "0 * * * *"},
		{"@daily", "@DAILY", "0 0 * * *"},
		{"@midnight", "@midnight", "0 0 * * *"},
		{"@weekly", "@weekly", "0 0 * * 0"},
		{"@monthly", "@monthly", "0 0 1 * *"},
		{"@yearly", "@yearly", "0 0 1 1 *"},
		{"@annually", "@annually", "0 0 1 1 *"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := parse(t, tt.expr, nil), parse(t, tt.same, nil)
			assert.Equal(t, strings.TrimSpace(tt.expr), a.String(), "the expression stays as it was written")
			assert.Equal(t, b.Describe(), a.Describe())
			from := at(t, "2024-02-27T11:07:33Z")
			assert.Equal(t, upcoming(b, from, 20), upcoming(a, from, 20))
		})
	}
}

func TestNext(t *testing.T) {
	tests := []struct {
		name, expr, from string
		want             []string
	}{
		{"a time asked about is not returned", "0 9 * * *", "2024-05-01T09:00:00Z", []string{"2024-05-02T09:00:00Z"}},
		{"a fraction of a second before is enough", "0 9 * * *", "2024-05-01T08:59:59.999999999Z", []string{"2024-05-01T09:00:00Z"}},
		{"a fraction of a second after is too late", "* * * * * *", "2024-05-01T09:00:00.000000001Z", []string{"2024-05-01T09:00:01Z"}},
		{"a step that does not divide the hour starts again", "*/25 * * * *", "2024-05-01T09:49:00Z",
			[]string{"2024-05-01T09:50:00Z", "2024-05-01T10:00:00Z"}},
		{"two restricted days are alternatives", "0 0 13 * FRI", "2024-09-10T00:00:00Z",
			[]string{"2024-09-13T00:00:00Z", "2024-09-20T00:00:00Z", "2024-09-27T00:00:00Z", "2024-10-04T00:00:00Z", "2024-10-11T00:00:00Z", "2024-10-13T00:00:00Z"}},
		{"a day of month with a starred step must hold too", "0 0 */2 * FRI", "2024-09-10T00:00:00Z",
			[]string{"2024-09-13T00:00:00Z", "2024-09-27T00:00:00Z", "2024-10-11T00:00:00Z"}},
		{"a day of week with a starred step must hold too", "0 0 1-3 * */3", "2024-09-10T00:00:00Z",
			[]string{"2024-10-02T00:00:00Z", "2024-11-02T00:00:00Z", "2024-11-03T00:00:00Z"}},
		{"a star further on in the list is none", "0 0 1,* * FRI", "2024-09-10T00:00:00Z", []string{"2024-09-11T00:00:00Z"}},
		{"a full range is no star", "0 0 1-31 * FRI", "2024-09-10T00:00:00Z", []string{"2024-09-11T00:00:00Z"}},
		{"months without the day are left out", "0 0 31 * *", "2024-01-31T00:00:00Z", []string{"2024-03-31T00:00:00Z", "2024-05-31T00:00:00Z"}},
		{"a weekday saves a date that does not exist", "0 0 31 2 MON", "2024-01-01T00:00:00Z", []string{"2024-02-05T00:00:00Z"}},
		{"leap days are eight years apart around 2100", "0 0 29 2 *", "2096-02-29T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		{"leap days on a Sunday are up to 40 years apart", "0 0 29 2 */7", "2088-02-29T00:00:00Z", []string{"2128-02-29T00:00:00Z"}},
		{"the last second of the last year", "* * * * * *", "9999-12-31T23:59:58Z", []string{"9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"}},
		{"the last day of a month", "0 0 L * *", "2024-02-01T00:00:00Z", []string{"2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z", "2024-04-30T00:00:00Z"}},
		{"thirty days before the last", "0 0 L-30 * *", "2024-01-02T00:00:00Z", []string{"2024-03-01T00:00:00Z", "2024-05-01T00:00:00Z"}},
		{"a nearest weekday stays in its month", "0 0 1W,31W * *", "2024-05-31T00:00:00Z",
			[]string{"2024-06-03T00:00:00Z", "2024-07-01T00:00:00Z", "2024-07-31T00:00:00Z", "2024-08-01T00:00:00Z", "2024-08-30T00:00:00Z"}},
		{"the last weekday", "0 0 LW * *", "2024-05-01T00:00:00Z", []string{"2024-05-31T00:00:00Z", "2024-06-28T00:00:00Z", "2024-07-31T00:00:00Z"}},
		{"the last Friday or the 13th", "0 0 13 * 5L", "2024-05-14T00:00:00Z", []string{"2024-05-31T00:00:00Z", "2024-06-13T00:00:00Z", "2024-06-28T00:00:00Z"}},
		{"a fifth Monday is not in each month", "0 0 * * MON#5", "2024-01-01T00:00:00Z", []string{"2024-01-29T00:00:00Z", "2024-04-29T00:00:00Z", "2024-07-29T00:00:00Z"}},
		{"leap days on a Monday, past a year that is none", "0 0 */28 2 1#5", "2072-02-29T00:00:00Z", []string{"2112-02-29T00:00:00Z"}},
		{"never again", "0 0 29 2 *", "9996-02-29T00:00:00Z", []string{"0001-01-01T00:00:00Z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, next := range upcoming(parse(t, tt.expr, nil), at(t, tt.from), len(tt.want)) {
				got = append(got, next.Format(time.RFC3339Nano))
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestNext_FollowsTheClocksOfItsLocation(t *testing.T) {
	tests := []struct {
		name string
		loc  *time.Location
		want string
	}{
		{"no location is UTC", nil, "2024-07-01T09:00:00Z"},
		{"a location of the zone database", location(t, "Europe/Berlin"), "2024-07-01T09:00:00+02:00"},
		{"a fixed offset without a name", time.FixedZone("", 20700), "2024-07-01T09:00:00+05:45"},
		{"a fixed offset whose name is nobody's", time.FixedZone("office hours", -9000), "2024-07-01T09:00:00-02:30"},
		{"a fixed offset with the name of a zone that has a summer time", time.FixedZone("CET", 3600), "2024-07-01T09:00:00+01:00"},
		{"a fixed offset with the name of the machine's zone", time.FixedZone("Local", 3600), "2024-07-01T09:00:00+01:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, "0 9 * * *", tt.loc)
			next := s.Next(at(t, "2024-06-30T23:00:00Z"))
			assert.Equal(t, tt.want, next.Format(time.RFC3339))
			assert.Same(t, s.Location(), next.Location())
		})
	}
	t.Run("the location of the machine", func(t *testing.T) {
		next := parse(t, "0 9 * * *", time.Local).Next(at(t, "2024-06-30T23:00:00Z"))
		assert.Equal(t, 9, next.Hour())
		assert.Same(t, time.Local, next.Location())
	})
}

func TestNext_LeavesTheMonotonicClockBehind(t *testing.T) {
	now := time.Now()
	next := parse(t, "* * * * * *", time.Local).Next(now)
	assert.Equal(t, next.Round(0), next, "a result must compare with == as one read from a store does")
}

func TestNext_DoesNotAllocate(t *testing.T) {
	s := parse(t, "30 9 13 * MON-FRI", location(t, "Europe/Berlin"))
	from := at(t, "2024-06-30T23:00:00Z")
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Next(from) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Latest(from) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Count(from, from.AddDate(1, 0, 0)) }))
}

func TestSchedule_MayBeSharedByGoroutines(t *testing.T) {
	s := parse(t, "*/7 9-17 */2 * MON-FRI", location(t, "Europe/Berlin"))
	from := at(t, "2024-06-30T23:00:00Z")
	want := upcoming(s, from, 50)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			assert.Equal(t, want, upcoming(s, from, 50))
			assert.NotEmpty(t, s.Describe())
		})
	}
	wg.Wait()
}

func parse(t testing.TB, expr string, loc *time.Location) *cron.Schedule {
	t.Helper()
	s, err := cron.Parse(expr, loc)
	require.NoError(t, err)
	return s
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return parsed
}

func upcoming(s *cron.Schedule, after time.Time, n int) []time.Time {
	var times []time.Time
	for range n {
		after = s.Next(after)
		times = append(times, after)
	}
	return times
}
