package callsheet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
)

// followed returns h for the URL of the next page, which has a query of its own.
func (a *attempt) followed(h fetch.Request) (fetch.Request, error) {
	source, err := url.Parse(a.call.Source.BaseURL)
	if err != nil {
		return h, err
	}
	link, err := nextURL(source, source, a.progress.Next.URL)
	if err != nil {
		return h, badResponse("follow the link to the next page", err)
	}
	h.BaseURL, h.Path, h.Query = link, "", nil
	return h, nil
}

// turn sets what the page after answer's is asked for by, and reports whether there is one.
func (a *attempt) turn(ctx context.Context, answer *Answer, extracted extract.Result, after *Progress, records int) (bool, error) {
	p := a.pages()
	base, err := url.Parse(answer.URL)
	if err != nil {
		return false, badResponse("find the next page", err)
	}
	source, err := url.Parse(a.call.Source.BaseURL)
	if err != nil {
		return false, err
	}
	next, more, err := p.next(ctx, fetchedPage{
		state: a.progress.Next, number: after.Pages, header: answer.Header, body: answer.Body, base: base, source: source,
		records: records, counts: a.call.Extract.countsItems(answer.Body),
	})
	if err == nil && more {
		err = p.tooMany(after.Pages)
	}
	if err != nil {
		return false, badResponse("turn the page", err)
	}
	next.URL = a.withoutKey(next.URL)
	after.Next = next
	again := false
	// Two answers without records may well be the same, and a page that is counted is asked for once.
	if records > 0 && (more || after.Pages > 1) {
		hash, err := a.pageHash(ctx, answer, extracted)
		if err != nil {
			return false, err
		}
		again = after.seen(hash)
	}
	if more && next.URL+next.Token != "" {
		again = after.seen(hashOf("next", next.URL, next.Token)) || again
	}
	if again {
		return false, badResponse("turn the page", fmt.Errorf("page %d, or its link to the next, came before", after.Pages))
	}
	return more, nil
}

// pageHash is the hash of the page that answer is, or is the last part of: of its records as they stand in the answer, so that an
// API which ignores what page it is asked for is known by them, whatever it puts around them. Where these cannot be told from
// what is made of them it is the hash of the body.
func (a *attempt) pageHash(ctx context.Context, answer *Answer, extracted extract.Result) (string, error) {
	body := func() string { return hashOf("page", string(answer.Body)) }
	x := a.call.Extract
	switch part := answer.part(); {
	case part != nil:
		return part.Page, nil
	case a.pages().By == PageByLink || a.pages().By == PageByURL, x != nil && !x.selectsJSON(): // the links are known, too
		return body(), nil
	case x != nil && len(x.Fields) > 0:
		whole, err := a.whole(ctx, answer)
		if ctx.Err() != nil {
			return "", err
		}
		if err != nil { // all of the records may be beyond a budget that their fields are not
			return body(), nil
		}
		extracted = whole
	}
	return recordsHash(extracted.Records)
}

// whole extracts the records of the answer without regard to the fields.
func (a *attempt) whole(ctx context.Context, answer *Answer) (extract.Result, error) {
	extractor, err := a.wholeExtractor(a.call.Extract)
	if err != nil {
		return extract.Result{}, err
	}
	return extractor.Extract(ctx, a.source(answer))
}

// recordsHash is the hash of records in their order.
func recordsHash(records []Record) (string, error) {
	h := sha256.New()
	var line []byte
	for _, r := range records {
		var err error
		if line, err = r.AppendJSON(line[:0]); err != nil {
			return "", err
		}
		_, _ = h.Write(append(line, '\n'))
	}
	return shortHash(h), nil
}

// withoutKey returns a link without the key of the Source, which APIs repeat and which is sent anyway. What else the link has stays
// as it is, to the byte: it may be signed. The key of an Auth that goes in a header reads "redacted" by now.
func (a *attempt) withoutKey(link string) string {
	auth := a.call.Source.Auth
	if auth.none() {
		return link
	}
	before, query, found := strings.Cut(link, "?")
	if !found {
		return link
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		isKey := err == nil && plain == auth.Name && auth.Type == AuthQuery && !auth.givenBy(a.call.Request)
		if !isKey && value != redacted {
			kept = append(kept, pair)
		}
	}
	if len(kept) == 0 {
		return before
	}
	return before + "?" + strings.Join(kept, "&")
}
