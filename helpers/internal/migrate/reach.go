package migrate

// A statement also locks what it does not name: partitions, children, tables at the
// other end of a foreign key, everything that a CASCADE drops. The catalog knows them.

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"
	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// reach asks the catalog for relations that a statement locks without naming them.
type reach struct {
	how     string // one of the kinds of the two queries below
	name    string // of the object, as written
	part    string // the column, constraint, trigger, policy or rule of it
	was     string // the name that the catalog has, where the plan has given it another one; wasPart the same of part
	wasPart string
	mode    string // of a member; what is dropped is locked in ACCESS EXCLUSIVE
	cascade bool
}

// ofRelation says whether the name is that of a table, an index, a view or a sequence.
func (r reach) ofRelation() bool {
	ofTable := []string{"relation", "column", "own column", "identity", "retyped", "constraint", "trigger", "rule", "policy"}
	return r.how != "relations of" && r.how != "published" && (slices.Contains(walks, r.how) || slices.Contains(ofTable, r.how))
}

// walk notes that the members of a table are locked, such as its partitions.
func (s *Statement) walk(how, name, mode string) {
	if name != "" {
		s.made.reach = append(s.made.reach, reach{how: how, name: name, mode: mode})
	}
}

// walkOf is walk for a part of a table: a column or a constraint.
func (s *Statement) walkOf(how, name, part, mode string) {
	s.made.reach = append(s.made.reach, reach{how: how, name: name, part: part, mode: mode})
}

// drops notes that an object goes, and with it what depends on it.
func (s *Statement) drops(kind, name, part string, cascade bool) {
	s.made.reach = append(s.made.reach, reach{how: kind, name: name, part: part, cascade: cascade})
}

