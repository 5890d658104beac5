// Package limit keeps outgoing calls within what an API allows: rates and concurrency by key
// ([Limit]), what the API's answers say of its quota ([ReadQuota], [Limiter].Learn), and no calls at all
// while an API is down ([Breakers]).
//
// A [Limiter] is asked before each call. It never sleeps: it grants the call, or says how long to wait
// and keeps a place in the holder's name. So a thousand holders that wait for a limit of one a
// second are given a thousand times to come back at, and do not come all at once.
//
// [New] returns a Limiter that works within the process. One that several nodes share is an
// implementation of the same interface; package limittest has the suite that it must pass.
//
// The package imports nothing of callsheet, and can be used without it.
package limit
