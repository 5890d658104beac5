package fetch

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// The algorithms of [AuthHMAC].
const (
	SHA256 = "sha256" // as is ""
	SHA512 = "sha512"
)

const (
	signatureHeader = "X-Signature" // unless Auth.Name says otherwise
	timestampHeader = "X-Timestamp"
	keyIDHeader     = "X-Key-Id"
)

// sign puts the signature of [AuthHMAC] on out, which must be complete. Each hop within the origin is signed by itself.
func (c *conversation) sign(out *http.Request) {
	auth := c.request.Auth
	if auth.Type != AuthHMAC {
		return
	}
	body := ""
	if out.Body != nil && out.Body != http.NoBody {
		body = c.request.Body
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	signature := auth.signature(canonicalRequest(out, timestamp, body))
	out.Header.Set(timestampHeader, timestamp)
	out.Header.Set(auth.Header(), signature)
	if auth.Username != "" {
		out.Header.Set(keyIDHeader, auth.Username)
	}
	c.signed = append(c.signed, signature)
}

func (a Auth) signature(text string) string {
	algorithm := func() hash.Hash { return sha256.New() }
	if a.Algorithm == SHA512 {
		algorithm = func() hash.Hash { return sha512.New() }
	}
	mac := hmac.New(algorithm, []byte(a.Secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// canonicalRequest is what is signed: six lines, of what the server sees, without a line end after the last.
func canonicalRequest(out *http.Request, timestamp, body string) string {
	host := out.Host
	if host == "" {
		host = out.URL.Host
	}
	if ascii, err := httpguts.PunycodeHostPort(host); err == nil {
		host = ascii // as net/http sends it
	}
	path := out.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	pairs := strings.Split(out.URL.RawQuery, "&")
	slices.Sort(pairs)
	hashed := sha256.Sum256([]byte(body))
	return strings.Join([]string{
		out.Method, strings.ToLower(host), path, strings.Join(pairs, "&"), timestamp, hex.EncodeToString(hashed[:]),
	}, "\n")
}
