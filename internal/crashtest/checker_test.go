//go:build linux

package crashtest_test

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/cron"
)

// A checker compares what is kept with what was seen.
type checker struct {
	world      *world
	schedules  []callsheet.Schedule
	executions map[string]callsheet.Execution
	rows       map[string][]row // by execution
	problems   []string
}

// A row is a record at a destination.
type row struct {
	fence     int64 // of the call that gave it
	page      int64 // 0: the answer was whole
	place, of int64
	item      int64 // of a log; 0: it is of none
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// check reads everything, and returns a checker that knows what is wrong.
func (w *world) check(ctx context.Context, store callsheet.Store) (*checker, error) {
	c := &checker{world: w, executions: map[string]callsheet.Execution{}, rows: map[string][]row{}}
	var err error
	if c.schedules, err = every(func(after string) (callsheet.Page[callsheet.Schedule], error) {
		return store.Schedules().List(ctx, callsheet.Query{After: after, Limit: 1000})
	}); err != nil {
		return nil, err
	}
	executions, err := every(func(after string) (callsheet.Page[callsheet.Execution], error) {
		return store.Executions(ctx, callsheet.ExecutionQuery{After: after, Limit: 1000})
	})
	if err != nil {
		return nil, err
	}
	of := map[string][]callsheet.Execution{}
	for _, e := range executions {
		c.executions[e.ID] = e
		of[e.Schedule] = append(of[e.Schedule], e)
	}
	if err := errors.Join(c.readWarehouse(ctx), c.readFiles()); err != nil {
		return nil, err
	}
	for _, sch := range c.schedules {
		c.checkOccurrences(sch, of[sch.ID])
	}
	schedules := map[string]callsheet.Schedule{}
	for _, sch := range c.schedules {
		schedules[sch.ID] = sch
		if sch.Request == "log" {
			c.checkCursor(sch, of[sch.ID])
		}
	}
	for _, e := range executions {
		c.checkExecution(e)
		if sch := schedules[e.Schedule]; sch.Request == "pages" {
			c.checkPages(e, sch.Delivery != "")
		} else {
			c.checkRows(e, sch)
		}
	}
	c.checkCalls()
	c.checkAnswers()
	c.checkHistory()
	return c, c.checkStatistics(ctx, store)
}

// every returns the items of all pages.
func every[T any](page func(after string) (callsheet.Page[T], error)) ([]T, error) {
	var all []T
	for after := ""; ; {
		p, err := page(after)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if after = p.Next; after == "" {
			return all, nil
		}
	}
}

func (c *checker) readWarehouse(ctx context.Context) error {
	if c.world.warehouse == "" {
		return nil
	}
	conn, err := pgx.Connect(ctx, c.world.warehouse)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT execution, fence, page, place, "of", item FROM polled`)
	if err != nil {
		return err
	}
	var execution string
	var r row
	_, err = pgx.ForEachRow(rows, []any{&execution, &r.fence, &r.page, &r.place, &r.of, &r.item}, func() error {
		c.rows[execution] = append(c.rows[execution], r)
		return nil
	})
	return err
}

func (c *checker) readFiles() error {
	for _, target := range fileTargets {
		text, err := os.ReadFile(filepath.Join(c.world.files, target))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		read := c.readLines
		if strings.HasSuffix(target, ".csv") {
			read = c.readCSV
		}
		if err := read(string(text)); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return nil
}

func (c *checker) readLines(text string) error {
	for line := range strings.Lines(text) {
		var r struct {
			Execution                    string
			Fence, Page, Place, Of, Item int64
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return fmt.Errorf("%w in %q", err, line)
		}
		c.rows[r.Execution] = append(c.rows[r.Execution], row{r.Fence, r.Page, r.Place, r.Of, r.Item})
	}
	return nil
}

func (c *checker) readCSV(text string) error {
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return err
	}
	for _, line := range lines[min(1, len(lines)):] {
		var n [5]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(line[i+1], 10, 64); err != nil {
				return err
			}
		}
		c.rows[line[0]] = append(c.rows[line[0]], row{n[0], n[1], n[2], n[3], n[4]})
	}
	return nil
}

// checkOccurrences: each that was due has one row, or lies in one gap.
func (c *checker) checkOccurrences(sch callsheet.Schedule, executions []callsheet.Execution) {
	if sch.Type == callsheet.TypeManual {
		return
	}
	covered := map[time.Time]int{}
	for _, e := range executions {
		if e.Gap == nil && e.Trigger != callsheet.TriggerManual {
			covered[e.ScheduledAt.UTC()]++
		}
	}
	next := func(t time.Time) time.Time { return t.Truncate(sch.Every).Add(sch.Every) }
	if sch.Type == callsheet.TypeCron {
		times, err := cron.Parse(sch.Cron, time.UTC)
		if err != nil {
			c.problem("%s: %v", sch.ID, err)
			return
		}
		next = times.Next
	}
	for _, e := range executions {
		if e.Gap == nil {
			continue
		}
		n := 0
		for at := e.Gap.First.UTC(); !at.After(e.Gap.Last); at = next(at).UTC() {
			covered[at]++
			n++
		}
		if n != e.Gap.Count {
			c.problem("%s: the gap %+v has %d occurrences", sch.ID, *e.Gap, n)
		}
	}
	for at := next(sch.CreatedAt).UTC(); !at.After(sch.PlannedUntil); at = next(at).UTC() {
		if covered[at] != 1 {
			c.problem("%s: the occurrence of %s has %d rows", sch.ID, at.Format(time.RFC3339), covered[at])
		}
		delete(covered, at)
	}
	for at := range covered {
		c.problem("%s: there is a row for %s, which is no occurrence that was due", sch.ID, at.Format(time.RFC3339Nano))
	}
}

// attemptUnder returns the attempt that a claim with this fence was. Waits in a row are one attempt, with the fence of the last.
func attemptUnder(e callsheet.Execution, fence int64) (callsheet.Attempt, bool) {
	i := slices.IndexFunc(e.Attempts, func(a callsheet.Attempt) bool { return a.Fence >= fence })
	if i < 0 || e.Attempts[i].Fence > fence && e.Attempts[i].Waited == "" {
		return callsheet.Attempt{}, false
	}
	return e.Attempts[i], true
}

// checkExecution: it is over, and each of its claims is one attempt, or one wait of several in a row.
func (c *checker) checkExecution(e callsheet.Execution) {
	if !e.State.Final() {
		c.problem("%s is %s", e.ID, e.State)
	}
	for fence := int64(1); fence <= e.Fence && e.Fence < 100; fence++ {
		if _, ok := attemptUnder(e, fence); !ok {
			c.problem("%s was claimed %d times, and claim %d is no attempt: %+v", e.ID, e.Fence, fence, e.Attempts)
		}
	}
	byFence := func(a, b callsheet.Attempt) int { return cmp.Compare(a.Fence, b.Fence) }
	if last, _ := e.Last(); last.Fence > e.Fence || !slices.IsSortedFunc(e.Attempts, byFence) {
		c.problem("%s was claimed %d times, and its attempts are %+v", e.ID, e.Fence, e.Attempts)
	}
	last, _ := e.Last()
	if e.State == callsheet.StateSucceeded && (last.Class != "" || last.Fence != e.Fence) {
		c.problem("%s succeeded, and its last attempt is %+v", e.ID, last)
	}
	if e.Reason == callsheet.ReasonLost && e.State == callsheet.StateFailed && e.LostWorkers < callsheet.MaxLostWorkers {
		c.problem("%s failed after %d workers were lost", e.ID, e.LostWorkers)
	}
}

// checkRows: those of succeeded executions are there once, and no others but for the one case in which they may be.
func (c *checker) checkRows(e callsheet.Execution, sch callsheet.Schedule) {
	rows := c.rows[e.ID]
	switch {
	case len(rows) == 0:
		nothingNew := func(made call) bool { return made.answered && made.records == 0 }
		if e.State == callsheet.StateSucceeded && sch.Delivery != "" && !slices.ContainsFunc(c.world.api.of(e.ID), nothingNew) {
			c.problem("%s of %s succeeded, and its rows are not there: %+v", e.ID, e.Schedule, e.Attempts)
		}
		return
	case e.State != callsheet.StateSucceeded && !mayHaveDelivered(e):
		c.problem("%s is %s (%s), and left %d rows: %+v", e.ID, e.State, e.Reason, len(rows), e.Attempts)
	}
	c.checkBatch(e, 0, rows)
}

// checkBatch: rows are all those of one answer that was given for a page, once.
func (c *checker) checkBatch(e callsheet.Execution, page int64, rows []row) {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.place, b.place) })
	given := func(made call) bool {
		if !made.answered || made.page != page || made.fence != rows[0].fence || made.records != int64(len(rows)) {
			return false
		}
		for i, r := range rows {
			if r != made.row(int64(i)) {
				return false
			}
		}
		return true
	}
	if calls := c.world.api.of(e.ID); !slices.ContainsFunc(calls, given) {
		c.problem("the rows of %s are %v, which are not those of one answer for page %d: %v", e.ID, rows, page, calls)
	}
}

// mayHaveDelivered reports whether an attempt delivered, perhaps, and could not say so.
func mayHaveDelivered(e callsheet.Execution) bool {
	return slices.ContainsFunc(e.Attempts, func(a callsheet.Attempt) bool {
		return a.Class == callsheet.ClassLostWorker || strings.Contains(a.Error, "whether it was committed is not known")
	})
}

// checkCalls: one at most for each claim and page, and one that was answered for each page of each execution that succeeded.
func (c *checker) checkCalls() {
	api := c.world.api
	api.mu.Lock()
	defer api.mu.Unlock()
	for id, calls := range api.calls {
		e, ok := c.executions[id]
		if !ok {
			c.problem("the API was called for %s, which is not there", id)
		}
		type once struct{ fence, page int64 }
		seen := map[once]bool{}
		for _, made := range calls {
			this := once{made.fence, made.page}
			if seen[this] || made.fence < 1 || made.fence > e.Fence {
				c.problem("%s was claimed %d times, and the API was called %v", id, e.Fence, calls)
				break
			}
			seen[this] = true
		}
	}
	for id, e := range c.executions {
		if e.State != callsheet.StateSucceeded {
			continue
		}
		for number := min(1, api.pages[id]); number <= api.pages[id]; number++ {
			answered := func(made call) bool { return made.answered && made.page == number }
			if !slices.ContainsFunc(api.calls[id], answered) {
				c.problem("%s succeeded, and the API never answered for page %d: %v", id, number, api.calls[id])
			}
		}
	}
}

// checkAnswers: where an answer was kept, the API is not asked again, unless that one could not be extracted; and not at all
// for a page before it.
func (c *checker) checkAnswers() {
	h := c.world.history
	h.mu.Lock()
	defer h.mu.Unlock()
	for kept, first := range h.kept {
		e := c.executions[kept.execution]
		for _, made := range c.world.api.of(e.ID) {
			if made.fence <= first || made.page > kept.number || e.Fence >= 100 {
				continue
			}
			var before callsheet.Attempt // the last that did not just wait
			for _, a := range e.Attempts {
				if a.Fence < made.fence && a.Waited == "" {
					before = a
				}
			}
			if made.page < kept.number || before.Class != callsheet.ClassBadResponse {
				c.problem("%s: an answer for page %d was kept under fence %d, and the API was asked for page %d under %d: %+v",
					e.ID, kept.number, first, made.page, made.fence, e.Attempts)
			}
		}
	}
}

// checkHistory: what workers were told is what is kept, under the same fence.
func (c *checker) checkHistory() {
	h := c.world.history
	h.mu.Lock()
	defer h.mu.Unlock()
	c.problems = append(c.problems, h.doubts...)
	attempt := func(of claim) (callsheet.Attempt, bool) {
		a, ok := attemptUnder(c.executions[of.execution], of.fence)
		if !ok {
			c.problem("%v was claimed or finished, and has no attempt", of)
		}
		return a, ok && a.Fence == of.fence // of waits in a row only the last can be told
	}
	for of, node := range h.claimed {
		if a, ok := attempt(of); ok && !strings.HasPrefix(a.Worker, node+"-") {
			c.problem("%v was claimed by %s, and it says %s", of, node, a.Worker)
		}
	}
	for of, class := range h.finished {
		a, ok := attempt(of)
		if !ok {
			continue
		}
		// One that was taken back had no right to record anything, not even that it was lost.
		if cmp.Or(string(a.Class), "-") != class || strings.Contains(a.Error, "did not renew its lease") {
			c.problem("%v was recorded as %s, and it says %s: %s", of, class, a.Class, a.Error)
		}
	}
}

// checkStatistics: they are what a recount gives.
func (c *checker) checkStatistics(ctx context.Context, store callsheet.Store) error {
	sched, err := callsheet.New(store)
	if err != nil {
		return err
	}
	var total callsheet.Tally
	recount := map[string]*callsheet.Tally{}
	for _, e := range c.executions {
		if recount[e.Schedule] == nil {
			recount[e.Schedule] = &callsheet.Tally{}
		}
		total.Applied(nil, e)
		recount[e.Schedule].Applied(nil, e)
	}
	var kept callsheet.Stats
	all, err := every(func(after string) (callsheet.Page[callsheet.ScheduleStats], error) {
		report, err := sched.Stats(ctx, callsheet.StatsQuery{After: after, Limit: 1000})
		kept = report.Total
		return report.Schedules, err
	})
	if err != nil {
		return err
	}
	same := func(name string, kept, counted callsheet.Stats) {
		kept.StaleWrites = 0 // of which the executions know nothing
		if kept != counted {
			c.problem("the statistics of %s are %+v, and a recount gives %+v", name, kept, counted)
		}
	}
	h := c.world.history
	h.mu.Lock()
	if kept.StaleWrites < int64(h.refused) {
		c.problem("%d writes were refused, and %d were counted", h.refused, kept.StaleWrites)
	}
	h.mu.Unlock()
	same("all", kept, total.Stats())
	for _, s := range all {
		if counted := recount[s.Schedule]; counted != nil {
			same(s.Schedule, s.Stats, counted.Stats())
			delete(recount, s.Schedule)
		}
	}
	for name := range recount {
		c.problem("%s has executions and no statistics", name)
	}
	return nil
}