// members are the relations around a table:
//
//	heirs      its partitions and the tables that inherit from it, of every depth; with a constraint, where that is theirs, too
//	children   those of the first depth
//	inherited  its heirs, unless it is partitioned
//	partitions its partitions, of every depth
//	default    its default partition, with the partitions of that
//	keys       the tables at the other end of its foreign keys, with their partitions
//	outgoing   those that it refers to
//	incoming   those that refer to it
//	again      the other table, where a partition refers to it by a key of its own
//	alike      those that it and another table both refer to
//	above      the partitions of the table of a partitioned index
//	emptied    the tables that refer to it, and those that refer to them
//	sequences  the sequences that its columns own, and those of its heirs
//	sequence of the sequence of an identity column
//	published  the relations of a publication
//	indexes    its indexes, and those of its partitions
//	typed      the tables of a composite type, with their heirs
//	owned      every relation that belongs to a role
//	parent     the partitioned table of a partition, or index
//	self       itself
//	seen       the tables and views that a view reads, of every depth, with their heirs
//	sequences since 15 its sequences, which can be unlogged since PostgreSQL 15
//	heirs since 18 its heirs, which PostgreSQL 18 locks for any constraint
//	inheriting its heirs, where the constraint that is meant is theirs, too
//	validating the same, where it is not validated
const members = `WITH RECURSIVE asked AS (
	SELECT t.ord::int AS ord, t.how, t.mode, t.name, t.part, to_regclass(t.name)::oid AS root
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS t(how, name, mode, part, ord)
), family(ord, how, mode, name, member, depth) AS (
	SELECT x.* FROM asked a, LATERAL (
		SELECT a.ord, a.how, a.mode, a.name, a.root, 0 WHERE a.how IN ('emptied', 'sequences', 'indexes')
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, a.root, 0 WHERE a.how IN ('heirs', 'children')
			AND (a.part = '' OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.root AND k.conname = a.part AND NOT k.connoinherit))
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, a.root, 0 FROM pg_class c WHERE a.how = 'inherited' AND c.oid = a.root AND c.relkind <> 'p'
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, d.objid, 1 FROM pg_attribute c
			JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.attrelid AND d.refobjsubid = c.attnum
			WHERE a.how = 'sequence of' AND c.attrelid = a.root AND c.attname = a.part AND c.attidentity <> ''
				AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, r.prrelid, 1 FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
			WHERE a.how = 'published' AND p.pubname = a.name
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, a.root, 0 WHERE a.how = 'heirs since 18'
			AND current_setting('server_version_num')::int >= 180000
		UNION ALL SELECT a.ord, 'sequences', a.mode, a.name, a.root, 0 WHERE a.how = 'sequences since 15'
			AND current_setting('server_version_num')::int >= 150000
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, a.root, 0 FROM pg_class c WHERE a.how = 'seen' AND c.oid = a.root AND c.relkind = 'v'
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, a.root, 1 WHERE a.how = 'self'
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, a.root, 0 FROM pg_class c WHERE a.how = 'partitions' AND c.oid = a.root
			AND c.relkind IN ('p', 'I')
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, a.root, 0 FROM pg_constraint k WHERE a.how IN ('inheriting', 'validating')
			AND k.conrelid = a.root AND k.conname = a.part AND k.contype IN ('c', 'n')
			AND NOT k.connoinherit AND (a.how = 'inheriting' OR NOT k.convalidated)
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, p.partdefid, 1 FROM pg_partitioned_table p WHERE a.how = 'default'
			AND p.partrelid = a.root AND p.partdefid <> 0
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, k.confrelid, 1 FROM pg_constraint k WHERE a.how = 'keys' AND k.contype = 'f'
			AND k.conrelid = a.root
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, k.confrelid, 1 FROM pg_constraint k WHERE a.how = 'outgoing' AND k.contype = 'f'
			AND k.conrelid IN (SELECT relid FROM pg_partition_tree(a.root) UNION SELECT a.root)
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, k.conrelid, 1 FROM pg_constraint k WHERE a.how = 'incoming' AND k.contype = 'f'
			AND k.confrelid = a.root
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, k.confrelid, 1 FROM pg_constraint k WHERE a.how IN ('again', 'alike') AND k.contype = 'f'
			AND k.conrelid IN (SELECT relid FROM pg_partition_tree(a.root) UNION SELECT a.root) AND to_regclass(a.part) <> a.root
			AND CASE a.how WHEN 'again' THEN k.confrelid = to_regclass(a.part) AND k.conrelid <> a.root AND k.conparentid = 0
				ELSE EXISTS (SELECT FROM pg_constraint o WHERE o.contype = 'f' AND o.conrelid = to_regclass(a.part)
					AND o.confrelid = k.confrelid) END
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, i.indrelid, 0 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			AND c.relkind = 'I' WHERE a.how = 'above' AND i.indexrelid = a.root
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, k.conrelid, 1 FROM pg_constraint k WHERE a.how = 'keys' AND k.contype = 'f'
			AND k.confrelid = a.root
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, c.oid, 1 FROM pg_class c WHERE a.how = 'typed' AND c.reloftype = to_regtype(a.name)
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, i.inhparent, 1 FROM pg_inherits i WHERE a.how = 'parent' AND i.inhrelid = a.root
		UNION ALL SELECT a.ord, a.how, a.mode, a.name, c.oid, 1 FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE a.how = 'owned'
			AND r.rolname = a.name
			AND c.relkind <> 't'
	) x WHERE x.root IS NOT NULL
	UNION SELECT f.ord, f.how, f.mode, f.name, x.member, 1 FROM family f, LATERAL (
		SELECT i.inhrelid AS member FROM pg_inherits i WHERE i.inhparent = f.member
			AND f.how NOT IN ('self', 'parent', 'owned', 'published') AND (f.how <> 'children' OR f.depth = 0)
		UNION SELECT d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
			AND d.refclassid = 'pg_class'::regclass
			JOIN pg_class v ON v.oid = w.ev_class AND v.relkind = 'v' JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'v')
			WHERE f.how = 'seen' AND w.ev_class = f.member AND d.refobjid <> w.ev_class
		UNION SELECT k.conrelid FROM pg_constraint k WHERE f.how = 'emptied' AND k.contype = 'f' AND k.confrelid = f.member
			AND k.conrelid <> f.member
	) x
) SELECT DISTINCT f.ord, r.member::regclass::text, f.mode, coalesce(i.indrelid::regclass::text, ''),
	CASE WHEN c.relispartition AND i.indrelid IS NULL THEN pg_partition_root(c.oid)::regclass::text ELSE '' END
	FROM family f, LATERAL (
		SELECT f.member WHERE f.depth > 0 AND f.how NOT IN ('sequences', 'indexes')
		UNION ALL SELECT i.indexrelid FROM pg_index i WHERE f.how = 'indexes' AND i.indrelid = f.member
		UNION ALL SELECT d.objid FROM pg_depend d WHERE f.how = 'sequences' AND d.classid = 'pg_class'::regclass
			AND d.refclassid = 'pg_class'::regclass AND d.refobjid = f.member AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
	) r JOIN pg_class c ON c.oid = r.member LEFT JOIN pg_index i ON i.indexrelid = c.oid
	WHERE c.relnamespace <> 'pg_toast'::regnamespace AND (f.how <> 'sequences' OR c.relkind = 'S') ORDER BY 1, 2`

