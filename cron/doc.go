// Package cron reads cron expressions, finds the times they stand for and says in English what
// they mean. It is pure arithmetic: it has no clock, does no I/O and starts no goroutine.
//
//	schedule, err := cron.Parse("30 9 * * MON-FRI", berlin)
//	next := schedule.Next(time.Now())
//	fmt.Println(schedule.Describe()) // at 09:30 on weekdays
//
// For planners that were away, [Schedule.Latest] is the last time until now and [Schedule.Count]
// how many there were; both jump, however long that is.
//
// # Expressions
//
// An expression has five fields, or six with the second first; without it the second is 0.
// Fields are separated by spaces or tabs.
//
//	field         values            also
//	second        0-59              only in expressions of six fields
//	minute        0-59
//	hour          0-23
//	day of month  1-31              ?, L, W
//	month         1-12 or JAN-DEC
//	day of week   0-7 or SUN-SAT    ?, L, #; 0 and 7 are Sunday
//
// Upper and lower case are the same, and numbers may have leading zeros. A field is a list of
// items with commas between them:
//
//	item      means
//	*         all values
//	?         the same as *, alone in a field
//	5         this value
//	1-5       these and those between
//	*/15      each 15th, from the lowest: 0, 15, 30 and 45 for minutes
//	10-40/15  each 15th of a range: 10, 25 and 40
//	5/15      the same as 5-59/15; on days of the week the last is Saturday
//
//	day of month  means
//	L             the last day of the month
//	L-3           three days before it; L-0 to L-30
//	15W           the weekday, Monday to Friday, nearest the 15th within the month
//	LW, L-3W      the weekday nearest the last day, or nearest three days before it
//
//	day of week   means
//	5L, FRIL, L5  the last Friday of the month
//	5#3, FRI#3    the third Friday of the month; from the first to the fifth
//
// In a month that has no such day, as most have no fifth Friday, that item stands for nothing.
// A list has what any of its items has: "5,5#3" is each Friday.
//
// A step starts again with each hour, day, month or week: */7 in minutes is 0, 7, … 56 and then 0,
// four minutes later. It is at most the field's highest value, so that */90, which elsewhere is
// once an hour without a word, is refused.
//
//	macro                  stands for
//	@hourly                0 * * * *
//	@daily, @midnight      0 0 * * *
//	@weekly                0 0 * * 0
//	@monthly               0 0 1 * *
//	@yearly, @annually     0 0 1 1 *
//
// # The two fields of days
//
// As in Vixie cron, a schedule fires on days which are in the day of month or in the day of week,
// unless one of these two fields starts with * or ?; then a day must be in both. So
// "0 0 13 * FRI" fires on each 13th and on each Friday, "0 0 * * FRI" on Fridays,
// and "0 0 */2 * FRI" on Fridays with an odd date. 1-31 is no star: "0 0 1-31 * FRI" fires daily.
//
// # What is refused
//
// [Parse] reports every fault it finds as a [*FieldError], and never guesses.
//
//	refused                       because
//	too few or too many fields    years, users and commands have no place in an expression
//	more than 1 KiB, not ASCII
//	TZ=… and CRON_TZ=…            the time zone has its own field
//	@every, @reboot               they count from the start of a process: not clock times
//	50-10, FRI-MON, FRI-SUN       start after end; write 50-59,0-10 and FRI-SAT,SUN-MON and 5-7
//	5-10-15, 1//2, 1,,2, *-5      not items
//	*/0, */60 in minutes          a step is within 1 and the field's highest value
//	-1, +5, 1.5                   only digits make a number
//	? in other fields, */5,?      ? is for days, and alone
//	MONDAY, SEPT                  names have three letters
//	L, W and # elsewhere          not in a range, with a step, or in another field
//	H, R                          values by hash or at random: a schedule should say when it runs
//	30 February                   it would never fire
//
// # Clock changes
//
// The rules are those of Debian's cron. A schedule whose minute or hour starts with * follows the
// clock: it fires whenever the clock of its location shows one of its times, which in the hour that
// is repeated in autumn is twice, and in the hour that is skipped in spring is never.
//
// Any other is a fixed-time job: it fires when the clock first reaches or passes one of its times.
//
//   - Times in the skipped hour are made up for at the first instant after it, once, however many
//     they are: "30 2 * * *" in New York fires at 03:00 on 10 March 2024.
//   - Of times in the repeated hour the first one counts: "30 1 * * *" in New York fires at
//     01:30 EDT on 3 November 2024 and not at 01:30 EST.
//
// That holds for changes of any size, at any time of day: half an hour on Lord Howe Island, a
// midnight that does not exist in Beirut, the day that Samoa left out.
//
// Debian's cron has no seconds. With six fields the minute and the hour decide as above and the second
// does not, so that "*/10 0 9 * * *" is a fixed-time job. Where a second is given, nothing is made
// up for if one of the schedule's regular times comes within as long as the clock skipped:
// "0 30 1-4 * * *" fires at 03:30 after 02:30 was skipped, and not at 03:00 as well.
//
// [Schedule.Explain] tells which rule applied to a time. For the rules with examples, and for what
// other implementations make of the same expressions, see docs/time.md.
//
// # Locations
//
// This package embeds the time zone database (time/tzdata), which package time falls back on where
// the machine has none.
package cron
