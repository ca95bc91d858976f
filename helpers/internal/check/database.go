package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/migrate"
)

var databaseChecks = []Check{
	{"database-reachable", Database, "the database answers and takes the login", "no migration can be planned or applied", databaseAnswers},
	{"database-tls", Database, "the connection is encrypted, and the server's certificate is checked",
		"the password, or every row, can be read or changed on the way", onHealth(tlsOf)},
	{"database-version", Database, "PostgreSQL is 14 to 18", "the rules and the lock modes of a plan are tested with these versions",
		onHealth(func(h migrate.Health) Finding { return databaseVersionOf(h.Version) })},
	{"database-pooler", Database, "no pooler lends a session to each transaction",
		"locks and settings of a migration would belong to somebody else's session", databasePooler},
	{"database-primary", Database, "the server is the primary", "a standby is read only: no migration can be applied", onHealth(primaryOf)},
	{"database-rights", Database, "the role may create tables in the schema", "the first migration fails", onHealth(rightsOf)},
	{"database-owner", Database, "the role owns the tables of the schema",
		"ALTER TABLE is refused to a role that is not the owner", onHealth(ownerOf)},
	{"database-superuser", Database, "the role is no superuser",
		"a migration could run programs on the server and read all databases", onHealth(superuserOf)},
	{"database-history", Database, "the history is Slipway's, or there is none yet",
		"files that another tool has applied would be applied again", onHealth(historyOf)},
	{"database-replication", Database, "no standby is more than a minute behind, and none that a commit waits for is away",
		"commits hang, or a failover loses what was committed", onHealth(replicationOf)},
	{"database-slots", Database, "no replication slot is left unread",
		"WAL is retained until the disk is full; a large migration fills it quickly", onHealth(slotsOf)},
	{"database-archive", Database, "WAL is archived: without failure, and in the last 24 hours",
		"after a migration that destroys rows, a backup cannot be restored to the moment before", onHealth(func(h migrate.Health) Finding {
			return archiveOf(h.Archives, h.Archived, h.Failed, h.Now)
		})},
	{"database-transactions", Database, "no transaction is open for longer than --max-transaction (5 minutes)",
		"a migration waits for its locks, and every later query waits behind it", onHealth(transactionsOf)},
	{"database-prepared", Database, "no prepared transaction was left for longer than --max-transaction (5 minutes)",
		"it holds its locks also after a restart of the server", onHealth(preparedOf)},
	{"database-wraparound", Database, "the oldest transaction id is far from wraparound",
		"autovacuum to prevent wraparound does not give way to a migration; in the end the server takes no writes",
		onHealth(func(h migrate.Health) Finding { return ageOf(h.Age) })},
	{"database-connections", Database, "at least a fifth of the connections is free",
		"a canary, with a pool of its own, or the migration gets none", onHealth(func(h migrate.Health) Finding {
			return connectionsOf(h.Used, h.Limit)
		})},
	{"database-clock", Database, "its clock and this machine's agree", "the history's times are the server's",
		onHealth(func(h migrate.Health) Finding { return clockOf(h.Ahead, "the database", "its server") })},
}

// examined is what is known of the database. fault is why it could not be connected to.
type examined struct {
	health        migrate.Health
	fault, failed error
	pooled        error
}

// examine connects once. What follows is asked on one connection, one question after the other.
func (s *Site) examine(ctx context.Context) (examined, error) {
	return s.database.get(ctx, s.limit, func(ctx context.Context) (e examined, err error) {
		database, fault := migrate.Connect(ctx, s.Address)
		if fault != nil {
			return examined{fault: fault}, nil
		}
		defer database.Close()
		if e.health, e.failed = database.Examine(ctx, s.Open); e.failed == nil {
			e.pooled = database.NotPooled(ctx)
		}
		return e, nil
	})
}

// The words by which migrate.Connect says that it is about one thing only, which has a check of its own.
const (
	noTLS    = "does not speak TLS"
	isPooler = "is a pooler"
)

