package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
)

// A kind is what the cases need to know of one of the five.
type kind[T callsheet.Definition, P callsheet.Entity[T]] struct {
	kind       callsheet.Kind
	collection func(callsheet.Store) callsheet.Collection[T]
	example    func(id string) T
	edit       func(P)
}

func definitionCases() []testCase {
	return slices.Concat(
		kind[callsheet.Source, *callsheet.Source]{
			callsheet.KindSource, callsheet.Store.Sources, newSource,
			func(s *callsheet.Source) {
				s.BaseURL, s.Headers = "https://other.example.com", map[string]string{"X": "y"}
			},
		}.cases(),
		kind[callsheet.Request, *callsheet.Request]{
			callsheet.KindRequest, callsheet.Store.Requests, newRequest,
			func(r *callsheet.Request) { r.Path, r.Body, r.Query = "/v2", "", map[string]string{"page": "2"} },
		}.cases(),
		kind[callsheet.Extract, *callsheet.Extract]{
			callsheet.KindExtract, callsheet.Store.Extracts, newExtract,
			func(e *callsheet.Extract) { e.Fields = []callsheet.Field{{Name: "c", Path: "$.c"}} },
		}.cases(),
		kind[callsheet.Delivery, *callsheet.Delivery]{
			callsheet.KindDelivery, callsheet.Store.Deliveries, newDelivery,
			func(d *callsheet.Delivery) { d.Target, d.Mode, d.Key = "others", callsheet.Upsert, []string{"a", "b"} },
		}.cases(),
		kind[callsheet.Schedule, *callsheet.Schedule]{
			callsheet.KindSchedule, callsheet.Store.Schedules, newFullSchedule,
			func(s *callsheet.Schedule) {
				s.Cron, s.Zone, s.MaxRetries = "5 * * * *", "", callsheet.NoRetries
				s.StartAt, s.EndAt, s.Blackouts, s.Overlap = time.Time{}, time.Time{}, s.Blackouts[1:], callsheet.OverlapCancelPrevious
			},
		}.cases(),
	)
}

func (k kind[T, P]) cases() []testCase {
	name := string(k.kind) + ": "
	return []testCase{
		{name + "created, read, edited and deleted", "a host must get back what it put in, field for field", k.isKept},
		{name + "an empty ID is replaced", "definitions that nobody named must not collide", k.isNamed},
		{name + "an ID is taken once", "creating must never overwrite what somebody else defined", k.isTakenOnce},
		{name + "an edit of an old version is refused", "of two people who edit the same version, the second must not undo the first", k.isVersioned},
		{name + "edits race and one wins", "the version must be compared and moved on in one step", k.isWonByOne},
		{name + "pages by ID while others come and go", "walking through pages must show every item exactly once, whatever is inserted meanwhile", k.isPaged},
		{name + "filtered by labels", "a host finds its own by labels; a page must be full of matches, not of what was looked at", k.isFiltered},
	}
}

func (k kind[T, P]) isKept(t *trial) {
	ctx, c := t.Context(), k.prepared(t)
	given := k.example("one")
	created, err := c.Create(ctx, given)
	require.NoError(t, err)
	require.Equal(t, k.hostsPart(given), k.hostsPart(created), "Create was expected to return what it was given")
	meta := P(&created).Meta()
	require.EqualValues(t, 1, *meta.Version, "a new definition was expected to have version 1")
	require.False(t, meta.CreatedAt.IsZero(), "Create was expected to set CreatedAt")
	require.True(t, meta.UpdatedAt.Equal(*meta.CreatedAt), "UpdatedAt of a new definition was expected to be CreatedAt")

	got, err := c.Get(ctx, "one")
	require.NoError(t, err)
	require.Equal(t, created, got, "Get was expected to return what Create returned")

	t.passes(0)
	k.edit(&got)
	updated, err := c.Update(ctx, got)
	require.NoError(t, err)
	require.Equal(t, k.hostsPart(got), k.hostsPart(updated), "Update was expected to return what it was given")
	after := P(&updated).Meta()
	require.EqualValues(t, 2, *after.Version, "an edit was expected to count the version on")
	require.True(t, after.CreatedAt.Equal(*meta.CreatedAt), "an edit was expected to leave CreatedAt")
	require.True(t, after.UpdatedAt.After(*meta.CreatedAt), "an edit was expected to move UpdatedAt")
	got, err = c.Get(ctx, "one")
	require.NoError(t, err)
	require.Equal(t, updated, got, "Get was expected to return what Update returned")

	require.NoError(t, c.Delete(ctx, "one"))
	_, err = c.Get(ctx, "one")
	k.isNotFound(t, "one", err)
	k.isNotFound(t, "one", c.Delete(ctx, "one"))
	_, err = c.Update(ctx, updated)
	k.isNotFound(t, "one", err)
}

