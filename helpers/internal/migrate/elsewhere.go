package migrate

// A database that another tool, another service or somebody by hand has made is
// recognised before anything runs.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// histories are the tables in which other tools keep what they have applied, and the
// query of how many versions that is and of the newest one.
var histories = []struct{ table, tool, newest string }{
	{"flyway_schema_history", "Flyway", "SELECT count(*), coalesce(max(version), '') FROM %s WHERE success"},
	{"alembic_version", "Alembic", "SELECT count(*), coalesce(max(version_num), '') FROM %s"},
	{"databasechangelog", "Liquibase", "SELECT count(*), coalesce((SELECT id FROM %[1]s ORDER BY orderexecuted DESC LIMIT 1), '') FROM %[1]s"},
	{"goose_db_version", "goose", "SELECT count(*) FILTER (WHERE is_applied), coalesce(max(version_id)::text, '') FROM %s"},
	{"django_migrations", "Django", "SELECT count(*), coalesce((SELECT app || '.' || name FROM %[1]s ORDER BY id DESC LIMIT 1), '') FROM " +
		"%[1]s"},
	{"_prisma_migrations", "Prisma", "SELECT count(*), coalesce(max(migration_name), '') FROM %s WHERE finished_at IS NOT NULL"},
	{"knex_migrations", "Knex", "SELECT count(*), coalesce(max(name), '') FROM %s"},
	{`"SequelizeMeta"`, "Sequelize", "SELECT count(*), coalesce(max(name), '') FROM %s"},
	{"atlas_schema_revisions", "Atlas", "SELECT count(*), coalesce(max(version), '') FROM %s"},
	{"ar_internal_metadata", "Rails", "SELECT 0, '' FROM %s LIMIT 1"},
}

const begins = "or, for files that begin with this database as it is: migrate-diff baseline 0 --reason ..."

// adopts is advice for a history that can be taken over.
func adopts(table string) string {
	if _, known := adoptions[table]; !known {
		return ""
	}
	return "take its history over, where the files here have its numbers or names: migrate-diff baseline --adopt --reason ...; or "
}

// begun refuses a plan for a database that has a past of which its history knows
// nothing. It gives a line for one that only has tables.
func (d *Database) begun(ctx context.Context, pending []Migration) (note string, err error) {
	_, exists, err := d.columnsOfHistory(ctx)
	if err != nil || exists || len(pending) == 0 {
		return "", err
	}
	if err := d.byAnotherTool(ctx); err != nil {
		return "", err
	}
	var tables int
	err = d.conn.QueryRowContext(ctx, `SELECT count(*) FROM pg_class c WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p')
		AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')`,
		d.place.schema).Scan(&tables)
	if err != nil || tables == 0 {
		return "", d.explain(err)
	}
	there, err := d.alreadyThere(ctx, pending)
	if err != nil {
		return "", err
	}
	if len(there) > 0 {
		return "", slipway.Errorf(slipway.Conflict, "the schema %s has %s and no history, and the pending files create what is there "+
			"already: %s", d.place.schema, count(tables, "table"), shorten(there)).
			Next("mark the files whose work is done: migrate-diff baseline VERSION --reason ...; %s", begins)
	}
	return fmt.Sprintf("the schema %s has %s and no history: where files here have made them, mark those: migrate-diff baseline VERSION "+
		"--reason ...", d.place.schema, count(tables, "table")), nil
}

// byAnotherTool refuses a database in which another tool keeps its history.
func (d *Database) byAnotherTool(ctx context.Context) error {
	for _, other := range histories {
		table := d.place.schema + "." + other.table
		var here bool
		if err := d.conn.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&here); err != nil {
			return d.explain(err)
		}
		if !here {
			continue
		}
		said := ""
		var applied int
		var newest string
		if err := d.conn.QueryRowContext(ctx, fmt.Sprintf(other.newest, table)).Scan(&applied, &newest); err == nil && newest != "" {
			said = fmt.Sprintf(" (%s, the newest is %s)", count(applied, "version"), newest)
		}
		return slipway.Errorf(slipway.Conflict, "%s has migrated this database: its history is %s%s", other.tool, table, said).
			Next("%smark the files whose work is done: migrate-diff baseline VERSION --reason ...; %s", adopts(other.table), begins)
	}
	return nil
}

// alreadyThere are the tables that the plan creates although they exist.
func (d *Database) alreadyThere(ctx context.Context, pending []Migration) (there []string, err error) {
	var names, gone, schemas []string
	for _, migration := range pending {
		for _, s := range migration.Statements {
			gone, schemas = append(append(gone, s.made.gone...), s.made.from), append(schemas, s.made.setting.droppedSchema...)
			schema, _ := splitName(s.made.table)
			if made := s.made.table; made != "" && !slices.Contains(schemas, schema) && !s.made.ifMissing && !s.made.temp &&
				!slices.Contains(gone, made) && !strings.HasPrefix(made,
				"pg_temp.") {
				names = append(names, made)
			}
		}
	}
	rows, err := d.conn.QueryContext(ctx, "SELECT DISTINCT n.name FROM unnest($1::text[]) n(name) JOIN pg_class c ON c.oid = "+
		"to_regclass(n.name) WHERE c.relkind IN ('r', 'p', 'f') ORDER BY 1", pq.Array(names))
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, d.explain(err)
		}
		there = append(there, name)
	}
	return there, d.explain(rows.Err())
}

// UseSchema keeps the history in that schema, wherever the search_path finds one.
func (d *Database) UseSchema(ctx context.Context, schema string) error {
	if schema == "" {
		return nil
	}
	var name string
	err := d.conn.QueryRowContext(ctx, "SELECT coalesce(to_regnamespace(quote_ident($1))::text, '')", schema).Scan(&name)
	if err == nil && name == "" {
		return slipway.Usagef("there is no schema %s", schema).Next("create it, or name another: --history-schema")
	}
	if err == nil {
		d.place.elsewhere = false
		err = d.keepIn(ctx, name)
	}
	return d.explain(err)
}

// mine makes sure that a history which the search_path has found behind the first
// schema is that of these files: another service may keep its own there.
func (d *Database) mine(files []Migration, history []Applied) error {
	if !d.place.elsewhere || len(history) == 0 || len(files) == 0 {
		return nil
	}
	for _, row := range history {
		if slices.ContainsFunc(files, func(file Migration) bool { return file.Checksum == row.Checksum }) {
			return nil
		}
	}
	return slipway.Errorf(slipway.Conflict, "%s is the history of other files: none of the %d files that it records is here",
		d.place.table, len(history)).
		Because(errors.New("it was found through the search_path, behind the schema "+d.place.first+", which has no history yet")).
		Next("give these files a history of their own: --history-schema %s (SLIPWAY_HISTORY_SCHEMA)", d.place.first)
}
