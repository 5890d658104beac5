package fetch_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callsheet-go/callsheet/fetch"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func templateData() fetch.TemplateData {
	at := time.Date(2024, 5, 1, 6, 0, 0, 0, time.UTC)
	return fetch.TemplateData{
		ScheduledAt: at, Window: fetch.TemplateWindow{Start: at.Add(-6 * time.Hour), End: at}, Cursor: "2024-04-30T23:59:00Z",
		Labels: map[string]string{"team": "fx", "on-call": "ann"}, Params: map[string]string{"currency": "EUR", "odd": `a/b?c&d="é"`, "empty": ""},
		Page:        fetch.TemplatePage{Number: 3, Offset: 200, Size: 100, Token: "t0k"},
		ExecutionID: "e-1", ScheduleID: "rates", Attempt: 2,
	}
}

func render(t *testing.T, text string, place fetch.Place) string {
	t.Helper()
	compiled, err := fetch.CompileTemplate(text, place)
	require.NoError(t, err, text)
	got, err := compiled.Render(templateData())
	require.NoError(t, err, text)
	return got
}

// The tables of the documentation have, in each row, a template and what it gives.
func TestTemplate_DocumentationTellsTheTruth(t *testing.T) {
	page, err := os.ReadFile("../docs/templates.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\|.*\\| `([^`]*\\{\\{[^`]*)` \\| `([^`]*)` \\|$")
	placed := regexp.MustCompile("(?m)^\\| (path|query|header|json|form|xml|text) \\|.*\\| `([^`]*)` \\| `([^`]*)` \\|$")
	places := map[string]fetch.Place{}
	for _, m := range placed.FindAllStringSubmatch(string(page), -1) {
		places[m[2]] = fetch.Place(m[1])
	}
	assert.GreaterOrEqual(t, len(places), len(fetch.Places()), "each place has an example")
	rows := row.FindAllStringSubmatch(string(page), -1)
	assert.Greater(t, len(rows), 45)
	for _, m := range rows {
		text, want := strings.ReplaceAll(m[1], `\|`, "|"), m[2]
		place, ok := places[text]
		if !ok {
			place = fetch.PlaceText
		}
		assert.Equal(t, want, render(t, text, place), "%s in %s", text, place)
	}
}

