package limit

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// ReadQuota reads what an answer, received at now, says of its API's quota, and reports whether it says anything that
// can be used: how many calls remain, and until when. Headers are looked for in this order, and the first that
// can be used wins:
//
//   - RateLimit, with RateLimit-Policy, as in draft-ietf-httpapi-ratelimit-headers: "day";r=50;t=30. Of several policies
//     it is the one with the fewest calls left. A policy without t lasts at most as long as its window, w. The form of earlier drafts,
//     limit=100, remaining=50, reset=30, is read as well.
//   - RateLimit-Remaining and RateLimit-Reset.
//   - X-RateLimit-Remaining and X-RateLimit-Reset, also spelt X-Rate-Limit-….
//
// APIs do not agree on what a reset is. A number below 1,000,000,000 is seconds from now, a number below 100,000,000,000 is
// seconds since 1970, and what is larger milliseconds since then; or it is an HTTP date, or one by RFC 3339. Times since 1970 and dates are
// taken relative to the answer's own Date, so that a wrong clock on either side does no harm. A reset further away
// than [MaxWait] is taken to be that far. What cannot be read, and what has passed, says nothing.
//
// RetryAfter is left zero: who makes the call knows whether Retry-After is meant for it.
func ReadQuota(h http.Header, now time.Time) (Quota, bool) {
	if q, ok := readRateLimit(h, now); ok {
		return q, true
	}
	for _, prefix := range []string{"RateLimit-", "X-RateLimit-", "X-Rate-Limit-"} {
		remaining, known := count(h.Get(prefix + "Remaining"))
		if !known {
			continue
		}
		if q, ok := newQuota(remaining, resetIn(h.Get(prefix+"Reset"), h, now), now); ok {
			return q, true
		}
	}
	return Quota{}, false
}

// newQuota returns a Quota that ends after in.
func newQuota(remaining float64, in time.Duration, now time.Time) (Quota, bool) {
	if in <= 0 {
		return Quota{}, false
	}
	return Quota{Remaining: int(min(remaining, math.MaxInt32)), Reset: now.Add(min(in, MaxWait))}, true
}

// readRateLimit reads RateLimit as a list of policies, or as the dictionary that it was.
func readRateLimit(h http.Header, now time.Time) (tightest Quota, ok bool) {
	lines := h.Values("RateLimit")
	if len(lines) == 0 {
		return Quota{}, false
	}
	if old, err := httpsfv.UnmarshalDictionary(lines); err == nil {
		remaining, known := member(old, "remaining")
		in, dated := member(old, "reset")
		if known && dated {
			return newQuota(remaining, seconds(in), now)
		}
	}
	policies, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return Quota{}, false
	}
	windows := readWindows(h)
	for _, p := range policies {
		item, isItem := p.(httpsfv.Item)
		if !isItem {
			continue
		}
		remaining, known := param(item.Params, "r")
		in, dated := param(item.Params, "t")
		if !dated {
			in = windows[name(item)]
		}
		if !known {
			continue
		}
		q, usable := newQuota(remaining, seconds(in), now)
		if usable && (!ok || q.Remaining < tightest.Remaining || q.Remaining == tightest.Remaining && q.Reset.After(tightest.Reset)) {
			tightest, ok = q, true
		}
	}
	return tightest, ok
}

// readWindows returns the windows of RateLimit-Policy, in seconds, by name.
func readWindows(h http.Header) map[string]float64 {
	policies, err := httpsfv.UnmarshalList(h.Values("RateLimit-Policy"))
	if err != nil {
		return nil
	}
	windows := make(map[string]float64, len(policies))
	for _, p := range policies {
		if item, ok := p.(httpsfv.Item); ok {
			windows[name(item)], _ = param(item.Params, "w")
		}
	}
	return windows
}

// name is a policy's: a string, in earlier drafts a token.
func name(item httpsfv.Item) string {
	switch v := item.Value.(type) {
	case string:
		return v
	case httpsfv.Token:
		return string(v)
	}
	return ""
}

func member(d *httpsfv.Dictionary, key string) (float64, bool) {
	m, _ := d.Get(key)
	item, ok := m.(httpsfv.Item)
	if !ok {
		return 0, false
	}
	return number(item.Value)
}

func param(p *httpsfv.Params, key string) (float64, bool) {
	if p == nil {
		return 0, false
	}
	v, ok := p.Get(key)
	if !ok {
		return 0, false
	}
	return number(v)
}

// number is a structured value that is a number, and not negative.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), n >= 0
	case float64:
		return n, n >= 0
	}
	return 0, false
}

// count reads how many calls remain. Of several numbers, "3, 100;w=60", the first is the one that counts now.
func count(text string) (float64, bool) {
	end := strings.IndexFunc(text, func(r rune) bool { return r == ',' || r == ';' })
	if end >= 0 {
		text = text[:end]
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return n, err == nil && n >= 0 && !math.IsInf(n, 0) // which NaN is not
}

// The sizes by which a reset tells what it is.
const (
	leastEpoch       = 1e9  // 2001 in seconds; as seconds from now it would be 31 years
	leastEpochMillis = 1e11 // 1973 in milliseconds; as seconds it would be the year 5138
)

// resetIn reads in what time a window ends; zero where that cannot be read.
func resetIn(text string, h http.Header, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return dateIn(text, h, now)
	}
	switch {
	case !(n > 0), math.IsInf(n, 0): // NaN as well
		return 0
	case n < leastEpoch:
		return seconds(n)
	case n < leastEpochMillis:
		return seconds(n - epoch(h, now))
	}
	return seconds(n/1000 - epoch(h, now))
}

func dateIn(text string, h http.Header, now time.Time) time.Duration {
	at, err := http.ParseTime(text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		return 0
	}
	return at.Sub(answered(h, now))
}

// answered is the time by the clock of who answered.
func answered(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return now
}

func epoch(h http.Header, now time.Time) float64 {
	return float64(answered(h, now).UnixNano()) / float64(time.Second)
}

// seconds is so many seconds, MaxWait at most.
func seconds(n float64) time.Duration {
	return time.Duration(min(n, MaxWait.Seconds()) * float64(time.Second))
}
