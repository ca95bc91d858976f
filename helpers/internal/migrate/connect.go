package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/lib/pq"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Database is one pinned connection: locks and settings belong to a session.
type Database struct {
	pool    *sql.DB
	conn    *sql.Conn
	host    string
	user    string
	name    string
	config  pq.Config
	secrets []string
	words   *lastWord
	place   place
}

// place is where the history is kept, and the lock that guards it.
type place struct {
	schema, table, progress, repairs string // ready for SQL
	key                              int64  // of the advisory lock
	// elsewhere says that the history was found behind first, the schema in which new tables are made.
	elsewhere bool
	first     string
}

// Connect opens the connection that the address says, or, where it is empty, the
// PG* environment, its service file and password file. TLS is demanded unless
// PGSSLMODE or the address says otherwise; with a CA (PGSSLROOTCERT) the server's
// name is verified too. The password is never part of an error.
func Connect(ctx context.Context, address string) (*Database, error) {
	if address == "" && os.Getenv("PGHOST") == "" && os.Getenv("PGHOSTADDR") == "" && os.Getenv("PGSERVICE") == "" {
		return nil, slipway.Usagef("no database is named").Next("set PGHOST, PGDATABASE, PGUSER and PGPASSWORD, or PGSERVICE, or " +
			"DATABASE_URL, or give --database-url-file")
	}
	config, dialer, demands, err := configure(address)
	if err != nil || misplaced(address) {
		return nil, slipway.Usagef("the database's address makes no sense").Because(errors.New(whyNoAddress(address, err))).
			Next("it has the form postgres://USER@HOST:PORT/DATABASE, or comes from PGHOST and the like")
	}
	if config.SSLMode == "" {
		config.SSLMode = pq.SSLModeRequire
		if config.SSLRootCert != "" {
			config.SSLMode = pq.SSLModeVerifyFull
		}
	}
	if err := proven(demands, config.SSLMode); err != nil {
		return nil, err
	}
	// The files are read by a parser that takes strings as the standard does; a date
	// in them is read as the database's other sessions read it.
	if config.Runtime == nil {
		config.Runtime = map[string]string{}
	}
	config.Runtime["standard_conforming_strings"], config.Datestyle = "on", ""
	if config.ApplicationName == "" {
		config.ApplicationName = "migrate-diff"
	}
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, slipway.Usagef("the database's address makes no sense").Because(withoutSecrets(err, address,
			config.Password)).Next("check PGSSLMODE and PGSSLROOTCERT")
	}
	words := &lastWord{pqDialer: pqDialer{dialer}}
	connector.Dialer(words)
	d := &Database{
		words: words,
		host:  config.Host, user: config.User, name: config.Database, config: config, secrets: []string{config.Password, address},
		pool: sql.OpenDB(pq.ConnectorWithNoticeHandler(connector, notice)),
	}
	attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if d.conn, err = d.pool.Conn(attempt); err == nil {
		err = d.locate(attempt)
	}
	if err != nil {
		d.Close()
		return nil, d.explain(err)
	}
	return d, nil
}

// notice shows what a migration has to say: RAISE NOTICE, WARNING.
func notice(message *pq.Error) {
	level := logrus.InfoLevel
	switch message.Severity {
	case "WARNING":
		level = logrus.WarnLevel
	case "DEBUG":
		level = logrus.DebugLevel
	}
	if message.Code == "42P07" || message.Code == "00000" && message.Severity == "NOTICE" && strings.Contains(message.Message,
		"does not exist, skipping") {
		level = logrus.DebugLevel
	}
	logrus.StandardLogger().Log(level, message.Severity+": "+message.Message)
}

// Close gives the session back, and with it its locks.
func (d *Database) Close() {
	if d.conn != nil {
		_ = d.conn.Close()
	}
	_ = d.pool.Close()
}

// locate fixes the schema and the lock's key for the whole run: a migration may
// change the search path.
func (d *Database) locate(ctx context.Context) error {
	var schema sql.NullString
	var first sql.NullString
	err := d.conn.QueryRowContext(ctx, `SELECT quote_ident(current_schema()), quote_ident(coalesce(
		(SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)), current_schema()))`,
		historyTable).Scan(&first, &schema)
	if err != nil {
		return err
	}
	if !schema.Valid {
		return slipway.Usagef("the search_path of %s names no schema that exists",
			d.user).Next("create the schema, or set the search_path of the role")
	}
	d.place.first, d.place.elsewhere = first.String, first.Valid && first.String != schema.String
	return d.keepIn(ctx, schema.String)
}

// keepIn names the tables of the history in a schema, which is ready for SQL, and the lock's key.
func (d *Database) keepIn(ctx context.Context, schema string) error {
	d.place.schema = schema
	d.place.table = schema + "." + historyTable
	d.place.progress = schema + "." + historyTable + "_progress"
	d.place.repairs = schema + "." + historyTable + "_repairs"
	return d.conn.QueryRowContext(ctx, `SELECT ('x' || left(md5(concat_ws(' ', 'slipway', current_database(), (SELECT nspname
		FROM pg_namespace WHERE oid = to_regnamespace($2)), $1::text)), 16))::bit(64)::bigint`,
		historyTable, schema).Scan(&d.place.key)
}

