package fetch

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHider(t *testing.T) {
	for _, row := range []struct {
		name     string
		forms    []string
		in, want string
	}{
		{"nothing to hide", nil, "all of it", "all of it"},
		{"none there", []string{"secret"}, "secre sec secr", "secre sec secr"},
		{"several", []string{"secret"}, "secret, a secretsecret", "redacted, a redactedredacted"},
		{"a form within a longer one", []string{"secretive", "secret"}, "secretive secret secretiv", "redacted redacted redactediv"},
		{"forms that overlap", []string{"abcab", "cabcd"}, "xabcabcdx", "xredactedx"},
	} {
		for size := 1; size <= len(row.in); size++ {
			var out bytes.Buffer
			h := &hider{forms: row.forms, to: &out}
			for rest := row.in; rest != ""; {
				n := min(size, len(rest))
				_, err := h.Write([]byte(rest[:n]))
				require.NoError(t, err)
				rest = rest[n:]
			}
			require.NoError(t, h.end())
			require.Equal(t, row.want, out.String(), "%s, by %d", row.name, size)
		}
	}
}

func FuzzHider(f *testing.F) {
	f.Add("a secret and another", "secret", "secretive", 3)
	f.Add("aaaa", "aa", "aaa", 1)
	f.Fuzz(func(t *testing.T, text, one, other string, size int) {
		if one == "" || other == "" || size < 1 || len(text) > 1000 || strings.Contains(redacted, one) || strings.Contains(redacted, other) {
			return
		}
		forms := []string{one, other}
		if len(other) > len(one) {
			forms = []string{other, one}
		}
		hide := func(size int) string {
			var out bytes.Buffer
			h := &hider{forms: forms, to: &out}
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				_, err := h.Write([]byte(rest[:n]))
				require.NoError(t, err)
				rest = rest[n:]
			}
			require.NoError(t, h.end())
			return out.String()
		}
		whole := hide(len(text) + 1)
		require.Equal(t, whole, hide(size), "what is hidden does not depend on how it comes")
		for _, stretch := range strings.Split(whole, redacted) {
			require.NotContains(t, stretch, one)
			require.NotContains(t, stretch, other)
		}
	})
}
