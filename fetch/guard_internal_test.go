package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A hostileCase is a URL with the names that it needs and what its server answers.
type hostileCase struct {
	URL, Why, Redirect string
	Deny, Rebind       bool
	DNS                map[string]json.RawMessage
}

// answers are what the name is resolved to, one list after the other; the last one stays.
func (c hostileCase) answers(t *testing.T, name string) [][]netip.Addr {
	var once []netip.Addr
	if json.Unmarshal(c.DNS[name], &once) == nil && len(once) > 0 {
		return [][]netip.Addr{once}
	}
	var several [][]netip.Addr
	if c.DNS[name] != nil {
		require.NoError(t, json.Unmarshal(c.DNS[name], &several))
	}
	return several
}

// TestGuard_HostileURLs sends each URL through a whole Client whose resolver and network are the test's.
func TestGuard_HostileURLs(t *testing.T) {
	file, err := os.ReadFile("testdata/ssrf.json")
	require.NoError(t, err)
	var table struct{ Cases []hostileCase }
	require.NoError(t, json.Unmarshal(file, &table))
	require.Len(t, table.Cases, 133)

	for _, c := range table.Cases {
		t.Run(c.URL+" "+c.Why, func(t *testing.T) {
			net := newFakeNet(t, c)
			transport := NewTransport(Guard{})
			transport.DialContext = net.dialer().DialContext
			transport.DisableKeepAlives = true
			transport.TLSClientConfig.InsecureSkipVerify = true // the server has no certificate for these names
			client := New(transport)

			_, err := client.Do(t.Context(), Request{BaseURL: c.URL})
			switch {
			case !c.Deny:
				require.NoError(t, err)
				require.Len(t, net.dialled, 1)
			case c.Rebind:
				require.NoError(t, err, "the first answer is public, and that is what was dialled")
				_, err = client.Do(t.Context(), Request{BaseURL: c.URL})
				requireRefused(t, err)
				require.Len(t, net.dialled, 1, "after the name had changed nothing was to be dialled")
			case c.Redirect != "":
				requireRefused(t, err)
				require.Len(t, net.dialled, 1, "only the server that redirects was to be called")
			default:
				requireRefused(t, err)
				require.Empty(t, net.dialled)
			}
			for _, to := range net.dialled {
				assert.Empty(t, Guard{}.rule(to.Addr()), "%s was called", to)
			}
		})
	}
}

// requireRefused says that no other attempt will be made.
func requireRefused(t *testing.T, err error) {
	t.Helper()
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Contains(t, []Kind{KindRequest, KindAddress, KindRedirect}, failed.Kind, "%v", err)
}

// A fakeNet resolves names by a table, and connects whatever is dialled to servers of its own.
type fakeNet struct {
	plain, secure *httptest.Server
	mu            sync.Mutex // guards what follows
	names         map[string][][]netip.Addr
	dialled       []netip.AddrPort
}

func newFakeNet(t *testing.T, c hostileCase) *fakeNet {
	n := &fakeNet{names: map[string][][]netip.Addr{}}
	for name := range c.DNS {
		n.names[strings.TrimSuffix(name, ".")] = c.answers(t, name)
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.Redirect != "" {
			status := http.StatusFound
			if strings.HasPrefix(c.Why, "307") {
				status = http.StatusTemporaryRedirect
			}
			w.Header().Set("Location", c.Redirect)
			w.WriteHeader(status)
		}
	})
	n.plain, n.secure = httptest.NewServer(answer), httptest.NewTLSServer(answer)
	t.Cleanup(n.plain.Close)
	t.Cleanup(n.secure.Close)
	return n
}

func (n *fakeNet) dialer() *dialer {
	return &dialer{lookup: n.lookup, dial: n.dial}
}

func (n *fakeNet) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	answers := n.names[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(answers) > 1 {
		n.names[host] = answers[1:]
	}
	return append([]netip.Addr(nil), answers[0]...), nil
}

func (n *fakeNet) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, to)
	n.mu.Unlock()
	server := n.plain
	if to.Port() == 443 {
		server = n.secure
	}
	return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
}

