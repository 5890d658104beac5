package destinationtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/extract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A shelf holds what outlives a process.
type shelf struct {
	mu     sync.Mutex // guards what follows
	kept   []kept
	fences map[string]int64 // the greatest of each execution
	opened int
}

type kept struct {
	mark
	records []callsheet.Record
}

type mark struct {
	target, execution string
	chunk             int
}

func markOf(b callsheet.Batch) mark { return mark{b.Delivery.Target, b.ExecutionID, b.Chunk} }

func (s *shelf) has(m mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.kept, func(k kept) bool { return k.mark == m })
}

func (s *shelf) add(m mark, records []callsheet.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, kept{m, records})
}

func (s *shelf) remove(m mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(k kept) bool { return k.mark == m })
}

func (s *shelf) all() []kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

func (s *shelf) read(target string) (all []callsheet.Record) {
	for _, k := range s.all() {
		if k.target == target {
			all = append(all, k.records...)
		}
	}
	return all
}

// A sound Destination keeps the contract on a shelf.
type sound struct {
	*shelf
	turn sync.Mutex // one delivery at a time
}

func (d *sound) Promise() callsheet.Promise { return callsheet.ExactlyOnce }

func (d *sound) Validate(delivery callsheet.Delivery) error {
	var faults []error
	refuse := func(field, rule string) {
		faults = append(faults, &callsheet.ValidationError{
			Ref: callsheet.Ref{Kind: callsheet.KindDelivery, ID: delivery.ID}, Field: field, Rule: rule,
		})
	}
	if delivery.Target == "" {
		refuse("target", "must not be empty")
	}
	if delivery.Mode != "" && delivery.Mode != callsheet.Append {
		refuse("mode", "must be \"append\"")
	}
	if len(delivery.Key) > 0 {
		refuse("key", "must be empty")
	}
	return errors.Join(faults...)
}

func (d *sound) Deliver(ctx context.Context, b callsheet.Batch) error {
	var tx transaction
	d.turn.Lock()
	defer d.turn.Unlock()
	if err := d.deliverIn(ctx, &tx, b); err != nil {
		return err
	}
	d.commit(tx)
	return nil
}

// A transaction is what was delivered and is not committed.
type transaction struct{ batches []callsheet.Batch }

func (d *sound) Shares(any) bool { return true }

func (d *sound) DeliverJoint(ctx context.Context, conn any, b callsheet.Batch) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	return d.deliverIn(ctx, conn.(*transaction), b)
}

func (d *sound) deliverIn(ctx context.Context, tx *transaction, b callsheet.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.Fence < d.fences[b.ExecutionID] {
		return callsheet.ErrStaleFence
	}
	for _, r := range b.Records {
		if _, err := r.AppendJSON(nil); err != nil && !d.has(markOf(b)) {
			return err
		}
	}
	b.Records = slices.Clone(b.Records)
	tx.batches = append(tx.batches, b)
	return nil
}

func (s *shelf) commit(tx transaction) {
	for _, b := range tx.batches {
		if !s.has(markOf(b)) {
			s.add(markOf(b), b.Records)
		}
		s.mu.Lock()
		s.fences[b.ExecutionID] = max(s.fences[b.ExecutionID], b.Fence)
		s.mu.Unlock()
	}
}

func (d *sound) Preview(ctx context.Context, b callsheet.Batch) (p callsheet.Preview, err error) {
	if err := d.Validate(b.Delivery); err != nil {
		return p, err
	}
	for i, r := range b.Records {
		if _, err := r.AppendJSON(nil); err != nil {
			p.Fails = true
			p.Reject(i, err.Error())
			continue
		}
		p.Inserted++
	}
	return p, ctx.Err()
}

// alteredPreview is a Previewer that does it in another way.
type alteredPreview struct {
	*sound
	preview func(ctx context.Context, b callsheet.Batch) (callsheet.Preview, error)
}

func (d alteredPreview) Preview(ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
	return d.preview(ctx, b)
}

