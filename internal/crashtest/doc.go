// Package crashtest proves by kill -9 that nothing is lost and nothing doubled.
//
// It has tests only. They start nodes, which are processes of the test binary that run a Scheduler each, on one
// database, and do to them what machines and networks do: processes are killed at random instants and at named
// places, stopped for longer than their lease and woken up again, the database crashes, connections are cut,
// slowed, reset and cut in one direction, the answer to COMMIT is lost, disks run full. The API that the nodes call and
// the tables and files that they deliver to belong to the test, which knows in the end what should be there.
//
//	go test ./internal/crashtest                     # short, about half a minute
//	go test ./internal/crashtest -crash.scale=1 -v   # as CI does it, some minutes
//	go test ./internal/crashtest -crash.scale=10 -v -timeout 2h
//
// A run that fails prints its seed; -crash.seed takes it, and the same faults come in the same order. When they meet which
// execution is up to the machine.
//
// # What is proven
//
//   - Each occurrence that came has one row, or lies in one Gap. Each row is in one final state.
//   - The rows at the destinations are those of the succeeded executions, each once, all of them from one answer.
//   - An execution that has not succeeded left rows in one case only: a worker delivered and was lost before it could
//     say so, or nobody knew whether COMMIT came through, and no attempt after it could say so either. It is a dead letter, or
//     was cancelled before its next attempt. In the end the dead letters are retried: each then succeeds, and its
//     rows are there once.
//   - Where the answer comes in pages, that holds for each page. Pages are delivered as they come: an execution that has not succeeded
//     left those that it says it has delivered, which are the first ones, and in that one case some after them.
//   - Where a cursor asks for what is new, all that is up to it came, and nothing by two executions that succeeded, unless
//     one of them is a dead letter that was retried.
//   - The API is called once at most for each claim, and once at least for each execution that succeeded. It is not
//     called again where its answer was kept and could be extracted. With pages, that is for each page; one that was delivered before
//     another was kept, or whose delivery was recorded, is not asked for again at all.
//   - Each claim has its own fence, and its one attempt in the history. What a worker was told is recorded is what is recorded.
//   - The statistics are what a recount gives.
//   - Nothing runs 15 seconds after the last fault. Nodes that are asked to stop leave no goroutine, no connection
//     and no temporary file.
package crashtest
