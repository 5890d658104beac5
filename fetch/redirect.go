package fetch

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const maxHops = 10

// checkRedirect is the redirect policy. net/http has already prepared next from the answer of the last
// request of via; via[0] is the request as it was configured.
//
// net/http by itself forwards all but a few well-known headers to any host, forwards even those to
// subdomains, tells the next host where it came from, and repeats a body wherever it is sent.
func checkRedirect(next *http.Request, via []*http.Request) error {
	conv := next.Context().Value(conversationKey{}).(*conversation)
	last := via[len(via)-1]
	next.URL.User = nil // net/http would make an Authorization header of it
	next.URL.Fragment, next.URL.RawFragment = "", ""

	refuse := func(why string) error { return &redirectError{to: maskURL(next.URL), why: why} }
	switch {
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return refuse("it is neither http nor https")
	case next.URL.Host == "":
		return refuse("it has no host")
	case last.URL.Scheme == "https" && next.URL.Scheme == "http":
		return refuse("it leaves https")
	case len(via) > maxHops:
		return refuse(fmt.Sprintf("it is hop %d, and %d are allowed", len(via), maxHops))
	case changesMethod(last.Method, next):
		return refuse("it turns " + last.Method + " into " + next.Method)
	}

	if stayed(next, via) {
		next.Host = conv.host
		if via[0].Header.Get("Referer") == "" {
			next.Header.Del("Referer")
		}
		if isRead(next.Method) && headerOf(conv.request.Headers, idempotencyKey) == "" {
			next.Header.Del(idempotencyKey) // 303 made a GET of it
		}
		conv.keepKey(next.URL)
		conv.sign(next)
	} else {
		// A DELETE needs no body to do harm where nobody meant it to go.
		if next.Method != http.MethodGet && next.Method != http.MethodHead {
			return refuse("it takes a " + next.Method + " to another origin")
		}
		if next.Body != nil && next.Body != http.NoBody {
			return refuse("it takes the body to another origin")
		}
		if where := next.URL.Host + next.URL.Path; conv.hideString(where) != where {
			return refuse("it takes the secret to another origin")
		}
		conv.left = true
		next.URL.RawQuery = conv.foreign(next.URL.RawQuery, via[0].URL.RawQuery)
		next.Host = "" // a Location of //host/path would keep the configured one
		next.Header = http.Header{"User-Agent": {DefaultUserAgent}}
		if accepted := via[0].Header.Get("Accept-Encoding"); accepted != "" {
			next.Header.Set("Accept-Encoding", accepted) // the Client's own, or identity
		}
	}
	conv.url = next.URL
	conv.followed = append(conv.followed, next.URL.RawQuery)
	return nil
}

// keepKey gives a hop within the origin the key of [AuthQuery], as it gets the headers, unless its Location has one.
func (c *conversation) keepKey(u *url.URL) {
	auth := c.request.Auth
	if auth.Type != AuthQuery {
		return
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if name, _ := parameter(pair); name == auth.Name {
			return
		}
	}
	u.RawQuery = joinQuery(u.RawQuery, encodeQuery(map[string]string{auth.Name: string(auth.Secret)}))
}

// foreign returns what another origin gets of the query of a Location: nothing that was configured, though a server that
// has moved repeats it all. What the Location has of its own, such as a signature for a download, stays as it is written.
//
// A short value, but for the secret's, is an own one only with its name: page=1 says nothing of limit=1.
func (c *conversation) foreign(query, configured string) string {
	type pair struct{ name, value string }
	own := map[pair]bool{}
	for text := range strings.SplitSeq(configured, "&") {
		name, value := parameter(text)
		own[pair{name, value}] = text != ""
	}
	auth := c.request.Auth
	return strings.Join(slices.DeleteFunc(strings.Split(query, "&"), func(text string) bool {
		name, value := parameter(text)
		return own[pair{name, value}] || auth.Type == AuthQuery && strings.EqualFold(name, auth.Name) || c.repeats(text)
	}), "&")
}

// repeats says whether text has a secret in it, or another value that was configured and is long enough to be one.
func (c *conversation) repeats(text string) bool {
	b := newBlotter(text, false)
	for _, secret := range c.secrets {
		b.blot(secret)
	}
	c.eachConfigured(func(value string) {
		if len(value) >= shortestHidden {
			b.blot(value)
		}
	})
	return slices.Contains(b.hide, true)
}

// parameter takes the escapes off a parameter of a query.
func parameter(text string) (name, value string) {
	name, value, _ = strings.Cut(text, "=")
	for _, s := range [...]*string{&name, &value} {
		if plain, err := url.QueryUnescape(*s); err == nil {
			*s = plain
		}
	}
	return name, value
}

// changesMethod says whether next is not the call that was asked for. RFC 9110 15.4 lets 303 turn
// anything into a GET, and 301 and 302 only a POST; net/http does it for DELETE and PUT as well, and the
// GET's success would pass for theirs.
func changesMethod(from string, next *http.Request) bool {
	return next.Method != from && from != http.MethodPost && next.Response.StatusCode != http.StatusSeeOther
}

// stayed says whether next and all hops before it are of the first one's origin. A chain that left has
// been in other hands, and where it leads afterwards is their choice.
func stayed(next *http.Request, via []*http.Request) bool {
	home := via[0].URL
	for _, hop := range via[1:] {
		if !sameOrigin(home, hop.URL) {
			return false
		}
	}
	return sameOrigin(home, next.URL)
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

type redirectError struct{ to, why string }

func (e *redirectError) Error() string {
	return fmt.Sprintf("redirect to %s refused: %s", e.to, e.why)
}
