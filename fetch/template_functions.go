package fetch

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode"
)

// templateFunctions are those that a template may call. Those that run.functions lacks are text/template's own.
var templateFunctions = [...]string{
	"add", "addDate", "and", "date", "default", "eq", "ge", "gt", "inZone", "index", "join", "json", "le", "len", "lower", "lt",
	"ne", "not", "or", "print", "rfc3339", "slice", "trim", "unix", "unixms", "upper", "urlquery",
}

// readingFunctions are those that may work on long texts and make little of them, or nothing.
var readingFunctions = [...]string{
	"add", "addDate", "date", "eq", "ge", "gt", "inZone", "index", "le", "lower", "lt", "ne", "rfc3339", "slice", "trim", "unix", "unixms", "upper",
}

// A run is what one rendering has made and done. The text is written to it.
type run struct {
	out   bytes.Buffer
	steps int
	made  int
}

func (r *run) reset() {
	r.out.Reset()
	r.steps, r.made = 0, 0
}

// Write implements [io.Writer].
func (r *run) Write(p []byte) (int, error) {
	if r.out.Len()+len(p) > MaxRenderedBytes {
		return 0, &limitError{"bytes", MaxRenderedBytes}
	}
	return r.out.Write(p)
}

// make counts what a function gives. Without it a variable that is doubled in each turn would soon fill the memory.
func (r *run) make(text string) (string, error) {
	if r.made += len(text); len(text) > MaxRenderedBytes || r.made > maxMadeBytes {
		return "", &limitError{"bytes read and made by functions", maxMadeBytes}
	}
	return text, nil
}

// take counts what a function reads, and gives it on. JSON is a text from there on, as what slice cuts from it is no JSON.
func (r *run) take(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		_, err = r.make(v)
	case jsonText:
		return r.make(string(v))
	}
	return v, err
}

func (r *run) step(n int) (string, error) {
	if r.steps += n; r.steps > MaxTemplateSteps {
		return "", &limitError{"steps", MaxTemplateSteps}
	}
	return "", nil
}

// functions returns those of templateFunctions that are not text/template's, and those that the checker puts in.
// In all but print and join the value that is worked on comes last, so that it can be piped.
func (r *run) functions() template.FuncMap {
	text := func(change func(string) string) func(any) (string, error) {
		return func(v any) (string, error) {
			s, err := textOf(v)
			if err != nil {
				return "", err
			}
			return r.make(change(s))
		}
	}
	return template.FuncMap{
		"_step": r.step, "_take": r.take, "_text": textOf, "_header": escapeHeader, "_segment": escapeSegment,
		"_parameter": text(url.QueryEscape), "_value": valueOf, "_string": escapeString, "_xml": text(escapeXML),

		"add": add, "addDate": addDate, "inZone": inZone,
		"date": func(layout string, v any) (string, error) {
			t, err := timeOf("date", v)
			if err != nil {
				return "", err
			}
			return r.make(t.Format(layout))
		},
		"rfc3339": func(v any) (string, error) {
			t, err := timeOf("rfc3339", v)
			return t.Format(time.RFC3339Nano), err
		},
		"unix": func(v any) (int64, error) {
			t, err := timeOf("unix", v)
			return t.Unix(), err
		},
		"unixms": func(v any) (int64, error) {
			t, err := timeOf("unixms", v)
			return t.UnixMilli(), err
		},
		"default": orDefault,
		"json": func(v any) (jsonText, error) {
			s, err := valueOf(v)
			if err == nil {
				s, err = r.make(s)
			}
			return jsonText(s), err
		},
		"lower": text(strings.ToLower), "upper": text(strings.ToUpper), "trim": text(strings.TrimSpace),
		"urlquery": text(url.QueryEscape),
		"print":    func(all ...any) (string, error) { return r.joined("", all) },
		"join":     func(separator string, all ...any) (string, error) { return r.joined(separator, all) },
	}
}

func (r *run) joined(separator string, all []any) (string, error) {
	var b strings.Builder
	for i, v := range all {
		s, err := textOf(v)
		if err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
		if b.Len() > MaxRenderedBytes {
			break // make refuses it
		}
	}
	return r.make(b.String())
}