func TestTemplate_ValuesAreEscapedForWhereTheyStand(t *testing.T) {
	const odd = `{{.Params.odd}}`
	for _, tc := range []struct {
		name  string
		place fetch.Place
		text  string
		want  string
	}{
		{"a value cannot add a segment or a query", fetch.PlacePath, "/v1/" + odd + "/x", "/v1/a%2Fb%3Fc&d=%22%C3%A9%22/x"},
		{"behind the question mark of a path a value is a part of a parameter", fetch.PlacePath, "/v1?q=" + odd + "&x=1", "/v1?q=a%2Fb%3Fc%26d%3D%22%C3%A9%22&x=1"},
		{"a question mark in an action is no query", fetch.PlacePath, `/a{{"?"}}{{.Cursor}}`, "/a%3F2024-04-30T23:59:00Z"},
		{"a query may begin in a branch", fetch.PlacePath, "/a{{if .Cursor}}?since={{.Cursor}}{{end}}", "/a?since=2024-04-30T23%3A59%3A00Z"},
		{"a question mark after branches makes clear what follows", fetch.PlacePath, "/a{{if .Cursor}}?b=1{{end}}?c={{.Params.odd}}", "/a?b=1?c=a%2Fb%3Fc%26d%3D%22%C3%A9%22"},
		{"a query value is escaped when it is sent", fetch.PlaceQuery, odd, `a/b?c&d="é"`},
		{"within quotes of JSON a value is a part of the string", fetch.PlaceJSON, `{"a":"<` + odd + `>"}`, `{"a":"<a/b?c&d=\"é\">"}`},
		{"elsewhere in JSON it is a string of its own", fetch.PlaceJSON, `{"a":` + odd + `}`, `{"a":"a/b?c&d=\"é\""}`},
		{"numbers and truth are those of JSON", fetch.PlaceJSON, `[{{.Attempt}},{{eq .Attempt 2}},{{1.5}}]`, `[2,true,1.5]`},
		{"a time is a string of JSON", fetch.PlaceJSON, `{"a":{{.ScheduledAt}}}`, `{"a":"2024-05-01T06:00:00Z"}`},
		{"a map is an object of JSON", fetch.PlaceJSON, `{"a":{{.Labels}}}`, `{"a":{"on-call":"ann","team":"fx"}}`},
		{"json within quotes is JSON in a string", fetch.PlaceJSON, `{"a":"{{json .Labels}}"}`, `{"a":"{\"on-call\":\"ann\",\"team\":\"fx\"}"}`},
		{"a cut of JSON is a text", fetch.PlaceJSON, `{"a":{{slice (json .Params.odd) 0 5}},"b":{{$j := json .Cursor}}{{slice $j 1 3}}}`, `{"a":"\"a/b?","b":"20"}`},
		{"a quote that is escaped does not end the string", fetch.PlaceJSON, `{"a":"\"\\\u0041` + odd + `"}`, `{"a":"\"\\\u0041a/b?c&d=\"é\""}`},
		{"branches of JSON that end alike", fetch.PlaceJSON, `{"a":{{if .Cursor}}"{{.Cursor}}"{{else}}null{{end}},"b":{{.Attempt}}}`, `{"a":"2024-04-30T23:59:00Z","b":2}`},
		{"a value of a form is a part of a parameter", fetch.PlaceForm, "a=" + odd + "&b=1", "a=a%2Fb%3Fc%26d%3D%22%C3%A9%22&b=1"},
		{"XML", fetch.PlaceXML, `<?xml version="1.0"?><!-- ' --><a b='` + odd + `' c="` + odd + `">{{"<"}}</a>`,
			`<?xml version="1.0"?><!-- ' --><a b='a/b?c&amp;d=&#34;é&#34;' c="a/b?c&amp;d=&#34;é&#34;">&lt;</a>`},
		{"text is as it is", fetch.PlaceText, `"` + odd + `"`, `"a/b?c&d="é""`},
		{"a header takes all but control characters", fetch.PlaceHeader, "W/" + odd, `W/a/b?c&d="é"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, render(t, tc.text, tc.place))
		})
	}
}

func TestCompileTemplate_SaysWhatIsWrongAndWhere(t *testing.T) {
	deep := strings.Repeat("{{if .Cursor}}", 101) + strings.Repeat("{{end}}", 101)
	for _, tc := range []struct {
		name, text string
		place      fetch.Place
		want       string
	}{
		{"a name that is none", "a{{.Windo.Start}}", fetch.PlaceText, "line 1, column 10: there is no .Windo; there are .Attempt, .Cursor, .ExecutionID, .Labels, .Page, .Params, .ScheduleID, .ScheduledAt, .Window"},
		{"a part that is none", "\n {{.Window.Begin}}", fetch.PlaceText, "line 2, column 11: there is no .Window.Begin; there are .Window.End, .Window.Start"},
		{"the same through $", "{{range 2}}{{$.Pag}}{{end}}", fetch.PlaceText, "there is no .Pag; there are"},
		{"a part of what has none", "{{.Cursor.Time}}", fetch.PlaceText, "there is no .Cursor.Time: .Cursor has no parts"},
		{"a method of a time", `{{.ScheduledAt.Format "2006"}}`, fetch.PlaceText, "there is no .ScheduledAt.Format: .ScheduledAt has no parts"},
		{"a part of a parameter", "{{.Params.a.b}}", fetch.PlaceText, "there is no .Params.a.b: .Params.a has no parts"},
		{"a function that is none", "{{env `HOME`}}", fetch.PlaceText, `there is no function "env"; there are add, addDate,`},
		{"printf, which can make any length", `{{printf "%999999999d" 1}}`, fetch.PlaceText, `there is no function "printf"`},
		{"html", `{{html .Cursor}}`, fetch.PlaceText, `there is no function "html"`},
		{"js", `{{js .Cursor}}`, fetch.PlaceText, `there is no function "js"`},
		{"call", `{{call .Cursor}}`, fetch.PlaceText, `there is no function "call"`},
		{"println", `{{println .Cursor}}`, fetch.PlaceText, `there is no function "println"`},
		{"a function of the library's own", `{{_text .Cursor}}`, fetch.PlaceText, `there is no function "_text"`},
		{"a step of the library's own", `{{_step -9999}}`, fetch.PlaceText, `there is no function "_step"`},
		{"all faults at once", `{{a}}{{b}}`, fetch.PlaceText, "line 1, column 8: there is no function \"b\""},
		{"define", `{{define "x"}}{{end}}`, fetch.PlaceText, "define and block are not allowed"},
		{"define under the name of the template itself", `{{define "t"}}x{{end}}`, fetch.PlaceText, "define and block are not allowed"},
		{"block", `{{block "x" .}}{{end}}`, fetch.PlaceText, "define and block are not allowed"},
		{"template", `{{template "x"}}`, fetch.PlaceText, "templates within templates are not allowed"},
		{"$ set", `{{$ := 1}}`, fetch.PlaceText, "$ is the data, and cannot be another variable"},
		{"$ set by a loop", `{{range $, $v := .Params}}{{end}}`, fetch.PlaceText, "$ is the data, and cannot be another variable"},
		{"an action without end", "a\n{{.Cursor", fetch.PlaceText, "line 2: unclosed action"},
		{"too few arguments", `{{date .ScheduledAt}}`, fetch.PlaceText, "line 1, column 3: wrong number of args for date: want 2 got 1"},
		{"an argument of another type", `{{date .ScheduledAt "2006"}}`, fetch.PlaceText, "wrong type for value; expected string; got a time"},
		{"a loop over a text", `{{range .Cursor}}{{end}}`, fetch.PlaceText, "range can't iterate over"},
		{"too deep", deep, fetch.PlaceText, "must not be deeper than 100 within each other"},
		{"too many parentheses", "{{" + strings.Repeat("(", 101) + "1" + strings.Repeat(")", 101) + "}}", fetch.PlaceText, "must not be deeper than 100 within each other"},
		{"too long", "{{/*" + strings.Repeat("a", fetch.MaxTemplateBytes) + "*/}}", fetch.PlaceText, "must have at most 65536 bytes, and has 65544"},
		{"a value in an escape of JSON", `"\{{.Cursor}}"`, fetch.PlaceJSON, "a value cannot be a part of an escape of JSON"},
		{"a value among hex digits of JSON", `"\u00{{.Cursor}}"`, fetch.PlaceJSON, "a value cannot be a part of an escape of JSON"},
		{"branches that leave a quote open", `{"a":"{{if .Cursor}}"{{end}}{{.Cursor}}"}`, fetch.PlaceJSON, "the branches before it end differently"},
		{"a loop that leaves a quote open", `[{{range 2}}"{{end}}]`, fetch.PlaceJSON, "a turn of a loop must end where it began"},
		{"a loop that is left within a quote", `[{{range 2}}"{{break}}"{{end}}]`, fetch.PlaceJSON, "a turn of a loop must end where it began"},
		{"a value that may be in a path or in a query", "/a{{if .Cursor}}?b=1{{end}}{{.Cursor}}", fetch.PlacePath, "the branches before it end differently"},
		{"a value as the name of a tag", "<{{.Cursor}}>", fetch.PlaceXML, "a value cannot stand in a tag of XML"},
		{"an attribute without quotes", "<a b={{.Cursor}}>", fetch.PlaceXML, "a value cannot stand in a tag of XML"},
		{"a value in a comment", "<!-- {{.Cursor}} -->", fetch.PlaceXML, "a value cannot stand in a comment"},
		{"a value in a CDATA section", "<![CDATA[{{.Cursor}}]]>", fetch.PlaceXML, "a value cannot stand in a comment, a CDATA section"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := fetch.CompileTemplate(tc.text, tc.place)
			require.ErrorContains(t, err, tc.want)
			var is *fetch.TemplateError
			assert.ErrorAs(t, err, &is)
		})
	}
	_, err := fetch.CompileTemplate("{{.Cursor}}", "boddy")
	assert.ErrorContains(t, err, `place "boddy" must be one of ["path" "query"`)
}

func TestTemplate_RenderSaysWhatIsWrongAndRepeatsNoValue(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		place      fetch.Place
		want       string
	}{
		{"a parameter that is not there", "a{{.Params.nope}}", fetch.PlaceText, `line 1, column 11: map has no entry for key "nope"`},
		{"a text that is no time", `{{unix .Params.s}}`, fetch.PlaceText, "unix takes a time, or a text such as 2006-01-02T15:04:05Z"},
		{"a zone that is none", `{{inZone .Params.s .ScheduledAt}}`, fetch.PlaceText, "inZone takes the name of a time zone"},
		{"a duration that is none", `{{add .ScheduledAt .Params.s}}`, fetch.PlaceText, "add takes a time and a duration"},
		{"a time beyond all calendars", `{{addDate 9999 0 0 .ScheduledAt}}`, fetch.PlaceText, "addDate leads out of the years 0 to 9999"},
		{"too many days", `{{addDate 0 0 99999999 .ScheduledAt}}`, fetch.PlaceText, "addDate takes at most 1000000"},
		{"a map as text", `{{.Params}}`, fetch.PlaceText, "a map is no text"},
		{"a window as text", `{{.Window}}`, fetch.PlaceText, "name one of its parts"},
		{"all of it as JSON", `{{json .}}`, fetch.PlaceJSON, "name one of its parts"},
		{"a text that is too short to be cut", `{{slice .Params.s 0 99}}`, fetch.PlaceText, "index out of range: 99"},
		{"times are compared as numbers", `{{eq .ScheduledAt .ScheduledAt}}`, fetch.PlaceText, "eq cannot take values of these types; times are compared by unix"},
		{"maps are not compared", `{{eq .Params .Params}}`, fetch.PlaceText, "eq cannot take values of these types"},
		{"a cut of a number", `{{slice .Attempt 1}}`, fetch.PlaceText, "slice: can't slice item of type int"},
		{"an empty value in a path", `/a/{{index .Params "no"}}/b`, fetch.PlacePath, "a value in a path must not be empty"},
		{"a value that leads up", `/a/{{.Params.up}}/b`, fetch.PlacePath, "a value in a path must not be . or .."},
		{"a line in a header", `{{.Params.line}}`, fetch.PlaceHeader, "a value in a header must not contain control characters"},
		{"a line in a path", `/{{.Params.line}}`, fetch.PlacePath, "a value in a path must not contain control characters"},
		{"a loop over a value", `{{with index .Params "s"}}{{range .}}{{end}}{{end}}`, fetch.PlaceText, "range can't iterate over"},
		{"a part of a value", `{{with .Params.s}}{{.Foo}}{{end}}`, fetch.PlaceText, "can't evaluate field Foo in type string"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			compiled, err := fetch.CompileTemplate(tc.text, tc.place)
			if err == nil {
				_, err = compiled.Render(fetch.TemplateData{Params: map[string]string{"s": "c4n4ry", "up": "..", "line": "c4n4ry\r\nX: y"}})
			}
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), "c4n4ry")
			var is *fetch.TemplateError
			assert.ErrorAs(t, err, &is)
		})
	}
}

