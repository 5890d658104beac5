package fetch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

// An authority vouches for others.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue returns a certificate for a name or an address, and its key, in PEM.
func (a *authority) issue(t testing.TB, name string, until time.Time) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// serveAs starts a server that is known by pair, and lets in whom clients vouches for; nil lets in everybody.
func serveAs(t testing.TB, pair string, clients *authority, handler http.HandlerFunc) *httptest.Server {
	cert, err := tls.X509KeyPair([]byte(pair), []byte(pair))
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	if clients != nil {
		server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		server.TLS.ClientCAs.AddCert(clients.cert)
	}
	// With HTTP/2 the alert, which TLS 1.3 sends after the handshake, may come too late to be told.
	server.EnableHTTP2 = clients == nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func sayWho(w http.ResponseWriter, r *http.Request) {
	who := "nobody"
	if len(r.TLS.PeerCertificates) > 0 {
		who = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	_, _ = fmt.Fprintf(w, "%s for %s", who, r.TLS.ServerName)
}

func TestTLS_OfARequest(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	soon := time.Now().Add(time.Hour)
	byAddress := serveAs(t, ours.issue(t, "127.0.0.1", soon), nil, sayWho)
	byName := serveAs(t, ours.issue(t, "api.internal", soon), nil, sayWho)
	expired := serveAs(t, ours.issue(t, "127.0.0.1", time.Now().Add(-time.Hour)), nil, sayWho)
	closed := serveAs(t, ours.issue(t, "127.0.0.1", soon), ours, sayWho)
	jane := fetch.Secret(ours.issue(t, "jane", soon))

	for name, tc := range map[string]struct {
		server *httptest.Server
		tls    fetch.TLS
		want   string // of the answer, or of the error
		kind   fetch.Kind
	}{
		"a CA of its own":                  {byAddress, fetch.TLS{CA: ours.pem}, "nobody for ", ""},
		"several CAs":                      {byAddress, fetch.TLS{CA: theirs.pem + "\n" + ours.pem}, "nobody for ", ""},
		"a name that the URL does not say": {byName, fetch.TLS{CA: ours.pem, ServerName: "api.internal"}, "nobody for api.internal", ""},
		"a client's certificate":           {closed, fetch.TLS{CA: ours.pem, Certificate: jane}, "jane for ", ""},
		"the system's CAs":                 {byAddress, fetch.TLS{Certificate: jane}, "certificate signed by unknown authority", fetch.KindTLS},
		"another CA":                       {byAddress, fetch.TLS{CA: theirs.pem}, "certificate signed by unknown authority", fetch.KindTLS},
		"another name":                     {byName, fetch.TLS{CA: ours.pem}, "certificate", fetch.KindTLS},
		"another name that was asked for":  {byName, fetch.TLS{CA: ours.pem, ServerName: "api.external"}, "valid for api.internal, not api.external", fetch.KindTLS},
		"a certificate of yesterday":       {expired, fetch.TLS{CA: ours.pem}, "certificate has expired", fetch.KindTLS},
		"no certificate of the client":     {closed, fetch.TLS{CA: ours.pem}, "certificate required", fetch.KindTLS},
		"a client of another CA":           {closed, fetch.TLS{CA: ours.pem, Certificate: fetch.Secret(theirs.issue(t, "jane", soon))}, "certificate", fetch.KindTLS},
		"a CA that is none":                {byAddress, fetch.TLS{CA: "c4n4ry"}, "tls.ca \"redacted\" must hold certificates in PEM", fetch.KindRequest},
		"a certificate without its key":    {byAddress, fetch.TLS{CA: ours.pem, Certificate: fetch.Secret(ours.pem)}, "tls.certificate \"redacted\" must hold a certificate and its private key", fetch.KindRequest},
		"a certificate of another's key":   {byAddress, fetch.TLS{Certificate: fetch.Secret(ours.pem) + jane}, "private key does not match", fetch.KindRequest},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := newClient(t).Do(t.Context(), fetch.Request{BaseURL: tc.server.URL, TLS: tc.tls})
			if tc.kind != "" {
				requireKind(t, err, tc.kind)
				assert.Contains(t, err.Error(), tc.want)
				assert.NotContains(t, err.Error(), "c4n4ry")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, string(answer.Body))
		})
	}
}

