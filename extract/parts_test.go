package extract

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// partsOf cuts body, from the part on that came after the one given.
func partsOf(t testing.TB, m Mapping, body, contentType string, size int, after *Part) ([]Part, error) {
	p, err := NewParts(m, iotest.OneByteReader(strings.NewReader(body)), contentType, size)
	if err != nil {
		return nil, err
	}
	if after != nil {
		same, err := p.Resume(t.Context(), after.End, after.Hash)
		require.NoError(t, err)
		require.True(t, same)
	}
	var all []Part
	for {
		part, err := p.Next(t.Context())
		if err == io.EOF {
			require.True(t, all[len(all)-1].Last)
			return all, nil
		}
		if err != nil {
			return all, err
		}
		require.False(t, len(all) > 0 && all[len(all)-1].Last, "something follows the last part")
		all = append(all, part)
	}
}

func recordsOf(t testing.TB, m Mapping, x Extractor, contentType string, parts []Part) ([]Record, error) {
	var all []Record
	for _, part := range parts {
		result, err := x.Extract(t.Context(), Answer{Body: part.Body, ContentType: contentType})
		if m.Format == FormatText && errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, result.Records...)
	}
	return all, nil
}

func encoded(t *testing.T, text string, with interface{ String(string) (string, error) }) string {
	out, err := with.String(text)
	require.NoError(t, err)
	return out
}

func TestParts(t *testing.T) {
	for _, row := range []struct {
		name        string
		mapping     Mapping
		body        string
		contentType string
	}{
		{"lines of JSON", Mapping{Format: FormatNDJSON}, "{\"a\":1}\n\n{\"a\":\"ü\"}\r\n[3,4]\n5", ""},
		{"with a mark", Mapping{Format: FormatNDJSON}, "\uFEFF{\"a\":1}\n{\"a\":2}\n", ""},
		{"a table", Mapping{Format: FormatCSV}, "a,b\n1,x\n2,\"y\n\"\"z\"\"\"\n\n3,\r\n4,4", ""},
		{"a table with lines before it", Mapping{Format: FormatCSV, CSV: CSV{SkipLines: 2}}, "\"made at\n12:00\na,b\n1,x\n2,y\n", ""},
		{"a table without a header", Mapping{Format: FormatTSV, CSV: CSV{Columns: []string{"a", "b"}, SkipLines: 1}}, "#\n1\tx\n2\t\"\ty\"\n", ""},
		{"a header alone", Mapping{Format: FormatCSV}, "\na,b", ""},
		{"a delimiter of several bytes", Mapping{Format: FormatCSV, CSV: CSV{Delimiter: "→"}}, "a→b\n\"1\"→\"2\"\n→\n", ""},
		{"carriage returns in cells", Mapping{Format: FormatCSV}, "a\nx\ry\n\"\r\"\r\n\r\nz\r", ""},
		{"Latin-1", Mapping{Format: FormatCSV}, encoded(t, "name\nMüller\nÅs\n", charmap.ISO8859_1.NewEncoder()), "text/csv; charset=iso-8859-1"},
		{"UTF-16", Mapping{Format: FormatCSV}, encoded(t, "name\nMüller\n\"Ås\n\"\n", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder()), ""},
		{"lines of text", Mapping{Format: FormatText, Pattern: `^(?P<n>\d+) `}, "# a comment\n# another\n1 x\n22 y\n\n3 z", ""},
		{"nothing", Mapping{Format: FormatNDJSON}, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			x, err := New(row.mapping)
			require.NoError(t, err)
			whole, err := x.Extract(t.Context(), Answer{Body: []byte(row.body), ContentType: row.contentType})
			require.NoError(t, err)
			for size := 1; size < len(row.body)+2; size++ {
				parts, err := partsOf(t, row.mapping, row.body, row.contentType, size, nil)
				require.NoError(t, err, "size %d", size)
				records, err := recordsOf(t, row.mapping, x, row.contentType, parts)
				require.NoError(t, err, "size %d", size)
				require.Equal(t, sprint(whole.Records), sprint(records), "size %d", size)
				for i, part := range parts {
					after, err := partsOf(t, row.mapping, row.body, row.contentType, 5, &part)
					require.NoError(t, err)
					rest, err := recordsOf(t, row.mapping, x, row.contentType, after)
					require.NoError(t, err)
					before, err := recordsOf(t, row.mapping, x, row.contentType, parts[:i+1])
					require.NoError(t, err)
					require.Equal(t, sprint(whole.Records), sprint(append(before, rest...)), "size %d, resumed after part %d", size, i)
				}
			}
		})
	}
}

