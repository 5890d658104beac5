package extract

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func xmlRecords(t testing.TB, m Mapping, body string) (string, error) {
	t.Helper()
	m.Format = FormatXML
	x, err := New(m)
	require.NoError(t, err)
	result, err := x.Extract(t.Context(), Answer{Body: []byte(body)})
	return sprint(result.Records), err
}

const feed = `<?xml version="1.0"?>
<rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News</title>
<item id="1"><title>A &amp; B &eacute;</title><dc:creator>ann</dc:creator><category>x</category><category>y</category><n>007</n></item>
<item id="2"><title><![CDATA[<b>]]>bold<!-- not -->est</title><pubDate>Mon, 02 Mar 2026 08:00:00 GMT</pubDate><n> </n></item>
</channel></rss>`

func TestXML(t *testing.T) {
	got, err := xmlRecords(t, Mapping{Records: "//item", Fields: []Field{
		{Name: "id", Path: "@id", Type: Integer},
		{Name: "title", Path: "title", Required: true},
		{Name: "by", Path: "dc:creator", Default: "nobody"},
		{Name: "tags", Path: "category", Type: JSON},
		{Name: "first", Path: "category[1]"},
		{Name: "several", Path: "count(category)", Type: Integer},
		{Name: "n", Path: "n", Type: Integer, Default: -1},
		{Name: "of", Path: "/rss/channel/title"},
		{Name: "at", Path: "pubDate", Type: Time, Format: "rfc1123"},
		{Name: "early", Path: "@id < 2"},
		{Name: "none", Path: "number(title)"},
		{Name: "upper", Path: "concat(title, '!')"},
		{Name: "cats", Path: "category", Fields: []Field{{Name: "c", Path: "."}, {Name: "of", Path: "../@id"}}},
		{Name: "run", From: Page},
	}}, feed)
	require.NoError(t, err)
	assert.Equal(t, `[{"id":1,"title":"A & B é","by":"ann","tags":["x","y"],"first":"x","several":2,"n":7,"of":"News","at":null,"early":true,`+
		`"none":null,"upper":"A & B é!","cats":[{"c":"x","of":"1"},{"c":"y","of":"1"}],"run":null} `+
		`{"id":2,"title":"<b>boldest","by":"nobody","tags":[],"first":null,"several":0,"n":-1,"of":"News","at":"2026-03-02T08:00:00Z","early":false,`+
		`"none":null,"upper":"<b>boldest!","cats":[],"run":null}]`, got)

	got, err = xmlRecords(t, Mapping{Fields: []Field{{Name: "t", Path: "channel/title"}}}, feed)
	require.NoError(t, err)
	assert.Equal(t, `[{"t":"News"}]`, got, "the root element is the record")
}

func TestXML_Errors(t *testing.T) {
	title := []Field{{Name: "title", Path: "title", Required: true}}
	for _, row := range []struct {
		name string
		m    Mapping
		in   string
		want string
	}{
		{"nothing", Mapping{Fields: title}, "", "extract: byte 0: expected the end of one root element"},
		{"a tag that is not closed", Mapping{Fields: title}, "<a><b></b>", "expected the end of one root element"},
		{"a tag that closes another", Mapping{Fields: title}, "<a><b></a></b>", "extract: byte 10: </a> closes nothing that is open"},
		{"a second root", Mapping{Fields: title}, "<a/><b/>", "expected the end of one root element"},
		{"a page of JSON", Mapping{Fields: title}, `{"a":1}`, "expected the end of one root element"},
		{"an entity of its own", Mapping{Fields: title}, `<!DOCTYPE a [<!ENTITY x "xx">]><a>&x;</a>`, "invalid character entity &x;"},
		{"a charset that is not known", Mapping{Fields: title}, `<?xml version="1.0" encoding="klingon"?><a/>`, `the charset "klingon" is not known`},
		{"a field that is missing", Mapping{Records: "//item", Fields: title}, `<r><item>abc <b>d</b></item></r>`, `extract record 0, field "title" at title: nothing there, in <item>abc d`},
		{"several nodes where one is taken", Mapping{Records: "//item", Fields: title}, `<r><item><title/><title/></item></r>`, `choose it, as in (title)[1]`},
		{"a path into a text", Mapping{Records: "//item/text()", Fields: title}, `<r><item>x</item></r>`, `not an element`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := xmlRecords(t, row.m, row.in)
			require.ErrorContains(t, err, row.want)
			var e *Error
			require.ErrorAs(t, err, &e)
		})
	}
}