// jsonText is JSON already.
type jsonText string

// textOf returns v as a text, if it is one value.
func textOf(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case jsonText:
		return string(v), nil
	case moment:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case map[string]string:
		return "", badValue("a map is no text: name one of its values, or write all of it with json")
	}
	return "", badValue("must be a text, a number, a time or true or false: name one of its parts")
}

// valueOf returns v as JSON.
func valueOf(v any) (string, error) {
	switch v := v.(type) {
	case jsonText:
		return string(v), nil
	case string, map[string]string:
		return encodeJSON(v)
	case moment:
		return encodeJSON(v.String())
	case float64:
		return encodeJSON(v)
	}
	return textOf(v)
}

func encodeJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", badValue("cannot be written as JSON")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func escapeString(v any) (string, error) {
	s, err := textOf(v)
	if err != nil {
		return "", err
	}
	if s, err = encodeJSON(s); err != nil {
		return "", err
	}
	return s[1 : len(s)-1], nil
}

func escapeHeader(v any) (string, error) {
	s, err := textOf(v)
	if err == nil && strings.ContainsFunc(s, func(c rune) bool { return c != '\t' && unicode.IsControl(c) }) {
		return "", badValue("a value in a header %s", ruleControl)
	}
	return s, err
}

// escapeSegment refuses what would take a segment away: without it /users/{{…}} were /users/.
func escapeSegment(v any) (string, error) {
	s, err := textOf(v)
	switch {
	case err != nil:
		return "", err
	case s == "":
		return "", badValue("a value in a path must not be empty; with and if leave it out")
	case s == "." || s == "..":
		return "", badValue("a value in a path must not be . or ..")
	case hasControl(s):
		return "", badValue("a value in a path %s", ruleControl)
	}
	return url.PathEscape(s), nil
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// orDefault returns v, or d in the place of an empty text, 0, false and the zero time.
func orDefault(d, v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return d
		}
	case int:
		if v == 0 {
			return d
		}
	case bool:
		if !v {
			return d
		}
	case moment:
		if v.t.IsZero() {
			return d
		}
	case nil:
		return d
	}
	return v
}

// timeOf returns v as a time: it is one, or a text that is one.
func timeOf(function string, v any) (time.Time, error) {
	switch v := v.(type) {
	case moment:
		return v.t, nil
	case string:
		for _, layout := range [...]string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, v); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, badValue("%s takes a time, or a text such as 2006-01-02T15:04:05Z or 2006-01-02", function)
}

// add takes a time and a duration, in either order: that of a sentence, and that of a pipe.
func add(a, b any) (moment, error) {
	duration, v := a, b
	if _, is := durationOf(a); !is {
		duration, v = b, a
	}
	d, is := durationOf(duration)
	if !is {
		return moment{}, badValue("add takes a time and a duration such as -24h or 1h30m")
	}
	t, err := timeOf("add", v)
	if err != nil {
		return moment{}, err
	}
	return plausible("add", t.Add(d))
}

func durationOf(v any) (time.Duration, bool) {
	s, is := v.(string)
	if !is {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// addDate counts by the calendar of the time's zone, as [time.Time.AddDate] does.
func addDate(years, months, days int, v any) (moment, error) {
	t, err := timeOf("addDate", v)
	if err != nil {
		return moment{}, err
	}
	for _, n := range [...]int{years, months, days} {
		if max(n, -n) > 1_000_000 {
			return moment{}, badValue("addDate takes at most 1000000 years, months or days")
		}
	}
	return plausible("addDate", t.AddDate(years, months, days))
}

func plausible(function string, t time.Time) (moment, error) {
	if t.Year() < 0 || t.Year() > 9999 {
		return moment{}, badValue("%s leads out of the years 0 to 9999", function)
	}
	return momentOf(t), nil
}

func inZone(name string, v any) (moment, error) {
	t, err := timeOf("inZone", v)
	if err != nil {
		return moment{}, err
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return moment{}, badValue("inZone takes the name of a time zone, such as Europe/Berlin or UTC")
	}
	return momentOf(t.In(zone)), nil
}

var _ fmt.Stringer = moment{}
