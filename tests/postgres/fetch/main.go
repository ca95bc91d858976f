// Command fetch fills the cache with the PostgreSQL versions that the tests use.
package main

import (
	"context"
	"fmt"
	"os"

	"slipway.dev/slipway/tests/postgres"
)

func main() {
	for _, major := range postgres.Versions {
		_, err := postgres.Fetch(context.Background(), major)
		if err == nil {
			_, err = postgres.FetchDump(context.Background(), major)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
