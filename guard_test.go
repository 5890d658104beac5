package callsheet_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
)

func TestGuard_ClosedAddressIsPermanent(t *testing.T) {
	var calls atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer api.Close()
	sheet := callsheet.Sheet{
		Sources:   []callsheet.Source{{ID: "api", BaseURL: api.URL}},
		Requests:  []callsheet.Request{{ID: "r", Source: "api"}},
		Schedules: []callsheet.Schedule{{ID: "s", Request: "r"}},
	}
	for name, tc := range map[string]struct {
		opts  []callsheet.Option
		state callsheet.State
	}{
		"closed by default":      {nil, callsheet.StateFailed},
		"opened by its network":  {[]callsheet.Option{callsheet.WithAllowedNetworks("127.0.0.0/8")}, callsheet.StateSucceeded},
		"opened by its address":  {[]callsheet.Option{callsheet.WithAllowedNetworks("127.0.0.1")}, callsheet.StateSucceeded},
		"opened by its name":     {[]callsheet.Option{callsheet.WithAllowedHosts("127.0.0.1")}, callsheet.StateSucceeded},
		"another one is opened":  {[]callsheet.Option{callsheet.WithAllowedNetworks("10.0.0.0/8")}, callsheet.StateFailed},
		"a transport of its own": {[]callsheet.Option{callsheet.WithTransport(http.DefaultTransport)}, callsheet.StateSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			calls.Store(0)
			e := execute(t, sheet, tc.opts...)
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			require.Equal(t, tc.state, e.State, e.Error)
			if tc.state == callsheet.StateSucceeded {
				return
			}
			assert.Equal(t, callsheet.ClassPermanent, e.Class)
			assert.Len(t, e.Attempts, 1, "nothing is gained by trying again")
			assert.Contains(t, e.Error, `127.0.0.1 is loopback (127.0.0.0/8), which is not open to calls; the host program can open it: WithAllowedNetworks("127.0.0.1/32")`)
			assert.Zero(t, calls.Load())
		})
	}
}

func TestGuard_OptionsNameAllThatIsWrong(t *testing.T) {
	_, err := callsheet.New(memory.New(),
		callsheet.WithAllowedNetworks("10.0.0.0/8", "10.0.0.5/8", "localhost", ""),
		callsheet.WithAllowedHosts("orders.internal", "::1", "orders.internal:80", "http://x", "*.internal", ""))
	var wrong []string
	for _, fault := range callsheet.ValidationErrors(err) {
		wrong = append(wrong, fault.Field+" "+fault.Value)
	}
	assert.Equal(t, []string{
		"WithAllowedNetworks 10.0.0.5/8", "WithAllowedNetworks localhost", "WithAllowedNetworks ",
		"WithAllowedHosts orders.internal:80", "WithAllowedHosts http://x", "WithAllowedHosts *.internal", "WithAllowedHosts ",
	}, wrong)
}
