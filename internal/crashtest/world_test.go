//go:build linux

package crashtest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	pgdest "github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/internal/pgtest"
	"github.com/callsheet-go/callsheet/limit"
	pgstore "github.com/callsheet-go/callsheet/store/postgres"
)

// A world is all that nodes live in, and what is seen of them.
type world struct {
	t         *testing.T
	api       *api
	pg        *pgtest.Cluster // nil: SQLite
	store     string          // connection string of the Store's database, or its file
	warehouse string          // connection string of the database that is delivered to; empty: none
	files     string          // the folder that is delivered to
	temporary string          // the nodes' folder for temporary files
	history   *history
	nodes     []*node
}

// vacuum does what autovacuum would, which the test server has none of, and which would begin to count anew with every
// crash: in a long run the dead rows would be most of what there is.
func (w *world) vacuum(t *testing.T) {
	t.Helper()
	for _, database := range []string{w.store, w.warehouse} {
		conn, err := pgx.Connect(t.Context(), database)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "VACUUM (ANALYZE)")
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	}
}

// newWorld returns a world with nodes that have not been started.
func newWorld(t *testing.T, nodes int, config nodeConfig) *world {
	t.Helper()
	w := &world{t: t, api: newAPI(t), files: t.TempDir(), temporary: t.TempDir(), history: newHistory()}
	w.pg = pgtest.Start(t)
	w.store, w.warehouse = w.pg.Database(t), w.pg.Database(t)
	require.NoError(t, w.prepare(t.Context()))
	socket, err := pgx.ParseConfig(w.store)
	require.NoError(t, err)
	for i := range nodes {
		c := config
		c.Name, c.Files = fmt.Sprintf("node%d", i), w.files
		n := &node{world: w, config: c, network: newNetwork(t, c.Name, filepath.Join(socket.Host, ".s.PGSQL.5432"))}
		w.nodes = append(w.nodes, n)
		t.Cleanup(n.kill)
	}
	return w
}

// newSmallWorld returns a world with one node, that keeps everything in files.
func newSmallWorld(t *testing.T, folder string, config nodeConfig) *world {
	t.Helper()
	w := &world{t: t, api: newAPI(t), files: filepath.Join(folder, "delivered"), store: filepath.Join(folder, "callsheet.db"),
		temporary: t.TempDir(), history: newHistory()}
	config.Name, config.Files, config.SQLite = "node", w.files, w.store
	w.nodes = []*node{{world: w, config: config}}
	t.Cleanup(w.nodes[0].kill)
	return w
}

