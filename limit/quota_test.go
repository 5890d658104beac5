package limit_test

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet/limit"
	"github.com/stretchr/testify/assert"
)

func TestReadQuota(t *testing.T) {
	now := time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)
	in := func(remaining int, d time.Duration) limit.Quota {
		return limit.Quota{Remaining: remaining, Reset: now.Add(d)}
	}
	nothing := limit.Quota{}
	for _, tc := range []struct {
		name   string
		header []string // name, value, ...
		want   limit.Quota
	}{
		{"the current form", []string{"RateLimit", `"default";r=50;t=30`}, in(50, 30*time.Second)},
		{"of several policies the tightest", []string{"RateLimit", `"hour";r=500;t=3000, "minute";r=0;t=7`}, in(0, 7*time.Second)},
		{"of several that are as tight the one that lasts", []string{"RateLimit", `"a";r=0;t=7, "b";r=0;t=70`}, in(0, 70*time.Second)},
		{"a policy in each line", []string{"RateLimit", `"a";r=9;t=7`, "RateLimit", `"b";r=1;t=70`}, in(1, 70*time.Second)},
		{"without a time, the policy's window", []string{"RateLimit", `"default";r=0`, "RateLimit-Policy", `"other";q=1;w=5, "default";q=100;w=60`}, in(0, time.Minute)},
		{"a name that is a token", []string{"RateLimit", `default;r=3;t=9`}, in(3, 9*time.Second)},
		{"without a time and a window, nothing", []string{"RateLimit", `"default";r=0`}, nothing},
		{"the form of earlier drafts", []string{"RateLimit", "limit=100, remaining=50, reset=30"}, in(50, 30*time.Second)},
		{"three headers of older drafts", []string{"RateLimit-Limit", "100", "RateLimit-Remaining", "7", "RateLimit-Reset", "12"}, in(7, 12*time.Second)},
		{"the current form before the older one", []string{"RateLimit", `"a";r=1;t=1`, "RateLimit-Remaining", "7", "RateLimit-Reset", "12"}, in(1, time.Second)},
		{"rubbish in the current form, then the older one", []string{"RateLimit", `;;;`, "RateLimit-Remaining", "7", "RateLimit-Reset", "12"}, in(7, 12*time.Second)},
		{"several windows in the older form, of which the first counts", []string{"RateLimit-Remaining", "7, 100;w=60", "RateLimit-Reset", "12"}, in(7, 12*time.Second)},
		{"GitHub: seconds since 1970", []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(now.Unix() + 1800)}, in(0, 30*time.Minute)},
		{"by the API's own clock, which is wrong", []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(now.Unix() + 1800),
			"Date", now.Add(10 * time.Minute).Format(http.TimeFormat)}, in(0, 20*time.Minute)},
		{"milliseconds since 1970", []string{"X-RateLimit-Remaining", "5", "X-RateLimit-Reset", fmt.Sprint(now.UnixMilli() + 1500)}, in(5, 1500*time.Millisecond)},
		{"seconds from now", []string{"X-RateLimit-Remaining", "5", "X-RateLimit-Reset", "90"}, in(5, 90*time.Second)},
		{"parts of a second", []string{"X-RateLimit-Remaining", "5", "X-RateLimit-Reset", "0.25"}, in(5, 250*time.Millisecond)},
		{"a date", []string{"X-RateLimit-Remaining", "5", "X-RateLimit-Reset", "Sun, 29 Mar 2026 10:05:00 GMT"}, in(5, 5*time.Minute)},
		{"a date by RFC 3339", []string{"X-RateLimit-Remaining", "5", "X-RateLimit-Reset", "2026-03-29T12:05:00+02:00"}, in(5, 5*time.Minute)},
		{"another spelling", []string{"X-Rate-Limit-Remaining", "5", "X-Rate-Limit-Reset", "60"}, in(5, time.Minute)},
		{"a month is taken as a day", []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(now.AddDate(0, 1, 0).Unix())}, in(0, 24*time.Hour)},
		{"more than anybody calls", []string{"X-RateLimit-Remaining", "1e300", "X-RateLimit-Reset", "60"}, in(math.MaxInt32, time.Minute)},
		{"what has passed says nothing", []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(now.Unix() - 1)}, nothing},
		{"zero seconds say nothing", []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "0"}, nothing},
		{"a limit alone says nothing", []string{"X-RateLimit-Limit", "100"}, nothing},
		{"without a reset, nothing", []string{"X-RateLimit-Remaining", "0"}, nothing},
		{"negative numbers say nothing", []string{"X-RateLimit-Remaining", "-1", "X-RateLimit-Reset", "-1", "RateLimit", `"a";r=-1;t=-1`}, nothing},
		{"no numbers say nothing", []string{"X-RateLimit-Remaining", "NaN", "X-RateLimit-Reset", "soon"}, nothing},
		{"a reset that never comes says nothing", []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "Inf"}, nothing},
		{"no end of calls says nothing", []string{"X-RateLimit-Remaining", "Inf", "X-RateLimit-Reset", "60"}, nothing},
		{"no headers say nothing", nil, nothing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			for i := 0; i < len(tc.header); i += 2 {
				h.Add(tc.header[i], tc.header[i+1])
			}
			q, ok := limit.ReadQuota(h, now)
			assert.Equal(t, tc.want != nothing, ok)
			assert.Equal(t, tc.want.Remaining, q.Remaining)
			assert.WithinDuration(t, tc.want.Reset, q.Reset, time.Millisecond)
		})
	}
}

func FuzzReadQuota(f *testing.F) {
	for _, seed := range [][4]string{
		{`"default";r=50;t=30`, `"default";q=100;w=60`, "0", "60"},
		{"limit=100, remaining=50, reset=30", "", "7, 10;w=60", "1774778400"},
		{`a;r=1.5;t=-3, (1 2);r`, `"x";w=:AAAA:`, "1e400", "Sun, 29 Mar 2026 10:05:00 GMT"},
		{";", `"`, "NaN", "-Inf"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], "Sun, 29 Mar 2026 10:00:00 GMT")
	}
	now := time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, rateLimit, policy, remaining, reset, date string) {
		h := http.Header{"Ratelimit": {rateLimit}, "Ratelimit-Policy": {policy}, "Date": {date},
			"X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset}}
		q, ok := limit.ReadQuota(h, now)
		if ok && (q.Remaining < 0 || !q.Reset.After(now) || q.Reset.After(now.Add(limit.MaxWait))) {
			t.Errorf("%+v is no quota", q)
		}
		if !ok && q != (limit.Quota{}) {
			t.Errorf("%+v is said to say nothing", q)
		}
	})
}
