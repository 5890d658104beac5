package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/postgres"
	"github.com/callsheet-go/callsheet/internal/pgtest"
)

// A relay stands between a Destination and the server, and cuts a connection when COMMIT passes.
type relay struct {
	net.Listener
	server   string
	cut      atomic.Pointer[cut] // nil: COMMIT is passed on like everything
	refusing atomic.Bool         // new connections
	running  sync.WaitGroup
}

// A cut is what happens when COMMIT comes by, the first time. Both connections are closed behind it.
type cut func(client io.Closer, server io.Writer, commit []byte)

// newRelay returns a relay and a pool that goes through it. Both end with the test.
func newRelay(t *testing.T, dsn string) (*relay, *pgxpool.Pool) {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{Listener: listener, server: filepath.Join(config.ConnConfig.Host, ".s.PGSQL.5432")}
	config.ConnConfig.Host = "127.0.0.1"
	config.ConnConfig.Port = uint16(listener.Addr().(*net.TCPAddr).Port)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	r.running.Go(r.accept)
	t.Cleanup(func() {
		pool.Close()
		_ = r.Close()
		r.running.Wait()
	})
	return r, pool
}

func (r *relay) accept() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		if r.refusing.Load() {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("unix", r.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.running.Go(func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		})
		r.running.Go(func() {
			defer server.Close()
			defer client.Close()
			r.pass(client, server)
		})
	}
}

// pass hands on what the client says until it says COMMIT, and there is something to do about it.
func (r *relay) pass(client, server net.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], []byte("commit\x00")) {
			if cut := r.cut.Swap(nil); cut != nil {
				(*cut)(client, server, buffer[:n])
				return
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestCommit_WhoseAnswerIsLostIsSettled(t *testing.T) {
	arrives := func(client io.Closer, server io.Writer, commit []byte) {
		_ = client.Close()
		_, _ = server.Write(commit)
	}
	isLost := func(client io.Closer, _ io.Writer, _ []byte) { _ = client.Close() }
	later := func(then cut) cut {
		return func(client io.Closer, server io.Writer, commit []byte) {
			_ = client.Close() // and who asks meanwhile has to wait for the server's word
			time.Sleep(300 * time.Millisecond)
			then(client, server, commit)
		}
	}
	server := pgtest.Start(t)
	for _, c := range []struct {
		name    string
		cut     cut
		outage  time.Duration // of new connections
		unknown bool          // by the first Deliver
	}{
		{"it arrives", arrives, 0, false},
		{"it does not arrive", isLost, 0, false},
		{"it arrives late", later(arrives), 0, false},
		{"it does not arrive, and the server notices late", later(isLost), 0, false},
		{"it arrives, and nobody can connect for a moment", arrives, 250 * time.Millisecond, false},
		{"it does not arrive, and nobody can connect for a moment", isLost, 250 * time.Millisecond, false},
		{"it arrives, and nobody can connect", arrives, time.Hour, true},
		{"it does not arrive, and nobody can connect", isLost, time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dsn := server.Database(t)
			direct := connect(t, dsn)
			execute(t, direct, "CREATE TABLE t (n integer)")
			relay, pool := newRelay(t, dsn)
			d := newDestination(t, pool)
			deliver(t, d, batch(into("t"), row("n", 0)))

			happened := make(chan struct{})
			cut := cut(func(client io.Closer, server io.Writer, commit []byte) {
				defer close(happened)
				if c.outage > 0 {
					relay.refusing.Store(true)
					time.AfterFunc(c.outage, func() { relay.refusing.Store(false) })
				}
				c.cut(client, server, commit)
			})
			relay.cut.Store(&cut)
			b := batch(into("t"), row("n", 1))
			err := d.Deliver(t.Context(), b)
			<-happened
			if c.unknown {
				require.ErrorContains(t, err, "whether it was committed is not known")
				assert.NotEqual(t, callsheet.ClassPermanent, callsheet.Classify(err))
				relay.refusing.Store(false)
				deliver(t, d, b)
			} else {
				require.NoError(t, err)
				assert.Equal(t, []string{"0", "1"}, query(t, direct, "SELECT n FROM t ORDER BY n"), "what Deliver says is so when it returns")
			}
			deliver(t, d, b)
			assert.Equal(t, []string{"0", "1"}, query(t, direct, "SELECT n FROM t ORDER BY n"))
		})
	}
}

// Who asks while the transaction is still under way must not be told that it was not committed.
func TestCommitted_WaitsForTheTransactionThatHoldsTheMarker(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer)")
	for _, commits := range []bool{true, false} {
		b := batch(into("t"), row("n", 1))
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, d.DeliverTx(t.Context(), tx.Conn(), b))
		answer := make(chan bool)
		go func() {
			committed, err := postgres.Committed(d, context.Background(), pool.Config().ConnConfig, b)
			assert.NoError(t, err)
			answer <- committed
		}()
		waiting := func() bool {
			return len(query(t, pool, "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")) == 1
		}
		assert.Eventually(t, waiting, 10*time.Second, 10*time.Millisecond)
		if commits {
			require.NoError(t, tx.Commit(t.Context()))
		} else {
			require.NoError(t, tx.Rollback(t.Context()))
		}
		assert.Equal(t, commits, <-answer)
	}
	assert.Equal(t, []string{"1"}, query(t, pool, "SELECT n FROM t"))
}

// When the context ends while COMMIT is under way, Deliver says what came of it.
func TestCommit_IsNotBrokenOffByTheEndOfTheContext(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.Database(t)
	direct := connect(t, dsn)
	execute(t, direct, "CREATE TABLE t (n integer)")
	relay, pool := newRelay(t, dsn)
	d := newDestination(t, pool)
	ctx, cancel := context.WithCancel(t.Context())
	end := cut(func(client io.Closer, server io.Writer, commit []byte) {
		cancel()
		_ = client.Close()
		_, _ = server.Write(commit)
	})
	relay.cut.Store(&end)
	require.NoError(t, d.Deliver(ctx, batch(into("t"), row("n", 1))))
	assert.Equal(t, []string{"1"}, query(t, direct, "SELECT n FROM t"))
}

func TestDeliver_EndsWithItsContextWhileItWaits(t *testing.T) {
	d, pool := open(t, "CREATE TABLE t (n integer)")
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE t")
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("enough")) })
	b := batch(into("t"), row("n", 1))
	assert.Equal(t, context.Canceled, d.Deliver(ctx, b))
	require.NoError(t, tx.Rollback(t.Context()))
	assert.Empty(t, query(t, pool, "SELECT n FROM t"))
	deliver(t, d, b)
	assert.Equal(t, []string{"1"}, query(t, pool, "SELECT n FROM t"))
}
