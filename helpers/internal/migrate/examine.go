package migrate

// What a site's check asks of a database, beside what a migration does.

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lib/pq"
)

// Health is what a database says of itself.
type Health struct {
	Version     int // the major one
	TLS         bool
	Verified    bool // the certificate and the name in it were checked
	Role        string
	Schema      string // in which new tables are made
	Superuser   bool
	MayCreate   bool     // tables in the schema
	NotOwned    []string // tables of the schema that the role may not alter
	Standby     bool
	SeesAll     bool   // the sessions of other roles
	Waits       string // synchronous_standby_names, where no standby of it is connected
	Late        []string
	Standbys    int
	Slots       []string
	Archives    bool
	Archived    *time.Time
	Failed      *time.Time    // the last failure, where nothing was archived after it
	Long        []string      // transactions that are open for too long
	Prepared    []string      // transactions that were prepared too long ago
	Age         int64         // of the oldest transaction id of any database
	Used, Limit int           // connections
	Now         time.Time     // the server's
	Ahead       time.Duration // by how much it is ahead of this machine
	Past        error         // another tool's history
	History     int           // files that were applied
	Tables      int           // in the schema
}

// Examine reads all of it. It changes nothing. open is how long a transaction may be open.
func (d *Database) Examine(ctx context.Context, open time.Duration) (Health, error) {
	h := Health{Role: d.user, Schema: d.place.schema, Verified: d.config.SSLMode == pq.SSLModeVerifyFull}
	if _, err := d.conn.ExecContext(ctx, "SET statement_timeout = '5s'"); err != nil {
		return h, d.explain(err)
	}
	var waits bool
	var names, archive string
	var archived, failed sql.NullTime
	for _, query := range []struct {
		sql       string
		arguments []any
		into      []any
	}{
		{`SELECT current_setting('server_version_num')::int / 10000, coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
			current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), pg_is_in_recovery(), clock_timestamp(),
			pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')`,
			nil, []any{&h.Version, &h.TLS, &h.Role, &h.Superuser, &h.Standby, &h.Now, &h.SeesAll}},
		{`SELECT has_schema_privilege(current_user, to_regnamespace($1)::oid, 'CREATE'),
			(SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')),
			ARRAY(SELECT oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')
				AND NOT pg_has_role(current_user, relowner, 'USAGE') ORDER BY 1)`,
			[]any{h.Schema}, []any{&h.MayCreate, &h.Tables, pq.Array(&h.NotOwned)}},
		{`SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) = 0 AND current_setting('synchronous_standby_names') <> '',
			current_setting('synchronous_standby_names'), ARRAY(SELECT concat_ws(' ', nullif(application_name, ''), host(client_addr)) || ' is '
				|| extract(epoch FROM replay_lag)::int || ' s behind' FROM pg_stat_replication WHERE replay_lag > interval '1 minute')
			FROM pg_stat_replication`, nil, []any{&h.Standbys, &waits, &names, pq.Array(&h.Late)}},
		{`SELECT current_setting('archive_mode'), last_archived_time, CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity')
			THEN last_failed_time END FROM pg_stat_archiver`, nil, []any{&archive, &archived, &failed}},
		{`SELECT ARRAY(SELECT 'pid ' || a.pid || ' (' || ` + who + ` || ') for ' || date_trunc('second', clock_timestamp() - a.xact_start)
				FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
				AND a.xact_start < clock_timestamp() - $1::interval ORDER BY a.xact_start),
			ARRAY(SELECT quote_literal(gid) || ' of ' || owner || ', prepared ' || prepared::timestamptz(0) FROM pg_prepared_xacts
				WHERE prepared < clock_timestamp() - $1::interval ORDER BY prepared),
			(SELECT max(age(datfrozenxid)) FROM pg_database),
			(SELECT sum(numbackends)::int FROM pg_stat_database), current_setting('max_connections')::int`,
			[]any{fmt.Sprintf("%f seconds", open.Seconds())}, []any{pq.Array(&h.Long), pq.Array(&h.Prepared), &h.Age, &h.Used, &h.Limit}},
	} {
		if err := d.conn.QueryRowContext(ctx, query.sql, query.arguments...).Scan(query.into...); err != nil {
			return h, d.explain(err)
		}
		if h.Ahead == 0 {
			h.Ahead = time.Until(h.Now)
		}
	}
	if waits {
		h.Waits = names
	}
	h.Archives = archive != "off"
	if archived.Valid {
		h.Archived = &archived.Time
	}
	if failed.Valid {
		h.Failed = &failed.Time
	}
	return h, d.examineHistory(ctx, &h)
}

// examineHistory looks for the history of this tool or of another one.
func (d *Database) examineHistory(ctx context.Context, h *Health) (err error) {
	if h.Slots, err = d.slots(ctx); err != nil {
		return err
	}
	if h.Past = d.byAnotherTool(ctx); h.Past == nil {
		var history []Applied
		history, h.Past = d.History(ctx)
		h.History = len(history)
	}
	return nil
}

// NotPooled makes sure that a session belongs to this client alone. The advisory lock that it takes for a moment is of a key of
// its own, so that no migration waits for it.
func (d *Database) NotPooled(ctx context.Context) error {
	kept := d.place.key
	defer func() { d.place.key = kept }()
	d.place.key = rand.Int64()
	if err := d.Lock(ctx, time.Second); err != nil {
		return err
	}
	if err := d.Unlock(ctx); err != nil {
		return fmt.Errorf("unlocking: %w", err)
	}
	return nil
}
