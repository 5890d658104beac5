package file

import (
	"bytes"
	"fmt"

	"github.com/callsheet-go/callsheet"
)

const (
	// firstFence is that of an execution's first worker. Nobody can be behind it, so that it need not be remembered.
	firstFence = 1
	// rememberedFences bounds what a lock remembers, in bytes: some hundred of the latest executions that had more than
	// one worker.
	rememberedFences = 64 << 10
)

func doneEntry(end int64, b callsheet.Batch) entry {
	return entry{end: end, execution: b.ExecutionID, chunk: b.Chunk, fence: b.Fence}
}

// refuseStale refuses a Batch, of whatever chunk, whose worker has a successor that delivered already.
func refuseStale(b callsheet.Batch, known int64) error {
	if b.Fence >= known {
		return nil
	}
	return &callsheet.ClassifiedError{Class: callsheet.ClassLostWorker,
		Err: fmt.Errorf("execution %s: %w (fence %d, and %d was seen)", b.ExecutionID, callsheet.ErrStaleFence, b.Fence, known)}
}

// heedFence refuses a stale Batch of mode PerExecution, and remembers a fence that is greater than those before.
// Files cannot tell by themselves who wrote them, so that the lock does: in lines such as a journal has.
func (d *Destination) heedFence(lock executionLock, b callsheet.Batch) error {
	if lock.size == 0 && b.Fence <= firstFence {
		return nil
	}
	text, err := readFrom(lock.File, 0, lock.size)
	if err != nil {
		return fmt.Errorf("read its lock %q: %w", d.journalPath(lock.name), err)
	}
	var known int64
	// What is damaged is forgotten, with what is behind it: it is a guard against a worker that should be gone, and no
	// reason to fail those that are not.
	whole, _ := parseEntries(text, func(e entry) {
		if e.execution == b.ExecutionID {
			known = max(known, e.fence)
		}
	})
	if err := refuseStale(b, known); err != nil || b.Fence == known || b.Fence <= firstFence {
		return err
	}
	text = text[:whole]
	if len(text) > rememberedFences {
		text = text[len(text)/2:]
		text = text[bytes.IndexByte(text, '\n')+1:]
		whole = 0
	}
	text = append(text, doneEntry(0, b).line()...)
	if _, err = lock.WriteAt(text[whole:], int64(whole)); err == nil {
		err = lock.Truncate(int64(len(text)))
	}
	if err == nil {
		err = d.syncFile(lock.File)
	}
	if err != nil {
		return fmt.Errorf("write its lock %q: %w", d.journalPath(lock.name), err)
	}
	return nil
}