// dropped finds what goes with an object, as findDependentObjects of PostgreSQL's
// src/backend/catalog/dependency.c does, and the relations that are locked for it.
// "retyped" is a column whose constraints are dropped and made again.
const dropped = `WITH RECURSIVE asked AS (
	SELECT t.ord::int AS ord, t.how, t.name, t.part, t.cascade, CASE
		WHEN t.how IN ('relation', 'column', 'own column', 'identity', 'retyped', 'constraint', 'trigger', 'rule', 'policy')
			THEN to_regclass(t.name)::oid END AS root
		FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[]) WITH ORDINALITY AS t(how, name, part, cascade, ord)
), heirs(ord, member) AS (
	SELECT ord, root FROM asked WHERE how IN ('column', 'own column', 'retyped', 'constraint') AND root IS NOT NULL
	UNION SELECT h.ord, i.inhrelid FROM heirs h JOIN pg_inherits i ON i.inhparent = h.member
), gone(ord, cascade, classid, objid, objsubid) AS (
	SELECT a.ord, a.cascade, x.* FROM asked a, LATERAL (
		SELECT 'pg_class'::regclass::oid AS classid, a.root AS objid, 0 AS objsubid WHERE a.how = 'relation' AND a.root IS NOT NULL
		UNION ALL SELECT 'pg_class'::regclass, c.attrelid, c.attnum FROM heirs h JOIN pg_attribute c ON c.attrelid = h.member
			WHERE h.ord = a.ord AND a.how IN ('column', 'own column') AND c.attname = a.part
			AND (h.member = a.root OR a.how = 'column' AND c.attinhcount > 0 AND NOT c.attislocal)
		UNION ALL SELECT d.classid, d.objid, d.objsubid FROM heirs h JOIN pg_attribute c ON c.attrelid = h.member
			JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.attrelid AND d.refobjsubid = c.attnum
			WHERE h.ord = a.ord AND a.how = 'retyped' AND c.attname = a.part
				AND d.classid IN ('pg_constraint'::regclass, 'pg_statistic_ext'::regclass)
		UNION ALL SELECT 'pg_constraint'::regclass, c.oid, 0 FROM heirs h JOIN pg_constraint c ON c.conrelid = h.member WHERE h.ord = a.ord
			AND a.how = 'constraint' AND c.conname = a.part AND (h.member = a.root OR c.coninhcount > 0)
		UNION ALL SELECT 'pg_trigger'::regclass, c.oid, 0 FROM pg_trigger c WHERE a.how = 'trigger' AND c.tgrelid = a.root AND c.tgname = a.part
		UNION ALL SELECT 'pg_rewrite'::regclass, c.oid, 0 FROM pg_rewrite c WHERE a.how = 'rule' AND c.ev_class = a.root AND c.rulename = a.part
		UNION ALL SELECT 'pg_policy'::regclass, c.oid, 0 FROM pg_policy c WHERE a.how = 'policy' AND c.polrelid = a.root AND c.polname = a.part
		UNION ALL SELECT 'pg_type'::regclass, to_regtype(a.name), 0 WHERE a.how = 'type'
		UNION ALL SELECT 'pg_type'::regclass, t.typarray, 0 FROM pg_type t WHERE a.how = 'type' AND t.oid = to_regtype(a.name) AND t.typarray <> 0
		UNION ALL SELECT 'pg_namespace'::regclass, to_regnamespace(a.name), 0 WHERE a.how = 'schema'
		UNION ALL SELECT 'pg_extension'::regclass, c.oid, 0 FROM pg_extension c WHERE a.how = 'extension' AND c.extname = a.name
		UNION ALL SELECT 'pg_foreign_server'::regclass, c.oid, 0 FROM pg_foreign_server c WHERE a.how = 'server' AND c.srvname = a.name
		UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, c.oid, 0 FROM pg_foreign_data_wrapper c WHERE a.how = 'wrapper'
			AND c.fdwname = a.name
		UNION ALL SELECT 'pg_language'::regclass, c.oid, 0 FROM pg_language c WHERE a.how = 'language' AND c.lanname = a.name
		UNION ALL SELECT 'pg_am'::regclass, c.oid, 0 FROM pg_am c WHERE a.how = 'method' AND c.amname = a.name
		UNION ALL SELECT 'pg_publication'::regclass, c.oid, 0 FROM pg_publication c WHERE a.how = 'publication' AND c.pubname = a.name
		UNION ALL SELECT 'pg_collation'::regclass, c.oid, 0 FROM pg_collation c WHERE a.how = 'collation' AND c.collname = a.part
			AND (a.name = '' OR c.collnamespace = to_regnamespace(a.name))
		UNION ALL SELECT 'pg_statistic_ext'::regclass, c.oid, 0 FROM pg_statistic_ext c WHERE a.how = 'statistics' AND c.stxname = a.part
			AND (a.name = '' OR c.stxnamespace = to_regnamespace(a.name))
		UNION ALL SELECT 'pg_opclass'::regclass, c.oid, 0 FROM pg_opclass c WHERE a.how = 'opclass' AND c.opcname = a.part
		UNION ALL SELECT 'pg_opfamily'::regclass, c.oid, 0 FROM pg_opfamily c WHERE a.how IN ('opclass', 'opfamily') AND c.opfname = a.part
		UNION ALL SELECT 'pg_operator'::regclass, c.oid, 0 FROM pg_operator c WHERE a.how = 'operator' AND c.oprname = a.part
		UNION ALL SELECT 'pg_ts_config'::regclass, c.oid, 0 FROM pg_ts_config c WHERE a.how = 'configuration' AND c.cfgname = a.part
		UNION ALL SELECT 'pg_ts_dict'::regclass, c.oid, 0 FROM pg_ts_dict c WHERE a.how = 'dictionary' AND c.dictname = a.part
		UNION ALL SELECT 'pg_proc'::regclass, c.oid, 0 FROM pg_proc c WHERE a.how = 'function' AND c.proname = a.part AND (a.name = ''
			OR string_to_array(c.proargtypes::text, ' ')::oid[] = coalesce((SELECT array_agg(to_regtype(x)::oid ORDER BY o)
				FROM unnest(string_to_array(substring(a.name FROM '\((.*)\)$'), ',')) WITH ORDINALITY t(x, o)), '{}')
			AND (CASE WHEN split_part(a.name, '(', 1) ~ '\.' THEN c.pronamespace = to_regnamespace(split_part(a.name, '.', 1))
				ELSE pg_function_is_visible(c.oid) END))
		UNION ALL SELECT d.classid, d.objid, d.objsubid FROM pg_attribute c JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass
			AND d.refobjid = c.attrelid AND d.refobjsubid = c.attnum AND d.deptype = 'i'
			WHERE a.how = 'identity' AND c.attrelid = a.root AND c.attname = a.part AND d.classid = 'pg_class'::regclass
		UNION ALL SELECT d.classid, d.objid, d.objsubid FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid WHERE a.how = 'owned'
			AND r.rolname = a.name
			AND d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND d.dbid = (SELECT oid FROM pg_database
				WHERE datname = current_database())
	) x WHERE x.objid IS NOT NULL
	UNION SELECT g.ord, g.cascade, x.* FROM gone g, LATERAL (
		SELECT d.classid, d.objid, d.objsubid FROM pg_depend d WHERE d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0
			OR d.refobjsubid = g.objsubid) AND (g.cascade OR d.deptype <> 'n')
		UNION ALL SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_depend d WHERE d.classid = g.classid AND d.objid = g.objid
			AND (g.objsubid = 0 OR d.objsubid = g.objsubid) AND d.deptype = 'i'
	) x
) SELECT DISTINCT g.ord, r.rel::regclass::text, r.mode, coalesce(i.indrelid::regclass::text, ''),
	CASE WHEN c.relispartition AND i.indrelid IS NULL THEN pg_partition_root(c.oid)::regclass::text ELSE '' END
	FROM gone g, LATERAL (
		SELECT g.objid AS rel, 'AccessExclusiveLock' AS mode WHERE g.classid = 'pg_class'::regclass
		UNION ALL SELECT i.indrelid, 'AccessExclusiveLock' FROM pg_index i WHERE g.classid = 'pg_class'::regclass AND i.indexrelid = g.objid
		UNION ALL SELECT p.rel, 'AccessExclusiveLock' FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid LEFT
			JOIN pg_partitioned_table t ON t.partrelid = i.inhparent,
			LATERAL (VALUES (i.inhparent), (nullif(t.partdefid, 0))) p(rel) WHERE g.classid = 'pg_class'::regclass AND g.objsubid = 0
				AND c.oid = g.objid AND c.relispartition AND c.relkind NOT IN ('i', 'I')
		UNION ALL SELECT k.conrelid, 'AccessExclusiveLock' FROM pg_constraint k WHERE g.classid = 'pg_constraint'::regclass
			AND k.oid = g.objid AND k.conrelid <> 0
		UNION ALL SELECT k.confrelid, 'AccessExclusiveLock' FROM pg_constraint k WHERE g.classid = 'pg_constraint'::regclass AND k.oid = g.objid
			AND k.contype = 'f' AND k.conparentid = 0
		UNION ALL SELECT k.adrelid, 'AccessExclusiveLock' FROM pg_attrdef k WHERE g.classid = 'pg_attrdef'::regclass AND k.oid = g.objid
		UNION ALL SELECT k.tgrelid, 'AccessExclusiveLock' FROM pg_trigger k WHERE g.classid = 'pg_trigger'::regclass AND k.oid = g.objid
		UNION ALL SELECT k.polrelid, 'AccessExclusiveLock' FROM pg_policy k WHERE g.classid = 'pg_policy'::regclass AND k.oid = g.objid
		UNION ALL SELECT k.ev_class, 'AccessExclusiveLock' FROM pg_rewrite k WHERE g.classid = 'pg_rewrite'::regclass AND k.oid = g.objid
		UNION ALL SELECT k.stxrelid, 'ShareUpdateExclusiveLock' FROM pg_statistic_ext k WHERE g.classid = 'pg_statistic_ext'::regclass
			AND k.oid = g.objid
	) r JOIN pg_class c ON c.oid = r.rel LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace <> 'pg_toast'::regnamespace
		ORDER BY 1, 2`

