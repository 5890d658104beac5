package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	destmemory "github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/store/memory"
)

// columns is a Destination whose targets have the columns a and b.
type columns struct {
	*destmemory.Destination
	down  error
	asked []string
}

func (c *columns) CheckTarget(_ context.Context, d callsheet.Delivery, x *callsheet.Extract) error {
	if x == nil {
		c.asked = append(c.asked, d.ID+" of whole objects")
		return c.down
	}
	c.asked = append(c.asked, d.ID+" of "+x.ID)
	faults := []error{c.down}
	for i, f := range x.Fields {
		if f.Name != "a" && f.Name != "b" {
			faults = append(faults, &callsheet.ValidationError{Ref: callsheet.Ref{Kind: callsheet.KindDelivery, ID: d.ID},
				Field: "target", Value: d.Target, Rule: fmt.Sprintf("must have a column for field %d", i)})
		}
	}
	return errors.Join(faults...)
}

// joined are schedules that deliver records with fields of these names.
func joined(schedule string, fields ...string) callsheet.Sheet {
	x := callsheet.Extract{ID: "rows"}
	for _, name := range fields {
		x.Fields = append(x.Fields, callsheet.Field{Name: name, Path: "$.x"})
	}
	return callsheet.Sheet{
		Sources:    []callsheet.Source{{ID: "api", BaseURL: "http://api.example"}},
		Requests:   []callsheet.Request{{ID: "get", Source: "api", Path: "/"}},
		Extracts:   []callsheet.Extract{x},
		Deliveries: []callsheet.Delivery{{ID: "out", Destination: "columns", Target: "t"}},
		Schedules:  []callsheet.Schedule{{ID: schedule, Request: "get", Extract: "rows", Delivery: "out"}},
	}
}

func newWithColumns(t *testing.T, opts ...callsheet.Option) (callsheet.Scheduler, *columns) {
	t.Helper()
	dest := &columns{Destination: destmemory.New()}
	sched, err := callsheet.New(memory.New(), append(opts, callsheet.WithDestination("columns", dest))...)
	require.NoError(t, err)
	return sched, dest
}

func TestCheckTarget_AnExtractThatDoesNotFitIsRefused(t *testing.T) {
	sched, dest := newWithColumns(t)
	ctx := t.Context()
	err := sched.Define(ctx, joined("s", "a", "c", "d"))
	assert.Len(t, callsheet.ValidationErrors(err), 2, "%v", err)
	assert.ErrorContains(t, err, `delivery "out": target "t": must have a column for field 1`)
	_, err = sched.Schedules().Get(ctx, "s")
	assert.Error(t, err, "nothing is kept")

	require.NoError(t, sched.Define(ctx, joined("s", "a", "b")))
	dest.asked = nil
	_, err = sched.Extracts().Create(ctx, callsheet.Extract{ID: "wide", Fields: []callsheet.Field{{Name: "c", Path: "$.c"}}})
	require.NoError(t, err)
	_, err = sched.Schedules().Create(ctx, callsheet.Schedule{ID: "new", Request: "get", Extract: "wide", Delivery: "out"})
	assert.Equal(t, map[string]string{"target": "t: must have a column for field 0"}, faultsOf(err))
	kept := schedule(t, sched, "s")
	kept.Extract = "wide"
	_, err = sched.Schedules().Update(ctx, kept)
	assert.Len(t, callsheet.ValidationErrors(err), 1)
	kept.Extract = ""
	_, err = sched.Schedules().Update(ctx, kept)
	assert.NoError(t, err)
	assert.Equal(t, []string{"out of wide", "out of wide", "out of whole objects"}, dest.asked)
}

func TestCheckTarget_AskedOnceForEachPairAndNotForWhatIsNotThere(t *testing.T) {
	sched, dest := newWithColumns(t)
	sheet := joined("s", "a")
	sheet.Schedules = append(sheet.Schedules,
		callsheet.Schedule{ID: "same", Request: "get", Extract: "rows", Delivery: "out"},
		callsheet.Schedule{ID: "counts only", Request: "get", Extract: "rows"},
		callsheet.Schedule{ID: "unknown", Request: "get", Extract: "rows", Delivery: "nowhere"},
		callsheet.Schedule{ID: "unknown too", Request: "get", Extract: "nothing", Delivery: "out"})
	assert.Error(t, sched.Define(t.Context(), sheet))
	assert.Equal(t, []string{"out of rows"}, dest.asked)
}

// A database that is down while a host starts is no reason for the host not to start.
func TestCheckTarget_ATargetThatCannotBeAskedRefusesNothing(t *testing.T) {
	var book logbook
	sched, dest := newWithColumns(t, callsheet.WithLogger(book.logger()))
	dest.down = errors.New("connection refused")
	require.NoError(t, sched.Define(t.Context(), joined("s", "a")))
	lines := book.lines("target could not be checked")
	require.Len(t, lines, 1)
	assert.Equal(t, "t", lines[0]["target"])
}
