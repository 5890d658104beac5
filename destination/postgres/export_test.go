package postgres

// Committed is asked when the answer to COMMIT was lost.
var Committed = (*Destination).committed