func (k kind[T, P]) isNamed(t *trial) {
	ctx, c := t.Context(), k.prepared(t)
	seen := make(map[string]bool)
	for range 3 {
		created, err := c.Create(ctx, k.example(""))
		require.NoError(t, err)
		id := *P(&created).Meta().ID
		require.Len(t, id, 36, "an empty ID was expected to be replaced by a UUID")
		require.EqualValues(t, '7', id[14], "the UUID %s was expected to be of version 7", id)
		require.False(t, seen[id], "the ID %s was given twice", id)
		seen[id] = true
		_, err = c.Get(ctx, id)
		require.NoError(t, err)
	}
}

func (k kind[T, P]) isTakenOnce(t *trial) {
	ctx, c := t.Context(), k.prepared(t)
	created, err := c.Create(ctx, k.example("one"))
	require.NoError(t, err)
	other := k.example("one")
	k.edit(&other)
	_, err = c.Create(ctx, other)
	k.isConflict(t, "one", err)
	got, err := c.Get(ctx, "one")
	require.NoError(t, err)
	require.Equal(t, created, got, "a refused Create was expected to change nothing")
}

func (k kind[T, P]) isVersioned(t *trial) {
	ctx, c := t.Context(), k.prepared(t)
	old, err := c.Create(ctx, k.example("one"))
	require.NoError(t, err)
	edited := old
	k.edit(&edited)
	edited, err = c.Update(ctx, edited)
	require.NoError(t, err)
	for _, version := range []int64{0, 1, 3} {
		*P(&old).Meta().Version = version
		_, err = c.Update(ctx, old)
		k.isConflict(t, "one", err)
	}
	got, err := c.Get(ctx, "one")
	require.NoError(t, err)
	require.Equal(t, edited, got, "a refused Update was expected to change nothing")
}

