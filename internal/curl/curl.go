// Package curl reads the curl commands that APIs' documentation and browsers hand out, as far as they say what is
// asked of an API. Every option is understood, passed over by name because it does not change the call, or
// refused: none is dropped silently.
package curl

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Request is the call that a command makes.
type Request struct {
	Method string
	URL    string // without user info and fragment
	Header map[string]string
	Body   string

	// User is "name:password", Bearer a token, Authorization what else an Authorization header has. At most one
	// is set, and none is in Header or URL.
	User, Bearer, Authorization string

	MaxTime time.Duration // 0: none was given
	// Notes say what was passed over, and why that makes no difference.
	Notes []string
}

// Parse reads a command as a shell would, with quotes, escapes and continued lines. What a shell would have to run or
// look up is refused. The error joins all that is wrong with the options.
func Parse(command string) (Request, error) {
	words, err := split(command)
	if err != nil {
		return Request{}, err
	}
	return ParseArgs(words)
}

// ParseArgs reads a command that a shell has split already. The first word is "curl".
func ParseArgs(words []string) (Request, error) {
	if len(words) == 0 || words[0] != "curl" {
		return Request{}, errors.New(`a command must begin with "curl"`)
	}
	p := parser{words: words[1:], r: Request{Header: map[string]string{}}}
	p.options()
	p.finish()
	return p.r, errors.Join(p.faults...)
}

type parser struct {
	words  []string
	r      Request
	faults []error

	urls    []string
	data    []string
	has     bool // data was given, maybe empty
	asJSON  bool
	get     bool // data goes into the query
	head    bool
	noGlob  bool
	follows bool
	cookies []string
}

func (p *parser) refuse(format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf(format, args...))
}

func (p *parser) note(format string, args ...any) {
	p.r.Notes = append(p.r.Notes, fmt.Sprintf(format, args...))
}

func (p *parser) options() {
	for len(p.words) > 0 {
		word := p.words[0]
		p.words = p.words[1:]
		switch {
		case strings.HasPrefix(word, "--") && len(word) > 2:
			p.long(word)
		case strings.HasPrefix(word, "-") && len(word) > 1 && word != "--":
			p.short(word)
		case word == "--":
			p.urls = append(p.urls, p.words...)
			p.words = nil
		default:
			p.urls = append(p.urls, word)
		}
	}
}

func (p *parser) long(word string) {
	o, ok := longOptions[word[2:]]
	if !ok {
		p.refuse("%s is no option that is known here", word)
		return
	}
	p.apply(word, o, "", false)
}

// short reads options of one letter, of which several may stand in one word, the last with its value.
func (p *parser) short(word string) {
	for rest := word[1:]; rest != ""; {
		name := rest[:1]
		long, ok := shortOptions[name[0]]
		if !ok {
			p.refuse("-%c is no option that is known here", []rune(rest)[0])
			return
		}
		rest = rest[1:]
		o := longOptions[long]
		if o.value {
			p.apply("-"+name, o, rest, rest != "")
			return
		}
		p.apply("-"+name, o, "", false)
	}
}

// apply does what an option says, with the value that is attached to it or the next word.
func (p *parser) apply(name string, o option, value string, attached bool) {
	if o.value && !attached {
		if len(p.words) == 0 {
			p.refuse("%s needs a value", name)
			return
		}
		value, p.words = p.words[0], p.words[1:]
	}
	switch {
	case o.refused != "":
		p.refuse("%s: %s", name, o.refused)
	case o.harmless != "":
		p.note("%s: %s", name, o.harmless)
	default:
		o.do(p, name, value)
	}
}

// addData adds what is sent as data; "@" begins the name of a file where files are taken.
func (p *parser) addData(name, value string, files bool) {
	if files && strings.HasPrefix(value, "@") {
		p.refuse("%s @…: files are not read; give the data itself", name)
		return
	}
	p.data, p.has = append(p.data, value), true
}

// addEncoded is --data-urlencode: "content", "=content" or "name=content".
func (p *parser) addEncoded(name, value string) {
	field, content, named := strings.Cut(value, "=")
	switch {
	case strings.Contains(field, "@"):
		p.refuse("%s @…: files are not read; give the data itself", name)
		return
	case !named:
		field, content = "", value
	}
	content = strings.ReplaceAll(url.QueryEscape(content), "+", "%20")
	if field != "" {
		content = field + "=" + content
	}
	p.data, p.has = append(p.data, content), true
}

