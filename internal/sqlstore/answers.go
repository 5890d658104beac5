package sqlstore

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/callsheet-go/callsheet"
)

const answerColumns = `a.execution, a.fence, a.fetched_at, a.status, a.url, a.header, a.body, a.progress`

type answerRow struct {
	Execution string `db:"execution"`
	Fence     int64  `db:"fence"`
	FetchedAt moment `db:"fetched_at"`
	Status    int    `db:"status"`
	URL       string `db:"url"`
	Header    []byte `db:"header"`
	Body      []byte `db:"body"`
	Progress  string `db:"progress"`
}

func (r *answerRow) answer() (callsheet.Answer, error) {
	a := callsheet.Answer{ExecutionID: r.Execution, Fence: r.Fence, FetchedAt: r.FetchedAt.Time, Status: r.Status, URL: r.URL}
	var header http.Header
	if err := json.Unmarshal(r.Header, &header); err != nil {
		return a, err
	}
	a.Header = header
	progress, err := parsed[callsheet.Progress](r.Progress)
	if err != nil {
		return a, err
	}
	a.Progress = progress
	packed, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return a, err
	}
	a.Body, err = io.ReadAll(packed)
	return a, err
}

// packed returns the body compressed: fast rather than small, as it is written with every execution.
func packed(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// Keep implements [callsheet.WorkStore].
func (s *Store) Keep(ctx context.Context, a callsheet.Answer) error {
	const doing = "keep an answer"
	body, err := packed(a.Body) // not while rows are locked
	if err != nil {
		return err
	}
	header, err := json.Marshal(a.Header)
	if err != nil {
		return err
	}
	stale := false
	err = s.write(ctx, doing, func(t *tx) error {
		b := t.newBatch()
		if err := b.lockExecutions([]string{a.ExecutionID}); err != nil {
			return err
		}
		row := b.rows[a.ExecutionID]
		if stale = row == nil || !row.Held(a.Fence); stale {
			return b.countStale(1)
		}
		const statement = `
			INSERT INTO callsheet.answers AS a (execution, schedule, scheduled_at, succeeded, fence, fetched_at, status, url, header, body, progress)
			VALUES (?, ?, ?, false, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (execution) DO UPDATE
			   SET fence = excluded.fence, fetched_at = excluded.fetched_at, status = excluded.status, url = excluded.url,
			       header = excluded.header, body = excluded.body, progress = excluded.progress`
		_, err := t.exec(statement, a.ExecutionID, row.Schedule, row.ScheduledAt, a.Fence, kept(a.FetchedAt), a.Status, plain(a.URL), string(header), body, noted(a.Progress))
		return err
	})
	if err == nil && stale {
		return callsheet.ErrStaleFence
	}
	return said(err)
}

// Answer implements [callsheet.LedgerStore].
func (s *Store) Answer(ctx context.Context, executionID string) (callsheet.Answer, error) {
	var a callsheet.Answer
	err := s.read(ctx, "get an answer", func(t *tx) error {
		found, err := t.answersOf([]string{executionID})
		if err != nil {
			return err
		}
		var ok bool
		if a, ok = found[executionID]; !ok {
			return noExecution(executionID)
		}
		return nil
	})
	return a, said(err)
}

// answersOf returns the answers that are kept, by execution.
func (t *tx) answersOf(executions []string) (map[string]callsheet.Answer, error) {
	if len(executions) == 0 {
		return nil, nil
	}
	const query = `SELECT ` + answerColumns + ` FROM callsheet.answers a WHERE a.execution = ANY(?)`
	var rows []answerRow
	if err := t.all(&rows, query, executions); err != nil {
		return nil, err
	}
	found := make(map[string]callsheet.Answer, len(rows))
	for i := range rows {
		a, err := rows[i].answer()
		if err != nil {
			return nil, err
		}
		found[a.ExecutionID] = a
	}
	return found, nil
}

// answerFor is the execution whose answer an execution uses.
func answerFor(e *callsheet.Execution) string { return cmp.Or(e.AnswerOf, e.ID) }

// dropped says which answers are not wanted any more, now that executions have ended.
type dropped struct {
	executions []string       // whose answers go
	succeeded  []string       // that are one of their schedule's answers of succeeded executions
	keep       map[string]int // how many of those stay, by schedule
}

// ended notes the end of an execution; its Schedule is nil where there is none, or none that can be read.
func (d *dropped) ended(row *execution, sch *schedule) {
	switch {
	case row.State == callsheet.StateCancelled:
		d.executions = append(d.executions, row.ID)
	case row.State == callsheet.StateSucceeded && sch != nil:
		if d.keep == nil {
			d.keep = make(map[string]int)
		}
		d.keep[sch.ID] = sch.KeepAnswers
		if sch.KeepAnswers > 0 {
			d.succeeded = append(d.succeeded, row.ID)
		} else {
			d.executions = append(d.executions, row.ID)
		}
	}
}

type keepRecord struct {
	Schedule string `json:"schedule"`
	Keep     int    `json:"keep"`
}

// wanted is for answers that an open execution is to use. They go with a later end.
const wanted = `EXISTS (SELECT 1 FROM callsheet.executions o
			         WHERE o.answer_of = answers.execution AND o.answer_of <> '' AND o.state IN ('pending', 'running'))`

func (d *dropped) drop(t *tx) error {
	var none []string
	var some []keepRecord
	for id, keep := range d.keep {
		if keep > 0 {
			some = append(some, keepRecord{id, keep})
		} else {
			none = append(none, id)
		}
	}
	if len(d.executions)+len(none) > 0 {
		const remove = `
			DELETE FROM callsheet.answers
			 WHERE (execution = ANY(?) OR succeeded AND schedule = ANY(?)) AND NOT ` + wanted
		if _, err := t.exec(remove, d.executions, none); err != nil {
			return err
		}
	}
	if len(some) == 0 {
		return nil
	}
	const mark = `UPDATE callsheet.answers SET succeeded = true WHERE execution = ANY(?)`
	if _, err := t.exec(mark, d.succeeded); err != nil {
		return err
	}
	const trim = `
		DELETE FROM callsheet.answers
		 WHERE execution IN (
		       SELECT x.execution
		         FROM (SELECT a.execution, r.keep, row_number() OVER (PARTITION BY a.schedule ORDER BY a.scheduled_at DESC) AS place
		                 FROM json_to_recordset(?) AS r (schedule text, keep integer)
		                 JOIN callsheet.answers a ON a.schedule = r.schedule AND a.succeeded) x
		        WHERE x.place > x.keep)
		   AND NOT ` + wanted
	param := asRows(some)
	_, err := t.exec(trim, param)
	return err
}

func noExecution(id string) error {
	return answer{&callsheet.NotFoundError{Ref: callsheet.Ref{Kind: callsheet.KindExecution, ID: id}}}
}

func noRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }
