package check

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page's tables are those of the program: SLIPWAY_WRITE=true go test ./helpers/internal/check -run ThePage writes them.
func TestThePageListsTheChecks(t *testing.T) {
	const page = "../../../docs/check.md"
	const begin = "<!-- The tables below are written by SLIPWAY_WRITE=true go test ./helpers/internal/check -run ThePage -->\n"
	body, err := os.ReadFile(page)
	require.NoError(t, err)
	text, tables, found := strings.Cut(string(body), begin)
	require.True(t, found)
	wanted := List(Table()).Markdown()
	if os.Getenv("SLIPWAY_WRITE") != "" {
		require.NoError(t, os.WriteFile(page, []byte(text+begin+wanted), 0o644))
		return
	}
	assert.Equal(t, wanted, tables)
}

// An id is part of the JSON, and never means two checks; a sentence of a table has no bar, which would end its cell.
func TestTheTableIsWhole(t *testing.T) {
	table := Table()
	assert.GreaterOrEqual(t, len(table), 50)
	seen := map[string]bool{}
	for _, check := range table {
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*$`, check.ID)
		assert.False(t, seen[check.ID], check.ID)
		seen[check.ID] = true
		assert.Contains(t, groups, check.Group, check.ID)
		assert.False(t, seen[check.Group], "%s is a group, and --only takes both", check.ID)
		for _, text := range []string{check.Title, check.Why} {
			assert.NotEmpty(t, text, check.ID)
			assert.NotContains(t, text, "|", check.ID)
			assert.False(t, strings.HasSuffix(text, "."), check.ID)
		}
		assert.NotNil(t, check.ask, check.ID)
	}
}
