package migrate

import (
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// grammar is the version whose grammar the parser knows.
const grammar = 17

// token is one of a statement's words and signs, without its comments.
type token struct {
	from, to int
	word     string // in upper case; "" for a string or a quoted name
}

func tokensOf(sql string) ([]token, error) {
	scanned, err := pgquery.Scan(sql)
	if err != nil {
		return nil, err
	}
	var tokens []token
	for _, t := range scanned.Tokens {
		from, to := int(t.Start), int(t.End)
		switch t.Token {
		case pgquery.Token_SQL_COMMENT, pgquery.Token_C_COMMENT:
			continue
		}
		word := ""
		if first := sql[from]; first != '"' && first != '\'' && first != '$' {
			word = strings.ToUpper(sql[from:to])
		}
		tokens = append(tokens, token{from, to, word})
	}
	return tokens, nil
}

// splitByTokens finds the statements of a text that the parser refuses: a semicolon
// outside parentheses and BEGIN ATOMIC ... END ends one. What the parser cannot read
// even in other words has no node. A text that no version takes is an error.
func splitByTokens(sql string, refused error) ([]piece, error) {
	tokens, err := tokensOf(sql)
	if err != nil {
		return nil, syntaxError(sql, err)
	}
	var pieces []piece
	depth, atomic, first, from := 0, 0, 0, 0
	add := func(end int, ended bool, words []token) {
		pieces = append(pieces, piece{from: from, to: end, ended: ended, words: words})
		from = end
	}
	for i, t := range tokens {
		switch {
		case t.word == "(":
			depth++
		case t.word == ")":
			depth--
		case t.word == "ATOMIC" && i > 0 && tokens[i-1].word == "BEGIN", atomic > 0 && t.word == "CASE":
			atomic++
		case atomic > 0 && t.word == "END":
			atomic--
		case t.word == ";" && depth == 0 && atomic == 0:
			if i > first {
				add(t.to, true, tokens[first:i])
			}
			first = i + 1
		}
	}
	if first < len(tokens) {
		add(len(sql), false, tokens[first:])
	}
	if depth != 0 || atomic != 0 || len(pieces) == 0 {
		return nil, syntaxError(sql, refused)
	}
	pieces[len(pieces)-1].to = len(sql)
	for i := range pieces {
		p := &pieces[i]
		p.node, err = parseOne(sql[p.from:p.to])
		if err == nil {
			p.words = nil
			continue
		}
		at := syntaxError(sql[p.from:p.to], err)
		if p.node = reworded(sql, p.words); p.node != nil {
			continue
		}
		if word := p.words[0].word; !statementWords[word] {
			return nil, syntaxError(sql, refused)
		}
		p.refused = at
	}
	return pieces, nil
}

func parseOne(sql string) (*pgquery.Node, error) {
	tree, err := pgquery.Parse(sql)
	if err != nil || len(tree.Stmts) != 1 {
		return nil, err
	}
	return tree.Stmts[0].Stmt, nil
}

// statementWords begin a statement in every version from 14 to 18, other than those
// that begin or end a transaction.
var statementWords = set(`ALTER ANALYZE CALL CHECKPOINT CLOSE CLUSTER COMMENT COPY CREATE DEALLOCATE DECLARE DELETE DISCARD DO DROP EXECUTE
	EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD LOCK MERGE MOVE NOTIFY REASSIGN REFRESH REINDEX RESET REVOKE SECURITY SELECT SET SHOW
	TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES WITH (`)

// reworded parses a statement of another version in words of this grammar that lock,
// read and write the same: it is for the rules, and never sent.
func reworded(sql string, words []token) *pgquery.Node {
	newer := edits{sql: sql, words: words}
	newer.newerForms()
	older := newer
	older.changes = append(slices.Clone(newer.changes), newer.olderNames()...)
	for _, attempt := range []edits{newer, older} {
		if node, err := parseOne(attempt.text()); err == nil && node != nil {
			return node
		}
	}
	return nil
}

// edits are changes of a statement's words.
type edits struct {
	sql     string
	words   []token
	changes []change
}

type change struct {
	from, to int // of the words
	text     string
}

func (e *edits) replace(from, to int, text string) {
	e.changes = append(e.changes, change{from, to, text})
}

func (e *edits) text() string {
	var out strings.Builder
	for i := 0; i < len(e.words); {
		at := slices.IndexFunc(e.changes, func(c change) bool { return c.from == i })
		if at >= 0 {
			out.WriteString(e.changes[at].text + " ")
			i = max(e.changes[at].to, i+1)
			continue
		}
		out.WriteString(e.sql[e.words[i].from:e.words[i].to] + " ")
		i++
	}
	return out.String()
}

// is says whether the words from i on are these.
func (e *edits) is(i int, words ...string) bool {
	if i < 0 || i+len(words) > len(e.words) {
		return false
	}
	for k, word := range words {
		if e.words[i+k].word != word {
			return false
		}
	}
	return true
}

func (e *edits) at(i int) string { return e.sql[e.words[i].from:e.words[i].to] }

// closing gives the place behind the parenthesis that closes the one at i.
func (e *edits) closing(i int) int {
	depth := 0
	for ; i < len(e.words); i++ {
		switch e.words[i].word {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return i
}

// element gives the place of the first word of the column or constraint that the
// word at i belongs to.
func (e *edits) element(i int) int {
	depth := 0
	for i--; i >= 0; i-- {
		switch e.words[i].word {
		case ")":
			depth++
		case "(":
			if depth--; depth < 0 {
				return i + 1
			}
		case ",", "ADD":
			if depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// newerForms puts what PostgreSQL 18 has added in words of 17.
// https://www.postgresql.org/docs/18/release-18.html
func (e *edits) newerForms() {
	alter, create := e.is(0, "ALTER"), e.is(0, "CREATE")
	for i := 0; i < len(e.words); i++ {
		switch {
		case e.is(i, "GENERATED", "ALWAYS", "AS", "("):
			end := e.closing(i + 3)
			if e.is(end, "STORED") || e.is(end, "IDENTITY") {
				continue
			}
			if e.is(end, "VIRTUAL") {
				end++
			}
			text := "DEFAULT 0"
			if e.notNull(i, end) {
				text += " CHECK (true)" // every row is computed and looked at
			}
			e.replace(i, end, text)
			i = end - 1
		case alter && e.is(i, "ADD") && (e.is(i+1, "NOT", "NULL") || e.is(i+1, "CONSTRAINT") && e.is(i+3, "NOT", "NULL")):
			i = e.addNotNull(i)
		case create && (e.is(i, "NOT", "NULL") || e.is(i, "CONSTRAINT") && e.is(i+2, "NOT", "NULL")) && e.element(i) == i && i > 0:
			i = e.createNotNull(i)
		case e.is(i, "NOT", "NULL", "NO", "INHERIT"):
			e.replace(i+2, i+4, "")
			i += 3
		case e.is(i, "ALTER", "CONSTRAINT"):
			i = e.alterConstraint(i)
		case e.is(i, "NOT", "ENFORCED"):
			e.notEnforced(i)
			i++
		case e.is(i, "ENFORCED"):
			e.replace(i, i+1, "")
		case e.is(i, "WITHOUT", "OVERLAPS"):
			e.replace(i, i+2, "")
			i++
		case e.is(i, ",", "PERIOD") && i+2 < len(e.words) && e.words[i+2].word != ",":
			e.replace(i+1, i+2, "")
			i++
		case e.is(i, "RETURNING", "WITH", "("):
			e.replace(i+1, e.closing(i+2), "")
		case e.is(i, "ONLY") && (e.is(0, "ANALYZE") || e.is(0, "VACUUM")):
			e.replace(i, i+1, "")
		case e.is(i, "LARGE", "OBJECTS") && e.is(0, "ALTER", "DEFAULT", "PRIVILEGES"):
			e.replace(i, i+2, "TABLES")
		}
	}
}

// notNull says whether the column whose generation is at [from, to) is NOT NULL.
func (e *edits) notNull(from, to int) bool {
	for i := e.element(from); i < from; i++ {
		if e.is(i, "NOT", "NULL") {
			return true
		}
	}
	for i := to; i < len(e.words) && e.words[i].word != "," && e.words[i].word != ")"; i++ {
		if e.is(i, "NOT", "NULL") || e.is(i, "PRIMARY", "KEY") {
			return true
		}
	}
	return false
}

// addNotNull: ADD [CONSTRAINT name] NOT NULL column [NO INHERIT] [NOT VALID].
func (e *edits) addNotNull(i int) int {
	name, at := "", i+1
	if e.is(at, "CONSTRAINT") {
		name, at = e.at(at+1), at+2
	}
	if at+2 >= len(e.words) {
		return i
	}
	column, end := e.at(at+2), at+3
	valid := true
	for e.is(end, "NO", "INHERIT") || e.is(end, "NOT", "VALID") {
		valid = valid && !e.is(end, "NOT", "VALID")
		end += 2
	}
	switch {
	case valid:
		e.replace(i, end, "ALTER COLUMN "+column+" SET NOT NULL")
	case name == "":
		e.replace(i, end, "ADD CONSTRAINT "+e.tableName()+"_"+strings.Trim(column, `"`)+`_not_null" CHECK (`+column+" IS NOT NULL) NOT VALID")
	default:
		e.replace(i, end, "ADD CONSTRAINT "+name+" CHECK ("+column+" IS NOT NULL) NOT VALID")
	}
	return end - 1
}

// tableName is the opened quoted name of the table of ALTER TABLE.
func (e *edits) tableName() string {
	last := 2
	for last < len(e.words) && (e.is(last, "IF") || e.is(last, "EXISTS") || e.is(last, "ONLY")) {
		last++
	}
	for e.is(last+1, ".") {
		last += 2
	}
	return `"` + strings.Trim(strings.ToLower(e.at(min(last, len(e.words)-1))), `"`)
}

// createNotNull: [CONSTRAINT name] NOT NULL column [NO INHERIT] as a table's constraint.
func (e *edits) createNotNull(i int) int {
	at := i
	if e.is(at, "CONSTRAINT") {
		at += 2
	}
	if at+2 >= len(e.words) {
		return i
	}
	end := at + 3
	if e.is(end, "NO", "INHERIT") {
		end += 2
	}
	e.replace(at, end, "CHECK ("+e.at(at+2)+" IS NOT NULL)")
	return end - 1
}

// alterConstraint: ALTER CONSTRAINT name [NOT] ENFORCED | [NO] INHERIT. Enforcing
// it reads the rows that are there, inheriting it those of the tables that inherit.
func (e *edits) alterConstraint(i int) int {
	end := i + 3
	for {
		switch {
		case e.is(end, "NOT", "ENFORCED"), e.is(end, "NO", "INHERIT"):
			e.replace(end, end+2, "")
			end += 2
		case e.is(end, "ENFORCED"), e.is(end, "INHERIT"):
			e.replace(end, end+1, ", ADD CHECK (true)")
			end++
		default:
			return end - 1
		}
	}
}

// notEnforced: no row is looked at, as with NOT VALID. A column's own constraint
// cannot say that in 17, and is left out.
func (e *edits) notEnforced(i int) {
	first := e.element(i)
	if tableConstraint := set("CONSTRAINT CHECK FOREIGN"); tableConstraint[e.words[first].word] {
		e.replace(i, i+2, "NOT VALID")
		return
	}
	from := i
	for k := first; k < i; k++ {
		if e.is(k, "CHECK", "(") && e.closing(k+1) == i {
			if from = k; k >= 2 && e.is(k-2, "CONSTRAINT") {
				from = k - 2
			}
		}
	}
	e.replace(from, i+2, "")
}

// olderNames puts names in quotes that have become keywords since PostgreSQL 15.
func (e *edits) olderNames() []change {
	var changes []change
	for i, t := range e.words {
		if keywordsSince15[t.word] {
			changes = append(changes, change{i, i + 1, `"` + strings.ToLower(t.word) + `"`})
		}
	}
	return changes
}

// https://www.postgresql.org/docs/17/sql-keywords-appendix.html, those that cannot
// be the name of a column, a table or a function
var keywordsSince15 = set(`SYSTEM_USER JSON JSON_ARRAY JSON_ARRAYAGG JSON_EXISTS JSON_OBJECT JSON_OBJECTAGG JSON_QUERY JSON_SCALAR
	JSON_SERIALIZE JSON_TABLE JSON_VALUE MERGE_ACTION`)
