// Package migrate takes a database through a folder of SQL files, each exactly
// once, and says beforehand what that will do to whoever uses the database.
package migrate

import (
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Migration is one file.
type Migration struct {
	Version    string      `json:"version"`  // the number that its name begins with, as written; R__name of a repeatable one
	Name       string      `json:"name"`     // the file's name
	Checksum   string      `json:"checksum"` // SHA-256 of its text with LF line ends and without a byte order mark
	Statements []Statement `json:"statements"`
	// Alone says that its statements cannot run in a transaction, and are sent one by one.
	Alone bool `json:"alone"`
	// Repeatable says that it is applied again whenever its text changes.
	Repeatable bool `json:"repeatable,omitempty"`

	same   bool // another file has the same number
	path   string
	text   string // all of it, where it is one chunk: what is sent is what was read and approved
	chunks []int  // the lengths of the parts in which a large file is sent
}

var (
	fileName   = regexp.MustCompile(`^([0-9]+)_([^/]+?)(?:\.up)?\.sql$`)
	repeatable = regexp.MustCompile(`^R__([^/]+)\.sql$`)
	flyway     = regexp.MustCompile(`(?i)^[VUB][0-9]+(?:[._][0-9]+)*__[^/]+\.sql$`)
)

// Load lists the migrations of a folder in the order of their versions, the
// repeatable ones last, and takes their checksums; Parse reads them. Files that
// are run by hand (.down.sql) are left out.
func Load(dir string) ([]Migration, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, slipway.Usagef("the migrations cannot be read from %q", dir).Because(err).Next("name the folder with --dir")
	}
	migrations := []Migration{}
	for _, entry := range entries {
		name := entry.Name()
		if err := leftOut(dir, entry); err != nil {
			return nil, err
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".sql") || strings.HasSuffix(name, ".down.sql") || strings.HasPrefix(name, ".") {
			continue
		}
		migration := Migration{Name: name, path: filepath.Join(dir, name), Statements: []Statement{}}
		if match := fileName.FindStringSubmatch(name); match != nil {
			migration.Version = match[1]
		} else if repeatable.MatchString(name) {
			migration.Version, migration.Repeatable = strings.TrimSuffix(name, ".sql"), true
		} else if flyway.MatchString(name) {
			return nil, slipway.Usagef("the name of %s is of Flyway's form", migration.path).
				Next("number the files in the order of their versions (V1__users.sql: 001_users.sql; U1__users.sql: 001_users.down.sql), " +
					"then mark what the database has already: migrate-diff baseline VERSION --reason ...")
		} else {
			return nil, slipway.Usagef("the name of %s is not of the form 001_create_users_table.sql",
				migration.path).Next("rename it; R__name.sql is applied again whenever it changes")
		}
		if migration.Checksum, err = hashOf(migration.path); err != nil {
			return nil, slipway.Usagef("the migration %s cannot be read", name).Because(err)
		}
		migrations = append(migrations, migration)
	}
	sort.SliceStable(migrations, func(i, j int) bool {
		a, b := migrations[i], migrations[j]
		if a.Repeatable != b.Repeatable {
			return b.Repeatable
		}
		return compare(a.Version, b.Version) < 0
	})
	nameDuplicates(migrations)
	return migrations, nil
}

// nameDuplicates gives files of one number versions of their own, 0001_a and 0001_b:
// a plan takes them only where the history has them all.
func nameDuplicates(migrations []Migration) {
	same := func(i, k int) bool {
		return k >= 0 && k < len(migrations) && !migrations[i].Repeatable && !migrations[k].Repeatable &&
			compare(fileName.FindStringSubmatch(migrations[i].Name)[1], fileName.FindStringSubmatch(migrations[k].Name)[1]) == 0
	}
	for i := range migrations {
		if migrations[i].same = same(i, i-1) || same(i, i+1); migrations[i].same {
			match := fileName.FindStringSubmatch(migrations[i].Name)
			migrations[i].Version = match[1] + "_" + match[2]
		}
	}
}

// compare orders versions as numbers of any length, those of one number by what
// follows it.
func compare(a, b string) int {
	if order := compareNumbers(a, b); order != 0 || !isNumber(a) || !isNumber(b) {
		return order
	}
	_, restA := splitVersion(a)
	_, restB := splitVersion(b)
	return strings.Compare(restA, restB)
}

func compareNumbers(a, b string) int {
	numberA, _ := splitVersion(a)
	numberB, _ := splitVersion(b)
	x, _ := new(big.Int).SetString(numberA, 10)
	y, _ := new(big.Int).SetString(numberB, 10)
	if x == nil || y == nil {
		return strings.Compare(a, b)
	}
	return x.Cmp(y)
}