func previews(preview func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error)) wrap {
	return func(d *sound) callsheet.Destination {
		return alteredPreview{d, func(ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) { return preview(d, ctx, b) }}
	}
}

// alteredJoint is a JointDestination that does it in another way.
type alteredJoint struct {
	*sound
	joint func(ctx context.Context, conn any, b callsheet.Batch) error
}

func (d alteredJoint) DeliverJoint(ctx context.Context, conn any, b callsheet.Batch) error {
	return d.joint(ctx, conn, b)
}

// altered is a Destination of which some methods are other ones.
type altered struct {
	callsheet.Destination
	deliver  func(context.Context, callsheet.Batch) error
	validate func(callsheet.Delivery) error
	promise  *callsheet.Promise
}

func (d altered) Deliver(ctx context.Context, b callsheet.Batch) error {
	if d.deliver == nil {
		return d.Destination.Deliver(ctx, b)
	}
	return d.deliver(ctx, b)
}

func (d altered) Validate(delivery callsheet.Delivery) error {
	if d.validate == nil {
		return d.Destination.Validate(delivery)
	}
	return d.validate(delivery)
}

func (d altered) Promise() callsheet.Promise {
	if d.promise == nil {
		return d.Destination.Promise()
	}
	return *d.promise
}

// A wrap breaks a sound Destination. It is called again for the one of a restarted process.
type wrap func(d *sound) callsheet.Destination

// batches delivers what change makes of a Batch.
func batches(change func(*callsheet.Batch)) wrap {
	return func(d *sound) callsheet.Destination {
		return altered{Destination: d, deliver: func(ctx context.Context, b callsheet.Batch) error {
			b.Records = slices.Clone(b.Records)
			change(&b)
			return d.Deliver(ctx, b)
		}}
	}
}

// values delivers what change makes of every value, also of those in objects and lists.
func values(change func(any) any) wrap {
	var deep func(any) any
	inRecord := func(r callsheet.Record) callsheet.Record {
		var members []extract.Value
		for name, value := range r.All() {
			members = append(members, extract.Value{Name: name, Value: deep(value)})
		}
		return extract.NewRecord(members...)
	}
	deep = func(value any) any {
		switch v := value.(type) {
		case callsheet.Record:
			return change(inRecord(v))
		case []any:
			list := make([]any, len(v))
			for i := range v {
				list[i] = deep(v[i])
			}
			return list
		}
		return change(value)
	}
	return batches(func(b *callsheet.Batch) {
		for i, r := range b.Records {
			b.Records[i] = inRecord(r)
		}
	})
}

// deliveries has another Deliver.
func deliveries(deliver func(d *sound, ctx context.Context, b callsheet.Batch) error) wrap {
	return func(d *sound) callsheet.Destination {
		return altered{Destination: d, deliver: func(ctx context.Context, b callsheet.Batch) error { return deliver(d, ctx, b) }}
	}
}

func validates(validate func(d *sound, delivery callsheet.Delivery) error) wrap {
	return func(d *sound) callsheet.Destination {
		return altered{Destination: d, validate: func(delivery callsheet.Delivery) error { return validate(d, delivery) }}
	}
}

func promises(p callsheet.Promise, w wrap) wrap {
	return func(d *sound) callsheet.Destination { return altered{Destination: w(d), promise: &p} }
}

// remembersItself knows repeated Batches by memory, of which it keeps the last ones.
func remembersItself(last int) wrap {
	return func(d *sound) callsheet.Destination {
		var mu sync.Mutex
		var seen []mark
		return altered{Destination: d, deliver: func(ctx context.Context, b callsheet.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if slices.Contains(seen, markOf(b)) {
				return nil
			}
			m := markOf(b)
			newIdentity(&b)
			err := d.Deliver(ctx, b)
			if err == nil {
				seen = append(seen, m)
				seen = seen[max(0, len(seen)-last):]
			}
			return err
		}}
	}
}

