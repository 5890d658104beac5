// Package extract turns the bytes of an answer into records.
//
// A [Mapping] says what the answer is written in, where the records are and which fields each has; [New]
// compiles it once, and the [Extractor] it returns reads any number of answers, from any number of
// goroutines. A host with a format or a language of its own implements Extractor.
//
// # Values
//
// A [Record] is an ordered list of named values: nil, bool, string, [encoding/json.Number], []any, and
// Record for nested objects; and float64 and [time.Time] where a field's [Type] says so. Numbers keep the
// digits they came with, so 9007199254740993, 0.10 and 1E400 go out as they came in. Objects keep the order
// of their members; of a name that comes twice the last value wins, at the place of the first. A null in
// the document is a value and never counts as missing.
//
// # Formats
//
// JSON, lines of JSON, CSV and TSV, lines of text, and XML: see [Format]. Rows and lines are objects of
// texts, to which paths and types apply as to any other. What a record lacks, and what is of another type
// than its field, is an error that names the record, field, path and value ([Error]); by [BadRecords] it
// fails the answer, or the record is set aside and counted.
//
// # JSONPath
//
// Paths are JSONPath as RFC 9535 defines it, unless the mapping says jq, or the answer is XML, which is read
// by XPath. There is
//
//	$                       the document, or the record in a field's path
//	.name  ['name']  ["name"]  members, with the RFC's escapes in quotes
//	[0]  [-1]               elements, also from the end
//	[1:3]  [::-1]           slices
//	.*  [*]                 all members or elements
//	..name  ..*  ..[0]      the same on a value and on everything below it
//	['a','b']  [0,2:4]      several selectors, in the order written
//	[?@.price < 10]         filters with == != < <= > >= && || ! and parentheses, on @ and $
//	length() count() value()  functions in filters
//	match() search()        the same, with I-Regexps (RFC 9485)
//
// Every path begins with $. A name after a dot has letters, digits, _ and non-ASCII characters; others
// stand in quotes: $['content-type']. Filters compare as the RFC says: numbers by value and exactly, a
// missing value equals only another missing one, and values of different types are never equal.
// Where the RFC leaves the order of an object's members open, it is the document's.
//
// # jq
//
// jq is itchyny/gojq without modules, inputs, the environment and the clock, so that the same answer gives
// the same records. Objects have no order there: their names come sorted. Integers that are written as digits
// are added, subtracted and multiplied exactly, all else is computed as float64, and what is beyond the range
// of that is an error. Numbers that a program does not compute with keep their digits.
//
// # XPath
//
// XPath is 1.0, by antchfx/xpath. Names are matched with the prefix that the document writes; / is the
// document, also in the path of a field. Numbers are float64; one that an expression computes beyond 2^53
// is an error, but for the type float.
//
// # Bounds
//
// An expression has at most 4 KiB and a document at most 10,000 levels and 2,000,000 values; an object
// with one member, the most wasteful of them, takes less than half a KiB. The paths that run on one answer
// together visit and copy at most a million values, or ten for each value of the document where that is
// more, and for each field of each record 16 more and one for each segment of its path. Long texts count
// for several when they are compared or matched, a step of XPath for a part of one, two steps of jq for one.
// A jq program makes values of at most 8 MiB and 512 bytes for each value of the document. A regular
// expression has at most 10,000 steps. What goes beyond that fails with [ErrBudget].
//
// Decoding and paths ask their context every thousand values or so, and stop when it has ended. The size
// of an answer in bytes is the caller's to bound.
package extract
