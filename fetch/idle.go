package fetch

import (
	"context"
	"fmt"
	"io"
	"time"
)

// idleError is the cause with which Request.IdleTimeout ends a conversation.
type idleError time.Duration

func (t idleError) Error() string { return fmt.Sprintf("no byte of the body for %s", time.Duration(t)) }

func (idleError) Unwrap() error { return context.DeadlineExceeded }

// idleBody is a body that may not keep its reader waiting for longer than limit.
type idleBody struct {
	io.ReadCloser
	limit time.Duration
	timer *time.Timer // stopped unless a Read is under way
}

func newIdleBody(body io.ReadCloser, limit time.Duration, stop context.CancelCauseFunc) *idleBody {
	timer := time.AfterFunc(limit, func() { stop(idleError(limit)) })
	timer.Stop()
	return &idleBody{body, limit, timer}
}

func (b *idleBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.limit)
	defer b.timer.Stop()
	return b.ReadCloser.Read(p)
}