func newIdentity(b *callsheet.Batch) { b.ExecutionID = uuid.NewString() }

// replaces takes the new records of a repeated Batch when that says so.
func replaces(when func(b callsheet.Batch) bool) wrap {
	return deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		if when(b) {
			d.remove(markOf(b))
		}
		return d.Deliver(ctx, b)
	})
}

var sortsMembers = values(func(value any) any {
	r, ok := value.(callsheet.Record)
	if !ok {
		return value
	}
	var members []extract.Value
	for name, value := range r.All() {
		members = append(members, extract.Value{Name: name, Value: value})
	}
	slices.SortFunc(members, func(a, b extract.Value) int { return strings.Compare(a.Name, b.Name) })
	return extract.NewRecord(members...)
})

func asIs(d *sound) callsheet.Destination { return d }

// Each has one defect, and the case that must find it.
var defects = []struct {
	defect string
	found  string // by the case of that name
	wrap   wrap
}{
	{"the last Batch comes first", "records can be read", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		err := d.Deliver(ctx, b)
		d.mu.Lock()
		defer d.mu.Unlock()
		if n := len(d.kept) - 1; err == nil && n >= 0 && d.kept[n].mark == markOf(b) {
			d.kept = slices.Insert(d.kept[:n:n], 0, d.kept[n])
		}
		return err
	})},
	{"numbers are floats", "digits", values(func(value any) any {
		if n, ok := value.(json.Number); ok {
			if f, err := n.Float64(); err == nil {
				return f
			}
		}
		return value
	})},
	{"null is the empty string", "nulls", values(func(value any) any {
		if value == nil {
			return ""
		}
		return value
	})},
	{"objects are sorted", "nested values", sortsMembers},
	{"strings are trimmed", "strings of all kinds", values(func(value any) any {
		if s, ok := value.(string); ok {
			return strings.TrimSpace(s)
		}
		return value
	})},
	{"only named fields are kept", "whole objects", batches(func(b *callsheet.Batch) {
		for i, r := range b.Records {
			var members []extract.Value
			for _, f := range b.Fields {
				value, _ := r.Get(f.Name)
				members = append(members, extract.Value{Name: f.Name, Value: value})
			}
			b.Records[i] = extract.NewRecord(members...)
		}
	})},
	{"more than 1,000 records are cut", "large batch", batches(func(b *callsheet.Batch) {
		b.Records = b.Records[:min(len(b.Records), 1000)]
	})},
	{"an empty Batch is an error", "empty batch", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		if len(b.Records) == 0 {
			return errors.New("nothing to deliver")
		}
		return d.Deliver(ctx, b)
	})},
	{"the target is ignored", "two targets", batches(func(b *callsheet.Batch) { b.Delivery.Target = "here" })},
	{"half a Batch stays after an error", "unwritable record", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		err := d.Deliver(ctx, b)
		if err != nil && ctx.Err() == nil {
			newIdentity(&b)
			b.Records = b.Records[:len(b.Records)/2]
			return errors.Join(err, d.Deliver(ctx, b))
		}
		return err
	})},
	{"a Batch with an error is taken for delivered", "unwritable record", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		err := d.Deliver(ctx, b)
		if err != nil && ctx.Err() == nil {
			d.add(markOf(b), nil)
		}
		return err
	})},
	{"a record that cannot be written is left out", "unwritable record", batches(func(b *callsheet.Batch) {
		b.Records = slices.DeleteFunc(b.Records, func(r callsheet.Record) bool {
			_, err := r.AppendJSON(nil)
			return err != nil
		})
	})},
	{"the promise is empty", "promise", promises("", asIs)},
	{"every Batch is new", "repeated", batches(newIdentity)},
	{"a Batch is known for the next one only", "repeated later", remembersItself(1)},
	{"a Batch is known by this process only", "repeated after a restart", remembersItself(1 << 20)},
	{"records end with the process", "repeated after a restart", func(d *sound) callsheet.Destination {
		if d.opened > 1 {
			d.kept = nil
		}
		return d
	}},
	{"records end with the process, at least once", "repeated after a restart", promises(callsheet.AtLeastOnce, func(d *sound) callsheet.Destination {
		if d.opened > 1 {
			for i := range d.kept {
				d.kept[i].records = nil
			}
		}
		return d
	})},
	{"a stale worker wins", "repeated by a stale worker", replaces(func(b callsheet.Batch) bool { return b.Attempt == 1 })},
	{"the next worker wins", "repeated by the next worker", replaces(func(b callsheet.Batch) bool { return b.Attempt > 1 && len(b.Records) > 0 })},
	{"an empty repeat wins", "repeated by the next worker", replaces(func(b callsheet.Batch) bool { return len(b.Records) == 0 })},
	{"workers look before they write, without a lock", "repeated at once", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		if d.has(markOf(b)) {
			return nil
		}
		time.Sleep(time.Duration(b.Attempt) * time.Millisecond)
		d.remove(markOf(b))
		return d.Deliver(ctx, b)
	})},
	{"chunks are one", "chunks", batches(func(b *callsheet.Batch) { b.Chunk = 0 })},
	{"the next attempt writes again what was empty", "chunks repeated", replaces(func(b callsheet.Batch) bool { return b.Attempt > 1 && b.Chunk == 1 })},
	{"a repeated execution gets no new chunks", "chunks repeated", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		if b.Attempt > 1 {
			return nil
		}
		return d.Deliver(ctx, b)
	})},
	{"chunks are known by their number", "chunks of two executions", batches(func(b *callsheet.Batch) { b.ExecutionID = "the" })},
	{"a chunk that fails takes the others along", "chunk that fails", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		err := d.Deliver(ctx, b)
		if err != nil {
			d.remove(mark{b.Delivery.Target, b.ExecutionID, 0})
		}
		return err
	})},
	{"fences are not heeded", "chunk of a stale worker", batches(func(b *callsheet.Batch) { b.Fence = 1 })},
	{"fences are those of a chunk", "chunk of a stale worker", func(d *sound) callsheet.Destination {
		return refusesStale(batches(func(b *callsheet.Batch) { b.Fence = 1 })(d))
	}},
	{"fences count where something is written", "chunk of a stale worker", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		if d.has(markOf(b)) {
			return nil
		}
		return d.Deliver(ctx, b)
	})},
	{"a joint chunk has no marker", "joint chunk", func(d *sound) callsheet.Destination {
		return alteredJoint{d, func(ctx context.Context, conn any, b callsheet.Batch) error {
			newIdentity(&b)
			return d.DeliverJoint(ctx, conn, b)
		}}
	}},
	{"a joint chunk does not wait for the commit", "joint chunk", func(d *sound) callsheet.Destination {
		return alteredJoint{d, func(ctx context.Context, _ any, b callsheet.Batch) error { return d.Deliver(ctx, b) }}
	}},
	{"who writes last undoes the others", "many at once", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		before := d.all()
		runtime.Gosched()
		time.Sleep(time.Millisecond)
		d.turn.Lock()
		d.mu.Lock()
		d.kept = before
		d.mu.Unlock()
		d.turn.Unlock()
		return d.Deliver(ctx, b)
	})},
	{"the context is ignored", "cancelled", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		return d.Deliver(context.WithoutCancel(ctx), b)
	})},
	{"the context is asked behind the commit", "cancelled", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		return errors.Join(d.Deliver(context.WithoutCancel(ctx), b), ctx.Err())
	})},
	{"the caller's records are kept", "records stay the caller's", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		known := d.has(markOf(b))
		err := d.Deliver(ctx, b)
		if err == nil && !known {
			d.remove(markOf(b))
			d.add(markOf(b), b.Records)
		}
		return err
	})},
	{"the caller's records are changed", "records stay the caller's", deliveries(func(d *sound, ctx context.Context, b callsheet.Batch) error {
		err := d.Deliver(ctx, b)
		clear(b.Records)
		return err
	})},
	{"a preview delivers", "preview leaves nothing behind", previews(func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		p, err := d.Preview(ctx, b)
		return p, errors.Join(err, d.Deliver(ctx, b))
	})},
	{"a preview leaves its marker", "preview leaves nothing behind", previews(func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		p, err := d.Preview(ctx, b)
		b.Records = nil
		return p, errors.Join(err, d.Deliver(ctx, b))
	})},
	{"a preview takes all records for changes", "preview is right", previews(func(_ *sound, _ context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		return callsheet.Preview{Updated: len(b.Records)}, nil
	})},
	{"a preview counts less than there is", "preview is right", previews(func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		p, err := d.Preview(ctx, b)
		p.Inserted = min(p.Inserted, 2)
		return p, err
	})},
	{"a preview minds what was delivered", "preview is right", previews(func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		if d.has(markOf(b)) {
			return callsheet.Preview{Ignored: len(b.Records)}, nil
		}
		return d.Preview(ctx, b)
	})},
	{"a preview ends at the first bad record", "preview of an unwritable record", previews(func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		p, err := d.Preview(ctx, b)
		if p.Rejected > 0 {
			err = errors.New(p.Problems[0])
		}
		return p, err
	})},
	{"a preview does not say that the Batch fails", "preview of an unwritable record", previews(func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		p, err := d.Preview(ctx, b)
		p.Fails = false
		return p, err
	})},
	{"a preview takes every Delivery", "preview of an invalid delivery", previews(func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		b.Delivery.Mode = ""
		return d.Preview(ctx, b)
	})},
	{"a preview ignores the context", "preview cancelled", previews(func(d *sound, ctx context.Context, b callsheet.Batch) (callsheet.Preview, error) {
		return d.Preview(context.WithoutCancel(ctx), b)
	})},
	{"everything is refused", "valid delivery", validates(func(*sound, callsheet.Delivery) error { return errors.New("no") })},
	{"every mode is taken", "invalid mode", validates(func(d *sound, delivery callsheet.Delivery) error {
		delivery.Mode = ""
		return d.Validate(delivery)
	})},
	{"every key is taken", "invalid key", validates(func(d *sound, delivery callsheet.Delivery) error {
		delivery.Key = nil
		return d.Validate(delivery)
	})},
	{"every target is taken", "invalid targets", validates(func(d *sound, delivery callsheet.Delivery) error {
		delivery.Target = "x"
		return d.Validate(delivery)
	})},
	{"the first fault hides the others", "invalid targets", validates(func(d *sound, delivery callsheet.Delivery) error {
		for _, fault := range callsheet.ValidationErrors(d.Validate(delivery)) {
			return fault
		}
		return nil
	})},
	{"faults do not say whose they are", "invalid mode", validates(func(d *sound, delivery callsheet.Delivery) error {
		delivery.ID = ""
		return d.Validate(delivery)
	})},
}

