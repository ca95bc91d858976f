// Package migrate takes a database through a folder of SQL files, each exactly
// once, and says beforehand what that will do to whoever uses the database.
package migrate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Migration is one file.
type Migration struct {
	Version    string      `json:"version"` // the number that its name begins with, as written
	Name       string      `json:"name"`    // the file's name
	Checksum   string      `json:"checksum"`
	SQL        string      `json:"-"`
	Statements []Statement `json:"statements"`
	// Alone says that its statements cannot run in a transaction, and are sent one by one.
	Alone bool `json:"alone"`
}

var fileName = regexp.MustCompile(`^([0-9]+)_([^/]+?)(?:\.up)?\.sql$`)

// Load reads the migrations of a folder in the order of their versions. Files
// that are run by hand (.down.sql) are left out.
func Load(dir string) ([]Migration, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, slipway.Usagef("the migrations cannot be read from %q", dir).Because(err).Next("name the folder with --dir")
	}
	var migrations []Migration
	for _, entry := range entries {
		name := entry.Name()
		match := fileName.FindStringSubmatch(name)
		switch {
		case entry.IsDir() || !strings.HasSuffix(name, ".sql") || strings.HasSuffix(name, ".down.sql"):
			continue
		case match == nil:
			return nil, slipway.Usagef("the name of %s is not of the form 001_create_users_table.sql", filepath.Join(dir, name))
		}
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, slipway.Usagef("the migration %s cannot be read", name).Because(err)
		}
		migration, err := parseFile(match[1], name, body)
		if err != nil {
			return nil, err
		}
		migrations = append(migrations, migration)
	}
	sort.Slice(migrations, func(i, j int) bool { return compare(migrations[i].Version, migrations[j].Version) < 0 })
	for i := 1; i < len(migrations); i++ {
		if compare(migrations[i].Version, migrations[i-1].Version) == 0 {
			return nil, slipway.Errorf(slipway.Conflict, "%s and %s have the same version", migrations[i-1].Name, migrations[i].Name).Next("give one of them the next free number")
		}
	}
	return migrations, nil
}

// compare orders versions as numbers of any length.
func compare(a, b string) int {
	x, _ := new(big.Int).SetString(a, 10)
	y, _ := new(big.Int).SetString(b, 10)
	if x == nil || y == nil {
		return strings.Compare(a, b)
	}
	return x.Cmp(y)
}

func parseFile(version, name string, body []byte) (Migration, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	body = bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
	if !utf8.Valid(body) {
		return Migration{}, slipway.Usagef("%s is not UTF-8", name).Next("save it as UTF-8")
	}
	sum := sha256.Sum256(body)
	migration := Migration{Version: version, Name: name, SQL: string(body), Checksum: hex.EncodeToString(sum[:])}
	if line, found := psqlCommand(migration.SQL); found {
		return Migration{}, slipway.Usagef("%s:%d: psql's own commands (\\...) are not SQL", name, line).Next("write plain SQL")
	}
	var err error
	if migration.Statements, err = Parse(migration.SQL); err != nil {
		return Migration{}, slipway.Usagef("%s: %s", name, err)
	}
	if len(migration.Statements) == 0 {
		return Migration{}, slipway.Usagef("%s holds no statement", name).Next("write the migration, or remove the file")
	}
	alone := noTransaction.MatchString(migration.SQL)
	for _, statement := range migration.Statements {
		if statement.control {
			return Migration{}, slipway.Usagef("%s:%d: %s: a file is one transaction already, and one that is ended inside it escapes from it", name, statement.Line, statement.Kind).
				Next("remove it; a file that must not run in a transaction says so: -- slipway:no-transaction")
		}
		if statement.copies {
			return Migration{}, slipway.Usagef("%s:%d: COPY ... FROM STDIN reads data that no file here can hold", name, statement.Line).Next("write INSERT statements")
		}
		alone = alone || statement.Alone
	}
	for _, statement := range migration.Statements {
		if alone && !statement.Alone && !noTransaction.MatchString(migration.SQL) {
			return Migration{}, slipway.Usagef("%s:%d: %s stands beside a statement that cannot run in a transaction", name, statement.Line, statement.Kind).
				Next("put it into a file of its own")
		}
	}
	migration.Alone = alone
	return migration, nil
}

// What other tools write for the same: goose, dbmate and tern.
var noTransaction = regexp.MustCompile(`(?mi)^--\s*(?:slipway:no-transaction|\+goose NO TRANSACTION|migrate:up transaction:false|---- tern: disable-tx ----)\s*$`)

var backslash = regexp.MustCompile(`(?m)^\\[a-z!.]`)

func psqlCommand(sql string) (line int, found bool) {
	at := backslash.FindStringIndex(sql)
	if at == nil {
		return 0, false
	}
	return lineOf(sql, at[0]), true
}

func lineOf(sql string, offset int) int { return strings.Count(sql[:min(offset, len(sql))], "\n") + 1 }

func columnOf(sql string, offset int) int {
	offset = min(offset, len(sql))
	return utf8.RuneCountInString(sql[strings.LastIndex(sql[:offset], "\n")+1:offset]) + 1
}

func (m Migration) String() string {
	return fmt.Sprintf("%s (%d statements)", m.Name, len(m.Statements))
}