func TestGuard_Addresses(t *testing.T) {
	guard := Guard{Networks: []netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("::/96"),
		netip.MustParsePrefix("::ffff:0:0/96"),
	}}
	for _, row := range []struct{ name, addr, rule string }{
		{"a public address", "93.184.216.34", ""},
		{"a public address of IPv6", "2606:2800:220:1:248:1893:25c8:1946", ""},
		{"an opened network", "10.1.2.3", ""},
		{"beside an opened network", "10.2.0.0", "private (10.0.0.0/8)"},
		{"a metadata service", "169.254.169.254", "a metadata service (169.254.169.254/32)"},
		{"a metadata service at a public address", "168.63.129.16", "a metadata service (168.63.129.16/32)"},
		{"an opened network, with a zone", "fe80::1%eth0", ""},
		{"a network that is nobody's", "4000::1", "outside of the public internet (2000::/3)"},
		{"NAT64 to a public address", "64:ff9b::93.184.216.34", ""},
		{"NAT64 to an opened one", "64:ff9b::10.1.0.1", ""},
		{"NAT64 to a closed one", "64:ff9b::127.0.0.1", "a way to 127.0.0.1, loopback (127.0.0.0/8)"},
		{"6to4 to a closed one", "2002:a9fe:a9fe::", "a way to 169.254.169.254, a metadata service (169.254.169.254/32)"},
		{"Teredo to a closed one", "2001:0:1:2:3:4:80ff:fffe", "a way to 127.0.0.1, loopback (127.0.0.0/8)"},
		{"a compatible address of a closed one", "::192.168.0.1", "a way to 192.168.0.1, private (192.168.0.0/16)"},
		{"a mapped address of a closed one", "::ffff:192.168.0.1", "a way to 192.168.0.1, private (192.168.0.0/16)"},
		{"a mapped address of an open one", "::ffff:10.1.0.1", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.rule, guard.rule(netip.MustParseAddr(row.addr)))
		})
	}
}

func TestGuard_OpenHosts(t *testing.T) {
	guard := Guard{Hosts: []string{"Orders.internal", "10.0.0.5"}}
	private := []netip.Addr{netip.MustParseAddr("10.0.0.5")}
	for _, host := range []string{"orders.internal", "ORDERS.INTERNAL.", "10.0.0.5"} {
		assert.NoError(t, guard.check(host, private), host)
	}
	for _, host := range []string{"orders.internal.evil.test", "evil.orders.internal", "10.0.0.6", ""} {
		assert.Error(t, guard.check(host, private), host)
	}
}

func TestGuard_NoOtherNetwork(t *testing.T) {
	for _, network := range []string{"unix", "udp", "ip"} {
		_, err := newDialer(Guard{}).DialContext(t.Context(), network, "/var/run/docker.sock")
		assert.ErrorIs(t, err, net.UnknownNetworkError(network))
	}
}

func TestGuard_OldNotationsOfAddresses(t *testing.T) {
	for _, host := range []string{"127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0x", "1.2.3.4.5", "example.0X7F", "127.0.0.1.", "a.7"} {
		assert.True(t, oldAddress(host), host)
	}
	for _, host := range []string{"127.0.0.1", "::1", "example.com", "1e100.net", "0x.org", "x1", "localhost.", ""} {
		assert.False(t, oldAddress(host), host)
	}
}

// What a name's addresses cost in time, of which each is given 250 ms before the next one is tried.
func TestDialer_Race(t *testing.T) {
	const silent = -1
	v4, v6 := netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("2606:2800::1")
	other4, other6 := netip.MustParseAddr("93.184.216.35"), netip.MustParseAddr("2606:2800::2")
	for _, row := range []struct {
		name  string
		takes map[netip.Addr]time.Duration // negative: never; missing: refused at once
		want  netip.Addr
		after time.Duration
	}{
		{"the first answers", map[netip.Addr]time.Duration{v6: 200 * time.Millisecond, v4: 0}, v6, 200 * time.Millisecond},
		{"the first is silent", map[netip.Addr]time.Duration{v6: silent, v4: 0}, v4, 250 * time.Millisecond},
		{"the first is refused", map[netip.Addr]time.Duration{v4: 0}, v4, 0},
		{"IPv6 leads nowhere", map[netip.Addr]time.Duration{v6: silent, other6: silent, v4: 10 * time.Millisecond}, v4, 260 * time.Millisecond},
		{"only the last answers", map[netip.Addr]time.Duration{other4: 0}, other4, 0},
		{"all are silent", map[netip.Addr]time.Duration{v6: silent, other6: silent, v4: silent, other4: silent}, netip.Addr{}, dialTimeout},
		{"all are refused", nil, netip.Addr{}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				open := 0
				var mu sync.Mutex // guards open
				d := &dialer{
					lookup: func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{v6, other6, v4, other4}, nil },
					dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
						takes, answers := row.takes[to.Addr()]
						if !answers {
							return nil, errors.New("refused " + to.String())
						}
						if takes < 0 {
							<-ctx.Done()
							return nil, ctx.Err()
						}
						time.Sleep(takes)
						mu.Lock()
						defer mu.Unlock()
						open++
						return &fakeConn{to: to, closed: func() { open-- }}, nil
					},
				}
				started := time.Now()
				conn, err := d.DialContext(t.Context(), "tcp", "example.com:80")
				assert.Equal(t, row.after, time.Since(started))
				if !row.want.IsValid() {
					require.Error(t, err)
					require.Zero(t, open)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, netip.AddrPortFrom(row.want, 80), conn.(*fakeConn).to)
				assert.Equal(t, 1, open, "only the one that is returned stays open")
			})
		})
	}
}

type fakeConn struct {
	net.Conn
	to     netip.AddrPort
	closed func()
}

func (c *fakeConn) Close() error { c.closed(); return nil }
