package fetch

import (
	"net/http"
	"strings"
	"time"
)

const maxRetryAfter = 24 * time.Hour

// retryAfter reads Retry-After (RFC 9110 10.2.3): a number of seconds, or a date. A date is taken
// relative to the answer's own Date, so that a wrong clock on either side does no harm. What is negative
// or cannot be read is 0; what is more than a day is a day.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		return seconds(value)
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return min(max(until.Sub(now), 0), maxRetryAfter)
}

// seconds reads digits of any length.
func seconds(digits string) time.Duration {
	var d time.Duration
	for _, digit := range digits {
		d = d*10 + time.Duration(digit-'0')*time.Second
		if d >= maxRetryAfter {
			return maxRetryAfter
		}
	}
	return d
}
