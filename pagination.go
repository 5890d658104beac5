package callsheet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/callsheet-go/callsheet/extract"
)

// PageBy says how an API's next page is asked for.
type PageBy string

const (
	// PageByLink follows the Link header with rel="next" (RFC 8288), as GitHub has it.
	PageByLink PageBy = "link"
	// PageByURL follows a URL in the answer.
	PageByURL PageBy = "url"
	// PageByToken sends a token of the answer with the next request.
	PageByToken PageBy = "token"
	// PageByNumber counts pages.
	PageByNumber PageBy = "number"
	// PageByOffset counts records.
	PageByOffset PageBy = "offset"
)

// DefaultMaxPages is after how many pages an execution fails whose Pagination has no MaxPages: something is wrong.
const DefaultMaxPages = 10_000

// Pagination says how an API gives its answer in pages. An execution asks for one after the other, and delivers each as a
// Batch of its own before it asks for the next. It goes on where it stopped, also on another node: after an
// error, a restart, or when a limit of calls is used up.
//
// The last page is the one whose answer has no Link, URL or token for the next (or an empty one, or null); with
// PageByNumber and PageByOffset the one that has no items, or fewer than Size. With More it is the one that says so. A page that
// comes a second time, which shows in its records, is an error.
//
// A page of the answer must come from the Source's own scheme, host and port: credentials go with it. A link to http where
// the Source has https is followed by https.
type Pagination struct {
	By PageBy `json:"by"`
	// Path is where the URL or token of the next page is in the answer, in JSONPath ("$.meta.next").
	Path string `json:"path,omitempty"`
	// More is, optionally, where the answer says whether there are more pages: the JSONPath of a boolean, which has to be there; null
	// is false. It decides alone: after true there is another page, whatever was counted.
	More string `json:"more,omitempty"`
	// Param is the parameter of the query that takes token, number or offset. If it is empty, templates have to
	// use .Page.
	Param string `json:"param,omitempty"`
	// Items is what is counted with PageByNumber and PageByOffset: the JSONPath of the items of a page, such as $.orders[*]. It can be
	// left empty where each item is a record of the Extract, as it has to be where the answer is not JSON: see docs/pages.md.
	Items string `json:"items,omitempty"`
	// Size is how many items the API puts on a page: one with fewer is the last. With SizeParam, the parameter of the query that
	// asks for as many, it is not: an API may give fewer than it is asked for.
	Size      int    `json:"size,omitempty"`
	SizeParam string `json:"size_param,omitempty"`
	// Start is the number of the first page, or the first offset. A nil Start is 1 for PageByNumber, 0 for PageByOffset.
	Start *int `json:"start,omitempty"`
	// MaxPages is after how many pages an execution asks for no more, and succeeds. Zero is no such bound, but more
	// than DefaultMaxPages are an error.
	MaxPages int `json:"max_pages,omitempty"`
}

// A PageState is what a page is asked for by. What of it is used depends on the Pagination.
type PageState struct {
	Number int    `json:"number,omitempty"`
	Offset int    `json:"offset,omitempty"`
	Token  string `json:"token,omitempty"`
	URL    string `json:"url,omitempty"`
}

// first is the state of the first page.
func (p Pagination) first() PageState {
	st := PageState{Number: 1}
	switch {
	case p.Start == nil:
	case p.By == PageByOffset:
		st.Offset = *p.Start
	default:
		st.Number = *p.Start
	}
	return st
}

// apply returns query with the parameters that ask for the page.
func (p Pagination) apply(query map[string]string, st PageState) map[string]string {
	more := map[string]string{}
	if p.SizeParam != "" {
		more[p.SizeParam] = strconv.Itoa(p.Size)
	}
	switch {
	case p.Param == "":
	case p.By == PageByNumber:
		more[p.Param] = strconv.Itoa(st.Number)
	case p.By == PageByOffset:
		more[p.Param] = strconv.Itoa(st.Offset)
	case p.By == PageByToken && st.Token != "":
		more[p.Param] = st.Token
	}
	return over(query, more)
}

