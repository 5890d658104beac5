package fetch

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name, value, date string
		want              time.Duration
	}{
		{"absent", "", "", 0},
		{"seconds", "3", "", 3 * time.Second},
		{"seconds in blanks", " 120 ", "", 2 * time.Minute},
		{"no seconds", "0", "", 0},
		{"a day", "86400", "", 24 * time.Hour},
		{"more than a day is a day", "86401", "", 24 * time.Hour},
		{"far more than a day is a day", "999999999", "", 24 * time.Hour},
		{"more digits than an integer holds", "99999999999999999999999999", "", 24 * time.Hour},
		{"negative", "-5", "", 0},
		{"signed", "+5", "", 0},
		{"a fraction", "1.5", "", 0},
		{"a word", "soon", "", 0},
		{"a date", "Sun, 01 Mar 2026 12:00:10 GMT", "", 10 * time.Second},
		{"an RFC 850 date", "Sunday, 01-Mar-26 12:00:10 GMT", "", 10 * time.Second},
		{"an asctime date", "Sun Mar  1 12:00:10 2026", "", 10 * time.Second},
		{"a date in the past", "Sun, 01 Mar 2026 11:00:00 GMT", "", 0},
		{"a date far ahead", "Sun, 01 Mar 2099 11:00:00 GMT", "", 24 * time.Hour},
		{"a date by the server's own clock", "Sun, 01 Mar 2026 09:00:30 GMT", "Sun, 01 Mar 2026 09:00:00 GMT", 30 * time.Second},
		{"a date beside a Date that is none", "Sun, 01 Mar 2026 12:00:10 GMT", "yesterday", 10 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			header := http.Header{}
			header.Set("Retry-After", row.value)
			header.Set("Date", row.date)
			assert.Equal(t, row.want, retryAfter(header, now))
		})
	}
}
