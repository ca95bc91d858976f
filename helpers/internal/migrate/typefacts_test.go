package migrate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var typesTried = strings.Split(`smallint|int|bigint|oid|regclass|numeric|numeric(10,2)|numeric(12,2)|numeric(12,4)|real|float8|text|varchar|
varchar(20)|varchar(30)|char(5)|bpchar|citext|name|xml|json|jsonb|bit(4)|bit(6)|varbit(4)|varbit(9)|varbit|date|timestamp|timestamp(3)|
timestamp(6)|timestamptz|timestamptz(3)|timestamptz(6)|time|time(3)|timetz|interval|interval(3)|interval(6)|interval(2)|cidr|inet|uuid|
bytea|boolean|loose|bound|short|deep|text[]|varchar[]|varchar(20)[]|varchar(30)[]|int[]|oid[]|mood`, "|")

// TestATypesChangeRewritesWhatTheServerRewrites tries every type with every other on
// the oldest and the newest version: the claim is compared with relfilenode, and with what is read.
func TestATypesChangeRewritesWhatTheServerRewrites(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, _ int) {
		database := open(t, s.create(t))
		execute(t, database, `CREATE EXTENSION citext; CREATE DOMAIN loose AS text; CREATE DOMAIN bound AS text CHECK (VALUE <> 'x'); 
			CREATE DOMAIN short AS varchar(25);
			CREATE DOMAIN deep AS loose; CREATE TYPE mood AS ENUM ('a', 'b'); SET TIME ZONE 'UTC'`)
		var columns, statements []string
		for i, from := range typesTried {
			columns = append(columns, fmt.Sprintf("c%d %s", i, strings.TrimSpace(from)))
		}
		execute(t, database, "CREATE TABLE t ("+strings.Join(columns, ", ")+"); INSERT INTO t DEFAULT VALUES")
		claimed := map[string]Statement{}
		for i := range typesTried {
			for k, to := range typesTried {
				if i != k {
					statements = append(statements, fmt.Sprintf("ALTER TABLE t ALTER c%d TYPE %s", i, strings.TrimSpace(to)))
				}
			}
		}
		files := map[string]string{}
		for i, statement := range statements { // each in a database of its own, as it were
			files[fmt.Sprintf("%d_x.sql", i+1)] = statement
		}
		plan, err := Compute(folder(t, files), nil, 15, Allow{})
		require.NoError(t, err)
		for i := range plan.Pending {
			require.NoError(t, plan.Pending[i].Parse())
		}
		known, err := database.catalog(t.Context(), plan.Pending)
		require.NoError(t, err)
		require.NoError(t, database.typeFacts(t.Context(), plan.Pending, &known))
		for i := range plan.Pending {
			fresh := known
			fresh.columns = map[string]column{}
			for at, was := range known.columns {
				fresh.columns[at] = was
			}
			review(plan.Pending[i:i+1], fresh)
			claimed[statements[i]] = plan.Pending[i].Statements[0]
		}
		const node = "SELECT relfilenode FROM pg_class WHERE oid = 't'::regclass"
		before, tried, rewritten := one(t, database, node), 0, 0
		for _, statement := range statements {
			execute(t, database, "BEGIN")
			if _, err := database.conn.ExecContext(t.Context(), statement); err == nil {
				now := one(t, database, node)
				assert.Equal(t, before != now, claimed[statement].Rewrites, "%s: from %s", statement, typesTried[columnOfStatement(statement)])
				tried++
				if now != before {
					rewritten++
				}
			}
			execute(t, database, "ROLLBACK")
		}
		t.Logf("%d changes that the server makes, %d of them rewrite the table", tried, rewritten)
	}, 14, 18)
}

func columnOfStatement(statement string) (column int) {
	_, _ = fmt.Sscanf(statement, "ALTER TABLE t ALTER c%d", &column)
	return column
}

