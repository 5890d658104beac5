package fetch_test

import (
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func TestGuard_IsOnByDefault(t *testing.T) {
	var calls atomic.Int64
	server := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	client := fetch.New(nil)
	t.Cleanup(client.Close)

	_, err := client.Do(t.Context(), fetch.Request{BaseURL: server.URL})
	failed := requireKind(t, err, fetch.KindAddress)
	assert.EqualError(t, err, "GET "+server.URL+": address: 127.0.0.1 is loopback (127.0.0.0/8), which is "+
		`not open to calls; the host program can open it: WithAllowedNetworks("127.0.0.1/32") or WithAllowedHosts("127.0.0.1")`)
	var closed *fetch.AddressError
	require.ErrorAs(t, failed, &closed)
	assert.Equal(t, netip.MustParseAddr("127.0.0.1"), closed.Addr)

	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	_, err = client.Do(t.Context(), fetch.Request{BaseURL: byName})
	assert.ErrorContains(t, requireKind(t, err, fetch.KindAddress), "localhost at ")
	assert.Zero(t, calls.Load())
}

func TestGuard_OpensByNetworkAndByName(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	client := fetch.NewGuarded(fetch.Guard{Hosts: []string{"localhost"}})
	t.Cleanup(client.Close)
	_, err := client.Do(t.Context(), fetch.Request{BaseURL: byName})
	require.NoError(t, err)
	_, err = client.Do(t.Context(), fetch.Request{BaseURL: server.URL})
	requireKind(t, err, fetch.KindAddress)
}

func TestGuard_ChecksEachHop(t *testing.T) {
	for name, location := range map[string]string{
		"a closed address":                     "http://127.0.0.2:1/",
		"an address in an old notation":        "http://2130706433:1/",
		"an address of IPv6 that carries IPv4": "http://[::ffff:127.0.0.1]:1/",
	} {
		t.Run(name, func(t *testing.T) {
			home := newWitness(t, map[string]string{"/start": "302 " + location})
			client := fetch.NewGuarded(fetch.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
			t.Cleanup(client.Close)
			_, err := client.Do(t.Context(), fetch.Request{BaseURL: home.URL, Path: "start"})
			requireKind(t, err, fetch.KindAddress)
		})
	}
}