// walks says which kinds the first query answers.
var walks = []string{
	"heirs", "children", "inherited", "partitions", "default", "keys", "emptied", "sequences", "sequence of", "published", "indexes",
	"typed", "parent", "self",
	"inheriting", "validating", "outgoing", "incoming", "again", "alike", "above", "seen", "heirs since 18", "sequences since 15",
	"relations of",
}

// reached fills in what each statement locks beside what it names.
func (d *Database) reached(ctx context.Context, migrations []Migration) error {
	var walking, dropping []reach
	var walkers, droppers []asker
	for i := range migrations {
		for j := range migrations[i].Statements {
			s := &migrations[i].Statements[j]
			s.made.reached = nil
			for _, each := range s.made.reach {
				if slices.Contains(walks, each.how) {
					walking, walkers = append(walking, each), append(walkers, asker{s, each})
				} else {
					dropping, droppers = append(dropping, each), append(droppers, asker{s, each})
				}
			}
		}
	}
	field := func(all []reach, of func(reach) string) any {
		list := make([]string, len(all))
		for i, each := range all {
			list[i] = of(each)
		}
		return pq.Array(list)
	}
	how := func(r reach) string { return strings.Replace(r.how, "relations of", "owned", 1) }
	name := func(r reach) string { return cmp.Or(r.was, r.name) }
	part := func(r reach) string { return cmp.Or(r.wasPart, r.part) }
	if len(walking) > 0 {
		mode := func(r reach) string { return r.mode }
		if err := d.reachedBy(ctx, walkers, members, field(walking, how), field(walking, name), field(walking, mode), field(walking,
			part)); err != nil {
			return err
		}
	}
	if len(dropping) == 0 {
		return nil
	}
	cascades := make([]bool, len(dropping))
	for i, each := range dropping {
		cascades[i] = each.cascade
	}
	return d.reachedBy(ctx, droppers, dropped, field(dropping, how), field(dropping, name), field(dropping, part), pq.Array(cascades))
}

