package callsheet_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
)

func readTable(t *testing.T, name string, table any) {
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, table))
}

// TestHostile_TextsAreData sends texts that browsers may take for code all the way: they stand in the answer, in a header and
// in the names of what is defined, and must come out of every Destination as they went in.
func TestHostile_TextsAreData(t *testing.T) {
	var table struct{ Cases []struct{ Text string } }
	readTable(t, "xss.json", &table)
	require.NotEmpty(t, table.Cases)
	var texts []string
	for _, row := range table.Cases {
		texts = append(texts, row.Text)
	}
	dir := t.TempDir()
	files, err := file.New(dir)
	require.NoError(t, err)
	defer files.Close()
	rows := destmemory.New()

	synctest.Test(t, func(t *testing.T) {
		wire := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			type row struct {
				Text string `json:"text"`
			}
			var answer struct {
				Rows []row `json:"rows"`
			}
			for _, text := range texts {
				answer.Rows = append(answer.Rows, row{text})
			}
			body, err := json.Marshal(answer)
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/html; " + texts[0]}}, Body: io.NopCloser(strings.NewReader(string(body)))}, err
		})
		sched, err := callsheet.New(memory.New(), callsheet.WithTransport(wire),
			callsheet.WithDestination("memory", rows), callsheet.WithDestination("files", files))
		require.NoError(t, err)
		sheet := callsheet.Sheet{
			Sources:  []callsheet.Source{{ID: "api", BaseURL: "http://api.example", Name: texts[0], Labels: map[string]string{"text": texts[1]}}},
			Requests: []callsheet.Request{{ID: "r", Source: "api", Name: texts[1]}},
			Extracts: []callsheet.Extract{{ID: "x", Records: "$.rows[*]", Fields: []callsheet.Field{{Name: "text", Path: "$.text"}}}},
			Deliveries: []callsheet.Delivery{
				{ID: "memory", Destination: "memory", Target: "rows"},
				{ID: "csv", Destination: "files", Target: "rows.csv"},
				{ID: "jsonl", Destination: "files", Target: "rows.jsonl"},
			},
		}
		for _, d := range sheet.Deliveries {
			sheet.Schedules = append(sheet.Schedules, callsheet.Schedule{ID: d.ID, Name: texts[2], Request: "r", Extract: "x", Delivery: d.ID, KeepAnswers: 1})
		}
		require.NoError(t, sched.Define(t.Context(), sheet))
		start(t, sched)
		for _, s := range sheet.Schedules {
			e, err := sched.Execute(t.Context(), s.ID)
			require.NoError(t, err)
			time.Sleep(time.Second)
			e = execution(t, sched, e.ID)
			require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
		}
		assert.Equal(t, texts[2], schedule(t, sched, "csv").Name)
	})

	var inMemory []string
	for _, record := range rows.Records("rows") {
		text, _ := record.Get("text")
		inMemory = append(inMemory, fmt.Sprint(text))
	}
	assert.Equal(t, texts, inMemory)

	written, err := os.Open(filepath.Join(dir, "rows.csv"))
	require.NoError(t, err)
	defer written.Close()
	cells, err := csv.NewReader(written).ReadAll()
	require.NoError(t, err)
	var inCSV []string
	for _, line := range cells[1:] {
		inCSV = append(inCSV, line[0])
	}
	assert.Equal(t, texts, inCSV)

	lines, err := os.ReadFile(filepath.Join(dir, "rows.jsonl"))
	require.NoError(t, err)
	var inJSON []string
	for line := range strings.Lines(string(lines)) {
		var row struct{ Text string }
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		inJSON = append(inJSON, row.Text)
	}
	assert.Equal(t, texts, inJSON)
}

