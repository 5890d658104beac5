package fetch

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// TLS says whom a request over https trusts, and by which certificate it is known itself. It holds for the
// origin of [Request.BaseURL] only, as all that is configured, and for a token endpoint of that origin.
// That the server is verified cannot be turned off. A transport that was given to [New] decides these
// things by itself: with it, TLS must be empty.
type TLS struct {
	// CA holds the certificates, in PEM, of those who may vouch for the server, in the place of the system's.
	CA string
	// Certificate holds, in PEM, the client's certificate, those between it and its CA, and its private key.
	Certificate Secret
	// ServerName is the name that the server's certificate must have, and that is asked for (SNI), in the
	// place of the URL's host.
	ServerName string
}

func (t TLS) isZero() bool { return t == TLS{} }

func (t TLS) faults(base string) []error {
	if t.isZero() {
		return nil
	}
	var faults []error
	if u, wrong := parseBase(base); wrong == nil && u.Scheme != "https" {
		faults = append(faults, &FaultError{"tls", "", "must be empty unless the base URL is one of https"})
	}
	if t.ServerName != "" && (!validHost(t.ServerName) || hasPort(t.ServerName)) {
		faults = append(faults, &FaultError{"tls.server_name", maskRaw(t.ServerName), "must be the name of a host, without a port"})
	}
	return faults
}

// config returns what t asks for on top of what every transport has.
func (t TLS) config() (*tls.Config, error) {
	config := baseTLS()
	config.ServerName = t.ServerName
	var faults []error
	if t.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			faults = append(faults, &FaultError{"tls.ca", redacted, "must hold certificates in PEM"})
		}
	}
	if t.Certificate != "" {
		both := []byte(t.Certificate)
		pair, err := tls.X509KeyPair(both, both)
		if err != nil {
			faults = append(faults, &FaultError{"tls.certificate", redacted,
				fmt.Sprintf("must hold a certificate and its private key in PEM (%s)", err)})
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, joinFaults(faults)
}

// maxTransports bounds the transports beside the usual one, each of which has connections of its own.
const maxTransports = 64

// transports find the way of each request: the usual transport, or within the origin of a Request with TLS one of its
// own. It is the transport of the Client's http.Client.
type transports struct {
	usual http.RoundTripper
	own   *http.Transport // the usual one if the Client made it
	guard Guard           // of those that the Client makes

	mu   sync.Mutex
	kept []tlsTransport // the least recently used first; guarded by mu
}

type tlsTransport struct {
	key       [sha256.Size]byte
	transport *http.Transport
}

// RoundTrip implements [http.RoundTripper]. The answer says what it answers, as net/http's do; a host's transport
// may leave that out, and http.Client does not mind; what comes after the redirects does.
func (t *transports) RoundTrip(r *http.Request) (*http.Response, error) {
	way := t.usual
	if conv, ok := r.Context().Value(conversationKey{}).(*conversation); ok && conv.way != nil && !conv.left {
		way = conv.way
	}
	answer, err := way.RoundTrip(r)
	if answer != nil && answer.Request == nil {
		answer.Request = r
	}
	return answer, err
}

// with returns the transport of a setting; nil if that is the usual one.
func (t *transports) with(setting TLS) (http.RoundTripper, error) {
	if setting.isZero() {
		return nil, nil
	}
	if t.own == nil {
		return nil, &FaultError{"tls", "", "must be empty where the transport is the host's own, which decides whom it trusts"}
	}
	key := digest(setting.CA, string(setting.Certificate), setting.ServerName)

	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.kept, func(k tlsTransport) bool { return k.key == key })
	if i >= 0 {
		used := t.kept[i]
		t.kept = append(slices.Delete(t.kept, i, i+1), used)
		return used.transport, nil
	}
	config, err := setting.config()
	if err != nil {
		return nil, err
	}
	transport := NewTransport(t.guard)
	transport.TLSClientConfig = config
	if len(t.kept) == maxTransports {
		// Who still uses it may end in peace: its connections are closed as they become idle.
		t.kept[0].transport.CloseIdleConnections()
		t.kept = slices.Delete(t.kept, 0, 1)
	}
	t.kept = append(t.kept, tlsTransport{key, transport})
	return transport, nil
}

// close closes the idle connections of what the Client made.
func (t *transports) close() {
	if t.own != nil {
		t.own.CloseIdleConnections()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kept {
		k.transport.CloseIdleConnections()
	}
}

// digest returns a hash of parts, each of which keeps its place.
func digest(parts ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
