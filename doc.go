// Package callsheet calls APIs on a schedule, extracts records from the answers, delivers them,
// and can always say what happened and why. It is a library: the host owns main, its configuration,
// its logger and its connections, and embeds a [Scheduler].
//
// # The words
//
//   - A [Source] is an API. A [Request] is one call to it.
//   - An [Extract] says how records come out of an answer, a [Delivery] where they go: to a
//     [Destination] that the host registered.
//   - A [Schedule] says when a Request runs, with which Extract and Delivery, and how failures are
//     treated. The five are entities of their own, named by ID, and reusable.
//   - An [Execution] is one occurrence of a Schedule: the row that answers "what happened". Each try of
//     it is an [Attempt].
//   - A [Store] keeps all of that, a [Queue] wakes workers up, a [Pipeline] does the work.
//
// # The life of an execution
//
//	Schedule ──plan──▶ Execution (pending) ──Queue rings──▶ worker claims it (running)
//	                                                            │
//	                                      Pipeline: fetch ─▶ extract ─▶ deliver
//	                                                            │
//	                              succeeded | pending again | failed | cancelled
//
// Plan: when a schedule falls due, the Store inserts one execution and moves the schedule on, in
// one transaction. An execution is unique per schedule and scheduled time, so that however many
// nodes plan, none fires twice. What will not run is a row too, with a reason. Policies of the
// schedule decide: what if the execution before is still open, be it that it runs or that it waits for a retry
// ([Overlap]); what if nobody planned the occurrence in time ([Misfire]; many are one row with a
// count, and the latest is run); what of those that fell due during a pause ([OnResume]).
// Explain tells of each occurrence what became of it, Backfill runs what was not run.
//
// Ring: the Queue carries the execution's ID to a worker. It is a doorbell; a ring that is lost
// is rung again ten seconds later.
//
// Claim: one worker wins the execution. It gets a fence number that grows with every claim, and a
// lease that it renews while it works. When the lease runs out, another worker takes over; what
// the first one still tries to record is refused.
//
// Run: the Pipeline makes the HTTP call, extracts the records, hands them to the Destination.
// An error has a [Class], which decides what follows: another attempt after a delay that doubles
// each time, or the end. Being throttled, stopped or lost costs no attempt. A panic, in a stage
// or in the host's code, is a failed attempt with its stack.
//
// An answer may come in pages ([Pagination]); each is delivered before the next is asked for, and another attempt goes on
// at the page where one stopped. A [Cursor] asks for what is new, and what an API says is [Unchanged] is left alone. docs/pages.md
// has the rules.
//
// Before a call is made it waits for its turn under the Source's limits and what the API said of its quota, and is not made at all
// while the API fails ([Source].Limits, [Source].Breaker; docs/limits.md). To wait is to be pending, and spends nothing.
//
// Record: the outcome, the schedule's state and the statistics are written together.
// An execution that fails for good is a dead letter: it stays listed, can be retried, and holds
// nothing up. Its schedule has the status failed until an execution succeeds, and goes on.
//
// # Using it
//
//	sched, err := callsheet.New(memory.New(),
//	    callsheet.WithDestination("files", files),
//	    callsheet.WithLogger(slog.Default()))
//	…
//	err = sched.Define(ctx, callsheet.Sheet{…}) // what is called, when, and where it goes
//	…
//	err = sched.Run(ctx)                        // until ctx ends
//
// The package example is a whole program. [Scheduler] lists everything else there is to ask for.
//
// Nothing happens before Run or Plan is called: New starts no goroutine, and there is no global
// state. Everything that Run started has ended when it returns, unless something of the host's does
// not end when it is told to, which Run then reports.
//
// # What differs from call to call
//
// Path, query, headers and body of a Request are templates: {{rfc3339 .Window.Start}} is when the time begins that an
// occurrence is for, {{.Params.shop}} what the Schedule says. Values are escaped for where they stand (docs/templates.md).
// An [AnswerRule] says which answers are errors although their status does not (docs/rules.md).
//
// # Addresses and secrets
//
// Only public addresses are called until the host opens more ([WithAllowedNetworks], [WithAllowedHosts]). A Source
// names the secret with which it is called ([Auth]); its value comes from [WithSecrets] at each call, and is kept nowhere.
// docs/outbound.md says how far both go, docs/requests.md what a call can send.
//
// # Testing
//
// A host's tests use the Store in memory. In a testing/synctest bubble a day passes in no time:
// the Scheduler takes the time from the bubble. Give it a transport of the test's own
// ([WithTransport]), since the network is not part of a bubble, and a longer planning interval
// ([WithPlanInterval]). examples/hosttest shows it.
//
// # Durability
//
// There are three Stores: in memory (store/memory), which ends with the process; in one SQLite file (store/file); and in
// PostgreSQL (store/postgres), which several nodes share. What all of them promise is in [Store], and its suite in store/storetest.
package callsheet
