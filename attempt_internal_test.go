package callsheet

import (
	"testing"

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
