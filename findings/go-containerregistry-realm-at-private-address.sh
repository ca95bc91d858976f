#!/usr/bin/env bash
# go-containerregistry 0.22.1: a registry on a private network whose tokens are made at another port of the
# same machine, named by its address, cannot be used at all.
#
# A registry answers 401 with a realm, the address of its token server. remote.List and all else refuse a
# realm whose host is a private, loopback or link-local address, unless host and port are the registry's
# own. A container registry on 10.0.0.5:5050 with its tokens at 10.0.0.5/jwt/auth is such a case; there is
# no option that allows it. The same server under a name is asked without a complaint, also where the name
# means the same address.
#
# Seen:
# address: invalid realm in www-authenticate: realm host "127.0.0.1" is a private or link-local address
# name: [latest]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"t"}`) }))
	realm := ""
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"name":"app","tags":["latest"]}`)
	}))
	repository, err := name.NewRepository(strings.TrimPrefix(registry.URL, "http://")+"/app", name.Insecure)
	if err != nil {
		panic(err)
	}
	realm = tokens.URL
	_, err = remote.List(repository)
	fmt.Println("address:", err)
	realm = strings.Replace(tokens.URL, "127.0.0.1", "localhost", 1)
	tags, err := remote.List(repository)
	if err != nil {
		panic(err)
	}
	fmt.Println("name:", tags)
}
GO
export GOFLAGS=-mod=mod
go mod init finding >/dev/null 2>&1
go get github.com/google/go-containerregistry@v0.22.1 >/dev/null 2>&1
seen=$(go run .)
echo "$seen"
grep -qF 'address: invalid realm in www-authenticate: realm host "127.0.0.1" is a private or link-local address' <<<"$seen"
grep -qF 'name: [latest]' <<<"$seen"
