//go:build linux

package crashtest_test

import (
	"slices"

	"github.com/callsheet-go/callsheet"
)

// checkPages: the rows of every page of a succeeded execution are there once. Pages are delivered as they come, so one
// that has not succeeded has left those that it is known to have delivered, which are the first ones, and no others but for the one
// case in which they may be. Pages that are known to be delivered are not asked for again.
func (c *checker) checkPages(e callsheet.Execution, delivers bool) {
	pages := map[int64][]row{}
	for _, r := range c.rows[e.ID] {
		pages[r.page] = append(pages[r.page], r)
	}
	there, all, known := int64(len(pages)), c.world.api.pagesOf(e.ID), int64(0)
	if e.Progress != nil {
		known = int64(e.Progress.Pages)
	}
	for number := int64(1); number <= there; number++ {
		if len(pages[number]) == 0 {
			c.problem("%s is %s, and has rows of %d pages, but not of page %d", e.ID, e.State, there, number)
			continue
		}
		c.checkBatch(e, number, pages[number])
	}
	switch {
	case e.State == callsheet.StateSucceeded && known != all:
		c.problem("%s succeeded with %d pages of %d", e.ID, known, all)
	case delivers && there < known:
		c.problem("%s is %s, has delivered %d pages, and the rows of %d are there: %+v", e.ID, e.State, known, there, e.Attempts)
	case there > known && (e.State == callsheet.StateSucceeded || !mayHaveDelivered(e)):
		c.problem("%s is %s (%s), has delivered %d pages, and left the rows of %d: %+v", e.ID, e.State, e.Reason, known, there, e.Attempts)
	}
	for _, made := range c.world.api.of(e.ID) {
		before := int64(0)
		for _, a := range e.Attempts {
			if a.Fence < made.fence {
				before += int64(a.Pages)
			}
		}
		if made.page <= before {
			c.problem("%s had delivered %d pages, and the API was asked for page %d under fence %d: %+v", e.ID, before, made.page, made.fence, e.Attempts)
		}
	}
}

// resumed counts the executions whose answer came in pages, those of them in which a claim went on in the midst of the pages
// that another had begun, and those in which the worker of the claim before was lost.
func (c *checker) resumed() (paged, resumed, afterLoss int) {
	for id, e := range c.executions {
		if c.world.api.pagesOf(id) == 0 {
			continue
		}
		paged++
		firsts := map[int64]int64{} // the first page that each claim asked for
		for _, made := range c.world.api.of(id) {
			if first, ok := firsts[made.fence]; !ok || made.page < first {
				firsts[made.fence] = made.page
			}
		}
		went, lost := false, false
		for fence, first := range firsts {
			if first > 1 {
				went = true
				lost = lost || slices.ContainsFunc(e.Attempts, func(a callsheet.Attempt) bool {
					return a.Fence == fence-1 && a.Class == callsheet.ClassLostWorker
				})
			}
		}
		if went {
			resumed++
		}
		if lost {
			afterLoss++
		}
	}
	return paged, resumed, afterLoss
}
