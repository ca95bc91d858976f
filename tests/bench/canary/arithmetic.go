package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"slipway.dev/slipway/tests/canary/stage"
)

// pair is how many pods each version has.
type pair struct{ stable, canary int }

func (p pair) String() string {
	return fmt.Sprintf("%d + %d: %.1f %%", p.stable, p.canary, 100*float64(p.canary)/float64(max(1, p.stable+p.canary)))
}

// arithmetic prints what canary-weight and Argo Rollouts' basic canary give for the
// same asks: of as many replicas, and with as many pods as canary-weight took.
func arithmetic(ctx context.Context, ours map[int]pair) error {
	fmt.Printf("\n| asked of %d replicas | canary-weight, stable + canary | Argo Rollouts, maxSurge 25%% | maxSurge 0 | with as many pods as canary-weight |\n|---|---|---|---|---|\n", replicas)
	for _, weight := range weights {
		row := fmt.Sprintf("| %d %% | %s |", weight, ours[weight])
		for _, of := range []struct {
			replicas int
			surge    string
		}{{replicas, "25%"}, {replicas, "0"}, {ours[weight].stable + ours[weight].canary, "0"}} {
			var theirs pair
			out, err := exec.CommandContext(ctx, filepath.Join(stage.Root(), "bin", "argo"), fmt.Sprint(of.replicas), of.surge,
				fmt.Sprint(weight)).Output()
			if err != nil {
				return fmt.Errorf("asking Argo Rollouts' arithmetic: %w", err)
			}
			if _, err := fmt.Sscan(string(out), &theirs.stable, &theirs.canary); err != nil {
				return fmt.Errorf("reading Argo Rollouts' counts %q: %w", out, err)
			}
			row += fmt.Sprintf(" %s |", theirs)
		}
		fmt.Println(row)
	}
	return nil
}
