package migrate

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnAnsweredFindingStaysAndStillCounts: the approver reads what it is, why, and
// who said so.
func TestAnAnsweredFindingStaysAndStillCounts(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE users (id int, email text); CREATE TABLE t (a int)")
	dir := write(t, map[string]string{
		"1_x.sql": "CREATE TABLE n (a int);\n-- slipway:ok drop-table the new version does not need it\nDROP TABLE users;\n",
		"2_x.sql": "-- slipway:ok index ten rows\nCREATE INDEX i ON t (a);",
		"3_x.sql": "SELECT '-- slipway:ok drop-table a string'; DROP TABLE t;",
	})
	run := func(arguments ...string) {
		command := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ann\x1b[31m Ba", "-c", "user.email=a@b"}, arguments...)...)
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	load := func() []Migration {
		files, err := Load(dir)
		require.NoError(t, err)
		return files
	}
	plan, err := database.Plan(t.Context(), load(), Allow{})
	require.NoError(t, err)
	assert.Empty(t, plan.Pending[0].Statements[1].Findings[0].Answered.Author, "no git")
	run("init", "-q")
	run("add", ".")
	plan, err = database.Plan(t.Context(), load(), Allow{})
	require.NoError(t, err)
	assert.Empty(t, plan.Pending[0].Statements[1].Findings[0].Answered.Author, "not committed")
	run("commit", "-q", "-m", "x")

	plan, err = database.Plan(t.Context(), load(), Allow{})
	require.NoError(t, err)
	assert.Equal(t, []string{"1_x.sql", "3_x.sql"}, plan.Breaking())
	assert.Equal(t, Danger, plan.Worst())
	lines := strings.Join(plan.Lines(), "\n")
	assert.Contains(t, lines, "BREAKING 1_x.sql:3 DROP TABLE users")
	assert.Contains(t, lines, `Ba: the new version does not need it`)
	assert.Contains(t, lines, "ten rows")
	assert.NotContains(t, lines, "\x1b")
	assert.Contains(t, plan.Markdown(), "the new version does not need it")
	_, err = database.Apply(t.Context(), load()[:1], options)
	assert.ErrorContains(t, err, "--allow-breaking")

	found, err := LintFiles(t.Context(), load())
	require.NoError(t, err)
	assert.True(t, found.Fails(Danger), "the string in the third file answers for nothing")
	found, err = LintFiles(t.Context(), load()[:2])
	require.NoError(t, err)
	assert.False(t, found.Fails(Danger), "all is answered for")
	var text strings.Builder
	require.NoError(t, found.Text(&text))
	assert.Contains(t, text.String(), "the new version does not need it [drop-table]")
}