// TestHostile_TextsInErrorsStayOnOneLine has an API that answers errors of such texts.
func TestHostile_TextsInErrorsStayOnOneLine(t *testing.T) {
	var table struct{ Cases []struct{ Text string } }
	readTable(t, "xss.json", &table)
	for _, row := range table.Cases {
		wire := roundTripFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 404, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(row.Text + "\r\n\x1b[31m" + row.Text))}, nil
		})
		e := execute(t, callsheet.Sheet{
			Sources:   []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
			Requests:  []callsheet.Request{{ID: "r", Source: "api"}},
			Schedules: []callsheet.Schedule{{ID: "s", Request: "r"}},
		}, callsheet.WithTransport(wire))
		assert.Equal(t, callsheet.ClassPermanent, e.Class)
		assert.NotContains(t, e.Error, "\n")
		assert.NotContains(t, e.Error, "\x1b")
		assert.NotContains(t, e.Error, "\x00")
		assert.NotContains(t, e.Error, "\u202e", "the direction of the text is not turned around")
	}
}

// TestHostile_HeadersAreRefusedOrSentAsTheyAre defines each header in a Source, in a Request, and as the value of a secret.
func TestHostile_HeadersAreRefusedOrSentAsTheyAre(t *testing.T) {
	var table struct {
		Cases []struct {
			Name     string
			Value    *string
			ValueGen struct {
				Repeat string
				N      int
			} `json:"value_gen"`
			Valid bool
		}
	}
	readTable(t, "headers.json", &table)
	require.NotEmpty(t, table.Cases)
	// Those that frame a message or belong to the connection are not the host's to send.
	kept := map[string]bool{"Content-Length": true, "Transfer-Encoding": true}
	for i, row := range table.Cases {
		value := strings.Repeat(row.ValueGen.Repeat, row.ValueGen.N)
		if row.Value != nil {
			value = *row.Value
		}
		headers := map[string]string{row.Name: value}
		for name, sheet := range map[string]callsheet.Sheet{
			"in a Source": {
				Sources:  []callsheet.Source{{ID: "api", BaseURL: "http://api.example", Headers: headers}},
				Requests: []callsheet.Request{{ID: "r", Source: "api"}},
			},
			"in a Request": {
				Sources:  []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
				Requests: []callsheet.Request{{ID: "r", Source: "api", Headers: headers}},
			},
		} {
			t.Run(fmt.Sprintf("%d %q %.20q %s", i, row.Name, value, name), func(t *testing.T) {
				sheet.Schedules = []callsheet.Schedule{{ID: "s", Request: "r"}}
				if !row.Valid {
					sched, err := callsheet.New(memory.New())
					require.NoError(t, err)
					require.NotEmpty(t, callsheet.ValidationErrors(sched.Define(t.Context(), sheet)))
					return
				}
				var got http.Header
				var host string
				wire := roundTripFunc(func(r *http.Request) (*http.Response, error) {
					got, host = r.Header, r.Host
					return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}, nil
				})
				e := execute(t, sheet, callsheet.WithTransport(wire))
				require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
				canonical := textproto.CanonicalMIMEHeaderKey(row.Name)
				switch {
				case canonical == "Host":
					assert.Equal(t, value, host)
				case kept[canonical]:
					assert.Empty(t, got.Values(canonical))
				default:
					assert.Equal(t, []string{strings.Trim(value, " \t")}, got.Values(canonical))
				}
			})
		}
		if row.Valid || row.Name != "X-A" {
			continue
		}
		t.Run(fmt.Sprintf("%d %q %.20q as a secret", i, row.Name, value), func(t *testing.T) {
			wire := roundTripFunc(func(*http.Request) (*http.Response, error) { panic("nothing is to be sent") })
			e := execute(t, callsheet.Sheet{
				Sources:   []callsheet.Source{{ID: "api", BaseURL: "http://api.example", Auth: callsheet.Auth{Type: callsheet.AuthHeader, Name: "X-A", Secret: "k"}}},
				Requests:  []callsheet.Request{{ID: "r", Source: "api"}},
				Schedules: []callsheet.Schedule{{ID: "s", Request: "r"}},
			}, callsheet.WithTransport(wire), knows(map[string]string{"k": value}))
			assert.Equal(t, callsheet.ClassPermanent, e.Class)
			assert.NotContains(t, e.Error, value)
		})
	}
}
