package extract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A FaultError is one thing wrong with a [Mapping].
type FaultError struct {
	Field string // where, as in "fields[2].path"
	Value string // what stands there
	Rule  string // what should
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("%s: %q: %s", e.Field, shorten(e.Value), e.Rule)
}

// Validate reports everything that is wrong with the mapping: nil, or [*FaultError] values joined.
func (m Mapping) Validate() error {
	v := validator{language: m.Language.orDefault(m.Format)}
	v.format(m)
	v.recordsPath(m)
	v.table(m)
	v.pattern(m)
	if m.Format == FormatXML && len(m.Fields) == 0 {
		v.fault("fields", "", "a mapping of XML has fields")
	}
	v.fields("fields", m.Fields, 0)
	v.oneOf("bad_records", string(m.BadRecords), "", string(FailRecords), string(SkipRecords))
	return errors.Join(v.faults...)
}

type validator struct {
	language Language
	faults   []error
}

func (v *validator) fault(field, value, rule string, args ...any) {
	v.faults = append(v.faults, &FaultError{Field: field, Value: value, Rule: fmt.Sprintf(rule, args...)})
}

// oneOf wants one of the words, of which the first is not named in the rule if it is empty.
func (v *validator) oneOf(field, value string, words ...string) bool {
	if slices.Contains(words, value) {
		return true
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	v.fault(field, value, "must be one of %s", strings.Join(words, ", "))
	return false
}

func (v *validator) format(m Mapping) {
	known := v.oneOf("format", string(m.Format), "", string(FormatJSON), string(FormatNDJSON), string(FormatCSV),
		string(FormatTSV), string(FormatXML), string(FormatText))
	if !v.oneOf("language", string(m.Language), "", string(JSONPath), string(JQ), string(XPath)) {
		v.language = "" // its expressions cannot be judged
	} else if known && (v.language == XPath) != (m.Format == FormatXML) {
		v.fault("language", string(m.Language), "XML is read by xpath, the other formats by jsonpath or jq")
		v.language = ""
	}
}

func (v *validator) recordsPath(m Mapping) {
	switch {
	case m.Records == "":
	case v.language == JSONPath && (m.Format == FormatCSV || m.Format == FormatTSV || m.Format == FormatText):
		v.fault("records", m.Records, "must be empty: each row is a record")
	default:
		v.expression("records", m.Records)
	}
}

func (v *validator) expression(at, expr string) {
	if v.language == "" {
		return
	}
	_, err := compileExpression(v.language, expr, false)
	if pathErr, ok := errors.AsType[*PathError](err); ok {
		v.fault(at, expr, "%s", pathErr.where())
	}
}

func (v *validator) table(m Mapping) {
	if m.Format != FormatCSV && m.Format != FormatTSV {
		if m.CSV.Delimiter != "" || m.CSV.SkipLines != 0 || m.CSV.Columns != nil {
			v.fault("csv", "", "is for the formats csv and tsv")
		}
		return
	}
	if d := m.CSV.Delimiter; d != "" && (utf8.RuneCountInString(d) != 1 || strings.ContainsAny(d, "\"\r\n") || !utf8.ValidString(d)) {
		v.fault("csv.delimiter", d, "must be one character, and neither a quote nor the end of a line")
	}
	if m.CSV.SkipLines < 0 || m.CSV.SkipLines > maxSkipLines {
		v.fault("csv.skip_lines", fmt.Sprint(m.CSV.SkipLines), "must be from 0 to %d", maxSkipLines)
	}
	for i, name := range m.CSV.Columns {
		if name != "" && slices.Contains(m.CSV.Columns[:i], name) {
			v.fault(fmt.Sprintf("csv.columns[%d]", i), name, "another column has this name already")
		}
	}
}

func (v *validator) pattern(m Mapping) {
	switch {
	case m.Format != FormatText && m.Pattern != "":
		v.fault("pattern", m.Pattern, "is for the format text")
	case m.Format == FormatText:
		if _, err := newPattern(m.Pattern); err != nil {
			v.fault("pattern", m.Pattern, "%s", err)
		}
	}
}

// maxNesting bounds fields in fields.
const maxNesting = 16

func (v *validator) fields(at string, fields []Field, depth int) {
	if depth > maxNesting {
		v.fault(at, "", "fields are nested at most %d deep", maxNesting)
		return
	}
	first := make(map[string]int, len(fields))
	for i, f := range fields {
		at := fmt.Sprintf("%s[%d]", at, i)
		if earlier, taken := first[f.Name]; strings.TrimSpace(f.Name) == "" {
			v.fault(at+".name", f.Name, "a field needs a name")
		} else if taken {
			v.fault(at+".name", f.Name, "fields[%d] has this name already", earlier)
		} else {
			first[f.Name] = i
		}
		v.source(at, f)
		v.typed(at, f)
		v.fields(at+".fields", f.Fields, depth+1)
	}
}

// source wants exactly one place that the value comes from.
func (v *validator) source(at string, f Field) {
	sources := 0
	for _, given := range []bool{f.Path != "" || f.Fields != nil, f.From != "", f.Const != nil} {
		if given {
			sources++
		}
	}
	switch {
	case sources == 0:
		example := "$.name"
		switch v.language {
		case JQ:
			example = ".name"
		case XPath:
			example = "name"
		}
		v.fault(at+".path", "", "a field needs a path, such as %s", example)
	case sources > 1:
		v.fault(at, f.Name, "a field has a path, from or const: one of them")
	case f.Path != "":
		v.expression(at+".path", f.Path)
	case f.From != "":
		v.oneOf(at+".from", string(f.From), string(ExecutionID), string(ScheduleID), string(ScheduledAt), string(URL), string(Page))
	}
	if f.Fields != nil && f.Type != "" {
		v.fault(at+".type", string(f.Type), "a field with fields has no type: they have theirs")
	}
}

func (v *validator) typed(at string, f Field) {
	known := v.oneOf(at+".type", string(f.Type), "", string(String), string(Integer), string(Decimal), string(Float),
		string(Boolean), string(Time), string(JSON))
	if f.Type == Time {
		if _, err := newTimeReader(f.Format, ""); err != nil {
			v.fault(at+".format", f.Format, "%s", err)
			known = false
		}
		if _, err := loadZone(f.Zone); err != nil {
			v.fault(at+".zone", f.Zone, "%s", err)
			known = false
		}
	} else if known {
		if f.Format != "" {
			v.fault(at+".format", f.Format, "is for the type time")
		}
		if f.Zone != "" {
			v.fault(at+".zone", f.Zone, "is for the type time")
		}
	}
	v.value(at+".default", "a default", f, f.Default, known)
	v.value(at+".const", "a constant", f, f.Const, known)
}

// value checks a default or a constant, and that it is of the field's type where that is known.
func (v *validator) value(at, what string, f Field, value any, known bool) {
	canonical, err := canonical(value)
	if err != nil {
		v.fault(at, fmt.Sprintf("%T", value), "%s is what JSON can say: %s", what, err)
		return
	}
	if !known {
		return
	}
	if convert, err := newConverter(f); err == nil {
		if _, err := convertConstant(convert, canonical); err != nil {
			v.fault(at, sample(canonical), "%s is of the field's type: %s", what, err)
		}
	}
}