// What a bomb may do is bounded by counts, not by the clock: one that is not stopped by the count that is named here has done all
// that it wants, or goes on until the test binary's own timeout.
func TestTemplate_BombsEnd(t *testing.T) {
	doubled := `{{$p := .Cursor}}{{range 3}}{{$p = print $p $p}}{{end}}`
	for _, tc := range []struct{ name, text, want string }{
		{"a long loop", `{{range 1000000000}}{{end}}`, "more than 10000 steps"},
		{"loops in loops", `{{range 5000}}{{range 5000}}{{range 5000}}{{end}}{{end}}{{end}}`, "more than 10000 steps"},
		{"much in each turn", `{{range 300}}` + strings.Repeat("{{$x := $.Cursor}}", 300) + `{{end}}`, "more than 10000 steps"},
		{"a variable that doubles", `{{$x := "aaaaaaaa"}}{{range 100}}{{$x = print $x $x}}{{end}}`, "bytes read and made by functions"},
		{"many variables", strings.Repeat(`{{$x := print .Cursor .Cursor}}`, 2000), "bytes read and made by functions"},
		{"a separator", `{{$x := "` + strings.Repeat("a", 60000) + `"}}{{join $x 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1}}`, "bytes read and made by functions"},
		{"quotes in quotes", `{{$x := .Cursor}}{{range 100}}{{$x = json (print $x)}}{{end}}`, "bytes read and made by functions"},
		{"many arguments in a loop", `{{range 300}}{{if eq 1` + strings.Repeat(" 2", 20000) + `}}{{end}}{{end}}`, "more than 10000 steps"},
		{"many arguments", `{{if eq 1` + strings.Repeat(" 2", 20000) + `}}{{end}}`, "more than 10000 steps"},
		{"long texts that are compared", doubled + `{{$x := print $p "a"}}{{$y := print $p "b"}}{{range 3}}{{if eq $x` + strings.Repeat(" $y", 1000) + `}}{{end}}{{end}}`, "bytes read and made by functions"},
		{"long texts that are compared in a pipe", doubled + `{{range 1000}}{{if $p | le $p}}{{end}}{{end}}`, "bytes read and made by functions"},
		{"a long text that is cut to nothing", `{{$x := print (slice (print .Cursor) 0 0)}}{{$x = "` + strings.Repeat(" ", 60000) + `"}}{{range 3000}}{{$y := trim $x}}{{end}}`, "bytes read and made by functions"},
		{"a long duration", `{{$x := "` + strings.Repeat("0", 60000) + `h"}}{{range 2000}}{{$y := add $.ScheduledAt $x}}{{end}}`, "bytes read and made by functions"},
		{"a long key", doubled + `{{range 1000}}{{$y := index $.Params $p}}{{end}}`, "bytes read and made by functions"},
		{"a long output", `{{range 9000}}` + strings.Repeat("a", 200) + `{{end}}`, "more than 1048576 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			compiled, err := fetch.CompileTemplate(tc.text, fetch.PlaceText)
			if err == nil {
				_, err = compiled.Render(fetch.TemplateData{Cursor: strings.Repeat(`"`, 60000)})
			}
			require.ErrorContains(t, err, tc.want)
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "bytes: a bomb must end before it has made much")
		})
	}
}

