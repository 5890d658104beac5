package callsheet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet/extract"
)

// CursorType says how a cursor's values are compared.
type CursorType string

const (
	// CursorTime: points in time, of which the latest counts. Texts in RFC 3339, or in Cursor.Layout.
	CursorTime CursorType = "time"
	// CursorInteger: whole numbers of any size, of which the greatest counts.
	CursorInteger CursorType = "integer"
	// CursorString: texts, of which the last in the order of their bytes counts.
	CursorString CursorType = "string"
	// CursorToken: a text that only the API understands. It stands in the answer and not in a record; that of the
	// last page that has one counts.
	CursorToken CursorType = "token"
)

// A Cursor has a request ask for what is new only: it remembers how far the records of a Schedule went, and sends that along.
//
// Each Schedule has a cursor of its own. It moves when an execution has succeeded, in the transaction that
// records that, so never before the Destination has confirmed what it stands for; where it stands is in [ScheduleState].Cursor. See
// SetCursor and ResetCursor of [Controller]. An answer with a cursor is delivered only once the Store has kept it; of those that are
// larger than [MaxAnswerBytes], docs/guarantees.md says what a lost worker can cost.
type Cursor struct {
	// Path is where the value is in a record, or, of a CursorToken, in the answer. It is written as the paths of the
	// Schedule's Extract are, which is checked when a Schedule is defined; of an answer, in JSONPath. A record without the value,
	// or with null, is passed over.
	Path string `json:"path"`
	// Type is how values are compared. Empty means CursorTime.
	Type CursorType `json:"type,omitempty"`
	// Initial is the value before the first success. If it is empty, the first call has none.
	Initial string `json:"initial,omitempty"`
	// Lookback asks again for what came shortly before, as APIs may show things late: by time (CursorTime), or by number
	// (CursorInteger). What came already comes again; a Destination with a key leaves it out. It does not go back before Initial.
	Lookback      time.Duration `json:"lookback,omitzero"`
	LookbackCount int64         `json:"lookback_count,omitzero"`
	// Layout is how Go writes the times ([time.Layout]). Empty means RFC 3339.
	Layout string `json:"layout,omitempty"`
	// Param is the parameter of the query that takes the value. If it is empty, a template has to use .Cursor.
	Param string `json:"param,omitempty"`
}

// MarshalJSON writes durations as text ("30s").
func (c Cursor) MarshalJSON() ([]byte, error) {
	type plain Cursor
	return json.Marshal(struct {
		plain
		Lookback durationText `json:"lookback,omitzero"`
	}{plain(c), durationText(c.Lookback)})
}

// UnmarshalJSON reads durations as text ("30s").
func (c *Cursor) UnmarshalJSON(b []byte) error {
	type plain Cursor
	v := struct {
		*plain
		Lookback *durationText `json:"lookback"`
	}{(*plain)(c), (*durationText)(&c.Lookback)}
	return json.Unmarshal(b, &v)
}

func (c Cursor) kind() CursorType {
	if c.Type == "" {
		return CursorTime
	}
	return c.Type
}

// layout is how times are read and written.
func (c Cursor) layout() string {
	if c.Layout == "" {
		return time.RFC3339Nano
	}
	return c.Layout
}

// checkValue reports why value cannot be one of c's.
func (c Cursor) checkValue(value string) error {
	var err error
	switch {
	case len(value) > maxPlace:
		return fmt.Errorf("%q… is longer than %d bytes", value[:100], maxPlace)
	case c.kind() == CursorTime:
		_, err = c.time(value)
	case c.kind() == CursorInteger:
		_, err = integer(value)
	}
	return err
}

// maxPlace bounds what says where to go on, of a cursor or a page: it is kept and sent again.
const maxPlace = 4096

// cursorOf is the hash of what the values of r's cursor mean something to; "" if it has none.
func (r Request) cursorOf() string {
	c := r.Cursor
	if c == nil {
		return ""
	}
	return hashOf("cursor", r.Source, r.Path, c.Path, string(c.kind()), c.Layout)
}

func (c Cursor) time(value string) (time.Time, error) {
	t, err := time.Parse(c.layout(), value)
	if err != nil {
		shape := "RFC 3339"
		if c.Layout != "" {
			shape = "the layout " + c.Layout
		}
		return t, fmt.Errorf("%q is not a time in %s", cut(value, 100), shape)
	}
	return t, nil
}

func integer(value string) (*big.Int, error) {
	var n *big.Int
	ok := false
	if len(value) <= maxPlace { // to read a number takes the square of its length
		n, ok = new(big.Int).SetString(value, 10)
	}
	if !ok {
		return nil, fmt.Errorf("%q is not an integer", cut(value, 100))
	}
	return n, nil
}

