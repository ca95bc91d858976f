package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
)

// Statement is one statement of a file, as PostgreSQL's own parser sees it, or a
// run of statements that only differ in their rows.
type Statement struct {
	SQL      string    `json:"sql"` // cut after some 2,000 bytes
	Line     int       `json:"line"`
	Count    int       `json:"count"` // how many statements
	Kind     string    `json:"kind"`  // such as CREATE INDEX
	Locks    []Lock    `json:"locks,omitempty"`
	Rewrites bool      `json:"rewrites"` // the table is written anew
	Scans    bool      `json:"scans"`    // the table is read as a whole
	Alone    bool      `json:"alone"`    // cannot run in a transaction
	Findings []Finding `json:"findings,omitempty"`
	Observed *Observed `json:"observed,omitempty"` // in a rehearsal

	from, to int // its part of the file's text, where that is one chunk

	text    string             // as written, with the comments before it
	answers map[string]*Answer // by rule
	foreign bool               // of another version's grammar
	made    made               // what a later look at the catalog, or at the rest of the plan, needs
}

// Lock is what a statement takes on a table that others use.
type Lock struct {
	Table string `json:"table"`
	Mode  string `json:"mode"` // as pg_locks names it
	// Index says that Table is the name of an index. Of is the table of an index, or the
	// partitioned table of a partition.
	Index bool   `json:"index,omitempty"`
	Of    string `json:"of,omitempty"`
	own   bool   // the index alone is locked, and not its table
}

// made is what one statement tells about objects.
type made struct {
	table                  string   // the table that it creates
	ifMissing              bool     // only where it is not there
	there                  bool     // and it is there
	temp                   bool     // for the session alone
	dropsItself            bool     // at the end of its transaction
	gone                   []string // relations that it drops
	from, toName, toSchema string   // the relation that gets another name or schema
	reads                  []string // what it names anywhere
	setting                setting
	ours                   map[string]bool // of the names in this statement: the plan has created it
	index                  string          // the index that it creates, drops or builds again
	indexIfMissing         bool            // only where it is not there
	dropped                bool            // the index is dropped
	columns                []string        // of the index that it creates
	only                   bool            // not the indexes of the partitions
	usingIndex             string          // the index that becomes the primary key
	parent                 string          // the partitioned table that gets a partition
	lost                   []lost          // tables, and parts of tables, that it drops
	promotes               bool            // makes a constraint of an index
	unproven               bool            // adds a foreign key NOT VALID
	reach                  []reach         // what it locks without naming it
	reached                []Lock          // the catalog's answer to reach
	newTypes               []string        // of columns that it adds, and of the domain that it changes
	domainNow              domainNow       // the domain that it creates or changes
	domain                 string          // the domain whose rows it checks
	detached               string          // the partition that it detaches
	database               string          // the database that it creates or drops
	enumValue              newValue        // that it adds
	enumType               string          // that it creates
	notNull                []string        // the columns that it sets NOT NULL
	checks                 []check         // that it adds
	validated              []string        // the constraints that it validates
	revokesOn              []string        // the functions that it takes rights on
	keeps                  []kept
	owners, policies       []kept
	missingOK              bool // DROP ... IF EXISTS
	prepares               preparation
	calls                  []string // the functions that it calls
	functionsMade          []function
	also                   []string // further tables that it creates
	renamedColumn, renamed string   // the column that gets another name, and that name
	renamedPart, gives     string   // the part of a table that gets another name; the name that anything gets
	renamedKind            string   // of an object that is no relation: type, function, schema
	renamedName            string   // and its former name
	bonds                  bonds    // the foreign keys and partitions that it makes
	mayMiss                string   // the relation of ALTER ... IF EXISTS
	idle                   bool     // it only adds columns IF NOT EXISTS
	lostPath               bool     // nobody knows the search path
	makes, unmakes         []object
	dropsDefault           []string // columns
	setsDefault            []string // columns
	dropsNotNull           []string
	added                  []addedColumn
	types                  []typeChange
	functions              []string // what the default of a new column calls
	writes                 string   // the table whose rows it changes
	control                bool     // begins or ends a transaction
	copies                 bool     // reads rows from the client
	session                bool     // only changes the session: SET
	misread                string   // the setting that makes the server read text otherwise than the parser does
	unlocks                bool     // lets go of every advisory lock
	limits                 bool     // changes how long a statement may take
	procedural             bool     // may commit by itself outside a transaction: CALL, DO
}

// lost is a table, or a constraint or column of it, that goes.
type lost struct {
	table, constraint, column string
	ifThere                   bool // IF EXISTS
}

// piece is a statement's part of the text: all pieces together are the text.
type piece struct {
	from, to int
	start    int           // of its first word, behind comments
	line     int           // of start, from 1
	ended    bool          // by a semicolon
	node     *pgquery.Node // nil where the parser cannot read it
	words    []token       // where the parser cannot read it as it is written
	refused  error         // why node is nil
}

// split finds the statements. An error is an errorAt.
func split(sql string) ([]piece, error) {
	tree, err := pgquery.Parse(sql)
	if err != nil {
		if at := syntaxError(sql, err); notSQL(at) {
			return nil, at
		}
		pieces, err := splitByTokens(sql, err)
		return placed(sql, pieces), err
	}
	pieces := make([]piece, len(tree.Stmts))
	for i, raw := range tree.Stmts {
		pieces[i] = piece{from: int(raw.StmtLocation), to: len(sql), ended: raw.StmtLen > 0, node: raw.Stmt}
		if i > 0 {
			pieces[i-1].to = pieces[i].from
		}
	}
	if len(pieces) > 0 {
		pieces[0].from = 0
	}
	return placed(sql, pieces), nil
}