func TestParts_Resume(t *testing.T) {
	m := Mapping{Format: FormatCSV, CSV: CSV{SkipLines: 1}}
	const body = "made at 12:00\na,b\n1,x\n2,y\n3,z\n"
	parts, err := partsOf(t, m, body, "", 4, nil)
	require.NoError(t, err)
	require.Len(t, parts, 4)
	for _, row := range []struct {
		name, body string
		same       bool
	}{
		{"the same", body, true},
		{"made at another time", "made at 13:00, or so\n" + body[14:], true},
		{"longer", body + "4,w\n", true},
		{"shorter, after the place", body[:len(body)-4], true},
		{"shorter", body[:22], false},
		{"a row has changed", strings.Replace(body, "1,x", "1,X", 1), false},
		{"a row is new at the top", strings.Replace(body, "1,x", "0,w\n1,x", 1), false},
		{"another header", strings.Replace(body, "a,b", "b,a", 1), false},
		{"empty", "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := NewParts(m, strings.NewReader(row.body), "", 4)
			require.NoError(t, err)
			same, err := p.Resume(t.Context(), parts[2].End, parts[2].Hash)
			require.NoError(t, err)
			require.Equal(t, row.same, same)
		})
	}
}

func TestParts_Errors(t *testing.T) {
	_, err := NewParts(Mapping{}, strings.NewReader("{}"), "", 10)
	require.EqualError(t, err, "an answer in json cannot be cut into parts")
	_, err = NewParts(Mapping{Format: FormatCSV}, strings.NewReader("a"), "text/csv; charset=klingon", 10)
	require.EqualError(t, err, `extract: the charset "klingon" is not known`)

	broken := errors.New("disk on fire")
	p, err := NewParts(Mapping{Format: FormatNDJSON}, io.MultiReader(strings.NewReader("1\n2\n"), iotest.ErrReader(broken)), "", 3)
	require.NoError(t, err)
	for err == nil {
		_, err = p.Next(t.Context())
	}
	require.ErrorIs(t, err, broken)

	for name, m := range map[string]Mapping{
		"a line": {Format: FormatNDJSON}, "a quoted cell": {Format: FormatCSV}, "a line before the header": {Format: FormatCSV, CSV: CSV{SkipLines: 1}},
	} {
		p, err := NewParts(m, io.MultiReader(strings.NewReader(`"`), endless{}), "", 1000)
		require.NoError(t, err)
		_, err = p.Next(t.Context())
		require.ErrorIs(t, err, ErrBudget, name)
		require.ErrorContains(t, err, "a line of more than 16777216 bytes", name)
	}
}

// What is wrong with a row is what the reader says of it, and not that it is long.
func TestParts_ErrorsAreTheReaders(t *testing.T) {
	m := Mapping{Format: FormatCSV}
	x, err := New(m)
	require.NoError(t, err)
	for _, before := range []string{"a,b\n", "a,b\n1,2\n", "\"a,b\"\n"} {
		body := before + "1,\"x\"y\n" + strings.Repeat("3,4\n", 1000)
		_, wholeErr := x.Extract(t.Context(), Answer{Body: []byte(body)})
		require.ErrorContains(t, wholeErr, "'y' after the closing quote of a cell, in \"1,")
		parts, err := partsOf(t, m, body, "", 16, nil)
		require.NoError(t, err)
		require.Greater(t, len(parts), 10)
		_, err = recordsOf(t, m, x, "", parts)
		require.ErrorContains(t, err, "'y' after the closing quote of a cell, in \"1,")
	}
}

