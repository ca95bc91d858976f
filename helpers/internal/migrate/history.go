package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

const historyTable = "schema_migrations"

// createHistory makes what a run needs: the history; while a file runs outside a
// transaction, which of its statements is next and whether it was begun; and what
// people have put right by hand.
func (d *Database) createHistory(ctx context.Context) error {
	_, exists, err := d.columnsOfHistory(ctx)
	if err != nil {
		return err
	}
	err = d.exec(ctx, `CREATE TABLE IF NOT EXISTS %s (
			version text PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
			applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), applied_by text NOT NULL,
			duration_ms bigint NOT NULL, plan_id text NOT NULL, commit text NOT NULL);
		CREATE TABLE IF NOT EXISTS %s (version text PRIMARY KEY, checksum text NOT NULL, statement int NOT NULL, begun boolean NOT NULL);
		CREATE TABLE IF NOT EXISTS %s (at timestamptz NOT NULL DEFAULT clock_timestamp(),
			by text NOT NULL, version text NOT NULL, what text NOT NULL, reason text NOT NULL)`,
		d.place.table, d.place.progress, d.place.repairs)
	var answer *pq.Error
	if err != nil && (!errors.As(err, &answer) || answer.Code != "42501") {
		return d.explain(err)
	}
	if err != nil {
		return slipway.Usagef("the table %s cannot be made", d.place.table).Because(withoutSecrets(err,
			d.secrets...)).Next("let the role create tables in that schema: GRANT CREATE ON SCHEMA %s TO ...", d.place.schema)
	}
	if !exists {
		return d.explain(d.keepHistory(ctx))
	}
	return nil
}

// keepHistory takes from other roles what default privileges let them change of a history that was just made: a service must not be
// able to forge what its migrations did.
func (d *Database) keepHistory(ctx context.Context) error {
	var revoke sql.NullString
	err := d.conn.QueryRowContext(ctx, `SELECT string_agg(DISTINCT format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %s FROM %s',
			c.oid::regclass, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END), ';')
		FROM pg_class c, aclexplode(relacl) WHERE c.oid IN ($1::regclass, $2::regclass, $3::regclass) AND grantee <> relowner
			AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')`, d.place.table, d.place.progress, d.place.repairs).Scan(&revoke)
	if err == nil && revoke.Valid {
		_, err = d.conn.ExecContext(ctx, revoke.String)
	}
	return err
}

// tool is whose history table it is, by its columns.
type tool struct {
	name, columns string
	// versions reads the applied versions as text; for golang-migrate there is one, and all before it.
	versions string
	upTo     bool
}

const ours = "applied_at applied_by checksum commit duration_ms name plan_id version"

var tools = []tool{
	{"golang-migrate", "dirty version", "SELECT version::text, dirty FROM %s", true},
	{"dbmate or Rails", "version", "SELECT version::text, false FROM %s", false},
	{"Sequel", "filename", "SELECT filename::text, false FROM %s", false},
	{"Ecto", "inserted_at version", "SELECT version::text, false FROM %s", false},
}

// whose gives the columns of the history table in the order of their names; none means that there is no table.
func (d *Database) columnsOfHistory(ctx context.Context) (columns string, exists bool, err error) {
	var found sql.NullString
	err = d.conn.QueryRowContext(ctx, `SELECT string_agg(attname, ' ' ORDER BY attname COLLATE "C") FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, d.place.table).Scan(&found)
	return found.String, found.Valid, d.explain(err)
}

// foreign names the tool whose table it is, where it is not ours.
func foreign(columns string) (tool, bool) {
	for _, t := range tools {
		if t.columns == columns {
			return t, true
		}
	}
	return tool{name: "another tool"}, columns != ours
}

// History reads what was applied. No table means nothing was; a table of the
// same name that another tool made is refused, and left as it is.
func (d *Database) History(ctx context.Context) ([]Applied, error) {
	columns, exists, err := d.columnsOfHistory(ctx)
	if err != nil || !exists {
		return nil, err
	}
	if other, is := foreign(columns); is {
		failure := slipway.Errorf(slipway.Conflict, "the table %s is that of %s: its columns are %s", d.place.table, other.name, columns)
		if other.versions == "" {
			return nil, failure.Next("rename it, then mark what the database has: migrate-diff baseline VERSION --reason ...")
		}
		return nil, failure.Next("take its history over, and keep the old table beside it: migrate-diff baseline --adopt --reason ...")
	}
	rows, err := d.conn.QueryContext(ctx, `SELECT version, name, checksum, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
		applied_by, duration_ms, plan_id, commit FROM `+d.place.table)
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	var history []Applied
	for rows.Next() {
		var row Applied
		if err := rows.Scan(&row.Version, &row.Name, &row.Checksum, &row.AppliedAt, &row.AppliedBy, &row.Duration, &row.PlanID,
			&row.Commit); err != nil {
			return nil, fmt.Errorf("reading %s: %w", d.place.table, err)
		}
		history = append(history, row)
	}
	return history, d.explain(rows.Err())
}

// record is the statement that notes a file as applied. A second row of one
// version is refused by the primary key, whatever else goes wrong; a repeatable
// file's row is replaced. How long it took is an expression, for the server to compute.
func (d *Database) record(row Applied, milliseconds string, again bool) string {
	statement := fmt.Sprintf("INSERT INTO %s (version, name, checksum, applied_by, duration_ms, plan_id, commit) VALUES (%s, %s, %s, %s, "+
		"%s, %s, %s)", d.place.table,
		pq.QuoteLiteral(row.Version), pq.QuoteLiteral(row.Name), pq.QuoteLiteral(row.Checksum), pq.QuoteLiteral(row.AppliedBy),
		milliseconds, pq.QuoteLiteral(row.PlanID), pq.QuoteLiteral(row.Commit))
	if again {
		statement += ` ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum,
			applied_at = clock_timestamp(), applied_by = excluded.applied_by,
			duration_ms = excluded.duration_ms, plan_id = excluded.plan_id, commit = excluded.commit`
	}
	return statement
}