func (p *parser) addHeader(name, value string) {
	if strings.HasPrefix(value, "@") {
		p.refuse("%s @…: files are not read; give the header itself", name)
		return
	}
	field, content, ok := strings.Cut(value, ":")
	field, content = http.CanonicalHeaderKey(strings.TrimSpace(field)), strings.TrimSpace(content)
	switch {
	case !ok && strings.HasSuffix(field, ";"):
		field = strings.TrimSuffix(field, ";") // curl's way to send it empty
	case !ok:
		p.refuse(`%s: must be "name: value"`, name)
		return
	case content == "":
		p.note("%s %s: is not sent unless it is given", name, field)
		return
	}
	switch field {
	case "Authorization":
		p.addAuthorization(name, content)
		return
	case "Accept-Encoding", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Upgrade", "Keep-Alive":
		p.note("%s %s: is set by the client", name, field)
		return
	}
	if _, twice := p.r.Header[field]; twice {
		p.refuse("%s: the header %s is given twice, and may be sent once", name, field)
		return
	}
	p.r.Header[field] = content
}

func (p *parser) addAuthorization(name, content string) {
	scheme, credentials, _ := strings.Cut(content, " ")
	credentials = strings.TrimSpace(credentials)
	switch {
	case strings.EqualFold(scheme, "bearer") && credentials != "":
		p.authorize(name, &p.r.Bearer, credentials)
	case strings.EqualFold(scheme, "basic"):
		plain, err := base64.StdEncoding.DecodeString(credentials)
		if err != nil || !strings.Contains(string(plain), ":") {
			p.refuse("%s: the credentials of Authorization: Basic must be user:password in base64", name)
			return
		}
		p.authorize(name, &p.r.User, string(plain))
	default:
		p.authorize(name, &p.r.Authorization, content)
	}
}

// authorize sets one of the ways to say who calls.
func (p *parser) authorize(name string, way *string, secret string) {
	if p.r.User+p.r.Bearer+p.r.Authorization != "" {
		p.refuse("%s: there is another option that says who calls, and one may", name)
		return
	}
	*way = secret
}

func (p *parser) addUser(name, value string) {
	if !strings.Contains(value, ":") {
		p.refuse("%s: must be user:password; nobody is asked for the password", name)
		return
	}
	p.authorize(name, &p.r.User, value)
}

func (p *parser) addCookie(name, value string) {
	if !strings.Contains(value, "=") {
		p.refuse("%s: files of cookies are not read; give name=value", name)
		return
	}
	p.cookies = append(p.cookies, value)
}

func (p *parser) addMaxTime(name, value string) {
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || !(seconds >= 0 && seconds < 1e6) {
		p.refuse("%s %q: must be a number of seconds", name, value)
		return
	}
	p.r.MaxTime = time.Duration(seconds * float64(time.Second))
}

// finish puts together what the options said.
func (p *parser) finish() {
	if len(p.cookies) > 0 {
		p.addHeader("-b", "Cookie: "+strings.Join(p.cookies, "; "))
	}
	p.finishURL()
	separator := "&"
	if p.asJSON {
		separator = ""
	}
	body := strings.Join(p.data, separator)
	method := http.MethodGet
	switch {
	case p.get:
		p.r.URL = withQuery(p.r.URL, body)
	case p.has:
		method, p.r.Body = http.MethodPost, body
		p.setDefaults()
	}
	if p.head {
		if method = http.MethodHead; p.r.Body != "" {
			p.refuse("-I: a HEAD has no data; give -G to send it in the query")
		}
	}
	if p.r.Method == "" {
		p.r.Method = method
	}
	if !p.follows {
		p.note("without -L: redirects are followed all the same")
	}
}

// setDefaults adds the headers that curl sends with data.
func (p *parser) setDefaults() {
	defaults := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	if p.asJSON {
		defaults = map[string]string{"Content-Type": "application/json", "Accept": "application/json"}
	}
	for name, value := range defaults {
		if _, given := p.r.Header[name]; !given {
			p.r.Header[name] = value
		}
	}
}

// globbed finds what curl takes for several URLs.
var globbed = regexp.MustCompile(`\{[^}]*\}|\[[0-9A-Za-z]+-[0-9A-Za-z]+(:[0-9]+)?\]`)

func (p *parser) finishURL() {
	if len(p.urls) != 1 {
		p.refuse("there must be one URL, there are %d", len(p.urls))
		return
	}
	raw := p.urls[0]
	if !p.noGlob && globbed.MatchString(raw) {
		p.refuse("the URL stands for several, of which each is a call of its own; if it does not, give -g")
		return
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
		p.note("the URL has no scheme: http, as curl has it")
	}
	u, err := url.Parse(raw)
	if err != nil {
		p.refuse("the URL cannot be read: %w", discreet(err))
		return
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		p.refuse("the URL must begin with http:// or https:// and a host")
		return
	}
	if u.User != nil {
		password, _ := u.User.Password()
		p.authorize("the URL", &p.r.User, u.User.Username()+":"+password)
		u.User = nil
	}
	u.Fragment, u.RawFragment = "", ""
	p.r.URL = u.String()
}

// discreet is the reason of an error of net/url without the URL, which may have a password.
func discreet(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func withQuery(target, query string) string {
	switch {
	case query == "":
		return target
	case strings.Contains(target, "?"):
		return target + "&" + query
	}
	return target + "?" + query
}
