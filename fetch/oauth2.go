package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// How [AuthOAuth2] tells the token endpoint who asks; the names are those of RFC 7591.
const (
	ClientSecretBasic = "client_secret_basic" // in the Authorization header, as RFC 6749 2.3.1 prefers; as is ""
	ClientSecretPost  = "client_secret_post"  // in the body
)

// exchangeWithToken is exchange with an access token. One that the API does not take any more is replaced
// once: it may have been revoked.
func (c *Client) exchangeWithToken(conv *conversation) (*Response, error) {
	key := conv.request.tokenKey()
	for first := true; ; first = false {
		token, fresh, err := c.tokens.get(conv.bounded, key, func() (*oauth2.Token, error) { return c.askForToken(conv) })
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e
		}
		if err != nil { // it was not this conversation that asked, and it has waited in vain
			return nil, conv.broken(err)
		}
		call, stop := conv.bearing(token)
		answer, err := c.exchange(call)
		stop(nil)
		if !refusesToken(err) {
			return answer, err
		}
		c.tokens.drop(key, token)
		if fresh || !first {
			return nil, err
		}
	}
}

// refusesToken says whether the server for which a token was meant refuses it.
func refusesToken(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == KindStatus && e.Status == http.StatusUnauthorized && !e.LeftOrigin
}

// bearing returns c, which is not under way, as it is with a token, and what stops it: a body that does not come must not
// stop the call after it.
func (c *conversation) bearing(token string) (*conversation, context.CancelCauseFunc) {
	next := *c
	next.bounded, next.stop = context.WithCancelCause(c.bounded)
	next.header = c.header.Clone()
	next.header.Set("Authorization", "Bearer "+token)
	next.secrets, next.forms = append(slices.Clip(c.secrets), token), nil
	return &next, next.stop
}