// whyNoAddress says what is wrong with an address without any part of it: what a
// parser quotes may be the password.
func whyNoAddress(address string, err error) string {
	isURL := strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
	switch {
	case strings.ContainsFunc(address, unicode.IsControl):
		return "it holds a line end, a tab or another control character"
	case err != nil && !misplaced(address) && ownWords.MatchString(err.Error()):
		return err.Error()
	case isURL:
		return "a character in it must be written as %XX: in the user name and the password # is %23, / is %2F, ? is %3F, @ is %40, % is %25"
	case address == "":
		return "one of the PG* variables, or the service file, has a value that it cannot have"
	}
	return "it is neither a URL nor a list of keyword=value, or one of its values cannot be"
}

// ownWords are the errors that quote nothing but a parameter's known name.
var ownWords = regexp.MustCompile(`^(the service file|no service file|a port is no number|a quoted value has no end|` +
	`it is neither a URL|the (user|password|host|port|dbname) is not percent-encoded|keepalives\w*|gssencmode=require|sslcrl|sslcrldir|requirepeer)\b`)

// misplaced says whether an @ stands behind the host of a URL: then a character of the
// password has ended it, and a part of the password would be taken for host or database.
func misplaced(address string) bool {
	_, rest, isURL := strings.Cut(address, "://")
	end := strings.IndexAny(rest, "/?#")
	return isURL && end >= 0 && strings.Contains(rest[end:], "@") && !strings.Contains(rest[:end], "@")
}

func withoutSecrets(err error, secrets ...string) error {
	text := safe.Without(err.Error(), secrets...)
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// explain says what an error of the connection means. Error classes:
// https://www.postgresql.org/docs/15/errcodes-appendix.html
func (d *Database) explain(err error) error {
	var known *slipway.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	why := withoutSecrets(err, d.secrets...)
	var answer *pq.Error
	if errors.As(err, &answer) {
		switch class := answer.Code.Class(); {
		case class == "28":
			return slipway.Usagef("%s refuses the login of %s", d.host, d.user).Because(why).Next("check PGUSER, PGPASSWORD or the password " +
				"file, and the server's pg_hba.conf")
		case class == "3D":
			return slipway.Usagef("%s has no database %s", d.host, d.name).Because(why).Next("check PGDATABASE")
		case strings.Contains(answer.Message, "unsupported startup parameter"):
			return d.pooler().Because(why)
		case answer.Code == "42704" && answer.Severity == "FATAL":
			return slipway.Usagef("the database's address has a parameter that neither libpq nor the server knows").Because(why).
				Next("remove it from DATABASE_URL or PGOPTIONS")
		case answer.Code == "42501":
			return slipway.Usagef("%s may not do what this needs", d.user).Because(why).Next("grant it, or use the role that owns the schema")
		case answer.Code == "25006":
			return slipway.Usagef("%s is read only: a standby, or a role that may only read",
				d.host).Because(why).Next("name the primary; with several hosts: PGTARGETSESSIONATTRS=read-write")
		case class == "53" && answer.Code != "53300":
			return slipway.Errorf(slipway.Unknown, "%s lacks room", d.host).Because(why).Next("give it disk or memory, and run this again")
		case answer.Severity == "ERROR":
			return slipway.Errorf(slipway.Unknown, "%s refused a query of migrate-diff itself",
				d.host).Because(why).Next("nothing of a file was in it: look at the server's log")
		}
	}
	if errors.Is(err, pq.ErrSSLNotSupported) {
		return slipway.Usagef("%s does not speak TLS, and without it the password would go in clear",
			d.host).Next("turn TLS on at the server, or say PGSSLMODE=disable inside a network that you trust")
	}
	if errors.Is(err, context.Canceled) {
		return slipway.Errorf(slipway.Unknown, "stopped by a signal").Because(why).Next("run it again: what was applied is recorded, and is " +
			"not applied twice")
	}
	return slipway.Errorf(slipway.Unknown, "the database at %s does not answer",
		d.host).Because(why).Next("look whether it runs and whether it can be reached from here")
}

func (d *Database) pooler() *slipway.Error {
	return slipway.Usagef("%s is a pooler that does not keep one session for one client", d.host).
		Next("name PostgreSQL itself; or a PgBouncer database with pool_mode = session")
}

// Server is the major version.
func (d *Database) Server(ctx context.Context) (int, error) {
	var number int
	if err := d.conn.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&number); err != nil {
		return 0, d.explain(err)
	}
	return number, nil
}

func (d *Database) exec(ctx context.Context, format string, arguments ...any) error {
	_, err := d.conn.ExecContext(ctx, fmt.Sprintf(format, arguments...))
	return err
}
