package pgtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A Cluster is a PostgreSQL server of a test's own.
type Cluster struct {
	bin    string // the folder of initdb and pg_ctl
	folder string // of its data, socket and log
	guard  *osexec.Cmd
	alive  io.Closer // the guard acts when this is closed, also by the end of the process
}

type settings struct{ sync bool }

// An Option changes how a Cluster is made.
type Option func(*settings)

// WithSync makes the server write through to the disk, which it leaves to the operating system
// otherwise. A server that is killed loses nothing either way; a benchmark may want to pay for it.
func WithSync() Option { return func(s *settings) { s.sync = true } }

// Start starts a cluster, which ends with the test.
func Start(t testing.TB, options ...Option) *Cluster {
	t.Helper()
	bin := binaries(t)
	var s settings
	for _, option := range options {
		option(&s)
	}
	c, err := newCluster(bin, s)
	if err != nil {
		t.Fatalf("start PostgreSQL from %s: %v", bin, err)
	}
	t.Cleanup(c.close)
	return c
}

// DSN returns the connection string of the database that every cluster has. It stays the same
// when the server is stopped and started.
func (c *Cluster) DSN() string {
	return fmt.Sprintf("host=%s port=5432 user=%s dbname=postgres sslmode=disable", c.folder, superuser)
}

// Database is [Database] on this cluster, which must be running when the test ends.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	return createDatabase(t, c.DSN())
}

// Kill stops the server at once, as a crash would: nothing is finished, nothing is written that was not.
// The next start recovers from the log.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	if err := c.control("stop", "--mode=immediate"); err != nil {
		t.Fatalf("kill the test server: %v", err)
	}
}

// Restart starts a server that was killed, and returns when it takes connections.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	if err := c.start(); err != nil {
		t.Fatalf("start the test server again: %v", err)
	}
}

const superuser = "tester" // not the name of a schema, which would be in front of its search path

// The guard waits for the end of its input, which comes when the test closes it or its process ends in
// whatever way. It is the only one that cleans up, so that a killed test leaves as little as a finished one.
const guardScript = `cat; "$1/pg_ctl" stop --pgdata="$2/data" --mode=immediate; rm -rf "$2"`

func newCluster(bin string, s settings) (*Cluster, error) {
	folder, err := os.MkdirTemp("", "callsheet-pg-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, folder: folder}
	if err := giveAway(folder); err != nil {
		_ = os.RemoveAll(folder)
		return nil, err
	}
	c.guard = osexec.Command("/bin/sh", "-c", guardScript, "sh", bin, folder)
	apart(c.guard)
	if c.alive, err = c.guard.StdinPipe(); err == nil {
		err = c.guard.Start()
	}
	if err != nil {
		_ = os.RemoveAll(folder)
		return nil, fmt.Errorf("start its guard: %w", err)
	}
	if err = c.init(s); err == nil {
		err = c.start()
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) init(s settings) error {
	err := run(osexec.Command(filepath.Join(c.bin, "initdb"), "--pgdata="+c.data(), "--username="+superuser,
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"))
	if err != nil {
		return err
	}
	// What was committed survives a killed server also without fsync, because it is with the operating
	// system; synchronous_commit, which sees to that, stays on.
	config := fmt.Sprintf("fsync = %t\nlisten_addresses = ''\nunix_socket_directories = '%s'\nmax_connections = 200\n"+
		"autovacuum_naptime = '1d'\n", s.sync, c.folder)
	f, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(config)
	return errors.Join(err, f.Close())
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

func (c *Cluster) start() error {
	log := filepath.Join(c.folder, "log")
	if err := c.control("start", "--log="+log); err != nil {
		text, _ := os.ReadFile(log)
		return fmt.Errorf("%w\n%s", err, text)
	}
	return nil
}

func (c *Cluster) control(verb string, flags ...string) error {
	flags = append([]string{verb, "--pgdata=" + c.data(), "--wait", "--silent"}, flags...)
	return run(osexec.Command(filepath.Join(c.bin, "pg_ctl"), flags...))
}

// close lets the guard do its work, and returns when it is done.
func (c *Cluster) close() {
	_ = c.alive.Close()
	_ = c.guard.Wait() // that the server was stopped already is no matter
}

// run runs a program of the cluster's as the user that owns it.
func run(command *osexec.Cmd) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	apart(command)
	// Not a pipe: the server that pg_ctl starts would hold its other end.
	output, err := os.CreateTemp("", "callsheet-pg-output-")
	if err != nil {
		return err
	}
	defer os.Remove(output.Name())
	defer output.Close()
	command.Dir, command.Stdout, command.Stderr = "/", output, output
	if err := command.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	defer stop()
	if err := command.Wait(); err != nil {
		text, _ := os.ReadFile(output.Name())
		return fmt.Errorf("%s: %w\n%s", filepath.Base(command.Path), err, text)
	}
	return nil
}

// binaries returns the folder of a server's programs, or ends the test.
func binaries(t testing.TB) string {
	t.Helper()
	if initdb, err := osexec.LookPath("initdb"); err == nil {
		return filepath.Dir(initdb)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		missing(t)
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) }))
}

// version returns 15 of /usr/lib/postgresql/15/bin/initdb.
func version(initdb string) float64 {
	n, _ := strconv.ParseFloat(strings.Split(initdb, "/")[4], 64)
	return n
}
