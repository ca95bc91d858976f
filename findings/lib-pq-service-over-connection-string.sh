#!/usr/bin/env bash
# lib/pq 1.12.3: what a service file says replaces what the connection string says.
#
# The documentation of NewConfig has the order environment, service file, connection string,
# each replacing the one before, as libpq has it. The service file is read last: a database,
# host or user that stands in the connection string beside service= is silently replaced by
# the service's, and the connection goes to another database than the one that was named.
#
# Seen:
# string alone:        host=staging.example database=orders_copy
# string with service: host=production.example database=orders
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'GO'
package main

import (
	"fmt"
	"log"

	"github.com/lib/pq"
)

func main() {
	for _, each := range [][2]string{{"string alone:       ", ""}, {"string with service:", " service=orders"}} {
		config, err := pq.NewConfig("host=staging.example dbname=orders_copy user=app" + each[1])
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s host=%s database=%s\n", each[0], config.Host, config.Database)
	}
}
GO
cat > service.conf <<'CONF'
[orders]
host=production.example
dbname=orders
CONF
export GOFLAGS=-mod=mod
go mod init finding >/dev/null 2>&1
go get github.com/lib/pq@v1.12.3 >/dev/null 2>&1
seen=$(env -u PGHOST -u PGDATABASE -u PGSERVICE PGSERVICEFILE="$work/service.conf" go run .)
echo "$seen"
grep -qxF 'string alone:        host=staging.example database=orders_copy' <<<"$seen"
grep -qxF 'string with service: host=production.example database=orders' <<<"$seen"
