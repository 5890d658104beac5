package fetch

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/textproto"
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
)

// Auth proves who sends a request. Like what is configured otherwise it does not follow a redirect to
// another origin, and what a redirect within the origin gets is the header, not the parameter.
type Auth struct {
	Type AuthType
	// Username is for AuthBasic. If it is empty, the secret holds both, as "user:password".
	Username string
	Name     string // of AuthHeader's header or AuthQuery's parameter
	Secret   Secret
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
	case AuthBasic, AuthBearer:
		return "Authorization"
	case AuthHeader:
		return textproto.CanonicalMIMEHeaderKey(a.Name)
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
	case "", AuthNone, AuthBasic, AuthBearer, AuthHeader, AuthQuery:
	default:
		fault("type", string(a.Type), "must be one of none, basic, bearer, header, query")
		return faults // what else must be there depends on it
	}
	if !a.none() && a.Secret == "" {
		fault("secret", "", "must be given")
	}
	if a.none() && a.Secret != "" {
		fault("secret", redacted, "must be empty without a type")
	}
	switch {
	case a.Type != AuthBasic && a.Username != "":
		fault("username", redacted, "must be empty but for type basic")
	case strings.Contains(a.Username, ":") || hasControl(a.Username):
		fault("username", redacted, "must not contain a colon or control characters")
	}
	switch {
	case a.Type != AuthHeader && a.Type != AuthQuery:
		if a.Name != "" {
			fault("name", shownName(a.Name), "must be empty but for the types header and query")
		}
	case a.Type == AuthHeader && (!validName(a.Name) || isHarmless(a.Name) || neverSent(a.Header())):
		fault("name", shownName(a.Name), "must be the name of a header that takes a key, such as X-Api-Key")
	case a.Type == AuthQuery && (a.Name == "" || hasControl(a.Name)):
		fault("name", shownName(a.Name), "must be the name of a parameter")
	}
	if header := a.Header(); header != "" {
		for name := range r.Headers {
			if textproto.CanonicalMIMEHeaderKey(name) == header {
				faults = append(faults, &FaultError{"headers." + name, redacted, "must not be given beside auth, which sets it"})
			}
		}
	}
	if _, twice := r.Query[a.Name]; twice && a.Type == AuthQuery {
		faults = append(faults, &FaultError{"query." + a.Name, redacted, "must not be given beside auth, which sets it"})
	}
	return faults
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
	if user, password, both := strings.Cut(string(a.Secret), ":"); both && a.Type == AuthBasic && a.Username == "" {
		secrets = append(secrets, user, password)
	}
	return secrets
}
