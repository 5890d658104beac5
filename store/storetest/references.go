package storetest

import (
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

func referenceCases() []testCase {
	return []testCase{
		{"unknown references are all named", "whoever mistypes three IDs must learn of all three at once", unknownReferences},
		{"what is used stays", "deleting must not leave a definition that points at nothing", usedIsNotDeleted},
		{"users are listed", "before an edit people ask who uses a thing", usersAreListed},
	}
}

func unknownReferences(t *trial) {
	ctx := t.Context()
	_, err := t.Requests().Create(ctx, newRequest("get"))
	namesUnknown(t, callsheet.Ref{Kind: callsheet.KindRequest, ID: "get"}, err, "source", "api")

	schedule := callsheet.Ref{Kind: callsheet.KindSchedule, ID: "s"}
	_, err = t.Schedules().Create(ctx, newSchedule("s"))
	namesUnknown(t, schedule, err, "request", "get", "extract", "rows", "delivery", "out")
	_, err = t.Schedules().Get(ctx, "s")
	isNotFound(t, schedule, err)

	created := t.hasSchedule("s")
	created.Extract, created.Delivery = "absent", ""
	_, err = t.Schedules().Update(ctx, created)
	namesUnknown(t, schedule, err, "extract", "absent")
	require.Equal(t, "rows", t.schedule("s").Extract, "a refused Update was expected to change nothing")

	created.Extract = ""
	_, err = t.Schedules().Update(ctx, created)
	require.NoError(t, err, "empty references were expected to be no references")
}

func usedIsNotDeleted(t *trial) {
	ctx := t.Context()
	t.hasSchedule("b")
	t.hasSchedule("a")
	t.hasSchedule("c", func(s *callsheet.Schedule) { s.Extract, s.Delivery = "", "" })
	schedules := func(ids ...string) (users []callsheet.Ref) {
		for _, id := range ids {
			users = append(users, callsheet.Ref{Kind: callsheet.KindSchedule, ID: id})
		}
		return users
	}
	for _, c := range []struct {
		ref    callsheet.Ref
		delete func() error
		users  []callsheet.Ref
	}{
		{callsheet.Ref{Kind: callsheet.KindSource, ID: "api"}, func() error { return t.Sources().Delete(ctx, "api") },
			[]callsheet.Ref{{Kind: callsheet.KindRequest, ID: "get"}}},
		{callsheet.Ref{Kind: callsheet.KindRequest, ID: "get"}, func() error { return t.Requests().Delete(ctx, "get") }, schedules("a", "b", "c")},
		{callsheet.Ref{Kind: callsheet.KindExtract, ID: "rows"}, func() error { return t.Extracts().Delete(ctx, "rows") }, schedules("a", "b")},
		{callsheet.Ref{Kind: callsheet.KindDelivery, ID: "out"}, func() error { return t.Deliveries().Delete(ctx, "out") }, schedules("a", "b")},
	} {
		var used *callsheet.InUseError
		require.True(t, errors.As(c.delete(), &used), "deleting %s was expected to be refused with an *InUseError", c.ref)
		require.Equal(t, c.ref, used.Ref)
		require.Equal(t, c.users, used.Users, "the direct users of %s were expected in the order of their IDs", c.ref)
	}
	for _, id := range []string{"a", "b", "c"} {
		require.NoError(t, t.Schedules().Delete(ctx, id), "a schedule is used by nothing")
	}
	require.NoError(t, t.Extracts().Delete(ctx, "rows"), "an extract that lost its users was expected to go")
	require.NoError(t, t.Deliveries().Delete(ctx, "out"))
	require.NoError(t, t.Requests().Delete(ctx, "get"))
	require.NoError(t, t.Sources().Delete(ctx, "api"))
}

func usersAreListed(t *trial) {
	t.hasSchedule("b")
	t.hasSchedule("a")
	t.hasSchedule("c", func(s *callsheet.Schedule) { s.Extract = "" })
	list := func(uses callsheet.Ref) []string {
		page, err := t.Schedules().List(t.Context(), callsheet.Query{Uses: uses})
		require.NoError(t, err)
		return scheduleIDs(page.Items)
	}
	require.Equal(t, []string{"a", "b"}, list(callsheet.Ref{Kind: callsheet.KindExtract, ID: "rows"}))
	require.Equal(t, []string{"a", "b", "c"}, list(callsheet.Ref{Kind: callsheet.KindRequest, ID: "get"}))
	require.Empty(t, list(callsheet.Ref{Kind: callsheet.KindSource, ID: "api"}), "indirect users were expected not to be listed")
	require.Empty(t, list(callsheet.Ref{Kind: callsheet.KindDelivery, ID: "rows"}), "the kind of a reference was expected to count")
	requests, err := t.Requests().List(t.Context(), callsheet.Query{Uses: callsheet.Ref{Kind: callsheet.KindSource, ID: "api"}})
	require.NoError(t, err)
	require.Len(t, requests.Items, 1)
}

// namesUnknown requires that err names exactly the given references of ref, as pairs of field and value.
func namesUnknown(t *trial, ref callsheet.Ref, err error, pairs ...string) {
	t.Helper()
	var got []string
	for _, fault := range callsheet.ValidationErrors(err) {
		require.Equal(t, ref, fault.Ref, "a fault was expected to name whose it is")
		require.NotEmpty(t, fault.Rule, "a fault was expected to say what would be right")
		got = append(got, fault.Field, fault.Value)
	}
	require.Equal(t, pairs, got, "a fault was expected for each unknown reference of %s: %v", ref, err)
}
