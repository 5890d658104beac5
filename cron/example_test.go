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