// asker is the statement that a question is for, and the question.
type asker struct {
	*Statement
	reach
}

func (d *Database) reachedBy(ctx context.Context, askers []asker, query string, arguments ...any) error {
	rows, err := d.conn.QueryContext(ctx, query, arguments...)
	if err != nil {
		return d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var ord int
		var lock Lock
		var heap, root string
		if err := rows.Scan(&ord, &lock.Table, &lock.Mode, &heap, &root); err != nil {
			return fmt.Errorf("reading what a statement locks: %w", err)
		}
		lock.Index, lock.Of = heap != "", heap+root
		// Behind the name of what the plan itself creates there may be another object now.
		by := askers[ord-1]
		if by.was != "" && strings.HasSuffix("."+by.was, "."+lock.Table) {
			lock.Table = by.name
		}
		if !by.made.ours[by.name] {
			by.made.reached = append(by.made.reached, lock)
		}
	}
	return d.explain(rows.Err())
}

// reachesOf adds what the catalog has found to the locks of a statement: of two on
// one relation the stronger stays, and an index counts only where its table can be
// used beside it.
func (r *reviewer) reachesOf(s *Statement) {
	strongest := map[string]string{}
	for _, lock := range append(slices.Clone(s.Locks), s.made.reached...) {
		if name := r.canonical(lock.Table); strength(lock.Mode) > strength(strongest[name]) {
			strongest[name] = lock.Mode
		}
	}
	for i, lock := range s.Locks {
		s.Locks[i].Mode = strongest[r.canonical(lock.Table)]
	}
	for _, lock := range s.made.reached {
		name := r.canonical(lock.Table)
		lock.Mode = strongest[name]
		known := slices.ContainsFunc(s.Locks, func(l Lock) bool { return r.canonical(l.Table) == name })
		if known || lock.Index && (lock.Mode != accessExclusive || strongest[lock.Of] == accessExclusive) {
			continue
		}
		s.Locks = append(s.Locks, lock)
	}
}

