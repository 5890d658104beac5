//go:build unix

package fetch_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// A rawServer answers on bare connections, so that it can do what no server should.
type rawServer struct {
	answer func(conn *rawConn)

	all   sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

// A rawConn is one connection, of which a request has been read.
type rawConn struct {
	*net.TCPConn
	request *http.Request
	body    string
	nth     int // of the requests on this connection, from 1
}

// write writes what it can; the client may have gone.
func (c *rawConn) write(text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// wait waits for the client to go.
func (c *rawConn) wait() { _, _ = io.Copy(io.Discard, c.TCPConn) }

// serveFaults returns the URL of a server that reads requests and leaves the rest to answer.
func serveFaults(t testing.TB, answer func(conn *rawConn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &rawServer{answer: answer}
	s.all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.all.Go(func() { s.serve(conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		for _, conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		s.all.Wait()
	})
	return "http://" + listener.Addr().String()
}

func (s *rawServer) serve(conn *net.TCPConn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for nth := 1; ; nth++ {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(request.Body)
		keep := &rawConn{conn, request, string(body), nth}
		s.answer(keep)
		if request.Header.Get("Keep") == "" {
			return
		}
	}
}

// serveFull returns the URL of a socket whose queue is full: the kernel drops who knocks, as a black hole does.
func serveFull(t testing.TB) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	raw, err := listener.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }))
	require.NoError(t, err)
	for range 20 {
		conn, err := net.DialTimeout("tcp", listener.Addr().String(), 100*time.Millisecond)
		if err != nil {
			return "http://" + listener.Addr().String()
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	require.Fail(t, "the queue of the socket was to be full")
	return ""
}

// serveThrough returns the URL of a network with a fault, and a server behind it.
func serveThrough(t testing.TB, toxic string, handler http.HandlerFunc) string {
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics write to its global logger
	server := serve(t, handler)
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "p", "127.0.0.1:0", strings.TrimPrefix(server.URL, "http://"))
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	_, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	require.NoError(t, err)
	return "http://" + proxy.Listen
}

// serveNames makes the process ask a name server of the test, until it ends. answer gives the address of a name,
// nil for one that is not there.
func serveNames(t testing.TB, answer func(nth int) net.IP) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	address := conn.LocalAddr().String()
	nameServer.Store(&address)
	done := make(chan struct{})
	t.Cleanup(func() {
		nameServer.Store(nil)
		_ = conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buffer, asked := make([]byte, 1500), 0
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buffer[:n]) != nil || len(query.Questions) != 1 {
				continue
			}
			question := query.Questions[0]
			reply := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions}
			var ip net.IP
			if question.Type == dnsmessage.TypeA {
				asked++
				if ip = answer(asked); ip == nil {
					reply.RCode = dnsmessage.RCodeNameError
				}
			}
			if ip.Equal(net.IPv4bcast) {
				continue // no answer at all
			}
			if ip != nil {
				reply.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: [4]byte(ip.To4())},
				}}
			}
			packed, _ := reply.Pack()
			_, _ = conn.WriteTo(packed, from)
		}
	}()
}