// placed finds the first word of each piece, and its line.
func placed(sql string, pieces []piece) []piece {
	line, at := 1, 0
	for i := range pieces {
		p := &pieces[i]
		p.start = p.to - len(skipComments(sql[p.from:p.to]))
		line += strings.Count(sql[at:p.start], "\n")
		p.line, at = line, p.start
	}
	return pieces
}

const (
	psqlCommand = `psql's own commands (\...) are not SQL: write plain SQL`
	copiesRows  = "COPY ... FROM STDIN needs a client that sends the rows: write INSERT statements"
)

// notSQL says whether an error is about what no server takes.
func notSQL(err error) bool {
	var at errorAt
	return errors.As(err, &at) && (at.what == psqlCommand || at.what == copiesRows)
}

func syntaxError(sql string, err error) error {
	var syntax *parser.Error
	if !errors.As(err, &syntax) {
		return err
	}
	offset := len(sql)
	if syntax.Cursorpos > 0 {
		offset = byteOffset(sql, syntax.Cursorpos-1)
	}
	at := errorAt{lineOf(sql, offset), columnOf(sql, offset), syntax.Message}
	switch before := sql[:offset]; {
	case strings.HasPrefix(sql[offset:], `\`):
		at.what = psqlCommand
	case copiesLast(before):
		at.what = copiesRows
	}
	return at
}

// copiesLast says whether the text before an error ends with COPY ... FROM STDIN;
func copiesLast(sql string) bool {
	if !strings.Contains(strings.ToUpper(sql), "COPY") {
		return false
	}
	tree, err := pgquery.Parse(sql)
	if err != nil || len(tree.Stmts) == 0 {
		return false
	}
	last := tree.Stmts[len(tree.Stmts)-1].Stmt.GetCopyStmt()
	return last != nil && last.IsFrom && last.Filename == ""
}

const (
	shown     = 2000
	unlockAll = "pg_advisory_unlock_all"
)

// statementOf describes one piece; line is that of the chunk's first byte.
func statementOf(text string, line int, p piece) (Statement, error) {
	part, body := text[p.from:p.to], text[p.start:p.to]
	s := Statement{Line: line - 1 + p.line, Count: 1, SQL: strings.TrimSpace(part), text: part, from: p.from, to: p.to}
	if len(s.SQL) > shown {
		cut := shown
		for !utf8.RuneStart(s.SQL[cut]) {
			cut--
		}
		s.SQL = s.SQL[:cut] + "..."
	}
	s.SQL = strings.Clone(s.SQL) // it must not keep the whole chunk
	answers, err := answersIn(part, line-1+lineOf(text, p.from))
	if err != nil {
		return s, err
	}
	s.answers = answers
	s.foreign = p.words != nil
	if p.node == nil {
		s.Kind = kindOf(body)
		s.find("not-analysed", "")
		s.Findings[0].Message = fmt.Sprintf("the parser knows PostgreSQL %d's grammar, and says: %s", grammar, what(p.refused))
		return s, nil
	}
	classify(p.node, body, &s)
	s.made.unlocks = strings.Contains(part, unlockAll) && slices.Contains(functions(p.node), unlockAll)
	return s, nil
}

// what is an error without its place.
func what(err error) string {
	var at errorAt
	if errors.As(err, &at) {
		return at.what
	}
	return err.Error()
}

// merge says whether next only repeats s: rows of the same table, nothing to say.
func (s *Statement) merge(next Statement) bool {
	if s.made.writes == "" || s.made.writes != next.made.writes || s.Kind != next.Kind || len(s.Findings)+len(next.Findings) > 0 {
		return false
	}
	s.Count++
	return true
}

// Parse describes the statements of a text. An error names line and column.
func Parse(sql string) ([]Statement, error) {
	pieces, err := split(sql)
	if err != nil {
		return nil, err
	}
	statements := make([]Statement, len(pieces))
	for i, p := range pieces {
		if statements[i], err = statementOf(sql, 1, p); err != nil {
			return nil, err
		}
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

func lineOf(sql string, offset int) int { return strings.Count(sql[:min(offset, len(sql))], "\n") + 1 }

func columnOf(sql string, offset int) int {
	offset = min(offset, len(sql))
	return utf8.RuneCountInString(sql[strings.LastIndex(sql[:offset], "\n")+1:offset]) + 1
}

// skipComments drops what stands before the statement's first word. Comments in
// PostgreSQL nest: https://www.postgresql.org/docs/15/sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS
func skipComments(text string) string {
	for {
		text = strings.TrimLeft(text, "; \t\r\n\f\v")
		switch {
		case strings.HasPrefix(text, "--"):
			end := strings.IndexAny(text, "\r\n") // either ends a comment
			if end < 0 {
				return ""
			}
			text = text[end:]
		case strings.HasPrefix(text, "/*"):
			depth, i := 1, 2
			for ; depth > 0 && i < len(text); i++ {
				switch {
				case strings.HasPrefix(text[i:], "/*"):
					depth++
					i++
				case strings.HasPrefix(text[i:], "*/"):
					depth--
					i++
				}
			}
			text = text[min(i, len(text)):]
		default:
			return text
		}
	}
}