// A fetchedPage is what is known of a page when the next is to be found.
type fetchedPage struct {
	state   PageState
	number  int // of all, from 1
	header  http.Header
	body    []byte
	base    *url.URL // what a relative link is relative to
	source  *url.URL // whose origin the next page must have
	records int      // with those that were set aside
	counts  bool     // whether each item is a record
}

// next returns what the page after page is asked for by, and whether there is one.
func (p Pagination) next(ctx context.Context, page fetchedPage) (PageState, bool, error) {
	if p.MaxPages > 0 && page.number >= p.MaxPages {
		return PageState{}, false, nil
	}
	var doc extract.Document
	if p.Path != "" || p.More != "" || p.Items != "" {
		var err error
		if doc, err = extract.Parse(page.body); err != nil {
			return PageState{}, false, fmt.Errorf("find the next page: %w", err)
		}
	}
	if p.More != "" {
		if more, err := saysMore(ctx, doc, p.More); err != nil || !more {
			return PageState{}, false, err
		}
	}
	if p.counted() {
		return p.count(ctx, doc, page)
	}
	return p.follow(ctx, doc, page)
}

// counted reports whether the next page is asked for by what came before, and not by what an answer says of it.
func (p Pagination) counted() bool { return p.By == PageByNumber || p.By == PageByOffset }

// saysMore returns the boolean at path, which says whether there is another page. That it is not there is an error, for an API that
// renamed it would look like one that has a single page.
func saysMore(ctx context.Context, doc extract.Document, path string) (bool, error) {
	const doing = "find out whether there are more pages"
	found, ok, err := selectOne(ctx, doc, path)
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w", path, extract.ErrNotFound)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	more, ok := found.(bool)
	if found != nil && !ok {
		return false, fmt.Errorf("%s: %s is %s, not a boolean", doing, path, shortJSON(found))
	}
	return more, nil
}

// count is next for pages that are counted. Where the answer says whether there are more, it has said yes.
func (p Pagination) count(ctx context.Context, doc extract.Document, page fetchedPage) (PageState, bool, error) {
	st := PageState{Number: page.state.Number + 1}
	if p.By == PageByNumber && p.More != "" && p.Items == "" && !page.counts {
		return st, true, nil // nothing depends on what cannot be counted
	}
	items, err := p.items(ctx, doc, page)
	if err != nil {
		return PageState{}, false, err
	}
	st.Offset = page.state.Offset + items
	if p.More == "" {
		return st, items > 0 && (p.SizeParam != "" || items >= p.Size), nil
	}
	if items == 0 && p.By == PageByOffset {
		return PageState{}, false, fmt.Errorf("%s says that there are more pages, but this one has no items: the offset would stay the same", p.More)
	}
	return st, true, nil
}

// follow is next for pages of which the answer before says what asks for them. Where it says whether there are more, it has said yes.
func (p Pagination) follow(ctx context.Context, doc extract.Document, page fetchedPage) (PageState, bool, error) {
	st := PageState{Number: page.state.Number + 1}
	if p.By == PageByLink {
		st.URL = nextLink(page.header)
	} else {
		found, _, err := selectOne(ctx, doc, p.Path)
		if err != nil {
			return PageState{}, false, fmt.Errorf("find the next page: %w", err)
		}
		text, err := scalarText(found)
		if err != nil {
			return PageState{}, false, fmt.Errorf("find the next page: %s is %w", p.Path, err)
		}
		if p.By == PageByURL {
			st.URL = text
		} else {
			st.Token = text
		}
	}
	if st.URL == "" && st.Token == "" {
		if p.More != "" {
			return PageState{}, false, fmt.Errorf("%s says that there are more pages, but the answer has no %s for the next", p.More, p.By)
		}
		return PageState{}, false, nil
	}
	if len(st.URL)+len(st.Token) > maxPlace {
		return PageState{}, false, fmt.Errorf("what asks for the next page is longer than %d bytes", maxPlace)
	}
	if st.URL != "" {
		u, err := nextURL(page.base, page.source, st.URL)
		if err != nil {
			return PageState{}, false, err
		}
		st.URL = u
	}
	return st, true, nil
}