func TestXML_AChangedAnswerIsNoEmptyOne(t *testing.T) {
	const (
		login = "<!DOCTYPE html>\n<html xmlns='http://www.w3.org/1999/xhtml'><head><title>Log in</title></head><body/></html>"
		soap  = "<s:Envelope><s:Body><x/></s:Body></s:Envelope>"
	)
	for _, row := range []struct {
		name, records, in string
		want              string // no records, where it is empty
	}{
		{"a login page", "/rss/channel/item", login, "extract at /rss/channel/item: nothing there: the root is <html>, in <html>Log in"},
		{"a list of another name", "/rss/channel/item", "<rss><channels/></rss>", "no /rss/channel, in <rss>"},
		{"the list is there and empty", "/rss/channel/item", "<rss><channel/></rss>", ""},
		{"another root", "/feed", "<rss/>", "no /feed"},
		{"a root that does not match", "/feed[@v = 2]", "<feed v='1'/>", ""},
		{"another root than the one that has to match", "/feed[@v = 2]", "<rss v='1'/>", "no /feed"},
		{"a condition on the way", "/rss/channel[@lang = 'de']/item", "<rss><channel lang='en'/></rss>", ""},
		{"no root for a condition on the way", "/rss/channel[@lang = 'de']/item", "<feed/>", "no /rss"},
		{"names with a prefix", "/s:Envelope/s:Body/r/item", soap, "no /s:Envelope/s:Body/r"},
		{"blanks in the path", " / s:Envelope / s:Body / item", soap, ""},
		{"blanks in the path, and another answer", " / s:Envelope / s:Head / item", soap, "no / s:Envelope / s:Head"},
		{"anywhere below", "/rss/channel//item", "<rss><channel/></rss>", ""},
		{"anywhere below what is not there", "/rss/channel//item", "<rss/>", "no /rss/channel"},
		{"any child of what is not there", "/rss/channel/*", "<rss/>", "no /rss/channel"},
		{"an axis", "/rss/descendant::item", "<rss/>", ""},
		{"a text", "/rss/text()", "<rss/>", ""},
		{"one of two", "/rss/channel/item | /feed/entry", "<feed/>", ""},
		{"anywhere at all", "//item", "<rss/>", ""},
		{"anywhere on a login page", "//title", login, "extract at //title: nothing there: the root is <html>, in <html>Log in"},
		{"the root of a login page", "", login, "extract at /*: nothing there: the root is <html>"},
		{"a login page in capitals", "//item", "<HTML/>", "the root is <HTML>"},
		{"a page that is asked for", "/html/body/p", "<html><body/></html>", ""},
		{"a page that is asked for by a condition", "/*[local-name() = 'html']//p", "<html><body/></html>", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := xmlRecords(t, Mapping{Records: row.records, Fields: []Field{{Name: "a", Path: "."}}}, row.in)
			if row.want == "" {
				require.NoError(t, err)
				require.Equal(t, "[]", got)
				return
			}
			require.ErrorIs(t, err, ErrNotFound)
			require.ErrorContains(t, err, row.want)
		})
	}
}

