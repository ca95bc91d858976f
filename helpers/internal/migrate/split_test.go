package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// whole checks what must be true of every split: the pieces are the text, each
// piece is one statement, and chunks are the same pieces.
func whole(t *testing.T, sql string) (statements int, parsed bool) {
	t.Helper()
	pieces, err := split(sql)
	if err != nil {
		return 0, false
	}
	joined := strings.Builder{}
	for _, p := range pieces {
		joined.WriteString(sql[p.from:p.to])
		if _, err := statementOf(sql, 1, p); err != nil {
			continue // an answer that names no rule
		}
		again, err := split(sql[p.from:p.to])
		require.NoError(t, err)
		require.Len(t, again, 1, "%q", sql[p.from:p.to])
		require.GreaterOrEqual(t, p.line, 1)
	}
	if len(pieces) > 0 {
		require.Equal(t, sql, joined.String())
	}
	return len(pieces), true
}

// chunked reads a text in small chunks: the same statements, and no byte lost.
func chunked(t *testing.T, sql string, size int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.sql")
	require.NoError(t, os.WriteFile(path, []byte(sql), 0o600))
	in, err := openSource(path)
	require.NoError(t, err)
	defer in.Close()
	want, err := split(sql)
	if err != nil {
		return
	}
	var text strings.Builder
	var lines []int
	for {
		part, err := in.next(size)
		if err != nil {
			break
		}
		text.WriteString(part.text)
		for _, p := range part.pieces {
			lines = append(lines, part.line-1+p.line)
		}
	}
	require.Equal(t, sql, text.String())
	require.Len(t, lines, len(want))
	for i, p := range want {
		require.Equal(t, p.line, lines[i])
	}
}

// TestPostgreSQLsOwnRegressionStatements splits the files of PostgreSQL's
// regression suite, cut down to what is SQL: SLIPWAY_REGRESSION names the folder
// src/test/regress/sql of its source; without it a few are here.
func TestPostgreSQLsOwnRegressionStatements(t *testing.T) {
	folder := os.Getenv("SLIPWAY_REGRESSION")
	if folder == "" {
		folder = "testdata/regress"
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.sql"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	statements, refused := 0, 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		if n, ok := whole(t, string(body)); ok {
			statements += n
			chunked(t, string(body), 300)
			continue
		}
		// The files hold psql's commands, rows for COPY and statements that are wrong
		// on purpose: what does not parse is left out paragraph by paragraph.
		for _, paragraph := range strings.Split(string(body), "\n\n") {
			n, ok := whole(t, paragraph)
			statements += n
			if !ok {
				refused++
				_, err := split(paragraph)
				assert.ErrorAs(t, err, &errorAt{}, paragraph)
			} else if n > 0 {
				chunked(t, paragraph+"\n", 64)
			}
		}
	}
	t.Logf("%d files, %d statements; %d paragraphs refused by the parser", len(files), statements, refused)
	assert.Greater(t, statements, 100)
}

func FuzzSplit(f *testing.F) {
	for _, claim := range claims {
		f.Add(claim.sql)
	}
	for _, seed := range []string{
		"SELECT 1;; -- a;\nSELECT $$;$$;", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;\nSELECT 1",
		"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);",
		"/* a /* b; */ ; */ SELECT ';' -- x", "SELECT E'\\';', U&'d\\0061t;a', $a$ ; $b$ ; $a$",
		"-- slipway:ok index reason\nCREATE INDEX i ON t (a)", "COPY t FROM STDIN;\n1\t2\n\\.\n", "\\d t", "\xff", "SELECT 'ä;\nü';\n",
		"DELETE FROM t -- all;\nWHERE id = 1;\n", "ALTER TABLE ONLY", "VACUUM (FULL", "CREATE TABLE t (a int) PARTITION BY RANGE (a);",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if badByte([]byte(sql)) >= 0 {
			return
		}
		whole(t, sql)
		if !strings.HasPrefix(sql, "\xef\xbb\xbf") {
			chunked(t, sql, 8)
		}
	})
}
