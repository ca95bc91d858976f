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
	rewritten = "the table is rewritten, and nobody can read it meanwhile"
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
	{"index", Danger, "nobody can write to the table until the index is built", "CREATE INDEX CONCURRENTLY" + apart, false, true},
	{"drop-index", Warning, "it waits for everybody who uses the table, and who comes after waits for it", "DROP INDEX CONCURRENTLY" + apart, false, true},
	{"reindex", Danger, "nobody can write until the index is built", "REINDEX CONCURRENTLY" + apart, false, true},
	{"refused", Danger, "PostgreSQL refuses it on a partitioned table", "its partitions one by one", false, true},
	{"index-lock", Warning, "it takes ACCESS EXCLUSIVE on the index until the file ends, and every query on the table waits, since the planner opens all of its indexes", quietTime, false, true},
	{"index-name", Warning, "an index without a name cannot be found again when its building was interrupted", "name it", false, false},
	{"volatile-default", Danger, rewritten, inBatches, false, true},
	{"serial", Danger, rewritten, inBatches, false, true},
	{"generated-column", Danger, rewritten, inBatches, false, true},
	{"not-null-without-default", Danger, "it fails as soon as the table has a row, and the version that still runs cannot insert", "give it a default", true, true},
	{"alter-type", Danger, rewritten, "add a column of the new type, fill it in batches, move over", true, true},
	{"collation", Danger, "the column's indexes are built anew while nobody can use the table", "add a column of the new collation, fill it in batches, move over", false, true},
	{"set-not-null", Danger, "the whole table is read while nobody can use it, and the version that still runs may write NULL", "ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT, then SET NOT NULL", true, true},
	{"check", Danger, "the whole table is read while nobody can use it", notValid, false, true},
	{"domain", Danger, "every table that uses it is read, and nobody can write to them meanwhile", "ADD CONSTRAINT ... NOT VALID; VALIDATE CONSTRAINT reads them too, at a quiet time", false, false},
	{"foreign-key", Danger, "both tables are read, and nobody can write to them meanwhile", notValid, false, true},
	{"references", Warning, "writes to the table that is referred to wait, and behind it who comes after", quietTime, false, true},
	{"unique", Danger, "its index is built while nobody can use the table", "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX", false, true},
	{"exclude", Danger, "its index is built while nobody can use the table", "there is no way around it: choose a quiet time", false, true},
	{"drop-column", Danger, "the version that still runs asks for it", later, true, true},
	{"drop-table", Danger, "the version that still runs asks for it, and the rows are gone for good", later, true, true},
	{"drop-object", Danger, "the version that still runs may ask for it", later, true, true},
	{"drop-constraint", Warning, "what it kept out can come in from now on", "be sure that nothing relies on it", false, true},
	{"rename", Danger, "the version that still runs asks for the old name, and fails at once", "add the new one beside it, move over, drop the old one a release later", true, true},
	{"truncate", Danger, "all rows go, and nobody can read meanwhile", "delete in batches", false, true},
	{"truncate-cascade", Danger, "the rows of every table that refers to it go as well", "name each table that is to be emptied", false, false},
	{"cluster", Danger, rewritten, "pg_repack, or a quiet time", false, true},
	{"vacuum-full", Danger, rewritten, "VACUUM, or pg_repack", false, true},
	{"detach", Warning, "nobody can use the partitioned table meanwhile", "DETACH PARTITION ... CONCURRENTLY" + apart, false, true},
	{"partition-of", Warning, "nobody can use the partitioned table while it waits for its lock", "CREATE TABLE (LIKE ...), then ATTACH PARTITION", false, true},
	{"attach", Warning, "the partition, and a default one, is read while nobody can use it, unless a CHECK proves which rows it holds", "ADD CONSTRAINT ... CHECK of the bounds NOT VALID, VALIDATE CONSTRAINT, then attach it", false, true},
	{"refresh", Warning, "nobody can read the view until it is filled", "REFRESH MATERIALIZED VIEW CONCURRENTLY", false, true},
	{"trigger", Warning, "nobody can write while it waits for its lock", quietTime, false, true},
	{"access", Warning, "nobody can use the table while it waits for its lock, and who may see or write what changes", quietTime, false, true},
	{"lock-table", Warning, "others wait until the file's end", "lock less, or a quiet time", false, true},
	{"rewrite", Danger, rewritten, "a quiet time", false, true},
	{"update-all", Warning, "every row is written in one transaction, and stays locked until it ends", "update in batches" + apart, false, true},
	{"delete-all", Danger, "every row goes", "say which rows, in a WHERE", false, true},
	{"ddl-with-data", Warning, "the table stays locked while rows are written", "put the rows' change into a file of its own", false, false},
	{"lock-timeout", Warning, "the file waits for its locks without the limit of --lock-timeout, and every session that comes after it waits, too", "remove the setting", false, false},
	{"many-locks", Warning, "nobody can use several tables until all of the file is done, and it can deadlock with the service", "one table a file", false, false},
	{"drop-default", Danger, "the version that still runs leaves the column out, and its INSERT fails", "drop the default a release after the last version that relies on it", true, true},
	{"identity", Danger, "the version that still runs gives the column a value, or leaves it out, and its INSERT fails", "change it a release after the last version that relies on it", true, true},
	{"sequence", Warning, "it begins to give values that are in use, or comes to its end: INSERTs of the running version may fail", "set it above the largest value", false, true},
	{"revoke", Danger, "the version that still runs may lose its login, or the right to read or write", "revoke a release after the last version that needs it", true, true},
	{"row-security", Danger, "a role that does not own the table sees only the rows that a policy allows, and no row without a policy", "create the policies first; be sure that the service's role sees what it needs", true, true},
	{"triggers-off", Danger, "rows that break a foreign key, or that a trigger would have changed, stay as they are", "leave the triggers on; a constraint can be deferred", false, true},
	{"privilege", Danger, "it changes roles or rights, or runs with the rights of another role", "let an administrator do it outside the migrations", false, false},
	{"server", Danger, "it reads or writes the server's own files or settings, or acts on other sessions", "let an administrator do it outside the migrations", false, false},
	{"program", Danger, "it runs a program or loads native code on the server", "let an administrator do it outside the migrations", false, false},
	{"not-analysed", Danger, "the parser does not know its grammar", "look at it by hand, and say what it does: -- slipway:ok not-analysed ...", false, false},
	{"unseen", Warning, "what it runs is not looked into: its locks, and what it may break, are not in the plan", "plain statements; or say what it does: -- slipway:ok unseen ...", false, false},
	{"enum-used", Danger, "a value that this transaction adds cannot be used in it (SQLSTATE 55P04)", "add the value in a file of its own, before", false, false},
	{"int-primary-key", Note, "it ends at 2,147,483,647", "bigint", false, false},
	{"json", Note, "json can neither be compared nor indexed", "jsonb", false, false},
	{"char", Note, "char(n) pads with blanks", "text, or varchar(n)", false, false},
	{"timestamp", Note, "a time without its zone means another instant elsewhere", "timestamptz", false, false},
	{"long-name", Note, "PostgreSQL cuts names after 63 bytes", "a shorter name", false, false},
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