func TestTLS_StaysWithItsOrigin(t *testing.T) {
	ours := newAuthority(t, "ours")
	soon := time.Now().Add(time.Hour)
	asked := 0
	away := serveAs(t, ours.issue(t, "127.0.0.1", soon), nil, func(http.ResponseWriter, *http.Request) { asked++ })
	home := serveAs(t, ours.issue(t, "127.0.0.1", soon), ours, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/near":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/away":
			http.Redirect(w, r, away.URL, http.StatusFound)
		default:
			sayWho(w, r)
		}
	})
	request := fetch.Request{BaseURL: home.URL, TLS: fetch.TLS{CA: ours.pem, Certificate: fetch.Secret(ours.issue(t, "jane", soon))}}
	request.Path = "near"
	answer, err := newClient(t).Do(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, "jane for ", string(answer.Body))

	request.Path = "away"
	_, err = newClient(t).Do(t.Context(), request)
	requireKind(t, err, fetch.KindTLS)
	assert.Zero(t, asked, "our CA says nothing about another origin")
}

func TestTLS_TokenEndpointOfTheSameOrigin(t *testing.T) {
	ours := newAuthority(t, "ours")
	soon := time.Now().Add(time.Hour)
	id := &identity{answer: answered}
	server := serveAs(t, ours.issue(t, "127.0.0.1", soon), ours, id.ServeHTTP)
	away := serveAs(t, ours.issue(t, "127.0.0.1", soon), nil, id.ServeHTTP)
	request := fetch.Request{
		BaseURL: server.URL, TLS: fetch.TLS{CA: ours.pem, Certificate: fetch.Secret(ours.issue(t, "jane", soon))},
		Auth: fetch.Auth{Type: fetch.AuthOAuth2, TokenURL: server.URL + "/token", ClientID: "jane", Secret: "s3cr3t"},
	}
	_, err := newClient(t).Do(t.Context(), request)
	require.NoError(t, err)
	request.Auth.TokenURL = away.URL + "/token"
	_, err = newClient(t).Do(t.Context(), request)
	assert.Equal(t, away.URL+"/token", requireKind(t, err, fetch.KindTLS).URL)
}

func TestTLS_ConnectionsAreSharedBySettingAndBounded(t *testing.T) {
	ours := newAuthority(t, "ours")
	open := map[net.Conn]bool{}
	opened := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(sayWho))
	pair := ours.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	cert, err := tls.X509KeyPair([]byte(pair), []byte(pair))
	require.NoError(t, err)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	states := make(chan struct {
		conn  net.Conn
		state http.ConnState
	}, 1000)
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		states <- struct {
			conn  net.Conn
			state http.ConnState
		}{conn, state}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	count := func() int {
		for {
			select {
			case s := <-states:
				switch s.state {
				case http.StateNew:
					opened++
					open[s.conn] = true
				case http.StateClosed:
					delete(open, s.conn)
				}
			default:
				return len(open)
			}
		}
	}
	client := fetch.NewGuarded(loopback)
	do := func(n int) {
		_, err := client.Do(t.Context(), fetch.Request{BaseURL: server.URL, TLS: fetch.TLS{CA: ours.pem + strings.Repeat("\n", n)}})
		require.NoError(t, err)
	}
	for range 5 {
		do(0)
	}
	count()
	assert.Equal(t, 1, opened, "the same setting uses the same connection")
	for n := range 80 {
		do(n)
	}
	assert.Eventually(t, func() bool { return count() == 64 }, 5*time.Second, time.Millisecond, "connections of 64 settings are kept")
	before := opened
	do(79)
	count()
	assert.Equal(t, before, opened, "the last one is among them")
	client.Close()
	assert.Eventually(t, func() bool { return count() == 0 }, 5*time.Second, time.Millisecond, "Close closes them")
}

func TestTLS_Faults(t *testing.T) {
	for name, tc := range map[string]struct {
		request fetch.Request
		field   string
	}{
		"without TLS":           {fetch.Request{BaseURL: "http://api.example", TLS: fetch.TLS{CA: "x"}}, "tls"},
		"a name with a port":    {fetch.Request{BaseURL: "https://api.example", TLS: fetch.TLS{ServerName: "a.b:443"}}, "tls.server_name"},
		"a name that is a URL":  {fetch.Request{BaseURL: "https://api.example", TLS: fetch.TLS{ServerName: "https://a.b"}}, "tls.server_name"},
		"a name with a newline": {fetch.Request{BaseURL: "https://api.example", TLS: fetch.TLS{ServerName: "a\nb"}}, "tls.server_name"},
	} {
		faults := faultsOf(tc.request.Validate())
		require.Len(t, faults, 1, name)
		assert.Equal(t, tc.field, faults[0].Field, name)
	}
	_, err := fetch.New(&recorder{}).Do(t.Context(), fetch.Request{BaseURL: "https://api.example", TLS: fetch.TLS{ServerName: "x"}})
	requireKind(t, err, fetch.KindRequest)
	assert.Contains(t, err.Error(), "must be empty where the transport is the host's own")
}