// prepare makes the tables.
func (w *world) prepare(ctx context.Context) error {
	store, err := pgstore.Open(ctx, w.store, pgstore.WithMigrate())
	if err != nil {
		return err
	}
	destination, err := pgdest.Open(ctx, w.warehouse)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, w.warehouse)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE TABLE polled (execution text, fence bigint, page bigint, place bigint, "of" bigint, item bigint)`)
	return errors.Join(err, destination.Migrate(ctx), store.Close(), destination.Close(), conn.Close(ctx))
}

// sheet returns the definitions that schedules need.
func (w *world) sheet(schedules ...callsheet.Schedule) callsheet.Sheet {
	field := func(name string, typ extract.Type) callsheet.Field {
		return callsheet.Field{Name: name, Path: "$." + name, Type: typ, Required: true}
	}
	sheet := callsheet.Sheet{
		// An open circuit makes claims that are no calls, and the checker wants each claim to be one.
		Sources: []callsheet.Source{{ID: "api", BaseURL: w.api.URL, Breaker: limit.Breaker{Failures: limit.NoBreaker}}},
		Requests: []callsheet.Request{
			{ID: "poll", Source: "api", Path: "/poll"},
			{ID: "hang", Source: "api", Path: "/hang", Timeout: time.Hour},
			{ID: "pages", Source: "api", Path: "/pages", Pages: &callsheet.Pagination{By: callsheet.PageByToken, Param: "page", Path: "$.next"}},
			{ID: "log", Source: "api", Path: "/log", Cursor: &callsheet.Cursor{Type: callsheet.CursorInteger, Param: "since", Path: "$.item"}},
		},
		Extracts: []callsheet.Extract{{ID: "items", Records: "$.items", Fields: []callsheet.Field{
			field("execution", extract.String), field("fence", extract.Integer), field("page", extract.Integer),
			field("place", extract.Integer), field("of", extract.Integer), field("item", extract.Integer),
		}}},
		Schedules: schedules,
	}
	for _, target := range fileTargets {
		sheet.Deliveries = append(sheet.Deliveries, callsheet.Delivery{ID: target, Destination: "files", Target: target})
	}
	if w.warehouse != "" {
		sheet.Deliveries = append(sheet.Deliveries, callsheet.Delivery{ID: "polled", Destination: "warehouse", Target: "polled"})
	}
	return sheet
}

var fileTargets = []string{"a.jsonl", "b.jsonl", "c.csv"}

// A node is a process that is started, and started again.
type node struct {
	world   *world
	config  nodeConfig
	network *network // nil: it needs none

	mu      sync.Mutex
	process *process // guarded by mu; nil before the first start
}

// A process is one life of a node.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr tail
	ready  chan struct{} // closed when it can be asked to stop
	ended  chan struct{} // closed when it has ended, and all it said was heard
}

// start starts the node. The process ends with the test's, however that ends.
func (n *node) start() error {
	c := n.config
	if n.network != nil {
		c.Postgres = n.network.through(n.world.store, c.Name)
		c.Warehouse = n.network.through(n.world.warehouse, c.Name)
	}
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	p := &process{cmd: exec.Command(os.Args[0]), ready: make(chan struct{}), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), nodeVariable+"="+string(config), "TMPDIR="+n.world.temporary)
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when it is stopped
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "ready" {
				close(p.ready)
				continue
			}
			n.world.history.heard(n.config.Name, lines.Text())
		}
		_ = p.cmd.Wait()
	}()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process = p
	return nil
}

func (n *node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// arm has the node kill itself at a failpoint.
func (p *process) arm(failpoint string, passes int) {
	_, _ = fmt.Fprintf(p.stdin, "%s:%d\n", failpoint, passes)
}

// endsWithin waits for the end of the process.
func (p *process) endsWithin(patience time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(patience):
		return false
	}
}

// failure says what is wrong with how the process ended; empty if it was killed, or is not over.
func (p *process) failure() string {
	select {
	case <-p.ended:
	default:
		return ""
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() && status.Signal() == syscall.SIGKILL || p.cmd.ProcessState.Success() {
		return ""
	}
	return fmt.Sprintf("%s\n%s", p.cmd.ProcessState, p.stderr.String())
}

// kill kills the node, if it runs.
func (n *node) kill() {
	if p := n.current(); p != nil {
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

// stop asks the node to stop, and returns what went wrong.
func (n *node) stop() error {
	p := n.current()
	if p == nil {
		return nil
	}
	select {
	case <-p.ready:
	case <-p.ended:
	}
	p.signal(syscall.SIGTERM)
	if !p.endsWithin(20 * time.Second) {
		p.signal(syscall.SIGQUIT) // for its goroutines
		<-p.ended
		return fmt.Errorf("%s did not stop when it was asked to\n%s", n.config.Name, p.stderr.String())
	}
	if failure := p.failure(); failure != "" || !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended badly when it was asked to stop: %s %s", n.config.Name, p.cmd.ProcessState, failure)
	}
	return nil
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	l.text = bytes.Clone(l.text[max(0, len(l.text)-20_000):])
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// A claim is an execution's, under one fence.
type claim struct {
	execution string
	fence     int64
}

// A page is one of an execution's answer, from 1; 0: the answer is whole.
type page struct {
	execution string
	number    int64
}

// A history is what nodes were told by the Store. What a node was told when it was killed may be missing.
type history struct {
	mu       sync.Mutex
	claimed  map[claim]string // by whom; guarded by mu, as all of them
	finished map[claim]string // the class that was recorded; "-": it succeeded
	kept     map[page]int64   // the first fence under which an answer was kept
	refused  int              // outcomes
	doubts   []string         // what cannot be
}

func newHistory() *history {
	return &history{claimed: map[claim]string{}, finished: map[claim]string{}, kept: map[page]int64{}}
}

func (h *history) heard(node, line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	words := strings.Fields(line)
	if len(words) < 3 {
		h.doubts = append(h.doubts, node+" said "+line)
		return
	}
	fence, _ := strconv.ParseInt(words[2], 10, 64)
	c := claim{words[1], fence}
	switch words[0] {
	case "claimed":
		if other, ok := h.claimed[c]; ok {
			h.doubts = append(h.doubts, fmt.Sprintf("%v was claimed by %s and by %s", c, other, node))
		}
		h.claimed[c] = node
	case "finished":
		if _, ok := h.finished[c]; ok {
			h.doubts = append(h.doubts, fmt.Sprintf("%v was finished twice", c))
		}
		h.finished[c] = words[3]
	case "kept":
		number, _ := strconv.ParseInt(words[3], 10, 64)
		of := page{c.execution, number}
		if first, ok := h.kept[of]; !ok || fence < first {
			h.kept[of] = fence
		}
	case "refused":
		h.refused++
	}
}