// The bombs of package extract's test data that are templates.
func TestTemplate_HostileBombsEnd(t *testing.T) {
	data, err := os.ReadFile("../extract/testdata/hostile/expression_bombs.json")
	require.NoError(t, err)
	var file struct {
		Cases []struct{ Lang, Expr string }
	}
	require.NoError(t, json.Unmarshal(data, &file))
	want := map[string]string{
		`{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`: "define and block are not allowed",
		`{{range $i := 1000000000}}x{{end}}`:                    "more than 10000 steps",
	}
	lit := 0
	for _, c := range file.Cases {
		if c.Lang != "template" {
			continue
		}
		lit++
		begun := time.Now()
		compiled, err := fetch.CompileTemplate(c.Expr, fetch.PlaceText)
		if err == nil {
			_, err = compiled.Render(templateData())
		}
		require.Contains(t, want, c.Expr)
		require.ErrorContains(t, err, want[c.Expr])
		assert.Less(t, time.Since(begun), 20*time.Second, "it was expected to end within a second, of a machine of its own")
	}
	assert.Equal(t, len(want), lit)
}

func TestTemplate_AfterAnErrorTheNextRenderingIsWhole(t *testing.T) {
	compiled, err := fetch.CompileTemplate("{{range 6000}}{{end}}before {{unix .Params.at}}", fetch.PlaceText)
	require.NoError(t, err)
	for range 3 {
		_, err = compiled.Render(fetch.TemplateData{Params: map[string]string{"at": "never"}})
		require.Error(t, err)
		got, err := compiled.Render(fetch.TemplateData{Params: map[string]string{"at": "1970-01-02"}})
		require.NoError(t, err)
		assert.Equal(t, "before 86400", got)
	}
}