func TestXML_Depth(t *testing.T) {
	fields := Mapping{Fields: []Field{{Name: "id", Path: "@id"}}}
	nested := func(depth int) string {
		return `<a id="1">` + strings.Repeat("<a>", depth-1) + strings.Repeat("</a>", depth)
	}
	got, err := xmlRecords(t, fields, nested(maxDepth))
	require.NoError(t, err)
	require.Equal(t, `[{"id":"1"}]`, got)
	_, err = xmlRecords(t, fields, nested(maxDepth+1))
	require.ErrorContains(t, err, "nested deeper than 10000")
	got, err = xmlRecords(t, fields, `<a id="1">`+strings.Repeat("<b/>", maxDepth)+"</a>")
	require.NoError(t, err, "elements beside each other are not nested")
	require.Equal(t, `[{"id":"1"}]`, got)
}

// Nothing that a document points at is read: no file of the host, nothing in its network.
func TestXML_NothingOutsideIsRead(t *testing.T) {
	const secret = "of-the-host"
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		_, _ = w.Write([]byte(`<!ENTITY x "` + secret + `">`))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "secret.dtd")
	require.NoError(t, os.WriteFile(file, []byte(`<!ENTITY x "`+secret+`">`), 0o600))
	for _, outside := range []string{"file://" + file, file, server.URL + "/x.dtd"} {
		for _, row := range []struct{ in, want string }{
			{`<!DOCTYPE r [<!ENTITY x SYSTEM "` + outside + `">]><r>&x;</r>`, ""},
			{`<!DOCTYPE r [<!ENTITY x PUBLIC "-//X//X" "` + outside + `">]><r a="&x;"/>`, ""},
			{`<!DOCTYPE r SYSTEM "` + outside + `"><r>&x;</r>`, ""},
			{`<!DOCTYPE r [<!ENTITY % p SYSTEM "` + outside + `"> %p;]><r>&x;</r>`, ""},
			{`<!DOCTYPE r [<!ENTITY eacute SYSTEM "` + outside + `">]><r>&eacute;</r>`, "é"},
			{`<!DOCTYPE r SYSTEM "` + outside + `"><r>y</r>`, "y"},
			{`<?xml-stylesheet href="` + outside + `"?><r>y</r>`, "y"},
			{`<r xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="` + outside + `" parse="text"/></r>`, ""},
		} {
			got, err := xmlRecords(t, Mapping{Fields: []Field{{Name: "r", Path: "."}, {Name: "a", Path: "@a", Default: ""}}}, row.in)
			if strings.Contains(row.in, "&x;") {
				require.ErrorContains(t, err, "invalid character entity &x;", row.in)
				require.NotContains(t, err.Error(), secret)
				continue
			}
			require.NoError(t, err, row.in)
			require.Equal(t, `[{"r":"`+row.want+`","a":""}]`, got, row.in)
		}
	}
	require.Empty(t, asked)
}

// A number of XPath is a float64. Beyond 2^53 it may be another than the document's.
func TestXPath_NumbersAreExactOrAnError(t *testing.T) {
	const in = "<r><a>9007199254740993</a><b>9007199254740991</b><c>-9007199254740993</c><d>9007199254740990</d><e>2.5</e></r>"
	for _, row := range []struct {
		path string
		kind Type
		want string // empty: an error
	}{
		{"a", Integer, "9007199254740993"},
		{"string(a)", Integer, "9007199254740993"},
		{"number(a)", Integer, ""},
		{"number(a)", "", ""},
		{"number(a)", Decimal, ""},
		{"number(a)", String, ""},
		{"number(a)", JSON, ""},
		{"number(c)", Integer, ""},
		{"sum(/r/*)", Integer, ""},
		{"b + 1", Integer, ""},
		{"number(b)", Integer, "9007199254740991"},
		{"d + 1", Integer, "9007199254740991"},
		{"0 - b", Integer, "-9007199254740991"},
		{"e + 1", Decimal, "3.5"},
		{"number(a)", Float, "9007199254740992"},
		{"a > b", Boolean, "true"},
	} {
		got, err := xmlRecords(t, Mapping{Fields: []Field{{Name: "n", Path: row.path, Type: row.kind}}}, in)
		if row.want == "" {
			require.ErrorContains(t, err, "a number beyond 2^53, which XPath does not compute exactly", "%s as %s gives %s", row.path, row.kind, got)
			continue
		}
		require.NoError(t, err, row.path)
		require.Equal(t, `[{"n":`+row.want+`}]`, got, row.path)
	}
}

