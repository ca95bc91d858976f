package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// syntaxBatch is about how many bytes the server parses at once.
const syntaxBatch = 4 << 20

// twice makes a text one of at least two statements.
const twice = "\n;\nSELECT 1\n;SELECT 1"

// asked is what the server is asked to parse, and where its parts came from.
type asked struct {
	text  strings.Builder
	parts []askedPart
}

type askedPart struct {
	at   int // in the text
	file string
	line int
	text string
}

func (a *asked) add(file string, line int, text string) {
	if a.text.Len() == 0 {
		a.text.WriteString(";\n") // lib/pq takes a text that begins with COPY for one of its own
	}
	a.parts = append(a.parts, askedPart{a.text.Len(), file, line, text})
	a.text.WriteString(text + "\n;\n")
}

// checkSyntax has the server's own parser read the files wherever its grammar is not
// that of the rules' parser, and for every statement that this one has refused.
func (d *Database) checkSyntax(ctx context.Context, server int, pending []Migration) error {
	var next asked
	ask := func(force bool) error {
		if next.text.Len() == 0 || !force && next.text.Len() < syntaxBatch {
			return nil
		}
		batch := next
		next = asked{}
		return d.parses(ctx, server, &batch)
	}
	for _, migration := range pending {
		foreign := migration.hasForeign()
		switch {
		case server == grammar && !foreign, len(migration.Statements) == 0:
			continue
		case len(migration.chunks) == 1:
			next.add(migration.Name, 1, migration.text)
		case foreign:
			if err := migration.eachChunk(func(part chunk) error {
				next.add(migration.Name, part.line, part.text)
				return ask(true)
			}); err != nil {
				return err
			}
		}
		if err := ask(false); err != nil {
			return err
		}
	}
	return ask(true)
}

// hasForeign says whether a statement is of another version's grammar.
func (m *Migration) hasForeign() bool {
	for _, s := range m.Statements {
		if s.foreign {
			return true
		}
	}
	return false
}

func (m *Migration) eachChunk(do func(chunk) error) error {
	in, err := openSource(m.path)
	if err != nil {
		return slipway.Usagef("the migration %s cannot be read", m.Name).Because(err)
	}
	defer in.Close()
	for {
		part, err := in.next(chunkSize)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return m.refuse(err)
		}
		if err := do(part); err != nil {
			return err
		}
	}
}

// parses sends a Parse message. The server parses all of it before it refuses two
// statements in one: nothing is looked up, locked or run.
// https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/tcop/postgres.c, exec_parse_message
func (d *Database) parses(ctx context.Context, server int, a *asked) error {
	prepared, err := d.conn.PrepareContext(ctx, a.text.String()+twice)
	if err == nil {
		return prepared.Close()
	}
	var answer *pq.Error
	switch {
	case !errors.As(err, &answer):
		return d.explain(err)
	case answer.Routine == "exec_parse_message":
		return nil
	case answer.File != "scan.l" && answer.File != "gram.y" && answer.File != "parser.c" && answer.Code.Class() != "42":
		return d.explain(err)
	}
	where := ""
	var characters int
	if _, err := fmt.Sscan(answer.Position, &characters); err == nil && characters > 0 {
		at := byteOffset(a.text.String(), characters-1)
		for _, part := range a.parts {
			if at >= part.at {
				offset := min(at-part.at, len(part.text))
				where = fmt.Sprintf("%s:%d:%d: ", part.file, part.line-1+lineOf(part.text, offset), columnOf(part.text, offset))
			}
		}
	}
	return slipway.Usagef("%s%s, says PostgreSQL %d", where, safe.Line(answer.Message), server).Next("correct the file; nothing was applied")
}

// notAnalysed says which server the statements are for that the rules do not know:
// that server takes them.
func notAnalysed(server int, pending []Migration) {
	for _, migration := range pending {
		for i := range migration.Statements {
			s := &migration.Statements[i]
			for k := range s.Findings {
				if f := &s.Findings[k]; f.Name == "not-analysed" {
					f.Level = Warning
					f.Message = fmt.Sprintf("%s, the server is %d: its locks, and what it may break, are not in the plan", f.Message, server)
				}
			}
		}
	}
}
