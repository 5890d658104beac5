//go:build linux

package crashtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	filedest "github.com/callsheet-go/callsheet/destination/file"
	pgdest "github.com/callsheet-go/callsheet/destination/postgres"
	filestore "github.com/callsheet-go/callsheet/store/file"
	pgstore "github.com/callsheet-go/callsheet/store/postgres"
)

// nodeVariable has the nodeConfig of a process that is to be a node.
const nodeVariable = "CALLSHEET_TEST_CRASH_NODE"

// A nodeConfig is what a node is told at its start.
type nodeConfig struct {
	Name      string
	Postgres  string        // of the Store; empty: SQLite
	SQLite    string        // the Store's file
	Warehouse string        // the database that is delivered to; empty: none
	Files     string        // the folder that is delivered to
	Lease     time.Duration // 0: the default
	Drain     time.Duration // 0: the default
	Poison    string        // the Schedule whose Pipeline kills the process
}

// failpoints are the places at which a node can be told to kill itself.
var failpoints = []string{
	"after plan", "after ring", "after claim", "after fetch", "after keep", "mid deliver", "after deliver",
	"between pages", "after finish", "after renew", "after reclaim",
}

// A bomb kills the process when a failpoint is passed.
type bomb struct {
	mu    sync.Mutex
	armed map[string]int // after how many passings; guarded by mu
}

func (b *bomb) arm(failpoint string, passes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed[failpoint] = passes
}

// hit reports whether the failpoint is one that kills now.
func (b *bomb) hit(failpoint string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.armed[failpoint] == 0 {
		return false
	}
	b.armed[failpoint]--
	return b.armed[failpoint] == 0
}

func (b *bomb) pass(failpoint string) {
	if b.hit(failpoint) {
		die()
	}
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// say tells the test something. A line is one write, so that it arrives whole or, if the process is killed, not.
func say(words ...any) { _, _ = os.Stdout.WriteString(fmt.Sprintln(words...)) }

func nodeMain(config string) int {
	var c nodeConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := runNode(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runNode is the life of a node: it works until it is asked to stop, and then leaves nothing behind.
func runNode(c nodeConfig) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	say("ready")
	b := &bomb{armed: map[string]int{}}
	go obey(b)
	ignored := goleak.IgnoreCurrent()

	store, closeStore, err := openStore(ctx, c)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	opts := []callsheet.Option{
		callsheet.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))),
		callsheet.WithPipeline(func(next callsheet.Pipeline) callsheet.Pipeline { return &signing{next, c.Poison} }),
		callsheet.WithWorkerName(fmt.Sprintf("%s-%d", c.Name, os.Getpid())),
		callsheet.WithAllowedNetworks("127.0.0.1"), // where the API listens
	}
	if c.Lease > 0 {
		opts = append(opts, callsheet.WithLease(c.Lease))
	}
	if c.Drain > 0 {
		opts = append(opts, callsheet.WithDrainTimeout(c.Drain))
	}
	closers := []func() error{closeStore}
	if c.Warehouse != "" {
		d, err := pgdest.Open(ctx, c.Warehouse)
		if err != nil {
			return err
		}
		closers = append(closers, d.Close)
		opts = append(opts, callsheet.WithDestination("warehouse", destination{d, b}))
	}
	files, err := filedest.New(c.Files)
	for err != nil && ctx.Err() == nil { // the disk may be full
		time.Sleep(100 * time.Millisecond)
		files, err = filedest.New(c.Files)
	}
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	closers = append(closers, files.Close)
	opts = append(opts, callsheet.WithDestination("files", destination{files, b}))

	scheduler, err := callsheet.New(recording{store, b}, opts...)
	if err != nil {
		return err
	}
	err = scheduler.Run(ctx)
	for _, closer := range closers {
		err = errors.Join(err, closer())
	}
	return errors.Join(err, goleak.Find(ignored))
}

// ignoreEnd drops the error of what was broken off because the node was asked to stop.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// obey does what the test says, and ends with it.
func obey(b *bomb) {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			os.Exit(3)
		}
		failpoint, passes, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, _ := strconv.Atoi(passes)
		b.arm(failpoint, n)
	}
}

// openStore opens the Store, and tries again while the database is down.
func openStore(ctx context.Context, c nodeConfig) (callsheet.Store, func() error, error) {
	for {
		store, closer, err := openStoreOnce(ctx, c)
		if err == nil || ctx.Err() != nil {
			return store, closer, err
		}
		fmt.Fprintln(os.Stderr, "open the store:", err)
		time.Sleep(100 * time.Millisecond)
	}
}