// TestNoRewriteIsClaimedWhereNothingIsWritten: sessions' time zones, casts that are
// made anyway, what the table is already; and what is read instead.
func TestNoRewriteIsClaimedWhereNothingIsWritten(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		database := open(t, s.create(t))
		execute(t, database, `CREATE EXTENSION citext; CREATE TABLE t (c varchar(20), z timestamp, k int, x text);
			CREATE INDEX ON t (k); CREATE INDEX ON t (x);
			CREATE UNLOGGED TABLE u (c int);
			INSERT INTO t VALUES ('a', now(), 1, 'x'); INSERT INTO u VALUES (1)`)
		for _, test := range []struct {
			sql             string
			rewrites, scans bool
			since           int
		}{
			{"SET LOCAL timezone = 'UTC'; ALTER TABLE t ALTER z TYPE timestamptz", false, false, 0},
			{"SET TIME ZONE 'Etc/GMT'; ALTER TABLE t ALTER z TYPE timestamptz(6)", false, false, 0},
			{"SET TIME ZONE 0; ALTER TABLE t ALTER z TYPE timestamptz", false, false, 0},
			{"SET LOCAL timezone = 'Europe/London'; ALTER TABLE t ALTER z TYPE timestamptz", true, false, 0},
			{"SET TIME ZONE 5; ALTER TABLE t ALTER z TYPE timestamptz", true, false, 0},
			{"ALTER TABLE t ALTER c TYPE text USING c::text", false, false, 0},
			{"ALTER TABLE t ALTER c TYPE varchar(30) USING CAST(t.c AS varchar(30))", false, false, 0},
			{"ALTER TABLE t ALTER c TYPE text USING c", false, false, 0},
			{"ALTER TABLE t ALTER c TYPE text USING lower(c)", true, false, 0},
			{"ALTER TABLE t ALTER c TYPE text USING x", true, false, 0},
			{"ALTER TABLE t ALTER k TYPE oid", false, true, 0},
			{"ALTER TABLE t ALTER x TYPE citext", false, true, 0},
			{"ALTER TABLE t ALTER x TYPE varchar", false, false, 0},
			{"ALTER TABLE t ALTER c TYPE text, ADD COLUMN n serial", true, false, 0},
			{"ALTER TABLE t SET LOGGED", false, false, 0},
			{"ALTER TABLE u SET UNLOGGED", false, false, 0},
			{"ALTER TABLE u SET LOGGED", true, false, 0},
			{"ALTER TABLE t SET ACCESS METHOD heap", false, false, 15},
			{"ALTER TABLE t SET ACCESS METHOD DEFAULT", false, false, 17},
			{"ALTER TABLE t SET TABLESPACE pg_default", false, false, 0},
			{"ALTER TABLE t SET LOGGED, ADD COLUMN n serial", true, false, 0},
		} {
			if major < test.since {
				continue
			}
			execute(t, database, "SET TIME ZONE 'Europe/Berlin'")
			plan, err := database.Plan(t.Context(), folder(t, series(test.sql)), Allow{})
			require.NoError(t, err)
			last := plan.Pending[0].Statements[len(plan.Pending[0].Statements)-1]
			assert.Equal(t, test.rewrites, last.Rewrites, test.sql)
			assert.Equal(t, test.scans, last.Scans, test.sql)
			const nodes = "SELECT string_agg(relname || relfilenode, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('t', 'u')"
			const scans = "SELECT sum(pg_stat_get_xact_numscans(oid)) FROM pg_class WHERE relname IN ('t', 'u')"
			before := one(t, database, nodes)
			execute(t, database, "BEGIN")
			were := one(t, database, scans)
			execute(t, database, test.sql)
			assert.Equal(t, test.rewrites, before != one(t, database, nodes), "%s: what the server writes", test.sql)
			if !test.rewrites {
				assert.Equal(t, test.scans, were != one(t, database, scans), "%s: what the server reads", test.sql)
			}
			execute(t, database, "ROLLBACK")
		}
	})
}
