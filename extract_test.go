package callsheet_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/store/memory"
)

func TestPipeline_ExtractsByFormatAndSetsBadRecordsAside(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/csv; charset=windows-1252")
		_, _ = fmt.Fprint(w, "city;n\nZ\xfcrich;7\nBasel;n/a\nBern\nChur;12345678901234567890\n")
	}))
	defer api.Close()
	sheet := marketsSheet(api.URL)
	sheet.Extracts = []callsheet.Extract{{
		ID: "x", Format: extract.FormatCSV, CSV: extract.CSV{Delimiter: ";"}, BadRecords: extract.SkipRecords,
		Fields: []callsheet.Field{
			{Name: "city", Path: "$.city"},
			{Name: "n", Path: "$.n", Type: extract.Integer},
			{Name: "run", From: extract.ExecutionID},
		},
	}}
	out := destmemory.New()
	e := runOnce(t, sheet, callsheet.WithDestination("out", out))
	require.Equal(t, callsheet.StateSucceeded, e.State, e.Error)
	assert.Equal(t, int64(2), e.Records)
	assert.Equal(t, int64(2), e.Rejected)
	assert.Equal(t, fmt.Sprintf(`[{"city":"Zürich","n":7,"run":%[1]q} {"city":"Chur","n":12345678901234567890,"run":%[1]q}]`, e.ID),
		fmt.Sprint(out.Records("markets")))

	sheet.Extracts[0].BadRecords = ""
	sheet.Schedules[0].MaxRetries = callsheet.NoRetries
	e = runOnce(t, sheet, callsheet.WithDestination("out", destmemory.New()))
	assert.Equal(t, callsheet.StateFailed, e.State)
	assert.Equal(t, callsheet.ClassBadResponse, e.Class)
	assert.Contains(t, e.Error, `extract record 1, field "n" at $.n: not of type integer: no number, in "n/a"`)
}

func TestExtract_FaultsAreToldWithTheirFields(t *testing.T) {
	sheet := marketsSheet("http://api.example")
	sheet.Extracts[0].Format = "yaml"
	sheet.Extracts[0].Fields[0].Type = "number"
	sched, err := callsheet.New(memory.New(), callsheet.WithDestination("out", destmemory.New()))
	require.NoError(t, err)
	err = sched.Define(t.Context(), sheet)
	assert.ErrorContains(t, err, `must be one of json, ndjson, csv, tsv, xml, text`)
	assert.ErrorContains(t, err, `fields[0].type`)
}

func TestWithExtractor_WhatIsWrongWithIt(t *testing.T) {
	compile := func(m extract.Mapping) (extract.Extractor, error) { return extract.New(extract.Mapping{}) }
	_, err := callsheet.New(memory.New(), callsheet.WithExtractor("no name!", compile), callsheet.WithExtractor("jq", compile),
		callsheet.WithExtractor("none", nil), callsheet.WithExtractor("twice", compile), callsheet.WithExtractor("twice", compile))
	assert.Len(t, callsheet.ValidationErrors(err), 4)

	sched, err := callsheet.New(memory.New(),
		callsheet.WithExtractor("nothing", func(extract.Mapping) (extract.Extractor, error) { return nil, nil }),
		callsheet.WithExtractor("panics", func(extract.Mapping) (extract.Extractor, error) { panic("no such thing") }))
	require.NoError(t, err)
	for language, want := range map[extract.Language]string{"nothing": "is nil", "panics": "no such thing", "unknown": "must be one of"} {
		_, err := sched.Extracts().Create(t.Context(), callsheet.Extract{Language: language})
		assert.ErrorContains(t, err, want)
	}
}