// further returns whichever of two values is further on. An empty one is before all others.
func (c Cursor) further(a, b string) (string, error) {
	if err := c.checkValue(b); err != nil {
		return "", err
	}
	if c.kind() == CursorToken {
		return b, nil
	}
	if a == "" || c.checkValue(a) != nil { // the type was edited since
		return b, nil
	}
	order := strings.Compare(a, b)
	switch c.kind() {
	case CursorTime:
		x, _ := c.time(a)
		y, _ := c.time(b)
		order = x.Compare(y)
	case CursorInteger:
		x, _ := integer(a)
		y, _ := integer(b)
		order = x.Cmp(y)
	}
	if order < 0 {
		return b, nil
	}
	return a, nil
}

// asked returns what a request is sent with while the cursor stands at value.
func (c Cursor) asked(value string) string {
	if value == "" || c.checkValue(value) != nil {
		return c.Initial
	}
	back := value
	switch {
	case c.kind() == CursorTime && c.Lookback > 0:
		if t, err := c.time(value); err == nil {
			back = t.Add(-c.Lookback).Format(c.layout())
		}
	case c.kind() == CursorInteger && c.LookbackCount > 0:
		if n, err := integer(value); err == nil {
			back = n.Sub(n, big.NewInt(c.LookbackCount)).String()
		}
	}
	if back != value && c.Initial != "" {
		if later, err := c.further(c.Initial, back); err == nil {
			return later
		}
	}
	return back
}

// tellsTimes reports whether a layout can tell two times apart, and what it wrote can be read.
func tellsTimes(layout string) bool {
	one, other := time.Date(2001, 2, 3, 16, 5, 6, 0, time.UTC), time.Date(2012, 11, 10, 9, 18, 27, 0, time.UTC)
	_, err := time.Parse(layout, one.Format(layout))
	return err == nil && one.Format(layout) != other.Format(layout)
}

// scalarText returns a text, number or null as text.
func scalarText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", fmt.Errorf("%s, not a text or a number", shortJSON(v))
}

// shortJSON shows a value in an error.
func shortJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("a %T", v)
	}
	return cut(string(text), 100)
}

// check adds what is wrong with c to f. templated says whether a template of the request uses the cursor.
func (c Cursor) check(f *faults, templated bool) {
	oneOf(f, "cursor.type", c.kind(), []CursorType{CursorTime, CursorInteger, CursorString, CursorToken})
	if c.Path == "" {
		f.field("cursor.path", "", "must say where the value is, such as $.updated_at")
	} else if c.kind() == CursorToken {
		if _, err := extract.CompilePath(c.Path); err != nil {
			f.field("cursor.path", c.Path, "must be a JSONPath: %s", err)
		}
	}
	if c.Param == "" && !templated {
		f.field("cursor.param", "", "must name the query's parameter that takes the value, unless a template uses .Cursor")
	}
	if c.Layout != "" && c.kind() != CursorTime {
		f.field("cursor.layout", c.Layout, "must be empty unless the type is time")
	}
	if c.Layout != "" && !tellsTimes(c.Layout) {
		f.field("cursor.layout", c.Layout, "must be a layout of Go's package time, such as 2006-01-02")
	}
	if c.Initial != "" {
		if err := c.checkValue(c.Initial); err != nil {
			f.field("cursor.initial", c.Initial, "must be a value of the type: %s", err)
		}
	}
	f.notNegative("cursor.lookback", c.Lookback)
	if c.Lookback != 0 && c.kind() != CursorTime {
		f.field("cursor.lookback", c.Lookback, "must be zero unless the type is time")
	}
	if c.LookbackCount < 0 || c.LookbackCount != 0 && c.kind() != CursorInteger {
		f.field("cursor.lookback_count", c.LookbackCount, "must not be negative, and zero unless the type is integer")
	}
}

// answerFaults tells where the cursors and pages of a sheet's schedules cannot be read in the answers that their Extracts are for.
// Requests and Extracts that are not in the sheet are those kept; what cannot be found or is not valid somebody else reports.
func (s *scheduler) answerFaults(ctx context.Context, sheet Sheet) []error {
	var faults []error
	type join struct{ request, extract string }
	asked := map[join]bool{}
	for _, sch := range sheet.Schedules {
		j := join{sch.Request, sch.Extract}
		if asked[j] {
			continue
		}
		asked[j] = true
		r, ok := find(ctx, sheet.Requests, s.store.Requests(), sch.Request)
		if !ok || r.Cursor == nil && r.Pages == nil {
			continue
		}
		var x *Extract
		if sch.Extract != "" {
			found, ok := find(ctx, sheet.Extracts, s.store.Extracts(), sch.Extract)
			if !ok {
				continue
			}
			x = &found
		}
		faults = append(faults, s.languages.answerFaults(r, x)...)
	}
	return faults
}

