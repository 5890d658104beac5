package callsheet

import (
	"context"

	"github.com/callsheet-go/callsheet/fetch"
)

// TLS says whom calls to a Source trust, and by which certificate they are known themselves. It holds for the origin of
// the Source's BaseURL only. It names secrets and does not hold them: their values come from the [SecretResolver] whenever a
// call is made, so that a certificate can be replaced at any time.
//
// That the server is verified cannot be turned off. Where the host gave a transport of its own ([WithTransport]), that
// decides these things, and a call to a Source with TLS fails with ClassPermanent.
type TLS struct {
	// CA names the secret that holds, in PEM, the certificates of those who may vouch for the server, in the place of the
	// system's.
	CA string `json:"ca,omitempty"`
	// Certificate names the secret that holds, in PEM, the client's certificate, those between it and its CA, and its
	// private key.
	Certificate string `json:"certificate,omitempty"`
	// ServerName is the name that the server's certificate must have, in the place of the URL's host.
	ServerName string `json:"server_name,omitempty"`
}

// with returns what a call uses once the secrets are known.
func (t TLS) with(ca, certificate string) fetch.TLS {
	return fetch.TLS{CA: ca, Certificate: fetch.Secret(certificate), ServerName: t.ServerName}
}

// check adds what is wrong with t to f. What fetch checks of it is checked there.
func (t TLS) check(f *faults) {
	for _, named := range []struct{ field, secret string }{{"tls.ca", t.CA}, {"tls.certificate", t.Certificate}} {
		if named.secret != "" && !validID(named.secret) {
			f.field(named.field, redacted, "must be the name of a secret, not the secret; a name %s", ruleID)
		}
	}
}

// authorize adds to h what it takes to make call's call: it resolves the secrets that the Source names.
func (p *pipeline) authorize(ctx context.Context, call Call, h *fetch.Request) error {
	if auth := call.Source.Auth; !auth.none() && !auth.givenBy(call.Request) {
		secret, err := resolve(ctx, p.secrets, auth.Secret)
		if err != nil {
			return err
		}
		h.Auth = auth.with(secret)
	}
	var values [2]string
	for i, name := range [...]string{call.Source.TLS.CA, call.Source.TLS.Certificate} {
		if name == "" {
			continue
		}
		value, err := resolve(ctx, p.secrets, name)
		if err != nil {
			return err
		}
		values[i] = value
	}
	h.TLS = call.Source.TLS.with(values[0], values[1])
	return nil
}
