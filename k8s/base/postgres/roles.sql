-- The roles of a service's database, made or brought up to date. A superuser runs it in that database, as often as you like:
--
--   psql -d mydb -f k8s/base/postgres/roles.sql
--
--   mydb_owner     owns the database and what is in it: migrations run as this role.
--   mydb_service   reads and writes rows, and nothing more: the service runs as this role.
--   mydb_exporter  reads statistics (pg_monitor): the exporter runs as this role.
--
-- Other names: -v owner=NAME -v service=NAME -v exporter=NAME. New roles have no password: \password mydb_owner sets it.
-- In a database that is in use, schemas, relations, routines, types and extended statistics that are no extension's go to the owner.
-- ALTER TABLE ... OWNER TO takes ACCESS EXCLUSIVE on each table until the transaction ends. Where a lock is not granted within five
-- seconds nothing is changed: run it again. Other roles keep what they were granted by name.
\set ON_ERROR_STOP on
\if :{?owner}
\else
SELECT current_database() || '_owner' AS owner \gset
\endif
\if :{?service}
\else
SELECT current_database() || '_service' AS service \gset
\endif
\if :{?exporter}
\else
SELECT current_database() || '_exporter' AS exporter \gset
\endif
BEGIN;
SET LOCAL lock_timeout = '5s';
SET LOCAL search_path = pg_catalog; -- so that names are written with their schema

SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY[:'owner', :'service', :'exporter']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE :"service" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE :"exporter" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
GRANT pg_monitor TO :"exporter";
GRANT pg_read_all_stats TO :"owner"; -- the plan of a migration names the sessions that hold its locks

ALTER DATABASE :"DBNAME" OWNER TO :"owner";
REVOKE CREATE, TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO :"service", :"exporter";
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- The sequence of a column goes with its table; the type of a row and of an array go with their relation and element.
WITH schemas AS (
  SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), things AS (
  SELECT 'SCHEMA' AS kind, format('%I', nspname) AS name, 'pg_namespace'::regclass AS class, oid, nspowner AS holder FROM schemas
   WHERE nspowner <> 'pg_database_owner'::regrole
  UNION ALL
  SELECT 'TABLE', c.oid::regclass::text, 'pg_class'::regclass, c.oid, relowner FROM pg_class c JOIN schemas s ON s.oid = relnamespace
   WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (
     SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND relkind = 'S' AND deptype IN ('a', 'i'))
  UNION ALL
  SELECT 'ROUTINE', p.oid::regprocedure::text, 'pg_proc'::regclass, p.oid, proowner FROM pg_proc p JOIN schemas s ON s.oid = pronamespace
  UNION ALL
  SELECT 'TYPE', t.oid::regtype::text, 'pg_type'::regclass, t.oid, typowner FROM pg_type t JOIN schemas s ON s.oid = typnamespace
   WHERE typtype IN ('d', 'e', 'r') OR typtype = 'b' AND typcategory <> 'A' OR typtype = 'c' AND EXISTS (
     SELECT FROM pg_class c WHERE c.oid = typrelid AND relkind = 'c')
  UNION ALL
  SELECT 'STATISTICS', format('%I.%I', nspname, stxname), 'pg_statistic_ext'::regclass, e.oid, stxowner
    FROM pg_statistic_ext e JOIN schemas s ON s.oid = stxnamespace
)
SELECT format('ALTER %s %s OWNER TO %I', kind, name, :'owner') FROM things
 WHERE holder <> :'owner'::regrole AND NOT EXISTS (
   SELECT FROM pg_depend WHERE classid = class AND objid = things.oid AND deptype = 'e') \gexec

-- Rows of what there is and of what the owner makes later; the history of the migrations is read alone.
SELECT format(pattern, nspname, :'service') FROM pg_namespace, unnest(ARRAY[
  'GRANT USAGE ON SCHEMA %I TO %I',
  'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I',
  'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I']) AS pattern
 WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
SELECT format('REVOKE INSERT, UPDATE, DELETE ON %s FROM %I', oid::regclass, :'service') FROM pg_class
 WHERE relname IN ('schema_migrations', 'schema_migrations_progress', 'schema_migrations_repairs') AND relkind = 'r' \gexec
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE ON SCHEMAS TO :"service";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"service";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE, SELECT ON SEQUENCES TO :"service";
COMMIT;