func TestTemplate_RendersInManyGoroutines(t *testing.T) {
	compiled, err := fetch.CompileTemplate(`{{range .Attempt}}{{$.Params.p}},{{end}}`, fetch.PlaceText)
	require.NoError(t, err)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				got, err := compiled.Render(fetch.TemplateData{Attempt: i, Params: map[string]string{"p": fmt.Sprint(i)}})
				assert.NoError(t, err)
				assert.Equal(t, strings.Repeat(fmt.Sprint(i)+",", i), got)
			}
		})
	}
	group.Wait()
}

func TestTemplate_WithoutActionsIsItself(t *testing.T) {
	text := strings.Repeat("}} \x00", 1<<20)
	compiled, err := fetch.CompileTemplate(text, fetch.PlacePath)
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		if got, err := compiled.Render(fetch.TemplateData{}); err != nil || len(got) != len(text) {
			t.Error("it is not itself")
		}
	}))
}

func TestTemplate_UsesAndSample(t *testing.T) {
	compiled, err := fetch.CompileTemplate(`{{$d := .}}{{$d.Window.Start}}/{{.Params.a}}{{index .Labels "b"}}`, fetch.PlaceText)
	require.NoError(t, err)
	assert.True(t, compiled.Uses("Window"))
	assert.False(t, compiled.Uses("Cursor"))
	sample, ok := compiled.Sample()
	assert.True(t, ok)
	assert.Equal(t, "2024-02-29T11:00:00Z/xx", sample)

	compiled, err = fetch.CompileTemplate(`{{unix .Cursor}}`, fetch.PlaceText)
	require.NoError(t, err, "the values decide, and there are none yet")
	_, ok = compiled.Sample()
	assert.False(t, ok)
}

