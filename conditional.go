package callsheet

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/callsheet-go/callsheet/fetch"
)

// Unchanged says what becomes of an answer that is as it was when the Schedule last succeeded.
type Unchanged string

const (
	// UnchangedSkip: the API is asked whether there is anything new, by the ETag and Last-Modified that it sent with
	// its last answer (RFC 9110, 13.1). If there is not, the execution succeeds with [ReasonUnchanged], and nothing is extracted
	// or delivered. It is the default.
	UnchangedSkip Unchanged = "skip"
	// UnchangedHash: as UnchangedSkip, and where the API sends neither, bodies are compared.
	UnchangedHash Unchanged = "hash"
	// UnchangedDeliver: every answer is extracted and delivered, as for a time series of what the API says.
	UnchangedDeliver Unchanged = "deliver"
)

// conditional reports whether calls of r are made on condition. Those for pages are not: the first may be as it was when
// the others are not.
func (r Request) conditional() bool {
	return r.Unchanged != UnchangedDeliver && r.Pages == nil && (r.Method == "" || r.Method == http.MethodGet)
}

// validatorsKey is the hash of all that must be the same for an answer to be the same: what is asked and by whom, and what is made
// of it. Of secrets it has the names, so that they can be rotated.
func validatorsKey(call Call, h fetch.Request) string {
	texts := []string{call.Source.ID, h.Method, h.BaseURL, h.Path, h.Body}
	for _, fields := range []map[string]string{h.Query, h.Headers, h.Form} {
		texts = append(texts, strconv.Itoa(len(fields)))
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			texts = append(texts, name, fields[name])
		}
	}
	for _, part := range h.Multipart {
		texts = append(texts, part.Name, part.Filename, part.ContentType, part.Value)
	}
	if auth := call.Source.Auth; !auth.none() {
		texts = append(texts, "auth", asText(auth))
	}
	if tls := call.Source.TLS; tls.Certificate != "" {
		texts = append(texts, "certificate", tls.Certificate)
	}
	if call.Extract != nil {
		texts = append(texts, "extract", call.Extract.ID, strconv.FormatInt(call.Extract.Version, 10))
	}
	if call.Delivery != nil {
		texts = append(texts, "delivery", call.Delivery.ID, strconv.FormatInt(call.Delivery.Version, 10))
	}
	return hashOf(texts...)
}

// asText writes what is made of texts and numbers as JSON, which cannot fail.
func asText(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// onCondition returns h with the question whether the answer is still that of v.
func (v Validators) onCondition(h fetch.Request) fetch.Request {
	conditions := map[string]string{}
	if v.ETag != "" {
		conditions["If-None-Match"] = v.ETag
	}
	if v.LastModified != "" {
		conditions["If-Modified-Since"] = v.LastModified
	}
	if len(conditions) > 0 {
		h.Headers = mergeHeaders(conditions, h.Headers) // what the request sets itself stays
	}
	return h
}

// newValidators returns what tells an answer again, but for its Key; nil if nothing does.
func newValidators(r Request, answer *fetch.Response) *Validators {
	v := Validators{ETag: answer.Header.Get("Etag"), LastModified: answer.Header.Get("Last-Modified")}
	if v.ETag == "" && v.LastModified == "" && r.Unchanged == UnchangedHash {
		v.Hash = bodyHash(answer)
	}
	if v.ETag == "" && v.LastModified == "" && v.Hash == "" || len(v.ETag)+len(v.LastModified) > maxValidators {
		return nil
	}
	return &v
}

// bodyHash is the hash of an answer's body, wherever that is.
func bodyHash(answer *fetch.Response) string {
	if answer.Spool != nil {
		return answer.Spool.Sum()
	}
	return hashOf(string(answer.Body))
}

// maxValidators bounds the validators that are kept, in bytes.
const maxValidators = 2000
