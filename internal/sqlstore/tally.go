package sqlstore

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/callsheet-go/callsheet"
)

// A tallyRecord is what is added to the tally of a schedule; what is pending and running is counted when it is asked for.
// The schedule ” has what belongs to none that is known any more.
type tallyRecord struct {
	Schedule    string `json:"schedule"`
	Succeeded   int64  `json:"succeeded"`
	Failed      int64  `json:"failed"`
	Cancelled   int64  `json:"cancelled"`
	Skipped     int64  `json:"skipped"`
	Missed      int64  `json:"missed"`
	Attempts    int64  `json:"attempts"`
	Bytes       int64  `json:"bytes"`
	Records     int64  `json:"records"`
	StaleWrites int64  `json:"stale_writes"`
}

type durationRecord struct {
	Schedule string `json:"schedule"`
	Bucket   int16  `json:"bucket"`
	Count    int64  `json:"count"`
}

// countAll adds to the tallies of schedules, in the order of their IDs: that of no schedule last, as forgetTallies adds others to it.
func (t *tx) countAll(tallies map[string]*callsheet.Tally) error {
	var counts []tallyRecord
	var durations []durationRecord
	ids := slices.Sorted(maps.Keys(tallies))
	if len(ids) > 0 && ids[0] == "" {
		ids = append(ids[1:], "")
	}
	for _, id := range ids {
		y := tallies[id]
		r := tallyRecord{
			Schedule: id, Succeeded: y.Succeeded, Failed: y.Failed, Cancelled: y.Cancelled, Skipped: y.Skipped,
			Missed: y.Missed, Attempts: y.Attempts, Bytes: y.Bytes, Records: y.Records, StaleWrites: y.StaleWrites,
		}
		if r != (tallyRecord{Schedule: id}) {
			counts = append(counts, r)
		}
		buckets, err := bucketsOf(y.Durations)
		if err != nil {
			return err
		}
		for _, bucket := range slices.Sorted(maps.Keys(buckets)) {
			durations = append(durations, durationRecord{id, bucket, buckets[bucket]})
		}
	}
	if len(counts) > 0 {
		const add = `
			INSERT INTO callsheet.tallies AS t (schedule, succeeded, failed, cancelled, skipped, missed, attempts, bytes, records, stale_writes)
			SELECT r.schedule, r.succeeded, r.failed, r.cancelled, r.skipped, r.missed, r.attempts, r.bytes, r.records, r.stale_writes
			  FROM json_to_recordset(?) AS r (schedule text, succeeded bigint, failed bigint, cancelled bigint, skipped bigint,
			       missed bigint, attempts bigint, bytes bigint, records bigint, stale_writes bigint)
			 WHERE true
			ON CONFLICT (schedule) DO UPDATE
			   SET succeeded = t.succeeded + excluded.succeeded, failed = t.failed + excluded.failed,
			       cancelled = t.cancelled + excluded.cancelled, skipped = t.skipped + excluded.skipped,
			       missed = t.missed + excluded.missed, attempts = t.attempts + excluded.attempts,
			       bytes = t.bytes + excluded.bytes, records = t.records + excluded.records,
			       stale_writes = t.stale_writes + excluded.stale_writes`
		param := asRows(counts)
		_, err := t.exec(add, param)
		if err != nil {
			return err
		}
	}
	if len(durations) == 0 {
		return nil
	}
	const add = `
		INSERT INTO callsheet.durations AS d (schedule, bucket, count)
		SELECT r.schedule, r.bucket, r.count
		  FROM json_to_recordset(?) AS r (schedule text, bucket integer, count bigint)
		 WHERE true
		ON CONFLICT (schedule, bucket) DO UPDATE
		   SET count = d.count + excluded.count`
	param := asRows(durations)
	_, err := t.exec(add, param)
	return err
}

// countStale counts writes that were refused because of their fence.
func (t *tx) countStale(n int64) error {
	return t.countAll(map[string]*callsheet.Tally{"": {StaleWrites: n}})
}

// A Histogram goes in and out by its JSON, which is what it has it for.

