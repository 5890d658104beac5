// Package postgres is a [callsheet.Destination] that writes records to the tables of a PostgreSQL database.
//
//	warehouse, err := postgres.New(pool) // a *pgxpool.Pool, which stays the host's
//	err = warehouse.Migrate(ctx)
//	scheduler, err := callsheet.New(store, callsheet.WithDestination("warehouse", warehouse))
//
// [NewDB] takes a *sql.DB of pgx's, [Open] a connection string. A Delivery's target is a table, "quakes" or
// "seismic.quakes". Names are taken as they are, upper case and blanks included, and always quoted; in both there
// can be no dot. Without a schema the first of the search path counts that has the table.
//
// # Modes
//
// [callsheet.Append], the default, adds the rows.
//
// [callsheet.InsertIgnore] adds the rows whose key is not in the table; of several in one Batch the first. Without
// a key it leaves out what any unique index of the table has already.
//
// [callsheet.Upsert] adds them too, and replaces those that are there; of several in one Batch the last counts. It sets the
// columns that the Batch has, to null where a record lacks one, and leaves the others alone.
//
// The Delivery's key names the columns of a primary key or unique index. A record with a null in them
// does not fit: it could never be found again. Rows of both modes pass through a temporary table, so the role needs
// the right to make one.
//
// # Exactly once
//
// A Batch is known by its execution and chunk. Its rows and its marker, a row in the table delivered_batches of the
// schema "callsheet" ([WithSchema]), are committed in one transaction. Delivered again, also after a crash or
// by another process, it changes nothing; two deliveries at once wait for each other. A worker whose
// fence is smaller than one that was seen for the execution is refused.
//
// When the answer to COMMIT is lost, Deliver asks on a connection of its own whether the marker is there, several times if
// need be, and waits for a transaction that is still under way. So what it returns is what is so, with
// one exception: while the server cannot be reached nobody knows, and the error says that. The next delivery of
// the Batch finds out.
//
// [Destination.Prune] forgets old markers; what is delivered again after that is written again. [Destination.DeliverTx]
// writes rows and marker in a transaction of the caller's.
//
// # Values
//
// A column takes what fits it exactly; nothing is rounded or cut, but for times, of which PostgreSQL keeps
// microseconds, and for floating-point columns, which take the nearest number they have. Numbers go to the server by
// their digits. 1.0 and 1e3 are whole numbers, 0.5 is none, and a number is no boolean and no time. Strings are
// read by the server as its types read them. Times are written in UTC. Objects and lists are written as JSON, to
// columns of type json, jsonb or text; jsonb does not keep the order of members, nor spellings such as 1e2.
// Lists do not fit columns of array types.
//
// Records are columns by their names. One that the table does not have is an error, and so is one that it generates. What a
// record does not have is null, and not the column's default.
//
// # Records that do not fit
//
// They fail their Batch ([Fail], the default), and the execution is not tried again. With [SetAside] they go to the
// table rejected_records beside the markers, as JSON and with the reason, in the same transaction. A constraint that is
// deferred is checked when it is too late for that, and fails the Batch.
//
// PostgreSQL cannot keep U+0000 in text or jsonb: a record with one does not fit.
//
// # Tables
//
// The table is there before the first delivery, or is made by it ([WithCreateTable]): text, bigint, numeric, double precision,
// boolean, timestamptz for the types of the Extract's fields, jsonb for fields without a type, for JSON and for
// paths that give lists, with a unique constraint on the key. A table that is there is never changed.
// Schedules whose Extract does not fit the table are refused when they are defined, see [Destination.CheckTarget].
//
// # Previews
//
// [Destination.Preview] writes a Batch in a transaction and rolls it back, to count what would be inserted, updated, left as it is, left out
// and rejected. It needs no tables of its own, and no right that Deliver does not need, but for a table that would be made: there it
// takes the right to make a temporary one. Sequences keep the numbers that they gave, and triggers what they did outside of
// the database.
//
// # What it does not promise
//
// It is as durable as the server: a host that sets synchronous_commit to off, or whose standby takes over without
// what was acknowledged, loses rows and markers, but always together. Unlogged tables, foreign tables and views are
// refused, because there the two could part. So are the server's own schemas and the Destination's.
//
// Triggers, rules and row security of a table are the host's: they may change what a delivery leaves behind. PostgreSQL has
// no COPY into tables with row security for roles that it applies to.
//
// Readers see a Batch whole or not at all, but the order of rows in a table is nobody's.
//
// A machine that vanishes from the network in the middle of a delivery holds the Batch's marker until the server
// notices. Set tcp_keepalives_idle and idle_in_transaction_session_timeout, which are off or long by default, if another worker
// is to take over soon. A role with the name of the schema of markers finds it first in its search path, where
// its own CREATE TABLE then puts tables that no Delivery can write.
package postgres
