package migrate

// The histories of tools that keep them in a table of their own name are taken over:
// what such a tool has applied is marked, file by file, and its table stays.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// adoption reads the history of a tool: the names of what was applied, one or two for each
// (a version and a name), whether it stopped half way, and whether it stands for every file before it.
type adoption string

// adoptions are by the table of the history. A row of a baseline stands for all before it.
var adoptions = map[string]adoption{
	"flyway_schema_history": `SELECT coalesce(version, ''), script, NOT success, type LIKE '%%BASELINE' FROM %[1]s f
		WHERE type NOT IN ('SCHEMA', 'DELETE') AND type NOT LIKE 'UNDO%%' AND NOT EXISTS (SELECT FROM %[1]s u WHERE u.version = f.version
			AND u.installed_rank > f.installed_rank AND (u.type LIKE 'UNDO%%' OR u.type = 'DELETE')) ORDER BY installed_rank`,
	"goose_db_version": `SELECT version_id::text, '', false, false FROM (SELECT DISTINCT ON (version_id) version_id, is_applied FROM %s
		ORDER BY version_id, id DESC) v
		WHERE is_applied AND version_id > 0 ORDER BY version_id`,
	"alembic_version": "SELECT '', version_num, false, true FROM %s",
	"databasechangelog": `SELECT id, regexp_replace(filename, '^.*/', ''), false, false FROM %s
		WHERE exectype IN ('EXECUTED', 'RERAN', 'MARK_RAN') ORDER BY orderexecuted`,
	"django_migrations":  "SELECT app, name, false, false FROM %s ORDER BY id",
	"_prisma_migrations": "SELECT '', migration_name, finished_at IS NULL, false FROM %s WHERE rolled_back_at IS NULL ORDER BY started_at",
}

// adopted is a row of another tool's history.
type adopted struct {
	version, name string
	dirty, upTo   bool
}

// say names a row as its tool does.
func (a adopted) say() string { return strings.TrimSpace(a.version + " " + a.name) }

// in gives the index of the file that a row stands for, or -1: the one of the whole name; else
// the one with the number of the version, or, behind its number, the name without the tool's own.
func (a adopted) in(files []Migration) int {
	if at := slices.IndexFunc(files, a.isNamed); at >= 0 {
		return at
	}
	return slices.IndexFunc(files, a.isLike)
}

func (a adopted) isNamed(file Migration) bool {
	name := withoutSuffix(file.Name)
	if a.upTo && a.version == "" { // Alembic's revision is a part of the name
		return slices.Contains(strings.FieldsFunc(name, func(c rune) bool { return c == '_' || c == '-' }), a.name)
	}
	return name == withoutSuffix(a.name) || name == a.version
}

func (a adopted) isLike(file Migration) bool {
	if numeric(a.version) {
		return !file.Repeatable && compareNumbers(a.version, file.Version) == 0
	}
	_, rest, _ := strings.Cut(withoutSuffix(file.Name), "_")
	_, slug, found := strings.Cut(withoutSuffix(a.name), "__") // Flyway's V1_1__name
	return found && slug == rest
}

func withoutSuffix(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".sql"), ".up")
}

func numeric(version string) bool { return version != "" && strings.Trim(version, "0123456789") == "" }

// otherHistory finds the table of another tool in the schema of the history.
func (d *Database) otherHistory(ctx context.Context) (tool, table string, how adoption, err error) {
	for _, other := range histories {
		how, known := adoptions[other.table]
		table := d.place.schema + "." + other.table
		var here bool
		if err := d.conn.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&here); err != nil {
			return "", "", how, d.explain(err)
		}
		if here && known {
			return other.tool, table, how, nil
		}
	}
	return "", "", "", nil
}

// adoptOther gives the files that the tool has applied. Each row must have its file: a history
// that is taken over in part would apply the rest again.
func (d *Database) adoptOther(ctx context.Context, files []Migration, tool, table string, how adoption) ([]Migration, error) {
	rows, err := d.adoptedRows(ctx, fmt.Sprintf(string(how), table))
	if err != nil {
		return nil, err
	}
	if tool == "Django" {
		rows = ofOneApp(rows, files)
	}
	marked := map[string]bool{}
	for _, row := range rows {
		if row.dirty {
			return nil, slipway.Errorf(slipway.Conflict, "%s has left %s half applied", tool, row.say()).Next("put that right with %s first", tool)
		}
		at := row.in(files)
		if at < 0 && !(row.upTo && numeric(row.version)) {
			return nil, slipway.Errorf(slipway.Conflict, "%s has applied %s, and no file here is it", tool, row.say()).
				Next("give the file that does the same its number or its name (%s); or mark what is done: migrate-diff baseline VERSION --reason "+
					"...", "001_name.sql")
		}
		for i, file := range files {
			if i == at || row.upTo && !file.Repeatable && (at >= 0 && i < at || at < 0 && compareNumbers(file.Version, row.version) <= 0) {
				marked[file.Version] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(files), func(file Migration) bool { return !marked[file.Version] }), nil
}

func (d *Database) adoptedRows(ctx context.Context, query string) (found []adopted, err error) {
	rows, err := d.conn.QueryContext(ctx, query)
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row adopted
		if err := rows.Scan(&row.version, &row.name, &row.dirty, &row.upTo); err != nil {
			return nil, fmt.Errorf("reading another tool's history: %w", err)
		}
		found = append(found, row)
	}
	return found, d.explain(rows.Err())
}

// ofOneApp leaves those of Django's rows whose app these files are of: the one of which
// every migration has its file. The others belong to Django's own and other packages' tables.
func ofOneApp(rows []adopted, files []Migration) []adopted {
	whole := map[string]bool{}
	for _, row := range rows {
		if _, seen := whole[row.version]; !seen {
			whole[row.version] = true
		}
		named := adopted{name: row.name}
		whole[row.version] = whole[row.version] && named.in(files) >= 0
	}
	var left []adopted
	for _, row := range rows {
		if whole[row.version] {
			left = append(left, adopted{name: row.name})
		}
	}
	if len(left) == 0 {
		return rows
	}
	return left
}