// splitVersion parts 0001_a into 0001 and _a.
func splitVersion(version string) (number, rest string) {
	rest = strings.TrimLeft(version, "0123456789")
	return version[:len(version)-len(rest)], rest
}

// What other tools write for the same: goose, dbmate and tern.
var noTransaction = regexp.MustCompile(`(?mi)^--\s*(?:slipway:no-transaction|\+goose NO TRANSACTION|migrate:up transaction:\s*false|-- tern: disable-tx ----)\s*$`)

// undoing begins the part of goose's, dbmate's and tern's files that takes back the part before.
var undoing = regexp.MustCompile(`(?mi)^--\s*(?:\+goose Down|migrate:down|-- create above / drop below ----)`)

// Parse reads the file's statements, and refuses what cannot be right before
// anything of it runs.
func (m *Migration) Parse() error {
	in, err := openSource(m.path)
	if err != nil {
		return slipway.Usagef("the migration %s cannot be read", m.Name).Because(err)
	}
	defer in.Close()
	m.Statements, m.text, m.chunks, m.Alone = nil, "", nil, false
	marked := false
	for {
		part, err := in.next(chunkSize)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m.refuse(err)
		}
		if strings.Contains(part.text, "--") { // searching for what is not there costs more than the rest
			marked = marked || commentAt(noTransaction, part.text) >= 0
			if at := commentAt(undoing, part.text); at >= 0 {
				return slipway.Usagef("%s:%d: from here on the file takes back what it did", m.Name, part.line-1+lineOf(part.text, at)).
					Next("move that part to %s, which is run only by hand", strings.TrimSuffix(m.Name, ".sql")+".down.sql")
			}
		}
		m.text, m.chunks = part.text, append(m.chunks, len(part.text))
		for _, p := range part.pieces {
			s, err := statementOf(part.text, part.line, p)
			if err != nil {
				return m.refuse(err)
			}
			m.add(s)
		}
	}
	m.prepared()
	m.readEnums()
	if sum := in.checksum(); sum != m.Checksum {
		return slipway.Errorf(slipway.Conflict, "%s changed while it was read", m.Name).Next("run this again")
	}
	if len(m.chunks) > 1 {
		m.text = ""
	}
	return m.check(marked)
}

// add keeps a statement; in a large file a run of rows for one table is kept as one.
func (m *Migration) add(s Statement) {
	if len(m.chunks) > 1 {
		s.text = ""
	}
	if n := len(m.Statements); n > 0 && len(m.chunks) > 1 && m.Statements[n-1].merge(s) {
		return
	}
	m.Statements = append(m.Statements, s)
}

// check decides whether the file runs in a transaction.
func (m *Migration) check(marked bool) error {
	for _, s := range m.Statements {
		switch {
		case s.made.control && s.Kind == "DISCARD":
			return slipway.Usagef("%s:%d: DISCARD ALL releases the advisory lock that keeps a second run out", m.Name, s.Line).
				Next("remove it: each file begins with the session's own settings")
		case s.made.control:
			return slipway.Usagef("%s:%d: %s: a file is one transaction already, and one that is ended inside it escapes from it", m.Name,
				s.Line, s.Kind).
				Next("remove it; a file that must not run in a transaction says so: -- slipway:no-transaction")
		case s.made.unlocks:
			return slipway.Usagef("%s:%d: %s releases the advisory lock that keeps a second run out", m.Name, s.Line, unlockAll).
				Next("unlock by its key what the file has locked")
		case s.made.misread != "":
			return slipway.Usagef("%s:%d: with another %s the server would read the file otherwise than it was checked", m.Name, s.Line,
				s.made.misread).
				Next("remove it: files are UTF-8, and their strings are as in standard SQL; E'...' takes a backslash")
		case s.made.copies:
			return slipway.Usagef("%s:%d: COPY needs a client that sends or takes the rows", m.Name, s.Line).Next("write INSERT statements")
		}
		m.Alone = m.Alone || s.Alone
	}
	for _, s := range m.Statements {
		if m.Alone && !s.Alone && !marked {
			return slipway.Usagef("%s:%d: %s stands beside a statement that cannot run in a transaction", m.Name, s.Line, s.Kind).
				Next("put it into a file of its own, or say that the file may stop half way: -- slipway:no-transaction")
		}
	}
	m.Alone = m.Alone || marked
	if m.Alone && len(m.chunks) > 1 {
		return slipway.Usagef("%s is larger than %d KiB and does not run in one transaction", m.Name,
			chunkSize>>10).Next("put its rows into files of their own")
	}
	return nil
}

func (m *Migration) refuse(err error) error {
	var at errorAt
	if errors.As(err, &at) {
		return slipway.Usagef("%s:%s", m.Name, at.Error()).Next("correct the file; nothing was applied")
	}
	return slipway.Usagef("%s cannot be read", m.Name).Because(err)
}
