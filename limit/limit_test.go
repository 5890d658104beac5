package limit_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet/limit"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLimit_Validate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limit  limit.Limit
		fields []string
	}{
		{"nothing but a key is right", limit.Limit{Key: "k"}, nil},
		{"a rate alone is right", limit.Limit{Requests: 100, Per: time.Minute}, nil},
		{"a rate with all there is is right", limit.Limit{Key: "k", Requests: 100, Per: time.Minute, Burst: 5, Concurrent: 2}, nil},
		{"a rate needs its time", limit.Limit{Requests: 100}, []string{"per"}},
		{"a time needs its number", limit.Limit{Per: time.Second}, []string{"per"}},
		{"a burst needs a rate", limit.Limit{Burst: 2}, []string{"burst"}},
		{"a day is the longest time", limit.Limit{Requests: 1, Per: 25 * time.Hour}, []string{"per"}},
		{"all faults are told at once", limit.Limit{Key: "a\nb", Requests: -1, Burst: -1, Concurrent: -1}, []string{"key", "requests", "burst", "concurrent"}},
		{"a key has an end", limit.Limit{Key: strings.Repeat("k", 201)}, []string{"key"}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.fields, faultyFields(tc.limit.Validate())) })
	}
}

func TestBreaker_Validate(t *testing.T) {
	for _, tc := range []struct {
		name    string
		breaker limit.Breaker
		fields  []string
	}{
		{"the zero value is right", limit.Breaker{}, nil},
		{"none is right", limit.Breaker{Failures: limit.NoBreaker}, nil},
		{"a number and a pause are right", limit.Breaker{Failures: 3, Pause: time.Second}, nil},
		{"all faults are told at once", limit.Breaker{Failures: -2, Pause: time.Millisecond}, []string{"failures", "pause"}},
		{"six hours are the longest pause", limit.Breaker{Pause: 6*time.Hour + 1}, []string{"pause"}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.fields, faultyFields(tc.breaker.Validate())) })
	}
}

func faultyFields(err error) []string {
	if err == nil {
		return nil
	}
	var fields []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		if fault, ok := errors.AsType[*limit.FaultError](e); ok {
			fields = append(fields, fault.Field)
		}
	}
	return fields
}

func TestLimit_DurationsAreTextInJSON(t *testing.T) {
	l := limit.Limit{Key: "k", Requests: 90, Per: 90 * time.Second, Burst: 2, Concurrent: 3}
	b := limit.Breaker{Failures: 5, Pause: time.Minute}
	for _, tc := range []struct {
		value any
		read  func([]byte) (any, error)
		text  string
	}{
		{l, read[limit.Limit], `{"key":"k","requests":90,"per":"1m30s","burst":2,"concurrent":3}`},
		{limit.Limit{}, read[limit.Limit], `{}`},
		{b, read[limit.Breaker], `{"failures":5,"pause":"1m0s"}`},
		{limit.Breaker{}, read[limit.Breaker], `{}`},
	} {
		written, err := json.Marshal(tc.value)
		require.NoError(t, err)
		assert.JSONEq(t, tc.text, string(written))
		back, err := tc.read(written)
		require.NoError(t, err)
		assert.Equal(t, tc.value, back)
	}
}

func read[T any](b []byte) (any, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}