func (k kind[T, P]) isWonByOne(t *trial) {
	ctx, c := t.Context(), k.prepared(t)
	read, err := c.Create(ctx, k.example("one"))
	require.NoError(t, err)
	k.edit(&read)
	const editors = 8
	errs := make([]error, editors)
	var wg sync.WaitGroup
	for i := range editors {
		wg.Go(func() { _, errs[i] = c.Update(ctx, read) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		k.isConflict(t, "one", err)
	}
	require.Equal(t, 1, won, "of %d who edit one version, one was expected to win", editors)
}

func (k kind[T, P]) isPaged(t *trial) {
	ctx, c, random := t.Context(), k.prepared(t), t.random()
	const letters = "abyzABYZ0189._-"
	name := func(prefix string) string {
		id := []byte(prefix)
		for range 6 {
			id = append(id, letters[random.IntN(len(letters))])
		}
		return string(id)
	}
	there := make(map[string]bool)
	for len(there) < 40 {
		id := name([]string{"x", "X", "x-", "x."}[len(there)%4])
		if !there[id] {
			_, err := c.Create(ctx, k.example(id))
			require.NoError(t, err)
			there[id] = true
		}
	}
	want := slices.Sorted(maps.Keys(there))

	var got []string
	q := callsheet.Query{Limit: 7}
	for page := 0; page == 0 || q.After != ""; page++ {
		answer, err := c.List(ctx, q)
		require.NoError(t, err)
		require.LessOrEqual(t, len(answer.Items), 7, "a page was expected to keep to its limit")
		for i := range answer.Items {
			if id := *P(&answer.Items[i]).Meta().ID; there[id] {
				got = append(got, id)
			}
		}
		q.After = answer.Next
		_, err = c.Create(ctx, k.example(fmt.Sprint("Y", page, name("-")))) // among those to come or gone by
		require.NoError(t, err)
	}
	require.Equal(t, want, got, "the pages were expected to hold each item once, in byte order of the IDs")

	whole, err := c.List(ctx, callsheet.Query{})
	require.NoError(t, err)
	require.Empty(t, whole.Next, "a list that fits one page was expected to have no next one")
}

func (k kind[T, P]) isFiltered(t *trial) {
	ctx, c := t.Context(), k.prepared(t)
	for i := range 12 {
		item := k.example(fmt.Sprintf("item-%02d", i))
		labels := P(&item).Meta().Labels
		labels["third"] = fmt.Sprint(i % 3)
		labels["half"] = fmt.Sprint(i % 2)
		_, err := c.Create(ctx, item)
		require.NoError(t, err)
	}
	list := func(labels map[string]string, after string) (got []string, next string) {
		page, err := c.List(ctx, callsheet.Query{Labels: labels, After: after, Limit: 3})
		require.NoError(t, err)
		for i := range page.Items {
			got = append(got, *P(&page.Items[i]).Meta().ID)
		}
		return got, page.Next
	}
	got, after := list(map[string]string{"third": "1"}, "")
	require.Equal(t, []string{"item-01", "item-04", "item-07"}, got, "the first page was expected to be full of matches")
	got, after = list(map[string]string{"third": "1"}, after)
	require.Equal(t, []string{"item-10"}, got, "the second page was expected to hold the rest")
	require.Empty(t, after, "the last page was expected to have no next one")
	got, _ = list(map[string]string{"third": "1", "half": "0"}, "")
	require.Equal(t, []string{"item-04", "item-10"}, got, "all labels were expected to be there")
	got, _ = list(map[string]string{"absent": ""}, "")
	require.Empty(t, got, "a label that is absent was expected not to match an empty value")
}

// prepared returns the collection, with all there that an example refers to.
func (k kind[T, P]) prepared(t *trial) callsheet.Collection[T] {
	t.Helper()
	t.hasChain()
	return k.collection(t.Store)
}

// hostsPart returns the item without what the library keeps in it.
func (k kind[T, P]) hostsPart(item T) T {
	meta := P(&item).Meta()
	*meta.Version, *meta.CreatedAt, *meta.UpdatedAt = 0, time.Time{}, time.Time{}
	if schedule, ok := any(&item).(*callsheet.Schedule); ok {
		schedule.ScheduleState = callsheet.ScheduleState{}
	}
	return item
}

func (k kind[T, P]) isConflict(t *trial, id string, err error) {
	t.Helper()
	isConflict(t, callsheet.Ref{Kind: k.kind, ID: id}, err)
}

func (k kind[T, P]) isNotFound(t *trial, id string, err error) {
	t.Helper()
	isNotFound(t, callsheet.Ref{Kind: k.kind, ID: id}, err)
}

func isConflict(t *trial, ref callsheet.Ref, err error) {
	t.Helper()
	var conflict *callsheet.ConflictError
	require.True(t, errors.As(err, &conflict), "a *ConflictError was expected of the Store, not %v", err)
	require.Equal(t, ref, conflict.Ref, "the conflict was expected to name what it is about")
}

func isNotFound(t *trial, ref callsheet.Ref, err error) {
	t.Helper()
	var missing *callsheet.NotFoundError
	require.True(t, errors.As(err, &missing), "a *NotFoundError was expected of the Store, not %v", err)
	require.Equal(t, ref, missing.Ref, "the error was expected to name what is not there")
}
