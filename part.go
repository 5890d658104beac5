package callsheet

import "github.com/callsheet-go/callsheet/fetch"

// A Part is one of those that make up a multipart/form-data body (RFC 7578): a field, or a file if it has a Filename.
type Part struct {
	Name     string `json:"name"`
	Filename string `json:"filename,omitempty"`
	// ContentType is application/octet-stream for a file where none is given; a field has none.
	ContentType string `json:"content_type,omitempty"`
	Value       string `json:"value"`
}

func fetchParts(parts []Part) []fetch.Part {
	var all []fetch.Part
	for _, part := range parts {
		all = append(all, fetch.Part(part))
	}
	return all
}
