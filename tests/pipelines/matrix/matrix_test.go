package matrix

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestACellThatIsNotPlayedKeepsWhatItWas(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.md")
	require.NoError(t, os.WriteFile(file, []byte("above\n<!-- x: begin -->\nnothing yet\n<!-- x: end -->\nbelow\n"), 0o644))
	put := func(rows []Row, row Row, column, outcome string, good bool) string {
		table, err := Open(file, "x", rows, []string{"fails", "abort"}, 4)
		require.NoError(t, err)
		require.NoError(t, table.Put(row, column, outcome, good))
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(body)
	}
	one, two, three := Row{"Build", "1 sh"}, Row{"", "2 node"}, Row{"", "3 node"}
	put([]Row{one, two}, one, "fails", "FAILURE, untouched", true)
	put([]Row{one, two}, two, "abort", "SUCCESS", false)
	assert.Equal(t, "above\n<!-- x: begin -->\n2 steps, 4 cells, 3 played, 2 as they must be.\n\n| stage | step | fails | abort |\n|---|---|---|---|\n"+
		"| Build | 1 sh | FAILURE, untouched | ABORTED |\n|  | 2 node |  | **SUCCESS** |\n<!-- x: end -->\nbelow\n",
		put([]Row{one, two}, one, "abort", "ABORTED", true))
	assert.Contains(t, put([]Row{one, three}, three, "fails", "FAILURE", true),
		"| Build | 1 sh | FAILURE, untouched | ABORTED |\n|  | 3 node | FAILURE |  |\n", "a step that is gone takes its cells along")
	table, err := Open(file, "x", []Row{one, three}, []string{"fails", "abort"}, 4)
	require.NoError(t, err)
	assert.True(t, table.Good(one, "fails"))
	assert.False(t, table.Good(three, "abort"), "not played")
	_, err = Open(file, "y", nil, nil, 0)
	assert.ErrorContains(t, err, "has no lines <!-- y: begin -->")
}