func bucketsOf(h callsheet.Histogram) (map[int16]int64, error) {
	if h.IsZero() {
		return nil, nil
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	var buckets map[int16]int64
	err = json.Unmarshal(text, &buckets)
	return buckets, err
}

func histogramOf(buckets map[int16]int64) (h callsheet.Histogram, err error) {
	if len(buckets) == 0 {
		return h, nil
	}
	text, err := json.Marshal(buckets)
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	return h, err
}

type tallyRow struct {
	Schedule    string `db:"schedule"`
	Succeeded   int64  `db:"succeeded"`
	Failed      int64  `db:"failed"`
	Cancelled   int64  `db:"cancelled"`
	Skipped     int64  `db:"skipped"`
	Missed      int64  `db:"missed"`
	Attempts    int64  `db:"attempts"`
	Bytes       int64  `db:"bytes"`
	Records     int64  `db:"records"`
	StaleWrites int64  `db:"stale_writes"`
}

func (r *tallyRow) tally() callsheet.Tally {
	return callsheet.Tally{
		Succeeded: r.Succeeded, Failed: r.Failed, Cancelled: r.Cancelled, Skipped: r.Skipped,
		Missed: r.Missed, Attempts: r.Attempts, Bytes: r.Bytes, Records: r.Records, StaleWrites: r.StaleWrites,
	}
}

type bucketRow struct {
	Schedule string `db:"schedule"`
	Bucket   int16  `db:"bucket"`
	Count    int64  `db:"count"`
}

type openRow struct {
	Schedule string          `db:"schedule"`
	State    callsheet.State `db:"state"`
	Count    int64           `db:"count"`
}

func (r openRow) add(y *callsheet.Tally) {
	if r.State == callsheet.StatePending {
		y.Pending += r.Count
	} else {
		y.Running += r.Count
	}
}

// Tally implements [callsheet.LedgerStore].
func (s *Store) Tally(ctx context.Context, q callsheet.StatsQuery) (total callsheet.Tally, page callsheet.Page[callsheet.ScheduleTally], err error) {
	err = s.read(ctx, "read tallies", func(t *tx) error {
		page = callsheet.Page[callsheet.ScheduleTally]{}
		ids, next, err := t.tallied(q)
		if err != nil {
			return err
		}
		page.Next = next
		own, err := t.talliesOf(ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			page.Items = append(page.Items, callsheet.ScheduleTally{Schedule: id, Tally: own[id]})
		}
		total, err = t.total()
		return err
	})
	return total, page, said(err)
}

// tallied returns the IDs of a page of schedules.
func (t *tx) tallied(q callsheet.StatsQuery) (ids []string, next string, err error) {
	size := callsheet.PageSize(q.Limit)
	if len(q.Schedules) == 0 {
		const query = `SELECT s.id FROM callsheet.schedules s WHERE s.id > ? ORDER BY s.id LIMIT ?`
		err = t.all(&ids, query, q.After, size+1)
	} else {
		const query = `SELECT s.id FROM callsheet.schedules s WHERE s.id = ANY(?) AND s.id > ? ORDER BY s.id LIMIT ?`
		err = t.all(&ids, query, q.Schedules, q.After, size+1)
	}
	if len(ids) > size {
		ids = ids[:size]
		next = ids[size-1]
	}
	return ids, next, err
}

func (t *tx) talliesOf(ids []string) (map[string]callsheet.Tally, error) {
	own := make(map[string]callsheet.Tally, len(ids))
	if len(ids) == 0 {
		return own, nil
	}
	const counts = `
		SELECT t.schedule, t.succeeded, t.failed, t.cancelled, t.skipped, t.missed, t.attempts, t.bytes, t.records, t.stale_writes
		  FROM callsheet.tallies t
		 WHERE t.schedule = ANY(?)`
	var rows []tallyRow
	if err := t.all(&rows, counts, ids); err != nil {
		return nil, err
	}
	for i := range rows {
		own[rows[i].Schedule] = rows[i].tally()
	}

	const open = `
		SELECT e.schedule, e.state, count(*) AS count
		  FROM callsheet.executions e
		 WHERE e.schedule = ANY(?) AND e.state IN ('pending', 'running')
		 GROUP BY e.schedule, e.state`
	var opens []openRow
	if err := t.all(&opens, open, ids); err != nil {
		return nil, err
	}
	for _, row := range opens {
		y := own[row.Schedule]
		row.add(&y)
		own[row.Schedule] = y
	}

	const durations = `SELECT d.schedule, d.bucket, d.count FROM callsheet.durations d WHERE d.schedule = ANY(?)`
	var buckets []bucketRow
	if err := t.all(&buckets, durations, ids); err != nil {
		return nil, err
	}
	by := make(map[string]map[int16]int64)
	for _, row := range buckets {
		if by[row.Schedule] == nil {
			by[row.Schedule] = make(map[int16]int64)
		}
		by[row.Schedule][row.Bucket] = row.Count
	}
	for id, buckets := range by {
		y := own[id]
		var err error
		if y.Durations, err = histogramOf(buckets); err != nil {
			return nil, err
		}
		own[id] = y
	}
	return own, nil
}

func (t *tx) total() (callsheet.Tally, error) {
	// The sum of bigints is a numeric, which the driver would hand over as text.
	const counts = `
		SELECT '' AS schedule,
		       coalesce(sum(t.succeeded), 0)::bigint AS succeeded, coalesce(sum(t.failed), 0)::bigint AS failed,
		       coalesce(sum(t.cancelled), 0)::bigint AS cancelled, coalesce(sum(t.skipped), 0)::bigint AS skipped,
		       coalesce(sum(t.missed), 0)::bigint AS missed, coalesce(sum(t.attempts), 0)::bigint AS attempts,
		       coalesce(sum(t.bytes), 0)::bigint AS bytes, coalesce(sum(t.records), 0)::bigint AS records,
		       coalesce(sum(t.stale_writes), 0)::bigint AS stale_writes
		  FROM callsheet.tallies t`
	var row tallyRow
	if err := t.one(&row, counts); err != nil {
		return callsheet.Tally{}, err
	}
	total := row.tally()

	opens, err := t.openCounts()
	if err != nil {
		return total, err
	}
	for _, row := range opens {
		row.add(&total)
	}

	const durations = `SELECT '' AS schedule, d.bucket, sum(d.count)::bigint AS count FROM callsheet.durations d GROUP BY d.bucket`
	var buckets []bucketRow
	if err := t.all(&buckets, durations); err != nil {
		return total, err
	}
	all := make(map[int16]int64, len(buckets))
	for _, row := range buckets {
		all[row.Bucket] = row.Count
	}
	total.Durations, err = histogramOf(all)
	return total, err
}

// openCounts counts the executions that are pending and running.
func (t *tx) openCounts() ([]openRow, error) {
	const query = `
		SELECT '' AS schedule, e.state, count(*) AS count
		  FROM callsheet.executions e
		 WHERE e.state IN ('pending', 'running')
		 GROUP BY e.state`
	var rows []openRow
	err := t.all(&rows, query)
	return rows, err
}

// forgetTallies adds the tallies of schedules of which nothing else is left to those of no schedule.
func (t *tx) forgetTallies(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	const gone = `
		SELECT t.schedule
		  FROM callsheet.tallies t
		 WHERE t.schedule = ANY(?)
		   AND NOT EXISTS (SELECT 1 FROM callsheet.schedules s WHERE s.id = t.schedule)
		   AND NOT EXISTS (SELECT 1 FROM callsheet.executions e WHERE e.schedule = t.schedule)
		 ORDER BY t.schedule
		   FOR UPDATE OF t`
	var left []string
	if err := t.all(&left, gone, ids); err != nil || len(left) == 0 {
		return err
	}
	const counts = `
		INSERT INTO callsheet.tallies AS t (schedule, succeeded, failed, cancelled, skipped, missed, attempts, bytes, records, stale_writes,
		       pruned_succeeded, pruned_failed, pruned_cancelled, pruned_skipped)
		SELECT '', sum(o.succeeded), sum(o.failed), sum(o.cancelled), sum(o.skipped), sum(o.missed), sum(o.attempts), sum(o.bytes), sum(o.records), sum(o.stale_writes),
		       sum(o.pruned_succeeded), sum(o.pruned_failed), sum(o.pruned_cancelled), sum(o.pruned_skipped)
		  FROM callsheet.tallies o
		 WHERE o.schedule = ANY(?)
		ON CONFLICT (schedule) DO UPDATE
		   SET succeeded = t.succeeded + excluded.succeeded, failed = t.failed + excluded.failed,
		       cancelled = t.cancelled + excluded.cancelled, skipped = t.skipped + excluded.skipped,
		       missed = t.missed + excluded.missed, attempts = t.attempts + excluded.attempts,
		       bytes = t.bytes + excluded.bytes, records = t.records + excluded.records, stale_writes = t.stale_writes + excluded.stale_writes,
		       pruned_succeeded = t.pruned_succeeded + excluded.pruned_succeeded, pruned_failed = t.pruned_failed + excluded.pruned_failed,
		       pruned_cancelled = t.pruned_cancelled + excluded.pruned_cancelled, pruned_skipped = t.pruned_skipped + excluded.pruned_skipped`
	const durations = `
		INSERT INTO callsheet.durations AS d (schedule, bucket, count)
		SELECT '', o.bucket, sum(o.count)
		  FROM callsheet.durations o
		 WHERE o.schedule = ANY(?)
		 GROUP BY o.bucket
		ON CONFLICT (schedule, bucket) DO UPDATE
		   SET count = d.count + excluded.count`
	for _, statement := range []string{
		counts, durations,
		`DELETE FROM callsheet.tallies WHERE schedule = ANY(?)`,
		`DELETE FROM callsheet.durations WHERE schedule = ANY(?)`,
	} {
		if _, err := t.exec(statement, left); err != nil {
			return err
		}
	}
	return nil
}
