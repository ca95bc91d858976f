// Command demo tells the story of four releases, on the lab, and checks each step of it.
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
	console := flag.String("console", "short", "what is shown of the pipelines' consoles: short or whole")
	image := flag.String("image", "", "only build the lab's own agents' image, and keep it as this tar")
	measure := flag.Int("measure", 0, "only ship this many small releases, and say what each run took")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *answer, *console, *image, *measure); err != nil {
		fmt.Fprintln(os.Stderr, "demo: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, answer, console, image string, measure int) error {
	if answer != "yes" && answer != "ask" {
		return fmt.Errorf("-answer %q is neither yes nor ask", answer)
	}
	if console != "short" && console != "whole" {
		return fmt.Errorf("-console %q is neither short nor whole", console)
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(os.Getenv("LAB_RUN"), "demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if image != "" {
		return site.BuildAgentImage(ctx, root, dir, image)
	}
	options := site.Options{Replicas: 9, Signed: true}
	if measure > 0 { // the pipelines, and not how long the service's own pods take to start
		options = site.Options{Replicas: 4, Light: true}
	}
	prepared, err := site.Prepare(ctx, root, dir, options, os.Stdout)
	if err != nil {
		return err
	}
	defer prepared.Stop()
	if measure > 0 {
		return story.Measure(ctx, prepared, measure, os.Stdout)
	}
	return story.Tell(ctx, prepared, answer, console == "whole", os.Stdout)
}