// askForToken asks the token endpoint. It goes the way of the request if it is of its origin, else the usual one, and
// follows no redirect, as the body holds credentials.
func (c *Client) askForToken(conv *conversation) (*oauth2.Token, error) {
	auth := conv.request.Auth
	way := c.transports.usual
	if endpoint, err := url.Parse(auth.TokenURL); err == nil && conv.way != nil && sameOrigin(endpoint, conv.url) {
		way = conv.way
	}
	config := clientcredentials.Config{
		ClientID: auth.ClientID, ClientSecret: string(auth.Secret), TokenURL: auth.TokenURL, Scopes: auth.Scopes,
		EndpointParams: url.Values{}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	if auth.TokenAuthMethod == ClientSecretPost {
		config.AuthStyle = oauth2.AuthStyleInParams
	}
	for name, value := range auth.Params {
		config.EndpointParams.Set(name, value)
	}
	client := &http.Client{
		Transport:     tokenTransport{way},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	token, err := config.Token(context.WithValue(conv.bounded, oauth2.HTTPClient, client))
	if err == nil {
		err = checkToken(token)
	}
	if err != nil {
		return nil, conv.tokenless(err)
	}
	return token, nil
}

// checkToken refuses what is no bearer token (RFC 6749 7.1), or would break the wire.
func checkToken(token *oauth2.Token) error {
	switch {
	case token.TokenType != "" && !strings.EqualFold(token.TokenType, "bearer"):
		return fmt.Errorf("the token is of type %q, not bearer", clip(token.TokenType))
	case !validValue(token.AccessToken) || strings.ContainsAny(token.AccessToken, " \t"):
		return errors.New("the token has characters that a token must not have")
	}
	return nil
}

// tokenless is the error of a token endpoint that gave no token.
func (c *conversation) tokenless(err error) *Error {
	failed := &Error{Method: http.MethodPost, URL: maskRaw(c.request.Auth.TokenURL)}
	refused, answered := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case answered:
		failed.Kind = KindToken
		failed.Status = refused.Response.StatusCode
		failed.Header = c.hideHeader(refused.Response.Header)
		failed.RetryAfter = retryAfter(refused.Response.Header, time.Now())
		body, whole := refused.Body, len(refused.Body) <= snippetRead
		if !whole {
			body = body[:snippetRead]
		}
		failed.Snippet = oneLine(c.scrub(string(body), !whole), 200)
	case c.bounded.Err() == nil && !is[*url.Error](err): // an answer, but not what it should be
		failed.Kind, failed.Err = KindToken, c.discreet(err)
	default:
		broken := c.broken(err)
		failed.Kind, failed.Err = broken.Kind, broken.Err
	}
	return failed
}

// tokenTransport says who asks and for what: some token endpoints answer in a form of their own otherwise.
type tokenTransport struct{ http.RoundTripper }

func (t tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", DefaultUserAgent)
	return t.RoundTripper.RoundTrip(r)
}

type tokenKey [sha256.Size]byte

// tokenKey is the same for requests that may share a token.
func (r Request) tokenKey() tokenKey {
	a := r.Auth
	origin := r.BaseURL // pages have base URLs of their own
	if u, err := url.Parse(r.BaseURL); err == nil {
		origin = strings.ToLower(u.Scheme + "://" + u.Host)
	}
	parts := []string{origin, a.TokenURL, a.TokenAuthMethod, a.ClientID, string(a.Secret), strings.Join(a.Scopes, " "),
		r.TLS.CA, string(r.TLS.Certificate), r.TLS.ServerName}
	for _, name := range slices.Sorted(maps.Keys(a.Params)) {
		parts = append(parts, name, a.Params[name])
	}
	return digest(parts...)
}

// maxTokens bounds the tokens that are kept. When there are more it starts anew.
const maxTokens = 1024

// tokens keep access tokens until they expire. Whoever needs one while it is being asked for waits for it.
type tokens struct {
	mu     sync.Mutex
	kept   map[tokenKey]*oauth2.Token // guarded by mu
	asking map[tokenKey]*tokenRequest // guarded by mu
}

// A tokenRequest is one that is under way; its outcome may be read when done is closed.
type tokenRequest struct {
	done    chan struct{}
	token   *oauth2.Token
	err     error
	settled bool // the endpoint has decided; else whoever asked was stopped, and the next one asks
}

// get returns the token that is kept, or asks for one; fresh says that it was asked for in between. The error is ask's, also where
// somebody else asked, or ctx's.
func (t *tokens) get(ctx context.Context, key tokenKey, ask func() (*oauth2.Token, error)) (token string, fresh bool, err error) {
	for {
		t.mu.Lock()
		if kept := t.kept[key]; kept.Valid() {
			t.mu.Unlock()
			return kept.AccessToken, false, nil
		}
		request := t.asking[key]
		if request == nil {
			request = &tokenRequest{done: make(chan struct{})}
			if t.asking == nil {
				t.asking = map[tokenKey]*tokenRequest{}
			}
			t.asking[key] = request
			t.mu.Unlock()
			t.answer(ctx, key, request, ask)
			if request.err != nil {
				return "", true, request.err
			}
			return request.token.AccessToken, true, nil
		}
		t.mu.Unlock()
		select {
		case <-request.done:
		case <-ctx.Done():
			return "", false, ctx.Err()
		}
		switch {
		case request.err == nil && request.settled:
			return request.token.AccessToken, true, nil
		case request.settled:
			return "", true, request.err
		}
	}
}

// answer asks, and tells those who wait, also if ask, which calls a host's transport, panics.
func (t *tokens) answer(ctx context.Context, key tokenKey, request *tokenRequest, ask func() (*oauth2.Token, error)) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.asking, key)
		if request.token.Valid() {
			if t.kept == nil || len(t.kept) >= maxTokens {
				t.kept = map[tokenKey]*oauth2.Token{}
			}
			t.kept[key] = request.token
		}
		close(request.done)
	}()
	request.token, request.err = ask()
	request.settled = request.err == nil || ctx.Err() == nil && !expired(ctx)
}

// drop forgets a token that the API refused, unless there is another one by now.
func (t *tokens) drop(key tokenKey, token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kept := t.kept[key]; kept != nil && kept.AccessToken == token {
		delete(t.kept, key)
	}
}
