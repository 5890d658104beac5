package fetch

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
)

// A Part is one of those that make up a multipart/form-data body (RFC 7578): a field, or a file if it has a
// Filename.
type Part struct {
	Name     string
	Filename string
	// ContentType is application/octet-stream for a file where none is given; a field has none.
	ContentType string
	Value       string
}

// bodyFaults returns what is wrong with the three ways to say a body.
func (r Request) bodyFaults() []error {
	var faults []error
	given := 0
	for _, is := range [...]bool{r.Body != "", len(r.Form) > 0, len(r.Multipart) > 0} {
		if is {
			given++
		}
	}
	if given > 1 {
		faults = append(faults, &FaultError{"body", redacted, "must be the only one of body, form and multipart"})
	}
	for i, part := range r.Multipart {
		fault := func(field, value, rule string) {
			faults = append(faults, &FaultError{fmt.Sprintf("multipart[%d].%s", i, field), clip(value), rule})
		}
		if part.Name == "" || hasControl(part.Name) {
			fault("name", part.Name, "must be the name of a field, without control characters")
		}
		if hasControl(part.Filename) {
			fault("filename", part.Filename, ruleControl)
		}
		if part.ContentType != "" {
			if _, _, err := mime.ParseMediaType(part.ContentType); err != nil || !validValue(part.ContentType) {
				fault("content_type", part.ContentType, "must be a media type, such as text/csv")
			}
		}
	}
	return faults
}

// composed returns r with its Form or Multipart, which must be valid, as Body, and with a Content-Type.
func (r Request) composed() Request {
	kind := ""
	switch {
	case len(r.Form) > 0:
		r.Body, kind = encodeQuery(r.Form), "application/x-www-form-urlencoded"
	case len(r.Multipart) > 0:
		r.Body, kind = encodeParts(r.Multipart)
	case r.Body != "" && headerOf(r.Headers, "Content-Type") == "" && json.Valid([]byte(r.Body)):
		kind = "application/json"
	}
	if kind != "" {
		r.Headers = with(without(r.Headers, "Content-Type"), "Content-Type", kind)
	}
	return r
}

// encodeParts returns a body and its type. The boundary is a hash of the parts, so that it is in none of them
// and each attempt sends the same bytes.
func encodeParts(parts []Part) (body, kind string) {
	var all []string
	for _, part := range parts {
		all = append(all, part.Name, part.Filename, part.ContentType, part.Value)
	}
	hash := digest(all...)
	var b strings.Builder
	w := multipart.NewWriter(&b)
	// Neither errs: the boundary is of hex digits, and a Builder takes everything.
	_ = w.SetBoundary(hex.EncodeToString(hash[:]))
	for _, part := range parts {
		p, _ := w.CreatePart(part.header())
		_, _ = p.Write([]byte(part.Value))
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

func (p Part) header() textproto.MIMEHeader {
	disposition := multipart.FileContentDisposition(p.Name, p.Filename)
	kind := p.ContentType
	switch {
	case p.Filename == "":
		disposition = strings.TrimSuffix(disposition, `; filename=""`)
	case kind == "":
		kind = "application/octet-stream"
	}
	header := textproto.MIMEHeader{"Content-Disposition": {disposition}}
	if kind != "" {
		header.Set("Content-Type", kind)
	}
	return header
}

// headerOf returns the value of a header, whatever its spelling.
func headerOf(headers map[string]string, name string) string {
	for given, value := range headers {
		if strings.EqualFold(given, name) {
			return value
		}
	}
	return ""
}

// without returns headers without one; headers stay the caller's.
func without(headers map[string]string, name string) map[string]string {
	fewer := make(map[string]string, len(headers)+1)
	for given, value := range headers {
		if !strings.EqualFold(given, name) {
			fewer[given] = value
		}
	}
	return fewer
}