func openStoreOnce(ctx context.Context, c nodeConfig) (callsheet.Store, func() error, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if c.Postgres == "" {
		store, err := filestore.Open(ctx, c.SQLite)
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	}
	store, err := pgstore.Open(ctx, c.Postgres)
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

// signing is a Pipeline that tells the API on whose behalf it calls.
type signing struct {
	callsheet.Pipeline
	poison string
}

func (s *signing) Run(ctx context.Context, call callsheet.Call) (callsheet.Result, error) {
	if call.Schedule.ID == s.poison {
		die()
	}
	headers := maps.Clone(call.Request.Headers)
	if headers == nil {
		headers = map[string]string{}
	}
	headers["X-Schedule"] = call.Schedule.ID
	headers["X-Execution"] = call.Execution.ID
	headers["X-Fence"] = strconv.FormatInt(call.Execution.Fence, 10)
	call.Request.Headers = headers
	return s.Pipeline.Run(ctx, call)
}

// recording is a Store that tells the test what a worker was told, and passes failpoints.
type recording struct {
	callsheet.Store
	bomb *bomb
}

func (s recording) Plan(ctx context.Context, p callsheet.PlanRequest) (callsheet.PlanResult, error) {
	result, err := s.Store.Plan(ctx, p)
	if len(result.Executions) > 0 {
		s.bomb.pass("after plan")
	}
	return result, err
}

func (s recording) Ring(ctx context.Context, r callsheet.RingRequest) (callsheet.RingResult, error) {
	result, err := s.Store.Ring(ctx, r)
	if len(result.IDs) > 0 {
		s.bomb.pass("after ring")
	}
	return result, err
}

func (s recording) Claim(ctx context.Context, c callsheet.ClaimRequest) ([]callsheet.Call, error) {
	calls, err := s.Store.Claim(ctx, c)
	if len(calls) > 0 {
		s.bomb.pass("after claim")
	}
	for _, call := range calls {
		say("claimed", call.Execution.ID, call.Execution.Fence)
	}
	return calls, err
}

func (s recording) Keep(ctx context.Context, a callsheet.Answer) error {
	page := 0
	if p := a.Progress; p != nil && p.Next != (callsheet.PageState{}) {
		page = p.Pages + 1
	}
	if page > 1 {
		s.bomb.pass("between pages")
	}
	s.bomb.pass("after fetch")
	err := s.Store.Keep(ctx, a)
	s.bomb.pass("after keep")
	if err == nil {
		say("kept", a.ExecutionID, a.Fence, page)
	}
	return err
}

func (s recording) Renew(ctx context.Context, r callsheet.RenewRequest) ([]callsheet.Renewal, error) {
	renewals, err := s.Store.Renew(ctx, r)
	s.bomb.pass("after renew")
	return renewals, err
}

func (s recording) Reclaim(ctx context.Context, limit int, rung time.Duration) ([]callsheet.Execution, error) {
	lost, err := s.Store.Reclaim(ctx, limit, rung)
	if len(lost) > 0 {
		s.bomb.pass("after reclaim")
	}
	return lost, err
}

func (s recording) Finish(ctx context.Context, outcomes []callsheet.Outcome) ([]callsheet.Finish, error) {
	finishes, err := s.Store.Finish(ctx, outcomes)
	s.bomb.pass("after finish")
	if err != nil {
		return finishes, err
	}
	for i, f := range finishes {
		class := string(outcomes[i].Class)
		if class == "" {
			class = "-"
		}
		if f.Err == nil {
			say("finished", outcomes[i].ExecutionID, outcomes[i].Fence, class)
		} else {
			say("refused", outcomes[i].ExecutionID, outcomes[i].Fence, class)
		}
	}
	return finishes, nil
}

// destination is a Destination that passes failpoints.
type destination struct {
	callsheet.Destination
	bomb *bomb
}

func (d destination) Deliver(ctx context.Context, b callsheet.Batch) error {
	if d.bomb.hit("mid deliver") {
		time.AfterFunc(rand.N(4*time.Millisecond), die)
	}
	err := d.Destination.Deliver(ctx, b)
	if err == nil {
		d.bomb.pass("after deliver")
	}
	return err
}
