package fetch

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// An AuthType says how a request proves who sends it.
type AuthType string

const (
	AuthNone   AuthType = "none"   // as does ""
	AuthBasic  AuthType = "basic"  // Authorization: Basic, of user name and secret
	AuthBearer AuthType = "bearer" // Authorization: Bearer, of the secret
	AuthHeader AuthType = "header" // a header of any name, whose value is the secret
	AuthQuery  AuthType = "query"  // a parameter of the query, whose value is the secret
	AuthOAuth2 AuthType = "oauth2" // Authorization: Bearer, of an access token by client credentials (RFC 6749 4.4)
	AuthHMAC   AuthType = "hmac"   // a signature of the request, whose key is the secret
)

// Auth proves who sends a request. Like what is configured otherwise it does not follow a redirect to
// another origin, and what a redirect within the origin gets is the same header, or the parameter unless its
// Location has it.
//
// The access tokens of AuthOAuth2 are asked for by the Client that needs them, within the Timeout of the
// request, and kept until they expire, as the endpoint says, or the API answers 401, when another is asked for
// once. Requests with the same BaseURL, Auth and TLS share them, and calls at the same time share the
// asking. No redirect of the endpoint is followed.
//
// AuthHMAC signs each hop of a redirect within the origin by itself. It sends X-Timestamp, with the time in
// seconds since 1970; X-Key-Id, if there is a Username; and the signature in lower-case hexadecimal. Signed are
// six lines, with a line feed between two:
//
//	the method
//	the Host header, in lower case
//	the path, escaped as it is sent, at least "/"
//	the query as it is sent, its parameters sorted by their bytes
//	the timestamp
//	the SHA-256 of the body, in lower-case hexadecimal, whatever the Algorithm
type Auth struct {
	Type AuthType
	// Username is for AuthBasic; if it is empty, the secret holds both, as "user:password". For AuthHMAC it
	// is the name of the key.
	Username string
	Name     string // of AuthHeader's header, AuthQuery's parameter, or AuthHMAC's header; there "" is X-Signature
	Secret   Secret // of AuthOAuth2 the client's

	// For AuthOAuth2 only.
	TokenURL        string            // the token endpoint: absolute, http or https; may have a query
	ClientID        string            // who the API knows this client as
	Scopes          []string          // what is asked for; none leaves it to the endpoint
	Params          map[string]string // further parameters of the token request, such as audience
	TokenAuthMethod string            // ClientSecretBasic, as is "", or ClientSecretPost

	// Algorithm is for AuthHMAC: SHA256, as is "", or SHA512.
	Algorithm string
}

// A Secret prints as "redacted" in every format.
type Secret string

// Format implements [fmt.Formatter], for all verbs.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText keeps it out of JSON and the like.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue keeps it out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

func (a Auth) none() bool { return a.Type == "" || a.Type == AuthNone }

// Header returns the name of the header that a sets, as it is spelt on the wire; "" if it sets none.
func (a Auth) Header() string {
	switch a.Type {
	case AuthBasic, AuthBearer, AuthOAuth2:
		return "Authorization"
	case AuthHeader:
		return textproto.CanonicalMIMEHeaderKey(a.Name)
	case AuthHMAC:
		return textproto.CanonicalMIMEHeaderKey(cmp.Or(a.Name, signatureHeader))
	}
	return ""
}

// faults returns what is wrong with a, and with r beside it.
func (a Auth) faults(r Request) []error {
	var faults []error
	fault := func(field, value, rule string) {
		faults = append(faults, &FaultError{"auth." + field, clip(value), rule})
	}
	switch a.Type {
	case "", AuthNone, AuthBasic, AuthBearer, AuthHeader, AuthQuery, AuthOAuth2, AuthHMAC:
	default:
		fault("type", string(a.Type), "must be one of none, basic, bearer, header, query, oauth2, hmac")
		return faults // what else must be there depends on it
	}
	if !a.none() && a.Secret == "" {
		fault("secret", "", "must be given")
	}
	if a.none() && a.Secret != "" {
		fault("secret", redacted, "must be empty without a type")
	}
	switch {
	case a.Type != AuthBasic && a.Type != AuthHMAC && a.Username != "":
		fault("username", redacted, "must be empty but for the types basic and hmac")
	case strings.Contains(a.Username, ":") || hasControl(a.Username):
		fault("username", redacted, "must not contain a colon or control characters")
	}
	switch {
	case a.Type == AuthHMAC && a.Name == "":
	case a.Type != AuthHeader && a.Type != AuthQuery && a.Type != AuthHMAC:
		if a.Name != "" {
			fault("name", shownName(a.Name), "must be empty but for the types header, query and hmac")
		}
	case (a.Type == AuthHeader || a.Type == AuthHMAC) && (!validName(a.Name) || isHarmless(a.Name) || neverSent(a.Header())),
		a.Type == AuthHMAC && (a.Header() == timestampHeader || a.Header() == keyIDHeader):
		fault("name", shownName(a.Name), "must be the name of a header that takes a key, such as X-Api-Key")
	case a.Type == AuthQuery && (a.Name == "" || hasControl(a.Name)):
		fault("name", shownName(a.Name), "must be the name of a parameter")
	}
	faults = append(faults, a.oauth2Faults()...)
	switch {
	case a.Type != AuthHMAC && a.Algorithm != "":
		fault("algorithm", a.Algorithm, "must be empty but for type hmac")
	case a.Algorithm != "" && a.Algorithm != SHA256 && a.Algorithm != SHA512:
		fault("algorithm", a.Algorithm, "must be sha256 or sha512")
	}
	if sets := a.headers(); len(sets) > 0 {
		for name := range r.Headers {
			if slices.Contains(sets, textproto.CanonicalMIMEHeaderKey(name)) {
				faults = append(faults, &FaultError{"headers." + name, redacted, "must not be given beside auth, which sets it"})
			}
		}
	}
	if _, twice := r.Query[a.Name]; twice && a.Type == AuthQuery {
		faults = append(faults, &FaultError{"query." + a.Name, redacted, "must not be given beside auth, which sets it"})
	}
	return faults
}

