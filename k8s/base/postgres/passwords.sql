-- At the first start of the container, after roles.sql: the passwords, from the Secret postgres-roles.
\set owner `printf %s "$OWNER_PASSWORD"`
\set service `printf %s "$SERVICE_PASSWORD"`
\set exporter `printf %s "$EXPORTER_PASSWORD"`
SET log_statement = none;
SET log_min_error_statement = panic;
ALTER ROLE mydb_owner PASSWORD :'owner';
ALTER ROLE mydb_service PASSWORD :'service';
ALTER ROLE mydb_exporter PASSWORD :'exporter';
