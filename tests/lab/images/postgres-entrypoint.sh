#!/bin/sh
# What k8s/ uses of the official image's contract: the first start makes the
# database from POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, and runs the
# files /docker-entrypoint-initdb.d/*.sql in it; runs as 999.
set -eu
case ${1:-postgres} in
-*) set -- postgres "$@" ;;
postgres) ;;
*) exec "$@" ;;
esac
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown -R 999:999 "$PGDATA"
	exec setpriv --reuid=999 --regid=999 --clear-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	: "${POSTGRES_PASSWORD:?the superuser needs a password: set POSTGRES_PASSWORD}"
	user=${POSTGRES_USER:-postgres}
	printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
	initdb --username="$user" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust
	rm /tmp/password
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	name=${POSTGRES_DB:-$user}
	pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -c unix_socket_directories=/tmp" -w start
	if [ "$name" != postgres ]; then
		psql -v ON_ERROR_STOP=1 -h /tmp -U "$user" -d postgres -c "CREATE DATABASE \"$name\""
	fi
	for file in /docker-entrypoint-initdb.d/*.sql; do
		[ ! -e "$file" ] || psql -v ON_ERROR_STOP=1 -X -h /tmp -U "$user" -d "$name" -f "$file"
	done
	pg_ctl -D "$PGDATA" -m fast -w stop
fi
[ $# = 0 ] || shift
exec postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql,/tmp "$@"
