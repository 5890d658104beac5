package fetch

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// wireHeader returns the headers that go out, and the host if one is configured.
//
// HTTP/1 would take most framing headers for what they say: a caller's Upgrade can turn the connection
// into something that never ends, and HTTP/2 refuses to send them. So they stay here.
func wireHeader(headers map[string]string) (header http.Header, host string) {
	header = make(http.Header, len(headers)+1)
	values := make([]string, 0, len(headers)+1)
	set := func(name, value string) {
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}

	set("User-Agent", DefaultUserAgent)
	for name, value := range headers {
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t")
		switch name {
		case "Host":
			host = value
		case "User-Agent":
			if value != "" {
				set(name, value)
			}
		case "Connection":
			if strings.EqualFold(value, "close") {
				set(name, "close")
			}
		case "Accept-Encoding":
			// Any other is the Client's matter, which must be able to decode what comes.
			if strings.EqualFold(value, "identity") {
				set(name, "identity")
			}
		default:
			if !neverSent(name) {
				set(name, value)
			}
		}
	}
	return header, host
}

// neverSent says whether a header, in its canonical spelling, frames a message or belongs to the connection.
func neverSent(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Keep-Alive",
		"Proxy-Connection", "Http2-Settings":
		return true
	}
	return false
}

type headersError struct{ limit int64 }

func (e *headersError) Error() string {
	return fmt.Sprintf("the headers are larger than %d bytes", e.limit)
}

// checkHeaderSize says whether header, with a colon, a blank and a line end for each value, is larger than limit.
func checkHeaderSize(header http.Header, limit int64) error {
	var size int64
	for name, values := range header {
		for _, value := range values {
			size += int64(len(name) + len(": ") + len(value) + len("\r\n"))
		}
	}
	if size > limit {
		return &headersError{limit}
	}
	return nil
}

// isHeaders knows the errors of net/http for headers that are larger than its transport takes; they have no type. With
// HTTP/2 a single one of that size is an error of its compression.
func isHeaders(err error) bool {
	text := err.Error()
	return strings.Contains(text, "server response headers exceeded") ||
		strings.Contains(text, "response header list larger than advertised limit") ||
		strings.Contains(text, "COMPRESSION_ERROR")
}
