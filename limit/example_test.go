package limit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/callsheet-go/callsheet/limit"
)

// Three calls under a limit of one a minute: the first may be made, the others are told when.
func ExampleNew() {
	limiter := limit.New()
	limits := []limit.Limit{{Key: "acme", Requests: 1, Per: time.Minute}}
	for _, holder := range []string{"orders", "stock", "prices"} {
		grant, err := limiter.Take(context.Background(), holder, limits)
		if err != nil {
			fmt.Println(err)
			return
		}
		if grant.Wait > 0 {
			fmt.Printf("%s waits %s for %s\n", holder, grant.Wait.Round(time.Second), grant.Key)
			continue
		}
		fmt.Println(holder, "calls")
		grant.Release()
	}
	// Output:
	// orders calls
	// stock waits 1m0s for acme
	// prices waits 2m0s for acme
}

// What an API says of its quota, and what follows from it for everybody who calls it.
func ExampleReadQuota() {
	answer := http.Header{}
	answer.Set("RateLimit", `"hour";r=840;t=1700, "minute";r=0;t=42`)
	quota, ok := limit.ReadQuota(answer, time.Now())
	fmt.Println(ok, quota.Remaining, "remaining")

	limiter := limit.New()
	limiter.Learn("acme", quota)
	grant, _ := limiter.Take(context.Background(), "orders", []limit.Limit{{Key: "acme"}})
	fmt.Println("the next call in", grant.Wait.Round(time.Second))
	// Output:
	// true 0 remaining
	// the next call in 42s
}

// An API that fails three times in a row is left alone for a minute.
func ExampleBreakers() {
	breakers := limit.NewBreakers(func(c limit.Circuit) { fmt.Printf("%s is %s: %s\n", c.Key, c.State, c.LastError) })
	settings := limit.Breaker{Failures: 3, Pause: time.Minute}
	for range 4 {
		done, wait := breakers.Allow("acme", settings)
		if wait > 0 {
			fmt.Println("the next call in", wait.Round(time.Second))
			continue
		}
		done(errors.New("status 500"))
	}
	// Output:
	// acme is open: status 500
	// the next call in 1m0s
}
