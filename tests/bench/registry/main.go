// Command bench-registry measures nexus-latest-tag and nexus-push beside crane,
// regctl and skopeo, against one registry on loopback, in one run. It writes
// Markdown to stdout.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "the folder with the helpers, crane and regctl")
	program := flag.String("registry", "", "the registry's program")
	runs := flag.Int("runs", 5, "how often each is measured; the median counts")
	megabytes := flag.Int("size", 250, "of the image that is pushed, in MB")
	most := flag.Int("tags", 100_000, "of the largest list")
	flag.Parse()
	if err := bench(*bin, *program, *runs, *megabytes, *most); err != nil {
		fmt.Fprintln(os.Stderr, "bench-registry:", err)
		os.Exit(1)
	}
}

func bench(bin, program string, runs, megabytes, most int) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-registry")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := startRegistry(program, dir)
	if err != nil {
		return err
	}
	defer r.stop()
	tools := &tools{bin: bin, home: dir, host: r.host, counted: r.counted}

	fmt.Printf("## The newest of many tags\n\nSeconds (median of %d), requests and peak memory.\n\n| tags | tool | seconds | to the fastest peer | requests | MB |\n|---|---|---|---|---|---|\n", runs)
	for _, count := range []int{1_000, 10_000, 100_000} {
		if count > most {
			break
		}
		repository := fmt.Sprintf("bench/tags-%d", count)
		if err := r.seed(repository, count); err != nil {
			return err
		}
		if err := compare(fmt.Sprint(count), runs, r, tools.listing(repository)); err != nil {
			return err
		}
	}

	tar, err := writeImage(dir, megabytes)
	if err != nil {
		return err
	}
	fmt.Printf("\n## A push of %d MB\n\n`cold`: the repository has no layer. `present`: it has all of them.\n\n| push | tool | seconds | to the fastest peer | requests | MB |\n|---|---|---|---|---|---|\n", megabytes)
	for _, state := range []string{"cold", "present"} {
		if err := compare(state, runs, r, tools.pushing(tar, state)); err != nil {
			return err
		}
	}

	fmt.Printf("\n## Start-up\n\n| helper | milliseconds until --version is done |\n|---|---|\n")
	for _, helper := range []string{"nexus-latest-tag", "nexus-push", "image-evidence"} {
		var times []time.Duration
		for range 20 {
			m, err := tools.run(helper, "--version")
			if err != nil {
				return err
			}
			times = append(times, m.time)
		}
		fmt.Printf("| %s | %.1f |\n", helper, median(times).Seconds()*1000)
	}
	return nil
}

// compare measures all tools in turn, so that what disturbs one disturbs all, and prints a row for each; ours is the first.
func compare(what string, runs int, r *registry, all []tool) error {
	times, memory := make([][]time.Duration, len(all)), make([]int64, len(all))
	for run := range runs {
		for i, tool := range all {
			m, err := tool.run(run, false)
			if err != nil {
				return err
			}
			times[i] = append(times[i], m.time)
			memory[i] = max(memory[i], m.memory)
		}
	}
	var fastest time.Duration
	for i := range all[1:] {
		if t := median(times[i+1]); fastest == 0 || t < fastest {
			fastest = t
		}
	}
	for i, tool := range all {
		before := r.requests.Load()
		if _, err := tool.run(runs, true); err != nil {
			return err
		}
		fmt.Printf("| %s | %s | %.2f | %.2f | %d | %.1f |\n", what, tool.name, median(times[i]).Seconds(), median(times[i]).Seconds()/fastest.Seconds(), r.requests.Load()-before, float64(memory[i])/1024)
	}
	return nil
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
