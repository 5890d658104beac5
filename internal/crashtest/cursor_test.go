//go:build linux

package crashtest_test

import (
	"strconv"

	"github.com/callsheet-go/callsheet"
)

// checkCursor: all items up to the cursor are there, of succeeded executions, and the cursor stands at the last of them.
// No item is there of two of them: one comes twice only where checkRows has it that an execution that did not succeed left
// its rows. An execution that was retried as a dead letter is another matter: it brings what it was to bring then, though
// others have brought that since, and it does not move a cursor that they have moved.
func (c *checker) checkCursor(sch callsheet.Schedule, executions []callsheet.Execution) {
	cursor := int64(0)
	if sch.Cursor != nil {
		cursor, _ = strconv.ParseInt(sch.Cursor.Value, 10, 64)
	}
	brought := map[int64]string{} // by which execution
	least, most := int64(0), int64(0)
	for _, e := range executions {
		if e.State != callsheet.StateSucceeded {
			continue
		}
		for _, r := range c.rows[e.ID] {
			if other, ok := brought[r.item]; ok && e.Reopenings == 0 && c.executions[other].Reopenings == 0 {
				c.problem("item %d of %s came by %s and by %s", r.item, sch.ID, other, e.ID)
			}
			if _, ok := brought[r.item]; !ok || e.Reopenings == 0 {
				brought[r.item] = e.ID
			}
			if most = max(most, r.item); e.Reopenings == 0 {
				least = max(least, r.item)
			}
		}
	}
	if cursor < least || cursor > most {
		c.problem("the cursor of %s is %d, and succeeded executions brought items up to %d, those that were retried up to %d", sch.ID, cursor, least, most)
	}
	for item := int64(1); item <= cursor; item++ {
		if brought[item] == "" {
			c.problem("the cursor of %s is %d, and item %d did not come", sch.ID, cursor, item)
		}
	}
}
