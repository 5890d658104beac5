package callsheet_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadme_ShowsTheProgramThatIsCompiled(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("examples/minimal/main.go")
	require.NoError(t, err)
	assert.Contains(t, string(readme), string(program), "README.md and examples/minimal/main.go differ")
}
