// Package history is about the way through executions, page by page, that all Stores have in common.
package history

import (
	"cmp"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet"
)

// A Place is where an execution stands among all: it stays when others come and go.
type Place struct {
	At time.Time
	ID string
}

// Compare orders places by time, then ID.
func (p Place) Compare(other Place) int {
	return cmp.Or(p.At.Compare(other.At), cmp.Compare(p.ID, other.ID))
}

// String returns the place as it goes into a page's Next.
func (p Place) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.At.UnixMicro(), 36) + "." + p.ID))
}

// ParsePlace reads what String wrote. Anything else is a [*callsheet.ValidationError].
func ParsePlace(text string) (Place, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Place{}, Fault(text)
	}
	at, id, ok := strings.Cut(string(decoded), ".")
	micros, err := strconv.ParseInt(at, 36, 64)
	if !ok || err != nil {
		return Place{}, Fault(text)
	}
	return Place{time.UnixMicro(micros).UTC(), id}, nil
}

// Fault says that text is no page's Next.
func Fault(text string) error {
	return &callsheet.ValidationError{Field: "after", Value: text, Rule: "must be the next of the page before"}
}
