#!/usr/bin/env bash
# pg_query_go 6.2.5: SplitWithScanner cuts a function whose body is BEGIN ATOMIC … END
# (PostgreSQL 14 and later) at each semicolon of the body, without an error.
#
# The scanner counts parentheses, so that the body of CREATE RULE stays whole, but it does not
# know that BEGIN ATOMIC opens a body. The parts are no statements: the first is half a CREATE
# FUNCTION, and the last, "END", ends the transaction of whoever runs the parts in turn.
# SplitWithParser keeps the statement whole.
#
# Seen:
# scanner: 4 parts, the third is "END"
# parser: 2 parts
# a rule's body, scanner: 2 parts
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'GO'
package main

import (
	"fmt"
	"log"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func must(parts []string, err error) []string {
	if err != nil {
		log.Fatal(err)
	}
	return parts
}

func main() {
	function := "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3"
	rule := "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)); SELECT 3"
	cut := must(pg.SplitWithScanner(function, true))
	fmt.Printf("scanner: %d parts, the third is %q\n", len(cut), cut[2])
	fmt.Printf("parser: %d parts\n", len(must(pg.SplitWithParser(function, true))))
	fmt.Printf("a rule's body, scanner: %d parts\n", len(must(pg.SplitWithScanner(rule, true))))
}
GO
export GOFLAGS="${GOFLAGS:-} -mod=mod"
go mod init finding >/dev/null 2>&1
go get github.com/pganalyze/pg_query_go/v6@v6.2.5 >/dev/null 2>&1
seen=$(go run .)
echo "$seen"
grep -qxF 'scanner: 4 parts, the third is "END"' <<<"$seen"
grep -qxF 'parser: 2 parts' <<<"$seen"
grep -qxF "a rule's body, scanner: 2 parts" <<<"$seen"
