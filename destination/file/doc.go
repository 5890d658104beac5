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
// "dir/quakes-20261123T134500Z-<execution ID>-<chunk>.csv". Such a file appears whole or not at all,
// and is not written again: if two workers deliver one execution, the first that commits a chunk is the one.
//
// # Previews
//
// [Destination.Preview] reads the file's journal and its header, and writes nothing.
//
// # CSV
//
// nil is an empty cell, the empty string is "" in quotes. In a file with one column, where an empty
// cell would make a blank line, which many readers skip, both are "" and cannot be told apart.
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
// before anybody reads them. A journal remembers at least the last 50,000 Batches of its target,
// and up to 25,000 more of the executions that these are of; one that is repeated later than that is
// written again. At 100,000 the journal is shortened; where that fails, as on a full disk, it grows on
// and is tried again some deliveries later.
//
// A Batch whose fence is smaller than one that came for its execution is refused with [callsheet.ErrStaleFence].
// The journal remembers that as long as it does the Batches, and in mode PerExecution the locks in ".callsheet" do,
// for the last few hundred executions that had more than one worker.
//
// A Deliver that returns an error has left nothing for readers, with two exceptions on a failing
// disk: what cannot even be taken back stays until the next Deliver, and the error says that too;
// and a file of mode PerExecution that an earlier, killed Deliver left may be there while it cannot
// be synced.
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
// A file that was there before its first delivery is fine: it is continued behind its present end,
// which must be the end of a line.
//
// In mode Append, targets that differ in case only are refused, because on some file systems they are
// one file.
//
// # Rotation
//
// A file of mode Append that was renamed, removed or emptied between deliveries is begun anew, with a
// new header; the journal still knows which Batches were in the old one. Rotate when no Deliver is
// under way and none was killed since the file was last in line: after the Scheduler has stopped by
// itself, or, after a kill, behind the New of the next process.
//
// Debris of a killed process is cut off by the file's name. In a file that was renamed before that it
// stays for good: records that were not committed, the last of them maybe in part. Their Batch is
// delivered again, to the new file.
//
// # The folder of journals
//
// ".callsheet" belongs to the files: copy, move, restore and remove it with them. If it is removed
// alone, also while in use, it is made again, every file is continued as one that was there before,
// and a Batch that is repeated then is written again. What the journal of a target is called, errors
// that are about it say.
//
// # What else it does not promise
//
// Several processes on one directory take turns by flock(2). Where that does not exist (Windows,
// Solaris, some network file systems) a directory must belong to one Destination. Promises about loss
// of power are those of fsync on the file system; [WithoutSync] gives them up. A crash in mode
// PerExecution may leave a hidden file ".callsheet-*.tmp", which is removed an hour later, when some
// process delivers to that folder for the first time. Files are not opened in ways that keep others
// with the same rights from changing folders into symbolic links while they are used: such a race may
// pick another file, but never one outside the directory.
package file
