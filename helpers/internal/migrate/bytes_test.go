package migrate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/postgres"
)

// TestTheServerGetsTheBytesOfTheFile: what psql stores from the same file is what
// this stores; the checksum does not see the ends of lines.
func TestTheServerGetsTheBytesOfTheFile(t *testing.T) {
	const lf = "CREATE TABLE kept (n int, v text);\n" +
		"INSERT INTO kept VALUES (1, 'Subject: x\nTo: y');\n" +
		"INSERT INTO kept VALUES (2, E'a\\\nb'), (3, $$c\n\nd$$), (4, U&'e\nf');\n" +
		"INSERT INTO kept VALUES (5, 'g'\n'h');\n" +
		"CREATE FUNCTION body() RETURNS int LANGUAGE sql AS $f$\nSELECT 1;\n$f$;\n" +
		"COMMENT ON TABLE kept IS 'i\nj'; -- a comment\n/* another\n*/ INSERT INTO kept VALUES (6, '-- not one\nx');\n" +
		"CREATE TABLE \"k\nl\" (a int DEFAULT 1);\n"
	for name, text := range map[string]string{
		"lf": lf, "crlf": strings.ReplaceAll(lf, "\n", "\r\n"), "both": strings.Replace(lf, "\nTo", "\r\nTo", 1),
		"mark": "\xef\xbb\xbf" + strings.ReplaceAll(lf, "\n", "\r\n"),
		"cr":   strings.ReplaceAll(lf, "x\nTo", "x\rTo"), "last": strings.TrimSuffix(strings.ReplaceAll(lf, "\n", "\r\n"), "\r\n"),
		"large": strings.ReplaceAll(lf+strings.Repeat("INSERT INTO kept VALUES (7, 'line\nline;\n');\n", 9000), "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := create(t), create(t)
			dir := write(t, map[string]string{"1_x.sql": text})
			files, err := Load(dir)
			require.NoError(t, err)
			database := open(t, ours)
			_, err = database.Apply(t.Context(), files, options)
			require.NoError(t, err)
			out, err := shared.Program("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", theirs, "-c", "\\i "+
				""+readable(t, dir, text)).CombinedOutput()
			require.NoError(t, err, string(out))
			const stored = `SELECT md5(string_agg(n || ' ' || length(v) || v, '|' ORDER BY n, v) || length((SELECT prosrc FROM pg_proc WHERE proname = 'body')) 
				|| obj_description('kept'::regclass)
				|| (SELECT min(relname) FROM pg_class WHERE relname LIKE 'k%l')) FROM kept`
			assert.Equal(t, one(t, open(t, theirs), stored), one(t, database, stored))
			if name == "crlf" {
				assert.Equal(t, "17", one(t, database, "SELECT length(v) FROM kept WHERE n = 1"))
				other, err := Load(write(t, map[string]string{"1_x.sql": lf}))
				require.NoError(t, err)
				assert.Equal(t, other[0].Checksum, files[0].Checksum)
			}
		})
	}
}

// readable puts a text where the server's account can read it.
func readable(t *testing.T, dir, text string) string {
	t.Helper()
	name := filepath.Join(shared.Dir, filepath.Base(dir)+fmt.Sprint(len(text))+".sql")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	return name
}

// TestAFileWithoutAStatementIsRecorded: comments alone, nothing at all, blanks.
func TestAFileWithoutAStatementIsRecorded(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, _ int) {
		database := open(t, s.create(t))
		files := folder(t, map[string]string{
			"1_a.sql": "-- only for another database\n/* nothing */\n", "2_b.sql": "", "3_c.sql": " \r\n\t", "4_d.sql": ";;\n;",
			"5_e.sql": "-- slipway:no-transaction\n", "6_f.sql": "\xef\xbb\xbf-- withdrawn",
			"7_g.sql": "/* DROP TABLE x; */ -- and\r-- more", "8_h.sql": "CREATE TABLE h (n int);", "R__i.sql": "-- nothing yet",
		})
		plan, err := database.Plan(t.Context(), files, Allow{})
		require.NoError(t, err)
		text := strings.Join(plan.Lines(), "\n")
		for _, name := range []string{"1_a.sql", "2_b.sql", "3_c.sql", "4_d.sql", "5_e.sql", "6_f.sql", "7_g.sql", "R__i.sql"} {
			assert.Contains(t, text, "empty    "+name+" holds no statement")
			assert.Contains(t, plan.Markdown(), name)
		}
		outcome, err := database.Apply(t.Context(), files, options)
		require.NoError(t, err)
		assert.Len(t, outcome.Applied, 9)
		assert.Equal(t, "9", one(t, database, "SELECT count(*) FROM schema_migrations"))
		found, err := LintFiles(t.Context(), files)
		require.NoError(t, err)
		assert.False(t, found.Fails(Note))
	}, 14, postgres.Versions[len(postgres.Versions)-1])
}