// items is how many items a page has.
func (p Pagination) items(ctx context.Context, doc extract.Document, page fetchedPage) (int, error) {
	switch {
	case p.Items != "":
		path, err := extract.CompilePath(p.Items)
		if err != nil {
			return 0, err
		}
		found, err := path.Select(ctx, doc)
		return len(found), err
	case !page.counts:
		return 0, &ClassifiedError{ClassPermanent, errors.New("pages.items must say what is counted: a record of the extract is not an item of the page each")}
	}
	return page.records, nil
}

// tooMany reports whether an execution has to stop although there are more pages.
func (p Pagination) tooMany(pages int) error {
	if p.MaxPages == 0 && pages >= DefaultMaxPages {
		return fmt.Errorf("there are more than %d pages; MaxPages says how many are wanted", DefaultMaxPages)
	}
	return nil
}

// selectOne returns what path selects first, and whether that is anything.
func selectOne(ctx context.Context, doc extract.Document, path string) (any, bool, error) {
	compiled, err := extract.CompilePath(path)
	if err != nil {
		return nil, false, err
	}
	found, err := compiled.Select(ctx, doc)
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	return found[0], true, nil
}

// nextURL returns the absolute URL that link, which stood in an answer from base, names. It must be of source's origin.
func nextURL(base, source *url.URL, link string) (string, error) {
	u, err := base.Parse(link)
	if err != nil {
		return "", errors.New("the link to the next page is not a URL")
	}
	if u.Scheme == "http" && source.Scheme == "https" && u.Hostname() == source.Hostname() && (u.Port() == "" || u.Port() == "80") {
		u.Scheme, u.Host = source.Scheme, source.Host
	}
	if u.Scheme != source.Scheme || !strings.EqualFold(u.Hostname(), source.Hostname()) || portOf(u) != portOf(source) {
		return "", fmt.Errorf("the next page is at %s://%s, and not at %s://%s as the source is: its credentials must not go there",
			u.Scheme, cut(u.Host, 100), source.Scheme, source.Host)
	}
	u.Fragment, u.RawFragment, u.User = "", "", nil
	return u.String(), nil
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// nextLink returns the target of the link to the next page (RFC 8288); "" if there is none.
func nextLink(header http.Header) string {
	for _, line := range header.Values("Link") {
		for line != "" {
			start := strings.IndexByte(line, '<')
			if start < 0 {
				break
			}
			target, rest, closed := strings.Cut(line[start+1:], ">")
			if !closed {
				break
			}
			var next bool
			next, line = isNext(rest)
			if next {
				return strings.TrimSpace(target)
			}
		}
	}
	return ""
}

// isNext reads the parameters of a link, and returns whether one of its relations is next, and what comes after the link.
func isNext(params string) (next bool, rest string) {
	relations := false // only the first rel counts
	for {
		params = strings.TrimLeft(params, " \t")
		if params == "" {
			return next, ""
		}
		if params[0] == ',' {
			return next, params[1:]
		}
		if params[0] != ';' {
			params = params[1:]
			continue
		}
		name, value, after := linkParam(params[1:])
		if strings.EqualFold(name, "rel") && !relations {
			relations = true
			for relation := range strings.FieldsSeq(value) {
				next = next || strings.EqualFold(relation, "next")
			}
		}
		params = after
	}
}

// linkParam reads name=value, where the value may be quoted.
func linkParam(s string) (name, value, rest string) {
	end := strings.IndexAny(s, "=;,")
	if end < 0 {
		return strings.TrimSpace(s), "", ""
	}
	name = strings.TrimSpace(s[:end])
	if s[end] != '=' {
		return name, "", s[end:]
	}
	s = strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ";,")
		if end < 0 {
			end = len(s)
		}
		return name, strings.TrimSpace(s[:end]), s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return name, b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return name, b.String(), ""
}

// hashOf returns a short hash of some texts.
func hashOf(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(h, "%d:", len(text))
		_, _ = h.Write([]byte(text))
	}
	return shortHash(h)
}

// shortHash returns as much of a hash as is kept.
func shortHash(h hash.Hash) string { return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:15]) }

