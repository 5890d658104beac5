package extract

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPath_Select(t *testing.T) {
	for _, row := range []struct{ name, path, doc, want string }{
		{"wildcards take members in document order", `$.*`, `{"z":1,"a":2,"m":3}`, `[1,2,3]`},
		{"descendants take members in document order", `$..x`, `{"z":{"x":1},"x":2,"a":{"x":3}}`, `[2,1,3]`},
		{"an index does not find a member of that name", `$[0]`, `{"0":"member"}`, `[]`},
		{"a name does not find an element of that index", `$['0']`, `["element"]`, `[]`},
		{"a name of digits is a name", `$['0']['1']`, `{"0":{"1":2}}`, `[2]`},
		{"minus one is the last", `$[-1]`, `[1,2,3]`, `[3]`},
		{"a slice may mix front and end", `$[1:-1]`, `[1,2,3,4]`, `[2,3]`},
		{"a slice may run backwards", `$[::-2]`, `[1,2,3,4]`, `[4,2]`},
		{"a dash is part of a quoted name", `$['id-x']`, `{"id":9,"id-x":1}`, `[1]`},
		{"a null is found", `$.a`, `{"a":null}`, `[null]`},
		{"big integers are told apart", `$[?@==9007199254740993]`, `[9007199254740992,9007199254740993]`, `[9007199254740993]`},
		{"numbers are compared by value, not by spelling", `$[?@==1]`, `[1,1.0,10e-1,0.1E1,"1",true]`, `[1,1.0,10e-1,0.1E1]`},
		{"huge exponents are compared without being written out", `$[?@>1e999999998]`, `[1e999999999,1e400,-1e999999999]`, `[1e999999999]`},
		{"negative numbers have their order", `$[?@< -1.5]`, `[-1.6,-1.5,-1e3,0,-0.0]`, `[-1.6,-1e3]`},
		{"zero has no sign", `$[?@== -0]`, `[0,-0,0.0,0e9]`, `[0,-0,0.0,0e9]`},
		{"a missing value is not null", `$[?@.a==null]`, `[{"a":null},{},{"a":0}]`, `[{"a":null}]`},
		{"a missing value equals a missing value", `$[?@.a==@.b]`, `[{"c":1},{"a":null},{"a":1,"b":1}]`, `[{"c":1},{"a":1,"b":1}]`},
		{"false and null exist", `$[?@.a]`, `[{"a":false},{"a":null},{}]`, `[{"a":false},{"a":null}]`},
		{"objects are equal whatever their order", `$[?@==$[0]]`, `[{"a":1,"b":[2]},{"b":[2.0],"a":1},{"a":1}]`, `[{"a":1,"b":[2]},{"b":[2.0],"a":1}]`},
		{"filters may hold filters", `$[?@.a[?@>1]]`, `[{"a":[1]},{"a":[1,2]}]`, `[{"a":[1,2]}]`},
		{"filters take members of objects too", `$[?@>1]`, `{"b":2,"a":1,"c":3}`, `[2,3]`},
		{"and binds tighter than or", `$[?@.a || @.b && @.c]`, `[{"a":1},{"b":1},{"b":1,"c":1}]`, `[{"a":1},{"b":1,"c":1}]`},
		{"not takes a parenthesis", `$[?!(@.a==1)]`, `[{"a":1},{"a":2},{}]`, `[{"a":2},{}]`},
		{"the length of a text is in characters", `$[?length(@)==2]`, `["ab","日本","😀",["a","b"],{"a":1,"b":2},12]`, `["ab","日本",["a","b"],{"a":1,"b":2}]`},
		{"what has no length has none", `$[?length(@)==length(@.x)]`, `[1,null,"a"]`, `[1,null]`},
		{"a count is of nodes", `$[?count(@.*)>1]`, `[{"a":1,"b":2},[1],"ab"]`, `[{"a":1,"b":2}]`},
		{"a value is of one node", `$[?value(@..a)==1]`, `[{"a":1},{"b":{"a":1}},{"a":1,"b":{"a":1}}]`, `[{"a":1},{"b":{"a":1}}]`},
		{"a match is of the whole text", `$[?match(@,'a.')]`, `["ab","abc","a\n","aé"]`, `["ab","aé"]`},
		{"a search is of a part", `$[?search(@,'[b-c]{2}')]`, `["abc","ab","cb"]`, `["abc","cb"]`},
		{"alternatives match as a whole", `$[?match(@,'a|bc')]`, `["a","bc","ac"]`, `["a","bc"]`},
		{"a pattern from the document", `$.l[?match(@.t,@.p)]`, `{"l":[{"t":"x","p":"[x]"},{"t":"x","p":"y"},{"t":"x","p":"("},{"t":"x","p":1}]}`, `[{"t":"x","p":"[x]"}]`},
		{"what is no I-Regexp matches nothing", `$[?match(@,'\\d') || match(@,'a*?') || search(@,'(?i)A') || search(@,'[[:alpha:]]') || search(@,'a{,1}')]`, `["1","a"]`, `[]`},
		{"the root in a filter is the document", `$.list[?@<$.max]`, `{"max":2,"list":[1,2,3]}`, `[1]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			path, err := CompilePath(row.path)
			require.NoError(t, err)
			doc, err := Parse([]byte(row.doc))
			require.NoError(t, err)
			got, err := path.Select(t.Context(), doc)
			require.NoError(t, err)
			assert.Equal(t, row.want, text(t, got))
			assert.Equal(t, row.path, path.String())
		})
	}
}

func TestPath_SelectedValuesAreCopies(t *testing.T) {
	doc, err := Parse([]byte(`{"a":[1,[2]]}`))
	require.NoError(t, err)
	path, err := CompilePath(`$.a`)
	require.NoError(t, err)
	got, err := path.Select(t.Context(), doc)
	require.NoError(t, err)
	got[0].([]any)[1].([]any)[0] = "changed"
	assert.Equal(t, `{"a":[1,[2]]}`, text(t, doc.Value()))
}

func TestCompilePath_SaysWhatIsWrongAndWhere(t *testing.T) {
	for _, row := range []struct {
		name, path string
		offset     int
		rule       string
	}{
		{"a bare name", `a.b`, 0, "write $.a.b"},
		{"a bare bracket", `['a']`, 0, "write $['a']"},
		{"a current node outside a filter", `@.a`, 0, "write $.a"},
		{"nothing", ``, 0, "starts with $"},
		{"words that no $ makes a path", `no path`, 0, "a path starts with $"},
		{"a dash in a name", `$.id-x`, 4, "['so-and-so']"},
		{"a digit first", `$.0`, 2, "a name"},
		{"white space after the path", `$.a `, 3, "the end of the path"},
		{"an open bracket", `$[0`, 3, `"," or "]"`},
		{"an open string", `$['a`, 2, "closing"},
		{"a leading zero", `$[01]`, 2, "leading zero"},
		{"an integer too large", `$[9007199254740992]`, 2, "2^53-1"},
		{"a script", `$[(@.length-1)]`, 2, "script expressions"},
		{"a literal alone", `$[?1]`, 3, "no condition"},
		{"a comparison of several values", `$[?@.*==1]`, 3, "names and indices only"},
		{"a negated comparison", `$[?!@.a==1]`, 4, "write !(…)"},
		{"a single =", `$[?@.a=1]`, 6, "expected"},
		{"a surrogate alone", `$['\ud800']`, 3, "other half"},
		{"bytes that are no text", "$['\xff']", 3, "UTF-8"},
		{"far too long", `$` + strings.Repeat(".a", 3000), 4096, "longer than"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := CompilePath(row.path)
			var pathErr *PathError
			require.ErrorAs(t, err, &pathErr)
			assert.Equal(t, row.offset, pathErr.Offset, err)
			assert.ErrorContains(t, err, row.rule)
			assert.Less(t, len(err.Error()), 400)
		})
	}
}

func TestCompilePath_SaysWhatIsWrongWithACall(t *testing.T) {
	for _, row := range []struct {
		name, path, rule string
		offset           int
	}{
		{"a function that is not there", `$[?foo(@.a)]`, "foo() is no function of JSONPath", 3},
		{"a call without its end", `$[?length(`, "a path (@ or $)", 10},
		{"a path without its end", `$[?length(@.a) > 1`, `"," or "]"`, 18},
		{"a fault after a call", `$[?length(@.a) > 1 && ]`, "a path (@ or $)", 22},
		{"a value that is not compared", `$[?length(@.a)]`, "compare it", 3},
		{"a value that is negated", `$[?!count(@.*)]`, "compare it", 4},
		{"an argument missing after a comma", `$[?match(@.a,)]`, "a path (@ or $)", 13},
		{"a test that is compared", `$[?match(@.a, 'x') == true]`, "true or false by itself", 3},
		{"too many arguments", `$[?length(@.a, @.b) > 1]`, "arguments of length() is 1, found 2", 3},
		{"too few", `$[?match(@.a)]`, "arguments of match() is 2, found 1", 3},
		{"none", `$[?count() > 1]`, "arguments of count() is 1, found 0", 3},
		{"several values where one is taken", `$[?length(@.*) > 1]`, "names and indices only", 10},
		{"a literal where a path is taken", `$[?count(1) > 1]`, "takes a path", 9},
		{"a test where a value is taken", `$[?length(match(@.a, 'x')) > 1]`, "true or false by itself", 10},
		{"a comparison as an argument", `$[?length(@.a == 1) > 1]`, `"," or ")"`, 14},
		{"a pattern without end", `$[?match(@, '((a{1000}){1000})')]`, "more than 10000 steps", 12},
		{"a blank before the parenthesis", `$[?length (@.a) > 1]`, "a path (@ or $)", 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := CompilePath(row.path)
			var pathErr *PathError
			require.ErrorAs(t, err, &pathErr)
			assert.Equal(t, row.offset, pathErr.Offset, err)
			assert.ErrorContains(t, err, row.rule)
		})
	}
}

func TestPath_Singular(t *testing.T) {
	for path, want := range map[string]bool{`$`: true, `$.a[0]['b']`: true, `$[-1]`: true, `$.*`: false, `$..a`: false,
		`$[0,1]`: false, `$[0:1]`: false, `$.a[?@.b]`: false} {
		p, err := CompilePath(path)
		require.NoError(t, err)
		assert.Equal(t, want, p.Singular(), path)
	}
}

// No expression may hold a worker: each ends soon, most of them at the budget.
func TestPath_BombsEnd(t *testing.T) {
	if raceDetector {
		t.Skip("it is about steps and time, and the race detector makes each step ten times as long")
	}
	nest := func(open, end string, depth int) string {
		return strings.Repeat(open, depth) + "1" + strings.Repeat(end, depth)
	}
	arrays, objects := nest("[", "]", 120), nest(`{"a":`, "}", 100)
	listed := `{"a":[` + strings.Repeat("{},", 100_000) + `{}],"b":` + nest(`{"a":`, "}", 1000) + `}`
	long := `"` + strings.Repeat("x", 1<<20)
	wide := "[" + strings.Repeat(nest("[", "]", 20)+",", 2000) + "0]"
	for _, row := range []struct {
		name, path, doc string
		budget          bool
	}{
		{"descendants of descendants", "$" + strings.Repeat("..[*]", 12), arrays, true},
		{"the same of objects", "$" + strings.Repeat("..*", 10), objects, true},
		{"a union that doubles at each level", "$" + strings.Repeat("[*,*]", 100), arrays, true},
		{"a union of one name", "$" + strings.Repeat("['a','a']", 100), objects, true},
		{"a document compared with itself, everywhere", `$..[?$==$]`, wide, true},
		{"a filter in a filter in a filter", "$" + strings.Repeat("[?@..[?@..[?@..a]]]", 1), wide, true},
		{"the whole document for each of its objects", `$.a[?$.a[0:].zz]`, listed, true},
		{"the same with a wildcard", `$.a[?$.a[*].zz]`, listed, true},
		{"many names for each object", "$.a[?$.b" + strings.Repeat(".a", 1000) + ".zz]", listed, true},
		{"long texts compared for each object", `$.a[?$.x==$.y]`, `{"a":[` + strings.Repeat("0,", 100_000) + `0],"x":` + long + `y","y":` + long + `z"}`, true},
		{"long texts put in order for each object", `$.a[?$.x<$.y]`, `{"a":[` + strings.Repeat("0,", 100_000) + `0],"x":` + long + `y","y":` + long + `z"}`, true},
		{"a slice from end to end of the integers", `$[-9007199254740991:9007199254740991:9007199254740991]`, arrays, false},
		{"many comparisons of nothing", "$[?" + strings.Repeat("@.x==@.y && ", 50) + "@.x]", arrays, false},
		{"a pattern for each of many texts", `$.a[?match($.x,'(x|x)*y')]`, `{"a":[` + strings.Repeat("0,", 100_000) + `0],"x":` + long + `y"}`, true},
		{"the same pattern from the document each time", `$[?match('x',@)]`, "[" + strings.Repeat(`"(((x{1,9}){1,9}){1,9})",`, 5_000) + "0]", false},
		{"patterns that differ", `$[?match('x',@)]`, "[" + differing(5000) + "0]", true},
		{"a count of everything, everywhere", `$..[?count($..*)>1]`, wide, true},
		{"many parentheses", "$[?" + strings.Repeat("(", 2000) + "@.a" + strings.Repeat(")", 2000) + "]", arrays, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			path, err := CompilePath(row.path)
			require.NoError(t, err)
			doc, err := Parse([]byte(row.doc))
			require.NoError(t, err)
			start := time.Now()
			_, err = path.Select(t.Context(), doc)
			assert.Less(t, time.Since(start), 5*time.Second)
			if row.budget {
				assert.ErrorIs(t, err, ErrBudget)
			} else {
				assert.NoError(t, err)
			}
		})
	}
}