func TestBodyPlace(t *testing.T) {
	for _, tc := range []struct {
		name, contentType, body string
		want                    fetch.Place
	}{
		{"JSON says so", "application/problem+JSON; charset=utf-8", "{{.Cursor}}", fetch.PlaceJSON},
		{"a form says so", "application/x-www-form-urlencoded", "{", fetch.PlaceForm},
		{"XML says so", "text/xml", "{", fetch.PlaceXML},
		{"plain text says so", "text/plain; charset=utf-8", "{", fetch.PlaceText},
		{"an object", "", " \n{", fetch.PlaceJSON},
		{"a list behind actions", "", "{{$a := 1}} {{with .Cursor}} [1] {{end}}", fetch.PlaceJSON},
		{"a list in an else", "", "{{if .Cursor}}{{.Cursor}}{{else}}[{{end}}", fetch.PlaceJSON},
		{"an envelope", "", "<soap:Envelope>", fetch.PlaceXML},
		{"an action alone", "", "{{.Cursor}}", fetch.PlaceText},
		{"a broken template", "", "{{.Cursor", fetch.PlaceText},
		{"nothing", "", "", fetch.PlaceText},
		{"words", "", "a=b", fetch.PlaceText},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, fetch.BodyPlace(tc.contentType, tc.body))
		})
	}
}

var templateSeeds = []string{
	`{"a":"{{.Cursor}}","b":{{.Params.p}},"c":{{json .Params.p}},"d":"{{json .Params.p}}"}`,
	`[{{.Attempt}},"\u0041\"{{.Params.p | upper}}"]`, `{"a":"{{print .Params.p .Cursor}}{{urlquery .Params.p}}{{lower .Cursor}}{{trim .Cursor}}"}`,
	`{{if .Cursor}}{"a":"{{.Cursor}}"}{{else}}{}{{end}}`, `{{range $k, $v := .Params}}"{{$k}}{{$v}}"{{break}}{{end}}`,
	`{{define "t"}}x{{end}}`, `{{block "a" .}}{{end}}`, `{{range 99999999}}{{end}}`, `{{with $x := .Window}}{{.Start}}{{end}}`,
	`{{date "2006-01-02" (add .ScheduledAt "-24h")}}`, `{{/* a */ -}} {{- "b"}}`, `{{(index .Params "p") | len}}`, `<a b="{{.Cursor}}"/>`, "{{`", `{{1i}}{{'a'}}{{0x1p-2}}{{nil}}`,
	`{{slice .Cursor 1 2}}`, `{{eq .Params .Params}}`, `{{and}}`, `{{.Page.Token.X}}`, `{{$ = 1}}`, `{{index .Params}}`, `{{len 3}}`, `{{not}}`,
}

// Any text is compiled or refused; what is compiled renders or says why not; and it all ends.
func FuzzTemplate(f *testing.F) {
	for _, seed := range templateSeeds {
		f.Add(seed, "v", uint8(3))
	}
	f.Fuzz(func(t *testing.T, text, value string, place uint8) {
		places := fetch.Places()
		compiled, err := fetch.CompileTemplate(text, places[int(place)%len(places)])
		if err != nil {
			var is *fetch.TemplateError
			require.ErrorAs(t, err, &is)
			return
		}
		data := templateData()
		data.Cursor, data.Params["p"] = value, value
		got, err := compiled.Render(data)
		if err != nil {
			var is *fetch.TemplateError
			require.ErrorAs(t, err, &is)
			return
		}
		if fetch.IsTemplate(text) {
			require.LessOrEqual(t, len(got), fetch.MaxRenderedBytes)
		}
	})
}

