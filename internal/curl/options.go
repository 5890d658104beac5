package curl

import "strings"

// An option is understood (do), passed over (harmless) or refused.
type option struct {
	value    bool // it takes one
	do       func(p *parser, name, value string)
	harmless string // why it makes no difference
	refused  string // why it cannot be done
}

func understood(do func(p *parser, name, value string)) option { return option{value: true, do: do} }

func understoodFlag(do func(p *parser)) option {
	return option{do: func(p *parser, _, _ string) { do(p) }}
}

func harmless(why string) option      { return option{harmless: why} }
func harmlessValue(why string) option { return option{harmless: why, value: true} }
func refused(why string) option       { return option{refused: why} }
func refusedValue(why string) option  { return option{refused: why, value: true} }

const (
	aboutOutput    = "is about what curl prints"
	aboutRetries   = "retries are the schedule's matter"
	aboutProtocol  = "the version of HTTP is agreed on with the server"
	aboutTLS       = "TLS 1.2 is the least anyway"
	noFiles        = "files are not read"
	noProxy        = "there are no proxies; a transport of the host program may have one"
	noCertificates = "certificates are the matter of the host program's transport"
	noAuth         = "this way to say who calls is not known"
	noDial         = "which addresses are called is the matter of the host program"
)

var longOptions = map[string]option{
	"request":               understood(func(p *parser, _, v string) { p.r.Method = strings.ToUpper(v) }),
	"header":                understood((*parser).addHeader),
	"data":                  understood(func(p *parser, name, v string) { p.addData(name, v, true) }),
	"data-ascii":            understood(func(p *parser, name, v string) { p.addData(name, v, true) }),
	"data-binary":           understood(func(p *parser, name, v string) { p.addData(name, v, true) }),
	"data-raw":              understood(func(p *parser, name, v string) { p.addData(name, v, false) }),
	"data-urlencode":        understood((*parser).addEncoded),
	"json":                  understood(func(p *parser, name, v string) { p.asJSON = true; p.addData(name, v, true) }),
	"user":                  understood((*parser).addUser),
	"oauth2-bearer":         understood(func(p *parser, name, v string) { p.authorize(name, &p.r.Bearer, v) }),
	"url":                   understood(func(p *parser, _, v string) { p.urls = append(p.urls, v) }),
	"user-agent":            understood(func(p *parser, name, v string) { p.addHeader(name, "User-Agent: "+v) }),
	"referer":               understood(func(p *parser, name, v string) { p.addHeader(name, "Referer: "+v) }),
	"range":                 understood(func(p *parser, name, v string) { p.addHeader(name, "Range: bytes="+v) }),
	"cookie":                understood((*parser).addCookie),
	"max-time":              understood((*parser).addMaxTime),
	"get":                   understoodFlag(func(p *parser) { p.get = true }),
	"head":                  understoodFlag(func(p *parser) { p.head = true }),
	"location":              understoodFlag(func(p *parser) { p.follows = true }),
	"globoff":               understoodFlag(func(p *parser) { p.noGlob = true }),
	"basic":                 harmless("is what -u means"),
	"compressed":            harmless("answers are asked for compressed anyway"),
	"silent":                harmless(aboutOutput),
	"show-error":            harmless(aboutOutput),
	"verbose":               harmless(aboutOutput),
	"include":               harmless(aboutOutput),
	"show-headers":          harmless(aboutOutput),
	"progress-bar":          harmless(aboutOutput),
	"no-progress-meter":     harmless(aboutOutput),
	"no-buffer":             harmless(aboutOutput),
	"remote-name":           harmless(aboutOutput),
	"output":                harmlessValue(aboutOutput),
	"write-out":             harmlessValue(aboutOutput),
	"dump-header":           harmlessValue(aboutOutput),
	"stderr":                harmlessValue(aboutOutput),
	"create-dirs":           harmless(aboutOutput),
	"fail":                  harmless("an answer that is not 2xx is an error anyway"),
	"fail-with-body":        harmless("an answer that is not 2xx is an error anyway"),
	"connect-timeout":       harmlessValue("the whole call has a timeout"),
	"max-redirs":            refusedValue("redirects are followed, up to ten"),
	"retry":                 harmlessValue(aboutRetries),
	"retry-delay":           harmlessValue(aboutRetries),
	"retry-max-time":        harmlessValue(aboutRetries),
	"retry-all-errors":      harmless(aboutRetries),
	"retry-connrefused":     harmless(aboutRetries),
	"http1.0":               harmless(aboutProtocol),
	"http1.1":               harmless(aboutProtocol),
	"http2":                 harmless(aboutProtocol),
	"http2-prior-knowledge": harmless(aboutProtocol),
	"http3":                 harmless(aboutProtocol),
	"tlsv1":                 harmless(aboutTLS),
	"tlsv1.0":               harmless(aboutTLS),
	"tlsv1.1":               harmless(aboutTLS),
	"tlsv1.2":               harmless(aboutTLS),
	"ssl-reqd":              harmless("the URL says whether there is TLS"),
	"keepalive-time":        harmlessValue("connections are the client's matter"),
	"no-keepalive":          harmless("connections are the client's matter"),
	"tcp-nodelay":           harmless("connections are the client's matter"),
	"disable":               harmless("curl's configuration is not read"),

	"insecure":         refused("certificates are always checked"),
	"location-trusted": refused("credentials are sent to no other host"),
	"ipv4":             refused(noDial),
	"ipv6":             refused(noDial),
	"tlsv1.3":          refused("a least version beyond 1.2 is the matter of the host program's transport"),
	"form":             refusedValue("bodies of several parts are not made"),
	"form-string":      refusedValue("bodies of several parts are not made"),
	"upload-file":      refusedValue(noFiles),
	"config":           refusedValue(noFiles),
	"cookie-jar":       refusedValue(noFiles),
	"netrc":            refused(noFiles),
	"netrc-file":       refusedValue(noFiles),
	"cacert":           refusedValue(noCertificates),
	"capath":           refusedValue(noCertificates),
	"cert":             refusedValue(noCertificates),
	"key":              refusedValue(noCertificates),
	"pass":             refusedValue(noCertificates),
	"pinnedpubkey":     refusedValue(noCertificates),
	"ciphers":          refusedValue(noCertificates),
	"proxy":            refusedValue(noProxy),
	"proxy-user":       refusedValue(noProxy),
	"proxy-header":     refusedValue(noProxy),
	"socks5":           refusedValue(noProxy),
	"socks5-hostname":  refusedValue(noProxy),
	"noproxy":          refusedValue(noProxy),
	"digest":           refused(noAuth),
	"ntlm":             refused(noAuth),
	"negotiate":        refused(noAuth),
	"anyauth":          refused(noAuth),
	"aws-sigv4":        refusedValue(noAuth),
	"resolve":          refusedValue(noDial),
	"connect-to":       refusedValue(noDial),
	"unix-socket":      refusedValue(noDial),
	"interface":        refusedValue(noDial),
	"next":             refused("one call at a time"),
	"parallel":         refused("one call at a time"),
	"post301":          refused("a POST does not follow redirects with its body"),
	"post302":          refused("a POST does not follow redirects with its body"),
	"post303":          refused("a POST does not follow redirects with its body"),
}

var shortOptions = map[byte]string{
	'X': "request", 'H': "header", 'd': "data", 'u': "user", 'A': "user-agent", 'e': "referer", 'r': "range", 'b': "cookie",
	'm': "max-time", 'G': "get", 'I': "head", 'L': "location", 'g': "globoff",
	's': "silent", 'S': "show-error", 'v': "verbose", 'i': "include", '#': "progress-bar", 'N': "no-buffer", 'O': "remote-name",
	'o': "output", 'w': "write-out", 'D': "dump-header", 'f': "fail", '0': "http1.0", '1': "tlsv1", 'q': "disable",
	'k': "insecure", '4': "ipv4", '6': "ipv6", 'F': "form", 'T': "upload-file", 'K': "config", 'c': "cookie-jar", 'n': "netrc",
	'E': "cert", 'x': "proxy", 'U': "proxy-user", ':': "next", 'Z': "parallel",
}
