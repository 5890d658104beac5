package extract

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse_GivesBackWhatItRead(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"numbers keep their digits", `[9007199254740993,12345678901234567890,0.1,1.0,-0,1E400,1e-400]`,
			`[9007199254740993,12345678901234567890,0.1,1.0,-0,1E400,1e-400]`},
		{"members keep their order", `{"z":1,"a":{"y":2,"b":3}}`, `{"z":1,"a":{"y":2,"b":3}}`},
		{"the last of a repeated name wins, at the first place", `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		{"neighbours with other names keep their own", `[{"a":1},{"b":1},{"a":1,"b":2},{"b":1,"a":2}]`, `[{"a":1},{"b":1},{"a":1,"b":2},{"b":1,"a":2}]`},
		{"a byte order mark is passed over", "\uFEFF{}", `{}`},
		{"a surrogate pair is one character", `"\ud83d\ude00"`, `"😀"`},
		{"a lone surrogate is replaced", `"\ud83dx\ude00"`, "\"\uFFFDx\uFFFD\""},
		{"a lone surrogate does not eat the pair after it", `"\ud83d\ud83d\ude00"`, "\"\uFFFD😀\""},
		{"white space may surround anything", " [ 1 , { \"a\" : null } ] \n", `[1,{"a":null}]`},
		{"nothing may be empty but the text", `[{},[],""]`, `[{},[],""]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, text(t, parse(t, row.in)))
		})
	}
}

func TestParse_RefusesWithTheOffset(t *testing.T) {
	for _, row := range []struct {
		name, in string
		offset   int
		rule     string
	}{
		{"an empty answer", ``, 0, "the answer ends"},
		{"a page of HTML", `<html>`, 0, "expected a value"},
		{"more after the value", `{} x`, 3, "the end after the value"},
		{"a second value", `{}{}`, 2, "the end after the value"},
		{"an answer cut off", `{"a":[1,2`, 9, `"," or "]"`},
		{"a leading zero", `[01]`, 2, `"," or "]"`},
		{"a bare minus", `[-]`, 2, "a digit"},
		{"a point without digits", `[1.]`, 3, "a digit"},
		{"a trailing comma", `{"a":1,}`, 7, "a member name"},
		{"a missing colon", `{"a" 1}`, 5, `":"`},
		{"a tab in a string", "[\"a\tb\"]", 3, "control character"},
		{"an escape of another language", `["\x41"]`, 3, "an escape"},
		{"half an escape", `["\u12g4"]`, 4, "four hexadecimal digits"},
		{"a word misspelt", `[nul]`, 4, "null"},
		{"a string without an end", `["a`, 3, `closing "`},
		{"an offset behind a byte order mark", "\uFEFF?", 3, "expected a value"},
		{"a byte order mark of half", "\xEF\xBB{}", 0, "byte 0xef"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse([]byte(row.in))
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			assert.Equal(t, row.offset, syntax.Offset, err)
			assert.ErrorContains(t, err, row.rule)
		})
	}
}

func TestParse_BoundsTheDepth(t *testing.T) {
	deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	_, err := Parse(deep(maxDepth))
	require.NoError(t, err)
	_, err = Parse(deep(maxDepth + 1))
	require.ErrorContains(t, err, "nested deeper")
}

func TestParse_BoundsTheValues(t *testing.T) {
	list := func(n int) []byte { return []byte("[" + strings.Repeat("0,", n-2) + "0]") }
	_, err := Parse(list(maxValues))
	require.NoError(t, err)
	_, err = Parse(list(maxValues + 1))
	require.ErrorIs(t, err, ErrBudget)
	assert.ErrorContains(t, err, "2000000 values")
}

func TestParse_JSONTestSuite(t *testing.T) {
	files, err := filepath.Glob("testdata/jsontestsuite/*.json")
	require.NoError(t, err)
	require.Len(t, files, 210)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			doc, err := Parse(data)
			switch filepath.Base(file)[0] {
			case 'y':
				require.NoError(t, err)
			case 'n':
				require.Error(t, err)
			}
			want, ok := oracle(data)
			require.Equal(t, ok, err == nil, "encoding/json takes it: %v", ok)
			assert.Equal(t, want, withMaps(doc.Value()))
		})
	}
}

// suiteTexts are the texts of the test suite.
func suiteTexts(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/jsontestsuite/*.json")
	require.NoError(t, err)
	var texts [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		texts = append(texts, data)
	}
	return texts
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e+7,"x\u00e9\ud83d\ude00\n",null,true,{}],"a":0}`, "\uFEFF[]", `"\ud800\u0041"`, "\"\xff\"", `[1`, `{"\xff":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := string(data)
		doc, err := Parse(data)
		require.Equal(t, before, string(data), "Parse changes nothing")
		want, ok := oracle(data)
		require.Equal(t, ok, err == nil, "encoding/json takes it: %v, we say: %v", ok, err)
		if err != nil {
			var syntax *SyntaxError
			require.True(t, errors.As(err, &syntax))
			require.LessOrEqual(t, syntax.Offset, len(data))
			return
		}
		assert.Equal(t, want, withMaps(doc.Value()))
		out, err := appendValue(nil, doc.Value())
		require.NoError(t, err)
		require.True(t, json.Valid(out))
	})
}
