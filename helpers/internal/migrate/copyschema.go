package migrate

// The schema of a database on another server: roles, settings, what pg_dump --schema-only
// writes, sizes of the tables. No row of it is read.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// dumpSchema runs pg_dump. It waits for no lock longer than migrate-diff itself does.
func (d *Database) dumpSchema(ctx context.Context, pgDump string) (string, error) {
	command := exec.CommandContext(ctx, pgDump, "--schema-only", "--no-password", "--no-comments", "--no-security-labels",
		"--no-subscriptions",
		fmt.Sprintf("--lock-wait-timeout=%d", ownLockWait.Milliseconds()))
	command.Env = append(withoutDatabase(os.Environ()), d.environment()...)
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	if err := command.Run(); err != nil {
		return "", slipway.Errorf(slipway.Unknown, "pg_dump could not read the schema of %s", d.name).
			Because(withoutSecrets(errors.New(strings.TrimSpace(said.String())),
				d.secrets...)).Next("the role must be able to read every table's definition; a session may hold a lock: migrate-diff plan names it")
	}
	return out.String(), nil
}

// environment names the database to programs of PostgreSQL. The password is never an argument.
func (d *Database) environment() []string {
	c := d.config
	hosts, ports := []string{c.Host}, []string{fmt.Sprint(c.Port)}
	for _, other := range c.Multi {
		hosts, ports = append(hosts, other.Host), append(ports, fmt.Sprint(other.Port))
	}
	environment := []string{"PGAPPNAME=migrate-diff rehearse"}
	for name, value := range map[string]string{
		"PGHOST": strings.Join(hosts, ","), "PGPORT": strings.Join(ports, ","), "PGUSER": c.User, "PGDATABASE": c.Database,
		"PGPASSWORD": c.Password, "PGPASSFILE": c.Passfile,
		"PGOPTIONS": c.Options, "PGSSLMODE": string(c.SSLMode), "PGSSLROOTCERT": c.SSLRootCert, "PGSSLCERT": c.SSLCert, "PGSSLKEY": c.SSLKey,
		"PGTARGETSESSIONATTRS": string(c.TargetSessionAttrs),
	} {
		if value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	if c.Hostaddr.IsValid() {
		environment = append(environment, "PGHOSTADDR="+c.Hostaddr.String())
	}
	return environment
}

// localeOf is that of the database.
func (d *Database) localeOf(ctx context.Context) (l locale, err error) {
	err = d.conn.QueryRowContext(ctx, "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = "+
		"current_database()").Scan(&l.encoding, &l.collate, &l.ctype)
	return l, d.explain(err)
}

// copied are statements that make roles and settings as the database has them. A role that
// is there already is left as it is; made names those that were not.
const copied = `SELECT 1, r.rolname, format('CREATE ROLE %I %s %s %s %s %s', rolname, CASE WHEN rolsuper
	THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END,
		CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END,
		CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END)
	FROM pg_roles r WHERE rolname !~ '^pg_'
	UNION ALL SELECT 2, '', format('GRANT %I TO %I', r.rolname, m.rolname) FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid
		JOIN pg_roles m ON m.oid = a.member
	UNION ALL SELECT 3, '', format('ALTER DATABASE %%s OWNER TO %I', pg_get_userbyid(datdba)) FROM pg_database
		WHERE datname = current_database()
	UNION ALL SELECT 4, '', format('GRANT CREATE, TEMPORARY ON DATABASE %%s TO %I', current_user)
		WHERE has_database_privilege(current_database(), 'CREATE')
	UNION ALL SELECT 5, '', format('ALTER DATABASE %%s SET %I TO %s', name, CASE
		WHEN name IN ('search_path', 'session_preload_libraries', 'local_preload_libraries', 'DateStyle')
		THEN setting ELSE quote_literal(setting) END) FROM pg_settings WHERE source IN ('database', 'user', 'database user')
			AND name !~ 'timeout$|^role$' AND setting <> ''
	ORDER BY 1`

// copyRoles makes the roles and settings. It gives the roles that it has made.
func (d *Database) copyRoles(ctx context.Context, to *Database) (made []string, err error) {
	rows, err := d.conn.QueryContext(ctx, copied)
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var step int
		var role, statement string
		if err := rows.Scan(&step, &role, &statement); err != nil {
			return made, fmt.Errorf("reading the roles: %w", err)
		}
		if strings.Contains(statement, "DATABASE %s") {
			statement = strings.Replace(statement, "%s", pq.QuoteIdentifier(to.name), 1)
		}
		if err := to.exec(ctx, "%s", statement); err == nil && role != "" {
			made = append(made, role)
		}
	}
	return made, d.explain(rows.Err())
}

// restricting are psql's own commands in a dump.
var restricting = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

// atOnce is how many statements of a dump are sent together.
const atOnce = 200

// restore runs a dump, and names what the server cannot make.
func (d *Database) restore(ctx context.Context, dump string) (missing []string, err error) {
	text := restricting.ReplaceAllString(dump, "")
	pieces, err := split(text)
	if err != nil {
		return nil, slipway.Errorf(slipway.Unknown, "what pg_dump wrote cannot be read").Because(err).
			Next("use the pg_dump of the database's own version: --pg-dump")
	}
	for part := range slices.Chunk(pieces, atOnce) {
		if d.exec(ctx, "%s", text[part[0].from:part[len(part)-1].to]) == nil { // one transaction
			continue
		}
		for _, p := range part {
			said, err := d.restoreOne(ctx, text[p.start:p.to])
			if err != nil {
				return missing, err
			}
			missing = append(missing, said...)
		}
	}
	return missing, d.explain(d.exec(ctx, "RESET ALL"))
}

// restoreOne runs one statement of a dump. Settings of a newer pg_dump, and what is there already, are no loss.
func (d *Database) restoreOne(ctx context.Context, statement string) (missing []string, err error) {
	if strings.TrimSpace(statement) == "" {
		return nil, nil
	}
	err = d.exec(ctx, "%s", statement)
	var answer *pq.Error
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &answer) || answer.Severity != "ERROR":
		return nil, d.explain(err)
	case answer.Code == "42704" && strings.HasPrefix(statement, "SET "), answer.Code == "42P06", answer.Code == "42710":
		return nil, nil
	}
	return []string{fmt.Sprintf("%s: %s", brief(statement), answer.Message)}, nil
}

// copyHistory writes what the history records, so that the same files are pending.
func (d *Database) copyHistory(ctx context.Context, history []Applied) error {
	for _, row := range history {
		if err := d.exec(ctx, "%s", d.record(row, fmt.Sprint(row.Duration), true)); err != nil {
			return d.explain(err)
		}
	}
	return nil
}

// sameServer says whether two sessions are on one server: an advisory lock that one holds is seen by the other.
func (d *Database) sameServer(ctx context.Context, other *Database) (same bool, err error) {
	const key = "('x' || left(md5(pg_backend_pid() || 'slipway rehearsal' || clock_timestamp()), 16))::bit(64)::bigint"
	var lock int64
	if err := d.conn.QueryRowContext(ctx, "SELECT "+key).Scan(&lock); err != nil {
		return false, d.explain(err)
	}
	if err := d.exec(ctx, "SELECT pg_advisory_lock(%d)", lock); err != nil {
		return false, d.explain(err)
	}
	err = other.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND (l.classid::bigint << "+
		"32 | l.objid::bigint) = $1)", lock).Scan(&same)
	if err := d.exec(ctx, "SELECT pg_advisory_unlock(%d)", lock); err != nil {
		return same, d.explain(err)
	}
	return same, other.explain(err)
}