// check adds what is wrong with p to f. templated says whether a template of the request uses the page.
func (p Pagination) check(f *faults, templated bool) {
	field := func(name string, value any, rule string, args ...any) { f.field("pages."+name, value, rule, args...) }
	oneOf(f, "pages.by", p.By, []PageBy{PageByLink, PageByURL, PageByToken, PageByNumber, PageByOffset})
	checkPath := func(name, path string) {
		if _, err := extract.CompilePath(path); path != "" && err != nil {
			field(name, path, "must be a JSONPath: %s", err)
		}
	}
	checkPath("path", p.Path)
	checkPath("more", p.More)
	checkPath("items", p.Items)
	inAnswer := p.By == PageByURL || p.By == PageByToken
	switch {
	case inAnswer && p.Path == "":
		field("path", "", "must say where the next page's %s is in the answer, such as $.next", p.By)
	case !inAnswer && p.Path != "":
		field("path", p.Path, "must be empty unless pages are by url or token")
	}
	counted := p.counted()
	switch {
	case (counted || p.By == PageByToken) && p.Param == "" && !templated:
		field("param", "", "must name the query's parameter that takes the %s, unless a template uses .Page", p.By)
	case !counted && p.By != PageByToken && p.Param != "":
		field("param", p.Param, "must be empty: the %s has everything", p.By)
	}
	if p.Items != "" && !counted {
		field("items", p.Items, "must be empty unless pages are by number or offset")
	}
	if p.Size < 0 {
		field("size", p.Size, "must not be negative")
	}
	if p.SizeParam != "" && p.Size == 0 {
		field("size", p.Size, "must be given with size_param")
	}
	if p.Start != nil && (!counted || *p.Start < 0) {
		field("start", *p.Start, "must not be negative, and only be given if pages are by number or offset")
	}
	if p.MaxPages < 0 {
		field("max_pages", p.MaxPages, "must not be negative")
	}
}

// wholeFaults returns what r's pages, or the token of its cursor, are looked for by that can be in no answer that x is for. What
// an answer in a language of the host's own is written in nobody knows here.
func (l extractLanguages) wholeFaults(r Request, x *Extract) []error {
	if x == nil || l.validate(x.Mapping()) != nil {
		return nil
	}
	f := faults{ref: r.Meta().Ref()}
	if format := cmp.Or(x.Format, extract.FormatJSON); format != extract.FormatJSON && l[x.Language] == nil {
		answer := fmt.Sprintf("a JSONPath, but the answer is %s by extract %q", format, x.ID)
		if c := r.Cursor; c != nil && c.kind() == CursorToken && c.Path != "" {
			f.field("cursor.path", c.Path, "is %s: its cursor must be in the records, of another type than token", answer)
		}
		if r.Pages != nil {
			r.Pages.checkWithoutJSON(&f, answer)
		}
	}
	if r.Pages != nil {
		r.Pages.checkCount(&f, x)
	}
	return f.all
}

// checkWithoutJSON adds what of p has to be found in a JSON text.
func (p Pagination) checkWithoutJSON(f *faults, answer string) {
	if p.Path != "" && (p.By == PageByURL || p.By == PageByToken) {
		f.field("pages.path", p.Path, "is %s: its pages can be by link, number or offset", answer)
	}
	if p.More != "" {
		f.field("pages.more", p.More, "must be empty: it is %s", answer)
	}
	if p.Items != "" && p.counted() {
		f.field("pages.items", p.Items, "must be empty: it is %s, of which the records are counted", answer)
	}
}

// checkCount adds that what p counts is not known for any answer that x is for.
func (p Pagination) checkCount(f *faults, x *Extract) {
	needed := p.counted() && p.Items == "" && (p.More == "" || p.By == PageByOffset)
	if aList := []byte("["); !needed || x.countsItems(aList) {
		return
	}
	const unless = "must be link, unless each record of extract %q is an item: its records must be "
	switch x.Format {
	case "", extract.FormatJSON:
		f.field("pages.items", "", "must say what is counted, such as $.items[*]: a record of extract %q is not an item of the page each", x.ID)
	case extract.FormatXML:
		f.field("pages.by", p.By, unless+"a path without predicates, such as //item", x.ID)
	default:
		f.field("pages.by", p.By, unless+"empty", x.ID)
	}
}
