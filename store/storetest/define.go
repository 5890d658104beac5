package storetest

import (
	"errors"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func defineCases() []testCase {
	return []testCase{
		{"Define takes a whole sheet", "a program defines what it needs in one call, in any order", defineWhole},
		{"Define of the same changes nothing", "every start of a program defines the same again; nothing may look edited", defineAgain},
		{"Define updates what differs", "a new version of a program brings its edits along", defineUpdates},
		{"Define minds versions", "a sheet that was read and edited must not undo another's edit", defineVersions},
		{"Define is all or nothing", "a sheet with a fault must not be half there", defineNothing},
		{"Define from many at once", "all nodes of a service start at the same moment with the same sheet", defineTogether},
	}
}

func wholeSheet() callsheet.Sheet {
	return callsheet.Sheet{
		Sources:    []callsheet.Source{newSource("api"), newSource("api-2")},
		Requests:   []callsheet.Request{newRequest("get"), newRequest("get-2")},
		Extracts:   []callsheet.Extract{newExtract("rows")},
		Deliveries: []callsheet.Delivery{newDelivery("out")},
		Schedules:  []callsheet.Schedule{newSchedule("s"), newSchedule("s-2")},
	}
}

// defined is all that the Store keeps of the kinds.
func (t *trial) defined() callsheet.Sheet {
	t.Helper()
	var sheet callsheet.Sheet
	sheet.Sources = everything(t, t.Sources())
	sheet.Requests = everything(t, t.Requests())
	sheet.Extracts = everything(t, t.Extracts())
	sheet.Deliveries = everything(t, t.Deliveries())
	sheet.Schedules = everything(t, t.Schedules())
	return sheet
}

func everything[T callsheet.Definition](t *trial, c callsheet.Collection[T]) []T {
	t.Helper()
	page, err := c.List(t.Context(), callsheet.Query{Limit: 1000})
	require.NoError(t, err)
	return page.Items
}

func defineWhole(t *trial) {
	t.defines(wholeSheet())
	kept := t.defined()
	require.Len(t, kept.Sources, 2)
	require.Len(t, kept.Requests, 2)
	require.Len(t, kept.Extracts, 1)
	require.Len(t, kept.Deliveries, 1)
	require.Len(t, kept.Schedules, 2)
	for _, s := range kept.Schedules {
		require.EqualValues(t, 1, s.Version)
		require.Equal(t, callsheet.StatusActive, s.Status)
		require.False(t, s.CreatedAt.IsZero())
	}
	require.NoError(t, t.Define(t.Context(), callsheet.Sheet{}), "an empty sheet was expected to be nothing to do")
}

func defineAgain(t *trial) {
	t.defines(wholeSheet())
	before := t.defined()
	t.passes(0)
	t.defines(wholeSheet())
	require.Equal(t, before, t.defined(), "a sheet defined twice was expected to be as after once")
	t.defines(before)
	require.Equal(t, before, t.defined(), "what was read was expected to be equal to itself")
}

func defineUpdates(t *trial) {
	t.defines(wholeSheet())
	before := t.defined()
	t.passes(0)
	sheet := wholeSheet()
	sheet.Sources[0].BaseURL = "https://new.example.com"
	sheet.Schedules[1].Labels["new"] = "label"
	sheet.Extracts = append(sheet.Extracts, newExtract("more"))
	t.defines(sheet)
	after := t.defined()
	require.Equal(t, "https://new.example.com", after.Sources[0].BaseURL)
	require.EqualValues(t, 2, after.Sources[0].Version)
	require.Equal(t, before.Sources[0].CreatedAt, after.Sources[0].CreatedAt)
	require.True(t, after.Sources[0].UpdatedAt.After(before.Sources[0].UpdatedAt), "an update was expected to move UpdatedAt")
	require.Equal(t, before.Sources[1], after.Sources[1], "an equal source was expected to be left alone")
	require.Equal(t, before.Requests, after.Requests)
	require.Equal(t, before.Schedules[0], after.Schedules[0])
	require.EqualValues(t, 2, after.Schedules[1].Version)
	require.Len(t, after.Extracts, 2)
	require.Equal(t, before.Deliveries, after.Deliveries)
}

func defineVersions(t *trial) {
	t.defines(wholeSheet())
	read := t.defined().Sources[0]
	read.Name = "edited"
	t.defines(callsheet.Sheet{Sources: []callsheet.Source{read}})
	read.Name = "edited otherwise"
	err := t.Define(t.Context(), callsheet.Sheet{Sources: []callsheet.Source{read}})
	isConflict(t, callsheet.Ref{Kind: callsheet.KindSource, ID: "api"}, err)
	require.Equal(t, "edited", t.defined().Sources[0].Name)
}

func defineNothing(t *trial) {
	t.defines(wholeSheet())
	before := t.defined()
	sheet := wholeSheet()
	sheet.Sources[0].Name = "edited"
	sheet.Sources = append(sheet.Sources, newSource("new"))
	sheet.Requests[0].Source = "absent"
	sheet.Deliveries = append(sheet.Deliveries, newDelivery("new"))
	sheet.Schedules[0].Request = "absent"
	sheet.Schedules[1].Version, sheet.Schedules[1].Name = 7, "edited"
	err := t.Define(t.Context(), sheet)
	require.Len(t, callsheet.ValidationErrors(err), 2, "both unknown references were expected to be named: %v", err)
	var conflict *callsheet.ConflictError
	require.True(t, errors.As(err, &conflict), "the conflict was expected to be named too: %v", err)
	require.Equal(t, before, t.defined(), "a refused sheet was expected to leave everything as it was")
}

func defineTogether(t *trial) {
	const nodes = 8
	errs := make([]error, nodes)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() { errs[i] = t.Define(t.Context(), wholeSheet()) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...), "everyone's Define was expected to work")
	for _, s := range t.defined().Schedules {
		require.EqualValues(t, 1, s.Version, "the first was expected to define, the others to find it done")
	}
}