func about(err error, words string) bool {
	return err != nil && strings.Contains(slipway.AsError(err).Message, words)
}

func databaseAnswers(ctx context.Context, s *Site) Finding {
	found, err := s.examine(ctx)
	switch {
	case err != nil:
		return silent(err)
	case about(found.fault, noTLS), about(found.fault, isPooler):
		return ok("it answers; another check says what is wrong")
	case found.fault != nil:
		return unreachable(found.fault)
	case found.failed != nil:
		return silent(found.failed)
	}
	return ok("as %s", found.health.Role)
}

// onHealth makes a check of a judgement: it is not asked where there is no connection.
func onHealth(judge func(migrate.Health) Finding) func(context.Context, *Site) Finding {
	return func(ctx context.Context, s *Site) Finding {
		found, err := s.examine(ctx)
		switch {
		case err != nil:
			return silent(err)
		case about(found.fault, noTLS):
			return withoutConnection(judge, found.fault)
		case found.fault != nil || found.failed != nil:
			return skipped("there is no connection to the database: database-reachable")
		}
		return judge(found.health)
	}
}

// withoutConnection is what the check of TLS says where TLS is why there is no connection; the others say nothing.
func withoutConnection(judge func(migrate.Health) Finding, fault error) Finding {
	if found := judge(migrate.Health{}); found.Found == inClear {
		return missing("%s", oneLine(fault)).with("%s", slipway.AsError(fault).Hint)
	}
	return skipped("there is no connection to the database: database-tls")
}

const inClear = "the connection is not encrypted"

func tlsOf(h migrate.Health) Finding {
	switch {
	case !h.TLS:
		return missing(inClear).with("set ssl = on at the server, PGSSLMODE=verify-full and PGSSLROOTCERT=FILE here")
	case !h.Verified:
		return warning("it is encrypted, and nobody checks whose certificate it is").
			with("set PGSSLMODE=verify-full and PGSSLROOTCERT=FILE, with the authority of the server's certificate")
	}
	return ok("encrypted, and verified")
}

func databaseVersionOf(major int) Finding {
	if major < 14 || major > 18 {
		return missing("it is PostgreSQL %d", major).with("use a server of 14 to 18")
	}
	return ok("PostgreSQL %d", major)
}

func databasePooler(ctx context.Context, s *Site) Finding {
	found, err := s.examine(ctx)
	fault := found.fault
	if fault == nil {
		fault = found.pooled
	}
	switch {
	case err != nil:
		return silent(err)
	case about(fault, isPooler):
		return missing("%s", oneLine(fault)).with("%s", slipway.AsError(fault).Hint)
	case found.fault != nil || found.failed != nil:
		return skipped("there is no connection to the database: database-reachable")
	case fault != nil:
		return silent(fault)
	}
	return ok("a session stays the same")
}

func primaryOf(h migrate.Health) Finding {
	if h.Standby {
		return missing("it is a standby").with("name the primary; with several hosts: PGTARGETSESSIONATTRS=read-write")
	}
	return ok("it is the primary")
}

func rightsOf(h migrate.Health) Finding {
	if !h.MayCreate {
		return missing("%s may not create tables in the schema %s", h.Role, h.Schema).
			with(`psql -c 'GRANT CREATE ON SCHEMA %s TO "%s"'`, h.Schema, h.Role)
	}
	return ok("in the schema %s", h.Schema)
}

func ownerOf(h migrate.Health) Finding {
	if len(h.NotOwned) > 0 {
		return missing("%s does not own %s", h.Role, all(h.NotOwned)).
			with(`psql -c 'ALTER TABLE %s OWNER TO "%s"'; or grant it the owner's role`, h.NotOwned[0], h.Role)
	}
	return ok("%s", counted(h.Tables, "table"))
}

