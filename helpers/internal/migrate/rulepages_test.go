package migrate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const rulePages = "../../../docs/rules"

// needsCatalog are the rules that speak only where a database knows more than the text.
const needsCatalog = "overload refused detach-referenced collation not-analysed"

// page is what docs/rules has of a rule.
func (r Rule) page(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "# %s\n\nLevel: %s.", r.Name, r.Level)
	if r.Breaking {
		out.WriteString(" BREAKING: the version that still runs would not survive it, and `apply` wants `--allow-breaking`.")
	}
	fmt.Fprintf(&out, "\n\n```sql\n%s;\n```\n\n**What happens:** %s.\n\n**Locks:** %s\n\n", r.Example, r.Message, r.locks(t))
	versions := "the same on PostgreSQL 14 to 18, which the tests run."
	if r.Versions != "" {
		versions = r.Versions + " Otherwise the same on PostgreSQL 14 to 18, which the tests run."
	}
	fmt.Fprintf(&out, "**Versions:** %s\n\n**Instead:** %s.\n\n", versions, r.Instead)
	if r.users {
		out.WriteString("A table that the same plan creates is exempt: nobody uses it yet.\n\n")
	}
	fmt.Fprintf(&out, "**To waive it,** say why in a comment before the statement. The finding stays in the plan, with the reason and its "+
		"author%s:\n\n```sql\n-- slipway:ok %s ten rows, and nobody writes at night\n%s;\n```\n",
		map[bool]string{true: ", and it stays BREAKING"}[r.Breaking], r.Name, r.Example)
	return out.String()
}

// locks says what the example is said to lock, from the same code that a plan comes from.
func (r Rule) locks(t *testing.T) string {
	t.Helper()
	found, err := LintFiles(t.Context(), folder(t, map[string]string{"1_x.sql": r.Example}))
	require.NoError(t, err, r.Name)
	if !strings.Contains(" "+needsCatalog+" ", " "+r.Name+" ") {
		assert.Contains(t, strings.Fields(strings.ReplaceAll(ofPlan(found.Files), "*", "")), r.Name, "the example of the rule")
	}
	var all []string
	for _, s := range found.Files[0].Statements {
		if len(s.Locks) == 0 {
			continue
		}
		text := s.lockText()
		switch {
		case s.Rewrites:
			text += ", and the table is rewritten"
		case s.Scans:
			text += ", and the table is read from end to end"
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return "the example locks no table."
	}
	return "the example takes " + strings.Join(all, "; then ") + ". With a database, the plan adds the relations that the statement does " +
		"not name."
}

// TestEachRuleHasItsPage: SLIPWAY_WRITE=1 writes the pages anew.
func TestEachRuleHasItsPage(t *testing.T) {
	index := "# Rules\n\nWhat `migrate-diff lint` and `migrate-diff plan` look for. These pages are written from the rules themselves.\n\n" +
		"| rule | level | what happens |\n|---|---|---|\n"
	pages := map[string]string{}
	for _, rule := range Rules {
		pages[rule.Name+".md"] = rule.page(t)
		level := rule.Level
		if rule.Breaking {
			level += ", BREAKING"
		}
		index += fmt.Sprintf("| [%s](%s.md) | %s | %s |\n", rule.Name, rule.Name, level, cell(rule.Message))
	}
	pages["README.md"] = index
	if os.Getenv("SLIPWAY_WRITE") != "" {
		require.NoError(t, os.MkdirAll(rulePages, 0o755))
		for name, text := range pages {
			require.NoError(t, os.WriteFile(filepath.Join(rulePages, name), []byte(text), 0o644))
		}
	}
	entries, err := os.ReadDir(rulePages)
	require.NoError(t, err)
	assert.Len(t, entries, len(pages), "a page without a rule")
	for name, text := range pages {
		body, err := os.ReadFile(filepath.Join(rulePages, name))
		require.NoError(t, err)
		assert.Equal(t, text, string(body), "SLIPWAY_WRITE=1 go test ./helpers/internal/migrate -run TestEachRuleHasItsPage writes %s", name)
	}
}