// headers returns the names of all headers that a sets.
func (a Auth) headers() []string {
	switch {
	case a.Header() == "":
		return nil
	case a.Type == AuthHMAC:
		return []string{a.Header(), timestampHeader, keyIDHeader}
	}
	return []string{a.Header()}
}

func (a Auth) oauth2Faults() []error {
	var faults []error
	fault := func(field, value, rule string) {
		faults = append(faults, &FaultError{"auth." + field, clip(value), rule})
	}
	if a.Type != AuthOAuth2 {
		for field, given := range map[string]bool{
			"token_url": a.TokenURL != "", "client_id": a.ClientID != "", "scopes": len(a.Scopes) > 0,
			"params": len(a.Params) > 0, "token_auth_method": a.TokenAuthMethod != "",
		} {
			if given {
				fault(field, redacted, "must be empty but for type oauth2")
			}
		}
		return sorted(faults)
	}
	if _, wrong := parseBase(a.TokenURL); wrong != nil {
		for _, err := range wrong {
			broken := err.(*FaultError)
			fault("token_url", broken.Value, broken.Rule)
		}
	}
	if a.ClientID == "" || hasControl(a.ClientID) {
		fault("client_id", a.ClientID, "must be given, without control characters")
	}
	for _, scope := range a.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			fault("scopes", scope, `must each have printable ASCII characters only, and no blank, " or \`)
		}
	}
	for name := range a.Params {
		switch name {
		case "", "grant_type", "scope", "client_id", "client_secret":
			fault("params."+name, redacted, "must have a name that the token request does not use itself")
		}
	}
	if a.TokenAuthMethod != "" && a.TokenAuthMethod != ClientSecretBasic && a.TokenAuthMethod != ClientSecretPost {
		fault("token_auth_method", a.TokenAuthMethod, "must be client_secret_basic or client_secret_post")
	}
	return sorted(faults)
}

// authorized returns r with what its Auth, which must be valid, adds to headers or query.
func (r Request) authorized() Request {
	secret := string(r.Auth.Secret)
	switch r.Auth.Type {
	case AuthBasic:
		if r.Auth.Username != "" {
			secret = r.Auth.Username + ":" + secret
		}
		r.Headers = with(r.Headers, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
	case AuthBearer:
		r.Headers = with(r.Headers, "Authorization", "Bearer "+secret)
	case AuthHeader:
		r.Headers = with(r.Headers, r.Auth.Name, secret)
	case AuthQuery:
		r.Query = with(r.Query, r.Auth.Name, secret)
	}
	return r
}

// with returns m and one more; m stays the caller's.
func with(m map[string]string, name, value string) map[string]string {
	more := make(map[string]string, len(m)+1)
	maps.Copy(more, m)
	more[name] = value
	return more
}

// secrets are what an answer must not repeat: the secret, and the halves of user and password.
func (a Auth) secrets() []string {
	if a.none() || a.Secret == "" {
		return nil
	}
	secrets := []string{string(a.Secret)}
	if escaped := url.QueryEscape(string(a.Secret)); a.Type == AuthOAuth2 && escaped != string(a.Secret) {
		secrets = append(secrets, escaped) // and so it stands in the base64 of Basic
	}
	if user, password, both := strings.Cut(string(a.Secret), ":"); both && a.Type == AuthBasic && a.Username == "" {
		secrets = append(secrets, user, password)
	}
	return secrets
}
