// Package pgtest gives tests a real PostgreSQL server.
//
//	pool, err := pgxpool.New(ctx, pgtest.Database(t))
//
// [Database] is a fresh database on a server that the tests of one process share. It is the one that
// CALLSHEET_TEST_POSTGRES names (a connection string of a role that may create databases), else a
// throw-away cluster made of the binaries on this machine, started when it is first asked for.
// [Start] is a cluster of the test's own, which can be stopped and started.
//
// Clusters listen on a Unix socket in their own folder and nowhere else. They end with the test's process,
// however that ends, and their folders with them; nothing has to be called for it.
//
// Where there is neither a server nor binaries the test is skipped, or fails if CALLSHEET_REQUIRE_SERVICES
// is 1.
package pgtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const patience = 30 * time.Second // for whatever a test waits for here

// Database returns the connection string of a new, empty database on the shared server. It is dropped
// when the test has ended, whoever is still connected.
func Database(t testing.TB) string {
	t.Helper()
	admin := os.Getenv("CALLSHEET_TEST_POSTGRES")
	if admin == "" {
		admin = shared(t).DSN()
	}
	return createDatabase(t, admin)
}

var theShared struct {
	mu      sync.Mutex // guards cluster
	cluster *Cluster   // nil: not started yet
}

// shared returns the cluster of this process.
func shared(t testing.TB) *Cluster {
	t.Helper()
	bin := binaries(t)
	theShared.mu.Lock()
	defer theShared.mu.Unlock()
	if theShared.cluster == nil {
		c, err := newCluster(bin, settings{})
		if err != nil {
			t.Fatalf("start PostgreSQL from %s: %v", bin, err)
		}
		theShared.cluster = c
	}
	return theShared.cluster
}

func createDatabase(t testing.TB, admin string) string {
	t.Helper()
	name := "callsheet_test_" + strings.ToLower(rand.Text()[:12])
	exec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { exec(t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	dsn, err := inDatabase(admin, name)
	if err != nil {
		t.Fatalf("connection string of the test server: %v", err)
	}
	return dsn
}

// inDatabase returns a connection string with another database, in whichever of the two ways it is written.
func inDatabase(dsn, name string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " dbname=" + name, nil // of a setting that comes twice the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

func exec(t testing.TB, dsn, statement string) {
	t.Helper()
	// The test's own context has ended when its cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatalf("connect to the test server: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// missing ends a test for want of a server.
func missing(t testing.TB) {
	t.Helper()
	text := "no PostgreSQL: install it (Debian: apt-get install postgresql), or name a server by CALLSHEET_TEST_POSTGRES"
	if os.Getenv("CALLSHEET_TEST_POSTGRES") != "" {
		text = "no PostgreSQL to start a server of the test's own: install it (Debian: apt-get install postgresql)"
	}
	if os.Getenv("CALLSHEET_REQUIRE_SERVICES") == "1" {
		t.Fatal(text)
	}
	t.Skip(text)
}
