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
		if _, err := postgres.Fetch(context.Background(), major); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
