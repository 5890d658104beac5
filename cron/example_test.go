package cron_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/callsheet-go/callsheet/cron"
)

func ExampleParse() {
	_, err := cron.Parse("61 9 * * MON-FRY", time.UTC)
	fmt.Println(err)

	var fault *cron.FieldError
	if errors.As(err, &fault) {
		fmt.Println("the first fault is in the field:", fault.Field)
	}
	// Output:
	// minute "61": must be within 0-59
	// day of week "MON-FRY": must be within 0-7 or SUN-SAT
	// the first fault is in the field: minute
}

func ExampleSchedule_Next() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	schedule, err := cron.Parse("30 9 * * MON-FRI", berlin)
	if err != nil {
		fmt.Println(err)
		return
	}
	t := time.Date(2024, time.May, 2, 12, 0, 0, 0, time.UTC) // a Thursday
	for range 3 {
		t = schedule.Next(t)
		fmt.Println(t)
	}
	// Output:
	// 2024-05-03 09:30:00 +0200 CEST
	// 2024-05-06 09:30:00 +0200 CEST
	// 2024-05-07 09:30:00 +0200 CEST
}

func ExampleSchedule_Describe() {
	for _, expr := range []string{"*/15 * * * *", "0 9-17 * * MON-FRI", "0 0 1 * MON", "*/2 * * * * *"} {
		schedule, err := cron.Parse(expr, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(schedule.Describe())
	}
	// Output:
	// every 15 minutes
	// every hour from 09:00 to 17:00 on weekdays
	// at 00:00 on the 1st of every month or on Mondays
	// every 2 seconds
}

// In spring the clock of New York skips the hour from 02:00 to 03:00.
func ExampleSchedule_Next_skippedHour() {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, expr := range []string{"30 2 * * *", "*/30 * * * *"} {
		schedule, err := cron.Parse(expr, newYork)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(schedule.Describe())
		t := time.Date(2024, time.March, 10, 6, 15, 0, 0, time.UTC) // 01:15 EST
		for range 3 {
			t = schedule.Next(t)
			fmt.Println(" ", t)
		}
	}
	// Output:
	// every day at 02:30
	//   2024-03-10 03:00:00 -0400 EDT
	//   2024-03-11 02:30:00 -0400 EDT
	//   2024-03-12 02:30:00 -0400 EDT
	// every 30 minutes
	//   2024-03-10 01:30:00 -0500 EST
	//   2024-03-10 03:00:00 -0400 EDT
	//   2024-03-10 03:30:00 -0400 EDT
}

// In autumn the clock of New York shows the hour from 01:00 to 02:00 twice.
func ExampleSchedule_Next_repeatedHour() {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, expr := range []string{"30 1 * * *", "30 * * * *"} {
		schedule, err := cron.Parse(expr, newYork)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(schedule.Describe())
		t := time.Date(2024, time.November, 3, 5, 15, 0, 0, time.UTC) // 01:15 EDT
		for range 3 {
			t = schedule.Next(t)
			fmt.Println(" ", t)
		}
	}
	// Output:
	// every day at 01:30
	//   2024-11-03 01:30:00 -0400 EDT
	//   2024-11-04 01:30:00 -0500 EST
	//   2024-11-05 01:30:00 -0500 EST
	// every hour at minute 30
	//   2024-11-03 01:30:00 -0400 EDT
	//   2024-11-03 01:30:00 -0500 EST
	//   2024-11-03 02:30:00 -0500 EST
}

func ExampleSchedule_Explain() {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		fmt.Println(err)
		return
	}
	schedule, err := cron.Parse("30 1,2 * * *", newYork)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, date := range []string{"2024-03-10", "2024-11-03"} {
		t, err := time.ParseInLocation(time.DateOnly, date, newYork)
		if err != nil {
			fmt.Println(err)
			return
		}
		for range 2 {
			t = schedule.Next(t)
			rule, asked := schedule.Explain(t)
			fmt.Printf("%s: %s, for %s\n", t, rule, asked.Format("15:04 MST"))
		}
	}
	// Output:
	// 2024-03-10 01:30:00 -0500 EST: plain, for 01:30 EST
	// 2024-03-10 03:00:00 -0400 EDT: moved out of a gap, for 02:30 EST
	// 2024-11-03 01:30:00 -0400 EDT: first of a repeat, for 01:30 EDT
	// 2024-11-03 02:30:00 -0500 EST: plain, for 02:30 EST
}

// What a planner asks that was away: how many times were missed, and which was the last.
func ExampleSchedule_Count() {
	schedule, err := cron.Parse("* * * * *", time.UTC)
	if err != nil {
		fmt.Println(err)
		return
	}
	planned := time.Date(2014, time.May, 1, 7, 0, 0, 0, time.UTC)
	now := time.Date(2024, time.May, 1, 7, 0, 30, 0, time.UTC)
	fmt.Println("missed:", schedule.Count(planned, now))
	fmt.Println("first: ", schedule.Next(planned))
	fmt.Println("last:  ", schedule.Latest(now))
	// Output:
	// missed: 5260320
	// first:  2014-05-01 07:01:00 +0000 UTC
	// last:   2024-05-01 07:00:00 +0000 UTC
}
