// Package fetch holds one HTTP conversation: a request goes out, one whole answer comes back.
//
//	client := fetch.New(nil)
//	defer client.Close()
//
//	answer, err := client.Do(ctx, fetch.Request{
//		BaseURL: "https://api.example.com/v1",
//		Path:    "rates",
//		Query:   map[string]string{"base": "EUR"},
//		Headers: map[string]string{"Authorization": "Bearer …"},
//	})
//
// What it promises:
//
//   - Only a 2xx answer, read to its end, is a success. Everything else is an [*Error] whose [Kind]
//     says what went wrong.
//   - A conversation ends within its Timeout, body included, and holds at most MaxBodyBytes of
//     decompressed body. A body that is cut, broken or too long is an error, never a shorter body.
//   - What was configured for an origin stays there: a redirect to another scheme, host or port carries
//     none of the request's headers, also if the chain comes back; a body is never sent to another
//     origin; https never falls back to http; Referer is never added.
//   - Neither query values, header values nor user info appear in an [Error], a [FaultError],
//     [Response.URL] or a printed [Request]. Paths do appear: a secret does not belong there.
//   - A header can never break the wire format: framing and hop-by-hop headers are the transport's.
//
// What it does not do: it does not retry, wait or follow pages; it resolves no secrets and knows no
// authentication scheme; it keeps no cookies; it ignores the proxy variables of the environment; and it
// does not guard against private addresses: give [New] a transport that does ([NewTransport] is a start).
// One attempt can reach a server twice all the same: net/http sends a request without side effects again
// when the server had closed the idle connection it was put on.
package fetch
