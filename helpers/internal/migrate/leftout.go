package migrate

// What lies in the folder and is not read is told: a file that looks like a migration
// and is left out would never be applied, and nobody would know.

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// codeOf recognises the migrations that are programs of another tool.
var codeOf = []struct {
	tool, suffix, asSQL string
	content             *regexp.Regexp
}{
	{"Alembic", ".py", "alembic upgrade --sql", regexp.MustCompile(`(?m)^(from alembic|import alembic|down_revision\b)`)},
	{"Django", ".py", "manage.py sqlmigrate", regexp.MustCompile(`(?m)^from django\.db|migrations\.Migration`)},
	{"Rails", ".rb", "the SQL of db/structure.sql", regexp.MustCompile(`ActiveRecord::Migration`)},
	{"goose", ".go", "SQL files", regexp.MustCompile(`pressly/goose`)},
	{"Liquibase", ".xml", "liquibase update-sql", regexp.MustCompile(`databaseChangeLog`)},
	{"Liquibase", ".yaml", "liquibase update-sql", regexp.MustCompile(`databaseChangeLog`)},
	{"Liquibase", ".yml", "liquibase update-sql", regexp.MustCompile(`databaseChangeLog`)},
	{"Knex or TypeORM", ".ts", "SQL files", regexp.MustCompile(`\bup\s*\(`)},
	{"Knex or Sequelize", ".js", "SQL files", regexp.MustCompile(`exports\.up\b|\bup\s*[:(]`)},
}

// headSize is how much of a file is looked at to recognise it.
const headSize = 8 << 10

// leftOut refuses a folder with an entry that looks like a migration and is none.
func leftOut(dir string, entry fs.DirEntry) error {
	name := entry.Name()
	path := filepath.Join(dir, name)
	isSQL := strings.HasSuffix(strings.ToLower(name), ".sql")
	switch {
	case strings.HasPrefix(name, "."):
		return nil
	case entry.IsDir():
		return leftOutBelow(dir, name)
	case isSQL && !entry.Type().IsRegular():
		return slipway.Usagef("%s is %s: only regular files are read", path, kindOfFile(entry.Type())).Next("put the file itself there")
	case isSQL && !strings.HasSuffix(name, ".sql"):
		return slipway.Usagef("%s is not read, since its name does not end in .sql", path).Next("rename it: git mv %s %s", name,
			name[:len(name)-4]+".sql")
	case !entry.Type().IsRegular():
		return nil
	}
	for _, code := range codeOf {
		if strings.HasSuffix(name, code.suffix) && code.content.MatchString(head(path)) {
			return slipway.Usagef("%s is a migration of %s, and migrate-diff runs SQL files", path, code.tool).
				Next("write them as SQL (%s), then mark what the database has already: migrate-diff baseline VERSION --reason ...", code.asSQL)
		}
	}
	return nil
}

// leftOutBelow looks into a folder for what its names say are migrations.
func leftOutBelow(dir, folder string) error {
	entries, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		return nil // what cannot be read is no migration
	}
	for _, entry := range entries {
		name := strings.ToLower(entry.Name())
		path := filepath.Join(dir, folder, entry.Name())
		switch {
		case entry.IsDir() || strings.HasSuffix(name, ".down.sql"):
		case name == "migration.sql":
			return slipway.Usagef("%s is a migration of Prisma, which is not read: only files in %s itself are", path, dir).
				Next("move it up as 001_name.sql, then mark what the database has already: migrate-diff baseline VERSION --reason ...")
		case fileName.MatchString(name) || flyway.MatchString(name) || repeatable.MatchString(strings.Replace(name, "r__", "R__", 1)):
			return slipway.Usagef("%s is not read: only files in %s itself are", path,
				dir).Next("move it up, or out of the folder of the migrations")
		}
	}
	return nil
}

func kindOfFile(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

func head(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	buffer := make([]byte, headSize)
	n, _ := file.Read(buffer)
	return string(buffer[:n])
}
