package cron_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDescribe(t *testing.T) {
	tests := []struct{ expr, want string }{
		// intervals
		{"* * * * *", "every minute"},
		{"*/15 * * * *", "every 15 minutes"},
		{"0,30 * * * *", "every 30 minutes"},
		{"0 * * * *", "every hour"},
		{"5 * * * *", "every hour at minute 5"},
		{"0 */6 * * *", "every 6 hours"},
		{"15 */2 * * *", "every 2 hours at minute 15"},
		{"@hourly", "every hour"},
		{"* * * * * *", "every second"},
		{"*/2 * * * * *", "every 2 seconds"},
		{"30 * * * * *", "at second 30 of every minute"},
		{"0 * * * * *", "every minute"},
		// steps that do not divide the hour or the day
		{"*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"},
		{"*/40 * * * *", "at minutes 0 and 40 of every hour"},
		{"*/59 * * * *", "at minutes 0 and 59 of every hour"},
		{"0 */5 * * *", "at 00:00, 05:00, 10:00, 15:00 and 20:00 every day"},
		{"0 */7 * * *", "at 00:00, 07:00, 14:00 and 21:00 every day"},
		{"5/15 * * * *", "at minutes 5, 20, 35 and 50 of every hour"},
		{"*/7 * * * * *", "at seconds 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every minute"},
		// times of day
		{"30 9 * * *", "every day at 09:30"},
		{"@daily", "every day at 00:00"},
		{"15 30 9 * * *", "every day at 09:30:15"},
		{"0 6,18 * * *", "at 06:00 and 18:00 every day"},
		{"0 1,2,3,5,7,11,13 * * *", "at 01:00, 02:00, 03:00, 05:00, 07:00, 11:00 and 13:00 every day"},
		{"*/20 9 * * *", "at 09:00, 09:20 and 09:40 every day"},
		{"0,30 0 9 * * *", "at 09:00:00 and 09:00:30 every day"},
		// parts of the day
		{"* 9 * * *", "every minute from 09:00 to 09:59"},
		{"*/5 9-17 * * 1-5", "every 5 minutes from 09:00 to 17:59 on weekdays"},
		{"0 9-17 * * 1-5", "every hour from 09:00 to 17:00 on weekdays"},
		{"5 9-17 * * *", "every hour from 09:05 to 17:05"},
		{"*/10 6,18 * * *", "every 10 minutes in the hours starting at 06:00 and 18:00"},
		{"0-29,45 * * * *", "at minutes 0-29 and 45 of every hour"},
		{"3,33 8-20 * * *", "at minutes 3 and 33 of every hour from 08:00 to 20:59"},
		{"3,33 */2 * * *", "at minutes 3 and 33 of the hours starting at 00:00, 02:00, 04:00, 06:00, 08:00, 10:00, 12:00, 14:00, 16:00, 18:00, 20:00 and 22:00"},
		{"*/10 0 * * * *", "every 10 seconds within minute 0 of every hour"},
		{"*/10 * 9-17 * * *", "every 10 seconds from 09:00:00 to 17:59:59"},
		{"30 */15 * * * *", "at second 30 of minutes 0, 15, 30 and 45 of every hour"},
		{"0,7 * 9 * * *", "at seconds 0 and 7 of every minute from 09:00:00 to 09:59:59"},
		// days
		{"30 9 * * 1-5", "at 09:30 on weekdays"},
		{"0 10 * * 6,0", "at 10:00 on weekends"},
		{"@weekly", "at 00:00 on Sundays"},
		{"0 8 * * 7,1,3", "at 08:00 on Mondays, Wednesdays and Sundays"},
		{"@monthly", "at 00:00 on the 1st of every month"},
		{"0 0 2,3,11-13,21-22 * *", "at 00:00 on the 2nd, 3rd, 11th-13th, 21st and 22nd of every month"},
		{"0 0 31 4,6,7 *", "at 00:00 on the 31st of April, June and July, where there is one"},
		{"0 0 31 7 *", "at 00:00 on the 31st of July"},
		{"0 0 29 2 *", "at 00:00 on the 29th of February, where there is one"},
		{"0 0 31 * *", "at 00:00 on the 31st of every month that has one"},
		{"@yearly", "at 00:00 on the 1st of January"},
		{"0 0 1 */6 *", "at 00:00 on the 1st of January and July"},
		{"0 12 * 6-8 *", "every day at 12:00 in June, July and August"},
		{"*/30 * * 12 *", "every 30 minutes in December"},
		{"0 12 * 1 MON", "at 12:00 on Mondays in January"},
		{"* * 24 12 *", "every minute on the 24th of December"},
		// days that depend on the month
		{"0 0 L * *", "at 00:00 on the last day of every month"},
		{"0 0 1,15,L-1,L 2 *", "at 00:00 on the 1st, 15th, last day and 2nd-to-last day of February"},
		{"0 0 L-30 * *", "at 00:00 on the 31st-to-last day of every month that has one"},
		{"0 9 15W,LW * *", "at 09:00 on the weekday nearest the 15th and last weekday of every month"},
		{"0 9 30W * *", "at 09:00 on the weekday nearest the 30th of every month that has one"},
		{"0 9 L-3W * *", "at 09:00 on the weekday nearest the 4th-to-last day of every month"},
		{"0 0 * * 6#3", "at 00:00 on the 3rd Saturday of the month"},
		{"0 0 * 1,7 FRIL", "at 00:00 on the last Friday of January and July"},
		{"0 0 * * MON,6#3,6L,0#3", "at 00:00 on Mondays, the 3rd Saturday, the 3rd Sunday and the last Saturday of the month"},
		{"0 0 L * 5L", "at 00:00 on the last day of every month or on the last Friday of the month"},
		{"0 0 */2 * 5L,MON", "at 00:00 on Mondays or the last Friday of the month, where that is the 1st, 3rd, 5th, 7th, 9th, 11th, 13th, 15th, 17th, 19th, 21st, 23rd, 25th, 27th, 29th or 31st of every month"},
		// both fields of days
		{"0 0 1 * MON", "at 00:00 on the 1st of every month or on Mondays"},
		{"0 * 1,15 1 1-5", "every hour in January, on the 1st and 15th of the month or on weekdays"},
		{"0 0 */10 * MON", "at 00:00 on Mondays that fall on the 1st, 11th, 21st or 31st of every month"},
		{"0 0 1-7 5 */6", "at 00:00 on weekends that fall on the 1st-7th of May"},
		{"0 0 1-31 * MON", "every day at 00:00"},
		{"0 0 ? * MON", "at 00:00 on Mondays"},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			assert.Equal(t, tt.want, parse(t, tt.expr, nil).Describe())
		})
	}
}
