package fetch

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestExplain_OnlyWhatIsOutOfTimeIsToldAsThat(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for name, tc := range map[string]struct {
		ends  func(stop context.CancelCauseFunc)
		kind  Kind
		cause error
	}{
		"its time is over":                         {func(context.CancelCauseFunc) { time.Sleep(30 * time.Second) }, KindTimeout, outOfTime(30 * time.Second)},
		"no byte comes":                            {func(stop context.CancelCauseFunc) { stop(idleError(time.Second)) }, KindTimeout, idleError(time.Second)},
		"no byte comes until its time is over":     {func(stop context.CancelCauseFunc) { stop(idleError(time.Second)); time.Sleep(time.Minute) }, KindTimeout, idleError(time.Second)},
		"it is stopped as nothing more is wanted":  {func(stop context.CancelCauseFunc) { stop(nil) }, KindProtocol, reset},
		"nothing has ended it but what went wrong": {func(context.CancelCauseFunc) {}, KindProtocol, reset},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const timeout = 30 * time.Second
				limited, cancel := context.WithTimeoutCause(t.Context(), timeout, outOfTime(timeout))
				defer cancel()
				bounded, stop := context.WithCancelCause(limited)
				defer stop(nil)
				conv := &conversation{request: Request{Timeout: timeout}, caller: t.Context(), bounded: bounded, stop: stop}
				tc.ends(stop)
				kind, cause := conv.explain(&url.Error{Op: "Get", URL: "http://api.example", Err: reset})
				assert.Equal(t, tc.kind, kind)
				assert.Equal(t, tc.cause, cause)
			})
		})
	}
}