// differing makes patterns that cannot be compiled once for all.
func differing(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"(((x{1,9}){1,9}){1,9}){%d}",`, i%1000+1)
	}
	return b.String()
}

func TestPath_BudgetGrowsWithTheDocument(t *testing.T) {
	doc, err := Parse([]byte("[" + strings.Repeat("{},", 1_200_000) + "0]"))
	require.NoError(t, err)
	path, err := CompilePath("$..[?@==0]")
	require.NoError(t, err)
	got, err := path.Select(t.Context(), doc)
	require.NoError(t, err, "every value of a large answer may be looked at")
	assert.Len(t, got, 1)
}

// endsAfter is a context that ends after it was asked a number of times.
type endsAfter struct {
	context.Context
	asked, after int
}

func (c *endsAfter) Err() error {
	if c.asked++; c.asked > c.after {
		return context.Canceled
	}
	return nil
}

func TestPath_SelectEndsWithItsContext(t *testing.T) {
	doc, err := Parse([]byte("[" + strings.Repeat("{},", 100_000) + "0]"))
	require.NoError(t, err)
	path, err := CompilePath("$..*")
	require.NoError(t, err)
	_, err = path.Select(&endsAfter{Context: t.Context(), after: 3}, doc)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestPath_StepsLentEndWithTheirContext(t *testing.T) {
	doc, err := Parse([]byte(`{"a":[` + strings.Repeat("{},", 100_000) + `{}]}`))
	require.NoError(t, err)
	for _, expr := range []string{`$.a[?$.a[0:].zz]`, `$.a[?$.a[*].zz]`, `$.a[*].b.c`, `$.a[0:].b.c`} {
		path, err := CompilePath(expr)
		require.NoError(t, err)
		ctx := &endsAfter{Context: t.Context(), after: 3}
		_, err = path.Select(ctx, doc)
		require.ErrorIs(t, err, context.Canceled, expr)
		assert.Equal(t, 4, ctx.asked, expr)
	}
}

func FuzzCompilePath(f *testing.F) {
	for _, c := range ctsCases(f) {
		f.Add(c.Selector)
	}
	doc, err := Parse([]byte(`{"a":[1,{"b":null,"c":"x"},[-2.5e3]],"":{"0":true}}`))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, expr string) {
		path, err := CompilePath(expr)
		if err != nil {
			var pathErr *PathError
			require.ErrorAs(t, err, &pathErr)
			require.NotEmpty(t, err.Error())
			return
		}
		if got, err := path.Select(t.Context(), doc); err == nil && path.Singular() {
			require.LessOrEqual(t, len(got), 1)
		}
	})
}
