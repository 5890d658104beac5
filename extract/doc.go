// Package extract turns the bytes of an answer into records.
//
// A [Mapping] says where the records are and which fields each has; [JSONPath] compiles it once, and the
// [JSONPathExtractor] it returns reads any number of answers, from any number of goroutines. A host with
// a format or a path language of its own implements [Extractor].
//
// # Values
//
// A [Record] is an ordered list of named values: nil, bool, string, [encoding/json.Number], []any, and
// Record for nested objects. Numbers keep the digits they came with, so 9007199254740993, 0.10 and 1E400
// go out as they came in. Objects keep the order of their members; of a name that comes twice the last
// value wins, at the place of the first. A null in the document is a value and never counts as missing.
//
// # Paths
//
// Paths are JSONPath as RFC 9535 defines it. There is
//
//	$                       the document, or the record in a field's path
//	.name  ['name']  ["name"]  members, with the RFC's escapes in quotes
//	[0]  [-1]               elements, also from the end
//	[1:3]  [::-1]           slices
//	.*  [*]                 all members or elements
//	..name  ..*  ..[0]      the same on a value and on everything below it
//	['a','b']  [0,2:4]      several selectors, in the order written
//	[?@.price < 10]         filters with == != < <= > >= && || ! and parentheses, on @ and $
//
// Every path begins with $. A name after a dot has letters, digits, _ and non-ASCII characters; others
// stand in quotes: $['content-type']. Filters compare as the RFC says: numbers by value and exactly, a
// missing value equals only another missing one, and values of different types are never equal.
// Where the RFC leaves the order of an object's members open, it is the document's.
//
// Function extensions (length, count, match, search, value) are refused when the path is compiled, with
// an error that is [errors.ErrUnsupported]; a path that the RFC does not allow is never that. Whatever
// compiles gets the RFC's answer.
//
// # Bounds
//
// An expression has at most 4 KiB and a document at most 10,000 levels and 2,000,000 values; an object
// with one member, the most wasteful of them, takes less than half a KiB. The paths that run on one answer
// together visit and copy at most a million values, or ten for each value of the document where that is
// more, and for each field of each record 16 more and one for each segment of its path. Long texts count
// for several when they are compared. What goes beyond that fails with [ErrBudget].
//
// Decoding and paths ask their context every thousand values or so, and stop when it has ended. The size
// of an answer in bytes is the caller's to bound.
package extract
