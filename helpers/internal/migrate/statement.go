package migrate

import (
	"errors"
	"fmt"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
)

// Statement is one statement of a file, as PostgreSQL's own parser sees it.
type Statement struct {
	SQL      string    `json:"sql"`
	Line     int       `json:"line"`
	Kind     string    `json:"kind"`            // such as CREATE INDEX
	Table    string    `json:"table,omitempty"` // the table that it locks
	Lock     string    `json:"lock,omitempty"`  // the lock mode, as pg_locks names it
	Alone    bool      `json:"alone"`           // cannot run in a transaction
	Findings []Finding `json:"findings,omitempty"`

	index   string // the index that it creates
	created string // the table that it creates
	control bool   // begins or ends a transaction
	copies  bool   // reads rows from the client
}

// Parse splits SQL into its statements. An error names line and column.
func Parse(sql string) ([]Statement, error) {
	tree, err := pgquery.Parse(sql)
	if err != nil {
		var syntax *parser.Error
		if errors.As(err, &syntax) && syntax.Cursorpos > 0 {
			offset := byteOffset(sql, syntax.Cursorpos-1)
			return nil, fmt.Errorf("line %d, column %d: %s", lineOf(sql, offset), columnOf(sql, offset), syntax.Message)
		}
		return nil, err
	}
	var statements []Statement
	made := map[string]bool{}
	for _, raw := range tree.Stmts {
		from, to := int(raw.StmtLocation), int(raw.StmtLocation+raw.StmtLen)
		if raw.StmtLen == 0 {
			to = len(sql)
		}
		text := sql[from:to]
		start := from + len(text) - len(strings.TrimLeft(skipComments(text), " \t\r\n"))
		statement := Statement{SQL: strings.TrimSpace(text), Line: lineOf(sql, start)}
		classify(raw.Stmt, &statement)
		if statement.created != "" {
			made[statement.created] = true
		}
		// Nobody can be blocked on a table that the same file creates.
		if made[statement.Table] {
			statement.Findings = nil
		}
		statement.Findings = suppress(statement.SQL, statement.Findings)
		statements = append(statements, statement)
	}
	return statements, nil
}

func byteOffset(sql string, runes int) int {
	for i := range sql {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(sql)
}

// skipComments drops what stands before the statement's first word.
func skipComments(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		switch {
		case strings.HasPrefix(text, "--"):
			_, after, found := strings.Cut(text, "\n")
			if !found {
				return ""
			}
			text = after
		case strings.HasPrefix(text, "/*"):
			_, after, found := strings.Cut(text, "*/")
			if !found {
				return ""
			}
			text = after
		default:
			return text
		}
	}
}

func relation(r *pgquery.RangeVar) string {
	if r == nil {
		return ""
	}
	if r.Schemaname != "" {
		return r.Schemaname + "." + r.Relname
	}
	return r.Relname
}