// canonical is a relation's name as the catalog writes it.
func (r *reviewer) canonical(name string) string {
	if known, ok := r.names[name]; ok {
		return known
	}
	return name
}

// dropKinds are the objects of DROP that the query of what goes knows by name alone.
var dropKinds = map[pgquery.ObjectType]string{
	pgquery.ObjectType_OBJECT_TYPE: "type", pgquery.ObjectType_OBJECT_DOMAIN: "type", pgquery.ObjectType_OBJECT_SCHEMA: "schema",
	pgquery.ObjectType_OBJECT_EXTENSION:      "extension",
	pgquery.ObjectType_OBJECT_FOREIGN_SERVER: "server", pgquery.ObjectType_OBJECT_FDW: "wrapper",
	pgquery.ObjectType_OBJECT_LANGUAGE: "language", pgquery.ObjectType_OBJECT_ACCESS_METHOD: "method",
	pgquery.ObjectType_OBJECT_PUBLICATION: "publication", pgquery.ObjectType_OBJECT_COLLATION: "collation",
	pgquery.ObjectType_OBJECT_STATISTIC_EXT: "statistics",
	pgquery.ObjectType_OBJECT_OPCLASS:       "opclass", pgquery.ObjectType_OBJECT_OPFAMILY: "opfamily",
	pgquery.ObjectType_OBJECT_OPERATOR:        "operator",
	pgquery.ObjectType_OBJECT_TSCONFIGURATION: "configuration", pgquery.ObjectType_OBJECT_TSDICTIONARY: "dictionary",
	pgquery.ObjectType_OBJECT_FUNCTION: "function", pgquery.ObjectType_OBJECT_PROCEDURE: "function",
	pgquery.ObjectType_OBJECT_ROUTINE: "function", pgquery.ObjectType_OBJECT_AGGREGATE: "function",
}

