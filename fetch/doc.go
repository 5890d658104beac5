// Package fetch holds one HTTP conversation: a request goes out, one whole answer comes back.
//
//	client := fetch.New(nil)
//	defer client.Close()
//
//	answer, err := client.Do(ctx, fetch.Request{
//		BaseURL: "https://api.example.com/v1",
//		Path:    "rates",
//		Query:   map[string]string{"base": "EUR"},
//		Auth:    fetch.Auth{Type: fetch.AuthBearer, Secret: "…"},
//	})
//
// What it promises:
//
//   - Only a 2xx answer, read to its end, is a success, and a 304 that was asked for. Everything else is an [*Error] whose [Kind]
//     says what went wrong.
//   - A conversation ends within its Timeout, body included and, for [AuthOAuth2], the token request, and takes at most MaxBodyBytes of
//     decompressed body; what is longer than SpoolAbove goes to a temporary file. A body that is cut, broken or too long is an error, never a shorter body. It may
//     come as gzip, deflate, br or zstd; one of more than a MiB and 200 times what was sent of it is an error, too.
//   - What was configured for an origin stays there: a redirect to another scheme, host or port, so also
//     from http to https, carries none of the request's headers and parameters, also if the chain comes back; only GET
//     and HEAD without a body go to another origin at all; https never falls back to http; Referer is
//     never added. [Error.LeftOrigin] says that a status came from such a place.
//   - What may be secret in a request stays out of the texts of [Error] and [FaultError], of
//     [Error.Snippet], [Response.URL] and a printed [Request]; the next section has the details.
//   - Only public addresses are called, at every hop and whatever a name resolves to, unless the [Guard]
//     opens others. What was checked is what is dialled, and a name of which one address is closed is closed.
//   - A header can never break the wire format: framing and hop-by-hop headers are the transport's.
//
// What may be secret is: user info; the values of the query, also a redirect's; the values of all headers
// but the well-known ones that describe content, conditions and the message (Accept, Content-Type,
// User-Agent, If-Match, Range, Host, …), with their parts and the user and password of Basic; and of the
// body the strings and numbers of JSON, the values of a form, or each word of anything else. An answer that
// repeats one of them, as it was sent or escaped for JSON, URLs or HTML, is quoted with "redacted" in its
// place. A value of less than six bytes is found as a whole word, not within a longer one. Names of
// parameters, headers and members are shown, and so are paths, also of redirects: a secret does not belong
// there. Error.Header, the errors behind Error.Err and a Response are as they came in.
//
// The secret of [Auth], and the access token it was exchanged for, is searched for further: in base64 and hexadecimal as well, and, if it has eight bytes
// or more, also in paths, in Error.Header and in the Response. What cannot be found is a value that a server repeats
// in part, in other letters or in another encoding, such as base64 of a header or a hash of anything.
//
// [CompileTemplate] makes texts that differ from call to call: a value in one is escaped for where it stands, and can
// become no more than a value.
//
// What it does not do: it does not retry, but for one call with a new access token where the old one was refused; it does not wait or follow pages; it resolves no secrets; it keeps no cookies;
// and it ignores the proxy variables of the environment. A transport that was given to [New] is the host's: it calls what it calls, also what a Guard would not.
// One attempt can reach a server twice all the same: net/http sends a request without side effects, or with an
// Idempotency-Key, again when the server had closed the idle connection it was put on.
package fetch
