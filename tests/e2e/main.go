// Command e2e tells the story of four releases, on the lab, and checks each step of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"slipway.dev/slipway/tests/e2e/site"
	"slipway.dev/slipway/tests/e2e/story"
)

func main() {
	answer := flag.String("answer", "yes", "how approvals are answered where the story leaves it open: yes or ask")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := tell(ctx, *answer); err != nil {
		fmt.Fprintln(os.Stderr, "demo: "+err.Error())
		os.Exit(1)
	}
}

func tell(ctx context.Context, answer string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "slipway-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	prepared, err := site.Prepare(ctx, root, dir, os.Stdout)
	if err != nil {
		return err
	}
	return story.Tell(ctx, prepared, answer, os.Stdout)
}
