package fetch_test

import (
	"fmt"

	"github.com/callsheet-go/callsheet/fetch"
)

// A value is escaped for where it stands: here for the query within a path, and for a string of JSON.
func ExampleCompileTemplate() {
	data := fetch.TemplateData{Cursor: `5" & more`}
	for _, t := range []struct {
		text  string
		place fetch.Place
	}{
		{"/rows?after={{.Cursor}}&limit=100", fetch.PlacePath},
		{`{"after": "{{.Cursor}}", "limit": 100}`, fetch.PlaceJSON},
		{`{"after": {{.Cursr}}}`, fetch.PlaceJSON},
	} {
		compiled, err := fetch.CompileTemplate(t.text, t.place)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(compiled.Render(data))
	}
	// Output:
	// /rows?after=5%22+%26+more&limit=100 <nil>
	// {"after": "5\" & more", "limit": 100} <nil>
	// line 1, column 13: there is no .Cursr; there are .Attempt, .Cursor, .ExecutionID, .Labels, .Page, .Params, .ScheduleID, .ScheduledAt, .Window
}