// dropsObject notes an object of DROP that is no relation.
func (s *Statement) dropsObject(kind pgquery.ObjectType, object *pgquery.Node, cascade bool) {
	how := dropKinds[kind]
	switch how {
	case "":
	case "type":
		s.drops(how, typeText(object.GetTypeName()), "", cascade)
	case "schema":
		s.drops(how, identifier(object.GetString_().GetSval()), "", cascade)
	case "extension", "server", "wrapper", "language", "method", "publication":
		s.drops(how, object.GetString_().GetSval(), "", cascade)
	case "function", "operator":
		call := object.GetObjectWithArgs()
		signature := ""
		if how == "function" && !call.GetArgsUnspecified() {
			var types []string
			for _, argument := range call.GetObjargs() {
				types = append(types, typeText(argument.GetTypeName()))
			}
			signature = nameOf(call.GetObjname()) + "(" + strings.Join(types, ",") + ")"
		}
		s.drops(how, signature, lastName(call.GetObjname()), cascade)
	default: // those that are looked for by their last name, in a schema where one is named
		parts := object.GetList().GetItems()
		if how == "opclass" || how == "opfamily" {
			parts = parts[min(1, len(parts)):] // behind the access method
		}
		schema := ""
		if len(parts) > 1 {
			schema = identifier(parts[len(parts)-2].GetString_().GetSval())
		}
		s.drops(how, schema, lastName(parts), cascade)
	}
}

// typeText is a type's name as to_regtype reads it.
func typeText(t *pgquery.TypeName) string {
	return nameOf(t.GetNames()) + strings.Repeat("[]", len(t.GetArrayBounds()))
}

// recursing are the commands of ALTER TABLE that do to the heirs of a table what they
// do to it: ATPrepCmd in PostgreSQL's src/backend/commands/tablecmds.c. Those that
// drop something do so, to the first depth, for ONLY as well.
var recursing = map[pgquery.AlterTableType]bool{
	pgquery.AlterTableType_AT_AddColumn: true, pgquery.AlterTableType_AT_ColumnDefault: true, pgquery.AlterTableType_AT_DropNotNull: true,
	pgquery.AlterTableType_AT_SetNotNull:     true,
	pgquery.AlterTableType_AT_DropExpression: true, pgquery.AlterTableType_AT_SetExpression: true,
	pgquery.AlterTableType_AT_SetStatistics: true, pgquery.AlterTableType_AT_SetStorage: true,
	pgquery.AlterTableType_AT_AlterColumnType: true, pgquery.AlterTableType_AT_DropColumn: true,
}

