package fetch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet/fetch"
)

// nameServer is the address of the name server that a test has; nil: the usual ones are asked.
var nameServer atomic.Pointer[string]

func TestMain(m *testing.M) {
	// Once for all tests: a look-up may go on when its test is over.
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if test := nameServer.Load(); test != nil {
			network, address = "udp", *test
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	// A proxy that is stopped while it holds something back does not always let go of it.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).write"))
}

// loopback opens what the servers of the tests listen on.
var loopback = fetch.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func newClient(t testing.TB) *fetch.Client {
	client := fetch.NewGuarded(loopback)
	t.Cleanup(client.Close)
	return client
}

// serve starts a server on the loopback that says nothing on stderr about its clients' faults.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func serveTLS(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// trusting returns a transport that trusts the server's certificate.
func trusting(t testing.TB, server *httptest.Server) *http.Transport {
	transport := fetch.NewTransport(loopback)
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// serveRaw answers every request with these bytes and closes the connection.
func serveRaw(t testing.TB, answer string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 8192))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return "http://" + listener.Addr().String()
}

func requireKind(t *testing.T, err error, kind fetch.Kind) *fetch.Error {
	t.Helper()
	var failed *fetch.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, kind, failed.Kind, "the kind of %v", err)
	require.NotContains(t, err.Error(), "\n", "an error must stay on one line")
	return failed
}

func faultsOf(err error) []*fetch.FaultError {
	var faults []*fetch.FaultError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			var fault *fetch.FaultError
			if errors.As(one, &fault) {
				faults = append(faults, fault)
			}
		}
	}
	return faults
}

func serveOldTLS(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}
