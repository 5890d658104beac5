package file

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/callsheet-go/callsheet"
)

const (
	maxElement = 255  // bytes of one path element, on common file systems
	maxPath    = 4096 // bytes of a path
)

// A target is a Delivery's Target and Mode, checked.
type target struct {
	ref    callsheet.Ref
	given  string // as in the Delivery
	name   string // cleaned
	format format
	mode   callsheet.WriteMode
}

// parseTarget checks what can be checked without looking at the disk, and reports every fault.
func parseTarget(d callsheet.Delivery) (target, error) {
	t := target{
		ref:   callsheet.Ref{Kind: callsheet.KindDelivery, ID: d.ID},
		given: d.Target,
		name:  path.Clean(d.Target),
		mode:  d.Mode,
	}
	if t.mode == "" {
		t.mode = callsheet.Append
	}
	var faults []error
	refuse := func(field, value, rule string) {
		faults = append(faults, &callsheet.ValidationError{Ref: t.ref, Field: field, Value: value, Rule: rule})
	}
	if d.Target == "" {
		refuse("target", "", "must name a file below the destination's directory, such as \"quakes.jsonl\"")
	} else {
		for _, rule := range brokenRules(d.Target, t.mode) {
			refuse("target", d.Target, rule)
		}
		var ok bool
		if t.format, ok = formats[path.Ext(t.name)]; !ok {
			refuse("target", d.Target, "must end in .jsonl, .ndjson or .csv")
		}
	}
	if t.mode != callsheet.Append && t.mode != callsheet.PerExecution {
		refuse("mode", string(d.Mode), "must be \"append\" or \"per_execution\"")
	}
	if len(d.Key) > 0 {
		refuse("key", strings.Join(d.Key, ", "), "must be empty: a file has no keys")
	}
	return t, errors.Join(faults...)
}

// brokenRules returns the rules for a path that given does not keep. They are stricter than
// os.Root needs them to be, so that a wrong target is refused where it is defined.
func brokenRules(given string, mode callsheet.WriteMode) []string {
	var broken []string
	keep := func(kept bool, rule string) {
		if !kept {
			broken = append(broken, rule)
		}
	}
	elements := strings.Split(given, "/")
	cleaned := strings.Split(path.Clean(given), "/")

	keep(!strings.HasPrefix(given, "/"), "must be relative, without a leading \"/\"")
	keep(!slices.Contains(elements, ".."), "must not contain \"..\"")
	keep(!slices.ContainsFunc(elements, onlyLooksLikeDots), "must not have an element of nothing but dots and spaces")
	keep(utf8.ValidString(given), "must be UTF-8")
	keep(!strings.ContainsFunc(given, unicode.IsControl), "must not contain control characters")
	keep(!strings.Contains(given, "{{"), "must not contain \"{{\": a target is no template")
	keep(!strings.EqualFold(cleaned[0], journalFolder), fmt.Sprintf("must not be in %q, which belongs to the destination", journalFolder))
	keep(len(given) <= maxPath, fmt.Sprintf("must be at most %d bytes long", maxPath))
	keep(!slices.ContainsFunc(cleaned, func(e string) bool { return len(e) > maxElement }),
		fmt.Sprintf("must not have an element of more than %d bytes", maxElement))
	if last := cleaned[len(cleaned)-1]; mode == callsheet.PerExecution && len(last) <= maxElement {
		keep(len(last) <= maxElement-suffixRoom,
			fmt.Sprintf("must have a file name of at most %d bytes, to leave room for the execution", maxElement-suffixRoom))
	}
	return broken
}

// onlyLooksLikeDots reports whether somebody, a person or a file system that normalizes names, may
// take e for "." or "..". A plain "." is harmless: it is cleaned away.
func onlyLooksLikeDots(e string) bool {
	if e == "" || e == "." || e == ".." { // ".." has its own rule
		return false
	}
	const dots = ".\u2024\u2025\u2026\u22ef\ufe19\ufe30\ufe52\uff0e"
	return strings.IndexFunc(e, func(r rune) bool {
		return !strings.ContainsRune(dots, r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r)
	}) < 0
}

// folders returns the target's folder and those above it, up to the directory itself.
func (t target) folders() []string {
	var all []string
	for folder := path.Dir(t.name); folder != "."; folder = path.Dir(folder) {
		all = append(all, folder)
	}
	return append(all, ".")
}

// check looks at what the target's path is on the disk. Symbolic links are refused even where they
// stay inside, because two targets that are one file would take each other's records for debris.
func (d *Destination) check(t target) error {
	for end := 0; end < len(t.name); end++ {
		end = nextSlash(t.name, end)
		info, err := d.root.Lstat(t.name[:end])
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("target %q: %w", t.name, err)
		}
		rule := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			rule = "must not lead over a symbolic link"
		case end < len(t.name) && !info.IsDir():
			rule = "must not lead through what is no folder"
		case end == len(t.name) && !info.Mode().IsRegular():
			rule = "must be a regular file"
		default:
			continue
		}
		return &callsheet.ValidationError{Ref: t.ref, Field: "target", Value: t.given, Rule: fmt.Sprintf("%s: %q", rule, t.name[:end])}
	}
	return nil
}

// nextSlash returns where the path element that starts at or behind from ends.
func nextSlash(name string, from int) int {
	if i := strings.IndexByte(name[from:], '/'); i >= 0 {
		return from + i
	}
	return len(name)
}