// reachOf notes what a command of ALTER TABLE locks beside the table.
func (s *Statement) reachOf(command *pgquery.AlterTableCmd, on *pgquery.RangeVar, mode string) {
	table, cascade := relation(on), command.GetBehavior() == pgquery.DropBehavior_DROP_CASCADE
	kind := command.GetSubtype()
	if s.Kind == "ALTER TYPE" {
		if cascade {
			s.walk("typed", table, accessExclusive)
		}
		if kind == pgquery.AlterTableType_AT_DropColumn {
			s.drops("column", table, command.Name, cascade)
		}
		return
	}
	if recursing[kind] && on.GetInh() {
		s.walk("heirs", table, mode)
	}
	switch kind {
	case pgquery.AlterTableType_AT_AddColumn:
		for _, node := range command.Def.GetColumnDef().GetConstraints() {
			if key := node.GetConstraint(); key.GetContype() == pgquery.ConstrType_CONSTR_FOREIGN {
				s.walk("partitions", relation(key.Pktable), shareRowExclusive)
			}
		}
	case pgquery.AlterTableType_AT_AddConstraint:
		s.reachOfConstraint(command.Def.GetConstraint(), on, mode)
	case pgquery.AlterTableType_AT_DropColumn:
		s.drops(map[bool]string{true: "column", false: "own column"}[on.GetInh()], table, command.Name, cascade)
		s.walk("children", table, mode)
	case pgquery.AlterTableType_AT_DropConstraint:
		s.drops("constraint", table, command.Name, cascade)
		s.walkOf(map[bool]string{true: "heirs", false: "children"}[on.GetInh()], table, command.Name, mode)
	case pgquery.AlterTableType_AT_ValidateConstraint:
		s.walkOf("validating", table, command.Name, mode)
	case pgquery.AlterTableType_AT_SetIdentity:
		s.walkOf("sequence of", table, command.Name, shareRowExclusive)
	case pgquery.AlterTableType_AT_AlterColumnType:
		s.walkOf("sequence of", table, command.Name, shareRowExclusive)
		s.drops("retyped", table, command.Name, false)
	case pgquery.AlterTableType_AT_AttachPartition:
		s.walk("heirs", relation(command.Def.GetPartitionCmd().GetName()), accessExclusive)
		s.walk("default", table, accessExclusive)
		s.walk("keys", table, shareRowExclusive)
		s.walkOf("alike", relation(command.Def.GetPartitionCmd().GetName()), table, accessExclusive)
	case pgquery.AlterTableType_AT_DropIdentity:
		s.drops("identity", table, command.Name, false)
	case pgquery.AlterTableType_AT_AlterConstraint:
		s.walk("partitions", table, mode)
	case pgquery.AlterTableType_AT_DetachPartition:
		s.walk("outgoing", relation(command.Def.GetPartitionCmd().GetName()), shareRowExclusive)
		s.walk("incoming", relation(command.Def.GetPartitionCmd().GetName()), accessExclusive)
		s.walk("default", table, mode)
		s.walk("heirs", relation(command.Def.GetPartitionCmd().GetName()), accessExclusive)
	case pgquery.AlterTableType_AT_AddInherit:
		s.lock(relation(command.Def.GetRangeVar()), shareUpdateExclusive)
	case pgquery.AlterTableType_AT_EnableTrig, pgquery.AlterTableType_AT_EnableAlwaysTrig, pgquery.AlterTableType_AT_EnableReplicaTrig,
		pgquery.AlterTableType_AT_EnableTrigAll,
		pgquery.AlterTableType_AT_EnableTrigUser, pgquery.AlterTableType_AT_DisableTrig, pgquery.AlterTableType_AT_DisableTrigAll,
		pgquery.AlterTableType_AT_DisableTrigUser:
		if on.GetInh() {
			s.walk("partitions", table, mode)
		}
	case pgquery.AlterTableType_AT_ChangeOwner:
		s.walk("sequences", table, accessExclusive)
	case pgquery.AlterTableType_AT_SetLogged, pgquery.AlterTableType_AT_SetUnLogged:
		s.walk("sequences since 15", table, accessExclusive)
	}
}
