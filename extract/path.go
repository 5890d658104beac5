package extract

import (
	"context"
	"errors"
	"fmt"
)

// ErrBudget is the error of an answer that has more values than any sensible answer has, and of paths
// that visit more than any sensible paths do. It comes wrapped in what was too much.
var ErrBudget = errors.New("over budget")

var errVisits = fmt.Errorf("the paths visit and copy too many values: %w", ErrBudget)

// A path may multiply a small document without end ($..[*]..[*]..[*]), and one answer must not hold a
// worker. So the values visited and copied are counted, against maxVisits in a document of ordinary size,
// visitsPerValue for each value of a large one, and for each field of each record visitsPerField more and one for each
// segment of its path. What costs more than a value counts for several: a run of names as many as it has,
// a comparison one more for each KiB of text.
const (
	maxVisits      = 1_000_000
	visitsPerValue = 10
	visitsPerField = 16
)

// checkEvery is after how many values, decoded or visited, the context is asked again.
const checkEvery = 1024

// A Path is a compiled JSONPath. It may be used from several goroutines.
type Path struct {
	expr  string
	query *query
}

// CompilePath reads a JSONPath as RFC 9535 writes it; with its functions.
// Errors are [*PathError].
func CompilePath(expr string) (*Path, error) {
	segments, err := parsePath(expr)
	if err != nil {
		return nil, err
	}
	q, err := newQuery(segments)
	if err != nil {
		return nil, &PathError{Expr: expr, Rule: err.Error()}
	}
	return &Path{expr: expr, query: q}, nil
}

// Select returns the values the path selects, in the RFC's order and, where the RFC leaves the order of
// an object's members open, in document order. The values are of the kinds of [Record]'s, each a copy.
// A path that selects nothing returns an empty list and no error.
//
// Errors are ctx's, and [ErrBudget] for a path that visits and copies more than a million values, or
// ten for each value of the document where that is more. ctx is asked every thousand of them or so.
func (p *Path) Select(ctx context.Context, doc Document) ([]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e := newEvaluation(ctx, Answer{})
	e.enter(doc)
	return p.query.values(e, doc.root)
}

// Singular reports whether the path can select at most one value: it has names and indices only.
func (p *Path) Singular() bool { return p.query.singular }

// String is the expression the path was compiled from.
func (p *Path) String() string { return p.expr }

// A PathError says what is wrong with a path, or an expression of another language, and where.
type PathError struct {
	Expr   string
	Offset int // in bytes
	Rule   string
}

func (e *PathError) Error() string {
	return fmt.Sprintf("path %q: %s", shorten(e.Expr), e.where())
}

func (e *PathError) where() string {
	if e.Offset == 0 {
		return e.Rule
	}
	return fmt.Sprintf("position %d: %s", e.Offset, e.Rule)
}