// Where a template gives JSON with a harmless value it does so with any, and the value is a value.
func FuzzTemplateJSON(f *testing.F) {
	for _, seed := range templateSeeds {
		f.Add(seed, `","admin":true,"x":"`)
	}
	f.Add(`["{{.Params.p}}"]`, "\\")
	f.Add(`{"q":{{slice (json .Cursor) 0 3}}}`, `1},{"x":[2] y`)
	f.Add(`{"q":{{slice (json .Cursor) 1 2}}}`, `1,2,3`)
	f.Add(`[{{.Params.p}}]`, "1,2")
	f.Add(`{"{{.Params.p}}":1}`, "\x00\xff</script>")
	// What a template does may depend on the value, and the shape of what it gives then does, too.
	decides := regexp.MustCompile(`if|with|range|eq|ne|lt|le|gt|ge|and|or|not|len|index|default|add|date|unix|rfc3339|inZone`)
	f.Fuzz(func(t *testing.T, text, value string) {
		if decides.MatchString(text) {
			return
		}
		compiled, err := fetch.CompileTemplate(text, fetch.PlaceJSON)
		if err != nil {
			return
		}
		harmless, err := compiled.Render(withValue("x"))
		if err != nil || !json.Valid([]byte(harmless)) {
			return
		}
		got, err := compiled.Render(withValue(value))
		if err != nil {
			return // it is too long
		}
		require.True(t, json.Valid([]byte(got)), "%q with %q: %s", text, value, got)
		require.Equal(t, shapeOf(t, harmless), shapeOf(t, got), "%q with %q", text, value)
	})
}

func withValue(v string) fetch.TemplateData {
	d := templateData()
	d.Cursor, d.Params, d.Labels, d.Page.Token = v, map[string]string{"p": v}, map[string]string{"p": v}, v
	return d
}

// shapeOf is a JSON text without its strings and names.
func shapeOf(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	d := json.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		require.NoError(t, err)
		if _, is := token.(string); is {
			token = "text"
		}
		_, _ = fmt.Fprint(&b, token, " ")
	}
}

// A value in a path is decoded to itself, in one segment, whatever it is.
func FuzzTemplatePath(f *testing.F) {
	for _, seed := range []string{"x", "../..", "a/b", "a?b#c", "%2e%2e", "é\xff", "..", "a\\..\\b", ";x"} {
		f.Add(seed)
	}
	compiled, err := fetch.CompileTemplate("/v1/{{.Cursor}}/end?q={{.Cursor}}&z=1", fetch.PlacePath)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, value string) {
		path, err := compiled.Render(fetch.TemplateData{Cursor: value})
		if err != nil {
			return
		}
		text, err := fetch.Request{BaseURL: "http://api.example", Path: path}.URL()
		if err != nil {
			return
		}
		u, err := url.Parse(text)
		require.NoError(t, err)
		require.Equal(t, "/v1/"+value+"/end", u.Path)
		require.Equal(t, 3, strings.Count(u.EscapedPath(), "/"))
		query, err := url.ParseQuery(u.RawQuery)
		require.NoError(t, err)
		require.Equal(t, url.Values{"q": {value}, "z": {"1"}}, query)
	})
}

// A value in XML is a text and nothing else.
func FuzzTemplateXML(f *testing.F) {
	f.Add(`"><b/>`)
	f.Add("]]>&amp;'\x00\xff")
	compiled, err := fetch.CompileTemplate(`<a b="{{.Cursor}}" c='{{.Cursor}}'>{{.Cursor}}</a>`, fetch.PlaceXML)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, value string) {
		text, err := compiled.Render(fetch.TemplateData{Cursor: value})
		if err != nil {
			return
		}
		d := xml.NewDecoder(strings.NewReader(text))
		elements := 0
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if start, is := token.(xml.StartElement); is {
				elements++
				require.Len(t, start.Attr, 2)
			}
		}
		require.Equal(t, 1, elements)
	})
}