func TestXML_Validate(t *testing.T) {
	err := Mapping{Format: FormatXML, Records: "//item[", Fields: []Field{
		{Name: "a", Path: "matches(., 'x')"}, {Name: "b", Path: "'matches(a)'"}, {Name: "c", Path: strings.Repeat("a/", 3000) + "a"}, {Name: "d"},
		{Name: "e", Path: "$x"},
	}}.Validate()
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 5)
	assert.Contains(t, lines[0], `records: "//item["`)
	assert.Equal(t, `fields[0].path: "matches(., 'x')": matches() is no function of XPath 1.0`, lines[1])
	assert.Contains(t, lines[2], "longer than 4096 bytes")
	assert.Equal(t, `fields[3].path: "": a field needs a path, such as name`, lines[3])
	assert.Contains(t, lines[4], "fields[4].path")
	assert.ErrorContains(t, Mapping{Format: FormatXML}.Validate(), "a mapping of XML has fields")
	assert.ErrorContains(t, Mapping{Format: FormatXML, Language: JSONPath}.Validate(), "XML is read by xpath")
	assert.ErrorContains(t, Mapping{Language: XPath}.Validate(), "XML is read by xpath")
}

func TestXML_ServesManyGoroutines(t *testing.T) {
	x, err := New(Mapping{Format: FormatXML, Records: "//item[@id > 0]", Fields: []Field{{Name: "t", Path: "concat(title, count(category))"}}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				result, err := x.Extract(t.Context(), Answer{Body: []byte(feed)})
				assert.NoError(t, err)
				assert.Equal(t, `[{"t":"A & B é2"} {"t":"<b>boldest0"}]`, sprint(result.Records))
			}
		})
	}
	wg.Wait()
}

func TestXML_ManyRecords(t *testing.T) {
	body := "<r>" + strings.Repeat(`<item id="7"><title>t</title><a><b>1</b></a></item>`, 20_000) + "</r>"
	for _, records := range []string{"/r/item", "//item", "//item[title]"} {
		x, err := New(Mapping{Format: FormatXML, Records: records, Fields: []Field{
			{Name: "id", Path: "@id"}, {Name: "t", Path: "title"}, {Name: "b", Path: "a/b"}, {Name: "deep", Path: ".//b"}}})
		require.NoError(t, err)
		result, err := x.Extract(t.Context(), Answer{Body: []byte(body)})
		require.NoError(t, err, records)
		assert.Len(t, result.Records, 20_000)
	}
}

func TestPayloads_XML(t *testing.T) {
	checks := 0
	for _, file := range expectations(t, "xml") {
		data, err := os.ReadFile(filepath.Join("testdata/payloads", file.File))
		require.NoError(t, err)
		all := func(records, path string) []any {
			x, err := New(Mapping{Format: FormatXML, Records: records, Fields: []Field{{Name: "v", Path: path}}})
			require.NoError(t, err)
			result, err := x.Extract(t.Context(), Answer{Body: data})
			require.NoError(t, err)
			var values []any
			for _, r := range result.Records {
				v, _ := r.Get("v")
				values = append(values, v)
			}
			return values
		}
		element := ""
		for _, check := range file.Checks {
			checks++
			of := "//*[local-name()='" + element + "']"
			switch {
			case check.Root != "":
				assert.Equal(t, []any{check.Root}, all("", "local-name()"))
			case check.Element != "":
				element = check.Element
				assert.Len(t, all("//*[local-name()='"+element+"']", "."), check.Count, file.File)
			case check.FirstText != "":
				first := strings.TrimSpace(all(of, ".")[0].(string))
				assert.True(t, strings.HasPrefix(first, check.FirstText), "%q begins with %q", first, check.FirstText)
			case check.Attribute != "":
				var values []string
				for _, v := range all(of, "@*[local-name()='"+check.Attribute+"']")[:len(check.ValuesFirst)] {
					values = append(values, v.(string))
				}
				assert.Equal(t, check.ValuesFirst, values)
			default:
				t.Errorf("%s: a check of another kind", file.File)
			}
		}
	}
	assert.Equal(t, 13, checks)
}

