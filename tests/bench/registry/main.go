// Command bench-registry measures nexus-latest-tag and nexus-push beside crane,
// regctl and skopeo, against one registry on loopback, in one run, and shows what
// each of them says when a registry has faults. It writes Markdown to stdout.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway.dev/slipway/tests/registry/site"
)

func main() {
	bin := flag.String("bin", "bin", "the folder with the helpers, crane and regctl")
	runs := flag.Int("runs", 5, "how often each is measured; the median counts")
	megabytes := flag.Int("size", 250, "of the image that is pushed, in MB; 0 pushes none")
	most := flag.Int("tags", 100_000, "of the largest list")
	faults := flag.Bool("faults", true, "show what each tool says to a registry's faults")
	flag.Parse()
	if err := bench(*bin, *runs, *megabytes, *most, *faults); err != nil {
		fmt.Fprintln(os.Stderr, "bench-registry:", err)
		os.Exit(1)
	}
}

func bench(bin string, runs, megabytes, most int, faults bool) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := site.Folder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, err := site.Program()
	if err != nil {
		return err
	}
	registry, err := site.Start(program, dir)
	if err != nil {
		return err
	}
	defer registry.Stop()
	counter := startCounter(registry.URL)
	defer counter.server.Close()
	tools := &tools{bin: bin, home: dir, host: registry.URL.Host, counted: counter.host}
	if faults {
		if err := showFaults(tools, registry); err != nil {
			return err
		}
		if err := showPushes(tools, registry); err != nil {
			return err
		}
	}
	if err := benchLists(tools, registry, counter, runs, most); err != nil {
		return err
	}
	if megabytes > 0 {
		if err := benchPushes(tools, counter, runs, megabytes); err != nil {
			return err
		}
	}
	return benchStart(tools)
}

func benchLists(tools *tools, registry *site.Registry, counter *counter, runs, most int) error {
	fmt.Printf("## The newest of many tags\n\nSeconds (median of %d), requests and peak memory.\n\n| tags | tool | seconds | to the fastest peer | requests | MB |\n|---|---|---|---|---|---|\n", runs)
	for _, count := range []int{1_000, 10_000, 100_000} {
		if count > most {
			break
		}
		repository := fmt.Sprintf("bench/tags-%d", count)
		if err := registry.Seed(repository, count); err != nil {
			return err
		}
		if err := compare(fmt.Sprint(count), runs, counter, tools.listing(repository, fmt.Sprintf("latest-%d", count))); err != nil {
			return err
		}
	}
	return nil
}

func benchPushes(tools *tools, counter *counter, runs, megabytes int) error {
	tar, err := writeImage(tools.home, megabytes)
	if err != nil {
		return err
	}
	fmt.Printf("\n## A push of %d MB\n\n`cold`: the repository has no layer. `present`: it has all of them.\n\n| push | tool | seconds | to the fastest peer | requests | MB |\n|---|---|---|---|---|---|\n", megabytes)
	for _, state := range []string{"cold", "present"} {
		if err := compare(state, runs, counter, tools.pushing(tar, state)); err != nil {
			return err
		}
	}
	return nil
}

func benchStart(tools *tools) error {
	fmt.Printf("\n## Start-up\n\n| program | milliseconds until its version is printed (median of 20) |\n|---|---|\n")
	for _, command := range [][]string{{"nexus-latest-tag", "--version"}, {"nexus-push", "--version"}, {"image-evidence", "--version"},
		{"crane", "version"}, {"regctl", "version"}, {"skopeo", "--version"}} {
		var times []time.Duration
		for range 20 {
			got, err := tools.run(command[0], command[1:]...)
			if err != nil {
				return err
			}
			times = append(times, got.Took)
		}
		fmt.Printf("| %s | %.1f |\n", command[0], median(times).Seconds()*1000)
	}
	return nil
}

// compare measures all tools in turn, so that what disturbs one disturbs all, and prints a row for each; ours is the first.
func compare(what string, runs int, counter *counter, all []tool) error {
	times, memory := make([][]time.Duration, len(all)), make([]int64, len(all))
	for run := range runs {
		for i, tool := range all {
			m, err := tool.run(run, false)
			if err != nil {
				return err
			}
			times[i] = append(times[i], m.Took)
			memory[i] = max(memory[i], m.Memory)
		}
	}
	fastest := map[bool]time.Duration{} // of those that only list, or push, and of those that give the same answer as ours
	for i, tool := range all[1:] {
		same := strings.HasSuffix(tool.name, sameAnswer)
		if t := median(times[i+1]); fastest[same] == 0 || t < fastest[same] {
			fastest[same] = t
		}
	}
	for i, tool := range all {
		before := counter.requests.Load()
		if _, err := tool.run(runs, true); err != nil {
			return err
		}
		took := median(times[i])
		ratio := fmt.Sprintf("%.2f", took.Seconds()/fastest[strings.HasSuffix(tool.name, sameAnswer)].Seconds())
		if i == 0 && fastest[true] > 0 {
			ratio += fmt.Sprintf(" (same answer: %.2f)", took.Seconds()/fastest[true].Seconds())
		}
		fmt.Printf("| %s | %s | %.3f | %s | %d | %.1f |\n", what, tool.name, took.Seconds(), ratio, counter.requests.Load()-before,
			float64(memory[i])/1024)
	}
	return nil
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