func harness(t *testing.T, w wrap) Harness {
	s := &shelf{fences: map[string]int64{}}
	open := func() callsheet.Destination {
		s.opened++
		return w(&sound{shelf: s})
	}
	return Harness{
		Destination: open(),
		Delivery:    callsheet.Delivery{ID: "d", Target: "here"},
		Read:        func(*testing.T) []callsheet.Record { return s.read("here") },
		Other:       callsheet.Delivery{ID: "o", Target: "there"},
		ReadOther:   func(*testing.T) []callsheet.Record { return s.read("there") },
		Reopen:      func(*testing.T) callsheet.Destination { return open() },
		Join: func(t *testing.T, deliver func(context.Context, any) error, commit bool) error {
			var tx transaction
			if err := deliver(t.Context(), &tx); err != nil {
				return err
			}
			if commit {
				s.commit(tx)
			}
			return nil
		},
		Invalid: []callsheet.Delivery{{ID: "none"}},
	}
}

// A recorder takes the place of *testing.T, so that a case may fail.
type recorder struct {
	ctx      context.Context
	mu       sync.Mutex // guards what follows
	failures []string
	skipped  []string
}

func (r *recorder) Helper() {}

func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skip(args ...any) {
	r.skipped = append(r.skipped, fmt.Sprint(args...))
	runtime.Goexit()
}

