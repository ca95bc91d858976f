package migrate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLintReadsFilesAlone has the rules that need more than one statement.
func TestLintReadsFilesAlone(t *testing.T) {
	for _, test := range []struct{ sql, want string }{
		{"CREATE TABLE n (a int); CREATE INDEX i ON n (a); ALTER TABLE n ADD CHECK (a > 0); DROP TABLE n", ""},
		{"-- slipway:ok index ten rows\nCREATE INDEX i ON t (a)", "(index)"},
		{"CREATE INDEX i ON t (a); -- slipway:ok index the next one\nCREATE INDEX j ON t (b)", "index (index)"},
		{"SELECT '\n-- slipway:ok index a string\n'; CREATE INDEX i ON t (a)", "index"},
		{"DELETE FROM t WHERE a <> '-- slipway:ok delete-all a string' OR true", ""},
		{"ALTER TABLE t ADD COLUMN a int; ALTER TABLE u ADD COLUMN a int", "many-locks"},
		{"ALTER TABLE t ADD COLUMN a int; UPDATE t SET a = 1 WHERE b", "ddl-with-data"},
		{"UPDATE t SET a = 1 WHERE b; ALTER TABLE t ADD COLUMN a int", ""},
		{"ALTER TYPE e ADD VALUE 'late'; INSERT INTO t VALUES ('late')", "enum-used"},
		{"ALTER TYPE e ADD VALUE 'late'; INSERT INTO t VALUES ('early')", ""},
		{"ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k; ALTER TABLE t ALTER COLUMN a " +
			"SET NOT NULL", "check"},
		{"ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t ALTER COLUMN a SET NOT NULL", "set-not-null"},
		{"CREATE TABLE n (id int PRIMARY KEY)", "int-primary-key"},
		{"CREATE TABLE n (id serial, PRIMARY KEY (id))", "int-primary-key"},
		{"CREATE TABLE n (a json, b char(3), c timestamp, d timestamptz, e jsonb)", "json char timestamp"},
		{"CREATE TABLE a234567890123456789012345678901234567890123456789012345678901234 (x int)", "long-name"},
		{"CREATE TABLE a23456789012345678901234567890123456789012345678901234567890123 (x int)", ""},
		{"TRUNCATE t CASCADE", "truncate truncate-cascade"},
		{"ALTER TABLE t ALTER COLUMN a TYPE text", "alter-type"}, // without a database nobody knows
	} {
		found, err := LintFiles(t.Context(), folder(t, map[string]string{"1_x.sql": test.sql}))
		require.NoError(t, err, test.sql)
		var names []string
		for _, s := range found.Files[0].Statements {
			for _, finding := range s.Findings {
				if finding.Answered != nil {
					finding.Name = "(" + finding.Name + ")"
				}
				names = append(names, finding.Name)
			}
		}
		assert.Equal(t, test.want, strings.Join(names, " "), test.sql)
	}
	for sql, says := range map[string]string{
		"-- slipway:ok no-such-rule because\nSELECT 1": "names no rule", "-- slipway:ok index\nCREATE INDEX i ON t (a)": "gives no reason",
		"-- +goose Up\nSELECT 1;\n-- +goose Down\nDROP TABLE t;": "1_x.sql:3: from here on the file takes back",
		"DISCARD ALL": "releases the advisory lock",
	} {
		_, err := LintFiles(t.Context(), folder(t, map[string]string{"1_x.sql": sql}))
		assert.ErrorContains(t, err, says)
	}
}

// TestARuleThatSpeaksIsHeldAgainstAServer: no rule is without a claim or a case here.
func TestEveryRuleHasItsTest(t *testing.T) {
	tested := "many-locks ddl-with-data enum-used int-primary-key json char long-name truncate-cascade not-analysed refused lock-timeout " +
		"statement-timeout detach-referenced "
	for _, claim := range claims {
		tested += claim.findings + " "
	}
	for _, risk := range risks {
		tested += strings.ReplaceAll(risk.want, "*", "") + " "
	}
	for _, rule := range Rules {
		assert.Contains(t, strings.Fields(tested), rule.Name)
	}
}
