// Package cron reads cron expressions, finds the times they stand for and says in English what
// they mean. It is pure arithmetic: it has no clock, does no I/O and starts no goroutine.
//
//	schedule, err := cron.Parse("30 9 * * MON-FRI", berlin)
//	next := schedule.Next(time.Now())
//	fmt.Println(schedule.Describe()) // at 09:30 on weekdays
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
//	day of month  1-31              ?
//	month         1-12 or JAN-DEC
//	day of week   0-7 or SUN-SAT    ?; 0 and 7 are Sunday
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
//	L, W, LW, #                   the last, the nearest and the nth day: not supported
//	H, R                          values by hash or at random: not supported
//	30 February                   it would never fire
//
// # Clock changes
//
// The calendar arithmetic is gocron's (robfig/cron) for now, and there is no rule of its own for
// clock changes. A schedule fires whenever the clock of its location shows one of its times:
//
//   - A time in the skipped hour does not happen that day. "30 2 * * *" in New York fires
//     on 9 and on 11 March 2024 and not on the 10th; a skipped midnight is left out as well.
//   - A time in the repeated hour happens twice. "30 1 * * *" in New York fires at 01:30 EDT and at
//     01:30 EST on 3 November 2024.
//   - All other times are not moved: "0 9 * * *" stays at 09:00.
//
// Vixie cron would run the first once, after the gap, and the second once.
package cron