// judge returns what the case of that name says about a Destination.
func judge(t *testing.T, name string, h Harness) *recorder {
	t.Helper()
	r := &recorder{ctx: t.Context()}
	for _, c := range cases {
		if c.name != name {
			continue
		}
		var done sync.WaitGroup
		done.Go(func() { c.run(&bench{reporter: r, t: t, Harness: h}) })
		done.Wait()
		return r
	}
	require.Fail(t, "no such case", name)
	return nil
}

func TestSuite_FindsEveryDefect(t *testing.T) {
	unproven := map[string]bool{}
	for _, c := range cases {
		unproven[c.name] = true
	}
	for _, d := range defects {
		delete(unproven, d.found)
		t.Run(d.defect, func(t *testing.T) {
			r := judge(t, d.found, harness(t, d.wrap))
			assert.NotEmpty(t, r.failures, "the case %q lets it through", d.found)
			assert.Empty(t, r.skipped)
		})
	}
	assert.Empty(t, unproven, "cases that no defect needs")
}

func TestSuite_PassesWhatIsSound(t *testing.T) {
	for name, w := range map[string]wrap{
		"exactly once":               asIs,
		"at least once":              promises(callsheet.AtLeastOnce, batches(newIdentity)),
		"more than was promised":     promises(callsheet.AtLeastOnce, asIs),
		"refuses who lost the lease": func(d *sound) callsheet.Destination { return refusesStale(d) },
	} {
		t.Run(name, func(t *testing.T) {
			Run(t, func(t *testing.T) Harness { return harness(t, w) })
		})
	}
}

