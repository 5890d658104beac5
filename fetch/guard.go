package fetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Guard says which addresses, beside those of the public internet, a transport may connect to. The
// zero Guard opens nothing: loopback, private and link-local networks and all else that is not public are
// closed, and so are the addresses at which clouds tell their secrets.
//
// A name is resolved once for each connection. All its addresses must be open, or none is dialled; what
// was checked is what is dialled, so that a name whose address changes in between gains nothing.
type Guard struct {
	// Networks are open. An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4, Teredo) is open
	// where both are.
	Networks []netip.Prefix
	// Hosts are open by the name that a URL gives them, wherever it leads: whoever answers for the name
	// decides which address is called. Letter case does not matter, nor does a dot at the end.
	Hosts []string
}

// An AddressError says that a host was not called because of its address.
type AddressError struct {
	Host string
	Addr netip.Addr // invalid if the host is not written as one should be
	Rule string     // what the address is: "private (10.0.0.0/8)"
}

func (e *AddressError) Error() string {
	if !e.Addr.IsValid() {
		return e.Host + " " + e.Rule
	}
	what := e.Host
	if e.Host != e.Addr.String() {
		what += " at " + e.Addr.String()
	}
	return fmt.Sprintf("%s is %s, which is not open to calls; the host program can open it: WithAllowedNetworks(%q) or WithAllowedHosts(%q)",
		what, e.Rule, netip.PrefixFrom(e.Addr.WithZone(""), e.Addr.BitLen()), e.Host)
}

// check returns the first of addrs that is closed.
func (g Guard) check(host string, addrs []netip.Addr) error {
	if slices.ContainsFunc(g.Hosts, func(open string) bool { return sameHost(open, host) }) {
		return nil
	}
	for _, addr := range addrs {
		if rule := g.rule(addr); rule != "" {
			return &AddressError{host, addr, rule}
		}
	}
	return nil
}

func sameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// rule returns why addr is closed; "" if it is open.
func (g Guard) rule(addr netip.Addr) string {
	addr = addr.WithZone("") // no network contains an address with a zone
	if slices.ContainsFunc(g.Networks, func(open netip.Prefix) bool { return open.Contains(addr) }) {
		if inner, carried := carriedIPv4(addr); carried {
			if rule := g.rule(inner); rule != "" {
				return fmt.Sprintf("a way to %s, %s", inner, rule)
			}
		}
		return ""
	}
	for _, n := range closed {
		if n.prefix.Contains(addr) {
			return fmt.Sprintf("%s (%s)", n.what, n.prefix)
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return fmt.Sprintf("outside of the public internet (%s)", globalUnicast)
	}
	return ""
}

// globalUnicast is the part of IPv6 that IANA gives out; everything else has a purpose of its own.
var globalUnicast = netip.MustParsePrefix("2000::/3")

type closedNetwork struct {
	prefix netip.Prefix
	what   string
}

// closed are the networks of IANA's special-purpose registries that are not public, or that lead to
// such, and the addresses of metadata services among the public ones. The narrower comes first.
var closed = closedNetworks(
	"169.254.169.254/32", "a metadata service",
	"169.254.170.2/32", "a metadata service",
	"100.100.100.200/32", "a metadata service",
	"168.63.129.16/32", "a metadata service",
	"192.0.0.192/32", "a metadata service",
	"fd00:ec2::254/128", "a metadata service",
	"fd20:ce::254/128", "a metadata service",

	"255.255.255.255/32", "broadcast",
	"0.0.0.0/8", "unspecified",
	"10.0.0.0/8", "private",
	"100.64.0.0/10", "shared by a carrier's customers",
	"127.0.0.0/8", "loopback",
	"169.254.0.0/16", "link-local",
	"172.16.0.0/12", "private",
	"192.0.0.0/24", "reserved for protocols",
	"192.0.2.0/24", "for documentation",
	"192.88.99.0/24", "a relay of 6to4",
	"192.168.0.0/16", "private",
	"198.18.0.0/15", "for benchmarks",
	"198.51.100.0/24", "for documentation",
	"203.0.113.0/24", "for documentation",
	"224.0.0.0/4", "multicast",
	"240.0.0.0/4", "reserved",

	"::/128", "unspecified",
	"::1/128", "loopback",
	"::/96", "compatible with IPv4",
	"::ffff:0:0/96", "mapped from IPv4",
	"64:ff9b::/96", "translated to IPv4",
	"64:ff9b:1::/48", "translated to IPv4",
	"100::/64", "discarded",
	"2001::/32", "a tunnel of Teredo",
	"2001:2::/48", "for benchmarks",
	"2001:db8::/32", "for documentation",
	"2001::/23", "reserved for protocols",
	"2002::/16", "a tunnel of 6to4",
	"3fff::/20", "for documentation",
	"5f00::/16", "for segment routing",
	"fc00::/7", "private",
	"fe80::/10", "link-local",
	"fec0::/10", "site-local",
	"ff00::/8", "multicast",
)

func closedNetworks(pairs ...string) []closedNetwork {
	networks := make([]closedNetwork, 0, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		networks = append(networks, closedNetwork{netip.MustParsePrefix(pair[0]), pair[1]})
	}
	return networks
}

// carriedIPv4 returns the IPv4 address to which an IPv6 address leads.
func carriedIPv4(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	if addr == netip.IPv6Unspecified() || addr == netip.IPv6Loopback() {
		return netip.Addr{}, false // they lie within ::/96 and are meant as they are
	}
	for _, form := range carriers {
		if form.prefix.Contains(addr) {
			b := addr.As16()
			inner := [4]byte(b[form.at:])
			for i := range inner {
				inner[i] ^= form.mask
			}
			return netip.AddrFrom4(inner), true
		}
	}
	return netip.Addr{}, false
}

// carriers are the networks of IPv6 whose addresses lead to one of IPv4, and where that stands in them.
var carriers = [...]struct {
	prefix netip.Prefix
	at     int
	mask   byte
}{
	{netip.MustParsePrefix("::ffff:0:0/96"), 12, 0},
	{netip.MustParsePrefix("::/96"), 12, 0},
	{netip.MustParsePrefix("64:ff9b::/96"), 12, 0},
	{netip.MustParsePrefix("2002::/16"), 2, 0},
	{netip.MustParsePrefix("2001::/32"), 12, 0xff}, // Teredo inverts the bits, lest a router translates them
}

// oldAddress reports whether host is an address as inet_aton reads it: 127.1, 0x7f000001, 2130706433. Some
// resolvers take those, some do not, and nobody sees at a glance where they lead.
func oldAddress(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	return last != "" && (strings.Trim(last, "0123456789") == "" ||
		strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == "")
}

const ruleOldAddress = "must be a name, or an address in full, such as 192.0.2.1"

const (
	// dialTimeout bounds the way to a connection: the resolver and all addresses.
	dialTimeout = 10 * time.Second
	// headStart is how long an address has before the next one is tried beside it (RFC 8305).
	headStart = 250 * time.Millisecond
)

// A dialer connects to what its guard has checked.
type dialer struct {
	guard  Guard
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

func newDialer(guard Guard) *dialer {
	tcp := &net.Dialer{KeepAlive: 30 * time.Second}
	return &dialer{
		guard: guard,
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			conn, err := tcp.DialTCP(ctx, "tcp", netip.AddrPort{}, to)
			if err != nil {
				return nil, err // not conn, which would be a nil that is none
			}
			return conn, nil
		},
	}
}

// DialContext is what a transport calls.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	failed := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: network, Err: err} }
	if network != "tcp" {
		return failed(net.UnknownNetworkError(network))
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return failed(err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return failed(&net.AddrError{Err: "invalid port", Addr: address})
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := d.resolve(ctx, host)
	if err != nil {
		return failed(err)
	}
	if err := d.guard.check(host, addrs); err != nil {
		return nil, err
	}
	return d.race(ctx, alternate(addrs), uint16(port))
}

func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	if oldAddress(host) {
		return nil, &AddressError{Host: host, Rule: ruleOldAddress}
	}
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap() // package net gives IPv4 addresses in either form
	}
	return addrs, nil
}

// alternate keeps the resolver's order but takes IPv6 and IPv4 in turn, lest a network without a way to
// one of them waits for all of its addresses.
func alternate(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, addr := range addrs {
		if addr.Is4() == addrs[0].Is4() {
			first = append(first, addr)
		} else {
			second = append(second, addr)
		}
	}
	turns := make([]netip.Addr, 0, len(addrs))
	for len(first) > 0 && len(second) > 0 {
		turns = append(turns, first[0], second[0])
		first, second = first[1:], second[1:]
	}
	return append(append(turns, first...), second...)
}

// race connects to the first of addrs that answers, and returns the error of the first one if none does.
func (d *dialer) race(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	if len(addrs) == 1 {
		return d.dial(ctx, netip.AddrPortFrom(addrs[0], port))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		conn net.Conn
		err  error
	}
	outcomes, running := make(chan outcome), 0
	start := func() {
		to := netip.AddrPortFrom(addrs[0], port)
		addrs = addrs[1:]
		running++
		go func() {
			conn, err := d.dial(ctx, to)
			outcomes <- outcome{conn, err}
		}()
	}

	var won net.Conn
	var failed error
	for start(); running > 0; {
		var patience <-chan time.Time
		if won == nil && len(addrs) > 0 {
			patience = time.After(headStart)
		}
		select {
		case <-patience:
			start()
		case o := <-outcomes:
			running--
			switch {
			case o.err == nil && won == nil:
				won = o.conn
				cancel()
			case o.err == nil:
				_ = o.conn.Close()
			case won == nil:
				if failed == nil {
					failed = o.err
				}
				if len(addrs) > 0 {
					start()
				}
			}
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, failed
}