func superuserOf(h migrate.Health) Finding {
	if h.Superuser {
		return warning("%s is a superuser", h.Role).
			with("make a role for migrations that owns the schema: CREATE ROLE migrations LOGIN; ALTER SCHEMA %s OWNER TO migrations", h.Schema)
	}
	return ok("%s is none", h.Role)
}

func historyOf(h migrate.Health) Finding {
	switch {
	case h.Past != nil:
		return missing("%s", oneLine(h.Past)).with("%s", slipway.AsError(h.Past).Hint)
	case h.History == 0 && h.Tables > 0:
		return warning("the schema %s has %s and no history", h.Schema, counted(h.Tables, "table")).
			with(`migrate-diff baseline VERSION --reason "..." marks the files whose work is done`)
	case h.History == 0:
		return ok("there is none yet")
	}
	return ok("%s applied", counted(h.History, "file"))
}

func replicationOf(h migrate.Health) Finding {
	switch {
	case h.Waits != "":
		return missing("synchronous_standby_names is '%s', and no such standby is connected: commits wait for it", h.Waits).
			with("start the standby; or ALTER SYSTEM RESET synchronous_standby_names, and SELECT pg_reload_conf()")
	case len(h.Late) > 0:
		return warning("%s", all(h.Late)).with("SELECT * FROM pg_stat_replication; wait with a large migration until it has caught up")
	}
	return ok("%s connected", counted(h.Standbys, "standby server"))
}

func slotsOf(h migrate.Health) Finding {
	if len(h.Slots) > 0 {
		return warning("%s", strings.ReplaceAll(all(h.Slots), ": what this plan writes stays on the server's disk too", "")).
			with("start its reader; or SELECT pg_drop_replication_slot('NAME')")
	}
	return ok("none is unread")
}

func archiveOf(archives bool, archived, failed *time.Time, now time.Time) Finding {
	const look = "SELECT * FROM pg_stat_archiver; look at archive_command, and at the server's log"
	switch {
	case !archives:
		return warning("archive_mode is off").with("set archive_mode = on and archive_command, or use a backup tool that archives WAL")
	case failed != nil:
		return missing("archiving has failed since %s", failed.UTC().Format(time.RFC3339)).with(look)
	case archived == nil:
		return warning("nothing was archived yet").with("SELECT pg_switch_wal(), then look again")
	case now.Sub(*archived) > 24*time.Hour:
		return warning("the last WAL was archived %s ago", now.Sub(*archived).Round(time.Hour)).with(look)
	}
	return ok("the last WAL was archived %s ago", now.Sub(*archived).Round(time.Second))
}

func transactionsOf(h migrate.Health) Finding {
	switch {
	case len(h.Long) > 0:
		return warning("%s", all(h.Long)).with("ask who it is, or end it: SELECT pg_terminate_backend(PID)")
	case !h.SeesAll && !h.Superuser:
		return ok("of the sessions that %s may see: its own", h.Role)
	}
	return ok("none")
}

func preparedOf(h migrate.Health) Finding {
	if len(h.Prepared) > 0 {
		return warning("%s", all(h.Prepared)).with("ROLLBACK PREPARED 'GID', or COMMIT PREPARED 'GID', in its database")
	}
	return ok("none")
}

// ageOf judges the age of the oldest transaction id; at 2^31 the server stops.
func ageOf(age int64) Finding {
	const vacuum = "SELECT datname, age(datfrozenxid) FROM pg_database ORDER BY 2 DESC; VACUUM (FREEZE) there"
	text := fmt.Sprintf("it is %d million transactions old", age/1_000_000)
	switch {
	case age > 1_200_000_000:
		return missing("%s", text).with(vacuum)
	case age > 500_000_000:
		return warning("%s", text).with(vacuum)
	}
	return ok("%s", text)
}

func connectionsOf(used, limit int) Finding {
	text := fmt.Sprintf("%d of %d are used", used, limit)
	if used*5 > limit*4 {
		return warning("%s", text).with("raise max_connections, or put smaller pools into the service")
	}
	return ok("%s", text)
}
