//go:build linux

package crashtest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// A network is what lies between one node and the database: a toxiproxy, and behind it a relay to the server's socket.
type network struct {
	proxy *toxiproxy.Proxy
	relay *relay
}

func newNetwork(t *testing.T, name, socket string) *network {
	t.Helper()
	r := newRelay(t, socket)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n := &network{toxiproxy.NewProxy(server, name, "127.0.0.1:0", r.Addr().String()), r}
	require.NoError(t, n.proxy.Start())
	t.Cleanup(n.proxy.Stop)
	return n
}

// through returns the connection string that leads through the network.
func (n *network) through(dsn, application string) string {
	_, port, _ := net.SplitHostPort(n.proxy.Listen)
	return fmt.Sprintf("%s host=127.0.0.1 port=%s application_name=%s connect_timeout=3", dsn, port, application)
}

// The toxics of toxiproxy that are faults here.
var toxics = map[string]string{
	"slow":           `{"name":"x","type":"latency","stream":"downstream","attributes":{"latency":150,"jitter":100}}`,
	"narrow":         `{"name":"x","type":"bandwidth","stream":"downstream","attributes":{"rate":20}}`,
	"reset":          `{"name":"x","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`,
	"deaf":           `{"name":"x","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`,
	"mute":           `{"name":"x","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
	"in slices":      `{"name":"x","type":"slicer","stream":"upstream","attributes":{"average_size":100,"size_variation":50,"delay":500}}`,
	"cut after some": `{"name":"x","type":"limit_data","stream":"downstream","attributes":{"bytes":3000}}`,
}

// poison adds a toxic for a while.
func (n *network) poison(toxic string, lasts time.Duration) error {
	if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(toxics[toxic])); err != nil {
		return fmt.Errorf("add toxic %s: %w", toxic, err)
	}
	time.Sleep(lasts)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return n.proxy.Toxics.RemoveToxic(ctx, "x")
}

// cut closes all connections, and takes no new ones for a while.
func (n *network) cut(lasts time.Duration) error {
	n.proxy.Stop()
	time.Sleep(lasts)
	return n.proxy.Start()
}

// A relay hands on what is said between clients and the server, and can lose the answer to COMMIT, or COMMIT itself.
type relay struct {
	net.Listener
	socket string
	// losing is what becomes of the next COMMIT; nil: it is handed on.
	losing  atomic.Pointer[loss]
	running sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool // guarded by mu
}

// A loss is one COMMIT that gets lost.
type loss struct {
	arrives bool          // only its answer is lost
	done    chan struct{} // closed when it has happened
}

func newRelay(t *testing.T, socket string) *relay {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{Listener: listener, socket: socket, open: map[net.Conn]bool{}}
	r.running.Go(r.accept)
	t.Cleanup(func() {
		_ = r.Close()
		r.mu.Lock()
		for conn := range r.open {
			_ = conn.Close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

func (r *relay) accept() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", r.socket)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		r.open[client], r.open[server] = true, true
		r.mu.Unlock()
		r.running.Go(func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		})
		r.running.Go(func() {
			r.pass(client, server)
			_, _ = server.Close(), client.Close()
			r.mu.Lock()
			delete(r.open, client)
			delete(r.open, server)
			r.mu.Unlock()
		})
	}
}

// pass hands on what the client says, until that is a COMMIT which is to be lost.
func (r *relay) pass(client, server net.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], []byte("commit\x00")) {
			if lost := r.losing.Swap(nil); lost != nil {
				_ = client.Close()
				if lost.arrives {
					_, _ = server.Write(buffer[:n])
				}
				close(lost.done)
				return
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// loseCommit loses the next COMMIT, and returns whether one came in time.
func (r *relay) loseCommit(arrives bool, patience time.Duration) bool {
	lost := &loss{arrives, make(chan struct{})}
	r.losing.Store(lost)
	select {
	case <-lost.done:
		return true
	case <-time.After(patience):
		return !r.losing.CompareAndSwap(lost, nil)
	}
}
