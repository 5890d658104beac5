package sqlstore

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Many rows go into one statement as one recordset, so that the statement is the same however many there are.

// A Recordset is what is to stand for json_to_recordset(?) in a statement.
type Recordset struct {
	Columns []Column
	records any // a slice of structs
}

// A Column is one of a Recordset: its name and type as PostgreSQL has it.
type Column struct{ Name, Type string }

// recordset finds where a statement has one: FROM json_to_recordset(?) AS r (id text, …).
var recordset = regexp.MustCompile(`json_to_recordset\(\?\) AS (\w+) \(([^()]*)\)`)

// ReplaceRecordset puts what write returns in the place of a statement's recordset, named alias.
func ReplaceRecordset(text string, write func(alias string, columns []Column) string) string {
	return recordset.ReplaceAllStringFunc(text, func(found string) string {
		return write(recordset.FindStringSubmatch(found)[1], columnsOf(found))
	})
}

func columnsOf(text string) []Column {
	parts := recordset.FindStringSubmatch(text)
	if parts == nil {
		return nil
	}
	var columns []Column
	for _, column := range strings.Split(parts[2], ",") {
		name, kind, _ := strings.Cut(strings.TrimSpace(column), " ")
		columns = append(columns, Column{name, kind})
	}
	return columns
}

// records are the parameter of a statement with a recordset: structs whose fields have the columns' names in their json tags.
type records struct{ slice any }

func asRows[R any](all []R) records { return records{all} }

// JSON returns the records as a list of objects.
func (r Recordset) JSON() (string, error) {
	text, err := json.Marshal(r.records)
	return string(text), err
}

// Arrays returns one slice for each column. With PostgreSQL they cost about a fifth less than the same in JSON, and no text has to be escaped.
func (r Recordset) Arrays() ([]any, error) {
	all := reflect.ValueOf(r.records)
	fields := make(map[string]int)
	for i := range all.Type().Elem().NumField() {
		fields[all.Type().Elem().Field(i).Tag.Get("json")] = i
	}
	arrays := make([]any, len(r.Columns))
	for i, column := range r.Columns {
		field, ok := fields[column.Name]
		if !ok {
			return nil, fmt.Errorf("records have no %s", column.Name)
		}
		switch column.Type {
		case "text":
			arrays[i] = array(all, field, reflect.Value.String)
		case "boolean":
			arrays[i] = array(all, field, reflect.Value.Bool)
		case "integer", "bigint":
			arrays[i] = array(all, field, integer)
		case "timestamptz":
			arrays[i] = array(all, field, instant)
		case "json":
			texts := make([]string, all.Len())
			for row := range texts {
				text, err := json.Marshal(all.Index(row).Field(field).Interface())
				if err != nil {
					return nil, err
				}
				texts[row] = string(text)
			}
			arrays[i] = texts
		default:
			return nil, fmt.Errorf("column %s has the unknown type %s", column.Name, column.Type)
		}
	}
	return arrays, nil
}

func array[E any](all reflect.Value, field int, get func(reflect.Value) E) []E {
	values := make([]E, all.Len())
	for row := range values {
		values[row] = get(all.Index(row).Field(field))
	}
	return values
}

func integer(v reflect.Value) *int64 {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	n := v.Int()
	return &n
}

func instant(v reflect.Value) *time.Time {
	t, ok := v.Interface().(time.Time)
	if !ok {
		return nil
	}
	return &t
}