// Every text that gofeed makes out of a feed is found in it, but for what gofeed puts together itself.
func TestPayloads_Feeds(t *testing.T) {
	files, err := filepath.Glob("testdata/payloads/feeds/*.xml")
	require.NoError(t, err)
	require.Len(t, files, 48)
	x, err := New(Mapping{Format: FormatXML, Fields: []Field{{Name: "all", Path: "//text()|//@*", Type: JSON}}})
	require.NoError(t, err)
	checks := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		want, err := os.ReadFile(strings.TrimSuffix(file, ".xml") + ".json")
		require.NoError(t, err)
		result, err := x.Extract(t.Context(), Answer{Body: data})
		require.NoError(t, err, file)
		all, _ := result.Records[0].Get("all")
		doc, err := Parse(want)
		require.NoError(t, err)
		path, err := CompilePath("$..[?match(@, '[^<&]+')]")
		require.NoError(t, err)
		texts, err := path.Select(t.Context(), doc)
		require.NoError(t, err)
		for _, text := range texts {
			switch text {
			case "rss", "atom", "0.3", "1.0", "2.0", "Feed Generator v0.3 http://example.org", "audio/jpeg":
				continue // its own words
			}
			if strings.HasSuffix(text.(string), "Z") || strings.Contains(string(data), ":"+text.(string)) {
				continue // a time in its own spelling, the name of an element
			}
			checks++
			assert.True(t, slices.ContainsFunc(all.([]any), func(found any) bool {
				return strings.Contains(found.(string), text.(string))
			}), "%q in %s", text, file)
		}
	}
	assert.GreaterOrEqual(t, checks, 100)
}

