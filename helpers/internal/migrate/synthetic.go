package migrate

// Rows that are made from types, so that a rewrite or a scan has something to do. Nothing
// of the database's own rows is in them.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// madeUp makes the value of a column for row g: the same g gives the same value of a type,
// so that foreign keys find their row.
const madeUp = `CASE
	WHEN t.typname IN ('int4', 'int8', 'oid', 'float4', 'float8', 'money') THEN format('g::%s', b.name)
	WHEN t.typname = 'int2' THEN '(g % 32000)::smallint'
	WHEN t.typname = 'numeric' THEN format('(g %% %s)::%s', CASE WHEN b.mod < 4
		THEN '1000000000' ELSE '1' || repeat('0', least(9, greatest(0, ((b.mod - 4) >> 16) - ((b.mod - 4) & 2047)))) END, b.name)
	WHEN t.typname IN ('text', 'citext', 'name') THEN '''row '' || g'
	WHEN t.typname IN ('varchar', 'bpchar') THEN format('right(''row '' || g, %s)', CASE WHEN b.mod > 4 THEN b.mod - 4 ELSE 100 END)
	WHEN t.typname = 'bool' THEN 'g % 2 = 0'
	WHEN t.typname = 'date' THEN 'date ''2000-01-01'' + g % 9000'
	WHEN t.typname IN ('timestamp', 'timestamptz')
		THEN format('(timestamptz ''2000-01-01 00:00:00+00'' + g * interval ''1 second'')::%s', b.name)
	WHEN t.typname IN ('time', 'timetz', 'interval') THEN format('((g %% 80000) * interval ''1 second'')::time::%s', b.name)
	WHEN t.typname = 'uuid' THEN 'md5(g::text)::uuid'
	WHEN t.typname IN ('json', 'jsonb') THEN format('''{"row": 1}''::%s', b.name)
	WHEN t.typname = 'bytea' THEN 'decode(md5(g::text), ''hex'')'
	WHEN t.typname IN ('inet', 'cidr') THEN format('(inet ''10.0.0.0'' + g)::%s', b.name)
	WHEN t.typtype = 'e' THEN format('(enum_range(NULL::%s))[1 + g %% %s]', b.name, (SELECT count(*) FROM pg_enum WHERE enumtypid = t.oid))
	WHEN t.typcategory = 'A' THEN format('''{}''::%s', b.name)
	WHEN t.typtype = 'r' THEN format('''empty''::%s', b.name)
	WHEN t.typname = 'tsvector' THEN '''''::tsvector'
	ELSE 'NULL' END`

// insert gives for each table the columns and values of an INSERT: all of them, or only those that must have one.
const insert = `SELECT c.oid::regclass::text, coalesce(string_agg(quote_ident(a.attname), ', '
	ORDER BY a.attnum), ''), coalesce(string_agg(` + madeUp + `, ', ' ORDER BY a.attnum), '')
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
	JOIN pg_type d ON d.oid = a.atttypid,
	LATERAL (SELECT CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END AS type, CASE WHEN d.typtype = 'd'
		THEN d.typtypmod ELSE a.atttypmod END AS mod) x,
	LATERAL (SELECT format_type(x.type, x.mod) AS name, x.mod) b, pg_type t
	WHERE t.oid = x.type AND c.oid = ANY($1::oid[]) AND (NOT $2 OR a.attnotnull AND NOT a.atthasdef) GROUP BY c.oid`

// around are tables with rows of their own: those that are named, their partitions and heirs,
// and what foreign keys connect them with.
const around = `WITH RECURSIVE named AS (SELECT to_regclass(n)::oid AS member FROM unnest($1::text[]) n WHERE to_regclass(n) IS NOT NULL),
	family(member) AS (SELECT member FROM named UNION SELECT confrelid FROM pg_constraint k JOIN named ON k.conrelid = member AND contype = 'f'
		UNION SELECT conrelid FROM pg_constraint k JOIN named ON k.confrelid = member AND contype = 'f'),
	heirs(member) AS (SELECT member FROM family UNION SELECT i.inhrelid FROM heirs h JOIN pg_inherits i ON i.inhparent = h.member)
	SELECT coalesce(string_agg(c.oid::text, ','), '') FROM heirs JOIN pg_class c ON c.oid = member AND c.relkind = 'r'`

// fill makes rows in the tables that the plan locks. One whose constraints they do not meet stays empty.
func (r *rehearsing) fill(ctx context.Context) error {
	r.rows = map[string]int64{}
	if r.options.Rows <= 0 {
		return nil
	}
	var members string
	if err := r.conn.QueryRowContext(ctx, around, pq.Array(r.named())).Scan(&members); err != nil || members == "" {
		return r.explain(err)
	}
	// Triggers, and the checks of foreign keys, are off: the rows meet them by how they are made.
	if err := r.exec(ctx, "SET session_replication_role = replica"); err != nil {
		r.found.Rows, r.found.Missing = 0, append(r.found.Missing, "rows: the role of the rehearsal's server may not leave triggers out")
		return nil
	}
	for _, least := range []bool{false, true} {
		type table struct{ columns, values string }
		todo := map[string]table{}
		rows, err := r.conn.QueryContext(ctx, insert, "{"+members+"}", least)
		if err != nil {
			return r.explain(err)
		}
		for rows.Next() {
			var name string
			var made table
			if err := rows.Scan(&name, &made.columns, &made.values); err != nil {
				return r.explain(err)
			}
			todo[name] = made
		}
		if err := rows.Err(); err != nil {
			return r.explain(err)
		}
		for name, made := range todo {
			if r.rows[name] > 0 || made.columns == "" || strings.HasSuffix(name, historyTable) {
				continue
			}
			err := r.exec(ctx, "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM generate_series(1, %d) g", name, made.columns,
				made.values, r.options.Rows)
			if err == nil {
				r.rows[name] = int64(r.options.Rows)
			} else if least {
				r.found.Missing = append(r.found.Missing, fmt.Sprintf("rows of %s: %s", name, withoutSecrets(err)))
			}
		}
	}
	slices.Sort(r.found.Missing)
	return r.explain(r.exec(ctx, "RESET session_replication_role; ANALYZE"))
}
