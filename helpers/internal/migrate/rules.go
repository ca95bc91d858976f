package migrate

// Levels of a finding.
const (
	Danger  = "danger"  // stops users, fails, or loses rows
	Warning = "warning" // stops users for a moment, or may surprise
	Note    = "note"    // works, and is often regretted
)

var rank = map[string]int{Note: 1, Warning: 2, Danger: 3}

// Rule is one thing that can be risky about a statement.
type Rule struct {
	Name     string `json:"rule"`
	Level    string `json:"level"`
	Message  string `json:"message"`  // what happens
	Instead  string `json:"instead"`  // the safer way
	Breaking bool   `json:"breaking"` // the version that still runs would not survive it
	Example  string `json:"-"`        // statements that it speaks of
	Versions string `json:"-"`        // what is other on some versions
	// users says that it matters only where somebody uses the table: one that
	// the same plan creates is exempt.
	users bool
}

// Finding is a rule that speaks of a statement, and the table it speaks of.
type Finding struct {
	Rule
	Table    string  `json:"table,omitempty"`
	Answered *Answer `json:"answered,omitempty"`
}

const (
	rewritten = "the table is rewritten, and nobody can read or write it until that ends"
	inBatches = "add a plain column, set its default, and fill the old rows in batches"
	apart     = ", in a file of its own"
	later     = "drop it a release after the last version that uses it"
	notValid  = "ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT in a later file"
	quietTime = "choose a quiet time; lock_timeout ends the wait"
)