// The fields of feeds are what gofeed says they are: by its JSON, and by an XPath. TestPayloads_Feeds looks for the texts of the others.
func TestPayloads_FieldsOfFeeds(t *testing.T) {
	fields := []struct{ want, path string }{
		{"$.title", "/feed/title | /*/channel/title"},
		{"$.description", "/feed/subtitle | /*/channel/description"},
		{"$.copyright", "/feed/rights | /rss/channel/copyright"},
		{"$.language", "/feed/@xml:lang | /rss/channel/language"},
		{"$.links[*]", "/feed/link/@href | /*/channel/link[not(@href)] | /*/channel/link/@href | /rss/channel/atom:link[@rel='self']/@href"},
		{"$.image.url", "/feed/icon | /*/channel/image/url | /rdf:RDF/image/url | /rss/channel/itunes:image/@href"},
		{"$.image.title", "/rss/channel/image/title | /rdf:RDF/image/title"},
		{"$.published", "/rss/channel/pubDate"},
		{"$.updated", "/feed/modified"},
		{"$.author.email", "/feed/author/email"},
		{"$.author.name", "/feed/author/name | /rss/channel/itunes:author"},
		{"$.categories[*]", "/feed/category/@label | /feed/category[not(@label)]/@term"},
		{"$.items[*].title", "/feed/entry/title | //item/title | //item/dc:title"},
		{"$.items[*].description", "/feed/entry/summary | //item/description | //item/dc:description | //item/itunes:summary"},
		{"$.items[*].content", "/feed/entry/content | //item/content:encoded"},
		{"$.items[*].guid", "/feed/entry/id"},
		{"$.items[*].links[*]", "/feed/entry/link/@href | //item/link[not(@href)] | //item/link/@href"},
		{"$.items[*].published", "/feed/entry/issued | //item/dc:date | //item/atom:published"},
		{"$.items[*].categories[*]", "/feed/entry/category/@label | /feed/entry/category[not(@label)]/@term"},
		{"$.items[*].author.email", "/feed/entry/author/email | //item/atom:author/atom:email"},
		{"$.items[*].author.name", "/feed/entry/author/name | //item/atom:author/atom:name | //item/dc:creator | //item/itunes:author"},
		{"$.items[*].enclosures[*].url", "//item/enclosure/@url"},
		{"$.items[*].enclosures[*].length", "//item/enclosure/@length"},
		{"$.items[*].enclosures[*].type", "//item/enclosure/@type"},
		{"$.extensions.itunes.category[*].children.category[*].attrs.text", "/rss/channel/itunes:category/itunes:category/@text"},
		{"$.extensions.dc.subject[*].value", "/rss/channel/dc:subject"},
		{"$.items[*].extensions.media.content[*].attrs.url", "//item/media:content/@url"},
	}
	// What gofeed expects in these files is not in them as it stands there: it cuts "email (name)" and "a,b" in pieces, and puts
	// categories together of four elements.
	type made struct{ file, field string }
	pieces := []made{
		{"rss_channel_managingEditor_", "$.author."}, {"rss_channel_webMaster_", "$.author."}, {"rss_channel_itunes", "$.categories"},
		{"rss_channel_item_author_emailAndName", "$.items[*].author."}, {"rss_channel_item_author_nameAndEmail", "$.items[*].author."},
		{"rss_channel_item_extensions", "$.items[*].author."}, {"rss_channel_item_extensions", "$.items[*].categories"},
	}
	files, err := filepath.Glob("testdata/payloads/feeds/*.xml")
	require.NoError(t, err)
	found := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		expected, err := os.ReadFile(strings.TrimSuffix(file, ".xml") + ".json")
		require.NoError(t, err)
		doc, err := Parse(expected)
		require.NoError(t, err)
		for _, field := range fields {
			if slices.ContainsFunc(pieces, func(m made) bool {
				return strings.Contains(file, m.file) && strings.HasPrefix(field.want, m.field)
			}) {
				continue
			}
			path, err := CompilePath(field.want)
			require.NoError(t, err)
			want, err := path.Select(t.Context(), doc)
			require.NoError(t, err)
			x, err := New(Mapping{Format: FormatXML, Fields: []Field{{Name: "v", Path: field.path, Type: JSON}}})
			require.NoError(t, err)
			result, err := x.Extract(t.Context(), Answer{Body: data})
			require.NoError(t, err)
			got, _ := result.Records[0].Get("v")
			assert.Equal(t, want, got, "%s of %s", field.want, file)
			found[field.want] += len(want)
		}
	}
	for _, field := range fields {
		assert.Positive(t, found[field.want], field.want)
	}
}

func TestPayloads_HostileFeeds(t *testing.T) {
	files, err := filepath.Glob("testdata/payloads/feeds_hostile/*.xml")
	require.NoError(t, err)
	require.Len(t, files, 103)
	x, err := New(Mapping{Format: FormatXML, Records: "//item|//entry", Fields: []Field{{Name: "title", Path: "title", Type: JSON}, {Name: "all", Path: "."}}})
	require.NoError(t, err)
	read := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		if _, err := x.Extract(t.Context(), Answer{Body: data}); err == nil {
			read++
		} else {
			require.NotContains(t, err.Error(), "runtime error", file)
		}
	}
	t.Log(read, "of", len(files), "are read")
	assert.GreaterOrEqual(t, read, 80)
}

func TestXML_Charsets(t *testing.T) {
	for _, row := range []struct{ name, contentType, in string }{
		{"by the declaration", "text/xml", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><r><a>Z\xfcrich</a></r>"},
		{"by the content type, which comes first", "text/xml; charset=windows-1252", "<?xml version=\"1.0\" encoding=\"UTF-8\"?><r><a>Z\xfcrich</a></r>"},
		{"by a byte order mark", "text/xml; charset=latin1", "\uFEFF<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><r><a>Zürich</a></r>"},
		{"by the first character", "", "<\x00r\x00>\x00<\x00a\x00>\x00Z\x00\xfc\x00r\x00i\x00c\x00h\x00<\x00/\x00a\x00>\x00<\x00/\x00r\x00>\x00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			x, err := New(Mapping{Format: FormatXML, Fields: []Field{{Name: "a", Path: "a"}}})
			require.NoError(t, err)
			result, err := x.Extract(t.Context(), Answer{Body: []byte(row.in), ContentType: row.contentType})
			require.NoError(t, err)
			assert.Equal(t, `[{"a":"Zürich"}]`, sprint(result.Records))
		})
	}
}

