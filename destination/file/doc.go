// Package file is a [callsheet.Destination] that writes records to files below one directory.
//
// The target's extension says the format: ".jsonl" and ".ndjson" are JSON lines, ".csv" is CSV with
// one header line. All paths are confined to the directory, also against symbolic links: none is
// followed, inside or out.
//
// # Modes
//
// [callsheet.Append], the default, adds each Batch to the end of the target's file.
//
// [callsheet.PerExecution] gives every execution a file of its own: of the target "dir/quakes.csv"
// it makes "dir/quakes-20261123T134500Z-<execution ID>.csv", and for chunks after the first
// "dir/quakes-20261123T134500Z-<execution ID>-<chunk>.csv". Such a file appears whole or not at all.
//
// # Exactly once
//
// A Batch is known by its execution and chunk. Delivered again, also after a crash or by another
// process, it changes nothing. In mode Append a journal below ".callsheet" in the directory holds,
// for every target, which Batches are in the file and where the last of them ends. Deliver
//
//  1. brings file and journal in line: what is behind the journal's end is debris of a crash and is
//     cut off;
//  2. does nothing more if the journal has the Batch;
//  3. writes the Batch and syncs the file;
//  4. adds a line to the journal and syncs it. This is the moment of commit.
//
// [New] does the first step for every journal it finds, so that a restarted process mends its files
// before anybody reads them. A journal remembers at least the last 50,000 Batches of its target;
// one that is repeated later than that is written again.
//
// # What a foreign reader may see
//
// A program that reads a file while it is written may see bytes behind the last committed Batch:
// whole records, the beginning of some, or none. If the writer finishes they become the next
// Batch; if it fails or is killed they are cut off, at the latest when New or the next Deliver finds
// them. A reader who tails a file must be ready for that; one that reads when nobody writes sees
// committed records only. A file of mode PerExecution is never seen in part.
//
// # The files are the Destination's
//
// Nobody else may change a file under the target's name, and no two targets may be one file (by hard
// links, or on file systems that treat differently encoded names as one). What others append is cut
// off as debris. A file that became shorter than its journal says is never written to again: Deliver
// returns an error until the file is restored or removed.
//
// These are fine: a file that was there before its first delivery is continued behind its present
// end, which must be the end of a line. A file that was renamed, removed or emptied between
// deliveries, as log rotation does, is begun anew, with a new header; the journal still knows which
// Batches were in the old one.
//
// Targets that differ in case only are refused, because on some file systems they are one file.
//
// # What else it does not promise
//
// Several processes on one directory take turns by flock(2). Where that does not exist (Windows,
// Solaris, some network file systems) a directory must belong to one process. Promises about loss
// of power are those of fsync on the file system; [WithoutSync] gives them up. A crash in mode
// PerExecution may leave a hidden file ".callsheet-*.tmp", which is removed an hour later, when some
// process delivers to that folder for the first time. Files are not opened in ways that keep others
// with the same rights from changing folders into symbolic links while they are used: such a race may
// pick another file, but never one outside the directory.
package file