// A target that keeps what values mean, and not how they were spelled, declares it, and must keep every digit.
func TestSuite_ByValue(t *testing.T) {
	floats := values(func(value any) any {
		if n, ok := value.(json.Number); ok {
			f, _ := n.Float64()
			return f
		}
		return value
	})
	for _, c := range []struct {
		name, found string
		wrap        wrap
		byValue     bool
		failures    bool
	}{
		{"members in another order", "nested values", sortsMembers, true, false},
		{"members in another order, undeclared", "nested values", sortsMembers, false, true},
		{"numbers through floats", "digits", floats, true, true},
	} {
		h := harness(t, c.wrap)
		h.ByValue = c.byValue
		assert.Equal(t, c.failures, len(judge(t, c.found, h).failures) > 0, c.name)
	}
}

func refusesStale(d callsheet.Destination) callsheet.Destination {
	var mu sync.Mutex
	fences := map[mark]int64{}
	return altered{Destination: d, deliver: func(ctx context.Context, b callsheet.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		if b.Fence < fences[markOf(b)] {
			return callsheet.ErrStaleFence
		}
		fences[markOf(b)] = b.Fence
		return d.Deliver(ctx, b)
	}}
}

func TestSuite_SkipsByDeclarationOnly(t *testing.T) {
	for _, c := range cases {
		assert.Empty(t, judge(t, c.name, harness(t, asIs)).skipped, c.name)
	}
	for name, declare := range map[string]func(*Harness){
		"two targets":              func(h *Harness) { h.ReadOther = nil },
		"repeated after a restart": func(h *Harness) { h.Reopen = nil },
		"unwritable record":        func(h *Harness) { h.TakesAll = true },
	} {
		h := harness(t, asIs)
		declare(&h)
		r := judge(t, name, h)
		assert.Len(t, r.skipped, 1, name)
		assert.Empty(t, r.failures, name)
	}
}