func TestXPath_BombsEnd(t *testing.T) {
	wide := "<r>" + strings.Repeat("<a><b>x</b></a>", 5_000) + "</r>"
	deep := strings.Repeat("<a>", 5_000) + strings.Repeat("</a>", 5_000)
	for _, row := range []struct{ name, records, body string }{
		{"descendants of descendants", "//*//*//*//*", deep},
		{"every node for every node", "//*[count(//*) > 1]", wide},
		{"all texts for every node", "//*[string(/) = 'x']", wide},
		{"two sets compared", "//b[//b != //b/@none or //b = 'y']", wide},
		{"the same over and over", strings.Repeat("//*|", 500) + "//*", wide},
		{"those before and after", "//*[count(preceding::*) > count(following::*)]", wide},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := xmlRecords(t, Mapping{Records: row.records, Fields: []Field{{Name: "a", Path: "."}}}, row.body)
			require.ErrorIs(t, err, ErrBudget)
		})
	}
}

func FuzzXML(f *testing.F) {
	f.Add([]byte(feed), "//item/title")
	f.Add([]byte("<a><b/></a>"), "count(//b) > string(@x)")
	f.Add([]byte("<\x00a\x00/\x00>\x00"), "/*")
	files, _ := filepath.Glob("testdata/payloads/feeds_hostile/encoding*.xml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data, "//title|//*/@*")
	}
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		x, err := New(Mapping{Format: FormatXML, Records: path, Fields: []Field{{Name: "a", Path: "."}, {Name: "b", Path: "b", Type: JSON}}})
		if err != nil {
			return
		}
		result, err := x.Extract(t.Context(), Answer{Body: body})
		if err != nil {
			require.NotContains(t, err.Error(), "runtime error")
			return
		}
		for _, r := range result.Records {
			require.True(t, json.Valid([]byte(r.String())))
		}
	})
}

// A compiled expression is used again, for other places and documents. It must remember nothing.
func TestXPath_ExpressionsRememberNothing(t *testing.T) {
	documents := []string{feed, "<r><item id='3'/></r>", "<r/>", "<item><item id='1'><title>x</title></item><item id='2'/></item>"}
	for _, expr := range []string{
		"item", ".//item[1]", "//item[last()]", "//item[position() > 1]/@id", "count(.//item)", "string(title)", "//item[title]", "//*[@id][2]",
		"concat(name(), count(*))", "(//title)[2]", "not(title)", "sum(//@id)", "//item/following-sibling::*", "item/ancestor::*", ".. | . | *", "boolean(//item[@id = 2])",
		"//item[count(category) > 1]", "item[not(@id = 2)]/title", "normalize-space(.)", "//title/parent::item/@id", "substring-after(title, ' ')", "-(1 + count(*))",
	} {
		kept, err := newXPath(expr, true)
		require.NoError(t, err)
		for range 2 {
			for _, document := range documents {
				e := newEvaluation(t.Context(), Answer{Body: []byte(document)})
				root, err := parseXML(e)
				require.NoError(t, err)
				for node := root.next(root); node != nil; node = node.next(root) {
					fresh, err := newXPath(expr, true)
					require.NoError(t, err)
					want, wantErr := fresh.all(e, node)
					got, gotErr := kept.all(e, node)
					require.Equal(t, wantErr, gotErr)
					require.Equal(t, len(want), len(got), expr)
					for i := range want {
						require.True(t, want[i] == got[i], "%s: %v and %v", expr, want[i], got[i])
					}
				}
			}
		}
	}
}
