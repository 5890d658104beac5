package callsheet

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/callsheet-go/callsheet/fetch"
)

// An AuthType says how calls to a Source prove who makes them.
type AuthType = fetch.AuthType

// The ways in which calls prove who makes them.
const (
	AuthNone   = fetch.AuthNone   // the default
	AuthBasic  = fetch.AuthBasic  // user name and password
	AuthBearer = fetch.AuthBearer // a token in the Authorization header
	AuthHeader = fetch.AuthHeader // a key in a header of any name
	AuthQuery  = fetch.AuthQuery  // a key in a parameter of the query
	AuthOAuth2 = fetch.AuthOAuth2 // an access token, which the client's secret is exchanged for (RFC 6749 4.4)
	AuthHMAC   = fetch.AuthHMAC   // a signature of the request: see fetch.Auth
)

// Auth is how calls to a Source prove who makes them. It names a secret and does not hold it: the value comes from
// the [SecretResolver] whenever a call is made, and is kept nowhere. Auth prints as its type only.
//
// Where a Request sets the same header or parameter itself, that is sent and the secret is not resolved.
type Auth struct {
	Type AuthType `json:"type,omitempty"`
	// Username is for AuthBasic; if it is empty, the secret holds both, as "user:password". For AuthHMAC it is the name
	// of the key, sent as X-Key-Id if it is given.
	Username string `json:"username,omitempty"`
	// Name of the header (AuthHeader) or parameter (AuthQuery) that holds the secret, or of the header that holds the
	// signature (AuthHMAC; empty means X-Signature).
	Name string `json:"name,omitempty"`
	// Secret is the name of the secret, not the secret: like an ID, 1 to 128 letters, digits, '.', '_' and '-'.
	Secret string `json:"secret,omitempty"`

	// TokenURL is the token endpoint of AuthOAuth2; it is called as the API is, and its redirects are not followed.
	TokenURL string `json:"token_url,omitempty"`
	// ClientID is who the API knows this client as, for AuthOAuth2. Secret is the client's.
	ClientID string `json:"client_id,omitempty"`
	// Scopes are asked for by AuthOAuth2. None leaves it to the endpoint.
	Scopes []string `json:"scopes,omitempty"`
	// Params are sent to the token endpoint besides, such as audience. They are kept and shown.
	Params map[string]string `json:"params,omitempty"`
	// TokenAuthMethod says how the token endpoint is told the client's secret: client_secret_basic, in a header, which is
	// also the meaning of empty, or client_secret_post, in the body (RFC 7591).
	TokenAuthMethod string `json:"token_auth_method,omitempty"`
	// Algorithm of AuthHMAC: sha256, which is also the meaning of empty, or sha512.
	Algorithm string `json:"algorithm,omitempty"`
}

// String returns the type. The name of the secret is left out, lest somebody wrote the secret itself there.
func (a Auth) String() string {
	if a.none() {
		return string(AuthNone)
	}
	return string(a.Type) + " " + redacted
}

// Format implements [fmt.Formatter]: every verb prints String.
func (a Auth) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue implements [slog.LogValuer].
func (a Auth) LogValue() slog.Value { return slog.StringValue(a.String()) }

func (a Auth) none() bool { return cmp.Or(a.Type, AuthNone) == AuthNone }

// with returns what goes on the wire once the secret is known.
func (a Auth) with(secret string) fetch.Auth {
	return fetch.Auth{
		Type: a.Type, Username: a.Username, Name: a.Name, Secret: fetch.Secret(secret),
		TokenURL: a.TokenURL, ClientID: a.ClientID, Scopes: a.Scopes, Params: a.Params, TokenAuthMethod: a.TokenAuthMethod,
		Algorithm: a.Algorithm,
	}
}

// givenBy says whether r sets by itself what a would.
func (a Auth) givenBy(r Request) bool {
	if a.Type == AuthQuery {
		_, given := r.Query[a.Name]
		return given
	}
	header := a.with("").Header()
	for name := range r.Headers {
		if header != "" && http.CanonicalHeaderKey(name) == header {
			return true
		}
	}
	return false
}

// check adds what is wrong with a to f. What fetch checks of it is checked there.
func (a Auth) check(f *faults) {
	if a.Secret != "" && !validID(a.Secret) {
		f.field("auth.secret", redacted, "must be the name of a secret, not the secret; a name %s", ruleID)
	}
}
