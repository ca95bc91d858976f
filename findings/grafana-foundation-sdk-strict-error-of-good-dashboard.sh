#!/usr/bin/env bash
# github.com/grafana/grafana-foundation-sdk/go v0.0.22: Dashboard.UnmarshalJSONStrict gives an error that is not nil also for a
# dashboard without a mistake: an empty cog.BuildErrors as an error. `if err != nil` takes every dashboard for a broken one, and the
# error's text is empty. Seen:
#   good: err != nil is true, of 0 mistakes, text ""
#   without annotations: err != nil is true, of 1 mistakes, text "annotations: required field is missing from input"
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'GO'
package main

import (
	"errors"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	for name, text := range map[string]string{
		"good":                `{"schemaVersion": 39, "title": "x", "annotations": {"list": []}, "templating": {"list": []}}`,
		"without annotations": `{"schemaVersion": 39, "title": "x", "templating": {"list": []}}`,
	} {
		var read dashboard.Dashboard
		err := read.UnmarshalJSONStrict([]byte(text))
		var mistakes cog.BuildErrors
		errors.As(err, &mistakes)
		fmt.Printf("%s: err != nil is %v, of %d mistakes, text %q\n", name, err != nil, len(mistakes), fmt.Sprint(err))
	}
}
GO
go mod init example.com/finding > init.log 2>&1
go get github.com/grafana/grafana-foundation-sdk/go@v0.0.22 > get.log 2>&1
seen="$(go run . | sort)"
wanted='good: err != nil is true, of 0 mistakes, text ""
without annotations: err != nil is true, of 1 mistakes, text "annotations: required field is missing from input"'
if [ "$seen" != "$wanted" ]; then
  echo "this has changed:" >&2
  echo "$seen" >&2
  exit 1
fi
echo "$seen"
