package callsheet

import (
	"testing"

	"github.com/callsheet-go/callsheet/fetch"
	"github.com/stretchr/testify/assert"
)

func TestCall_PagesBelongToAllThatIsAsked(t *testing.T) {
	call := func(change func(*Call)) Call {
		c := Call{
			Request: Request{ID: "r", Path: "/{{.Labels.team}}", Headers: map[string]string{"X-Team": "{{.Labels.team}}", "X-Key": "a"},
				Labels: map[string]string{"team": "fx"}, Pages: &Pagination{By: PageByNumber, Param: "p"}},
			Schedule: Schedule{Labels: map[string]string{"team": "fx"}},
		}
		change(&c)
		return c
	}
	of := call(func(*Call) {}).askedOf()
	for _, tc := range []struct {
		name   string
		change func(*Call)
		same   bool
	}{
		{"nothing is changed", func(*Call) {}, true},
		{"a header without a template is changed", func(c *Call) { c.Request.Headers["X-Key"] = "b" }, true},
		{"a label that another overrides is changed", func(c *Call) { c.Request.Labels["team"] = "other" }, true},
		{"a label of the schedule is changed", func(c *Call) { c.Schedule.Labels["team"] = "other" }, false},
		{"a label of the request is added", func(c *Call) { c.Request.Labels["more"] = "x" }, false},
		{"a header that is a template is changed", func(c *Call) { c.Request.Headers["X-Team"] = "{{.Attempt}}" }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.same, call(tc.change).askedOf() == of)
		})
	}

	plain := func(team string) string {
		return call(func(c *Call) { c.Request.Path, c.Request.Headers, c.Schedule.Labels["team"] = "/fx", nil, team }).askedOf()
	}
	assert.Equal(t, plain("fx"), plain("other"), "without templates labels are not asked with")
}

func TestValidatorsKey_NamesWhoAsks(t *testing.T) {
	oauth := Auth{Type: AuthOAuth2, Secret: "a", TokenURL: "https://a.example/token", ClientID: "a"}
	keys := map[string]string{}
	for name, src := range map[string]Source{
		"nobody":         {},
		"a token":        {Auth: Auth{Type: AuthBearer, Secret: "a"}},
		"another token":  {Auth: Auth{Type: AuthBearer, Secret: "b"}},
		"a user":         {Auth: Auth{Type: AuthBasic, Username: "a", Secret: "a"}},
		"another user":   {Auth: Auth{Type: AuthBasic, Username: "b", Secret: "a"}},
		"a header":       {Auth: Auth{Type: AuthHeader, Name: "A", Secret: "a"}},
		"another header": {Auth: Auth{Type: AuthHeader, Name: "B", Secret: "a"}},
		"a client":       {Auth: oauth},
		"another client": {Auth: Auth{Type: AuthOAuth2, Secret: "a", TokenURL: "https://a.example/token", ClientID: "b"}},
		"an endpoint":    {Auth: Auth{Type: AuthOAuth2, Secret: "a", TokenURL: "https://b.example/token", ClientID: "a"}},
		"a scope":        {Auth: Auth{Type: AuthOAuth2, Secret: "a", TokenURL: "https://a.example/token", ClientID: "a", Scopes: []string{"x"}}},
		"a parameter":    {Auth: Auth{Type: AuthOAuth2, Secret: "a", TokenURL: "https://a.example/token", ClientID: "a", Params: map[string]string{"audience": "x"}}},
		"a certificate":  {TLS: TLS{Certificate: "a"}},
	} {
		key := validatorsKey(Call{Source: src}, fetch.Request{})
		assert.Empty(t, keys[key], "%s was expected to have a key of its own", name)
		keys[key] = name
	}
	assert.Equal(t, validatorsKey(Call{}, fetch.Request{}), validatorsKey(Call{Source: Source{Auth: Auth{Type: AuthNone}}}, fetch.Request{}), "none is what empty means")
}
