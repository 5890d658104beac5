package extract

import (
	"fmt"
	"slices"
	"sync"

	"github.com/itchyny/gojq"
)

// The functions of jq that are defined anew, on functions of ours. They are guarded as a program is.
const jqPreludeText = `
def add(f): reduce f as $x (null; . + $x);
def join($sep): _cs_join($__run; $sep);
def _cs_args($re): if $re | type == "array" then $re else [$re, null] end;
def match($re; $flags): _cs_match($__run; $re; $flags; false)[];
def match($re): _cs_args($re) as [$r, $f] | match($r; $f);
def test($re; $flags): _cs_match($__run; $re; $flags; true);
def test($re): _cs_args($re) as [$r, $f] | test($r; $f);
def _cs_captures: [.captures[] | select(.name != null) | {key: .name, value: .string}] | from_entries;
def capture($re; $flags): match($re; $flags) | _cs_captures;
def capture($re): _cs_args($re) as [$r, $f] | capture($r; $f);
def scan($re; $flags): match($re; "g" + $flags) | if .captures == [] then .string else [.captures[].string] end;
def scan($re): scan($re; null);
def splits($re; $flags): .[foreach (match($re; $flags + "g"), null) as {$offset, $length}
  (null; {start: .next, end: $offset, next: ($offset + $length)})];
def splits($re): splits($re; null);
def split($re; $flags): [splits($re; $flags)];
def _cs_only(f): [f] | if length == 1 then .[0] else error("one output is taken as a replacement") end;
def sub($re; str; $flags): . as $in
  | reduce (match($re; $flags) | [., _cs_only(_cs_captures | str)]) as [$edit, $s]
      ([[], 0]; [.[0] + [$in[.[1]:$edit.offset], $s], $edit.offset + $edit.length])
  | .[1] as $end | .[0] + [$in[$end:]] | join("");
def sub($re; str): sub($re; str; null);
def gsub($re; str; $flags): sub($re; str; $flags + "g");
def gsub($re; str): sub($re; str; "g");
null`

// jqLibrary is the prelude.
type jqLibrary struct {
	names  map[string]bool // as name/arity
	source string
}

var jqPrelude = sync.OnceValue(func() jqLibrary {
	q, err := gojq.Parse(jqPreludeText)
	if err != nil {
		panic(err)
	}
	l := jqLibrary{names: map[string]bool{}, source: jqPreludeText}
	for _, def := range q.FuncDefs {
		l.names[fmt.Sprintf("%s/%d", def.Name, len(def.Args))] = true
	}
	return l
})

func (l jqLibrary) defines(arity string) bool { return l.names[arity] }

// needed gives the definitions, guarded, if any of them is called.
func (l jqLibrary) needed(called []string) []*gojq.FuncDef {
	if !slices.ContainsFunc(called, l.defines) {
		return nil
	}
	q, err := gojq.Parse(l.source) // a tree for each program, since the guard changes it
	if err != nil {
		panic(err)
	}
	g := &jqGuard{defined: l.names, trusted: true}
	g.query(q)
	return q.FuncDefs
}
