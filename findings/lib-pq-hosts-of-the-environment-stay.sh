#!/usr/bin/env bash
# lib/pq 1.12.3: of several hosts in PGHOST, all but the first are tried after the host of the
# connection string.
#
# libpq ignores PGHOST where the connection string names a host. lib/pq replaces only the
# first host of PGHOST; the others stay in the list and are connected to when the named host
# does not answer. With PGPORT=A,B and port= it is the same with the ports.
#
# Seen (the named port 1 is closed; a listener is at the second host of PGHOST):
# named: 127.0.0.1, further hosts: [127.0.0.2]
# the listener at 127.0.0.2 was asked for the database named_database
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'GO'
package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/lib/pq"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		log.Fatal(err)
	}
	asked := make(chan string, 1)
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		start := make([]byte, 1024)
		n, _ := connection.Read(start)
		words := bytes.Split(start[8:n], []byte{0})
		for i := 0; i+1 < len(words); i += 2 {
			if string(words[i]) == "database" {
				asked <- string(words[i+1])
			}
		}
	}()
	os.Setenv("PGHOST", "first.example,127.0.0.2")
	os.Setenv("PGPORT", fmt.Sprint("5432,", listener.Addr().(*net.TCPAddr).Port))
	config, err := pq.NewConfig("host=127.0.0.1 port=1 dbname=named_database user=app sslmode=disable")
	if err != nil {
		log.Fatal(err)
	}
	var further []string
	for _, each := range config.Multi {
		further = append(further, each.Host)
	}
	fmt.Printf("named: %s, further hosts: %v\n", config.Host, further)
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	_ = sql.OpenDB(connector).Ping() // an error in any case: the listener is no server
	select {
	case database := <-asked:
		fmt.Println("the listener at 127.0.0.2 was asked for the database", database)
	default:
		fmt.Println("the listener at 127.0.0.2 was not asked")
	}
}
GO
export GOFLAGS=-mod=mod
go mod init finding >/dev/null 2>&1
go get github.com/lib/pq@v1.12.3 >/dev/null 2>&1
seen=$(go run .)
echo "$seen"
grep -qxF 'named: 127.0.0.1, further hosts: [127.0.0.2]' <<<"$seen"
grep -qxF 'the listener at 127.0.0.2 was asked for the database named_database' <<<"$seen"