// Rules are all there are. The locks and rewrites behind them are those of
// https://www.postgresql.org/docs/15/explicit-locking.html and
// https://www.postgresql.org/docs/15/sql-altertable.html#SQL-ALTERTABLE-NOTES
var Rules = []Rule{
	{
		Name: "index", Level: Danger, users: true,
		Message: "nobody can write to the table until the index is built",
		Instead: "CREATE INDEX CONCURRENTLY" + apart,
		Example: `CREATE INDEX users_email ON users (email)`,
	},
	{
		Name: "drop-index", Level: Warning, users: true,
		Message: "it waits for every transaction that uses the table, and later ones wait behind it",
		Instead: "DROP INDEX CONCURRENTLY" + apart,
		Example: `DROP INDEX users_email`,
	},
	{
		Name: "reindex", Level: Danger, users: true,
		Message: "reads and writes block until the index is built: it takes ACCESS EXCLUSIVE on the index, which each query of the table opens",
		Instead: "REINDEX CONCURRENTLY" + apart,
		Example: `REINDEX TABLE users`,
	},
	{
		Name: "refused", Level: Danger, users: true,
		Message:  "PostgreSQL refuses it on a partitioned table",
		Instead:  "its partitions one by one",
		Example:  `CREATE INDEX CONCURRENTLY i ON partitioned (a)`,
		Versions: "PostgreSQL 18 takes a NOT VALID foreign key on a partitioned table.",
	},
	{
		Name: "index-lock", Level: Warning, users: true,
		Message: "it takes ACCESS EXCLUSIVE on the index until the file ends, and every query on the table waits, " +
			"since the planner opens all of its indexes",
		Instead: quietTime,
		Example: `ALTER INDEX users_email SET TABLESPACE fast`,
	},
	{
		Name: "index-name", Level: Warning,
		Message: "an index without a name cannot be found again when its building was interrupted",
		Instead: "name it",
		Example: `CREATE INDEX CONCURRENTLY ON users (email)`,
	},
	{
		Name: "volatile-default", Level: Danger, users: true,
		Message:  rewritten,
		Instead:  inBatches,
		Example:  `ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid()`,
		Versions: "uuidv7() exists since PostgreSQL 18, random_normal() since 16.",
	},
	{
		Name: "serial", Level: Danger, users: true,
		Message: rewritten,
		Instead: inBatches,
		Example: `ALTER TABLE users ADD COLUMN n bigserial`,
	},
	{
		Name: "generated-column", Level: Danger, users: true,
		Message:  rewritten,
		Instead:  inBatches,
		Example:  `ALTER TABLE users ADD COLUMN lower_email text GENERATED ALWAYS AS (lower(email)) STORED`,
		Versions: "PostgreSQL 18 has virtual generated columns, which rewrite nothing. SET EXPRESSION exists since 17.",
	},
	{
		Name: "not-null-without-default", Level: Danger, Breaking: true, users: true,
		Message: "it fails as soon as the table has a row, and the version that still runs cannot insert",
		Instead: "give it a default",
		Example: `ALTER TABLE users ADD COLUMN plan text NOT NULL`,
	},
	{
		Name: "alter-type", Level: Danger, Breaking: true, users: true,
		Message: rewritten,
		Instead: "add a column of the new type, fill it in batches, move over",
		Example: `ALTER TABLE users ALTER COLUMN id TYPE bigint`,
	},
	{
		Name: "attribute", Level: Danger, Breaking: true, users: true,
		Message: "the version that still runs reads and writes values with the attributes from before, and they are refused",
		Instead: "create a new type, add a column of it, move over",
		Example: `ALTER TYPE address ADD ATTRIBUTE country text`,
	},
	{
		Name: "collation", Level: Danger, users: true,
		Message: "the column's indexes are built anew while nobody can use the table",
		Instead: "add a column of the new collation, fill it in batches, move over",
		Example: `ALTER TABLE users ALTER COLUMN email TYPE text COLLATE "C"`,
	},
	{
		Name: "set-not-null", Level: Danger, Breaking: true, users: true,
		Message:  "the whole table is read while nobody can use it, and the version that still runs may write NULL",
		Instead:  "ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT, then SET NOT NULL",
		Example:  `ALTER TABLE users ALTER COLUMN email SET NOT NULL`,
		Versions: "PostgreSQL 18 also takes ADD CONSTRAINT ... NOT NULL column NOT VALID, and VALIDATE CONSTRAINT.",
	},
	{
		Name: "check", Level: Danger, users: true,
		Message:  "the whole table is read while nobody can use it",
		Instead:  notValid,
		Example:  `ALTER TABLE users ADD CONSTRAINT adult CHECK (age > 17)`,
		Versions: "PostgreSQL 18 locks the tables that inherit from the table for every constraint, also for NO INHERIT.",
	},
	{
		Name: "domain", Level: Danger,
		Message: "every table that uses it is read, and nobody can write to them until that ends",
		Instead: "ADD CONSTRAINT ... NOT VALID; VALIDATE CONSTRAINT reads them too, at a quiet time",
		Example: `ALTER DOMAIN code ADD CHECK (VALUE <> '')`,
	},
	{
		Name: "foreign-key", Level: Danger, users: true,
		Message:  "both tables are read, and nobody can write to them until that ends",
		Instead:  notValid,
		Example:  `ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users`,
		Versions: "NOT VALID on a partitioned table is accepted since PostgreSQL 18.",
	},
	{
		Name: "references", Level: Warning, users: true,
		Message: "writes to the table that is referred to wait until the file ends",
		Instead: quietTime,
		Example: `ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID`,
	},
	{
		Name: "unique", Level: Danger, users: true,
		Message: "its index is built while nobody can use the table",
		Instead: "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX",
		Example: `ALTER TABLE users ADD UNIQUE (email)`,
	},
	{
		Name: "exclude", Level: Danger, users: true,
		Message: "its index is built while nobody can use the table",
		Instead: "there is no way around it: choose a quiet time",
		Example: `ALTER TABLE rooms ADD EXCLUDE USING gist (during WITH &&)`,
	},
	{
		Name: "drop-column", Level: Danger, Breaking: true, users: true,
		Message: "the version that still runs asks for it",
		Instead: later,
		Example: `ALTER TABLE users DROP COLUMN email`,
	},
	{
		Name: "drop-table", Level: Danger, Breaking: true, users: true,
		Message: "the version that still runs asks for it, and the rows are gone for good",
		Instead: later,
		Example: `DROP TABLE users`,
	},
	{
		Name: "drop-object", Level: Danger, Breaking: true, users: true,
		Message: "the version that still runs may ask for it",
		Instead: later,
		Example: `DROP VIEW active_users`,
	},
	{
		Name: "overload", Level: Danger, Breaking: true,
		Message: "a call of the older function of that name fits both, and fails: function is not unique",
		Instead: "another name; or, where the version that still runs does not call it, DROP FUNCTION the older one before",
		Example: `CREATE FUNCTION greet(name text, loud boolean DEFAULT false) RETURNS text LANGUAGE sql AS 'SELECT name'`,
	},
	{
		Name: "drop-constraint", Level: Warning, users: true,
		Message: "what it kept out can come in from now on",
		Instead: "be sure that nothing relies on it",
		Example: `ALTER TABLE users DROP CONSTRAINT adult`,
	},
	{
		Name: "rename", Level: Danger, Breaking: true, users: true,
		Message: "the version that still runs asks for the old name, and fails at once",
		Instead: "add the new one beside it, move over, drop the old one a release later",
		Example: `ALTER TABLE users RENAME COLUMN email TO mail`,
	},
	{
		Name: "truncate", Level: Danger, users: true,
		Message: "all rows go, and nobody can read or write the table until the file ends",
		Instead: "delete in batches",
		Example: `TRUNCATE users`,
	},
	{
		Name: "truncate-cascade", Level: Danger,
		Message: "the rows of every table that refers to it go as well",
		Instead: "name each table that is to be emptied",
		Example: `TRUNCATE users CASCADE`,
	},
	{
		Name: "cluster", Level: Danger, users: true,
		Message: rewritten,
		Instead: "pg_repack, or a quiet time",
		Example: `CLUSTER users USING users_pkey`,
	},
	{
		Name: "vacuum-full", Level: Danger, users: true,
		Message: rewritten,
		Instead: "VACUUM, or pg_repack",
		Example: `VACUUM FULL users`,
	},
	{
		Name: "detach", Level: Warning, users: true,
		Message:  "nobody can use the partitioned table until the file ends",
		Instead:  "DETACH PARTITION ... CONCURRENTLY" + apart,
		Example:  `ALTER TABLE events DETACH PARTITION events_2024`,
		Versions: "DETACH PARTITION ... CONCURRENTLY exists since PostgreSQL 14, and is refused beside a default partition.",
	},
	{
		Name: "partition-of", Level: Warning, users: true,
		Message: "nobody can use the partitioned table while it waits for its lock",
		Instead: "CREATE TABLE (LIKE ...), then ATTACH PARTITION",
		Example: `CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`,
	},
	{
		Name: "detach-referenced", Level: Danger, users: true,
		Message: "the tables that refer to the partitioned table are read while nobody can use either",
		Instead: "an index on their columns, and a quiet time",
		Example: `ALTER TABLE events DETACH PARTITION events_2024`,
	},
	{
		Name: "attach", Level: Warning, users: true,
		Message: "the partition, and a default one, is read while nobody can use it, unless a CHECK proves which rows it holds",
		Instead: "ADD CONSTRAINT ... CHECK of the bounds NOT VALID, VALIDATE CONSTRAINT, then attach it",
		Example: `ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`,
	},
	{
		Name: "refresh", Level: Warning, users: true,
		Message: "nobody can read the view until it is filled",
		Instead: "REFRESH MATERIALIZED VIEW CONCURRENTLY",
		Example: `REFRESH MATERIALIZED VIEW totals`,
	},
	{
		Name: "trigger", Level: Warning, users: true,
		Message: "nobody can write while it waits for its lock",
		Instead: quietTime,
		Example: `CREATE TRIGGER audit AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION audit()`,
	},
	{
		Name: "access", Level: Warning, users: true,
		Message: "nobody can use the table while it waits for its lock, and who may see or write what changes",
		Instead: quietTime,
		Example: `CREATE POLICY own ON users USING (name = current_user)`,
	},
	{
		Name: "lock-table", Level: Warning, users: true,
		Message: "others wait until the file's end",
		Instead: "lock less, or a quiet time",
		Example: `LOCK TABLE users IN SHARE MODE`,
	},
	{
		Name: "rewrite", Level: Danger, users: true,
		Message:  rewritten,
		Instead:  "a quiet time",
		Example:  `ALTER TABLE users SET UNLOGGED`,
		Versions: "Since PostgreSQL 15 SET LOGGED and SET UNLOGGED also lock the sequences of the table.",
	},
	{
		Name: "update-all", Level: Warning, users: true,
		Message: "every row is written in one transaction, and stays locked until it ends",
		Instead: "update in batches" + apart,
		Example: `UPDATE users SET plan = 'free'`,
	},
	{
		Name: "delete-all", Level: Danger, users: true,
		Message: "every row goes",
		Instead: "say which rows, in a WHERE",
		Example: `DELETE FROM users`,
	},
	{
		Name: "lock-rows", Level: Warning, users: true,
		Message: "every row is locked until the file ends: whoever writes one waits",
		Instead: "lock the rows that are needed, in a WHERE or with LIMIT and SKIP LOCKED",
		Example: `SELECT id FROM users FOR UPDATE`,
	},
	{
		Name: "ddl-with-data", Level: Warning,
		Message: "the table stays locked while rows are written",
		Instead: "put the rows' change into a file of its own",
		Example: `ALTER TABLE users ADD COLUMN plan text; UPDATE users SET plan = 'free' WHERE id < 1000`,
	},
	{
		Name: "lock-timeout", Level: Warning,
		Message: "the file waits for its locks without the limit of --lock-timeout, and every session that comes after it waits, too",
		Instead: "remove the setting",
		Example: `SET lock_timeout = 0`,
	},
	{
		Name: "statement-timeout", Level: Warning,
		Message:  "the statements after it run without the time limit that holds for the others, and keep their locks as long",
		Instead:  "leave the limit; where a statement needs longer: SET LOCAL statement_timeout to a time, or --statement-timeout",
		Example:  `SET statement_timeout = 0`,
		Versions: "transaction_timeout exists since PostgreSQL 17.",
	},
	{
		Name: "many-locks", Level: Warning,
		Message: "nobody can use several tables until all of the file is done, and it can deadlock with the service",
		Instead: "one table a file",
		Example: `ALTER TABLE users ADD COLUMN a int; ALTER TABLE orders ADD COLUMN a int`,
	},
	{
		Name: "drop-default", Level: Danger, Breaking: true, users: true,
		Message: "the version that still runs leaves the column out, and its INSERT fails",
		Instead: "drop the default a release after the last version that relies on it",
		Example: `ALTER TABLE users ALTER COLUMN plan DROP DEFAULT`,
	},
	{
		Name: "identity", Level: Danger, Breaking: true, users: true,
		Message: "the version that still runs gives the column a value, or leaves it out, and its INSERT fails",
		Instead: "change it a release after the last version that relies on it",
		Example: `ALTER TABLE users ALTER COLUMN id SET GENERATED ALWAYS`,
	},
	{
		Name: "sequence", Level: Warning, users: true,
		Message: "it begins to give values that are in use, or comes to its end: INSERTs of the running version may fail",
		Instead: "set it above the largest value",
		Example: `ALTER SEQUENCE users_id_seq RESTART WITH 1`,
	},
	{
		Name: "revoke", Level: Danger, Breaking: true, users: true,
		Message: "the version that still runs may lose its login, or the right to read or write",
		Instead: "revoke a release after the last version that needs it",
		Example: `REVOKE INSERT ON users FROM app`,
	},
	{
		Name: "row-security", Level: Danger, Breaking: true, users: true,
		Message: "a role that does not own the table sees only the rows that a policy allows, and no row without a policy",
		Instead: "create the policies first; be sure that the service's role sees what it needs",
		Example: `ALTER TABLE users ENABLE ROW LEVEL SECURITY`,
	},
	{
		Name: "triggers-off", Level: Danger, users: true,
		Message: "rows that break a foreign key, or that a trigger would have changed, stay as they are",
		Instead: "leave the triggers on; a constraint can be deferred",
		Example: `ALTER TABLE users DISABLE TRIGGER ALL`,
	},
	{
		Name: "privilege", Level: Danger,
		Message: "it changes roles or rights, or runs with the rights of another role",
		Instead: "let an administrator do it outside the migrations",
		Example: `CREATE ROLE reporting`,
	},
	{
		Name: "server", Level: Danger,
		Message: "it reads or writes the server's own files or settings, or acts on other sessions",
		Instead: "let an administrator do it outside the migrations",
		Example: `ALTER SYSTEM SET work_mem = '1GB'`,
	},
	{
		Name: "program", Level: Danger,
		Message: "it runs a program or loads native code on the server",
		Instead: "let an administrator do it outside the migrations",
		Example: `COPY users FROM PROGRAM 'cat /tmp/users.csv'`,
	},
	{
		Name: "not-analysed", Level: Danger,
		Message:  "the parser does not know its grammar",
		Instead:  "look at it by hand, and say what it does: -- slipway:ok not-analysed ...",
		Example:  `ALTER TABLE users FROBNICATE`,
		Versions: "The rules read the grammar of PostgreSQL 17, and most of what 18 adds.",
	},
	{
		Name: "unseen", Level: Warning,
		Message: "what it runs is not looked into: its locks, and what it may break, are not in the plan",
		Instead: "plain statements; or say what it does: -- slipway:ok unseen ...",
		Example: `DO 'BEGIN PERFORM migrate_users(); END'`,
	},
	{
		Name: "enum-used", Level: Danger,
		Message:  "a value that this transaction adds cannot be used in it (SQLSTATE 55P04)",
		Instead:  "add the value in a file of its own, before",
		Example:  `ALTER TYPE mood ADD VALUE 'calm'; INSERT INTO users (mood) VALUES ('calm'::mood)`,
		Versions: "Since PostgreSQL 17 a value of a type that the same transaction creates can be used at once.",
	},
	{
		Name: "int-primary-key", Level: Note,
		Message: "it ends at 2,147,483,647",
		Instead: "bigint",
		Example: `CREATE TABLE users (id serial PRIMARY KEY)`,
	},
	{
		Name: "json", Level: Note,
		Message: "json can neither be compared nor indexed",
		Instead: "jsonb",
		Example: `CREATE TABLE notes (body json)`,
	},
	{
		Name: "char", Level: Note,
		Message: "char(n) pads with blanks",
		Instead: "text, or varchar(n)",
		Example: `CREATE TABLE notes (code char(3))`,
	},
	{
		Name: "timestamp", Level: Note,
		Message: "a time without its zone means another instant elsewhere",
		Instead: "timestamptz",
		Example: `CREATE TABLE notes (at timestamp)`,
	},
	{
		Name: "long-name", Level: Note,
		Message: "PostgreSQL cuts names after 63 bytes",
		Instead: "a shorter name",
		Example: `CREATE TABLE a_name_that_is_much_longer_than_the_sixty_three_bytes_that_postgresql_keeps (id bigint)`,
	},
}

var ruleNamed = func() map[string]Rule {
	named := map[string]Rule{}
	for _, rule := range Rules {
		named[rule.Name] = rule
	}
	return named
}()

func (s *Statement) find(rule, table string) {
	for _, finding := range s.Findings {
		if finding.Name == rule && finding.Table == table {
			return
		}
	}
	s.Findings = append(s.Findings, Finding{Rule: ruleNamed[rule], Table: table})
}

func (s *Statement) drop(keep func(Finding) bool) {
	var left []Finding
	for _, finding := range s.Findings {
		if keep(finding) {
			left = append(left, finding)
		}
	}
	s.Findings = left
}