// answerFaults returns what r looks for, besides records, that cannot be found in answers that x is for.
func (l extractLanguages) answerFaults(r Request, x *Extract) []error {
	return append(l.cursorFaults(r, x), l.wholeFaults(r, x)...)
}

// cursorFaults returns why the cursor of r cannot be read in answers that x is for.
func (l extractLanguages) cursorFaults(r Request, x *Extract) []error {
	c := r.Cursor
	if c == nil || c.Path == "" || c.kind() == CursorToken {
		return nil
	}
	rule := "must be a JSONPath, as there is no extract"
	if x != nil {
		if l.validate(x.Mapping()) != nil {
			return nil
		}
		rule = fmt.Sprintf("must be written as the paths of extract %q are", x.ID)
	}
	f := faults{ref: r.Meta().Ref()}
	for _, err := range unjoin(l.validate(c.mapping(x))) {
		text := err.Error()
		if fault, ok := errors.AsType[*extract.FaultError](err); ok {
			text = fault.Rule
		}
		f.field("cursor.path", c.Path, "%s: %s", rule, text)
	}
	return f.all
}

// SetCursor implements Controller.
func (s *scheduler) SetCursor(ctx context.Context, id, value string) (Schedule, error) {
	sch, err := s.setCursor(ctx, id, value)
	if err != nil {
		return Schedule{}, fmt.Errorf("set the cursor of schedule %q: %w", id, err)
	}
	s.log.InfoContext(ctx, "cursor set", slog.String(keySchedule, id))
	return sch, nil
}

func (s *scheduler) setCursor(ctx context.Context, id, value string) (Schedule, error) {
	sch, err := s.store.Schedules().Get(ctx, id)
	if err != nil {
		return sch, err
	}
	request, err := s.store.Requests().Get(ctx, sch.Request)
	if err != nil {
		return sch, err
	}
	f := faults{ref: Ref{KindSchedule, id}}
	switch {
	case request.Cursor == nil:
		f.field("request", sch.Request, "must have a cursor for one to be set")
	case value == "":
		f.field("cursor", value, "must not be empty: ResetCursor begins anew")
	default:
		if err := request.Cursor.checkValue(value); err != nil {
			f.field("cursor", value, "must be a value of the type: %s", err)
		}
	}
	if err := f.err(); err != nil {
		return sch, err
	}
	return s.moveCursor(ctx, id, value, request.cursorOf())
}

// ResetCursor implements Controller.
func (s *scheduler) ResetCursor(ctx context.Context, id string) (Schedule, error) {
	sch, err := s.moveCursor(ctx, id, "", "")
	if err != nil {
		return Schedule{}, fmt.Errorf("reset the cursor of schedule %q: %w", id, err)
	}
	s.log.InfoContext(ctx, "cursor reset", slog.String(keySchedule, id))
	return sch, nil
}

func (s *scheduler) moveCursor(ctx context.Context, id, value, of string) (Schedule, error) {
	after, err := s.store.ChangeSchedule(ctx, id, func(sch Schedule, now time.Time) (Decision, error) {
		st := sch.moved(value, of, "", now)
		st.Validators = nil
		return Decision{State: st}, nil
	})
	return after.Schedule, err
}

// furthest returns how far the records of an answer go, from on.
func (c Cursor) furthest(ctx context.Context, x extract.Extractor, answer extract.Answer, from string) (string, error) {
	place := from
	take := func(v any) error {
		text, err := scalarText(v)
		if err != nil || text == "" {
			return err
		}
		place, err = c.further(place, text)
		return err
	}
	if c.kind() == CursorToken {
		doc, err := extract.Parse(answer.Body)
		if err != nil {
			return "", err
		}
		token, _, err := selectOne(ctx, doc, c.Path)
		if err == nil {
			err = take(token)
		}
		return place, err
	}
	found, err := x.Extract(ctx, answer)
	if err != nil {
		return "", err
	}
	for _, record := range found.Records {
		value, _ := record.Get(cursorField)
		if err := take(value); err != nil {
			return "", err
		}
	}
	return place, nil
}

// cursorField is the name under which a cursor's values are extracted.
const cursorField = "cursor"

// mapping returns what extracts the cursor's values from answers that x is for.
func (c Cursor) mapping(x *Extract) extract.Mapping {
	var m extract.Mapping
	if x != nil {
		m = x.Mapping()
	}
	m.Fields = []Field{{Name: cursorField, Path: c.Path}}
	return m
}
