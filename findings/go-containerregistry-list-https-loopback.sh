#!/usr/bin/env bash
# go-containerregistry 0.22.1: remote.List of a registry on HTTPS fails at the second page
# where the registry's address is loopback or of RFC 1918 (10.x, 172.16.x, 192.168.x).
#
# For such addresses the library's own idea of the registry's scheme is "http", whatever
# scheme the ping settled. It compares the Link of the first page, which it resolves against
# the https URL of the request, with that idea, and refuses to follow it. With one page, or
# with a name that is no such address, the same call succeeds.
#
# Seen: one page: 2 tags; two pages: no tag, and the error
# pagination URL scheme "https" does not match registry scheme "http"
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

func list(pages int) ([]string, error) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v2/":
		case r.URL.Query().Get("last") == "" && pages == 2:
			w.Header().Set("Link", `</v2/app/tags/list?n=2&last=b>; rel="next"`)
			fallthrough
		case r.URL.Query().Get("last") == "":
			fmt.Fprint(w, `{"name":"app","tags":["a","b"]}`)
		default:
			fmt.Fprint(w, `{"name":"app","tags":["c"]}`)
		}
	}))
	defer server.Close()
	repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "https://") + "/app")
	if err != nil {
		return nil, err
	}
	return remote.List(repository, remote.WithTransport(server.Client().Transport))
}

func main() {
	for pages := 1; pages <= 2; pages++ {
		tags, err := list(pages)
		fmt.Printf("pages=%d tags=%v error=%v\n", pages, tags, err)
	}
}
GO
export GOFLAGS=-mod=mod
go mod init finding >/dev/null 2>&1
go get github.com/google/go-containerregistry@v0.22.1 >/dev/null 2>&1
seen=$(go run .)
echo "$seen"
grep -qF 'pages=1 tags=[a b] error=<nil>' <<<"$seen"
grep -qF 'pages=2 tags=[] error=pagination URL scheme "https" does not match registry scheme "http"' <<<"$seen"