func TestParts_ALongLineIsAPartOfItsOwn(t *testing.T) {
	for _, m := range []Mapping{{Format: FormatNDJSON}, {Format: FormatCSV, CSV: CSV{Columns: []string{"a"}}}} {
		long := "\"" + strings.Repeat("x", 100) + "\"\n"
		parts, err := partsOf(t, m, strings.Repeat("1\n", 10)+long+strings.Repeat("2\n", 200), "", 10, nil)
		require.NoError(t, err)
		lengths := map[int]int{}
		for _, part := range parts {
			lengths[len(part.Body)-len(utf8Mark)]++
		}
		require.Equal(t, map[int]int{10: 42, len(long): 1}, lengths)
	}
}

func TestParts_EndWithTheirContext(t *testing.T) {
	p, err := NewParts(Mapping{Format: FormatNDJSON}, endless{}, "", 10)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = p.Resume(ctx, 1<<40, "")
	require.ErrorIs(t, err, context.Canceled)
}

// endless is a text without line ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// rows is a table of so many bytes, made as it is read.
type rows struct{ left int }

func (r *rows) Read(p []byte) (int, error) {
	const row = "12345,a name of some length,2026-03-01T00:00:00Z,19.99\n"
	if r.left < len(row) {
		return 0, io.EOF
	}
	n := min(len(p), r.left) / len(row) * len(row)
	if n == 0 {
		return copy(p, row[:len(p)]), errors.New("the buffer is shorter than a row")
	}
	for i := 0; i < n; i += len(row) {
		copy(p[i:], row)
	}
	r.left -= n
	return n, nil
}

func TestParts_MemoryIsThatOfAPart(t *testing.T) {
	m := Mapping{Format: FormatCSV, CSV: CSV{Columns: []string{"id", "name", "at", "price"}}}
	const total, size = 256 << 20, 1 << 20
	p, err := NewParts(m, &rows{total}, "", size)
	require.NoError(t, err)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most, read := uint64(0), 0
	for i := 0; ; i++ {
		part, err := p.Next(t.Context())
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.LessOrEqual(t, len(part.Body), size+len(utf8Mark))
		read += bytes.Count(part.Body, []byte("\n"))
		if i%32 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
		}
	}
	assert.Equal(t, total/55, read)
	assert.Less(t, most, uint64(8<<20))
}

func FuzzParts(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n3,4\n", "a\n\"x\"\"y\"\r\n", "\"", "a,a\n", "\n\n\r", "a\n\"x\"y\nz\n", "\uFEFFa\nb\r\nc\r", "a\n1,2\n3\n", "a\rb\n1\n", "\"a\rb\"\r\n1\n", "\ra"} {
		for size := range 4 {
			f.Add(seed, size, size%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, body string, size int, skips bool) {
		if len(body) > 1000 {
			return
		}
		bad := FailRecords
		if skips {
			bad = SkipRecords
		}
		for _, m := range []Mapping{
			{Format: FormatCSV, BadRecords: bad}, {Format: FormatCSV, BadRecords: bad, CSV: CSV{SkipLines: 1}},
			{Format: FormatTSV, BadRecords: bad, CSV: CSV{Columns: []string{"a"}}}, {Format: FormatCSV, BadRecords: bad, CSV: CSV{Delimiter: "→"}},
			{Format: FormatNDJSON, BadRecords: bad}, {Format: FormatNDJSON, BadRecords: bad, Language: JQ, Records: ".a?"},
		} {
			x, err := New(m)
			require.NoError(t, err)
			contentType := [...]string{"", "text/csv; charset=latin1", "text/csv; charset=shift_jis"}[len(body)%3]
			whole, wholeErr := x.Extract(t.Context(), Answer{Body: []byte(body), ContentType: contentType})
			parts, err := partsOf(t, m, body, contentType, size%64, nil)
			require.NoError(t, err)
			records, err := recordsOf(t, m, x, contentType, parts)
			require.Equal(t, wholeErr == nil, err == nil, "%v and %v of %q", wholeErr, err, parts)
			if err != nil {
				require.Equal(t, reason(wholeErr), reason(err))
			}
			if err == nil {
				require.Equal(t, sprint(whole.Records), sprint(records), "%q", parts)
			}
		}
	})
}

// reason is what is wrong, without the place.
func reason(err error) string {
	if syntax, ok := errors.AsType[*SyntaxError](err); ok {
		return syntax.Rule
	}
	return errors.Unwrap(err).Error()
}
