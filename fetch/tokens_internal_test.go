package fetch

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestTokens_AreKeptUpToABound(t *testing.T) {
	var all tokens
	asked := 0
	get := func(n int) {
		var key tokenKey
		binary.BigEndian.PutUint64(key[:], uint64(n))
		_, _, err := all.get(t.Context(), key, func() (*oauth2.Token, error) {
			asked++
			return &oauth2.Token{AccessToken: "t"}, nil
		})
		require.NoError(t, err)
	}
	for n := range 3 * maxTokens {
		get(n)
		require.LessOrEqual(t, len(all.kept), maxTokens)
	}
	require.Equal(t, 3*maxTokens, asked)
	get(3*maxTokens - 1)
	require.Equal(t, 3*maxTokens, asked, "the latest is still there")
	get(0)
	require.Equal(t, 3*maxTokens+1, asked, "the first is not")
}
