package destinationtest

var cases = []struct {
	name        string
	explanation string
	run         func(*bench)
}{
	{"records can be read", "what Deliver has taken is there for readers, in order, behind what was there", recordsCanBeRead},
	{"digits", "a number that lost digits is another number: prices, IDs and coordinates must survive", digits},
	{"nulls", "null, and text that is empty or looks like null, must not become something else", nulls},
	{"nested values", "objects and lists inside a record are data too, with their order and digits", nestedValues},
	{"strings of all kinds", "an API may send any text, and none of it may break a file or a statement", stringsOfAllKinds},
	{"whole objects", "an Extract without fields names no fields, its records do", wholeObjects},
	{"large batch", "a page of an API may hold thousands of records", largeBatch},
	{"empty batch", "an answer without records is an answer, and no reason to fail", emptyBatch},
	{"two targets", "schedules with different targets must not find each other's records in theirs", twoTargets},
	{"unwritable record", "a Batch is delivered whole or not at all, also when its last record is the bad one", unwritableRecord},
	{"promise", "a host must know what a repeated delivery leaves behind", promiseIsKnown},
	{"repeated", "after a crash between delivering and recording the same Batch is delivered again", repeated},
	{"repeated later", "the repeat may come when other executions have been delivered", repeatedLater},
	{"repeated after a restart", "a process that crashed between delivering and recording is another one when it repeats", repeatedAfterRestart},
	{"repeated by a stale worker", "a worker that lost its lease may deliver last, with the answer it got, and what is recorded must stay", repeatedByStaleWorker},
	{"repeated by the next worker", "the next attempt asks again and gets another answer, but the first was delivered and may have been read", repeatedByNextWorker},
	{"repeated at once", "a worker that lost its lease may deliver while the next one does, and what a reader then sees must stay", repeatedAtOnce},
	{"chunks", "the chunks of one execution are different Batches", chunks},
	{"chunks repeated", "the next attempt delivers all pages anew, those that are there and those that are not", chunksRepeated},
	{"chunks of two executions", "pages of schedules that share a target come in turns", chunksOfTwo},
	{"chunk that fails", "what was delivered of an execution stays when a later page cannot be, and that may be better the next time", chunkThatFails},
	{"chunk of a stale worker", "a worker that lost its lease may have more pages than its successor, and they must not be added to those", chunkOfStaleWorker},
	{"joint chunk", "the last page may be delivered with the recording of the execution, those before it cannot be", jointChunk},
	{"many at once", "schedules that share a target deliver at the same time", manyAtOnce},
	{"cancelled", "an execution that was cancelled leaves nothing, and may be delivered by another attempt", cancelled},
	{"records stay the caller's", "the pipeline uses its slices again", recordsStayTheCallers},
	{"valid delivery", "what works must not be refused", validDelivery},
	{"invalid mode", "a mode that the Destination does not know must be refused when the Delivery is defined", invalidMode},
	{"invalid key", "a key that cannot work, or that would be ignored, must be refused when the Delivery is defined", invalidKey},
	{"preview leaves nothing behind", "who asks what would happen must find everything as it was, and deliver afterwards", previewLeavesNothing},
	{"preview is right", "what a preview counts must be what the delivery then does", previewIsRight},
	{"preview of an unwritable record", "a preview is for finding out what does not fit, all of it and why", previewOfUnwritable},
	{"preview of an invalid delivery", "what cannot be delivered must not look as if it could", previewOfInvalid},
	{"preview cancelled", "a person waits for a preview, and may go away", previewCancelled},
	{"invalid targets", "a target that cannot work must be refused when the Delivery is defined", invalidTargets},
}
