package extract

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type ctsCase struct {
	Name     string            `json:"name"`
	Selector string            `json:"selector"`
	Document json.RawMessage   `json:"document"`
	Result   json.RawMessage   `json:"result"`
	Results  []json.RawMessage `json:"results"`
	Invalid  bool              `json:"invalid_selector"`
}

func ctsCases(t testing.TB) []ctsCase {
	t.Helper()
	data, err := os.ReadFile("testdata/cts.json")
	require.NoError(t, err)
	var suite struct{ Tests []ctsCase }
	require.NoError(t, json.Unmarshal(data, &suite))
	require.Len(t, suite.Tests, 703)
	return suite.Tests
}

// Of the compliance suite's selectors each gets the RFC's answer, and each invalid one is refused.
// docs/extraction.md tells the same counts.
func TestPath_ComplianceSuite(t *testing.T) {
	right, invalid := 0, 0
	for _, c := range ctsCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			path, err := CompilePath(c.Selector)
			if c.Invalid {
				require.Error(t, err, c.Selector)
				invalid++
				return
			}
			require.NoError(t, err)
			doc, err := Parse(c.Document)
			require.NoError(t, err)
			got, err := path.Select(t.Context(), doc)
			require.NoError(t, err)
			allowed := []string{}
			for _, r := range append(slices.Clone(c.Results), c.Result) {
				if r != nil {
					allowed = append(allowed, text(t, parse(t, string(r))))
				}
			}
			assert.Contains(t, allowed, text(t, got), c.Selector)
			right++
		})
	}
	assert.Equal(t, 247, invalid, "invalid selectors that do not compile")
	assert.Equal(t, 456, right, "valid selectors with the RFC's answer")

	page, err := os.ReadFile("../docs/extraction.md")
	require.NoError(t, err)
	assert.Contains(t, string(page), fmt.Sprintf("| valid selectors that get the RFC's answer | %d of 456 |\n| invalid selectors that are refused | %d of 247 |", right, invalid))
}

// What is lent to PaesslerAG/jsonpath must come out as our own evaluation of it.
func TestPath_LentAndOwnStepsAgree(t *testing.T) {
	documents := []string{
		`{"a":{"b":[{"c":1},{"c":null},{"d":2},[0,1,2]]},"0":"zero","1":{"a":1},"NaN":3,"":4}`,
		`[[0,1,2,3],{"0":"x","a":[1,2,{"b":3}]},"s",null,5]`,
		`null`, `"text"`, `[]`, `{}`,
	}
	selectors := []string{
		`$.a.b`, `$.a.b[0:2].c`, `$.a.b[1:].c`, `$[0:2][1:3]`, `$['0']`, `$['NaN']`, `$['1'].a`, `$['']`, `$['1e999']`, `$['0x1p4']`,
		`$[1:2].a[0:9007199254740991:2].b`, `$['\u0000\u2028\u00e9\uFEFF"']`, `$[3:1]`, `$[:]`, `$[0:5:0]`, `$['a b'].c`, `$[9007199254740991:]`,
	}
	for _, c := range ctsCases(t) {
		if !c.Invalid {
			documents = append(documents, string(c.Document))
			selectors = append(selectors, c.Selector)
		}
	}
	slices.Sort(documents)
	documents = slices.Compact(documents)
	lentSteps := 0
	for _, selector := range selectors {
		path, err := CompilePath(selector)
		if err != nil {
			continue
		}
		ours := &query{segments: path.query.segments}
		for _, s := range path.query.segments {
			ours.steps = append(ours.steps, s)
		}
		for _, s := range path.query.steps {
			if _, is := s.(lent); is {
				lentSteps++
			}
		}
		for _, document := range documents {
			doc, err := Parse([]byte(document))
			require.NoError(t, err)
			got, err := path.Select(t.Context(), doc)
			require.NoError(t, err)
			want, err := (&Path{selector, ours}).Select(t.Context(), doc)
			require.NoError(t, err)
			require.Equal(t, want, got, "%s on %s", selector, document)
		}
	}
	assert.Greater(t, lentSteps, 40, "selectors that PaesslerAG takes part in")
}
